//! Manifests as they read, and as `dash-mpd-core` reads them.

use dash_mpd_core::MPD;

use super::*;
use crate::SegmentSize;

fn stream(timescale: u32, segments: &[(u64, u64)]) -> Stream {
    let segments = segments.iter().map(|(ticks, bytes)| SegmentSize { ticks: *ticks, bytes: *bytes });
    Stream { timescale, segments: segments.collect(), head: None }
}

fn video(scale: u64) -> Stream {
    stream(24_000, &[(96_096, 150_000 * scale), (96_096, 200_000 * scale), (38_038, 60_000 * scale)])
}

fn pictures() -> IFrames {
    let stream = stream(24_000, &[(96_096, 9_000), (96_096, 12_000), (38_038, 4_000)]);
    IFrames { stream, head: FileHead { init_bytes: 700, index_bytes: 68 } }
}

fn sound() -> Stream {
    stream(48_000, &[(192_512, 64_100), (192_512, 64_300), (78_848, 25_000)])
}

fn variant<'a>(rendition: &'a str, codec: &'a str, stream: &'a Stream, height: u32) -> Variant<'a> {
    Variant {
        rendition,
        stream,
        codec,
        width: height * 16 / 9,
        height,
        frame_rate: Rational::new(24_000, 1001),
        frames: 230,
        colour: Colour::default(),
        iframes: None,
        keys: None,
    }
}

fn track<'a>(track: &'a str, stream: &'a Stream, channels: u32, language: &'a str) -> AudioMedia<'a> {
    AudioMedia { track, stream, codec: "mp4a.40.2", channels, priming: 1024, language, keys: None }
}

const NOTHING: Manifest<'static> =
    Manifest { variants: &[], audio: &[], texts: &[], text_files: &[], sprites: None };

fn parse(text: &str) -> MPD {
    dash_mpd_core::parse(text).unwrap()
}

#[test]
fn a_manifest_reads_as_it_should() {
    let (large, small, sound, pictures) = (video(3), video(1), sound(), pictures());
    let wound = |variant| Variant { iframes: Some(&pictures), ..variant };
    let variants = [
        wound(variant("1080p", "avc1.640028", &large, 1080)),
        wound(variant("360p", "avc1.64001e", &small, 360)),
        wound(variant("hevc", "hvc1.2.4.L93.90", &small, 360)),
    ];
    let audio = [
        track("stereo", &sound, 2, "eng"),
        track("talk&more", &sound, 2, "en"),
        track("wide", &sound, 8, ""),
    ];
    let named = |role| TextName { language: "en".to_owned(), role };
    let texts = [TextFormat::WebVtt, TextFormat::Imsc1].map(|format| TextGroup {
        format,
        texts: vec![(named(TextRole::Forced), stream(24_000, &[(96_096, 600)]))],
    });
    let text_files = [(named(TextRole::Subtitles), 4_000), (named(TextRole::Captions), 1)];
    let sheets = stream(1000, &[(250_000, 300_000), (7_041, 30_000)]);
    let sprites = Sprites { width: 320, height: 180, columns: 5, rows: 5, every_ms: 10_000, stream: sheets };
    let manifest = Manifest {
        variants: &variants,
        audio: &audio,
        texts: &texts,
        text_files: &text_files,
        sprites: Some(&sprites),
    };
    let text = manifest.text();
    insta::assert_snapshot!(text);
    order::check(&text);
    let mpd = parse(&text);
    let sets = &mpd.periods[0].adaptations;
    assert_eq!(sets.len(), 4 + 3 + 3 + 1);
    let ids: Vec<_> = sets.iter().map(|set| set.id.clone().unwrap()).collect();
    assert_eq!(ids, (1..=11).map(|id| id.to_string()).collect::<Vec<_>>());
}

#[test]
fn files_are_named_with_their_header_and_index() {
    let head = |init_bytes| Some(FileHead { init_bytes, index_bytes: 68 });
    let (large, small) = (Stream { head: head(720), ..video(3) }, Stream { head: head(715), ..video(1) });
    let (sound, pictures) = (Stream { head: head(640), ..sound() }, pictures());
    let texts = Stream { head: head(600), ..stream(24_000, &[(96_096, 600)]) };
    let name = TextName { language: "en".to_owned(), role: TextRole::Subtitles };
    let variants = [
        Variant { iframes: Some(&pictures), ..variant("1080p", "avc1.640028", &large, 1080) },
        variant("360p", "avc1.64001e", &small, 360),
    ];
    let manifest = Manifest {
        variants: &variants,
        audio: &[track("stereo", &sound, 2, "eng")],
        texts: &[TextGroup { format: TextFormat::Imsc1, texts: vec![(name, texts)] }],
        ..NOTHING
    };
    let text = manifest.text();
    insta::assert_snapshot!(text);
    order::check(&text);
    for set in &parse(&text).periods[0].adaptations {
        assert!(set.SegmentTemplate.is_none());
        assert_eq!((set.subsegmentAlignment, set.subsegmentStartsWithSAP), (Some(true), Some(1)));
        assert!(set.representations.iter().all(|one| one.BaseURL.len() == 1 && one.SegmentBase.is_some()));
    }
}

#[test]
fn timelines_cover_the_title_without_gaps() {
    let (large, sound) = (video(3), sound());
    let (variants, audio) = ([variant("a", "av01.0.04M.10", &large, 360)], [track("stereo", &sound, 2, "")]);
    let mpd = parse(&Manifest { variants: &variants, audio: &audio, ..NOTHING }.text());
    let ticks = |set: usize| -> Vec<u64> {
        let template = mpd.periods[0].adaptations[set].SegmentTemplate.as_ref().unwrap();
        assert_eq!(template.presentationTimeOffset, None);
        let runs = &template.SegmentTimeline.as_ref().unwrap().segments;
        runs.iter().flat_map(|run| (0..=run.r.unwrap_or(0)).map(|_| run.d)).collect()
    };
    assert_eq!(ticks(0), [96_096, 96_096, 38_038]);
    // What is decoded before it is heard is not of the timeline.
    assert_eq!(ticks(1), [191_488, 192_512, 78_848]);
    // 230,230 / 24,000 s is no decimal: a billionth more, and no segment lasts longer.
    let duration = mpd.mediaPresentationDuration.unwrap();
    assert_eq!(duration.as_nanos(), 9_592_916_667);
    assert_eq!(mpd.periods[0].duration, Some(duration));
    assert_eq!(mpd.minBufferTime.unwrap().as_millis(), 4_011);
}

#[test]
fn colours_must_be_known_where_pictures_would_be_wrong_without() {
    let stream = video(1);
    let manifest = |transfer| {
        let colour = Colour { primaries: 9, transfer, matrix: 9, ..Colour::default() };
        let variants = [Variant { colour, ..variant("a", "hvc1.2.4.L93.90", &stream, 360) }];
        let mpd = parse(&Manifest { variants: &variants, ..NOTHING }.text());
        let set = &mpd.periods[0].adaptations[0];
        let codes =
            |properties: Vec<Option<String>>| properties.into_iter().flatten().collect::<Vec<_>>().join(",");
        let essential = set.essential_property.iter().map(|property| property.value.clone()).collect();
        let supplemental = set.supplemental_property.iter().map(|property| property.value.clone()).collect();
        (codes(essential), codes(supplemental))
    };
    assert_eq!(manifest(16), ("9,16,9".to_owned(), String::new()));
    assert_eq!(manifest(18), (String::new(), "9,18,9".to_owned()));
    assert_eq!(manifest(2), (String::new(), "9,9".to_owned()));
}

#[test]
fn a_feature_stays_small() {
    let segments = vec![(96_096, 2_000_000); 1_800];
    let (stream, pictures) = (stream(24_000, &segments), pictures());
    let names: Vec<_> = (0..8).map(|number| format!("rendition-{number}")).collect();
    let variants: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let codec = ["avc1.640028", "hvc1.2.4.L93.90", "av01.0.04M.10"][number % 3];
            Variant { iframes: Some(&pictures), frames: 172_800, ..variant(name, codec, &stream, 1080) }
        })
        .collect();
    let text = Manifest { variants: &variants, ..NOTHING }.text();
    assert!(text.len() < 10_000, "{} bytes", text.len());
}

#[test]
fn durations_are_exact_or_a_little_long() {
    let written = |num, den| seconds(Rational::new(num, den).unwrap());
    assert_eq!(written(7200, 1), "PT7200S");
    assert_eq!(written(1001, 1000), "PT1.001S");
    assert_eq!(written(1, 3), "PT0.333333334S");
    assert_eq!(written(0, 1), "PT0S");
    assert_eq!(written(i64::MAX / 2, 1_000_000), "PT4611686018427.387903S");
}

/// The order of elements in ISO/IEC 23009-1, annex B, as far as they are written here: validators and some players want it.
mod order {
    const COMMON: [&str; 5] =
        ["AudioChannelConfiguration", "EssentialProperty", "SupplementalProperty", "Label", "Accessibility"];
    const REST: [&str; 6] =
        ["Role", "BaseURL", "SegmentBase", "SegmentTemplate", "Representation", "AdaptationSet"];

    /// Panics where an element stands before one that belongs before it.
    pub(super) fn check(text: &str) {
        let rank = |name: &str| COMMON.iter().chain(&REST).position(|known| *known == name);
        let mut open: Vec<Option<usize>> = vec![None];
        for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("<?")) {
            if line.starts_with("</") {
                open.pop();
                continue;
            }
            let name = line[1..].split([' ', '>', '/']).next().unwrap();
            let last = open.last_mut().unwrap();
            assert!(rank(name) >= *last, "{line} stands too late");
            *last = rank(name);
            if !line.ends_with("/>") && !line.contains("</") {
                open.push(None);
            }
        }
        assert_eq!(open.len(), 1);
    }
}
