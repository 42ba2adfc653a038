//! What an operator can do from the monitor.

use reel_common::{JobId, TaskId};
use reel_proto::v1::{Hold, JobControl};

/// Something that is done to the farm once it was confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Pauses, resumes, cancels or retries a job.
    Control(JobId, JobControl),
    /// Gives a job another priority.
    Priority(JobId, i32),
    /// Forgives the failures of a task.
    RetryTask(TaskId),
    /// Gives up a task of a hook.
    SkipTask(TaskId),
    /// Holds a worker back, or lets it work again.
    Hold(String, Hold),
}

impl Act {
    /// What is done, as in "… ?" and "… : done".
    pub(crate) fn name(&self) -> String {
        match self {
            Act::Control(job, control) => match control {
                JobControl::Pause => format!("pause job {job}"),
                JobControl::Resume => format!("resume job {job}"),
                JobControl::Cancel => format!("cancel job {job}"),
                JobControl::Retry => format!("retry job {job}"),
                JobControl::Unspecified => format!("leave job {job} as it is"),
            },
            Act::Priority(job, priority) => format!("give job {job} priority {priority}"),
            Act::RetryTask(task) => format!("retry task {task}"),
            Act::SkipTask(task) => format!("skip task {task}"),
            Act::Hold(worker, hold) => match hold {
                Hold::Cordon => format!("cordon worker {worker}"),
                Hold::Drain => format!("drain worker {worker}"),
                Hold::Quarantine => format!("quarantine worker {worker}"),
                Hold::None | Hold::Unspecified => format!("let worker {worker} take work again"),
            },
        }
    }

    /// What it means for what runs.
    pub(crate) fn consequence(&self) -> &'static str {
        match self {
            Act::Control(_, JobControl::Pause) => "What runs goes on to its end; nothing more is begun.",
            Act::Control(_, JobControl::Cancel) => {
                "What runs is stopped. What is committed stays in the store."
            }
            Act::Control(_, JobControl::Retry) => {
                "All failures are forgiven; a failed job goes on where it was."
            }
            Act::Control(..) => "It goes on where it was.",
            Act::Priority(..) => "Of its project, the job with the highest priority goes first.",
            Act::RetryTask(_) => "Its failures are forgiven; a job that it failed goes on.",
            Act::SkipTask(_) => "It is not run any more, and its job goes on without it.",
            Act::Hold(_, Hold::Drain) => "It gets no more work; what runs ends with the part in hand.",
            Act::Hold(_, Hold::Cordon | Hold::Quarantine) => "It gets no more work; what runs goes on.",
            Act::Hold(..) => "It gets work as others do.",
        }
    }
}
