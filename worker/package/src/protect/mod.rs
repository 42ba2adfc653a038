//! Encryption of media segments (ISO/IEC 23001-7): the same segment, key and initialisation vector give the same bytes.

mod cpix;
mod key;
mod segment;
mod signal;
mod systems;
mod vector;

pub use cpix::CpixError;
pub use key::{ContentKey, KeyList, KeyListError, KeyScope, Resolution};
pub use segment::{EncryptError, SegmentCipher, decrypted};
pub use signal::{ContentProtection, Keys, Signal, UriError};
pub use systems::{System, system_headers};
pub use vector::{segment_vector, track_vector};
