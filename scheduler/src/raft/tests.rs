//! The storage against openraft's own suite, against reopening, and against damage.

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::log_store::LogStore;
use super::machine::Machine;
use super::snapshot::SnapshotFolder;
use super::types::Types;
use super::*;

/// Answers the calls of a machine with a state of its own, until the machine is gone.
fn spawn_owner() -> mpsc::Sender<OwnerCall> {
    let (sender, mut calls) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut state = FarmState::default();
        while let Some(call) = calls.recv().await {
            match call {
                OwnerCall::Apply { commands, reply, .. } => {
                    let replies = commands.iter().map(|_| Reply::DONE).collect();
                    let _ = reply.send(replies);
                }
                OwnerCall::Copy { reply } => drop(reply.send(state.clone())),
                OwnerCall::Restore { state: new, reply } => {
                    state = *new;
                    let _ = reply.send(());
                }
            }
        }
    });
    sender
}

struct Folders;

impl StoreBuilder<Types, LogStore, Machine, TempDir> for Folders {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<Types>> {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = LogStore::open(dir.path(), 0).await.unwrap();
        let machine = Machine::new(spawn_owner(), SnapshotFolder::open(dir.path()).unwrap());
        Ok((dir, store, machine))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_passes_the_suite_of_openraft() {
    Suite::test_all(Folders).await.unwrap();
}
