//! The beginning of a title, made of its first parts while others are still encoded: segments, and playlists that grow.
//!
//! Segments are the ones that the whole title will have, byte for byte. Headers and the master playlist are not: they tell
//! rates, which nobody knows yet.

use std::fs::File;
use std::sync::Arc;

use reel_common::{Failure, PartIndex, SegmentGrid, TextName};
use reel_media::TitleTimes;
use reel_package::hls::{growing, master_playlist, media_playlist, webvtt_playlist};
use reel_package::{SegmentSize, Stream, TextFormat, layout, target_duration};
use reel_profiles::{Package, Profile};
use reel_proto::v1;
use reel_text::Document;

use super::collect::Collected;
use super::copy::Copied;
use super::manifests::{audio_media, variant};
use super::records::{Damage, Records};
use super::staging::Staging;
use super::texts::TextSegments;
use super::{Assemble, Tree, Written, adding, fault, read_index};
use crate::attempt::media;
use crate::text;

/// What a preview shows of a profile's title: HLS alone, without what is made of the whole title.
pub(crate) fn profile(whole: &Profile) -> Profile {
    let Package { hls, imsc1, .. } = whole.package;
    Profile { package: Package { hls, imsc1, ..Package::default() }, images: None, ..whole.clone() }
}

/// The beginning of a title in a folder of its own.
pub(crate) struct Beginning {
    /// The folder.
    pub(crate) folder: String,
    /// What is new in it.
    pub(crate) files: Vec<v1::OutputFile>,
    /// Keeps other attempts away from it while it is there.
    pub(crate) _lock: Arc<File>,
    /// The paths of everything that previews of the title ever show.
    pub(crate) paths: Vec<String>,
}

/// Makes what follows the first `shown` parts, up to the parts of the task; with the headers, the texts and the master
/// playlist where none is shown yet.
///
/// # Errors
/// As of assemble.
pub(crate) fn begin(
    work: &Assemble<'_>,
    shown: u32,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Beginning, Failure> {
    let mut index = read_index(work)?;
    // Captions that lie in the pictures are known when all of them were decoded.
    index.texts.retain(text::is_known);
    let times = TitleTimes::new(&index, &work.profile.picture).map_err(media)?;
    let grid = reel_media::title_grid(&index, work.profile).map_err(media)?;
    let parts = work.task.parts.len() as u32;
    let last = parts.checked_sub(1).and_then(|last| grid.part(PartIndex(last)));
    let last = last.ok_or_else(|| fault("the task names no parts of the title"))?;
    let records = Records::load(work, &index, last.end)?;
    let texts = index.texts.iter().map(text::stored).collect::<Result<Vec<_>, _>>()?;
    let ends_ms = reel_media::segment_ends_ms(&index, work.profile).map_err(media)?;
    let (hdr10, staging) = (
        super::hdr10(&index, work)?,
        Staging::create(work.output, work.job, records.space(&work.profile.package))?,
    );
    let advance = adding(records.bytes_to_copy(&work.profile.package), progress);
    let tree =
        Tree { work, records: &records, times: &times, texts, ends_ms, hdr10, staging, advance: &advance };
    let mut preview =
        Preview { whole: whole(&grid, &times), segments: grid.first_segment(parts), shown, grid, tree };
    preview.fill()?;
    let (paths, Preview { tree, .. }) = (preview.paths(), preview);
    let (folder, files, lock) = tree.staging.hand_over();
    Ok(Beginning { folder, files, _lock: lock, paths })
}

/// All segments of a rendition, whose sizes are not known.
fn whole(grid: &SegmentGrid, times: &TitleTimes) -> Stream {
    let at = |segment| times.ticks(grid.segment_start(segment)) as u64;
    let segments = (0..grid.segments()).map(|n| SegmentSize { ticks: at(n + 1) - at(n), bytes: 0 });
    Stream { timescale: times.timescale(), segments: segments.collect(), head: None }
}

struct Preview<'a> {
    tree: Tree<'a>,
    grid: SegmentGrid,
    /// The segments of pictures and texts.
    whole: Stream,
    /// How many of them are shown after this.
    segments: u64,
    /// How many parts are shown before it.
    shown: u32,
}

impl Preview<'_> {
    fn fill(&mut self) -> Result<(), Failure> {
        let mut damage = Damage::default();
        let copied = self.tree.copy(self.tree.runs(self.shown as usize), &mut damage)?;
        damage.into_failure()?;
        let (mut video, mut audio) = (Vec::new(), Vec::new());
        let [tracks, renditions] = self.tree.joined(copied)?;
        for (number, Copied { mut samples, files }) in tracks {
            self.tree.staging.merge(files);
            self.tree.audio_header(number, &mut samples)?;
            audio.push(samples);
        }
        for (number, Copied { samples, files }) in renditions {
            self.tree.staging.merge(files);
            self.check(number, &samples)?;
            if self.shown == 0 {
                video.push(self.header(number, samples)?);
            }
        }
        let target = target_duration(self.sounds().iter().chain([&self.whole]));
        self.playlists(target)?;
        if self.shown == 0 {
            let texts = self.text_segments(target)?;
            self.master(&video, &audio, &texts, target)?;
        }
        Ok(())
    }

    /// The segments of all tracks, by their records.
    fn sounds(&self) -> Vec<Stream> {
        let stream = |record: &v1::AudioRecord| {
            let sizes = record.segment_samples.iter().zip(&record.segment_bytes);
            let segments = sizes.map(|(ticks, bytes)| SegmentSize { ticks: *ticks, bytes: *bytes });
            Stream { timescale: record.sample_rate, segments: segments.collect(), head: None }
        };
        self.tree.records.audio.iter().map(stream).collect()
    }

    /// Whether the segments of a rendition that are new are as long as planned.
    fn check(&self, number: usize, samples: &Collected) -> Result<(), Failure> {
        let first = self.grid.first_segment(self.shown);
        let made = samples.stream.segments.iter().map(|segment| segment.ticks);
        let planned = &self.whole.segments[first as usize..self.segments as usize];
        if !made.eq(planned.iter().map(|segment| segment.ticks)) {
            let name = &self.tree.records.rendition(0, number).rendition;
            return Err(fault(&format!("rendition {name}: its segments are not those of the index")));
        }
        Ok(())
    }

    /// Writes the header of a rendition. Its rate is the profile's ceiling, where it has one.
    fn header(&mut self, number: usize, mut samples: Collected) -> Result<Written, Failure> {
        let name = &self.tree.records.rendition(0, number).rendition;
        let ceiling = self.tree.work.profile.video.iter().find(|known| known.name == *name);
        let ceiling = ceiling.and_then(|known| known.rate.maxrate_kbps).map(|kbps| u64::from(kbps) * 1000);
        let measured = samples.stream.peak_bps(target_duration([&self.whole]));
        // Without a ceiling the rest may be as large as players are told to bear (Apple's HLS authoring specification,
        // 1.29: peaks of twice the average).
        let expected = ceiling.unwrap_or(2 * samples.stream.average_bps()).max(measured);
        samples.stream = self.whole.at_rate(expected);
        self.tree.video_header(number, &mut samples)?;
        self.tree.written(number, samples, None)
    }

    /// The media playlists as far as pictures are there.
    fn playlists(&mut self, target: u64) -> Result<(), Failure> {
        let mut lists = Vec::new();
        for number in 0..self.tree.records.renditions() {
            let folder = layout::video_folder(&self.tree.records.rendition(0, number).rendition);
            let protected = self.tree.protected_rendition(number)?;
            let keys = protected.map(|track| track.keys(&self.whole)).transpose()?;
            lists.push((folder, media_playlist(&self.whole.first(self.segments), target, keys.as_ref())));
        }
        for (record, stream) in self.tree.records.audio.iter().zip(self.sounds()) {
            let protected = self.tree.protected_track(record)?;
            let keys = protected.map(|track| track.keys(&stream)).transpose()?;
            let list = media_playlist(&stream.first(self.segments), target, keys.as_ref());
            lists.push((layout::audio_folder(&record.name), list));
        }
        for (format, name) in self.texts() {
            let stream = self.whole.first(self.segments);
            let list = match format {
                TextFormat::WebVtt => webvtt_playlist(&stream, target),
                TextFormat::Imsc1 => media_playlist(&stream, target, None),
            };
            lists.push((layout::text_folder(format, &name.to_string()), list));
        }
        for (folder, list) in lists {
            self.tree.staging.write(&format!("{folder}/{}", layout::PLAYLIST), growing(&list).as_bytes())?;
        }
        Ok(())
    }

    fn texts(&self) -> Vec<(TextFormat, TextName)> {
        let formats = text::formats(self.tree.work.profile.package).iter();
        let names = |format: &TextFormat| {
            let format = *format;
            self.tree.texts.iter().map(move |(name, _)| (format, name.clone()))
        };
        formats.flat_map(names).collect()
    }

    /// Writes the segments of all texts, to their ends.
    fn text_segments(&mut self, target: u64) -> Result<Vec<reel_package::hls::TextGroup>, Failure> {
        let texts: Vec<(TextName, Document)> = std::mem::take(&mut self.tree.texts);
        let package = self.tree.work.profile.package;
        // Their playlists grow with those of the pictures.
        let listed = Package { hls: false, ..package };
        let segments = TextSegments::like(&self.whole, self.tree.ends_ms.clone(), target, listed);
        let formats = text::formats(package).iter().filter(|_| !texts.is_empty());
        let groups = formats.map(|format| segments.write(&mut self.tree.staging, *format, &texts)).collect();
        self.tree.texts = texts;
        groups
    }

    fn master(
        &mut self,
        video: &[Written],
        audio: &[Collected],
        texts: &[reel_package::hls::TextGroup],
        target: u64,
    ) -> Result<(), Failure> {
        let records = self.tree.records;
        let variants: Vec<_> =
            video.iter().enumerate().map(|(number, written)| variant(records, number, written)).collect();
        let codecs = (0..audio.len()).map(|number| self.tree.audio_string(number));
        let codecs = codecs.collect::<Result<Vec<_>, _>>()?;
        let tracks = records.audio.iter().zip(&codecs).zip(audio);
        let sounds: Vec<_> =
            tracks.map(|((record, codec), samples)| audio_media(record, codec, samples)).collect();
        let master = master_playlist(&variants, &sounds, texts, target);
        self.tree.staging.write(layout::MASTER, master.as_bytes())
    }

    /// See [`Beginning::paths`].
    fn paths(&self) -> Vec<String> {
        let mut paths = vec![layout::MASTER.to_owned()];
        let mut add = |folder: &str, segments: usize, name: fn(u64) -> String| {
            let names =
                (0..segments as u64).map(name).chain([layout::PLAYLIST, layout::INIT].map(str::to_owned));
            paths.extend(names.map(|name| format!("{folder}/{name}")));
        };
        let segments = self.whole.segments.len();
        for number in 0..self.tree.records.renditions() {
            let name = &self.tree.records.rendition(0, number).rendition;
            add(&layout::video_folder(name), segments, layout::segment);
        }
        for record in &self.tree.records.audio {
            add(&layout::audio_folder(&record.name), record.segment_samples.len(), layout::segment);
        }
        for (format, name) in self.texts() {
            let segment = match format {
                TextFormat::WebVtt => layout::text_segment,
                TextFormat::Imsc1 => layout::segment,
            };
            add(&layout::text_folder(format, &name.to_string()), segments, segment);
        }
        paths
    }
}
