//! Stage index: measures the mezzanine.

use std::io::Read;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use prost::Message;
use reel_common::{Artifact, Edit, EditOverlay, Failure, FailureClass, is_remote, redacted};
use reel_profiles::SegmentStart;
use reel_proto::v1;
use reel_store::Source;

use crate::attempt::{Attempt, bytes_read, failed, malformed, media, open};
use crate::channel::Voice;
use crate::deliver::prefix;
use crate::{keys, text};

/// How often the bytes read are told.
const TELL_EVERY: Duration = Duration::from_millis(250);

pub(crate) fn run(attempt: &Attempt, task: &v1::IndexTask) -> Result<v1::TaskFinished, Failure> {
    if task.edit.is_some() && attempt.profile.segments_begin == SegmentStart::Scenes {
        let message =
            "an edited title is cut where its edit says: use a profile with `segments_begin = \"grid\"`";
        return Err(Failure::new(FailureClass::Invalid, message, ""));
    }
    if is_remote(&attempt.spec.output) {
        let sources = task.edit.iter().flat_map(|edit| &edit.sources).map(|source| source.location.as_str());
        let logos = task.edit.iter().flat_map(|edit| &edit.overlays).map(|logo| logo.location.as_str());
        let texts = task.texts.iter().map(|text| text.location.as_str());
        let own = [attempt.spec.mezzanine.as_str(), attempt.spec.store.as_str()];
        prefix::admit(&attempt.spec.output, own.into_iter().chain(texts).chain(sources).chain(logos))?;
    }
    // Those that are not there end the job before anything is encoded.
    keys::of_title(attempt)?;
    let mut sources = vec![attempt.source()?];
    let (mut index, mut summary) = measure(attempt, &sources[0])?;
    if let Some(edit) = &task.edit {
        let mut indexes = vec![index];
        for beside in &edit.sources {
            let source = open(&beside.location, beside.identity.clone())?;
            indexes.push(measure(attempt, &source)?.0);
            sources.push(source);
        }
        let edit = Edit::try_from(edit.clone()).map_err(malformed)?;
        let logos = edit.overlays.iter().map(fetch).collect::<Result<_, _>>()?;
        index = reel_media::edited(indexes, logos, &edit, &attempt.profile).map_err(media)?;
        summary = reel_media::summary_of_edited(summary, &index, &attempt.profile).map_err(media)?;
    }
    if !task.texts.is_empty() {
        index.texts = text::read(&task.texts, &sources[0], &index, &attempt.profile)?;
    }
    let bytes = index.encode_to_vec();
    summary.artifact = Some(Artifact::of(&bytes).into());
    let file = attempt.leave("index.pb", &bytes)?;
    Ok(v1::TaskFinished {
        result: Some(v1::task_finished::Result::Index(summary)),
        object_files: vec![file],
        source_bytes_read: Some(bytes_read(&sources)),
        ..v1::TaskFinished::default()
    })
}

fn measure(attempt: &Attempt, source: &Source) -> Result<(v1::Index, v1::IndexSummary), Failure> {
    let (running, ended) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| tell(source, &attempt.voice, ended));
        // Dropped at the end of the scope's closure, and by a panic: the teller ends with it.
        let _running = running;
        reel_media::index(source, &attempt.profile).map_err(media)
    })
}

/// Largest file of a logo: the index carries it.
const MAX_LOGO_BYTES: u64 = 4 << 20;

/// The file of a logo.
fn fetch(overlay: &EditOverlay) -> Result<Vec<u8>, Failure> {
    let file = open(&overlay.location, overlay.identity.clone().map(Into::into))?;
    let place = redacted(&overlay.location);
    if file.size() > MAX_LOGO_BYTES {
        let (bytes, most) = (file.size(), MAX_LOGO_BYTES >> 20);
        let message =
            format!("the logo {place} has {bytes} bytes, at most {most} MiB are read: make it smaller");
        return Err(Failure::new(FailureClass::Invalid, &message, ""));
    }
    let mut bytes = Vec::new();
    let read = file.reader().read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|error| failed(&format!("{place}: {error}")))
}

/// Tells how much of the mezzanine was read: one without an index of its own is read to its end, which takes a while.
fn tell(source: &Source, voice: &Voice, ended: mpsc::Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(TELL_EVERY) {
        voice.progress(source.bytes_read(), source.size(), None);
    }
}
