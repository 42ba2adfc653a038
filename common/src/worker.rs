//! A worker as operators see it.

use std::collections::BTreeSet;

use crate::labels::is_plain;
use crate::{Labels, Price, RunningView, WorkerId};

/// How an operator holds a worker back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// It gets no more work; what runs goes on.
    Cordon,
    /// It gets no more work; what runs ends with the part in hand.
    Drain,
    /// It gets no more work, since it failed at jobs that others can do; what runs goes on.
    Quarantine,
}

/// How its host was bought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// It stays.
    #[default]
    OnDemand,
    /// It is cheap, and may be taken away at any time.
    Spot,
}

impl WorkerFacts {
    /// Longest name: that of a host (RFC 1035, section 3.1).
    pub const MAX_NAME_BYTES: usize = 255;

    /// What is wrong with the name of a worker, if anything.
    pub fn name_problem(name: &str) -> Option<&'static str> {
        let right = is_plain(name, Self::MAX_NAME_BYTES);
        (!right).then_some("is to have 1 to 255 letters, digits or ._-/")
    }
}

impl Pool {
    /// The word used in commands and output.
    pub fn name(self) -> &'static str {
        match self {
            Pool::OnDemand => "on-demand",
            Pool::Spot => "spot",
        }
    }
}

/// What a worker says of itself when it registers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerFacts {
    /// Host name, or the operator's choice.
    pub name: String,
    /// Grows with every start of the agent.
    pub incarnation: u64,
    /// Attempts that it runs at once.
    pub slots: u32,
    /// Memory for all its runners together, in bytes.
    pub memory: u64,
    /// Scratch space for all its runners together, in bytes.
    pub scratch: u64,
    /// How its host was bought.
    pub pool: Pool,
    /// What its operator says of it.
    pub labels: Labels,
    /// What its runner can encode to, as profiles name it, such as `h264` and `aac`, and `text` where it reads subtitles.
    pub codecs: BTreeSet<String>,
    /// Names of the programs of the site that it runs.
    pub hooks: BTreeSet<String>,
    /// What its host costs an hour; 0 where nobody has said.
    pub price: Price,
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
    /// It failed at jobs that others can do: it gets no more until an operator says so.
    Quarantined,
}

impl WorkerState {
    /// The word used in output and logs.
    pub fn name(self) -> &'static str {
        match self {
            WorkerState::Ready => "ready",
            WorkerState::Draining => "draining",
            WorkerState::Silent => "silent",
            WorkerState::Cordoned => "cordoned",
            WorkerState::Quarantined => "quarantined",
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
    /// Scratch space for all its runners together, in bytes.
    pub scratch_bytes: u64,
    /// How its host was bought.
    pub pool: Pool,
    /// What its operator says of it.
    pub labels: Labels,
    /// What its runner can encode to.
    pub codecs: BTreeSet<String>,
    /// Names of the programs of the site that it runs.
    pub hooks: BTreeSet<String>,
    /// What its host costs an hour; 0 where nobody has said.
    pub price: Price,
    /// What it runs, in task order.
    pub running: Vec<RunningView>,
    /// Attempts that it handed back.
    pub preemptions: u64,
    /// When it registered, in milliseconds since 1970.
    pub registered_ms: u64,
}
