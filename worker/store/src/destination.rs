//! A prefix of an object store to which a title is delivered.
//!
//! An upload counts when what the server gives back has the length and the digest of what was sent. What is there already
//! is not sent again, so that a delivery goes on where an earlier one was broken off.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStoreScheme;
use object_store::path::Path as ObjectPath;
use reel_common::{Artifact, redacted};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use crate::StoreError;
use crate::credentials::Credentials;
use crate::remote::Remote;

/// Files that are sent, compared or removed at a time; each has at most two blocks of 8 MiB in memory.
const FILES_IN_FLIGHT: usize = 6;
/// The most names that are listed: more than the longest title has files.
const MAX_NAMES: usize = 1 << 20;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Is put and removed to see whether that is allowed.
const PROBE: &str = ".reel-probe";

/// An object store and the prefix of a title in it. Not to be used from within a runtime.
pub struct Destination {
    remote: Remote,
    runtime: Runtime,
    location: String,
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
    /// Where it is written whose delivery is under way; there is no whole title while it is there.
    pub const CLAIM: &str = ".reel-delivery.json";
    /// The most bytes of a claim.
    pub const MAX_CLAIM_BYTES: u64 = 4096;

    /// Opens an `s3`, `gs` or `az` URL, with the credentials in the environment. Nothing is asked of the server yet.
    ///
    /// # Errors
    /// A URL that names no prefix in a bucket, or is of another kind.
    pub fn open(location: &str) -> Result<Self, StoreError> {
        let bad = |reason: String| StoreError::BadUrl { url: redacted(location), reason };
        let mut url = Url::parse(location).map_err(|error| bad(error.to_string()))?;
        if !matches!(url.scheme(), "s3" | "gs" | "az") {
            return Err(bad(format!("a title cannot be delivered to {}: URLs", url.scheme())));
        }
        let remote = Remote::open(&url, &Credentials::from_env())?;
        if remote.prefix().as_ref().is_empty() {
            return Err(bad(
                "it names no folder in the bucket, all of which a title would replace".to_owned()
            ));
        }
        url.set_path(remote.prefix().as_ref());
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| bad(error.to_string()))?;
        Ok(Destination { remote, runtime, location: url.to_string() })
    }

    /// The URL in the one form that all of its forms have.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Whether what a URL names lies under the prefix, or the prefix under it.
    pub fn overlaps(&self, other: &str) -> bool {
        let place = |url: &str| {
            let url = Url::parse(url).ok()?;
            let (scheme, path) = ObjectStoreScheme::parse(&url).ok()?;
            Some((scheme, url.host_str().map(str::to_owned), path))
        };
        let within = |path: &ObjectPath, prefix: &ObjectPath| path.prefix_matches(prefix);
        match (place(&self.location), place(other)) {
            (Some((scheme, host, own)), Some((other_scheme, other_host, path))) => {
                scheme == other_scheme && host == other_host && (within(&path, &own) || within(&own, &path))
            }
            _ => false,
        }
    }

    /// Whether files can be put there and removed.
    ///
    /// # Errors
    /// A bucket that is not there, or may not be written.
    pub fn check(&self) -> Result<(), StoreError> {
        self.runtime.block_on(self.remote.probe(PROBE))
    }

    /// The whole of a small file; `None` when there is none.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.runtime.block_on(self.remote.read(path, limit))
    }

    /// Puts a small file in place of what is there.
    pub fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        let (artifact, bytes) = (Artifact::of(&bytes), bytes::Bytes::from(bytes));
        self.runtime.block_on(async {
            self.remote.replace(path, &bytes).await?;
            same(path, self.remote.digest(path).await?, artifact)
        })
    }

    /// Puts files in place of what is there, several at a time, each if `may` says so of the claim. `progress` is told how many bytes
    /// more were compared, sent and read back: three times those of the files in the end.
    ///
    /// # Errors
    /// The first that does not come to lie there as it is here.
    pub fn deliver<E: From<StoreError>>(
        &self,
        files: &[Delivered],
        may: &dyn Fn(Option<Vec<u8>>) -> Result<(), E>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), E> {
        let moved = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&moved);
        let told = &move |bytes: u64| {
            count.fetch_add(bytes, Ordering::Relaxed);
        };
        let one = |Delivered { path, file, artifact }: &Delivered| {
            let (path, file, artifact) = (path.clone(), file.clone(), *artifact);
            async move {
                if self.remote.size(&path).await? == Some(artifact.size) {
                    if self.remote.digest_telling(&path, Some(told)).await? == Some(artifact) {
                        told(2 * artifact.size);
                        return Ok(());
                    }
                } else {
                    told(artifact.size);
                }
                may(self.remote.read(Self::CLAIM, Self::MAX_CLAIM_BYTES).await?)?;
                self.remote.upload(&path, &file, artifact, Some(told)).await?;
                same(&path, self.remote.digest_telling(&path, Some(told)).await?, artifact)?;
                Ok(())
            }
        };
        self.each(stream::iter(files.iter().map(one)).buffer_unordered(FILES_IN_FLIGHT), &moved, progress)
    }

    /// Removes files, as far as they are there. `progress` is told how many.
    pub fn remove(&self, paths: &[String], progress: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
        let removed = AtomicU64::new(0);
        let count = &removed;
        let one = |path: &String| {
            let path = path.clone();
            async move {
                self.remote.remove(&path).await?;
                count.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        };
        self.each(stream::iter(paths.iter().map(one)).buffer_unordered(FILES_IN_FLIGHT), &removed, progress)
    }

    /// Does everything, and tells how far it is.
    fn each<E>(
        &self,
        work: impl stream::Stream<Item = Result<(), E>>,
        moved: &AtomicU64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), E> {
        self.runtime.block_on(async {
            let mut work = pin!(work);
            let mut tell = tokio::time::interval(TELL_EVERY);
            loop {
                tokio::select! {
                    done = work.try_next() => if done?.is_none() { break },
                    _ = tell.tick() => progress(moved.swap(0, Ordering::Relaxed)),
                }
            }
            progress(moved.swap(0, Ordering::Relaxed));
            Ok(())
        })
    }

    /// The path of one of the files that lie there, if there is any.
    pub fn any(&self) -> Result<Option<String>, StoreError> {
        let found = self.runtime.block_on(self.remote.list(MAX_NAMES))?;
        Ok(found.into_iter().find(|path| path != PROBE))
    }
}

fn same(path: &str, found: Option<Artifact>, wanted: Artifact) -> Result<(), StoreError> {
    let found = match found {
        Some(found) if found == wanted => return Ok(()),
        Some(found) => format!("{} bytes of other content", found.size),
        None => "nothing".to_owned(),
    };
    let reason = format!("the server has {found} after the upload of {} bytes", wanted.size);
    Err(StoreError::Damaged { name: path.to_owned(), reason })
}
