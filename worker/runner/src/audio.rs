//! Stage audio: one track as a whole.

use prost::Message;
use reel_common::Failure;
use reel_media::AudioJob;
use reel_proto::v1;

use crate::attempt::{Attempt, bytes_read, finished_with, media};
use crate::encode::find;

pub(crate) fn run(attempt: &Attempt, task: &v1::AudioTask) -> Result<v1::TaskFinished, Failure> {
    let index = attempt.index(task.index.as_ref())?;
    let sources = attempt.sources(&index)?;
    let job = AudioJob {
        sources: &sources,
        index: &index,
        profile: &attempt.profile,
        track: task.track as usize,
        scratch: &attempt.scratch,
    };
    let (record, file) = reel_media::audio(&job, &mut |key| find(attempt, key), &mut |done, total| {
        attempt.voice.progress(done, total, None);
    })
    .map_err(media)?;
    let mut finished = finished_with(attempt.leave("track.pb", &record.encode_to_vec())?);
    finished.source_bytes_read = Some(bytes_read(&sources));
    if let Some(file) = file {
        let scratch_file = attempt.name_of(&file)?;
        finished.recipe_files.push(v1::RecipeFile { recipe_key: record.recipe_key, scratch_file });
    }
    Ok(finished)
}
