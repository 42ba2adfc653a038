//! From the text of a profile to [`Profile`].

pub(crate) mod audio;
mod destination;
mod encryption;
mod images;
#[cfg(test)]
mod reference;

use std::ops::RangeInclusive;

use reel_common::Rational;
use toml::de::DeTable;

use crate::Level;
use crate::check::check;
use crate::read::{At, ProfileError, Section, Source};
use crate::types::{
    Action, Admission, BitDepth, Coding, Crop, DamageRule, Fields, H264Profile, Measure, Package, Picture,
    Preset, Profile, Quality, Rate, Rendition, Rule, SegmentStart, ToneMap, Tune, VideoCodec,
};

const PROFILE_KEYS: &[&str] = &[
    "name",
    "version",
    "segment_seconds",
    "segments_begin",
    "part_seconds",
    "admission",
    "picture",
    "video",
    "audio",
    "measure",
    "images",
    "package",
    "encryption",
];
const ADMISSION_KEYS: &[&str] = &[
    "min_duration_s",
    "max_duration_s",
    "min_height",
    "max_height",
    "min_frame_rate",
    "max_frame_rate",
    "variable_frame_rate",
    "missing_audio",
    "silent_audio",
    "max_black_s",
    "max_frozen_s",
    "interlaced",
    "hdr",
    "hdr_colour",
    "unspecified_colour",
    "damage",
];
const PICTURE_KEYS: &[&str] = &["fields", "frame_rate", "crop", "tone_map"];
const CROP_KEYS: &[&str] = &["top", "bottom", "left", "right"];
const RULE_KEYS: &[&str] = &["limit", "action"];
const VIDEO_KEYS: &[&str] =
    &["name", "codec", "height", "preset", "tune", "bit_depth", "h264_profile", "level", "rate", "upscale"];
/// Keys of a rendition that only some codecs have, with those codecs.
const CODEC_KEYS: [(&str, &[VideoCodec]); 4] = [
    ("tune", &[VideoCodec::H264, VideoCodec::Hevc]),
    ("bit_depth", &[VideoCodec::Hevc, VideoCodec::Av1]),
    ("h264_profile", &[VideoCodec::H264]),
    ("level", &[VideoCodec::H264]),
];
const RATE_KEYS: &[&str] =
    &["crf", "bitrate_kbps", "psnr_db", "ssim", "vmaf", "maxrate_kbps", "bufsize_kbps"];
/// The keys of them of which a rate has one.
const QUALITY_KEYS: [&str; 5] = ["crf", "bitrate_kbps", "psnr_db", "ssim", "vmaf"];
const MEASURE_KEYS: &[&str] = &["vmaf"];
const PACKAGE_KEYS: &[&str] = &[
    "hls",
    "dash",
    "trick_play",
    "preview",
    "mp4",
    "imsc1",
    "byte_ranges",
    "audio_files",
    "ts",
    "destinations",
];
/// The largest numerator or denominator of a frame rate, which becomes the timescale of a title.
const MAX_RATE_TERM: u32 = 10_000_000;
/// SVT-AV1's choice between speed and size for video on demand.
const DEFAULT_AV1_PRESET: u8 = 8;

/// The profile and the places of what [`check`] may find wrong.
pub(crate) struct Parsed<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) profile: Profile,
    pub(crate) name: usize,
    pub(crate) segment: usize,
    pub(crate) part: usize,
    pub(crate) frame_rate: usize,
    pub(crate) video: Vec<RenditionPlaces>,
    pub(crate) audio: Vec<audio::TrackPlaces>,
    pub(crate) package: usize,
}

/// Where the values of a rendition stand.
pub(crate) struct RenditionPlaces {
    pub(crate) name: usize,
    pub(crate) height: usize,
    pub(crate) preset: usize,
    pub(crate) level: usize,
    pub(crate) rate: usize,
}

impl Profile {
    /// Reads and checks a profile. `file_name` is what errors call it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &str, file_name: &str) -> Result<Profile, ProfileError> {
        let source = Source::new(text, file_name);
        if text.len() > Profile::MAX_TEXT_BYTES {
            let most = Profile::MAX_TEXT_BYTES / 1024;
            return Err(
                source.error(0, format!("the profile has {} bytes, more than {most} KiB", text.len()))
            );
        }
        let document = DeTable::parse(text).map_err(|error| {
            let position = error.span().map_or(0, |span| span.start);
            source.error(position, format!("not valid TOML: {}", error.message().replace('\n', ", ")))
        })?;
        let root = Section::new(source, "the profile", 0, document.get_ref(), PROFILE_KEYS)?;
        let parsed = parse_root(&root)?;
        check(&parsed)?;
        Ok(parsed.profile)
    }
}

fn parse_root<'a>(root: &Section<'a>) -> Result<Parsed<'a>, ProfileError> {
    let name = root.need("name", root.text("name")?, "give the profile a name")?;
    let version = root.whole("version", 1..=u32::MAX)?;
    let version = root.need("version", version, "begin with `version = 1`")?;
    let segment = length(root, "segment_seconds", Rational::whole(4))?;
    let part = length(root, "part_seconds", Rational::whole(12))?;
    let segments_begin = root.word("segments_begin", &words(SegmentStart::ALL, SegmentStart::name))?;
    let video = root.tables("video", "[[video]]", VIDEO_KEYS)?;
    let video = video.iter().map(rendition).collect::<Result<Vec<_>, _>>()?;
    let audio = root.tables("audio", "[[audio]]", audio::KEYS)?;
    let audio = audio.iter().map(audio::track).collect::<Result<Vec<_>, _>>()?;
    let (package, package_place) = package(root)?;
    let destinations = destination::names(root, package)?;
    let (picture, frame_rate) = picture(root)?;
    let (video, video_places) = video.into_iter().unzip();
    let (audio, audio_places) = audio.into_iter().unzip();
    let profile = Profile {
        name: name.value.to_owned(),
        version: version.value,
        segment_seconds: segment.value,
        part_seconds: part.value,
        segments_begin: segments_begin.map(|at| at.value).unwrap_or_default(),
        admission: admission(root)?,
        picture,
        video,
        audio,
        measure: measure(root)?,
        images: images::images(root)?,
        encryption: encryption::encryption(root, package)?,
        package,
        destinations,
    };
    Ok(Parsed {
        source: root.source,
        profile,
        name: name.position,
        segment: segment.position,
        part: part.position,
        frame_rate,
        video: video_places,
        audio: audio_places,
        package: package_place,
    })
}

fn length(root: &Section<'_>, key: &str, default: Rational) -> Result<At<Rational>, ProfileError> {
    Ok(root.seconds(key)?.unwrap_or(At { value: default, position: 0 }))
}

fn admission(root: &Section<'_>) -> Result<Admission, ProfileError> {
    let Some(section) = root.table("admission", "[admission]", ADMISSION_KEYS)? else {
        return Ok(Admission::default());
    };
    let defaults = Admission::default();
    let action = |key, default| -> Result<Action, ProfileError> {
        Ok(section.word(key, &words(Action::ALL, Action::name))?.map_or(default, |at| at.value))
    };
    let duration = |key| {
        rule(&section, key, |section, key| {
            let seconds = section.seconds(key)?;
            refuse_if(section, &seconds, |seconds| *seconds <= Rational::ZERO, key, "more than 0 seconds")?;
            Ok(seconds)
        })
    };
    let height = |key| rule(&section, key, |section, key| section.whole(key, 1..=16_384));
    let rate = |key| {
        rule(&section, key, |section, key| {
            section.text(key)?.map(|text| frames_per_second(section, key, text)).transpose()
        })
    };
    Ok(Admission {
        min_duration_s: duration("min_duration_s")?,
        max_duration_s: duration("max_duration_s")?,
        min_height: height("min_height")?,
        max_height: height("max_height")?,
        min_frame_rate: rate("min_frame_rate")?,
        max_frame_rate: rate("max_frame_rate")?,
        variable_frame_rate: action("variable_frame_rate", defaults.variable_frame_rate)?,
        missing_audio: action("missing_audio", defaults.missing_audio)?,
        silent_audio: action("silent_audio", defaults.silent_audio)?,
        max_black_s: duration("max_black_s")?,
        max_frozen_s: duration("max_frozen_s")?,
        interlaced: action("interlaced", defaults.interlaced)?,
        hdr: action("hdr", defaults.hdr)?,
        hdr_colour: action("hdr_colour", defaults.hdr_colour)?,
        unspecified_colour: action("unspecified_colour", defaults.unspecified_colour)?,
        damage: damage(&section)?,
    })
}

/// What is done to pictures, and where their rate stands.
fn picture(root: &Section<'_>) -> Result<(Picture, usize), ProfileError> {
    let Some(section) = root.table("picture", "[picture]", PICTURE_KEYS)? else {
        return Ok((Picture::default(), root.position));
    };
    let fields = section.word("fields", &words(Fields::ALL, Fields::name))?;
    let tone_map = section.word("tone_map", &words(ToneMap::ALL, ToneMap::name))?;
    let picture = Picture {
        fields: fields.map_or(Fields::default(), |at| at.value),
        frame_rate: frame_rate(&section)?,
        crop: crop(&section)?,
        tone_map: tone_map.map_or(ToneMap::default(), |at| at.value),
    };
    Ok((picture, section.position_of("frame_rate")))
}

/// `"source"`, or a rate.
fn frame_rate(section: &Section<'_>) -> Result<Option<Rational>, ProfileError> {
    let Some(text) = section.text("frame_rate")?.filter(|text| text.value != "source") else {
        return Ok(None);
    };
    Ok(Some(frames_per_second(section, "frame_rate", text)?.value))
}

/// A rate such as `"25"` or `"30000/1001"`.
fn frames_per_second(section: &Section<'_>, key: &str, text: At<&str>) -> Result<At<Rational>, ProfileError> {
    let (num, den) = text.value.split_once('/').unwrap_or((text.value, "1"));
    let term = |text: &str| text.parse::<u32>().ok().filter(|term| *term <= MAX_RATE_TERM);
    let terms = term(num).zip(term(den));
    let rate = terms.and_then(|(num, den)| Rational::new(num.into(), den.into()));
    let most = Profile::MAX_FRAME_RATE;
    match rate.filter(|rate| (Rational::whole(1)..=Rational::whole(most)).contains(rate)) {
        Some(rate) => Ok(text.map(|_| rate)),
        None => Err(section.error(
            text.position,
            format!(
                "`{key}` takes frames per second from 1 to {most}, such as \"25\" or \"30000/1001\", not \"{}\"",
                text.value.escape_debug().take(40).collect::<String>()
            ),
        )),
    }
}

fn crop(section: &Section<'_>) -> Result<Crop, ProfileError> {
    let Some(table) = section.table("crop", "crop = { .. }", CROP_KEYS)? else { return Ok(Crop::default()) };
    let side = |key| -> Result<u32, ProfileError> {
        let side = table.whole(key, 0..=16_384)?;
        refuse_if(
            &table,
            &side,
            |samples| !samples.is_multiple_of(2),
            key,
            "an even number, since 4:2:0 halves it",
        )?;
        Ok(side.map_or(0, |at| at.value))
    };
    Ok(Crop { top: side("top")?, bottom: side("bottom")?, left: side("left")?, right: side("right")? })
}

/// `key = 1.5` rejects; `key = { limit = 1.5, action = "warn" }` says what it does.
fn rule<'a, T>(
    section: &Section<'a>,
    key: &str,
    read: impl Fn(&Section<'a>, &str) -> Result<Option<At<T>>, ProfileError>,
) -> Result<Option<Rule<T>>, ProfileError> {
    if section.get(key).is_none_or(|value| value.get_ref().as_table().is_none()) {
        return Ok(read(section, key)?.map(|limit| Rule { limit: limit.value, action: Action::Reject }));
    }
    let Some(table) = section.table(key, "{ limit, action }", RULE_KEYS)? else { return Ok(None) };
    let limit = table.need("limit", read(&table, "limit")?, "give the limit itself")?;
    let action = table.word("action", &words(Action::ALL, Action::name))?;
    Ok(Some(Rule { limit: limit.value, action: action.map_or(Action::Reject, |action| action.value) }))
}

fn damage(section: &Section<'_>) -> Result<DamageRule, ProfileError> {
    if section.get("damage").is_some_and(|value| value.get_ref().as_table().is_some()) {
        let Some(table) = section.table("damage", "{ allow }", &["allow"])? else {
            return Ok(DamageRule::default());
        };
        let allow =
            table.need("allow", table.whole("allow", 1..=1_000_000)?, "how many frames may be damaged")?;
        return Ok(DamageRule::Allow(allow.value));
    }
    let known = [("refuse", DamageRule::Refuse), ("repeat", DamageRule::Repeat)];
    Ok(section.word("damage", &known)?.map_or(DamageRule::default(), |at| at.value))
}

fn rendition(section: &Section<'_>) -> Result<(Rendition, RenditionPlaces), ProfileError> {
    let name = section.need("name", section.text("name")?, "such as `name = \"720p\"`")?;
    refuse_foreign_codec(section, "video")?;
    let codec = section.word("codec", &words(VideoCodec::ALL, VideoCodec::name))?;
    let codec = section.need("codec", codec, "such as `codec = \"h264\"`")?;
    let height = section.need("height", section.whole("height", 16..=4320)?, "such as `height = 720`")?;
    let coding = coding(section, codec.value)?;
    let (rate, rate_place) = rate(section, codec.value)?;
    let places = RenditionPlaces {
        name: name.position,
        height: height.position,
        preset: section.position_of("preset"),
        level: section.position_of("level"),
        rate: rate_place,
    };
    let rendition = Rendition {
        name: name.value.to_owned(),
        coding,
        height: height.value,
        rate,
        upscale: section.flag("upscale")?.is_some_and(|at| at.value),
    };
    Ok((rendition, places))
}

fn coding(section: &Section<'_>, codec: VideoCodec) -> Result<Coding, ProfileError> {
    let foreign =
        |(key, codecs): &&(&str, &[VideoCodec])| section.get(key).is_some() && !codecs.contains(&codec);
    if let Some((key, codecs)) = CODEC_KEYS.iter().find(foreign) {
        let codecs: Vec<_> = codecs.iter().map(|codec| codec.name()).collect();
        let reason = format!("`{key}` is a key of {}: {codec} has none", codecs.join(" and "));
        return Err(section.error(section.position_of(key), reason));
    }
    let preset = |section: &Section<'_>| -> Result<Preset, ProfileError> {
        let preset = section.word("preset", &words(Preset::ALL, Preset::name))?;
        Ok(preset.map_or(Preset::Medium, |at| at.value))
    };
    Ok(match codec {
        VideoCodec::H264 => {
            let profile = section.word("h264_profile", &words(H264Profile::ALL, H264Profile::name))?;
            Coding::H264 {
                preset: preset(section)?,
                tune: tune(section, Tune::ALL)?,
                profile: profile.map_or(H264Profile::High, |at| at.value),
                level: level(section)?,
            }
        }
        VideoCodec::Hevc => Coding::Hevc {
            preset: preset(section)?,
            tune: tune(section, &[Tune::Animation, Tune::Grain])?,
            bit_depth: bit_depth(section)?,
        },
        VideoCodec::Av1 => {
            let preset = section.whole("preset", 0..=u32::from(Coding::MAX_AV1_PRESET))?;
            let preset = preset.map_or(DEFAULT_AV1_PRESET, |at| at.value as u8);
            Coding::Av1 { preset, bit_depth: bit_depth(section)? }
        }
    })
}

fn tune(section: &Section<'_>, known: &[Tune]) -> Result<Option<Tune>, ProfileError> {
    let mut tunes = vec![("none", None)];
    tunes.extend(known.iter().map(|tune| (tune.name(), Some(*tune))));
    Ok(section.word("tune", &tunes)?.and_then(|at| at.value))
}

fn bit_depth(section: &Section<'_>) -> Result<BitDepth, ProfileError> {
    let depth = section.whole("bit_depth", 8..=10)?;
    match depth.map(|at| at.value) {
        None | Some(8) => Ok(BitDepth::Eight),
        Some(10) => Ok(BitDepth::Ten),
        Some(_) => Err(section.error(section.position_of("bit_depth"), "`bit_depth` is 8 or 10")),
    }
}

fn level(section: &Section<'_>) -> Result<Option<Level>, ProfileError> {
    let Some(text) = section.text("level")?.filter(|text| text.value != "auto") else { return Ok(None) };
    match Level::parse(text.value) {
        Some(level) => Ok(Some(level)),
        None => {
            let reason =
                format!("`{}` is not an H.264 level: use one such as \"4.1\", or \"auto\"", text.value);
            Err(section.error(text.position, reason))
        }
    }
}

fn rate(section: &Section<'_>, codec: VideoCodec) -> Result<(Rate, usize), ProfileError> {
    let example = "such as `rate = { crf = 21 }`";
    let table = section.need("rate", section.table("rate", "rate = { .. }", RATE_KEYS)?, example)?;
    let kbps = |key| -> Result<Option<u32>, ProfileError> {
        Ok(table.whole(key, 1..=1_000_000)?.map(|at| at.value))
    };
    let given: Vec<&str> = QUALITY_KEYS.into_iter().filter(|key| table.get(key).is_some()).collect();
    if let [one, other, ..] = given[..] {
        let reason =
            format!("`{one}` and `{other}` exclude each other: the quality follows from one of them");
        return Err(table.error(table.position_of(one), reason));
    }
    let quality = match given[..] {
        ["bitrate_kbps"] => kbps("bitrate_kbps")?.map(Quality::Bitrate),
        ["psnr_db"] => quality(&table, "psnr_db", Quality::PSNR_MDB)?.map(Quality::Psnr),
        ["ssim"] => quality(&table, "ssim", Quality::SSIM_MILLI)?.map(Quality::Ssim),
        ["vmaf"] => quality(&table, "vmaf", Quality::VMAF_MILLI)?.map(Quality::Vmaf),
        _ => None,
    };
    let quality = match quality {
        Some(quality) => quality,
        None => Quality::Crf(crf(&table, codec)?),
    };
    if codec == VideoCodec::Av1 && table.get("bufsize_kbps").is_some() {
        let reason = "SVT-AV1 bounds the rate by itself and knows no buffer: leave `bufsize_kbps` out";
        return Err(table.error(table.position_of("bufsize_kbps"), reason));
    }
    let rate = Rate { quality, maxrate_kbps: kbps("maxrate_kbps")?, bufsize_kbps: kbps("bufsize_kbps")? };
    Ok((rate, table.position))
}

/// A quality that is measured, in thousandths.
fn quality(table: &Section<'_>, key: &str, range: RangeInclusive<u32>) -> Result<Option<u32>, ProfileError> {
    let Some(asked) = table.thousandths(key)? else { return Ok(None) };
    match u32::try_from(asked.value).ok().filter(|value| range.contains(value)) {
        Some(value) => Ok(Some(value)),
        None => {
            let decimal = |milli: &u32| crate::text::decimal(Rational::from_millis(i64::from(*milli)));
            let (least, most) = (decimal(range.start()), decimal(range.end()));
            Err(table.error(asked.position, format!("`{key}` goes from {least} to {most}")))
        }
    }
}

/// A rate factor in thousandths.
fn crf(table: &Section<'_>, codec: VideoCodec) -> Result<u32, ProfileError> {
    let most = codec.max_crf();
    let takes = format!(
        "a quality from 1 (best) to {most}, or `bitrate_kbps`, `psnr_db`, `ssim` or `vmaf` in its place"
    );
    let crf = table.need("crf", table.thousandths("crf")?, &takes)?;
    let crf_milli = u32::try_from(crf.value).ok().filter(|crf| (1_000..=most * 1_000).contains(crf));
    let Some(crf_milli) = crf_milli else {
        let reason = format!(
            "`crf` goes from 1 (best) to {most}; below 1 a stream turns lossless, which players do not show"
        );
        return Err(table.error(crf.position, reason));
    };
    if codec == VideoCodec::Av1 && !crf_milli.is_multiple_of(1_000) {
        return Err(table.error(crf.position, "`crf` of AV1 is a whole number"));
    }
    Ok(crf_milli)
}

fn measure(root: &Section<'_>) -> Result<Measure, ProfileError> {
    let Some(section) = root.table("measure", "[measure]", MEASURE_KEYS)? else {
        return Ok(Measure::default());
    };
    Ok(Measure { vmaf: section.flag("vmaf")?.is_some_and(|at| at.value) })
}

fn package(root: &Section<'_>) -> Result<(Package, usize), ProfileError> {
    let example = "such as `hls = true` below `[package]`";
    let section = root.need("package", root.table("package", "[package]", PACKAGE_KEYS)?, example)?;
    let flag = |key| -> Result<bool, ProfileError> { Ok(section.flag(key)?.is_some_and(|at| at.value)) };
    let package = Package {
        hls: flag("hls")?,
        dash: flag("dash")?,
        trick_play: flag("trick_play")?,
        preview: flag("preview")?,
        mp4: flag("mp4")?,
        imsc1: flag("imsc1")?,
        byte_ranges: flag("byte_ranges")?,
        audio_files: flag("audio_files")?,
        ts: flag("ts")?,
    };
    for (key, set, reason) in [
        ("imsc1", package.imsc1, "`imsc1` makes segments: set `hls = true` or `dash = true` as well"),
        (
            "trick_play",
            package.trick_play,
            "`trick_play` is for players of segments: set `hls = true` or `dash = true` as well",
        ),
        (
            "byte_ranges",
            package.byte_ranges,
            "`byte_ranges` are of segments: set `hls = true` or `dash = true` as well",
        ),
    ] {
        if set && !package.segments() {
            return Err(section.error(section.position_of(key), reason));
        }
    }
    if package.preview && !package.hls {
        let reason = "`preview` is an HLS playlist that grows: set `hls = true` as well";
        return Err(section.error(section.position_of("preview"), reason));
    }
    if package.preview && package.byte_ranges {
        let reason = "`preview` shows segments that are files: leave out `byte_ranges`";
        return Err(section.error(section.position_of("preview"), reason));
    }
    if package.preview && package.ts {
        let reason = "`preview` is of the segments of `hls`: transport streams are made when the title is whole; leave out `ts` or `preview`";
        return Err(section.error(section.position_of("preview"), reason));
    }
    Ok((package, section.position))
}

/// Codecs that exist but cannot stand where they are, with the reason.
fn refuse_foreign_codec(section: &Section<'_>, kind: &str) -> Result<(), ProfileError> {
    let Some(codec) = section.text("codec")? else { return Ok(()) };
    let reason = match (kind, codec.value) {
        ("video", "aac" | "opus" | "ac3" | "eac3" | "flac" | "mp3" | "pcm") => {
            "is an audio codec: use [[audio]]"
        }
        ("video", "avc" | "x264") => "is called `h264` here",
        ("video", "h265" | "x265") => "is called `hevc` here",
        ("audio", "h264" | "hevc" | "h265" | "av1" | "vp9" | "prores") => "is a video codec: use [[video]]",
        ("video", "vp8" | "vp9" | "prores" | "dnxhd" | "mpeg2" | "theora") => {
            "does not go into the CMAF segments and MP4 files of [package]: use h264, hevc or av1"
        }
        ("audio", "vorbis" | "dts" | "mp3") => {
            "does not go into the CMAF segments and MP4 files of [package]: use aac, ac3, eac3, opus, flac or pcm"
        }
        _ => return Ok(()),
    };
    Err(section.error(codec.position, format!("`{}` {reason}", codec.value)))
}

fn refuse_if<T>(
    section: &Section<'_>,
    value: &Option<At<T>>,
    wrong: impl Fn(&T) -> bool,
    key: &str,
    takes: &str,
) -> Result<(), ProfileError> {
    match value {
        Some(at) if wrong(&at.value) => Err(section.error(at.position, format!("`{key}` takes {takes}"))),
        _ => Ok(()),
    }
}

fn words<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|value| (name(*value), *value)).collect()
}
