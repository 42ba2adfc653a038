//! A job as its watchers see it.

use crate::{
    Artifact, AttemptNumber, Edit, Epoch, FailureClass, Flag, Hook, JobId, Labels, RateView, Stage, TaskId,
    TextSource,
};

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

/// How far a job is. Committed work comes from the replicated state, work in hand from heartbeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its number.
    pub id: JobId,
    /// Its state.
    pub state: JobState,
    /// Path or URL of the mezzanine.
    pub mezzanine: String,
    /// The destination.
    pub output: String,
    /// Whose it is.
    pub project: String,
    /// Higher goes first within the project.
    pub priority: i32,
    /// When it is wanted, in milliseconds since 1970.
    pub deadline_ms: Option<u64>,
    /// What its submitter says of it.
    pub labels: Labels,
    /// Labels that a worker must have to run any of its tasks.
    pub needs: Labels,
    /// Programs of the site that are run when its title is delivered.
    pub hooks: Vec<Hook>,
    /// Subtitles and captions of the title.
    pub texts: Vec<TextSource>,
    /// What the title is made of; `None` where it is the mezzanine as it is.
    pub edit: Option<Edit>,
    /// Why it failed.
    pub reason: Option<JobReason>,
    /// The newest failure that is tried again; `None` once its stage is complete.
    pub trouble: Option<Trouble>,
    /// What admission had to say.
    pub warnings: Vec<String>,
    /// What it flagged.
    pub flags: Vec<Flag>,
    /// How the renditions with a bit rate or a quality come to it.
    pub rates: Vec<RateView>,
    /// Every stage that the job has, in order; before the plan only index.
    pub stages: Vec<StageView>,
    /// Attempts that run, in task order.
    pub running: Vec<RunningView>,
    /// Frames of the title; 0 before the index.
    pub frames: u64,
    /// Parts of the plan; 0 before it.
    pub parts_total: u32,
    /// Parts whose renditions are all in the store.
    pub parts_committed: u32,
    /// Attempts granted so far.
    pub attempts: u64,
    /// Commits of an already committed part whose attempt encoded anything of it.
    pub parts_encoded_twice: u64,
    /// Renditions of parts that were encoded.
    pub renditions_encoded: u64,
    /// Renditions of parts that were found in the store.
    pub renditions_reused: u64,
    /// The report, once it is delivered.
    pub report: Option<Artifact>,
    /// When it was accepted, in milliseconds since 1970.
    pub submitted_ms: u64,
    /// When it ended, likewise.
    pub ended_ms: Option<u64>,
    /// What its attempts that ended have cost, in millionths of the site's currency; 0 where workers have no prices.
    pub cost_micros: u64,
}

impl JobView {
    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        !self.state.is_open()
    }
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobReason {
    /// The task that failed; `None` where the job could not be planned.
    pub task: Option<TaskId>,
    /// The worker it ran on; empty where there was none.
    pub worker: String,
    /// The class of the failure.
    pub class: FailureClass,
    /// What is wrong, where, and what to do.
    pub message: String,
    /// What was seen: exit status and the end of the runner's stderr.
    pub evidence: String,
}

/// A failure that does not end the job: it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The task that failed.
    pub task: TaskId,
    /// Which try it was.
    pub attempt: AttemptNumber,
    /// The worker it ran on.
    pub worker: String,
    /// The class of the failure.
    pub class: FailureClass,
    /// What is wrong, cut to a line of a report.
    pub message: String,
    /// How often in a row the stage was short of something.
    pub shortages: u32,
}

/// How far one stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageView {
    /// Which one.
    pub stage: Stage,
    /// What it has to do: parts for encode, tracks for audio, 1 for the others.
    pub total: u32,
    /// How much of that is committed.
    pub done: u32,
    /// Attempts that run.
    pub running: u32,
    /// Frames (or bytes, for stages that count bytes) that are done, work in hand included. For encode it never goes
    /// back while the job is watched.
    pub frames_done: u64,
    /// Of so many; 0 where it is not known yet.
    pub frames_total: u64,
}

/// An attempt that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningView {
    /// Its task.
    pub task: TaskId,
    /// Which try it is.
    pub attempt: AttemptNumber,
    /// Its fencing token.
    pub epoch: Epoch,
    /// Name of its worker.
    pub worker: String,
    /// When it was granted, in milliseconds since 1970.
    pub started_ms: u64,
    /// Frames (or bytes) of this attempt that are done.
    pub frames_done: u64,
    /// Of so many; 0 before the first heartbeat that says.
    pub frames_total: u64,
    /// The part in hand, for encode.
    pub part: Option<u32>,
}
