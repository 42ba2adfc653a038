//! Artifact layout, write-once publication and ranged reads over object_store.

mod blocking;
mod cloud;
mod credentials;
mod destination;
mod error;
mod folder;
mod hash;
mod layout;
mod local;
mod record;
mod remote;
mod source;
mod store;
mod trial;
mod trouble;
mod upload;

pub use blocking::{BlockingStore, PartReader};
pub use credentials::Credentials;
pub use destination::{Delivered, Destination};
pub use error::StoreError;
pub use folder::Folder;
pub use source::{Source, SourceError, SourceReader, seek_target};
pub use store::{MAX_OBJECT_BYTES, MAX_PART_BYTES, MAX_READ_BYTES, Published, Store};
pub use trial::Trial;
