//! A whole farm on virtual time, from one seed: the real driver of three schedulers, the real core of every agent, and
//! around them a log, a network, runners, a store, users and clocks that go wrong.
//!
//! One thread takes one event after the other, so the same seed gives the same run, to the last byte, in every process.
//! After each event the invariants of both cores hold, and a judge compares what happens with what was promised. When the
//! time for faults is over, everything heals, and every job comes to its end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a simulation fails where it is surprised")]

mod agent;
mod cluster;
mod faults;
mod host;
mod judge;
mod network;
mod queue;
mod runner;
mod store;
mod title;
mod users;
mod world;

pub use faults::{Fault, Plan};
pub use judge::Counts;
pub use world::{Outcome, run};
