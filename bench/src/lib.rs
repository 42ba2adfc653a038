//! What the benches of whole farms share.

pub mod cluster;
