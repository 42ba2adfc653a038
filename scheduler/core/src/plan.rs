//! The plan of a job: where its title is cut, how parts are grouped, and what an attempt needs.

mod resources;

use std::collections::BTreeSet;

use reel_common::{Flag, Goal, GridError, IndexSummary, PartIndex, Rational, SegmentGrid};
use reel_profiles::{
    Admitted, ImagesError, LadderError, Profile, Quality, Rejection, ResolvedRendition, VideoCodec,
};

use resources::{
    encode_memory, encode_scratch, image_memory, overlay_memory, pixels, source_pixels, tone_memory,
    vmaf_memory,
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
    /// Whether parts are shown before the title is whole.
    pub preview: bool,
    /// Whether the title is checked; plans of earlier versions have no such stage.
    pub check: bool,
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
    /// Memory of an attempt that encodes no pictures, in bytes: index and audio, and what makes a tree beside its tables.
    pub const LIGHT_MEMORY: u64 = 256 << 20;

    /// Memory of an attempt that makes a tree of the parts, in bytes.
    pub fn tree_memory(&self) -> u64 {
        Self::LIGHT_MEMORY.saturating_add(resources::sample_tables(self.encoded_frames()))
    }

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
        preview: profile.package.preview,
        check: true,
        tracks,
        grid,
        warnings: warnings.into_iter().map(|warning| warning.0).take(Plan::MAX_WARNINGS).collect(),
        flags: flags.into_iter().take(Plan::MAX_WARNINGS).collect(),
    })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reel_common::{AudioFacts, SourceSpan, Timing};
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
