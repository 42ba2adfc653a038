//! Stage measure: the proof of an output tree against the mezzanine.

use std::path::Path;

use prost::Message;
use reel_common::Failure;
use reel_media::MeasureJob;
use reel_proto::v1;

use crate::attempt::{Attempt, finished_with, media};

pub(crate) fn run(attempt: &Attempt, task: &v1::MeasureTask) -> Result<v1::TaskFinished, Failure> {
    let index = attempt.index(task.index.as_ref())?;
    let source = attempt.source()?;
    let job =
        MeasureJob { source: &source, index: &index, profile: &attempt.profile, tree: Path::new(&task.tree) };
    let progress = &mut |done, total| attempt.voice.progress(done, total, None);
    let proof = reel_media::measure(&job, progress).map_err(media)?;
    let finished = finished_with(attempt.leave("proof.pb", &proof.encode_to_vec())?);
    Ok(v1::TaskFinished { source_bytes_read: Some(source.bytes_read()), ..finished })
}
