//! Scratch folders: one for each attempt, removed when it ends, and cleared when an agent starts.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Component, Path, PathBuf};

use reel_common::{Epoch, Failure, FailureClass, TaskId};

use crate::StartError;

/// The scratch folder of an agent. Holding it keeps other agents out.
#[derive(Debug)]
pub(crate) struct Scratch {
    root: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Takes the folder for this agent and removes what an earlier one left.
    pub(crate) fn open(root: &Path) -> Result<Self, StartError> {
        let failed = |reason: String| StartError::Scratch { folder: root.display().to_string(), reason };
        let io_failed = |error: io::Error| failed(error.to_string());
        fs::create_dir_all(root).map_err(io_failed)?;
        let root = root.canonicalize().map_err(io_failed)?;
        let lock =
            OpenOptions::new().create(true).append(true).open(root.join(".lock")).map_err(io_failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => failed("another agent uses it; give each agent its own".to_owned()),
            TryLockError::Error(error) => io_failed(error),
        })?;
        for entry in fs::read_dir(&root).map_err(io_failed)? {
            let path = entry.map_err(io_failed)?.path();
            if is_attempt(&path) {
                fs::remove_dir_all(&path).map_err(io_failed)?;
            }
        }
        Ok(Scratch { root, _lock: lock })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one attempt.
    pub(crate) fn folder(&self, task: TaskId, epoch: Epoch) -> PathBuf {
        self.root.join(format!("{}-{}-{}-{}", task.job, task.stage, task.index, epoch))
    }
}

/// Whether a name is that of an attempt's folder, so that nothing of anybody else's is removed.
fn is_attempt(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fields: Vec<&str> = name.split('-').collect();
    let [job, stage, index, epoch] = fields[..] else { return false };
    format!("{job}/{stage}/{index}").parse::<TaskId>().is_ok() && epoch.parse::<u64>().is_ok()
}

/// Makes the folder of an attempt, empty.
pub(crate) fn make(folder: &Path) -> Result<(), Failure> {
    let made = remove(folder).and_then(|()| fs::create_dir_all(folder));
    made.map_err(|error| {
        let class = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureClass::Shortage,
            _ => FailureClass::Failed,
        };
        Failure::new(class, &format!("scratch folder {}: {error}", folder.display()), "")
    })
}

/// Removes the folder of an attempt, if it is there.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The path of a file that a runner names, which lies in the attempt's own folder.
pub(crate) fn file(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(name)), None) => Ok(folder.join(name)),
        _ => {
            let message = format!("the runner named `{name}`, which is not a file of its scratch folder");
            Err(Failure::new(FailureClass::Failed, &message, ""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_agent_removes_the_attempts_of_the_last_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        for name in ["42-encode-7-1234", "42-encode-7", "keep-encode-7-1"] {
            fs::create_dir_all(root.path().join(name).join("below")).unwrap();
        }
        let scratch = Scratch::open(root.path()).unwrap();
        let left: Vec<bool> = ["42-encode-7-1234", "42-encode-7", "keep-encode-7-1"]
            .map(|name| scratch.root().join(name).exists())
            .to_vec();
        assert_eq!(left, [false, true, true]);
    }

    #[test]
    fn two_agents_do_not_share_a_scratch_folder() {
        let root = tempfile::tempdir().unwrap();
        let first = Scratch::open(root.path()).unwrap();
        assert!(matches!(Scratch::open(root.path()), Err(StartError::Scratch { .. })));
        drop(first);
        Scratch::open(root.path()).unwrap();
    }

    #[test]
    fn a_runner_names_files_of_its_own_folder_only() {
        let folder = Path::new("/scratch/1-encode-0-9");
        assert_eq!(file(folder, "0-720p.m4s").unwrap(), folder.join("0-720p.m4s"));
        for name in ["", "..", "a/b", "/etc/passwd", "../x", "."] {
            assert!(file(folder, name).is_err(), "{name}");
        }
    }
}
