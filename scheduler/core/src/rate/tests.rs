//! Searches over titles whose sizes and qualities follow from a formula.

use super::*;
use crate::state::RateRound;
use crate::testing::plan_of;

/// A title whose parts differ: what each comes to at a rate factor.
struct Title {
    plan: Plan,
    /// Bytes of each part at rate factor 20.
    sizes: Vec<f64>,
    /// Thousandths of a rate factor that halve each.
    halvings: Vec<f64>,
    /// What a draft makes of each.
    drafts: Vec<f64>,
    /// By how many octaves the error of each is less than all at rate factor 20.
    errors: Vec<f64>,
    /// Thousandths of a rate factor that double it.
    doublings: Vec<f64>,
    /// By how many octaves it is more in a draft.
    draft_errors: Vec<f64>,
    /// Bytes that no rate factor takes away: headers.
    least: f64,
    /// Octaves that no rate factor gives: a ceiling of the rate holds the quality down.
    most: f64,
}

impl Title {
    fn of(codec: VideoCodec, parts: u32, goal: Goal, seed: u64) -> Self {
        let mut plan = plan_of(parts, 5, 0);
        let draft_milli = match goal {
            Goal::Bytes(_) => 1_220,
            _ => 680,
        };
        plan.targets = vec![RateTarget { rendition: 0, codec, goal, crf_milli: 24_000, draft_milli }];
        let mut state = seed | 1;
        let mut chance = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % 1_000) as f64 / 1_000.0
        };
        let usual = octave(codec) as f64;
        let sizes = (0..parts).map(|_| 20_000.0 * 2f64.powf(chance() * 4.0)).collect();
        let halvings = (0..parts).map(|_| usual * (0.8 + 0.5 * chance())).collect();
        // An eighth to either side of the mean; 0.07 was measured.
        let drafts = (0..parts).map(|_| 0.72 + 0.2 * chance()).collect();
        // 36 to 51 dB, or 0.984 to 0.9995, or 87.5 to 99.6.
        let least = match goal {
            Goal::Psnr(_) => 12.0,
            Goal::Vmaf(_) => 3.0,
            _ => 6.0,
        };
        let errors = (0..parts).map(|_| least + 5.0 * chance()).collect();
        let doublings = (0..parts).map(|_| usual * (0.8 + 0.5 * chance())).collect();
        let draft_errors = (0..parts).map(|_| 0.4 + 0.3 * chance()).collect();
        Title { plan, sizes, halvings, drafts, errors, doublings, draft_errors, least: 400.0, most: 100.0 }
    }

    /// What comes of a part at a rate factor.
    fn part(&self, part: u32, level: u32, draft: bool) -> Measured {
        let at = part as usize;
        let target = self.plan.targets[0];
        let crf = f64::from(of_part(target.codec, level, part));
        let bytes = self.sizes[at] * 2f64.powf((20_000.0 - crf) / self.halvings[at]) + self.least;
        let bytes = if draft { bytes * self.drafts[at] } else { bytes };
        let less = self.errors[at] + (20_000.0 - crf) / self.doublings[at];
        let less = (less - if draft { self.draft_errors[at] } else { 0.0 }).min(self.most);
        let (psnr, ssim) = (less * 3_010.3, (1.0 - 2f64.powf(-less)) * 1e6);
        let vmaf = (1.0 - 2f64.powf(-less)) * 1e5;
        Measured::new(bytes as u64, psnr as i64, ssim as i64).with_vmaf(vmaf as u32)
    }

    fn round(&self, level: u32, draft: bool, wave: Option<usize>) -> RateRound {
        let mut round = RateRound::at(&[level]);
        let parts = (0..self.plan.grid.parts())
            .filter(|part| wave.is_none_or(|wave| wave == self.plan.wave_of(*part)));
        parts.for_each(|part| round.add(&self.plan, part, |_, _| self.part(part, level, draft)));
        round
    }

    /// Every step until the encode is over: the rounds.
    fn steps(&self) -> RateState {
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
        rate
    }

    /// The rounds, and the size of the title.
    fn run(&self) -> (RateState, u64) {
        let rate = self.steps();
        let bytes = rate.waves.iter().map(|wave| wave.levels[0].total()).sum();
        (rate, bytes)
    }

    /// The rounds, and by how many decibels the title is better than its goal, of SSIM those of 1 - SSIM.
    fn judge(&self) -> (RateState, f64) {
        let rate = self.steps();
        let quality: u64 = rate.waves.iter().map(|wave| wave.levels[0].total_quality()).sum();
        let mean = quality as f64 / self.plan.grid.frames() as f64;
        let decibels = match self.plan.targets[0].goal {
            Goal::Psnr(wanted) => (mean - f64::from(wanted)) / 1e3,
            Goal::Ssim(wanted) => 10.0 * ((1e6 - f64::from(wanted)) / (1e6 - mean)).log10(),
            Goal::Vmaf(wanted) => 10.0 * ((1e5 - f64::from(wanted)) / (1e5 - mean)).log10(),
            Goal::Bytes(_) => panic!("no quality"),
        };
        (rate, decibels)
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
    let title = Title::of(VideoCodec::H264, 12, Goal::Bytes(3_000_000), 7);
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
        let (rate, _) = Title::of(VideoCodec::H264, 4, Goal::Bytes(wanted), 3).run();
        assert_eq!(rate.waves[0].levels[0].crf_milli, level, "{rate:?}");
    }
    let (rate, _) = Title::of(VideoCodec::Hevc, 64, Goal::Bytes(u64::MAX / 4), 3).run();
    assert!(rate.waves.iter().all(|wave| wave.levels[0].crf_milli == FINEST), "{rate:?}");
}

#[test]
fn what_a_worker_made_up_does_no_harm() {
    let made_up =
        [0, 1, u64::MAX].map(|number| (number, Measured::new(number, number as i64, number as i64)));
    let lies = made_up.into_iter().chain([(0, Measured::new(0, i64::MAX, i64::MAX))]);
    for ((bytes, measured), parts) in lies.flat_map(|lie| [(lie, 3), (lie, 40), (lie, 80)]) {
        let mut plan = plan_of(parts, 2, 0);
        let target =
            |rendition, codec, goal| RateTarget { rendition, codec, goal, crf_milli: 1, draft_milli: 1_000 };
        plan.targets = vec![
            target(0, VideoCodec::H264, Goal::Bytes(1_000)),
            target(1, VideoCodec::Av1, Goal::Psnr(40_000)),
            target(2, VideoCodec::Hevc, Goal::Ssim(999_000)),
            target(3, VideoCodec::Hevc, Goal::Vmaf(95_000)),
        ];
        let mut rate = RateState::default();
        while rate.waves.len() < plan.waves() {
            let step = next(&plan, &rate);
            let mut round = RateRound::at(&step.crf_milli);
            (0..parts).for_each(|part| round.add(&plan, part, |_, _| measured));
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

/// How far titles of so many parts are from their size, in percent, ascending; and the rounds of all of them.
fn errors(codec: VideoCodec, parts: std::ops::RangeInclusive<u64>) -> (Vec<f64>, usize) {
    let mut rounds = 0;
    let mut error = |seed: u64| {
        let parts = parts.start() + seed * 7919 % (parts.end() - parts.start() + 1);
        let wanted = parts * (40_000 + seed * 1_000_003 % 80_000);
        let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
        let (rate, bytes) = Title::of(codec, parts as u32, Goal::Bytes(wanted), seed).run();
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

/// How far titles of so many parts are from their quality, in decibels, ascending; and the rounds of all of them.
fn misses(
    codec: VideoCodec,
    goal: fn(u64) -> Goal,
    parts: std::ops::RangeInclusive<u64>,
) -> (Vec<f64>, usize) {
    let mut rounds = 0;
    let mut miss = |seed: u64| {
        let parts = parts.start() + seed * 7919 % (parts.end() - parts.start() + 1);
        let title = Title::of(codec, parts as u32, goal(seed), seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1);
        let (rate, decibels) = title.judge();
        rounds += rate.rounds.len();
        // Beyond the finest and the coarsest rate factor there is nothing.
        let last = rate.waves.last().map_or(0, |wave| wave.levels[0].crf_milli);
        let step = codec.crf_step_milli();
        let (finest, coarsest) = (last < FINEST + step, last > codec.max_crf() * 1_000 - step);
        let at_an_end = if decibels < 0.0 { finest } else { coarsest };
        if at_an_end { 0.0 } else { decibels.abs() }
    };
    let mut misses: Vec<f64> = (0..TITLES).map(&mut miss).collect();
    misses.sort_by(f64::total_cmp);
    (misses, rounds)
}

const GOALS: [fn(u64) -> Goal; 2] = [
    |seed| Goal::Psnr(36_000 + seed as u32 * 10_000 / 300),
    |seed| Goal::Ssim(960_000 + seed as u32 * 35_000 / 300),
];

#[test]
fn short_titles_have_their_quality_after_a_few_rounds() {
    for (codec, goal) in VideoCodec::ALL.iter().flat_map(|codec| GOALS.map(|goal| (codec, goal))) {
        for parts in [1..=7, 8..=64] {
            let (misses, rounds) = misses(*codec, goal, parts.clone());
            assert!(rounds < 4 * misses.len(), "{codec}: {rounds} rounds");
            // Rate factors of AV1 are whole: of a single part one is 0.2 to 0.3 dB.
            let worst = match codec {
                VideoCodec::Av1 if *parts.start() == 1 => 0.24,
                VideoCodec::Av1 => 0.06,
                _ => 0.051,
            };
            assert!(misses[misses.len() - 1] < worst, "{codec} {parts:?}: {:?}", &misses[250..]);
        }
    }
}

#[test]
fn of_long_titles_each_part_is_encoded_once_and_the_quality_is_near() {
    for (codec, goal) in VideoCodec::ALL.iter().flat_map(|codec| GOALS.map(|goal| (codec, goal))) {
        for (parts, worst) in [(65..=200, 0.1), (201..=900, 0.05)] {
            let (misses, rounds) = misses(*codec, goal, parts.clone());
            assert!(rounds <= 2 * misses.len(), "{codec}: {rounds} drafts");
            assert!(misses[misses.len() - 1] < worst, "{codec} {parts:?}: {:?}", &misses[250..]);
        }
    }
}

#[test]
fn a_quality_that_cannot_be_reached_ends_at_the_finest_rate_factor() {
    for parts in [4, 80] {
        let (rate, decibels) = Title::of(VideoCodec::Hevc, parts, Goal::Psnr(60_000), 3).judge();
        assert!(decibels < -0.25, "{decibels}");
        assert_eq!(rate.waves[rate.waves.len() - 1].levels[0].crf_milli, FINEST, "{rate:?}");
        let (rate, decibels) = Title::of(VideoCodec::H264, parts, Goal::Psnr(20_000), 3).judge();
        assert!(decibels > 0.25 && rate.waves[0].levels[0].crf_milli == 51_000, "{decibels}: {rate:?}");
    }
}

#[test]
fn where_finer_is_no_better_the_coarser_is_kept() {
    let mut title = Title::of(VideoCodec::H264, 12, Goal::Psnr(50_000), 3);
    // A ceiling of the rate: no part is better than 36.1 dB.
    title.most = 12.0;
    let (rate, decibels) = title.judge();
    let best = 12.0 * 3.0103 - 50.0;
    assert!((decibels - best).abs() < 0.1, "{decibels}, {best} at best");
    let kept = rate.waves[0].levels[0].crf_milli;
    assert!(rate.rounds[1..].iter().all(|round| round.levels[0].crf_milli <= kept), "{rate:?}");
}

#[test]
fn a_short_last_part_counts_by_its_frames() {
    let mut plan = plan_of(3, 5, 0);
    let long = plan.grid.part(reel_common::PartIndex(0)).map_or(0, |part| part.frames());
    let short = long * 3 / 4;
    plan.grid = reel_common::SegmentGrid::regular(2 * long + short, long as u32, 1).unwrap();
    assert_eq!((plan.grid.parts(), plan.frames_of(2)), (3, short));
    let title = Title::of(VideoCodec::H264, 3, Goal::Psnr(40_000), 1);
    plan.targets = title.plan.targets;
    let mut round = RateRound::at(&[24_000]);
    for (part, psnr) in [(0, 42_000), (1, 40_000), (2, 30_000)] {
        round.add(&plan, part, |_, _| Measured::new(7, psnr, 0));
    }
    assert_eq!(round.levels[0].total_quality(), long * 82_000 + short * 30_000);
    assert_eq!(plan.frames_of_waves().iter().sum::<u64>(), 2 * long + short);
}
