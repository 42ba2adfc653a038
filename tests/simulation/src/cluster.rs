//! The schedulers: real drivers, and in the place of Raft a log that does what Raft may do.
//!
//! Entries are committed in one order, by one leader at a time, if it reaches a majority. What a leader had in flight when
//! it lost its place may be in the log or not. Whoever follows applies late, from entries or from a snapshot; whoever was
//! deposed or cut off hears of it late, and until then takes itself for the leader.

use std::hash::Hash;

use reel_common::WorkerFacts;
use reel_scheduler::LeaseTimes;
use reel_scheduler::simulation::{self, Clocks, Node};
use reel_scheduler_core::{Action, Reply};

use crate::network::End;
use crate::queue::Event;
use crate::world::World;

/// How many.
pub(crate) const SCHEDULERS: usize = 3;
/// A node keeps a snapshot of every so many entries.
const SNAPSHOT_EVERY: u64 = 25;
/// A leader that does not reach a majority knows it after so long: see `UNHEARD` of the scheduler's `raft`, and the ask
/// that has to fail.
const STEPS_ASIDE_MS: u64 = 4_200;
/// A node that lags by so many may be sent a snapshot.
const LAG: u64 = 10;

/// The log, and the nodes that apply it.
#[derive(Default)]
pub(crate) struct Cluster {
    /// Committed entries; what is not a proposal is an entry of Raft itself.
    entries: Vec<Option<Vec<u8>>>,
    term: u64,
    leader: Option<Leader>,
    leaderless_since: Option<u64>,
    /// What a leader that was killed had in flight.
    orphan: Option<Vec<u8>>,
    last_flight: u64,
    pub(crate) members: [Member; SCHEDULERS],
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Leader {
    node: usize,
    life: u32,
}

/// A scheduler, up or not, and what is on its disk.
#[derive(Default)]
pub(crate) struct Member {
    pub(crate) life: u32,
    pub(crate) up: Option<Running>,
    snapshot: Option<(u64, Vec<u8>)>,
}

/// A scheduler that runs.
pub(crate) struct Running {
    pub(crate) node: Node,
    applied: u64,
    /// The term that it leads, as Raft would tell; the driver looks when it comes to it.
    role: Option<u64>,
    told: Option<u64>,
    /// It leads in this term once it has applied this entry.
    elected: Option<(u64, u64)>,
    flight: Option<Flight>,
    wake_ms: u64,
    /// It leads, and has not reached a majority since then.
    alone_since: Option<u64>,
}

/// An entry that was proposed.
struct Flight {
    number: u64,
    entry: Vec<u8>,
    /// Where it is in the log.
    index: Option<u64>,
}

impl World {
    pub(crate) fn clocks(&self, node: usize) -> Clocks {
        Clocks { steady_ms: self.queue.now_ms, wall_ms: self.wall_ms(End::Node(node)) }
    }

    /// The node, if this life of it still runs.
    pub(crate) fn running(&mut self, node: usize, life: u32) -> Option<&mut Running> {
        let member = &mut self.cluster.members[node];
        member.up.as_mut().filter(|_| member.life == life)
    }

    pub(crate) fn on_start_node(&mut self, node: usize, life: u32) {
        if self.cluster.members[node].life != life || self.cluster.members[node].up.is_some() {
            return;
        }
        let (clocks, member) = (self.clocks(node), &self.cluster.members[node]);
        let (applied, snapshot) = match &member.snapshot {
            Some((index, bytes)) => (*index, Some(&bytes[..])),
            None => (0, None),
        };
        let started = Node::start(LeaseTimes::default(), snapshot, clocks).unwrap();
        self.judge.check_replica(node, applied, started.state());
        let wake_ms = started.next_wake_ms();
        let (role, told, elected, flight, alone_since) = (None, None, None, None, None);
        let running = Running { node: started, applied, role, told, elected, flight, wake_ms, alone_since };
        self.cluster.members[node].up = Some(running);
        self.push(wake_ms, Event::Wake { node, life });
        self.after(0..100, Event::Apply { node, life });
    }

    /// Kills a scheduler; it comes back after a while.
    pub(crate) fn crash_node(&mut self, node: usize, down_ms: std::ops::Range<u64>) {
        let member = &mut self.cluster.members[node];
        let Some(running) = member.up.take() else { return };
        let leader = Leader { node, life: member.life };
        member.life += 1;
        let life = member.life;
        if self.cluster.leader == Some(leader) {
            let unknown = running.flight.filter(|flight| flight.index.is_none());
            self.cluster.orphan = unknown.map(|flight| flight.entry);
        }
        self.drop_links_of_node(node);
        self.after(down_ms, Event::StartNode { node, life });
    }

    /// Kills the leader, if the others are up.
    pub(crate) fn crash_leader(&mut self) {
        let all_up = self.cluster.members.iter().all(|member| member.up.is_some());
        if let Some(leader) = self.cluster.leader.filter(|_| all_up) {
            self.crash_node(leader.node, 500..8_000);
        }
    }

    /// Another one leads, for no reason.
    pub(crate) fn transfer(&mut self) {
        let old = self.cluster.leader.map(|leader| leader.node);
        let next: Vec<_> =
            (0..SCHEDULERS).filter(|node| Some(*node) != old && self.has_majority(*node)).collect();
        if !next.is_empty() {
            let node = next[self.rng.usize(0..next.len())];
            self.elect(node);
        }
    }

    /// Whether a node is up and can speak with a majority, both ways.
    fn has_majority(&self, node: usize) -> bool {
        let up = |node: usize| self.cluster.members[node].up.is_some();
        let reached = |other: &usize| {
            let (here, there) = (End::Node(node), End::Node(*other));
            *other == node || up(*other) && self.passes(here, there) && self.passes(there, here)
        };
        up(node) && (0..SCHEDULERS).filter(reached).count() > SCHEDULERS / 2
    }

    pub(crate) fn on_check(&mut self) {
        self.after(100..400, Event::Check);
        (0..SCHEDULERS).for_each(|node| self.look_for_majority(node));
        let life = |node: usize| self.cluster.members[node].life;
        let leads = self.cluster.leader.is_some_and(|l| life(l.node) == l.life && self.has_majority(l.node));
        if leads {
            self.cluster.leaderless_since = None;
            return;
        }
        let now_ms = self.queue.now_ms;
        let since = *self.cluster.leaderless_since.get_or_insert(now_ms);
        let able: Vec<_> = (0..SCHEDULERS).filter(|node| self.has_majority(*node)).collect();
        if now_ms - since < 1_500 || able.is_empty() {
            return;
        }
        let node = able[self.rng.usize(0..able.len())];
        self.elect(node);
    }

    /// A leader that does not reach a majority steps aside after a while, and comes back when it does.
    fn look_for_majority(&mut self, node: usize) {
        let (heard, now_ms, life) =
            (self.has_majority(node), self.queue.now_ms, self.cluster.members[node].life);
        let leads = self.cluster.leader == Some(Leader { node, life });
        let term = self.cluster.term;
        let Some(running) = self.running(node, life) else { return };
        if !heard {
            let since = *running.alone_since.get_or_insert(now_ms);
            if now_ms - since > STEPS_ASIDE_MS {
                self.set_role(node, life, None);
            }
            return;
        }
        running.alone_since = None;
        if leads && running.elected.is_none() {
            self.set_role(node, life, Some(term));
        }
    }

    /// A node is voted for: first comes into the log what the majority has of the last leader, then the new term begins.
    fn elect(&mut self, node: usize) {
        self.take_over_what_was_in_flight();
        let life = self.cluster.members[node].life;
        self.cluster.term += 1;
        let term = self.cluster.term;
        self.cluster.leader = Some(Leader { node, life });
        self.cluster.leaderless_since = None;
        self.note(2, node as u64);
        let index = self.append(None);
        for other in 0..SCHEDULERS {
            let life = self.cluster.members[other].life;
            self.after(0..1_500, Event::Depose { node: other, life, term });
        }
        let Some(running) = self.running(node, life) else { return };
        running.elected = Some((term, index));
        if let Some(flight) = running.flight.as_ref().map(|flight| flight.number) {
            self.after(0..100, Event::Settle { node, life, flight, replies: None });
        }
    }

    fn take_over_what_was_in_flight(&mut self) {
        let kept = self.rng.bool();
        if let Some(entry) = self.cluster.orphan.take().filter(|_| kept) {
            self.append(Some(entry));
        }
        let Some(Leader { node, life }) = self.cluster.leader.take().filter(|_| kept) else { return };
        let unknown = |flight: &&mut Flight| flight.index.is_none();
        let flight = self.running(node, life).and_then(|running| running.flight.as_mut()).filter(unknown);
        let Some(entry) = flight.map(|flight| flight.entry.clone()) else { return };
        let index = self.append(Some(entry));
        if let Some(flight) = self.running(node, life).and_then(|running| running.flight.as_mut()) {
            flight.index = Some(index);
        }
    }

    /// An entry is on the disks of a majority.
    fn append(&mut self, entry: Option<Vec<u8>>) -> u64 {
        let index = self.cluster.entries.len() as u64 + 1;
        let lost = self.judge.on_committed(index, entry.as_deref(), &self.store);
        for command in entry.iter().flat_map(|entry| simulation::commands(entry).unwrap()) {
            format!("{:?}", but_incarnation(command.action)).hash(&mut self.actions);
        }
        let (now_ms, number) = (self.queue.now_ms, self.judge.state.applied);
        self.note(now_ms, number);
        self.cluster.entries.push(entry);
        for node in 0..SCHEDULERS {
            let life = self.cluster.members[node].life;
            self.after(0..20, Event::Apply { node, life });
        }
        self.watch_fences(lost);
        index
    }

    /// What a node does after each event: it may have proposed, spoken, answered, or set its clock.
    pub(crate) fn after_turn(&mut self, node: usize) {
        let life = self.cluster.members[node].life;
        while let Some(entry) = self.running(node, life).and_then(|running| running.node.proposal()) {
            self.on_proposed(node, life, entry);
        }
        let tick = self.running(node, life).and_then(|running| {
            let next_ms = running.node.next_wake_ms();
            (running.wake_ms != next_ms).then(|| running.wake_ms = next_ms).map(|()| next_ms)
        });
        if let Some(at_ms) = tick {
            self.push(at_ms, Event::Wake { node, life });
        }
        self.send_down(node);
        self.look_for_answers(node);
    }

    fn on_proposed(&mut self, node: usize, life: u32, entry: Vec<u8>) {
        self.cluster.last_flight += 1;
        let number = self.cluster.last_flight;
        let leads = self.cluster.leader == Some(Leader { node, life });
        let Some(running) = self.running(node, life) else { return };
        assert!(running.flight.is_none(), "scheduler {node} has two entries in flight");
        running.flight = Some(Flight { number, entry, index: None });
        let knows = running.role.is_none();
        if leads {
            self.after(1..40, Event::Commit { node, life, flight: number });
        } else if knows {
            self.after(0..10, Event::Settle { node, life, flight: number, replies: None });
        }
        // Who is cut off and does not know waits.
    }

    pub(crate) fn on_commit(&mut self, node: usize, life: u32, number: u64) {
        if self.cluster.leader != Some(Leader { node, life }) {
            return;
        }
        if !self.has_majority(node) {
            return self.after(20..200, Event::Commit { node, life, flight: number });
        }
        let is_it = |flight: &&mut Flight| flight.number == number && flight.index.is_none();
        let flight = self.running(node, life).and_then(|running| running.flight.as_mut()).filter(is_it);
        let Some(entry) = flight.map(|flight| flight.entry.clone()) else { return };
        let index = self.append(Some(entry));
        if let Some(flight) = self.running(node, life).and_then(|running| running.flight.as_mut()) {
            flight.index = Some(index);
        }
    }

    pub(crate) fn on_apply(&mut self, node: usize, life: u32) {
        let last = self.cluster.entries.len() as u64;
        let hears = self.cluster.leader.is_some_and(|leader| {
            leader.node == node || self.passes(End::Node(leader.node), End::Node(node))
        });
        let clocks = self.clocks(node);
        let Some(applied) = self.running(node, life).map(|running| running.applied) else { return };
        if applied == last {
            return;
        }
        if !hears {
            return self.after(100..500, Event::Apply { node, life });
        }
        if self.take_snapshot_of_another(node, life) {
            return;
        }
        let index = applied + 1;
        let entry = self.cluster.entries[applied as usize].clone();
        let Some(running) = self.running(node, life) else { return };
        running.applied = index;
        let replies =
            entry.map(|entry| running.node.apply(clocks, index, &entry).unwrap()).unwrap_or_default();
        let flight = running.flight.as_ref().filter(|flight| flight.index == Some(index));
        let flight = flight.map(|flight| flight.number);
        self.on_state(node, life);
        if let Some(flight) = flight {
            self.after(0..8, Event::Settle { node, life, flight, replies: Some(replies) });
        }
        let late = self.chance(2);
        self.after(if late { 100..3_000 } else { 0..5 }, Event::Apply { node, life });
        self.after_turn(node);
    }

    /// A node that lags is sent a snapshot at times.
    fn take_snapshot_of_another(&mut self, node: usize, life: u32) -> bool {
        let (leads, wanted) = (self.cluster.leader == Some(Leader { node, life }), self.chance(20));
        let applied = self.running(node, life).map_or(0, |running| running.applied);
        let newest = self.cluster.members.iter().filter_map(|member| member.snapshot.clone()).max();
        let Some((index, bytes)) = newest.filter(|(index, _)| !leads && wanted && *index >= applied + LAG)
        else {
            return false;
        };
        let clocks = self.clocks(node);
        let Some(running) = self.running(node, life) else { return false };
        running.node.restore(clocks, &bytes).unwrap();
        running.applied = index;
        let passed = running.flight.as_ref().filter(|flight| flight.index.is_some_and(|at| at <= index));
        if let Some(flight) = passed.map(|flight| flight.number) {
            self.after(0..10, Event::Settle { node, life, flight, replies: None });
        }
        self.on_state(node, life);
        self.after(0..20, Event::Apply { node, life });
        self.after_turn(node);
        true
    }

    /// A node has another state: it is the one that the log gives.
    fn on_state(&mut self, node: usize, life: u32) {
        let Some(running) = self.cluster.members[node].up.as_mut() else { return };
        let index = running.applied;
        self.judge.check_replica(node, index, running.node.state());
        if index.is_multiple_of(SNAPSHOT_EVERY) {
            self.cluster.members[node].snapshot = Some((index, running.node.snapshot()));
        }
        let caught_up = running.elected.filter(|(_, begin)| *begin <= index);
        if let Some((term, _)) = caught_up {
            running.elected = None;
            if term == self.cluster.term {
                self.set_role(node, life, Some(term));
            }
        }
    }

    fn set_role(&mut self, node: usize, life: u32, role: Option<u64>) {
        let Some(running) = self.running(node, life).filter(|running| running.role != role) else { return };
        running.role = role;
        self.after(0..100, Event::Role { node, life });
    }

    pub(crate) fn on_role(&mut self, node: usize, life: u32) {
        let clocks = self.clocks(node);
        let Some(running) = self.running(node, life).filter(|running| running.told != running.role) else {
            return;
        };
        running.told = running.role;
        running.node.is_now(clocks, running.told);
        self.after_turn(node);
    }

    /// A node hears that a later term than its own has begun, if it hears anything: what it had in flight is not answered.
    pub(crate) fn on_depose(&mut self, node: usize, life: u32, term: u64) {
        let current = |leader: &Leader| term == self.cluster.term && leader.node != node;
        let Some(leader) = self.cluster.leader.filter(current) else { return };
        let hears = self.passes(End::Node(leader.node), End::Node(node));
        let Some(running) = self.running(node, life) else { return };
        if !hears {
            return self.after(100..500, Event::Depose { node, life, term });
        }
        let flight = running.flight.as_ref().map(|flight| flight.number);
        self.set_role(node, life, None);
        if let Some(flight) = flight {
            self.after(0..100, Event::Settle { node, life, flight, replies: None });
        }
    }

    pub(crate) fn on_settle(&mut self, node: usize, life: u32, number: u64, replies: Option<Vec<Reply>>) {
        let clocks = self.clocks(node);
        let Some(running) = self.running(node, life) else { return };
        if running.flight.take_if(|flight| flight.number == number).is_none() {
            return;
        }
        match replies {
            Some(replies) => running.node.applied(clocks, replies),
            None => running.node.deposed(clocks),
        }
        self.after_turn(node);
    }

    pub(crate) fn on_wake(&mut self, node: usize, life: u32) {
        let (clocks, now_ms) = (self.clocks(node), self.queue.now_ms);
        let Some(running) = self.running(node, life).filter(|running| now_ms >= running.wake_ms) else {
            return;
        };
        running.node.wake(clocks);
        self.after_turn(node);
    }

    /// All replicas have applied everything.
    pub(crate) fn check_replicas(&self) {
        let last = self.cluster.entries.len() as u64;
        for (node, member) in self.cluster.members.iter().enumerate() {
            let running = member.up.as_ref().unwrap_or_else(|| panic!("scheduler {node} is not there"));
            assert_eq!(running.applied, last, "scheduler {node} lags");
        }
    }
}

/// The action without what only tells one start of an agent from another, which the wall clock gives.
fn but_incarnation(action: Action) -> Action {
    match action {
        Action::RegisterWorker { facts } => {
            Action::RegisterWorker { facts: Box::new(WorkerFacts { incarnation: 0, ..*facts }) }
        }
        other => other,
    }
}
