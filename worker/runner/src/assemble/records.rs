//! The records of parts and tracks: loaded, and checked against each other, the profile and the index.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message;
use reel_common::{Artifact, Digest, Failure, PartIndex, RecipeKey};
use reel_profiles::Package;
use reel_proto::v1;
use reel_store::StoreError;

use super::{Assemble, fault};
use crate::attempt::media;

/// Room for a file's last block and its directory entry.
const FILE_BYTES: u64 = 8192;
/// The first picture of a segment takes this share of it, or less: the records do not say how much.
const IFRAME_SHARE: u64 = 4;
/// Room for one sample in the header of a single file.
const SAMPLE_BYTES: u64 = 24;

/// Room for what a picture, and the sound beside it, have in a transport stream beside their bytes.
const TS_FRAME_BYTES: u64 = 4 * 188;

/// All records of a job.
pub(super) struct Records {
    /// In the order of the title.
    pub(super) parts: Vec<v1::PartRecord>,
    /// In the order of the profile.
    pub(super) audio: Vec<v1::AudioRecord>,
    /// The numbers of these tracks in the profile.
    pub(super) track_numbers: Vec<u32>,
    /// By how many ticks each part is later in the title than in its source; empty where the title is its mezzanine.
    moved: Vec<i64>,
    /// Thumbnails and poster.
    pub(super) images: Option<v1::ImageRecord>,
    /// Of each rendition, what comes before each part, and before the end.
    before: Vec<Vec<Before>>,
}

/// How much of a rendition comes before a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) frames: u64,
    pub(super) segments: u64,
}

/// Parts, tracks and still pictures whose stored bytes are not what was committed.
#[derive(Default)]
pub(super) struct Damage {
    /// Numbers of parts.
    pub(super) parts: BTreeSet<u32>,
    /// Numbers of tracks in the profile.
    pub(super) tracks: Vec<u32>,
    /// Whether the still pictures are.
    pub(super) images: bool,
}

impl Damage {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.tracks.is_empty() && !self.images
    }

    /// The failure that has them made again; nothing when nothing is damaged.
    pub(super) fn into_failure(self) -> Result<(), Failure> {
        if self.is_empty() {
            return Ok(());
        }
        let (parts, tracks) = (self.parts.len(), self.tracks.len());
        let images = if self.images { ", and the images," } else { "" };
        let message = format!(
            "{parts} parts and {tracks} tracks{images} in the store are not what was committed: they are made again"
        );
        let mut failure = fault(&message);
        failure.damaged_parts = self.parts.into_iter().map(PartIndex).collect();
        failure.damaged_tracks = self.tracks;
        failure.damaged_images = self.images;
        Err(failure)
    }
}

impl Records {
    /// Loads every record and checks that together they make the title of an index, which has `frames` frames.
    pub(super) fn load(work: &Assemble<'_>, index: &v1::Index, frames: u64) -> Result<Self, Failure> {
        let mut damage = Damage::default();
        let mut parts: Vec<v1::PartRecord> = Vec::new();
        for (number, artifact) in (0..).zip(&work.task.parts) {
            match load(work, artifact, &format!("the record of part {number}"))? {
                Some(bytes) => parts.push(decode(bytes, &format!("the record of part {number}"))?),
                None => drop(damage.parts.insert(number)),
            }
        }
        let mut audio: Vec<v1::AudioRecord> = Vec::new();
        for (number, artifact) in (0..).zip(&work.task.audio) {
            match load(work, artifact, &format!("the record of track {number}"))? {
                Some(bytes) => audio.push(decode(bytes, &format!("the record of track {number}"))?),
                None => damage.tracks.push(number),
            }
        }
        let mut images = None;
        if let Some(artifact) = &work.task.images {
            match load(work, artifact, "the record of the images")? {
                Some(bytes) => images = Some(decode(bytes, "the record of the images")?),
                None => damage.images = true,
            }
        }
        if images.is_none() && !damage.images && work.profile.images.is_some() {
            return Err(fault(
                "the task names no images, and the profile has some: give all hosts the same version",
            ));
        }
        damage.into_failure()?;
        let track_numbers =
            audio.iter().map(|record| track_number(work, record)).collect::<Result<_, _>>()?;
        let first_pts = |parts: &[v1::PartRecord]| -> Vec<i64> {
            parts.iter().map(|part| part.renditions.first().map_or(0, |record| record.first_pts)).collect()
        };
        let made_for = first_pts(&parts);
        let parts = reel_media::placed(parts, index, work.profile).map_err(media)?;
        let moved = match index.edit {
            Some(_) => first_pts(&parts).into_iter().zip(made_for).map(|(here, made)| here - made).collect(),
            None => Vec::new(),
        };
        let mut records = Records { parts, audio, track_numbers, moved, images, before: Vec::new() };
        records.check(work, frames)?;
        records.before = (0..records.renditions()).map(|number| records.sums(number)).collect();
        Ok(records)
    }

    fn sums(&self, rendition: usize) -> Vec<Before> {
        let mut sum = Before::default();
        let mut sums = vec![sum];
        for part in &self.parts {
            let record = &part.renditions[rendition];
            sum.frames += record.frames;
            sum.segments += record.segment_bytes.len() as u64;
            sums.push(sum);
        }
        sums
    }

    /// What of a rendition comes before a part, or, behind the last, of all of it.
    pub(super) fn before(&self, part: usize, rendition: usize) -> Before {
        self.before[rendition][part]
    }

    fn check(&self, work: &Assemble<'_>, frames: u64) -> Result<(), Failure> {
        let first = self.parts.first().filter(|part| !part.renditions.is_empty());
        let first = first.ok_or_else(|| fault("there are no parts to assemble"))?;
        let known = |name: &str| work.profile.video.iter().any(|rendition| rendition.name == name);
        if let Some(stranger) = first.renditions.iter().find(|record| !known(&record.rendition)) {
            return Err(fault(&format!("rendition {} is not in the profile", stranger.rendition)));
        }
        for (number, part) in (0..).zip(&self.parts) {
            if part.part != number {
                return Err(fault(&format!("part {} stands where part {number} belongs", part.part)));
            }
            if part.renditions.len() != first.renditions.len() {
                return Err(fault(&format!("part {number} has other renditions than part 0")));
            }
            for (record, first) in part.renditions.iter().zip(&first.renditions) {
                check_alike(number, record, first)?;
            }
        }
        for rendition in 0..first.renditions.len() {
            let found: u64 = self.parts.iter().map(|part| part.renditions[rendition].frames).sum();
            if found != frames {
                let name = &first.renditions[rendition].rendition;
                return Err(fault(&format!(
                    "the parts of rendition {name} have {found} frames, the mezzanine has {frames}"
                )));
            }
        }
        Ok(())
    }

    /// By how many ticks a part is later in an edited title than in its source.
    pub(super) fn moved(&self, part: usize) -> Option<i64> {
        self.moved.get(part).copied()
    }

    /// How many renditions each part has.
    pub(super) fn renditions(&self) -> usize {
        self.parts.first().map_or(0, |part| part.renditions.len())
    }

    /// The record of one rendition of one part.
    pub(super) fn rendition(&self, part: usize, rendition: usize) -> &v1::RenditionPart {
        &self.parts[part].renditions[rendition]
    }

    /// What the copies of a single file come from: the parts of a rendition, then the first track.
    pub(super) fn sources(&self, rendition: usize) -> Result<Vec<RecipeKey>, Failure> {
        let parts = self.parts.iter().map(|part| &part.renditions[rendition].recipe_key);
        parts.chain(self.audio.first().map(|record| &record.recipe_key)).map(|key| recipe_key(key)).collect()
    }

    /// Bytes that are read and written: all of it once for the segments, and once more for each file that they are in besides; and
    /// bytes that are read back.
    pub(super) fn bytes_to_copy(&self, package: &Package) -> u64 {
        let read_back = if package.byte_ranges { self.stored_bytes() } else { 0 };
        let mp4 = if package.mp4 { self.single_file_bytes() } else { 0 };
        let audio = if package.audio_files { self.audio_bytes() } else { 0 };
        let ts = if package.ts { self.single_file_bytes() } else { 0 };
        self.stored_bytes() + read_back + self.image_bytes() + mp4 + audio + ts
    }

    /// Bytes that the tree takes on the disk, rounded up generously.
    pub(super) fn space(&self, package: &Package) -> u64 {
        let renditions = self.parts.iter().flat_map(|part| &part.renditions);
        let segments: usize = renditions.clone().map(|record| record.segment_bytes.len()).sum();
        let audio_segments: usize = self.audio.iter().map(|record| record.segment_bytes.len()).sum();
        let files = 64 + segments + audio_segments;
        let frames: u64 = renditions.map(|record| record.frames).sum();
        let hls = if package.segments() { self.stored_bytes() + files as u64 * FILE_BYTES } else { 0 };
        let iframes = if package.trick_play { self.video_bytes() / IFRAME_SHARE } else { 0 };
        let mp4 = if package.mp4 { self.single_file_bytes() + frames * SAMPLE_BYTES } else { 0 };
        // Packets are filled up behind each picture and each tenth of a second of sound.
        let packets = frames * TS_FRAME_BYTES + files as u64 * FILE_BYTES;
        let ts = if package.ts { self.single_file_bytes() * 33 / 32 + packets } else { 0 };
        // Tables of samples are smaller than the samples.
        let audio = 2 * self.audio_bytes() + self.audio.len() as u64 * FILE_BYTES;
        let audio = if package.audio_files { audio } else { 0 };
        let image_files = self.images.as_ref().map_or(0, |record| record.sheets.len() as u64 + 3);
        hls + iframes + mp4 + ts + audio + self.image_bytes() + image_files * FILE_BYTES + (1 << 20)
    }

    /// Bytes of the largest segment of all.
    pub(super) fn largest_segment(&self) -> u64 {
        let renditions = self.parts.iter().flat_map(|part| &part.renditions);
        let video = renditions.flat_map(|record| &record.segment_bytes);
        video.chain(self.audio.iter().flat_map(|record| &record.segment_bytes)).copied().max().unwrap_or(0)
    }

    fn image_bytes(&self) -> u64 {
        self.images.as_ref().map_or(0, |record| size(&record.artifact))
    }

    fn stored_bytes(&self) -> u64 {
        let renditions = self.parts.iter().flat_map(|part| &part.renditions).map(|record| &record.artifact);
        renditions.map(size).sum::<u64>() + self.audio_bytes()
    }

    fn audio_bytes(&self) -> u64 {
        self.audio.iter().map(|record| size(&record.artifact)).sum()
    }

    fn single_file_bytes(&self) -> u64 {
        let audio = self.audio.first().map_or(0, |record| size(&record.artifact));
        self.video_bytes() + audio * self.renditions() as u64
    }

    fn video_bytes(&self) -> u64 {
        self.parts.iter().flat_map(|part| &part.renditions).map(|record| size(&record.artifact)).sum()
    }
}

fn size(artifact: &Option<v1::Artifact>) -> u64 {
    artifact.as_ref().map_or(0, |artifact| artifact.size)
}

/// The bytes of an object; `None` when they are gone or damaged.
fn load(work: &Assemble<'_>, artifact: &v1::Artifact, what: &str) -> Result<Option<Bytes>, Failure> {
    let artifact = Artifact::try_from(artifact).map_err(|error| fault(&format!("{what}: {error}")))?;
    match work.store.object(artifact) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StoreError::NotFound { .. } | StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(Failure::new(error.class(), &format!("{what}: {error}"), "")),
    }
}

fn decode<M: Message + Default>(bytes: Bytes, what: &str) -> Result<M, Failure> {
    M::decode(bytes).map_err(|error| fault(&format!("{what}: {error}")))
}

fn track_number(work: &Assemble<'_>, record: &v1::AudioRecord) -> Result<u32, Failure> {
    let found = work.profile.audio.iter().position(|track| track.name == record.name);
    let number = found.ok_or_else(|| fault(&format!("track {} is not in the profile", record.name)))?;
    let channels = u16::try_from(record.channels).is_ok_and(|channels| channels > 0);
    if !channels || record.sample_rate == 0 {
        return Err(fault(&format!("track {}: its record has no usable format", record.name)));
    }
    Ok(number as u32)
}

/// All parts of a rendition share one header, or players stumble at the join.
fn check_alike(part: u32, record: &v1::RenditionPart, first: &v1::RenditionPart) -> Result<(), Failure> {
    let differs = |what: &str| {
        let name = &first.rendition;
        Err(fault(&format!(
            "part {part} of rendition {name} has {what} other than part 0: workers with different versions of \
             reel-runner or its libraries took part; make them equal and run the job again"
        )))
    };
    if record.rendition != first.rendition {
        return differs("a name");
    }
    if record.codec_config != first.codec_config {
        return differs("parameter sets");
    }
    if record.timescale != first.timescale || record.timescale == 0 {
        return differs("a time scale");
    }
    let size = |record: &v1::RenditionPart| {
        Some((u16::try_from(record.width).ok()?, u16::try_from(record.height).ok()?))
    };
    if size(record).is_none() || size(record) != size(first) {
        return differs("a picture size");
    }
    Ok(())
}

/// The recipe key in a record.
pub(super) fn recipe_key(bytes: &[u8]) -> Result<RecipeKey, Failure> {
    Digest::try_from(bytes).map(RecipeKey).map_err(|error| fault(&format!("a recipe key: {error}")))
}
