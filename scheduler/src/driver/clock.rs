//! What the clocks show, and the time that a leader stamps into commands: never behind the state, and steady while its
//! term lasts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// What the clocks show when something happens. The driver is told; it never looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// The monotonic clock.
    pub(crate) steady: Instant,
    /// The wall clock, which may jump, in milliseconds since 1970.
    pub(crate) wall_ms: u64,
}

impl Now {
    /// Looks at the clocks.
    pub(crate) fn read() -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now { steady: Instant::now(), wall_ms: millis(wall) }
    }
}

/// Counts from the wall clock, or from the state's clock where that is ahead, by the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    base_ms: u64,
    started: Instant,
}

impl Clock {
    /// A clock for a term that begins now; `state_ms` is the latest stamp of a command.
    pub(super) fn new(now: Now, state_ms: u64) -> Clock {
        Clock { base_ms: now.wall_ms.max(state_ms), started: now.steady }
    }

    /// Milliseconds since 1970.
    pub(super) fn at_ms(&self, now: Now) -> u64 {
        self.base_ms.saturating_add(millis(now.steady.saturating_duration_since(self.started)))
    }
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
