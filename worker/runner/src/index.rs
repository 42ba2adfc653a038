//! Stage index: measures the mezzanine.

use prost::Message;
use reel_common::{Artifact, Failure};
use reel_proto::v1;

use crate::attempt::{Attempt, media};

pub(crate) fn run(attempt: &Attempt) -> Result<v1::TaskFinished, Failure> {
    let source = attempt.source()?;
    let (index, mut summary) = reel_media::index(&source, &attempt.profile).map_err(media)?;
    let bytes = index.encode_to_vec();
    summary.artifact = Some(Artifact::of(&bytes).into());
    let file = attempt.leave("index.pb", &bytes)?;
    Ok(v1::TaskFinished {
        result: Some(v1::task_finished::Result::Index(summary)),
        object_files: vec![file],
        ..v1::TaskFinished::default()
    })
}
