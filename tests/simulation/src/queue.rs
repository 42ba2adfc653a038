//! Virtual time, and what is to happen when.

use std::collections::BTreeMap;

use reel_common::Epoch;
use reel_scheduler_core::Reply;

use crate::faults::Fault;
use crate::users::Heard;

/// What happens. A `life` tells one run of a node or host from the next: what was meant for an earlier one is lost.
#[derive(Debug)]
pub(crate) enum Event {
    /// The schedulers look whether somebody leads.
    Check,
    /// The entry in flight of a leader is on a majority's disks, if it still leads.
    Commit { node: usize, life: u32, flight: u64 },
    /// A node applies the next committed entry.
    Apply { node: usize, life: u32 },
    /// The entry in flight is answered; without replies it is not known what became of it.
    Settle { node: usize, life: u32, flight: u64, replies: Option<Vec<Reply>> },
    /// A node may hear that another leads since `term`.
    Depose { node: usize, life: u32, term: u64 },
    /// A driver looks at its role.
    Role { node: usize, life: u32 },
    /// A driver looks at its leases and at what it gathers.
    Wake { node: usize, life: u32 },
    /// A node starts.
    StartNode { node: usize, life: u32 },
    /// Messages of a link are due.
    Pump { link: u64, up: bool },
    /// One end of a link finds it broken.
    Close { link: u64, at_host: bool },
    /// A host looks for the leader.
    Dial { host: usize, life: u32 },
    /// An agent looks at the time.
    Agent { host: usize, life: u32 },
    /// A runner is done with what it does.
    Runner { host: usize, life: u32, epoch: Epoch, step: u64 },
    /// A publication gets on.
    Publish { host: usize, life: u32, epoch: Epoch, step: u64 },
    /// A host starts.
    StartHost { host: usize, life: u32 },
    /// A host that was stopped goes on.
    Thaw { host: usize, life: u32 },
    /// Whoever was stopped for so long has lost its connection.
    Unanswered { host: usize, life: u32, link: u64 },
    /// An attempt has lost its lease a while ago: it is over, unless its host is stopped.
    Fenced { host: usize, life: u32, epoch: Epoch },
    /// A user does the next thing.
    User { user: usize, turn: u64 },
    /// A user gets an answer.
    Answer { user: usize, turn: u64, heard: Heard },
    /// Something goes wrong.
    Fault(Fault),
    /// What was cut off is joined again.
    Join { cut: u64 },
    /// The store works again.
    StoreMended,
    /// Nothing goes wrong any more.
    Calm,
}

/// The events to come, in the order of their times. Those of one millisecond come in an order of chance.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) now_ms: u64,
    serial: u64,
    events: BTreeMap<(u64, u32, u64), Event>,
}

impl Queue {
    pub(crate) fn push(&mut self, at_ms: u64, tie: u32, event: Event) {
        self.serial += 1;
        self.events.insert((at_ms.max(self.now_ms), tie, self.serial), event);
    }

    /// The next event; its time is now.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let ((at_ms, ..), event) = self.events.pop_first()?;
        self.now_ms = at_ms;
        Some(event)
    }
}
