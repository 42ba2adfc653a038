//! A task as its watchers see it.

use std::ops::Range;

use crate::{RunningView, TaskId};

/// Whether a task runs, and what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskState {
    /// It waits for earlier stages.
    Blocked,
    /// It waits for a slot.
    Waiting,
    /// It waits for a while, since it or its stage has failed.
    BackingOff,
    /// An attempt runs.
    Running,
    /// It has its result.
    Done,
    /// It failed its job.
    Failed,
    /// An operator has given it up; its job goes on without it.
    Skipped,
}

impl TaskState {
    /// The word used in output and logs.
    pub fn name(self) -> &'static str {
        match self {
            TaskState::Blocked => "blocked",
            TaskState::Waiting => "waiting",
            TaskState::BackingOff => "backing-off",
            TaskState::Running => "running",
            TaskState::Done => "done",
            TaskState::Failed => "failed",
            TaskState::Skipped => "skipped",
        }
    }
}

/// One task of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// Its name.
    pub task: TaskId,
    /// Its state.
    pub state: TaskState,
    /// For encode, while it is not done: the parts in its range.
    pub parts: Option<Range<u32>>,
    /// Attempts granted so far; 0 for an encode task that is done, of which only its attempts are remembered.
    pub attempts: u32,
    /// Attempts that ended because their worker went or was lost.
    pub preemptions: u32,
    /// Failures charged to it, oldest first: worker and message.
    pub faults: Vec<(String, String)>,
    /// It is granted again from then on, in milliseconds since 1970.
    pub not_before_ms: Option<u64>,
    /// The attempt that runs.
    pub running: Option<RunningView>,
}
