//! A real agent with real runners, opposite a scheduler that the test plays.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ahead;
mod farm;
mod hook;
mod job;
mod once;
mod trouble;
