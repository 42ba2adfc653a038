//! The parts of a job: committed ones, and the chunks that hold the rest.

use std::collections::BTreeMap;

use reel_common::{Artifact, Epoch, PartIndex, WorkerId};

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
/// the numbers from `fresh` to `planned - 1`, each with the parts that the plan's chunk size gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodeState {
    /// The committed parts.
    pub committed: BTreeMap<PartIndex, CommittedPart>,
    /// Chunks of the plan.
    pub planned: u32,
    /// The first chunk of the plan that was never granted.
    pub fresh: u32,
    /// Every other chunk that has uncommitted parts or a live lease, by its task number. Committed parts may lie in
    /// its range; it holds the others.
    pub chunks: BTreeMap<u32, PartRange>,
    /// The number of the next chunk that is cut off or made of reopened parts.
    pub next_chunk: u32,
}
