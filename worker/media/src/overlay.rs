//! Logos over the frames of a title.
//!
//! A logo is laid over a picture before anything else is made of it, so that every rendition and the proof have it. Its
//! colours are those of sRGB with a straight alpha (PNG); over HDR its white is at 203 cd/m2 (ITU-R BT.2408). All is reckoned in
//! the picture's own samples, each the mean of what of the logo lies over it.

use std::sync::Arc;

use ff::format::Pixel;
use ff::software::scaling;
use ffmpeg_next as ff;
use ffmpeg_next::ffi;
use reel_common::{Colour, Digest, DigestWriter, VideoFacts};
use reel_profiles::HDR_TRANSFERS;
use reel_proto::v1;

use crate::MediaError;
use crate::decode::{Speed, open_decoder};
use crate::demux::start_libav;
use crate::encoder::in_ycbcr;
use crate::picture::is_rgb;
use crate::tone::sdr_signal_in;

/// Most pixels of a logo: more than any picture shows of it.
const MAX_PIXELS: u64 = 4 << 20;
/// Lines from which on pictures are taken to be in BT.709.
const HD_LINES: u32 = 720;
/// One, as a share of a blend.
const WHOLE: f64 = 65_536.0;
const PPM: f64 = 1e6;

/// A logo as its file has it.
struct Logo {
    width: usize,
    height: usize,
    /// R, G, B and alpha.
    pixels: Vec<[u8; 4]>,
    /// TransferCharacteristics of the pictures that it goes over.
    transfer: u8,
}

impl Logo {
    /// Reads a PNG, for pictures of a colour.
    fn read(png: &[u8], colour: Colour) -> Result<Self, MediaError> {
        start_libav();
        let unreadable = || MediaError::invalid("it is no PNG that can be read: save it again, as RGBA");
        // Width and height of the header, which comes first (PNG, 11.2.2).
        if !png.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Err(unreadable());
        }
        let side = |at: usize| Some(u64::from(u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?)));
        let (width, height) = side(16).zip(side(20)).ok_or_else(unreadable)?;
        if width.saturating_mul(height) > MAX_PIXELS {
            return Err(MediaError::invalid(format!(
                "it has {width}x{height} pixels, at most {MAX_PIXELS} together are read: make it smaller"
            )));
        }
        let setup = v1::DecoderSetup { codec: "png".to_owned(), ..Default::default() };
        let mut decoder = open_decoder(&setup, None, Speed::Exact)?;
        let mut picture = ff::frame::Video::empty();
        decoder.send_packet(&ff::Packet::copy(png)).map_err(|_| unreadable())?;
        decoder.send_eof().map_err(|_| unreadable())?;
        decoder.receive_frame(&mut picture).map_err(|_| unreadable())?;
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let rgba = to_rgba(&picture)?;
        let mut pixels = Vec::with_capacity(width * height);
        for line in rgba.data(0).chunks(rgba.stride(0)).take(height) {
            pixels.extend_from_slice(line[..width * 4].as_chunks().0);
        }
        Ok(Logo { width, height, pixels, transfer: colour.transfer })
    }

    /// R, G and B of a pixel from 0 to 1, times alpha, and alpha.
    fn signal(&self, pixel: [u8; 4]) -> [f64; 4] {
        let [r, g, b, alpha] = pixel.map(|value| f64::from(value) / 255.0);
        let [r, g, b] = sdr_signal_in(self.transfer, [r, g, b]);
        [r * alpha, g * alpha, b * alpha, alpha]
    }

    /// Hashes what is laid over pictures: over HDR its signal, since mathematical libraries may round otherwise elsewhere.
    fn add_to(&self, digest: &mut DigestWriter) {
        digest.add(&(self.width as u64).to_le_bytes());
        for pixel in &self.pixels {
            match HDR_TRANSFERS.contains(&self.transfer) {
                true => {
                    self.signal(*pixel).iter().for_each(|value| digest.add(&(*value as f32).to_le_bytes()))
                }
                false => digest.add(pixel),
            }
        }
    }

    /// The sum over `[left, right)` and `[top, bottom)`, in pixels and pieces of them; nothing lies outside.
    fn sum(&self, (left, right): (f64, f64), (top, bottom): (f64, f64)) -> [f64; 4] {
        let cover = |from: f64, to: f64, at: usize| (to.min(at as f64 + 1.0) - from.max(at as f64)).max(0.0);
        let range = |from: f64, to: f64, end: usize| {
            (from.floor().max(0.0) as usize).min(end)..(to.ceil().max(0.0) as usize).min(end)
        };
        let mut sum = [0.0; 4];
        for y in range(top, bottom, self.height) {
            for x in range(left, right, self.width) {
                let share = cover(left, right, x) * cover(top, bottom, y);
                let pixel = self.signal(self.pixels[y * self.width + x]);
                for (sum, value) in sum.iter_mut().zip(pixel) {
                    *sum += value * share;
                }
            }
        }
        sum
    }
}

fn to_rgba(picture: &ff::frame::Video) -> Result<ff::frame::Video, MediaError> {
    let (width, height) = (picture.width(), picture.height());
    let flags = scaling::Flags::POINT | scaling::Flags::ACCURATE_RND | scaling::Flags::BITEXACT;
    let mut rgba = ff::frame::Video::empty();
    scaling::Context::get(picture.format(), width, height, Pixel::RGBA, width, height, flags)
        .and_then(|mut context| context.run(picture, &mut rgba))
        .map_err(|error| MediaError::library("reading a logo", error))?;
    Ok(rgba)
}

/// A logo in its place over some frames of a source.
pub(crate) struct Overlay {
    logo: Arc<Logo>,
    /// Left and upper edge, width and height, in the picture as it is shown: 1 is all of it.
    place: [f64; 4],
    opacity: f64,
    /// Frames `[start, end)` of the source.
    frames: (u64, u64),
    colour: Colour,
    /// Degrees by which the picture is turned clockwise to be shown.
    turn: u16,
    digest: Digest,
    prepared: Option<Prepared>,
}

impl Overlay {
    /// A logo over the frames of a source with such pictures, which are cut to `size` and coded in `colour`.
    pub(crate) fn new(
        overlay: &v1::IndexedOverlay,
        frames: (u64, u64),
        facts: &VideoFacts,
        size: (u32, u32),
        colour: Colour,
    ) -> Result<Self, MediaError> {
        let logo = Logo::read(&overlay.png, colour)?;
        let share = |ppm: u32| f64::from(ppm) / PPM;
        let (width, opacity) = (share(overlay.width_ppm), share(overlay.opacity_ppm));
        // Of the picture as it is shown.
        let coded = f64::from(size.0) * facts.sample_aspect.to_f64() / f64::from(size.1);
        let aspect = if facts.rotation % 180 == 90 { 1.0 / coded } else { coded };
        let height = width * aspect * logo.height as f64 / logo.width as f64;
        let place = [share(overlay.x_ppm), share(overlay.y_ppm), width, height];
        let mut digest = DigestWriter::default();
        logo.add_to(&mut digest);
        place.iter().chain([&opacity]).for_each(|number| digest.add(&number.to_le_bytes()));
        Ok(Overlay {
            logo: Arc::new(logo),
            place,
            opacity,
            frames,
            colour: told(in_ycbcr(colour), size.1),
            turn: facts.rotation,
            digest: digest.finish(),
            prepared: None,
        })
    }

    /// The same, to be laid over other pictures.
    pub(crate) fn again(&self) -> Self {
        Overlay { logo: Arc::clone(&self.logo), prepared: None, ..*self }
    }

    /// Bytes of memory that it takes over pictures of so many samples: the logo, and three components of what it covers.
    pub(crate) fn memory(&self, pixels: u64) -> u64 {
        let covered = (self.place[2] * self.place[3]).min(1.0) * pixels as f64;
        let of_sample = size_of::<(u64, u32)>() * 3;
        (self.logo.pixels.len() * 4) as u64 + covered as u64 * of_sample as u64
    }

    /// What it looks like and where.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Its frames within `[start, end)`, if there are any.
    pub(crate) fn within(&self, start: u64, end: u64) -> Option<(u64, u64)> {
        let frames = (self.frames.0.max(start), self.frames.1.min(end));
        (frames.0 < frames.1).then_some(frames)
    }

    /// Where it ends below: 1 is the picture's lower edge.
    pub(crate) fn lower_edge(&self) -> f64 {
        self.place[1] + self.place[3]
    }

    /// Lays it over a picture.
    pub(crate) fn draw(&mut self, picture: &mut ff::frame::Video) -> Result<(), MediaError> {
        let shape = (picture.format(), picture.width(), picture.height());
        let prepared = match self.prepared.take().filter(|prepared| prepared.shape == shape) {
            Some(prepared) => prepared,
            None => self.prepare(shape)?,
        };
        prepared.layers.iter().for_each(|layer| layer.draw(picture));
        self.prepared = Some(prepared);
        Ok(())
    }

    fn prepare(&self, shape: (Pixel, u32, u32)) -> Result<Prepared, MediaError> {
        let (format, width, height) = shape;
        // SAFETY: the function returns a static descriptor, or null.
        let descriptor = unsafe { ffi::av_pix_fmt_desc_get(format.into()).as_ref() };
        let refused = || {
            MediaError::invalid(format!(
                "a logo cannot be laid over pictures of {format:?}: convert the mezzanine"
            ))
        };
        let descriptor = descriptor.ok_or_else(refused)?;
        let foreign = ffi::AV_PIX_FMT_FLAG_PAL
            | ffi::AV_PIX_FMT_FLAG_BE
            | ffi::AV_PIX_FMT_FLAG_BITSTREAM
            | ffi::AV_PIX_FMT_FLAG_FLOAT
            | ffi::AV_PIX_FMT_FLAG_HWACCEL;
        if descriptor.flags & foreign as u64 != 0 {
            return Err(refused());
        }
        let components = &descriptor.comp[..usize::from(descriptor.nb_components).min(3)];
        let bytes = |at: usize| {
            let component = &components[at];
            let length = if component.depth + component.shift > 8 { 2 } else { 1 };
            (component.plane, component.offset..component.offset + length)
        };
        let shared = |a: usize, b: usize| {
            let ((plane, own), (other_plane, other)) = (bytes(a), bytes(b));
            plane == other_plane && own.start < other.end && other.start < own.end
        };
        let small = components.iter().any(|component| component.depth < 8);
        if small || (0..components.len()).any(|b| (0..b).any(|a| shared(a, b))) {
            return Err(refused());
        }
        let rgb = is_rgb(format);
        let mut layers = Vec::with_capacity(3);
        // A fourth is alpha, which nobody looks at.
        for (number, component) in components.iter().enumerate() {
            let chroma = number > 0 && !rgb && descriptor.nb_components > 2;
            let shift = |log2: u8| if chroma { u32::from(log2) } else { 0 };
            let (across, down) = (shift(descriptor.log2_chroma_w), shift(descriptor.log2_chroma_h));
            layers.push(Layer {
                plane: component.plane as usize,
                step: component.step as usize,
                offset: component.offset as usize,
                wide: component.depth + component.shift > 8,
                shift: component.shift as u32,
                ..self.layer(
                    Component { number, rgb, depth: component.depth as u32 },
                    (width, height),
                    (across, down),
                )
            });
        }
        Ok(Prepared { shape, layers })
    }

    /// What one component becomes, sample by sample; `log2` is by how much it is smaller than the picture.
    fn layer(&self, component: Component, (width, height): (u32, u32), log2: (u32, u32)) -> Layer {
        let columns = width.div_ceil(1 << log2.0) as usize;
        let rows = height.div_ceil(1 << log2.1) as usize;
        let block =
            (f64::from(1u32 << log2.0) / f64::from(width), f64::from(1u32 << log2.1) / f64::from(height));
        let [left, top, shown_width, shown_height] = self.turned_back();
        let range = |from: f64, length: f64, step: f64, end: usize| {
            let first = ((from / step).floor().max(0.0) as usize).min(end);
            first..(((from + length) / step).ceil() as usize).clamp(first, end)
        };
        let (xs, ys) = (range(left, shown_width, block.0, columns), range(top, shown_height, block.1, rows));
        let mut samples = Vec::with_capacity(xs.len() * ys.len());
        for y in ys.clone() {
            for x in xs.clone() {
                let across = (x as f64 * block.0, (x + 1) as f64 * block.0);
                let down = (y as f64 * block.1, (y + 1) as f64 * block.1);
                samples.push(self.blend(component, across, down));
            }
        }
        Layer { plane: 0, step: 0, offset: 0, wide: false, shift: 0, xs, ys, samples }
    }

    /// The place in the picture as it is coded.
    fn turned_back(&self) -> [f64; 4] {
        let [x, y, width, height] = self.place;
        match self.turn {
            90 => [y, 1.0 - x - width, height, width],
            180 => [1.0 - x - width, 1.0 - y - height, width, height],
            270 => [1.0 - y - height, x, height, width],
            _ => self.place,
        }
    }

    /// What is added to a sample, and what stays of it, of one that lies at these shares of the coded picture.
    fn blend(&self, component: Component, across: (f64, f64), down: (f64, f64)) -> (u64, u32) {
        let flip = |(from, to): (f64, f64)| (1.0 - to, 1.0 - from);
        let (u, v) = match self.turn {
            90 => (flip(down), across),
            180 => (flip(across), flip(down)),
            270 => (down, flip(across)),
            _ => (across, down),
        };
        let [x, y, width, height] = self.place;
        let in_logo = |at: f64, from: f64, length: f64, pixels: usize| (at - from) / length * pixels as f64;
        let xs = [u.0, u.1].map(|at| in_logo(at, x, width, self.logo.width));
        let ys = [v.0, v.1].map(|at| in_logo(at, y, height, self.logo.height));
        let area = (xs[1] - xs[0]) * (ys[1] - ys[0]);
        let mean = self.logo.sum((xs[0], xs[1]), (ys[0], ys[1])).map(|sum| sum / area * self.opacity);
        let alpha = (mean[3].clamp(0.0, 1.0) * WHOLE).round();
        let value = component.value([mean[0], mean[1], mean[2]], mean[3], self.colour);
        ((value * WHOLE).round().max(0.0) as u64, (WHOLE - alpha) as u32)
    }
}

/// Colours of which the matrix is known: where nothing is said, that which players take for pictures of that height.
fn told(colour: Colour, height: u32) -> Colour {
    const UNSPECIFIED: u8 = 2;
    let usual = if height < HD_LINES { 6 } else { 1 };
    Colour { matrix: if colour.matrix == UNSPECIFIED { usual } else { colour.matrix }, ..colour }
}

/// A component of a pixel format.
#[derive(Clone, Copy)]
struct Component {
    number: usize,
    rgb: bool,
    /// Bits of a sample.
    depth: u32,
}

impl Component {
    /// The sample of a colour (R, G, B times alpha), times alpha.
    fn value(self, [r, g, b]: [f64; 3], alpha: f64, colour: Colour) -> f64 {
        let full = f64::from((1u32 << self.depth) - 1);
        let scale = f64::from(1u32 << (self.depth - 8));
        if self.rgb {
            return [r, g, b][self.number] * full;
        }
        let (kr, kb) = weights(colour.matrix);
        let luma = kr * r + (1.0 - kr - kb) * g + kb * b;
        let middle = f64::from(1u32 << (self.depth - 1));
        let chroma = |value: f64, k: f64| (value - luma) / (2.0 * (1.0 - k));
        match (self.number, colour.full_range) {
            (0, true) => luma * full,
            (0, false) => (16.0 * alpha + 219.0 * luma) * scale,
            (number, range) => {
                let value = if number == 1 { chroma(b, kb) } else { chroma(r, kr) };
                middle * alpha + value * if range { full } else { 224.0 * scale }
            }
        }
    }
}

/// The weights of red and blue (ITU-T H.273, table 4).
fn weights(matrix: u8) -> (f64, f64) {
    match matrix {
        4 => (0.30, 0.11),
        5 | 6 => (0.299, 0.114),
        7 => (0.212, 0.087),
        9 => (0.2627, 0.0593),
        _ => (0.2126, 0.0722),
    }
}

/// A logo in the samples of pictures of one format and size.
struct Prepared {
    shape: (Pixel, u32, u32),
    layers: Vec<Layer>,
}

/// What becomes of one component.
struct Layer {
    plane: usize,
    /// Bytes from one sample to the next, and to the first.
    step: usize,
    offset: usize,
    /// Whether a sample has two bytes.
    wide: bool,
    /// Bits below the sample.
    shift: u32,
    xs: std::ops::Range<usize>,
    ys: std::ops::Range<usize>,
    /// What is added, and what stays of the sample, in shares of [`WHOLE`].
    samples: Vec<(u64, u32)>,
}

impl Layer {
    fn draw(&self, picture: &mut ff::frame::Video) {
        let stride = picture.stride(self.plane);
        let bytes = picture.data_mut(self.plane);
        let mut samples = self.samples.iter();
        for y in self.ys.clone() {
            for (x, (added, stays)) in self.xs.clone().zip(samples.by_ref()) {
                let at = y * stride + x * self.step + self.offset;
                let old = match self.wide {
                    true => u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]) >> self.shift),
                    false => u64::from(bytes[at] >> self.shift),
                };
                let new = ((old * u64::from(*stays) + added + 0x8000) >> 16) << self.shift;
                match self.wide {
                    true => bytes[at..at + 2].copy_from_slice(&(new as u16).to_le_bytes()),
                    false => bytes[at] = new as u8,
                }
            }
        }
    }
}
