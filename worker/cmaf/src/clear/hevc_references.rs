//! Short-term reference picture sets of HEVC (ITU-T H.265, section 7.3.7).

use super::hevc::MAX_REFERENCES;
use crate::bits::Bits;

/// A short-term reference picture set: distances of each picture, and whether the current picture may use it.
#[derive(Clone, Debug, Default)]
pub(super) struct References {
    before: Vec<(i64, bool)>,
    after: Vec<(i64, bool)>,
}

impl References {
    /// Section 7.3.7: set `index` of `count` in a sequence, the one of index `count` in a slice.
    pub(super) fn read(bits: &mut Bits, index: u32, count: u32, sets: &[References]) -> Option<Self> {
        if index > 0 && bits.flag()? {
            let back = if index == count { bits.golomb()?.checked_add(1)? } else { 1 };
            let from = sets.get(index.checked_sub(back)? as usize)?;
            return from.predict(bits);
        }
        let lengths = [bits.golomb()?, bits.golomb()?];
        if lengths.iter().any(|length| *length > MAX_REFERENCES) {
            return None;
        }
        let mut read = |length: u32, sign: i64| {
            let mut distance = 0;
            (0..length)
                .map(|_| {
                    distance += sign * (i64::from(bits.golomb()?) + 1);
                    Some((distance, bits.flag()?))
                })
                .collect::<Option<Vec<_>>>()
        };
        Some(References { before: read(lengths[0], -1)?, after: read(lengths[1], 1)? })
    }

    /// A set that is this one seen from another picture (equations 7-61 and 7-62). What counts is which pictures are in
    /// it and which of them are used, in the order in which the next prediction asks for them.
    fn predict(&self, bits: &mut Bits) -> Option<Self> {
        let back = bits.flag()?;
        let delta = i64::from(bits.golomb()?) + 1;
        let delta = if back { -delta } else { delta };
        let mut set = References::default();
        let all = self.before.iter().chain(&self.after).map(|(distance, _)| *distance).chain([0]);
        for distance in all {
            let used = bits.flag()?;
            if !used && !bits.flag()? {
                continue;
            }
            match distance + delta {
                0 => {}
                before @ ..0 => set.before.push((before, used)),
                after => set.after.push((after, used)),
            }
        }
        set.before.sort_by_key(|(distance, _)| -distance);
        set.after.sort_by_key(|(distance, _)| *distance);
        (set.before.len().max(set.after.len()) <= MAX_REFERENCES as usize).then_some(set)
    }

    pub(super) fn used(&self) -> u32 {
        self.before.iter().chain(&self.after).filter(|(_, used)| *used).count() as u32
    }
}
