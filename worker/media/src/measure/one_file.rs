//! The proof of files that hold all segments of a track: index, playlist and manifest name the fragments that are there, for the
//! times at which they are shown.

use std::fs;
use std::ops::Range;
use std::path::Path;

use reel_cmaf::ReadAt;
use reel_cmaf::fragment::Fragments;
use reel_cmaf::index::{Reference, SegmentIndex};
use reel_cmaf::mov::Movie;

use super::tree::{Carrier, Joined, Stream};
use crate::MediaError;

/// The file, in the folder of its track, and its playlist; the manifest, at the root of the tree.
const FILE: &str = "media.mp4";
const PLAYLIST: &str = "playlist.m3u8";
const MANIFEST: &str = "manifest.mpd";

/// Where header and segments lie in the file of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaFile {
    /// The header.
    pub init: Range<u64>,
    /// The segments, in order.
    pub segments: Vec<Range<u64>>,
}

/// Holds the file of a track against what names its bytes. `track` is its folder in the `tree`, such as `video/540p`.
///
/// # Errors
/// The first thing that does not hold.
pub fn media_file(tree: &Path, track: &str) -> Result<MediaFile, MediaError> {
    let path = format!("{track}/{FILE}");
    let wrong = |what: &str| MediaError::failed(format!("{path} of the output {what}"));
    let unreadable = |error: &dyn std::fmt::Display| wrong(&format!("cannot be read: {error}"));
    let bytes = Joined::new(vec![tree.join(&path)]).map_err(|error| unreadable(&error))?;
    let index = SegmentIndex::read(&bytes).map_err(|error| unreadable(&error))?;
    let index = index.ok_or_else(|| wrong("has no index of segments that each begin with a picture"))?;
    let movie = Movie::read(&bytes).map_err(|error| unreadable(&error))?;
    let shown = shown(&bytes, &movie, index.end).map_err(|what| wrong(&what))?;
    if movie.tracks.iter().any(|track| track.timescale != index.timescale) || index.start != 0 {
        return Err(wrong("has an index with other times than its header"));
    }
    index_is_of(&index, &shown).map_err(|number| {
        wrong(&format!("has an index of which reference {number} is not what lies there"))
    })?;
    let segments: Vec<_> = shown.into_iter().map(|(range, _)| range).collect();
    let file = MediaFile { init: 0..index.position, segments };
    let folder = tree.join(track);
    if folder.join(PLAYLIST).exists() {
        let text = fs::read_to_string(folder.join(PLAYLIST)).map_err(|error| unreadable(&error))?;
        playlist_is_of(&text, &file).map_err(|what| wrong(&format!("is not what its playlist {what}")))?;
    }
    if tree.join(MANIFEST).exists() {
        let text = fs::read_to_string(tree.join(MANIFEST)).map_err(|error| unreadable(&error))?;
        let named = format!(
            "<BaseURL>{path}</BaseURL> indexRange=\"{}-{}\" range=\"0-{}\"",
            index.position,
            index.end - 1,
            index.position - 1
        );
        if !manifest_words(&text).contains(&named) {
            return Err(wrong("does not have header and index where the manifest says"));
        }
    }
    Ok(file)
}

/// The files of a stream of the tree, where it has its segments in one.
pub(super) fn check(tree: &Path, stream: &Stream) -> Result<(), MediaError> {
    let folder =
        |carrier: &Carrier| Some(carrier.paths.first()?.strip_prefix(tree).ok()?.parent()?.to_owned());
    // What lies at the root carries the stream in another way.
    let folders: Vec<_> =
        stream.carriers.iter().filter_map(folder).filter(|folder| folder.components().count() > 0).collect();
    match folders.as_slice() {
        [folder] => media_file(tree, &folder.to_string_lossy()).map(drop),
        _ => Err(MediaError::failed(format!("{} of the output has no file of its segments", stream.name))),
    }
}

/// The segments that lie behind `start` to the end of the file, each with the ticks for which it is presented.
fn shown(bytes: &Joined, movie: &Movie, start: u64) -> Result<Vec<(Range<u64>, u64)>, String> {
    let edits = movie.tracks.first().map(|track| track.edits.as_slice()).unwrap_or_default();
    let offset = edits.first().and_then(|edit| edit.media_time).unwrap_or(0);
    let mut found: Vec<(Range<u64>, i64, i64)> = Vec::new();
    let mut begins = start;
    for fragment in Fragments::of_ours(bytes) {
        let fragment = fragment.map_err(|error| error.to_string())?;
        let first = fragment.samples.iter().map(|sample| sample.pts).min().unwrap_or(0) - offset;
        let ends = fragment.samples.iter().map(|sample| sample.pts + i64::from(sample.duration)).max();
        if fragment.samples.first().is_none_or(|sample| !sample.sync || sample.pts - offset != first) {
            return Err(format!(
                "has a segment at byte {begins} that does not begin with what is shown first"
            ));
        }
        found.push((begins..fragment.end, first.max(0), ends.unwrap_or(0) - offset));
        begins = fragment.end;
    }
    if begins != bytes.len() {
        return Err(format!("has more than its segments behind byte {begins}"));
    }
    let ends = found.iter().skip(1).map(|(_, next, _)| *next).chain(found.last().map(|(_, _, end)| *end));
    let ticks = ends.zip(&found).map(|(end, (_, first, _))| u64::try_from(end - first).unwrap_or(0));
    let ticks: Vec<_> = ticks.collect();
    Ok(found.into_iter().map(|(range, _, _)| range).zip(ticks).collect())
}

/// Whether each reference is one segment, or as many of those that follow as any other; else the number of one that is not.
fn index_is_of(index: &SegmentIndex, shown: &[(Range<u64>, u64)]) -> Result<(), usize> {
    let run = shown.len().div_ceil(index.references.len().max(1)).max(1);
    let runs = shown.chunks(run).map(|run| Reference {
        bytes: run.iter().map(|(range, _)| range.end - range.start).sum(),
        ticks: run.iter().map(|(_, ticks)| ticks).sum(),
    });
    let runs: Vec<_> = runs.collect();
    let count = runs.len().max(index.references.len());
    match (0..count).find(|number| runs.get(*number) != index.references.get(*number)) {
        None => Ok(()),
        Some(number) => Err(number),
    }
}

/// Whether a playlist names the bytes of a file and no other, else what it does not name.
fn playlist_is_of(text: &str, file: &MediaFile) -> Result<(), &'static str> {
    let map = format!("#EXT-X-MAP:URI=\"{FILE}\",BYTERANGE=\"{}@0\"", file.init.end);
    if text.lines().filter(|line| line.starts_with("#EXT-X-MAP:")).ne([map.as_str()]) {
        return Err("has for its header");
    }
    let ranges = text.lines().filter_map(|line| line.strip_prefix("#EXT-X-BYTERANGE:"));
    let names = text.lines().filter(|line| !line.starts_with('#'));
    let segments = file.segments.iter().map(|range| format!("{}@{}", range.end - range.start, range.start));
    match ranges.eq(segments) && names.eq(file.segments.iter().map(|_| FILE)) {
        true => Ok(()),
        false => Err("has for its segments"),
    }
}

/// What a manifest says of files, one behind the other with single spaces between.
fn manifest_words(text: &str) -> String {
    let told = |word: &&str| {
        word.starts_with("<BaseURL>") || word.starts_with("indexRange=") || word.starts_with("range=")
    };
    let words = text.split_whitespace().map(|word| word.trim_end_matches("/>")).filter(told);
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use reel_cmaf::index;
    use reel_cmaf::init::{Span, TextInit, text_init};
    use reel_cmaf::segment::{Sample, media_segment};

    use super::*;

    /// A tree with a file of segments that last 100 to 102 ticks.
    fn tree(count: u32) -> (tempfile::TempDir, Vec<Reference>) {
        let (mut begins, mut media, mut references) = (0, Vec::new(), Vec::new());
        for number in 1..=count {
            let duration = 100 + number % 3;
            let sample = Sample { data: b"text", duration, composition_offset: 0, sync: true };
            let segment = media_segment(number, begins, &[sample]);
            references.push(Reference { bytes: segment.len() as u64, ticks: duration.into() });
            begins += u64::from(duration);
            media.extend(segment);
        }
        let init = TextInit { timescale: 100, language: "en" };
        let init = text_init(&init, Span { start: 0, duration: begins });
        let head = index::head(&init, 100, &references).unwrap();
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("text")).unwrap();
        fs::write(tree.path().join("text/media.mp4"), [head.bytes, media].concat()).unwrap();
        (tree, references)
    }

    #[test]
    fn more_segments_than_an_index_counts_are_proved_by_twos() {
        let (tree, references) = tree(65_537);
        let file = media_file(tree.path(), "text").unwrap();
        let lengths = file.segments.iter().map(|range| range.end - range.start);
        assert!(lengths.eq(references.iter().map(|reference| reference.bytes)));
        assert!(file.segments.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn a_playlist_and_a_manifest_name_what_is_there() {
        let (tree, _) = tree(3);
        let MediaFile { init, segments } = media_file(tree.path(), "text").unwrap();
        let lines = segments.iter().map(|range| {
            format!("#EXT-X-BYTERANGE:{}@{}\nmedia.mp4\n", range.end - range.start, range.start)
        });
        let map = format!("#EXT-X-MAP:URI=\"media.mp4\",BYTERANGE=\"{}@0\"\n", init.end);
        let playlist = map + &lines.collect::<String>();
        let says = |playlist: &str| {
            fs::write(tree.path().join("text/playlist.m3u8"), playlist).unwrap();
            media_file(tree.path(), "text").map_err(|error| error.message)
        };
        assert!(says(&playlist).is_ok());
        let wrong = |what: &str| {
            Err(format!("text/media.mp4 of the output is not what its playlist has for its {what}"))
        };
        assert_eq!(says(&playlist.replace("@0\"", "@1\"")), wrong("header"));
        assert_eq!(says(&playlist.replacen("media.mp4\n", "other.mp4\n", 1)), wrong("segments"));
        assert_eq!(says(playlist.rsplit_once("#EXT").unwrap().0), wrong("segments"));
        says(&playlist).unwrap();

        let named = |range: &str| {
            let base = format!(
                "<BaseURL>text/media.mp4</BaseURL>\n<SegmentBase timescale=\"100\" indexRange=\"{range}\" indexRangeExact=\"true\">\n"
            );
            let text = format!("{base}<Initialization range=\"0-{}\"/>", init.end - 1);
            fs::write(tree.path().join("manifest.mpd"), text).unwrap();
            media_file(tree.path(), "text").is_ok()
        };
        let end = segments[0].start - 1;
        assert!(named(&format!("{}-{end}", init.end)));
        assert!(!named(&format!("{}-{}", init.end, end + 1)) && !named(&format!("{}-{end}", init.end + 1)));
    }
}
