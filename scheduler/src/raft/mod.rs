//! The replicated log, behind one facade: commands go in, the owner of the state applies them in order, replies come
//! out. Nothing outside this folder knows openraft or sled.

mod admin;
mod disk;
mod envelope;
mod log_store;
mod machine;
mod network;
mod restore;
mod server;
mod snapshot;
mod tail;
mod types;
mod wire;

#[cfg(test)]
mod power_cut;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{Config, ReadPolicy, SnapshotPolicy};
use reel_scheduler_core::{Command, FarmState, Reply};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

#[cfg(test)]
pub(crate) use self::admin::Member;
pub(crate) use self::admin::{Admin, AdminError, Status};
pub(crate) use self::disk::{MAX_RECORD_BYTES, OpenError};
use self::log_store::{LogStore, new_number};
use self::machine::Machine;
use self::network::Peers;
use self::server::Heard;
pub(crate) use self::server::Server;
use self::snapshot::SnapshotFolder;
use self::types::{Peer, Proposal, Types};
use self::wire::Destination;
use crate::codec;
use crate::config::Beginning;

/// A leader sends a heartbeat this often.
const HEARTBEAT_MS: u64 = 200;
/// A follower that hears nothing gives the leader the longer of these, and then stands for election after a time between
/// them: a leader that dies is followed by another after two seconds.
const ELECTION_MS: (u64, u64) = (800, 1100);
/// A leader that is not heard of for so long is none for those who ask: there would be another, had those who are left a majority.
const LEADER_SILENT: Duration = Duration::from_millis(4 * ELECTION_MS.1);
/// Entries after which a snapshot is taken: a restart reads at most about this many.
const SNAPSHOT_EVERY: u64 = 5000;
/// Entries kept behind a snapshot, for a peer that lags a little.
const KEPT_ENTRIES: u64 = 1000;
/// Entries removed at once, so that purging costs few writes.
const PURGE_BATCH: u64 = 256;
/// Most entries in one message to a peer.
const MESSAGE_ENTRIES: u64 = 16;
/// Largest message between schedulers: [`MESSAGE_ENTRIES`] of [`MAX_RECORD_BYTES`], and what surrounds them.
pub(crate) const MAX_MESSAGE_BYTES: usize = 8 << 20;
/// How long a snapshot may take to reach a peer.
const SNAPSHOT_TIMEOUT_MS: u64 = 600_000;
/// A leader asks a majority so often whether it still leads, and lets its workers go when it was not told for so long: by
/// then another may lead, and give their work away.
const ASK_EVERY: Duration = Duration::from_secs(1);
const UNHEARD: Duration = Duration::from_secs(3);
/// How long the database may take to close. It only waits for its last sync.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// What the log asks of the one owner of the state.
pub(crate) enum OwnerCall {
    /// Apply the commands of one entry, in order.
    Apply {
        /// The entry's index.
        index: u64,
        /// Its commands.
        commands: Vec<Command>,
        /// One answer for each.
        reply: oneshot::Sender<Vec<Reply>>,
    },
    /// Give a copy of the state, for a snapshot.
    Copy {
        /// Where to.
        reply: oneshot::Sender<FarmState>,
    },
    /// Take this state, from a snapshot.
    Restore {
        /// The state.
        state: Box<FarmState>,
        /// Told when it is taken.
        reply: oneshot::Sender<()>,
    },
}

/// The answers to the commands of one entry, in order; none for an entry of Raft itself.
pub(crate) type Applied = Vec<Reply>;

/// What this node is to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Not the leader, or not yet caught up.
    Follower {
        /// Address of the leader, where it is known.
        leader: Option<String>,
    },
    /// The leader, with every committed entry applied.
    Leader {
        /// Its term.
        term: u64,
    },
    /// The log cannot be written any more: the node stops.
    Failed(String),
}

/// Why a proposal has no answer. Its commands may or may not be in the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProposeError {
    /// Another node leads, or none.
    #[error("this scheduler is not the leader")]
    NotLeader,
    /// The commands do not fit in an entry.
    #[error("the request has {0} bytes, at most {MAX_RECORD_BYTES} fit in a log entry")]
    TooLarge(usize),
    /// The node has stopped.
    #[error("{0}")]
    Stopped(String),
}

/// What the driver needs of the replicated log: commands go in, and come back as calls to the owner of the state.
pub(crate) trait Log: Send {
    /// Proposes commands as one entry; the future ends when they are applied.
    fn propose(&self, commands: &[Command]) -> BoxFuture<'static, Result<Applied, ProposeError>>;

    /// Stops. Calls to the owner are to be answered until this ends.
    fn shutdown(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// Why the log cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The folder cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log or the state that it gives cannot be used.
    #[error("the scheduler's log cannot be started: {0}")]
    Raft(String),
}

/// One node of the cluster.
pub(crate) struct Raft {
    inner: openraft::Raft<Types, Machine>,
    here: Destination,
    snapshots: SnapshotFolder,
    heard: Heard,
    role: watch::Receiver<Role>,
    watcher: JoinHandle<()>,
    failure: disk::Failure,
    closed: disk::Closed,
}

impl Raft {
    /// Opens the log in `dir`; a new folder begins as `beginning` says. The calls to `owner` must be answered from now
    /// on: what is in the log is applied before this returns.
    pub(crate) async fn start(
        dir: &Path,
        node: u64,
        beginning: Beginning,
        owner: mpsc::Sender<OwnerCall>,
    ) -> Result<Raft, StartError> {
        // Before there is a folder, which nobody needs where the backup is not good.
        let restored = match &beginning {
            Beginning::Restored { backup, .. } => Some(restore::read(backup).await?),
            _ => None,
        };
        std::fs::create_dir_all(dir).map_err(|source| OpenError::Io { path: dir.to_owned(), source })?;
        let (store, closed) = LogStore::open(dir, node).await?;
        let folder = store.folder().await?;
        let snapshots = SnapshotFolder::open(dir)?;
        if let (Some(state), Beginning::Restored { address, .. }) = (restored, &beginning) {
            if store.cluster(None).await.is_ok() {
                return Err(OpenError::Begun { path: dir.to_owned() }.into());
            }
            let peer = Peer { address: address.clone(), folder };
            restore::write(state, snapshots.clone(), node, peer).await?;
        }
        let cluster = match beginning {
            Beginning::Alone { .. } | Beginning::Restored { .. } => store.cluster(Some(new_number())).await?,
            Beginning::Outside { cluster } => store.cluster(Some(cluster)).await?,
            Beginning::Before => store.cluster(None).await?,
        };
        check_reach(dir, &store, &snapshots)?;
        let failure = store.failure();
        let refused = |error: String| StartError::Raft(error);
        let machine = Machine::new(owner, snapshots.clone());
        let config = Arc::new(config().validate().map_err(|error| refused(error.to_string()))?);
        let inner = openraft::Raft::new(node, config, Peers { cluster }, store, machine)
            .await
            .map_err(|error| refused(error.to_string()))?;
        let begun = inner.is_initialized().await.map_err(|error| refused(error.to_string()))?;
        if let Beginning::Alone { address } = beginning
            && !begun
        {
            let alone = BTreeMap::from([(node, Peer { address, folder })]);
            inner.initialize(alone).await.map_err(|error| refused(error.to_string()))?;
        }
        let (sender, role) = watch::channel(Role::Follower { leader: None });
        let watcher = tokio::spawn(watch_role(inner.clone(), failure.clone(), sender));
        let here = Destination { cluster, node, folder };
        let heard = Heard::default();
        Ok(Raft { inner, here, snapshots, heard, role, watcher, failure, closed })
    }

    /// What answers other nodes.
    pub(crate) fn server(&self) -> Server {
        let (snapshots, heard) = (self.snapshots.clone(), self.heard.clone());
        Server { raft: self.inner.clone(), here: self.here, snapshots, heard }
    }

    /// What operators ask of the cluster.
    pub(crate) fn admin(&self) -> Admin {
        let (raft, heard, role) = (self.inner.clone(), self.heard.clone(), self.role.clone());
        Admin { raft, here: self.here, heard, role, changing: Arc::default() }
    }

    /// What this node is, from now on.
    pub(crate) fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    /// Proposes commands as one entry; the future ends when they are applied.
    pub(crate) fn propose(
        &self,
        commands: &[Command],
    ) -> impl Future<Output = Result<Applied, ProposeError>> + Send + use<> {
        let entry = codec::encode_entry(commands);
        let (raft, failure) = (self.inner.clone(), self.failure.clone());
        async move {
            // Leaves room for what surrounds the entry in its record.
            if entry.len() + 64 > MAX_RECORD_BYTES {
                return Err(ProposeError::TooLarge(entry.len()));
            }
            match raft.client_write(Proposal(entry.into())).await {
                Ok(response) => Ok(response.data),
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                    Err(ProposeError::NotLeader)
                }
                Err(error) => Err(ProposeError::Stopped(reason(&failure, &error))),
            }
        }
    }

    /// Stops the node and closes its folder.
    pub(crate) async fn shutdown(self) {
        let Raft { inner, role, watcher, closed, .. } = self;
        if let Err(error) = inner.shutdown().await {
            tracing::error!(%error, "the log did not stop in order");
        }
        watcher.abort();
        let _ = watcher.await;
        drop((inner, role));
        if timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::warn!("the log's folder is still open");
        }
    }
}

impl Log for Raft {
    fn propose(&self, commands: &[Command]) -> BoxFuture<'static, Result<Applied, ProposeError>> {
        Raft::propose(self, commands).boxed()
    }

    fn shutdown(self: Box<Self>) -> BoxFuture<'static, ()> {
        Raft::shutdown(*self).boxed()
    }
}

fn config() -> Config {
    Config {
        cluster_name: "reelfarm".to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_MS.0,
        election_timeout_max: ELECTION_MS.1,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_EVERY),
        max_in_snapshot_log_to_keep: KEPT_ENTRIES,
        purge_batch_size: PURGE_BATCH,
        max_payload_entries: MESSAGE_ENTRIES,
        install_snapshot_timeout: SNAPSHOT_TIMEOUT_MS,
        enable_pre_vote: Some(true),
        ..Config::default()
    }
}

/// What was purged must be in the snapshot, or state has been lost.
fn check_reach(dir: &Path, store: &LogStore, snapshots: &SnapshotFolder) -> Result<(), OpenError> {
    let path = dir.to_owned();
    let purged = store.last_purged();
    let current = snapshots.current();
    let found = purged.and_then(|purged| Ok((purged, current?.and_then(|(meta, _)| meta.last_log_id))));
    match found {
        Ok((purged, snapshot)) if purged <= snapshot => Ok(()),
        Ok((purged, _)) => {
            let index = purged.map_or(0, |id| id.index);
            Err(OpenError::Damaged {
                path,
                what: format!("the snapshot of the first {index} log entries is missing"),
            })
        }
        Err(error) => Err(OpenError::Damaged { path, what: error.to_string() }),
    }
}

/// What a user can act on: the disk's own words, where it was the disk.
fn reason(failure: &disk::Failure, error: &impl ToString) -> String {
    failure.get().cloned().unwrap_or_else(|| error.to_string())
}

/// Tells the role: a leader only after it has applied all that was committed before its term, and while it reaches a
/// majority.
async fn watch_role(raft: openraft::Raft<Types, Machine>, failure: disk::Failure, role: watch::Sender<Role>) {
    let mut metrics = raft.metrics();
    let mut shown = Instant::now();
    loop {
        let (running, leads, term, leader) = {
            let now = metrics.borrow_and_update();
            let leader = now.current_leader.filter(|leader| *leader != now.id);
            let leader = leader.and_then(|leader| now.membership_config.membership().get_node(&leader));
            let leads = now.current_leader == Some(now.id);
            (now.running_state.clone(), leads, now.current_term, leader.map(|node| node.address.clone()))
        };
        let led = *role.borrow() == (Role::Leader { term });
        let next = match running {
            Err(error) => Role::Failed(reason(&failure, &error)),
            Ok(()) if !leads => Role::Follower { leader },
            Ok(()) if led && shown.elapsed() < ASK_EVERY => Role::Leader { term },
            Ok(()) => {
                let asked = Instant::now();
                let answered = raft.ensure_linearizable(ReadPolicy::ReadIndex).await.is_ok();
                shown = if answered { asked } else { shown };
                match answered || led && shown.elapsed() < UNHEARD {
                    true => Role::Leader { term },
                    false => Role::Follower { leader: None },
                }
            }
        };
        let failed = matches!(next, Role::Failed(_));
        role.send_if_modified(|current| {
            let changed = *current != next;
            *current = next;
            changed
        });
        let closed = match leads {
            true => matches!(timeout(ASK_EVERY, metrics.changed()).await, Ok(Err(_))),
            false => metrics.changed().await.is_err(),
        };
        if failed || closed {
            return;
        }
    }
}
