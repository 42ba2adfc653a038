//! Global motion in a frame header of AV1 (sections 5.9.24 to 5.9.28).

use super::tiles::limited;
use super::{Header, NO_PRIMARY, REFERENCES};
use crate::bits::Bits;

/// Global motion without motion (section 7.20, `gm_params`): six numbers with 16 bits behind the point.
const NO_MOTION: [i32; 6] = [0, 0, 1 << 16, 0, 0, 1 << 16];

impl Header<'_> {
    /// Section 5.9.24.
    pub(super) fn read_motion(&self, bits: &mut Bits) -> Option<[[i32; 6]; REFERENCES]> {
        let mut motion = [NO_MOTION; REFERENCES];
        if self.intra() {
            return Some(motion);
        }
        let earlier = if self.primary == NO_PRIMARY { motion } else { self.primary()?.motion };
        for (found, earlier) in motion.iter_mut().zip(earlier) {
            if !bits.flag()? {
                continue;
            }
            let zoomed = bits.flag()?;
            let moved = !zoomed && bits.flag()?;
            let mut number = |index: usize| {
                found[index] = self.motion_number(bits, moved, index, earlier[index])?;
                Some(())
            };
            if !moved {
                number(2)?;
                number(3)?;
                if !zoomed {
                    number(4)?;
                    number(5)?;
                }
            }
            number(0)?;
            number(1)?;
            if zoomed {
                (found[4], found[5]) = (-found[3], found[2]);
            }
        }
        Some(motion)
    }

    /// Section 5.9.25.
    fn motion_number(&self, bits: &mut Bits, moved: bool, index: usize, earlier: i32) -> Option<i32> {
        let coarse = u32::from(!self.fine_vectors);
        let (size, precision) = match (index, moved) {
            (2.., _) => (12, 15),
            (_, true) => (9 - coarse, 3 - coarse),
            (_, false) => (12, 6),
        };
        let scale = 16 - precision;
        let one = i32::from(index >= 2 && index % 3 == 2);
        let most = 1 << size;
        let reference = ((earlier >> scale) - (one << precision)).clamp(-most, most);
        let code = near(bits, 2 * most + 1, reference + most)? - most;
        Some((code << scale) + (one << 16))
    }
}

/// A number less than `count` that is told by its distance from `reference` (section 5.9.27).
fn near(bits: &mut Bits, count: i32, reference: i32) -> Option<i32> {
    let code = exponential(bits, count)?;
    let recentred = |reference: i32, code: i32| match code {
        far if far > 2 * reference => far,
        odd if odd & 1 == 1 => reference - ((odd + 1) >> 1),
        even => reference + (even >> 1),
    };
    Some(match reference << 1 <= count {
        true => recentred(reference, code),
        false => count - 1 - recentred(count - 1 - reference, code),
    })
}

/// Section 5.9.28.
fn exponential(bits: &mut Bits, count: i32) -> Option<i32> {
    let (mut passed, mut step) = (0, 0);
    loop {
        let width = if step == 0 { 3 } else { 3 + step - 1 };
        let size = 1 << width;
        if count <= passed + 3 * size {
            return Some(limited(bits, (count - passed) as u32)? as i32 + passed);
        }
        if !bits.flag()? {
            return Some(bits.take(width)? as i32 + passed);
        }
        (passed, step) = (passed + size, step + 1);
    }
}
