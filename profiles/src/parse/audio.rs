//! The `[[audio]]` entries of a profile.

use super::{refuse_foreign_codec, words};
use crate::read::{At, ProfileError, Section};
use crate::types::{AudioCodec, AudioTrack, Downmix, Loudness, SourceChannel};

pub(super) const KEYS: &[&str] = &[
    "name",
    "codec",
    "channels",
    "bitrate_kbps",
    "sample_rate",
    "language",
    "sources",
    "downmix",
    "loudness_lufs",
    "true_peak_dbtp",
];

/// Where the values of a track stand.
pub(crate) struct TrackPlaces {
    pub(crate) name: usize,
    pub(crate) codec: usize,
    pub(crate) channels: usize,
    pub(crate) bitrate: usize,
    pub(crate) sample_rate: usize,
    pub(crate) language: usize,
    pub(crate) sources: usize,
    pub(crate) downmix: usize,
}

pub(super) fn track(section: &Section<'_>) -> Result<(AudioTrack, TrackPlaces), ProfileError> {
    let name = section.need("name", section.text("name")?, "such as `name = \"aac-stereo\"`")?;
    refuse_foreign_codec(section, "audio")?;
    let codec = section.word("codec", &words(AudioCodec::ALL, AudioCodec::name))?;
    let codec = section.need("codec", codec, "such as `codec = \"aac\"`")?;
    let channels = section.need("channels", section.whole("channels", 1..=64)?, "such as `channels = 2`")?;
    let bitrate = section.whole("bitrate_kbps", 1..=10_000)?;
    if !codec.value.is_lossless() {
        section.need("bitrate_kbps", bitrate, "such as `bitrate_kbps = 128`")?;
    }
    let sample_rate = section.whole("sample_rate", 1..=1_000_000)?;
    let sample_rate = sample_rate.unwrap_or(At { value: 48_000, position: section.position });
    let language = section.text("language")?;
    let places = TrackPlaces {
        name: name.position,
        codec: codec.position,
        channels: channels.position,
        bitrate: section.position_of("bitrate_kbps"),
        sample_rate: sample_rate.position,
        language: section.position_of("language"),
        sources: section.position_of("sources"),
        downmix: section.position_of("downmix"),
    };
    let downmix = section.word("downmix", &words(Downmix::ALL, Downmix::name))?;
    let track = AudioTrack {
        name: name.value.to_owned(),
        codec: codec.value,
        channels: channels.value,
        bitrate_kbps: bitrate.map(|at| at.value),
        sample_rate: sample_rate.value,
        language: language.map(|at| at.value.to_owned()),
        sources: section.texts("sources", SOURCE_CHANNEL, source_channel)?,
        downmix: downmix.map_or(Downmix::LoRo, |at| at.value),
        loudness: loudness(section)?,
    };
    Ok((track, places))
}

/// What stands in `sources`.
const SOURCE_CHANNEL: &str =
    "a list of channels as `\"stream.channel\"`, each counted from 1, such as [\"1.1\", \"2.1\"]";

fn source_channel(text: &str) -> Option<SourceChannel> {
    let (stream, channel) = text.split_once('.')?;
    let number = |text: &str| {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        text.parse().ok().filter(|number| plain && (1..=256).contains(number))
    };
    Some(SourceChannel { stream: number(stream)?, channel: number(channel)? })
}

/// The level to which a track is brought.
fn loudness(section: &Section<'_>) -> Result<Option<Loudness>, ProfileError> {
    let level = |key, range: std::ops::RangeInclusive<i64>| {
        let Some(at) = section.thousandths(key)? else { return Ok(None) };
        let level = Some(at.value).filter(|level| range.contains(level)).map(|level| level as i32);
        let reason = || format!("`{key}` goes from {} to {}", range.start() / 1_000, range.end() / 1_000);
        level.map(Some).ok_or_else(|| section.error(at.position, reason()))
    };
    let lufs = level("loudness_lufs", -40_000..=-5_000)?;
    let peak = level("true_peak_dbtp", -9_000..=0)?;
    if lufs.is_none() && peak.is_some() {
        let reason = "`true_peak_dbtp` bounds the gain that `loudness_lufs` asks for: give that as well";
        return Err(section.error(section.position_of("true_peak_dbtp"), reason));
    }
    let true_peak_milli = peak.unwrap_or(Loudness::DEFAULT_TRUE_PEAK_MILLI);
    Ok(lufs.map(|lufs_milli| Loudness { lufs_milli, true_peak_milli }))
}
