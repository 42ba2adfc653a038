//! A JPEG file: pictures beside and below each other, coded as JFIF says (ISO/IEC 10918-5: full range, BT.601).
//!
//! The coder reckons in whole numbers alone and has no vector code, so that its bytes are the same on every processor.

use std::sync::Arc;

use ffmpeg_next as ff;
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};

use super::areas::Rectangle;
use crate::MediaError;
use crate::measure::words;

/// What is said of the coder in a recipe key.
pub(super) const CODER: &str = "jpeg-encoder 0.7.1 baseline 4:2:0";
/// Qualities from 1 to 100: thumbnails are looked at for a moment and fetched by the dozen; a poster is looked at.
pub(super) const SHEET_QUALITY: u8 = 80;
pub(super) const POSTER_QUALITY: u8 = 90;

/// Thumbnails on a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) columns: u32,
    pub(super) rows: u32,
}

impl Layout {
    /// A picture by itself.
    pub(super) fn single((width, height): (u32, u32)) -> Self {
        Layout { width, height, columns: 1, rows: 1 }
    }

    /// Width and height of the whole.
    pub(super) fn size(self) -> (u32, u32) {
        (self.width * self.columns, self.height * self.rows)
    }

    /// Where a thumbnail lies, by its number on the sheet: from left to right, and from top to bottom.
    pub(super) fn place(self, number: usize) -> Rectangle {
        let (column, row) = (number % self.columns as usize, number / self.columns as usize);
        let (width, height) = (self.width as usize, self.height as usize);
        Rectangle { x: column * width, y: row * height, width, height }
    }
}

/// A sheet that is being filled; black where it is not.
pub(super) struct Sheet {
    layout: Layout,
    rgb: Vec<u8>,
    placed: usize,
}

impl Sheet {
    pub(super) fn new(layout: Layout) -> Self {
        let (width, height) = layout.size();
        Sheet { layout, rgb: vec![0; width as usize * height as usize * 3], placed: 0 }
    }

    /// Places the next thumbnail, which is RGB with 16 bits a sample and of the layout's size.
    pub(super) fn place(&mut self, picture: &Arc<ff::frame::Video>) {
        let Rectangle { x, y, width, height } = self.layout.place(self.placed);
        let columns = self.layout.size().0 as usize;
        for line in 0..height {
            let row = &mut self.rgb[((y + line) * columns + x) * 3..][..width * 3];
            // Planes are green, blue, red.
            for (component, plane) in [(0, 2), (1, 0), (2, 1)] {
                let samples = words(&picture.data(plane)[line * picture.stride(plane)..][..width * 2]);
                for (pixel, sample) in row.chunks_exact_mut(3).zip(samples) {
                    pixel[component] = ((u32::from(sample) * 255 + 32_767) / 65_535) as u8;
                }
            }
        }
        self.placed += 1;
    }

    /// The file.
    pub(super) fn jpeg(&self, quality: u8) -> Result<Vec<u8>, MediaError> {
        let (width, height) = self.layout.size();
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, quality);
        encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
        // Chroma lies in the middle of the samples that it belongs to.
        encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
        // Sides are checked with the profile.
        let coded = encoder.encode(&self.rgb, width as u16, height as u16, ColorType::Rgb);
        coded.map_err(|error| MediaError::failed(format!("a JPEG file cannot be made: {error}")))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use ff::format::Pixel;
    use ffmpeg_next::ffi;

    use super::*;
    use crate::picture::Scaler;

    /// Noise, which every rounding shows in.
    fn noise(format: Pixel, matrix: ff::color::Space) -> ff::frame::Video {
        let mut picture = ff::frame::Video::new(format, 642, 358);
        picture.set_color_space(matrix);
        let mut state = 7u64;
        for plane in 0..picture.planes() {
            for pair in picture.data_mut(plane).chunks_exact_mut(2) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let bytes = ((state >> 40) as u16).to_le_bytes();
                // Ten bits in words, eight in bytes.
                pair.copy_from_slice(&if format == Pixel::YUV422P10LE {
                    [bytes[0], bytes[1] & 3]
                } else {
                    bytes
                });
            }
        }
        picture
    }

    fn jpegs() -> Vec<Vec<u8>> {
        let sources = [
            (Pixel::YUV420P, ff::color::Space::BT709),
            (Pixel::YUV422P10LE, ff::color::Space::BT2020NCL),
            (Pixel::GBRP, ff::color::Space::RGB),
        ];
        let layouts = [(160, 90, 0), (90, 160, 270), (642, 358, 0), (700, 400, 180)];
        let jpeg = |picture: &ff::frame::Video, (width, height, turn)| {
            let scaled = Scaler::to_upright_rgb(width, height, turn).scale(picture).unwrap().unwrap();
            let mut sheet = Sheet::new(Layout::single((width, height)));
            sheet.place(&scaled);
            sheet.jpeg(SHEET_QUALITY).unwrap()
        };
        let pictures = sources.map(|(format, matrix)| noise(format, matrix));
        pictures.iter().flat_map(|picture| layouts.map(|layout| jpeg(picture, layout))).collect()
    }

    #[test]
    fn files_are_the_same_with_and_without_vector_units() {
        let with = jpegs();
        // SAFETY: sets a global of libavutil, which each scaler reads when it is opened.
        unsafe { ffi::av_force_cpu_flags(0) };
        let without = jpegs();
        // SAFETY: likewise; this takes it back.
        unsafe { ffi::av_force_cpu_flags(-1) };
        assert!(with == without);
    }
}
