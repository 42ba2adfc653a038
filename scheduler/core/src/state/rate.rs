//! How a job comes to the bit rates and qualities of its renditions: what was tried, and what came of it.

use reel_common::{Goal, Measured};

use super::TaskSet;
use crate::plan::{Plan, WAVES};

/// Rounds of probes, and the waves of the encode that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateState {
    /// Encodes of the whole title for nothing but its size and quality, drafts first.
    pub rounds: Vec<RateRound>,
    /// The waves of the encode that may begin.
    pub waves: Vec<RateRound>,
    /// Whether the last round is not over.
    pub probing: bool,
    /// The parts that were probed in it; none between rounds.
    pub probed: TaskSet,
}

/// One encode of the title, or of a wave of it: one level for each target of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateRound {
    /// What was asked and what came.
    pub levels: Vec<RateLevel>,
}

/// A rate factor, and the size and quality that it gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLevel {
    /// The rate factor in thousandths; of AV1 the mean of its parts, whose rate factors are whole.
    pub crf_milli: u32,
    /// Bytes of the coded frames so far, of the parts of each wave.
    pub bytes: [u64; WAVES],
    /// Where the target is a quality: its sum over the frames so far, in the unit of the goal, likewise.
    pub quality: [u64; WAVES],
}

impl RateLevel {
    /// Bytes of all parts.
    pub fn total(&self) -> u64 {
        self.bytes.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Quality of all frames.
    pub fn total_quality(&self) -> u64 {
        self.quality.iter().fold(0, |sum, quality| sum.saturating_add(*quality))
    }
}

impl RateRound {
    /// A round at these rate factors, of which nothing has come yet.
    pub fn at(levels: &[u32]) -> Self {
        let level = |crf_milli: &u32| RateLevel { crf_milli: *crf_milli, ..RateLevel::default() };
        RateRound { levels: levels.iter().map(level).collect() }
    }

    /// Adds what came of a part: of each target what `measured` gives for its place among the targets.
    pub(crate) fn add(&mut self, plan: &Plan, part: u32, measured: impl Fn(usize, u32) -> Measured) {
        let wave = plan.wave_of(part);
        let frames = plan.frames_of(part);
        for ((at, target), level) in plan.targets.iter().enumerate().zip(&mut self.levels) {
            let measured = measured(at, target.rendition);
            // A worker may say any number.
            level.bytes[wave] = level.bytes[wave].saturating_add(measured.bytes);
            let quality = u64::from(counted(target.goal, measured)).saturating_mul(frames);
            level.quality[wave] = level.quality[wave].saturating_add(quality);
        }
    }
}

impl RateState {
    /// Rounds and waves begun.
    pub fn steps(&self) -> u32 {
        (self.rounds.len() + self.waves.len()) as u32
    }

    /// Rounds of probes that are over.
    pub fn rounds_over(&self) -> u32 {
        (self.rounds.len() as u32).saturating_sub(u32::from(self.probing))
    }

    /// Rounds of probes that are known to be needed: until the encode begins, one more than are over.
    pub fn rounds_known(&self) -> u32 {
        self.rounds_over() + u32::from(self.waves.is_empty())
    }

    /// Takes what came of a part that was probed, one for each target; the round ends with its last part.
    pub(crate) fn note_probe(&mut self, plan: &Plan, part: u32, measured: &[Measured]) {
        if let Some(round) = self.rounds.last_mut() {
            round.add(plan, part, |at, _| measured.get(at).copied().unwrap_or_default());
        }
        self.probed.end(part);
        if self.probed.done() == plan.grid.parts() {
            self.probing = false;
            self.probed = TaskSet::default();
        }
    }

    /// Takes what came of a part that was encoded, one for each rendition of the ladder.
    pub(crate) fn note_part(&mut self, plan: &Plan, part: u32, measured: &[Measured]) {
        if let Some(round) = self.waves.get_mut(plan.wave_of(part)) {
            let of_rendition = |rendition: u32| measured.get(rendition as usize).copied();
            round.add(plan, part, |_, rendition| of_rendition(rendition).unwrap_or_default());
        }
    }
}

/// What counts towards a goal that is a quality.
fn counted(goal: Goal, measured: Measured) -> u32 {
    match goal {
        Goal::Bytes(_) => 0,
        Goal::Psnr(_) => measured.psnr_mdb,
        Goal::Ssim(_) => measured.ssim_ppm,
        Goal::Vmaf(_) => measured.vmaf_milli,
    }
}
