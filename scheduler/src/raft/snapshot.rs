//! Snapshots as files: written beside their name, synced, renamed; a checksum over all of it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;
use reel_proto::log::v1;

use super::disk::OpenError;
use super::types::{
    SnapshotMeta, Types, decode_log_id, decode_stored_membership, encode_log_id, encode_stored_membership,
    invalid,
};

/// First bytes of a snapshot; the last one is the format version.
const MAGIC: [u8; 8] = *b"REELSNP\x01";
/// Magic, CRC32C of the payload, length of the payload.
const HEADER: usize = 8 + 4 + 8;
const EXTENSION: &str = "snapshot";
const UNFINISHED: &str = "unfinished";

/// An open snapshot file; it stays readable when a newer one has replaced it.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotFile(pub(super) Arc<File>);

impl SnapshotFile {
    /// The snapshot's position and the encoded state, after its checksum was compared.
    pub(super) fn read(&self) -> io::Result<(SnapshotMeta, Vec<u8>)> {
        let length = self.0.metadata()?.len();
        let mut bytes = Vec::new();
        ReadAt { file: &self.0, offset: 0 }.take(length).read_to_end(&mut bytes)?;
        let (header, payload) = bytes.split_at_checked(HEADER).ok_or_else(|| invalid("is cut off"))?;
        if header[..MAGIC.len()] != MAGIC {
            return Err(invalid("is not a snapshot that this program reads"));
        }
        let (crc, stored_length) = header[MAGIC.len()..].split_at(4);
        if stored_length != (payload.len() as u64).to_le_bytes() {
            return Err(invalid("is cut off"));
        }
        if crc != crc32c::crc32c(payload).to_le_bytes() {
            return Err(invalid("does not match its checksum"));
        }
        let snapshot = v1::Snapshot::decode(payload).map_err(|error| invalid(error.to_string()))?;
        let last_membership = snapshot.membership.unwrap_or_default();
        let meta = SnapshotMeta {
            last_log_id: snapshot.last.map(decode_log_id),
            last_membership: decode_stored_membership(last_membership)?,
        };
        Ok((meta, snapshot.state))
    }
}

impl SnapshotFile {
    /// Length in bytes.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// At most `length` bytes from `offset`; fewer at the end.
    pub(super) fn piece(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut piece = Vec::with_capacity(length);
        ReadAt { file: &self.0, offset }.take(length as u64).read_to_end(&mut piece)?;
        Ok(piece)
    }
}

/// A snapshot that another node sends. It is not the newest before it is installed.
pub(super) struct Incoming {
    file: File,
    written: u64,
}

impl Incoming {
    /// A file without a name, so that nothing is left of it after a crash.
    pub(super) fn begin(folder: &SnapshotFolder) -> io::Result<Incoming> {
        let path = folder.path.join(format!("incoming.{UNFINISHED}"));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Incoming { file, written: 0 })
    }

    /// Writes the next piece of a snapshot of so many bytes.
    pub(super) async fn add(mut self, piece: Vec<u8>, bytes: u64) -> io::Result<Incoming> {
        self.written += piece.len() as u64;
        if self.written > bytes {
            return Err(invalid("the snapshot is longer than announced"));
        }
        blocking(move || self.file.write_all(&piece).map(|()| self)).await
    }

    /// The snapshot, which must have so many bytes and match its checksum.
    pub(super) async fn finish(self, bytes: u64) -> io::Result<FileSnapshot> {
        let snapshot = SnapshotFile(Arc::new(self.file));
        if self.written != bytes {
            return Err(invalid("the snapshot is cut off"));
        }
        blocking(move || {
            let (meta, _) = snapshot.read()?;
            Ok(FileSnapshot { meta, snapshot })
        })
        .await
    }
}

pub(super) type FileSnapshot = openraft::alias::SnapshotOf<Types, SnapshotFile>;

/// Runs what waits for the disk where it may.
pub(super) async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(run).await.map_err(io::Error::other)?
}

struct ReadAt<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// The folder that holds the newest snapshot.
#[derive(Clone, Debug)]
pub(super) struct SnapshotFolder {
    path: PathBuf,
}

impl SnapshotFolder {
    /// Opens the snapshots below `dir`, removes what a crash left behind, and checks the newest.
    pub(super) fn open(dir: &Path) -> Result<SnapshotFolder, OpenError> {
        let path = dir.join("snapshots");
        let folder = SnapshotFolder { path: path.clone() };
        let prepare = || {
            std::fs::create_dir_all(&path)?;
            folder.remove_all_but(folder.newest()?.as_deref())?;
            File::open(dir)?.sync_all()
        };
        prepare().map_err(|source| OpenError::Io { path: path.clone(), source })?;
        folder.current().map_err(|error| OpenError::Damaged { path, what: error.to_string() })?;
        Ok(folder)
    }

    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The newest snapshot.
    pub(super) fn current(&self) -> io::Result<Option<(SnapshotMeta, SnapshotFile)>> {
        let Some(path) = self.newest()? else { return Ok(None) };
        let file = SnapshotFile(Arc::new(File::open(&path)?));
        let (meta, _) = file.read().map_err(|error| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            io::Error::new(error.kind(), format!("the snapshot {name} {error}"))
        })?;
        Ok(Some((meta, file)))
    }

    /// Writes a snapshot, makes it durable, and removes older ones.
    pub(super) fn write(&self, meta: &SnapshotMeta, state: Vec<u8>) -> io::Result<SnapshotFile> {
        let payload = v1::Snapshot {
            last: meta.last_log_id.as_ref().map(encode_log_id),
            membership: Some(encode_stored_membership(&meta.last_membership)),
            state,
        }
        .encode_to_vec();
        let (term, index) = meta.last_log_id.map_or((0, 0), |id| (id.leader_id.term, id.index));
        // Zero-padded, so that the newest sorts last.
        let path = self.path.join(format!("{index:020}-{term:020}.{EXTENSION}"));
        let unfinished = path.with_extension(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        file.write_all(&MAGIC)?;
        file.write_all(&crc32c::crc32c(&payload).to_le_bytes())?;
        file.write_all(&(payload.len() as u64).to_le_bytes())?;
        file.write_all(&payload)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        File::open(&self.path)?.sync_all()?;
        self.remove_all_but(Some(&path))?;
        Ok(SnapshotFile(Arc::new(File::open(&path)?)))
    }

    fn newest(&self) -> io::Result<Option<PathBuf>> {
        let paths = self.files()?.into_iter();
        Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION)).max())
    }

    fn remove_all_but(&self, kept: Option<&Path>) -> io::Result<()> {
        let mut superseded = self.files()?.into_iter().filter(|path| Some(path.as_path()) != kept);
        superseded.try_for_each(std::fs::remove_file)
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(&self.path)?.map(|entry| Ok(entry?.path())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::{LogId, StoredMembership};
    use super::*;

    fn meta(index: u64) -> SnapshotMeta {
        let last_log_id = Some(LogId::new_term_index(3, index));
        SnapshotMeta { last_log_id, last_membership: StoredMembership::default() }
    }

    #[test]
    fn a_newer_snapshot_replaces_the_older_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = SnapshotFolder::open(dir.path()).unwrap();
        assert!(folder.current().unwrap().is_none());
        let old = folder.write(&meta(9), b"old".to_vec()).unwrap();
        folder.write(&meta(10), b"new".to_vec()).unwrap();
        std::fs::write(dir.path().join("snapshots/x.unfinished"), b"torn").unwrap();

        let folder = SnapshotFolder::open(dir.path()).unwrap();
        let (found, file) = folder.current().unwrap().unwrap();
        assert_eq!((found, file.read().unwrap()), (meta(10), (meta(10), b"new".to_vec())));
        assert_eq!(folder.files().unwrap().len(), 1);
        assert_eq!(old.read().unwrap().1, b"old");
    }

    #[test]
    fn a_damaged_snapshot_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = SnapshotFolder::open(dir.path()).unwrap();
        folder.write(&meta(10), b"state".to_vec()).unwrap();
        let path = folder.newest().unwrap().unwrap();
        let good = std::fs::read(&path).unwrap();
        let mut flipped = good.clone();
        flipped[HEADER + 3] ^= 4;
        for (bytes, problem) in
            [(&flipped, "does not match its checksum"), (&good[..HEADER + 2].to_vec(), "is cut off")]
        {
            std::fs::write(&path, bytes).unwrap();
            let message = SnapshotFolder::open(dir.path()).unwrap_err().to_string();
            assert!(message.contains(problem) && message.contains("restore it from a backup"), "{message}");
        }
    }
}
