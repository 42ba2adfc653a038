//! Pixels: scaling a decoded picture for an encoder, or for comparison.

use ff::format::Pixel;
use ff::software::scaling;
use ffmpeg_next as ff;
use ffmpeg_next::ffi;

use crate::MediaError;

/// The one scaling filter, with rounding that does not depend on the machine's vector units.
const FILTER: scaling::Flags = scaling::Flags::BICUBIC;
/// What is said of it in a recipe key.
pub(crate) const FILTER_NAME: &str = "swscale bicubic accurate_rnd full_chroma_int bitexact";

/// Scales pictures to one size and 8-bit 4:2:0, without converting their colours.
pub(crate) struct Scaler {
    width: u32,
    height: u32,
    filter: scaling::Flags,
    format: Pixel,
    context: Option<scaling::Context>,
    output: ff::frame::Video,
}

impl Scaler {
    /// A scaler to `width` by `height` pixels of 4:2:0 for an encoder.
    pub(crate) fn for_encoder(width: u32, height: u32) -> Self {
        Self::new(width, height, FILTER, Pixel::YUV420P)
    }

    /// A scaler to `width` by `height` luma samples, each the mean of its area.
    pub(crate) fn for_comparison(width: u32, height: u32) -> Self {
        Self::new(width, height, scaling::Flags::AREA, Pixel::GRAY8)
    }

    fn new(width: u32, height: u32, filter: scaling::Flags, format: Pixel) -> Self {
        let exact = scaling::Flags::ACCURATE_RND | scaling::Flags::FULL_CHR_H_INT | scaling::Flags::BITEXACT;
        Scaler {
            width,
            height,
            filter: filter | exact,
            format,
            context: None,
            output: ff::frame::Video::empty(),
        }
    }

    /// The scaled picture, which the next call overwrites. A picture that fits already is given back as it is.
    pub(crate) fn scale<'a>(
        &'a mut self,
        picture: &'a ff::frame::Video,
    ) -> Result<&'a ff::frame::Video, MediaError> {
        let (width, height, format) = (picture.width(), picture.height(), picture.format());
        let same_format =
            format == self.format || (self.format == Pixel::YUV420P && format == Pixel::YUVJ420P);
        if (width, height) == (self.width, self.height) && same_format {
            return Ok(picture);
        }
        let fits = |context: &scaling::Context| {
            let input = context.input();
            (input.width, input.height, input.format) == (width, height, format)
        };
        if !self.context.as_ref().is_some_and(fits) {
            self.context = Some(self.open(picture)?);
        }
        let context = self.context.as_mut().ok_or_else(|| MediaError::failed("no scaler"))?;
        let scaled = context.run(picture, &mut self.output);
        scaled.map_err(|error| MediaError::library("scaling a picture", error))?;
        Ok(&self.output)
    }

    fn open(&self, picture: &ff::frame::Video) -> Result<scaling::Context, MediaError> {
        let (width, height) = (picture.width(), picture.height());
        let opened = scaling::Context::get(
            picture.format(),
            width,
            height,
            self.format,
            self.width,
            self.height,
            self.filter,
        );
        let mut context = opened.map_err(|error| {
            let format = picture.format();
            MediaError::invalid(format!("pictures of {width}x{height} {format:?} cannot be scaled: {error}"))
        })?;
        // Without this, swscale would turn full range into limited, and guess a matrix for RGB.
        let full_range = i32::from(picture.color_range() == ff::color::Range::JPEG);
        let matrix = match picture.color_space() {
            ff::color::Space::BT709 => ffi::SWS_CS_ITU709,
            ff::color::Space::BT2020NCL | ff::color::Space::BT2020CL => ffi::SWS_CS_BT2020,
            ff::color::Space::RGB => ffi::SWS_CS_ITU709,
            _ => ffi::SWS_CS_DEFAULT,
        };
        let rgb = picture.color_space() == ff::color::Space::RGB;
        // SAFETY: the context is valid; the coefficient tables are libav's own and static.
        unsafe {
            let table = ffi::sws_getCoefficients(matrix as i32);
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
        let mut scaler = Scaler::for_encoder(64, 32);
        assert_eq!(scaler.scale(&picture).unwrap().data(0).as_ptr(), picture.data(0).as_ptr());
    }

    #[test]
    fn neither_range_nor_level_changes_in_scaling() {
        for range in [ff::color::Range::MPEG, ff::color::Range::JPEG] {
            let mut picture = grey(Pixel::YUV422P, 64, 32, 250);
            picture.set_color_range(range);
            let mut scaler = Scaler::for_encoder(32, 16);
            let scaled = scaler.scale(&picture).unwrap();
            assert_eq!((scaled.width(), scaled.height(), scaled.data(0)[5]), (32, 16, 250), "{range:?}");
        }
    }
}
