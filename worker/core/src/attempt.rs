//! One attempt that this agent holds, from its grant to the answer that ends it.

use std::collections::BTreeSet;
use std::ops::Range;

use reel_common::{Epoch, Failure, FailureClass, PartIndex, TaskId};

use crate::{Grant, Payload, Progress};

/// A pace is known when it was watched for so long: less says little of a part.
const PACE_MS: u64 = 3_000;
/// A pause between two signs of progress counts for at most this: a source or a host that was slow once may be fast again.
const PAUSE_MS: u64 = 1_000;

/// An attempt that this agent holds.
#[derive(Debug)]
pub(crate) struct Attempt<P: Payload> {
    pub(crate) task: TaskId,
    pub(crate) epoch: Epoch,
    /// The parts that are this attempt's own; a cut makes the range shorter.
    pub(crate) parts: Range<u32>,
    /// The parts that the runner counts its progress over, and the one of them that it finishes next. It may have begun the
    /// one after that, and tell of it.
    granted: Range<u32>,
    next: u32,
    pub(crate) runner: Runner<P>,
    pub(crate) progress: Progress,
    pace: Option<Pace>,
    /// When the runner was last heard to get on, or waited.
    pub(crate) heard_ms: u64,
    /// A finished part that is not yet on its way into the store.
    pub(crate) finished: Option<(PartIndex, P::Part)>,
    /// The runner finished a part and waits until it is told to go on.
    pub(crate) waits: bool,
    pub(crate) publishing: Option<Publishing>,
    pub(crate) committed: BTreeSet<PartIndex>,
    pub(crate) ending: Ending<P>,
}

/// How fast a runner gets on.
#[derive(Clone, Copy, Debug)]
struct Pace {
    seen_ms: u64,
    /// How long it took from `done_before` to what is done.
    watched_ms: u64,
    done_before: u64,
}

/// The runner of an attempt.
#[derive(Debug)]
pub(crate) enum Runner<P: Payload> {
    /// No slot was free yet.
    Waiting(Grant<P>),
    /// Its process may be alive.
    Running {
        /// It was killed, and its exit is awaited.
        killed: bool,
    },
    /// Its process is gone, or never was.
    Gone,
}

/// What is on its way into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publishing {
    Part(PartIndex),
    Result,
}

/// How an attempt will end, once its runner is gone and its parts are committed.
#[derive(Debug)]
pub(crate) enum Ending<P: Payload> {
    /// Not known yet.
    Open,
    /// With a result, which has to be published.
    Finished(P::Output),
    /// With a result that lies in the store.
    Commit(P::Receipt),
    /// With a failure.
    Fail(Failure),
    /// What is left goes back to the scheduler.
    HandBack,
    /// The scheduler was told and has to answer.
    Asked,
    /// Its lease is gone: silently.
    Dropped,
}

impl<P: Payload> Attempt<P> {
    pub(crate) fn new(grant: Grant<P>, now_ms: u64) -> Self {
        Attempt {
            task: grant.task,
            epoch: grant.epoch,
            parts: grant.parts.clone(),
            granted: grant.parts.clone(),
            next: grant.parts.start,
            runner: Runner::Waiting(grant),
            progress: Progress::default(),
            pace: None,
            heard_ms: now_ms,
            finished: None,
            waits: false,
            publishing: None,
            committed: BTreeSet::new(),
            ending: Ending::Open,
        }
    }

    pub(crate) fn occupies_slot(&self) -> bool {
        matches!(self.runner, Runner::Running { .. })
    }

    pub(crate) fn is_dropped(&self) -> bool {
        matches!(self.ending, Ending::Dropped)
    }

    /// Takes in how far the runner is. One that repeats itself does not get on.
    pub(crate) fn on_progress(&mut self, now_ms: u64, progress: Progress) {
        let begun = Pace { seen_ms: now_ms, watched_ms: 0, done_before: progress.done };
        let pace = self.pace.get_or_insert(begun);
        if self.progress != progress {
            self.progress = progress;
            self.heard_ms = now_ms;
            pace.watched_ms += now_ms.saturating_sub(pace.seen_ms).min(PAUSE_MS);
            pace.seen_ms = now_ms;
        }
    }

    /// How long the part in hand, or all where there are no parts, still takes at the pace so far; `None` while that is
    /// not known.
    pub(crate) fn time_to_end_ms(&self) -> Option<u64> {
        let Pace { watched_ms, done_before, .. } = self.pace?;
        let done = self.progress.done.saturating_sub(done_before);
        if watched_ms < PACE_MS || done == 0 {
            return None;
        }
        Some(self.left_in_hand().saturating_mul(watched_ms) / done)
    }

    /// What is left of the part in hand, in the units of progress. Parts count as equally long, as all but the last are.
    fn left_in_hand(&self) -> u64 {
        let Progress { done, total, .. } = self.progress;
        let end = match self.granted.contains(&self.next) {
            true => {
                let (nth, parts) =
                    (self.next - self.granted.start + 1, self.granted.end - self.granted.start);
                total.saturating_mul(u64::from(nth)).div_ceil(u64::from(parts))
            }
            false => total,
        };
        end.saturating_sub(done)
    }

    /// Takes in a part that the runner finished; false where it did not wait for the one before.
    pub(crate) fn on_part_finished(&mut self, now_ms: u64, part: PartIndex, files: P::Part) -> bool {
        if std::mem::replace(&mut self.waits, true) {
            return false;
        }
        self.heard_ms = now_ms;
        self.next = part.0.saturating_add(1);
        if !self.is_dropped() && self.wants(part) {
            self.finished = Some((part, files));
        }
        true
    }

    /// Whether the part is this attempt's to deliver, and not delivered or on its way.
    pub(crate) fn wants(&self, part: PartIndex) -> bool {
        self.parts.contains(&part.0)
            && !self.committed.contains(&part)
            && self.publishing != Some(Publishing::Part(part))
    }

    /// Gives the parts from `first` on away.
    pub(crate) fn cut(&mut self, first: PartIndex) {
        self.parts.end = self.parts.end.min(first.0).max(self.parts.start);
        let end = self.parts.end;
        self.finished.take_if(|(part, _)| part.0 >= end);
    }

    /// The first of its parts that is not committed.
    pub(crate) fn first_missing(&self) -> Option<PartIndex> {
        self.parts.clone().map(PartIndex).find(|part| !self.committed.contains(part))
    }

    /// Decides the ending, unless it is decided already.
    pub(crate) fn end_with(&mut self, ending: Ending<P>) {
        if matches!(self.ending, Ending::Open) {
            self.ending = ending;
        }
    }

    /// Gives up what is on its way into the store, and hands back what is not committed.
    pub(crate) fn give_up(&mut self) {
        self.finished = None;
        if !matches!(self.ending, Ending::Fail(_) | Ending::Asked | Ending::Dropped) {
            self.ending = Ending::HandBack;
        }
    }

    /// Ends with a failure, whatever else was intended; nothing more is published.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.finished = None;
        if !matches!(self.ending, Ending::Asked | Ending::Dropped) {
            self.ending = Ending::Fail(failure);
        }
    }

    /// A runner that ended in good order must have left every part.
    pub(crate) fn check_complete(&mut self, draining: bool) {
        let Some(missing) = self.first_missing().filter(|_| matches!(self.ending, Ending::Finished(_)))
        else {
            return;
        };
        self.ending = match draining {
            true => Ending::HandBack,
            false => {
                let message = format!("the runner finished but left out part {missing}");
                Ending::Fail(Failure::new(FailureClass::Failed, &message, ""))
            }
        };
    }
}
