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
