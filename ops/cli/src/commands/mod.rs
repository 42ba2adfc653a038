//! One module for each command.

pub(crate) mod help;
pub(crate) mod plan;
pub(crate) mod probe;
pub(crate) mod profile;
pub(crate) mod transcode;
pub(crate) mod verify;
