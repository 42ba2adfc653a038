//! Worker shell: agent, runner supervision, store transfer.

mod agent;
mod config;
mod host;
mod once;

pub use agent::{Agent, AgentHandle};
pub use config::{AgentConfig, AgentEnd, StartError, WorkerLink};
pub use host::HostFacts;
pub use once::{OneRun, RunnerResult, run_once};
