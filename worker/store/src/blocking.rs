//! The store for callers without a runtime: the runner and its tasks.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;

use bytes::{Buf, Bytes};
use reel_common::{Artifact, RecipeKey};
use tokio::runtime::{Builder, Runtime};

use crate::hash::{Hasher, difference};
use crate::{Store, StoreError};

/// Remote parts are fetched in blocks of this size.
const FETCH_BYTES: u64 = 8 << 20;

/// A [`Store`] with a runtime of its own. Not to be used from within another runtime.
pub struct BlockingStore {
    store: Store,
    runtime: Runtime,
}

impl BlockingStore {
    /// Opens the store as [`Store::open`] does.
    pub fn open(location: &str) -> Result<Self, StoreError> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::from_io(location, &error))?;
        Ok(BlockingStore { store: Store::open(location)?, runtime })
    }

    /// See [`Store::local_path`].
    pub fn local_path(&self, key: RecipeKey) -> Option<PathBuf> {
        self.store.local_path(key)
    }

    /// See [`Store::find_part`].
    pub fn find_part(&self, key: RecipeKey) -> Result<Option<Vec<u8>>, StoreError> {
        self.runtime.block_on(self.store.find_part(key))
    }

    /// See [`Store::object`].
    pub fn object(&self, artifact: Artifact) -> Result<Bytes, StoreError> {
        self.runtime.block_on(self.store.object(artifact))
    }

    /// See [`Store::publish_object`].
    pub fn publish_object(&self, bytes: Bytes) -> Result<Artifact, StoreError> {
        self.runtime.block_on(self.store.publish_object(bytes))
    }

    /// See [`Store::publish_part`].
    pub fn publish_part(
        &self,
        key: RecipeKey,
        file: &std::path::Path,
        record: &[u8],
    ) -> Result<crate::Published, StoreError> {
        self.runtime.block_on(self.store.publish_part(key, file, record))
    }

    /// See [`Store::read_part_range`].
    pub fn read_part_range(&self, key: RecipeKey, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.runtime.block_on(self.store.read_part_range(key, range))
    }

    /// Reads a part or track from its start and checks it on the way.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when its bytes are gone.
    pub fn part_reader(&self, key: RecipeKey, artifact: Artifact) -> Result<PartReader<'_>, StoreError> {
        let name = crate::layout::Name::of_data(key).path();
        let from = match self.store.local_path(key) {
            Some(path) => {
                From::File(File::open(&path).map_err(|error| StoreError::from_io(path.display(), &error))?)
            }
            None => From::Blocks { store: self, key, block: Bytes::new() },
        };
        Ok(PartReader { name, artifact, hasher: Hasher::default(), from })
    }
}

/// The bytes of one part. Call [`PartReader::finish`] after the last to learn whether they were the right ones.
pub struct PartReader<'a> {
    name: String,
    artifact: Artifact,
    hasher: Hasher,
    from: From<'a>,
}

enum From<'a> {
    File(File),
    Blocks { store: &'a BlockingStore, key: RecipeKey, block: Bytes },
}

impl PartReader<'_> {
    /// Reads what is left and compares the whole with the artifact.
    ///
    /// A part that ends before its size is seen as an early end of the reader; this call tells why.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when size or digest differ.
    pub fn finish(mut self) -> Result<(), StoreError> {
        io::copy(&mut self, &mut io::sink()).map_err(|error| StoreError::from_read(&self.name, error))?;
        let longer = match &mut self.from {
            From::File(file) => {
                file.read(&mut [0]).map_err(|error| StoreError::from_io(&self.name, &error))? > 0
            }
            From::Blocks { .. } => false,
        };
        let reason = match longer {
            true => Some(format!("it has more than {} bytes", self.artifact.size)),
            false => difference(self.hasher.finish(), self.artifact),
        };
        match reason {
            None => Ok(()),
            Some(reason) => Err(StoreError::Damaged { name: self.name, reason }),
        }
    }
}

impl Read for PartReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let done = self.hasher.size();
        let left = usize::try_from(self.artifact.size - done).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let length = match &mut self.from {
            From::File(file) => file.read(&mut buffer[..wanted])?,
            From::Blocks { store, key, block } => {
                if block.is_empty() && wanted > 0 {
                    let end = self.artifact.size.min(done + FETCH_BYTES);
                    *block = store.read_part_range(*key, done..end).map_err(io::Error::other)?;
                }
                let length = wanted.min(block.len());
                block.copy_to_slice(&mut buffer[..length]);
                length
            }
        };
        self.hasher.update(&buffer[..length]);
        Ok(length)
    }
}
