//! Frames that are black or frozen, by the definitions of ffmpeg's filters `blackdetect` and `freezedetect` at their
//! defaults, found as they are decoded.

use std::sync::Arc;

use ff::frame::Video;
use ffmpeg_next as ff;
use reel_proto::v1;

use crate::MediaError;
use crate::measure::{Luma, words};
use crate::picture::Scaler;
use crate::stretches::join;

/// A frame is black when no more than one in this many of its luma samples is above a tenth of the range of luma.
const BRIGHT_SHARE: u64 = 50;
/// A frame is frozen when its samples differ from those of the frame before by no more than full scale through this much
/// in the mean: -60 dB.
const FULL_SCALE_SHARE: u64 = 1000;

/// What was found of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    black: bool,
    frozen: bool,
}

impl Seen {
    /// Whether the frame is black.
    pub(crate) fn is_black(self) -> bool {
        self.black
    }

    /// Adds a frame, the next of a part, to the runs of that part.
    pub(super) fn add_to(self, frame: u64, runs: &mut v1::PictureRuns) {
        let run = v1::FrameRun { start: frame, end: frame + 1 };
        for (found, runs) in [(self.black, &mut runs.black), (self.frozen, &mut runs.frozen)] {
            if found {
                join(runs, run);
            }
        }
    }
}

/// Looks at the frames of a title, in order.
pub(crate) struct Detector {
    /// Whether luma has full range.
    full_range: bool,
    /// For pictures whose luma does not lie in the open.
    grey: Option<Scaler>,
    before: Option<(u64, Arc<Video>)>,
}

impl Detector {
    pub(crate) fn new(full_range: bool) -> Self {
        Detector { full_range, grey: None, before: None }
    }

    /// Looks at frame `frame`, which is frozen only where the one before it was looked at as well.
    pub(crate) fn look(&mut self, frame: u64, picture: &Arc<Video>) -> Result<Seen, MediaError> {
        let (picture, luma) = match Luma::of(picture.format()) {
            Some(luma) => (Arc::clone(picture), luma),
            None => (self.in_grey(picture)?, Luma { bytes: 1, shift: 0 }),
        };
        let before = self.before.take().filter(|(number, _)| number + 1 == frame);
        let frozen = before.is_some_and(|(_, before)| is_frozen(&before, &picture, luma));
        let seen = Seen { black: is_black(&picture, luma, self.full_range), frozen };
        self.before = Some((frame, picture));
        Ok(seen)
    }

    fn in_grey(&mut self, picture: &Arc<Video>) -> Result<Arc<Video>, MediaError> {
        let (width, height) = (picture.width(), picture.height());
        let grey = self.grey.take().filter(|grey| grey.size() == (width, height));
        let grey = self.grey.insert(grey.unwrap_or_else(|| Scaler::for_comparison(width, height, 0)));
        Ok(grey.scale(picture)?.unwrap_or_else(|| Arc::clone(picture)))
    }
}

fn is_black(picture: &Video, luma: Luma, full_range: bool) -> bool {
    let (bottom, range) = match full_range {
        true => (0, (256 << luma.shift) - 1),
        false => (16 << luma.shift, 219 << luma.shift),
    };
    let darkest = bottom * 10 + range;
    let allowed = u64::from(picture.width()) * u64::from(picture.height()) / BRIGHT_SHARE;
    let bright = |line: &[u8]| -> u32 {
        let threshold = (darkest / 10) as u16;
        match luma.bytes {
            1 => line.iter().map(|sample| u32::from(u16::from(*sample) > threshold)).sum(),
            _ => words(line).map(|sample| u32::from(sample > threshold)).sum(),
        }
    };
    stays_within(allowed, lines(picture, 0, luma).map(bright))
}

fn is_frozen(before: &Arc<Video>, picture: &Arc<Video>, luma: Luma) -> bool {
    let shape = |picture: &Video| (picture.format(), picture.width(), picture.height());
    if Arc::ptr_eq(before, picture) || shape(before) != shape(picture) {
        return Arc::ptr_eq(before, picture);
    }
    let planes = 0..picture.planes();
    let size = |plane| u64::from(picture.plane_width(plane)) * u64::from(picture.plane_height(plane));
    let samples: u64 = planes.clone().map(size).sum();
    let allowed = (samples << (8 + luma.shift)) / FULL_SCALE_SHARE;
    let lines = planes.flat_map(|plane| lines(before, plane, luma).zip(lines(picture, plane, luma)));
    let difference = |(a, b): (&[u8], &[u8])| -> u32 {
        match luma.bytes {
            1 => a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum(),
            _ => words(a).zip(words(b)).map(|(a, b)| u32::from(a.abs_diff(b))).sum(),
        }
    };
    stays_within(allowed, lines.map(difference))
}

/// Whether the sum over the lines of a picture is no more than is allowed: after a few lines of most pictures it is.
fn stays_within(allowed: u64, mut lines: impl Iterator<Item = u32>) -> bool {
    lines.try_fold(allowed, |rest, line| rest.checked_sub(line.into())).is_some()
}

/// The lines of a plane.
fn lines(picture: &Video, plane: usize, luma: Luma) -> impl Iterator<Item = &[u8]> {
    let (width, height) = (picture.plane_width(plane) as usize, picture.plane_height(plane) as usize);
    let lines = picture.data(plane).chunks(picture.stride(plane)).take(height);
    lines.map(move |line| &line[..width * luma.bytes])
}

#[cfg(test)]
mod tests {
    use ff::format::Pixel;

    use super::*;

    /// A picture of 100 by 50 with one luma value, which some samples of the first lines exceed by 100.
    fn flat(format: Pixel, value: u16, brighter: usize) -> Arc<Video> {
        let mut picture = Video::new(format, 100, 50);
        let bytes = Luma::of(format).map_or(3, |luma| luma.bytes);
        for plane in 0..picture.planes() {
            let stride = picture.stride(plane);
            for (y, line) in picture.data_mut(plane).chunks_mut(stride).enumerate() {
                for (x, sample) in line.chunks_exact_mut(bytes).enumerate() {
                    let more = plane == 0 && x < 100 && y * 100 + x < brighter;
                    let value = value + if more { 100 } else { 0 };
                    sample.copy_from_slice(&value.to_le_bytes().repeat(2)[..bytes]);
                }
            }
        }
        Arc::new(picture)
    }

    fn look(full_range: bool, pictures: &[Arc<Video>]) -> Vec<Seen> {
        let mut detector = Detector::new(full_range);
        (0..).zip(pictures).map(|(frame, picture)| detector.look(frame, picture).unwrap()).collect()
    }

    #[test]
    fn a_frame_is_black_up_to_a_tenth_of_the_range_of_98_percent_of_its_luma() {
        for (format, full_range, darkest, step) in [
            (Pixel::YUV420P, false, 37, 1),
            (Pixel::YUVJ420P, true, 25, 1),
            (Pixel::YUV422P10LE, false, 151, 1),
            (Pixel::YUV420P10LE, true, 102, 1),
            (Pixel::P010LE, false, 151 << 6, 1 << 6),
            (Pixel::YUV444P12LE, true, 409, 1),
        ] {
            let black = |value, brighter| look(full_range, &[flat(format, value, brighter)])[0].black;
            assert_eq!((black(darkest, 0), black(darkest + step, 0)), (true, false), "{format:?}");
            // 100 of 5000 samples.
            let patched = (black(darkest - 1, 100), black(darkest - 1, 101));
            assert_eq!(patched, (true, step > 100), "{format:?}");
        }
    }

    #[test]
    fn a_frame_is_frozen_up_to_a_thousandth_of_full_scale_from_the_one_before() {
        // 4:2:0 has 7500 samples, which may differ by 1920 in all.
        let picture = |brighter| flat(Pixel::YUV420P, 60, brighter);
        let frozen: Vec<bool> = look(false, &[picture(0), picture(19), picture(0), picture(20), picture(20)])
            .iter()
            .map(|seen| seen.frozen)
            .collect();
        assert_eq!(frozen, [false, true, true, false, true]);
        let deep = |brighter| flat(Pixel::YUV420P10LE, 60, brighter);
        assert!(look(false, &[deep(0), deep(76)])[1].frozen && !look(false, &[deep(0), deep(77)])[1].frozen);
    }

    #[test]
    fn a_change_of_colour_alone_is_no_freeze() {
        let mut other = Video::clone(&flat(Pixel::YUV420P, 60, 0));
        other.data_mut(2).fill(63);
        assert!(!look(false, &[flat(Pixel::YUV420P, 60, 0), Arc::new(other)])[1].frozen);
    }

    #[test]
    fn a_frame_whose_predecessor_was_not_looked_at_is_not_frozen() {
        let (mut detector, picture) = (Detector::new(false), flat(Pixel::YUV420P, 60, 0));
        let frozen = [7, 8, 10, 11].map(|frame| detector.look(frame, &picture).unwrap().frozen);
        assert_eq!(frozen, [false, true, false, true]);
    }

    #[test]
    fn rgb_is_looked_at_in_grey() {
        let rgb = |value| {
            let mut picture = Video::clone(&flat(Pixel::RGB24, value, 0));
            picture.set_color_space(ff::color::Space::RGB);
            Arc::new(picture)
        };
        let seen = look(false, &[rgb(0), rgb(0), rgb(200), rgb(20)]);
        let wanted = [(true, false), (true, true), (false, false), (true, false)];
        assert_eq!(seen, wanted.map(|(black, frozen)| Seen { black, frozen }));
    }
}
