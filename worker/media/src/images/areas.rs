//! A picture reduced to the mean luma of a few areas: what tells a still in its place from another.

use ff::format::Pixel;
use ffmpeg_next as ff;

use crate::MediaError;
use crate::measure::words;
use crate::picture::Scaler;

/// Areas across and down.
const ACROSS: usize = 16;
const DOWN: usize = 9;
/// How many there are.
pub(super) const AREAS: usize = ACROSS * DOWN;

/// The mean luma of each area, row by row, in 256 levels.
pub(super) type Areas = [u8; AREAS];

/// Mean difference in millionths of full scale.
pub(super) fn difference_ppm(a: &[u8], b: &[u8]) -> u64 {
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum * 1_000_000 / (255 * AREAS as u64)
}

/// A rectangle of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// The areas of so many samples across and down, whose lines `luma` gives in units of `full` for white. Samples that lie on
/// the border of areas count for each with the share that lies in it.
fn areas<I: Iterator<Item = u64>>(
    (width, height): (usize, usize),
    full: u64,
    luma: impl Fn(usize) -> I,
) -> Areas {
    let (across, down) = (overlaps(width, ACROSS), overlaps(height, DOWN));
    let mut sums = [0u64; AREAS];
    for (line, rows) in down.iter().enumerate() {
        let mut row = [0u64; ACROSS];
        for (areas, sample) in across.iter().zip(luma(line)) {
            areas.iter().for_each(|(area, share)| row[*area] += sample * share);
        }
        for (area, share) in rows {
            let sums = &mut sums[area * ACROSS..][..ACROSS];
            sums.iter_mut().zip(row).for_each(|(sum, row)| *sum += row * share);
        }
    }
    // The shares of an area add up to the rectangle's size.
    let whole = (width * height) as u64 * full;
    sums.map(|sum| ((sum * 255 + whole / 2) / whole.max(1)).min(255) as u8)
}

/// For each of `samples` the areas in which it lies, with its share in units of one part of a sample in `areas`.
fn overlaps(samples: usize, areas: usize) -> Vec<Vec<(usize, u64)>> {
    let of_sample = |sample: usize| {
        let (start, end) = (sample * areas, (sample + 1) * areas);
        let touched = start / samples..=(end - 1) / samples;
        let share = |area: usize| end.min((area + 1) * samples) - start.max(area * samples);
        touched.map(|area| (area, share(area) as u64)).collect()
    };
    (0..samples).map(of_sample).collect()
}

/// The areas of a picture after it was turned clockwise by so many degrees.
pub(super) fn of_picture(picture: &ff::frame::Video, turn: u16) -> Result<Areas, MediaError> {
    let (width, height) = (picture.width(), picture.height());
    let (width, height) = if turn % 180 == 90 { (height, width) } else { (width, height) };
    let upright = Scaler::to_upright_rgb(width, height, turn).scale(picture)?;
    let rgb = upright.as_deref().unwrap_or(picture);
    Ok(areas((width as usize, height as usize), u64::from(u16::MAX), |line| lumas(rgb, line)))
}

/// Luma of a line of RGB with 16 bits, as JFIF reckons it (ITU-R BT.601).
fn lumas(rgb: &ff::frame::Video, line: usize) -> impl Iterator<Item = u64> {
    let plane = move |plane: usize| {
        let bytes = rgb.width() as usize * 2;
        words(&rgb.data(plane)[line * rgb.stride(plane)..][..bytes])
    };
    // Planes are green, blue, red.
    let samples = plane(2).zip(plane(0)).zip(plane(1));
    samples.map(|((r, g), b)| (299 * u64::from(r) + 587 * u64::from(g) + 114 * u64::from(b) + 500) / 1000)
}

/// The areas of a rectangle of a decoded JPEG.
pub(super) fn of_jpeg(picture: &ff::frame::Video, within: Rectangle) -> Result<Areas, MediaError> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let fits = within.x + within.width <= width && within.y + within.height <= height;
    let known = matches!(picture.format(), Pixel::YUVJ420P | Pixel::YUV420P);
    if !fits || !known {
        return Err(MediaError::failed(format!(
            "it is a picture of {width}x{height} {:?}",
            picture.format()
        )));
    }
    let (plane, stride) = (picture.data(0), picture.stride(0));
    let line = |line: usize| {
        let samples = &plane[(within.y + line) * stride + within.x..][..within.width];
        samples.iter().map(|sample| u64::from(*sample))
    };
    Ok(areas((within.width, within.height), 255, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_are_means_however_many_samples_there_are() {
        for (width, height) in [(16, 9), (320, 180), (57, 32), (5, 3), (1920, 1080)] {
            let flat = areas((width, height), 1000, |_| std::iter::repeat_n(500, width));
            assert_eq!(flat, [128; AREAS], "{width}x{height}");
            // The left half is black.
            let column = |x: usize| if 2 * x < width { 0 } else { 255 };
            let half = areas((width, height), 255, |_| (0..width).map(column));
            let mean = half.iter().map(|area| f64::from(*area)).sum::<f64>() / AREAS as f64;
            let white = (width / 2) as f64 / width as f64 * 255.0;
            assert!((mean - white).abs() < 1.0, "{width}x{height}: {mean} {white}");
            assert_eq!((half[0], half[ACROSS - 1]), (0, 255), "{width}x{height}");
        }
    }

    #[test]
    fn a_picture_is_reduced_as_it_is_shown() {
        let mut picture = ff::frame::Video::new(Pixel::YUV420P, 64, 32);
        for (plane, value) in [(0, 16), (1, 128), (2, 128)] {
            picture.data_mut(plane).fill(value);
        }
        let stride = picture.stride(0);
        picture.data_mut(0)[..stride * 4].fill(235);
        let top = of_picture(&picture, 0).unwrap();
        assert!(top[..ACROSS].iter().all(|area| *area > 250) && top[AREAS - 1] < 3, "{top:?}");
        let right = of_picture(&picture, 90).unwrap();
        assert!(right[ACROSS - 1] > 250 && right[0] < 3 && right[AREAS - 1] > 250, "{right:?}");
        assert!(difference_ppm(&top, &right) > 100_000);
    }
}
