//! Stage deliver: the proved tree, with its report, takes its place at OUTPUT.
//!
//! An attempt may end at any point and be run again: a title is seen at OUTPUT when it is whole, and from then on the
//! report there tells that the work is done. A folder takes its final name in one step; of a prefix of an object store the
//! playlists that players begin with come last.

pub(crate) mod prefix;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use reel_common::{Artifact, Digest, DigestWriter, Failure, FailureClass, is_remote};
use reel_package::layout;
use reel_proto::{Malformed, v1};

use crate::attempt::{Attempt, finished_with, malformed};
use crate::destination::{self, Occupant};
use crate::preview;
use crate::report::{self, Identity, Sources};

/// Files are compared with their digests in blocks of this size.
const BLOCK_BYTES: usize = 1 << 20;

pub(crate) fn run(attempt: &Attempt, task: &v1::DeliverTask) -> Result<v1::TaskFinished, Failure> {
    let assembly: v1::Assembly = attempt.object(task.assembly.as_ref(), "assembly")?;
    let delivery = Delivery { attempt, task, assembly: &assembly, identity: identity(task)? };
    let report = match is_remote(&attempt.spec.output) {
        true => prefix::deliver(&delivery)?,
        false => delivery.to_folder(&PathBuf::from(&attempt.spec.output))?,
    };
    Ok(finished_with(attempt.leave(layout::REPORT, &report)?))
}

fn identity(task: &v1::DeliverTask) -> Result<Identity, Failure> {
    let named = task.assembly.as_ref().ok_or(Malformed("assembly")).and_then(Artifact::try_from);
    let (id, submitted_ms) =
        task.history.as_ref().map_or((0, 0), |history| (history.job, history.submitted_ms));
    Ok(Identity { id, submitted_ms, assembly: named.map_err(malformed)?.sha256 })
}

/// A title and where it goes.
struct Delivery<'a> {
    attempt: &'a Attempt,
    task: &'a v1::DeliverTask,
    assembly: &'a v1::Assembly,
    identity: Identity,
}

impl Delivery<'_> {
    /// Gives the tree its final name; the report that lies there then.
    fn to_folder(&self, output: &Path) -> Result<Vec<u8>, Failure> {
        let occupant = destination::occupant(output)?;
        let staging = Path::new(&self.assembly.staging);
        if occupant != Occupant::Title(self.identity.clone()) {
            let tree = self.checked(staging)?;
            tree.add_report(&self.report()?)?;
            let moved = destination::put_in_place(staging, output, &occupant);
            moved.map_err(|error| destination::failure(output, &error))?;
        }
        let parent = output.parent().unwrap_or(Path::new("/"));
        destination::sync_folder(parent).map_err(|error| destination::failure(parent, &error))?;
        remove_old(staging);
        preview::clean_up(self.attempt, output);
        let report = output.join(layout::REPORT);
        fs::read(&report).map_err(|error| destination::failure(&report, &error))
    }

    /// The tree, every file of which is what was proved.
    fn checked<'a>(&'a self, folder: &'a Path) -> Result<Tree<'a>, Failure> {
        let tree = Tree { staging: folder, assembly: self.assembly };
        tree.check(&mut |done, total| self.attempt.voice.progress(done, total, None))?;
        Ok(tree)
    }

    fn report(&self) -> Result<Vec<u8>, Failure> {
        let Delivery { attempt, task, assembly, identity } = self;
        let check = task.check.as_ref().map(|check| attempt.object(Some(check), "check")).transpose()?;
        report::write(&Sources {
            spec: &attempt.spec,
            profile: &attempt.profile,
            index: &attempt.index(task.index.as_ref())?,
            assembly,
            proof: &attempt.object(task.proof.as_ref(), "proof")?,
            check: check.as_ref(),
            history: &task.history.clone().unwrap_or_default(),
            identity,
        })
    }
}

/// Removes the title that was replaced, which now lies at the staging folder's name. The new one is delivered whether
/// or not this works.
fn remove_old(staging: &Path) {
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(folder = %staging.display(), %error, "the replaced title stays behind");
        }
        _ => {}
    }
}

/// The assembled tree.
struct Tree<'a> {
    staging: &'a Path,
    assembly: &'a v1::Assembly,
}

impl Tree<'_> {
    /// Compares every file with its digest, and refuses files that nobody lists: what is delivered is what was proved.
    fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Failure> {
        let mut listed = BTreeMap::new();
        for file in &self.assembly.files {
            let artifact = file.artifact.as_ref().ok_or(Malformed("digest of an output file"));
            listed.insert(file.path.clone(), artifact.and_then(Artifact::try_from).map_err(malformed)?);
        }
        // Left by an attempt that was killed before the rename; it is written anew.
        listed.remove(layout::REPORT);
        let mut found = Vec::new();
        walk(self.staging, "", &mut found).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.broken("it is gone"),
            _ => destination::failure(self.staging, &error),
        })?;
        found.retain(|path| path != layout::REPORT && path != REPORT_ON_ITS_WAY);
        if let Some(path) = found.iter().find(|path| !listed.contains_key(*path)) {
            return Err(self.broken(&format!("it holds {path}, which assemble did not write")));
        }
        let total = listed.values().map(|artifact| artifact.size).sum();
        let mut done = 0;
        for (path, artifact) in &listed {
            let found = digest(&self.staging.join(path)).map_err(|error| self.unreadable(path, &error))?;
            if found != artifact.sha256 {
                return Err(self.broken(&format!("{path} is not what assemble wrote")));
            }
            done += artifact.size;
            progress(done, total);
        }
        Ok(())
    }

    fn unreadable(&self, path: &str, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::NotFound => self.broken(&format!("{path} is missing")),
            _ => destination::failure(&self.staging.join(path), error),
        }
    }

    fn broken(&self, what: &str) -> Failure {
        let message = format!(
            "the assembled title in {} was changed: {what}; submit the job again",
            self.staging.display()
        );
        Failure::new(FailureClass::Failed, &message, "")
    }

    /// Writes the report into the tree and makes the whole of it durable.
    fn add_report(&self, text: &[u8]) -> Result<(), Failure> {
        let temporary = self.staging.join(REPORT_ON_ITS_WAY);
        let written = fs::File::create(&temporary)
            .and_then(|mut file| file.write_all(text))
            .and_then(|()| fs::rename(&temporary, self.staging.join(layout::REPORT)))
            .and_then(|()| destination::sync_file_system(self.staging));
        written.map_err(|error| destination::failure(self.staging, &error))
    }
}

fn digest(path: &Path) -> io::Result<Digest> {
    let (mut file, mut digest, mut block) =
        (fs::File::open(path)?, DigestWriter::default(), vec![0; BLOCK_BYTES]);
    loop {
        match file.read(&mut block)? {
            0 => return Ok(digest.finish()),
            length => digest.add(&block[..length]),
        }
    }
}

/// The report before it is whole.
const REPORT_ON_ITS_WAY: &str = ".report.json.new";

/// The files below a folder, as paths with `/`.
fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type()?.is_dir() {
            true => walk(&entry.path(), &format!("{path}/"), found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
