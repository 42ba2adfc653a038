//! The end of what runners log: of those that run, and of some that have ended.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reel_common::Epoch;

/// Bytes kept of one runner's log.
pub(crate) const MAX_TAIL_BYTES: usize = 64 << 10;
/// Runners whose logs are kept: those of the largest worker, or the newest of a smaller one. At most 16 MiB.
const MAX_TAILS: usize = 256;

/// The end of one runner's log; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogTail(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    end: VecDeque<u8>,
    /// Bytes of the whole log.
    logged: u64,
}

impl LogTail {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the runner has just logged.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut kept = self.kept();
        kept.logged += bytes.len() as u64;
        kept.end.extend(bytes);
        let surplus = kept.end.len().saturating_sub(MAX_TAIL_BYTES);
        kept.end.drain(..surplus);
    }

    /// How many bytes were logged, kept or not.
    pub(crate) fn logged(&self) -> u64 {
        self.kept().logged
    }

    /// The last bytes, at most `most`, as text.
    pub(crate) fn text(&self, most: usize) -> String {
        let mut kept = self.kept();
        let bytes = kept.end.make_contiguous();
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(most)..]).into_owned()
    }
}

/// The logs of the newest runners.
#[derive(Debug, Default)]
pub(crate) struct LogTails(VecDeque<(Epoch, LogTail)>);

impl LogTails {
    /// A place for the log of a runner that starts.
    pub(crate) fn begin(&mut self, epoch: Epoch) -> LogTail {
        if self.0.len() == MAX_TAILS {
            // Of one that runs, somebody else has a handle; if all run, the oldest goes.
            let ended = self.0.iter().position(|(_, tail)| Arc::strong_count(&tail.0) == 1);
            self.0.remove(ended.unwrap_or(0));
        }
        let tail = LogTail::default();
        self.0.push_back((epoch, tail.clone()));
        tail
    }

    /// What is kept of a runner's log.
    pub(crate) fn text(&self, epoch: Epoch) -> Option<String> {
        let found = self.0.iter().rev().find(|(known, _)| *known == epoch);
        found.map(|(_, tail)| tail.text(MAX_TAIL_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_log_is_kept() {
        let tail = LogTail::default();
        for line in 0..20_000 {
            tail.push(format!("{line}\n").as_bytes());
        }
        assert_eq!(tail.text(MAX_TAIL_BYTES).len(), MAX_TAIL_BYTES);
        assert_eq!(tail.text(12), "19998\n19999\n");
        assert_eq!(tail.logged(), 10 * 2 + 90 * 3 + 900 * 4 + 9_000 * 5 + 10_000 * 6);
    }

    #[test]
    fn the_newest_logs_are_kept_and_those_of_runners_that_run() {
        let mut tails = LogTails::default();
        let runs = tails.begin(Epoch(0));
        runs.push(b"runs");
        for epoch in 1..=MAX_TAILS as u64 {
            tails.begin(Epoch(epoch)).push(b"x");
        }
        assert_eq!(tails.text(Epoch(0)).as_deref(), Some("runs"));
        assert_eq!(tails.text(Epoch(1)), None);
        assert_eq!(tails.text(Epoch(2)).as_deref(), Some("x"));
    }
}
