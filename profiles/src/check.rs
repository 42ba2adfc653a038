//! What is wrong with a profile whose values are each fine by themselves: impossible ladders, lengths that do not
//! fit each other, names that are not file names.

use std::collections::BTreeSet;

use reel_common::{Rational, is_language_tag};

use crate::parse::audio::TrackPlaces;
use crate::parse::{Parsed, RenditionPlaces};
use crate::read::ProfileError;
use crate::types::{
    AudioCodec, AudioTrack, Coding, Downmix, Fields, H264Profile, Profile, Quality, Rendition, VideoCodec,
};

/// Longest name, so that a staging folder's path stays short.
const MAX_NAME_BYTES: usize = 40;
/// The bit rates of AC-3 in kbit/s (ETSI TS 102 366, table 4.13).
const AC3_KBPS: [u32; 19] =
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];

/// The first thing that is wrong, in the order of the text's sections.
pub(crate) fn check(parsed: &Parsed<'_>) -> Result<(), ProfileError> {
    plain_name(parsed, parsed.name, &parsed.profile.name)?;
    lengths(parsed)?;
    ladder(parsed)?;
    fields(parsed)?;
    tracks(parsed)?;
    let package = parsed.profile.package;
    ensure(parsed, package.segments() || package.mp4, parsed.package, || {
        match package.ts {
            true => "`ts` stands beside `hls`, `dash` or `mp4`, against which it is proved: set one of them",
            false => "nothing would be delivered: set `hls = true`, `dash = true` or `mp4 = true`",
        }
        .to_owned()
    })?;
    let first_alone = !package.segments() && !package.audio_files;
    if let Some(second) = parsed.audio.get(1).filter(|_| first_alone) {
        return Err(parsed.source.error(
            second.name,
            "this track would be in no file, since those of `mp4` have the first: set `audio_files = true`, `hls = true` or `dash = true`",
        ));
    }
    transport_streams(parsed)
}

/// Transport streams for old devices have pictures and sound that these know.
fn transport_streams(parsed: &Parsed<'_>) -> Result<(), ProfileError> {
    let Profile { package, video, audio, .. } = &parsed.profile;
    if !package.ts {
        return Ok(());
    }
    ensure(parsed, video.iter().any(|rendition| package.ts_rendition(rendition)), parsed.package, || {
        "`ts` is of the H.264 renditions, and the ladder has none: add one, or leave out `ts`".to_owned()
    })?;
    let sounds = audio.is_empty() || audio.iter().any(|track| package.ts_track(track));
    ensure(parsed, sounds, parsed.package, || {
        "`ts` has the sound of the first `aac` track of one or two channels, and there is none: add one, or leave out `ts`"
            .to_owned()
    })
}

fn ensure(
    parsed: &Parsed<'_>,
    holds: bool,
    position: usize,
    reason: impl FnOnce() -> String,
) -> Result<(), ProfileError> {
    if holds { Ok(()) } else { Err(parsed.source.error(position, reason())) }
}

fn plain_name(parsed: &Parsed<'_>, position: usize, name: &str) -> Result<(), ProfileError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let plain = begins_well && name.len() <= MAX_NAME_BYTES && name.bytes().all(allowed);
    ensure(parsed, plain, position, || {
        format!(
            "`{}` is not a plain file name: use up to {MAX_NAME_BYTES} letters, digits, `.`, `_` and `-`, \
             beginning with a letter or digit",
            name.escape_debug().take(MAX_NAME_BYTES).collect::<String>()
        )
    })
}

fn lengths(parsed: &Parsed<'_>) -> Result<(), ProfileError> {
    let Profile { segment_seconds: segment, part_seconds: part, .. } = parsed.profile;
    let in_range = segment >= Rational::from_millis(500) && segment <= Rational::whole(60);
    ensure(parsed, in_range, parsed.segment, || "`segment_seconds` goes from 0.5 to 60".to_owned())?;
    let at_most = part > Rational::ZERO && part <= Rational::whole(120);
    ensure(parsed, at_most, parsed.part, || "`part_seconds` goes up to 120".to_owned())?;
    let whole = part.checked_div(segment).is_some_and(|ratio| ratio.den() == 1);
    ensure(parsed, whole, parsed.part, || {
        format!(
            "a part is a whole number of segments: {} s is not a multiple of {} s",
            crate::text::decimal(part),
            crate::text::decimal(segment)
        )
    })
}

fn ladder(parsed: &Parsed<'_>) -> Result<(), ProfileError> {
    let video = &parsed.profile.video;
    ensure(parsed, !video.is_empty(), 0, || "the ladder is empty: add a [[video]] rendition".to_owned())?;
    let mut names = BTreeSet::new();
    for (number, (rendition, places)) in video.iter().zip(&parsed.video).enumerate() {
        ensure(parsed, number < Profile::MAX_RENDITIONS, places.name, || {
            format!("a ladder has at most {} renditions", Profile::MAX_RENDITIONS)
        })?;
        plain_name(parsed, places.name, &rendition.name)?;
        unique(parsed, &mut names, places.name, &rendition.name, "rendition")?;
        one_rendition(parsed, rendition, places)?;
        av1_preset(parsed, rendition, places)?;
        let same_codec = |above: &&Rendition| above.coding.codec() == rendition.coding.codec();
        if let Some(above) = video[..number].iter().rev().find(same_codec) {
            beside(parsed, above, rendition, places)?;
        }
    }
    Ok(())
}

fn one_rendition(
    parsed: &Parsed<'_>,
    rendition: &Rendition,
    places: &RenditionPlaces,
) -> Result<(), ProfileError> {
    ensure(parsed, rendition.height.is_multiple_of(2), places.height, || {
        format!("`height` must be even, since 4:2:0 halves it: use {}", rendition.height + 1)
    })?;
    if let Quality::Bitrate(mean) = rendition.rate.quality {
        mean_rate(parsed, rendition, mean, places)?;
    }
    let (maxrate, bufsize) = match (rendition.rate.maxrate_kbps, rendition.rate.bufsize_kbps) {
        (None, None) => return Ok(()),
        (Some(maxrate), Some(bufsize)) => (maxrate, bufsize),
        (Some(_), None) if rendition.coding.codec() == VideoCodec::Av1 => return Ok(()),
        (Some(maxrate), None) => {
            let reason = format!("`maxrate_kbps` needs a buffer: add `bufsize_kbps = {}`", maxrate * 2);
            return Err(parsed.source.error(places.rate, reason));
        }
        (None, Some(_)) => {
            let reason = "`bufsize_kbps` has no meaning without `maxrate_kbps`: give both or none";
            return Err(parsed.source.error(places.rate, reason));
        }
    };
    let (least, most) = (maxrate.div_ceil(4), u64::from(maxrate) * 10);
    ensure(parsed, bufsize >= least && u64::from(bufsize) <= most, places.rate, || {
        format!("`bufsize_kbps` holds 0.25 to 10 s of `maxrate_kbps`: {least} to {most}, not {bufsize}")
    })?;
    fits_level(parsed, rendition, maxrate, places)
}

/// A mean rate leaves room below the ceiling, since what is easy stays far below it, and fits in the level.
fn mean_rate(
    parsed: &Parsed<'_>,
    rendition: &Rendition,
    mean: u32,
    places: &RenditionPlaces,
) -> Result<(), ProfileError> {
    if let Some(ceiling) = rendition.rate.maxrate_kbps {
        let most = u64::from(ceiling) * 9 / 10;
        ensure(parsed, u64::from(mean) <= most, places.rate, || {
            format!("`bitrate_kbps` is at most 0.9 of `maxrate_kbps`, which is {most}, not {mean}")
        })?;
    }
    fits_level(parsed, rendition, mean, places)
}

/// A rate in kbit/s is one that the level of H.264 allows.
fn fits_level(
    parsed: &Parsed<'_>,
    rendition: &Rendition,
    kbps: u32,
    places: &RenditionPlaces,
) -> Result<(), ProfileError> {
    let Coding::H264 { profile, level: Some(level), .. } = rendition.coding else { return Ok(()) };
    let most = level.max_kbps(profile);
    ensure(parsed, kbps <= most, places.level, || {
        format!("level {level} allows at most {most} kbit/s in profile {profile}")
    })
}

/// What is coded as fields: ISO/IEC 14496-10, A.2.1 and table A-4, frame_mbs_only_flag.
fn fields(parsed: &Parsed<'_>) -> Result<(), ProfileError> {
    let picture = parsed.profile.picture;
    if picture.fields != Fields::Keep {
        return Ok(());
    }
    ensure(parsed, picture.frame_rate.is_none(), parsed.frame_rate, || {
        "fields that are kept cannot be conformed to another rate: use `fields = \"bwdif\"`".to_owned()
    })?;
    for (rendition, places) in parsed.profile.video.iter().zip(&parsed.video) {
        let Coding::H264 { profile, level, .. } = rendition.coding else { continue };
        ensure(parsed, profile != H264Profile::Baseline, places.name, || {
            format!("`{}` is of profile baseline, which has no fields to keep: use \"main\"", rendition.name)
        })?;
        let has_fields = level.is_none_or(|level| (21..=41).contains(&level.idc()));
        ensure(parsed, has_fields, places.level, || {
            format!("`{}` cannot keep fields: H.264 has them in levels 2.1 to 4.1", rendition.name)
        })?;
    }
    Ok(())
}

/// Encoders of SVT-AV1 that are in one process share tables, which those of slow presets do not all fill alike.
fn av1_preset(
    parsed: &Parsed<'_>,
    rendition: &Rendition,
    places: &RenditionPlaces,
) -> Result<(), ProfileError> {
    let video = &parsed.profile.video;
    let of_av1 = video.iter().filter(|other| other.coding.codec() == VideoCodec::Av1).count();
    let Coding::Av1 { preset, .. } = rendition.coding else { return Ok(()) };
    let (least, most) = (Coding::LEAST_SHARED_AV1_PRESET, Coding::MAX_AV1_PRESET);
    ensure(parsed, of_av1 == 1 || preset >= least, places.preset, || {
        format!(
            "`preset` of AV1 is {least} to {most} where a ladder has several renditions of it, not {preset}"
        )
    })
}

fn beside(
    parsed: &Parsed<'_>,
    above: &Rendition,
    below: &Rendition,
    places: &RenditionPlaces,
) -> Result<(), ProfileError> {
    ensure(parsed, above.height != below.height, places.height, || {
        format!("`{}` and `{}` have the same height of {}", above.name, below.name, below.height)
    })?;
    ensure(parsed, above.height > below.height, places.height, || {
        format!(
            "renditions of a codec go from tall to small: `{}` is taller than `{}` before it",
            below.name, above.name
        )
    })?;
    let mean = |rendition: &Rendition| match rendition.rate.quality {
        Quality::Bitrate(kbps) => Some(kbps),
        Quality::Crf(_) | Quality::Psnr(_) | Quality::Ssim(_) | Quality::Vmaf(_) => None,
    };
    let rates = [(above.rate.maxrate_kbps, below.rate.maxrate_kbps), (mean(above), mean(below))];
    rates.into_iter().filter_map(|(more, less)| more.zip(less)).try_for_each(|(more, less)| {
        ensure(parsed, more > less, places.rate, || {
            format!(
                "`{}` may use {less} kbit/s, not less than the taller `{}` with {more}",
                below.name, above.name
            )
        })
    })
}

fn tracks(parsed: &Parsed<'_>) -> Result<(), ProfileError> {
    let mut names = BTreeSet::new();
    for (number, (track, places)) in parsed.profile.audio.iter().zip(&parsed.audio).enumerate() {
        ensure(parsed, number < Profile::MAX_AUDIO_TRACKS, places.name, || {
            format!("a profile has at most {} audio tracks", Profile::MAX_AUDIO_TRACKS)
        })?;
        plain_name(parsed, places.name, &track.name)?;
        unique(parsed, &mut names, places.name, &track.name, "audio track")?;
        one_track(parsed, track, places)?;
    }
    Ok(())
}

fn one_track(parsed: &Parsed<'_>, track: &AudioTrack, places: &TrackPlaces) -> Result<(), ProfileError> {
    let codec = track.codec;
    ensure(parsed, codec != AudioCodec::Pcm || !parsed.profile.package.segments(), places.codec, || {
        "`pcm` goes into single files alone, since players have none in segments: use `flac`, or \
         `mp4 = true` alone"
            .to_owned()
    })?;
    let surround = codec == AudioCodec::Opus || codec.is_lossless();
    ensure(
        parsed,
        matches!(track.channels, 1 | 2 | 6) || (track.channels == 8 && surround),
        places.channels,
        || {
            let more = if surround { ", 6 (5.1) or 8 (7.1)" } else { " or 6 (5.1)" };
            let why = if track.channels == 8 { ": players disagree on 7.1 of this codec" } else { "" };
            format!("`channels` of `{codec}` is 1 (mono), 2 (stereo){more}, not {}{why}", track.channels)
        },
    )?;
    let rates: &[u32] = if codec == AudioCodec::Opus { &[48_000] } else { &[32_000, 44_100, 48_000] };
    ensure(parsed, rates.contains(&track.sample_rate), places.sample_rate, || {
        format!("`sample_rate` of `{codec}` is {}, not {}", listed(rates), track.sample_rate)
    })?;
    audio_bitrate(parsed, track, places)?;
    let sources = track.sources.len();
    ensure(parsed, sources == 0 || sources == track.channels as usize, places.sources, || {
        format!("`sources` has {sources} of the {} channels", track.channels)
    })?;
    let matrix = track.downmix == Downmix::LtRt;
    ensure(parsed, !matrix || (track.channels == 2 && sources == 0), places.downmix, || {
        "`downmix = \"lt-rt\"` makes stereo of a stream: it goes with `channels = 2` and without `sources`"
            .to_owned()
    })?;
    let Some(language) = &track.language else { return Ok(()) };
    ensure(parsed, is_language_tag(language), places.language, || {
        "`language` is a tag such as \"en\", \"deu\" or \"pt-BR\"".to_owned()
    })
}

/// Whether a codec has the bit rate that is asked of it.
fn audio_bitrate(parsed: &Parsed<'_>, track: &AudioTrack, places: &TrackPlaces) -> Result<(), ProfileError> {
    let (codec, channels) = (track.codec, track.channels);
    let Some(kbps) = track.bitrate_kbps else { return Ok(()) };
    let range = match codec {
        // Broken below the first, and no better above the second.
        AudioCodec::Aac => 12 * channels..=256 * channels,
        AudioCodec::Opus => 6 * channels..=256 * channels,
        AudioCodec::Ac3 => {
            let rates: Vec<u32> = AC3_KBPS.into_iter().filter(|rate| *rate >= 32 * channels).collect();
            return ensure(parsed, rates.contains(&kbps), places.bitrate, || {
                format!("`{codec}` with {channels} channels takes {} kbit/s, not {kbps}", listed(&rates))
            });
        }
        // A frame of 1536 samples has at most 2048 words of 16 bits (ETSI TS 102 366, section E.1.3.1.3).
        AudioCodec::Eac3 => 24 * channels..=(2048 * 16 * (track.sample_rate / 100) / 1536) / 10,
        AudioCodec::Flac | AudioCodec::Pcm => {
            let reason = format!("`{codec}` loses nothing, so that it has no `bitrate_kbps`");
            return Err(parsed.source.error(places.bitrate, &reason));
        }
    };
    ensure(parsed, range.contains(&kbps), places.bitrate, || {
        let (least, most) = (range.start(), range.end());
        format!("`{codec}` with {channels} channels takes {least} to {most} kbit/s, not {kbps}")
    })
}

/// `a, b or c`.
fn listed(numbers: &[u32]) -> String {
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => texts.concat(),
    }
}

/// Names differ without regard to case, since they become file names.
fn unique(
    parsed: &Parsed<'_>,
    names: &mut BTreeSet<String>,
    position: usize,
    name: &str,
    what: &str,
) -> Result<(), ProfileError> {
    let new = names.insert(name.to_ascii_lowercase());
    ensure(parsed, new, position, || format!("the {what} name `{name}` is there twice"))
}
