//! One job: its request, its plan, and how far each stage is.

use std::collections::{BTreeMap, VecDeque};

use reel_common::{Artifact, Digest, Failure, IndexSummary, Stage, TaskId, WorkerId};

use super::{AttemptRecord, EncodeState, TaskRecord};
use crate::command::JobSpec;
use crate::plan::Plan;

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobState {
    /// Accepted; no attempt has begun.
    Queued,
    /// Attempts have begun.
    Running,
    /// Delivered.
    Done,
    /// Ended without its output; the reason is kept.
    Failed,
    /// Ended on request.
    Canceled,
    /// Nothing more is granted until it is resumed.
    Paused,
}

impl JobState {
    /// The word used in output and logs.
    pub fn name(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Failed => "failed",
            JobState::Canceled => "canceled",
            JobState::Paused => "paused",
        }
    }

    /// Whether there is anything left to do.
    pub fn is_open(self) -> bool {
        matches!(self, JobState::Queued | JobState::Running | JobState::Paused)
    }

    /// Whether its tasks may be granted.
    pub fn is_active(self) -> bool {
        matches!(self, JobState::Queued | JobState::Running)
    }
}

/// Why a job failed: the first failure that could not be retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFailure {
    /// The task that failed; `None` where the plan was refused.
    pub task: Option<TaskId>,
    /// Name of the worker it ran on; empty where the plan was refused.
    pub worker: String,
    /// The failure.
    pub failure: Failure,
}

/// How long a stage of a job backs off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageBackoff {
    /// Shortages since the stage last made progress.
    pub shortages: u32,
    /// Nothing of the stage is granted before this time, in milliseconds since 1970.
    pub not_before_ms: u64,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What was asked for.
    pub spec: JobSpec,
    /// Digest of its profile's text, which is in [`FarmState::profiles`](super::FarmState::profiles).
    pub profile: Digest,
    /// Its state.
    pub state: JobState,
    /// When it was accepted, in milliseconds since 1970.
    pub submitted_ms: u64,
    /// When it ended, likewise.
    pub ended_ms: Option<u64>,
    /// Why it failed.
    pub failure: Option<Box<JobFailure>>,
    /// The result of index.
    pub index: Option<Box<IndexSummary>>,
    /// The plan.
    pub plan: Option<Box<Plan>>,
    /// Its parts; empty before the plan.
    pub encode: EncodeState,
    /// The `AudioRecord`s of the committed tracks, by their number in the profile.
    pub audio: BTreeMap<u32, Artifact>,
    /// The result of assemble.
    pub assembly: Option<Artifact>,
    /// The result of measure.
    pub proof: Option<Artifact>,
    /// The result of deliver.
    pub report: Option<Artifact>,
    /// What is remembered of tasks that were granted; chunks that are finished are dropped.
    pub tasks: BTreeMap<(Stage, u32), TaskRecord>,
    /// Stages that met a shortage.
    pub backoffs: BTreeMap<Stage, StageBackoff>,
    /// Names of the workers that attempts were granted to.
    pub workers: BTreeMap<WorkerId, String>,
    /// The newest attempts that ended, oldest first.
    pub attempts: VecDeque<AttemptRecord>,
    /// Attempts granted so far.
    pub attempts_total: u64,
    /// Commits of an already committed part whose attempt encoded anything of it.
    pub parts_encoded_twice: u64,
    /// Renditions encoded, over all commits.
    pub renditions_encoded: u64,
    /// Renditions found in the store, over all commits.
    pub renditions_reused: u64,
    /// How often damaged parts or tracks were reopened.
    pub reopenings: u32,
}
