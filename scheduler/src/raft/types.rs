//! The types that openraft is instantiated with, and their stored form.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, StoredMembershipOf, VoteOf};
use openraft::impls::leader_id_std;
use prost::Message;
use reel_proto::log::v1;

use super::Applied;

openraft::declare_raft_types!(
    /// One leader in a term, numbered nodes with an address, commands as encoded bytes.
    pub(crate) Types:
        D = Proposal,
        R = Applied,
        Node = Peer,
        LeaderId = leader_id_std::LeaderId<Self::Term, Self::NodeId>,
);

pub(super) type LogId = LogIdOf<Types>;
pub(super) type Vote = VoteOf<Types>;
pub(super) type Entry = EntryOf<Types>;
pub(super) type Membership = openraft::Membership<u64, Peer>;
pub(super) type StoredMembership = StoredMembershipOf<Types>;
pub(super) type SnapshotMeta = SnapshotMetaOf<Types>;

/// A node as the others know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    /// `http://host:port`; empty in a cluster that has no other nodes.
    pub(crate) address: String,
    /// Number of its folder: with another folder it has forgotten its log and its votes, and is not the same node.
    pub(crate) folder: u64,
}

/// An encoded `reel.log.v1.Entry`: a batch of commands.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proposal(pub(crate) Bytes);

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proposal({} bytes)", self.0.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

pub(super) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

pub(super) fn encode_log_id(id: &LogId) -> v1::LogId {
    v1::LogId { term: id.leader_id.term, index: id.index }
}

pub(super) fn decode_log_id(id: v1::LogId) -> LogId {
    LogId::new_term_index(id.term, id.index)
}

pub(super) fn decode_log_id_bytes(bytes: &[u8]) -> io::Result<LogId> {
    v1::LogId::decode(bytes).map(decode_log_id).map_err(|error| invalid(error.to_string()))
}

pub(super) fn vote_to_wire(vote: &Vote) -> v1::Vote {
    v1::Vote { term: vote.leader_id.term, node: vote.leader_id.voted_for, committed: vote.committed }
}

pub(super) fn vote_from_wire(vote: v1::Vote) -> Vote {
    Vote {
        leader_id: leader_id_std::LeaderId { term: vote.term, voted_for: vote.node },
        committed: vote.committed,
    }
}

pub(super) fn encode_vote(vote: &Vote) -> Vec<u8> {
    vote_to_wire(vote).encode_to_vec()
}

pub(super) fn decode_vote(bytes: &[u8]) -> io::Result<Vote> {
    v1::Vote::decode(bytes).map(vote_from_wire).map_err(|error| invalid(error.to_string()))
}

pub(super) fn encode_entry(entry: &Entry) -> Vec<u8> {
    record_of_entry(entry).encode_to_vec()
}

pub(super) fn decode_entry(index: u64, bytes: &[u8]) -> io::Result<Entry> {
    let record = v1::Record::decode(bytes).map_err(|error| invalid(format!("log entry {index}: {error}")))?;
    match record_to_entry(record)? {
        entry if entry.log_id.index == index => Ok(entry),
        _ => Err(invalid(format!("log entry {index} has another entry's id"))),
    }
}

pub(super) fn record_of_entry(entry: &Entry) -> v1::Record {
    let payload = match &entry.payload {
        EntryPayload::Blank => None,
        EntryPayload::Normal(proposal) => Some(v1::record::Payload::Entry(proposal.0.to_vec())),
        EntryPayload::Membership(membership) => {
            Some(v1::record::Payload::Membership(encode_membership(membership)))
        }
    };
    v1::Record { id: Some(encode_log_id(&entry.log_id)), payload }
}

pub(super) fn record_to_entry(record: v1::Record) -> io::Result<Entry> {
    let log_id = decode_log_id(record.id.ok_or_else(|| invalid("a log entry has no id"))?);
    let payload = match record.payload {
        None => EntryPayload::Blank,
        Some(v1::record::Payload::Entry(bytes)) => EntryPayload::Normal(Proposal(bytes.into())),
        Some(v1::record::Payload::Membership(membership)) => {
            EntryPayload::Membership(decode_membership(membership)?)
        }
    };
    Ok(Entry { log_id, payload })
}

fn encode_membership(membership: &Membership) -> v1::Membership {
    let configs = membership.get_joint_config().iter();
    v1::Membership {
        configs: configs.map(|set| v1::VoterSet { voters: set.iter().copied().collect() }).collect(),
        nodes: membership
            .nodes()
            .map(|(id, node)| v1::Node { id: *id, address: node.address.clone(), folder: node.folder })
            .collect(),
    }
}

fn decode_membership(membership: v1::Membership) -> io::Result<Membership> {
    let configs = membership.configs.into_iter();
    let configs = configs.map(|set| set.voters.into_iter().collect::<BTreeSet<_>>()).collect();
    let nodes = membership
        .nodes
        .into_iter()
        .map(|node| (node.id, Peer { address: node.address, folder: node.folder }));
    Membership::new(configs, nodes.collect::<BTreeMap<_, _>>()).map_err(|error| invalid(error.to_string()))
}

pub(super) fn encode_stored_membership(stored: &StoredMembership) -> v1::StoredMembership {
    v1::StoredMembership {
        id: stored.log_id().as_ref().map(encode_log_id),
        membership: Some(encode_membership(stored.membership())),
    }
}

pub(super) fn decode_stored_membership(stored: v1::StoredMembership) -> io::Result<StoredMembership> {
    let Some(id) = stored.id else { return Ok(StoredMembership::default()) };
    let membership = stored.membership.ok_or_else(|| invalid("a membership lacks its voters"))?;
    Ok(StoredMembership::new(Some(decode_log_id(id)), decode_membership(membership)?))
}
