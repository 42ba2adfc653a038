//! The staging folder: files are digested as they are written, and nothing is left when the attempt fails.
//!
//! Files are not synchronised one by one: the disk begins to write each when it is closed, and is waited for once, when all are there.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reel_common::{Artifact, DigestWriter, Failure, FailureClass};
use reel_proto::v1;
use rustix::fs::Advice;

use super::fault;

/// A staging folder, and the files that were written to it through this value. It is removed when the last of its
/// [`Staging::branch`]es is dropped before [`Staging::finish`].
pub(crate) struct Staging {
    room: Arc<Room>,
    files: Vec<v1::OutputFile>,
}

/// What the branches of a staging folder share.
struct Room {
    folder: PathBuf,
    needed: u64,
    finished: AtomicBool,
    /// Held as long as the attempt lives, so that no other one of this job removes what it writes.
    lock: Arc<File>,
}

/// A file of the tree on its way.
pub(super) struct StagedFile {
    name: String,
    file: File,
    digest: DigestWriter,
    size: u64,
    /// Bytes at its beginning that are written last. Where there are some, it is digested when they are.
    head_bytes: u64,
}

impl StagedFile {
    /// Its path below the folder.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// A file is read back in blocks of this size.
const BLOCK_BYTES: usize = 1 << 20;

impl Staging {
    /// Makes the folder afresh beside `output`, after checking that `needed` bytes are free there.
    pub(super) fn create(output: &Path, job: u64, needed: u64) -> Result<Self, Failure> {
        let output = std::path::absolute(output).map_err(|error| unusable(output, needed, &error))?;
        let (Some(parent), Some(name)) = (output.parent(), output.file_name()) else {
            let error = io::Error::other("it is not the path of a folder in a folder");
            return Err(unusable(&output, needed, &error));
        };
        fs::create_dir_all(parent).map_err(|error| unusable(parent, needed, &error))?;
        let folder = parent.join(folder_name(&name.to_string_lossy(), job));
        remove_left_over(&folder, needed)?;
        let free = rustix::fs::statvfs(parent).map_err(|error| unusable(parent, needed, &error.into()))?;
        let free = free.f_bavail.saturating_mul(free.f_frsize);
        if free < needed {
            return Err(shortage(parent, needed, &format!("{free} are free")));
        }
        fs::create_dir(&folder).map_err(|error| unusable(parent, needed, &error))?;
        let lock = File::open(&folder).map_err(|error| unusable(&folder, needed, &error))?;
        lock.try_lock().map_err(|error| in_use(&folder, &error))?;
        let room = Room { folder, needed, finished: AtomicBool::new(false), lock: Arc::new(lock) };
        Ok(Staging { room: Arc::new(room), files: Vec::new() })
    }

    /// The same folder, for another thread, which lists its files by itself.
    pub(super) fn branch(&self) -> Self {
        Staging { room: Arc::clone(&self.room), files: Vec::new() }
    }

    /// Lists the files of a branch behind its own.
    pub(super) fn merge(&mut self, mut branch: Staging) {
        self.files.append(&mut branch.files);
    }

    /// Removes a folder that an attempt left which has ended; one that still runs removes its own.
    pub(crate) fn clean_up(output: &Path, job: u64) {
        let name = output.file_name().unwrap_or_default().to_string_lossy();
        let folder = output.with_file_name(folder_name(&name, job));
        if let Err(failure) = remove_left_over(&folder, 0) {
            tracing::warn!(folder = %folder.display(), reason = failure.message, "it stays behind");
        }
    }

    /// Opens a file of the tree; `path` is below the folder and uses `/`.
    pub(super) fn open(&self, path: &str) -> Result<StagedFile, Failure> {
        let full = self.room.folder.join(path);
        let created = match File::create_new(&full) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                full.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create_new(&full))
            }
            created => created,
        };
        let file = created.map_err(|error| self.failure(path, &error))?;
        let (name, digest) = (path.to_owned(), DigestWriter::default());
        Ok(StagedFile { name, file, digest, size: 0, head_bytes: 0 })
    }

    /// The same, with so many bytes left open at its beginning; [`Staging::close_with`] ends it.
    pub(super) fn open_behind(&self, path: &str, head_bytes: u64) -> Result<StagedFile, Failure> {
        let mut file = self.open(path)?;
        file.file.seek(SeekFrom::Start(head_bytes)).map_err(|error| self.failure(path, &error))?;
        Ok(StagedFile { size: head_bytes, head_bytes, ..file })
    }

    /// Adds bytes to a file.
    pub(super) fn append(&self, file: &mut StagedFile, bytes: &[u8]) -> Result<(), Failure> {
        file.file.write_all(bytes).map_err(|error| self.failure(&file.name, &error))?;
        if file.head_bytes == 0 {
            file.digest.add(bytes);
        }
        file.size += bytes.len() as u64;
        Ok(())
    }

    /// Ends a file and lists it. The disk begins to write it.
    pub(super) fn close(&mut self, file: StagedFile) {
        // What is not written yet is not forgotten either. File systems that do not know of it begin later.
        let _ = rustix::fs::fadvise(&file.file, 0, None, Advice::DontNeed);
        let artifact = Artifact { sha256: file.digest.finish(), size: file.size };
        self.files.push(v1::OutputFile { path: file.name, artifact: Some(artifact.into()) });
    }

    /// Writes the head of a file that was opened behind it, digests the file, and lists it. `advance` is told bytes that were read.
    pub(super) fn close_with(
        &mut self,
        mut file: StagedFile,
        head: &[u8],
        advance: &dyn Fn(u64),
    ) -> Result<(), Failure> {
        if head.len() as u64 != file.head_bytes {
            let (name, left, bytes) = (&file.name, file.head_bytes, head.len());
            return Err(fault(&format!("{name}: {left} bytes were left open for a head of {bytes}")));
        }
        file.file.write_all_at(head, 0).map_err(|error| self.failure(&file.name, &error))?;
        let (mut block, mut offset) = (vec![0; BLOCK_BYTES], 0);
        while offset < file.size {
            let length = (file.size - offset).min(block.len() as u64);
            let bytes = &mut block[..length as usize];
            file.file.read_exact_at(bytes, offset).map_err(|error| self.failure(&file.name, &error))?;
            file.digest.add(bytes);
            advance(length);
            offset += length;
        }
        self.close(file);
        Ok(())
    }

    /// Writes a whole file.
    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let mut file = self.open(path)?;
        self.append(&mut file, bytes)?;
        self.close(file);
        Ok(())
    }

    /// Waits until everything is on the disk; the folder and the files in it.
    pub(super) fn finish(self) -> Result<(String, Vec<v1::OutputFile>), Failure> {
        let synced = File::open(&self.room.folder).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
        synced.map_err(|error| self.failure("", &error))?;
        let (folder, files, _) = self.hand_over();
        Ok((folder, files))
    }

    /// The folder and the files in it, which may be lost with the machine, and what keeps other attempts away from them.
    pub(super) fn hand_over(self) -> (String, Vec<v1::OutputFile>, Arc<File>) {
        self.room.finished.store(true, Ordering::Relaxed);
        let folder = self.room.folder.to_string_lossy().into_owned();
        (folder, self.files, Arc::clone(&self.room.lock))
    }

    fn failure(&self, path: &str, error: &io::Error) -> Failure {
        let Room { folder, needed, .. } = &*self.room;
        if is_shortage(error) {
            return shortage(folder.parent().unwrap_or(folder), *needed, &error.to_string());
        }
        let path = folder.join(path);
        Failure::new(FailureClass::Failed, &format!("writing {} failed: {error}", path.display()), "")
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !*self.finished.get_mut() {
            // Best effort: the next attempt begins with the same removal.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

fn folder_name(output: &str, job: u64) -> String {
    format!(".{output}.reel-{job}.partial")
}

/// Removes what an attempt that has ended left; one that still runs is left alone.
fn remove_left_over(folder: &Path, needed: u64) -> Result<(), Failure> {
    let found = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|error| unusable(folder, needed, &error))?,
    };
    if !found.is_dir() {
        return fs::remove_file(folder).map_err(|error| unusable(folder, needed, &error));
    }
    let lock = File::open(folder).map_err(|error| unusable(folder, needed, &error))?;
    lock.try_lock().map_err(|error| in_use(folder, &error))?;
    fs::remove_dir_all(folder).map_err(|error| unusable(folder, needed, &error))
}

fn in_use(folder: &Path, error: &TryLockError) -> Failure {
    let what = match error {
        TryLockError::WouldBlock => "an earlier attempt of this job still writes to it".to_owned(),
        TryLockError::Error(error) => error.to_string(),
    };
    Failure::new(FailureClass::Failed, &format!("{} cannot be locked: {what}", folder.display()), "")
}

/// A destination that cannot be prepared is the user's to change, unless only space is short.
fn unusable(path: &Path, needed: u64, error: &io::Error) -> Failure {
    if is_shortage(error) {
        return shortage(path, needed, &error.to_string());
    }
    let hint = "choose another destination or change the permissions of the folder";
    Failure::new(FailureClass::Invalid, &format!("cannot write to {}: {error}; {hint}", path.display()), "")
}

fn is_shortage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn shortage(folder: &Path, needed: u64, found: &str) -> Failure {
    let message = format!(
        "not enough space in {}: the output takes {needed} bytes while it is made, {found}; free some space there or \
         choose another destination",
        folder.display()
    );
    Failure::new(FailureClass::Shortage, &message, "")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_disk_that_fills_up_on_the_way_is_a_shortage_and_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let staging = Staging::create(&parent.path().join("out"), 7, 123).unwrap();
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut full = StagedFile {
            name: "1080p.mp4".to_owned(),
            file,
            digest: DigestWriter::default(),
            size: 0,
            head_bytes: 0,
        };
        let failure = staging.append(&mut full, b"bytes").unwrap_err();
        assert_eq!(failure.class, FailureClass::Shortage);
        let folder = parent.path().display();
        let message = format!("not enough space in {folder}: the output takes 123 bytes while it is made");
        assert!(failure.message.starts_with(&message), "{}", failure.message);
        drop(staging);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_goes_with_the_last_thread_that_writes_to_it_unless_it_is_finished() {
        let parent = tempfile::tempdir().unwrap();
        let output = parent.path().join("out");
        let staging = Staging::create(&output, 7, 0).unwrap();
        let mut branch = staging.branch();
        drop(staging);
        branch.write("a/b", b"1").unwrap();
        let folder = parent.path().join(".out.reel-7.partial");
        assert!(folder.join("a/b").exists());
        drop(branch);
        assert!(!folder.exists());
        let mut staging = Staging::create(&output, 7, 0).unwrap();
        let mut branches = ["c", "b"].map(|name| (name, staging.branch()));
        branches.iter_mut().for_each(|(name, branch)| branch.write(name, b"1").unwrap());
        staging.write("a", b"1").unwrap();
        branches.into_iter().for_each(|(_, branch)| staging.merge(branch));
        let (_, files) = staging.finish().unwrap();
        assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a", "c", "b"]);
        assert!(folder.exists());
    }

    #[test]
    fn a_file_whose_head_is_written_last_is_digested_as_it_is() {
        let parent = tempfile::tempdir().unwrap();
        let mut staging = Staging::create(&parent.path().join("out"), 7, 0).unwrap();
        let body = vec![7; 2 * BLOCK_BYTES + 3];
        let mut file = staging.open_behind("a/media.mp4", 4).unwrap();
        staging.append(&mut file, &body).unwrap();
        let read = Cell::new(0);
        staging.close_with(file, b"head", &|bytes| read.set(read.get() + bytes)).unwrap();
        let file = staging.open_behind("b", 3).unwrap();
        let failure = staging.close_with(file, b"head", &|_| ()).unwrap_err();
        assert_eq!(failure.message, "b: 3 bytes were left open for a head of 4");
        let (folder, files) = staging.finish().unwrap();
        let whole = [b"head", body.as_slice()].concat();
        assert_eq!(fs::read(Path::new(&folder).join("a/media.mp4")).unwrap(), whole);
        assert_eq!((files.len(), read.get()), (1, whole.len() as u64));
        assert_eq!(files[0].artifact, Some(Artifact::of(&whole).into()));
    }

    #[test]
    fn a_file_in_the_place_of_the_staging_folder_goes() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join(".out.reel-7.partial"), "x").unwrap();
        let (folder, files) = Staging::create(&parent.path().join("out"), 7, 0).unwrap().finish().unwrap();
        assert!(Path::new(&folder).is_dir());
        assert!(files.is_empty());
    }

    #[test]
    fn an_attempt_never_removes_what_another_one_writes() {
        let parent = tempfile::tempdir().unwrap();
        let output = parent.path().join("out");
        let mut first = Staging::create(&output, 7, 0).unwrap();
        first.write("a", b"1").unwrap();
        let failure = Staging::create(&output, 7, 0).err().unwrap();
        assert_eq!(failure.class, FailureClass::Failed);
        assert!(failure.message.ends_with("an earlier attempt of this job still writes to it"));
        let (folder, _) = first.finish().unwrap();
        assert_eq!(fs::read(Path::new(&folder).join("a")).unwrap(), b"1");
        drop(Staging::create(&output, 7, 0).unwrap());
        assert!(!Path::new(&folder).exists());
    }
}
