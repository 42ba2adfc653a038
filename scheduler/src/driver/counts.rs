//! What has happened since this scheduler began, in numbers: for whoever draws curves of it.

use std::collections::BTreeMap;

use reel_common::{JobState, Stage};
use reel_scheduler_core::event::Event;

/// Counts that only grow. Every scheduler counts what it applies, so that a new leader goes on nearly where the last one was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Parts that were committed.
    pub(crate) parts: u64,
    /// Attempts that ended, by stage and outcome.
    pub(crate) attempts: BTreeMap<(Stage, &'static str), u64>,
    /// Jobs that ended, by how.
    pub(crate) jobs: BTreeMap<JobState, u64>,
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
