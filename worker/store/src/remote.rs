//! A store behind an object_store URL, such as an S3 bucket.
//!
//! Small things are created conditionally; large data is uploaded in blocks and appears as a whole. There is no
//! lock: two writers of one recipe write the same bytes, and the record is written last.
//!
//! An answer may be lost after the server has done what it was asked. So whatever failed is looked at before it counts
//! as failed, and what is there already is compared with what was to be written.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use reel_common::{Artifact, redacted};
use url::Url;

use crate::StoreError;
use crate::cloud::{self, BLOCK_BYTES, Rounds};
use crate::credentials::Credentials;
use crate::hash::Hasher;
use crate::layout::{MARK, MARK_TEXT};
use crate::trouble::{Kind, Trouble, trouble};
use crate::upload::{Blocks, Told, upload};

/// An object store and the prefix that our names lie under; names are paths with `/`.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    /// As it may be shown.
    url: String,
}

impl Remote {
    pub(crate) fn open(url: &Url, credentials: &Credentials) -> Result<Self, StoreError> {
        let shown = redacted(url.as_str());
        match cloud::open(url, credentials) {
            Ok((store, prefix)) => Ok(Remote { store, prefix, url: shown }),
            Err(reason) => Err(StoreError::BadUrl { url: shown, reason }),
        }
    }

    /// The prefix.
    pub(crate) fn prefix(&self) -> &ObjectPath {
        &self.prefix
    }

    /// Whether an object can be written and removed here.
    ///
    /// # Errors
    /// A bucket that is not there is a wrong URL.
    pub(crate) async fn probe(&self, name: &str) -> Result<(), StoreError> {
        let payload = PutPayload::from_static(b"");
        match self.store.put(&self.path(name), payload).await {
            Ok(_) => self.remove(name).await,
            Err(error) => Err(match StoreError::from_remote(&self.url, &error) {
                StoreError::NotFound { .. } => self.no_bucket(),
                error => error,
            }),
        }
    }

    fn no_bucket(&self) -> StoreError {
        StoreError::BadUrl {
            url: self.url.clone(),
            reason: "its bucket or container does not exist; make it first".to_owned(),
        }
    }

    fn path(&self, name: &str) -> ObjectPath {
        name.split('/').fold(self.prefix.clone(), |path, segment| path.join(segment))
    }

    /// Whether the bucket is there and may be listed, written and read with these credentials. A store whose absent
    /// objects look forbidden, as they do to who may not list, cannot be used.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let failed = |error: Error| match (trouble(&error), StoreError::from_remote(&self.url, &error)) {
            (Trouble { kind: Kind::NoRole, reason }, _) => {
                StoreError::Denied { name: self.url.clone(), reason }
            }
            (_, StoreError::NotFound { .. }) => self.no_bucket(),
            (_, error) => error,
        };
        let mut listed = self.store.list(Some(&self.prefix));
        if let Some(Err(error)) = listed.next().await {
            return Err(failed(error));
        }
        let mark = self.prefix.clone().join(MARK);
        let payload = PutPayload::from_static(MARK_TEXT);
        match self.store.put_opts(&mark, payload, PutMode::Create.into()).await {
            Ok(_) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
        let found = async { self.store.get(&mark).await?.bytes().await };
        match found.await.map_err(failed)? == MARK_TEXT {
            true => Ok(()),
            false => Err(StoreError::BadUrl {
                url: self.url.clone(),
                reason: format!("its {MARK} is of something else; use another prefix"),
            }),
        }
    }

    /// The whole of a small object; `None` when there is none.
    pub(crate) async fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name);
        let mut rounds = Rounds::new();
        loop {
            match self.try_read(&path, limit).await {
                Err(StoreError::Shortage { .. }) if rounds.again().await => {}
                result => return result,
            }
        }
    }

    async fn try_read(&self, path: &ObjectPath, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let failed = |error: Error| StoreError::from_remote(path, &error);
        let result = match self.store.get(path).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            result => result.map_err(failed)?,
        };
        let size = result.meta.size;
        if size > limit {
            return Err(StoreError::TooLarge { name: path.to_string(), size, limit });
        }
        if size <= BLOCK_BYTES {
            return Ok(Some(result.bytes().await.map_err(failed)?.into()));
        }
        let mut bytes = Vec::new();
        self.fetch(path, size, result.meta.e_tag, &mut |block| bytes.extend_from_slice(block)).await?;
        Ok(Some(bytes))
    }

    /// Passes on the bytes of one version of an object, block by block.
    async fn fetch(
        &self,
        path: &ObjectPath,
        size: u64,
        tag: Option<String>,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), StoreError> {
        for start in (0..size).step_by(BLOCK_BYTES as usize) {
            let range = GetRange::Bounded(start..size.min(start + BLOCK_BYTES));
            let options = GetOptions { range: Some(range), if_match: tag.clone(), ..GetOptions::default() };
            let block = async { self.store.get_opts(path, options).await?.bytes().await };
            match block.await {
                Ok(block) => take(&block),
                Err(Error::Precondition { .. } | Error::NotFound { .. }) => {
                    let reason = "it was replaced while it was read".to_owned();
                    return Err(StoreError::Shortage { name: path.to_string(), reason });
                }
                Err(error) => return Err(StoreError::from_remote(path, &error)),
            }
        }
        Ok(())
    }

    /// Size of an object; `None` when there is none.
    pub(crate) async fn size(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let path = self.path(name);
        let mut rounds = Rounds::new();
        loop {
            let error = match self.store.head(&path).await {
                Ok(object) => return Ok(Some(object.size)),
                Err(Error::NotFound { .. }) => return Ok(None),
                Err(error) => StoreError::from_remote(&path, &error),
            };
            match error {
                StoreError::Shortage { .. } if rounds.again().await => {}
                error => return Err(error),
            }
        }
    }

    /// Size and digest of an object; `None` when there is none.
    pub(crate) async fn digest(&self, name: &str) -> Result<Option<Artifact>, StoreError> {
        self.digest_telling(name, None).await
    }

    /// The same; `told` is told how far it is.
    pub(crate) async fn digest_telling(
        &self,
        name: &str,
        told: Option<&Told>,
    ) -> Result<Option<Artifact>, StoreError> {
        let path = self.path(name);
        let mut rounds = Rounds::new();
        loop {
            match self.try_digest(&path, told).await {
                Err(StoreError::Shortage { .. }) if rounds.again().await => {}
                result => return result,
            }
        }
    }

    async fn try_digest(
        &self,
        path: &ObjectPath,
        told: Option<&Told>,
    ) -> Result<Option<Artifact>, StoreError> {
        let object = match self.store.head(path).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            result => result.map_err(|error| StoreError::from_remote(path, &error))?,
        };
        let mut hasher = Hasher::default();
        let mut take = |block: &[u8]| {
            hasher.update(block);
            told.inspect(|told| told(block.len() as u64));
        };
        self.fetch(path, object.size, object.e_tag, &mut take).await?;
        Ok(Some(hasher.finish()))
    }

    /// The bytes in a range of an object.
    pub(crate) async fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = self.path(name);
        let wanted = range.end - range.start;
        let mut rounds = Rounds::new();
        loop {
            match self.store.get_range(&path, range.clone()).await {
                Ok(bytes) if bytes.len() as u64 == wanted => return Ok(bytes),
                Ok(_) => {
                    let reason = "it ends early".to_owned();
                    return Err(StoreError::Damaged { name: path.to_string(), reason });
                }
                Err(error) => match StoreError::from_remote(&path, &error) {
                    StoreError::Shortage { .. } if rounds.again().await => {}
                    error => return Err(error),
                },
            }
        }
    }

    /// Writes a small object where none is; `false` when there is one with other bytes.
    pub(crate) async fn create(&self, name: &str, bytes: Bytes) -> Result<bool, StoreError> {
        let path = self.path(name);
        let mut rounds = Rounds::new();
        loop {
            let payload = PutPayload::from_bytes(bytes.clone());
            let error = match self.store.put_opts(&path, payload, PutMode::Create.into()).await {
                Ok(_) => return Ok(true),
                Err(error) => error,
            };
            match StoreError::from_remote(&path, &error) {
                // It may be our own: the answer to an earlier try was lost.
                StoreError::Io { .. } => {
                    let found = self.read(name, bytes.len() as u64).await;
                    return match found {
                        Err(StoreError::TooLarge { .. }) => Ok(false),
                        found => Ok(found?.is_some_and(|found| found == bytes)),
                    };
                }
                StoreError::Shortage { .. } if rounds.again().await => {}
                error => return Err(error),
            }
        }
    }

    /// Writes an object in place of what is there.
    pub(crate) async fn replace(&self, name: &str, bytes: &Bytes) -> Result<(), StoreError> {
        let artifact = Artifact::of(bytes);
        self.write(name, artifact, || Blocks::of_bytes(bytes.clone())).await
    }

    /// Uploads a file in place of what is there; it is refused before it appears when it is not `expected`.
    pub(crate) async fn upload(
        &self,
        name: &str,
        file: &Path,
        expected: Artifact,
        told: Option<&Told>,
    ) -> Result<(), StoreError> {
        self.write(name, expected, || Blocks::of_file(file, told)).await
    }

    async fn write<'a>(
        &self,
        name: &str,
        expected: Artifact,
        blocks: impl Fn() -> Blocks<'a>,
    ) -> Result<(), StoreError> {
        let path = self.path(name);
        let mut rounds = Rounds::new();
        loop {
            let error = match upload(&self.store, &path, blocks(), expected).await {
                Ok(()) => return Ok(()),
                Err(error @ StoreError::NotAsRecorded { .. }) => return Err(error),
                Err(error) => error,
            };
            // Whatever the error says: an upload whose end was done, and is asked for again, is unknown by then.
            if let Ok(Some(found)) = self.try_digest(&path, None).await
                && found == expected
            {
                tracing::debug!(%error, "an upload was done although its answer was lost");
                return Ok(());
            }
            match error {
                StoreError::Shortage { .. } | StoreError::NotFound { .. } | StoreError::Io { .. }
                    if rounds.again().await => {}
                error => return Err(error),
            }
        }
    }

    /// The names of what lies under the prefix, at most so many.
    pub(crate) async fn list(&self, most: usize) -> Result<Vec<String>, StoreError> {
        self.list_at(&self.prefix, most).await
    }

    /// Those that lie in one folder of it.
    pub(crate) async fn list_below(&self, folder: &str, most: usize) -> Result<Vec<String>, StoreError> {
        self.list_at(&self.path(folder), most).await
    }

    async fn list_at(&self, place: &ObjectPath, most: usize) -> Result<Vec<String>, StoreError> {
        let mut rounds = Rounds::new();
        loop {
            let listed = self.store.list(Some(place)).take(most).try_collect::<Vec<_>>().await;
            let error = match listed {
                Ok(objects) => {
                    let name = |path: &ObjectPath| {
                        let parts: Vec<String> =
                            path.prefix_match(&self.prefix)?.map(|part| part.as_ref().to_owned()).collect();
                        Some(parts.join("/"))
                    };
                    // The console of S3 makes an object of no name for a folder.
                    let names = objects.iter().filter_map(|object| name(&object.location));
                    return Ok(names.filter(|name| !name.is_empty()).collect());
                }
                Err(error) => StoreError::from_remote(&self.url, &error),
            };
            match error {
                StoreError::Shortage { .. } if rounds.again().await => {}
                // A bucket without such a prefix has nothing there.
                StoreError::NotFound { .. } => return Ok(Vec::new()),
                error => return Err(error),
            }
        }
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        let mut rounds = Rounds::new();
        loop {
            match self.store.delete(&path).await {
                Ok(()) | Err(Error::NotFound { .. }) => return Ok(()),
                Err(error) => match StoreError::from_remote(&path, &error) {
                    StoreError::Shortage { .. } if rounds.again().await => {}
                    error => return Err(error),
                },
            }
        }
    }
}
