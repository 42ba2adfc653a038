//! OUTPUT as it was typed: whether a title may be delivered there.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use reel_common::{is_remote, redacted, secret_problem};
use reel_store::StoreError;
use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use crate::exit::Stop;
use crate::input;

/// The report that every delivered title holds.
pub(crate) const REPORT: &str = "report.json";
/// The report of the longest title with the longest history stays far below.
pub(crate) const MAX_REPORT_BYTES: u64 = 256 << 20;
/// Longest name of a folder on Linux file systems, less what the staging folder's name adds.
const MAX_NAME_BYTES: usize = 200;

/// A place where a title may be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A folder: absolute; its parent exists.
    Folder(PathBuf),
    /// The URL of a prefix of an object store.
    Prefix(String),
}

/// The URL of a prefix of an object store; `None` for what is typed as a path or as a file URL.
///
/// # Errors
/// Wrong usage where it holds a secret, or is of no store that a title can be delivered to.
pub(crate) fn prefix(typed: &str) -> Option<Result<String, Stop>> {
    let wrong = |what: &str| Stop::usage(format!("OUTPUT {} {what}", redacted(typed)));
    is_remote(typed).then(|| match secret_problem(typed) {
        Some(problem) => Err(wrong(problem)),
        None => match reel_store::Destination::open(typed) {
            Ok(destination) => Ok(destination.location().to_owned()),
            Err(StoreError::BadUrl { reason, .. }) => Err(wrong(&format!(
                "cannot take a title: {reason}; give a folder, or an s3://, gs:// or az:// URL"
            ))),
            Err(error) => Err(Stop::failed(error.to_string())),
        },
    })
}

impl Destination {
    /// Checks OUTPUT against the mezzanine and the home, and makes its parent folders.
    ///
    /// # Errors
    /// Refused where something is there that is no title of ours; wrong usage where OUTPUT is, holds or lies in what it
    /// must not; failed where the file system does not let us write.
    pub(crate) fn prepare(typed: &Path, mezzanine: Option<&Path>, home: &Path) -> Result<Self, Stop> {
        if let Some(prefix) = typed.to_str().and_then(prefix) {
            return prefix.map(Destination::Prefix);
        }
        // A path that is not UTF-8 is told so below.
        let typed = &match typed.to_str().map(input::local_path) {
            Some(Some(path)) => path,
            Some(None) => {
                let shown = typed.display();
                return Err(Stop::usage(format!(
                    "{shown}: a file URL names no host and has an absolute path"
                )));
            }
            None => typed.to_owned(),
        };
        let shown = typed.display();
        let path = absolute(typed)?;
        let text =
            path.to_str().ok_or_else(|| Stop::usage(format!("{shown} is not UTF-8: use another OUTPUT")))?;
        if text.chars().any(char::is_control) {
            return Err(Stop::usage(format!("{text:?} holds control characters: use another OUTPUT")));
        }
        if path.file_name().is_none_or(|name| name.len() > MAX_NAME_BYTES) {
            return Err(Stop::usage(format!("{shown} is no name for a folder: use another OUTPUT")));
        }
        if let Some(mezzanine) = mezzanine.filter(|mezzanine| mezzanine.starts_with(&path)) {
            let reason =
                format!("{shown} is or holds the mezzanine {}: use another OUTPUT", mezzanine.display());
            return Err(Stop::usage(reason));
        }
        if home.starts_with(&path) || path.starts_with(home) {
            let reason = format!("{shown} overlaps the home {}: use another OUTPUT", home.display());
            return Err(Stop::usage(reason));
        }
        occupied(&path)?;
        make_parent(&path)?;
        Ok(Destination::Folder(path))
    }

    /// As jobs name it.
    pub(crate) fn location(&self) -> String {
        match self {
            Destination::Folder(path) => path.display().to_string(),
            Destination::Prefix(url) => url.clone(),
        }
    }

    /// The folder, if it is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Destination::Folder(path) => Some(path),
            Destination::Prefix(_) => None,
        }
    }

    /// The report of the title that is there now, if it can be read. Not to be called where a runtime may not wait.
    pub(crate) fn report(&self) -> Option<Vec<u8>> {
        match self {
            Destination::Folder(path) => fs::read(path.join(REPORT)).ok(),
            // Its store waits in a runtime of its own, which another one does not allow in its threads.
            Destination::Prefix(url) => std::thread::scope(|scope| {
                let read = || {
                    let destination = reel_store::Destination::open(url)?;
                    // While a delivery is under way, or was broken off, there is no whole title.
                    match destination.read(reel_store::Destination::CLAIM, MAX_REPORT_BYTES)? {
                        Some(_) => Ok::<_, StoreError>(None),
                        None => destination.read(REPORT, MAX_REPORT_BYTES),
                    }
                };
                scope.spawn(read).join().ok()?.ok()?
            }),
        }
    }
}

/// Resolves links and dots in the part of a path that exists; the rest is appended.
fn absolute(typed: &Path) -> Result<PathBuf, Stop> {
    let shown = typed.display();
    let failed = |error| Stop::failed(format!("cannot resolve OUTPUT {shown}: {error}"));
    let mut base = std::path::absolute(typed).map_err(failed)?;
    let mut rest: Vec<std::ffi::OsString> = Vec::new();
    loop {
        match base.canonicalize() {
            Ok(found) => return Ok(rest.iter().rev().fold(found, |path, name| path.join(name))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if base.symlink_metadata().is_ok() {
                    let link = base.display();
                    return Err(Stop::refused(format!("{link} is a link to nowhere: use another OUTPUT")));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotADirectory => {}
            Err(error) => return Err(failed(error)),
        }
        match base.file_name().map(OsStr::to_owned) {
            Some(name) => rest.push(name),
            None => return Err(Stop::usage(format!("{shown} steps out of a folder that is not there"))),
        }
        base.pop();
    }
}

/// Refuses an OUTPUT that is there and is neither empty nor a title of ours.
fn occupied(path: &Path) -> Result<(), Stop> {
    let shown = path.display();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(Stop::failed(format!("cannot look at OUTPUT {shown}: {error}"))),
    };
    if !metadata.is_dir() {
        return Err(Stop::refused(format!("{shown} is a file, and a title is a folder: use another OUTPUT")));
    }
    if is_mount_point(path) {
        let reason = "is where a file system is mounted, and a title takes the place of its folder";
        return Err(Stop::refused(format!("{shown} {reason}: give a folder in it as OUTPUT")));
    }
    let mut entries =
        fs::read_dir(path).map_err(|error| Stop::failed(format!("cannot look into {shown}: {error}")))?;
    if entries.next().is_none() || is_title(path) || is_preview(path) {
        return Ok(());
    }
    let reason = "holds files that are no title of reel: use another OUTPUT, or move them away";
    Err(Stop::refused(format!("{shown} {reason}")))
}

/// Whether a file system begins at a folder; `false` where the system does not say.
fn is_mount_point(path: &Path) -> bool {
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::empty());
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Whether a folder holds a report of ours, and so may be replaced.
fn is_title(path: &Path) -> bool {
    let text = fs::read(path.join(REPORT)).unwrap_or_default();
    let report: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    report["job"]["id"].is_u64() && report["job"]["assembly"].is_string()
}

/// Whether a folder holds the beginning of a title of ours.
fn is_preview(path: &Path) -> bool {
    let text = fs::read(path.join(reel_store::Destination::CLAIM)).unwrap_or_default();
    let claim: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    claim["id"].is_u64() && claim["shown_parts"].is_u64()
}

fn make_parent(path: &Path) -> Result<(), Stop> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let (shown, folder) = (path.display(), parent.display());
    fs::create_dir_all(parent).map_err(|error| match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            Stop::usage(format!("{shown} lies below a file: use another OUTPUT"))
        }
        _ => Stop::failed(format!("cannot make the folder {folder} for OUTPUT: {error}")),
    })?;
    rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        Stop::failed(format!(
            "cannot write OUTPUT {shown}: the folder {folder} says {}",
            std::io::Error::from(error)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    struct Place {
        root: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            Place { root: tempfile::tempdir().unwrap() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().canonicalize().unwrap().join(name)
        }

        fn prepare(&self, name: &str) -> Result<Destination, Exit> {
            let (home, mezzanine) = (self.path("home"), self.path("in/movie.mov"));
            let prepared = Destination::prepare(&self.root.path().join(name), Some(&mezzanine), &home);
            prepared.map_err(|stop| stop.exit)
        }
    }

    #[test]
    fn an_absent_output_gets_its_parents_and_an_empty_one_is_taken() {
        let place = Place::new();
        let there = Destination::Folder(place.path("a/b/title"));
        assert_eq!(place.prepare("a/b/title"), Ok(there.clone()));
        assert!(place.path("a/b").is_dir() && !there.folder().unwrap().exists());
        fs::create_dir(there.folder().unwrap()).unwrap();
        assert_eq!(place.prepare("a/./b/../b/title"), Ok(there));
    }

    #[test]
    fn foreign_files_are_never_replaced() {
        let place = Place::new();
        fs::create_dir(place.path("photos")).unwrap();
        fs::write(place.path("photos/one.jpg"), b"x").unwrap();
        fs::write(place.path("file"), b"x").unwrap();
        std::os::unix::fs::symlink(place.path("nowhere"), place.path("link")).unwrap();
        assert_eq!(place.prepare("photos"), Err(Exit::Refused));
        assert_eq!(place.prepare("file"), Err(Exit::Refused));
        assert_eq!(place.prepare("link"), Err(Exit::Refused));
        fs::write(place.path("photos/report.json"), b"{\"job\": 1}").unwrap();
        assert_eq!(place.prepare("photos"), Err(Exit::Refused), "a report that is not ours");
        fs::write(place.path("photos/report.json"), br#"{"job": {"id": 1, "assembly": "00"}}"#).unwrap();
        assert!(place.prepare("photos").is_ok(), "an earlier title");
    }

    #[test]
    fn a_file_system_is_no_title() {
        let place = Place::new();
        assert!(is_mount_point(Path::new("/proc")) && !is_mount_point(place.root.path()));
        let prepared = Destination::prepare(Path::new("/proc"), None, &place.path("home"));
        let stop = prepared.unwrap_err();
        assert!(
            stop.exit == Exit::Refused && stop.message.contains("give a folder in it"),
            "{}",
            stop.message
        );
    }

    #[test]
    fn an_output_that_would_swallow_something_is_wrong_usage() {
        let place = Place::new();
        fs::create_dir_all(place.path("in")).unwrap();
        fs::create_dir_all(place.path("home/store")).unwrap();
        fs::write(place.path("file"), b"x").unwrap();
        for name in ["in", "in/movie.mov", "", "home", "home/store/title", "file/title"] {
            assert_eq!(place.prepare(name), Err(Exit::Usage), "{name}");
        }
        assert!(place.prepare("in/title").is_ok(), "beside the mezzanine is fine");
    }

    #[test]
    fn names_that_cannot_be_folders_are_wrong_usage() {
        let place = Place::new();
        for name in [
            "a\nb",
            &"x".repeat(250),
            "s3://bucket",
            "ftp://host/title",
            "https://host/title",
            "s3://b/t?sig=x",
        ] {
            let prepared = Destination::prepare(Path::new(name), None, &place.path("home"));
            assert_eq!(prepared.map_err(|stop| stop.exit), Err(Exit::Usage), "{name}");
        }
    }
}
