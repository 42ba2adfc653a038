//! The storage against openraft's own suite, against reopening, against damage, and a whole node across restarts.

use std::fs::File;

use openraft::StorageError;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use reel_common::JobId;
use reel_scheduler_core::{Accepted, Action, JobSpec};
use tempfile::TempDir;

use super::log_store::LogStore;
use super::machine::Machine;
use super::snapshot::SnapshotFolder;
use super::types::{Entry, LogId, Types, Vote};
use super::*;

/// Answers the calls of a machine with a state of its own, until the machine is gone.
pub(super) fn spawn_owner() -> (mpsc::Sender<OwnerCall>, JoinHandle<FarmState>) {
    let (sender, mut calls) = mpsc::channel(16);
    let owner = tokio::spawn(async move {
        let mut state = FarmState::default();
        while let Some(call) = calls.recv().await {
            match call {
                OwnerCall::Apply { index, commands, reply } => {
                    let replies = commands.into_iter().map(|command| state.apply(index, command)).collect();
                    let _ = reply.send(replies);
                }
                OwnerCall::Copy { reply } => drop(reply.send(state.clone())),
                OwnerCall::Restore { state: new, reply } => {
                    state = *new;
                    let _ = reply.send(());
                }
            }
        }
        state
    });
    (sender, owner)
}

fn alone() -> Beginning {
    Beginning::Alone { address: String::new() }
}

struct Folders;

impl StoreBuilder<Types, LogStore, Machine, TempDir> for Folders {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<Types>> {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = LogStore::open(dir.path(), 0).await.unwrap();
        let machine = Machine::new(spawn_owner().0, SnapshotFolder::open(dir.path()).unwrap());
        Ok((dir, store, machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_passes_the_suite_of_openraft() {
    Suite::test_all(Folders).await.unwrap();
}

pub(super) fn entry(index: u64, bytes: usize) -> Entry {
    let filler = (0..bytes).map(|at| (at as u64 ^ index) as u8).collect::<Vec<_>>();
    Entry {
        log_id: LogId::new_term_index(1, index),
        payload: openraft::EntryPayload::Normal(Proposal(filler.into())),
    }
}

/// Appends and waits until it is durable.
pub(super) async fn append(store: &mut LogStore, entries: Vec<Entry>) -> std::io::Result<()> {
    let (sender, done) = Types::oneshot();
    store.append(entries, IOFlushed::signal(sender)).await?;
    done.await.unwrap()
}

async fn reopen(
    dir: &Path,
    store: LogStore,
    closed: disk::Closed,
) -> Result<(LogStore, disk::Closed), OpenError> {
    drop(store);
    closed.await.unwrap();
    LogStore::open(dir, 1).await
}

#[tokio::test]
async fn a_reopened_store_has_all_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, closed) = LogStore::open(dir.path(), 1).await.unwrap();
    let entries: Vec<_> = (0..50).map(|index| entry(index, 300 * index as usize)).collect();
    append(&mut store, entries.clone()).await.unwrap();
    let vote = Vote::new_committed(7, 1);
    store.save_vote(&vote).await.unwrap();
    store.save_committed(Some(entries[40].log_id)).await.unwrap();
    store.truncate_after(Some(entries[45].log_id)).await.unwrap();
    store.purge(entries[9].log_id).await.unwrap();

    let (mut store, _) = reopen(dir.path(), store, closed).await.unwrap();
    let mut reader = store.get_log_reader().await;
    assert_eq!(reader.try_get_log_entries(..).await.unwrap(), entries[10..=45]);
    assert_eq!(reader.read_vote().await.unwrap(), Some(vote));
    assert_eq!(store.read_committed().await.unwrap(), Some(entries[40].log_id));
    let state = store.get_log_state().await.unwrap();
    assert_eq!(
        (state.last_purged_log_id, state.last_log_id),
        (Some(entries[9].log_id), Some(entries[45].log_id))
    );
}

#[tokio::test]
async fn large_entries_stay_in_the_file_that_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, closed) = LogStore::open(dir.path(), 1).await.unwrap();
    let size = MAX_RECORD_BYTES - 64;
    for first in (0..60).step_by(6) {
        append(&mut store, (first..first + 6).map(|index| entry(index, size)).collect()).await.unwrap();
        let blobs = std::fs::read_dir(dir.path().join("db/blobs")).unwrap().count();
        assert_eq!(blobs, 0, "sled moved a page out of its log");
    }
    let too_large = append(&mut store, vec![entry(60, MAX_RECORD_BYTES)]).await.unwrap_err();
    assert!(too_large.to_string().contains("at most 262144 are allowed"), "{too_large}");

    let (mut store, _) = reopen(dir.path(), store, closed).await.unwrap();
    let read = store.get_log_reader().await.try_get_log_entries(59..).await.unwrap();
    assert_eq!(read, [entry(59, size)]);
}

#[tokio::test]
async fn a_log_that_failed_to_write_stays_failed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = LogStore::open(dir.path(), 1).await.unwrap();
    append(&mut store, vec![entry(0, MAX_RECORD_BYTES)]).await.unwrap_err();
    let next = append(&mut store, vec![entry(0, 10)]).await.unwrap_err();
    assert!(next.to_string().contains("the scheduler's log cannot be written"), "{next}");
}

/// Changes one stored value behind the store's back.
/// Changes a closed database, and closes it again.
fn tamper(dir: &Path, tree: &str, change: impl FnOnce(&sled::Tree)) {
    let db = sled::open(dir.join("db")).unwrap();
    change(&db.open_tree(tree).unwrap());
    db.flush().unwrap();
    drop(db);
    disk::wait_until_free(File::open(dir.join("db/db")).unwrap());
}

fn damage(dir: &Path, tree: &str, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) {
    tamper(dir, tree, |tree| {
        let mut value = tree.get(key).unwrap().unwrap().to_vec();
        change(&mut value);
        tree.insert(key, value).unwrap();
    });
}

#[tokio::test]
async fn a_damaged_value_is_refused_with_its_name_and_what_to_do() {
    type Damage = fn(&mut Vec<u8>);
    let entry_key = [3_u64.to_be_bytes().as_slice(), &0_u16.to_be_bytes()].concat();
    let cases: [(&str, &[u8], Damage, &str); 4] = [
        ("log", &entry_key, |value| value[30] ^= 1, "log entry 3, piece 0, does not match its checksum"),
        ("log", &entry_key, |value| value.truncate(3), "log entry 3, piece 0, is cut off"),
        ("log", &entry_key, |value| value[0] = 9, "log entry 3, piece 0, has format version 9"),
        ("meta", b"vote", |value| value[8] ^= 1, "the value `Vote` does not match its checksum"),
    ];
    for (tree, key, change, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, closed) = LogStore::open(dir.path(), 1).await.unwrap();
        append(&mut store, (0..6).map(|index| entry(index, 5000)).collect()).await.unwrap();
        store.save_vote(&Vote::new(1, 1)).await.unwrap();
        drop(store);
        closed.await.unwrap();
        damage(dir.path(), tree, key, change);
        let message = LogStore::open(dir.path(), 1).await.err().unwrap().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("restore it from a backup"), "{message}");
    }
}

#[tokio::test]
async fn a_missing_entry_or_piece_is_refused() {
    for (piece, expected) in [(0_u16, "log entry 3 lacks piece 0"), (1, "log entry 3 lacks piece 1")] {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, closed) = LogStore::open(dir.path(), 1).await.unwrap();
        append(&mut store, (0..6).map(|index| entry(index, 5000)).collect()).await.unwrap();
        drop(store);
        closed.await.unwrap();
        let key = [3_u64.to_be_bytes().as_slice(), &piece.to_be_bytes()].concat();
        tamper(dir.path(), "log", |log| drop(log.remove(key).unwrap()));
        let message = LogStore::open(dir.path(), 1).await.err().unwrap().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[tokio::test]
async fn a_folder_in_use_or_of_another_node_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, closed) = LogStore::open(dir.path(), 1).await.unwrap();
    let message = LogStore::open(dir.path(), 1).await.err().unwrap().to_string();
    assert!(message.contains("is in use by another process"), "{message}");
    drop(store);
    closed.await.unwrap();
    let message = LogStore::open(dir.path(), 2).await.err().unwrap().to_string();
    assert!(message.contains("belongs to node 1, this is node 2"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_a_later_version_stops_the_start_with_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path()).await;
    node.submit("1").await;
    node.stop().await;
    let (mut store, closed) = LogStore::open(dir.path(), 1).await.unwrap();
    let last = store.get_log_state().await.unwrap().last_log_id.unwrap();
    let unknown =
        Entry { log_id: LogId::new_term_index(last.leader_id.term, last.index + 1), ..entry(0, 50) };
    append(&mut store, vec![unknown.clone()]).await.unwrap();
    store.save_committed(Some(unknown.log_id)).await.unwrap();
    drop(store);
    closed.await.unwrap();
    let message = Raft::start(dir.path(), 1, alone(), spawn_owner().0).await.err().unwrap().to_string();
    let expected = format!("log entry {} cannot be read by this program", unknown.log_id.index);
    assert!(message.contains(&expected), "{message}");
}

struct Node {
    raft: Raft,
    owner: JoinHandle<FarmState>,
}

impl Node {
    async fn start(dir: &Path) -> Node {
        let (calls, owner) = spawn_owner();
        let raft = Raft::start(dir, 1, alone(), calls).await.unwrap();
        raft.role().wait_for(|role| matches!(role, Role::Leader { .. })).await.unwrap();
        Node { raft, owner }
    }

    async fn submit(&self, name: &str) -> Reply {
        let spec = JobSpec {
            mezzanine: format!("/in/{name}"),
            output: format!("/out/{name}"),
            ..JobSpec::default()
        };
        let command =
            Command::at(1, Action::SubmitJob { spec: Box::new(spec), profile: "name = \"p\"".into() });
        self.raft.propose(&[command]).await.unwrap().remove(0)
    }

    /// Stops, and gives the state as its owner has it.
    async fn stop(self) -> FarmState {
        self.raft.shutdown().await;
        self.owner.await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_has_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path()).await;
    for number in 1..=20 {
        let reply = node.submit(&format!("{number}")).await;
        assert_eq!(reply, Reply::Accepted(Accepted::Job(JobId(number))));
    }
    let before = node.stop().await;
    let after = Node::start(dir.path()).await.stop().await;
    assert_eq!((before.jobs.len(), &before), (20, &after));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_restarts_from_its_snapshot_and_the_entries_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path()).await;
    for number in 1..=10 {
        node.submit(&format!("{number}")).await;
    }
    node.raft.inner.trigger().snapshot().await.unwrap();
    let limit = Some(Duration::from_secs(30));
    let taken =
        node.raft.inner.wait(limit).metrics(|now| now.snapshot.is_some(), "the snapshot").await.unwrap();
    node.raft.inner.trigger().purge_log(taken.snapshot.unwrap().index).await.unwrap();
    node.raft.inner.wait(limit).metrics(|now| now.purged == taken.snapshot, "the purge").await.unwrap();
    node.submit("after").await;
    let before = node.stop().await;

    let node = Node::start(dir.path()).await;
    assert_eq!(node.submit("again").await, Reply::Accepted(Accepted::Job(JobId(12))));
    let mut after = node.stop().await;
    after.jobs.remove(&JobId(12));
    assert_eq!(after.jobs, before.jobs);

    std::fs::remove_dir_all(dir.path().join("snapshots")).unwrap();
    let message = Raft::start(dir.path(), 1, alone(), spawn_owner().0).await.err().unwrap().to_string();
    assert!(message.contains("the snapshot of the first") && message.contains("is missing"), "{message}");
}
