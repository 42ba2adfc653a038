//! Assemble: committed parts and tracks become the output tree, in a staging folder beside the destination.
//!
//! Parts lie on the title's own timeline, so that a rendition is their concatenation: no timestamp is computed here,
//! but each is checked. Parts of an edited title lie on the timelines of their sources, and are moved. Every stored byte is compared with its record while it is copied. Memory holds the sample
//! table of one rendition, never media; a handful of files are open at a time, however many parts there are.

mod collect;
mod iframes;
mod images;
mod manifests;
mod protect;
mod records;
mod segment;
mod single;
mod staging;
mod texts;

use std::path::Path;

use prost::Message;
use reel_cmaf::VideoConfig;
use reel_cmaf::init::{self, Bitrate, Span, VideoInit, video_init};
use reel_cmaf::progressive::{TrackConfig, TrackInput};
use reel_common::{Colour, Failure, FailureClass, Hdr10, Rational, TextName};
use reel_media::{Stretches, TitleTimes, audio_config, audio_init};
use reel_package::protect::Keys;
use reel_package::{IFrames, Stream, layout, target_duration};
use reel_profiles::{AudioCodec, Profile, VideoCodec};
use reel_proto::{Malformed, v1};
use reel_store::BlockingStore;
use reel_text::Document;

use crate::attempt::media;
use crate::keys::Protection;
use crate::text;
use collect::{Collected, Collector, Stored};
use protect::ProtectedTrack;
use records::Records;
use single::Sources;
use staging::Staging;

/// What assemble works on.
pub(crate) struct Assemble<'a> {
    /// Numbers the staging folder.
    pub(crate) job: u64,
    /// Path of the destination.
    pub(crate) output: &'a Path,
    /// Says what is delivered.
    pub(crate) profile: &'a Profile,
    /// Names the index, the parts and the tracks.
    pub(crate) task: &'a v1::AssembleTask,
    /// Holds them.
    pub(crate) store: &'a BlockingStore,
    /// What segments are encrypted with; `None` leaves them clear.
    pub(crate) protection: Option<&'a Protection>,
}

/// Makes the staging tree. `progress` is told bytes done and bytes in total.
///
/// # Errors
/// Damaged parts and tracks are all listed in one failure; a disk without room is a shortage that names the folder
/// and the bytes needed; a destination that cannot be written is invalid. Nothing is left behind.
pub(crate) fn assemble(
    work: &Assemble<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<v1::Assembly, Failure> {
    let index = read_index(work)?;
    let times = TitleTimes::new(&index, &work.profile.picture).map_err(media)?;
    let records = Records::load(work, &index, times.frames())?;
    admit(work.profile, &records, &index)?;
    let texts = text::pictures::of_title(&index, work.profile, &records.parts)?;
    let texts = texts.iter().map(text::stored).collect::<Result<Vec<_>, _>>()?;
    let ends_ms = match texts.is_empty() {
        true => Vec::new(),
        false => reel_media::segment_ends_ms(&index, work.profile).map_err(media)?,
    };
    let facts = index.video.and_then(|video| video.facts).unwrap_or_default();
    let malformed = |error: Malformed| fault(&format!("the index: {error}"));
    let colour = Colour::try_from(facts.colour.unwrap_or_default()).map_err(malformed)?;
    let hdr10 = Hdr10::try_from(&facts).map_err(malformed)?;
    let (_, hdr10) = work.profile.picture.coded_colours(colour, hdr10);
    let staging = Staging::create(work.output, work.job, records.space(&work.profile.package))?;
    let total = records.bytes_to_copy(&work.profile.package);
    let mut done = 0;
    let mut advance = |bytes: u64| {
        done += bytes;
        progress(done, total);
    };
    let mut tree = Tree {
        work,
        records: &records,
        times: &times,
        texts,
        ends_ms,
        hdr10,
        staging,
        advance: &mut advance,
    };
    tree.fill()?;
    let staging = tree.staging;
    let (folder, files) = staging.finish()?;
    // A single file leaves out the heads of segments, so that a little less than the total was copied.
    progress(total, total);
    let Records { parts, audio, images, .. } = records;
    Ok(v1::Assembly { staging: folder, files, parts, audio, images, made_from: None })
}

fn read_index(work: &Assemble<'_>) -> Result<v1::Index, Failure> {
    let artifact = work.task.index.as_ref().ok_or_else(|| fault("the task names no index"))?;
    let artifact = artifact.try_into().map_err(|error| fault(&format!("the index: {error}")))?;
    let bytes = work
        .store
        .object(artifact)
        .map_err(|error| Failure::new(error.class(), &format!("the index: {error}"), ""))?;
    v1::Index::decode(bytes).map_err(|error| fault(&format!("the index: {error}")))
}

/// Refuses a title that is black or frozen for longer than its profile admits.
fn admit(profile: &Profile, records: &Records, index: &v1::Index) -> Result<(), Failure> {
    let Some(stretches) = Stretches::of(&records.parts, index, profile).map_err(media)? else {
        return Ok(());
    };
    let admitted = profile.admit_pictures(&stretches.black, &stretches.frozen);
    admitted.map(drop).map_err(|rejection| Failure::new(FailureClass::Invalid, &rejection.to_string(), ""))
}

/// A failure that another attempt may not meet.
fn fault(message: &str) -> Failure {
    Failure::new(FailureClass::Failed, message, "")
}

/// The tree on its way.
struct Tree<'a> {
    work: &'a Assemble<'a>,
    records: &'a Records,
    times: &'a TitleTimes,
    texts: Vec<(TextName, Document)>,
    /// When each segment ends, in milliseconds; empty where there are no texts.
    ends_ms: Vec<u64>,
    hdr10: Hdr10,
    staging: Staging,
    advance: &'a mut dyn FnMut(u64),
}

/// What the playlists need to know of a rendition whose samples are written and forgotten.
struct Written {
    stream: Stream,
    frame_rate: Option<Rational>,
    codec: String,
    frames: u64,
    colour: Colour,
    iframes: Option<IFrames>,
    keys: Option<Keys>,
}

impl<'a> Tree<'a> {
    /// How a rendition is encrypted, if it is.
    fn protected_rendition(&self, number: usize) -> Result<Option<ProtectedTrack<'a>>, Failure> {
        let Some(protection) = self.work.protection else { return Ok(None) };
        let record = self.records.rendition(0, number);
        let (name, size) = (layout::video_folder(&record.rendition), (record.width, record.height));
        let config = self.video_config(number)?;
        ProtectedTrack::video(protection, name, size, record.timescale, config).map(Some)
    }
}

impl Tree<'_> {
    fn fill(&mut self) -> Result<(), Failure> {
        let mut damage = records::Damage::default();
        let mut audio = Vec::new();
        for number in 0..self.records.audio.len() {
            audio.push(self.audio_track(number, &mut damage)?);
        }
        let mut video = Vec::new();
        for number in 0..self.records.renditions() {
            let mut samples = self.rendition(number, &mut damage)?;
            if damage.is_empty() {
                self.video_header(number, &mut samples)?;
                self.single_file(number, &samples, audio.first())?;
                let iframes = self.iframes(number, &samples)?;
                video.push(self.written(number, samples, iframes)?);
            }
        }
        self.images(&mut damage)?;
        damage.into_failure()?;
        let text_files = self.text_files()?;
        match self.work.profile.package.segments() {
            true => self.manifests(&video, &audio, &text_files),
            false => Ok(()),
        }
    }

    /// Writes each text as a file by itself, where the profile has them; gives their bytes.
    fn text_files(&mut self) -> Result<Vec<(TextName, u64)>, Failure> {
        let mut files = Vec::new();
        for (name, document) in self.texts.iter().filter(|_| self.work.profile.package.text_files()) {
            let text = reel_text::webvtt(&document.cues, None);
            self.staging.write(&layout::text_file(&name.to_string()), text.as_bytes())?;
            files.push((name.clone(), text.len() as u64));
        }
        Ok(files)
    }

    /// Writes thumbnails and poster, where there are any.
    fn images(&mut self, damage: &mut records::Damage) -> Result<(), Failure> {
        let Some(record) = &self.records.images else { return Ok(()) };
        let (store, staging) = (self.work.store, &mut self.staging);
        damage.images = !images::write(record, self.times, store, staging, &mut *self.advance)?;
        Ok(())
    }

    /// Copies a track's segments and writes its header.
    fn audio_track(&mut self, number: usize, damage: &mut records::Damage) -> Result<Collected, Failure> {
        let record = &self.records.audio[number];
        let folder = self.work.profile.package.segments().then(|| layout::audio_folder(&record.name));
        let mut samples = Collected::new(record.sample_rate);
        let stored = Stored::of_audio(self.records, number)?;
        let name = layout::audio_folder(&record.name);
        let protection = self.work.protection;
        let protected =
            protection.map(|keys| ProtectedTrack::audio(keys, name, record.sample_rate)).transpose()?;
        let whole = self.collect(&stored, folder.as_deref(), protected.as_ref(), &mut samples)?;
        if !whole {
            damage.tracks.push(self.records.track_numbers[number]);
            return Ok(samples);
        }
        let coded = samples.stream.segments.iter().map(|segment| segment.ticks);
        if !coded.eq(record.segment_samples.iter().copied()) {
            return Err(fault(&format!("track {}: its segments differ from its record", record.name)));
        }
        if u64::from(record.priming) + record.samples > samples.stream.duration() {
            return Err(fault(&format!("track {}: it is shorter than its record says", record.name)));
        }
        if let Some(folder) = folder {
            let start = samples.first_dts + u64::from(record.priming);
            let span = Span { start, duration: samples.stream.duration() };
            let header = audio_init(self.audio_codec(number), record, bitrate(&samples.stream));
            self.header(&folder, init::audio_init(&header, span), protected.as_ref(), &mut samples)?;
        }
        Ok(samples)
    }

    /// Writes the header of a track, and remembers what is told of its keys.
    fn header(
        &mut self,
        folder: &str,
        clear: Vec<u8>,
        protected: Option<&ProtectedTrack<'_>>,
        samples: &mut Collected,
    ) -> Result<(), Failure> {
        let init = protected.map_or(Ok(clear.clone()), |track| track.init(&clear))?;
        samples.keys = protected.map(|track| track.keys(&samples.stream)).transpose()?;
        self.staging.write(&format!("{folder}/{}", layout::INIT), &init)
    }

    /// Copies the segments of all parts of a rendition, in order.
    fn rendition(&mut self, number: usize, damage: &mut records::Damage) -> Result<Collected, Failure> {
        let first = self.records.rendition(0, number);
        let folder = self.work.profile.package.segments().then(|| layout::video_folder(&first.rendition));
        let protected = self.protected_rendition(number)?;
        let mut samples = Collected::new(first.timescale);
        for part in 0..self.records.parts.len() {
            let record = self.records.rendition(part, number);
            let start = samples.specs.len() as u64;
            let stored = Stored::of_part(self.records, part, number)?;
            // After damage the timeline has a hole: what follows is only compared with its record.
            let folder = folder.as_deref().filter(|_| damage.is_empty());
            let whole = match damage.is_empty() {
                true => self.collect(&stored, folder, protected.as_ref(), &mut samples)?,
                false => self.check_only(&stored)?,
            };
            if !whole {
                damage.parts.insert(part as u32);
            } else if damage.is_empty() {
                self.check_part(part, record, start, &samples)?;
            }
        }
        if damage.is_empty() && samples.specs.len() as u64 != self.times.frames() {
            let (found, frames) = (samples.specs.len(), self.times.frames());
            return Err(fault(&format!("rendition {}: {found} of {frames} frames", first.rendition)));
        }
        Ok(samples)
    }

    /// Whether a part has the frames that its record says, at the times that the index says.
    fn check_part(
        &self,
        part: usize,
        record: &v1::RenditionPart,
        start: u64,
        samples: &Collected,
    ) -> Result<(), Failure> {
        let end = samples.specs.len() as u64;
        let fault =
            |what: &str| Err(fault(&format!("part {part} of rendition {}: {what}", record.rendition)));
        if end - start != record.frames {
            return fault(&format!("it has {} frames, its record says {}", end - start, record.frames));
        }
        if self.times.timescale() != record.timescale || self.times.ticks(end) != samples.next_dts {
            return fault("its frames are not at the times of the index");
        }
        Ok(())
    }

    fn collect(
        &mut self,
        stored: &Stored<'_>,
        folder: Option<&str>,
        protected: Option<&ProtectedTrack<'_>>,
        samples: &mut Collected,
    ) -> Result<bool, Failure> {
        let mut collector = Collector {
            store: self.work.store,
            staging: &mut self.staging,
            advance: &mut *self.advance,
            folder,
            protected,
        };
        collector.copy(stored, samples)
    }

    fn check_only(&mut self, stored: &Stored<'_>) -> Result<bool, Failure> {
        let whole = collect::is_whole(self.work.store, stored)?;
        (self.advance)(stored.artifact.size);
        Ok(whole)
    }

    fn video_header(&mut self, number: usize, samples: &mut Collected) -> Result<(), Failure> {
        if self.work.profile.package.segments() {
            let span = Span { start: samples.first_pts(), duration: samples.stream.duration() };
            let init = video_init(&self.video_init(number, samples)?, span);
            let folder = layout::video_folder(&self.records.rendition(0, number).rendition);
            let protected = self.protected_rendition(number)?;
            self.header(&folder, init, protected.as_ref(), samples)?;
        }
        Ok(())
    }

    /// The first pictures of all segments, where the profile has them.
    fn iframes(&mut self, number: usize, samples: &Collected) -> Result<Option<IFrames>, Failure> {
        if !self.work.profile.package.trick_play {
            return Ok(None);
        }
        let folder = layout::video_folder(&self.records.rendition(0, number).rendition);
        let path = format!("{folder}/{}", layout::IFRAMES);
        let plan = iframes::plan(self.video_init(number, samples)?, samples)
            .ok_or_else(|| fault(&format!("{path}: its pictures are not in order")))?;
        let keys = self.records.sources(number)?;
        let mut sources = Sources::new(self.work.store, &keys);
        plan.write(&path, &samples.runs, &mut sources, &mut self.staging).map(Some)
    }

    fn written(
        &self,
        number: usize,
        samples: Collected,
        iframes: Option<IFrames>,
    ) -> Result<Written, Failure> {
        let config = self.video_config(number)?;
        let name = &self.records.rendition(0, number).rendition;
        let codec = config.codec_string();
        Ok(Written {
            frame_rate: self.frame_rate(&samples),
            frames: samples.specs.len() as u64,
            stream: samples.stream,
            keys: samples.keys,
            codec: codec.ok_or_else(|| fault(&format!("rendition {name}: its decoder is not set up")))?,
            colour: config.colour().unwrap_or_default(),
            iframes,
        })
    }

    /// How the decoder of a rendition is set up, the codec of which the profile knows.
    fn video_config(&self, number: usize) -> Result<VideoConfig<'_>, Failure> {
        let record = self.records.rendition(0, number);
        let rendition = self.work.profile.video.iter().find(|known| known.name == record.rendition);
        let unknown = || fault(&format!("rendition {} is not of this profile", record.rendition));
        Ok(match rendition.ok_or_else(unknown)?.coding.codec() {
            VideoCodec::H264 => VideoConfig::Avc(&record.codec_config),
            VideoCodec::Hevc => VideoConfig::Hevc(&record.codec_config),
            VideoCodec::Av1 => VideoConfig::Av1(&record.codec_config),
        })
    }

    fn video_init<'a>(&'a self, number: usize, samples: &Collected) -> Result<VideoInit<'a>, Failure> {
        let record = self.records.rendition(0, number);
        let codec = self.video_config(number)?;
        Ok(VideoInit {
            timescale: record.timescale,
            // Checked when the records were loaded.
            width: record.width as u16,
            height: record.height as u16,
            sample_aspect: Rational::whole(1),
            codec,
            colour: codec.colour(),
            hdr10: self.hdr10,
            bitrate: bitrate(&samples.stream),
        })
    }

    /// The codec of a track, which the profile knows.
    fn audio_codec(&self, number: usize) -> AudioCodec {
        self.work.profile.audio[self.records.track_numbers[number] as usize].codec
    }

    /// What RFC 6381 calls it.
    fn audio_string(&self, number: usize) -> Result<String, Failure> {
        let record = &self.records.audio[number];
        let codec = audio_config(self.audio_codec(number), &record.codec_config).codec_string();
        codec.ok_or_else(|| fault(&format!("track {}: its decoder is not set up", record.name)))
    }

    /// The single file of a rendition, with the first audio track.
    fn single_file(
        &mut self,
        number: usize,
        video: &Collected,
        audio: Option<&Collected>,
    ) -> Result<(), Failure> {
        if !self.work.profile.package.mp4 {
            return Ok(());
        }
        let mut tracks = vec![TrackInput {
            config: TrackConfig::Video(self.video_init(number, video)?),
            samples: video.specs.clone(),
            runs: video.runs.clone(),
        }];
        if let Some(audio) = audio {
            let record = &self.records.audio[0];
            tracks.push(TrackInput {
                config: TrackConfig::Audio {
                    init: audio_init(self.audio_codec(0), record, bitrate(&audio.stream)),
                    priming: record.priming,
                    presented: record.samples,
                },
                samples: audio.specs.clone(),
                runs: audio.runs.clone(),
            });
        }
        let name = layout::single_file(&self.records.rendition(0, number).rendition);
        let plan =
            reel_cmaf::progressive::plan(&tracks).map_err(|error| fault(&format!("{name}: {error}")))?;
        drop(tracks);
        let keys = self.records.sources(number)?;
        single::write(&name, &plan, &keys, self.work.store, &mut self.staging, self.advance)
    }

    /// Frames a second; the highest where it varies.
    fn frame_rate(&self, samples: &Collected) -> Option<Rational> {
        let shortest = samples.specs.iter().map(|spec| spec.duration).filter(|ticks| *ticks > 0).min();
        let highest = || Rational::new(samples.stream.timescale.into(), shortest?.into());
        self.times.constant_rate().or_else(highest)
    }
}

fn bitrate(stream: &Stream) -> Bitrate {
    let narrow = |bps: u64| u32::try_from(bps).unwrap_or(u32::MAX);
    let target = target_duration([stream]);
    Bitrate { peak: narrow(stream.peak_bps(target)), average: narrow(stream.average_bps()) }
}

#[cfg(test)]
mod tests;
