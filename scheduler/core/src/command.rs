//! What can be asked of the farm's state, and what it answers.

use reel_common::{
    Artifact, AttemptNumber, Edit, EditError, Epoch, Failure, Hold, Hook, HookError, IndexSummary, JobId,
    Labels, Measured, PartIndex, Share, SourceIdentity, TaskId, TextSource, TextSourceError, WorkerFacts,
    WorkerId,
};

use crate::plan::Plan;
use crate::rate::RateStep;
use crate::state::{JobState, PartRange};

/// One entry of the log: what is asked and when the leader asked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Milliseconds since 1970, as the leader stamped them.
    ///
    /// A leader stamps `max(its wall clock, FarmState::clock_ms)` as it was when its term began, plus what its
    /// monotonic clock has counted since, so that a wall clock that jumps changes nothing. `apply` takes a stamp that
    /// goes back as the latest one it has seen.
    pub now_ms: u64,
    /// What is asked.
    pub action: Action,
}

impl Command {
    /// `action`, asked at `now_ms`.
    pub fn at(now_ms: u64, action: Action) -> Self {
        Command { now_ms, action }
    }
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Accepts a job. The profile has been parsed by the leader. Answer: [`Accepted::Job`].
    SubmitJob {
        /// What is to be made.
        spec: Box<JobSpec>,
        /// The profile's TOML text.
        profile: String,
    },
    /// Gives an indexed job its plan, which the leader computed.
    CommitPlan {
        /// The job, whose index is committed and which has no plan.
        job: JobId,
        /// The plan.
        plan: Box<Plan>,
    },
    /// Fails an indexed job that cannot be planned: admission rules, ladder or grid refuse it.
    RejectPlan {
        /// The job, whose index is committed and which has no plan.
        job: JobId,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Says how a job goes on that has bit rates, after its last round of probes or wave of the encode.
    CommitRate {
        /// The job.
        job: JobId,
        /// Rounds and waves that it has had, so that a step that was decided twice is taken once.
        after: u32,
        /// What it does.
        step: RateStep,
    },
    /// Makes an agent known. Answer: [`Accepted::Worker`]. An older incarnation of the same name is lost by this.
    RegisterWorker {
        /// What it says of itself.
        facts: Box<WorkerFacts>,
    },
    /// Leases a ready task to a worker. Its epoch is the number of this command. Answer: [`Accepted::Granted`].
    Grant {
        /// The task.
        task: TaskId,
        /// Who is to run it.
        worker: WorkerId,
        /// For encode tasks: the parts, exactly those that the chunk has left.
        parts: Option<PartRange>,
        /// What is reserved for the attempt.
        reserved: Reserved,
    },
    /// Commits one part: all its renditions are in the store. This is the checkpoint.
    CommitPart {
        /// The encode task.
        task: TaskId,
        /// The epoch of the attempt.
        epoch: Epoch,
        /// The part.
        part: PartIndex,
        /// Its `PartRecord` in the store.
        record: Artifact,
        /// Renditions that the attempt encoded.
        encoded: u32,
        /// Renditions that it found in the store.
        reused: u32,
        /// What came of each rendition; none where the plan has no targets.
        measured: Vec<Measured>,
    },
    /// Ends an attempt with its result.
    CommitTask {
        /// The task.
        task: TaskId,
        /// The epoch of the attempt.
        epoch: Epoch,
        /// What it made.
        result: TaskResult,
        /// Bytes of the mezzanine that it read; `None` where the stage does not open it.
        source_bytes_read: Option<u64>,
    },
    /// Ends an attempt without its result.
    FailAttempt {
        /// The task.
        task: TaskId,
        /// The epoch of the attempt.
        epoch: Epoch,
        /// Why.
        failure: Failure,
    },
    /// The worker is going: what is not committed of the attempt is free for others, and the worker gets no more work
    /// until it registers anew.
    HandBack {
        /// The task.
        task: TaskId,
        /// The epoch of the attempt.
        epoch: Epoch,
    },
    /// Ends a lease that nobody renewed: the attempt is lost.
    ExpireLease {
        /// The task.
        task: TaskId,
        /// The epoch of the attempt.
        epoch: Epoch,
    },
    /// Notes that a worker goes: it gets no more work until it registers anew.
    NoteLeaving {
        /// The worker.
        worker: WorkerId,
    },
    /// Holds back the worker of a name, or lets it work again.
    HoldWorker {
        /// Its name; it need not be registered.
        name: String,
        /// How; `None` lets it work.
        hold: Option<Hold>,
    },
    /// Forgets a worker; all its attempts are lost at once.
    LoseWorker {
        /// The worker.
        worker: WorkerId,
        /// Whether its tasks are suspects.
        cause: LossCause,
    },
    /// Cuts the tail off a running chunk; the parts from `at_part` on become a chunk of their own.
    CutChunk {
        /// The encode task.
        task: TaskId,
        /// The epoch of the attempt.
        epoch: Epoch,
        /// The first part given away; after the first uncommitted part of the chunk.
        at_part: PartIndex,
    },
    /// Clears what has been charged to a task and its backoff; a job that failed by this task goes on.
    RetryTask {
        /// The task.
        task: TaskId,
    },
    /// Gives up a task of a hook: its job goes on without it, also one that failed by it.
    SkipTask {
        /// The task.
        task: TaskId,
    },
    /// Clears what has been charged to all tasks of a job and their backoffs; one that failed goes on.
    RetryJob {
        /// The job.
        job: JobId,
    },
    /// Ends a job; its attempts lose their leases.
    CancelJob {
        /// The job.
        job: JobId,
    },
    /// Grants nothing more to a job; attempts that run may end.
    PauseJob {
        /// The job.
        job: JobId,
    },
    /// Ends a pause.
    ResumeJob {
        /// The job.
        job: JobId,
    },
    /// Gives an open job another priority.
    SetPriority {
        /// The job.
        job: JobId,
        /// Higher goes first within the project.
        priority: i32,
    },
    /// Gives a project its share of the farm. One that was never given any has the default.
    SetProject {
        /// Its name.
        name: String,
        /// Its share.
        share: Share,
    },
    /// Forgets the oldest finished jobs beyond the bound of the history. Answer: [`Accepted::Pruned`].
    PruneJobs,
}

/// What a user asks to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// URL or path of the mezzanine; at most [`JobSpec::MAX_TEXT_BYTES`]. Empty, as the output and the profile then are,
    /// where the job makes no title but only runs hooks.
    pub mezzanine: String,
    /// The version of the mezzanine, where the submitter has looked.
    pub identity: Option<SourceIdentity>,
    /// Destination; at most [`JobSpec::MAX_TEXT_BYTES`]. Two open jobs never share one.
    pub output: String,
    /// Whose it is; [`JobSpec::DEFAULT_PROJECT`] where nobody says.
    pub project: String,
    /// Higher goes first within the project; 0 is usual.
    pub priority: i32,
    /// When it is wanted, in milliseconds since 1970: of equal priority the earlier goes first, those without last.
    pub deadline_ms: Option<u64>,
    /// What its submitter says of it.
    pub labels: Labels,
    /// Labels that a worker must have to run any of its tasks.
    pub needs: Labels,
    /// Parts to a chunk; the plan's default where `None`. Never 0.
    pub chunk_parts: Option<u32>,
    /// Programs of the site that are run one after the other when the title is delivered.
    pub hooks: Vec<Hook>,
    /// Subtitles and captions of the title.
    pub texts: Vec<TextSource>,
    /// What the title is made of; `None` where it is the mezzanine as it is.
    pub edit: Option<Edit>,
    /// A submit with the key of a known job is that job; at most [`JobSpec::MAX_KEY_BYTES`].
    pub idempotency_key: Option<String>,
}

impl JobSpec {
    /// The project of jobs that name none.
    pub const DEFAULT_PROJECT: &str = "default";
    /// Longest URL or path.
    pub const MAX_TEXT_BYTES: usize = 4096;
    /// Longest idempotency key.
    pub const MAX_KEY_BYTES: usize = 256;
    /// Longest profile text, so that a submit fits in a Raft entry.
    pub const MAX_PROFILE_BYTES: usize = 64 * 1024;

    /// Whether a title is to be made.
    pub fn has_title(&self) -> bool {
        !self.mezzanine.is_empty()
    }
}

impl Default for JobSpec {
    /// A request of the default project that wishes for nothing, and has yet to say what is to be made.
    fn default() -> Self {
        JobSpec {
            mezzanine: String::new(),
            identity: None,
            output: String::new(),
            project: Self::DEFAULT_PROJECT.to_owned(),
            priority: 0,
            deadline_ms: None,
            labels: Labels::default(),
            needs: Labels::default(),
            chunk_parts: None,
            hooks: Vec::new(),
            texts: Vec::new(),
            edit: None,
            idempotency_key: None,
        }
    }
}

/// What an attempt has for itself of its worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of scratch space.
    pub scratch: u64,
}

/// What an attempt made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskResult {
    /// Of index.
    Index(Box<IndexSummary>),
    /// Of audio, image, assemble, measure, deliver: `AudioRecord`, `ImageRecord`, `Assembly`, `Proof`, report.
    Object(Artifact),
    /// Of probe: what came of each target of the plan.
    Measured(Vec<Measured>),
    /// Of encode, whose parts were committed one by one, and of hooks.
    Nothing,
}

/// Why a worker is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LossCause {
    /// It fell silent by itself: what it ran is charged with a loss, since the task may be what kills workers.
    Silent,
    /// Its farm was restarted with it, as an embedded farm is: nothing is charged.
    FarmRestarted,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is done.
    Accepted(Accepted),
    /// It was done before; the same answer as then.
    Duplicate(Accepted),
    /// The epoch is not live: the attempt is to stop.
    Superseded,
    /// It cannot be done; the state is as it was, unless the refusal says otherwise.
    Refused(Refusal),
}

impl Reply {
    /// Accepted with nothing more to say.
    pub const DONE: Reply = Reply::Accepted(Accepted::Done);

    /// What was accepted, now or before.
    pub fn accepted(&self) -> Option<Accepted> {
        match self {
            Reply::Accepted(accepted) | Reply::Duplicate(accepted) => Some(*accepted),
            Reply::Superseded | Reply::Refused(_) => None,
        }
    }
}

/// What an accepted command made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Nothing that has a name.
    Done,
    /// A job.
    Job(JobId),
    /// A worker.
    Worker(WorkerId),
    /// A lease.
    Granted {
        /// Its fencing token.
        epoch: Epoch,
        /// Which try of the task it is.
        attempt: AttemptNumber,
    },
    /// Chunks that were cut off, by the number of the first.
    Cut {
        /// The new encode task.
        task: TaskId,
    },
    /// So many jobs were forgotten.
    Pruned(u32),
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such job, or it is forgotten.
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    /// No such task.
    #[error("there is no task {0}")]
    UnknownTask(TaskId),
    /// The task is done, or waits for earlier stages.
    #[error("task {0} is done or waits for earlier stages: there is nothing to try again")]
    NothingToRetry(TaskId),
    /// The task is done.
    #[error("task {0} is done: there is nothing to skip")]
    NothingToSkip(TaskId),
    /// The output needs the task.
    #[error("{0} cannot be skipped: the output needs it; only hooks can")]
    NotSkippable(TaskId),
    /// No such worker, or it is lost.
    #[error("there is no worker {0}: it is to register anew")]
    UnknownWorker(WorkerId),
    /// No worker of this name is registered or held back.
    #[error("there is no worker {0}, and none of that name is held back")]
    UnknownName(String),
    /// The job's state does not allow it.
    #[error("job {job} is {}", .state.name())]
    WrongState {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
    /// Another open job writes to the same destination.
    #[error("job {job} is writing to {output}: wait for it, cancel it, or choose another output")]
    OutputBusy {
        /// The other job.
        job: JobId,
        /// The destination.
        output: String,
    },
    /// The list of projects is full.
    #[error("{0} projects have a share, which is the limit")]
    TooManyProjects(usize),
    /// The queue is full.
    #[error("{0} jobs are open, which is the limit: submit again when some have ended")]
    TooManyJobs(usize),
    /// The fleet is full.
    #[error("{0} workers are registered, which is the limit")]
    TooManyWorkers(usize),
    /// A field is longer, smaller or larger than it may be.
    #[error("{field} {problem}")]
    BadField {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The job asks for hooks that cannot be.
    #[error(transparent)]
    BadHooks(HookError),
    /// The job comes with texts that cannot be.
    #[error(transparent)]
    BadTexts(TextSourceError),
    /// The job is edited in a way that cannot be.
    #[error(transparent)]
    BadEdit(EditError),
    /// The worker has been restarted since.
    #[error("worker {name} is registered with incarnation {newest}: this one is older")]
    OldIncarnation {
        /// The worker's name.
        name: String,
        /// The newest incarnation.
        newest: u64,
    },
    /// The task waits for another stage, runs, is done, or its parts are not these.
    #[error("task {0} is not ready as proposed")]
    NotReady(TaskId),
    /// The task or its stage is backing off.
    #[error("task {task} waits until {until_ms}")]
    BackingOff {
        /// The task.
        task: TaskId,
        /// Milliseconds since 1970.
        until_ms: u64,
    },
    /// The worker has no slot, memory or scratch space left, or is going.
    #[error("worker {0} has no room for it")]
    NoRoom(WorkerId),
    /// The worker lacks a label, a codec or a hook.
    #[error("worker {0} lacks a label, codec or hook that it needs")]
    Unfit(WorkerId),
    /// The job has a plan, or no index to plan by.
    #[error("job {0} does not wait for a plan")]
    NotPlannable(JobId),
    /// The job does not wait for this step to its bit rates, or it is not one.
    #[error("job {0} does not wait for such a step to its bit rates")]
    BadRate(JobId),
    /// The plan has no parts, no chunk size or too many of something.
    #[error("the plan of job {0} is not usable")]
    BadPlan(JobId),
    /// The result is not one of this stage, or parts of the chunk are not committed. The attempt is charged with a
    /// failure.
    #[error("the result of task {0} is incomplete or of the wrong kind")]
    WrongResult(TaskId),
    /// The part is not one of those granted to the attempt.
    #[error("part {part} was not granted to this attempt of task {task}")]
    NotItsPart {
        /// The task.
        task: TaskId,
        /// The part.
        part: PartIndex,
    },
    /// Nothing would be cut off, or the part in hand would.
    #[error("task {0} cannot be cut there")]
    BadCut(TaskId),
}
