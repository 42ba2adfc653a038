//! Stage encode: one chunk for the whole ladder; and stage probe: one part for its size and quality.

use std::path::PathBuf;

use prost::Message;
use reel_common::{Failure, Measured, PartIndex, PartSpec, RecipeKey};
use reel_media::{EncodeEvents, EncodeJob, Purpose};
use reel_proto::v1;

use crate::attempt::{Attempt, bytes_read, malformed, media};

pub(crate) fn run(attempt: &Attempt, task: &v1::EncodeTask) -> Result<v1::TaskFinished, Failure> {
    let chunk = Chunk {
        index: task.index.as_ref(),
        parts: &task.parts,
        qualities: &task.qualities,
        purpose: Purpose::Title,
    };
    let (bytes_read, _) = encode(attempt, &chunk)?;
    Ok(v1::TaskFinished { source_bytes_read: Some(bytes_read), ..v1::TaskFinished::default() })
}

pub(crate) fn probe(attempt: &Attempt, task: &v1::ProbeTask) -> Result<v1::TaskFinished, Failure> {
    let chunk = Chunk {
        index: task.index.as_ref(),
        parts: task.part.as_slice(),
        qualities: task.quality.as_slice(),
        purpose: Purpose::Probe { draft: task.draft },
    };
    let (bytes_read, measured) = encode(attempt, &chunk)?;
    let sizes = measured.as_slice().into();
    let result = Some(v1::task_finished::Result::Sizes(sizes));
    Ok(v1::TaskFinished { result, source_bytes_read: Some(bytes_read), ..v1::TaskFinished::default() })
}

/// What is to be encoded.
struct Chunk<'a> {
    index: Option<&'a v1::Artifact>,
    parts: &'a [v1::PartSpec],
    qualities: &'a [v1::PartQuality],
    purpose: Purpose,
}

/// Encodes it: bytes of the mezzanine that were read, and what came of each rendition of the last part.
fn encode(attempt: &Attempt, chunk: &Chunk<'_>) -> Result<(u64, Vec<Measured>), Failure> {
    let index = attempt.index(chunk.index)?;
    let parts: Result<Vec<PartSpec>, _> = chunk.parts.iter().cloned().map(PartSpec::try_from).collect();
    let parts = parts.map_err(malformed)?;
    let qualities: Vec<_> = chunk.qualities.iter().map(|quality| quality.crf_milli.clone()).collect();
    let sources = attempt.sources(&index)?;
    let job = EncodeJob {
        sources: &sources,
        index: &index,
        profile: &attempt.profile,
        parts: &parts,
        qualities: &qualities,
        purpose: chunk.purpose,
        scratch: &attempt.scratch,
    };
    let mut events = Events { attempt, purpose: chunk.purpose, measured: Vec::new(), failed: None };
    reel_media::encode(&job, &mut events).map_err(media)?;
    match events.failed {
        Some(failure) => Err(failure),
        None => Ok((bytes_read(&sources), events.measured)),
    }
}

struct Events<'a> {
    attempt: &'a Attempt,
    purpose: Purpose,
    /// What came of each rendition of the last part.
    measured: Vec<Measured>,
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
        self.measured = record.renditions.iter().map(Measured::from).collect();
        if self.purpose == (Purpose::Probe { draft: true }) {
            // What came of it is all that was wanted of it, and what the scratch folder holds goes with the attempt.
            return;
        }
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
