//! H.264 renditions once more as transport streams, with one track of sound: the segments are those of CMAF, written anew.
//!
//! A segment of a stream takes the pictures of one segment and the sound that is heard meanwhile; both are read where they are stored,
//! and a segment is all that is held. Transport streams have no edit lists: pictures and sound have the times at which the title
//! presents them, and what is decoded before its first sample and not meant to be heard lies before its beginning.

use reel_cmaf::progressive::SourceRun;
use reel_common::{Failure, RecipeKey};
use reel_package::ts::{TsVariant, master_playlist, media_playlist};
use reel_package::{SegmentSize, Stream, layout, target_duration};
use reel_profiles::Rendition;
use reel_ts::{Muxer, Picture, SoundFrame, TsError, timestamp};

use super::collect::Collected;
use super::records::recipe_key;
use super::single::Sources;
use super::{Tree, Written, fault};

/// A frame of sound where it is stored.
struct Frame {
    source: u32,
    offset: u64,
    size: u32,
    pts: i64,
}

impl Tree<'_> {
    /// The stream of a rendition, where the profile has one; gives its segments.
    pub(super) fn transport_stream(
        &mut self,
        number: usize,
        video: &Collected,
        audio: &[Collected],
    ) -> Result<Option<Stream>, Failure> {
        let record = self.records.rendition(0, number);
        let is_named = |rendition: &&Rendition| rendition.name == record.rendition;
        let rendition = self.work.profile.video.iter().find(is_named);
        if !rendition.is_some_and(|rendition| self.work.profile.package.ts_rendition(rendition)) {
            return Ok(None);
        }
        let folder = layout::ts_folder(&record.rendition);
        let wrong = |error: TsError| fault(&format!("{folder}: {error}"));
        let keys = self.ts_sources(number)?;
        let mut sources = Sources::new(self.work.store, &keys);
        let track = self.ts_track();
        let sound = track.map(|track| &self.records.audio[track]);
        let setup = sound.map(|sound| (sound.codec_config.as_slice(), language(&sound.language)));
        let mut muxer = Muxer::new(&record.codec_config, setup).map_err(wrong)?;
        let frames = match (track, sound) {
            (Some(track), Some(sound)) => frames(&audio[track], sound.priming),
            _ => Vec::new(),
        };
        let mut waiting = frames.as_slice();
        let mut stream = Stream { timescale: video.stream.timescale, segments: Vec::new(), head: None };
        let mut pictures = Pictures::new(video);
        let segments = video.stream.segments.len() as u64;
        for ((number, run), segment) in (0..).zip(&video.runs).zip(&video.stream.segments) {
            let timed = pictures.next(run.samples);
            let length = timed.iter().map(|(size, ..)| u64::from(*size)).sum();
            let coded = sources.read(run.source, run.offset, length)?;
            let shown = timestamp((stream.duration() + segment.ticks) as i64, stream.timescale);
            let heard = match number + 1 < segments {
                true => waiting.partition_point(|frame| frame.pts < shown),
                false => waiting.len(),
            };
            let (heard, later) = waiting.split_at(heard);
            waiting = later;
            let (begins, sounds) = read_frames(&mut sources, heard)?;
            let sound = heard.iter().map(|frame| {
                let start = (frame.offset - begins) as usize;
                SoundFrame { data: &sounds[start..start + frame.size as usize], pts: frame.pts }
            });
            let sound: Vec<_> = sound.collect();
            let bytes =
                muxer.segment(&pictures_of(&timed, &coded), &sound, pictures.timestamp()).map_err(wrong)?;
            self.staging.write(&format!("{folder}/{}", layout::ts_segment(number)), &bytes)?;
            (self.advance)((coded.len() + sounds.len()) as u64);
            stream.segments.push(SegmentSize { ticks: segment.ticks, bytes: bytes.len() as u64 });
        }
        Ok(Some(stream))
    }

    /// The playlists of the streams, where there are some.
    pub(super) fn ts_playlists(&mut self, video: &[Written]) -> Result<(), Failure> {
        let made =
            || video.iter().enumerate().filter_map(|(at, written)| Some((at, written, written.ts.as_ref()?)));
        if made().next().is_none() {
            return Ok(());
        }
        let target = target_duration(made().map(|(_, _, stream)| stream));
        let sound = self.ts_track().map(|track| self.audio_string(track)).transpose()?;
        let mut variants = Vec::new();
        for (number, written, stream) in made() {
            let record = self.records.rendition(0, number);
            let path = format!("{}/{}", layout::ts_folder(&record.rendition), layout::PLAYLIST);
            self.staging.write(&path, media_playlist(stream, target).as_bytes())?;
            let codecs = [Some(&written.codec), sound.as_ref()];
            variants.push(TsVariant {
                rendition: &record.rendition,
                stream,
                codecs: codecs.into_iter().flatten().map(String::as_str).collect(),
                width: record.width,
                height: record.height,
                frame_rate: written.frame_rate,
            });
        }
        let master = master_playlist(&variants, target);
        self.staging.write(layout::TS_MASTER, master.as_bytes())
    }

    /// The track that goes with the pictures: the first that may.
    fn ts_track(&self) -> Option<usize> {
        let profile = self.work.profile;
        let track = |number: &u32| &profile.audio[*number as usize];
        self.records.track_numbers.iter().position(|number| profile.package.ts_track(track(number)))
    }

    /// Where pictures and sound are: the parts of a rendition, then the track.
    fn ts_sources(&self, number: usize) -> Result<Vec<RecipeKey>, Failure> {
        let parts =
            (0..self.records.parts.len()).map(|part| &self.records.rendition(part, number).recipe_key);
        let track = self.ts_track().map(|track| &self.records.audio[track].recipe_key);
        parts.chain(track).map(|key| recipe_key(key)).collect()
    }
}

/// Three letters as the program map has them.
fn language(language: &str) -> [u8; 3] {
    match *language.as_bytes() {
        [a, b, c] if language.bytes().all(|letter| letter.is_ascii_lowercase()) => [a, b, c],
        _ => *b"und",
    }
}

/// Size, decode time, presentation time and whether it depends on no other, of a picture.
type Timed = (u32, i64, i64, bool);

/// The pictures of a rendition, in decode order, on the title's timeline.
struct Pictures<'a> {
    video: &'a Collected,
    next: usize,
    /// Decode time of the next, in ticks from the title's beginning.
    dts: i64,
}

impl<'a> Pictures<'a> {
    fn new(video: &'a Collected) -> Self {
        Pictures { video, next: 0, dts: video.first_dts as i64 - video.first_pts() as i64 }
    }

    fn next(&mut self, count: u32) -> Vec<Timed> {
        let timescale = self.video.stream.timescale;
        let end = (self.next + count as usize).min(self.video.specs.len());
        let specs = &self.video.specs[std::mem::replace(&mut self.next, end)..end];
        let timed = specs.iter().map(|spec| {
            let dts = self.dts;
            self.dts += i64::from(spec.duration);
            let pts = dts + i64::from(spec.composition_offset);
            (spec.size, timestamp(dts, timescale), timestamp(pts, timescale), spec.sync)
        });
        timed.collect()
    }

    /// When the next is decoded.
    fn timestamp(&self) -> i64 {
        timestamp(self.dts, self.video.stream.timescale)
    }
}

/// Pictures that lie one behind the other in `coded`.
fn pictures_of<'a>(timed: &[Timed], coded: &'a [u8]) -> Vec<Picture<'a>> {
    let mut rest = coded;
    let pictures = timed.iter().map(|(size, dts, pts, sync)| {
        let (sample, after) = rest.split_at((*size as usize).min(rest.len()));
        rest = after;
        Picture { sample, dts: *dts, pts: *pts, sync: *sync }
    });
    pictures.collect()
}

/// The frames of a track, of which the first `priming` samples come before the title's beginning.
fn frames(track: &Collected, priming: u32) -> Vec<Frame> {
    let (mut specs, mut begins) = (track.specs.iter(), -i64::from(priming));
    let mut frames = Vec::with_capacity(track.specs.len());
    for SourceRun { samples, source, offset } in &track.runs {
        let mut offset = *offset;
        for spec in specs.by_ref().take(*samples as usize) {
            let pts = timestamp(begins, track.stream.timescale);
            frames.push(Frame { source: *source, offset, size: spec.size, pts });
            offset += u64::from(spec.size);
            begins += i64::from(spec.duration);
        }
    }
    frames
}

/// The stored bytes from the first of some frames to the last, and where they begin.
fn read_frames(sources: &mut Sources<'_>, frames: &[Frame]) -> Result<(u64, Vec<u8>), Failure> {
    let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return Ok((0, Vec::new())) };
    let end = last.offset + u64::from(last.size);
    Ok((first.offset, sources.read(first.source, first.offset, end - first.offset)?))
}
