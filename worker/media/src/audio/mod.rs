//! Audio as a whole-track task: decoded, placed sample by sample on the title's timeline, encoded once from end to end.

mod decode;
mod encoder;
mod loudness;
mod opus;
mod pcm;
mod resample;
mod title;
mod track;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ffmpeg_next::ffi;
use reel_cmaf::AudioConfig;
use reel_cmaf::fragment::Fragments;
use reel_cmaf::init::{self, AudioInit, Bitrate, Span};
use reel_common::{DigestWriter, Rational, RecipeHasher, RecipeKey};
use reel_profiles::{Action, AudioCodec, AudioTrack, Loudness, Profile};
use reel_proto::v1;
use reel_store::Source;

pub(crate) use self::decode::{Sound, SoundReader};
use self::loudness::{Measured, Meter, amplify};
pub use self::opus::version as opus_version;
use self::title::SoundPiece;
pub(crate) use self::title::TitleSound;
use self::track::CodedSound;
use crate::MediaError;
use crate::facts::{self, MadeTrack};
use crate::index::grid;
use crate::measure::{Joined, Passages, check_offsets};
use crate::recipe::add_libraries;
use crate::times::TitleTimes;

/// An audio track to make.
pub struct AudioJob<'a> {
    /// The mezzanine, and those that the title's edit has beside it.
    pub sources: &'a [Source],
    /// The title's index.
    pub index: &'a v1::Index,
    /// The recipe.
    pub profile: &'a Profile,
    /// Number of the `[[audio]]` entry of the profile, from 0.
    pub track: usize,
    /// Where the finished file is left.
    pub scratch: &'a Path,
}

/// Where a track comes from and how long it is.
struct TrackPlan<'a> {
    track: &'a AudioTrack,
    /// What of the mezzanine it is made from.
    made: MadeTrack<'a>,
    sound: TitleSound<'a>,
    /// Samples of the presentation.
    samples: u64,
    /// The sample before which each segment ends.
    segment_ends: Vec<u64>,
    /// By how many samples the pictures' composition times are late.
    delay: u64,
}

impl TrackPlan<'_> {
    /// The language that it is said to have.
    fn language(&self) -> String {
        let named = self.track.language.as_ref().filter(|_| !self.track.sources.is_empty());
        named.unwrap_or(&self.made.streams[0].language).clone()
    }

    /// For each channel where it comes from, where that is said.
    fn source_channels(&self) -> Vec<v1::SourceChannel> {
        let place = |(stream, channel): &(usize, usize)| v1::SourceChannel {
            stream: self.made.streams[*stream].stream,
            channel: *channel as u32,
        };
        self.made.picks.iter().map(place).collect()
    }

    /// Whether its loudness has to be known before it is encoded.
    fn is_measured_first(&self) -> bool {
        self.track.loudness.is_some() || self.track.codec.says_loudness()
    }

    /// How often the sound is read: for the key, for its loudness, and for the encoder.
    fn rounds(&self) -> u64 {
        2 + u64::from(self.is_measured_first())
    }
}

/// Makes one audio track, or finds it in the store.
pub fn audio(
    job: &AudioJob<'_>,
    find: &mut dyn FnMut(RecipeKey) -> Option<v1::AudioRecord>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(v1::AudioRecord, Option<PathBuf>), MediaError> {
    use_portable_arithmetic();
    let plan = plan(job)?;
    let key = key(&plan, progress)?;
    if let Some(record) = find(key) {
        admit(job, &plan, record.loudness)?;
        // Another profile may have stored it under another name, of another file with the same packets.
        let (name, source_stream) = (plan.track.name.clone(), plan.made.streams[0].stream);
        let source_channels = plan.source_channels();
        return Ok((v1::AudioRecord { name, source_stream, source_channels, ..record }, None));
    }
    let path = job.scratch.join(format!("{key}.m4s"));
    // Where nothing depends on it, a track is measured while it is encoded.
    let measured = plan.is_measured_first().then(|| measure(&plan, progress)).transpose()?;
    let gain = plan.track.loudness.zip(measured).map_or(0, |(wanted, measured)| measured.gain_to(wanted));
    let dialnorm = measured.map_or(Measured::SOFTEST, |measured| measured.dialnorm(gain));
    let mut output =
        CodedSound::create(&path, plan.track, plan.samples, plan.delay, &plan.segment_ends, dialnorm)?;
    let mut meter = Meter::new(plan.track.channels, plan.track.sample_rate)?;
    let mut passages = Passages::new(plan.samples);
    let rounds = plan.rounds();
    plan.sound.each_block(&mut |mut block| {
        if measured.is_none() {
            meter.add(&block)?;
        }
        passages.add(&block);
        amplify(&mut block, gain);
        output.push(&block)?;
        progress((rounds - 1) * plan.samples + block.end(), rounds * plan.samples);
        Ok(())
    })?;
    passages.end();
    let measured = measured.map_or_else(|| meter.measured(), Ok)?;
    let loudness = Some(measured.with_gain(gain));
    admit(job, &plan, loudness)?;
    let record = v1::AudioRecord {
        name: plan.track.name.clone(),
        recipe_key: key.0.0.to_vec(),
        language: plan.language(),
        source_stream: plan.made.streams[0].stream,
        source_channels: plan.source_channels(),
        loudness,
        ..output.finish()?
    };
    let offsets = prove(plan.track.codec, &record, &path, &passages)?;
    Ok((v1::AudioRecord { offsets, ..record }, Some(path)))
}

/// Refuses a silent track where the profile does.
fn admit(
    job: &AudioJob<'_>,
    plan: &TrackPlan<'_>,
    loudness: Option<v1::AudioLoudness>,
) -> Result<(), MediaError> {
    let silent = loudness.is_some_and(|loudness| loudness.integrated.is_none());
    if !silent || job.profile.admission.silent_audio != Action::Reject {
        return Ok(());
    }
    let (place, stream) = (job.sources[0].location(), plan.made.streams[0].stream);
    Err(MediaError::invalid(format!(
        "{place} is not admitted: its audio stream {stream} is silent, nowhere louder than -70 LUFS; mend it, or allow \
         `silent_audio` in the profile"
    )))
}

/// How loud a track is, before any of it is encoded.
fn measure(plan: &TrackPlan<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<Measured, MediaError> {
    let mut meter = Meter::new(plan.track.channels, plan.track.sample_rate)?;
    plan.sound.each_block(&mut |block| {
        progress(plan.samples + block.end(), plan.rounds() * plan.samples);
        meter.add(&block)
    })?;
    meter.measured()
}

/// Whether the libraries of this machine encode to a codec.
pub fn encodes(codec: AudioCodec) -> bool {
    encoder::is_there(codec)
}

/// What the header says of a track.
pub fn audio_init(codec: AudioCodec, record: &v1::AudioRecord, bitrate: Bitrate) -> AudioInit<'_> {
    AudioInit {
        sample_rate: record.sample_rate,
        channels: record.channels as u16,
        codec: audio_config(codec, &record.codec_config),
        language: &record.language,
        bitrate,
    }
}

/// The decoder's configuration of a track by its codec.
pub fn audio_config(codec: AudioCodec, config: &[u8]) -> AudioConfig<'_> {
    match codec {
        AudioCodec::Aac => AudioConfig::Aac(config),
        AudioCodec::Ac3 => AudioConfig::Ac3(config),
        AudioCodec::Eac3 => AudioConfig::Eac3(config),
        AudioCodec::Opus => AudioConfig::Opus(config),
        AudioCodec::Flac => AudioConfig::Flac(config),
        AudioCodec::Pcm => AudioConfig::Pcm(config),
    }
}

/// Decodes the finished track and finds the passages of the mezzanine in it: by how many samples each is late.
fn prove(
    codec: AudioCodec,
    record: &v1::AudioRecord,
    path: &Path,
    passages: &Passages,
) -> Result<Vec<i32>, MediaError> {
    let media = Joined::new(vec![path.to_owned()])?;
    let first = Fragments::of_ours(&media).next().and_then(Result::ok);
    let first = first.and_then(|fragment| fragment.base_decode_time()).unwrap_or(0);
    let span = Span { start: first as u64 + u64::from(record.priming), duration: 0 };
    let header = path.with_extension("init.mp4");
    let init = audio_init(codec, record, Bitrate { peak: 0, average: 0 });
    std::fs::write(&header, init::audio_init(&init, span))?;
    let label = format!("audio track {}", record.name);
    // With the channels of which the passages are the mean.
    let track = Joined::new(vec![header, path.to_owned()])?;
    check_offsets(
        SoundReader::of_track(track, &label, record.sample_rate, record.channels)?,
        &label,
        passages,
    )
}

/// Vector units that every machine of an architecture has: with the others, floating point rounds differently from
/// machine to machine.
const PORTABLE_UNITS: i32 = if cfg!(target_arch = "x86_64") {
    ffi::AV_CPU_FLAG_MMX | ffi::AV_CPU_FLAG_MMXEXT | ffi::AV_CPU_FLAG_SSE | ffi::AV_CPU_FLAG_SSE2
} else {
    0
};

fn use_portable_arithmetic() {
    // SAFETY: sets a global of libavutil; a runner does one task, and no codec is open yet.
    unsafe { ffi::av_force_cpu_flags(PORTABLE_UNITS) };
}

fn plan<'a>(job: &AudioJob<'a>) -> Result<TrackPlan<'a>, MediaError> {
    let made = facts::tracks(job.index, job.profile)?.into_iter().find(|made| made.number == job.track);
    let Some(made) = made else {
        let place = job.sources[0].location();
        return Err(MediaError::invalid(format!(
            "{place} has no sound for audio track {} of the profile",
            job.track
        )));
    };
    let track = made.track;
    let times = TitleTimes::new(job.index, &job.profile.picture)?;
    let grid = grid(job.index, &times, job.profile)?;
    let sample_at = |frame| times.sample_at(frame, track.sample_rate);
    Ok(TrackPlan {
        track,
        made,
        sound: TitleSound::new(job.sources, job.index, job.profile, job.track)?,
        samples: sample_at(times.frames()),
        segment_ends: (1..=grid.segments()).map(|segment| sample_at(grid.segment_start(segment))).collect(),
        delay: times.samples(times.composition_delay(), track.sample_rate),
    })
}

/// The key of a track: its packets with their times, its place on the timeline, and the encoder's settings.
/// Reads the whole track, which is the first of its rounds.
fn key(plan: &TrackPlan<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<RecipeKey, MediaError> {
    let mut key = RecipeHasher::new("audio track 8");
    add_libraries(&mut key);
    key.text("architecture", std::env::consts::ARCH);
    add_settings(&mut key, plan.track);
    key.number("samples", plan.samples as i64).number("delay", plan.delay as i64);
    for end in &plan.segment_ends {
        key.number("segment", *end as i64);
    }
    key.text("language", &plan.language());
    let pieces = &plan.sound.pieces;
    let mut known = BTreeSet::new();
    for piece in pieces {
        // A title that is one source as it is has one piece, which needs no place.
        if pieces.len() > 1 || piece.from > 0 {
            key.number("source", piece.number as i64).number("from", piece.from as i64);
            key.number("start", piece.start as i64).number("end", piece.end as i64);
        }
        if let Some(made) = piece.made.as_ref().filter(|_| known.insert(piece.number)) {
            add_source(&mut key, piece, made, plan, progress)?;
        }
    }
    Ok(key.finish())
}

/// The packets of a source with their times, and what decodes them.
fn add_source(
    key: &mut RecipeHasher,
    piece: &SoundPiece<'_>,
    made: &MadeTrack<'_>,
    plan: &TrackPlan<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), MediaError> {
    for (stream, channel) in &made.picks {
        key.number("picked stream", *stream as i64).number("picked channel", *channel as i64);
    }
    let mut packets = DigestWriter::default();
    let setups = decode::each_packet(piece.source, made, |packet| {
        packets.add(&(packet.stream as u64).to_le_bytes());
        // Times relative to the source's beginning: where a container counts from does not matter.
        let place = packet.time.and_then(|time| time.checked_sub(piece.origin));
        packets.add(place.map(|place| place.to_string()).unwrap_or_default().as_bytes());
        for bytes in [packet.data, packet.skip] {
            packets.add(&(bytes.len() as u64).to_le_bytes());
            packets.add(bytes);
        }
        let sample =
            place.and_then(|place| place.checked_mul(Rational::whole(plan.track.sample_rate.into())));
        let sample = sample.map_or(0, |sample| sample.round().max(0) as u64);
        progress(sample.min(plan.samples), plan.rounds() * plan.samples);
    })?;
    for (facts, setup) in made.streams.iter().zip(setups) {
        key.text("codec", &facts.codec).text("layout", &facts.layout);
        key.number("source rate", facts.sample_rate.into()).number("source channels", facts.channels.into());
        key.bytes("extradata", &setup.extradata).number("codec tag", setup.codec_tag.into());
    }
    key.bytes("packets", &packets.finish().0);
    Ok(())
}

/// What the profile asks of a track.
fn add_settings(key: &mut RecipeHasher, track: &AudioTrack) {
    key.text("encoder", track.codec.name());
    if track.codec == AudioCodec::Opus {
        key.text("libopus", &opus::version());
    }
    key.number("sample rate", track.sample_rate.into()).number("channels", track.channels.into());
    key.number("kbit/s", track.bitrate_kbps.unwrap_or_default().into());
    key.text("downmix", track.downmix.name());
    if let Some(Loudness { lufs_milli, true_peak_milli }) = track.loudness {
        key.number("loudness", lufs_milli.into()).number("true peak", true_peak_milli.into());
    }
}
