//! Stage encode: one chunk for the whole ladder.

use std::path::PathBuf;

use prost::Message;
use reel_common::{Failure, PartIndex, PartSpec, RecipeKey};
use reel_media::{EncodeEvents, EncodeJob};
use reel_proto::v1;

use crate::attempt::{Attempt, malformed, media};

pub(crate) fn run(attempt: &Attempt, task: &v1::EncodeTask) -> Result<v1::TaskFinished, Failure> {
    let index = attempt.index(task.index.as_ref())?;
    let parts: Result<Vec<PartSpec>, _> = task.parts.iter().cloned().map(PartSpec::try_from).collect();
    let parts = parts.map_err(malformed)?;
    let source = attempt.source()?;
    let job = EncodeJob {
        source: &source,
        index: &index,
        profile: &attempt.profile,
        parts: &parts,
        scratch: &attempt.scratch,
    };
    let mut events = Events { attempt, failed: None };
    reel_media::encode(&job, &mut events).map_err(media)?;
    match events.failed {
        Some(failure) => Err(failure),
        None => {
            let source_bytes_read = Some(source.bytes_read());
            Ok(v1::TaskFinished { source_bytes_read, ..v1::TaskFinished::default() })
        }
    }
}

struct Events<'a> {
    attempt: &'a Attempt,
    /// Why the encode was stopped from here.
    failed: Option<Failure>,
}

impl EncodeEvents for Events<'_> {
    fn find(&mut self, key: RecipeKey) -> Option<v1::RenditionPart> {
        find(self.attempt, key)
    }

    fn progress(&mut self, done: u64, total: u64, part: PartIndex) {
        self.attempt.voice.progress(done, total, Some(part));
    }

    fn part_finished(&mut self, record: v1::PartRecord, files: Vec<Option<PathBuf>>) {
        let name = |file: Option<PathBuf>| file.map_or(Ok(String::new()), |path| self.attempt.name_of(&path));
        match files.into_iter().map(name).collect() {
            Ok(scratch_files) => {
                self.attempt.voice.part_finished(v1::PartFinished { record: Some(record), scratch_files });
                // What is made ahead of a slow store would be lost with this process.
                self.attempt.orders.wait_until_stored();
            }
            Err(failure) => self.failed = Some(failure),
        }
    }

    fn next_part_allowed(&mut self, part: PartIndex) -> bool {
        self.failed.is_none() && self.attempt.orders.allow(part)
    }
}

/// The record of something that is in the store. A store that cannot be read is one that holds nothing: the bytes are
/// made again, and their publication says what is wrong.
pub(crate) fn find<M: Message + Default>(attempt: &Attempt, key: RecipeKey) -> Option<M> {
    match attempt.store.find_part(key) {
        Ok(record) => record.and_then(|record| M::decode(record.as_slice()).ok()),
        Err(error) => {
            tracing::warn!(%error, recipe = %key, "the store could not be searched");
            None
        }
    }
}
