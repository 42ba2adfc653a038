//! The rate factors that make a title as large as it is to be.
//!
//! One rate factor for the whole title is what two passes over it come to: x264's second pass gives every frame the same
//! base quantizer where macroblock-tree rate control is on. So the leader looks for that rate factor, by encodes of the
//! whole title whose sizes are all that counts. They begin with a draft at fast settings, where those are faster. Short
//! titles are then encoded at full settings until the size is right; the last of these encodes is the title. Of a long title
//! every part is encoded once, in five waves of parts that lie all over it: the sizes of a wave correct what the draft
//! foretells of the next.
//!
//! Everything is computed in whole numbers, so that it comes out the same on every scheduler.

use reel_profiles::{Coding, VideoCodec};

use crate::plan::{Plan, RateTarget};
use crate::state::{RateLevel, RateState};

/// What a job does next for its bit rates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateStep {
    /// Encode every part to see how large it becomes; else open the next wave of the encode.
    pub probe: bool,
    /// The rate factors in thousandths, one for each target.
    pub crf_milli: Vec<u32>,
}

/// The finest rate factor that is used, in thousandths: what is finer nobody sees.
pub(crate) const FINEST: u32 = 5_000;
/// Encodes of a short title at full settings, the one that is kept included.
const MAX_ROUNDS: usize = 5;
/// How far from its target a size may be, in thousandths of it, where nothing better is looked for.
const NEAR_ENOUGH: u64 = 7;

/// Thousandths of a rate factor that halve the size, on the whole.
fn halving(codec: VideoCodec) -> i64 {
    match codec {
        VideoCodec::H264 | VideoCodec::Hevc => 5_000,
        VideoCodec::Av1 => 16_000,
    }
}

/// Beyond this distance what a draft foretells is worth another draft; and no later wave differs by more from those before.
fn far(codec: VideoCodec) -> i64 {
    halving(codec) / 2
}

/// What a title comes to, in thousandths of its draft at the same rate factor: 1000 where the draft is no other. Measured:
/// 1.22 to 1.40 for x264 at preset medium, 1.11 to 1.13 for x265, 0.94 for SVT-AV1 at preset 8.
pub(crate) fn draft_ratio(coding: Coding) -> u32 {
    match coding.codec() {
        _ if coding.draft() == coding => 1_000,
        VideoCodec::H264 => 1_300,
        VideoCodec::Hevc => 1_120,
        VideoCodec::Av1 => 940,
    }
}

/// Where a search begins: the rate factor in thousandths at which a picture usually takes `bits` for its `pixels`.
pub(crate) fn first_guess(codec: VideoCodec, bits: u64, pixels: u64) -> u32 {
    let usual = match codec {
        VideoCodec::H264 => 24_000,
        VideoCodec::Hevc => 26_000,
        VideoCodec::Av1 => 36_000,
    };
    // A bit for 20 pixels.
    let octaves = log2(pixels.max(1).into()) - log2(u128::from(bits.max(1)) * 20);
    let most = i64::from(codec.max_crf()) * 1_000 - 10_000;
    (usual + halving(codec) * octaves / ONE).clamp(15_000, most) as u32
}

/// What a job with targets does next, after its last round or wave.
pub fn next(plan: &Plan, rate: &RateState) -> RateStep {
    let step = |probe, level: &dyn Fn(usize, &RateTarget) -> u32| RateStep {
        probe,
        crf_milli: plan.targets.iter().enumerate().map(|(at, target)| level(at, target)).collect(),
    };
    match plan.waves() {
        _ if rate.rounds.is_empty() => step(true, &|_, target| quantize(target, target.crf_milli.into())),
        1 => next_of_short(plan, rate, &step),
        _ => next_of_long(plan, rate, &step),
    }
}

type Step<'a> = &'a dyn Fn(bool, &dyn Fn(usize, &RateTarget) -> u32) -> RateStep;

/// Another encode of the whole, until the size is right or nothing else is left to try.
fn next_of_short(plan: &Plan, rate: &RateState, step: Step<'_>) -> RateStep {
    let rounds = &rate.rounds[usize::from(plan.begins_with_draft())..];
    if rounds.is_empty() {
        return step(true, &|at, target| {
            let ratio = log2(target.draft_milli.into()) - log2(1_000);
            quantize(target, follow(rate.rounds[0].levels[at], ratio, target.bytes, halving(target.codec)))
        });
    }
    let best = |at: usize, target: &RateTarget| {
        let tried = rounds.iter().map(|round| round.levels[at]);
        tried.min_by_key(|level| level.total().abs_diff(target.bytes)).unwrap_or_default()
    };
    let better = |at: usize, target: &RateTarget| {
        let tried: Vec<_> = rounds.iter().map(|round| round.levels[at]).collect();
        let found = quantize(target, search(target, &tried));
        let parts = plan.grid.parts();
        let known = tried.iter().any(|level| is_same(target.codec, parts, level.crf_milli, found));
        (!is_near(target, &best(at, target)) && !known).then_some(found)
    };
    let done = plan.targets.iter().enumerate().all(|(at, target)| better(at, target).is_none());
    let probe = rounds.len() < MAX_ROUNDS && !done;
    step(probe, &|at, target| {
        better(at, target).filter(|_| probe).unwrap_or_else(|| best(at, target).crf_milli)
    })
}

/// A second draft where the first was far from the size; else the next wave.
fn next_of_long(plan: &Plan, rate: &RateState, step: Step<'_>) -> RateStep {
    let level = |at: usize, target: &RateTarget| wave_level(rate, at, target);
    let is_far = |(at, target): (usize, &RateTarget)| {
        let distance = i64::from(level(at, target)) - i64::from(rate.rounds[0].levels[at].crf_milli);
        distance.abs() > far(target.codec)
    };
    let first = rate.rounds.len() == 1 && rate.waves.is_empty();
    step(first && plan.targets.iter().enumerate().any(is_far), &level)
}

/// Whether two levels give every part the same rate factor.
fn is_same(codec: VideoCodec, parts: u32, one: u32, other: u32) -> bool {
    (0..parts).all(|part| of_part(codec, one, part) == of_part(codec, other, part))
}

/// Whether no other rate factor would be better.
fn is_near(target: &RateTarget, level: &RateLevel) -> bool {
    let (bytes, wanted) = (level.total(), target.bytes);
    let coarsest = target.codec.max_crf() * 1_000;
    u128::from(bytes.abs_diff(wanted)) * 1_000 <= u128::from(wanted) * u128::from(NEAR_ENOUGH)
        || (bytes < wanted && level.crf_milli <= FINEST)
        || (bytes > wanted && level.crf_milli >= coarsest)
}

/// The rate factor that gives `wanted` bytes, by one that was tried, what halves the size, and by how many octaves the size
/// would be another than what was tried.
fn follow(tried: RateLevel, octaves: i64, wanted: u64, halving: i64) -> i64 {
    let octaves = octaves + log2(tried.total().into()) - log2(wanted.into());
    i64::from(tried.crf_milli) + halving * octaves / ONE
}

/// The rate factor by a secant through the two nearest that were tried, and between them where they lie on either side.
fn search(target: &RateTarget, tried: &[RateLevel]) -> i64 {
    let mut nearest = tried.to_vec();
    nearest.sort_by_key(|level| level.total().abs_diff(target.bytes));
    let [near, other, ..] = nearest[..] else {
        let usual = halving(target.codec);
        return nearest.first().map_or(target.crf_milli.into(), |only| follow(*only, 0, target.bytes, usual));
    };
    let found = follow(near, 0, target.bytes, between(target.codec, near, other));
    let coarser =
        tried.iter().filter(|level| level.total() < target.bytes).map(|level| level.crf_milli).min();
    let finer = tried.iter().filter(|level| level.total() > target.bytes).map(|level| level.crf_milli).max();
    match (finer, coarser) {
        (Some(finer), Some(coarser)) if finer < coarser => found.clamp(finer.into(), coarser.into()),
        _ => found,
    }
}

/// What halves the size, by two encodes; what does usually, where they are too near each other to tell.
fn between(codec: VideoCodec, one: RateLevel, other: RateLevel) -> i64 {
    let usual = halving(codec);
    let levels = i64::from(other.crf_milli) - i64::from(one.crf_milli);
    let octaves = log2(one.total().into()) - log2(other.total().into());
    let tells = octaves != 0 && levels.abs() >= usual / 20;
    if tells { (levels * ONE / octaves).clamp(usual / 3, usual * 4) } else { usual }
}

/// The rate factor of the next wave: what is left of the bytes, for what the draft says is left of the title, held against
/// what came of what it said before.
fn wave_level(rate: &RateState, at: usize, target: &RateTarget) -> u32 {
    let Some(draft) = rate.rounds.last().map(|round| round.levels[at]) else { return target.crf_milli };
    let done = rate.waves.len();
    let waves: Vec<RateLevel> = rate.waves.iter().map(|wave| wave.levels[at]).collect();
    let spent: u64 = waves.iter().map(RateLevel::total).fold(0, u64::saturating_add);
    let foretold = |of: &[u64]| of.iter().map(|bytes| u128::from(*bytes)).sum::<u128>().max(1);
    let (behind, ahead) = (foretold(&draft.bytes[..done]), foretold(&draft.bytes[done..]));
    let left = u128::from(target.bytes.saturating_sub(spent)).max(1);
    let halving = match &rate.rounds[..] {
        [first, _] => between(target.codec, first.levels[at], draft),
        _ => halving(target.codec),
    };
    if done == 0 || spent == 0 {
        let octaves = log2(u128::from(target.draft_milli) * ahead) - log2(1_000 * left);
        return quantize(target, i64::from(draft.crf_milli) + halving * octaves / ONE);
    }
    let mean = |sum: u128, wave: &RateLevel| sum + u128::from(wave.crf_milli) * u128::from(wave.total());
    let before = (waves.iter().fold(0, mean) / u128::from(spent)) as i64;
    let octaves = log2(spent.into()) - log2(behind) + log2(ahead) - log2(left);
    let step = halving * octaves / ONE;
    let most = far(target.codec);
    let step = if done > 1 { step.clamp(-most, most) } else { step };
    quantize(target, before + step)
}

/// The nearest rate factor that is used, in hundredths.
fn quantize(target: &RateTarget, level: i64) -> u32 {
    let most = i64::from(target.codec.max_crf()) * 1_000;
    (level.clamp(FINEST.into(), most) as u32 + 5) / 10 * 10
}

/// The rate factor of one part, where the mean of all is `level`: of an encoder that takes whole ones alone, some parts
/// have the one below and some the one above, spread evenly over the title. A part that has the one above has it at every
/// coarser level too.
pub(crate) fn of_part(codec: VideoCodec, level: u32, part: u32) -> u32 {
    /// 2^32 divided by the golden ratio: its multiples fill the range evenly, however many they are.
    const GOLDEN: u32 = 0x9E37_79B9;
    let step = codec.crf_step_milli();
    let (below, beyond) = (level / step * step, level % step);
    let place = (u64::from(part.wrapping_mul(GOLDEN)) * u64::from(step)) >> 32;
    if place < u64::from(beyond) { below + step } else { below }
}

/// One, of the numbers that [`log2`] gives.
const ONE: i64 = 1 << 16;

/// The logarithm to base 2 in units of 1 / [`ONE`], rounded down; that of 0 is taken as that of 1.
fn log2(number: u128) -> i64 {
    let number = number.max(1);
    let whole = number.ilog2();
    // Between 1 and 2, with 62 bits behind the point.
    let mut rest = if whole > 62 { number >> (whole - 62) } else { number << (62 - whole) };
    let mut fraction = 0;
    for bit in (0..16).rev() {
        rest = (rest * rest) >> 62;
        if rest >= 2 << 62 {
            rest >>= 1;
            fraction |= 1 << bit;
        }
    }
    i64::from(whole) * ONE + fraction
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::WAVES;
    use crate::state::RateRound;
    use crate::testing::plan_of;

    /// A title whose parts differ: what it comes to at a rate factor, by wave.
    struct Title {
        plan: Plan,
        /// Bytes of each part at rate factor 20.
        sizes: Vec<f64>,
        /// Thousandths of a rate factor that halve each.
        halvings: Vec<f64>,
        /// What a draft makes of each.
        drafts: Vec<f64>,
        /// Bytes that no rate factor takes away: headers.
        least: f64,
    }

    impl Title {
        fn of(codec: VideoCodec, parts: u32, bytes: u64, seed: u64) -> Self {
            let mut plan = plan_of(parts, 5, 0);
            plan.targets =
                vec![RateTarget { rendition: 0, codec, bytes, crf_milli: 24_000, draft_milli: 1_220 }];
            let mut state = seed | 1;
            let mut chance = move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % 1_000) as f64 / 1_000.0
            };
            let usual = halving(codec) as f64;
            let sizes = (0..parts).map(|_| 20_000.0 * 2f64.powf(chance() * 4.0)).collect();
            let halvings = (0..parts).map(|_| usual * (0.8 + 0.5 * chance())).collect();
            // An eighth to either side of the mean; 0.07 was measured.
            let drafts = (0..parts).map(|_| 0.72 + 0.2 * chance()).collect();
            Title { plan, sizes, halvings, drafts, least: 400.0 }
        }

        fn round(&self, level: u32, draft: bool, wave: Option<usize>) -> RateRound {
            let mut made = RateLevel { crf_milli: level, ..RateLevel::default() };
            let codec = self.plan.targets[0].codec;
            for part in 0..self.plan.grid.parts() {
                let at = part as usize;
                let crf = f64::from(of_part(codec, level, part));
                let bytes = self.sizes[at] * 2f64.powf((20_000.0 - crf) / self.halvings[at]) + self.least;
                let bytes = if draft { bytes * self.drafts[at] } else { bytes };
                let its = self.plan.wave_of(part);
                if wave.is_none_or(|wave| wave == its) {
                    made.bytes[its] += bytes as u64;
                }
            }
            RateRound { levels: vec![made] }
        }

        /// Every step until the encode is over: the rounds, and the size of the title.
        fn run(&self) -> (RateState, u64) {
            let mut rate = RateState::default();
            while rate.waves.len() < self.plan.waves() {
                let step = next(&self.plan, &rate);
                let level = step.crf_milli[0];
                match step.probe {
                    true => {
                        let draft = self.plan.is_draft(rate.rounds.len());
                        rate.rounds.push(self.round(level, draft, None));
                    }
                    false => rate.waves.push(self.round(level, false, Some(rate.waves.len()))),
                }
                assert!(rate.steps() < 12, "{rate:?}");
            }
            let bytes = rate.waves.iter().map(|wave| wave.levels[0].total()).sum();
            (rate, bytes)
        }
    }

    fn error_percent(bytes: u64, wanted: u64) -> f64 {
        (bytes as f64 / wanted as f64 - 1.0) * 100.0
    }

    #[test]
    fn logarithms_are_those_of_arithmetic() {
        for number in [1_u64, 2, 3, 1_000, 12_345_678, u64::MAX] {
            let exact = (number as f64).log2() * ONE as f64;
            assert!((log2(number.into()) as f64 - exact).abs() < 2.0, "{number}");
        }
        assert_eq!((log2(0), log2(1 << 100)), (0, 100 * ONE));
        assert!(log2(u128::MAX) < 128 * ONE);
    }

    #[test]
    fn a_short_title_is_tried_as_a_whole_and_the_last_try_is_the_title() {
        let title = Title::of(VideoCodec::H264, 12, 3_000_000, 7);
        let (rate, bytes) = title.run();
        assert!(error_percent(bytes, 3_000_000).abs() < 0.7, "{bytes}");
        let last = &rate.waves[0].levels[0];
        assert!(rate.rounds[1..].iter().any(|round| round.levels[0].crf_milli == last.crf_milli), "{rate:?}");
        assert!(rate.rounds.len() <= 4, "{rate:?}");
    }

    #[test]
    fn parts_of_av1_have_whole_rate_factors_whose_mean_is_the_level() {
        let parts: Vec<u32> = (0..10).map(|part| of_part(VideoCodec::Av1, 35_300, part)).collect();
        assert!(parts.iter().all(|crf| [35_000, 36_000].contains(crf)), "{parts:?}");
        assert_eq!(parts.iter().sum::<u32>(), 353_000);
        let coarser = (0..10).map(|part| of_part(VideoCodec::Av1, 35_500, part));
        assert!(coarser.zip(&parts).all(|(coarser, crf)| coarser >= *crf));
        assert_eq!(of_part(VideoCodec::H264, 23_450, 7), 23_450);
    }

    #[test]
    fn what_cannot_be_reached_ends_at_the_finest_or_the_coarsest() {
        for (wanted, level) in [(u64::MAX / 4, FINEST), (1, 51_000)] {
            let (rate, _) = Title::of(VideoCodec::H264, 4, wanted, 3).run();
            assert_eq!(rate.waves[0].levels[0].crf_milli, level, "{rate:?}");
        }
        let (rate, _) = Title::of(VideoCodec::Hevc, 64, u64::MAX / 4, 3).run();
        assert!(rate.waves.iter().all(|wave| wave.levels[0].crf_milli == FINEST), "{rate:?}");
    }

    #[test]
    fn sizes_that_a_worker_made_up_do_no_harm() {
        for bytes in [0, 1, u64::MAX] {
            for parts in [3, 40] {
                let mut plan = plan_of(parts, 2, 0);
                let target = |rendition, codec| RateTarget {
                    rendition,
                    codec,
                    bytes: 1_000,
                    crf_milli: 1,
                    draft_milli: 1_000,
                };
                plan.targets = vec![target(0, VideoCodec::H264), target(1, VideoCodec::Av1)];
                let mut rate = RateState::default();
                while rate.waves.len() < plan.waves() {
                    let step = next(&plan, &rate);
                    let mut round = RateRound::at(&step.crf_milli);
                    round.levels.iter_mut().for_each(|level| level.bytes = [bytes; WAVES]);
                    if step.probe {
                        rate.rounds.push(round)
                    } else {
                        rate.waves.push(round)
                    }
                    assert!(step.crf_milli.iter().all(|level| (FINEST..=63_000).contains(level)), "{step:?}");
                    assert!(rate.steps() < 12);
                }
            }
        }
    }

    /// How far titles of so many parts are from their size, in percent, ascending; and the rounds of all of them.
    fn errors(codec: VideoCodec, parts: std::ops::RangeInclusive<u64>) -> (Vec<f64>, usize) {
        let mut rounds = 0;
        let mut error = |seed: u64| {
            let parts = parts.start() + seed * 7919 % (parts.end() - parts.start() + 1);
            let wanted = parts * (40_000 + seed * 1_000_003 % 80_000);
            let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
            let (rate, bytes) = Title::of(codec, parts as u32, wanted, seed).run();
            rounds += rate.rounds.len();
            error_percent(bytes, wanted).abs()
        };
        let mut errors: Vec<f64> = (0..TITLES).map(&mut error).collect();
        errors.sort_by(f64::total_cmp);
        (errors, rounds)
    }

    const TITLES: u64 = 300;

    #[test]
    fn short_titles_come_within_a_percent() {
        for codec in VideoCodec::ALL {
            let (errors, rounds) = errors(*codec, 8..=64);
            assert!(rounds < 4 * errors.len(), "{codec}: {rounds} rounds");
            // Whole rate factors of a few parts are coarse.
            let (most, worst) = if *codec == VideoCodec::Av1 { (285, 2.0) } else { (300, 0.71) };
            assert!(errors[most - 1] < 1.0 && errors[errors.len() - 1] < worst, "{codec}: {errors:?}");
        }
    }

    #[test]
    fn of_long_titles_each_part_is_encoded_once_and_the_size_is_within_a_percent() {
        for (parts, most, worst) in [(65..=200, 290, 2.2), (201..=900, 300, 1.0)] {
            for codec in VideoCodec::ALL {
                let (errors, rounds) = errors(*codec, parts.clone());
                assert!(rounds <= 2 * errors.len(), "{codec}: {rounds} drafts");
                let fine = errors[most - 1] < 1.0 && errors[errors.len() - 1] <= worst;
                assert!(fine, "{codec} {parts:?}: {:?}", &errors[250..]);
            }
        }
    }
}
