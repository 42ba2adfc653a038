//! What has happened since this scheduler leads, in numbers: for whoever draws curves of it.

use std::collections::BTreeMap;

use reel_common::{JobState, Stage};
use reel_scheduler_core::event::Event;
use reel_scheduler_core::state::Outcome;

/// Counts that only grow in the term of a leader, which begins with none: what it reads again from its log has been counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Parts that were committed.
    pub(crate) parts: u64,
    /// Attempts that ended, by stage and outcome.
    pub(crate) attempts: BTreeMap<(Stage, &'static str), u64>,
    /// Jobs that ended, by how.
    pub(crate) jobs: BTreeMap<JobState, u64>,
}

impl Default for Counts {
    /// Everything that there is to count is there from the beginning: of what is first seen as 1 nobody sees that it grew.
    fn default() -> Self {
        let outcomes = || Outcome::all().map(Outcome::name);
        let kinds = Stage::ALL.into_iter().flat_map(|stage| outcomes().map(move |outcome| (stage, outcome)));
        let ends = [JobState::Done, JobState::Failed, JobState::Canceled];
        Counts {
            parts: 0,
            attempts: kinds.map(|kind| (kind, 0)).collect(),
            jobs: ends.into_iter().map(|end| (end, 0)).collect(),
        }
    }
}

impl Counts {
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::PartCommitted { .. } => self.parts += 1,
            Event::AttemptEnded { task, outcome, .. } => {
                *self.attempts.entry((task.stage, outcome.name())).or_default() += 1;
            }
            Event::JobChanged { state, .. } if !state.is_open() => *self.jobs.entry(*state).or_default() += 1,
            _ => {}
        }
    }
}
