//! What holds of an agent after every event.

use crate::attempt::{Ending, Publishing};
use crate::{Agent, MAX_UNANSWERED, Payload};

/// A broken invariant, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// More runners than slots.
    #[error("more runners than slots")]
    TooManyRunners,
    /// An attempt is held without a lease.
    #[error("an attempt is held without a lease")]
    HeldWithoutLease,
    /// A part waits for the store, and its runner does not wait for that.
    #[error("a runner did not wait for its part to be stored")]
    RunnerRanAhead,
    /// A result is published while parts are not committed.
    #[error("a result is published before its parts were committed")]
    ResultBeforeParts,
    /// More requests wait than may.
    #[error("too many requests wait for answers")]
    OutboxOverLimit,
}

impl<P: Payload> Agent<P> {
    /// Every invariant.
    pub fn check(&self) -> Result<(), Violation> {
        if self.runners() > self.slots {
            return Err(Violation::TooManyRunners);
        }
        // One publication and one ending for each attempt may be added past the limit.
        if self.outbox.len() > MAX_UNANSWERED + self.slots * 8 {
            return Err(Violation::OutboxOverLimit);
        }
        for attempt in self.attempts.values() {
            if !self.membership.is_inside() && !attempt.is_dropped() {
                return Err(Violation::HeldWithoutLease);
            }
            if attempt.occupies_slot() && attempt.finished.is_some() && !attempt.waits {
                return Err(Violation::RunnerRanAhead);
            }
            let result =
                attempt.publishing == Some(Publishing::Result) || matches!(attempt.ending, Ending::Commit(_));
            if result && attempt.first_missing().is_some() {
                return Err(Violation::ResultBeforeParts);
            }
        }
        Ok(())
    }
}
