//! The state of an agent, and how it gets on after each event.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reel_common::{Epoch, Failure, FailureClass, PartIndex};

use crate::attempt::{Attempt, Ending, Publishing, Runner};
use crate::exit::{classify, evidence_of_known};
use crate::outbox::{MAX_UNANSWERED, Outbox};
use crate::scheduler::{Drain, Membership};
use crate::{Action, Event, Exit, Message, Payload, Progress, Request, RunnerCommand};

/// A runner that does not get on for so long is stuck: the slowest frame of the slowest preset takes seconds.
pub const SILENCE_MS: u64 = 600_000;
/// An agent that the scheduler does not answer asks again so often.
pub const REGISTER_AGAIN_MS: u64 = 5_000;
/// Past its grace a drained agent gives the store so long to take finished parts. The host goes soon, and what is handed
/// back by then is free at once.
pub const UNPUBLISHED_AFTER_DRAIN_MS: u64 = 2_500;
/// A drained agent waits so long past its grace for answers; the store keeps what was not acknowledged.
pub const UNANSWERED_AFTER_DRAIN_MS: u64 = 10_000;

/// Epochs of attempts that ended that are remembered: a grant that comes again is on its way for seconds, in which an agent
/// ends some thousand hooks at most.
const MAX_ENDED: usize = 16_384;

/// A worker agent.
#[derive(Debug)]
pub struct Agent<P: Payload> {
    pub(crate) slots: usize,
    pub(crate) membership: Membership,
    pub(crate) attempts: BTreeMap<Epoch, Attempt<P>>,
    /// The newest attempts that have ended, so that a grant that comes twice starts nothing again.
    pub(crate) ended: BTreeSet<Epoch>,
    /// The same in the order of their ends.
    pub(crate) ended_order: VecDeque<Epoch>,
    pub(crate) outbox: Outbox<P::Receipt>,
    pub(crate) drain: Option<Drain>,
}

impl<P: Payload> Agent<P> {
    /// An agent that may run `slots` runners at once. The first [`Event::Ticked`] makes it register.
    pub fn new(slots: u32) -> Self {
        Agent {
            slots: slots.max(1) as usize,
            membership: Membership::new(),
            attempts: BTreeMap::new(),
            ended: BTreeSet::new(),
            ended_order: VecDeque::new(),
            outbox: Outbox::new(),
            drain: None,
        }
    }

    /// Takes in what happened at `now_ms` on a monotonic clock, and says what is to be done, in this order.
    pub fn handle(&mut self, now_ms: u64, event: Event<P>) -> Vec<Action<P>> {
        let mut actions = Vec::new();
        // An acknowledgement may save the lease, so it counts before the lease is looked at.
        if let Event::HeartbeatAcknowledged { sequence } = event {
            self.membership.on_acknowledged(sequence);
        }
        self.fence(now_ms, &mut actions);
        self.dispatch(now_ms, event, &mut actions);
        self.settle(now_ms, &mut actions);
        debug_assert_eq!(self.check(), Ok(()));
        actions
    }

    fn dispatch(&mut self, now_ms: u64, event: Event<P>, actions: &mut Vec<Action<P>>) {
        match event {
            Event::Ticked => self.on_ticked(now_ms, actions),
            Event::Registered { round, heartbeat_ms, lease_ms } => {
                if self.membership.on_registered(round, heartbeat_ms, lease_ms) {
                    // Another scheduler leads, or the link is a new one: what was under way may be lost.
                    self.outbox.make_due();
                }
                self.on_ticked(now_ms, actions);
            }
            Event::HeartbeatAcknowledged { .. } => {}
            Event::Granted(grant) => self.on_granted(now_ms, grant, actions),
            Event::Answered { request, verdict } => self.on_answered(request, verdict, actions),
            Event::Revoked { epoch } => self.drop_attempt(epoch, actions),
            Event::ChunkCut { epoch, first_given_away } => {
                self.on_chunk_cut(epoch, first_given_away, actions)
            }
            Event::DrainAsked { grace_ms } => self.on_drain_asked(now_ms, grace_ms, actions),
            Event::StartFailed { epoch, failure } => self.with(epoch, |attempt| {
                attempt.runner = Runner::Gone;
                attempt.end_with(Ending::Fail(failure));
            }),
            Event::Progressed { epoch, progress } => {
                self.with(epoch, |attempt| attempt.on_progress(now_ms, progress));
            }
            Event::PartFinished { epoch, part, files } => {
                self.on_part_finished(now_ms, epoch, part, files, actions);
            }
            Event::TaskFinished { epoch, output } => {
                self.with(epoch, |attempt| attempt.end_with(Ending::Finished(output)));
            }
            Event::TaskFailed { epoch, failure } => {
                self.with(epoch, |attempt| attempt.end_with(Ending::Fail(failure)));
            }
            Event::RunnerExited { epoch, exit } => self.with(epoch, |attempt| on_exited(attempt, &exit)),
            Event::PartPublished { epoch, part, receipt } => self.with_outbox(epoch, |attempt, outbox| {
                if attempt.publishing.take() == Some(Publishing::Part(part))
                    && attempt.parts.contains(&part.0)
                {
                    let request = Request::CommitPart { task: attempt.task, epoch, part, receipt };
                    let id = outbox.add(request.clone(), now_ms);
                    actions.push(Action::Send(Message::Request(id, request)));
                }
            }),
            Event::ResultPublished { epoch, receipt } => self.with(epoch, |attempt| {
                if attempt.publishing.take() == Some(Publishing::Result) {
                    attempt.end_with(Ending::Commit(receipt));
                }
            }),
            Event::PublishFailed { epoch, failure } => self.on_publish_failed(epoch, failure, actions),
        }
    }

    fn with(&mut self, epoch: Epoch, change: impl FnOnce(&mut Attempt<P>)) {
        if let Some(attempt) = self.attempts.get_mut(&epoch) {
            change(attempt);
        }
    }

    fn with_outbox(&mut self, epoch: Epoch, change: impl FnOnce(&mut Attempt<P>, &mut Outbox<P::Receipt>)) {
        if let Some(attempt) = self.attempts.get_mut(&epoch).filter(|attempt| !attempt.is_dropped()) {
            change(attempt, &mut self.outbox);
        }
    }

    fn on_part_finished(
        &mut self,
        now_ms: u64,
        epoch: Epoch,
        part: PartIndex,
        files: P::Part,
        actions: &mut Vec<Action<P>>,
    ) {
        let Some(attempt) = self.attempts.get_mut(&epoch) else { return };
        if !attempt.on_part_finished(now_ms, part, files) {
            let message = "the runner finished a part while the one before was not in the store";
            attempt.end_with(Ending::Fail(Failure::new(FailureClass::Failed, message, "")));
            kill(attempt, actions);
        }
    }

    fn on_publish_failed(&mut self, epoch: Epoch, failure: Failure, actions: &mut Vec<Action<P>>) {
        let Some(attempt) = self.attempts.get_mut(&epoch) else { return };
        attempt.publishing = None;
        attempt.fail(failure);
        kill(attempt, actions);
    }

    fn on_chunk_cut(&mut self, epoch: Epoch, first: PartIndex, actions: &mut Vec<Action<P>>) {
        let Some(attempt) = self.attempts.get_mut(&epoch) else { return };
        attempt.cut(first);
        // A runner that waits for a slot is told right after its start.
        if attempt.occupies_slot() {
            actions.push(Action::CommandRunner { epoch, command: RunnerCommand::CutTail(first) });
        }
    }

    /// Forgets an attempt whose lease is gone. Its runner keeps its slot until its process has ended.
    pub(crate) fn drop_attempt(&mut self, epoch: Epoch, actions: &mut Vec<Action<P>>) {
        self.outbox.give_up(epoch);
        if let Some(attempt) = self.attempts.get_mut(&epoch).filter(|attempt| !attempt.is_dropped()) {
            attempt.ending = Ending::Dropped;
            attempt.finished = None;
            if attempt.publishing.take().is_some() {
                actions.push(Action::StopPublishing { epoch });
            }
            kill(attempt, actions);
        }
    }

    /// Kills runners that are stuck.
    pub(crate) fn kill_silent(&mut self, now_ms: u64, actions: &mut Vec<Action<P>>) {
        for attempt in self.attempts.values_mut() {
            if !attempt.occupies_slot() || attempt.waits || !matches!(attempt.ending, Ending::Open) {
                attempt.heard_ms = now_ms;
            } else if now_ms.saturating_sub(attempt.heard_ms) >= SILENCE_MS {
                let Progress { done, total, .. } = attempt.progress;
                let message = format!(
                    "the runner made no progress for {} s (at {done} of {total}) and was killed",
                    SILENCE_MS / 1000
                );
                attempt.end_with(Ending::Fail(Failure::new(FailureClass::Failed, &message, "")));
                kill(attempt, actions);
            }
        }
    }

    /// Does what has become possible: publications, endings, starts.
    fn settle(&mut self, now_ms: u64, actions: &mut Vec<Action<P>>) {
        let draining = self.drain.is_some();
        let mut ended = Vec::new();
        for (epoch, attempt) in &mut self.attempts {
            publish_next(attempt, self.outbox.len(), actions);
            if advance(attempt, draining, now_ms, &mut self.outbox, actions) {
                ended.push(*epoch);
            }
        }
        for epoch in ended {
            self.end_attempt(epoch, actions);
        }
        self.start_waiting(now_ms, actions);
        self.end_when_drained(now_ms, actions);
    }

    /// Removes an attempt. Its scratch folder goes too.
    pub(crate) fn end_attempt(&mut self, epoch: Epoch, actions: &mut Vec<Action<P>>) {
        if self.attempts.remove(&epoch).is_some() {
            self.ended.insert(epoch);
            self.ended_order.push_back(epoch);
            if self.ended_order.len() > MAX_ENDED
                && let Some(oldest) = self.ended_order.pop_front()
            {
                self.ended.remove(&oldest);
            }
            actions.push(Action::Discard { epoch });
        }
    }

    fn start_waiting(&mut self, now_ms: u64, actions: &mut Vec<Action<P>>) {
        let mut free = self.slots.saturating_sub(self.runners());
        for attempt in self.attempts.values_mut().filter(|attempt| !attempt.is_dropped()) {
            if free == 0 {
                return;
            }
            if matches!(attempt.runner, Runner::Waiting(_))
                && let Runner::Waiting(grant) =
                    std::mem::replace(&mut attempt.runner, Runner::Running { killed: false })
            {
                free -= 1;
                attempt.heard_ms = now_ms;
                let (epoch, end, was_cut) =
                    (grant.epoch, attempt.parts.end, attempt.parts.end < grant.parts.end);
                actions.push(Action::StartRunner(grant));
                if was_cut {
                    let command = RunnerCommand::CutTail(PartIndex(end));
                    actions.push(Action::CommandRunner { epoch, command });
                }
            }
        }
    }

    /// How many runners may be alive.
    pub fn runners(&self) -> usize {
        self.attempts.values().filter(|attempt| attempt.occupies_slot()).count()
    }

    /// How many attempts this agent holds.
    pub fn held(&self) -> usize {
        self.attempts.len()
    }

    /// How many requests wait for their answers.
    pub fn unanswered(&self) -> usize {
        self.outbox.len()
    }
}

pub(crate) fn kill<P: Payload>(attempt: &mut Attempt<P>, actions: &mut Vec<Action<P>>) {
    match &mut attempt.runner {
        Runner::Running { killed } if !*killed => {
            *killed = true;
            actions.push(Action::KillRunner { epoch: attempt.epoch });
        }
        Runner::Running { .. } | Runner::Gone => {}
        Runner::Waiting(_) => attempt.runner = Runner::Gone,
    }
}

fn on_exited<P: Payload>(attempt: &mut Attempt<P>, exit: &Exit) {
    attempt.runner = Runner::Gone;
    attempt.waits = false;
    match &mut attempt.ending {
        Ending::Open => attempt.ending = Ending::Fail(classify(exit, attempt.progress)),
        Ending::Fail(failure) if failure.evidence.is_empty() => {
            failure.evidence = evidence_of_known(exit, attempt.progress);
        }
        _ => {}
    }
}

/// Puts a finished part on its way into the store, and lets the runner go on when it is there. So nobody loses more than
/// a part when a runner is killed, however slow the store is.
fn publish_next<P: Payload>(attempt: &mut Attempt<P>, unanswered: usize, actions: &mut Vec<Action<P>>) {
    let epoch = attempt.epoch;
    if attempt.publishing.is_none()
        && unanswered < MAX_UNANSWERED
        && let Some((part, files)) = attempt.finished.take()
    {
        attempt.publishing = Some(Publishing::Part(part));
        actions.push(Action::PublishPart { epoch, part, files });
    }
    let stored = attempt.finished.is_none() && attempt.publishing.is_none();
    if attempt.waits && stored && matches!(attempt.runner, Runner::Running { killed: false }) {
        attempt.waits = false;
        actions.push(Action::CommandRunner { epoch, command: RunnerCommand::GoOn });
    }
}

/// Takes the next step to the end of an attempt whose runner is gone and whose parts are committed. True when it is
/// to be removed.
fn advance<P: Payload>(
    attempt: &mut Attempt<P>,
    draining: bool,
    now_ms: u64,
    outbox: &mut Outbox<P::Receipt>,
    actions: &mut Vec<Action<P>>,
) -> bool {
    let (task, epoch) = (attempt.task, attempt.epoch);
    if !matches!(attempt.runner, Runner::Gone) {
        return false;
    }
    if attempt.is_dropped() {
        return true;
    }
    if attempt.publishing.is_some() || attempt.finished.is_some() || outbox.of(epoch) > 0 {
        return false;
    }
    attempt.check_complete(draining);
    let request = match std::mem::replace(&mut attempt.ending, Ending::Asked) {
        Ending::Finished(output) => {
            attempt.ending = Ending::Open;
            attempt.publishing = Some(Publishing::Result);
            actions.push(Action::PublishResult { epoch, output });
            return false;
        }
        Ending::Commit(receipt) => Request::CommitTask { task, epoch, receipt },
        Ending::Fail(failure) => Request::FailAttempt { task, epoch, failure },
        Ending::HandBack => Request::HandBack { task, epoch },
        Ending::Open | Ending::Asked | Ending::Dropped => return false,
    };
    let id = outbox.add(request.clone(), now_ms);
    actions.push(Action::Send(Message::Request(id, request)));
    false
}
