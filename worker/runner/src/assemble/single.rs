//! Writing a planned single file: its head, then runs of bytes out of parts and the audio track.

use std::fs::File;
use std::os::unix::fs::FileExt;

use reel_cmaf::progressive::Progressive;
use reel_common::{Failure, RecipeKey};
use reel_store::{BlockingStore, StoreError};

use super::fault;
use super::staging::Staging;

/// Bytes are copied in blocks of at most this size.
const BLOCK_BYTES: u64 = 1 << 20;

/// Writes the file; `keys` are the sources by number, of which the last may be the audio track.
pub(super) fn write(
    name: &str,
    plan: &Progressive,
    keys: &[RecipeKey],
    store: &BlockingStore,
    staging: &mut Staging,
    advance: &dyn Fn(u64),
) -> Result<(), Failure> {
    let mut file = staging.open(name)?;
    staging.append(&mut file, &plan.head)?;
    let mut sources = Sources::new(store, keys);
    for copy in &plan.copies {
        let mut offset = copy.offset;
        let end = copy.offset + copy.length;
        while offset < end {
            let length = (end - offset).min(BLOCK_BYTES);
            let bytes = sources.read(copy.source, offset, length)?;
            staging.append(&mut file, &bytes)?;
            advance(length);
            offset += length;
        }
    }
    staging.close(file);
    Ok(())
}

/// Ranged reads of stored bytes, with the part and the track that were read last kept open.
pub(super) struct Sources<'a> {
    store: &'a BlockingStore,
    keys: &'a [RecipeKey],
    open: [Option<(u32, File)>; 2],
}

impl<'a> Sources<'a> {
    /// Of a rendition: `keys` are its parts in order, and the audio track behind them.
    pub(super) fn new(store: &'a BlockingStore, keys: &'a [RecipeKey]) -> Self {
        Sources { store, keys, open: [None, None] }
    }

    /// Bytes of a source, by its number.
    pub(super) fn read(&mut self, source: u32, offset: u64, length: u64) -> Result<Vec<u8>, Failure> {
        let key = *self.keys.get(source as usize).ok_or_else(|| fault("a copy from an unknown source"))?;
        let read = match self.store.local_path(key) {
            Some(path) => self.read_local(source, &path, offset, length),
            None => self.store.read_part_range(key, offset..offset + length).map(Into::into),
        };
        read.map_err(|error| Failure::new(error.class(), &format!("part {key}: {error}"), ""))
    }

    fn read_local(
        &mut self,
        source: u32,
        path: &std::path::Path,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let failed = |error| StoreError::from_read(path.display(), error);
        let is_last = source as usize + 1 == self.keys.len();
        let slot = &mut self.open[usize::from(is_last)];
        let file = match slot {
            Some((number, file)) if *number == source => file,
            _ => &slot.insert((source, File::open(path).map_err(failed)?)).1,
        };
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, offset).map_err(failed)?;
        Ok(bytes)
    }
}
