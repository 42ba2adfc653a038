//! Stage preview: what is encoded of a title is shown at OUTPUT while the rest still is, under HLS playlists of type EVENT.
//!
//! A claim beside the playlists says whose preview it is and how many parts it shows. Each attempt adds what is committed
//! since: media, then media playlists, then the claim; the first one also headers and the master playlist. Deliver puts the
//! whole title in its place. Where an earlier title lies at OUTPUT, it stays until then, and nothing is shown.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use reel_common::{Artifact, Failure, FailureClass, Stage, is_remote};
use reel_package::layout;
use reel_proto::{Malformed, v1};
use reel_store::Destination;
use serde::{Deserialize, Serialize};

use crate::assemble::preview::{Beginning, begin, profile};
use crate::assemble::{Assemble, Staging};
use crate::attempt::{Attempt, failed, malformed};
use crate::deliver::prefix::{self, Place, Steps};
use crate::destination::{self, Occupant};
use crate::keys;
use crate::report::Identity;

/// Whose files lie at OUTPUT without a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// The delivery; of a preview, with the digest of the index in place of the assembly's.
    #[serde(flatten)]
    pub(crate) identity: Identity,
    /// Parts that a preview shows; of a delivery `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shown_parts: Option<u32>,
}

impl Claim {
    /// The claim in a folder, if there is one.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(Destination::CLAIM)).ok()?).ok()
    }

    /// As it is written.
    pub(crate) fn json(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(|error| failed(&error.to_string()))
    }

    /// Whether it is of a preview of the same job.
    pub(crate) fn is_preview_of(&self, attempt: &Attempt) -> bool {
        let own = (attempt.task.job.0, attempt.spec.submitted_ms);
        self.shown_parts.is_some() && (self.identity.id, self.identity.submitted_ms) == own
    }
}

pub(crate) fn run(attempt: &Attempt, task: &v1::PreviewTask) -> Result<v1::TaskFinished, Failure> {
    let index =
        task.index.as_ref().ok_or(Malformed("index")).and_then(Artifact::try_from).map_err(malformed)?;
    let (id, submitted_ms) = (attempt.task.job.0, attempt.spec.submitted_ms);
    let identity = Identity { id, submitted_ms, assembly: index.sha256 };
    let preview = Preview { attempt, task, identity };
    match is_remote(&attempt.spec.output) {
        true => preview.at_prefix()?,
        false => preview.in_folder(Path::new(&attempt.spec.output))?,
    }
    Ok(v1::TaskFinished::default())
}

/// Takes back what is shown of a title that will not come.
pub(crate) fn withdraw(attempt: &Attempt) {
    let output = &attempt.spec.output;
    let taken_back = match is_remote(output) {
        true => prefix::withdraw(attempt),
        false => withdraw_folder(attempt, Path::new(output))
            .map_err(|error| destination::failure(Path::new(output), &error)),
    };
    if let Err(failure) = taken_back {
        tracing::warn!(%output, reason = failure.message, "what was shown of the title stays behind");
    }
}

fn withdraw_folder(attempt: &Attempt, output: &Path) -> io::Result<()> {
    let is_own = |folder: &Path| Claim::read(folder).is_some_and(|claim| claim.is_preview_of(attempt));
    if !is_own(output) {
        return Ok(());
    }
    let aside = beside(attempt, output, "withdrawn");
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::rename(output, &aside)?,
    }
    // Whatever took its place since it was looked at goes back there.
    match is_own(&aside) {
        true => fs::remove_dir_all(&aside),
        false => destination::put_in_place(&aside, output, &Occupant::Nothing),
    }
}

/// A hidden name beside OUTPUT that no other job has.
fn beside(attempt: &Attempt, output: &Path, what: &str) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let (job, submitted_ms) = (attempt.task.job.0, attempt.spec.submitted_ms);
    output.with_file_name(format!(".{name}.reel-{job}-{submitted_ms}.{what}"))
}

/// Removes what an attempt left that was ended on its way.
pub(crate) fn clean_up(attempt: &Attempt, output: &Path) {
    if attempt.profile.package.preview {
        Staging::clean_up(&beside(attempt, output, "preview"), attempt.task.job.0);
    }
}

struct Preview<'a> {
    attempt: &'a Attempt,
    task: &'a v1::PreviewTask,
    identity: Identity,
}

impl Preview<'_> {
    fn in_folder(&self, output: &Path) -> Result<(), Failure> {
        let occupant = destination::occupant(output)?;
        let shown = match &occupant {
            Occupant::Title(_) => return Ok(()),
            Occupant::Preview(claim) if claim.identity == self.identity => claim.shown_parts.unwrap_or(0),
            Occupant::Preview(_) | Occupant::Nothing | Occupant::EmptyFolder => 0,
        };
        if self.shows_all(shown) {
            return Ok(());
        }
        let failure = |error: io::Error| destination::failure(output, &error);
        let made = self.begin(&beside(self.attempt, output, "preview"), shown)?;
        let Beginning { folder, files, .. } = &made;
        let (staging, claim) = (Path::new(folder), self.claim(self.task.parts.len() as u32).json()?);
        fs::write(staging.join(Destination::CLAIM), claim).map_err(failure)?;
        match shown {
            0 => put_in_place(staging, output, &occupant).map_err(failure)?,
            _ => self.add(staging, files, output).map_err(failure)?,
        }
        match fs::remove_dir_all(staging) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failure(error)),
            _ => Ok(()),
        }
    }

    /// Moves files into a preview; the last is the claim. The folder is the one that was looked at, even where a whole title
    /// takes its place meanwhile.
    fn add(&self, staging: &Path, files: &[v1::OutputFile], output: &Path) -> io::Result<()> {
        let opened = fs::File::open(output)?;
        let root = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
        if Claim::read(&root).is_none_or(|claim| claim.identity != self.identity) {
            return Err(io::Error::other("another title has taken the place of the preview"));
        }
        let mut paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        paths.sort_by_key(|path| Steps::turn(path));
        for path in paths.into_iter().chain([Destination::CLAIM]) {
            let place = root.join(path);
            fs::create_dir_all(place.parent().unwrap_or(&root))?;
            fs::rename(staging.join(path), place)?;
        }
        Ok(())
    }

    fn at_prefix(&self) -> Result<(), Failure> {
        let place = Place::open(&self.attempt.spec.output)?;
        let prefix::Occupant { claim, title } = place.occupant()?;
        let shown = match &claim {
            _ if title.is_some() => return Ok(()),
            Some(claim) if claim.identity == self.identity => claim.shown_parts.unwrap_or(0),
            Some(claim) if claim.identity.submitted_ms > self.identity.submitted_ms => {
                return Err(place.lost(&claim.identity));
            }
            _ => 0,
        };
        if self.shows_all(shown) {
            return Ok(());
        }
        if shown == 0 {
            place.put(Destination::CLAIM, self.claim(0).json()?)?;
        }
        let made = self.begin(&self.attempt.scratch.join("title"), shown)?;
        let steps = Steps::of_files(Path::new(&made.folder), &made.files)?;
        // A title may have come there meanwhile.
        place.still_ours(&self.identity)?;
        if place.occupant()?.title.is_some() {
            return Err(failed("a whole title has taken the place of the preview"));
        }
        let mut none = |_| {};
        if shown == 0 {
            place.list_also(made.paths.clone())?;
            place.remove_first(&mut none)?;
        }
        steps.each(|files| place.deliver(&self.identity, files, &mut none))?;
        place.still_ours(&self.identity)?;
        place.put(Destination::CLAIM, self.claim(self.task.parts.len() as u32).json()?)
    }

    fn claim(&self, shown_parts: u32) -> Claim {
        Claim { identity: self.identity.clone(), shown_parts: Some(shown_parts) }
    }

    /// Whether there is nothing to add.
    fn shows_all(&self, shown: u32) -> bool {
        shown as usize >= self.task.parts.len()
    }

    fn begin(&self, output: &Path, shown: u32) -> Result<Beginning, Failure> {
        let Preview { attempt, task, .. } = self;
        let protection = keys::of_title(attempt)?;
        let assembled = v1::AssembleTask {
            index: task.index.clone(),
            parts: task.parts.clone(),
            audio: task.audio.clone(),
            images: None,
        };
        let work = Assemble {
            job: attempt.task.job.0,
            output,
            profile: &profile(&attempt.profile),
            task: &assembled,
            store: &attempt.store,
            protection: protection.as_ref(),
        };
        begin(&work, shown, &mut |done, total| attempt.voice.progress(done, total, None))
    }
}

/// Puts a preview in the place of what was seen there, and of nothing else.
fn put_in_place(staging: &Path, output: &Path, seen: &Occupant) -> io::Result<()> {
    destination::put_in_place(staging, output, seen)?;
    let Occupant::Preview(claim) = seen else { return Ok(()) };
    if Claim::read(staging).as_ref() == Some(claim) && !staging.join(layout::REPORT).exists() {
        return Ok(());
    }
    destination::put_in_place(staging, output, seen)?;
    Err(io::Error::other("another title has taken the place of an earlier preview"))
}

/// Whether a failure means that a title will not come, so that what is shown of it goes. A preview itself is given up alone.
pub(crate) fn is_lost(attempt: &Attempt, failure: &Failure) -> bool {
    let of_title = attempt.task.stage != Stage::Preview && attempt.profile.package.preview;
    of_title && failure.class == FailureClass::Invalid
}
