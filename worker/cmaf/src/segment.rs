//! Media segments: one `styp`, `moof` and `mdat` each (ISO/IEC 23000-19, section 7.3).

use crate::writer::Writer;

/// A coded sample to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// Its coded bytes; for H.264, NAL units with four-byte lengths. Shorter than 4 GiB, the limit of the format.
    pub data: &'a [u8],
    /// Ticks to the next sample in decode order.
    pub duration: u32,
    /// Presentation time minus decode time in ticks.
    pub composition_offset: i32,
    /// Whether decoding can begin here.
    pub sync: bool,
}

/// Sample flags (ISO/IEC 14496-12, section 8.8.3.1) of a sample that depends on no other.
pub(crate) const SYNC_FLAGS: u32 = 0x0200_0000;
/// Sample flags of a sample that depends on others and where decoding cannot begin.
pub(crate) const NON_SYNC_FLAGS: u32 = 0x0101_0000;
/// The bit of the sample flags that says that decoding cannot begin there.
pub(crate) const IS_NON_SYNC: u32 = 0x0001_0000;

/// One segment of track 1 with a single fragment.
///
/// `sequence` counts from 1 over the title. `base_decode_time` is the decode time of the first sample on the title's
/// timeline, in ticks. What all samples share is said once; the sample flags likewise, where only the first
/// differs. The bytes follow from the arguments alone.
pub fn media_segment(sequence: u32, base_decode_time: u64, samples: &[Sample<'_>]) -> Vec<u8> {
    let mut w = Writer::default();
    w.boxed(b"styp", |w| {
        w.bytes(b"cmfs");
        w.u32(0);
        w.bytes(b"cmfscmffmsdh");
    });
    write_fragment(&mut w, sequence, base_decode_time, samples);
    w.finish()
}

/// The `moof` and `mdat` of one fragment of track 1, as in a [`media_segment`].
pub(crate) fn fragment(sequence: u32, base_decode_time: u64, samples: &[Sample<'_>]) -> Vec<u8> {
    let mut w = Writer::default();
    write_fragment(&mut w, sequence, base_decode_time, samples);
    w.finish()
}

fn write_fragment(w: &mut Writer, sequence: u32, base_decode_time: u64, samples: &[Sample<'_>]) {
    let payload: u64 = samples.iter().map(|sample| sample.data.len() as u64).sum();
    w.reserve(payload as usize + 16 * samples.len() + 256);
    let moof = w.len();
    let mut data_offset_at = 0;
    w.boxed(b"moof", |w| {
        w.full(b"mfhd", 0, 0, |w| w.u32(sequence));
        w.boxed(b"traf", |w| {
            let shape = Shape::of(samples);
            shape.tfhd(w);
            w.full(b"tfdt", 1, 0, |w| w.u64(base_decode_time));
            data_offset_at = shape.trun(w, samples);
        });
    });
    let wide = payload + 8 > u64::from(u32::MAX);
    let header = if wide { 16 } else { 8 };
    w.patch_u32(data_offset_at, (w.len() - moof + header) as u32);
    w.u32(if wide { 1 } else { (payload + 8) as u32 });
    w.bytes(b"mdat");
    if wide {
        w.u64(payload + 16);
    }
    for sample in samples {
        w.bytes(sample.data);
    }
}

/// Gives a segment another place: its number, from 1, and a decode time that is `moved` ticks later. `head` is one that
/// [`media_segment`] made, at least up to its media bytes.
///
/// Returns whether it was, and was changed.
pub fn move_segment(head: &mut [u8], sequence: u32, moved: i64) -> bool {
    let inside = |outer: (usize, usize), head: &[u8], kind: &[u8; 4]| {
        let mut at = outer.0;
        while at + 8 <= outer.1.min(head.len()) {
            let size = u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
            if &head[at + 4..at + 8] == kind {
                return Some((at + 8, at.checked_add(size)?)).filter(|(_, end)| *end <= head.len());
            }
            at = at.checked_add(size.max(8))?;
        }
        None
    };
    let places = || {
        let moof = inside((0, head.len()), head, b"moof")?;
        let mfhd = inside(moof, head, b"mfhd")?;
        let tfdt = inside(inside(moof, head, b"traf")?, head, b"tfdt")?;
        // Version and flags, then the number; those of version 1, then a time of 64 bits (ISO/IEC 14496-12, 8.8.5 and 8.8.12).
        let time = (tfdt.1 - tfdt.0 == 12 && head[tfdt.0] == 1).then_some(tfdt.0 + 4)?;
        (mfhd.1 - mfhd.0 == 8).then_some((mfhd.0 + 4, time))
    };
    let Some((number, time)) = places() else { return false };
    let old: [u8; 8] = std::array::from_fn(|byte| head[time + byte]);
    let Some(new) = u64::from_be_bytes(old).checked_add_signed(moved) else { return false };
    head[number..number + 4].copy_from_slice(&sequence.to_be_bytes());
    head[time..time + 8].copy_from_slice(&new.to_be_bytes());
    true
}

fn flags(sample: &Sample<'_>) -> u32 {
    if sample.sync { SYNC_FLAGS } else { NON_SYNC_FLAGS }
}

/// What the samples of a fragment have in common.
struct Shape {
    duration: Option<u32>,
    size: Option<u32>,
    /// The flags of all samples but the first, where they agree.
    flags: Option<u32>,
    /// The flags of the first, where they differ from those.
    first_flags: Option<u32>,
    offsets: bool,
}

impl Shape {
    const DATA_OFFSET: u32 = 0x1;
    const FIRST_FLAGS: u32 = 0x4;
    const DURATIONS: u32 = 0x100;
    const SIZES: u32 = 0x200;
    const FLAGS: u32 = 0x400;
    const OFFSETS: u32 = 0x800;
    const DEFAULT_DURATION: u32 = 0x8;
    const DEFAULT_SIZE: u32 = 0x10;
    const DEFAULT_FLAGS: u32 = 0x20;
    const DEFAULT_BASE_IS_MOOF: u32 = 0x2_0000;

    fn of(samples: &[Sample<'_>]) -> Self {
        let rest_flags = common(samples.get(1..).unwrap_or_default().iter().map(flags));
        let first = samples.first().map(flags);
        let flags = if samples.len() == 1 { first } else { rest_flags };
        Shape {
            duration: common(samples.iter().map(|sample| sample.duration)),
            size: common(samples.iter().map(|sample| sample.data.len() as u32)),
            flags,
            first_flags: first.filter(|first| flags.is_some_and(|rest| rest != *first)),
            offsets: samples.iter().any(|sample| sample.composition_offset != 0),
        }
    }

    fn tfhd(&self, w: &mut Writer) {
        let defaults = [
            (Self::DEFAULT_DURATION, self.duration),
            (Self::DEFAULT_SIZE, self.size),
            (Self::DEFAULT_FLAGS, self.flags),
        ];
        let present = defaults.iter().filter(|(_, value)| value.is_some()).map(|(bit, _)| bit);
        w.full(b"tfhd", 0, Self::DEFAULT_BASE_IS_MOOF | present.sum::<u32>(), |w| {
            w.u32(1);
            defaults.iter().filter_map(|(_, value)| *value).for_each(|value| w.u32(value));
        });
    }

    /// Writes `trun`; where its data offset is to be filled in.
    fn trun(&self, w: &mut Writer, samples: &[Sample<'_>]) -> usize {
        let each = [
            (Self::DURATIONS, self.duration.is_none()),
            (Self::SIZES, self.size.is_none()),
            (Self::FLAGS, self.flags.is_none()),
            (Self::OFFSETS, self.offsets),
            (Self::FIRST_FLAGS, self.first_flags.is_some()),
        ];
        let present = each.iter().filter(|(_, present)| *present).map(|(bit, _)| bit).sum::<u32>();
        let mut data_offset_at = 0;
        w.full(b"trun", 1, Self::DATA_OFFSET | present, |w| {
            w.u32(samples.len() as u32);
            data_offset_at = w.len();
            w.u32(0);
            if let Some(first) = self.first_flags {
                w.u32(first);
            }
            for sample in samples {
                self.trun_entry(w, sample);
            }
        });
        data_offset_at
    }

    fn trun_entry(&self, w: &mut Writer, sample: &Sample<'_>) {
        if self.duration.is_none() {
            w.u32(sample.duration);
        }
        if self.size.is_none() {
            w.u32(sample.data.len() as u32);
        }
        if self.flags.is_none() {
            w.u32(flags(sample));
        }
        if self.offsets {
            w.i32(sample.composition_offset);
        }
    }
}

/// The value that all have, if they have one.
fn common(mut values: impl Iterator<Item = u32>) -> Option<u32> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
