//! The replicated state of the farm, as plain data.
//!
//! A shell writes the public fields of [`FarmState`] into a snapshot; after reading them back it calls
//! [`FarmState::reindex`], which rebuilds the fields that are derived.

mod encode;
mod history;
mod job;
mod rate;
mod task;
mod task_set;

use std::collections::{BTreeMap, BTreeSet};

use reel_common::{
    AttemptNumber, Digest, Epoch, Hold, JobId, PartIndex, Share, Stage, TaskId, WorkerFacts, WorkerId,
};

use crate::command::Reserved;
use crate::event::{Event, News};

pub use encode::{CommittedPart, EncodeState, PartRange};
pub use history::{AttemptRecord, JobWorker, Outcome};
pub use job::{Job, JobFailure, StageBackoff};
pub use rate::{RateLevel, RateRound, RateState};
pub use reel_common::JobState;
pub use task::{Fault, TaskRecord};
pub use task_set::TaskSet;

/// Everything that the schedulers agree on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FarmState {
    /// Number of the last command applied: the index of its log entry or, where entries hold several commands, more.
    pub applied: u64,
    /// The latest stamp of a command, in milliseconds since 1970.
    pub clock_ms: u64,
    /// Number of the last job accepted.
    pub last_job: JobId,
    /// Number of the last worker registered.
    pub last_worker: WorkerId,
    /// Open jobs, and the newest of the finished ones.
    pub jobs: BTreeMap<JobId, Job>,
    /// Profile texts by their digest, as jobs refer to them.
    pub profiles: BTreeMap<Digest, String>,
    /// Shares of the farm by project; one that is not here has the default.
    pub projects: BTreeMap<String, Share>,
    /// Workers that are held back, by name.
    pub holds: BTreeMap<String, Hold>,
    /// Jobs of which a worker failed at what another did, since it last did something itself, by its name.
    pub strikes: BTreeMap<String, BTreeSet<JobId>>,
    /// The fleet.
    pub workers: BTreeMap<WorkerId, Worker>,
    /// The live leases: at most one for each task. Use of slots and memory is derived from them.
    pub leases: BTreeMap<TaskId, Lease>,
    /// What the last command changed.
    pub news: News,
    /// Derived: jobs by idempotency key.
    pub by_key: BTreeMap<String, JobId>,
    /// Derived: open jobs.
    pub open: BTreeSet<JobId>,
    /// Derived: open jobs that make a title, by destination.
    pub by_output: BTreeMap<String, JobId>,
    /// Derived: tasks with a live lease by worker; workers without one are left out.
    pub by_worker: BTreeMap<WorkerId, BTreeSet<TaskId>>,
}

/// One registration of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// What it has said of itself.
    pub facts: WorkerFacts,
    /// It has handed work back: it is going and gets no more.
    pub draining: bool,
    /// When it registered, in milliseconds since 1970.
    pub registered_ms: u64,
    /// Attempts that it handed back.
    pub preemptions: u64,
}

impl Worker {
    /// A worker as it registers.
    pub fn new(facts: WorkerFacts) -> Self {
        Worker { facts, draining: false, registered_ms: 0, preemptions: 0 }
    }
}

/// A worker's right to run one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The fencing token: the number of the grant, as [`FarmState::apply`] counts commands.
    pub epoch: Epoch,
    /// Who runs it.
    pub worker: WorkerId,
    /// Which try of the task it is.
    pub attempt: AttemptNumber,
    /// For encode tasks: the parts as they were granted. What is left of them is in the chunk.
    pub granted: Option<PartRange>,
    /// What it has for itself of the worker.
    pub reserved: Reserved,
    /// When it was granted, in milliseconds since 1970.
    pub granted_ms: u64,
    /// Parts that it committed although another attempt had, so that a doubled message counts once.
    pub repeated: Vec<PartIndex>,
}

impl FarmState {
    /// Notes a change for those who watch.
    pub(crate) fn tell(&mut self, event: Event) {
        self.news.0.push(event);
    }

    /// Whether a worker may be granted anything.
    pub fn takes_work(&self, worker: &Worker) -> bool {
        !worker.draining && !self.holds.contains_key(&worker.facts.name)
    }

    /// The worker that is registered by a name.
    pub fn worker_named(&self, name: &str) -> Option<(WorkerId, &Worker)> {
        self.workers.iter().find(|(_, worker)| worker.facts.name == name).map(|(id, worker)| (*id, worker))
    }

    /// The share of a project.
    pub fn share_of(&self, project: &str) -> Share {
        self.projects.get(project).copied().unwrap_or_default()
    }

    /// Makes a state of a backup that of a new cluster. What was numbered since the backup is not known here, and may
    /// still be spoken of: neither an epoch nor the number of a job is given out again.
    pub fn take_over(&mut self) {
        self.applied = self.applied.saturating_add(Self::EPOCHS_SINCE_BACKUP);
        self.last_job = JobId(self.last_job.0.saturating_add(Self::JOBS_SINCE_BACKUP));
    }

    /// More commands than a farm applies between a backup and its loss: a year at a hundred a second.
    const EPOCHS_SINCE_BACKUP: u64 = 1 << 32;
    /// More jobs than it accepts.
    const JOBS_SINCE_BACKUP: u64 = 100_000;

    /// Rebuilds the derived fields, after a snapshot was read.
    pub fn reindex(&mut self) {
        self.by_key.clear();
        self.open.clear();
        self.by_output.clear();
        self.by_worker.clear();
        for (task, lease) in &self.leases {
            self.by_worker.entry(lease.worker).or_default().insert(*task);
        }
        for (id, job) in &self.jobs {
            if let Some(key) = &job.spec.idempotency_key {
                self.by_key.insert(key.clone(), *id);
            }
        }
        let open: Vec<JobId> =
            self.jobs.iter().filter(|(_, job)| job.state.is_open()).map(|(id, _)| *id).collect();
        open.into_iter().for_each(|id| self.note_open(id));
    }

    /// Finds a job as an open one from now on.
    pub(crate) fn note_open(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        self.open.insert(id);
        if job.spec.has_title() {
            self.by_output.insert(job.spec.output.clone(), id);
        }
    }

    /// The live lease of `task`, if it is that of `epoch`.
    pub fn live(&self, task: TaskId, epoch: Epoch) -> Option<&Lease> {
        self.leases.get(&task).filter(|lease| lease.epoch == epoch)
    }

    /// The live leases of a job, in task order.
    pub fn leases_of_job(&self, job: JobId) -> impl Iterator<Item = (TaskId, &Lease)> {
        let start = TaskId { job, stage: Stage::Index, index: 0 };
        self.leases
            .range(start..)
            .take_while(move |(task, _)| task.job == job)
            .map(|(task, lease)| (*task, lease))
    }

    /// The live leases of a worker, in task order.
    pub fn leases_of_worker(&self, worker: WorkerId) -> impl Iterator<Item = (TaskId, &Lease)> {
        let tasks = self.by_worker.get(&worker).into_iter().flatten();
        tasks.filter_map(|task| self.leases.get(task).map(|lease| (*task, lease)))
    }

    /// What a worker has left.
    pub fn room_of(&self, id: WorkerId) -> Room {
        let Some(worker) = self.workers.get(&id).filter(|worker| self.takes_work(worker)) else {
            return Room::default();
        };
        let WorkerFacts { slots, memory, scratch, .. } = worker.facts;
        let mut room = Room { slots, memory, scratch };
        for (_, lease) in self.leases_of_worker(id) {
            room.take(lease.reserved);
        }
        room
    }

    /// The tasks of one stage of a job that could be granted, but for backoff, by their number: no lease, and all that
    /// they depend on is complete. Encode tasks come with their parts.
    pub fn waiting_tasks(
        &self,
        id: JobId,
        stage: Stage,
    ) -> impl Iterator<Item = (TaskId, Option<PartRange>)> {
        let job = self.jobs.get(&id).filter(|job| job.state.is_active() && job.is_ready(stage));
        job.into_iter().flat_map(move |job| {
            let wanted = indexes(job, stage).filter(move |index| job.wants(stage, *index));
            wanted
                .map(move |index| {
                    let parts = job.parts_of(stage, index);
                    (TaskId { job: id, stage, index }, parts)
                })
                .filter(|(task, _)| !self.leases.contains_key(task))
        })
    }
}

/// The numbers that tasks of a ready stage may have, ascending.
fn indexes(job: &Job, stage: Stage) -> Box<dyn Iterator<Item = u32> + '_> {
    match (stage, &job.plan) {
        (Stage::Encode, Some(plan)) => Box::new(open_chunks(job, job.chunks_begun(plan))),
        (Stage::Probe, Some(plan)) => Box::new(job.rate.probed.open_in(0..plan.grid.parts())),
        (Stage::Audio, Some(plan)) => Box::new(plan.tracks.iter().copied()),
        (Stage::Hook, _) => Box::new(job.hooks.open_in(job.hook_now().map_or(0..0, |(_, tasks)| tasks))),
        _ => Box::new(std::iter::once(0)),
    }
}

/// The numbers of the chunks that are not done, ascending: those of the plan up to `planned`, and those that were added.
pub(crate) fn open_chunks(job: &Job, planned: u32) -> impl Iterator<Item = u32> {
    let fresh = job.encode.fresh;
    let begun = job.encode.chunks.range(..fresh).map(|(index, _)| *index);
    let added = job.encode.chunks.range(fresh..).map(|(index, _)| *index);
    begun.chain(fresh..planned).chain(added)
}

/// What a worker has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Attempts that it can take.
    pub slots: u32,
    /// Bytes of memory for them.
    pub memory: u64,
    /// Bytes of scratch space for them.
    pub scratch: u64,
}

impl Room {
    /// Whether an attempt finds what it asks for.
    pub fn has(self, wanted: Reserved) -> bool {
        self.slots > 0 && self.memory >= wanted.memory && self.scratch >= wanted.scratch
    }

    /// Takes a slot and what is reserved with it.
    pub(crate) fn take(&mut self, reserved: Reserved) {
        self.slots = self.slots.saturating_sub(1);
        self.memory = self.memory.saturating_sub(reserved.memory);
        self.scratch = self.scratch.saturating_sub(reserved.scratch);
    }
}
