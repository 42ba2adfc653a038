//! Uploads that appear as a whole or not at all, and leave nothing behind on the server when they are given up.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use reel_common::Artifact;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::StoreError;
use crate::cloud::BLOCK_BYTES;
use crate::hash::{Hasher, expect};

/// Blocks in flight, which bounds the memory of an upload.
const UPLOADS_IN_FLIGHT: usize = 2;

/// The bytes of an upload in blocks of [`BLOCK_BYTES`], of which S3 takes 10,000.
pub(crate) struct Blocks<'a> {
    from: From<'a>,
    hasher: Hasher,
    told: Option<&'a Told>,
}

/// Is told how many bytes have been moved since it was told last.
pub(crate) type Told = dyn Fn(u64) + Send + Sync;

enum From<'a> {
    Bytes(Bytes),
    Path(&'a Path),
    File(&'a Path, File),
}

impl<'a> Blocks<'a> {
    pub(crate) fn of_bytes(bytes: Bytes) -> Self {
        Blocks { from: From::Bytes(bytes), hasher: Hasher::default(), told: None }
    }

    pub(crate) fn of_file(path: &'a Path, told: Option<&'a Told>) -> Self {
        Blocks { from: From::Path(path), hasher: Hasher::default(), told }
    }

    /// The next block; only the last is shorter, and an empty one is past the end.
    async fn next(&mut self) -> Result<Bytes, StoreError> {
        if let From::Path(path) = self.from {
            let file = File::open(path).await.map_err(|error| unreadable(path, &error))?;
            self.from = From::File(path, file);
        }
        let block = match &mut self.from {
            From::Bytes(bytes) => bytes.split_to(bytes.len().min(BLOCK_BYTES as usize)),
            From::Path(_) => Bytes::new(),
            From::File(path, file) => {
                let mut block = Vec::new();
                let read = file.take(BLOCK_BYTES).read_to_end(&mut block).await;
                read.map_err(|error| unreadable(path, &error))?;
                block.into()
            }
        };
        self.hasher.update(&block);
        self.told.inspect(|told| told(block.len() as u64));
        Ok(block)
    }

    /// Refuses what has been read when it was not what was announced.
    fn judge(self, name: &ObjectPath, expected: Artifact) -> Result<(), StoreError> {
        let found = self.hasher.finish();
        match self.from {
            From::Bytes(_) => expect(name, found, expected),
            From::Path(path) | From::File(path, _) => expect(path.display(), found, expected),
        }
    }
}

/// Not a shortage of the store, whatever the disk says.
fn unreadable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::NotAsRecorded { name: path.display().to_string(), reason: error.to_string() }
}

/// Uploads what must turn out to be `expected`, once: a failure may come after the server has done it.
pub(crate) async fn upload(
    store: &Arc<dyn ObjectStore>,
    path: &ObjectPath,
    mut blocks: Blocks<'_>,
    expected: Artifact,
) -> Result<(), StoreError> {
    let failed = |error: object_store::Error| StoreError::from_remote(path, &error);
    if expected.size <= BLOCK_BYTES {
        let block = blocks.next().await?;
        // What grew meanwhile is seen by its digest.
        blocks.next().await?;
        blocks.judge(path, expected)?;
        return store.put(path, PutPayload::from_bytes(block)).await.map(drop).map_err(failed);
    }
    let mut upload = begin(store, path).await.map_err(failed)?;
    match upload.send(path, blocks, expected).await {
        Ok(()) => {
            upload.begun = None;
            Ok(())
        }
        Err(error) => {
            upload.abort().await;
            Err(error)
        }
    }
}

/// Begins an upload. Whoever is cancelled meanwhile does not leave one behind whose name is still on its way.
async fn begin(store: &Arc<dyn ObjectStore>, path: &ObjectPath) -> object_store::Result<Upload> {
    let (store, path) = (Arc::clone(store), path.clone());
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let begun = store.put_multipart(&path).await;
        // Dropped where nobody waits any more.
        drop(sender.send(begun.map(|begun| Upload { begun: Some(begun), parts: JoinSet::new() })));
    });
    receiver.await.unwrap_or_else(|error| Err(Error::Generic { store: "upload", source: error.into() }))
}

/// An upload that was begun. Dropping it gives it up.
struct Upload {
    begun: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<object_store::Result<()>>,
}

impl Upload {
    async fn send(
        &mut self,
        path: &ObjectPath,
        mut blocks: Blocks<'_>,
        expected: Artifact,
    ) -> Result<(), StoreError> {
        let failed = |error: object_store::Error| StoreError::from_remote(path, &error);
        loop {
            let block = blocks.next().await?;
            let most = if block.is_empty() { 0 } else { UPLOADS_IN_FLIGHT - 1 };
            while self.parts.len() > most {
                match self.parts.join_next().await {
                    Some(Ok(sent)) => sent.map_err(failed)?,
                    Some(Err(error)) => {
                        return Err(StoreError::Io { name: path.to_string(), reason: error.to_string() });
                    }
                    None => break,
                }
            }
            let Some(begun) = self.begun.as_mut() else { return Ok(()) };
            if block.is_empty() {
                blocks.judge(path, expected)?;
                return begun.complete().await.map(drop).map_err(failed);
            }
            self.parts.spawn(begun.put_part(PutPayload::from_bytes(block)));
        }
    }

    async fn abort(&mut self) {
        self.parts.shutdown().await;
        if let Some(begun) = self.begun.take() {
            give_up(begun).await;
        }
    }
}

async fn give_up(mut begun: Box<dyn MultipartUpload>) {
    // An upload that the server has finished, or does not know any more, needs no end.
    if let Err(error) = begun.abort().await {
        let reason = crate::trouble::trouble(&error).reason;
        tracing::debug!(reason, "an upload could not be given up");
    }
}

impl Drop for Upload {
    /// Whoever waited for the upload was cancelled: the server is told in the background.
    fn drop(&mut self) {
        if let (Some(begun), Ok(runtime)) = (self.begun.take(), Handle::try_current()) {
            let mut parts = std::mem::take(&mut self.parts);
            runtime.spawn(async move {
                parts.shutdown().await;
                give_up(begun).await;
            });
        }
    }
}
