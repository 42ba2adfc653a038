//! What the farm remembers of a task between its attempts.

use reel_common::Epoch;

/// The tries of a task so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskRecord {
    /// Grants so far.
    pub attempts: u32,
    /// The epoch of the last grant; 0 before the first.
    pub last_epoch: Epoch,
    /// Attempts lost with their worker since the task last made progress.
    pub losses: u32,
    /// Attempts that ended because their worker went or was lost.
    pub preemptions: u32,
    /// Failures charged to it, oldest first; at most [`crate::policy::MAX_FAULTS`].
    pub faults: Vec<Fault>,
    /// It is not granted before this time, in milliseconds since 1970.
    pub not_before_ms: u64,
}

/// One failure charged to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Name of the worker.
    pub host: String,
    /// The failure's message.
    pub message: String,
}
