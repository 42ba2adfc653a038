//! Reading media segments back: ours, and those of others (`moof`, ISO/IEC 14496-12, section 8.8).
//!
//! The header of a fragmented file or an init segment is read by [`crate::mov::Movie`].

use std::io;

use bytes::Bytes;

use crate::ReadAt;
use crate::boxes::{Header, child, children, full, u32_at, u64_at};
use crate::mov::TrackDefaults;
use crate::sample_table::Sample;
use crate::segment::IS_NON_SYNC;

/// The largest `moof` that is read.
const MAX_MOOF_BYTES: u64 = 64 << 20;
/// Most samples of one fragment; more than ten minutes of the finest audio in use.
const MAX_SAMPLES: usize = 1 << 20;

/// One fragment of a track, with the boxes that precede it since the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Offset of its first box, for example `styp`.
    pub position: u64,
    /// Offset after its `mdat`.
    pub end: u64,
    /// Sequence number of its `mfhd`.
    pub sequence: u32,
    /// Its samples in decode order, on the timeline of the track.
    pub samples: Vec<Sample>,
}

impl Fragment {
    /// Decode time of its first sample in ticks.
    pub fn base_decode_time(&self) -> Option<i64> {
        self.samples.first().map(|sample| sample.dts)
    }

    /// Ticks from its first decode time to the end of its last sample.
    pub fn duration(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.duration)).sum()
    }
}

/// A fragment that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FragmentError {
    /// Reading failed.
    #[error("reading a fragment failed: {0}")]
    Io(#[from] io::Error),
    /// The bytes end inside a box.
    #[error("the box at byte {0} is cut off")]
    Cut(u64),
    /// A box contradicts itself.
    #[error("the fragment at byte {0} is malformed")]
    Malformed(u64),
    /// A fragment beyond what is read.
    #[error("the fragment at byte {0} is larger than any that is read")]
    TooLarge(u64),
    /// A fragment that points to bytes that are not there.
    #[error("samples of the fragment at byte {0} lie past the end")]
    Outside(u64),
}

/// The fragments of one track, read one at a time; media bytes are not touched.
pub struct Fragments<'a> {
    source: &'a dyn ReadAt,
    defaults: TrackDefaults,
    offset: u64,
    next_dts: i64,
    failed: bool,
}

impl<'a> Fragments<'a> {
    /// The fragments in `source` of the track that `defaults` name. A missing decode time goes on from the fragment
    /// before.
    pub fn new(source: &'a dyn ReadAt, defaults: TrackDefaults) -> Self {
        Fragments { source, defaults, offset: 0, next_dts: 0, failed: false }
    }

    /// The fragments of media segments as this crate writes them: track 1, no defaults.
    pub fn of_ours(source: &'a dyn ReadAt) -> Self {
        Fragments::new(source, TrackDefaults { track_id: 1, ..TrackDefaults::default() })
    }

    fn header(&self) -> Result<Option<(Header, u64)>, FragmentError> {
        let held = self.source.len().saturating_sub(self.offset);
        if held == 0 {
            return Ok(None);
        }
        let mut bytes = [0; Header::MAX];
        let head = &mut bytes[..held.min(Header::MAX as u64) as usize];
        self.source.read_at(self.offset, head)?;
        let header = Header::parse(head).ok_or(FragmentError::Cut(self.offset))?;
        let size = header.size.unwrap_or(held);
        if size > held {
            return Err(FragmentError::Cut(self.offset));
        }
        Ok(Some((header, self.offset + size)))
    }

    fn read(&mut self) -> Result<Option<Fragment>, FragmentError> {
        let position = self.offset;
        let mut found = None;
        while let Some((header, end)) = self.header()? {
            let start = self.offset;
            match &header.kind {
                b"moof" => found = self.moof(start, start + header.header, end)?,
                b"mdat" if found.is_some() => {
                    self.offset = end;
                    let inside = |sample: &Sample| {
                        sample
                            .position
                            .checked_add(sample.size.into())
                            .is_some_and(|end| end <= self.source.len())
                    };
                    let fragment =
                        found.map(|(sequence, samples)| Fragment { position, end, sequence, samples });
                    return match fragment {
                        Some(fragment) if !fragment.samples.iter().all(inside) => {
                            Err(FragmentError::Outside(position))
                        }
                        fragment => Ok(fragment),
                    };
                }
                _ => {}
            }
            self.offset = end;
        }
        match found {
            Some(_) => Err(FragmentError::Cut(self.offset)),
            None => Ok(None),
        }
    }

    fn moof(&mut self, start: u64, body: u64, end: u64) -> Result<Option<(u32, Vec<Sample>)>, FragmentError> {
        if end - start > MAX_MOOF_BYTES {
            return Err(FragmentError::TooLarge(start));
        }
        let mut bytes = vec![0; (end - body) as usize];
        self.source.read_at(body, &mut bytes)?;
        let moof = Bytes::from(bytes);
        let mfhd = child(&moof, b"mfhd");
        let sequence = mfhd.as_ref().and_then(full).and_then(|(_, _, rest)| u32_at(&rest, 0));
        let mut found = None;
        for (_, traf) in children(&moof).filter(|(kind, _)| kind == b"traf") {
            let run = TrackRun::open(&traf, start, self.defaults).ok_or(FragmentError::Malformed(start))?;
            if run.defaults.track_id != self.defaults.track_id {
                continue;
            }
            let samples = run.samples(&traf, self.next_dts, start)?;
            self.next_dts =
                samples.last().map_or(self.next_dts, |last| last.dts.saturating_add(last.duration.into()));
            found = Some((sequence.unwrap_or(0), samples));
        }
        Ok(found)
    }
}

impl Iterator for Fragments<'_> {
    type Item = Result<Fragment, FragmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.read().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// A track's part of a fragment: where its data begin and what its samples share.
struct TrackRun {
    defaults: TrackDefaults,
    base: u64,
}

impl TrackRun {
    /// Reads `tfhd`. The track's own defaults hold only for that track.
    fn open(traf: &Bytes, moof: u64, track: TrackDefaults) -> Option<Self> {
        let (_, flags, body) = full(&child(traf, b"tfhd")?)?;
        let track_id = u32_at(&body, 0)?;
        let mut at = 4;
        let mut base = moof;
        if flags & 0x1 != 0 {
            base = u64_at(&body, at)?;
            at += 8;
        }
        at += if flags & 0x2 != 0 { 4 } else { 0 };
        let mut defaults = TrackDefaults { track_id, ..track };
        for (bit, field) in
            [(0x8, &mut defaults.duration), (0x10, &mut defaults.size), (0x20, &mut defaults.flags)]
        {
            if flags & bit != 0 {
                *field = u32_at(&body, at)?;
                at += 4;
            }
        }
        Some(TrackRun { defaults, base })
    }

    fn samples(&self, traf: &Bytes, next_dts: i64, moof: u64) -> Result<Vec<Sample>, FragmentError> {
        let mut dts = decode_time(traf).unwrap_or(next_dts);
        let mut position = self.base;
        let mut samples = Vec::new();
        for (_, trun) in children(traf).filter(|(kind, _)| kind == b"trun") {
            let (_, flags, body) = full(&trun).ok_or(FragmentError::Malformed(moof))?;
            let run = Trun::open(&body, flags).ok_or(FragmentError::Malformed(moof))?;
            if samples.len() + run.count > MAX_SAMPLES {
                return Err(FragmentError::TooLarge(moof));
            }
            if let Some(offset) = run.data_offset {
                let placed = self.base.checked_add_signed(offset.into());
                position = placed.ok_or(FragmentError::Malformed(moof))?;
            }
            samples.reserve(run.count);
            for index in 0..run.count {
                let sample = run.sample(index, position, dts, self.defaults);
                let sample = sample.ok_or(FragmentError::Malformed(moof))?;
                position = position.saturating_add(sample.size.into());
                dts = dts.saturating_add(sample.duration.into());
                samples.push(sample);
            }
        }
        Ok(samples)
    }
}

fn decode_time(traf: &Bytes) -> Option<i64> {
    let (version, _, body) = full(&child(traf, b"tfdt")?)?;
    match version {
        0 => u32_at(&body, 0).map(i64::from),
        _ => i64::try_from(u64_at(&body, 0)?).ok(),
    }
}

/// An opened `trun` box.
struct Trun {
    flags: u32,
    count: usize,
    data_offset: Option<i32>,
    first_flags: Option<u32>,
    entries: Bytes,
    entry_bytes: usize,
}

impl Trun {
    fn open(body: &Bytes, flags: u32) -> Option<Self> {
        let count = u32_at(body, 0)? as usize;
        let mut at = 4;
        let mut optional = |bit: u32| {
            if flags & bit == 0 {
                return Some(None);
            }
            at += 4;
            u32_at(body, at - 4).map(Some)
        };
        let data_offset = optional(0x1)?.map(|offset| offset as i32);
        let first_flags = optional(0x4)?;
        let entry_bytes = 4 * (flags & 0xf00).count_ones() as usize;
        let entries = body.slice(at..);
        if count.checked_mul(entry_bytes)? > entries.len() {
            return None;
        }
        Some(Trun { flags, count, data_offset, first_flags, entries, entry_bytes })
    }

    fn sample(&self, index: usize, position: u64, dts: i64, defaults: TrackDefaults) -> Option<Sample> {
        let mut at = index * self.entry_bytes;
        let mut field = |bit: u32, default: u32| {
            if self.flags & bit == 0 {
                return Some(default);
            }
            at += 4;
            u32_at(&self.entries, at - 4)
        };
        let duration = field(0x100, defaults.duration)?;
        let size = field(0x200, defaults.size)?;
        let first = self.first_flags.filter(|_| index == 0);
        let flags = field(0x400, first.unwrap_or(defaults.flags))?;
        let offset = field(0x800, 0)? as i32;
        Some(Sample {
            position,
            size,
            dts,
            pts: dts.saturating_add(offset.into()),
            duration,
            sync: flags & IS_NON_SYNC == 0,
            partial_sync: false,
        })
    }
}
