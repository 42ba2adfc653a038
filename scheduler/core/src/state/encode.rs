//! The parts of a job: committed ones, and the chunks that hold the rest.

use std::collections::BTreeMap;

use reel_common::{Artifact, Epoch, PartIndex, WorkerId};

use crate::plan::Plan;

/// A run of consecutive parts, `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartRange {
    /// The first part.
    pub start: u32,
    /// The part after the last.
    pub end: u32,
}

impl PartRange {
    /// Parts `start` to `end - 1`.
    pub const fn new(start: u32, end: u32) -> Self {
        PartRange { start, end }
    }

    /// How many parts.
    pub const fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Whether `part` is one of them.
    pub const fn contains(self, part: PartIndex) -> bool {
        self.start <= part.0 && part.0 < self.end
    }

    /// The parts in order.
    pub fn parts(self) -> impl DoubleEndedIterator<Item = PartIndex> {
        (self.start..self.end).map(PartIndex)
    }
}

/// A part whose renditions are all in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommittedPart {
    /// Its `PartRecord` in the store.
    pub record: Artifact,
    /// Who committed it; the name is in [`Job::workers`](super::Job::workers).
    pub worker: WorkerId,
    /// By which attempt.
    pub epoch: Epoch,
    /// Renditions encoded for it.
    pub encoded: u32,
    /// Renditions found in the store.
    pub reused: u32,
}

/// The parts of a planned job.
///
/// A part is committed, or in exactly one chunk. The chunks of the plan that were never granted take no room: they are
/// the numbers from `fresh` to [`Plan::chunks`](crate::Plan::chunks), each with the parts that the plan gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodeState {
    /// The committed parts.
    pub committed: BTreeMap<PartIndex, CommittedPart>,
    /// The first chunk of the plan that has no entry in `chunks` and never had one.
    pub fresh: u32,
    /// Every other chunk that has uncommitted parts or a live lease, by its task number. Parts of a leased chunk may
    /// be committed; a chunk without a lease has none of them.
    pub chunks: BTreeMap<u32, PartRange>,
    /// The number of the next chunk that is cut off or made of reopened parts.
    pub next_chunk: u32,
}

impl EncodeState {
    /// The runs of `range` that are not committed, in order.
    pub fn uncommitted(&self, range: PartRange) -> Vec<PartRange> {
        let mut runs = Vec::new();
        let mut next = range.start;
        for (part, _) in self.committed.range(PartIndex(range.start)..PartIndex(range.end.max(range.start))) {
            if next < part.0 {
                runs.push(PartRange::new(next, part.0));
            }
            next = part.0 + 1;
        }
        if next < range.end {
            runs.push(PartRange::new(next, range.end));
        }
        runs
    }

    /// The first part of `range` that is not committed.
    pub fn first_uncommitted(&self, range: PartRange) -> Option<PartIndex> {
        range.parts().find(|part| !self.committed.contains_key(part))
    }

    /// Makes a chunk of `range` and returns its number.
    pub(crate) fn add_chunk(&mut self, range: PartRange) -> u32 {
        let index = self.next_chunk;
        self.next_chunk += 1;
        self.chunks.insert(index, range);
        index
    }

    /// Makes entries of the plan's chunks up to and with `index`, whose turn has come; later chunks have theirs.
    pub(crate) fn begin_chunk(&mut self, index: u32, plan: &Plan) {
        while index < plan.chunks() && self.fresh <= index {
            self.chunks.insert(self.fresh, plan.chunk(self.fresh));
            self.fresh += 1;
        }
    }

    /// Leaves of a chunk without a lease what is not committed: nothing, its range, or, where parts in its middle are
    /// committed, its first run, while the others become chunks of their own. Whether the chunk is still there.
    pub(crate) fn settle_chunk(&mut self, index: u32) -> bool {
        let Some(range) = self.chunks.remove(&index) else { return false };
        let runs = self.uncommitted(range);
        for (place, run) in runs.iter().enumerate() {
            if place == 0 {
                self.chunks.insert(index, *run);
            } else {
                self.add_chunk(*run);
            }
        }
        !runs.is_empty()
    }

    /// The chunk in whose range `part` lies, of those that have an entry.
    pub(crate) fn owner(&self, part: PartIndex) -> Option<u32> {
        self.chunks.iter().find(|(_, range)| range.contains(part)).map(|(index, _)| *index)
    }
}

#[cfg(test)]
mod tests {
    use reel_common::Artifact;

    use super::*;

    fn with_committed(parts: &[u32]) -> EncodeState {
        let part = CommittedPart {
            record: Artifact::of(b"record"),
            worker: WorkerId(1),
            epoch: Epoch(1),
            encoded: 1,
            reused: 0,
        };
        EncodeState {
            committed: parts.iter().map(|index| (PartIndex(*index), part)).collect(),
            next_chunk: 10,
            ..EncodeState::default()
        }
    }

    #[test]
    fn uncommitted_runs_lie_between_committed_parts() {
        let encode = with_committed(&[0, 3, 4, 7]);
        let runs = |start, end| {
            encode
                .uncommitted(PartRange::new(start, end))
                .into_iter()
                .map(|run| (run.start, run.end))
                .collect::<Vec<_>>()
        };
        assert_eq!(runs(0, 8), [(1, 3), (5, 7)]);
        assert_eq!(runs(1, 3), [(1, 3)]);
        assert_eq!(runs(3, 5), []);
        assert_eq!(runs(5, 5), []);
        assert_eq!(encode.first_uncommitted(PartRange::new(3, 8)), Some(PartIndex(5)));
    }

    #[test]
    fn a_chunk_with_holes_is_split_when_it_settles() {
        let mut encode = with_committed(&[0, 3]);
        encode.chunks.insert(2, PartRange::new(0, 6));
        assert!(encode.settle_chunk(2));
        assert_eq!(encode.chunks[&2], PartRange::new(1, 3));
        assert_eq!(encode.chunks[&10], PartRange::new(4, 6));
        encode.chunks.insert(3, PartRange::new(3, 4));
        assert!(!encode.settle_chunk(3));
    }
}
