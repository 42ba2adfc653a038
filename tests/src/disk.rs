//! A small disk that can be filled.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory, unmounted when it is dropped. Needs root.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// A disk of so many MiB.
    pub fn new(mebibytes: u32) -> Self {
        let disk = SmallDisk(crate::scratch());
        disk.mount(&format!("size={mebibytes}m"));
        disk
    }

    /// A disk with room for so many files and folders, however small they are.
    pub fn for_files(files: u32) -> Self {
        let disk = SmallDisk(crate::scratch());
        disk.mount(&format!("nr_inodes={files}"));
        disk
    }

    /// Gives it another size, as if others had taken the rest.
    pub fn resize(&self, mebibytes: u32) {
        self.mount(&format!("remount,size={mebibytes}m"));
    }

    /// Makes room for as many as are wanted.
    pub fn allow_files(&self) {
        self.mount("remount,nr_inodes=0");
    }

    fn mount(&self, options: &str) {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.path());
        let mounted = mount.status().is_ok_and(|status| status.success());
        assert!(mounted, "this test mounts a small file system: run it as root");
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Takes all the room but `left` bytes.
    pub fn fill(&self, left: u64) {
        let mut file = File::create(self.ballast()).expect("the disk has room for a name");
        while file.write_all(&[0x5a; 64 * 1024]).is_ok() {}
        let length = file.metadata().expect("an open file").len();
        file.set_len(length.saturating_sub(left)).expect("a file can be cut");
    }

    /// Gives the room back.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that was killed may take a moment to let go.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
