//! The Raft log on disk: a sled database whose writes are applied in order by one thread and made durable, many at
//! a time, by another.
//!
//! sled's own `flush` survives a killed process but not a power cut, so each flush is followed by `fdatasync` of its
//! file. A value larger than a quarter of a sled segment would go to a file of its own that nobody syncs, and so
//! would a page of such values: records are therefore cut into pieces of [`PIECE_BYTES`].

use std::fs::File;
use std::io;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::mpsc as blocking;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::envelope;
use super::tail::{Tail, TailFile};
use super::types::{decode_log_id_bytes, decode_vote};

/// Longest encoded record: a Raft entry stays below this, so that a batch of them fits in one message to a peer.
pub(crate) const MAX_RECORD_BYTES: usize = 256 * 1024;
/// Longest piece of a record. A page of sled holds at most about 20 of them before it splits, 80 KiB, below the
/// 128 KiB at which sled moves a page out of its log.
const PIECE_BYTES: usize = 4 * 1024;
/// Keys removed in one batch when the log is purged.
const PURGE_BATCH: usize = 1024;
/// Changes that may wait for the disk. Raft itself bounds what is in flight; this only bounds a mistake.
const QUEUE: usize = 4096;
/// sled's page cache. The log is purged early, so all of it fits.
const CACHE_BYTES: u64 = 64 << 20;
/// How long a closed database may take to give up its lock, and how often that is looked for.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
const RELEASE_INTERVAL: Duration = Duration::from_millis(2);

/// A named value beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The node that this folder belongs to.
    Node,
    /// The cluster that the node belongs to.
    Cluster,
    /// The number of the folder.
    Folder,
    /// The last vote.
    Vote,
    /// The last entry known to be committed.
    Committed,
    /// The last entry removed from the front of the log.
    Purged,
}

impl Slot {
    fn key(self) -> &'static [u8] {
        match self {
            Slot::Node => b"node",
            Slot::Cluster => b"cluster",
            Slot::Folder => b"folder",
            Slot::Vote => b"vote",
            Slot::Committed => b"committed",
            Slot::Purged => b"purged",
        }
    }
}

/// A change of what is stored.
pub(super) enum Change {
    /// Adds records at the end of the log.
    Append(Vec<(u64, Vec<u8>)>),
    /// Removes the records from this index on.
    Truncate(u64),
    /// Removes the records up to this index, after noting in [`Slot::Purged`] that they are gone.
    Purge(u64, Vec<u8>),
    /// Sets a named value.
    Set(Slot, Vec<u8>),
}

/// Called when a change is on disk, or will never be.
pub(super) type Durable = Box<dyn FnOnce(io::Result<()>) + Send>;

struct Job {
    change: Change,
    applied: oneshot::Sender<io::Result<()>>,
    durable: Option<Durable>,
}

/// Why a stored farm cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A folder or file cannot be made or read.
    #[error("cannot open the scheduler's folder {}: {source}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the scheduler's folder {} is in use by another process: stop that one first", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The database or a snapshot is not what was written.
    #[error("the scheduler's folder {} is damaged: {what}; restore it from a backup, or move it away to start with an empty farm", path.display())]
    Damaged {
        /// The folder or file.
        path: PathBuf,
        /// Which value, and what is wrong with it.
        what: String,
    },
    /// No scheduler has begun in the folder.
    #[error("{} holds no scheduler of a cluster: begin a cluster with --bootstrap, or join one with --join and a new folder", path.display())]
    NotBegun {
        /// The folder.
        path: PathBuf,
    },
    /// A backup was to be restored into a folder that is not new.
    #[error("{} holds a scheduler already: restore into a new folder", path.display())]
    Begun {
        /// The folder.
        path: PathBuf,
    },
    /// A backup cannot be restored.
    #[error("the backup {} cannot be restored: {what}", path.display())]
    Backup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The folder was made by another node.
    #[error("the scheduler's folder {} belongs to node {stored}, this is node {given}: start with the node's own folder and id", path.display())]
    OtherNode {
        /// The folder.
        path: PathBuf,
        /// Who made it.
        stored: u64,
        /// Who wants to open it.
        given: u64,
    },
}

/// A handle on the stored log. Dropping the last one ends the threads.
pub(super) struct Disk {
    log: sled::Tree,
    meta: sled::Tree,
    failure: Failure,
    // After the trees: the last handle on the database is then the applying thread's own.
    jobs: mpsc::Sender<Job>,
}

/// Why nothing is written any more, once that is so.
pub(super) type Failure = Arc<OnceLock<String>>;

/// Resolves when the database is closed and its folder may be opened again.
pub(super) type Closed = oneshot::Receiver<()>;

impl Disk {
    /// Opens or creates the database in `dir`, checks every value in it, and starts the threads.
    pub(super) fn open(dir: &Path) -> Result<(Disk, Closed), OpenError> {
        let path = dir.join("db");
        let io_error = |source| OpenError::Io { path: path.clone(), source };
        std::fs::create_dir_all(&path).map_err(io_error)?;
        let db = open_sled(&path)?;
        let damaged = |source: sled::Error| sled_error(&path, source);
        let log = db.open_tree("log").map_err(damaged)?;
        let meta = db.open_tree("meta").map_err(damaged)?;
        db.flush().map_err(damaged)?;
        let file = sync_files(dir, &path).map_err(io_error)?;

        let (jobs, queue) = mpsc::channel(QUEUE);
        let (sender, closed) = oneshot::channel();
        let failure = Failure::default();
        let disk = Disk { log: log.clone(), meta: meta.clone(), failure: failure.clone(), jobs };
        disk.verify(&path)?;
        let found = disk
            .tail()
            .map_err(|error| OpenError::Damaged { path: path.clone(), what: error.to_string() })?;
        let (tail_file, known) = TailFile::open(dir).map_err(io_error)?;
        if let Some(what) = known.and_then(|known| known.missing(&found)) {
            return Err(OpenError::Damaged { path, what });
        }
        let writer = Writer { db, log, meta, file, tail: found, tail_file, failed: failure };
        spawn("reel-log-apply", move || writer.apply_all(queue, sender)).map_err(io_error)?;
        Ok((disk, closed))
    }

    /// Why nothing is written any more.
    pub(super) fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Queues `change`, and returns when it can be read. `durable` is called when it is on disk.
    pub(super) async fn apply(&self, change: Change, durable: Option<Durable>) -> io::Result<()> {
        let (applied, done) = oneshot::channel();
        let stopped = || io::Error::other("the log writer has stopped");
        self.jobs.send(Job { change, applied, durable }).await.map_err(|_| stopped())?;
        done.await.map_err(|_| stopped())?
    }

    /// Queues `change` and returns when it is on disk.
    pub(super) async fn apply_durably(&self, change: Change) -> io::Result<()> {
        let (sender, done) = oneshot::channel();
        self.apply(change, Some(Box::new(|result| drop(sender.send(result))))).await?;
        done.await.map_err(|_| io::Error::other("the log writer has stopped"))?
    }

    /// The records in `range`, in order.
    pub(super) fn read(&self, range: Range<u64>) -> io::Result<Vec<(u64, Vec<u8>)>> {
        let mut records = Vec::new();
        self.scan(range, |index, record| {
            records.push((index, record));
            Ok(())
        })?;
        Ok(records)
    }

    /// The last record of the log.
    pub(super) fn last(&self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let Some((key, _)) = self.log.last()? else { return Ok(None) };
        let index = split_key(&key).map_err(invalid)?.0;
        Ok(self.read(index..index + 1)?.pop())
    }

    /// How far the log goes.
    fn tail(&self) -> io::Result<Tail> {
        let last = self.log.last()?.map(|(key, _)| split_key(&key).map_err(invalid)).transpose()?;
        let purged = self.get(Slot::Purged)?.as_deref().map(decode_log_id_bytes).transpose()?;
        let last = last.map_or(0, |(index, _)| index).max(purged.map_or(0, |id| id.index));
        let vote = self.get(Slot::Vote)?.as_deref().map(decode_vote).transpose()?;
        let (term, voted_for) = vote.map_or((0, 0), |vote| (vote.leader_id.term, vote.leader_id.voted_for));
        Ok(Tail { last, term, voted_for })
    }

    /// A named value.
    pub(super) fn get(&self, slot: Slot) -> io::Result<Option<Vec<u8>>> {
        let Some(value) = self.meta.get(slot.key())? else { return Ok(None) };
        let (_, payload) = envelope::open(slot.key(), &value)
            .map_err(|damage| invalid(format!("the value `{slot:?}` {damage}")))?;
        Ok(Some(payload.to_vec()))
    }

    fn scan(
        &self,
        range: Range<u64>,
        mut each: impl FnMut(u64, Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut record = Record::default();
        for item in self.log.range(piece_key(range.start, 0)..piece_key(range.end, 0)) {
            let (key, value) = item?;
            if let Some((index, bytes)) = record.add(&key, &value).map_err(invalid)? {
                each(index, bytes)?;
            }
        }
        record.finish().map_err(invalid)
    }

    /// Reads all there is once, so that damage shows now and not when a node needs the entry.
    fn verify(&self, path: &Path) -> Result<(), OpenError> {
        let mut last = None;
        let checked = self.scan(0..u64::MAX, |index, _| match last.replace(index) {
            Some(before) if before + 1 != index => {
                Err(invalid(format!("entries {} to {} are missing", before + 1, index - 1)))
            }
            _ => Ok(()),
        });
        let slots = [Slot::Node, Slot::Cluster, Slot::Folder, Slot::Vote, Slot::Committed, Slot::Purged];
        checked
            .and_then(|()| slots.into_iter().try_for_each(|slot| self.get(slot).map(drop)))
            .map_err(|error| OpenError::Damaged { path: path.to_owned(), what: error.to_string() })
    }
}

/// Puts the pieces of records together again.
#[derive(Default)]
struct Record {
    index: u64,
    bytes: Vec<u8>,
    next_piece: u16,
    remaining: u16,
}

impl Record {
    /// Takes the next piece in key order; gives a record when it is whole.
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<Option<(u64, Vec<u8>)>, String> {
        let (index, piece) = split_key(key)?;
        let (remaining, payload) = envelope::open(key, value)
            .map_err(|damage| format!("log entry {index}, piece {piece}, {damage}"))?;
        let follows = self.remaining > 0;
        let expected =
            if follows { (self.index, self.next_piece, self.remaining - 1) } else { (index, 0, remaining) };
        if (index, piece, remaining) != expected {
            return Err(format!("log entry {} lacks piece {}", expected.0, expected.1));
        }
        self.bytes.extend_from_slice(payload);
        (self.index, self.next_piece, self.remaining) = (index, piece + 1, remaining);
        Ok((remaining == 0).then(|| (index, std::mem::take(&mut self.bytes))))
    }

    fn finish(self) -> Result<(), String> {
        match self.remaining {
            0 => Ok(()),
            _ => Err(format!("log entry {} lacks piece {}", self.index, self.next_piece)),
        }
    }
}

/// The state of the two threads.
struct Writer {
    db: sled::Db,
    log: sled::Tree,
    meta: sled::Tree,
    file: File,
    /// How far the log goes that was applied.
    tail: Tail,
    tail_file: TailFile,
    failed: Failure,
}

/// What the sync thread is asked.
enum Sync {
    /// Make durable what was applied so far, which ends here.
    Flush(Durable, Tail),
    /// Note that the log will end here, before it is cut.
    Lower(Tail, blocking::SyncSender<Result<(), String>>),
}

impl Writer {
    /// Applies changes in order until every [`Disk`] is gone.
    fn apply_all(mut self, mut queue: mpsc::Receiver<Job>, closed: oneshot::Sender<()>) {
        let (sender, receiver) = blocking::sync_channel(QUEUE);
        let (db, file, failed) = (self.db.clone(), self.file.try_clone(), self.failed.clone());
        let tail_file = self.tail_file.try_clone();
        let syncer = file.and_then(|file| {
            let syncer = Syncer { db, file, tail_file: tail_file?, failed };
            spawn("reel-log-sync", move || syncer.sync_all(&receiver))
        });
        while let Some(job) = queue.blocking_recv() {
            let lowered = self.announce(&job.change, &sender);
            let result = lowered.and_then(|()| attempt(&self.failed, || self.apply(job.change)));
            if let Ok(tail) = &result {
                self.tail = *tail;
            }
            // A receiver that is gone has given up on the answer.
            let _ = job.applied.send(as_io(&result));
            let Some(durable) = job.durable else { continue };
            if result.is_err() {
                durable(as_io(&result));
            } else if let Err(blocking::SendError(Sync::Flush(durable, _))) =
                sender.send(Sync::Flush(durable, self.tail))
            {
                durable(Err(io::Error::other("the sync thread has stopped")));
            }
        }
        drop(sender);
        if let Ok(thread) = syncer {
            let _ = thread.join();
        }
        let Writer { db, log, meta, file, .. } = self;
        drop((db, log, meta));
        wait_until_free(file);
        let _ = closed.send(());
    }

    /// Has the tail lowered before the log is.
    fn announce(&self, change: &Change, syncer: &blocking::SyncSender<Sync>) -> Result<(), String> {
        let Change::Truncate(from) = change else { return Ok(()) };
        let (sender, lowered) = blocking::sync_channel(1);
        let stopped = || "the sync thread has stopped".to_owned();
        syncer.send(Sync::Lower(self.tail.cut(*from), sender)).map_err(|_| stopped())?;
        lowered.recv().map_err(|_| stopped())?
    }

    /// How far the log goes after a change.
    fn tail_after(&self, change: &Change) -> io::Result<Tail> {
        let reach = |last: u64| Tail { last: self.tail.last.max(last), ..self.tail };
        Ok(match change {
            Change::Append(records) => reach(records.last().map_or(0, |(index, _)| *index)),
            Change::Truncate(from) => self.tail.cut(*from),
            Change::Purge(upto, _) => reach(*upto),
            Change::Set(Slot::Vote, vote) => {
                let leader = decode_vote(vote)?.leader_id;
                Tail { term: leader.term, voted_for: leader.voted_for, ..self.tail }
            }
            Change::Set(..) => self.tail,
        })
    }

    fn apply(&self, change: Change) -> io::Result<Tail> {
        let tail = self.tail_after(&change)?;
        match change {
            Change::Append(records) => {
                let mut batch = sled::Batch::default();
                for (index, record) in &records {
                    insert_record(&mut batch, *index, record)?;
                }
                self.log.apply_batch(batch)?;
            }
            // In one batch, so that a cut leaves no hole.
            Change::Truncate(from) => {
                let mut batch = sled::Batch::default();
                for key in self.log.range(piece_key(from, 0)..).keys() {
                    batch.remove(key?);
                }
                self.log.apply_batch(batch)?;
            }
            Change::Purge(upto, marker) => {
                self.set(Slot::Purged, &marker)?;
                self.purge(upto)?;
            }
            Change::Set(slot, value) => self.set(slot, &value)?,
        }
        Ok(tail)
    }

    fn set(&self, slot: Slot, value: &[u8]) -> io::Result<()> {
        self.meta.insert(slot.key(), envelope::seal(slot.key(), 0, value))?;
        Ok(())
    }

    fn purge(&self, upto: u64) -> io::Result<()> {
        loop {
            let keys = self.log.range(..piece_key(upto + 1, 0)).keys().take(PURGE_BATCH);
            let keys = keys.collect::<Result<Vec<_>, _>>()?;
            let mut batch = sled::Batch::default();
            for key in &keys {
                batch.remove(key);
            }
            self.log.apply_batch(batch)?;
            if keys.len() < PURGE_BATCH {
                return Ok(());
            }
        }
    }
}

/// The state of the thread that syncs.
struct Syncer {
    db: sled::Db,
    file: File,
    tail_file: TailFile,
    failed: Failure,
}

impl Syncer {
    /// Makes changes durable: one sync for all that wait.
    fn sync_all(self, queue: &blocking::Receiver<Sync>) {
        while let Ok(first) = queue.recv() {
            let mut flushed: Option<(Vec<Durable>, Tail)> = None;
            for asked in std::iter::once(first).chain(queue.try_iter()) {
                match asked {
                    Sync::Flush(durable, tail) => {
                        let (waiting, upto) = flushed.get_or_insert_with(|| (Vec::new(), tail));
                        waiting.push(durable);
                        *upto = tail;
                    }
                    Sync::Lower(tail, lowered) => {
                        self.flush(flushed.take());
                        let result = attempt(&self.failed, || self.tail_file.lower(&tail));
                        // The asker waits, unless it is gone.
                        let _ = lowered.send(result);
                    }
                }
            }
            self.flush(flushed);
        }
    }

    fn flush(&self, flushed: Option<(Vec<Durable>, Tail)>) {
        let Some((waiting, tail)) = flushed else { return };
        let synced = || flush(&self.db).and_then(|()| self.file.sync_data());
        let result = attempt(&self.failed, || synced().and_then(|()| self.tail_file.raise(&tail)));
        for durable in waiting {
            durable(as_io(&result));
        }
    }
}

/// Runs `write`, unless one has failed before. After a failed sync the kernel may have dropped the dirty pages, so that
/// a later success would prove nothing: the first failure is the last write.
fn attempt<T>(failed: &OnceLock<String>, write: impl FnOnce() -> io::Result<T>) -> Result<T, String> {
    if let Some(reason) = failed.get() {
        return Err(reason.clone());
    }
    write().map_err(|error| {
        tracing::error!(%error, "writing the log failed; this scheduler stops");
        let advice = "free the disk or repair it, then start again";
        failed.get_or_init(|| format!("the scheduler's log cannot be written: {error}; {advice}")).clone()
    })
}

fn as_io<T>(result: &Result<T, String>) -> io::Result<()> {
    result.as_ref().map(drop).map_err(|reason| io::Error::other(reason.clone()))
}

/// A panic inside sled must not swallow the callbacks of those who wait.
fn flush(db: &sled::Db) -> io::Result<()> {
    match std::panic::catch_unwind(AssertUnwindSafe(|| db.flush())) {
        Ok(flushed) => flushed.map(drop).map_err(io::Error::from),
        Err(_) => Err(io::Error::other("the database failed while it wrote")),
    }
}

fn insert_record(batch: &mut sled::Batch, index: u64, record: &[u8]) -> io::Result<()> {
    if record.len() > MAX_RECORD_BYTES {
        let length = record.len();
        return Err(invalid(format!(
            "log entry {index} has {length} bytes, at most {MAX_RECORD_BYTES} are allowed"
        )));
    }
    let pieces = record.len().div_ceil(PIECE_BYTES).max(1);
    for piece in 0..pieces {
        let payload = &record[piece * PIECE_BYTES..record.len().min((piece + 1) * PIECE_BYTES)];
        let key = piece_key(index, piece as u16);
        batch.insert(&key, envelope::seal(&key, (pieces - 1 - piece) as u16, payload));
    }
    Ok(())
}

/// Index, then piece, both big-endian: keys sort as the log runs.
fn piece_key(index: u64, piece: u16) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&index.to_be_bytes());
    key[8..].copy_from_slice(&piece.to_be_bytes());
    key
}

fn split_key(key: &[u8]) -> Result<(u64, u16), String> {
    let key: [u8; 10] = key.try_into().map_err(|_| format!("the log has a key of {} bytes", key.len()))?;
    let [i0, i1, i2, i3, i4, i5, i6, i7, p0, p1] = key;
    Ok((u64::from_be_bytes([i0, i1, i2, i3, i4, i5, i6, i7]), u16::from_be_bytes([p0, p1])))
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// sled may panic on a damaged file where it should return an error.
fn open_sled(path: &Path) -> Result<sled::Db, OpenError> {
    // Flushes are ours: sled's own timer would only add writes.
    let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    match std::panic::catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(opened) => opened.map_err(|error| sled_error(path, error)),
        Err(_) => {
            Err(OpenError::Damaged { path: path.to_owned(), what: "the database cannot be read".to_owned() })
        }
    }
}

fn sled_error(path: &Path, error: sled::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        sled::Error::Io(source) if source.to_string().contains("could not acquire lock") => {
            OpenError::InUse { path }
        }
        sled::Error::Io(source) => OpenError::Io { path, source },
        other => OpenError::Damaged { path, what: other.to_string() },
    }
}

/// Makes a new database's own files and folders durable, and returns the file that every later sync is for.
fn sync_files(dir: &Path, path: &Path) -> io::Result<File> {
    let file = File::open(path.join("db"))?;
    file.sync_all()?;
    File::open(path.join("conf"))?.sync_all()?;
    for folder in [path, dir] {
        File::open(folder)?.sync_all()?;
    }
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent)?.sync_all()?;
    }
    Ok(file)
}

/// Waits until sled's own threads, which end a moment after the last handle, have let go of the lock on its file. Taking
/// `file` lets go of the lock that shows it.
pub(super) fn wait_until_free(file: File) {
    let deadline = Instant::now() + RELEASE_TIMEOUT;
    while file.try_lock().is_err() && Instant::now() < deadline {
        thread::sleep(RELEASE_INTERVAL);
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run)
}
