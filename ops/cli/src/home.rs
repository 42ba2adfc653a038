//! The home: the folder that holds the farm's state, the store and scratch, and the lock that lets one process in.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::args::HomeChoice;
use crate::environment;
use crate::exit::Stop;

/// A process that was killed needs a moment until it is gone and its lock with it.
const PATIENCE: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(20);

/// A home that this process has for itself; dropping it lets others in.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    _lock: File,
}

impl Home {
    /// Makes the home where needed and takes its lock.
    ///
    /// # Errors
    /// Refused where another process has it; failed where it cannot be made or written.
    pub(crate) fn enter(path: &Path) -> Result<Self, Stop> {
        let shown = path.display();
        let failed = |error: std::io::Error| Stop::failed(format!("cannot use the home {shown}: {error}"));
        for folder in [path.to_owned(), path.join("farm"), path.join("store"), path.join("scratch")] {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        let mut lock = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))
            .map_err(failed)?;
        match lock_in_time(&lock) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(taken(path, &mut lock)),
            Err(error) => return Err(failed(error.into())),
        }
        let id = format!("{}\n", std::process::id());
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| lock.write_all(id.as_bytes()))
            .map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        Ok(Home { path, _lock: lock })
    }

    /// The folder itself, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the scheduler keeps its log.
    pub(crate) fn farm(&self) -> PathBuf {
        self.path.join("farm")
    }

    /// Where artifacts are.
    pub(crate) fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Where the open job is written down.
    pub(crate) fn open_job(&self) -> PathBuf {
        self.path.join("open-job.json")
    }

    /// Where attempts work.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }
}

fn lock_in_time(lock: &File) -> Result<(), Errno> {
    let start = Instant::now();
    loop {
        match flock(lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if start.elapsed() < PATIENCE => std::thread::sleep(RETRY),
            result => return result,
        }
    }
}

fn taken(path: &Path, lock: &mut File) -> Stop {
    let mut id = String::new();
    // The holder writes its id after it has the lock, so there may be none yet.
    let _ = lock.take(32).read_to_string(&mut id);
    let who = match id.trim().parse::<u32>() {
        Ok(id) => format!("process {id}"),
        Err(_) => "another process".to_owned(),
    };
    let shown = path.display();
    Stop::refused(format!("{who} works in the home {shown}: wait for it, or give another --home"))
}

/// The home's absolute path: as typed, from the environment, or the default.
pub(crate) fn locate(choice: HomeChoice) -> Result<PathBuf, Stop> {
    let path = match choice.folder.filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => folder,
        None => default_home()?,
    };
    let path = std::path::absolute(&path)
        .map_err(|error| Stop::failed(format!("cannot resolve the home {}: {error}", path.display())))?;
    // The store and the farm are named in messages that are text.
    match path.to_str() {
        Some(_) => Ok(path.canonicalize().unwrap_or(path)),
        None => Err(Stop::usage(format!("the home {} is not UTF-8: use another --home", path.display()))),
    }
}

fn default_home() -> Result<PathBuf, Stop> {
    // XDG base directory specification: a relative path is to be ignored.
    let base =
        environment::value(environment::STATE_HOME).map(PathBuf::from).filter(|path| path.is_absolute());
    let user =
        || environment::value(environment::USER_HOME).map(|home| PathBuf::from(home).join(".local/state"));
    match base.or_else(user) {
        Some(base) => Ok(base.join("reel")),
        None => Err(Stop::usage("there is no $HOME to keep state in: give --home")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_home_takes_one_process_and_names_it_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let first = Home::enter(folder.path()).unwrap();
        let refused = Home::enter(folder.path()).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
        assert!(refused.message.contains(&format!("process {}", std::process::id())), "{}", refused.message);
        drop(first);
        assert!(Home::enter(folder.path()).is_ok());
    }

    #[test]
    fn a_home_that_is_a_file_is_a_failure() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(Home::enter(file.path()).unwrap_err().exit, Exit::Failed);
    }
}
