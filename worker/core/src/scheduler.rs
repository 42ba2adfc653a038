//! The agent's side of its dealings with the scheduler: registration, lease, grants, answers, drain.

use std::collections::BTreeMap;

use crate::agent::kill;
use crate::attempt::{Attempt, Ending, Runner};
use crate::outbox::MAX_UNANSWERED;
use crate::{
    Action, Agent, Grant, Message, Payload, REGISTER_AGAIN_MS, Request, RequestId, RunnerCommand, Running,
    UNANSWERED_AFTER_DRAIN_MS, UNPUBLISHED_AFTER_DRAIN_MS, Verdict,
};

/// Heartbeats whose acknowledgement is still awaited; older ones cannot save a lease.
const MAX_HEARTBEATS_AWAITED: usize = 64;

/// A part in hand that would take this many times the time that is left is given up at once: paces vary, and work that
/// might end in time is worth finishing.
const HOPELESS: u64 = 2;

/// Whether the scheduler knows this agent, and until when.
#[derive(Debug)]
pub(crate) struct Membership {
    round: u64,
    state: State,
    sequence: u64,
    /// When each unacknowledged heartbeat was sent.
    awaited: BTreeMap<u64, u64>,
}

#[derive(Debug)]
enum State {
    Outside {
        asked_ms: Option<u64>,
    },
    Inside {
        heartbeat_ms: u64,
        lease_ms: u64,
        /// When the last message was sent that the scheduler has acknowledged.
        acknowledged_ms: u64,
        beat_ms: Option<u64>,
    },
}

/// The agent is on its way out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    deadline_ms: u64,
}

impl Membership {
    pub(crate) fn new() -> Self {
        Membership {
            round: 0,
            state: State::Outside { asked_ms: None },
            sequence: 0,
            awaited: BTreeMap::new(),
        }
    }

    pub(crate) fn is_inside(&self) -> bool {
        matches!(self.state, State::Inside { .. })
    }

    /// The lease counts from the last time the agent asked. The scheduler may have answered an earlier ask of the same
    /// round; nothing runs yet that this could harm, and the heartbeat that follows at once settles it. An answer from
    /// before the agent lost its lease is none: what it was granted then may be given away.
    ///
    /// True where the agent was inside before: then only a heartbeat is due, which tells a new leader what runs.
    pub(crate) fn on_registered(&mut self, round: u64, heartbeat_ms: u64, lease_ms: u64) -> bool {
        match &mut self.state {
            _ if round != self.round => false,
            State::Outside { asked_ms: None } => false,
            State::Outside { asked_ms: Some(asked_ms) } => {
                let acknowledged_ms = *asked_ms;
                self.state = State::Inside { heartbeat_ms, lease_ms, acknowledged_ms, beat_ms: None };
                false
            }
            State::Inside { .. } => {
                self.beat_now();
                true
            }
        }
    }

    /// Makes the next heartbeat due.
    fn beat_now(&mut self) {
        if let State::Inside { beat_ms, .. } = &mut self.state {
            *beat_ms = None;
        }
    }

    pub(crate) fn on_acknowledged(&mut self, sequence: u64) {
        let sent = self.awaited.get(&sequence).copied();
        self.awaited.retain(|awaited, _| *awaited > sequence);
        if let (Some(sent), State::Inside { acknowledged_ms, .. }) = (sent, &mut self.state) {
            *acknowledged_ms = (*acknowledged_ms).max(sent);
        }
    }

    /// Whether the lease has just ended; from then on the agent is outside.
    fn expire(&mut self, now_ms: u64) -> bool {
        match self.state {
            State::Inside { lease_ms, acknowledged_ms, .. } if now_ms >= acknowledged_ms + lease_ms => {
                self.state = State::Outside { asked_ms: None };
                self.round += 1;
                self.awaited.clear();
                true
            }
            _ => false,
        }
    }

    /// The message that is due, if any.
    fn beat<R>(
        &mut self,
        now_ms: u64,
        leaving: bool,
        running: impl FnOnce() -> Vec<Running>,
    ) -> Option<Message<R>> {
        match &mut self.state {
            State::Outside { asked_ms } => {
                if asked_ms.is_some_and(|asked| now_ms < asked + REGISTER_AGAIN_MS) {
                    return None;
                }
                *asked_ms = Some(now_ms);
                Some(Message::Register { round: self.round })
            }
            State::Inside { heartbeat_ms, beat_ms, .. } => {
                if beat_ms.is_some_and(|beat| now_ms < beat + *heartbeat_ms) {
                    return None;
                }
                *beat_ms = Some(now_ms);
                self.sequence += 1;
                self.awaited.insert(self.sequence, now_ms);
                while self.awaited.len() > MAX_HEARTBEATS_AWAITED {
                    self.awaited.pop_first();
                }
                Some(Message::Heartbeat { sequence: self.sequence, running: running(), leaving })
            }
        }
    }
}

impl<P: Payload> Agent<P> {
    /// Past its lease the agent holds nothing: it stops publishing, kills its runners, and registers anew. Requests
    /// stay: what lies in the store may still be accepted, and is refused by its epoch otherwise.
    pub(crate) fn fence(&mut self, now_ms: u64, actions: &mut Vec<Action<P>>) {
        if !self.membership.expire(now_ms) {
            return;
        }
        for attempt in self.attempts.values_mut().filter(|attempt| !attempt.is_dropped()) {
            attempt.ending = Ending::Dropped;
            attempt.finished = None;
            if attempt.publishing.take().is_some() {
                actions.push(Action::StopPublishing { epoch: attempt.epoch });
            }
            kill(attempt, actions);
        }
    }

    pub(crate) fn on_ticked(&mut self, now_ms: u64, actions: &mut Vec<Action<P>>) {
        let attempts = &self.attempts;
        let running = || {
            let held = attempts.values().filter(|attempt| !attempt.is_dropped());
            held.map(|a| Running { task: a.task, epoch: a.epoch, progress: a.progress }).collect()
        };
        let leaving = self.drain.is_some();
        actions.extend(self.membership.beat(now_ms, leaving, running).map(Action::Send));
        if self.membership.is_inside() {
            let due = self.outbox.due(now_ms);
            actions.extend(due.into_iter().map(|(id, request)| Action::Send(Message::Request(id, request))));
        }
        self.kill_silent(now_ms, actions);
        self.hand_back_late(now_ms, actions);
    }

    /// While the agent drains: what cannot end in time is handed back now, so that another worker begins it now; what has
    /// not ended in time is handed back then, and what the store has not taken soon after.
    fn hand_back_late(&mut self, now_ms: u64, actions: &mut Vec<Action<P>>) {
        let Some(Drain { deadline_ms }) = self.drain else { return };
        let left_ms = deadline_ms.saturating_sub(now_ms);
        for attempt in self.attempts.values_mut().filter(|attempt| attempt.occupies_slot()) {
            let hopeless =
                || attempt.time_to_end_ms().is_some_and(|ms| ms > left_ms.saturating_mul(HOPELESS));
            if left_ms == 0 || (matches!(attempt.ending, Ending::Open) && hopeless()) {
                attempt.end_with(Ending::HandBack);
                kill(attempt, actions);
            }
        }
        if now_ms < deadline_ms.saturating_add(UNPUBLISHED_AFTER_DRAIN_MS) {
            return;
        }
        for attempt in self.attempts.values_mut().filter(|a| a.publishing.is_some() || a.finished.is_some()) {
            if attempt.publishing.take().is_some() {
                actions.push(Action::StopPublishing { epoch: attempt.epoch });
            }
            attempt.give_up();
        }
    }

    pub(crate) fn on_granted(&mut self, now_ms: u64, grant: Grant<P>, actions: &mut Vec<Action<P>>) {
        // Outside there is no lease to run it under; and the same grant may arrive twice, even after its attempt.
        let known = self.attempts.contains_key(&grant.epoch) || self.ended.contains(&grant.epoch);
        if !self.membership.is_inside() || known {
            return;
        }
        // A scheduler that grants and never answers is not served; it misses the epoch in the heartbeats.
        if self.outbox.len() >= MAX_UNANSWERED || self.attempts.len() >= self.slots * 4 {
            return;
        }
        let rival =
            self.attempts.values().find(|attempt| attempt.task == grant.task && !attempt.is_dropped());
        match rival.map(|attempt| attempt.epoch) {
            Some(epoch) if epoch > grant.epoch => return,
            Some(epoch) => self.drop_attempt(epoch, actions),
            None => {}
        }
        // Twice the slots: each may hold one attempt that ends and one that begins.
        let full = self.attempts.len() >= self.slots * 2;
        let mut attempt = Attempt::new(grant, now_ms);
        if full || self.drain.is_some() {
            attempt.runner = Runner::Gone;
            attempt.ending = Ending::HandBack;
        }
        self.attempts.insert(attempt.epoch, attempt);
    }

    pub(crate) fn on_answered(&mut self, id: RequestId, verdict: Verdict, actions: &mut Vec<Action<P>>) {
        let Some(request) = self.outbox.answer(id) else { return };
        let epoch = request.epoch();
        let Some(attempt) = self.attempts.get_mut(&epoch).filter(|attempt| !attempt.is_dropped()) else {
            return;
        };
        match (request, verdict) {
            // The chunk was cut before the commit arrived; the rest of it is still ours.
            (Request::CommitPart { part, .. }, Verdict::Superseded) if !attempt.parts.contains(&part.0) => {}
            (_, Verdict::Superseded) => self.drop_attempt(epoch, actions),
            (Request::CommitPart { part, .. }, _) => {
                attempt.committed.insert(part);
            }
            _ => self.end_attempt(epoch, actions),
        }
    }

    pub(crate) fn on_drain_asked(&mut self, now_ms: u64, grace_ms: u64, actions: &mut Vec<Action<P>>) {
        let deadline_ms = now_ms.saturating_add(grace_ms);
        let deadline_ms = self.drain.as_ref().map_or(deadline_ms, |drain| drain.deadline_ms.min(deadline_ms));
        let first = self.drain.replace(Drain { deadline_ms }).is_none();
        if first {
            self.membership.beat_now();
        }
        for attempt in self.attempts.values_mut().filter(|_| first) {
            match attempt.runner {
                Runner::Waiting(_) => {
                    attempt.runner = Runner::Gone;
                    attempt.end_with(Ending::HandBack);
                }
                Runner::Running { .. } if !attempt.parts.is_empty() => {
                    let command = RunnerCommand::StopAfterPart;
                    actions.push(Action::CommandRunner { epoch: attempt.epoch, command });
                }
                Runner::Running { .. } | Runner::Gone => {}
            }
        }
        self.on_ticked(now_ms, actions);
    }

    pub(crate) fn end_when_drained(&mut self, now_ms: u64, actions: &mut Vec<Action<P>>) {
        let Some(drain) = &self.drain else { return };
        let quiet = self.attempts.is_empty() && self.outbox.len() == 0;
        if quiet || now_ms >= drain.deadline_ms.saturating_add(UNANSWERED_AFTER_DRAIN_MS) {
            actions.push(Action::End);
        }
    }
}
