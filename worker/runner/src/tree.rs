//! The tree of a title on its way to OUTPUT.
//!
//! Where OUTPUT is a folder, assemble leaves the tree beside it, and later stages find it there. Where it is a prefix of
//! an object store, nothing keeps the tree: it follows from the committed parts, so that each stage makes it in its own
//! scratch folder, whichever worker it runs on.

use std::path::{Path, PathBuf};

use prost::Message;
use reel_common::{Failure, is_remote};
use reel_proto::v1;

use crate::assemble::{Assemble, assemble};
use crate::attempt::{Attempt, failed, finished_with};
use crate::destination;
use crate::keys::{self, Protection};

/// Stage assemble: makes the tree, and leaves what is known of it.
pub(crate) fn make(attempt: &Attempt, task: &v1::AssembleTask) -> Result<v1::TaskFinished, Failure> {
    let protection = keys::of_title(attempt)?;
    let mut assembly = assembled(attempt, task, &place(attempt), protection.as_ref())?;
    if is_remote(&attempt.spec.output) {
        let folder = std::mem::take(&mut assembly.staging);
        std::fs::remove_dir_all(&folder).map_err(|error| destination::failure(Path::new(&folder), &error))?;
    }
    if is_remote(&attempt.spec.output) || protection.is_some() {
        assembly.made_from = Some(task.clone());
    }
    Ok(finished_with(attempt.leave("assembly.pb", &assembly.encode_to_vec())?))
}

/// The folder that holds the tree of an assembly.
pub(crate) fn of_assembly(attempt: &Attempt, assembly: &v1::Assembly) -> Result<PathBuf, Failure> {
    if !is_remote(&attempt.spec.output) {
        return Ok(PathBuf::from(&assembly.staging));
    }
    let protection = keys::of_title(attempt)?;
    let again = assembled(attempt, made_from(assembly)?, &place(attempt), protection.as_ref())?;
    if again.files != assembly.files {
        return Err(failed(
            "determinism fault: the tree of the title is not what assemble made of the same parts; compare the versions \
             of the workers, and ask whether its keys were changed",
        ));
    }
    Ok(PathBuf::from(again.staging))
}

/// The tree as it is before it is encrypted, made in the scratch folder.
pub(crate) fn in_clear(attempt: &Attempt, assembly: &v1::Assembly) -> Result<PathBuf, Failure> {
    let clear = assembled(attempt, made_from(assembly)?, &attempt.scratch.join("clear"), None)?;
    Ok(PathBuf::from(clear.staging))
}

fn made_from(assembly: &v1::Assembly) -> Result<&v1::AssembleTask, Failure> {
    assembly.made_from.as_ref().ok_or_else(|| failed("the assembly does not say what it is made of"))
}

/// Beside what the tree is made.
fn place(attempt: &Attempt) -> PathBuf {
    match is_remote(&attempt.spec.output) {
        true => attempt.scratch.join("title"),
        false => PathBuf::from(&attempt.spec.output),
    }
}

fn assembled(
    attempt: &Attempt,
    task: &v1::AssembleTask,
    output: &Path,
    protection: Option<&Protection>,
) -> Result<v1::Assembly, Failure> {
    let work = Assemble {
        job: attempt.task.job.0,
        output,
        profile: &attempt.profile,
        task,
        store: &attempt.store,
        protection,
    };
    assemble(&work, &mut |done, total| attempt.voice.progress(done, total, None))
}
