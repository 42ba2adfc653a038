//! Assemble: committed parts and tracks become the output tree, in a staging folder beside the destination.
//!
//! Parts lie on the title's own timeline, so that a rendition is their concatenation: no timestamp is computed here,
//! but each is checked. Parts of an edited title lie on the timelines of their sources, and are moved. Every stored byte is
//! compared with its record while it is copied.
//!
//! Several threads copy parts, and then write what is made of whole renditions; what lands in the tree, and the order in which it is
//! listed, does not depend on them. Memory holds the sample tables of the renditions and a block for each thread, or a few segments
//! where a segment is encrypted or becomes one of a transport stream; two files for each thread are open at a time, however many
//! parts there are.

mod collect;
mod copy;
mod iframes;
mod images;
mod manifests;
mod one_file;
pub(crate) mod preview;
mod protect;
mod records;
mod segment;
mod share;
mod single;
mod staging;
mod texts;
mod ts;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

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
use collect::Collected;
use copy::Copied;
use protect::ProtectedTrack;
use records::Records;
use share::{share, threads};
use single::Sources;
pub(crate) use staging::Staging;

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
    progress: &mut (dyn FnMut(u64, u64) + Send),
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
    let hdr10 = hdr10(&index, work)?;
    let staging = Staging::create(work.output, work.job, records.space(&work.profile.package))?;
    let total = records.bytes_to_copy(&work.profile.package);
    let advance = adding(total, &mut *progress);
    let mut tree =
        Tree { work, records: &records, times: &times, texts, ends_ms, hdr10, staging, advance: &advance };
    tree.fill()?;
    let (folder, files) = tree.staging.finish()?;
    drop(advance);
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

/// What headers say of light and of the display that the title was mastered on.
fn hdr10(index: &v1::Index, work: &Assemble<'_>) -> Result<Hdr10, Failure> {
    let facts = index.video.as_ref().and_then(|video| video.facts.clone()).unwrap_or_default();
    let malformed = |error: Malformed| fault(&format!("the index: {error}"));
    let hdr10 = Hdr10::try_from(&facts).map_err(malformed)?;
    let colour = Colour::try_from(facts.colour.unwrap_or_default()).map_err(malformed)?;
    Ok(work.profile.picture.coded_colours(colour, hdr10).1)
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
    /// Told of bytes that were read, by any thread.
    advance: &'a (dyn Fn(u64) + Sync),
}

/// Adds up the bytes that threads have read, and passes the sum on.
fn adding<'a>(total: u64, progress: &'a mut (dyn FnMut(u64, u64) + Send)) -> impl Fn(u64) + Sync + use<'a> {
    let told = Mutex::new((0, progress));
    move |bytes| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, progress) = &mut *told;
        *done += bytes;
        // Encrypted segments are larger than those that are stored.
        progress(total.min(*done), total);
    }
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
    /// The segments of its transport stream, where it has one.
    ts: Option<Stream>,
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

    /// How a track is encrypted, if it is.
    fn protected_track(&self, record: &v1::AudioRecord) -> Result<Option<ProtectedTrack<'a>>, Failure> {
        let name = layout::audio_folder(&record.name);
        let protected = |keys| ProtectedTrack::audio(keys, name, record.sample_rate);
        self.work.protection.map(protected).transpose()
    }
}

impl Tree<'_> {
    fn fill(&mut self) -> Result<(), Failure> {
        let mut damage = records::Damage::default();
        let copied = self.copy(self.runs(0), &mut damage)?;
        let images = self.branch().images(&mut damage)?;
        damage.into_failure()?;
        let [audio, video] = self.joined(copied)?;
        let (tables, held) = (self.table_bytes(), self.held_bytes());
        let finished = share(threads(tables), audio, |(number, track)| self.audio_finished(number, track))?;
        let mut audio = Vec::new();
        for Copied { samples, files } in finished {
            self.staging.merge(files);
            audio.push(samples);
        }
        let finished = share(threads(tables + held), video, |(number, track)| {
            self.video_finished(number, track, &audio)
        })?;
        let mut video = Vec::new();
        for (written, files) in finished {
            self.staging.merge(files);
            video.push(written);
        }
        self.staging.merge(images);
        let text_files = self.text_files()?;
        self.ts_playlists(&video)?;
        match self.work.profile.package.segments() {
            true => self.manifests(&video, &audio, &text_files),
            false => Ok(()),
        }
    }

    /// Writes what a track has beside its segments.
    fn audio_finished(&self, number: usize, track: Copied) -> Result<Copied, Failure> {
        let Copied { mut samples, files } = track;
        let mut tree = self.listing(files);
        tree.audio_header(number, &mut samples)?;
        tree.audio_file(number, &samples)?;
        Ok(Copied { samples, files: tree.staging })
    }

    /// Writes what a rendition has beside its segments, and forgets its samples.
    fn video_finished(
        &self,
        number: usize,
        track: Copied,
        audio: &[Collected],
    ) -> Result<(Written, Staging), Failure> {
        let Copied { mut samples, files } = track;
        let mut tree = self.listing(files);
        tree.video_header(number, &mut samples)?;
        tree.single_file(number, &samples, audio.first())?;
        let iframes = tree.iframes(number, &samples)?;
        let ts = tree.transport_stream(number, &samples, audio)?;
        Ok((Written { ts, ..tree.written(number, samples, iframes)? }, tree.staging))
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

    /// Writes thumbnails and poster, where there are any; gives the files.
    fn images(mut self, damage: &mut records::Damage) -> Result<Staging, Failure> {
        if let Some(record) = &self.records.images {
            let (store, staging) = (self.work.store, &mut self.staging);
            damage.images = !images::write(record, self.times, store, staging, &self.advance)?;
        }
        Ok(self.staging)
    }

    fn audio_header(&mut self, number: usize, samples: &mut Collected) -> Result<(), Failure> {
        if self.work.profile.package.segments() {
            let record = &self.records.audio[number];
            let start = samples.first_dts + u64::from(record.priming);
            let span = Span { start, duration: samples.stream.duration() };
            let header = audio_init(self.audio_codec(number), record, bitrate(&samples.stream));
            let (init, unheard) = (init::audio_init(&header, span), record.priming.into());
            let (folder, protected) = (layout::audio_folder(&record.name), self.protected_track(record)?);
            self.header(&folder, init, unheard, protected.as_ref(), samples)?;
        }
        Ok(())
    }

    /// Writes the header of a track, with the index of what is one file, and remembers what is told of its keys. Of the first
    /// segment, `unheard` ticks are not presented.
    fn header(
        &mut self,
        folder: &str,
        clear: Vec<u8>,
        unheard: u64,
        protected: Option<&ProtectedTrack<'_>>,
        samples: &mut Collected,
    ) -> Result<(), Failure> {
        let init = protected.map_or(Ok(clear.clone()), |track| track.init(&clear))?;
        samples.keys = protected.map(|track| track.keys(&samples.stream)).transpose()?;
        match samples.file.take() {
            Some(file) => {
                let (staging, stream) = (&mut self.staging, &mut samples.stream);
                one_file::close(staging, file, &init, stream, unheard, &self.advance)
            }
            None => self.staging.write(&format!("{folder}/{}", layout::INIT), &init),
        }
    }

    fn video_header(&mut self, number: usize, samples: &mut Collected) -> Result<(), Failure> {
        if self.work.profile.package.segments() {
            let span = Span { start: samples.first_pts(), duration: samples.stream.duration() };
            let init = video_init(&self.video_init(number, samples)?, span);
            let folder = layout::video_folder(&self.records.rendition(0, number).rendition);
            let protected = self.protected_rendition(number)?;
            self.header(&folder, init, 0, protected.as_ref(), samples)?;
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
            .map_err(|error| fault(&format!("{path}: {error}")))?;
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
            ts: None,
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
        single::write(&name, &plan, &keys, self.work.store, &mut self.staging, &self.advance)
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
