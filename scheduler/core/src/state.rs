//! The replicated state of the farm, as plain data.
//!
//! A shell writes the public fields of [`FarmState`] into a snapshot; after reading them back it calls
//! [`FarmState::reindex`], which rebuilds the fields that are derived.

mod encode;
mod history;
mod job;
mod task;

use std::collections::BTreeMap;

use reel_common::{AttemptNumber, Digest, Epoch, JobId, PartIndex, Stage, TaskId, WorkerId};

pub use encode::{CommittedPart, EncodeState, PartRange};
pub use history::{AttemptRecord, Outcome};
pub use job::{Job, JobFailure, JobState, StageBackoff};
pub use task::{Fault, TaskRecord};

/// Everything that the schedulers agree on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FarmState {
    /// Log index of the last command applied.
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
    /// The fleet.
    pub workers: BTreeMap<WorkerId, Worker>,
    /// The live leases: at most one for each task. Use of slots and memory is derived from them.
    pub leases: BTreeMap<TaskId, Lease>,
    /// Derived: jobs by idempotency key.
    pub by_key: BTreeMap<String, JobId>,
    /// Derived: open jobs by destination.
    pub by_output: BTreeMap<String, JobId>,
}

/// One registration of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Host name, or the operator's choice.
    pub name: String,
    /// Grows with every start of the agent.
    pub incarnation: u64,
    /// Attempts that it runs at once.
    pub slots: u32,
    /// Memory for all its runners together, in bytes.
    pub memory: u64,
    /// Scratch space in bytes.
    pub scratch: u64,
    /// It has handed work back: it is going and gets no more.
    pub draining: bool,
    /// When it registered, in milliseconds since 1970.
    pub registered_ms: u64,
    /// Attempts that it handed back.
    pub preemptions: u64,
}

/// A worker's right to run one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The fencing token: the log index of the grant.
    pub epoch: Epoch,
    /// Who runs it.
    pub worker: WorkerId,
    /// Which try of the task it is.
    pub attempt: AttemptNumber,
    /// For encode tasks: the parts as they were granted. What is left of them is in the chunk.
    pub granted: Option<PartRange>,
    /// Memory reserved, in bytes.
    pub memory: u64,
    /// When it was granted, in milliseconds since 1970.
    pub granted_ms: u64,
    /// Parts that it committed although another attempt had, so that a doubled message counts once.
    pub repeated: Vec<PartIndex>,
}

impl FarmState {
    /// Rebuilds the derived fields, after a snapshot was read.
    pub fn reindex(&mut self) {
        self.by_key.clear();
        self.by_output.clear();
        for (id, job) in &self.jobs {
            if let Some(key) = &job.spec.idempotency_key {
                self.by_key.insert(key.clone(), *id);
            }
            if job.state.is_open() {
                self.by_output.insert(job.spec.output.clone(), *id);
            }
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
        self.leases
            .iter()
            .filter(move |(_, lease)| lease.worker == worker)
            .map(|(task, lease)| (*task, lease))
    }
}
