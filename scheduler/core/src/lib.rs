//! Pure scheduler: state, commands, apply, plan, placement, leases, invariants.
//!
//! No clock, randomness, I/O, floats or hash order lives here: the leader decides from `(state, fleet, now)`, proposes
//! the result as a [`Command`], and every node applies the same log to the same bytes.
//!
//! The state is plain data: structs with public fields, so that a shell can write it into a snapshot and read it back.
//! All logic is in functions over it: [`FarmState::apply`] changes it, [`placement`] and [`lease`] propose changes,
//! [`view`] and [`explain`] answer questions, [`event`] tells what changed, [`invariant`] says what always holds.

pub mod apply;
pub mod command;
pub mod event;
pub mod explain;
pub mod invariant;
pub mod lease;
pub mod placement;
pub mod plan;
pub mod policy;
pub mod rate;
#[cfg(test)]
mod sequences;
pub mod state;
pub mod strip;
pub mod tasks;
#[cfg(test)]
mod testing;
pub mod view;

pub use command::{Accepted, Action, Command, JobSpec, LossCause, Refusal, Reply, Reserved, TaskResult};
pub use plan::{Plan, PlanError, plan};
pub use state::FarmState;
