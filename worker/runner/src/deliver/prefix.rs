//! Delivery to a prefix of an object store, where nothing is done in one step.
//!
//! A claim says whose delivery is under way. Then come, in this order: the playlists that players begin with go, if an
//! earlier title has some; media; media playlists; the report; the playlists that players begin with; what the earlier
//! title had and this one has not goes; the claim goes. So a player that begins finds a whole title or none.

use std::collections::BTreeSet;

use reel_common::{Artifact, Failure, FailureClass, redacted};
use reel_package::layout;
use reel_store::{Delivered, Destination};

use super::Delivery;
use crate::attempt::{failed, malformed, stored};
use crate::report::{Identity, MAX_REPORT_BYTES};
use crate::tree;

/// Says whose delivery is under way; removed when it is done.
const CLAIM: &str = ".reel-delivery.json";
/// The most bytes of a claim.
const MAX_CLAIM_BYTES: u64 = 4096;

/// Refuses an OUTPUT that cannot be reached, or holds what was not delivered by reel, before any work goes into a title.
pub(crate) fn admit(location: &str) -> Result<(), Failure> {
    Place::open(location)?.occupant().map(drop)
}

/// Delivers a title; the report that lies there then.
pub(super) fn deliver(delivery: &Delivery<'_>) -> Result<Vec<u8>, Failure> {
    let place = Place::open(&delivery.attempt.spec.output)?;
    if let Some(report) =
        place.occupant()?.filter(|report| Identity::of_report(report).as_ref() == Some(&delivery.identity))
    {
        return Ok(report);
    }
    let before = place.destination.list().map_err(stored)?;
    let folder = tree::of_assembly(delivery.attempt, delivery.assembly)?;
    delivery.checked(&folder)?;
    let mut steps = Steps::default();
    for file in &delivery.assembly.files {
        let artifact = file.artifact.as_ref().ok_or(reel_proto::Malformed("digest of an output file"));
        let artifact = artifact.and_then(Artifact::try_from).map_err(malformed)?;
        let path = file.path.clone();
        steps.of(&path).push(Delivered { file: folder.join(&path), path, artifact });
    }
    let claim = serde_json::to_vec(&delivery.identity).map_err(|error| failed(&error.to_string()))?;
    place.put(CLAIM, claim)?;
    for first in &steps.first {
        place.remove(&first.path)?;
    }
    let total = steps.all().map(|file| file.artifact.size).sum();
    let mut done = 0;
    let mut progress = |bytes| {
        done += bytes;
        delivery.attempt.voice.progress(done, total, None);
    };
    place.deliver(&steps.media, &mut progress)?;
    place.deliver(&steps.lists, &mut progress)?;
    let report = delivery.report()?;
    place.put(layout::REPORT, report.clone())?;
    place.deliver(&steps.first, &mut progress)?;
    let kept: BTreeSet<&str> = steps.all().map(|file| file.path.as_str()).collect();
    for old in before.iter().filter(|path| !kept.contains(path.as_str()) && *path != layout::REPORT) {
        place.remove(old)?;
    }
    place.remove(CLAIM)?;
    Ok(report)
}

/// The files of a title, in the order in which they are delivered.
#[derive(Default)]
struct Steps {
    media: Vec<Delivered>,
    /// What names media.
    lists: Vec<Delivered>,
    /// What players begin with.
    first: Vec<Delivered>,
}

impl Steps {
    fn of(&mut self, path: &str) -> &mut Vec<Delivered> {
        match path.rsplit_once('.') {
            Some((_, "m3u8" | "mpd")) if !path.contains('/') => &mut self.first,
            Some((_, "m3u8" | "mpd")) => &mut self.lists,
            _ => &mut self.media,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Delivered> {
        self.media.iter().chain(&self.lists).chain(&self.first)
    }
}

/// OUTPUT.
struct Place {
    destination: Destination,
    /// As it may be shown.
    shown: String,
}

impl Place {
    fn open(location: &str) -> Result<Self, Failure> {
        Ok(Place { destination: Destination::open(location).map_err(stored)?, shown: redacted(location) })
    }

    /// The report of the title that lies there whole; `None` where nothing lies there, or what a delivery of ours has left.
    fn occupant(&self) -> Result<Option<Vec<u8>>, Failure> {
        let report = self.read(layout::REPORT, MAX_REPORT_BYTES)?;
        if self.read(CLAIM, MAX_CLAIM_BYTES)?.is_some() {
            return Ok(None);
        }
        if let Some(report) = report.filter(|report| Identity::of_report(report).is_some()) {
            return Ok(Some(report));
        }
        match self.destination.any().map_err(stored)? {
            None => Ok(None),
            Some(path) => Err(self.refused(&path)),
        }
    }

    fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        self.destination.read(path, limit).map_err(stored)
    }

    fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        self.destination.put(path, bytes).map_err(stored)
    }

    fn deliver(&self, files: &[Delivered], progress: &mut dyn FnMut(u64)) -> Result<(), Failure> {
        self.destination.deliver(files, progress).map_err(stored)
    }

    fn remove(&self, path: &str) -> Result<(), Failure> {
        self.destination.remove(path).map_err(stored)
    }

    fn refused(&self, there: &str) -> Failure {
        let message = format!(
            "{} holds files that were not delivered by reel, such as {there}; move them away or choose another destination",
            self.shown
        );
        Failure::new(FailureClass::Invalid, &message, "")
    }
}
