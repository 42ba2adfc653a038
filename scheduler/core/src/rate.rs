//! The rate factors that make a title as large, or as good, as it is to be.
//!
//! One rate factor for the whole title is what two passes over it come to: x264's second pass gives every frame the same
//! base quantizer where macroblock-tree rate control is on. So the leader looks for that rate factor, by encodes of the
//! whole title whose sizes are all that counts. They begin with a draft at fast settings, where those are faster. Short
//! titles are then encoded at full settings until the size is right; the last of these encodes is the title. Of a long title
//! every part is encoded once, in five waves of parts that lie all over it: the sizes of a wave correct what the draft
//! foretells of the next.
//!
//! A quality is looked for in the same way. Sizes and errors both change by a factor from one rate factor to the next, so
//! that what was reached is counted in octaves: of the bytes, or of the error, which is less where the quality is better.
//!
//! Everything is computed in whole numbers, so that it comes out the same on every scheduler.

use reel_common::{Goal, Measured};
use reel_profiles::{Coding, VideoCodec};

use crate::plan::{Plan, RateTarget, WAVES};
use crate::state::{RateLevel, RateState};

/// What a job does next for its bit rates and qualities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateStep {
    /// Encode every part to see how large and how good it becomes; else open the next wave of the encode.
    pub probe: bool,
    /// The rate factors in thousandths, one for each target.
    pub crf_milli: Vec<u32>,
}

/// The finest rate factor that is used, in thousandths: what is finer nobody sees.
pub(crate) const FINEST: u32 = 5_000;
/// Encodes of a short title at full settings, the one that is kept included.
const MAX_ROUNDS: usize = 5;
/// How far from its goal a size may be where nothing better is looked for: 0.7 %.
const NEAR_SIZE: i64 = ONE / 100;
/// How far from its goal the error may be where nothing better is looked for: 0.05 dB.
const NEAR_ERROR: i64 = ONE / 60;

/// Thousandths of a rate factor that halve the size or double the error, on the whole.
fn octave(codec: VideoCodec) -> i64 {
    match codec {
        VideoCodec::H264 | VideoCodec::Hevc => 5_000,
        VideoCodec::Av1 => 16_000,
    }
}

/// Beyond this distance what a draft foretells is worth another draft; and no later wave differs by more from those before.
fn far(codec: VideoCodec) -> i64 {
    octave(codec) / 2
}

/// What a title comes to, in thousandths of its draft at the same rate factor: 1000 where the draft is no other. Measured
/// of the size: 1.22 to 1.40 for x264 at preset medium, 1.11 to 1.13 for x265, 0.94 for SVT-AV1 at preset 8;
/// of the error: 0.65 to 0.73, 0.77 to 0.88, 0.92 to 1.06.
pub(crate) fn draft_ratio(coding: Coding, goal: Goal) -> u32 {
    match (coding.codec(), goal) {
        _ if coding.draft() == coding => 1_000,
        (VideoCodec::H264, Goal::Bytes(_)) => 1_300,
        (VideoCodec::Hevc, Goal::Bytes(_)) => 1_120,
        (VideoCodec::Av1, Goal::Bytes(_)) => 940,
        (VideoCodec::H264, _) => 680,
        (VideoCodec::Hevc, _) => 820,
        (VideoCodec::Av1, _) => 970,
    }
}

/// Where a search begins: the rate factor in thousandths at which `pixels` usually come to the goal.
pub(crate) fn first_guess(codec: VideoCodec, goal: Goal, pixels: u64) -> u32 {
    let usual = match codec {
        VideoCodec::H264 => 24_000,
        VideoCodec::Hevc => 26_000,
        VideoCodec::Av1 => 36_000,
    };
    let octaves = match goal {
        // A bit for 20 pixels.
        Goal::Bytes(bytes) => log2(pixels.max(1).into()) - log2(u128::from(bytes.max(1)) * 8 * 20),
        Goal::Psnr(_) => wanted(Goal::Psnr(41_000)) - wanted(goal),
        Goal::Ssim(_) => wanted(Goal::Ssim(980_000)) - wanted(goal),
        Goal::Vmaf(_) => wanted(Goal::Vmaf(94_000)) - wanted(goal),
    };
    let most = i64::from(codec.max_crf()) * 1_000 - 10_000;
    (usual + octave(codec) * octaves / ONE).clamp(15_000, most) as u32
}

/// What came of so many frames in octaves: of their bytes, or of what their error is less than all.
fn octaves(goal: Goal, sum: u128, frames: u64) -> i64 {
    let frames = u128::from(frames.max(1));
    let short_of = |most: u128| log2(most) - log2(most.saturating_sub(sum));
    match goal {
        Goal::Bytes(_) => log2(sum),
        // PSNR is 10 log10 of what the error is less than the square of full scale: an octave is 3.0103 dB.
        Goal::Psnr(_) => (sum.min(u64::MAX.into()) * ONE as u128 * 10 / (frames * 30_103)) as i64,
        Goal::Ssim(_) => short_of(frames * u128::from(Measured::MOST_SSIM_PPM)),
        // What is lacking of 100 behaves as an error does, but near both ends.
        Goal::Vmaf(_) => short_of(frames * u128::from(Measured::MOST_VMAF_MILLI)),
    }
}

/// A goal in the same unit.
fn wanted(goal: Goal) -> i64 {
    match goal {
        Goal::Bytes(bytes) => octaves(goal, bytes.into(), 1),
        Goal::Psnr(quality) | Goal::Ssim(quality) | Goal::Vmaf(quality) => octaves(goal, quality.into(), 1),
    }
}

/// What counts towards a goal, of each wave.
fn sums(goal: Goal, level: &RateLevel) -> [u64; WAVES] {
    match goal {
        Goal::Bytes(_) => level.bytes,
        Goal::Psnr(_) | Goal::Ssim(_) | Goal::Vmaf(_) => level.quality,
    }
}

/// The sum of all, which a worker may have made up.
fn sum(of: &[u64]) -> u128 {
    of.iter().map(|value| u128::from(*value)).sum()
}

/// A rate factor that was tried, and by how many octaves it gave more than the goal.
#[derive(Clone, Copy)]
struct Tried {
    crf_milli: u32,
    above: i64,
}

impl Tried {
    /// By an encode of the whole title.
    fn of(target: &RateTarget, level: &RateLevel, frames: u64) -> Self {
        let reached = octaves(target.goal, sum(&sums(target.goal, level)), frames);
        Tried { crf_milli: level.crf_milli, above: reached - wanted(target.goal) }
    }

    /// The rate factor that gives the goal, by what changes it by an octave.
    fn follow(self, octave: i64) -> i64 {
        i64::from(self.crf_milli) + octave * self.above / ONE
    }
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

/// Another encode of the whole, until what comes of it is right or nothing else is left to try.
fn next_of_short(plan: &Plan, rate: &RateState, step: Step<'_>) -> RateStep {
    let (parts, frames) = (plan.grid.parts(), plan.grid.frames());
    let rounds = &rate.rounds[usize::from(plan.begins_with_draft())..];
    if rounds.is_empty() {
        return step(true, &|at, target| {
            let draft = Tried::of(target, &rate.rounds[0].levels[at], frames);
            let title = Tried { above: draft.above + draft_octaves(target), ..draft };
            quantize(target, title.follow(octave(target.codec)))
        });
    }
    let tried = |at: usize, target: &RateTarget| -> Vec<Tried> {
        rounds.iter().map(|round| Tried::of(target, &round.levels[at], frames)).collect()
    };
    let best = |at, target: &RateTarget| tried(at, target).into_iter().min_by_key(|tried| tried.above.abs());
    let better = |at, target: &RateTarget| {
        let tried = tried(at, target);
        let found = quantize(target, search(target, &tried));
        let known = tried.iter().any(|tried| is_same(target.codec, parts, tried.crf_milli, found));
        let near = best(at, target).is_none_or(|best| is_near(target, best));
        (!near && !known).then_some(found)
    };
    let done = plan.targets.iter().enumerate().all(|(at, target)| better(at, target).is_none());
    let probe = rounds.len() < MAX_ROUNDS && !done;
    step(probe, &|at, target| {
        let best = best(at, target).map_or(target.crf_milli, |best| best.crf_milli);
        better(at, target).filter(|_| probe).unwrap_or(best)
    })
}

/// A second draft where the first was far from the goal; else the next wave.
fn next_of_long(plan: &Plan, rate: &RateState, step: Step<'_>) -> RateStep {
    let frames = plan.frames_of_waves();
    let level = |at: usize, target: &RateTarget| wave_level(rate, at, target, &frames);
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
fn is_near(target: &RateTarget, tried: Tried) -> bool {
    let near = match target.goal {
        Goal::Bytes(_) => NEAR_SIZE,
        Goal::Psnr(_) | Goal::Ssim(_) | Goal::Vmaf(_) => NEAR_ERROR,
    };
    let coarsest = target.codec.max_crf() * 1_000;
    tried.above.abs() <= near
        || (tried.above < 0 && tried.crf_milli <= FINEST)
        || (tried.above > 0 && tried.crf_milli >= coarsest)
}

/// The rate factor by a secant through the two nearest that were tried, and between them where they lie on either side.
fn search(target: &RateTarget, tried: &[Tried]) -> i64 {
    let mut nearest = tried.to_vec();
    nearest.sort_by_key(|tried| tried.above.abs());
    let [near, other, ..] = nearest[..] else {
        let usual = octave(target.codec);
        return nearest.first().map_or(target.crf_milli.into(), |only| only.follow(usual));
    };
    let found = near.follow(between(target.codec, near, other));
    let coarser = tried.iter().filter(|tried| tried.above < 0).map(|tried| tried.crf_milli).min();
    let finer = tried.iter().filter(|tried| tried.above > 0).map(|tried| tried.crf_milli).max();
    match (finer, coarser) {
        (Some(finer), Some(coarser)) if finer < coarser => found.clamp(finer.into(), coarser.into()),
        _ => found,
    }
}

/// What changes the outcome by an octave, by two encodes; what does usually, where they are too near each other to tell.
fn between(codec: VideoCodec, one: Tried, other: Tried) -> i64 {
    let usual = octave(codec);
    let levels = i64::from(other.crf_milli) - i64::from(one.crf_milli);
    let octaves = one.above - other.above;
    let tells = octaves != 0 && levels.abs() >= usual / 20;
    if tells { (levels * ONE / octaves).clamp(usual / 3, usual * 4) } else { usual }
}

/// By how many octaves the title gives more than its draft at the same rate factor.
fn draft_octaves(target: &RateTarget) -> i64 {
    let ratio = log2(target.draft_milli.into()) - log2(1_000);
    match target.goal {
        Goal::Bytes(_) => ratio,
        Goal::Psnr(_) | Goal::Ssim(_) | Goal::Vmaf(_) => -ratio,
    }
}

/// The rate factor of the next wave: what the waves before have left to it, for what the draft says is left of the title,
/// held against what came of what it said before.
fn wave_level(rate: &RateState, at: usize, target: &RateTarget, frames: &[u64; WAVES]) -> u32 {
    let Some(draft) = rate.rounds.last().map(|round| round.levels[at]) else { return target.crf_milli };
    let (goal, done) = (target.goal, rate.waves.len());
    let all = frames.iter().sum();
    let behind: u64 = frames[..done].iter().sum();
    let ahead = all - behind;
    let waves: Vec<RateLevel> = rate.waves.iter().map(|wave| wave.levels[at]).collect();
    let came: u128 = waves.iter().map(|wave| sum(&sums(goal, wave))).sum();
    let whole = match goal {
        Goal::Bytes(bytes) => u128::from(bytes),
        Goal::Psnr(quality) | Goal::Ssim(quality) | Goal::Vmaf(quality) => {
            u128::from(quality) * u128::from(all)
        }
    };
    let left = octaves(goal, whole.saturating_sub(came), ahead);
    let foretold = sums(goal, &draft);
    let (foretold_behind, foretold_ahead) = (sum(&foretold[..done]), sum(&foretold[done..]));
    let octave = match &rate.rounds[..] {
        [first, _] => {
            between(target.codec, Tried::of(target, &first.levels[at], all), Tried::of(target, &draft, all))
        }
        _ => octave(target.codec),
    };
    let foretold_ahead = octaves(goal, foretold_ahead, ahead);
    if done == 0 || came == 0 {
        let above = draft_octaves(target) + foretold_ahead - left;
        return quantize(target, i64::from(draft.crf_milli) + octave * above / ONE);
    }
    let before = mean_level(goal, &waves, frames);
    let above = octaves(goal, came, behind) - octaves(goal, foretold_behind, behind) + foretold_ahead - left;
    let step = octave * above / ONE;
    let most = far(target.codec);
    let step = if done > 1 { step.clamp(-most, most) } else { step };
    quantize(target, before + step)
}

/// The mean rate factor of waves: by their bytes, or by their frames.
fn mean_level(goal: Goal, waves: &[RateLevel], frames: &[u64; WAVES]) -> i64 {
    let weight = |wave: &RateLevel, frames: u64| match goal {
        Goal::Bytes(_) => sum(&wave.bytes),
        Goal::Psnr(_) | Goal::Ssim(_) | Goal::Vmaf(_) => frames.into(),
    };
    let weights = || waves.iter().zip(frames).map(|(wave, frames)| (wave, weight(wave, *frames)));
    let levels: u128 = weights().map(|(wave, weight)| u128::from(wave.crf_milli) * weight).sum();
    (levels / weights().map(|(_, weight)| weight).sum::<u128>().max(1)) as i64
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
mod tests;
