//! What is over, with its times, as the leader tells it once: for whoever keeps traces.

use reel_common::{AttemptNumber, Epoch, JobId, JobState, TaskId};
use reel_scheduler_core::FarmState;
use reel_scheduler_core::event::Event;
use reel_scheduler_core::state::Outcome;
use tokio::sync::mpsc;

/// Something that is over; times are in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A job; one that is opened again ends again.
    Job {
        /// Which one.
        job: JobId,
        /// How it ended.
        state: JobState,
        /// Whose it is.
        project: String,
        /// Where its title goes.
        output: String,
        /// When it was accepted.
        began_ms: u64,
        /// When it ended.
        ended_ms: u64,
        /// Why it failed; empty otherwise.
        reason: String,
    },
    /// An attempt.
    Attempt {
        /// Of which task.
        task: TaskId,
        /// Which try of it.
        attempt: AttemptNumber,
        /// Its fencing token.
        epoch: Epoch,
        /// Name of the worker.
        worker: String,
        /// How it ended.
        outcome: Outcome,
        /// When it was granted.
        began_ms: u64,
        /// When it ended.
        ended_ms: u64,
        /// The message of its failure; empty otherwise.
        message: String,
    },
}

impl Ended {
    /// What an event that was just applied has ended, if anything.
    fn of(event: &Event, state: &FarmState) -> Option<Ended> {
        match event {
            Event::JobChanged { job, state: end, reason } => {
                let known = state.jobs.get(job)?;
                Some(Ended::Job {
                    job: *job,
                    state: *end,
                    project: known.spec.project.clone(),
                    output: known.spec.output.clone(),
                    began_ms: known.submitted_ms,
                    ended_ms: known.ended_ms.filter(|_| !end.is_open())?,
                    reason: reason.clone(),
                })
            }
            Event::AttemptEnded { task, attempt, epoch, worker, outcome, message } => {
                let ended = state.jobs.get(&task.job)?.ended_attempt(task.stage, task.index, *epoch)?;
                Some(Ended::Attempt {
                    task: *task,
                    attempt: *attempt,
                    epoch: *epoch,
                    worker: worker.clone(),
                    outcome: *outcome,
                    began_ms: ended.started_ms,
                    ended_ms: ended.ended_ms,
                    message: message.clone(),
                })
            }
            _ => None,
        }
    }
}

/// Tells somebody what is over, and never waits for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Teller {
    to: Option<mpsc::Sender<Ended>>,
    /// What they had no room for.
    lost: u64,
}

impl Teller {
    pub(crate) fn new(to: Option<mpsc::Sender<Ended>>) -> Teller {
        Teller { to, lost: 0 }
    }

    pub(super) fn tell(&mut self, event: &Event, state: &FarmState) {
        let Some(to) = &self.to else { return };
        let Some(ended) = Ended::of(event, state) else { return };
        if let Err(mpsc::error::TrySendError::Full(_)) = to.try_send(ended) {
            self.lost += 1;
            // Told more and more seldom.
            if self.lost.is_power_of_two() {
                tracing::warn!(
                    lost = self.lost,
                    "the collector of traces is too slow: what ended is not told"
                );
            }
        }
    }
}
