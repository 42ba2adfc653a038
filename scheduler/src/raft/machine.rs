//! openraft's state machine: it hands committed commands to the owner of the state and keeps their position.

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::EntryPayload;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use reel_scheduler_core::FarmState;
use tokio::sync::{mpsc, oneshot};

use super::snapshot::{FileSnapshot, SnapshotFile, SnapshotFolder, blocking};
use super::types::{LogId, Proposal, SnapshotMeta, StoredMembership, Types, invalid};
use super::{Applied, OwnerCall};
use crate::codec;

/// The position of the state, which itself lives with its owner at the other end of the channel.
pub(super) struct Machine {
    owner: mpsc::Sender<OwnerCall>,
    snapshots: SnapshotFolder,
    last_applied: Option<LogId>,
    membership: StoredMembership,
}

impl Machine {
    pub(super) fn new(owner: mpsc::Sender<OwnerCall>, snapshots: SnapshotFolder) -> Machine {
        Machine { owner, snapshots, last_applied: None, membership: StoredMembership::default() }
    }

    async fn ask<T>(&self, call: impl FnOnce(oneshot::Sender<T>) -> OwnerCall) -> io::Result<T> {
        let gone = || io::Error::other("the owner of the state has stopped");
        let (reply, answer) = oneshot::channel();
        self.owner.send(call(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }

    async fn apply_commands(&self, index: u64, proposal: &Proposal) -> io::Result<Applied> {
        let commands = codec::decode_entry(&proposal.0)
            .map_err(|error| invalid(format!("log entry {index} cannot be read by this program: {error}")))?;
        self.ask(|reply| OwnerCall::Apply { index, commands, reply }).await
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + Send,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let applied = match &entry.payload {
                EntryPayload::Blank => Applied::default(),
                EntryPayload::Normal(proposal) => self.apply_commands(entry.log_id.index, proposal).await?,
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                    Applied::default()
                }
            };
            self.last_applied = Some(entry.log_id);
            if let Some(responder) = responder {
                responder.send(applied);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            snapshots: self.snapshots.clone(),
            meta: SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() },
            state: self.ask(|reply| OwnerCall::Copy { reply }).await.map(Arc::new),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotFile) -> io::Result<()> {
        let (found, bytes) = blocking(move || snapshot.read()).await?;
        if found != *meta {
            return Err(invalid("the snapshot is not the one that was announced"));
        }
        let state = codec::decode_state(&bytes).map_err(|error| invalid(format!("the snapshot: {error}")))?;
        let (snapshots, written) = (self.snapshots.clone(), found.clone());
        blocking(move || match snapshots.current()? {
            Some((current, _)) if current == written => Ok(()),
            _ => snapshots.write(&written, bytes).map(drop),
        })
        .await?;
        self.ask(|reply| OwnerCall::Restore { state: Box::new(state), reply }).await?;
        (self.last_applied, self.membership) = (found.last_log_id, found.last_membership);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<FileSnapshot>> {
        let snapshots = self.snapshots.clone();
        let current = blocking(move || snapshots.current()).await?;
        Ok(current.map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// Writes one snapshot from a copy of the state, while the owner goes on.
pub(super) struct Builder {
    snapshots: SnapshotFolder,
    meta: SnapshotMeta,
    state: io::Result<Arc<FarmState>>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> io::Result<FileSnapshot> {
        let state = self.state.as_ref().map_err(|error| io::Error::other(error.to_string()))?.clone();
        let (snapshots, meta) = (self.snapshots.clone(), self.meta.clone());
        blocking(move || {
            let snapshot = snapshots.write(&meta, codec::encode_state(&state))?;
            Ok(Snapshot { meta, snapshot })
        })
        .await
    }
}
