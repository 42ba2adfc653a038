//! What an agent is told at its start, and the link it talks over.

use std::path::PathBuf;

use reel_common::{Labels, Pool, Price};
use reel_proto::v1;
use tokio::sync::mpsc;

use crate::hook::Programs;
use crate::runner::RunnerProgram;

/// What an agent is told at its start.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Host name, or the operator's choice; unique in the farm.
    pub name: String,
    /// How many runners may run at once; at least 1.
    pub slots: u32,
    /// Memory that the runners may use together, in bytes.
    pub memory_bytes: u64,
    /// How its host was bought.
    pub pool: Pool,
    /// What its host costs an hour; 0 where nobody has said.
    pub price: Price,
    /// What its operator says of it.
    pub labels: Labels,
    /// A folder for this agent alone; whatever attempts an earlier agent left in it is removed.
    pub scratch: PathBuf,
    /// What runs its attempts.
    pub runner: RunnerProgram,
    /// The programs of the site that it runs, by the names of their hooks.
    pub hooks: Programs,
    /// The store, as [`reel_store::Store::open`] takes it.
    pub store_url: String,
}

/// The agent's end of its stream of messages to and from the scheduler.
#[derive(Debug)]
pub struct WorkerLink {
    /// To the scheduler.
    pub sender: mpsc::Sender<v1::WorkerMessage>,
    /// From the scheduler; its end ends the agent.
    pub receiver: mpsc::Receiver<v1::SchedulerMessage>,
}

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The runner binary is not there or may not be run.
    #[error("{runner} cannot be run: {reason}; reel-runner belongs beside reel, or give its path")]
    Runner {
        /// The path that was tried.
        runner: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The program of a hook is not there or may not be run.
    #[error("the hook {program} cannot be run: {reason}")]
    Hook {
        /// The path.
        program: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The scratch folder cannot be made, cleared or locked.
    #[error("scratch folder {folder}: {reason}")]
    Scratch {
        /// The folder.
        folder: String,
        /// What the system said.
        reason: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] reel_store::StoreError),
    /// A thread or runtime could not be had.
    #[error("the agent could not start: {0}")]
    System(String),
}

/// Why an agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentEnd {
    /// It was drained: nothing runs and every request was answered.
    Drained,
    /// The scheduler closed the link; what ran was killed.
    LinkClosed,
}
