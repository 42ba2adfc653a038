//! Stage index: measures the mezzanine.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use prost::Message;
use reel_common::{Artifact, Failure};
use reel_proto::v1;
use reel_store::Source;

use crate::attempt::{Attempt, media};
use crate::channel::Voice;
use crate::text;

/// How often the bytes read are told.
const TELL_EVERY: Duration = Duration::from_millis(250);

pub(crate) fn run(attempt: &Attempt, task: &v1::IndexTask) -> Result<v1::TaskFinished, Failure> {
    let source = attempt.source()?;
    let (running, ended) = mpsc::channel();
    let (mut index, mut summary) = std::thread::scope(|scope| {
        scope.spawn(|| tell(&source, &attempt.voice, ended));
        // Dropped at the end of the scope's closure, and by a panic: the teller ends with it.
        let _running = running;
        reel_media::index(&source, &attempt.profile).map_err(media)
    })?;
    if !task.texts.is_empty() {
        let ends_ms = reel_media::segment_ends_ms(&index, &attempt.profile).map_err(media)?;
        index.texts = text::read(&task.texts, &source, &index, &ends_ms)?;
    }
    let bytes = index.encode_to_vec();
    summary.artifact = Some(Artifact::of(&bytes).into());
    let file = attempt.leave("index.pb", &bytes)?;
    Ok(v1::TaskFinished {
        result: Some(v1::task_finished::Result::Index(summary)),
        object_files: vec![file],
        source_bytes_read: Some(source.bytes_read()),
        ..v1::TaskFinished::default()
    })
}

/// Tells how much of the mezzanine was read: one without an index of its own is read to its end, which takes a while.
fn tell(source: &Source, voice: &Voice, ended: mpsc::Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(TELL_EVERY) {
        voice.progress(source.bytes_read(), source.size(), None);
    }
}
