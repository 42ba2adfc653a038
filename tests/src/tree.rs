//! Folders as lists of files and digests, to compare two outputs bit for bit.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use reel_common::Digest;

use crate::reel::Reel;
use crate::scratch;

/// All files below `root`, in order, as paths relative to it.
pub fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        let entries = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.push(path.strip_prefix(root).expect("it lies below").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The delivered bytes: digest of each file below `output` but for `report.json`, which tells who did what and when.
pub fn digests(output: &Path) -> BTreeMap<PathBuf, Digest> {
    let read = |path: &PathBuf| Digest::of(&fs::read(output.join(path)).expect("a readable file"));
    let delivered = files(output).into_iter().filter(|path| path != Path::new("report.json"));
    delivered.map(|path| (path.clone(), read(&path))).collect()
}

/// Panics with the names of the files that are not the same.
pub fn assert_same(left: &BTreeMap<PathBuf, Digest>, right: &BTreeMap<PathBuf, Digest>, what: &str) {
    let names = left.keys().chain(right.keys());
    let mut different: Vec<_> = names.filter(|name| left.get(*name) != right.get(*name)).collect();
    different.sort();
    different.dedup();
    assert!(different.is_empty(), "{what}: not the same bytes: {different:?}");
    assert!(!left.is_empty(), "{what}: nothing was delivered");
}

/// The title has the same bytes with each of the settings, which are options of `reel transcode`.
pub fn assert_settings_change_no_byte(mezzanine: &Path, profile: &Path, settings: &[&str]) {
    let mut first = None;
    for options in settings {
        let dir = scratch();
        let output = dir.path().join("title");
        Reel::transcode(dir.path(), mezzanine, &output, profile).args(options).arg("--quiet").run().success();
        let made = digests(&output);
        assert_same(first.get_or_insert_with(|| made.clone()), &made, options);
    }
}

/// Inode and time of change (in ns) of each finished part in the store of `home`: equal as long as nobody wrote it again.
pub fn stored_parts(home: &Path) -> BTreeMap<PathBuf, (u64, i64)> {
    let parts = home.join("store/parts");
    if !parts.is_dir() {
        return BTreeMap::new();
    }
    let mark = |path: &PathBuf| {
        let meta = fs::metadata(parts.join(path)).ok()?;
        Some((path.clone(), (meta.ino(), meta.mtime() * 1_000_000_000 + meta.mtime_nsec())))
    };
    // A file that is being written is hidden until it is whole.
    let is_hidden =
        |path: &&PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    files(&parts).iter().filter(|path| !is_hidden(path)).filter_map(mark).collect()
}
