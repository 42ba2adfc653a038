//! What attempts of a job ask of a worker: reckoned from the pictures, the ladder and the encoders.

use reel_common::{IndexSummary, PartIndex, SegmentGrid, Timing};
use reel_profiles::{BitDepth, Coding, Preset, Profile, ResolvedImages, ResolvedRendition};

const MIB: u64 = 1 << 20;
/// A runner's code, libraries, indexes and buffers for bytes, and what it keeps of one part's memory for the next.
const RUNNER_BASE: u64 = 128 * MIB;
/// Decoded pictures in flight at once: the decoder's references and threads, and the queues to the encoders.
const DECODED_PICTURES: u64 = 32;
/// Bytes a pixel of a decoded picture: 4:2:2 in 16-bit words.
const DECODED_PIXEL_BYTES: u64 = 4;
/// Pictures that x264 and x265 hold beside their lookahead: references, reordering, reconstruction.
const X264_PICTURES: u64 = 32;
const X265_PICTURES: u64 = 40;
/// What waits of the next part's preroll, which is longer where there is no VBV: 24 pictures of half the bytes.
const X264_PREROLL_PICTURES: u64 = 12;
/// Pictures that SVT-AV1 holds at presets up to [`LAST_SLOW_PRESET`], and at faster ones: groups of 32, their references,
/// and what is filtered over time.
const SVT_SLOW_PICTURES: u64 = 176;
const SVT_PICTURES: u64 = 128;
const LAST_SLOW_PRESET: u8 = 6;
/// Bytes a pixel of a picture inside an encoder, for 8 bits: 4:2:0 with borders, half-size planes for the lookahead,
/// motion vectors.
const ENCODER_PIXEL_BYTES: u64 = 3;
/// An encoder's tables and output.
const ENCODER_BASE: u64 = 16 * MIB;

/// Memory of an encode attempt: one decoder with its pictures in flight, and for each rendition an encoder with its
/// lookahead. The scaled pictures that wait for the encoder of the next part, and the decoders of the proof, have no term
/// of their own, since a decoder never has all of its pictures: `vod-abr` from 1080p is reckoned at 1192 MiB, and was
/// measured at 1110 to 1175 MiB.
///
/// `base + source pixels * 4 * 32 + sum over renditions (16 MiB + pixels * 3 * pictures)`, half as much again for 10 bit. A
/// 1080p rendition of H.264 at preset medium comes to 443 MiB, against 0.4 to 0.5 GiB measured. Whole attempts with one
/// rendition from 1080p, reckoned and measured in MiB: HEVC medium 752 and 557, in 10 bit at preset fast 886 and 783, AV1 at
/// preset 8 1155 and 1024, in 10 bit 1535 and 1433, at preset 4 1440 and 1251.
pub(super) fn encode_memory(source: u64, ladder: &[ResolvedRendition]) -> u64 {
    let encoders = ladder.iter().map(|resolved| {
        let coding = resolved.rendition.coding;
        let pictures = match coding {
            Coding::H264 { preset, .. } if resolved.rendition.rate.maxrate_kbps.is_none() => {
                X264_PICTURES + X264_PREROLL_PICTURES + x264_lookahead(preset)
            }
            Coding::H264 { preset, .. } => X264_PICTURES + x264_lookahead(preset),
            Coding::Hevc { preset, .. } => X265_PICTURES + x265_lookahead(preset),
            Coding::Av1 { preset: 0..=LAST_SLOW_PRESET, .. } => SVT_SLOW_PICTURES,
            Coding::Av1 { .. } => SVT_PICTURES,
        };
        let picture = pixels(resolved.width, resolved.height).saturating_mul(ENCODER_PIXEL_BYTES);
        let held = picture.saturating_mul(pictures);
        ENCODER_BASE + if coding.bit_depth() == BitDepth::Ten { held.saturating_mul(3) / 2 } else { held }
    });
    encoders.fold(RUNNER_BASE.saturating_add(decoder_memory(source)), u64::saturating_add)
}

/// Pictures in RGB with 16 bits that wait for the encoders and are turned into theirs, where HDR is made SDR.
const TONE_MAPPED_PICTURES: u64 = 12;
const RGB_PIXEL_BYTES: u64 = 6;

pub(super) fn tone_memory(source: u64, maps_tones: bool) -> u64 {
    let pictures = source.saturating_mul(RGB_PIXEL_BYTES * TONE_MAPPED_PICTURES);
    if maps_tones { pictures } else { 0 }
}

/// What VMAF is measured of: planes of 32 bits for what it computes, and the pictures that wait for the coded ones,
/// as many as an encoder may hold. For 1080p of x264 at preset medium 269 MiB are reckoned, and 238 were measured.
const VMAF_PIXEL_BYTES: u64 = 64;
const VMAF_PICTURES: u64 = 72;

pub(super) fn vmaf_memory(profile: &Profile, ladder: &[ResolvedRendition]) -> u64 {
    let measured = ladder.iter().filter(|resolved| profile.measures_vmaf(&resolved.rendition));
    let taken = measured.map(|resolved| {
        let sample = u64::from(resolved.rendition.coding.bit_depth().bits().div_ceil(8));
        pixels(resolved.width, resolved.height).saturating_mul(VMAF_PIXEL_BYTES + VMAF_PICTURES * sample)
    });
    taken.fold(0, u64::saturating_add)
}

/// Finished parts that an attempt may hold on disk: four that wait, one that is published, one that is encoded.
const PARTS_ON_DISK: u64 = 6;
/// Pixels to a byte of a finished part: half a bit a pixel, several times what these encoders make of film.
const PIXELS_PER_BYTE: u64 = 16;

/// Scratch space of an encode attempt: its finished parts until they are in the store.
pub(super) fn encode_scratch(grid: &SegmentGrid, ladder: &[ResolvedRendition]) -> u64 {
    let part = grid.part(PartIndex(0)).map_or(0, |part| part.end - part.start());
    let pixels: u64 = ladder.iter().map(|resolved| pixels(resolved.width, resolved.height)).sum();
    pixels.saturating_mul(part).saturating_mul(PARTS_ON_DISK) / PIXELS_PER_BYTE
}

/// Memory of an attempt that makes still pictures: a decoder with its references; a picture in RGB of 16 bits in its own
/// size, of which HDR has two; a sheet or a poster in RGB of 16 bits and of 8, and its file.
pub(super) fn image_memory(index: &IndexSummary, images: ResolvedImages) -> u64 {
    let source = source_pixels(index);
    let decoded = source.saturating_mul(DECODED_PICTURES * DECODED_PIXEL_BYTES);
    let in_rgb = source.saturating_mul(12);
    let made = images.most_pixels().saturating_mul(12);
    let taken = [decoded, in_rgb, made, overlay_memory(index)];
    taken.into_iter().fold(RUNNER_BASE, u64::saturating_add)
}

/// A sample in the table of its rendition has 16 bytes, of which there are half as much again, or twice, while the tables of parts
/// are put together.
const SAMPLE_BYTES: u64 = 32;

/// The tables that assemble holds of all renditions together, which have so many frames.
pub(super) fn sample_tables(frames: u64) -> u64 {
    frames.saturating_mul(SAMPLE_BYTES)
}

fn decoder_memory(source: u64) -> u64 {
    source.saturating_mul(DECODED_PIXEL_BYTES * DECODED_PICTURES)
}

/// Of the logos of an edit.
pub(super) fn overlay_memory(index: &IndexSummary) -> u64 {
    match index.timing {
        Timing::Edited { overlay_bytes, .. } => overlay_bytes,
        _ => 0,
    }
}

/// Of the largest picture that is decoded.
pub(super) fn source_pixels(index: &IndexSummary) -> u64 {
    let own = pixels(index.video.width, index.video.height);
    match index.timing {
        Timing::Edited { most_pixels, .. } => own.max(most_pixels),
        _ => own,
    }
}

pub(super) fn pixels(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}

/// `rc-lookahead` of x264's presets (x264 `common/base.c`, `param_apply_preset`).
fn x264_lookahead(preset: Preset) -> u64 {
    match preset {
        Preset::Ultrafast | Preset::Superfast => 0,
        Preset::Veryfast => 10,
        Preset::Faster => 20,
        Preset::Fast => 30,
        Preset::Medium => 40,
        Preset::Slow => 50,
        Preset::Slower | Preset::Veryslow => 60,
    }
}

/// `rc-lookahead` of x265's presets (x265 `common/param.cpp`, `x265_param_default_preset`).
fn x265_lookahead(preset: Preset) -> u64 {
    match preset {
        Preset::Ultrafast => 5,
        Preset::Superfast => 10,
        Preset::Veryfast | Preset::Faster | Preset::Fast => 15,
        Preset::Medium => 20,
        Preset::Slow => 25,
        Preset::Slower | Preset::Veryslow => 40,
    }
}

#[cfg(test)]
mod tests {
    use reel_profiles::catalog;

    use super::*;
    use crate::testing::index_summary;

    fn profile(name: &str) -> Profile {
        Profile::parse(catalog::text(name).unwrap(), name).unwrap()
    }

    #[test]
    fn attempts_of_every_codec_ask_for_no_less_than_was_measured() {
        let index = index_summary(24);
        let ladder = profile("vod-abr").ladder(&index.video).unwrap();
        let (preset, bit_depth) = (Preset::Medium, BitDepth::Eight);
        for (coding, measured) in [
            (Coding::Hevc { preset, tune: None, bit_depth }, 557),
            (Coding::Hevc { preset: Preset::Fast, tune: None, bit_depth: BitDepth::Ten }, 783),
            (Coding::Av1 { preset: 8, bit_depth }, 1024),
            (Coding::Av1 { preset: 8, bit_depth: BitDepth::Ten }, 1433),
            (Coding::Av1 { preset: 4, bit_depth }, 1251),
        ] {
            let mut tallest = ladder[0].clone();
            tallest.rendition.coding = coding;
            let asked = encode_memory(source_pixels(&index), &[tallest]) / MIB;
            assert!(
                (measured..measured * 7 / 5).contains(&asked),
                "{coding:?}: {asked} MiB, measured {measured}"
            );
        }
    }

    #[test]
    fn one_rendition_of_1080p_at_medium_asks_for_what_was_measured() {
        let ladder = profile("vod-abr").ladder(&index_summary(24).video).unwrap();
        let encoder = encode_memory(0, &ladder[..1]) - RUNNER_BASE;
        assert!((400_000_000..500_000_000).contains(&encoder), "{encoder}");
    }

    #[test]
    fn whoever_makes_a_tree_is_given_what_its_tables_take() {
        // Two hours of 60 frames a second in eight renditions: 55 MB of tables of 16 bytes a sample.
        let asked = sample_tables(2 * 3600 * 60 * 8);
        assert!((52..=2 * 53).contains(&(asked / MIB)), "{asked}");
    }

    #[test]
    fn hostile_picture_sizes_do_not_overflow() {
        assert_eq!(encode_memory(pixels(u32::MAX, u32::MAX), &[]), u64::MAX);
    }
}
