//! Wire and Raft-log schema: code generated from the .proto files, and conversions to the value types of `common`.

mod convert;

pub use convert::Malformed;

/// Messages between clients, workers, runners and schedulers, and the artifacts that they share.
pub mod v1 {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/reel.v1.rs"));
}

/// What a scheduler writes to its Raft log and snapshots.
pub mod log {
    /// First version of the schema. See `ops/docs/decisions/raft-log-schema.md`.
    pub mod v1 {
        #![allow(missing_docs, clippy::all)]
        include!(concat!(env!("OUT_DIR"), "/reel.log.v1.rs"));
    }
}
