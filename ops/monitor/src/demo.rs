//! A farm that is made up: for a look at the monitor, for its pictures, and to see that it bears the largest farms.
//!
//! Each time it is asked, a second has passed in it. It follows from its size alone.

use std::collections::{BTreeMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use reel_client::ClientError;
use reel_common::{
    AttemptNumber, Epoch, JobId, JobState, JobView, Labels, RunningView, Stage, StageView, TaskId, TaskState,
    TaskView,
};
use reel_proto::v1::{self, Hold, JobControl, WorkerState};

use crate::act::Act;
use crate::farm::{Farm, JobDetail, JobFocus};

/// Frames of a part: twelve seconds.
const PART_FRAMES: u64 = 288;
/// Frames that a slot encodes in a second.
const SPEED: u64 = 24;
/// Attempts that are remembered of a job.
const MAX_HISTORY: usize = 2_000;
/// Events of a second that are told.
const MAX_EVENTS: usize = 40;
/// Tasks that are listed.
const MAX_TASKS: usize = 500;
const SECOND_MS: u64 = 1_000;
const TITLES: [&str; 8] =
    ["aurora", "borderlines", "cascade", "delta-nine", "embers", "fathoms", "glasshouse", "harbour"];

/// How large the farm is.
#[derive(Clone, Copy, Debug)]
pub struct DemoSize {
    /// Workers, each with two slots.
    pub workers: u32,
    /// Chunks of all jobs together.
    pub chunks: u32,
}

/// What becomes of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Waits,
    Runs,
    Done,
    Troubled,
}

struct Title {
    id: u64,
    output: String,
    project: &'static str,
    priority: i32,
    state: JobState,
    parts: Vec<Part>,
    /// The first part that nobody has begun.
    next: usize,
    troubled: Vec<usize>,
    done: u32,
    submitted_ms: u64,
    ended_ms: Option<u64>,
    history: VecDeque<v1::AttemptRecord>,
}

struct Host {
    name: String,
    spot: bool,
    hold: Hold,
    /// Taken away until then, in milliseconds.
    away_until_ms: Option<u64>,
    preemptions: u64,
    slots: [Option<Work>; 2],
    cpu: u32,
}

/// An attempt: a title by its place, a part, the frames that are done, and when it began.
#[derive(Clone, Copy)]
struct Work {
    title: usize,
    part: usize,
    frames: u64,
    began_ms: u64,
}

/// The farm.
pub(crate) struct Demo {
    rng: Rng,
    now_ms: u64,
    titles: Vec<Title>,
    hosts: Vec<Host>,
    frames: u64,
    log: u64,
    told: Vec<v1::Changes>,
}

impl Demo {
    /// A farm that begins now.
    pub(crate) fn new(size: DemoSize) -> Demo {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Demo::at(size, now.as_millis() as u64)
    }

    /// A farm that begins at a time, in milliseconds since 1970.
    pub(crate) fn at(size: DemoSize, now_ms: u64) -> Demo {
        let jobs = TITLES.len() as u32 * 2;
        let parts = (size.chunks / jobs).max(1);
        let title = |number: u32| Title {
            id: u64::from(number) + 1,
            output: format!(
                "/srv/titles/{}-s01e{:02}",
                TITLES[number as usize % TITLES.len()],
                number / 8 + 1
            ),
            project: if number.is_multiple_of(3) { "series" } else { "films" },
            priority: i32::from(number == 2) * 10,
            state: JobState::Queued,
            parts: vec![Part::Waits; (parts + number * parts / jobs) as usize],
            next: 0,
            troubled: Vec::new(),
            done: 0,
            submitted_ms: now_ms - u64::from(jobs - number) * 60 * SECOND_MS,
            ended_ms: None,
            history: VecDeque::new(),
        };
        let host = |number: u32| Host {
            name: format!("{}-{:04}", if number.is_multiple_of(4) { "rack" } else { "spot" }, number + 1),
            spot: !number.is_multiple_of(4),
            hold: if number == 5 { Hold::Quarantine } else { Hold::None },
            away_until_ms: None,
            preemptions: 0,
            slots: [None; 2],
            cpu: 0,
        };
        Demo {
            rng: Rng::with_seed(7),
            now_ms,
            titles: (0..jobs).map(title).collect(),
            hosts: (0..size.workers.max(1)).map(host).collect(),
            frames: 0,
            log: 1_000,
            told: Vec::new(),
        }
    }

    fn tell(&mut self, event: v1::event::Event) {
        self.log += 1;
        if self.told.len() < MAX_EVENTS {
            let events = vec![v1::Event { event: Some(event) }];
            self.told.push(v1::Changes { number: self.log, at_ms: self.now_ms, events });
        }
    }

    /// A second passes.
    fn pass(&mut self) {
        self.now_ms += SECOND_MS;
        self.told.clear();
        for host in 0..self.hosts.len() {
            self.come_and_go(host);
            (0..2).for_each(|slot| self.work(host, slot));
            let busy = self.hosts[host].slots.iter().flatten().count() as u32;
            self.hosts[host].cpu = (busy * 45 + self.rng.u32(0..10)).min(100);
        }
        for at in 0..self.titles.len() {
            let title = &mut self.titles[at];
            if title.state == JobState::Running && title.done as usize == title.parts.len() {
                (title.state, title.ended_ms) = (JobState::Done, Some(self.now_ms));
                let (job, state) = (title.id, v1::JobState::Done.into());
                self.tell(v1::event::Event::JobChanged(v1::JobChanged { job, state, reason: String::new() }));
            }
        }
    }

    /// Spot hosts are taken away now and then, and come back.
    fn come_and_go(&mut self, at: usize) {
        let (now_ms, goes) = (self.now_ms, self.rng.u32(0..4_000) == 0);
        let host = &mut self.hosts[at];
        match host.away_until_ms {
            Some(until) if until <= now_ms => host.away_until_ms = None,
            None if host.spot && goes => {
                host.away_until_ms = Some(now_ms + 30 * SECOND_MS);
                host.preemptions += 1;
                for slot in 0..2 {
                    self.give_back(at, slot, "preempted");
                }
            }
            _ => {}
        }
    }

    fn give_back(&mut self, at: usize, slot: usize, outcome: &str) {
        let Some(work) = self.hosts[at].slots[slot].take() else { return };
        let title = &mut self.titles[work.title];
        title.parts[work.part] = if outcome == "failed" { Part::Troubled } else { Part::Waits };
        title.troubled.push(work.part);
        self.note_end(at, work, outcome);
    }

    fn note_end(&mut self, at: usize, work: Work, outcome: &str) {
        let title = &mut self.titles[work.title];
        let task: v1::TaskId =
            TaskId { job: JobId(title.id), stage: Stage::Encode, index: work.part as u32 }.into();
        let message = if outcome == "failed" { "the encoder ended with signal 11" } else { "" };
        title.history.push_back(v1::AttemptRecord {
            task: Some(task),
            attempt: 1,
            epoch: self.log,
            worker: self.hosts[at].name.clone(),
            started_ms: work.began_ms,
            ended_ms: self.now_ms,
            outcome: outcome.to_owned(),
            message: message.to_owned(),
            ..v1::AttemptRecord::default()
        });
        if title.history.len() > MAX_HISTORY {
            title.history.pop_front();
        }
        let (worker, outcome) = (self.hosts[at].name.clone(), outcome.to_owned());
        let ended = v1::AttemptEnded {
            task: Some(task),
            attempt: 1,
            epoch: self.log,
            worker,
            outcome,
            message: message.to_owned(),
        };
        self.tell(v1::event::Event::AttemptEnded(ended));
    }

    fn takes_work(host: &Host) -> bool {
        host.away_until_ms.is_none() && host.hold == Hold::None
    }

    /// What a slot does in a second.
    fn work(&mut self, at: usize, slot: usize) {
        let Some(work) = &mut self.hosts[at].slots[slot] else {
            if Self::takes_work(&self.hosts[at]) {
                self.hosts[at].slots[slot] = self.begin();
            }
            return;
        };
        work.frames += SPEED;
        self.frames += SPEED;
        let work = *work;
        if self.rng.u32(0..3_000) == 0 {
            return self.give_back(at, slot, "failed");
        }
        if work.frames >= PART_FRAMES {
            self.hosts[at].slots[slot] = None;
            let title = &mut self.titles[work.title];
            (title.parts[work.part], title.done) = (Part::Done, title.done + 1);
            self.note_end(at, work, "done");
        }
    }

    /// The next part of the title that goes first.
    fn begin(&mut self) -> Option<Work> {
        let active = |title: &&(usize, &mut Title)| {
            matches!(title.1.state, JobState::Queued | JobState::Running)
                && (title.1.next < title.1.parts.len() || !title.1.troubled.is_empty())
        };
        let mut open: Vec<_> = self.titles.iter_mut().enumerate().collect();
        open.sort_by_key(|(at, title)| (std::cmp::Reverse(title.priority), *at));
        let (place, title) = open.into_iter().find(|title| active(&title))?;
        let part = title.troubled.pop().unwrap_or(title.next);
        title.state = JobState::Running;
        title.next = title.next.max(part + 1);
        title.parts[part] = Part::Runs;
        Some(Work { title: place, part, frames: 0, began_ms: self.now_ms })
    }

    fn running_of(&self, place: usize) -> impl Iterator<Item = (&Host, Work)> {
        let all =
            self.hosts.iter().flat_map(|host| host.slots.iter().flatten().map(move |work| (host, *work)));
        all.filter(move |(_, work)| work.title == place)
    }

    fn job_row(&self, place: usize, in_hand: &BTreeMap<usize, (u32, u64)>) -> v1::JobRow {
        let title = &self.titles[place];
        let (running, frames) = in_hand.get(&place).copied().unwrap_or_default();
        let stage = if title.state == JobState::Done { v1::Stage::Unspecified } else { v1::Stage::Encode };
        v1::JobRow {
            id: title.id,
            state: v1::JobState::from(title.state).into(),
            output: title.output.clone(),
            project: title.project.to_owned(),
            priority: title.priority,
            stage: stage.into(),
            frames_done: u64::from(title.done) * PART_FRAMES + frames,
            frames_total: title.parts.len() as u64 * PART_FRAMES,
            parts_done: title.done,
            parts_total: title.parts.len() as u32,
            running,
            waiting: (title.parts.len() - title.done as usize) as u64 - u64::from(running),
            submitted_ms: title.submitted_ms,
            ended_ms: title.ended_ms,
            ..v1::JobRow::default()
        }
    }

    fn worker_row(host: &Host) -> v1::WorkerRow {
        let state = match (host.away_until_ms, host.hold) {
            (Some(_), _) => WorkerState::Silent,
            (None, Hold::Drain) => WorkerState::Draining,
            (None, Hold::Cordon) => WorkerState::Cordoned,
            (None, Hold::Quarantine) => WorkerState::Quarantined,
            (None, Hold::None | Hold::Unspecified) => WorkerState::Ready,
        };
        let load = v1::HostLoad {
            cpu_percent: host.cpu,
            memory_used: (2 + 5 * host.slots.iter().flatten().count() as u64) << 30,
            memory_total: 16 << 30,
            scratch_free: 180 << 30,
        };
        v1::WorkerRow {
            name: host.name.clone(),
            state: state.into(),
            pool: if host.spot { v1::Pool::Spot } else { v1::Pool::OnDemand }.into(),
            slots: 2,
            running: host.slots.iter().flatten().count() as u32,
            preemptions: host.preemptions,
            load: host.away_until_ms.is_none().then_some(load),
            price_micros: if host.spot { 120_000 } else { 400_000 },
        }
    }

    fn place(&self, job: JobId) -> Result<usize, ClientError> {
        let missing = || ClientError::NotFound(format!("there is no job {job}"));
        self.titles.iter().position(|title| title.id == job.0).ok_or_else(missing)
    }

    fn strip(&self, place: usize, cells: u32) -> v1::PartStrip {
        let parts = &self.titles[place].parts;
        let cells = parts.len().min(cells as usize);
        let begins = |cell: usize| cell * parts.len() / cells.max(1);
        let count = |cell: usize, wanted: Part| {
            parts[begins(cell)..begins(cell + 1)].iter().filter(|part| **part == wanted).count() as u32
        };
        let each = |wanted: Part| (0..cells).map(|cell| count(cell, wanted)).collect();
        v1::PartStrip {
            parts_total: parts.len() as u32,
            done: each(Part::Done),
            running: each(Part::Runs),
            troubled: each(Part::Troubled),
        }
    }

    fn view(&self, place: usize) -> JobView {
        let title = &self.titles[place];
        let job = JobId(title.id);
        let running = |(host, work): (&Host, Work)| RunningView {
            task: TaskId { job, stage: Stage::Encode, index: work.part as u32 },
            attempt: AttemptNumber(1),
            epoch: Epoch(work.began_ms),
            worker: host.name.clone(),
            started_ms: work.began_ms,
            frames_done: work.frames,
            frames_total: PART_FRAMES,
            part: Some(work.part as u32),
        };
        let running: Vec<_> = self.running_of(place).map(running).collect();
        let over = title.state == JobState::Done;
        let stage = |stage, total: u32, done| {
            let running = if stage == Stage::Encode { running.len() as u32 } else { 0 };
            StageView { stage, total, done, running, frames_done: 0, frames_total: 0 }
        };
        let parts = title.parts.len() as u32;
        let stages = vec![
            stage(Stage::Index, 1, 1),
            stage(Stage::Encode, parts, title.done),
            stage(Stage::Audio, 2, 2),
            stage(Stage::Assemble, 1, u32::from(over)),
            stage(Stage::Measure, 1, u32::from(over)),
            stage(Stage::Check, 1, u32::from(over)),
            stage(Stage::Deliver, 1, u32::from(over)),
        ];
        JobView {
            id: job,
            state: title.state,
            mezzanine: title.output.replace("/srv/titles/", "/srv/mezzanines/") + ".mov",
            output: title.output.clone(),
            project: title.project.to_owned(),
            priority: title.priority,
            deadline_ms: None,
            labels: Labels::default(),
            needs: Labels::default(),
            hooks: Vec::new(),
            texts: Vec::new(),
            edit: None,
            reason: None,
            trouble: None,
            warnings: Vec::new(),
            flags: Vec::new(),
            rates: Vec::new(),
            stages,
            running,
            frames: u64::from(parts) * PART_FRAMES,
            parts_total: parts,
            parts_committed: title.done,
            attempts: title.history.len() as u64,
            parts_encoded_twice: 0,
            renditions_encoded: u64::from(title.done) * 4,
            renditions_reused: 0,
            report: None,
            submitted_ms: title.submitted_ms,
            ended_ms: title.ended_ms,
            cost_micros: 0,
        }
    }

    fn tasks(&self, place: usize) -> Vec<TaskView> {
        let title = &self.titles[place];
        let running: BTreeMap<usize, RunningView> = self
            .view(place)
            .running
            .into_iter()
            .map(|running| (running.task.index as usize, running))
            .collect();
        let open = title.parts.iter().enumerate().filter(|(_, part)| **part != Part::Done);
        let task = |(at, part): (usize, &Part)| TaskView {
            task: TaskId { job: JobId(title.id), stage: Stage::Encode, index: at as u32 },
            state: match part {
                Part::Runs => TaskState::Running,
                Part::Troubled => TaskState::BackingOff,
                Part::Waits | Part::Done => TaskState::Waiting,
            },
            parts: Some(at as u32..at as u32 + 1),
            attempts: u32::from(*part != Part::Waits),
            preemptions: 0,
            faults: match part {
                Part::Troubled => {
                    vec![("spot-0002".to_owned(), "the encoder ended with signal 11".to_owned())]
                }
                _ => Vec::new(),
            },
            not_before_ms: (*part == Part::Troubled).then_some(self.now_ms + 10 * SECOND_MS),
            running: running.get(&at).cloned(),
        };
        open.map(task).take(MAX_TASKS).collect()
    }
}

impl Farm for Demo {
    async fn overview(&mut self) -> Result<v1::FarmOverview, ClientError> {
        self.pass();
        let mut in_hand: BTreeMap<usize, (u32, u64)> = BTreeMap::new();
        for work in self.hosts.iter().flat_map(|host| host.slots.iter().flatten()) {
            let (running, frames) = in_hand.entry(work.title).or_default();
            (*running, *frames) = (*running + 1, *frames + work.frames);
        }
        let of = |state: JobState| self.titles.iter().filter(|title| title.state == state).count() as u64;
        let jobs: Vec<_> = (0..self.titles.len()).rev().map(|place| self.job_row(place, &in_hand)).collect();
        let mut workers: Vec<_> = self.hosts.iter().map(Self::worker_row).collect();
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        let ready = self.hosts.iter().filter(|host| Self::takes_work(host)).count() as u64;
        Ok(v1::FarmOverview {
            at_ms: self.now_ms,
            term: 3,
            slots: ready * 2,
            slots_taken: in_hand.values().map(|(running, _)| u64::from(*running)).sum(),
            tasks_waiting: jobs.iter().map(|job| job.waiting).sum(),
            frames: self.frames,
            jobs_queued: of(JobState::Queued),
            jobs_running: of(JobState::Running),
            jobs_paused: of(JobState::Paused),
            jobs_done: of(JobState::Done),
            jobs_canceled: of(JobState::Canceled),
            cost_micros: workers.iter().map(|worker| worker.price_micros).sum(),
            jobs,
            workers,
            ..v1::FarmOverview::default()
        })
    }

    async fn cluster(&mut self) -> Result<v1::ClusterStatus, ClientError> {
        let member = |id: u64| v1::ClusterMember {
            id,
            address: format!("http://10.0.0.{id}:7101"),
            voter: true,
            matched: Some(self.log - (id - 1)),
        };
        let (last_log, applied) = (self.log, self.log);
        let members = (1..=3).map(member).collect();
        Ok(v1::ClusterStatus {
            cluster: 1,
            node: 1,
            leader: Some(1),
            term: 3,
            last_log,
            applied,
            snapshot: 0,
            members,
        })
    }

    async fn job(&mut self, focus: JobFocus) -> Result<JobDetail, ClientError> {
        let place = self.place(focus.job)?;
        let view = self.view(place);
        let waiting = (view.parts_total - view.parts_committed).saturating_sub(view.running.len() as u32);
        let explanation =
            v1::Explanation { running: view.running.len() as u32, waiting, obstacles: Vec::new() };
        let history = focus.history.then(|| v1::JobHistory {
            job: focus.job.0,
            attempts: self.titles[place].history.iter().cloned().collect(),
            ..v1::JobHistory::default()
        });
        let (strip, tasks) = (self.strip(place, focus.cells), self.tasks(place));
        Ok(JobDetail { view, strip, tasks, explanation, history })
    }

    async fn log(&mut self, task: TaskId) -> Result<v1::TailResponse, ClientError> {
        let place = self.place(task.job)?;
        let running = self.running_of(place).find(|(_, work)| work.part as u32 == task.index);
        let Some((host, work)) = running else {
            return Err(ClientError::NotFound(format!("no attempt of {task} runs")));
        };
        let lines = (0..work.frames / SPEED).map(|second| format!("frame {}: encoded\n", second * SPEED));
        Ok(v1::TailResponse { attempt: 1, worker: host.name.clone(), running: true, text: lines.collect() })
    }

    fn changes(&mut self) -> Vec<v1::Changes> {
        std::mem::take(&mut self.told)
    }

    async fn act(&mut self, act: &Act) -> Result<(), ClientError> {
        match act {
            Act::Control(job, control) => {
                let place = self.place(*job)?;
                let title = &mut self.titles[place];
                if title.ended_ms.is_some() {
                    return Err(ClientError::Refused(format!("job {job} is {}", title.state.name())));
                }
                title.state = match control {
                    JobControl::Pause => JobState::Paused,
                    JobControl::Cancel => JobState::Canceled,
                    JobControl::Resume | JobControl::Retry | JobControl::Unspecified => JobState::Running,
                };
                title.ended_ms = (*control == JobControl::Cancel).then_some(self.now_ms);
            }
            Act::Priority(job, priority) => {
                let place = self.place(*job)?;
                self.titles[place].priority = *priority;
            }
            Act::Hold(name, hold) => {
                self.hosts.iter_mut().filter(|host| host.name == *name).for_each(|host| host.hold = *hold);
            }
            Act::RetryTask(_) => {}
            Act::SkipTask(task) => {
                return Err(ClientError::Refused(format!("{task} is no task of a hook")));
            }
        }
        Ok(())
    }
}
