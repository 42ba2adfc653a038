//! The proof of pictures for winding: each is the first of a segment, byte for byte, at its time and until the next.

use std::path::Path;

use reel_cmaf::iframes::IFrame;
use reel_cmaf::mov::TrackKind;

use super::tree::{Carrier, CodedTrack, Stream};
use crate::MediaError;

/// The file of them, in the folder of a rendition's segments, and its playlist.
const FILE: &str = "iframes.mp4";
const PLAYLIST: &str = "iframes.m3u8";

/// Holds the file against the segments beside it, and its playlist, where there is one, against the file. The error names the first
/// thing that does not hold.
pub(super) fn check(stream: &Stream) -> Result<(), MediaError> {
    let folders =
        stream.carriers.iter().filter_map(|carrier| Some((carrier, carrier.paths.first()?.parent()?)));
    let folder = folders.into_iter().find(|(_, folder)| folder.join(FILE).exists());
    let (carrier, folder) = folder.ok_or_else(|| {
        MediaError::failed(format!("rendition {} of the output has no pictures for winding", stream.name))
    })?;
    let label = format!("{}/{FILE}", carrier.label);
    let file = Carrier { paths: vec![folder.join(FILE)], label };
    let (pictures, segments) =
        (CodedTrack::read(&file, TrackKind::Video)?, CodedTrack::read(carrier, TrackKind::Video)?);
    pictures_are_first(&pictures, &segments)?;
    match folder.join(PLAYLIST) {
        playlist if playlist.exists() => ranges_are_fragments(&playlist, &pictures),
        _ => Ok(()),
    }
}

fn pictures_are_first(pictures: &CodedTrack, segments: &CodedTrack) -> Result<(), MediaError> {
    let label = &pictures.label;
    let wrong = |what: String| Err(MediaError::failed(format!("{label} {what}")));
    if (pictures.timescale, &pictures.config) != (segments.timescale, &segments.config) {
        return wrong(format!("has not the header of {}", segments.label));
    }
    let (found, wanted) = (pictures.samples.len(), segments.fragments.len());
    if found != wanted || pictures.fragments.len() != wanted {
        return wrong(format!("has {found} pictures for {wanted} segments"));
    }
    let end: i64 = segments.samples.iter().map(|sample| i64::from(sample.duration)).sum();
    let nexts = pictures.samples.iter().skip(1).map(|next| next.pts).chain([end]);
    for ((picture, next), segment) in pictures.samples.iter().zip(nexts).zip(&segments.fragments) {
        let first = &segments.samples[segment.first];
        let at = picture.pts;
        if !picture.sync || picture.pts != first.pts || pictures.data(picture)? != segments.data(first)? {
            return wrong(format!("does not have the first picture of a segment at {at}"));
        }
        if at + i64::from(picture.duration) != next {
            return wrong(format!("shows its picture at {at} not until the next"));
        }
    }
    Ok(())
}

/// Whether the byte ranges of a playlist are the fragments of the file.
fn ranges_are_fragments(playlist: &Path, pictures: &CodedTrack) -> Result<(), MediaError> {
    let label = &pictures.label;
    let text = std::fs::read_to_string(playlist)
        .map_err(|error| MediaError::failed(format!("the playlist of {label} cannot be read: {error}")))?;
    let ranges = text.lines().filter_map(|line| line.strip_prefix("#EXT-X-BYTERANGE:"));
    let fragments = pictures.fragments.iter().zip(&pictures.samples).map(|(place, sample)| {
        let frame = IFrame { start: 0, duration: sample.duration, size: sample.size };
        let bytes = frame.fragment_bytes();
        format!("{bytes}@{}", place.end.saturating_sub(bytes))
    });
    match ranges.eq(fragments) {
        true => Ok(()),
        false => Err(MediaError::failed(format!("the playlist of {label} does not name its fragments"))),
    }
}
