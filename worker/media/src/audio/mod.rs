//! Audio as a whole-track task: decoded, placed sample by sample on the title's timeline, encoded once from end to end.

mod aac;
mod decode;
mod loudness;
mod resample;

use std::path::{Path, PathBuf};

use ffmpeg_next::ffi;
use reel_cmaf::fragment::Fragments;
use reel_cmaf::init::{self, AudioInit, Bitrate, Span};
use reel_common::{AudioFacts, DigestWriter, Rational, RecipeHasher, RecipeKey};
use reel_profiles::{Action, AudioTrack, Loudness, Profile};
use reel_proto::v1;
use reel_store::Source;

use self::aac::AacTrack;
pub(crate) use self::decode::{Sound, SoundReader};
use self::loudness::{Measured, Meter, amplify};
use crate::MediaError;
use crate::facts::{self, MadeTrack};
use crate::index::grid;
use crate::measure::{Joined, Passages, check_offsets};
use crate::recipe::add_libraries;
use crate::timeline::Timeline;

/// An audio track to make.
pub struct AudioJob<'a> {
    /// The mezzanine.
    pub source: &'a Source,
    /// Its index.
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
    facts: AudioFacts,
    /// Title time 0 on the container's timeline, in seconds.
    origin: Rational,
    /// Samples of the presentation.
    samples: u64,
    /// The sample before which each segment ends.
    segment_ends: Vec<u64>,
    /// By how many samples the pictures' composition times are late.
    delay: u64,
}

impl TrackPlan<'_> {
    /// How often the sound is read: for the key, for its loudness where that is asked for, and for the encoder.
    fn rounds(&self) -> u64 {
        2 + u64::from(self.track.loudness.is_some())
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
    let key = key(job, &plan, progress)?;
    if let Some(record) = find(key) {
        admit(job, &plan, record.loudness)?;
        // Another profile may have stored it under another name.
        return Ok((v1::AudioRecord { name: plan.track.name.clone(), ..record }, None));
    }
    let path = job.scratch.join(format!("{key}.m4s"));
    let mut output = AacTrack::create(&path, plan.track, plan.samples, plan.delay, &plan.segment_ends)?;
    // Where nothing is asked, a track is measured while it is encoded.
    let measured = plan.track.loudness.map(|_| measure(job, &plan, progress)).transpose()?;
    let gain = plan.track.loudness.zip(measured).map_or(0, |(wanted, measured)| measured.gain_to(wanted));
    let mut meter = Meter::new(plan.track.channels, plan.track.sample_rate)?;
    let mut passages = Passages::new(plan.samples);
    let rounds = plan.rounds();
    each_block(job, &plan, |silence, block, placed| {
        if measured.is_none() {
            meter.follow(silence, block.as_ref())?;
        }
        output.silence(silence)?;
        if let Some(mut block) = block {
            passages.add(&block);
            amplify(&mut block, gain);
            output.push(&block)?;
        }
        progress((rounds - 1) * plan.samples + placed, rounds * plan.samples);
        Ok(())
    })?;
    passages.end();
    let measured = measured.map_or_else(|| meter.measured(), Ok)?;
    let loudness = Some(measured.with_gain(gain));
    admit(job, &plan, loudness)?;
    let record = v1::AudioRecord {
        name: plan.track.name.clone(),
        recipe_key: key.0.0.to_vec(),
        language: plan.facts.language.clone(),
        source_stream: plan.facts.stream,
        loudness,
        ..output.finish()?
    };
    let offsets = prove(&record, &path, &passages)?;
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
    let (place, stream) = (job.source.location(), plan.facts.stream);
    Err(MediaError::invalid(format!(
        "{place} is not admitted: its audio stream {stream} is silent, nowhere louder than -70 LUFS; mend it, or allow \
         `silent_audio` in the profile"
    )))
}

/// How loud a track is, before any of it is encoded.
fn measure(
    job: &AudioJob<'_>,
    plan: &TrackPlan<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Measured, MediaError> {
    let mut meter = Meter::new(plan.track.channels, plan.track.sample_rate)?;
    each_block(job, plan, |silence, block, placed| {
        progress(plan.samples + placed, plan.rounds() * plan.samples);
        meter.follow(silence, block.as_ref())
    })?;
    meter.measured()
}

/// Decodes the title's sound: how much silence comes before each block, the block, and the sample after it. What is silent
/// after the last comes alone.
fn each_block(
    job: &AudioJob<'_>,
    plan: &TrackPlan<'_>,
    mut take: impl FnMut(u64, Option<Sound>, u64) -> Result<(), MediaError>,
) -> Result<(), MediaError> {
    let AudioTrack { sample_rate, channels, .. } = *plan.track;
    let mut sound = SoundReader::open(job.source, &plan.facts, plan.origin, sample_rate, channels)?;
    let mut placed = 0;
    while placed < plan.samples
        && let Some(block) = sound.next()?
    {
        let block = block.within(placed, plan.samples);
        if block.frames() > 0 {
            let silence = block.start - placed;
            placed = block.start + block.frames() as u64;
            take(silence, Some(block), placed)?;
        }
    }
    take(plan.samples - placed, None, plan.samples)
}

/// What the header says of a track.
pub fn audio_init(record: &v1::AudioRecord, bitrate: Bitrate) -> AudioInit<'_> {
    AudioInit {
        sample_rate: record.sample_rate,
        channels: record.channels as u16,
        audio_specific_config: &record.codec_config,
        language: &record.language,
        bitrate,
    }
}

/// Decodes the finished track and finds the passages of the mezzanine in it: by how many samples each is late.
fn prove(record: &v1::AudioRecord, path: &Path, passages: &Passages) -> Result<Vec<i32>, MediaError> {
    let media = Joined::new(vec![path.to_owned()])?;
    let first = Fragments::of_ours(&media).next().and_then(Result::ok);
    let first = first.and_then(|fragment| fragment.base_decode_time()).unwrap_or(0);
    let span = Span { start: first as u64 + u64::from(record.priming), duration: 0 };
    let header = path.with_extension("init.mp4");
    let init = audio_init(record, Bitrate { peak: 0, average: 0 });
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
    let Some(MadeTrack { track, facts, .. }) = made else {
        let place = job.source.location();
        return Err(MediaError::invalid(format!(
            "{place} has no sound for audio track {} of the profile",
            job.track
        )));
    };
    let timeline = Timeline::new(job.index, &job.profile.picture)?;
    let grid = grid(job.index, &timeline, job.profile)?;
    let sample_at = |frame| timeline.sample_at(frame, track.sample_rate);
    Ok(TrackPlan {
        track,
        facts,
        origin: facts::origin(job.index)?,
        samples: sample_at(timeline.frames()),
        segment_ends: (1..=grid.segments()).map(|segment| sample_at(grid.segment_start(segment))).collect(),
        delay: timeline.samples(timeline.composition_delay(), track.sample_rate),
    })
}

/// The key of a track: its packets with their times, its place on the timeline, and the encoder's settings.
/// Reads the whole track, which is the first of its rounds.
fn key(
    job: &AudioJob<'_>,
    plan: &TrackPlan<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<RecipeKey, MediaError> {
    let mut key = RecipeHasher::new("aac track 7");
    add_libraries(&mut key);
    key.text("architecture", std::env::consts::ARCH);
    let track = plan.track;
    key.number("sample rate", track.sample_rate.into()).number("channels", track.channels.into());
    key.number("kbit/s", track.bitrate_kbps.into());
    if let Some(Loudness { lufs_milli, true_peak_milli }) = track.loudness {
        key.number("loudness", lufs_milli.into()).number("true peak", true_peak_milli.into());
    }
    key.number("samples", plan.samples as i64).number("delay", plan.delay as i64);
    for end in &plan.segment_ends {
        key.number("segment", *end as i64);
    }
    key.text("codec", &plan.facts.codec).text("layout", &plan.facts.layout);
    key.text("language", &plan.facts.language);
    let mut packets = DigestWriter::default();
    let setup = decode::each_packet(job.source, &plan.facts, |time, packet, side_data| {
        // Times relative to the title's beginning: where a container counts from does not matter.
        let place = time.and_then(|time| time.checked_sub(plan.origin));
        packets.add(place.map(|place| place.to_string()).unwrap_or_default().as_bytes());
        for bytes in [packet, side_data] {
            packets.add(&(bytes.len() as u64).to_le_bytes());
            packets.add(bytes);
        }
        let sample = place.and_then(|place| place.checked_mul(Rational::whole(track.sample_rate.into())));
        let sample = sample.map_or(0, |sample| sample.round().max(0) as u64);
        progress(sample.min(plan.samples), plan.rounds() * plan.samples);
    })?;
    key.bytes("extradata", &setup.extradata).number("codec tag", setup.codec_tag.into());
    key.number("source rate", plan.facts.sample_rate.into());
    key.number("source channels", plan.facts.channels.into());
    key.bytes("packets", &packets.finish().0);
    Ok(key.finish())
}
