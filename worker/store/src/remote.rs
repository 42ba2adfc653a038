//! A store behind an object_store URL, such as an S3 bucket.
//!
//! Small things are created conditionally; large data is uploaded in blocks and appears as a whole. There is no
//! lock: two writers of one recipe write the same bytes, and the record is written last.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, WriteMultipart};
use reel_common::Artifact;
use tokio::io::AsyncReadExt;
use url::Url;

use crate::StoreError;
use crate::hash::{Hasher, expect};
use crate::layout::Name;

/// Data is uploaded in blocks of this size; S3 takes 10,000 of them.
const UPLOAD_BLOCK_BYTES: usize = 8 << 20;
/// Blocks in flight, which bounds the memory of an upload.
const UPLOADS_IN_FLIGHT: usize = 2;

/// An object store and the prefix that our names lie under.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
}

impl Remote {
    pub(crate) fn open(url: &Url) -> Result<Self, StoreError> {
        let options = std::env::vars()
            .filter(|(name, _)| name.starts_with("AWS_"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value));
        let (store, prefix) = object_store::parse_url_opts(url, options)
            .map_err(|error| StoreError::BadUrl { url: url.to_string(), reason: error.to_string() })?;
        Ok(Remote { store: store.into(), prefix })
    }

    fn path(&self, name: &Name) -> ObjectPath {
        name.path().split('/').fold(self.prefix.clone(), |path, segment| path.join(segment))
    }

    pub(crate) async fn read(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name);
        let failed = |error: object_store::Error| StoreError::from_remote(&path, &error);
        let result = match self.store.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            result => result.map_err(failed)?,
        };
        if result.meta.size > limit {
            return Err(StoreError::TooLarge { name: path.to_string(), size: result.meta.size, limit });
        }
        Ok(Some(result.bytes().await.map_err(failed)?.into()))
    }

    pub(crate) async fn digest(&self, name: &Name) -> Result<Option<Artifact>, StoreError> {
        let path = self.path(name);
        let failed = |error: object_store::Error| StoreError::from_remote(&path, &error);
        let mut stream = match self.store.get(&path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            result => result.map_err(failed)?.into_stream(),
        };
        let mut hasher = Hasher::default();
        while let Some(bytes) = stream.next().await {
            hasher.update(&bytes.map_err(failed)?);
        }
        Ok(Some(hasher.finish()))
    }

    pub(crate) async fn read_range(&self, name: &Name, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = self.path(name);
        let wanted = range.end - range.start;
        let bytes = self
            .store
            .get_range(&path, range)
            .await
            .map_err(|error| StoreError::from_remote(&path, &error))?;
        match bytes.len() as u64 == wanted {
            true => Ok(bytes),
            false => Err(StoreError::Damaged { name: path.to_string(), reason: "it ends early".to_owned() }),
        }
    }

    /// Writes a small object; `false` when it must be new and is not.
    pub(crate) async fn write(&self, name: &Name, bytes: Bytes, replace: bool) -> Result<bool, StoreError> {
        let path = self.path(name);
        let mode = if replace { PutMode::Overwrite } else { PutMode::Create };
        match self.store.put_opts(&path, PutPayload::from_bytes(bytes), mode.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(false)
            }
            Err(error) => Err(StoreError::from_remote(&path, &error)),
        }
    }

    /// Uploads a file, replacing what is there; it is refused before it appears when it is not `expected`.
    pub(crate) async fn upload(
        &self,
        name: &Name,
        file: &Path,
        expected: Artifact,
    ) -> Result<(), StoreError> {
        let path = self.path(name);
        let failed = |error: object_store::Error| StoreError::from_remote(&path, &error);
        let upload = self.store.put_multipart(&path).await.map_err(failed)?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, UPLOAD_BLOCK_BYTES);
        match send(&mut writer, file, expected).await {
            Ok(()) => writer.finish().await.map(|_| ()).map_err(failed),
            Err(error) => {
                writer.abort().await.map_err(failed)?;
                Err(error)
            }
        }
    }

    pub(crate) async fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let path = self.path(name);
        match self.store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(StoreError::from_remote(&path, &error)),
        }
    }
}

async fn send(writer: &mut WriteMultipart, path: &Path, expected: Artifact) -> Result<(), StoreError> {
    let reading = |error: std::io::Error| StoreError::from_io(path.display(), &error);
    let mut file = tokio::fs::File::open(path).await.map_err(reading)?;
    let (mut hasher, mut block) = (Hasher::default(), vec![0; crate::local::BLOCK_BYTES]);
    loop {
        let length = file.read(&mut block).await.map_err(reading)?;
        if length == 0 {
            return expect(path.display(), hasher.finish(), expected);
        }
        hasher.update(&block[..length]);
        writer
            .wait_for_capacity(UPLOADS_IN_FLIGHT)
            .await
            .map_err(|error| StoreError::from_remote(path.display(), &error))?;
        writer.write(&block[..length]);
    }
}
