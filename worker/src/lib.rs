//! Worker shell: agent, runner supervision, store transfer, word of preemptions.

mod agent;
mod child;
mod config;
mod frame;
mod hook;
mod host;
mod log_tail;
mod once;
pub mod preemption;
mod publish;
mod remote;
mod runner;
mod scratch;
mod spawner;
pub mod wire;

pub use agent::{Agent, AgentHandle};
pub use config::{AgentConfig, AgentEnd, StartError, WorkerLink};
pub use frame::MAX_MESSAGE_BYTES;
pub use hook::Programs;
pub use host::HostFacts;
pub use once::{OneRun, RunnerResult, run_once};
pub use publish::{Made, Receipt};
pub use remote::connect;
pub use runner::RunnerProgram;
