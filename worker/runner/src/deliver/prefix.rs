//! Delivery to a prefix of an object store, where nothing is done in one step.
//!
//! A claim says whose delivery is under way, and a list which files are reel's to replace. Then come, in this order: the
//! report and the playlists that players begin with go, if an earlier title has some; media; media playlists; the report;
//! the playlists that players begin with; what the earlier title had and this one has not goes; list and claim go. So a
//! player that begins finds a whole title or none.
//!
//! Of two deliveries to one prefix the one of the later job goes on: the claim is read before each file is sent, and whoever
//! comes to take over sends nothing that is there already, but compares all of it once more at the end.

use std::collections::BTreeSet;
use std::path::Path;

use reel_common::{Artifact, Failure, FailureClass, redacted};
use reel_package::layout;
use reel_proto::{Malformed, v1};
use reel_store::{Delivered, Destination, StoreError};
use serde::Deserialize;

use super::Delivery;
use crate::attempt::{Attempt, failed, malformed, stored};
use crate::preview::Claim;
use crate::report::{Identity, MAX_REPORT_BYTES};
use crate::tree;

/// Which files are reel's, as JSON; removed before the claim.
const LIST: &str = ".reel-files.json";
/// Files that are removed before the claim is read again.
const WITHDRAWN_TOGETHER: usize = 100;
/// The most bytes of a list: more than the longest title has.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// Refuses an OUTPUT that cannot be written, holds what was not delivered by reel, or overlaps what the job works with, before
/// any work goes into a title.
pub(crate) fn admit<'a>(location: &str, others: impl IntoIterator<Item = &'a str>) -> Result<(), Failure> {
    let place = Place::open(location)?;
    if let Some(other) = others.into_iter().find(|other| place.destination.overlaps(other)) {
        let message = format!(
            "{} overlaps {}, which the job works with: use another OUTPUT",
            place.shown,
            redacted(other)
        );
        return Err(Failure::new(FailureClass::Invalid, &message, ""));
    }
    place.occupant()?;
    place.destination.check().map_err(|error| match error {
        StoreError::BadUrl { .. } | StoreError::Denied { .. } | StoreError::Rejected { .. } => {
            let message = format!("no title can be delivered to {}: {error}", place.shown);
            Failure::new(FailureClass::Invalid, &message, "")
        }
        error => stored(error),
    })
}

/// Delivers a title; the report that lies there then.
pub(super) fn deliver(delivery: &Delivery<'_>) -> Result<Vec<u8>, Failure> {
    let place = Place::open(&delivery.attempt.spec.output)?;
    let Occupant { claim, title } = place.occupant()?;
    let identity = &delivery.identity;
    let is_there = title.as_ref().is_some_and(|title| title.identity == *identity);
    if let (None, Some(title), true) = (&claim, &title, is_there) {
        return Ok(title.report.clone());
    }
    if let Some(later) = claim.as_ref().filter(|claim| claim.identity.submitted_ms > identity.submitted_ms) {
        return Err(place.lost(&later.identity));
    }
    let taken_over = claim.as_ref().is_some_and(|claim| claim.identity != *identity);
    // Who watches the beginning goes on with the same segments.
    let is_shown = claim.is_some_and(|claim| claim.is_preview_of(delivery.attempt));
    let folder = tree::of_assembly(delivery.attempt, delivery.assembly)?;
    delivery.checked(&folder)?;
    let steps = Steps::of_files(&folder, &delivery.assembly.files)?;
    let new: BTreeSet<String> = steps.all().map(|file| file.path.clone()).collect();
    let mut known: BTreeSet<String> = place.list()?.into_iter().collect();
    known.extend(title.iter().flat_map(|title| title.files.iter().cloned()));
    known.extend(new.iter().cloned());
    let old: Vec<String> = known.iter().filter(|path| !new.contains(*path)).cloned().collect();

    let rounds = if taken_over { 2 } else { 1 };
    let mut sizes = steps.all().map(|file| 3 * file.artifact.size * rounds).sum::<u64>();
    sizes += (old.len() + known.len()) as u64;
    let mut done = 0;
    let mut progress = |more| {
        done += more;
        delivery.attempt.voice.progress(done.min(sizes), sizes, None);
    };
    place.put(Destination::CLAIM, json(identity)?)?;
    place.put(LIST, json(&known)?)?;
    if !is_there && !is_shown {
        place.remove(&[layout::REPORT.to_owned()], &mut progress)?;
        let begun_with: Vec<String> = known.into_iter().filter(|path| Steps::is_first(path)).collect();
        place.remove(&begun_with, &mut progress)?;
    }
    for _ in 0..rounds {
        place.deliver(identity, &steps.media, &mut progress)?;
        place.deliver(identity, &steps.lists, &mut progress)?;
    }
    place.still_ours(identity)?;
    let report = match title.filter(|_| is_there) {
        Some(title) => title.report,
        None => delivery.report()?,
    };
    place.put(layout::REPORT, report.clone())?;
    place.deliver(identity, &steps.first, &mut progress)?;
    place.still_ours(identity)?;
    place.remove(&old, &mut progress)?;
    place.remove(&[LIST.to_owned()], &mut progress)?;
    place.remove(&[Destination::CLAIM.to_owned()], &mut progress)?;
    Ok(report)
}

/// Removes what is shown of a title that will not come.
pub(crate) fn withdraw(attempt: &Attempt) -> Result<(), Failure> {
    let place = Place::open(&attempt.spec.output)?;
    let is_shown =
        || Ok::<_, Failure>(place.occupant()?.claim.is_some_and(|claim| claim.is_preview_of(attempt)));
    let mut none = |_| {};
    if !is_shown()? {
        return Ok(());
    }
    place.remove_first(&mut none)?;
    // Nobody delivers the title of a job that has failed; another job may have come for the place.
    for files in place.list()?.chunks(WITHDRAWN_TOGETHER) {
        if !is_shown()? {
            return Ok(());
        }
        place.remove(files, &mut none)?;
    }
    place.remove(&[LIST, Destination::CLAIM].map(str::to_owned), &mut none)
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| failed(&error.to_string()))
}

/// The files of a title, in the order in which they are delivered.
#[derive(Default)]
pub(crate) struct Steps {
    media: Vec<Delivered>,
    /// What names media.
    lists: Vec<Delivered>,
    /// What players begin with.
    first: Vec<Delivered>,
}

impl Steps {
    /// The files of a tree that lies in a folder.
    pub(crate) fn of_files(folder: &Path, files: &[v1::OutputFile]) -> Result<Self, Failure> {
        let mut steps = Steps::default();
        for file in files {
            let artifact = file.artifact.as_ref().ok_or(Malformed("digest of an output file"));
            let artifact = artifact.and_then(Artifact::try_from).map_err(malformed)?;
            let path = file.path.clone();
            steps.of(&path).push(Delivered { file: folder.join(&path), path, artifact });
        }
        Ok(steps)
    }

    /// Step by step.
    pub(crate) fn each(
        &self,
        deliver: impl FnMut(&Vec<Delivered>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        [&self.media, &self.lists, &self.first].into_iter().try_for_each(deliver)
    }

    /// When a file has its turn.
    pub(crate) fn turn(path: &str) -> u8 {
        match path.rsplit_once('.') {
            _ if Self::is_first(path) => 2,
            Some((_, "m3u8" | "mpd")) => 1,
            _ => 0,
        }
    }

    fn of(&mut self, path: &str) -> &mut Vec<Delivered> {
        match Self::turn(path) {
            0 => &mut self.media,
            1 => &mut self.lists,
            _ => &mut self.first,
        }
    }

    fn is_first(path: &str) -> bool {
        !path.contains('/') && path.rsplit_once('.').is_some_and(|(_, kind)| matches!(kind, "m3u8" | "mpd"))
    }

    fn all(&self) -> impl Iterator<Item = &Delivered> {
        self.media.iter().chain(&self.lists).chain(&self.first)
    }
}

/// What lies at OUTPUT.
pub(crate) struct Occupant {
    /// Whose delivery or preview is under way, or was broken off.
    pub(crate) claim: Option<Claim>,
    /// The title of which there is a report.
    pub(crate) title: Option<Title>,
}

pub(crate) struct Title {
    identity: Identity,
    report: Vec<u8>,
    files: Vec<String>,
}

impl Title {
    /// `None` for a report of something else.
    fn of_report(report: Vec<u8>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Listed {
            files: Vec<File>,
        }
        #[derive(Deserialize)]
        struct File {
            path: String,
        }
        let identity = Identity::of_report(&report)?;
        let Listed { files } = serde_json::from_slice(&report).ok()?;
        Some(Title { identity, report, files: files.into_iter().map(|file| file.path).collect() })
    }
}

/// Why a file was not sent.
enum Stopped {
    Store(StoreError),
    Lost(Failure),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Stopped::Store(error)
    }
}

/// OUTPUT.
pub(crate) struct Place {
    destination: Destination,
    /// As it may be shown.
    shown: String,
}

impl Place {
    pub(crate) fn open(location: &str) -> Result<Self, Failure> {
        Ok(Place { destination: Destination::open(location).map_err(stored)?, shown: redacted(location) })
    }

    /// # Errors
    /// Invalid where something lies there that is not ours to replace.
    pub(crate) fn occupant(&self) -> Result<Occupant, Failure> {
        let title = self.read(layout::REPORT, MAX_REPORT_BYTES)?.and_then(Title::of_report);
        if let Some(claim) = self.read(Destination::CLAIM, Destination::MAX_CLAIM_BYTES)? {
            let claim = serde_json::from_slice(&claim).map_err(|_| self.refused(Destination::CLAIM))?;
            return Ok(Occupant { claim: Some(claim), title });
        }
        match self.destination.any().map_err(stored)? {
            Some(path) if title.is_none() => Err(self.refused(&path)),
            _ => Ok(Occupant { claim: None, title }),
        }
    }

    /// The files that an earlier delivery has listed.
    fn list(&self) -> Result<Vec<String>, Failure> {
        let list = self.read(LIST, MAX_LIST_BYTES)?;
        Ok(list.and_then(|list| serde_json::from_slice(&list).ok()).unwrap_or_default())
    }

    /// Lists more files that reel may replace.
    pub(crate) fn list_also(&self, paths: Vec<String>) -> Result<(), Failure> {
        let known: BTreeSet<String> = self.list()?.into_iter().chain(paths).collect();
        self.put(LIST, json(&known)?)
    }

    /// Removes what players begin with, of all that is listed.
    pub(crate) fn remove_first(&self, progress: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        let first: Vec<String> = self.list()?.into_iter().filter(|path| Steps::is_first(path)).collect();
        self.remove(&first, progress)
    }

    pub(crate) fn still_ours(&self, identity: &Identity) -> Result<(), Failure> {
        self.judge(identity, self.read(Destination::CLAIM, Destination::MAX_CLAIM_BYTES)?)
    }

    fn judge(&self, identity: &Identity, claim: Option<Vec<u8>>) -> Result<(), Failure> {
        let claim: Option<Identity> = claim.and_then(|claim| serde_json::from_slice(&claim).ok());
        match claim {
            Some(claim) if claim == *identity => Ok(()),
            Some(claim) if (claim.id, claim.submitted_ms) == (identity.id, identity.submitted_ms) => {
                Err(failed(&format!("{}: the whole title is delivered there", self.shown)))
            }
            Some(claim) => Err(self.lost(&claim)),
            None => Err(failed(&format!("{}: the claim of this delivery is gone", self.shown))),
        }
    }

    /// Another delivery has the prefix.
    pub(crate) fn lost(&self, claim: &Identity) -> Failure {
        let message = format!(
            "job {} delivers to {} as well, and was submitted later: use another OUTPUT, or wait and submit again",
            claim.id, self.shown
        );
        Failure::new(FailureClass::Invalid, &message, "")
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        self.destination.read(path, limit).map_err(stored)
    }

    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        self.destination.put(path, bytes).map_err(stored)
    }

    pub(crate) fn deliver(
        &self,
        identity: &Identity,
        files: &[Delivered],
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let may = |claim| self.judge(identity, claim).map_err(Stopped::Lost);
        let delivered = self.destination.deliver(files, &may, progress);
        delivered.map_err(|stopped| match stopped {
            Stopped::Store(error) => stored(error),
            Stopped::Lost(failure) => failure,
        })
    }

    fn remove(&self, paths: &[String], progress: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        self.destination.remove(paths, progress).map_err(stored)
    }

    fn refused(&self, there: &str) -> Failure {
        let message = format!(
            "{} holds files that were not delivered by reel, such as {there}; move them away or choose another destination",
            self.shown
        );
        Failure::new(FailureClass::Invalid, &message, "")
    }
}
