//! A folder of files that are read in ranges, such as a delivered title.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Most files of a folder: a title of ten hours in sixteen renditions of two seconds has a third of them.
const MAX_FILES: usize = 1 << 20;
/// Folders within folders.
const MAX_DEPTH: usize = 32;

/// The files of a folder, all the way down.
pub struct Folder {
    root: PathBuf,
    files: BTreeMap<String, u64>,
    /// The file that was read last, since it is mostly read again.
    open: Mutex<Option<(String, File)>>,
    opened: AtomicU64,
}

impl Folder {
    /// Lists a folder. Symbolic links to files count as these; those to folders are left out, since they may lead anywhere.
    ///
    /// # Errors
    /// A folder that cannot be read, a name that is not UTF-8, and more files or folders than any title has.
    pub fn open(root: &Path) -> io::Result<Self> {
        let mut folder = Folder {
            root: root.to_owned(),
            files: BTreeMap::new(),
            open: Mutex::new(None),
            opened: AtomicU64::new(0),
        };
        folder.list("", 0)?;
        Ok(folder)
    }

    /// Files with their bytes, by paths relative to the folder with `/`.
    pub fn files(&self) -> &BTreeMap<String, u64> {
        &self.files
    }

    /// Files that were read so far, each as often as another was read between; it tells how far somebody is who reads all of them once.
    pub fn files_read(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Fills `buf` from `offset` of one of the files.
    ///
    /// # Errors
    /// A file that is not listed, and what reading gives.
    pub fn read_at(&self, file: &str, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if !self.files.contains_key(file) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.as_ref().is_none_or(|(name, _)| name != file) {
            self.opened.fetch_add(1, Ordering::Relaxed);
            *open = Some((file.to_owned(), File::open(self.root.join(file))?));
        }
        open.as_ref().map_or(Ok(()), |(_, file)| file.read_exact_at(buf, offset))
    }

    fn list(&mut self, below: &str, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(io::Error::other(format!("{below}: more than {MAX_DEPTH} folders within folders")));
        }
        for entry in std::fs::read_dir(self.root.join(below))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name
                .to_str()
                .ok_or_else(|| io::Error::other(format!("{}: a name that is not UTF-8", name.display())))?;
            let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            if entry.file_type()?.is_dir() {
                self.list(&path, depth + 1)?;
            } else if let Ok(metadata) = std::fs::metadata(entry.path())
                && metadata.is_file()
            {
                self.files.insert(path, metadata.len());
            }
            if self.files.len() > MAX_FILES {
                return Err(io::Error::other(format!("more than {MAX_FILES} files")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_all_the_way_down_and_read_in_ranges() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/b/c.txt"), b"0123456789").unwrap();
        std::fs::write(dir.path().join("d"), b"").unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("a/root")).unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let files: Vec<_> = folder.files().iter().map(|(path, size)| (path.as_str(), *size)).collect();
        assert_eq!(files, [("a/b/c.txt", 10), ("d", 0)]);
        let mut bytes = [0; 3];
        folder.read_at("a/b/c.txt", 4, &mut bytes).unwrap();
        assert_eq!(&bytes, b"456");
        assert!(folder.read_at("a/b/c.txt", 9, &mut bytes).is_err());
        assert!(folder.read_at("../d", 0, &mut bytes).is_err());
    }
}
