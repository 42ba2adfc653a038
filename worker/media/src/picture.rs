//! Pixels: scaling a decoded picture, and turning it upright, for an encoder or for comparison.

use std::ptr;
use std::sync::Arc;

use ff::format::Pixel;
use ff::software::scaling;
use ffmpeg_next as ff;
use ffmpeg_next::ffi;

use crate::MediaError;

/// The one scaling filter, with rounding that does not depend on the machine's vector units.
const FILTER: scaling::Flags = scaling::Flags::BICUBIC;
/// What is said of it in a recipe key.
pub(crate) const FILTER_NAME: &str = "swscale bicubic accurate_rnd full_chroma_int bitexact";

/// Scales pictures to one size and turns them upright, without converting their colours.
pub(crate) struct Scaler {
    width: u32,
    height: u32,
    /// Degrees by which pictures are turned clockwise: 0, 90, 180 or 270.
    turn: u16,
    filter: scaling::Flags,
    format: Pixel,
    /// Whether the two fields of a picture are scaled each by itself.
    by_fields: bool,
    context: Option<scaling::Context>,
    /// A picture that is still to be turned.
    scaled: ff::frame::Video,
    /// What was given out. Those that nobody holds any more are written again: fresh memory costs more than scaling.
    finished: Vec<Arc<ff::frame::Video>>,
}

impl Scaler {
    /// A scaler to `width` by `height` pixels of 4:2:0, after turning.
    pub(crate) fn for_encoder(width: u32, height: u32, turn: u16, format: Pixel) -> Self {
        Self::new(width, height, turn, FILTER, format)
    }

    /// A converter to RGB with 16 bits a sample, in the picture's own size.
    pub(crate) fn to_rgb(width: u32, height: u32) -> Self {
        Self::new(width, height, 0, FILTER, Pixel::GBRP16LE)
    }

    /// A scaler to RGB with 16 bits a sample, to `width` by `height` pixels after turning.
    pub(crate) fn to_upright_rgb(width: u32, height: u32, turn: u16) -> Self {
        Self::new(width, height, turn, FILTER, Pixel::GBRP16LE)
    }

    /// Width and height, before turning.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Lets it scale the two fields of a picture each by itself.
    pub(crate) fn by_fields(self) -> Self {
        Scaler { by_fields: true, ..self }
    }

    /// A scaler to `width` by `height` luma samples after turning, each the mean of its area.
    pub(crate) fn for_comparison(width: u32, height: u32, turn: u16) -> Self {
        Self::new(width, height, turn, scaling::Flags::AREA, Pixel::GRAY8)
    }

    fn new(width: u32, height: u32, turn: u16, filter: scaling::Flags, format: Pixel) -> Self {
        let exact = scaling::Flags::ACCURATE_RND | scaling::Flags::FULL_CHR_H_INT | scaling::Flags::BITEXACT;
        let on_its_side = turn == 90 || turn == 270;
        let (width, height) = if on_its_side { (height, width) } else { (width, height) };
        let filter = filter | exact;
        let (scaled, finished) = (ff::frame::Video::empty(), Vec::new());
        let (by_fields, context) = (false, None);
        Scaler { width, height, turn, filter, format, by_fields, context, scaled, finished }
    }

    /// The finished picture; `None` for one that fits as it is.
    pub(crate) fn scale(
        &mut self,
        picture: &ff::frame::Video,
    ) -> Result<Option<Arc<ff::frame::Video>>, MediaError> {
        let format = picture.format();
        let same_format =
            format == self.format || (self.format == Pixel::YUV420P && format == Pixel::YUVJ420P);
        let fits = same_format && (picture.width(), picture.height()) == (self.width, self.height);
        if fits && self.turn == 0 {
            return Ok(None);
        }
        let mut finished = self.free_buffer();
        match (fits, self.turn) {
            (_, 0) => self.resize(picture, &mut finished)?,
            (true, degrees) => turn(picture, degrees, self.format, &mut finished),
            (false, degrees) => {
                let mut scaled = std::mem::replace(&mut self.scaled, ff::frame::Video::empty());
                self.resize(picture, &mut scaled)?;
                turn(&scaled, degrees, self.format, &mut finished);
                self.scaled = scaled;
            }
        }
        let finished = Arc::new(finished);
        self.finished.push(Arc::clone(&finished));
        Ok(Some(finished))
    }

    fn free_buffer(&mut self) -> ff::frame::Video {
        let free = self.finished.iter().position(|buffer| Arc::strong_count(buffer) == 1);
        let buffer = free.and_then(|at| Arc::into_inner(self.finished.swap_remove(at)));
        buffer.unwrap_or_else(ff::frame::Video::empty)
    }

    fn resize(
        &mut self,
        picture: &ff::frame::Video,
        scaled: &mut ff::frame::Video,
    ) -> Result<(), MediaError> {
        if !self.by_fields {
            return self.convert(picture, scaled, self.height);
        }
        if (scaled.width(), scaled.height()) != (self.width, self.height) {
            *scaled = ff::frame::Video::new(self.format, self.width, self.height);
        }
        [0, 1].into_iter().try_for_each(|line| {
            self.convert(&field(picture, line)?, &mut field(scaled, line)?, self.height / 2)
        })
    }

    /// Scales a frame or a field to so many lines, always as many.
    fn convert(
        &mut self,
        picture: &ff::frame::Video,
        scaled: &mut ff::frame::Video,
        height: u32,
    ) -> Result<(), MediaError> {
        let definition = (picture.width(), picture.height(), picture.format());
        let fits = |context: &scaling::Context| {
            let input = context.input();
            (input.width, input.height, input.format) == definition
        };
        if !self.context.as_ref().is_some_and(fits) {
            self.context = Some(self.open(picture, height)?);
        }
        let context = self.context.as_mut().ok_or_else(|| MediaError::failed("no scaler"))?;
        let scaled = context.run(picture, scaled);
        scaled.map(|_| ()).map_err(|error| MediaError::library("scaling a picture", error))
    }

    fn open(&self, picture: &ff::frame::Video, lines: u32) -> Result<scaling::Context, MediaError> {
        let (width, height) = (picture.width(), picture.height());
        let opened = scaling::Context::get(
            picture.format(),
            width,
            height,
            self.format,
            self.width,
            lines,
            self.filter,
        );
        let mut context = opened.map_err(|error| {
            let format = picture.format();
            MediaError::invalid(format!("pictures of {width}x{height} {format:?} cannot be scaled: {error}"))
        })?;
        // Without this, swscale would turn full range into limited, and guess a matrix for RGB.
        let (matrix, full_range) = colours(picture);
        let rgb = is_rgb(picture.format());
        let full_range = i32::from(full_range);
        let matrix = if rgb { ffi::SWS_CS_ITU709 } else { matrix };
        // SAFETY: the context is valid; the coefficient tables are libav's own and static.
        unsafe {
            // The numbers are those of H.273; the function takes any, and its default for those that it does not know.
            let table = ffi::sws_getCoefficients(matrix);
            let output_range = if rgb { 0 } else { full_range };
            let (brightness, one) = (0, 1 << 16);
            ffi::sws_setColorspaceDetails(
                context.as_mut_ptr(),
                table,
                full_range,
                table,
                output_range,
                brightness,
                one,
                one,
            );
        }
        Ok(context)
    }
}

/// Whether pictures of a format are RGB, whatever they are tagged as.
pub(crate) fn is_rgb(format: Pixel) -> bool {
    // SAFETY: the function returns a static descriptor, or null.
    let descriptor = unsafe { ffi::av_pix_fmt_desc_get(format.into()).as_ref() };
    let rgb = (ffi::AV_PIX_FMT_FLAG_RGB | ffi::AV_PIX_FMT_FLAG_PAL) as u64;
    descriptor.is_some_and(|descriptor| descriptor.flags & rgb != 0)
}

/// Another picture of the same samples, which nobody may write while both are there.
pub(crate) fn reference(picture: &ff::frame::Video) -> Result<ff::frame::Video, MediaError> {
    let mut other = ff::frame::Video::empty();
    // SAFETY: both frames are valid.
    match unsafe { ffi::av_frame_ref(other.as_mut_ptr(), picture.as_ptr()) } {
        0.. => Ok(other),
        _ => Err(MediaError::failed("no memory for a picture")),
    }
}

/// A picture of its own samples, which are the same.
pub(crate) fn copy(picture: &ff::frame::Video) -> Result<ff::frame::Video, MediaError> {
    let mut other = ff::frame::Video::new(picture.format(), picture.width(), picture.height());
    // SAFETY: both frames are valid, and of one format and size.
    let copied = unsafe {
        let (to, from) = (other.as_mut_ptr(), picture.as_ptr());
        ffi::av_frame_copy(to, from).min(ffi::av_frame_copy_props(to, from))
    };
    match copied {
        0.. => Ok(other),
        _ => Err(MediaError::failed("no memory for a picture")),
    }
}

/// Every second line of a picture, from line 0 or 1 on: a picture of half the height that refers to the same samples.
fn field(picture: &ff::frame::Video, first_line: usize) -> Result<ff::frame::Video, MediaError> {
    let mut field = reference(picture)?;
    // SAFETY: the frame is valid and ours alone. Every plane has as many lines as before or more than half of them, so that
    // all lines of the field lie in it.
    unsafe {
        let raw = &mut *field.as_mut_ptr();
        raw.height /= 2;
        for (data, stride) in raw.data.iter_mut().zip(&mut raw.linesize) {
            if !data.is_null() {
                *data = data.offset(*stride as isize * first_line as isize);
                *stride *= 2;
            }
        }
    }
    Ok(field)
}

/// MatrixCoefficients of a picture, and whether it has full range.
fn colours(picture: &ff::frame::Video) -> (i32, bool) {
    // SAFETY: the frame is valid; the fields are C enums of the size of an int, read as such because a stream may
    // hold a value that the Rust enum does not know.
    unsafe {
        let raw = picture.as_ptr();
        let matrix = ptr::addr_of!((*raw).colorspace).cast::<i32>().read();
        let range = ptr::addr_of!((*raw).color_range).cast::<i32>().read();
        (matrix, range == ffi::AVColorRange::AVCOL_RANGE_JPEG as i32)
    }
}

/// Turns a picture clockwise, the samples of whose planes have 8 bits, or else 16.
fn turn(picture: &ff::frame::Video, degrees: u16, format: Pixel, turned: &mut ff::frame::Video) {
    let (width, height) = match degrees {
        180 => (picture.width(), picture.height()),
        _ => (picture.height(), picture.width()),
    };
    if (turned.width(), turned.height()) != (width, height) {
        *turned = ff::frame::Video::new(format, width, height);
    }
    let bytes = if matches!(format, Pixel::YUV420P | Pixel::GRAY8) { 1 } else { 2 };
    for plane in 0..turned.planes() {
        let (columns, rows) = (turned.plane_width(plane) as usize, turned.plane_height(plane) as usize);
        let (from_stride, to_stride) = (picture.stride(plane), turned.stride(plane));
        let from = picture.data(plane);
        for (y, row) in turned.data_mut(plane).chunks_mut(to_stride).take(rows).enumerate() {
            for (x, sample) in row[..columns * bytes].chunks_exact_mut(bytes).enumerate() {
                let (across, down) = match degrees {
                    90 => (y, columns - 1 - x),
                    180 => (columns - 1 - x, rows - 1 - y),
                    _ => (rows - 1 - y, x),
                };
                sample.copy_from_slice(&from[down * from_stride + across * bytes..][..bytes]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(format: Pixel, width: u32, height: u32, value: u8) -> ff::frame::Video {
        let mut picture = ff::frame::Video::new(format, width, height);
        for plane in 0..picture.planes() {
            picture.data_mut(plane).fill(value);
        }
        picture
    }

    #[test]
    fn a_picture_that_fits_is_not_touched() {
        let picture = grey(Pixel::YUV420P, 64, 32, 100);
        let mut scaler = Scaler::for_encoder(64, 32, 0, Pixel::YUV420P);
        assert!(scaler.scale(&picture).unwrap().is_none());
    }

    #[test]
    fn a_picture_that_is_held_is_not_written_again_and_one_that_is_not_is() {
        let mut scaler = Scaler::for_encoder(32, 16, 0, Pixel::YUV420P);
        let mut shade =
            |value| scaler.scale(&grey(Pixel::YUV420P, 64, 32, value)).unwrap().expect("it is scaled");
        let held = shade(50);
        let buffer = shade(100).data(0).as_ptr();
        let next = shade(150);
        assert_eq!((held.data(0)[5], next.data(0)[5]), (50, 150));
        assert_eq!(next.data(0).as_ptr(), buffer);
    }

    #[test]
    fn neither_range_nor_level_changes_in_scaling() {
        for range in [ff::color::Range::MPEG, ff::color::Range::JPEG] {
            let mut picture = grey(Pixel::YUV422P, 64, 32, 250);
            picture.set_color_range(range);
            let mut scaler = Scaler::for_encoder(32, 16, 0, Pixel::YUV420P);
            let scaled = scaler.scale(&picture).unwrap().unwrap();
            assert_eq!((scaled.width(), scaled.height(), scaled.data(0)[5]), (32, 16, 250), "{range:?}");
        }
    }

    #[test]
    fn a_picture_is_turned_clockwise() {
        let mut picture = grey(Pixel::YUV420P, 64, 32, 10);
        // The top left corner is bright.
        let stride = picture.stride(0);
        picture.data_mut(0)[..4].fill(200);
        picture.data_mut(0)[stride..stride + 4].fill(200);
        for (degrees, size, corner) in
            [(90, (32, 64), (31, 0)), (180, (64, 32), (63, 31)), (270, (32, 64), (0, 63))]
        {
            let mut scaler = Scaler::for_encoder(size.0, size.1, degrees, Pixel::YUV420P);
            let turned = scaler.scale(&picture).unwrap().unwrap();
            assert_eq!((turned.width(), turned.height()), size, "{degrees}");
            let (x, y) = corner;
            assert_eq!(turned.data(0)[y * turned.stride(0) + x], 200, "{degrees}");
            let sum: u32 = (0..size.1 as usize)
                .flat_map(|row| &turned.data(0)[row * turned.stride(0)..][..size.0 as usize])
                .map(|sample| u32::from(*sample > 100))
                .sum();
            assert_eq!(sum, 8, "{degrees}");
        }
    }
}
