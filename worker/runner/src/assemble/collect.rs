//! One stored part or track: compared with its record, cut into segment files, and its sample table collected.

use std::io::Read;

use reel_cmaf::fragment::Fragment;
use reel_cmaf::progressive::{SampleSpec, SourceRun};
use reel_common::{Artifact, Failure, RecipeKey};
use reel_package::protect::Keys;
use reel_package::{SegmentSize, Stream, layout};
use reel_proto::v1;
use reel_store::{BlockingStore, StoreError};

use super::fault;
use super::protect::ProtectedTrack;
use super::records::{Records, recipe_key};
use super::segment::{self, Trouble};
use super::staging::{StagedFile, Staging};

/// What lies in the store under one recipe key.
pub(super) struct Stored<'a> {
    /// For messages.
    name: String,
    /// Its number among the sources of a single file.
    source: u32,
    key: RecipeKey,
    /// What it should be.
    pub(super) artifact: Artifact,
    segment_bytes: &'a [u64],
    /// By how many ticks the title has it later than it was made for; `None` where it was made for its place.
    moved: Option<i64>,
}

impl<'a> Stored<'a> {
    /// One rendition of one part.
    pub(super) fn of_part(records: &'a Records, part: usize, rendition: usize) -> Result<Self, Failure> {
        let record = records.rendition(part, rendition);
        let name = format!("part {part} of rendition {}", record.rendition);
        let stored =
            Self::new(name, part, &record.recipe_key, record.artifact.as_ref(), &record.segment_bytes)?;
        Ok(Stored { moved: records.moved(part), ..stored })
    }

    /// One audio track.
    pub(super) fn of_audio(records: &'a Records, number: usize) -> Result<Self, Failure> {
        let record = &records.audio[number];
        let name = format!("track {}", record.name);
        let source = records.parts.len();
        Self::new(name, source, &record.recipe_key, record.artifact.as_ref(), &record.segment_bytes)
    }

    fn new(
        name: String,
        source: usize,
        key: &[u8],
        artifact: Option<&v1::Artifact>,
        segment_bytes: &'a [u64],
    ) -> Result<Self, Failure> {
        let bad = |what: &str| fault(&format!("{name}: its record has no usable {what}"));
        let artifact = artifact.and_then(|artifact| Artifact::try_from(artifact).ok());
        let artifact = artifact.ok_or_else(|| bad("artifact"))?;
        let sum = segment_bytes.iter().try_fold(0u64, |sum, bytes| sum.checked_add(*bytes));
        if sum != Some(artifact.size) || segment_bytes.is_empty() {
            return Err(bad("list of segments"));
        }
        let source = u32::try_from(source).map_err(|_| bad("number"))?;
        Ok(Stored { key: recipe_key(key)?, name, source, artifact, segment_bytes, moved: None })
    }
}

/// Where in its track a run of segments stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Segments before it.
    pub(super) segments: u64,
    /// How long they are together, in ticks.
    pub(super) ticks: u64,
    /// The decode time at which they end; `None` where there are none, since a track begins where its first segment says.
    pub(super) dts: Option<i64>,
}

/// The sample table of one rendition or track, or of some parts of it.
pub(super) struct Collected {
    /// What it begins behind.
    place: Place,
    /// Its segments.
    pub(super) stream: Stream,
    /// Its samples in decode order.
    pub(super) specs: Vec<SampleSpec>,
    /// Where they lie.
    pub(super) runs: Vec<SourceRun>,
    /// Decode time of the first of them.
    pub(super) first_dts: u64,
    /// Decode time after the last of them.
    pub(super) next_dts: i64,
    /// What is told of its keys, where it is encrypted.
    pub(super) keys: Option<Keys>,
    /// The file that all segments go to, until it has its head; `None` where each is a file.
    pub(super) file: Option<StagedFile>,
}

impl Collected {
    /// Nothing yet.
    pub(super) fn new(timescale: u32, place: Place) -> Self {
        Collected {
            place,
            stream: Stream { timescale, segments: Vec::new(), head: None },
            specs: Vec::new(),
            runs: Vec::new(),
            first_dts: 0,
            next_dts: place.dts.unwrap_or(0),
            keys: None,
            file: None,
        }
    }

    /// Where the next segment belongs.
    fn end(&self) -> Place {
        Place {
            segments: self.place.segments + self.stream.segments.len() as u64,
            ticks: self.place.ticks + self.stream.duration(),
            dts: Some(self.next_dts),
        }
    }

    /// Adds what stands behind it; false where that was copied for another place.
    pub(super) fn join(&mut self, next: Collected) -> bool {
        let follows = next.place == self.end();
        self.next_dts = next.next_dts;
        self.stream.segments.extend(next.stream.segments);
        self.specs.extend(next.specs);
        self.runs.extend(next.runs);
        follows
    }

    /// The earliest presentation time on the track's timeline.
    pub(super) fn first_pts(&self) -> u64 {
        let mut dts = self.first_dts as i64;
        let times = self.specs.iter().map(|spec| {
            let pts = dts + i64::from(spec.composition_offset);
            dts += i64::from(spec.duration);
            pts
        });
        times.min().unwrap_or(0).max(0) as u64
    }

    /// Adds a segment that lies at `offset` in a source, and of which so many bytes were written; refuses one that does not
    /// follow the last.
    fn add(&mut self, fragment: &Fragment, written: u64, source: u32, offset: u64) -> Result<(), String> {
        let number = self.place.segments + self.stream.segments.len() as u64;
        if let (0, Some(first)) = (number, fragment.base_decode_time()) {
            // Sound may begin late by what pictures are delayed; pictures are held against the index.
            (self.first_dts, self.next_dts) = (u64::try_from(first).unwrap_or(0), first);
        }
        if u64::from(fragment.sequence) != number + 1 || fragment.base_decode_time() != Some(self.next_dts) {
            let (sequence, time) = (fragment.sequence, fragment.base_decode_time().unwrap_or(0));
            let (number, next) = (number + 1, self.next_dts);
            return Err(format!(
                "segment {sequence} at {time} stands where segment {number} at {next} belongs"
            ));
        }
        let mut position = None;
        for sample in &fragment.samples {
            if position.is_some_and(|position| position != sample.position) {
                return Err(format!("the samples of segment {number} do not lie in order"));
            }
            position = Some(sample.position + u64::from(sample.size));
            let composition_offset = i32::try_from(sample.pts - sample.dts);
            self.specs.push(SampleSpec {
                size: sample.size,
                duration: sample.duration,
                composition_offset: composition_offset.map_err(|error| error.to_string())?,
                sync: sample.sync,
            });
        }
        let first = fragment.samples.first().filter(|sample| sample.sync);
        let first = first.ok_or_else(|| format!("segment {number} does not begin with a sync sample"))?;
        self.runs.push(SourceRun {
            samples: fragment.samples.len() as u32,
            source,
            offset: offset + first.position,
        });
        let ticks = fragment.duration();
        self.next_dts += ticks as i64;
        self.stream.segments.push(SegmentSize { ticks, bytes: written });
        Ok(())
    }
}

/// Copies stored bytes into the tree.
pub(super) struct Collector<'a> {
    pub(super) store: &'a BlockingStore,
    pub(super) staging: &'a mut Staging,
    /// Told of bytes that were read.
    pub(super) advance: &'a dyn Fn(u64),
    /// Where segment files go; nowhere where there are none.
    pub(super) folder: Option<&'a str>,
    /// How they are encrypted.
    pub(super) protected: Option<&'a ProtectedTrack<'a>>,
}

impl Collector<'_> {
    /// Copies a part or track and adds its samples; false when it is damaged or gone.
    pub(super) fn copy(&mut self, stored: &Stored<'_>, samples: &mut Collected) -> Result<bool, Failure> {
        let mut reader = match self.store.part_reader(stored.key, stored.artifact) {
            Ok(reader) => reader,
            Err(error) => return damaged(stored, error),
        };
        let mut offset = 0;
        let (mut trouble, mut buffer) = (None, Vec::new());
        for (number, length) in (0..).zip(stored.segment_bytes) {
            let next = Next { reader: &mut reader, number, length: *length, offset, buffer: &mut buffer };
            match self.copy_segment(next, stored, samples) {
                Ok(()) => offset += length,
                Err(Trouble::Output(failure)) => return Err(failure),
                Err(Trouble::Source(what)) => {
                    trouble = Some(what);
                    break;
                }
            }
        }
        // Bytes that are not the ones of the record explain any trouble; the right ones make it a fault.
        match (reader.finish(), trouble) {
            (Ok(()), None) => Ok(true),
            (Ok(()), Some(what)) => Err(fault(&format!("{}: {what}", stored.name))),
            (Err(error), _) => damaged(stored, error),
        }
    }

    fn copy_segment(
        &mut self,
        next: Next<'_>,
        stored: &Stored<'_>,
        samples: &mut Collected,
    ) -> Result<(), Trouble> {
        let Next { reader, length, buffer, .. } = next;
        let Place { segments: number, ticks: start, .. } = samples.end();
        let folder = self.folder.filter(|_| samples.file.is_none());
        let path = folder.map(|folder| format!("{folder}/{}", layout::segment(number)));
        let mut own = path.map(|path| self.staging.open(&path)).transpose().map_err(Trouble::Output)?;
        let mut file = own.as_mut().or(samples.file.as_mut());
        let moved = stored.moved.map(|ticks| (number as u32 + 1, ticks));
        let mut written = length;
        let fragment = match (&mut file, self.protected) {
            (Some(file), Some(track)) => {
                let (segment, fragment) = segment::whole(reader, length, moved, buffer)?;
                let media = fragment.samples.first().map_or(segment.len(), |sample| sample.position as usize);
                let head = track.segment(segment, media, start, &stored.artifact.sha256, next.number);
                let head = head.map_err(Trouble::Output)?;
                for bytes in [&head, &segment[media..]] {
                    self.staging.append(file, bytes).map_err(Trouble::Output)?;
                }
                (self.advance)(length);
                written = (head.len() + segment.len() - media) as u64;
                fragment
            }
            (file, _) => segment::pass(reader, length, moved, buffer, &mut |bytes| {
                (self.advance)(bytes.len() as u64);
                file.as_mut().map_or(Ok(()), |file| self.staging.append(file, bytes))
            })?,
        };
        if let Some(file) = own {
            self.staging.close(file);
        }
        samples.add(&fragment, written, stored.source, next.offset).map_err(Trouble::Source)
    }
}

/// A segment that is read next.
struct Next<'a> {
    reader: &'a mut dyn Read,
    /// Its number in its part.
    number: u64,
    length: u64,
    /// Where it lies in the part.
    offset: u64,
    /// What its bytes may be held in.
    buffer: &'a mut Vec<u8>,
}

/// The decode time at which a part or track begins, and the earliest presentation time of its first segment, in ticks of the
/// title; `None` where that cannot be read, which its copy will tell.
pub(super) fn begins(store: &BlockingStore, stored: &Stored<'_>) -> Option<(u64, u64)> {
    let mut reader = store.part_reader(stored.key, stored.artifact).ok()?;
    let moved = stored.moved.map(|ticks| (1, ticks));
    let fragment = segment::peek(&mut reader, *stored.segment_bytes.first()?, moved).ok()?;
    let shown = fragment.samples.iter().map(|sample| sample.pts).min()?;
    Some((fragment.base_decode_time()?.max(0) as u64, shown.max(0) as u64))
}

/// Whether a part or track is what its record says.
pub(super) fn is_whole(store: &BlockingStore, stored: &Stored<'_>) -> Result<bool, Failure> {
    match store.part_reader(stored.key, stored.artifact).and_then(|reader| reader.finish()) {
        Ok(()) => Ok(true),
        Err(error) => damaged(stored, error),
    }
}

/// False for bytes that are gone or wrong; other errors are failures.
fn damaged(stored: &Stored<'_>, error: StoreError) -> Result<bool, Failure> {
    match error {
        StoreError::Damaged { .. } | StoreError::NotFound { .. } => Ok(false),
        error => Err(Failure::new(error.class(), &format!("{}: {error}", stored.name), "")),
    }
}
