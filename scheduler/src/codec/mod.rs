//! Between the core's commands and state, and the bytes of the Raft log and snapshots (`reel.log.v1`).
//!
//! Reading is fallible: what a later version wrote, or what a damaged disk returns, is refused by name.

mod command;
mod state;
#[cfg(test)]
mod tests;

use prost::Message;
use reel_common::{Artifact, Digest, Epoch, TaskId};
use reel_proto::{Malformed, log, v1};
use reel_scheduler_core::{Command, FarmState};

/// Stored bytes that do not give commands or a state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CodecError {
    /// Not protobuf of this schema.
    #[error("{0}")]
    Protobuf(#[from] prost::DecodeError),
    /// A field lacks or is out of range: written by a later version, or never valid.
    #[error("{0}")]
    Malformed(#[from] Malformed),
}

/// The bytes of one Raft entry.
pub(crate) fn encode_entry(commands: &[Command]) -> Vec<u8> {
    log::v1::Entry { commands: commands.iter().map(command::encode).collect() }.encode_to_vec()
}

/// How many bytes a command adds to an entry.
pub(crate) fn encoded_len(command: &Command) -> usize {
    // Key and length of the repeated field.
    command::encode(command).encoded_len() + 6
}

/// The commands of one Raft entry.
pub(crate) fn decode_entry(bytes: &[u8]) -> Result<Vec<Command>, CodecError> {
    let entry = log::v1::Entry::decode(bytes)?;
    Ok(entry.commands.into_iter().map(command::decode).collect::<Result<_, _>>()?)
}

/// The bytes of a snapshot's state.
pub(crate) fn encode_state(state: &FarmState) -> Vec<u8> {
    state::encode(state).encode_to_vec()
}

/// The state of a snapshot, with its derived fields.
pub(crate) fn decode_state(bytes: &[u8]) -> Result<FarmState, CodecError> {
    Ok(state::decode(log::v1::FarmState::decode(bytes)?)?)
}

fn task(task: Option<v1::TaskId>) -> Result<TaskId, Malformed> {
    task.ok_or(Malformed("task"))?.try_into()
}

fn artifact(artifact: Option<v1::Artifact>) -> Result<Artifact, Malformed> {
    artifact.ok_or(Malformed("artifact"))?.try_into()
}

fn digest(bytes: &[u8]) -> Result<Digest, Malformed> {
    bytes.try_into().map_err(|_| Malformed("digest"))
}

fn wire_task(task: TaskId) -> Option<v1::TaskId> {
    Some(task.into())
}

fn attempt(task_id: Option<v1::TaskId>, epoch: u64) -> Result<(TaskId, Epoch), Malformed> {
    Ok((task(task_id)?, Epoch(epoch)))
}
