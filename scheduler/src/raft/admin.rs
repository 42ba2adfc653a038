//! What operators ask of the cluster: who belongs to it, who leads, reads that are up to date.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, LinearizableReadError, RaftError};
use openraft::{ChangeMembers, ReadPolicy};
use tokio::sync::{Mutex, watch};

use super::machine::Machine;
use super::server::Heard;
use super::snapshot::{SnapshotFile, blocking};
use super::types::{Peer, Types};
use super::wire::Destination;
use super::{LEADER_SILENT, Role};

/// A backup is sent in pieces of so many bytes.
const BACKUP_PIECE_BYTES: usize = 1 << 20;
/// How long writing a snapshot may take.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(50);

/// A handle on the cluster, as one of its nodes sees it.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(super) raft: openraft::Raft<Types, Machine>,
    pub(super) here: Destination,
    pub(super) heard: Heard,
    pub(super) role: watch::Receiver<Role>,
    /// Changes of membership, one after the other.
    pub(super) changing: Arc<Mutex<()>>,
}

/// One node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) folder: u64,
    pub(crate) voter: bool,
    /// Entries that the leader knows it to have; `None` where this node does not lead.
    pub(crate) matched: Option<u64>,
}

/// The cluster as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) cluster: u64,
    pub(crate) node: u64,
    pub(crate) leader: Option<u64>,
    pub(crate) term: u64,
    pub(crate) last_log: u64,
    pub(crate) applied: u64,
    pub(crate) snapshot: u64,
    pub(crate) members: Vec<Member>,
}

/// Why the cluster did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AdminError {
    /// Another node leads, at this address if it is known.
    #[error("this scheduler is not the leader")]
    NotLeader(Option<String>),
    /// Not now: to be asked again, or of another node.
    #[error("{0}")]
    Unavailable(String),
    /// The change cannot be made.
    #[error("{0}")]
    Refused(String),
}

/// A whole state, as a file.
pub(crate) struct Backup {
    pub(crate) cluster: u64,
    /// Log entries that it covers.
    pub(crate) applied: u64,
    pub(crate) bytes: u64,
    file: SnapshotFile,
}

impl Backup {
    /// A piece of the file from `offset` on; empty at its end.
    pub(crate) async fn piece(&self, offset: u64) -> std::io::Result<Vec<u8>> {
        let file = self.file.clone();
        blocking(move || file.piece(offset, BACKUP_PIECE_BYTES)).await
    }
}

fn refuse(error: &dyn std::fmt::Display) -> AdminError {
    AdminError::Refused(error.to_string())
}

impl Admin {
    /// Number of this node's folder.
    pub(crate) fn folder(&self) -> u64 {
        self.here.folder
    }

    pub(crate) fn status(&self) -> Status {
        let metrics = self.raft.metrics();
        let now = metrics.borrow_watched();
        let membership = now.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let replication = now.replication.as_ref();
        let matched =
            |id: u64| replication.and_then(|all| all.get(&id)).and_then(|at| at.as_ref().map(|at| at.index));
        let members = membership.nodes().map(|(id, node)| Member {
            id: *id,
            address: node.address.clone(),
            folder: node.folder,
            voter: voters.contains(id),
            matched: matched(*id),
        });
        // Raft itself takes the last leader for the leader until there is another, alive or not.
        let leads = matches!(*self.role.borrow(), Role::Leader { .. });
        let heard = self.heard.lately(LEADER_SILENT);
        Status {
            cluster: self.here.cluster,
            node: self.here.node,
            leader: now.current_leader.filter(|leader| if *leader == now.id { leads } else { heard }),
            term: now.current_term,
            last_log: now.last_log_index.unwrap_or(0),
            applied: now.last_applied.as_ref().map_or(0, |id| id.index),
            snapshot: now.snapshot.as_ref().map_or(0, |id| id.index),
            members: members.collect(),
        }
    }

    /// Returns when this node has applied all that was acknowledged before the call, as the leader of a majority.
    pub(crate) async fn linearize(&self) -> Result<(), AdminError> {
        match self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(other))) => {
                Err(AdminError::NotLeader(other.leader_node.map(|node| node.address)))
            }
            // It has stopped, or does not reach a majority: another node may lead by now.
            Err(error) => Err(AdminError::Unavailable(error.to_string())),
        }
    }

    /// Takes a node in: first as a learner until it has caught up, then, unless it is to stay one, as a voter.
    pub(crate) async fn join(
        &self,
        id: u64,
        address: String,
        folder: u64,
        voter: bool,
    ) -> Result<(), AdminError> {
        self.linearize().await?;
        let _alone = self.changing.lock().await;
        let known = self.status().members.into_iter().find(|member| member.id == id);
        if let Some(member) = &known
            && (&member.address, member.folder) != (&address, folder)
        {
            let problem = format!(
                "scheduler {id} is at {} with another folder, and a number is never given twice: remove it with \
                 `reel cluster remove {id}` if it is gone for good, and join with a new number and a new folder",
                member.address
            );
            return Err(AdminError::Refused(problem));
        }
        if known.is_none() {
            self.raft.add_learner(id, Peer { address, folder }, true).await.map_err(refused)?;
        }
        if voter && !known.is_some_and(|member| member.voter) {
            let voters = ChangeMembers::AddVoterIds(BTreeSet::from([id]));
            self.raft.change_membership(voters, true).await.map_err(refused)?;
        }
        Ok(())
    }

    /// Takes a node out of the cluster for good.
    pub(crate) async fn remove(&self, id: u64) -> Result<(), AdminError> {
        self.linearize().await?;
        let _alone = self.changing.lock().await;
        let members = self.status().members;
        let Some(member) = members.iter().find(|member| member.id == id) else {
            return Err(AdminError::Refused(format!("scheduler {id} is no member of this cluster")));
        };
        let last_voter = member.voter && members.iter().filter(|member| member.voter).count() == 1;
        if last_voter {
            return Err(AdminError::Refused("the last voter cannot be removed".to_owned()));
        }
        let ids = BTreeSet::from([id]);
        let change = match member.voter {
            true => ChangeMembers::RemoveVoters(ids),
            false => ChangeMembers::RemoveNodes(ids),
        };
        self.raft.change_membership(change, false).await.map_err(refused)?;
        Ok(())
    }

    /// Has another voter stand for election at once, with this node's help.
    pub(crate) async fn transfer_leader(&self, to: u64) -> Result<(), AdminError> {
        self.linearize().await?;
        if !self.status().members.iter().any(|member| member.id == to && member.voter) {
            return Err(AdminError::Refused(format!("scheduler {to} is no voter of this cluster")));
        }
        self.raft.trigger().transfer_leader(to).await.map_err(|error| AdminError::Refused(error.to_string()))
    }

    /// Takes a snapshot of all that is applied here, and lets the log before it go: peers that lack some of that get the
    /// snapshot instead.
    pub(crate) async fn snapshot(&self) -> Result<(), AdminError> {
        let Some(upto) = self.take_snapshot().await? else { return Ok(()) };
        self.raft.trigger().purge_log(upto).await.map_err(|error| refuse(&error))?;
        let purged = self.raft.wait(Some(SNAPSHOT_PATIENCE));
        let gone = |index: Option<u64>| index >= Some(upto);
        let purged =
            purged.metrics(|now| gone(now.purged.as_ref().map(|id| id.index)), "a shorter log").await;
        purged.map(|_| ()).map_err(|error| refuse(&error))
    }

    /// A snapshot of all that was acknowledged before the call.
    pub(crate) async fn backup(&self) -> Result<Backup, AdminError> {
        self.linearize().await?;
        let applied = self.take_snapshot().await?.unwrap_or(0);
        let current = self.raft.get_snapshot().await.map_err(|error| refuse(&error))?;
        let current = current.ok_or_else(|| AdminError::Refused("nothing was ever written".to_owned()))?;
        let bytes = current.snapshot.len().map_err(|error| refuse(&error))?;
        Ok(Backup { cluster: self.here.cluster, applied, bytes, file: current.snapshot })
    }

    /// Takes a snapshot of all that is applied here, and says how far it goes. One that is being written already may end
    /// short of that; then another one is taken.
    async fn take_snapshot(&self) -> Result<Option<u64>, AdminError> {
        let reached = || self.raft.metrics().borrow_watched().snapshot.as_ref().map(|id| id.index);
        let applied = self.raft.metrics().borrow_watched().last_applied.as_ref().map(|id| id.index);
        while reached() < applied {
            let before = reached();
            self.raft.trigger().snapshot().await.map_err(|error| refuse(&error))?;
            let newer = self.raft.wait(Some(SNAPSHOT_PATIENCE));
            let grown = newer.metrics(|now| now.snapshot.as_ref().map(|id| id.index) > before, "a snapshot");
            grown.await.map_err(|error| AdminError::Unavailable(error.to_string()))?;
        }
        Ok(reached())
    }
}

fn refused(error: RaftError<Types, ClientWriteError<Types>>) -> AdminError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(other)) => {
            AdminError::NotLeader(other.leader_node.map(|node| node.address))
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(
            _,
        ))) => AdminError::Unavailable("another change of the cluster is under way".to_owned()),
        other => AdminError::Refused(other.to_string()),
    }
}
