//! Pictures reduced to the mean luma of a few areas, to tell frames apart.

use ff::format::Pixel;
use ffmpeg_next as ff;
use ffmpeg_next::ffi;
use reel_common::DigestWriter;

use crate::MediaError;
use crate::picture::Scaler;

/// Areas across and down.
const WIDTH: usize = 64;
const HEIGHT: usize = 36;
/// A picture with less than one sample for each area cannot be reduced.
const MIN_SIDE: u32 = 64;

/// The mean luma of each area, row by row, in 256 levels.
pub(crate) type Thumbnail = [u8; WIDTH * HEIGHT];

/// Mean difference in levels of 256.
pub(crate) fn difference(a: &Thumbnail, b: &Thumbnail) -> f64 {
    let sum: u32 = a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    f64::from(sum) / (WIDTH * HEIGHT) as f64
}

/// A reduced picture.
pub(crate) struct Reduced {
    pub(crate) thumbnail: Thumbnail,
    /// The luma of each area, unrounded where it lies in the open: two decodes of a frame that differ in it are not the
    /// same.
    sums: Vec<u64>,
}

impl Reduced {
    /// Adds what tells two decodes of a frame apart.
    pub(crate) fn add_to(&self, digest: &mut DigestWriter) {
        let bytes: Vec<u8> = self.sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        digest.add(&bytes);
    }
}

/// Reduces pictures.
pub(crate) struct Reducer {
    /// Degrees by which pictures are turned clockwise to stand upright.
    turn: u16,
    /// For pictures whose luma does not lie in the open.
    scaler: Scaler,
}

impl Reducer {
    /// For pictures that stand upright when they are turned clockwise by so many degrees.
    pub(crate) fn new(turn: u16) -> Self {
        Reducer { turn, scaler: Scaler::for_comparison(WIDTH as u32, HEIGHT as u32, turn) }
    }

    pub(crate) fn reduce(&mut self, picture: &ff::frame::Video) -> Result<Reduced, MediaError> {
        let luma = Luma::of(picture.format());
        let large = picture.width() >= MIN_SIDE && picture.height() >= MIN_SIDE;
        if let Some(luma) = luma.filter(|_| large && self.turn == 0) {
            return Ok(means(picture, luma));
        }
        let small = self.scaler.scale(picture)?;
        let small = small.as_deref().unwrap_or(picture);
        let mut thumbnail = [0; WIDTH * HEIGHT];
        for (row, samples) in thumbnail.chunks_exact_mut(WIDTH).zip(small.data(0).chunks(small.stride(0))) {
            row.copy_from_slice(&samples[..WIDTH]);
        }
        Ok(Reduced { thumbnail, sums: thumbnail.map(u64::from).to_vec() })
    }
}

/// How the luma samples lie in the first plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Luma {
    /// Bytes of a sample: 1, or 2 in little-endian order.
    pub(crate) bytes: usize,
    /// How far a sample is shifted right to be one of 256 levels.
    pub(crate) shift: u32,
}

impl Luma {
    /// The layout of formats with a luma plane of their own.
    pub(crate) fn of(format: Pixel) -> Option<Self> {
        // SAFETY: the function returns a static descriptor, or null.
        let descriptor = unsafe { ffi::av_pix_fmt_desc_get(format.into()).as_ref() }?;
        let foreign = ffi::AV_PIX_FMT_FLAG_RGB
            | ffi::AV_PIX_FMT_FLAG_PAL
            | ffi::AV_PIX_FMT_FLAG_BE
            | ffi::AV_PIX_FMT_FLAG_BITSTREAM
            | ffi::AV_PIX_FMT_FLAG_FLOAT
            | ffi::AV_PIX_FMT_FLAG_HWACCEL;
        let luma = descriptor.comp[0];
        let bytes = if luma.depth > 8 { 2 } else { 1 };
        if descriptor.flags & foreign as u64 != 0 || luma.plane != 0 || luma.step != bytes || luma.depth < 8 {
            return None;
        }
        Some(Luma { bytes: bytes as usize, shift: (luma.shift + luma.depth - 8) as u32 })
    }
}

fn means(picture: &ff::frame::Video, luma: Luma) -> Reduced {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (plane, stride) = (picture.data(0), picture.stride(0));
    let mut thumbnail = [0; WIDTH * HEIGHT];
    let mut sums = Vec::with_capacity(WIDTH * HEIGHT);
    // Sums of the samples above each other first: whole lines are added faster than pieces of them.
    let (mut columns, mut few) = (vec![0u32; width], vec![0u16; width]);
    for (down, row) in thumbnail.chunks_exact_mut(WIDTH).enumerate() {
        let (top, bottom) = (down * height / HEIGHT, (down + 1) * height / HEIGHT);
        columns.fill(0);
        let lines = plane.chunks(stride).take(bottom).skip(top).map(|line| &line[..width * luma.bytes]);
        match luma.bytes {
            1 => add_bytes(&mut columns, &mut few, lines),
            _ => lines.for_each(|line| add_words(&mut columns, line)),
        }
        for (across, mean) in row.iter_mut().enumerate() {
            let (left, right) = (across * width / WIDTH, (across + 1) * width / WIDTH);
            let sum: u64 = columns[left..right].iter().map(|column| u64::from(*column)).sum();
            *mean = ((sum / ((bottom - top) * (right - left)) as u64) >> luma.shift) as u8;
            sums.push(sum);
        }
    }
    Reduced { thumbnail, sums }
}

/// Adds lines of bytes to the sums of columns, as many at a time as a sum of 16 bits holds: twice as fast as in 32 bits.
/// `few` is room for those sums.
fn add_bytes<'a>(columns: &mut [u32], few: &mut [u16], lines: impl Iterator<Item = &'a [u8]>) {
    const MOST: usize = (u16::MAX / u8::MAX as u16) as usize;
    let mut lines = lines.peekable();
    while lines.peek().is_some() {
        few.fill(0);
        for line in lines.by_ref().take(MOST) {
            few.iter_mut().zip(line).for_each(|(sum, sample)| *sum += u16::from(*sample));
        }
        columns.iter_mut().zip(&*few).for_each(|(column, sum)| *column += u32::from(*sum));
    }
}

/// Adds a line of words in little-endian order.
fn add_words(columns: &mut [u32], line: &[u8]) {
    columns.iter_mut().zip(words(line)).for_each(|(column, sample)| *column += u32::from(sample));
}

/// The samples of a line of words in little-endian order.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = u16> {
    line.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ramp from left to right and from top to bottom.
    fn ramp(format: Pixel, bytes: usize, shift: u32) -> ff::frame::Video {
        let mut picture = ff::frame::Video::new(format, 640, 360);
        for plane in 1..picture.planes() {
            picture.data_mut(plane).fill(0);
        }
        let stride = picture.stride(0);
        for (y, line) in picture.data_mut(0).chunks_mut(stride).take(360).enumerate() {
            for x in 0..640 {
                let value = ((x / 10 + y / 10 * 2) << shift) as u16;
                line[x * bytes..][..bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
            }
        }
        picture
    }

    #[test]
    fn means_are_those_of_the_areas_at_any_depth() {
        for (format, bytes, shift) in
            [(Pixel::YUV420P, 1, 0), (Pixel::YUV422P10LE, 2, 2), (Pixel::P010LE, 2, 8), (Pixel::NV12, 1, 0)]
        {
            let picture = ramp(format, bytes, shift);
            let thumbnail = Reducer::new(0).reduce(&picture).unwrap().thumbnail;
            for (at, mean) in thumbnail.iter().enumerate() {
                assert_eq!(usize::from(*mean), at % WIDTH + at / WIDTH * 2, "{format:?} at {at}");
            }
        }
    }

    #[test]
    fn any_number_of_lines_is_added_without_loss() {
        for lines in [0, 1, 257, 258, 1000] {
            let (mut columns, line) = (vec![7; 3], [255, 1, 0]);
            let lines_of = (0..lines).map(|_| &line[..]);
            add_bytes(&mut columns, &mut [9; 3], lines_of);
            assert_eq!(columns, [7 + lines * 255, 7 + lines, 7]);
        }
    }

    #[test]
    fn formats_without_a_luma_plane_are_converted() {
        assert_eq!(Luma::of(Pixel::RGB24), None);
        assert_eq!(Luma::of(Pixel::YUYV422), None);
        let mut picture = ff::frame::Video::new(Pixel::RGB24, 640, 360);
        picture.data_mut(0).fill(255);
        picture.set_color_space(ff::color::Space::RGB);
        let thumbnail = Reducer::new(0).reduce(&picture).unwrap().thumbnail;
        assert!(thumbnail.iter().all(|mean| (230..=236).contains(mean)), "{thumbnail:?}");
    }
}
