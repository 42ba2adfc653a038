//! A backup as the beginning of a new cluster: its state becomes the first snapshot of a folder, and its node the only
//! member.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::disk::OpenError;
use super::snapshot::{SnapshotFile, SnapshotFolder, blocking};
use super::types::{LogId, Membership, Peer, SnapshotMeta, StoredMembership, invalid};
use crate::codec;

/// Makes a state the first snapshot of a folder. The new cluster counts its log from the beginning; the
/// state's own numbers go on.
pub(super) async fn write(
    state: Vec<u8>,
    snapshots: SnapshotFolder,
    node: u64,
    peer: Peer,
) -> Result<(), OpenError> {
    let path = snapshots.path().to_owned();
    let done = blocking(move || {
        let first = LogId::new_term_index(0, 0);
        let members = Membership::new(vec![BTreeSet::from([node])], BTreeMap::from([(node, peer)]));
        let members = members.map_err(|error| invalid(error.to_string()))?;
        let last_membership = StoredMembership::new(Some(first), members);
        snapshots.write(&SnapshotMeta { last_log_id: Some(first), last_membership }, state).map(drop)
    });
    done.await.map_err(|source| OpenError::Io { path, source })
}

/// The state of a backup, ready for a cluster that takes it over.
pub(super) async fn read(backup: &Path) -> Result<Vec<u8>, OpenError> {
    let path = backup.to_owned();
    let read = blocking(move || {
        let (_, bytes) = SnapshotFile::of(File::open(path)?).read()?;
        let mut state = codec::decode_state(&bytes).map_err(|error| invalid(error.to_string()))?;
        state.take_over();
        Ok(codec::encode_state(&state))
    });
    read.await.map_err(|error| OpenError::Backup { path: backup.to_owned(), what: error.to_string() })
}

impl SnapshotFile {
    fn of(file: File) -> SnapshotFile {
        SnapshotFile(Arc::new(file))
    }
}
