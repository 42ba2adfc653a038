//! Decoded pictures of ours against the mezzanine's, in order: each at its time, each most like its own.
//!
//! A frame in the place of another looks like that one. So may a frame of a fade: where all of a picture becomes a little lighter or
//! darker and bits are few, encoders are late, or early, by some frames. Frames are told apart by what is left when brightness and
//! contrast are made equal.

use super::thumbnail::{Thumbnail, difference};
use super::video::STARVED;
use crate::MediaError;
use crate::times::TitleTimes;

/// Two neighbours that differ by less than this many levels of 256 are told apart by their times alone: that
/// little may be lost in coding.
const TIE_LEVELS: f64 = 0.75;
/// A picture is flat whose levels deviate by less.
const FLAT_LEVELS: f64 = 1.0;
/// No encode that is worth delivering is further from its source, in levels of 256.
const MAX_LEVELS: f64 = 20.0;
/// A frame of the mezzanine and its neighbours, as far as there are any.
pub(crate) struct Around<'a> {
    pub(crate) before: Option<&'a Thumbnail>,
    pub(crate) own: Option<&'a Thumbnail>,
    pub(crate) after: Option<&'a Thumbnail>,
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Compared {
    /// Largest mean difference of a frame to its source, in millionths of full scale.
    pub(crate) worst_difference_ppm: u64,
    /// Frames that look like their neighbour, or were coded so: where order shows in time alone.
    pub(crate) ties: u64,
}

/// Compares consecutive frames of one rendition.
pub(crate) struct Comparison<'a> {
    label: String,
    times: &'a TitleTimes,
    /// The frame that is due.
    next: u64,
    /// Largest mean difference, in levels of 256.
    worst: f64,
    ties: u64,
}

impl<'a> Comparison<'a> {
    /// A comparison that begins with frame `first`; `label` is for messages.
    pub(crate) fn new(label: &str, times: &'a TitleTimes, first: u64) -> Self {
        Comparison { label: label.to_owned(), times, next: first, worst: 0.0, ties: 0 }
    }

    /// The frame that is due.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Takes the next frame of the output, shown at tick `pts` of the title.
    pub(crate) fn push(
        &mut self,
        pts: i64,
        output: &Thumbnail,
        around: &Around<'_>,
    ) -> Result<(), MediaError> {
        let frame = self.next;
        let due = self.times.ticks(frame);
        if frame >= self.times.frames() || pts != due {
            return Err(MediaError::failed(format!(
                "{} decodes to tick {pts} where {due} is due",
                self.label
            )));
        }
        let own = around.own.ok_or_else(|| MediaError::failed(STARVED))?;
        let here = difference(output, own);
        self.worst = self.worst.max(here);
        if here > MAX_LEVELS {
            let seconds = self.times.seconds(frame);
            return Err(MediaError::failed(format!(
                "{} shows something else at frame {frame}, {seconds:.3} s: it differs by {here:.1} levels of 256",
                self.label
            )));
        }
        let mut tie = false;
        for (neighbour, place) in [(around.before, frame.wrapping_sub(1)), (around.after, frame + 1)] {
            let Some(neighbour) = neighbour else { continue };
            let motion = difference(own, neighbour);
            tie |= motion < TIE_LEVELS;
            // A frame in the neighbour's place would be nearer to the neighbour by nearly all of the motion;
            // coding loss alone never takes it half of the way.
            if here - difference(output, neighbour) <= (motion / 2.0).max(TIE_LEVELS) {
                continue;
            }
            if is_displaced(output, own, neighbour) {
                let seconds = self.times.seconds(frame);
                return Err(MediaError::failed(format!(
                    "{} shows frame {place} of the mezzanine in the place of frame {frame}, at {seconds:.3} s",
                    self.label
                )));
            }
            tie = true;
        }
        self.ties += u64::from(tie);
        self.next += 1;
        Ok(())
    }

    /// Ends the comparison, which must have come to frame `end`.
    pub(crate) fn finish(self, end: u64) -> Result<Compared, MediaError> {
        if self.next != end {
            let next = self.next;
            return Err(MediaError::failed(format!(
                "{} decodes to frame {next} and no further, and not to {end}",
                self.label
            )));
        }
        let worst_difference_ppm = (self.worst / 255.0 * 1e6).round() as u64;
        Ok(Compared { worst_difference_ppm, ties: self.ties })
    }
}

/// Whether an output that is nearer to a neighbour of its frame has the neighbour's shapes as well. One without shapes has nobody's.
fn is_displaced(output: &Thumbnail, own: &Thumbnail, neighbour: &Thumbnail) -> bool {
    if moments(output).1 < FLAT_LEVELS {
        return false;
    }
    let [shape, own, neighbour] = [output, own, neighbour].map(|picture| Shape::of(picture, own));
    let motion = own.difference(&neighbour);
    shape.difference(&own) - shape.difference(&neighbour) > (motion / 2.0).max(TIE_LEVELS)
}

/// A picture with its mean taken off and the contrast of another.
struct Shape(Vec<f64>);

impl Shape {
    fn of(picture: &Thumbnail, like: &Thumbnail) -> Self {
        let (mean, deviation) = moments(picture);
        let gain = if deviation > 0.0 { moments(like).1 / deviation } else { 0.0 };
        Shape(picture.iter().map(|level| (f64::from(*level) - mean) * gain).collect())
    }

    /// Mean difference in levels of 256.
    fn difference(&self, other: &Shape) -> f64 {
        let sum: f64 = self.0.iter().zip(&other.0).map(|(a, b)| (a - b).abs()).sum();
        sum / self.0.len() as f64
    }
}

/// Mean and standard deviation.
fn moments(picture: &Thumbnail) -> (f64, f64) {
    let count = picture.len() as f64;
    let mean = picture.iter().map(|level| f64::from(*level)).sum::<f64>() / count;
    let squares: f64 = picture.iter().map(|level| (f64::from(*level) - mean).powi(2)).sum();
    (mean, (squares / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bright square on a grey ground, `at` areas from the left, with so much of its light.
    fn square(at: usize, light: f64) -> Thumbnail {
        let mut picture = [0; 2304];
        for (number, level) in picture.iter_mut().enumerate() {
            let (x, y) = (number % 64, number / 64);
            let inside = (at..at + 20).contains(&x) && (8..28).contains(&y);
            *level = ((if inside { 200.0 } else { 60.0 }) * light) as u8;
        }
        picture
    }

    #[test]
    fn a_fade_that_is_coded_late_is_not_displaced() {
        let fade = |frame: u8| square(10, f64::from(frame) / 50.0);
        assert!(!is_displaced(&fade(20), &fade(21), &fade(20)));
        assert!(!is_displaced(&fade(0), &fade(1), &fade(0)));
    }

    #[test]
    fn what_moves_is_told_apart_in_any_light() {
        let (own, neighbour) = (square(10, 0.5), square(12, 0.46));
        for light in [0.3, 0.46, 0.5, 0.8] {
            assert!(is_displaced(&square(12, light), &own, &neighbour), "{light}");
            assert!(!is_displaced(&square(10, light), &own, &neighbour), "{light}");
        }
    }

    #[test]
    fn what_shows_nothing_shows_no_other_frame() {
        assert!(!is_displaced(&[16; 2304], &square(10, 0.05), &[16; 2304]));
    }
}
