//! Thumbnails and poster of the tree: files cut out of the one under which the store has them.

use std::io::Read;

use reel_common::{Artifact, Failure};
use reel_media::TitleTimes;
use reel_package::images::Sprites;
use reel_package::{SegmentSize, Stream, layout};
use reel_proto::v1;
use reel_store::{BlockingStore, PartReader, StoreError};

use super::fault;
use super::records::recipe_key;
use super::staging::Staging;
use crate::image;

/// Bytes that are copied at a time.
const BLOCK: u64 = 64 << 10;

/// What the record says of the files together, and of each with its path.
struct Listed {
    whole: Artifact,
    files: Vec<(String, u64)>,
}

fn listed(record: &v1::ImageRecord) -> Result<Listed, Failure> {
    let bad = || fault("the record of the images names no usable files");
    let artifact = |wire: &Option<v1::Artifact>| {
        wire.as_ref().and_then(|wire| Artifact::try_from(wire).ok()).ok_or_else(bad)
    };
    let sheets = record.sheets.iter().enumerate();
    let sheets = sheets.map(|(number, sheet)| (layout::sprite(number), &sheet.artifact));
    let poster = record.poster.iter().map(|poster| (layout::POSTER.to_owned(), &poster.artifact));
    let path = |name| format!("{}/{name}", layout::IMAGES);
    let files = sheets.chain(poster).map(|(name, wire)| Ok((path(name), artifact(wire)?.size)));
    let files = files.collect::<Result<Vec<_>, Failure>>()?;
    let whole = artifact(&record.artifact)?;
    let sum = files.iter().try_fold(0u64, |sum, (_, bytes)| sum.checked_add(*bytes));
    if sum != Some(whole.size) || record.sheets.is_empty() {
        return Err(bad());
    }
    Ok(Listed { whole, files })
}

/// Writes them with the cues that name the thumbnails; false where what the store has is damaged or gone.
pub(super) fn write(
    record: &v1::ImageRecord,
    times: &TitleTimes,
    store: &BlockingStore,
    staging: &mut Staging,
    advance: &dyn Fn(u64),
) -> Result<bool, Failure> {
    let Listed { whole, files } = listed(record)?;
    let trouble = |error: StoreError| match error {
        StoreError::Damaged { .. } | StoreError::NotFound { .. } => Ok(false),
        error => Err(Failure::new(error.class(), &format!("the images: {error}"), "")),
    };
    let mut reader = match store.part_reader(recipe_key(&record.recipe_key)?, whole) {
        Ok(reader) => reader,
        Err(error) => return trouble(error),
    };
    for (path, bytes) in files {
        if let Some(error) = copy(&mut reader, &path, bytes, staging, advance)? {
            return trouble(error);
        }
    }
    if let Err(error) = reader.finish() {
        return trouble(error);
    }
    let cues = reel_text::webvtt(&image::cues(record, times), None);
    staging.write(&format!("{}/{}", layout::IMAGES, layout::THUMBNAILS), cues.as_bytes())?;
    Ok(true)
}

/// Copies so many bytes, or as many as there are, since what lacks is told when the reader is finished. Gives what the
/// store had against it.
fn copy(
    reader: &mut PartReader<'_>,
    path: &str,
    bytes: u64,
    staging: &mut Staging,
    advance: &dyn Fn(u64),
) -> Result<Option<StoreError>, Failure> {
    let mut file = staging.open(path)?;
    let mut left = bytes;
    let mut block = vec![0; BLOCK as usize];
    while left > 0 {
        let wanted = left.min(BLOCK) as usize;
        let read = match reader.read(&mut block[..wanted]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => return Ok(Some(StoreError::from_read("the images", error))),
        };
        staging.append(&mut file, &block[..read])?;
        advance(read as u64);
        left -= read as u64;
    }
    staging.close(file);
    Ok(None)
}

/// What playlists and manifests say of the sheets.
pub(super) fn sprites(record: &v1::ImageRecord, times: &TitleTimes) -> Sprites {
    let sizes = record.sheets.iter().map(|sheet| sheet.artifact.as_ref().map_or(0, |artifact| artifact.size));
    let lengths = image::lengths_ms(record, times);
    let segments = lengths.into_iter().zip(sizes).map(|(ticks, bytes)| SegmentSize { ticks, bytes });
    Sprites {
        width: record.width,
        height: record.height,
        columns: record.columns,
        rows: record.rows,
        every_ms: record.every_ms,
        stream: Stream { timescale: 1000, segments: segments.collect(), head: None },
    }
}
