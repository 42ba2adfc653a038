//! The reference of profile keys among the documents says all that the parser takes, and nothing else.

use super::{
    ADMISSION_KEYS, MEASURE_KEYS, PACKAGE_KEYS, PICTURE_KEYS, PROFILE_KEYS, RATE_KEYS, VIDEO_KEYS, audio,
    encryption, images,
};
use crate::types::{
    Action, AudioCodec, Downmix, EncryptionScheme, Fields, H264Profile, LicenceSystem, Preset, SegmentStart,
    ToneMap, Tune, VideoCodec,
};

const REFERENCE: &str = include_str!("../../../ops/docs/reference/profile.md");

/// What stands below a heading.
fn section(heading: &str) -> &'static str {
    let (_, below) =
        REFERENCE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("{heading}"));
    below.split("\n## ").next().unwrap_or_default()
}

fn names<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|word| name(*word)).collect()
}

#[test]
fn every_key_has_its_line_and_every_line_its_key() {
    for (heading, keys) in [
        ("The profile", PROFILE_KEYS),
        ("[admission]", ADMISSION_KEYS),
        ("[picture]", PICTURE_KEYS),
        ("[[video]]", VIDEO_KEYS),
        ("rate = { .. }", RATE_KEYS),
        ("[[audio]]", audio::KEYS),
        ("[measure]", MEASURE_KEYS),
        ("[images]", images::KEYS),
        ("[package]", PACKAGE_KEYS),
        ("[encryption]", encryption::KEYS),
    ] {
        let lines = section(heading).lines().filter_map(|line| line.strip_prefix("| `"));
        let found: Vec<&str> = lines.filter_map(|line| line.split('`').next()).collect();
        assert_eq!(found, keys, "{heading}");
    }
}

#[test]
fn every_word_that_a_key_takes_is_told() {
    let destinations = crate::destination::names().collect();
    for (heading, words) in [
        ("The profile", names(SegmentStart::ALL, SegmentStart::name)),
        ("[admission]", names(Action::ALL, Action::name)),
        ("[picture]", names(Fields::ALL, Fields::name)),
        ("[picture]", names(ToneMap::ALL, ToneMap::name)),
        ("[[video]]", names(VideoCodec::ALL, VideoCodec::name)),
        ("[[video]]", names(Preset::ALL, Preset::name)),
        ("[[video]]", names(Tune::ALL, Tune::name)),
        ("[[video]]", names(H264Profile::ALL, H264Profile::name)),
        ("[[audio]]", names(AudioCodec::ALL, AudioCodec::name)),
        ("[[audio]]", names(Downmix::ALL, Downmix::name)),
        ("[package]", destinations),
        ("[encryption]", names(EncryptionScheme::ALL, EncryptionScheme::name)),
        ("[encryption]", names(LicenceSystem::ALL, LicenceSystem::name)),
    ] {
        for word in words {
            let told = [format!("`{word}`"), format!("`\"{word}\"`")];
            assert!(told.iter().any(|told| section(heading).contains(told)), "{heading}: {word}");
        }
    }
}
