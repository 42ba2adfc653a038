//! Stored parts and tracks on their way into the tree: several threads copy them, each some parts at a time.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use reel_common::Failure;
use reel_package::layout;
use reel_proto::v1;

use super::collect::{self, Collected, Collector, Place, Stored};
use super::protect::ProtectedTrack;
use super::records::Damage;
use super::share::{share, threads};
use super::staging::Staging;
use super::{Tree, fault};

/// Blocks and small buffers of a thread that copies, and of one that writes a single file.
const BLOCKS_BYTES: u64 = 2 << 20;
/// Segments that a thread holds where it cannot pass them on block by block: what is read, and what becomes of it.
const HELD_SEGMENTS: u64 = 3;
/// Bytes of a sample in the tables from which the head of a single file is made, and in that head.
const SAMPLE_BYTES: u64 = 96;

/// What one thread copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// An audio track.
    Track(usize),
    /// Parts of a rendition.
    Parts(usize, Range<usize>),
}

/// A track, or a run of its parts, of which the segments are copied.
pub(super) struct Copied {
    pub(super) samples: Collected,
    /// Lists the files that were written.
    pub(super) files: Staging,
}

impl<'a> Tree<'a> {
    /// The same tree for another thread, which lists what it writes behind these files. It has no texts.
    pub(super) fn listing(&self, files: Staging) -> Tree<'a> {
        let Tree { work, records, times, hdr10, advance, .. } = *self;
        Tree { work, records, times, hdr10, advance, texts: Vec::new(), ends_ms: Vec::new(), staging: files }
    }

    /// The same with an empty list.
    pub(super) fn branch(&self) -> Tree<'a> {
        self.listing(self.staging.branch())
    }
}

impl Tree<'_> {
    /// All that is copied of a title from part `first` on. Each part is a run of its own, unless one file takes them all in turn.
    pub(super) fn runs(&self, first: usize) -> Vec<Run> {
        let parts = first..self.records.parts.len();
        let mut runs: Vec<Run> = match first {
            0 => (0..self.records.audio.len()).map(Run::Track).collect(),
            _ => Vec::new(),
        };
        for number in 0..self.records.renditions() {
            match self.work.profile.package.byte_ranges {
                true => runs.push(Run::Parts(number, parts.clone())),
                false => runs.extend(parts.clone().map(|part| Run::Parts(number, part..part + 1))),
            }
        }
        runs
    }

    /// Copies runs, or notes what of them is damaged. What was begun before that is of no use then.
    pub(super) fn copy(&self, runs: Vec<Run>, damage: &mut Damage) -> Result<Vec<(Run, Copied)>, Failure> {
        let is_damaged = AtomicBool::new(!damage.is_empty());
        let copied = share(threads(BLOCKS_BYTES + self.held_bytes()), runs, |run| {
            let (copied, damaged) = self.branch().copy_run(&run, &is_damaged)?;
            Ok((run, copied, damaged))
        })?;
        let mut whole = Vec::new();
        for (run, copied, damaged) in copied {
            match &run {
                Run::Track(number) if !damaged.is_empty() => {
                    damage.tracks.push(self.records.track_numbers[*number]);
                }
                Run::Track(_) => {}
                Run::Parts(..) => damage.parts.extend(damaged),
            }
            whole.push((run, copied));
        }
        Ok(whole)
    }

    /// Runs put together: the audio tracks, and the renditions, each with its number.
    pub(super) fn joined(&self, copied: Vec<(Run, Copied)>) -> Result<[Vec<(usize, Copied)>; 2], Failure> {
        let mut tracks = Vec::new();
        let mut renditions: Vec<(usize, Copied)> = Vec::new();
        for (run, next) in copied {
            match (run, renditions.last_mut()) {
                (Run::Track(number), _) => tracks.push((number, next)),
                (Run::Parts(number, parts), Some((last, whole))) if *last == number => {
                    whole.files.merge(next.files);
                    if !whole.samples.join(next.samples) {
                        let name = &self.records.rendition(0, number).rendition;
                        let what = "does not begin where the part before it ends";
                        return Err(fault(&format!("part {} of rendition {name} {what}", parts.start)));
                    }
                }
                (Run::Parts(number, _), _) => renditions.push((number, next)),
            }
        }
        Ok([tracks, renditions])
    }

    /// Copies a run, and gives the numbers of the parts that are damaged.
    fn copy_run(mut self, run: &Run, is_damaged: &AtomicBool) -> Result<(Copied, Vec<u32>), Failure> {
        let (samples, damaged) = match run {
            Run::Track(number) => self.copy_track(*number, is_damaged),
            Run::Parts(number, parts) => self.copy_parts(*number, parts, is_damaged),
        }?;
        Ok((Copied { samples, files: self.staging }, damaged))
    }

    fn copy_track(
        &mut self,
        number: usize,
        is_damaged: &AtomicBool,
    ) -> Result<(Collected, Vec<u32>), Failure> {
        let record = &self.records.audio[number];
        let folder = self.work.profile.package.segments().then(|| layout::audio_folder(&record.name));
        let mut samples = Collected::new(record.sample_rate, Place::default());
        let stored = Stored::of_audio(self.records, number)?;
        let protected = self.protected_track(record)?;
        self.begin_audio_file(number, protected.as_ref(), &mut samples)?;
        let mut damaged = Vec::new();
        match self.collect(&stored, folder.as_deref(), protected.as_ref(), &mut samples, is_damaged)? {
            Found::Copied => check_track(record, &samples)?,
            Found::Whole => {}
            Found::Damaged => damaged.push(0),
        }
        Ok((samples, damaged))
    }

    fn copy_parts(
        &mut self,
        number: usize,
        parts: &Range<usize>,
        is_damaged: &AtomicBool,
    ) -> Result<(Collected, Vec<u32>), Failure> {
        let first = self.records.rendition(0, number);
        let folder = self.work.profile.package.segments().then(|| layout::video_folder(&first.rendition));
        let protected = self.protected_rendition(number)?;
        let mut samples = Collected::new(first.timescale, self.place(parts.start, number));
        self.begin_video_file(number, protected.as_ref(), &mut samples)?;
        let mut damaged = Vec::new();
        for part in parts.clone() {
            let start = samples.specs.len() as u64;
            let stored = Stored::of_part(self.records, part, number)?;
            match self.collect(&stored, folder.as_deref(), protected.as_ref(), &mut samples, is_damaged)? {
                Found::Copied => self.check_part(part, number, start, &samples)?,
                Found::Whole => {}
                Found::Damaged => damaged.push(part as u32),
            }
        }
        Ok((samples, damaged))
    }

    /// Where a part of a rendition belongs.
    fn place(&self, part: usize, number: usize) -> Place {
        let before = self.records.before(part, number);
        let ticks = self.times.ticks(before.frames);
        Place {
            segments: before.segments,
            ticks: (ticks - self.times.ticks(0)) as u64,
            dts: (part > 0).then_some(ticks),
        }
    }

    /// Copies what is stored. Once something is damaged, the timeline has a hole: the rest is only compared with its record.
    fn collect(
        &mut self,
        stored: &Stored<'_>,
        folder: Option<&str>,
        protected: Option<&ProtectedTrack<'_>>,
        samples: &mut Collected,
        is_damaged: &AtomicBool,
    ) -> Result<Found, Failure> {
        let (store, staging) = (self.work.store, &mut self.staging);
        let (whole, found) = match is_damaged.load(Ordering::Relaxed) {
            true => {
                let whole = collect::is_whole(store, stored)?;
                (self.advance)(stored.artifact.size);
                (whole, Found::Whole)
            }
            false => {
                let mut collector = Collector { store, staging, advance: &self.advance, folder, protected };
                (collector.copy(stored, samples)?, Found::Copied)
            }
        };
        if !whole {
            is_damaged.store(true, Ordering::Relaxed);
            return Ok(Found::Damaged);
        }
        Ok(found)
    }

    /// Whether a part, of which `samples` are those from `start` on, has the frames that its record says, at the times that the
    /// index says.
    fn check_part(&self, part: usize, number: usize, start: u64, samples: &Collected) -> Result<(), Failure> {
        let record = self.records.rendition(part, number);
        let frames = samples.specs.len() as u64 - start;
        let fault =
            |what: &str| Err(fault(&format!("part {part} of rendition {}: {what}", record.rendition)));
        if frames != record.frames {
            return fault(&format!("it has {frames} frames, its record says {}", record.frames));
        }
        let end = self.records.before(part + 1, number).frames;
        if self.times.timescale() != record.timescale || self.times.ticks(end) != samples.next_dts {
            return fault("its frames are not at the times of the index");
        }
        Ok(())
    }

    /// Bytes that a thread holds of segments, where it cannot pass them on block by block.
    pub(super) fn held_bytes(&self) -> u64 {
        match self.work.protection.is_some() || self.work.profile.package.ts {
            true => self.records.largest_segment().saturating_mul(HELD_SEGMENTS),
            false => 0,
        }
    }

    /// Bytes of the tables with which a thread writes a single file.
    pub(super) fn table_bytes(&self) -> u64 {
        BLOCKS_BYTES + self.times.frames().saturating_mul(SAMPLE_BYTES)
    }
}

/// What was found of a part or track.
enum Found {
    /// It is what its record says, and copied.
    Copied,
    /// It is what its record says.
    Whole,
    /// It is not, or gone.
    Damaged,
}

fn check_track(record: &v1::AudioRecord, samples: &Collected) -> Result<(), Failure> {
    let coded = samples.stream.segments.iter().map(|segment| segment.ticks);
    if !coded.eq(record.segment_samples.iter().copied()) {
        return Err(fault(&format!("track {}: its segments differ from its record", record.name)));
    }
    if u64::from(record.priming) + record.samples > samples.stream.duration() {
        return Err(fault(&format!("track {}: it is shorter than its record says", record.name)));
    }
    Ok(())
}
