//! What can go wrong in the store, told apart by what helps against it.

use std::io;

use reel_common::{Artifact, FailureClass, RecipeKey};

use crate::trouble::{Kind, Trouble, trouble};

/// A store operation that failed. `name` is a path or URL.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store's own URL cannot be used.
    #[error("`{url}` is not a store: {reason}; give a folder, or a file://, s3://, gs:// or az:// URL")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing is stored under that name.
    #[error("{name} is not in the store")]
    NotFound {
        /// What was asked for.
        name: String,
    },
    /// What is stored is not what was published.
    #[error("{name} is damaged: {reason}")]
    Damaged {
        /// What was read.
        name: String,
        /// How it differs.
        reason: String,
    },
    /// The bytes to publish are not the ones that were announced: the scratch disk or its writer is at fault.
    #[error("{name} is not what its record says: {reason}")]
    NotAsRecorded {
        /// The file that was to be published.
        name: String,
        /// How it differs.
        reason: String,
    },
    /// Larger than the store takes.
    #[error("{name} has {size} bytes; the most is {limit}")]
    TooLarge {
        /// What was to be published or read.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The same recipe gave other bytes: promise 1 is broken, on this host or on the one that was first.
    #[error(
        "determinism fault: recipe {key} is stored as {stored} ({stored_size} bytes) but this attempt made {made} \
         ({made_size} bytes); compare the library versions and CPUs of the two workers",
        stored = .stored.sha256, stored_size = .stored.size, made = .made.sha256, made_size = .made.size
    )]
    Determinism {
        /// The recipe.
        key: RecipeKey,
        /// What was published first.
        stored: Artifact,
        /// What this attempt made.
        made: Artifact,
    },
    /// No space, no quota, or a remote store that throttles or does not answer: worth another try later.
    #[error("{name}: {reason}; free some space or wait for the store")]
    Shortage {
        /// What was read or written.
        name: String,
        /// What the system said.
        reason: String,
    },
    /// This process may not read or write there.
    #[error("{name}: {reason}; check the permissions of the folder or the credentials in the environment")]
    Denied {
        /// What was read or written.
        name: String,
        /// What the system said.
        reason: String,
    },
    /// The server does not take the request, and would not take it later.
    #[error("{name}: {reason}; check the endpoint, the region and the credentials in the environment")]
    Rejected {
        /// What was read or written.
        name: String,
        /// What the server said.
        reason: String,
    },
    /// Any other failure of the file system or the server.
    #[error("{name}: {reason}")]
    Io {
        /// What was read or written.
        name: String,
        /// What the system said.
        reason: String,
    },
}

impl StoreError {
    /// The class of failure that an attempt ends in when it meets this error.
    pub fn class(&self) -> FailureClass {
        match self {
            StoreError::Shortage { .. } => FailureClass::Shortage,
            _ => FailureClass::Failed,
        }
    }

    /// Sorts an error met while reading a [`crate::PartReader`] into its kind.
    pub fn from_read(name: impl std::fmt::Display, error: io::Error) -> Self {
        match error.downcast::<StoreError>() {
            Ok(error) => error,
            Err(error) => Self::from_io(name, &error),
        }
    }

    /// Sorts an I/O error on `name` into its kind.
    pub(crate) fn from_io(name: impl std::fmt::Display, error: &io::Error) -> Self {
        let (name, reason) = (name.to_string(), error.to_string());
        match error.kind() {
            io::ErrorKind::NotFound => StoreError::NotFound { name },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Shortage { name, reason }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StoreError::Denied { name, reason }
            }
            _ => StoreError::Io { name, reason },
        }
    }

    /// Sorts an error of a remote store, which has been retried already, into its kind.
    pub(crate) fn from_remote(name: impl std::fmt::Display, error: &object_store::Error) -> Self {
        let (name, Trouble { kind, reason }) = (name.to_string(), trouble(error));
        match kind {
            Kind::Absent => StoreError::NotFound { name },
            Kind::Denied => StoreError::Denied { name, reason },
            Kind::Away | Kind::NoRole => StoreError::Shortage { name, reason },
            Kind::Rejected => StoreError::Rejected { name, reason },
            Kind::Conflict => StoreError::Io { name, reason },
        }
    }
}
