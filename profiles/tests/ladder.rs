//! Ladders, grids and admission for sources of all shapes.

#![allow(clippy::unwrap_used)]

use reel_common::{Artifact, AudioFacts, Colour, Hdr10, IndexSummary, Rational, Scan, Timing, VideoFacts};
use reel_profiles::{
    Admitted, LadderError, Profile, Quality, Rejection, ResolvedRendition, Stretch, ToneMap, TrackInput,
    Warning, catalog,
};

fn profile(name: &str) -> Profile {
    Profile::parse(catalog::text(name).unwrap(), name).unwrap()
}

/// The proxy profile after edits of its text.
fn edited(edits: &[(&str, &str)]) -> Profile {
    let mut text = catalog::text("proxy").unwrap().to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    Profile::parse(&text, "edited.toml").unwrap()
}

fn picture(width: u32, height: u32) -> VideoFacts {
    VideoFacts {
        stream: 0,
        codec: "prores".to_owned(),
        codec_profile: String::new(),
        width,
        height,
        sample_aspect: Rational::whole(1),
        rotation: 0,
        pixel_format: "yuv420p".to_owned(),
        scan: Scan::Progressive,
        telecine: false,
        timecode: String::new(),
        streams: 1,
        colour: Colour::default(),
        hdr10: Hdr10::default(),
        captions: false,
    }
}

fn sound(language: &str) -> AudioFacts {
    AudioFacts {
        stream: 1,
        codec: "pcm_s16le".to_owned(),
        sample_rate: 48_000,
        channels: 2,
        layout: "stereo".to_owned(),
        language: language.to_owned(),
        start: Rational::ZERO,
    }
}

fn index(video: VideoFacts) -> IndexSummary {
    IndexSummary {
        artifact: Artifact::of(b""),
        container: "mov".to_owned(),
        video,
        audio: vec![sound("")],
        frames: 250,
        random_access_points: 250,
        duration: Rational::whole(10),
        timing: Timing::Constant { rate: Rational::whole(25) },
        texts: Vec::new(),
        bytes_read: 0,
    }
}

fn sizes(profile: &Profile, facts: &VideoFacts) -> String {
    let ladder = profile.ladder(facts).unwrap();
    let sizes = ladder.iter().map(|r| format!("{} {}x{}", r.rendition.name, r.width, r.height));
    sizes.collect::<Vec<_>>().join(", ")
}

#[test]
fn the_catalog_resolves_as_recorded() {
    for name in catalog::names() {
        insta::assert_snapshot!(name, profile(name).to_toml());
    }
}

#[test]
fn a_profile_survives_its_canonical_text() {
    let rules = "[admission]\nmin_height = 240\nmin_duration_s = { limit = 1.25, action = \"allow\" }\n\
                 max_black_s = 2.5\nmax_frozen_s = { limit = 4, action = \"warn\" }";
    let profile = edited(&[
        ("[admission]", rules),
        ("damage = \"refuse\"", "damage = { allow = 3 }"),
        ("preset = \"veryfast\"", "preset = \"slow\"\ntune = \"grain\"\nlevel = \"4\"\nupscale = true"),
        ("crf = 24", "crf = 24.125"),
        ("channels = 2", "channels = 6\nlanguage = \"pt-BR\"\nloudness_lufs = -23.5"),
    ]);
    let text = profile.to_toml();
    insta::assert_snapshot!(text);
    assert_eq!(Profile::parse(&text, "again.toml"), Ok(profile));
}

#[test]
fn each_codec_has_a_ladder_of_its_own() {
    let profile = profile("vod-multicodec");
    assert_eq!(Profile::parse(&profile.to_toml(), "again.toml").as_ref(), Ok(&profile));
    let made = |width, height| {
        let ladder = profile.ladder(&picture(width, height)).unwrap();
        let name = |resolved: &ResolvedRendition| format!("{} {}", resolved.rendition.name, resolved.height);
        ladder.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    insta::assert_snapshot!(made(1920, 1080));
    insta::assert_snapshot!(made(1280, 720));
    // The smallest of each codec, at the source's height.
    insta::assert_snapshot!(made(320, 180));
}

#[test]
fn ladders_keep_the_display_aspect_in_square_even_pixels() {
    let vod = profile("vod-abr");
    let sample = |num, den| Rational::new(num, den).unwrap();
    let mut cases = vec![
        ("hd", picture(1920, 1080)),
        ("uhd", picture(3840, 2160)),
        ("720p", picture(1280, 720)),
        ("city clip", picture(720, 405)),
        ("scope", picture(1920, 804)),
        ("dci", picture(2048, 1080)),
        ("vertical", picture(1080, 1920)),
        ("odd", picture(853, 481)),
        ("small", picture(320, 241)),
    ];
    cases.push(("hdv", VideoFacts { sample_aspect: sample(4, 3), ..picture(1440, 1080) }));
    cases.push(("pal wide", VideoFacts { sample_aspect: sample(64, 45), ..picture(720, 576) }));
    cases.push(("ntsc", VideoFacts { sample_aspect: sample(10, 11), ..picture(720, 480) }));
    cases.push(("turned", VideoFacts { rotation: 90, ..picture(1920, 1080) }));
    cases.push(("upside down", VideoFacts { rotation: 180, ..picture(1920, 1080) }));
    cases.push((
        "turned hdv",
        VideoFacts { rotation: 270, sample_aspect: sample(4, 3), ..picture(1440, 1080) },
    ));
    let lines: Vec<String> =
        cases.iter().map(|(name, facts)| format!("{name}: {}", sizes(&vod, facts))).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_smallest_rendition_takes_the_source_height_where_every_one_is_taller() {
    assert_eq!(sizes(&profile("proxy"), &picture(720, 405)), "540p 718x404");
    assert_eq!(sizes(&profile("vod-abr"), &picture(720, 405)), "360p 640x360");
}

#[test]
fn upscale_makes_taller_renditions() {
    let upscaling = edited(&[("height = 540", "height = 540\nupscale = true")]);
    assert_eq!(sizes(&upscaling, &picture(720, 405)), "540p 960x540");
}

#[test]
fn a_source_without_a_picture_has_no_ladder() {
    let vod = profile("vod-abr");
    for facts in [
        picture(0, 1080),
        picture(1920, 0),
        VideoFacts { rotation: 45, ..picture(64, 64) },
        VideoFacts { sample_aspect: Rational::ZERO, ..picture(64, 64) },
        VideoFacts { sample_aspect: Rational::whole(i64::MAX), ..picture(64, 64) },
    ] {
        assert!(matches!(vod.ladder(&facts), Err(LadderError::NoPicture { .. })), "{facts:?}");
    }
}

#[test]
fn sizes_beyond_the_encoder_are_refused_with_the_rendition() {
    let vod = profile("vod-abr");
    let messages = [picture(60_000, 1080), picture(2, 1080), picture(640, 8)]
        .map(|facts| vod.ladder(&facts).unwrap_err().to_string());
    insta::assert_snapshot!(messages.join("\n"));
    let low = edited(&[("height = 540", "height = 540\nlevel = \"2.1\"")]);
    let error = low.ladder(&picture(1920, 1080)).unwrap_err();
    insta::assert_snapshot!(error);
}

#[test]
fn segments_have_whole_frames_and_parts_whole_segments() {
    let vod = profile("vod-abr");
    let with_rate = |num, den, frames| {
        let rate = Rational::new(num, den).unwrap();
        let summary =
            IndexSummary { frames, timing: Timing::Constant { rate }, ..index(picture(1920, 1080)) };
        let grid = vod.grid(&summary).unwrap();
        (grid.segment_frames().unwrap(), grid.segments_per_part(), grid.segments(), grid.parts())
    };
    assert_eq!(with_rate(24, 1, 720), (96, 3, 8, 3));
    assert_eq!(with_rate(24_000, 1001, 720), (96, 3, 8, 3));
    assert_eq!(with_rate(30_000, 1001, 1), (120, 3, 1, 1));
    assert_eq!(with_rate(1, 10, 5), (1, 3, 5, 2));
}

#[test]
fn a_variable_rate_is_cut_where_the_index_says() {
    let timing =
        Timing::Variable { average_rate: Rational::whole(20), segment_starts: vec![0, 70, 160, 200] };
    let summary = IndexSummary { timing, ..index(picture(640, 480)) };
    let grid = profile("vod-abr").grid(&summary).unwrap();
    assert_eq!((grid.segments(), grid.parts(), grid.segment_start(2)), (4, 2, 160));
}

#[test]
fn a_title_without_frames_has_no_grid() {
    let summary = IndexSummary { frames: 0, ..index(picture(640, 480)) };
    assert!(profile("vod-abr").grid(&summary).is_err());
    let rejection = profile("vod-abr").admit(&summary).unwrap_err();
    assert_eq!(rejection.to_string(), "profile `vod-abr` rejects the mezzanine: the title has no frames");
}

#[test]
fn admission_warns_and_rejects_as_the_profile_says() {
    let vod = profile("vod-abr");
    let verdict = |summary: &IndexSummary| match vod.admit(summary) {
        Ok(admitted) => admitted.warnings.iter().map(|w| format!("warning: {w}\n")).collect::<String>(),
        Err(rejection) => format!("{rejection}\n"),
    };
    assert_eq!(verdict(&index(picture(1920, 1080))), "");
    let hdr = Colour { transfer: 16, ..Colour::default() };
    let odd = IndexSummary {
        audio: Vec::new(),
        duration: Rational::new(1, 3).unwrap(),
        video: VideoFacts { scan: Scan::TopFieldFirst, telecine: true, streams: 2, ..picture(720, 576) },
        ..index(picture(1, 1))
    };
    let text = [
        verdict(&odd),
        verdict(&index(picture(320, 240))),
        verdict(&index(VideoFacts { colour: hdr, ..picture(3840, 2160) })),
    ];
    insta::assert_snapshot!(text.join("--\n"));
}

#[test]
fn a_rejection_holds_every_reason() {
    let strict = edited(&[
        ("[admission]", "[admission]\nmin_height = 720\nmin_duration_s = 60"),
        ("missing_audio = \"warn\"", "missing_audio = \"reject\""),
    ]);
    let silent = IndexSummary { audio: Vec::new(), ..index(picture(640, 480)) };
    insta::assert_snapshot!(strict.admit(&silent).unwrap_err());
}

#[test]
fn every_rule_names_what_was_measured() {
    let limits = "[admission]\nmax_duration_s = 5\nmax_height = 576\nmin_frame_rate = \"25\"\nmax_frame_rate = \"25\"\n\
                  variable_frame_rate = \"reject\"\nunspecified_colour = \"reject\"\nhdr_colour = \"reject\"";
    let strict = edited(&[("[admission]", limits)]);
    let breaks = |change: fn(&mut IndexSummary)| {
        let colour = Colour { primaries: 1, transfer: 1, matrix: 1, ..Colour::default() };
        let mut summary = index(VideoFacts { colour, ..picture(1024, 576) });
        summary.timing = Timing::Constant { rate: Rational::whole(25) };
        summary.duration = Rational::whole(5);
        assert_eq!(strict.admit(&summary), Ok(Admitted::default()));
        change(&mut summary);
        strict.admit(&summary).unwrap_err().reasons.join("; ")
    };
    let broken = [
        breaks(|summary| summary.duration = Rational::new(5001, 1000).unwrap()),
        breaks(|summary| summary.video.height = 578),
        breaks(|summary| summary.timing = Timing::Constant { rate: Rational::new(24_000, 1001).unwrap() }),
        breaks(|summary| summary.timing = Timing::Constant { rate: Rational::new(26, 1).unwrap() }),
        breaks(|summary| {
            let average_rate = Rational::new(249, 10).unwrap();
            summary.timing = Timing::Variable { average_rate, segment_starts: vec![0] };
        }),
        breaks(|summary| summary.video.colour = Colour { primaries: 1, ..Colour::default() }),
        breaks(|summary| {
            summary.video.colour = Colour { transfer: 18, primaries: 1, matrix: 9, ..Colour::default() }
        }),
    ];
    insta::assert_snapshot!(broken.join("\n"));
}

#[test]
fn the_longest_stretches_are_held_against_the_rules() {
    let stretch = |start: u64, seconds| {
        let (start_s, seconds) = (Rational::from_millis(start as i64 * 40), Rational::from_millis(seconds));
        let end = start_s.checked_add(seconds).unwrap();
        Stretch { frames: start..start + 50, start: start_s, end, seconds }
    };
    let stretches = [stretch(100, 1200), stretch(200, 2000), stretch(300, 2000), stretch(500, 40)];
    let verdict = |rules: &str| {
        let profile = edited(&[("[admission]", &format!("[admission]\n{rules}"))]);
        profile.admit_pictures(&stretches[1..], &stretches)
    };
    let said = |verdict: Result<Admitted, Rejection>| verdict.unwrap_err().reasons.join("; ");
    assert_eq!(verdict(""), Ok(Admitted::default()));
    assert_eq!(
        verdict("max_black_s = 2\nmax_frozen_s = { limit = 1, action = \"allow\" }"),
        Ok(Admitted::default())
    );
    let black = "it is black for 2 s, from 8 s (frame 200) on, and `max_black_s` is 1.999";
    let frozen = "it is frozen for 2 s, from 8 s (frame 200) on, and `max_frozen_s` is 0.5";
    let warned = verdict("max_black_s = { limit = 1.999, action = \"warn\" }");
    assert_eq!(warned, Ok(Admitted { warnings: vec![Warning(black.to_owned())], flags: Vec::new() }));
    assert_eq!(said(verdict("max_black_s = 1.999\nmax_frozen_s = 0.5")), format!("{black}; {frozen}"));
}

#[test]
fn tracks_find_their_language() {
    let streams = [sound(""), sound("deu"), sound("pt-BR")];
    let sources = |language: &str| {
        let profile = edited(&[("channels = 2", &format!("channels = 2\nlanguage = \"{language}\""))]);
        profile.tracks(&streams).into_iter().map(|track| track.input).collect::<Vec<_>>()
    };
    assert_eq!(sources("deu"), [TrackInput::Stream(1)]);
    assert_eq!(sources("pt"), [TrackInput::Stream(2)]);
    assert_eq!(sources("PT-br"), [TrackInput::Stream(2)]);
    assert_eq!(sources("pt-PT"), []);
    assert_eq!([sources("de"), sources("ger")], [[TrackInput::Stream(1)], [TrackInput::Stream(1)]]);
    assert_eq!(profile("proxy").tracks(&streams)[0].input, TrackInput::Stream(0));
    assert_eq!(profile("proxy").tracks(&[]), []);
}

#[test]
fn a_language_in_one_codec_alone_is_warned_of() {
    let german = "[[audio]]\nname = \"dolby\"\ncodec = \"eac3\"\nchannels = 2\nbitrate_kbps = 192\nlanguage = \"de\"\n";
    let warned = |german: &str| {
        let profile = edited(&[("[package]", &format!("{german}[package]"))]);
        let streams = vec![sound("eng"), sound("deu")];
        let warnings =
            profile.admit(&IndexSummary { audio: streams, ..index(picture(1280, 720)) }).unwrap().warnings;
        warnings
            .into_iter()
            .map(|warning| warning.0)
            .filter(|text| text.contains("alone"))
            .collect::<Vec<_>>()
    };
    insta::assert_snapshot!(warned(german).join("; "));
    assert_eq!(warned(&german.replace("\"de\"", "\"en\"")), Vec::<String>::new());
    let both = format!("{german}{}", german.replace("dolby", "plain").replace("eac3", "aac"));
    assert_eq!(warned(&both), Vec::<String>::new());
}

#[test]
fn tracks_are_made_of_channels_that_are_there() {
    let mono = AudioFacts { channels: 1, ..sound("") };
    let of = |sources: &str| edited(&[("channels = 2", &format!("channels = 2\nsources = {sources}"))]);
    let profile = of("[\"2.1\", \"3.2\"]");
    assert_eq!(Profile::parse(&profile.to_toml(), "again.toml").as_ref(), Ok(&profile));
    let streams = [mono.clone(), mono.clone(), sound("")];
    assert_eq!(profile.tracks(&streams)[0].input, TrackInput::Channels(vec![(1, 0), (2, 1)]));
    let found = |profile: &Profile, audio: &[AudioFacts]| {
        let warnings = profile
            .admit(&IndexSummary { audio: audio.to_vec(), ..index(picture(1280, 720)) })
            .unwrap()
            .warnings;
        warnings
            .into_iter()
            .map(|warning| warning.0)
            .filter(|text| text.contains("audio"))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&profile, &streams), Vec::<String>::new());
    assert_eq!(
        found(&profile, &streams[..2]),
        ["it has no audio channel `3.2` for track `aac-stereo`, which is left out"]
    );
    // Six streams of one channel, of which the first would be made stereo.
    insta::assert_snapshot!(found(&edited(&[]), &vec![mono; 6]).join("; "));
}

#[test]
fn a_quality_that_is_measured_can_stand_for_the_rate_factor() {
    for (written, quality) in [
        ("psnr_db = 42.25", Quality::Psnr(42_250)),
        ("psnr_db = 20", Quality::Psnr(20_000)),
        ("ssim = 0.985", Quality::Ssim(985)),
        ("vmaf = 94.5", Quality::Vmaf(94_500)),
    ] {
        let text = catalog::text("vod-abr").unwrap().replacen("crf = 21", written, 1);
        let profile = Profile::parse(&text, "vod-abr").unwrap();
        assert_eq!(profile.video[0].rate.quality, quality);
        assert!(profile.video[0].rate.maxrate_kbps.is_some(), "the ceiling stays");
        assert_eq!(Profile::parse(&profile.to_toml(), "again.toml").as_ref(), Ok(&profile));
    }
}

#[test]
fn vmaf_is_measured_where_it_is_asked_for_and_means_something() {
    let measured = |profile: &Profile| -> Vec<bool> {
        profile.video.iter().map(|rendition| profile.measures_vmaf(rendition)).collect()
    };
    let edited = |edits: &[(&str, &str)]| {
        let text = catalog::text("vod-abr").unwrap().to_owned();
        let text = edits.iter().fold(text, |text, (from, to)| text.replacen(from, to, 1));
        Profile::parse(&text, "edited.toml").unwrap()
    };
    assert_eq!(measured(&edited(&[])), [false; 4]);
    assert_eq!(measured(&edited(&[("crf = 21", "vmaf = 95")])), [true, false, false, false]);
    let profile = edited(&[("[package]", "[measure]\nvmaf = true\n[package]")]);
    assert_eq!(measured(&profile), [true; 4]);
    assert_eq!(Profile::parse(&profile.to_toml(), "again.toml").as_ref(), Ok(&profile));
    let refused = |facts: VideoFacts| profile.ladder(&facts).unwrap_err().to_string();
    let hdr = VideoFacts { colour: Colour { transfer: 16, ..Colour::default() }, ..picture(1920, 1080) };
    insta::assert_snapshot!([refused(hdr.clone()), refused(picture(1920, 62))].join("\n"));
    let mut mapped = profile.clone();
    mapped.picture.tone_map = ToneMap::Bt2390;
    assert_eq!(mapped.ladder(&hdr).map(|ladder| ladder.len()), Ok(4));
    assert!(edited(&[]).ladder(&hdr).is_ok());
}

#[test]
fn every_rule_can_flag_what_it_finds() {
    let rule = |(key, limit): (&str, &str)| format!("{key} = {{ limit = {limit}, action = \"flag\" }}\n");
    let limits = [
        ("min_duration_s", "60"),
        ("max_duration_s", "2.5"),
        ("min_height", "720"),
        ("max_height", "360"),
        ("min_frame_rate", "\"50\""),
        ("max_frame_rate", "\"12\""),
        ("max_black_s", "1.999"),
        ("max_frozen_s", "0.5"),
    ];
    let actions = ["variable_frame_rate", "silent_audio", "hdr_colour", "unspecified_colour"];
    let rules = limits.map(rule).concat() + &actions.map(|key| format!("{key} = \"flag\"\n")).concat();
    let profile = edited(&[
        ("[admission]", &format!("[admission]\n{rules}")),
        ("missing_audio = \"warn\"", "missing_audio = \"flag\""),
        ("interlaced = \"warn\"", "interlaced = \"flag\""),
        ("hdr = \"warn\"", "hdr = \"flag\""),
    ]);
    assert_eq!(Profile::parse(&profile.to_toml(), "again.toml").as_ref(), Ok(&profile));
    let colour = Colour { transfer: 16, primaries: 1, ..Colour::default() };
    let video = VideoFacts { scan: Scan::TopFieldFirst, colour, ..picture(720, 576) };
    let average_rate = Rational::new(249, 10).unwrap();
    let summary = IndexSummary {
        audio: Vec::new(),
        duration: Rational::new(7, 2).unwrap(),
        timing: Timing::Variable { average_rate, segment_starts: vec![0] },
        ..index(video)
    };
    let admitted = profile.admit(&summary).unwrap();
    let (start, seconds) = (Rational::whole(8), Rational::whole(2));
    let stretch = Stretch { frames: 200..250, start, end: Rational::whole(10), seconds };
    let pictures = profile.admit_pictures(std::slice::from_ref(&stretch), std::slice::from_ref(&stretch));
    let pictures = pictures.unwrap();
    assert_eq!(pictures.warnings, []);
    let rows = admitted.flags.iter().chain(&pictures.flags).map(|flag| {
        let limit = flag.limit.as_deref().unwrap_or("-");
        format!("{} | {} | {limit} | {}", flag.rule, flag.found, flag.what)
    });
    let warnings = admitted.warnings.iter().map(|warning| format!("warning: {warning}"));
    insta::assert_snapshot!(rows.chain(warnings).collect::<Vec<_>>().join("\n"));
}
