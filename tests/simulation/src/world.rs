//! The farm of one seed, and its run from the first event to the last.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use fastrand::Rng;
use reel_common::JobState;

use crate::cluster::{Cluster, SCHEDULERS};
use crate::faults::{Fault, Plan};
use crate::host::Host;
use crate::judge::{Counts, Judge};
use crate::network::{End, Link};
use crate::queue::{Event, Queue};
use crate::store::{Mood, Store};
use crate::users::User;

/// How long things go wrong.
const STORM_MS: u64 = 300_000;
/// How long after it every job is over: some backoffs of five minutes, and a runner that hangs for ten, three times.
const LIVENESS_MS: u64 = 7_200_000;
/// How long after the last job every host is back, and nothing is held any more: a host that was told to go takes so long.
const SETTLED_MS: u64 = 120_000;
/// A wall clock that jumps, jumps so far.
const HOUR_MS: u64 = 3_600_000;
/// What wall clocks show at the beginning: 2026-01-01.
const WALL_MS: u64 = 1_767_225_600_000;

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// A number over everything that happened.
    pub trace: u64,
    /// A number over every action that was committed, whatever the clocks stamped on it.
    pub actions: u64,
    /// When the last job was over.
    pub over_ms: u64,
    /// What was counted.
    pub counts: Counts,
    /// How the jobs ended.
    pub jobs: Vec<JobState>,
    /// Parts committed, over all jobs.
    pub parts: u64,
}

/// Everything.
pub(crate) struct World {
    pub(crate) rng: Rng,
    /// Chance of its own for clocks, so that the rest is the same with and without their jumps.
    clock_rng: Rng,
    pub(crate) queue: Queue,
    pub(crate) faults: BTreeSet<Fault>,
    pub(crate) cluster: Cluster,
    pub(crate) hosts: Vec<Host>,
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) last_link: u64,
    /// Ways that nothing passes, by the number of the cut.
    pub(crate) cuts: BTreeMap<u64, BTreeSet<(End, End)>>,
    pub(crate) store: Store,
    pub(crate) users: Vec<User>,
    pub(crate) judge: Judge,
    /// How far each wall clock is ahead, in hours: of schedulers and hosts.
    pub(crate) ahead: BTreeMap<End, i64>,
    /// Nothing goes wrong any more.
    pub(crate) calm: bool,
    trace: DefaultHasher,
    pub(crate) actions: DefaultHasher,
    last_cut: u64,
}

/// Runs the farm of a plan to its end.
///
/// # Panics
/// A promise is broken. The message says which.
pub fn run(plan: &Plan) -> Outcome {
    let mut world = World::new(plan);
    let over_ms = world.run();
    world.check_end();
    let jobs: Vec<_> = world.judge.state.jobs.values().map(|job| job.state).collect();
    let parts = world.judge.state.jobs.values().map(|job| u64::from(job.parts_committed())).sum();
    Outcome {
        trace: world.trace.finish(),
        actions: world.actions.finish(),
        over_ms,
        counts: world.judge.counts,
        jobs,
        parts,
    }
}

impl World {
    fn new(plan: &Plan) -> World {
        let mut rng = Rng::with_seed(plan.seed);
        let hosts = (0..rng.usize(1..=5)).map(|number| Host::new(number, rng.u32(1..=3))).collect();
        let users = (0..rng.usize(1..=4)).map(|number| User::new(number, &mut rng)).collect();
        let mut world = World {
            rng,
            clock_rng: Rng::with_seed(plan.seed ^ 0x0063_6c6f_636b),
            queue: Queue::default(),
            faults: plan.faults.clone(),
            cluster: Cluster::default(),
            hosts,
            links: BTreeMap::new(),
            last_link: 0,
            cuts: BTreeMap::new(),
            store: Store::default(),
            users,
            judge: Judge::default(),
            ahead: BTreeMap::new(),
            calm: false,
            trace: DefaultHasher::new(),
            actions: DefaultHasher::new(),
            last_cut: 0,
        };
        for node in 0..SCHEDULERS {
            world.push(0, Event::StartNode { node, life: 0 });
        }
        for host in 0..world.hosts.len() {
            world.after(0..2_000, Event::StartHost { host, life: 0 });
        }
        for user in 0..world.users.len() {
            world.after(0..60_000, Event::User { user, turn: 0 });
        }
        world.after(500..1_000, Event::Check);
        for fault in plan.faults.clone() {
            world.schedule(fault);
        }
        world.push(STORM_MS, Event::Calm);
        world
    }

    /// Runs until all jobs are over and what they left is gone; returns when the last job was over.
    fn run(&mut self) -> u64 {
        let mut over_ms = None;
        loop {
            let event = self.queue.pop().expect("something is always to happen");
            let now_ms = self.queue.now_ms;
            self.note(0, now_ms);
            self.handle(event);
            if !self.calm || !self.users.iter().all(User::is_done) || !self.judge.all_over() {
                assert!(now_ms < STORM_MS + LIVENESS_MS, "a job is not over: {}", self.judge.open_jobs());
                over_ms = None;
                continue;
            }
            let over_ms = *over_ms.get_or_insert(now_ms);
            if now_ms >= over_ms + SETTLED_MS {
                return over_ms;
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Check => self.on_check(),
            Event::Commit { node, life, flight } => self.on_commit(node, life, flight),
            Event::Apply { node, life } => self.on_apply(node, life),
            Event::Settle { node, life, flight, replies } => self.on_settle(node, life, flight, replies),
            Event::Depose { node, life, term } => self.on_depose(node, life, term),
            Event::Role { node, life } => self.on_role(node, life),
            Event::Wake { node, life } => self.on_wake(node, life),
            Event::StartNode { node, life } => self.on_start_node(node, life),
            Event::Pump { link, up } => self.on_pump(link, up),
            Event::Close { link, at_host } => self.on_close(link, at_host),
            Event::Dial { host, life } => self.on_dial(host, life),
            Event::Agent { host, life } => self.on_agent(host, life),
            Event::Runner { host, life, epoch, step } => self.on_runner(host, life, epoch, step),
            Event::Publish { host, life, epoch, step } => self.on_publish(host, life, epoch, step),
            Event::StartHost { host, life } => self.on_start_host(host, life),
            Event::Thaw { host, life } => self.on_thaw(host, life),
            Event::Unanswered { host, life, link } => self.on_unanswered(host, life, link),
            Event::Fenced { host, life, epoch } => self.on_fenced(host, life, epoch),
            Event::User { user, turn } => self.on_user(user, turn),
            Event::Answer { user, turn, heard } => self.on_answer(user, turn, heard),
            Event::Fault(fault) => self.on_fault(fault),
            Event::Join { cut } => drop(self.cuts.remove(&cut)),
            Event::StoreMended => self.store.mood = Mood::Well,
            Event::Calm => self.on_calm(),
        }
    }

    pub(crate) fn push(&mut self, at_ms: u64, event: Event) {
        let tie = self.rng.u32(..);
        self.queue.push(at_ms, tie, event);
    }

    /// Something happens after a wait of so many milliseconds.
    pub(crate) fn after(&mut self, wait_ms: std::ops::Range<u64>, event: Event) {
        let at_ms = self.queue.now_ms + self.rng.u64(wait_ms);
        self.push(at_ms, event);
    }

    /// Puts something into the trace.
    pub(crate) fn note(&mut self, what: u64, value: u64) {
        (what, value).hash(&mut self.trace);
    }

    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    /// Whether a fault of this kind may happen now.
    pub(crate) fn may(&self, fault: Fault) -> bool {
        !self.calm && self.faults.contains(&fault)
    }

    /// What the wall clock of a scheduler or host shows.
    pub(crate) fn wall_ms(&self, of: End) -> u64 {
        let ahead = self.ahead.get(&of).copied().unwrap_or(0) * HOUR_MS as i64;
        (WALL_MS + self.queue.now_ms).saturating_add_signed(ahead)
    }

    fn schedule(&mut self, fault: Fault) {
        if let (Fault::Clock, Some(every_ms)) = (fault, fault.every_ms()) {
            let at_ms = self.queue.now_ms + self.clock_rng.u64(0..2 * every_ms);
            self.queue.push(at_ms, 0, Event::Fault(fault));
        } else if let Some(every_ms) = fault.every_ms() {
            self.after(0..2 * every_ms, Event::Fault(fault));
        }
    }

    fn on_fault(&mut self, fault: Fault) {
        if self.calm {
            return;
        }
        self.schedule(fault);
        self.note(1, fault as u64);
        match fault {
            Fault::CrashScheduler => {
                let node = self.rng.usize(0..SCHEDULERS);
                self.crash_node(node, 500..60_000);
            }
            Fault::CrashLeader => self.crash_leader(),
            Fault::Transfer => self.transfer(),
            Fault::Partition => self.partition(),
            Fault::Reset => self.reset_one(),
            Fault::KillWorker | Fault::StopWorker | Fault::Preempt => {
                let host = self.rng.usize(0..self.hosts.len());
                match fault {
                    Fault::KillWorker => self.kill_host(host),
                    Fault::StopWorker => self.stop_host(host),
                    _ => self.preempt(host),
                }
            }
            Fault::Clock => self.jump(),
            Fault::Store => {
                self.store.mood = if self.rng.bool() { Mood::Slow } else { Mood::Full };
                self.after(1_000..60_000, Event::StoreMended);
            }
            Fault::Disorder | Fault::Runner | Fault::Cancel => {}
        }
    }

    /// A wall clock jumps by an hour.
    fn jump(&mut self) {
        let chosen = self.clock_rng.usize(0..SCHEDULERS + self.hosts.len());
        let end = chosen.checked_sub(SCHEDULERS).map_or(End::Node(chosen), End::Host);
        *self.ahead.entry(end).or_default() += if self.clock_rng.bool() { 1 } else { -1 };
    }

    /// Some do not reach some others, one way or both, for a while.
    fn partition(&mut self) {
        let hosts = self.hosts.len();
        let all: Vec<_> = (0..SCHEDULERS).map(End::Node).chain((0..hosts).map(End::Host)).collect();
        let (one_way, share) = (self.rng.bool(), self.rng.u32(10..60));
        let apart: BTreeSet<_> = all.iter().copied().filter(|_| self.rng.u32(0..100) < share).collect();
        let mut ways = BTreeSet::new();
        for (from, to) in all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))) {
            if apart.contains(&from) && !apart.contains(&to) {
                ways.insert((from, to));
                if !one_way {
                    ways.insert((to, from));
                }
            }
        }
        self.last_cut += 1;
        self.cuts.insert(self.last_cut, ways);
        self.after(1_000..50_000, Event::Join { cut: self.last_cut });
    }

    pub(crate) fn passes(&self, from: End, to: End) -> bool {
        self.cuts.values().all(|ways| !ways.contains(&(from, to)))
    }

    fn on_calm(&mut self) {
        self.calm = true;
        self.cuts.clear();
        self.store.mood = Mood::Well;
    }

    /// Nothing is held any more, every replica is the same, and what failed had reasons.
    fn check_end(&self) {
        assert!(self.judge.state.leases.is_empty(), "leases are left");
        for host in &self.hosts {
            let agent = host.agent().unwrap_or_else(|| panic!("{} is not there", host.name));
            assert_eq!((agent.held(), agent.unanswered()), (0, 0), "{} holds something", host.name);
        }
        self.check_replicas();
        for (id, job) in &self.judge.state.jobs {
            if let Some(failure) = &job.failure {
                let troubles = self.hosts.iter().map(|host| host.troubles_of(*id)).sum::<u32>();
                assert!(troubles >= 3, "job {id} failed for nothing: {}", failure.failure.message);
            }
        }
    }
}
