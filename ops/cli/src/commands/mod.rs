//! One module for each command.

mod backup;
pub(crate) mod check;
pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod help;
pub(crate) mod job;
pub(crate) mod man;
pub(crate) mod monitor;
pub(crate) mod plan;
mod plot;
pub(crate) mod probe;
pub(crate) mod profile;
pub(crate) mod project;
pub(crate) mod rates;
mod report;
pub(crate) mod scheduler;
pub(crate) mod submit;
pub(crate) mod task;
pub(crate) mod title;
pub(crate) mod transcode;
pub(crate) mod verify;
pub(crate) mod worker;
