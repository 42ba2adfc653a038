//! The proof of transport streams: pictures and sound are those of the tracks that were proved, byte for byte once start codes and
//! headers are undone, each once and at its time, and a stream goes on from segment to segment.

use std::fs;
use std::path::{Path, PathBuf};

use reel_cmaf::mov::TrackKind;
use reel_profiles::Profile;
use reel_ts::{AccessUnit, Adts, ParameterSets, Reader, Segment, timestamp, wrapped};

use super::tree::{CodedTrack, Stream, Tree};
use crate::MediaError;

/// The folder of them, the playlist of all, and the playlist of each.
const FOLDER: &str = "ts";
const MASTER: &str = "ts.m3u8";
const PLAYLIST: &str = "playlist.m3u8";

/// Holds the transport streams of a tree against its other files. The error names the first thing that does not hold.
pub(super) fn check(root: &Path, tree: &Tree, profile: &Profile) -> Result<(), MediaError> {
    let (package, folder) = (profile.package, root.join(FOLDER));
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        MediaError::failed(format!("{} cannot be read: {error}", path.display()))
    };
    let named = |stream: &&Stream| {
        let entry = profile.video.iter().find(|rendition| rendition.name == stream.name);
        entry.is_some_and(|rendition| package.ts_rendition(rendition))
    };
    let renditions: Vec<&Stream> = tree.video.iter().filter(named).collect();
    let mut tracks = profile.audio.iter().filter(|track| package.ts_track(track));
    let sound = tracks.find_map(|track| tree.audio.iter().find(|stream| stream.name == track.name));
    let master = root.join(MASTER);
    let text = fs::read_to_string(&master).map_err(|error| unreadable(&master, &error))?;
    let mut told: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    told.sort_unstable();
    let mut due: Vec<_> =
        renditions.iter().map(|stream| format!("{FOLDER}/{}/{PLAYLIST}", stream.name)).collect();
    due.sort_unstable();
    if told != due {
        return Err(MediaError::failed(format!("{MASTER} of the output does not name its renditions")));
    }
    for stream in renditions {
        let label = format!("{FOLDER}/{}", stream.name);
        let segments = segments(&folder.join(&stream.name)).map_err(|what| wrong(&label, &what))?;
        let due = Due::read(stream, sound)?;
        check_stream(&segments, &due).map_err(|what| wrong(&label, &what))?;
    }
    Ok(())
}

fn wrong(label: &str, what: &str) -> MediaError {
    MediaError::failed(format!("{label} of the output {what}"))
}

/// The segments of a stream, which are those that its playlist names, and all that there are.
fn segments(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let text = fs::read_to_string(folder.join(PLAYLIST)).map_err(unreadable)?;
    let names: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let found = fs::read_dir(folder).map_err(unreadable)?.count();
    let numbered = (1..).zip(&names).all(|(number, name)| *name == format!("seg_{number:05}.ts"));
    match numbered && found == names.len() + 1 {
        true => Ok(names.into_iter().map(|name| folder.join(name)).collect()),
        false => Err("has other segments than its playlist names".to_owned()),
    }
}

/// What a stream has to hold.
struct Due {
    pictures: CodedTrack,
    sets: ParameterSets,
    sound: Option<(CodedTrack, Adts)>,
}

impl Due {
    fn read(video: &Stream, sound: Option<&Stream>) -> Result<Self, MediaError> {
        let track = |stream: &Stream, kind| CodedTrack::read(&stream.carriers[0], kind);
        let failed = |error: reel_ts::TsError| MediaError::failed(error.to_string());
        let pictures = track(video, TrackKind::Video)?;
        let sets = ParameterSets::new(&pictures.config).map_err(failed)?;
        let sound = sound.map(|stream| track(stream, TrackKind::Audio)).transpose()?;
        let adts = |track: CodedTrack| Adts::new(&track.config).map(|adts| (track, adts)).map_err(failed);
        Ok(Due { pictures, sets, sound: sound.map(adts).transpose()? })
    }

    /// How many pictures there are before a segment; `None` where the file does not tell.
    fn first_of(&self, segment: usize) -> Option<usize> {
        let fragments = &self.pictures.fragments;
        let after = fragments.get(segment).map_or(self.pictures.samples.len(), |place| place.first);
        (!fragments.is_empty()).then_some(after)
    }
}

fn check_stream(segments: &[PathBuf], due: &Due) -> Result<(), String> {
    let (mut reader, mut pictures, mut frames) = (Reader::default(), 0, 0);
    for (number, path) in segments.iter().enumerate() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let bytes = fs::read(path).map_err(|error| format!("cannot be read: {name}: {error}"))?;
        let segment = reader.read(&bytes).map_err(|error| format!("is no stream: {name}: {error}"))?;
        let within = |what: String| format!("{what} in {name}");
        if due.first_of(number).is_some_and(|first| first != pictures) {
            return Err(within("does not begin a segment where others do".to_owned()));
        }
        check_pictures(&segment, due, &mut pictures).map_err(within)?;
        check_sound(&segment, due, &mut frames).map_err(within)?;
    }
    let sound = due.sound.as_ref().map_or(0, |(track, _)| track.samples.len());
    match (pictures, frames) == (due.pictures.samples.len(), sound) {
        true => Ok(()),
        false => Err(format!(
            "ends after {pictures} of {} pictures and {frames} of {sound} frames of sound",
            due.pictures.samples.len()
        )),
    }
}

fn check_pictures(segment: &Segment, due: &Due, next: &mut usize) -> Result<(), String> {
    let track = &due.pictures;
    for unit in &segment.pictures {
        let sample = track.samples.get(*next).ok_or("has more pictures than there are")?;
        let read = AccessUnit::read(&unit.data).ok_or_else(|| format!("has a malformed picture {next}"))?;
        let sets = sample.sync.then_some(&due.sets);
        if read.sets.as_ref() != sets || read.sample != track.data(sample).map_err(|error| error.message)? {
            return Err(format!("does not have the bytes of picture {next}"));
        }
        let time = |ticks| wrapped(timestamp(ticks, track.timescale));
        if (unit.pts, unit.dts) != (time(sample.pts), time(sample.dts)) {
            return Err(format!("does not have picture {next} at its time"));
        }
        *next += 1;
    }
    Ok(())
}

fn check_sound(segment: &Segment, due: &Due, next: &mut usize) -> Result<(), String> {
    let Some((track, adts)) = &due.sound else {
        return if segment.sound.is_empty() {
            Ok(())
        } else {
            Err("has sound where there is none".to_owned())
        };
    };
    if segment.adts.is_some_and(|found| found != *adts) {
        return Err("has sound of another kind".to_owned());
    }
    for (pts, frames) in &segment.sound {
        for (at, frame) in frames.iter().enumerate() {
            let sample = track.samples.get(*next).ok_or("has more sound than there is")?;
            if at == 0 && *pts != wrapped(timestamp(sample.pts, track.timescale)) {
                return Err(format!("does not have frame {next} of sound at its time"));
            }
            if *frame != track.data(sample).map_err(|error| error.message)? {
                return Err(format!("does not have the bytes of frame {next} of sound"));
            }
            *next += 1;
        }
    }
    Ok(())
}
