//! The time that a leader stamps into commands: never behind the state, and steady while its term lasts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Counts from the wall clock, or from the state's clock where that is ahead, by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    base_ms: u64,
    started: Instant,
}

impl Clock {
    /// A clock for a term that begins now; `state_ms` is the latest stamp of a command.
    pub(super) fn new(state_ms: u64) -> Clock {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Clock { base_ms: millis(wall).max(state_ms), started: Instant::now() }
    }

    /// Milliseconds since 1970.
    pub(super) fn now_ms(&self) -> u64 {
        self.base_ms.saturating_add(millis(self.started.elapsed()))
    }
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
