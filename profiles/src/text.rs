//! A profile as text with every value spelled out: what `reel profile show` prints, and what a job carries, so that
//! comments and defaults left out make no difference.

use std::fmt::{Display, Write as _};

use reel_common::Rational;

use crate::Package;
use crate::images::{Images, Poster};
use crate::types::{
    Admission, AudioTrack, BitDepth, Coding, Crop, DamageRule, Downmix, Encryption, Loudness, Picture,
    Profile, Quality, Rate, Rendition, Rule, SegmentStart, Tune,
};

impl Profile {
    /// The profile as TOML that reads back as the same profile.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        line(&mut text, "name", quoted(&self.name));
        line(&mut text, "version", self.version);
        line(&mut text, "segment_seconds", decimal(self.segment_seconds));
        line(&mut text, "part_seconds", decimal(self.part_seconds));
        if self.segments_begin != SegmentStart::default() {
            line(&mut text, "segments_begin", quoted(self.segments_begin.name()));
        }
        admission(&mut text, &self.admission);
        picture(&mut text, &self.picture);
        self.video.iter().for_each(|entry| rendition(&mut text, entry));
        self.audio.iter().for_each(|entry| track(&mut text, entry));
        if self.measure.vmaf {
            text.push_str("\n[measure]\n");
            line(&mut text, "vmaf", true);
        }
        if let Some(entry) = self.images {
            images(&mut text, entry);
        }
        text.push_str("\n[package]\n");
        line(&mut text, "hls", self.package.hls);
        line(&mut text, "mp4", self.package.mp4);
        // Versions that do not know a key refuse the profile: one that is not set is left out.
        let Package { dash, trick_play, preview, imsc1, byte_ranges, audio_files, ts, .. } = self.package;
        let keys = [
            ("dash", dash),
            ("trick_play", trick_play),
            ("preview", preview),
            ("imsc1", imsc1),
            ("byte_ranges", byte_ranges),
            ("audio_files", audio_files),
            ("ts", ts),
        ];
        for (key, set) in keys {
            if set {
                line(&mut text, key, true);
            }
        }
        if !self.destinations.is_empty() {
            let names: Vec<String> = self.destinations.iter().map(|name| quoted(name)).collect();
            line(&mut text, "destinations", format_args!("[{}]", names.join(", ")));
        }
        if let Some(entry) = &self.encryption {
            encryption(&mut text, entry);
        }
        text
    }
}

fn encryption(text: &mut String, encryption: &Encryption) {
    text.push_str("\n[encryption]\n");
    line(text, "scheme", quoted(encryption.scheme.name()));
    line(text, "keys", quoted(&encryption.keys));
    if !encryption.systems.is_empty() {
        let systems: Vec<String> = encryption.systems.iter().map(|system| quoted(system.name())).collect();
        line(text, "systems", format_args!("[{}]", systems.join(", ")));
    }
    line(text, "clear_lead_s", decimal(Rational::from_millis(encryption.clear_lead_ms.into())));
    let Encryption { key_uri, clear_key_licence, fair_play, .. } = encryption;
    for (key, uri) in
        [("key_uri", key_uri), ("clear_key_licence", clear_key_licence), ("fair_play", fair_play)]
    {
        uri.iter().for_each(|uri| line(text, key, quoted(uri)));
    }
}

fn admission(text: &mut String, admission: &Admission) {
    text.push_str("\n[admission]\n");
    for (key, limit) in
        [("min_duration_s", admission.min_duration_s), ("max_duration_s", admission.max_duration_s)]
    {
        rule(text, key, limit, decimal);
    }
    for (key, limit) in [("min_height", admission.min_height), ("max_height", admission.max_height)] {
        rule(text, key, limit, |height| height.to_string());
    }
    for (key, limit) in
        [("min_frame_rate", admission.min_frame_rate), ("max_frame_rate", admission.max_frame_rate)]
    {
        rule(text, key, limit, |rate| quoted(&rate.to_string()));
    }
    line(text, "variable_frame_rate", quoted(admission.variable_frame_rate.name()));
    line(text, "missing_audio", quoted(admission.missing_audio.name()));
    // Versions that do not know a key refuse the profile: one that has its default is left out.
    if admission.silent_audio != Admission::default().silent_audio {
        line(text, "silent_audio", quoted(admission.silent_audio.name()));
    }
    rule(text, "max_black_s", admission.max_black_s, decimal);
    rule(text, "max_frozen_s", admission.max_frozen_s, decimal);
    line(text, "interlaced", quoted(admission.interlaced.name()));
    line(text, "hdr", quoted(admission.hdr.name()));
    line(text, "hdr_colour", quoted(admission.hdr_colour.name()));
    line(text, "unspecified_colour", quoted(admission.unspecified_colour.name()));
    match admission.damage {
        DamageRule::Refuse => line(text, "damage", quoted("refuse")),
        DamageRule::Repeat => line(text, "damage", quoted("repeat")),
        DamageRule::Allow(frames) => line(text, "damage", format!("{{ allow = {frames} }}")),
    }
}

fn picture(text: &mut String, picture: &Picture) {
    text.push_str("\n[picture]\n");
    line(text, "fields", quoted(picture.fields.name()));
    line(
        text,
        "frame_rate",
        quoted(&picture.frame_rate.map_or("source".to_owned(), |rate| rate.to_string())),
    );
    let Crop { top, bottom, left, right } = picture.crop;
    line(text, "tone_map", quoted(picture.tone_map.name()));
    line(text, "crop", format!("{{ top = {top}, bottom = {bottom}, left = {left}, right = {right} }}"));
}

fn rendition(text: &mut String, rendition: &Rendition) {
    text.push_str("\n[[video]]\n");
    line(text, "name", quoted(&rendition.name));
    line(text, "codec", quoted(rendition.coding.codec().name()));
    line(text, "height", rendition.height);
    let tuned = |text: &mut String, tune: Option<Tune>| {
        line(text, "tune", quoted(tune.map_or("none", |tune| tune.name())));
    };
    let depth = |text: &mut String, bit_depth: BitDepth| line(text, "bit_depth", bit_depth.bits());
    match rendition.coding {
        Coding::H264 { preset, tune, profile, level } => {
            line(text, "preset", quoted(preset.name()));
            tuned(text, tune);
            line(text, "h264_profile", quoted(profile.name()));
            line(text, "level", quoted(&level.map_or("auto".to_owned(), |level| level.to_string())));
        }
        Coding::Hevc { preset, tune, bit_depth } => {
            line(text, "preset", quoted(preset.name()));
            tuned(text, tune);
            depth(text, bit_depth);
        }
        Coding::Av1 { preset, bit_depth } => {
            line(text, "preset", preset);
            depth(text, bit_depth);
        }
    }
    let Rate { quality, maxrate_kbps, bufsize_kbps } = rendition.rate;
    let quality = match quality {
        Quality::Crf(milli) => format!("crf = {}", decimal(Rational::from_millis(i64::from(milli)))),
        Quality::Bitrate(kbps) => format!("bitrate_kbps = {kbps}"),
        Quality::Psnr(mdb) => format!("psnr_db = {}", decimal(Rational::from_millis(i64::from(mdb)))),
        Quality::Ssim(milli) => format!("ssim = {}", decimal(Rational::from_millis(i64::from(milli)))),
        Quality::Vmaf(milli) => format!("vmaf = {}", decimal(Rational::from_millis(i64::from(milli)))),
    };
    let ceiling = maxrate_kbps.map(|maxrate| format!(", maxrate_kbps = {maxrate}")).unwrap_or_default();
    let buffer = bufsize_kbps.map(|bufsize| format!(", bufsize_kbps = {bufsize}")).unwrap_or_default();
    line(text, "rate", format!("{{ {quality}{ceiling}{buffer} }}"));
    line(text, "upscale", rendition.upscale);
}

fn track(text: &mut String, track: &AudioTrack) {
    text.push_str("\n[[audio]]\n");
    line(text, "name", quoted(&track.name));
    line(text, "codec", quoted(track.codec.name()));
    line(text, "channels", track.channels);
    if let Some(bitrate) = track.bitrate_kbps {
        line(text, "bitrate_kbps", bitrate);
    }
    line(text, "sample_rate", track.sample_rate);
    if let Some(language) = &track.language {
        line(text, "language", quoted(language));
    }
    if !track.sources.is_empty() {
        let sources: Vec<String> = track.sources.iter().map(|source| quoted(&source.to_string())).collect();
        line(text, "sources", format!("[{}]", sources.join(", ")));
    }
    if track.downmix != Downmix::LoRo {
        line(text, "downmix", quoted(track.downmix.name()));
    }
    if let Some(Loudness { lufs_milli, true_peak_milli }) = track.loudness {
        let level = |milli: i32| decimal(Rational::from_millis(milli.into()));
        line(text, "loudness_lufs", level(lufs_milli));
        line(text, "true_peak_dbtp", level(true_peak_milli));
    }
}

fn images(text: &mut String, images: Images) {
    let seconds = |ms: u32| decimal(Rational::from_millis(ms.into()));
    text.push_str("\n[images]\n");
    line(text, "every_s", seconds(images.every_ms));
    line(text, "height", images.height);
    line(text, "columns", images.columns);
    line(text, "rows", images.rows);
    let poster = match images.poster {
        None => "false".to_owned(),
        Some(Poster { at_ms: None, height: None }) => "true".to_owned(),
        Some(Poster { at_ms, height }) => {
            let at = at_ms.map(|ms| format!("at_s = {}", seconds(ms)));
            let height = height.map(|height| format!("height = {height}"));
            let keys: Vec<String> = at.into_iter().chain(height).collect();
            format!("{{ {} }}", keys.join(", "))
        }
    };
    line(text, "poster", poster);
}

fn rule<T>(text: &mut String, key: &str, rule: Option<Rule<T>>, write: impl Fn(T) -> String) {
    if let Some(Rule { limit, action }) = rule {
        line(text, key, format!("{{ limit = {}, action = {} }}", write(limit), quoted(action.name())));
    }
}

fn line(text: &mut String, key: &str, value: impl Display) {
    let _ = writeln!(text, "{key} = {value}");
}

/// A basic string. Names, words and tags that passed the checks hold nothing that needs an escape.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// A number of thousandths in decimal, with at least one digit after the point.
pub(crate) fn decimal(value: Rational) -> String {
    let thousandths = reel_common::rescale(
        value.num(),
        Rational::whole(1),
        Rational::new(value.den(), 1000).unwrap_or(Rational::whole(1)),
        reel_common::Rounding::Nearest,
    );
    let (sign, size) = (if thousandths < 0 { "-" } else { "" }, thousandths.unsigned_abs());
    let text = format!("{sign}{}.{:03}", size / 1000, size % 1000);
    let trimmed = text.trim_end_matches('0');
    if trimmed.ends_with('.') { format!("{trimmed}0") } else { trimmed.to_owned() }
}
