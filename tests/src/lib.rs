//! What the whole-farm tests share: media fixtures, an independent decoder, servers, and the real programs under test.

pub mod captions;
pub mod clouds;
pub mod command_lines;
pub mod dashboards;
pub mod disk;
pub mod farm;
pub mod ffmpeg;
pub mod fixtures;
pub mod http;
pub mod key_server;
pub mod mediainfo;
pub mod metadata;
pub mod paff;
pub mod pages;
pub mod readers;
pub mod reel;
pub mod runner_logs;
pub mod servers;
pub mod signal;
pub mod sources;
pub mod telecine;
pub mod terminal;
pub mod tree;
pub mod weather;

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

/// Writes a profile with one small rendition, in parts of 4 s of two segments, and what else is said: `[package]`, tracks.
pub fn small_profile(dir: &Path, name: &str, more: &str) -> PathBuf {
    let text = format!(
        "name = \"small\"\nversion = 1\nsegment_seconds = 2\npart_seconds = 4\n\
         [[video]]\nname = \"180p\"\ncodec = \"h264\"\nheight = 180\npreset = \"ultrafast\"\nrate = {{ crf = 30 }}\n{more}\n"
    );
    let path = dir.join(format!("{name}.toml"));
    std::fs::write(&path, text).expect("a writable folder");
    path
}

/// Numbers that follow from a seed alone (SplitMix64), for tests that vary from run to run and can be replayed.
pub struct Dice {
    /// What to set `REEL_TEST_SEED` to for the same numbers again.
    pub seed: u64,
    state: u64,
}

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Dice { seed, state: seed }
    }

    /// From the environment variable `REEL_TEST_SEED`, or else from the clock.
    pub fn from_env() -> Self {
        let given = std::env::var("REEL_TEST_SEED").ok();
        Self::new(given.map_or_else(clock_seed, |text| text.parse().expect("REEL_TEST_SEED is a number")))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn clock_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::from(now.expect("the clock is past 1970").subsec_nanos())
}
