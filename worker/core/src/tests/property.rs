//! Any order of events: the agent keeps its invariants and its promises.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// A shell and a scheduler, as far as the agent can tell, and what they saw it do.
struct World {
    agent: Agent<Word>,
    slots: usize,
    now: u64,
    next_epoch: u64,
    alive: BTreeMap<u64, Child>,
    publishing: BTreeSet<(u64, Option<u32>)>,
    published: BTreeSet<(u64, Option<u32>)>,
    unanswered: BTreeMap<u64, Request<&'static str>>,
    heartbeats: Vec<u64>,
    /// When the scheduler last had reason to believe in this agent, and the agent knows it.
    lease_from: u64,
    register: Option<u64>,
}

/// A fake runner.
struct Child {
    parts: Range<u32>,
    next: u32,
    heard: bool,
    killed: bool,
    finished: bool,
}

/// What the proptest may do to the world.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Grant(u32),
    Part(usize),
    Progress(usize, u64),
    Finish(usize),
    Crash(usize),
    Reap(usize),
    Publish(usize, bool),
    Answer(usize, u8),
    Acknowledge,
    Revoke(usize),
    Cut(usize, u32),
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u64..9_000).prop_map(Step::Wait),
        4 => (0u32..6).prop_map(Step::Grant),
        8 => (0usize..4).prop_map(Step::Part),
        4 => (0usize..4, 0u64..100).prop_map(|(which, done)| Step::Progress(which, done)),
        3 => (0usize..4).prop_map(Step::Finish),
        1 => (0usize..4).prop_map(Step::Crash),
        3 => (0usize..4).prop_map(Step::Reap),
        8 => (0usize..4, prop::bool::weighted(0.9)).prop_map(|(which, good)| Step::Publish(which, good)),
        8 => (0usize..4, 0u8..10).prop_map(|(which, verdict)| Step::Answer(which, verdict)),
        5 => Just(Step::Acknowledge),
        1 => (0usize..4).prop_map(Step::Revoke),
        1 => (0usize..4, 0u32..6).prop_map(|(which, part)| Step::Cut(which, part)),
        1 => prop::bool::weighted(0.1).prop_map(|drain| if drain { Step::Drain } else { Step::Wait(1) }),
    ]
}

impl World {
    fn new(slots: u32) -> Self {
        let mut world = World {
            agent: Agent::new(slots),
            slots: slots as usize,
            now: 0,
            next_epoch: 1,
            alive: BTreeMap::new(),
            publishing: BTreeSet::new(),
            published: BTreeSet::new(),
            unanswered: BTreeMap::new(),
            heartbeats: Vec::new(),
            lease_from: 0,
            register: None,
        };
        world.feed(Event::Ticked);
        world
    }

    fn feed(&mut self, event: On) {
        let actions = self.agent.handle(self.now, event);
        assert_eq!(self.agent.check(), Ok(()));
        for action in actions {
            self.obey(action);
        }
        assert!(self.alive.len() <= self.slots, "more runners than slots");
        if let Some(round) = self.register.take() {
            self.lease_from = self.now;
            self.feed(Event::Registered { round, heartbeat_ms: HEARTBEAT_MS, lease_ms: LEASE_MS });
        }
    }

    fn obey(&mut self, action: Do) {
        let fenced = self.now >= self.lease_from + LEASE_MS;
        match action {
            Action::Send(Message::Register { round }) => self.register = Some(round),
            Action::Send(Message::Heartbeat { sequence, .. }) => self.heartbeats.push(sequence),
            Action::Send(Message::Request(id, request)) => {
                match &request {
                    Request::CommitPart { epoch, part, .. } => {
                        assert!(
                            self.published.contains(&(epoch.0, Some(part.0))),
                            "committed unpublished part"
                        );
                    }
                    Request::CommitTask { epoch, .. } => {
                        assert!(self.published.contains(&(epoch.0, None)), "committed unpublished result");
                    }
                    Request::FailAttempt { .. } | Request::HandBack { .. } => {}
                }
                self.unanswered.insert(id.0, request);
            }
            Action::StartRunner(grant) => {
                assert!(!fenced, "started a runner past the lease");
                let child = Child {
                    next: grant.parts.start,
                    parts: grant.parts,
                    heard: true,
                    killed: false,
                    finished: false,
                };
                assert!(self.alive.insert(grant.epoch.0, child).is_none(), "started twice");
            }
            Action::CommandRunner { epoch, command: RunnerCommand::CutTail(first) } => {
                if let Some(child) = self.alive.get_mut(&epoch.0) {
                    child.parts.end = child.parts.end.min(first.0);
                }
            }
            Action::CommandRunner { epoch, command: RunnerCommand::StopAfterPart } => {
                if let Some(child) = self.alive.get_mut(&epoch.0) {
                    child.parts.end = child.parts.end.min(child.next);
                }
            }
            Action::CommandRunner { epoch, command: RunnerCommand::GoOn } => {
                if let Some(child) = self.alive.get_mut(&epoch.0) {
                    child.heard = true;
                }
            }
            Action::KillRunner { epoch } => {
                self.alive.get_mut(&epoch.0).expect("killed a runner that is not there").killed = true;
            }
            Action::PublishPart { epoch, part, .. } => {
                assert!(!fenced, "published past the lease");
                self.publishing.insert((epoch.0, Some(part.0)));
            }
            Action::PublishResult { epoch, .. } => {
                assert!(!fenced, "published past the lease");
                self.publishing.insert((epoch.0, None));
            }
            Action::StopPublishing { epoch } => self.publishing.retain(|(of, _)| *of != epoch.0),
            Action::Discard { epoch } => {
                assert!(!self.alive.contains_key(&epoch.0), "removed the scratch folder under a runner");
                assert!(
                    self.publishing.iter().all(|(of, _)| *of != epoch.0),
                    "removed files being published"
                );
            }
            Action::End => {}
        }
    }

    fn pick(&self, which: usize) -> Option<u64> {
        self.alive.keys().copied().nth(which)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(ms) => {
                self.now += ms;
                self.feed(Event::Ticked);
            }
            Step::Grant(parts) => {
                let epoch = self.next_epoch;
                self.next_epoch += 1;
                let grant = if parts == 0 { index_grant(epoch) } else { encode_grant(epoch, 0..parts) };
                self.feed(Event::Granted(grant));
            }
            Step::Part(which) => self.finish_part(which),
            Step::Finish(which) => self.finish(which),
            Step::Crash(which) => {
                if let Some(epoch) = self.pick(which) {
                    self.alive.remove(&epoch);
                    self.feed(exited(epoch, HowEnded::Signal(11)));
                }
            }
            Step::Progress(which, done) => {
                if let Some(epoch) = self.pick(which) {
                    let progress = Progress { done, total: 100, part: None };
                    self.feed(Event::Progressed { epoch: Epoch(epoch), progress });
                }
            }
            Step::Reap(which) => {
                let gone = |child: &Child| child.killed || child.finished;
                if let Some(epoch) = self.pick(which).filter(|epoch| gone(&self.alive[epoch])) {
                    self.alive.remove(&epoch);
                    self.feed(exited(epoch, HowEnded::Signal(9)));
                }
            }
            Step::Publish(which, good) => self.publish(which, good),
            Step::Answer(which, verdict) => self.answer(which, verdict),
            Step::Acknowledge => {
                if let Some(sequence) = self.heartbeats.pop() {
                    self.heartbeats.clear();
                    self.lease_from = self.lease_from.max(self.now);
                    self.feed(Event::HeartbeatAcknowledged { sequence });
                }
            }
            Step::Revoke(which) => {
                if let Some(epoch) = self.pick(which) {
                    self.feed(Event::Revoked { epoch: Epoch(epoch) });
                }
            }
            Step::Cut(which, part) => {
                if let Some(epoch) = self.pick(which) {
                    self.feed(Event::ChunkCut { epoch: Epoch(epoch), first_given_away: PartIndex(part) });
                }
            }
            Step::Drain => self.feed(Event::DrainAsked { grace_ms: 9_000 }),
        }
    }

    fn finish_part(&mut self, which: usize) {
        let Some(epoch) = self.pick(which) else { return };
        let child = self.alive.get_mut(&epoch).unwrap();
        if child.heard && !child.killed && !child.finished && child.next < child.parts.end {
            let part = child.next;
            child.next += 1;
            child.heard = false;
            self.feed(part_finished(epoch, part));
        }
    }

    fn finish(&mut self, which: usize) {
        let Some(epoch) = self.pick(which) else { return };
        let child = self.alive.get_mut(&epoch).unwrap();
        if child.heard && !child.killed && !child.finished && child.next >= child.parts.end {
            child.finished = true;
            self.feed(finished(epoch));
        }
    }

    fn publish(&mut self, which: usize, good: bool) {
        let Some((epoch, part)) = self.publishing.iter().copied().nth(which) else { return };
        self.publishing.remove(&(epoch, part));
        if !good {
            return self.feed(Event::PublishFailed { epoch: Epoch(epoch), failure: failure("full") });
        }
        self.published.insert((epoch, part));
        match part {
            Some(part) => self.feed(part_published(epoch, part)),
            None => self.feed(Event::ResultPublished { epoch: Epoch(epoch), receipt: "result" }),
        }
    }

    fn answer(&mut self, which: usize, verdict: u8) {
        let Some(id) = self.unanswered.keys().copied().nth(which) else { return };
        self.unanswered.remove(&id);
        let verdict = match verdict {
            0 => Verdict::Superseded,
            1 => Verdict::Duplicate,
            _ => Verdict::Accepted,
        };
        self.feed(answered(id, verdict));
    }

    /// From here on everything works: whatever was granted comes to its end.
    fn let_everything_end(&mut self) {
        for _ in 0..10_000 {
            if self.agent.held() == 0 && self.unanswered.is_empty() {
                return;
            }
            for which in (0..4).rev() {
                self.finish_part(which);
                self.finish(which);
                self.step(Step::Reap(which));
                self.publish(which, true);
                self.answer(which, 2);
            }
            self.step(Step::Acknowledge);
            self.step(Step::Wait(500));
        }
        panic!("{} attempts never ended, {:?} never answered", self.agent.held(), self.unanswered);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_slots_leases_and_the_order_of_commits_hold_and_everything_ends(
        slots in 1u32..4,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut world = World::new(slots);
        for step in steps {
            world.step(step);
        }
        world.let_everything_end();
        prop_assert!(world.alive.is_empty());
        prop_assert!(world.publishing.is_empty());
    }

    #[test]
    fn no_request_is_lost_while_answers_fail_to_arrive(
        parts in 1u32..5,
        lost in prop::collection::vec(any::<bool>(), 20),
    ) {
        let mut world = World::new(1);
        world.step(Step::Grant(parts));
        let mut rounds = lost.into_iter();
        let mut committed = BTreeSet::new();
        for _ in 0..1_000 {
            world.finish_part(0);
            world.finish(0);
            world.step(Step::Reap(0));
            world.publish(0, true);
            let waiting = std::mem::take(&mut world.unanswered);
            for (id, request) in waiting {
                if !rounds.next().unwrap_or(false) {
                    if let Request::CommitPart { part, .. } = request {
                        committed.insert(part.0);
                    }
                    world.feed(answered(id, Verdict::Accepted));
                }
            }
            world.step(Step::Acknowledge);
            world.step(Step::Wait(1_000));
        }
        prop_assert_eq!(committed, (0..parts).collect::<BTreeSet<_>>());
        prop_assert_eq!(world.agent.held(), 0);
    }
}
