//! Stage measure: the proof of an output tree.

mod protected;

use std::path::Path;

use prost::Message;
use reel_common::Failure;
use reel_media::{MeasureJob, VerifyJob};
use reel_proto::v1;

use crate::attempt::{Attempt, bytes_read, finished_with, media};
use crate::{image, keys, text, tree};

pub(crate) fn run(attempt: &Attempt, task: &v1::MeasureTask) -> Result<v1::TaskFinished, Failure> {
    let index = attempt.index(task.index.as_ref())?;
    match &task.assembly {
        Some(assembly) => of_proved_parts(attempt, &index, assembly),
        None => from_nothing(attempt, &index, Path::new(&task.tree)),
    }
}

/// An assembled tree is held against the proofs of its parts and tracks.
fn of_proved_parts(
    attempt: &Attempt,
    index: &v1::Index,
    assembly: &v1::Artifact,
) -> Result<v1::TaskFinished, Failure> {
    let assembly: v1::Assembly = attempt.object(Some(assembly), "assembly")?;
    let tree = &tree::of_assembly(attempt, &assembly)?;
    let protection = keys::of_title(attempt)?;
    let clear = protection.is_some().then(|| tree::in_clear(attempt, &assembly)).transpose()?;
    let (parts, audio) = (assembly.parts.as_slice(), assembly.audio.as_slice());
    let proved = clear.as_ref().unwrap_or(tree);
    let job = MeasureJob { index, profile: &attempt.profile, tree: proved, parts, audio };
    let progress = &mut |done, total| attempt.voice.progress(done, total, None);
    let mut proof = reel_media::measure(&job, progress).map_err(media)?;
    if let Some((protection, clear)) = protection.zip(clear) {
        protected::prove(tree, &clear, &protection, attempt.profile.package)?;
    }
    if let Some(record) = &assembly.images {
        proof.images = Some(image::proof::measure(tree, index, &attempt.profile, record)?);
    }
    text::proof::prove(tree, index, &attempt.profile, parts)?;
    Ok(finished_with(attempt.leave(PROOF, &proof.encode_to_vec())?))
}

/// A delivered tree is decoded beside the mezzanine.
fn from_nothing(attempt: &Attempt, index: &v1::Index, tree: &Path) -> Result<v1::TaskFinished, Failure> {
    let sources = attempt.sources(index)?;
    let clear = keys::of_title(attempt)?.map(|protection| {
        protected::clear_copy(tree, attempt.scratch.join("clear"), &protection, attempt.profile.package)
    });
    let clear = clear.transpose()?;
    let coded = clear.as_deref().unwrap_or(tree);
    let job = VerifyJob { sources: &sources, index, profile: &attempt.profile, tree: coded };
    let progress = &mut |done, total| attempt.voice.progress(done, total, None);
    let mut proof = reel_media::verify(&job, progress).map_err(media)?;
    proof.images = image::proof::verify(tree, &sources, index, &attempt.profile)?;
    let finished = finished_with(attempt.leave(PROOF, &proof.encode_to_vec())?);
    Ok(v1::TaskFinished { source_bytes_read: Some(bytes_read(&sources)), ..finished })
}

/// The file in which the proof is left for the agent.
const PROOF: &str = "proof.pb";
