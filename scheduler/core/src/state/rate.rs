//! How a job comes to the bit rates of its renditions: what was tried, and what came of it.

use super::TaskSet;
use crate::plan::{Plan, WAVES};

/// Rounds of probes, and the waves of the encode that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateState {
    /// Encodes of the whole title for nothing but its size, drafts first.
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

/// A rate factor and the size that it gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLevel {
    /// The rate factor in thousandths; of AV1 the mean of its parts, whose rate factors are whole.
    pub crf_milli: u32,
    /// Bytes of the coded frames so far, of the parts of each wave.
    pub bytes: [u64; WAVES],
}

impl RateLevel {
    /// Bytes of all parts.
    pub fn total(&self) -> u64 {
        self.bytes.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }
}

impl RateRound {
    /// A round at these rate factors, of which nothing has come yet.
    pub fn at(levels: &[u32]) -> Self {
        let level = |crf_milli: &u32| RateLevel { crf_milli: *crf_milli, ..RateLevel::default() };
        RateRound { levels: levels.iter().map(level).collect() }
    }

    fn add(&mut self, wave: usize, bytes: impl Iterator<Item = u64>) {
        for (level, bytes) in self.levels.iter_mut().zip(bytes) {
            // A worker may say any number.
            level.bytes[wave] = level.bytes[wave].saturating_add(bytes);
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

    /// Takes the sizes of a part that was probed, one for each target; the round ends with its last part.
    pub(crate) fn note_probe(&mut self, plan: &Plan, part: u32, bytes: &[u64]) {
        if let Some(round) = self.rounds.last_mut() {
            round.add(plan.wave_of(part), bytes.iter().copied());
        }
        self.probed.end(part);
        if self.probed.done() == plan.grid.parts() {
            self.probing = false;
            self.probed = TaskSet::default();
        }
    }

    /// Takes the sizes of a part that was encoded, one for each rendition of the ladder.
    pub(crate) fn note_part(&mut self, plan: &Plan, part: u32, bytes: &[u64]) {
        let wave = plan.wave_of(part);
        let of_target = |rendition: u32| bytes.get(rendition as usize).copied().unwrap_or(0);
        if let Some(round) = self.waves.get_mut(wave) {
            round.add(wave, plan.targets.iter().map(|target| of_target(target.rendition)));
        }
    }
}
