//! The samples of a fragment of a track: what `tfhd`, `tfdt` and `trun` say (ISO/IEC 14496-12, section 8.8).

use super::Track;
use super::boxes::{Cursor, Inner, first, full};

/// Most samples of a fragment: more than ten minutes of the finest sound.
const MAX_SAMPLES: usize = 1 << 20;
/// The bit of the flags of a sample where decoding cannot begin.
const NON_SYNC: u32 = 0x0001_0000;

/// A sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) decode_time: i64,
    pub(super) time: i64,
    pub(super) duration: u32,
    pub(super) size: u32,
    pub(super) is_sync: bool,
}

/// A fragment of a track.
pub(super) struct Run {
    /// The sample entry, from 1.
    pub(super) entry: u32,
    /// `default-base-is-moof`, and no base data offset.
    pub(super) based_on_moof: bool,
    /// The decode time, where `tfdt` says one.
    pub(super) decode_time: Option<i64>,
    /// How many `trun` there are.
    pub(super) truns: usize,
    /// Where the data of each begin, from the first byte of `moof`, with their bytes; `None` where that is not said.
    pub(super) data: Vec<(Option<i64>, u64)>,
    pub(super) samples: Vec<Sample>,
}

/// The track that a `traf` is of.
pub(super) fn track_id(traf: &[Inner<'_>]) -> Option<u32> {
    Cursor::new(full(first(traf, b"tfhd")?)?.2).u32()
}

impl Run {
    /// Reads a `traf`; `before` is the decode time where it has none. `None` where its boxes are cut off.
    pub(super) fn read(traf: &[Inner<'_>], track: &Track, before: i64) -> Option<Self> {
        let (_, flags, rest) = full(first(traf, b"tfhd")?)?;
        let mut cursor = Cursor::new(rest);
        cursor.u32()?;
        let base = if flags & 1 != 0 { Some(cursor.u64()?) } else { None };
        let entry = if flags & 2 != 0 { cursor.u32()? } else { track.default_entry };
        let (mut duration, mut size, mut sample_flags) = track.defaults;
        for (bit, field) in [(8, &mut duration), (0x10, &mut size), (0x20, &mut sample_flags)] {
            if flags & bit != 0 {
                *field = cursor.u32()?;
            }
        }
        let decode_time = match first(traf, b"tfdt").map(full) {
            Some(tfdt) => {
                let (version, _, rest) = tfdt?;
                Some(i64::try_from(Cursor::new(rest).word(version == 1)?).ok()?)
            }
            None => None,
        };
        let mut run = Run {
            entry,
            based_on_moof: flags & 0x2_0000 != 0 && base.is_none(),
            decode_time,
            truns: 0,
            data: Vec::new(),
            samples: Vec::new(),
        };
        let mut at = decode_time.unwrap_or(before);
        for trun in traf.iter().filter(|inner| inner.kind == *b"trun") {
            run.truns += 1;
            run.trun(trun.body, (duration, size, sample_flags), &mut at)?;
        }
        Some(run)
    }

    fn trun(&mut self, body: &[u8], defaults: (u32, u32, u32), at: &mut i64) -> Option<()> {
        let (_, flags, rest) = full(body)?;
        let mut cursor = Cursor::new(rest);
        let count = cursor.u32()? as usize;
        let offset = if flags & 1 != 0 { Some(i64::from(cursor.u32()? as i32)) } else { None };
        let first_flags = if flags & 4 != 0 { Some(cursor.u32()?) } else { None };
        let entry_bytes = 4 * (flags & 0xf00).count_ones() as usize;
        if count.checked_mul(entry_bytes)? != cursor.left() || self.samples.len() + count > MAX_SAMPLES {
            return None;
        }
        let mut bytes = 0;
        for number in 0..count {
            let mut field = |bit: u32, default: u32| {
                if flags & bit != 0 { cursor.u32() } else { Some(default) }
            };
            let (duration, size) = (field(0x100, defaults.0)?, field(0x200, defaults.1)?);
            let own = field(0x400, first_flags.filter(|_| number == 0).unwrap_or(defaults.2))?;
            let offset = field(0x800, 0)? as i32;
            let time = at.saturating_add(offset.into());
            self.samples.push(Sample {
                decode_time: *at,
                time,
                duration,
                size,
                is_sync: own & NON_SYNC == 0,
            });
            bytes += u64::from(size);
            *at = at.saturating_add(duration.into());
        }
        self.data.push((offset, bytes));
        Some(())
    }
}
