//! The plan of a job: where its title is cut, how parts are grouped, and what an attempt needs.

use std::collections::BTreeSet;

use reel_common::{Flag, Goal, GridError, IndexSummary, PartIndex, Rational, SegmentGrid, Timing};
use reel_profiles::{
    Admitted, BitDepth, Coding, ImagesError, LadderError, Preset, Profile, Quality, Rejection,
    ResolvedImages, ResolvedRendition, VideoCodec,
};

use crate::rate;
use crate::state::PartRange;

/// The plan of a job, computed once by the leader from index and profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Segments and parts. Parts are fixed by this; chunks are only scheduling units.
    pub grid: SegmentGrid,
    /// Parts to a chunk, from 1.
    pub chunk_parts: u32,
    /// Numbers of the profile's `[[audio]]` entries that are made of this mezzanine, ascending: one task each.
    pub tracks: Vec<u32>,
    /// Renditions of the ladder that are made of this mezzanine.
    pub renditions: u32,
    /// Memory of one encode attempt, in bytes.
    pub encode_memory: u64,
    /// Scratch space of one encode attempt, in bytes.
    pub encode_scratch: u64,
    /// Codecs of its renditions, as profiles name them.
    pub video_codecs: BTreeSet<String>,
    /// Codecs of its audio tracks, likewise.
    pub audio_codecs: BTreeSet<String>,
    /// What admission had to say, for people.
    pub warnings: Vec<String>,
    /// What it flagged.
    pub flags: Vec<Flag>,
    /// The renditions that are to have a size or a quality.
    pub targets: Vec<RateTarget>,
    /// Memory of an attempt that makes its still pictures, in bytes; `None` where the profile has none.
    pub image_memory: Option<u64>,
}

/// A rendition that is to have a size or a quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateTarget {
    /// Its place in the ladder.
    pub rendition: u32,
    /// Its codec.
    pub codec: VideoCodec,
    /// What it is to come to.
    pub goal: Goal,
    /// The rate factor to begin with, in thousandths.
    pub crf_milli: u32,
    /// What the size, or the error, of the title comes to, in thousandths of a draft at the same rate factor; 1000 where a
    /// draft is no other encode.
    pub draft_milli: u32,
}

/// Waves in which a title with targets is encoded that has more than [`Plan::SHORT_PARTS`].
pub const WAVES: usize = 5;

/// Parts that have their turn together: some of every so many.
#[derive(Clone, Copy)]
struct Wave {
    period: u32,
    start: u32,
    length: u32,
}

/// The waves of a long title, of every 16 parts: three to learn by, seven, and six that make good what is left in three
/// steps.
const LONG: [Wave; WAVES] = {
    const fn wave(start: u32, length: u32) -> Wave {
        Wave { period: 16, start, length }
    }
    [wave(12, 3), wave(0, 7), wave(7, 3), wave(10, 2), wave(15, 1)]
};

impl Wave {
    /// How many of its parts lie before part `end`.
    fn parts(self, end: u32) -> u32 {
        end / self.period * self.length + (end % self.period).saturating_sub(self.start).min(self.length)
    }

    /// How many chunks of at most `size` parts it has in a title of `parts`.
    fn chunks(self, parts: u32, size: u32) -> u32 {
        let rest = (parts % self.period).saturating_sub(self.start).min(self.length);
        parts / self.period * self.length.div_ceil(size) + rest.div_ceil(size)
    }

    /// The parts of its chunk `index`.
    fn chunk(self, index: u32, parts: u32, size: u32) -> PartRange {
        let in_period = self.length.div_ceil(size);
        let first = index / in_period * self.period + self.start;
        let start = first + index % in_period * size;
        let end = start.saturating_add(size).min(first + self.length).min(parts);
        PartRange::new(start, end)
    }
}

impl Plan {
    /// Parts of the longest title that is encoded as a whole until its size is right: eleven minutes in parts of 10 seconds.
    pub const SHORT_PARTS: u32 = 64;
    /// Parts to a chunk unless the job says otherwise: about a minute of video, which is work enough to hide the start
    /// of a runner and short enough to spread over a fleet.
    pub const DEFAULT_CHUNK_PARTS: u32 = 5;
    /// Most parts of a title: 139 days in parts of 12 seconds.
    pub const MAX_PARTS: u32 = 1_000_000;
    /// Most warnings kept, and most flags, so that a plan fits in a Raft entry.
    pub const MAX_WARNINGS: usize = 32;
    /// Memory of an attempt that encodes no pictures, in bytes: index, audio, assemble, measure, deliver.
    pub const LIGHT_MEMORY: u64 = 256 << 20;

    /// In how many waves the parts are encoded: 1 without targets, else 1 or [`WAVES`].
    pub fn waves(&self) -> usize {
        self.order().count()
    }

    /// Whether the first round of probes is a draft: of a long title always, of a short one where that is less work.
    pub(crate) fn begins_with_draft(&self) -> bool {
        self.waves() > 1 || self.targets.iter().any(|target| target.draft_milli != 1_000)
    }

    /// Whether a round of probes is a draft, by its number from 0.
    pub(crate) fn is_draft(&self, round: usize) -> bool {
        self.waves() > 1 || (round == 0 && self.begins_with_draft())
    }

    /// The wave of a part.
    pub fn wave_of(&self, part: u32) -> usize {
        let has = |wave: Wave| (wave.start..wave.start + wave.length).contains(&(part % wave.period));
        self.order().position(has).unwrap_or(0)
    }

    /// Parts of the first `waves` waves.
    pub fn parts_of_waves(&self, waves: usize) -> u32 {
        let parts = self.grid.parts();
        self.order().take(waves).map(|wave| wave.parts(parts)).sum()
    }

    /// Frames of a part; 0 beyond the last.
    pub(crate) fn frames_of(&self, part: u32) -> u64 {
        self.grid.part(PartIndex(part)).map_or(0, |part| part.frames())
    }

    /// Frames of the parts of each wave.
    pub(crate) fn frames_of_waves(&self) -> [u64; WAVES] {
        let mut frames = [0; WAVES];
        (0..self.grid.parts()).for_each(|part| frames[self.wave_of(part)] += self.frames_of(part));
        frames
    }

    /// How many chunks the parts are grouped into at first.
    pub fn chunks(&self) -> u32 {
        self.chunks_of_waves(WAVES)
    }

    /// Chunks of the first `waves` waves; they come first.
    pub fn chunks_of_waves(&self, waves: usize) -> u32 {
        let (parts, size) = (self.grid.parts(), self.chunk_parts.max(1));
        self.order().take(waves).map(|wave| wave.chunks(parts, size)).sum()
    }

    /// The parts of chunk `index` of the plan; none past the last.
    pub fn chunk(&self, index: u32) -> PartRange {
        let (parts, size) = (self.grid.parts(), self.chunk_parts.max(1));
        let mut left = index;
        for wave in self.order() {
            match left.checked_sub(wave.chunks(parts, size)) {
                Some(beyond) => left = beyond,
                None => return wave.chunk(left, parts, size),
            }
        }
        PartRange::new(parts, parts)
    }

    /// The chunk of the plan in which a part of the title is.
    pub(crate) fn chunk_of(&self, part: u32) -> u32 {
        let size = self.chunk_parts.max(1);
        let wave = self.wave_of(part);
        let Wave { period, start, length } = self.order().nth(wave).unwrap_or(LONG[0]);
        let in_wave = part / period * length.div_ceil(size) + (part % period - start) / size;
        self.chunks_of_waves(wave) + in_wave
    }

    /// The waves in their order.
    fn order(&self) -> impl Iterator<Item = Wave> {
        let parts = self.grid.parts();
        let long = !self.targets.is_empty() && parts > Self::SHORT_PARTS;
        let whole = Wave { period: parts.max(1), start: 0, length: parts.max(1) };
        let waves = if long { &LONG[..] } else { &[] };
        waves.iter().copied().chain((!long).then_some(whole))
    }

    /// Frames that the whole ladder has: what encoding counts its progress by.
    pub fn encoded_frames(&self) -> u64 {
        self.grid.frames().saturating_mul(u64::from(self.renditions))
    }
}

/// A job that cannot be planned.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The profile does not take this mezzanine.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// No ladder can be made of it.
    #[error(transparent)]
    Ladder(#[from] LadderError),
    /// Its still pictures cannot be made.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// It cannot be cut.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// The job asks for chunks of nothing.
    #[error("a chunk has at least one part: ask for 1 or more parts to a chunk")]
    EmptyChunk,
    /// More parts than a job may have.
    #[error("the title has {0} parts, more than the {max} that a job may have: use longer parts", max = Plan::MAX_PARTS)]
    TooManyParts(u32),
}

/// Plans a job: the same index, profile and wish always give the same plan.
///
/// # Errors
/// [`PlanError`] where admission, ladder or grid refuse the mezzanine; the text is meant for the job's owner.
pub fn plan(index: &IndexSummary, profile: &Profile, chunk_parts: Option<u32>) -> Result<Plan, PlanError> {
    let Admitted { warnings, flags } = profile.admit(index)?;
    let ladder = profile.ladder(&index.video)?;
    let grid = profile.grid(index)?;
    let images = profile.images(&index.video, index.duration)?;
    let chunk_parts = chunk_parts.unwrap_or(Plan::DEFAULT_CHUNK_PARTS);
    if chunk_parts == 0 {
        return Err(PlanError::EmptyChunk);
    }
    if grid.parts() > Plan::MAX_PARTS {
        return Err(PlanError::TooManyParts(grid.parts()));
    }
    let tracks: Vec<u32> = profile.tracks(&index.audio).iter().map(|source| source.track).collect();
    Ok(Plan {
        chunk_parts,
        renditions: ladder.len() as u32,
        encode_memory: encode_memory(source_pixels(index), &ladder)
            .saturating_add(tone_memory(source_pixels(index), profile.picture.maps_tones(index.video.colour)))
            .saturating_add(overlay_memory(index))
            .saturating_add(vmaf_memory(profile, &ladder)),
        encode_scratch: encode_scratch(&grid, &ladder),
        video_codecs: ladder
            .iter()
            .map(|resolved| resolved.rendition.coding.codec().name().to_owned())
            .collect(),
        audio_codecs: tracks
            .iter()
            .map(|track| profile.audio[*track as usize].codec.name().to_owned())
            .collect(),
        targets: targets(index, &ladder),
        image_memory: images.map(|images| image_memory(index, images)),
        tracks,
        grid,
        warnings: warnings.into_iter().map(|warning| warning.0).take(Plan::MAX_WARNINGS).collect(),
        flags: flags.into_iter().take(Plan::MAX_WARNINGS).collect(),
    })
}

/// Memory of an attempt that makes still pictures: a decoder with its references; a picture in RGB of 16 bits in its own
/// size, of which HDR has two; a sheet or a poster in RGB of 16 bits and of 8, and its file.
fn image_memory(index: &IndexSummary, images: ResolvedImages) -> u64 {
    let source = source_pixels(index);
    let decoded = source.saturating_mul(DECODED_PICTURES * DECODED_PIXEL_BYTES);
    let in_rgb = source.saturating_mul(12);
    let made = images.most_pixels().saturating_mul(12);
    let taken = [decoded, in_rgb, made, overlay_memory(index)];
    taken.into_iter().fold(RUNNER_BASE, u64::saturating_add)
}

/// The renditions of a ladder that have a bit rate or a quality, with what they are to come to.
fn targets(index: &IndexSummary, ladder: &[ResolvedRendition]) -> Vec<RateTarget> {
    let target = |(rendition, resolved): (u32, &ResolvedRendition)| {
        let goal = match resolved.rendition.rate.quality {
            Quality::Crf(_) => return None,
            Quality::Bitrate(kbps) => Goal::Bytes(bytes(index, kbps)),
            Quality::Psnr(mdb) => Goal::Psnr(mdb),
            Quality::Ssim(milli) => Goal::Ssim(milli.saturating_mul(1_000)),
            Quality::Vmaf(milli) => Goal::Vmaf(milli),
        };
        let coding = resolved.rendition.coding;
        let pixels = pixels(resolved.width, resolved.height).saturating_mul(index.frames);
        let crf_milli = rate::first_guess(coding.codec(), goal, pixels);
        let draft_milli = rate::draft_ratio(coding, goal);
        Some(RateTarget { rendition, codec: coding.codec(), goal, crf_milli, draft_milli })
    };
    (0..).zip(ladder).filter_map(target).collect()
}

/// Bytes that a title comes to at a mean rate.
fn bytes(index: &IndexSummary, kbps: u32) -> u64 {
    let bits = index.duration.checked_mul(Rational::whole(i64::from(kbps) * 1_000));
    let bits = bits.and_then(|bits| u64::try_from(bits.round()).ok()).unwrap_or(u64::MAX);
    (bits / 8).max(1)
}

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
fn encode_memory(source: u64, ladder: &[ResolvedRendition]) -> u64 {
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

fn tone_memory(source: u64, maps_tones: bool) -> u64 {
    let pictures = source.saturating_mul(RGB_PIXEL_BYTES * TONE_MAPPED_PICTURES);
    if maps_tones { pictures } else { 0 }
}

/// What VMAF is measured of: planes of 32 bits for what it computes, and the pictures that wait for the coded ones,
/// as many as an encoder may hold. For 1080p of x264 at preset medium 269 MiB are reckoned, and 238 were measured.
const VMAF_PIXEL_BYTES: u64 = 64;
const VMAF_PICTURES: u64 = 72;

fn vmaf_memory(profile: &Profile, ladder: &[ResolvedRendition]) -> u64 {
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
fn encode_scratch(grid: &SegmentGrid, ladder: &[ResolvedRendition]) -> u64 {
    let part = grid.part(PartIndex(0)).map_or(0, |part| part.end - part.start());
    let pixels: u64 = ladder.iter().map(|resolved| pixels(resolved.width, resolved.height)).sum();
    pixels.saturating_mul(part).saturating_mul(PARTS_ON_DISK) / PIXELS_PER_BYTE
}

fn decoder_memory(source: u64) -> u64 {
    source.saturating_mul(DECODED_PIXEL_BYTES * DECODED_PICTURES)
}

/// Of the logos of an edit.
fn overlay_memory(index: &IndexSummary) -> u64 {
    match index.timing {
        Timing::Edited { overlay_bytes, .. } => overlay_bytes,
        _ => 0,
    }
}

/// Of the largest picture that is decoded.
fn source_pixels(index: &IndexSummary) -> u64 {
    let own = pixels(index.video.width, index.video.height);
    match index.timing {
        Timing::Edited { most_pixels, .. } => own.max(most_pixels),
        _ => own,
    }
}

fn pixels(width: u32, height: u32) -> u64 {
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
    use proptest::prelude::*;
    use reel_common::{AudioFacts, SourceSpan};
    use reel_profiles::catalog;

    use super::*;
    use crate::testing::{index_summary, plan_of, with_targets};

    fn profile(name: &str) -> Profile {
        Profile::parse(catalog::text(name).unwrap(), name).unwrap()
    }

    #[test]
    fn a_film_in_1080p_gets_the_whole_ladder_and_a_bounded_runner() {
        let plan = plan(&index_summary(24 * 72), &profile("vod-abr"), None).unwrap();
        assert_eq!((plan.renditions, plan.chunk_parts, plan.grid.parts(), plan.chunks()), (4, 5, 6, 2));
        assert_eq!(plan.tracks, [0]);
        assert_eq!(plan.encoded_frames(), 24 * 72 * 4);
        assert!((900 << 20..1300 << 20).contains(&plan.encode_memory), "{}", plan.encode_memory);
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
    fn an_edit_asks_for_the_memory_of_its_largest_source() {
        let timing = |most_pixels| {
            let spans = vec![SourceSpan { source: 0, start: 0, end: 24 }];
            Timing::Edited { rate: Rational::whole(24), spans, most_pixels, overlay_bytes: 7 }
        };
        let of = |most_pixels| {
            let index = IndexSummary { timing: timing(most_pixels), ..index_summary(24) };
            plan(&index, &profile("vod-abr"), None).unwrap().encode_memory
        };
        let unedited = plan(&index_summary(24), &profile("vod-abr"), None).unwrap().encode_memory;
        assert_eq!(of(0), unedited + 7);
        assert_eq!(of(3840 * 2160) - of(0), (3840 * 2160 - 1920 * 1080) * 128);
    }

    #[test]
    fn a_source_without_sound_has_no_audio_task() {
        let index = IndexSummary { audio: Vec::<AudioFacts>::new(), ..index_summary(240) };
        let plan = plan(&index, &profile("vod-abr"), None).unwrap();
        assert!(plan.tracks.is_empty());
        assert!(!plan.warnings.is_empty());
    }

    #[test]
    fn what_cannot_be_planned_is_refused_with_the_reason() {
        let abr = profile("vod-abr");
        assert_eq!(plan(&index_summary(240), &abr, Some(0)), Err(PlanError::EmptyChunk));
        let endless = plan(&index_summary(u64::MAX / 1000), &abr, None);
        assert!(matches!(endless, Err(PlanError::Rejected(_) | PlanError::TooManyParts(_))), "{endless:?}");
        let mut hdr = index_summary(240);
        hdr.video.colour.transfer = 16;
        assert!(matches!(plan(&hdr, &abr, None), Err(PlanError::Rejected(_))));
    }

    #[test]
    fn renditions_with_a_bit_rate_are_to_have_its_bytes() {
        let text = catalog::text("vod-abr").unwrap();
        let text = text.replacen("crf = 21", "bitrate_kbps = 4000", 1);
        let profile = Profile::parse(&text, "vod-abr").unwrap();
        let made = plan(&index_summary(24 * 60), &profile, None).unwrap();
        let [target] = made.targets[..] else { panic!("{:?}", made.targets) };
        assert_eq!((target.rendition, target.codec), (0, VideoCodec::H264));
        assert_eq!(target.goal, Goal::Bytes(4_000_000 / 8 * 60));
        assert!((15_000..30_000).contains(&target.crf_milli), "{target:?}");
        assert!(plan(&index_summary(24 * 60), &self::profile("vod-abr"), None).unwrap().targets.is_empty());
    }

    #[test]
    fn measuring_vmaf_asks_for_memory() {
        let of = |edit: (&str, &str)| {
            let text = catalog::text("vod-abr").unwrap().replacen(edit.0, edit.1, 1);
            let profile = Profile::parse(&text, "vod-abr").unwrap();
            plan(&index_summary(24), &profile, None).unwrap()
        };
        let plain = of(("", "")).encode_memory;
        let goal = of(("crf = 21", "vmaf = 95"));
        assert_eq!(goal.targets[0].goal, Goal::Vmaf(95_000));
        assert_eq!(goal.encode_memory - plain, 1920 * 1080 * (64 + 72));
        assert!(of(("[package]", "[measure]\nvmaf = true\n[package]")).encode_memory > goal.encode_memory);
    }

    #[test]
    fn hostile_picture_sizes_do_not_overflow() {
        assert_eq!(encode_memory(pixels(u32::MAX, u32::MAX), &[]), u64::MAX);
    }

    proptest! {
        #[test]
        fn waves_of_a_long_title_hold_every_part_once(parts in 65u32..2_000, chunk_parts in 1u32..40) {
            let plan = with_targets(plan_of(parts, chunk_parts, 0), false);
            prop_assert_eq!((plan.waves(), plan.parts_of_waves(WAVES)), (WAVES, parts));
            let mut seen = std::collections::BTreeSet::new();
            for chunk in 0..plan.chunks() {
                let range = plan.chunk(chunk);
                prop_assert!(!range.is_empty() && range.len() <= chunk_parts);
                let wave = plan.wave_of(range.start);
                prop_assert!((plan.chunks_of_waves(wave)..plan.chunks_of_waves(wave + 1)).contains(&chunk));
                for part in range.parts() {
                    prop_assert!(seen.insert(part));
                    prop_assert_eq!((plan.wave_of(part.0), plan.chunk_of(part.0)), (wave, chunk));
                }
            }
            prop_assert_eq!(seen.len() as u32, parts);
            for waves in 0..=WAVES {
                let counted = seen.iter().filter(|part| plan.wave_of(part.0) < waves).count() as u32;
                prop_assert_eq!(plan.parts_of_waves(waves), counted);
            }
            prop_assert!(plan.chunk(plan.chunks()).is_empty());
        }

        #[test]
        fn chunks_of_the_plan_cover_every_frame_once(frames in 1u64..200_000, chunk_parts in 1u32..40, rate in 1i64..120) {
            let mut index = index_summary(frames);
            index.timing = Timing::Constant { rate: Rational::whole(rate) };
            let plan = plan(&index, &profile("proxy"), Some(chunk_parts)).unwrap();
            let mut next_frame = 0;
            for chunk in 0..plan.chunks() {
                prop_assert!(!plan.chunk(chunk).is_empty());
                for part in plan.chunk(chunk).parts() {
                    let spec = plan.grid.part(part).unwrap();
                    prop_assert_eq!(spec.start(), next_frame);
                    next_frame = spec.end;
                }
            }
            prop_assert_eq!(next_frame, frames);
            prop_assert!(plan.chunk(plan.chunks()).is_empty());
            prop_assert_eq!(plan.grid.part(PartIndex(plan.grid.parts())), None);
        }
    }
}
