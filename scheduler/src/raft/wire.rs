//! Raft's messages between nodes, in the form that they have on the wire.

use std::io;

use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, VoteRequest, VoteResponse,
};
use reel_proto::log::v1 as log;
use reel_proto::v1::{self, append_response};

use super::types::{
    LogId, Types, Vote, decode_log_id, invalid, record_of_entry, record_to_entry, vote_from_wire,
    vote_to_wire,
};

/// Which node of which cluster a call is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// Number of the cluster.
    pub(crate) cluster: u64,
    /// Number of the node.
    pub(crate) node: u64,
    /// Number of its folder.
    pub(crate) folder: u64,
}

impl Destination {
    pub(super) fn wire(self) -> Option<v1::Destination> {
        Some(v1::Destination { cluster: self.cluster, node: self.node, folder: self.folder })
    }

    /// Refuses a call that was meant for another node, or for one of another cluster.
    pub(super) fn check(self, given: Option<v1::Destination>) -> Result<(), tonic::Status> {
        let refuse = |reason: String| Err(tonic::Status::failed_precondition(reason));
        match given {
            Some(given) if given == self.wire().unwrap_or_default() => Ok(()),
            Some(given) if given.cluster != self.cluster => {
                refuse("this scheduler belongs to another cluster".to_owned())
            }
            Some(given) if given.node == self.node => {
                refuse(format!("scheduler {} has another folder than the cluster knows of", self.node))
            }
            _ => refuse(format!("this is scheduler {}", self.node)),
        }
    }
}

fn required<T>(value: Option<T>, what: &str) -> io::Result<T> {
    value.ok_or_else(|| invalid(format!("a message between schedulers lacks its {what}")))
}

fn log_id(id: &LogId) -> log::LogId {
    super::types::encode_log_id(id)
}

pub(super) fn append_request(
    to: Option<v1::Destination>,
    request: &AppendEntriesRequest<Types>,
) -> v1::AppendRequest {
    v1::AppendRequest {
        to,
        vote: Some(vote_to_wire(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id),
        entries: request.entries.iter().map(record_of_entry).collect(),
        committed: request.leader_commit.as_ref().map(log_id),
    }
}

pub(super) fn to_append_request(message: v1::AppendRequest) -> io::Result<AppendEntriesRequest<Types>> {
    Ok(AppendEntriesRequest {
        vote: vote_from_wire(required(message.vote, "vote")?),
        prev_log_id: message.previous.map(decode_log_id),
        entries: message.entries.into_iter().map(record_to_entry).collect::<io::Result<_>>()?,
        leader_commit: message.committed.map(decode_log_id),
    })
}

pub(super) fn append_response(result: StreamAppendResult<Types>) -> v1::AppendResponse {
    use append_response::Result as To;
    let result = match result {
        Ok(last) => To::Stored(v1::Stored { last: last.as_ref().map(log_id) }),
        Err(StreamAppendError::Conflict(at)) => To::Conflict(log_id(&at)),
        Err(StreamAppendError::HigherVote(vote)) => To::HigherVote(vote_to_wire(&vote)),
    };
    v1::AppendResponse { result: Some(result) }
}

pub(super) fn to_append_response(message: v1::AppendResponse) -> io::Result<StreamAppendResult<Types>> {
    use append_response::Result as From;
    Ok(match required(message.result, "result")? {
        From::Stored(stored) => Ok(stored.last.map(decode_log_id)),
        From::Conflict(at) => Err(StreamAppendError::Conflict(decode_log_id(at))),
        From::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote_from_wire(vote))),
    })
}

pub(super) fn vote_request(
    to: Option<v1::Destination>,
    pre: bool,
    request: &VoteRequest<Types>,
) -> v1::VoteRequest {
    v1::VoteRequest {
        to,
        pre,
        vote: Some(vote_to_wire(&request.vote)),
        last: request.last_log_id.as_ref().map(log_id),
        leadership_transfer: request.leadership_transfer,
    }
}

pub(super) fn to_vote_request(message: v1::VoteRequest) -> io::Result<VoteRequest<Types>> {
    Ok(VoteRequest {
        vote: vote_from_wire(required(message.vote, "vote")?),
        last_log_id: message.last.map(decode_log_id),
        leadership_transfer: message.leadership_transfer,
    })
}

pub(super) fn vote_response(response: &VoteResponse<Types>) -> v1::VoteResponse {
    v1::VoteResponse {
        vote: Some(vote_to_wire(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(log_id),
    }
}

pub(super) fn to_vote_response(message: v1::VoteResponse) -> io::Result<VoteResponse<Types>> {
    Ok(VoteResponse {
        vote: to_vote(message.vote)?,
        vote_granted: message.granted,
        last_log_id: message.last.map(decode_log_id),
    })
}

pub(super) fn to_vote(vote: Option<log::Vote>) -> io::Result<Vote> {
    Ok(vote_from_wire(required(vote, "vote")?))
}
