//! One stored part or track: compared with its record, cut into segment files, and its sample table collected.

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
use super::staging::Staging;

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

/// The sample table of one rendition or track.
pub(super) struct Collected {
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
}

impl Collected {
    /// Nothing yet.
    pub(super) fn new(timescale: u32) -> Self {
        let stream = Stream { timescale, segments: Vec::new() };
        Collected { stream, specs: Vec::new(), runs: Vec::new(), first_dts: 0, next_dts: 0, keys: None }
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
        let number = self.stream.segments.len();
        if let (0, Some(first)) = (number, fragment.base_decode_time()) {
            // Sound may begin late by what pictures are delayed; pictures are held against the index.
            (self.first_dts, self.next_dts) = (u64::try_from(first).unwrap_or(0), first);
        }
        if u64::from(fragment.sequence) != number as u64 + 1
            || fragment.base_decode_time() != Some(self.next_dts)
        {
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
    pub(super) advance: &'a mut dyn FnMut(u64),
    /// Where segment files go; nowhere without HLS.
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
        let mut trouble = None;
        for (number, length) in (0..).zip(stored.segment_bytes) {
            match self.copy_segment(&mut reader, (number, *length), stored, offset, samples) {
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
        reader: &mut dyn std::io::Read,
        (number_in_part, length): (u64, u64),
        stored: &Stored<'_>,
        offset: u64,
        samples: &mut Collected,
    ) -> Result<(), Trouble> {
        let number = samples.stream.segments.len() as u64;
        let start = samples.stream.duration();
        let path = self.folder.map(|folder| format!("{folder}/{}", layout::segment(number)));
        let mut file = path.map(|path| self.staging.open(&path)).transpose().map_err(Trouble::Output)?;
        let moved = stored.moved.map(|ticks| (number as u32 + 1, ticks));
        // An encrypted segment is made as a whole.
        let mut clear = Vec::new();
        let fragment = segment::pass(reader, length, moved, &mut |bytes| {
            (self.advance)(bytes.len() as u64);
            match (&mut file, self.protected) {
                (Some(_), Some(_)) => clear.extend_from_slice(bytes),
                (Some(file), None) => self.staging.append(file, bytes)?,
                (None, _) => {}
            }
            Ok(())
        })?;
        let mut written = fragment.end;
        if let (Some(file), Some(track)) = (&mut file, self.protected) {
            let part = &stored.artifact.sha256;
            let bytes = track.segment(&clear, start, part, number_in_part).map_err(Trouble::Output)?;
            self.staging.append(file, &bytes).map_err(Trouble::Output)?;
            written = bytes.len() as u64;
        }
        if let Some(file) = file {
            self.staging.close(file);
        }
        samples.add(&fragment, written, stored.source, offset).map_err(Trouble::Source)
    }
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
