//! The job that is open in a home, written down so that a later command knows what an earlier one left behind.

use std::path::{Path, PathBuf};

use reel_common::JobId;
use serde::{Deserialize, Serialize};

use crate::exit::Stop;
use crate::home::Home;

/// The open job of a home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) job: JobId,
    /// The idempotency key of its command, without the number of the submission.
    pub(super) key: String,
    /// OUTPUT.
    pub(super) output: String,
}

/// Writes the open job down.
pub(super) fn open(home: &Home, entry: &Entry) -> Result<(), Stop> {
    let text = serde_json::to_vec(entry).map_err(anyhow::Error::from)?;
    let path = home.open_job();
    let draft = path.with_extension("new");
    let written = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &path));
    written.map_err(|error| Stop::failed(format!("cannot write {}: {error}", path.display())))
}

/// The open job, if any. A file that cannot be read says nothing; at worst a job stays open.
pub(super) fn read(home: &Home) -> Option<Entry> {
    let text = std::fs::read(home.open_job()).ok()?;
    serde_json::from_slice(&text).ok()
}

/// No job is open any more.
pub(super) fn close(home: &Home) {
    // It may not be there.
    let _ = std::fs::remove_file(home.open_job());
}

/// Removes what a job that is over has left beside its OUTPUT.
pub(super) fn clear_staging(output: &Path, job: JobId) {
    let Some(staging) = staging(output, job) else { return };
    match std::fs::remove_dir_all(&staging) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, staging = %staging.display(), "cannot remove a staging folder");
        }
        _ => {}
    }
}

/// Where assemble builds the tree: `.<name>.reel-<job>.partial` beside OUTPUT.
fn staging(output: &Path, job: JobId) -> Option<PathBuf> {
    let name = output.file_name()?.to_str()?;
    Some(output.with_file_name(format!(".{name}.reel-{job}.partial")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_job_is_remembered_until_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::enter(folder.path()).unwrap();
        let entry = Entry { job: JobId(7), key: "k".to_owned(), output: "/titles/movie".to_owned() };
        assert_eq!(read(&home), None);
        open(&home, &entry).unwrap();
        assert_eq!(read(&home), Some(entry));
        close(&home);
        assert_eq!(read(&home), None);
    }

    #[test]
    fn only_the_staging_folder_of_the_job_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("movie");
        for name in [".movie.reel-7.partial", ".movie.reel-8.partial", "movie"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        clear_staging(&output, JobId(7));
        clear_staging(&output, JobId(9));
        let left = [".movie.reel-7.partial", ".movie.reel-8.partial", "movie"];
        assert_eq!(left.map(|name| folder.path().join(name).exists()), [false, true, true]);
    }
}
