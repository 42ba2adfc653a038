//! Tasks without results of their own: which of them are done.

use std::collections::BTreeSet;
use std::ops::Range;

/// Tasks that are numbered through: those of all hooks of a job, in the order of the hooks, or the probes of its parts.
///
/// A task is done when it is below `fresh` and not open, or skipped, so that a million of them take the room of those that
/// run and of those that were skipped one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskSet {
    /// No task from here on is done, but for those that were skipped; this one was not.
    pub fresh: u32,
    /// Tasks below `fresh` that are not done.
    pub open: BTreeSet<u32>,
    /// Tasks that an operator has given up; they count as done.
    pub skipped: BTreeSet<u32>,
}

impl TaskSet {
    /// Whether a task that exists is not done.
    pub fn is_open(&self, index: u32) -> bool {
        (index >= self.fresh && !self.skipped.contains(&index)) || self.open.contains(&index)
    }

    /// The first task that is not done, or the number after the last.
    pub fn first_open(&self) -> u32 {
        self.open.first().copied().unwrap_or(self.fresh)
    }

    /// How many are done.
    pub fn done(&self) -> u32 {
        let ahead = self.skipped.range(self.fresh..).count();
        self.fresh.saturating_sub(self.open.len() as u32) + ahead as u32
    }

    /// The tasks of a range that are not done, ascending.
    pub fn open_in(&self, range: Range<u32>) -> impl Iterator<Item = u32> {
        let fresh = self.fresh.clamp(range.start, range.end.max(range.start));
        let ahead = (fresh..range.end).filter(|index| !self.skipped.contains(index));
        self.open.range(range.start..fresh).copied().chain(ahead)
    }

    /// How many tasks of a range are not done. Those that nobody has begun are counted, not looked at.
    pub fn count_open_in(&self, range: Range<u32>) -> u32 {
        let end = range.end.max(range.start);
        let fresh = self.fresh.clamp(range.start, end);
        let begun = self.open.range(range.start..fresh).count() as u32;
        begun + (end - fresh) - self.skipped.range(fresh..end).count() as u32
    }

    /// Notes that a task is done; those before it that are not become open ones.
    pub(crate) fn end(&mut self, index: u32) {
        let ahead = (self.fresh..=index).filter(|index| !self.skipped.contains(index));
        self.open.extend(ahead);
        self.open.remove(&index);
        self.fresh = self.fresh.max(index.saturating_add(1));
        self.pass_skipped();
    }

    /// Gives up a task.
    pub(crate) fn skip(&mut self, index: u32) {
        self.open.remove(&index);
        self.skipped.insert(index);
        self.pass_skipped();
    }

    fn pass_skipped(&mut self) {
        while self.skipped.contains(&self.fresh) {
            self.fresh += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_are_done_take_no_room() {
        let mut hooks = TaskSet::default();
        for index in (0..1_000).filter(|index| *index != 7) {
            hooks.end(index);
        }
        assert_eq!((hooks.fresh, hooks.done(), hooks.first_open()), (1_000, 999, 7));
        assert_eq!(hooks.open, BTreeSet::from([7]));
        assert_eq!(hooks.open_in(0..1_003).collect::<Vec<_>>(), [7, 1_000, 1_001, 1_002]);
        assert_eq!(hooks.open_in(8..1_000).collect::<Vec<_>>(), [0; 0]);
        hooks.skip(1_002);
        for range in [0..0, 0..7, 7..1_001, 8..1_000, 999..1_004, 1_002..1_003, 1_003..9_000] {
            assert_eq!(hooks.count_open_in(range.clone()) as usize, hooks.open_in(range).count());
        }
        assert_eq!((hooks.open.len(), hooks.done(), hooks.is_open(1_002)), (1, 1_000, false));
        assert_eq!(hooks.open_in(0..1_004).collect::<Vec<_>>(), [7, 1_000, 1_001, 1_003]);
        hooks.end(7);
        assert_eq!((hooks.first_open(), hooks.is_open(7), hooks.is_open(1_000)), (1_000, false, true));
        hooks.end(1_001);
        hooks.end(1_000);
        assert_eq!((hooks.fresh, hooks.first_open(), hooks.done()), (1_003, 1_003, 1_003));
    }
}
