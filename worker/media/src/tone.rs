//! HDR made SDR: a table from RGB of BT.2020 in PQ or HLG to RGB of BT.709, and pictures that go through it.
//!
//! Light is measured as ITU-R BT.2100 says, compressed to 100 cd/m2 by the curve of ITU-R BT.2390 (5.4.1) over the largest
//! of the three components, so that colours keep their hue, and shown as BT.1886 says. Colours outside of BT.709 move
//! towards the grey of their luminance until they are inside.

use std::sync::Arc;

use ff::format::Pixel;
use ffmpeg_next as ff;
use reel_common::{Colour, Digest, VideoFacts};

use crate::MediaError;
use crate::picture::Scaler;

/// Points of the table along each axis.
const POINTS: usize = 33;
/// Code points of H.273: the transfer of HLG, and the matrices that swscale turns into RGB of BT.2020.
pub(crate) const PQ: u8 = 16;
pub(crate) const HLG: u8 = 18;
const MATRICES: [u8; 2] = [0, 9];
/// The light of SDR white, and of the display that HLG is graded for, in cd/m2.
const SDR_WHITE: f64 = 100.0;
const HLG_PEAK: f64 = 1000.0;
/// The light of white in what is laid over HDR.
const REFERENCE_WHITE: f64 = 203.0;
/// Where a source in PQ does not say how bright it gets.
const USUAL_PEAK: f64 = 1000.0;
/// The largest value of a sample.
const FULL: f64 = 65_535.0;

/// What becomes of every colour.
pub(crate) struct ToneTable {
    /// R, G and B for each point, blue fastest.
    points: Vec<[u16; 3]>,
    digest: Digest,
}

impl ToneTable {
    /// The table for a source.
    pub(crate) fn new(source: &VideoFacts) -> Result<Self, MediaError> {
        let Colour { transfer, matrix, .. } = source.colour;
        if !MATRICES.contains(&matrix) {
            return Err(MediaError::invalid(format!(
                "`tone_map` takes pictures of BT.2020 with matrix 9, or RGB, not matrix {matrix}: convert the mezzanine, \
                 or tag it right"
            )));
        }
        let light = if transfer == HLG { hlg_light } else { pq_light };
        let peak = if transfer == HLG { HLG_PEAK } else { peak(source) };
        let axis = || (0..POINTS).map(|point| point as f64 / (POINTS - 1) as f64);
        let colours = axis().flat_map(|r| axis().flat_map(move |g| axis().map(move |b| [r, g, b])));
        let points =
            colours.map(|colour| display(compress(light(colour), peak)).map(|v| (v * FULL).round() as u16));
        let points: Vec<_> = points.collect();
        let bytes: Vec<u8> = points.iter().flatten().flat_map(|value: &u16| value.to_le_bytes()).collect();
        Ok(ToneTable { points, digest: Digest::of(&bytes) })
    }

    /// What tells it from another: mathematical libraries may round otherwise elsewhere.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// The colour for a colour, interpolated in the tetrahedron of the four nearest points.
    fn map(&self, colour: [u16; 3]) -> [u16; 3] {
        let cells = (POINTS - 1) as u32;
        let scaled = colour.map(|value| u32::from(value) * cells);
        let base = scaled.map(|value| (value >> 16) as usize);
        let rest = scaled.map(|value| i64::from(value & 0xFFFF));
        let mut order = [0, 1, 2];
        order.sort_by_key(|axis| std::cmp::Reverse(rest[*axis]));
        // From the corner of the cell along the axis with the largest rest, then the next, then the last.
        let mut corner = base;
        let mut sum = self.at(corner).map(|value| i64::from(value) << 16);
        for axis in order {
            let before = self.at(corner);
            corner[axis] += 1;
            let after = self.at(corner);
            for (sum, (after, before)) in sum.iter_mut().zip(after.into_iter().zip(before)) {
                *sum += (i64::from(after) - i64::from(before)) * rest[axis];
            }
        }
        sum.map(|value| ((value + 0x8000) >> 16) as u16)
    }

    fn at(&self, [r, g, b]: [usize; 3]) -> [u16; 3] {
        self.points[(r * POINTS + g) * POINTS + b]
    }
}

/// How bright a source gets, in cd/m2.
fn peak(source: &VideoFacts) -> f64 {
    let content = source.hdr10.light_level.map(|level| f64::from(level.max_content));
    let display = source.hdr10.mastering.map(|mastering| f64::from(mastering.max_luminance) / 10_000.0);
    let told = content.filter(|peak| *peak > 0.0).or(display.filter(|peak| *peak > 0.0));
    told.unwrap_or(USUAL_PEAK).clamp(SDR_WHITE, 10_000.0)
}

/// SMPTE ST 2084: from a signal to cd/m2, and back.
const M1: f64 = 2610.0 / 16_384.0;
const M2: f64 = 2523.0 / 4096.0 * 128.0;
const C1: f64 = 3424.0 / 4096.0;
const C2: f64 = 2413.0 / 4096.0 * 32.0;
const C3: f64 = 2392.0 / 4096.0 * 32.0;

fn pq_to_light(signal: f64) -> f64 {
    let power = signal.powf(1.0 / M2);
    10_000.0 * ((power - C1).max(0.0) / (C2 - C3 * power)).powf(1.0 / M1)
}

fn light_to_pq(light: f64) -> f64 {
    let power = (light / 10_000.0).powf(M1);
    ((C1 + C2 * power) / (1.0 + C3 * power)).powf(M2)
}

fn pq_light(signal: [f64; 3]) -> [f64; 3] {
    signal.map(pq_to_light)
}

const HLG_A: f64 = 0.178_832_77;
const HLG_B: f64 = 0.284_668_92;
const HLG_C: f64 = 0.559_910_73;
const SYSTEM_GAMMA: f64 = 1.2;

/// ITU-R BT.2100, table 5, on a display of [`HLG_PEAK`].
fn hlg_light(signal: [f64; 3]) -> [f64; 3] {
    let scene =
        signal.map(|e| if e <= 0.5 { e * e / 3.0 } else { (((e - HLG_C) / HLG_A).exp() + HLG_B) / 12.0 });
    let luminance = 0.2627 * scene[0] + 0.6780 * scene[1] + 0.0593 * scene[2];
    scene.map(|component| HLG_PEAK * luminance.powf(SYSTEM_GAMMA - 1.0) * component)
}

/// The signal with which pictures of a transfer show a colour of sRGB, its white at 203 cd/m2 (ITU-R BT.2408); the same where they
/// are no HDR.
pub(crate) fn sdr_signal_in(transfer: u8, colour: [f64; 3]) -> [f64; 3] {
    if ![PQ, HLG].contains(&transfer) {
        return colour;
    }
    // IEC 61966-2-1.
    let linear = |v: f64| if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) };
    let [r, g, b] = colour.map(|value| REFERENCE_WHITE * linear(value));
    // ITU-R BT.2087.
    let light = [
        0.6274 * r + 0.3293 * g + 0.0433 * b,
        0.0691 * r + 0.9195 * g + 0.0114 * b,
        0.0164 * r + 0.0880 * g + 0.8956 * b,
    ];
    if transfer == PQ {
        return light.map(light_to_pq);
    }
    let luminance = (0.2627 * light[0] + 0.6780 * light[1] + 0.0593 * light[2]) / HLG_PEAK;
    if luminance <= 0.0 {
        return [0.0; 3];
    }
    let scene = light.map(|component| component / HLG_PEAK * luminance.powf(1.0 / SYSTEM_GAMMA - 1.0));
    scene.map(|e| if e <= 1.0 / 12.0 { (3.0 * e).sqrt() } else { HLG_A * (12.0 * e - HLG_B).ln() + HLG_C })
}

/// Compresses light of up to `peak` to SDR white, all components by the same factor.
fn compress(light: [f64; 3], peak: f64) -> [f64; 3] {
    let largest = light.into_iter().fold(0.0, f64::max);
    if largest <= 0.0 {
        return light;
    }
    let factor = knee(largest, peak) / largest;
    light.map(|component| component * factor)
}

/// The curve: straight up to the knee, then a spline to SDR white.
fn knee(light: f64, peak: f64) -> f64 {
    let (range, white) = (light_to_pq(peak), light_to_pq(SDR_WHITE) / light_to_pq(peak));
    let signal = (light_to_pq(light) / range).min(1.0);
    let start = 1.5 * white - 0.5;
    if signal < start || start >= 1.0 {
        return light.min(SDR_WHITE);
    }
    let t = (signal - start) / (1.0 - start);
    let (t2, t3) = (t * t, t * t * t);
    let bent = (2.0 * t3 - 3.0 * t2 + 1.0) * start
        + (t3 - 2.0 * t2 + t) * (1.0 - start)
        + (3.0 * t2 - 2.0 * t3) * white;
    pq_to_light(bent * range)
}

/// The signal of BT.709 that shows so much light of BT.2020's primaries (ITU-R BT.2407, annex 2; BT.1886).
fn display([r, g, b]: [f64; 3]) -> [f64; 3] {
    let linear = [
        1.660_5 * r - 0.587_6 * g - 0.072_8 * b,
        -0.124_6 * r + 1.132_9 * g - 0.008_3 * b,
        -0.018_2 * r - 0.100_6 * g + 1.118_7 * b,
    ];
    let grey = (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]).clamp(0.0, SDR_WHITE);
    // How much of the way from grey stays inside.
    let inside = linear.into_iter().fold(1.0f64, |inside, component| {
        let room = if component < 0.0 {
            grey / (grey - component)
        } else if component > SDR_WHITE {
            (SDR_WHITE - grey) / (component - grey)
        } else {
            1.0
        };
        inside.min(room)
    });
    linear.map(|component| {
        let light = (grey + inside * (component - grey)).clamp(0.0, SDR_WHITE);
        (light / SDR_WHITE).powf(1.0 / 2.4)
    })
}

/// Pictures through the table.
pub(crate) struct ToneMapper {
    table: Arc<ToneTable>,
    scaler: Option<Scaler>,
}

impl ToneMapper {
    pub(crate) fn new(table: Arc<ToneTable>) -> Self {
        ToneMapper { table, scaler: None }
    }

    /// A picture in RGB of BT.709.
    pub(crate) fn map(&mut self, picture: &ff::frame::Video) -> Result<ff::frame::Video, MediaError> {
        let size = (picture.width(), picture.height());
        let scaler = self.scaler.take().filter(|scaler| scaler.size() == size);
        let scaler = self.scaler.insert(scaler.unwrap_or_else(|| Scaler::to_rgb(size.0, size.1)));
        let wide = scaler.scale(picture)?;
        let wide = wide.as_deref().unwrap_or(picture);
        let mut narrow = ff::frame::Video::new(Pixel::GBRP16LE, size.0, size.1);
        narrow.set_color_space(ff::color::Space::RGB);
        narrow.set_pts(picture.pts());
        let columns = size.0 as usize * 2;
        let mut row = vec![[0u16; 3]; size.0 as usize];
        for y in 0..size.1 as usize {
            // Planes are green, blue, red.
            for (component, plane) in [(0, 2), (1, 0), (2, 1)] {
                let line = &wide.data(plane)[y * wide.stride(plane)..][..columns];
                for (colour, sample) in row.iter_mut().zip(line.chunks_exact(2)) {
                    colour[component] = u16::from_le_bytes([sample[0], sample[1]]);
                }
            }
            row.iter_mut().for_each(|colour| *colour = self.table.map(*colour));
            for (component, plane) in [(0, 2), (1, 0), (2, 1)] {
                let start = y * narrow.stride(plane);
                let line = &mut narrow.data_mut(plane)[start..][..columns];
                for (colour, sample) in row.iter().zip(line.chunks_exact_mut(2)) {
                    sample.copy_from_slice(&colour[component].to_le_bytes());
                }
            }
        }
        Ok(narrow)
    }
}

#[cfg(test)]
mod tests {
    use reel_common::{Hdr10, LightLevel};
    use reel_proto::v1;

    use super::*;

    fn source(transfer: u8, max_content: u16) -> VideoFacts {
        let facts = v1::VideoFacts {
            sample_aspect: Some(v1::Rational { num: 1, den: 1 }),
            colour: Some(Colour { primaries: 9, transfer, matrix: 9, ..Colour::default() }.into()),
            ..Default::default()
        };
        let light_level = Some(LightLevel { max_content, max_frame_average: 0 });
        VideoFacts { hdr10: Hdr10 { light_level, mastering: None }, ..facts.try_into().unwrap() }
    }

    fn grey(table: &ToneTable, signal: f64) -> f64 {
        let [r, g, b] = table.map([(signal * FULL).round() as u16; 3]);
        assert!(r.abs_diff(g) < 60 && g.abs_diff(b) < 60, "{signal}: {r} {g} {b}");
        f64::from(g) / FULL
    }

    #[test]
    fn greys_follow_the_curve() {
        let table = ToneTable::new(&source(16, 1000)).unwrap();
        // Light in cd/m2, its signal in PQ, and the signal on a display of 100 cd/m2, reckoned by another program.
        for (light, signal, shown) in [
            (1.0, 0.1499, 0.1468),
            (10.0, 0.2997, 0.3831),
            (50.0, 0.4403, 0.7245),
            (100.0, 0.5081, 0.8591),
            (203.0, 0.5807, 0.9492),
            (500.0, 0.6766, 0.9956),
            (1000.0, 0.7518, 1.0),
        ] {
            let found = grey(&table, signal);
            assert!((found - shown).abs() < 0.006, "{light} cd/m2: {found} instead of {shown}");
        }
        assert_eq!(grey(&table, 0.0), 0.0);
        assert_eq!(grey(&table, 1.0), 1.0);
    }

    #[test]
    fn white_over_hdr_has_203_candelas() {
        let [r, g, b] = sdr_signal_in(PQ, [1.0; 3]);
        assert!([r, g, b].iter().all(|signal| (signal - 0.5807).abs() < 0.001), "{r} {g} {b}");
        // ITU-R BT.2408: HDR reference white is 75 % of HLG.
        let hlg = sdr_signal_in(HLG, [1.0; 3]);
        assert!(hlg.iter().all(|signal| (signal - 0.75).abs() < 0.003), "{hlg:?}");
        let light = hlg_light(hlg);
        assert!(light.iter().all(|light| (light - REFERENCE_WHITE).abs() < 1.0), "{light:?}");
        assert_eq!(sdr_signal_in(1, [0.2, 0.4, 0.6]), [0.2, 0.4, 0.6]);
    }

    #[test]
    fn brighter_greys_are_never_darker() {
        for table in
            [source(16, 4000), source(16, 0), source(18, 0)].map(|facts| ToneTable::new(&facts).unwrap())
        {
            let greys: Vec<f64> = (0..=1000).map(|step| grey(&table, f64::from(step) / 1000.0)).collect();
            assert!(greys.is_sorted(), "{greys:?}");
            assert!(greys[1000] > 0.99);
        }
    }

    #[test]
    fn colours_keep_their_hue_and_stay_inside() {
        let table = ToneTable::new(&source(16, 1000)).unwrap();
        let signal = |light: f64| (light_to_pq(light) * FULL) as u16;
        // Red of BT.709 at 40 cd/m2 is this much of BT.2020's primaries.
        let [r, g, b] = table.map([signal(0.6274 * 40.0), signal(0.0691 * 40.0), signal(0.0164 * 40.0)]);
        let expected = (0.4f64.powf(1.0 / 2.4) * FULL) as u16;
        assert!(r.abs_diff(expected) < 1500, "{r} {expected}");
        assert!(g < 9000 && b < 9000, "{g} {b}");
        // Red of BT.2020 is outside: it comes nearest to red.
        let [r, g, b] = table.map([signal(100.0), 0, 0]);
        assert!(r > 40_000 && g < r / 3 && b < r / 3, "{r} {g} {b}");
    }

    #[test]
    fn sources_that_tell_of_other_light_have_other_tables() {
        let digest = |facts: VideoFacts| ToneTable::new(&facts).unwrap().digest();
        assert_eq!(digest(source(16, 1000)), digest(source(16, 1000)));
        assert_ne!(digest(source(16, 1000)), digest(source(16, 4000)));
        assert_ne!(digest(source(16, 1000)), digest(source(18, 1000)));
        let mut constant = source(16, 1000);
        constant.colour.matrix = 10;
        assert!(ToneTable::new(&constant).is_err_and(|error| error.message.contains("matrix 10")));
    }

    #[test]
    fn a_picture_goes_through_the_table_sample_by_sample() {
        let table = Arc::new(ToneTable::new(&source(16, 1000)).unwrap());
        let mut picture = ff::frame::Video::new(Pixel::GBRP16LE, 70, 40);
        picture.set_color_space(ff::color::Space::RGB);
        let sample = |plane: usize, x: usize, y: usize| (x * 900 + y * 30 + plane * 500) as u16;
        for plane in 0..3 {
            let stride = picture.stride(plane);
            for (y, line) in picture.data_mut(plane).chunks_mut(stride).enumerate() {
                for (x, bytes) in line.chunks_exact_mut(2).enumerate().take(70) {
                    bytes.copy_from_slice(&sample(plane, x, y).to_le_bytes());
                }
            }
        }
        let mapped = ToneMapper::new(Arc::clone(&table)).map(&picture).unwrap();
        for (x, y) in [(0, 0), (69, 39), (33, 7)] {
            let expected = table.map([2, 0, 1].map(|plane| sample(plane, x, y)));
            let found = [2, 0, 1].map(|plane| {
                let at = y * mapped.stride(plane) + 2 * x;
                u16::from_le_bytes([mapped.data(plane)[at], mapped.data(plane)[at + 1]])
            });
            assert_eq!(found, expected, "{x} {y}");
        }
    }
}
