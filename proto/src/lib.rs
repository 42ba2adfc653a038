//! Wire and Raft-log schema: code generated from the .proto files, and conversions to the value types of `common`.

mod convert;
mod edit;
mod rates;
mod timing;
mod views;

pub use convert::{Malformed, labels, wire_labels};
pub use rates::goal;
pub use timing::{lengths, starts};

/// Messages between clients, workers, runners and schedulers, and the artifacts that they share.
pub mod v1 {
    #![allow(missing_docs, clippy::all, clippy::too_many_lines)]
    include!(concat!(env!("OUT_DIR"), "/reel.v1.rs"));
}

/// The compiled .proto files, as the reflection service tells them.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Metadata of an answer UNAVAILABLE: the address of the scheduler that leads, where it is known.
pub const LEADER_METADATA: &str = "reel-leader";

/// What a scheduler writes to its Raft log and snapshots.
pub mod log {
    /// First version of the schema. See `ops/docs/decisions/raft-log-schema.md`.
    pub mod v1 {
        #![allow(missing_docs, clippy::all, clippy::too_many_lines)]
        include!(concat!(env!("OUT_DIR"), "/reel.log.v1.rs"));
    }
}
