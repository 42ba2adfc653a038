//! Reads back what the fixtures carry: frame numbers in the pictures, and the place of sounds in time.

use reel_common::Rational;

use crate::ffmpeg::{Sound, THUMB, Thumb};

/// Bits of the frame number that a fixture draws across the top eighth of each picture, lowest bit left.
pub const CODE_BITS: usize = 16;

/// Samples a second of decoded sound.
pub const RATE: i64 = 48_000;

impl Thumb {
    /// The frame number drawn into the picture. `None` when a block is neither black nor white, as in a picture
    /// blended of two, or when there is no code.
    pub fn frame_number(&self) -> Option<u32> {
        let block = THUMB / CODE_BITS;
        let rows = 2..THUMB / 8 - 2;
        let mut number = 0;
        for bit in 0..CODE_BITS {
            let columns = bit * block + 1..(bit + 1) * block - 1;
            let pixels = rows.clone().flat_map(|y| columns.clone().map(move |x| y * THUMB + x));
            let (mut sum, mut count) = (0, 0);
            for at in pixels {
                sum += u32::from(self.luma[at]);
                count += 1;
            }
            match sum / count {
                0..80 => {}
                176.. => number |= 1 << bit,
                _ => return None,
            }
        }
        Some(number)
    }

    /// Mean absolute difference of the brightness of two pictures, in thousandths of a step.
    pub fn difference(&self, other: &Thumb) -> u64 {
        difference(&self.luma, &other.luma)
    }

    /// The same of the colours, whichever is greater.
    pub fn colour_difference(&self, other: &Thumb) -> u64 {
        let planes = self.chroma.iter().zip(&other.chroma);
        planes.map(|(a, b)| difference(a, b)).max().unwrap_or_default()
    }
}

fn difference(a: &[u8], b: &[u8]) -> u64 {
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum * 1000 / (THUMB * THUMB) as u64
}

/// Delay of `output` against `source` in samples around `at` (seconds of title time), searched within 50 ms.
/// The origins are the times of the first video frames. `None` when nothing there sounds alike.
pub fn delay(source: (&Sound, Rational), output: (&Sound, Rational), at: Rational) -> Option<i64> {
    let wanted = cut(source, at, 0, WINDOW);
    let heard = cut(output, at, -REACH, WINDOW + 2 * REACH);
    let own = product(&wanted, &wanted);
    let score = |found: &[i32]| {
        let (alike, energy) = (product(&wanted, found), product(found, found));
        let both = i128::from(own) * i128::from(energy);
        if alike <= 0 || both == 0 { 0 } else { i128::from(alike).pow(2) * 1000 / both }
    };
    let scores = heard.windows(wanted.len()).map(score);
    let (score, lag) = scores.zip(-REACH..).max_by_key(|&(score, lag)| (score, -lag.abs()))?;
    // The squared correlation of the same sound through two lossy codecs stays far above this.
    (score > 300).then_some(lag)
}

/// The frame numbers that pictures carry.
pub fn numbers(thumbs: &[Thumb]) -> Vec<Option<u32>> {
    thumbs.iter().map(Thumb::frame_number).collect()
}

/// Greatest mean difference of a frame's colours, in thousandths of a step.
const MOST_COLOUR: u64 = 4000;

/// As many pictures, each with the colours of its own and like no neighbour's more than like its own. Panics with `place`.
pub fn assert_shows(made: &[Thumb], source: &[Thumb], place: &str) {
    assert_eq!(made.len(), source.len(), "{place}");
    for (at, thumb) in made.iter().enumerate() {
        let own = &source[at];
        let (distance, colours) = (thumb.difference(own), thumb.colour_difference(own));
        assert!(colours < MOST_COLOUR, "{place}: the colours of frame {at} are off by {colours}");
        for neighbour in [at.wrapping_sub(1), at + 1] {
            let Some(other) = source.get(neighbour) else { continue };
            let wrong = thumb.difference(other);
            let alike = own.difference(other) < 1000;
            assert!(
                alike || distance < wrong,
                "{place}: frame {at} looks like frame {neighbour}: {distance} {wrong}"
            );
        }
    }
}

const WINDOW: i64 = RATE / 2;
const REACH: i64 = RATE / 20;

/// `count` samples from title time `at` plus `shift` samples; silence where there is no sound.
fn cut((sound, origin): (&Sound, Rational), at: Rational, shift: i64, count: i64) -> Vec<i32> {
    let time = at.checked_add(origin).and_then(|t| t.checked_sub(sound.start)).expect("a time fits");
    let start = time.checked_mul(Rational::whole(RATE)).expect("a time fits").round() + shift;
    let sample = |i: i64| usize::try_from(i).ok().and_then(|i| sound.samples.get(i));
    (start..start + count).map(|i| sample(i).copied().map_or(0, i32::from)).collect()
}

fn product(a: &[i32], b: &[i32]) -> i64 {
    a.iter().zip(b).map(|(a, b)| i64::from(a * b)).sum()
}
