//! A prefix of an object store to which a title is delivered.
//!
//! An upload counts when what the server gives back has the length and the digest of what was sent. What is there already
//! is not sent again, so that a delivery goes on where an earlier one was broken off.

use std::path::PathBuf;

use futures::{StreamExt, TryStreamExt, stream};
use reel_common::{Artifact, redacted};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use crate::StoreError;
use crate::credentials::Credentials;
use crate::remote::Remote;

/// Files that are sent or compared at a time; each has at most two blocks of 8 MiB in memory.
const FILES_IN_FLIGHT: usize = 6;
/// The most names that are listed: more than the longest title has files.
const MAX_NAMES: usize = 1 << 20;

/// An object store and the prefix of a title in it. Not to be used from within a runtime.
pub struct Destination {
    remote: Remote,
    runtime: Runtime,
}

/// A file of a title that is to lie under the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Where it lies, below the prefix, with `/`.
    pub path: String,
    /// Where it is now.
    pub file: PathBuf,
    /// What it is.
    pub artifact: Artifact,
}

impl Destination {
    /// Opens an `s3`, `gs` or `az` URL, with the credentials in the environment. Nothing is asked of the server yet.
    ///
    /// # Errors
    /// A URL that names no prefix in a bucket, or whose store is not known.
    pub fn open(location: &str) -> Result<Self, StoreError> {
        let bad = |reason: String| StoreError::BadUrl { url: redacted(location), reason };
        let url = Url::parse(location).map_err(|error| bad(error.to_string()))?;
        if matches!(url.scheme(), "http" | "https") {
            return Err(bad("a web server does not say what it holds".to_owned()));
        }
        let remote = Remote::open(&url, &Credentials::from_env())?;
        if remote.is_whole_store() {
            return Err(bad(
                "it names no folder in the bucket, all of which a title would replace".to_owned()
            ));
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Destination { remote, runtime: runtime.map_err(|error| bad(error.to_string()))? })
    }

    /// The whole of a small file; `None` when there is none.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.runtime.block_on(self.remote.read(path, limit))
    }

    /// Puts a small file in place of what is there.
    pub fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let (bytes, artifact) = (bytes::Bytes::from(bytes.clone()), Artifact::of(&bytes));
        self.runtime.block_on(async {
            self.remote.replace(path, &bytes).await?;
            self.compare(path, artifact).await
        })
    }

    /// Puts files in place of what is there, several at a time. `progress` is told the bytes of each file that is there.
    ///
    /// # Errors
    /// The first that does not come to lie there as it is here.
    pub fn deliver(&self, files: &[Delivered], progress: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
        let one = |file: &Delivered| {
            let (path, artifact) = (file.path.clone(), file.artifact);
            let from = file.file.clone();
            async move {
                if self.remote.digest(&path).await? != Some(artifact) {
                    self.remote.upload(&path, &from, artifact).await?;
                    self.compare(&path, artifact).await?;
                }
                Ok::<u64, StoreError>(artifact.size)
            }
        };
        self.runtime.block_on(async {
            let mut there = stream::iter(files.iter().map(one)).buffer_unordered(FILES_IN_FLIGHT);
            while let Some(bytes) = there.try_next().await? {
                progress(bytes);
            }
            Ok(())
        })
    }

    async fn compare(&self, path: &str, artifact: Artifact) -> Result<(), StoreError> {
        match self.remote.digest(path).await? {
            Some(found) if found == artifact => Ok(()),
            found => {
                let found = found
                    .map_or("nothing".to_owned(), |found| format!("{} bytes of other content", found.size));
                let reason = format!("the server has {found} after the upload of {} bytes", artifact.size);
                Err(StoreError::Damaged { name: path.to_owned(), reason })
            }
        }
    }

    /// The paths of the files that lie there.
    pub fn list(&self) -> Result<Vec<String>, StoreError> {
        self.runtime.block_on(self.remote.list(MAX_NAMES))
    }

    /// The path of one of them, if there is any.
    pub fn any(&self) -> Result<Option<String>, StoreError> {
        Ok(self.runtime.block_on(self.remote.list(1))?.pop())
    }

    /// Removes a file, if it is there.
    pub fn remove(&self, path: &str) -> Result<(), StoreError> {
        self.runtime.block_on(self.remote.remove(path))
    }
}
