//! What goes wrong, and how often.

use std::collections::BTreeSet;

use fastrand::Rng;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A scheduler is killed, and comes back from its disk.
    CrashScheduler,
    /// The leader is killed while the others are up, and soon comes back.
    CrashLeader,
    /// Another scheduler leads, for no reason.
    Transfer,
    /// Schedulers and hosts do not reach each other, one way or both.
    Partition,
    /// A connection breaks; what is on its way may still arrive at either end.
    Reset,
    /// Messages between workers and schedulers come twice, late and out of order.
    Disorder,
    /// A host is killed with all its runners.
    KillWorker,
    /// An agent is stopped, longer than its lease at times, and goes on.
    StopWorker,
    /// A host is told to go.
    Preempt,
    /// The wall clock of a scheduler or a host jumps by an hour, either way.
    Clock,
    /// The store is slow, full, or refuses.
    Store,
    /// Runners crash, fail, hang or do not start.
    Runner,
    /// A user cancels a job.
    Cancel,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Fault; 13] = [
        Fault::CrashScheduler,
        Fault::CrashLeader,
        Fault::Transfer,
        Fault::Partition,
        Fault::Reset,
        Fault::Disorder,
        Fault::KillWorker,
        Fault::StopWorker,
        Fault::Preempt,
        Fault::Clock,
        Fault::Store,
        Fault::Runner,
        Fault::Cancel,
    ];

    /// How long it is from one such event to the next, on average; `None` for what is not an event of its own.
    pub(crate) fn every_ms(self) -> Option<u64> {
        match self {
            Fault::CrashScheduler => Some(60_000),
            Fault::CrashLeader => Some(50_000),
            Fault::Transfer => Some(40_000),
            Fault::Partition => Some(30_000),
            Fault::Reset => Some(10_000),
            Fault::KillWorker => Some(40_000),
            Fault::StopWorker | Fault::Preempt => Some(60_000),
            Fault::Clock => Some(30_000),
            Fault::Store => Some(90_000),
            Fault::Disorder | Fault::Runner | Fault::Cancel => None,
        }
    }
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything that is left to chance follows from it.
    pub seed: u64,
    /// What goes wrong.
    pub faults: BTreeSet<Fault>,
}

impl Plan {
    /// The farm of a seed, with some kinds of faults: what hides behind one kind shows where it is left out.
    pub fn of(seed: u64) -> Plan {
        let mut rng = Rng::with_seed(seed ^ 0x7265_656c);
        let share = rng.u32(20..=100);
        let faults = Fault::ALL.into_iter().filter(|_| rng.u32(0..100) < share).collect();
        Plan { seed, faults }
    }

    /// The farm of a seed with these faults alone.
    pub fn with(seed: u64, faults: &[Fault]) -> Plan {
        Plan { seed, faults: faults.iter().copied().collect() }
    }
}
