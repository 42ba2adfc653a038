//! What the whole-farm tests share: media fixtures, an independent decoder, and the real programs under test.

pub mod ffmpeg;
pub mod fixtures;
pub mod reel;
pub mod signal;
pub mod tree;

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in a folder of the workspace")
}

/// Cargo's target folder, found from the place of the running test program (`target/debug/deps/NAME`).
pub fn target_dir() -> PathBuf {
    bin_dir().parent().expect("the profile folder lies in the target folder").to_owned()
}

/// The folder of the programs that were built with the tests (`target/debug`).
pub fn bin_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let dir = test.parent().expect("a program lies in a folder");
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir };
    dir.to_owned()
}

/// A fresh folder for one test, on the disk of the target folder; removed when dropped.
pub fn scratch() -> tempfile::TempDir {
    let parent = target_dir().join("test-scratch");
    std::fs::create_dir_all(&parent).expect("the target folder is writable");
    tempfile::Builder::new().prefix("reel-").tempdir_in(parent).expect("the target folder is writable")
}

/// The path of a test profile, by its name without `.toml`.
pub fn profile(name: &str) -> PathBuf {
    workspace().join("tests/profiles").join(format!("{name}.toml"))
}
