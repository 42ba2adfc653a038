//! The staging folder: files are digested as they are written, and nothing is left when the attempt fails.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use reel_common::{Artifact, DigestWriter, Failure, FailureClass};
use reel_proto::v1;

/// A staging folder. It is removed when it is dropped before [`Staging::finish`].
pub(super) struct Staging {
    folder: PathBuf,
    needed: u64,
    files: Vec<v1::OutputFile>,
    finished: bool,
    /// Held as long as the attempt lives, so that no other one of this job removes what it writes.
    _lock: File,
}

/// A file of the tree on its way.
pub(super) struct StagedFile {
    name: String,
    file: File,
    digest: DigestWriter,
    size: u64,
}

impl Staging {
    /// Makes the folder afresh beside `output`, after checking that `needed` bytes are free there.
    pub(super) fn create(output: &Path, job: u64, needed: u64) -> Result<Self, Failure> {
        let output = std::path::absolute(output).map_err(|error| unusable(output, needed, &error))?;
        let (Some(parent), Some(name)) = (output.parent(), output.file_name()) else {
            let error = io::Error::other("it is not the path of a folder in a folder");
            return Err(unusable(&output, needed, &error));
        };
        fs::create_dir_all(parent).map_err(|error| unusable(parent, needed, &error))?;
        let folder = parent.join(format!(".{}.reel-{job}.partial", name.to_string_lossy()));
        remove_left_over(&folder, needed)?;
        let free = rustix::fs::statvfs(parent).map_err(|error| unusable(parent, needed, &error.into()))?;
        let free = free.f_bavail.saturating_mul(free.f_frsize);
        if free < needed {
            return Err(shortage(parent, needed, &format!("{free} are free")));
        }
        fs::create_dir(&folder).map_err(|error| unusable(parent, needed, &error))?;
        let lock = File::open(&folder).map_err(|error| unusable(&folder, needed, &error))?;
        lock.try_lock().map_err(|error| in_use(&folder, &error))?;
        Ok(Staging { folder, needed, files: Vec::new(), finished: false, _lock: lock })
    }

    /// Opens a file of the tree; `path` is below the folder and uses `/`.
    pub(super) fn open(&self, path: &str) -> Result<StagedFile, Failure> {
        let full = self.folder.join(path);
        let created = full.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create_new(&full));
        let file = created.map_err(|error| self.failure(path, &error))?;
        Ok(StagedFile { name: path.to_owned(), file, digest: DigestWriter::default(), size: 0 })
    }

    /// Adds bytes to a file.
    pub(super) fn append(&self, file: &mut StagedFile, bytes: &[u8]) -> Result<(), Failure> {
        file.file.write_all(bytes).map_err(|error| self.failure(&file.name, &error))?;
        file.digest.add(bytes);
        file.size += bytes.len() as u64;
        Ok(())
    }

    /// Ends a file and lists it.
    pub(super) fn close(&mut self, file: StagedFile) {
        let artifact = Artifact { sha256: file.digest.finish(), size: file.size };
        self.files.push(v1::OutputFile { path: file.name, artifact: Some(artifact.into()) });
    }

    /// Writes a whole file.
    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let mut file = self.open(path)?;
        self.append(&mut file, bytes)?;
        self.close(file);
        Ok(())
    }

    /// Waits until everything is on the disk; the folder and the files in it.
    pub(super) fn finish(mut self) -> Result<(String, Vec<v1::OutputFile>), Failure> {
        let synced = File::open(&self.folder).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
        synced.map_err(|error| self.failure("", &error))?;
        self.finished = true;
        Ok((self.folder.to_string_lossy().into_owned(), std::mem::take(&mut self.files)))
    }

    fn failure(&self, path: &str, error: &io::Error) -> Failure {
        if is_shortage(error) {
            let folder = self.folder.parent().unwrap_or(&self.folder);
            return shortage(folder, self.needed, &error.to_string());
        }
        let path = self.folder.join(path);
        Failure::new(FailureClass::Failed, &format!("writing {} failed: {error}", path.display()), "")
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: the next attempt begins with the same removal.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
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
    use super::*;

    #[test]
    fn a_disk_that_fills_up_on_the_way_is_a_shortage_and_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let staging = Staging::create(&parent.path().join("out"), 7, 123).unwrap();
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut full =
            StagedFile { name: "1080p.mp4".to_owned(), file, digest: DigestWriter::default(), size: 0 };
        let failure = staging.append(&mut full, b"bytes").unwrap_err();
        assert_eq!(failure.class, FailureClass::Shortage);
        let folder = parent.path().display();
        let message = format!("not enough space in {folder}: the output takes 123 bytes while it is made");
        assert!(failure.message.starts_with(&message), "{}", failure.message);
        drop(staging);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
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
