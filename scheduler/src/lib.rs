//! One scheduler of a farm: the replicated log on disk, the driver that owns the state, and the face that clients and
//! workers see.
//!
//! ```text
//! Scheduler ──requests──▶ driver ──entries──▶ raft (openraft, sled, snapshots)
//! workers ◀──messages──▶   │  ▲                 │
//!                          ▼  └───committed─────┘
//!                     reel-scheduler-core (state, plan, placement, leases)
//! ```
//!
//! - [`Scheduler`] is the only way in. A cluster of one runs the same code as a larger one.
//! - The driver is one task and the only owner of [`FarmState`](reel_scheduler_core::FarmState). The log hands it what
//!   is committed; it never waits for the log.
//! - Nothing outside `raft` knows openraft or sled, and nothing outside `codec` knows how commands are written.
//! - What is answered is on disk: a job's id, a part's commit, a task's result.

mod codec;
mod config;
mod driver;
mod grpc;
mod http;
mod raft;
mod scheduler;
pub mod simulation;

pub use config::{Beginning, LeaseTimes, SchedulerConfig};
pub use driver::{Ended, JobFilter};
pub use grpc::ServeError;
pub use scheduler::{JobSpec, Refused, Scheduler, StartError, Submitted, WorkerChannels};
