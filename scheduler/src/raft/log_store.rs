//! openraft's log storage on top of [`Disk`].

use std::fmt::Debug;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};

use super::disk::{Change, Closed, Disk, Failure, OpenError, Slot};
use super::types::{
    Entry, LogId, Types, Vote, decode_entry, decode_log_id_bytes, decode_vote, encode_entry, encode_log_id,
    encode_vote,
};

/// Entries read at a time for a peer that lags.
const READ_BATCH: u64 = 256;

/// The log, vote and committed position of one node.
pub(super) struct LogStore {
    disk: Arc<Disk>,
    /// The node's folder, for messages.
    path: PathBuf,
}

/// Reads the log while [`LogStore`] writes it.
pub(super) struct LogReader {
    disk: Arc<Disk>,
}

impl LogStore {
    /// Opens the log in `dir`, which belongs to node `node`.
    pub(super) async fn open(dir: &Path, node: u64) -> Result<(LogStore, Closed), OpenError> {
        let path = dir.to_owned();
        let folder = path.clone();
        let opened = tokio::task::spawn_blocking(move || Disk::open(&folder)).await;
        let stopped = |error| OpenError::Io { path: path.clone(), source: io::Error::other(error) };
        let (disk, closed) = opened.map_err(stopped)??;
        let store = LogStore { disk: Arc::new(disk), path: path.clone() };
        let unreadable =
            |error: io::Error| OpenError::Damaged { path: path.clone(), what: error.to_string() };
        match store.disk.get(Slot::Node).map_err(unreadable)? {
            None => {
                let claimed =
                    store.disk.apply_durably(Change::Set(Slot::Node, node.to_be_bytes().to_vec())).await;
                claimed.map_err(|source| OpenError::Io { path: path.clone(), source })?;
            }
            Some(stored) => {
                let stored = stored
                    .try_into()
                    .map_err(|_| unreadable(io::Error::other("the node id is malformed")))?;
                let stored = u64::from_be_bytes(stored);
                if stored != node {
                    return Err(OpenError::OtherNode { path, stored, given: node });
                }
            }
        }
        store.check_front().map_err(unreadable)?;
        Ok((store, closed))
    }

    /// The number of the cluster that the node belongs to: what is stored, or `new` from now on.
    pub(super) async fn cluster(&self, new: Option<u64>) -> Result<u64, OpenError> {
        self.number(Slot::Cluster, new).await
    }

    /// The number of the folder, which it gets when it is first opened.
    pub(super) async fn folder(&self) -> Result<u64, OpenError> {
        self.number(Slot::Folder, Some(new_number())).await
    }

    async fn number(&self, slot: Slot, new: Option<u64>) -> Result<u64, OpenError> {
        let damaged = |what: String| OpenError::Damaged { path: self.path.clone(), what };
        if let Some(stored) = self.disk.get(slot).map_err(|error| damaged(error.to_string()))? {
            let stored =
                stored.try_into().map_err(|_| damaged(format!("the value `{slot:?}` is malformed")))?;
            return Ok(u64::from_be_bytes(stored));
        }
        let new = new.ok_or_else(|| OpenError::NotBegun { path: self.path.clone() })?;
        let claimed = self.disk.apply_durably(Change::Set(slot, new.to_be_bytes().to_vec())).await;
        claimed.map_err(|source| OpenError::Io { path: self.path.clone(), source })?;
        Ok(new)
    }

    /// Why nothing is written any more.
    pub(super) fn failure(&self) -> Failure {
        self.disk.failure()
    }

    /// The last entry removed from the front of the log.
    pub(super) fn last_purged(&self) -> io::Result<Option<LogId>> {
        self.disk.get(Slot::Purged)?.as_deref().map(decode_log_id_bytes).transpose()
    }

    /// The log begins right after what was purged.
    fn check_front(&self) -> io::Result<()> {
        let next = self.last_purged()?.map_or(0, |id| id.index + 1);
        let last = self.disk.last()?.map(|(index, _)| index);
        match last {
            Some(last) if last >= next && self.disk.read(next..next + 1)?.is_empty() => {
                Err(io::Error::other(format!("log entry {next} is missing")))
            }
            _ => Ok(()),
        }
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let last_purged_log_id = self.last_purged()?;
        let last = self.disk.last()?.map(|(index, record)| decode_entry(index, &record)).transpose()?;
        let last_log_id = last.map(|entry| entry.log_id).max(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        LogReader { disk: self.disk.clone() }
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.disk.apply_durably(Change::Set(Slot::Vote, encode_vote(vote))).await
    }

    /// Not synced: a committed position that is too old costs only a second application of some entries, before the
    /// node answers anything.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let Some(committed) = committed else { return Ok(()) };
        self.disk.apply(Change::Set(Slot::Committed, encode_id(&committed)), None).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.disk.get(Slot::Committed)?.as_deref().map(decode_log_id_bytes).transpose()
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let records = entries.into_iter().map(|entry| (entry.log_id.index, encode_entry(&entry))).collect();
        let durable = Box::new(|result| callback.io_completed(result));
        self.disk.apply(Change::Append(records), Some(durable)).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.disk.apply_durably(Change::Truncate(last.map_or(0, |id| id.index + 1))).await
    }

    /// Not synced: entries that come back after a cut are only removed again.
    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.disk.apply(Change::Purge(upto.index, encode_id(&upto)), None).await
    }
}

impl RaftLogReader<Types> for LogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let (disk, range) = (self.disk.clone(), half_open(&range));
        let read = tokio::task::spawn_blocking(move || {
            let records = disk.read(range)?.into_iter();
            records.map(|(index, record)| decode_entry(index, &record)).collect()
        });
        read.await.map_err(io::Error::other)?
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.disk.get(Slot::Vote)?.as_deref().map(decode_vote).transpose()
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.try_get_log_entries(start..end.min(start.saturating_add(READ_BATCH))).await
    }
}

/// A number that nobody else has.
pub(super) fn new_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn encode_id(id: &LogId) -> Vec<u8> {
    prost::Message::encode_to_vec(&encode_log_id(id))
}

fn half_open(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    start..end.max(start)
}
