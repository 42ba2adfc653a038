//! Streams against each other, and files against what names them.

use std::collections::{BTreeMap, BTreeSet};

use reel_common::Rational;

use crate::Package;
use crate::bmff::top_boxes;
use crate::finding::Findings;
use crate::hls::find;
use crate::package::Place;
use crate::rule::{
    ALIGNMENT, CENC_SCHEME, DURATIONS, ENDS, FILE_UNREFERENCED, HLS_DASH, PACKAGE_EMPTY, TIMELINE,
};
use crate::stream::{Kind, Segment, Stream, Title};
use crate::time::{add, apart, ms, seconds, shown};

/// Judges a title as a whole.
pub(crate) fn judge(package: &Package<'_>, title: &Title, findings: &mut Findings) {
    files(package, title, findings);
    let streams = streams(title);
    for (name, stream) in &streams {
        timeline(name, stream, findings);
    }
    schemes(&streams, findings);
    for together in switching(title) {
        alignment(&together, findings);
    }
    for together in presented(title) {
        ends(&together, findings);
    }
    hls_and_dash(title, findings);
}

/// A stream, and the file in which its findings are told.
type Named<'a> = (&'a str, String, &'a Stream);

/// Every stream of a title.
fn streams(title: &Title) -> Vec<(String, &Stream)> {
    let playlists = title.playlists.iter().map(|playlist| (playlist.file.clone(), &playlist.stream));
    let sets = title.manifests.iter().flat_map(|manifest| {
        manifest
            .sets
            .iter()
            .flat_map(|set| &set.representations)
            .map(|one| (manifest.file.clone(), &one.stream))
    });
    playlists.chain(sets).collect()
}

fn files(package: &Package<'_>, title: &Title, findings: &mut Findings) {
    let has_media = title.playlists.iter().any(|playlist| !playlist.stream.segments.is_empty());
    let has_sets = title.manifests.iter().any(|manifest| !manifest.sets.is_empty());
    let progressive = || package.files.keys().any(|file| is_mp4(file) && is_progressive(package, file));
    if !has_media && !has_sets && !progressive() {
        findings.add(&PACKAGE_EMPTY, "", "nothing that names media");
    }
    let folder = |file: &str| file.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    let texts: BTreeSet<String> =
        title.named.iter().filter(|file| file.ends_with(".vtt")).map(|file| folder(file)).collect();
    for file in package.files.keys().filter(|file| !title.named.contains(*file)) {
        let name = file.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        let is_lost = ends(&[".m4s", ".ts", ".cmfv", ".cmfa", ".cmft", ".aac", ".m3u8"])
            || (ends(&[".vtt"]) && texts.contains(&folder(file)) && !folder(file).is_empty())
            || (is_mp4(file) && !is_progressive(package, file));
        // A playlist by itself is what a player begins with where there is no other.
        let is_root = name.ends_with(".m3u8")
            && (title.masters.iter().any(|master| master.file == *file) || title.masters.is_empty());
        if is_lost && !is_root {
            findings.add(&FILE_UNREFERENCED, file, "nothing names it");
        }
    }
}

fn is_mp4(file: &str) -> bool {
    let name = file.to_ascii_lowercase();
    [".mp4", ".m4v", ".m4a"].iter().any(|ending| name.ends_with(ending))
}

/// Whether a file is whole by itself: a film with its tables, and no fragments.
fn is_progressive(package: &Package<'_>, file: &str) -> bool {
    let place = Place { file: file.to_owned(), offset: 0, length: package.size(file).unwrap_or(0) };
    let boxes = top_boxes(package, &place).unwrap_or_default();
    let has = |kind: &[u8; 4]| boxes.iter().any(|inner| inner.kind == *kind);
    has(b"moov") && has(b"mdat") && !has(b"moof")
}

/// Each segment goes on where the one before ended.
fn timeline(file: &str, stream: &Stream, findings: &mut Findings) {
    for (number, pair) in stream.segments.windows(2).enumerate() {
        let [before, after] = pair else { continue };
        let (Some(one), Some(other)) = (&before.media, &after.media) else { continue };
        // Pictures for winding that lie in the segments of a rendition leave out the rest.
        let single = one.samples == 1 && other.samples == 1;
        if one.end != other.start && !single && before.init == after.init {
            let found = format!(
                "segment {} ends at {} ticks, the next begins at {}",
                number + 1,
                one.end,
                other.start
            );
            findings.add(&TIMELINE, after.place.as_ref().map_or(file, |place| &place.file), found);
        }
    }
}

/// One scheme in all tracks, of which each set of players takes one.
fn schemes(streams: &[(String, &Stream)], findings: &mut Findings) {
    let mut found: BTreeMap<[u8; 4], &str> = BTreeMap::new();
    for (name, stream) in streams {
        let protection = stream.track().and_then(|track| track.protection());
        found.extend(protection.map(|protection| (protection.scheme, name.as_str())));
    }
    if let (Some((one, _)), Some((other, file))) = (found.first_key_value(), found.last_key_value())
        && one != other
    {
        let name = |scheme: &[u8; 4]| String::from_utf8_lossy(scheme).into_owned();
        findings.add(&CENC_SCHEME, file, format!("{} here, and {} elsewhere", name(other), name(one)));
    }
}

/// The streams of pictures between which players switch.
fn switching(title: &Title) -> Vec<Vec<Named<'_>>> {
    let mut all = Vec::new();
    for master in &title.masters {
        for entries in [&master.variants, &master.iframes] {
            let mut seen = BTreeSet::new();
            let found = entries.iter().filter_map(|variant| find(title, variant.playlist.as_ref()));
            let found = found.filter(|playlist| seen.insert(&playlist.file));
            let found =
                found.map(|playlist| (playlist.file.as_str(), playlist.file.clone(), &playlist.stream));
            all.push(found.filter(|(_, _, stream)| stream.kind() == Kind::Video).collect());
        }
    }
    for manifest in &title.manifests {
        for set in manifest.sets.iter().filter(|set| set.aligned) {
            let found =
                set.representations.iter().map(|one| (manifest.file.as_str(), one.id.clone(), &one.stream));
            all.push(found.collect());
        }
    }
    all
}

/// Segments begin at the same times; that each begins with a keyframe is another rule. Between these, renditions may have more of them,
/// each where its pictures change.
fn alignment(streams: &[Named<'_>], findings: &mut Findings) {
    let Some(((_, first_name, first), others)) = streams.split_first() else { return };
    for (file, name, other) in others {
        let (one, two) = (first.segments.len(), other.segments.len());
        if one != two {
            findings.add(&ALIGNMENT, file, format!("{name} has {two} segments, {first_name} {one}"));
            continue;
        }
        let begins = |segment: &Segment| segment.presented().map(|(begin, _)| begin);
        let pairs = first.segments.iter().zip(&other.segments).enumerate();
        let off = pairs.filter_map(|(number, (one, two))| Some((number, begins(one)?, begins(two)?)));
        let off = off.into_iter().find(|(_, one, two)| apart(*one, *two) > ms(1));
        if let Some((number, one, two)) = off {
            let found = format!(
                "segment {} of {name} begins at {}, of {first_name} at {}",
                number + 1,
                shown(two),
                shown(one)
            );
            findings.add(&ALIGNMENT, file, found);
        }
    }
}

/// Streams that are presented together: those of a multivariant playlist, and those of a Period.
fn presented(title: &Title) -> Vec<Vec<Named<'_>>> {
    let mut all: Vec<Vec<Named<'_>>> = Vec::new();
    for master in &title.masters {
        let entries = master.variants.iter().chain(&master.renditions);
        let mut seen = BTreeSet::new();
        let found = entries.filter_map(|variant| find(title, variant.playlist.as_ref()));
        let found = found.filter(|playlist| seen.insert(&playlist.file));
        all.push(
            found.map(|playlist| (playlist.file.as_str(), playlist.file.clone(), &playlist.stream)).collect(),
        );
    }
    for manifest in &title.manifests {
        for period in 0..manifest.period_count {
            let sets = manifest.sets.iter().filter(|set| set.period == period && set.trick_mode.is_none());
            let found = sets.flat_map(|set| &set.representations);
            all.push(found.map(|one| (manifest.file.as_str(), one.id.clone(), &one.stream)).collect());
        }
    }
    all
}

/// Pictures end together within a frame, and sound with them within a frame of either.
fn ends(streams: &[Named<'_>], findings: &mut Findings) {
    let mut of_video: Option<(&str, Rational, Rational)> = None;
    let of = |kind: Kind| streams.iter().filter(move |(_, _, stream)| stream.kind() == kind);
    for (file, name, stream) in of(Kind::Video) {
        let Some(end) = stream.presented_end() else { continue };
        match &of_video {
            None => of_video = Some((name, end, stream.longest_sample())),
            Some((first, expected, frame)) if apart(end, *expected) > *frame => {
                findings.add(
                    &DURATIONS,
                    file,
                    format!("{name} ends at {}, {first} at {}", shown(end), shown(*expected)),
                );
            }
            Some(_) => {}
        }
    }
    let Some((first, expected, frame)) = of_video else { return };
    for (file, name, stream) in of(Kind::Audio) {
        let Some(end) = stream.presented_end() else { continue };
        if apart(end, expected) > frame.max(stream.longest_sample()) {
            findings.add(
                &ENDS,
                file,
                format!("{name} ends at {}, {first} at {}", shown(end), shown(expected)),
            );
        }
    }
}

/// What is named by both has the same segments, of the same durations.
fn hls_and_dash(title: &Title, findings: &mut Findings) {
    for manifest in &title.manifests {
        for one in manifest.sets.iter().flat_map(|set| &set.representations) {
            let Some(first) = one.stream.segments.first().and_then(|segment| segment.place.as_ref()) else {
                continue;
            };
            let is_same = |segment: &&Segment| segment.place.as_ref() == Some(first);
            let playlist = title
                .playlists
                .iter()
                .find(|playlist| playlist.stream.segments.first().as_ref().is_some_and(is_same));
            if let Some(playlist) = playlist
                && let Some(found) = differs(&playlist.stream, &one.stream)
            {
                findings.add(&HLS_DASH, &manifest.file, format!("{} and {}: {found}", one.id, playlist.file));
            }
        }
    }
}

fn differs(playlist: &Stream, representation: &Stream) -> Option<String> {
    let (one, two) = (&playlist.segments, &representation.segments);
    if one.len() != two.len() {
        return Some(format!("{} and {} segments", two.len(), one.len()));
    }
    if let Some(number) = one.iter().zip(two).position(|(one, two)| one.place != two.place) {
        return Some(format!("segment {} lies elsewhere", number + 1));
    }
    let track = playlist.track()?;
    let frame = playlist.longest_sample().max(ms(1));
    // Playlists count what is decoded first and not presented, manifests do not.
    let skipped = seconds(track.edit_start, track.timescale);
    one.iter().zip(two).enumerate().find_map(|(number, (one, two))| {
        let slack = if number == 0 { add(frame, skipped) } else { frame };
        let off = apart(one.duration, two.duration) > slack;
        off.then(|| {
            format!("segment {} lasts {} and {}", number + 1, shown(two.duration), shown(one.duration))
        })
    })
}
