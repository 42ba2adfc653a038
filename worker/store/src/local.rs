//! A store in a local or mounted folder: whole files appear at their names, and only after they are on the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use reel_common::Artifact;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::StoreError;
use crate::hash::Hasher;
use crate::layout::Name;

/// Copies and digests go in blocks of this size.
pub(crate) const BLOCK_BYTES: usize = 1 << 20;
/// Temporary files begin so; only the holder of a folder's lock makes or removes them.
const TEMPORARY: &str = ".new-";

/// The folder that a store lives in.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    root: PathBuf,
}

/// What is to be written.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    Bytes(&'a [u8]),
    /// A file, and what it must turn out to be.
    File(&'a Path, Artifact),
}

/// The right to write into one folder of the store, against other threads and processes.
pub(crate) struct ShardLock {
    folder: PathBuf,
    _lock: File,
}

impl Local {
    pub(crate) fn open(root: &Path) -> Result<Self, StoreError> {
        let made = fs::create_dir_all(root).and_then(|()| root.canonicalize());
        let root = made.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                StoreError::BadUrl { url: root.display().to_string(), reason: error.to_string() }
            }
            _ => StoreError::from_io(root.display(), &error),
        })?;
        Ok(Local { root })
    }

    pub(crate) fn path(&self, name: &Name) -> PathBuf {
        self.root.join(&name.shard).join(&name.file)
    }

    /// The whole of a small file; `None` when there is none.
    pub(crate) fn read(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::from_io(path.display(), &error)),
            Ok(size) if size as u64 > limit => {
                Err(StoreError::TooLarge { name: path.display().to_string(), size: size as u64, limit })
            }
            Ok(_) => Ok(Some(bytes)),
        }
    }

    /// Size and digest of a file; `None` when there is none.
    pub(crate) fn digest(&self, name: &Name) -> Result<Option<Artifact>, StoreError> {
        match digest_file(&self.path(name)) {
            Err(StoreError::NotFound { .. }) => Ok(None),
            result => result.map(Some),
        }
    }

    /// The bytes `[start, end)` of a file.
    pub(crate) fn read_range(&self, name: &Name, start: u64, end: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path(name);
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => StoreError::Damaged {
                name: path.display().to_string(),
                reason: format!("it ends before byte {end}"),
            },
            _ => StoreError::from_io(path.display(), &error),
        };
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(usize::MAX)];
        File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, start)).map_err(failed)?;
        Ok(bytes)
    }

    /// Makes the folder where needed, locks it, and clears what a killed writer left.
    pub(crate) fn lock(&self, name: &Name) -> Result<ShardLock, StoreError> {
        let folder = self.root.join(&name.shard);
        let failed = |error: io::Error| StoreError::from_io(folder.display(), &error);
        make_folder(&self.root, &name.shard).map_err(failed)?;
        let lock = OpenOptions::new().create(true).append(true).open(folder.join(".lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(ShardLock { folder, _lock: lock })
    }
}

impl ShardLock {
    /// Writes a whole file at its name. Without `replace` an existing one is an error.
    pub(crate) fn write(&self, name: &Name, content: Content<'_>, replace: bool) -> Result<(), StoreError> {
        let path = self.folder.join(&name.file);
        let temporary = self.folder.join(format!("{TEMPORARY}{}", name.file));
        let written = write_through(&temporary, content).and_then(|()| {
            publish(&temporary, &path, replace)
                .and_then(|()| sync_folder(&self.folder))
                .map_err(|error| StoreError::from_io(path.display(), &error))
        });
        if written.is_err() {
            // Best effort: the next holder of the lock clears it otherwise.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Removes a file, durably.
    pub(crate) fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let path = self.folder.join(&name.file);
        match fs::remove_file(&path).and_then(|()| sync_folder(&self.folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::from_io(path.display(), &error))
            }
            _ => Ok(()),
        }
    }
}

/// Size and digest of a file anywhere.
pub(crate) fn digest_file(path: &Path) -> Result<Artifact, StoreError> {
    copy(path, &mut io::sink(), path)
}

fn copy(from: &Path, to: &mut impl Write, to_path: &Path) -> Result<Artifact, StoreError> {
    let reading = |error: io::Error| StoreError::from_io(from.display(), &error);
    let mut file = File::open(from).map_err(reading)?;
    let (mut hasher, mut block) = (Hasher::default(), vec![0; BLOCK_BYTES]);
    loop {
        match file.read(&mut block).map_err(reading)? {
            0 => return Ok(hasher.finish()),
            length => {
                hasher.update(&block[..length]);
                to.write_all(&block[..length])
                    .map_err(|error| StoreError::from_io(to_path.display(), &error))?;
            }
        }
    }
}

fn write_through(path: &Path, content: Content<'_>) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::from_io(path.display(), &error);
    let mut file = File::create(path).map_err(failed)?;
    match content {
        Content::Bytes(bytes) => file.write_all(bytes).map_err(failed)?,
        Content::File(from, expected) => {
            let copied = copy(from, &mut file, path)?;
            crate::hash::expect(from.display(), copied, expected)?;
        }
    }
    file.sync_all().map_err(failed)
}

fn publish(temporary: &Path, path: &Path, replace: bool) -> io::Result<()> {
    if replace {
        return fs::rename(temporary, path);
    }
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        // File systems without the flag (NFS, some FUSE) have hard links, which never replace either.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::hard_link(temporary, path)?;
            fs::remove_file(temporary)
        }
        result => Ok(result?),
    }
}

/// Makes `below` under `root` one folder at a time; each is durable before the next.
fn make_folder(root: &Path, below: &str) -> io::Result<()> {
    let mut folder = root.to_owned();
    for name in below.split('/') {
        let parent = folder.clone();
        folder.push(name);
        match fs::create_dir(&folder) {
            Ok(()) => sync_folder(&parent)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
