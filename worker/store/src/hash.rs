//! Running digests, and the comparison of bytes with the artifact that they should be.

use reel_common::{Artifact, Digest};
use sha2::{Digest as _, Sha256};

use crate::StoreError;

/// Counts and digests bytes as they pass.
#[derive(Clone, Default)]
pub(crate) struct Hasher {
    sha256: Sha256,
    size: u64,
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn finish(self) -> Artifact {
        Artifact { sha256: Digest(self.sha256.finalize().into()), size: self.size }
    }
}

/// How `found` differs from `expected`; `None` when it does not.
pub(crate) fn difference(found: Artifact, expected: Artifact) -> Option<String> {
    if found.size != expected.size {
        return Some(format!("it has {} bytes instead of {}", found.size, expected.size));
    }
    (found.sha256 != expected.sha256)
        .then(|| format!("its SHA-256 is {} instead of {}", found.sha256, expected.sha256))
}

/// Refuses a file to be published that is not what was announced.
pub(crate) fn expect(
    name: impl std::fmt::Display,
    found: Artifact,
    expected: Artifact,
) -> Result<(), StoreError> {
    match difference(found, expected) {
        None => Ok(()),
        Some(reason) => Err(StoreError::NotAsRecorded { name: name.to_string(), reason }),
    }
}
