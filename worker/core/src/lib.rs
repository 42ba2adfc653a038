//! Pure worker agent: events in, actions out.
//!
//! [`Agent::handle`] takes what happened and the time, and returns what is to be done. The shell does it and reports
//! back with further events. Nothing here waits, reads a clock, or touches a process, a store or a network.

mod agent;
mod attempt;
mod event;
mod exit;
mod invariant;
mod outbox;
mod scheduler;
#[cfg(test)]
mod tests;

pub use agent::{
    Agent, REGISTER_AGAIN_MS, SILENCE_MS, UNANSWERED_AFTER_DRAIN_MS, UNPUBLISHED_AFTER_DRAIN_MS,
};
pub use event::{
    Action, Event, Grant, Message, PartReceipt, Payload, Progress, Request, RequestId, RunnerCommand,
    Running, Verdict,
};
pub use exit::{Exit, HowEnded, classify};
pub use invariant::Violation;
pub use outbox::{MAX_UNANSWERED, RESEND_MS};
