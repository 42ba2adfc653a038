//! Audio tracks in the report.

use reel_common::Flag;
use reel_profiles::{Action, AudioCodec, Profile};
use reel_proto::v1;
use serde::Serialize;

use super::{artifact, hex};

/// An audio track of the title.
#[derive(Serialize)]
pub(super) struct Track<'a> {
    name: &'a str,
    /// As profiles name it.
    codec: &'static str,
    language: &'a str,
    source_stream: u32,
    /// For each channel, in the order left, right, centre, low frequencies, left and right rear, left and right side, where
    /// it comes from; empty where a whole stream was taken.
    source_channels: Vec<SourceChannel>,
    channels: u32,
    sample_rate: u32,
    samples: u64,
    priming: u32,
    recipe_key: String,
    segments: usize,
    bytes: u64,
    sha256: String,
    peak_segment_bps: u64,
    /// Integrated loudness before the gain (ITU-R BS.1770); `null` where it is silent.
    loudness_lufs: Option<f64>,
    /// Likewise its true peak.
    true_peak_dbtp: Option<f64>,
    /// Samples of all channels at full scale, three or more in a row, before the gain; `null` where nobody counted.
    clipped_samples: Option<u64>,
    gain_db: f64,
}

/// A channel of the mezzanine.
#[derive(Serialize)]
struct SourceChannel {
    /// Number of the stream in its container, from 0.
    stream: u32,
    /// Number of the channel in it, from 0.
    channel: u32,
}

/// What is said of each.
pub(super) fn tracks<'a>(records: &'a [v1::AudioRecord], profile: &Profile) -> Vec<Track<'a>> {
    records.iter().map(|record| track(record, profile)).collect()
}

fn track<'a>(record: &'a v1::AudioRecord, profile: &Profile) -> Track<'a> {
    let loudness = record.loudness.unwrap_or_default();
    let (bytes, sha256) = artifact(record.artifact.as_ref());
    let codec = profile.audio.iter().find(|track| track.name == record.name).map(|track| track.codec);
    let sources = record.source_channels.iter();
    Track {
        name: &record.name,
        codec: codec.map_or("", AudioCodec::name),
        language: &record.language,
        source_stream: record.source_stream,
        source_channels: sources
            .map(|source| SourceChannel { stream: source.stream, channel: source.channel })
            .collect(),
        channels: record.channels,
        sample_rate: record.sample_rate,
        samples: record.samples,
        priming: record.priming,
        recipe_key: hex(&record.recipe_key),
        segments: record.segment_bytes.len(),
        bytes,
        sha256,
        peak_segment_bps: record.peak_segment_bps,
        loudness_lufs: loudness.integrated.map(hundredths),
        true_peak_dbtp: loudness.true_peak.map(hundredths),
        clipped_samples: loudness.clipped_samples,
        gain_db: hundredths(loudness.gain),
    }
}

fn hundredths(level: i32) -> f64 {
    f64::from(level) / 100.0
}

/// What is to be said of how loud the tracks are: silent ones; ones that are softer than was asked, since their peaks left
/// no room; ones whose peaks are above full scale; and ones that are cut off there.
pub(super) fn warnings(records: &[v1::AudioRecord], profile: &Profile) -> Vec<String> {
    records.iter().flat_map(|record| warning(record, profile).into_iter().chain(clipped(record))).collect()
}

fn clipped(record: &v1::AudioRecord) -> Option<String> {
    let samples = record.loudness?.clipped_samples.filter(|samples| *samples > 0)?;
    let name = &record.name;
    Some(format!(
        "audio track {name} is cut off at full scale: {samples} samples stand there, three or more in a row; if its \
         source is not, `loudness_lufs` makes room"
    ))
}

/// Silent tracks, where the profile flags them.
pub(super) fn flags(records: &[v1::AudioRecord], profile: &Profile) -> Vec<Flag> {
    if profile.admission.silent_audio != Action::Flag {
        return Vec::new();
    }
    let silent =
        records.iter().filter(|record| record.loudness.is_some_and(|loudness| loudness.integrated.is_none()));
    let flag = |record: &v1::AudioRecord| Flag {
        rule: "silent_audio".to_owned(),
        found: format!("track {}", record.name),
        limit: Some("-70".to_owned()),
        what: silence(&record.name),
    };
    silent.map(flag).collect()
}

fn silence(track: &str) -> String {
    format!("audio track {track} is silent: nowhere louder than -70 LUFS")
}

fn warning(record: &v1::AudioRecord, profile: &Profile) -> Option<String> {
    let (name, loudness) = (&record.name, record.loudness?);
    let Some(integrated) = loudness.integrated else {
        let warns = profile.admission.silent_audio == Action::Warn;
        return warns.then(|| silence(name));
    };
    let wanted = profile.audio.iter().find(|track| track.name == *name)?.loudness;
    let made = integrated + loudness.gain;
    if let Some(wanted) = wanted.filter(|wanted| made < wanted.lufs_milli / 10) {
        let (made, wanted) = (hundredths(made), f64::from(wanted.lufs_milli) / 1e3);
        return Some(format!(
            "audio track {name} stays at {made} LUFS instead of {wanted}: its peaks leave no room"
        ));
    }
    let peak = loudness.true_peak? + loudness.gain;
    (peak > 0).then(|| {
        let peak = hundredths(peak);
        format!("audio track {name} clips: its true peak is {peak} dBTP; `loudness_lufs` makes room for it")
    })
}
