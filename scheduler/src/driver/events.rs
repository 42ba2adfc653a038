//! The newest changes, for those who watch, and for those who were away and go on where they were.

use std::collections::VecDeque;
use std::sync::Arc;

use reel_common::JobState;
use reel_scheduler_core::FarmState;
use reel_scheduler_core::event::Event;
use tokio::sync::broadcast;

use super::counts::Counts;
use super::ended::Teller;
use crate::scheduler::Refused;

/// Changes that are kept: what a busy farm of a thousand workers does in a few minutes.
const MAX_KEPT: usize = 20_000;
/// Changes that a watcher may be behind before it is cut off and asks again.
const MAX_BEHIND: usize = 4096;

/// What one command changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The number of the command: the same on every scheduler.
    pub(crate) number: u64,
    /// When it was, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// What it changed.
    pub(crate) events: Vec<Event>,
}

/// Changes in order: those that the watcher missed, then those to come.
pub(crate) struct Watch {
    /// The number of the last command before the watch began.
    pub(crate) now: u64,
    pub(crate) missed: Vec<Arc<Change>>,
    pub(crate) coming: broadcast::Receiver<Arc<Change>>,
}

/// The newest changes. Followers keep them too, and tell them when they lead.
pub(crate) struct EventLog {
    kept: VecDeque<Arc<Change>>,
    /// Changes up to this number are not kept.
    forgotten: u64,
    /// Of all of them since this scheduler leads, those that are forgotten too.
    pub(super) counts: Counts,
    /// This scheduler leads, so it is the one that logs them.
    pub(super) leads: bool,
    teller: Teller,
    watchers: broadcast::Sender<Arc<Change>>,
}

impl EventLog {
    /// Begins with the state as it was read from disk.
    pub(crate) fn new(applied: u64, teller: Teller) -> Self {
        let watchers = broadcast::channel(MAX_BEHIND).0;
        EventLog {
            kept: VecDeque::new(),
            forgotten: applied,
            counts: Counts::default(),
            leads: false,
            teller,
            watchers,
        }
    }

    /// Begins anew with a state that came whole, up to the command `applied`.
    pub(super) fn forget(&mut self, applied: u64) {
        *self = EventLog::new(applied, std::mem::take(&mut self.teller));
    }

    /// Takes in what the last command changed.
    pub(super) fn note(&mut self, state: &mut FarmState) {
        let events = std::mem::take(&mut state.news.0);
        if events.is_empty() {
            return;
        }
        events.iter().for_each(|event| self.counts.note(event));
        if self.leads {
            events.iter().for_each(log);
            events.iter().for_each(|event| self.teller.tell(event, state));
        }
        let change = Arc::new(Change { number: state.applied, at_ms: state.clock_ms, events });
        if self.kept.len() == MAX_KEPT
            && let Some(oldest) = self.kept.pop_front()
        {
            self.forgotten = oldest.number;
        }
        self.kept.push_back(change.clone());
        // Nobody may be watching.
        let _ = self.watchers.send(change);
    }

    /// Cuts off all watchers, who go on with the next leader.
    pub(super) fn cut_off(&mut self) {
        self.watchers = broadcast::channel(MAX_BEHIND).0;
    }

    /// The changes after a number, or from `applied` on.
    ///
    /// # Errors
    /// Some of them are not kept any more, or the number has not come yet.
    pub(super) fn watch(&self, after: Option<u64>, applied: u64) -> Result<Watch, Refused> {
        let coming = self.watchers.subscribe();
        let after = after.unwrap_or(applied);
        if after < self.forgotten {
            return Err(Refused::Forgotten);
        }
        if after > applied {
            return Err(Refused::Request(format!("there is no change {after} yet: the newest is {applied}")));
        }
        let first = self.kept.partition_point(|change| change.number <= after);
        Ok(Watch { now: applied, missed: self.kept.range(first..).cloned().collect(), coming })
    }
}

/// Writes down what operators look for later: how attempts and jobs ended, and which workers came and went.
fn log(event: &Event) {
    match event {
        Event::JobChanged { job, state: JobState::Failed, reason } => {
            tracing::warn!(job = job.0, reason, "a job has failed");
        }
        Event::JobChanged { job, state, .. } => {
            tracing::info!(job = job.0, state = state.name(), "a job has another state");
        }
        Event::AttemptEnded { task, attempt, epoch, worker, outcome, message } => {
            let (job, attempt, epoch, outcome) = (task.job.0, attempt.0, epoch.0, outcome.name());
            match message.is_empty() {
                true => tracing::debug!(job, %task, attempt, epoch, worker, outcome, "an attempt has ended"),
                false => {
                    tracing::warn!(job, %task, attempt, epoch, worker, outcome, reason = message, "an attempt has ended")
                }
            }
        }
        Event::WorkerCame { worker } => tracing::info!(worker, "a worker has come"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use reel_common::{Hold, JobId};
    use reel_scheduler_core::{Action, Command};

    use super::*;

    /// A log of `count` changes, numbered from 1.
    fn log_of(count: u64) -> (EventLog, FarmState) {
        let (mut log, mut state) = (EventLog::new(0, Teller::default()), FarmState::default());
        for number in 1..=count {
            let hold = (number % 2 == 1).then_some(Hold::Cordon);
            let action = Action::HoldWorker { name: "w".to_owned(), hold };
            state.apply(number, Command::at(number, action));
            log.note(&mut state);
        }
        (log, state)
    }

    fn missed(log: &EventLog, after: u64) -> Option<Vec<u64>> {
        let watch = log.watch(Some(after), 99_999).ok()?;
        Some(watch.missed.iter().map(|change| change.number).collect())
    }

    #[test]
    fn who_was_away_gets_what_was_missed_and_no_more() {
        let (log, _) = log_of(5);
        assert_eq!(missed(&log, 3), Some(vec![4, 5]));
        assert_eq!(missed(&log, 0), Some(vec![1, 2, 3, 4, 5]));
        assert_eq!(missed(&log, 5), Some(vec![]));
        assert!(log.watch(None, 5).unwrap().missed.is_empty());
        assert!(matches!(log.watch(Some(6), 5), Err(Refused::Request(_))), "it has not come yet");
    }

    #[test]
    fn who_was_away_too_long_is_told_so() {
        let (log, _) = log_of(MAX_KEPT as u64 + 2);
        assert!(missed(&log, 1).is_none());
        assert_eq!(missed(&log, 2).map(|numbers| numbers[0]), Some(3));
    }

    #[test]
    fn a_command_without_effect_is_no_change() {
        let (mut log, mut state) = log_of(1);
        let mut watch = log.watch(None, 1).unwrap();
        state.apply(2, Command::at(2, Action::CancelJob { job: JobId(7) }));
        log.note(&mut state);
        assert!(watch.coming.try_recv().is_err());
        assert_eq!(log.kept.len(), 1);
    }
}
