//! A worker as operators see it.

use crate::{RunningView, WorkerId};

/// How an operator holds a worker back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// It gets no more work; what runs goes on.
    Cordon,
    /// It gets no more work; what runs ends with the part in hand.
    Drain,
}

/// Whether a worker takes work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// It takes work.
    Ready,
    /// It gets no more work.
    Draining,
    /// It is not connected; its leases run out.
    Silent,
    /// An operator keeps work from it; what runs goes on.
    Cordoned,
}

impl WorkerState {
    /// The word used in output and logs.
    pub fn name(self) -> &'static str {
        match self {
            WorkerState::Ready => "ready",
            WorkerState::Draining => "draining",
            WorkerState::Silent => "silent",
            WorkerState::Cordoned => "cordoned",
        }
    }
}

/// One registration of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerView {
    /// Its number.
    pub id: WorkerId,
    /// Host name, or the operator's choice.
    pub name: String,
    /// Whether it takes work.
    pub state: WorkerState,
    /// Attempts that it runs at once.
    pub slots: u32,
    /// Memory for all its runners together, in bytes.
    pub memory_bytes: u64,
    /// What it runs, in task order.
    pub running: Vec<RunningView>,
    /// Attempts that it handed back.
    pub preemptions: u64,
    /// When it registered, in milliseconds since 1970.
    pub registered_ms: u64,
}
