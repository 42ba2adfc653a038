//! Artifact layout, write-once publication and ranged reads over object_store.
