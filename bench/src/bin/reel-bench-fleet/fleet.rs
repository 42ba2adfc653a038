//! A fleet in virtual time: workers of different speed take parts of different length, go and are replaced; the core
//! decides, entry by entry, as the leader's driver has it decide.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use reel_common::{Artifact, Epoch, JobState, PartIndex, Stage, TaskId, WorkerFacts, WorkerId};
use reel_scheduler_core::placement::{Progress, make_room, place};
use reel_scheduler_core::view::undecided;
use reel_scheduler_core::{Accepted, Action, Command, FarmState, LossCause, Reply, TaskResult};

use crate::workload::Workload;

/// From one entry of the log to the next, while there is something to write.
const ENTRY_MS: u64 = 15;
/// Leases and entitlements are looked at so often.
const TICK_MS: u64 = 1_000;
/// A runner takes so long to start.
const START_MS: u64 = 1_000;
/// A worker that dies without a word is lost when its lease ends.
const LEASE_MS: u64 = 20_000;
/// A part takes so long on a worker of ordinary speed.
const PART_MS: std::ops::Range<u64> = 20_000..40_000;
/// Speeds of workers, in percent.
const SPEED: std::ops::RangeInclusive<u64> = 75..=125;
const HOUR_MS: f64 = 3_600_000.0;

/// How workers come and go.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// Preemptions of one worker in an hour, on average.
    pub(crate) preempted_an_hour: f64,
    /// From the notice to the end; 0 where there is none.
    pub(crate) notice_ms: u64,
    /// From the end of a worker to the start of the next in its place.
    pub(crate) replacement_ms: u64,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) makespan_ms: u64,
    /// Encoder time that went into parts that count, and into those that were lost.
    pub(crate) work_ms: u64,
    pub(crate) wasted_ms: u64,
    pub(crate) preemptions: u64,
    pub(crate) lost: u64,
    pub(crate) cuts: u64,
    pub(crate) commands: u64,
    /// Time that the core took, by the clock; and the whole run, by the clock and of the processor.
    pub(crate) core: Duration,
    pub(crate) run: Duration,
    pub(crate) processor: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// What waits is written and applied.
    Entry,
    Tick,
    /// A worker starts in a place of the fleet.
    Arrive {
        place: u32,
    },
    /// An attempt is done with its part, or with all.
    Done {
        worker: WorkerId,
        epoch: Epoch,
    },
    /// A worker is told to go.
    Notice {
        worker: WorkerId,
    },
    /// A worker is gone.
    Gone {
        worker: WorkerId,
    },
    /// The leader finds out.
    Lost {
        worker: WorkerId,
    },
}

struct Worker {
    place: u32,
    speed: u64,
    leaving: bool,
    attempts: BTreeMap<Epoch, Attempt>,
}

struct Attempt {
    task: TaskId,
    /// The part in hand, and since when.
    part: Option<PartIndex>,
    since_ms: u64,
}

/// Time that this process has had a processor: the first number of `schedstat` (proc(5)), in nanoseconds.
fn processor_time() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().context("a number")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

/// The fleet, its scheduler and its work.
pub(crate) struct Fleet {
    state: FarmState,
    progress: Progress,
    workload: Workload,
    terms: Terms,
    rng: Rng,
    now_ms: u64,
    index: u64,
    events: BTreeSet<(u64, u64, Event)>,
    serial: u64,
    waiting: Vec<Command>,
    entry_due: bool,
    workers: BTreeMap<WorkerId, Worker>,
    incarnations: u64,
    outcome: Outcome,
}

impl Fleet {
    pub(crate) fn new(workers: u32, terms: Terms, workload: Workload, seed: u64) -> Fleet {
        let outcome = Outcome {
            makespan_ms: 0,
            work_ms: 0,
            wasted_ms: 0,
            preemptions: 0,
            lost: 0,
            cuts: 0,
            commands: 0,
            core: Duration::ZERO,
            run: Duration::ZERO,
            processor: Duration::ZERO,
        };
        let mut fleet = Fleet {
            state: FarmState::default(),
            progress: Progress::default(),
            workload,
            terms,
            rng: Rng::with_seed(seed),
            now_ms: 0,
            index: 0,
            events: BTreeSet::new(),
            serial: 0,
            waiting: Vec::new(),
            entry_due: false,
            workers: BTreeMap::new(),
            incarnations: 0,
            outcome,
        };
        for title in 0..fleet.workload.titles {
            let submit = fleet.workload.submit(title);
            fleet.propose(submit);
        }
        for place in 0..workers {
            fleet.after(0, Event::Arrive { place });
        }
        fleet.after(TICK_MS, Event::Tick);
        fleet
    }

    /// Runs until every title is done.
    pub(crate) fn run(mut self) -> Result<Outcome> {
        let (begun, processor) = (Instant::now(), processor_time()?);
        while self.index == 0 || !self.state.by_output.is_empty() {
            let Some((at_ms, _, event)) = self.events.pop_first() else { break };
            self.now_ms = at_ms;
            match event {
                Event::Entry => self.on_entry(),
                Event::Tick => self.on_tick(),
                Event::Arrive { place } => self.on_arrive(place),
                Event::Done { worker, epoch } => self.on_done(worker, epoch),
                Event::Notice { worker } => self.on_notice(worker),
                Event::Gone { worker } => self.on_gone(worker),
                Event::Lost { worker } => {
                    self.propose(Action::LoseWorker { worker, cause: LossCause::Silent });
                }
            }
        }
        let done = self.state.jobs.values().all(|job| job.state == JobState::Done);
        ensure!(done, "a title failed");
        self.outcome.makespan_ms = self.now_ms;
        (self.outcome.run, self.outcome.processor) = (begun.elapsed(), processor_time()? - processor);
        Ok(self.outcome)
    }

    fn after(&mut self, wait_ms: u64, event: Event) {
        self.serial += 1;
        self.events.insert((self.now_ms + wait_ms, self.serial, event));
    }

    fn propose(&mut self, action: Action) {
        self.waiting.push(Command::at(self.now_ms, action));
        self.write_soon();
    }

    fn write_soon(&mut self) {
        if !self.waiting.is_empty() && !std::mem::replace(&mut self.entry_due, true) {
            self.after(ENTRY_MS, Event::Entry);
        }
    }

    /// An entry is applied, and what follows from it decided.
    fn on_entry(&mut self) {
        self.index = self.state.applied + 1;
        self.entry_due = false;
        let commands = std::mem::take(&mut self.waiting);
        self.outcome.commands += commands.len() as u64;
        let begun = Instant::now();
        let index = self.index;
        let apply = |command: Command| (command.action.clone(), self.state.apply(index, command));
        let replies: Vec<_> = commands.into_iter().map(apply).collect();
        let mut decided: Vec<_> = undecided(&self.state)
            .into_iter()
            .map(|job| Action::CommitPlan { job, plan: Box::new(self.workload.plan.clone()) })
            .map(|action| Command::at(self.now_ms, action))
            .collect();
        decided.extend(place(&self.state, &self.progress, self.now_ms));
        self.outcome.core += begun.elapsed();
        self.waiting.extend(decided);
        self.write_soon();
        for (action, reply) in replies {
            self.on_reply(action, &reply);
        }
    }

    fn on_tick(&mut self) {
        self.after(TICK_MS, Event::Tick);
        if self.waiting.is_empty() {
            let begun = Instant::now();
            self.progress.retain_live(&self.state);
            let mut decided = make_room(&self.state, &self.progress, self.now_ms);
            decided.extend(place(&self.state, &self.progress, self.now_ms));
            self.outcome.core += begun.elapsed();
            self.waiting = decided;
            self.write_soon();
        }
    }

    fn on_reply(&mut self, action: Action, reply: &Reply) {
        match (action, reply) {
            (Action::RegisterWorker { facts }, Reply::Accepted(Accepted::Worker(worker))) => {
                self.on_registered(*worker, &facts.name);
            }
            (Action::Grant { task, worker, parts, .. }, Reply::Accepted(Accepted::Granted { epoch, .. })) => {
                let attempt = Attempt { task, part: None, since_ms: self.now_ms };
                let Some(known) = self.workers.get_mut(&worker) else { return };
                known.attempts.insert(*epoch, attempt);
                self.begin(worker, *epoch, parts.map(|parts| PartIndex(parts.start)), START_MS);
            }
            (Action::CutChunk { .. }, Reply::Accepted(_)) => self.outcome.cuts += 1,
            _ => {}
        }
    }

    fn on_arrive(&mut self, place: u32) {
        self.incarnations += 1;
        let facts = WorkerFacts {
            name: place.to_string(),
            incarnation: self.incarnations,
            slots: 1,
            memory: 1 << 40,
            scratch: 1 << 40,
            codecs: ["h264", "aac", "check"].map(str::to_owned).into(),
            ..WorkerFacts::default()
        };
        self.propose(Action::RegisterWorker { facts: Box::new(facts) });
    }

    fn on_registered(&mut self, worker: WorkerId, name: &str) {
        let place = name.parse().unwrap_or(0);
        let speed = self.rng.u64(SPEED);
        self.workers.insert(worker, Worker { place, speed, leaving: false, attempts: BTreeMap::new() });
        if self.terms.preempted_an_hour > 0.0 {
            // Times between events of a Poisson process have an exponential distribution.
            let hours = -(1.0 - self.rng.f64()).ln() / self.terms.preempted_an_hour;
            self.after((hours * HOUR_MS) as u64, Event::Notice { worker });
        }
    }

    /// An attempt takes a part, or the whole of a stage without parts.
    fn begin(&mut self, worker: WorkerId, epoch: Epoch, part: Option<PartIndex>, start_ms: u64) {
        let takes_ms = match part {
            Some(_) => self.rng.u64(PART_MS),
            None => self.rng.u64(1_000..10_000),
        };
        let Some(known) = self.workers.get_mut(&worker) else { return };
        let (speed, leaving) = (known.speed, known.leaving);
        let Some(attempt) = known.attempts.get_mut(&epoch) else { return };
        (attempt.part, attempt.since_ms) = (part, self.now_ms + start_ms);
        let task = attempt.task;
        if leaving {
            return self.hand_back(worker, epoch);
        }
        if let Some(part) = part {
            self.progress.note(task, epoch, part);
        }
        self.after(start_ms + takes_ms * 100 / speed, Event::Done { worker, epoch });
    }

    fn on_done(&mut self, worker: WorkerId, epoch: Epoch) {
        let Some(known) = self.workers.get_mut(&worker) else { return };
        let Some(attempt) = known.attempts.get(&epoch) else { return };
        let (task, leaving) = (attempt.task, known.leaving);
        let Some(part) = attempt.part else {
            known.attempts.remove(&epoch);
            let result = match task.stage {
                Stage::Index => TaskResult::Index(Box::new(self.workload.index.clone())),
                stage => TaskResult::Object(Artifact::of(stage.name().as_bytes())),
            };
            return self.propose(Action::CommitTask { task, epoch, result, source_bytes_read: None });
        };
        self.outcome.work_ms += self.now_ms - attempt.since_ms;
        let record = Artifact::of(&part.0.to_le_bytes());
        self.propose(Action::CommitPart {
            task,
            epoch,
            part,
            record,
            encoded: 1,
            reused: 0,
            measured: Vec::new(),
        });
        let range = self.state.jobs.get(&task.job).and_then(|job| job.chunk(task.index));
        let next = PartIndex(part.0 + 1);
        if range.is_some_and(|range| range.contains(next)) {
            return if leaving {
                self.hand_back(worker, epoch)
            } else {
                self.begin(worker, epoch, Some(next), 0)
            };
        }
        self.workers.get_mut(&worker).map(|known| known.attempts.remove(&epoch));
        let result = TaskResult::Nothing;
        self.propose(Action::CommitTask { task, epoch, result, source_bytes_read: None });
    }

    fn hand_back(&mut self, worker: WorkerId, epoch: Epoch) {
        let attempt = self.workers.get_mut(&worker).and_then(|known| known.attempts.remove(&epoch));
        if let Some(Attempt { task, .. }) = attempt {
            self.propose(Action::HandBack { task, epoch });
        }
    }

    fn on_notice(&mut self, worker: WorkerId) {
        self.outcome.preemptions += 1;
        if self.terms.notice_ms > 0 {
            if let Some(known) = self.workers.get_mut(&worker) {
                known.leaving = true;
            }
            self.propose(Action::NoteLeaving { worker });
        }
        self.after(self.terms.notice_ms, Event::Gone { worker });
    }

    /// What is in hand is lost.
    fn on_gone(&mut self, worker: WorkerId) {
        let Some(Worker { place, attempts, .. }) = self.workers.remove(&worker) else { return };
        for attempt in attempts.values().filter(|attempt| attempt.part.is_some()) {
            self.outcome.lost += 1;
            self.outcome.wasted_ms += self.now_ms.saturating_sub(attempt.since_ms);
        }
        self.after(self.terms.replacement_ms, Event::Arrive { place });
        // An agent that had its notice kills what runs, hands it back and says goodbye.
        if self.terms.notice_ms == 0 {
            return self.after(LEASE_MS, Event::Lost { worker });
        }
        for (epoch, Attempt { task, .. }) in attempts {
            self.propose(Action::HandBack { task, epoch });
        }
        self.propose(Action::LoseWorker { worker, cause: LossCause::Silent });
    }
}
