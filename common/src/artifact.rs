//! The reference to an immutable object in the store.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// An immutable object in the store, known by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Artifact {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl Artifact {
    /// The reference to `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Artifact { sha256: Digest::of(bytes), size: bytes.len() as u64 }
    }
}
