//! Artifact layout, write-once publication and ranged reads over object_store.

mod source;

pub use source::{Source, SourceError, SourceReader};
