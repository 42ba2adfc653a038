//! What a scheduler is started with.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::driver::Ended;

/// How to start one scheduler.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// Its folder: log, vote and snapshots. Made where it does not exist; belongs to one node for ever.
    pub dir: PathBuf,
    /// Its number in the cluster, from 1.
    pub node_id: u64,
    /// How it begins where its folder is new.
    pub beginning: Beginning,
    /// URL of the store that workers publish to; part of every task.
    pub store_url: String,
    /// Workers that were registered before this start are dead: their leases are released at once and nothing is
    /// charged to their tasks. For a farm whose workers live in the scheduler's own process.
    pub abandon_fleet: bool,
    /// How workers keep their leases.
    pub leases: LeaseTimes,
    /// Who is told of jobs and attempts that are over, while this scheduler leads; what has no room is left out.
    pub ended: Option<mpsc::Sender<Ended>>,
}

impl SchedulerConfig {
    /// A scheduler in `dir` with the usual lease times, whose fleet outlives it.
    pub fn new(dir: impl Into<PathBuf>, node_id: u64, store_url: impl Into<String>) -> Self {
        SchedulerConfig {
            dir: dir.into(),
            node_id,
            beginning: Beginning::Alone { address: String::new() },
            store_url: store_url.into(),
            abandon_fleet: false,
            leases: LeaseTimes::default(),
            ended: None,
        }
    }
}

/// How a scheduler whose folder is new begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// As a new cluster of this node alone.
    Alone {
        /// Where other nodes will reach it, `http://host:port`; empty where there will be none.
        address: String,
    },
    /// As a new cluster of this node alone, with the state of a backup.
    Restored {
        /// Where other nodes will reach it.
        address: String,
        /// The file that `reel cluster backup` wrote.
        backup: PathBuf,
    },
    /// Outside: a cluster is to take it in.
    Outside {
        /// The number of that cluster.
        cluster: u64,
    },
    /// Not at all: it has begun before, or does not start.
    Before,
}

/// The times of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// A worker sends a heartbeat this often.
    pub heartbeat: Duration,
    /// A worker that has no acknowledgement for this long stops publishing.
    pub lease: Duration,
    /// The scheduler waits this much longer before it gives the work to others.
    pub grace: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        LeaseTimes {
            heartbeat: Duration::from_secs(5),
            lease: Duration::from_secs(20),
            grace: Duration::from_secs(10),
        }
    }
}
