//! What the parser says to each kind of mistake, with its place.

use reel_profiles::Profile;

const GOOD: &str = r#"name = "demo"
version = 1
segment_seconds = 4.0
part_seconds = 12.0

[[video]]
name = "720p"
codec = "h264"
height = 720
rate = { crf = 21, maxrate_kbps = 3000, bufsize_kbps = 6000 }

[[video]]
name = "360p"
codec = "h264"
height = 360
rate = { crf = 22, maxrate_kbps = 900, bufsize_kbps = 1800 }

[[audio]]
name = "stereo"
codec = "aac"
channels = 2
bitrate_kbps = 128

[package]
hls = true
"#;

/// The messages for a list of edits, each applied alone to the good profile.
fn messages(edits: &[(&str, &str)]) -> String {
    let mut lines = Vec::new();
    for (from, to) in edits {
        assert!(GOOD.contains(from), "the good profile has no {from:?}");
        let error = Profile::parse(&GOOD.replacen(from, to, 1), "demo.toml").expect_err(to);
        lines.push(error.to_string());
    }
    lines.join("\n")
}

#[test]
fn the_good_profile_is_good() {
    let profile = Profile::parse(GOOD, "demo.toml").unwrap();
    assert_eq!(Profile::parse(&profile.to_toml(), "again.toml"), Ok(profile));
}

#[test]
fn unknown_keys_are_named_with_what_was_meant() {
    insta::assert_snapshot!(messages(&[
        ("segment_seconds", "segment_second"),
        ("height = 720", "heigth = 720"),
        ("crf = 21", "crf = 21, bitrate = 5"),
        ("[package]", "[packages]"),
        ("hls = true", "hls = true\ndahs = true"),
        ("[[audio]]", "[admission]\nmin_hight = 3\n[[audio]]"),
        ("channels = 2", "channels = 2\nloudness = -23"),
    ]));
}

#[test]
fn wrong_types_are_told_what_the_key_takes() {
    insta::assert_snapshot!(messages(&[
        ("\"demo\"", "7"),
        ("version = 1", "version = \"1\""),
        ("version = 1", "version = 0"),
        ("version = 1", "version = -1"),
        ("segment_seconds = 4.0", "segment_seconds = \"4\""),
        ("segment_seconds = 4.0", "segment_seconds = 4e0"),
        ("segment_seconds = 4.0", "segment_seconds = nan"),
        ("segment_seconds = 4.0", "segment_seconds = 4.0001"),
        ("height = 720", "height = 720.0"),
        ("height = 720", "height = [720]"),
        ("rate = { crf = 21, maxrate_kbps = 3000, bufsize_kbps = 6000 }", "rate = 3000"),
        ("[package]\nhls = true", "package = 1"),
        ("[package]", "[[package]]"),
        ("hls = true", "hls = \"yes\""),
        ("[[audio]]", "[audio]"),
        ("codec = \"h264\"", "codec = \"h264\"\nupscale = 1"),
        ("codec = \"h264\"", "codec = \"h264\"\npreset = \"mediun\""),
        ("codec = \"h264\"", "codec = \"h264\"\npreset = \"best\""),
        ("codec = \"h264\"", "codec = \"h264\"\ntune = \"psnr\""),
        ("codec = \"h264\"", "codec = \"h264\"\nlevel = \"4.5\""),
        ("codec = \"h264\"", "codec = \"h264\"\nlevel = 4.1"),
    ]));
}

#[test]
fn missing_keys_are_named_with_an_example() {
    insta::assert_snapshot!(messages(&[
        ("name = \"demo\"\n", ""),
        ("version = 1\n", ""),
        ("name = \"720p\"\n", ""),
        ("codec = \"h264\"\n", ""),
        ("height = 720\n", ""),
        ("crf = 21, ", ""),
        ("rate = { crf = 22, maxrate_kbps = 900, bufsize_kbps = 1800 }\n", ""),
        ("bitrate_kbps = 128\n", ""),
        ("[package]\nhls = true\n", ""),
        ("hls = true", "hls = false"),
    ]));
}

#[test]
fn impossible_loudnesses_are_refused() {
    insta::assert_snapshot!(messages(&[
        ("bitrate_kbps = 128\n", "bitrate_kbps = 128\nloudness_lufs = -4.9\n"),
        ("bitrate_kbps = 128\n", "bitrate_kbps = 128\nloudness_lufs = \"-23\"\n"),
        ("bitrate_kbps = 128\n", "bitrate_kbps = 128\nloudness_lufs = -23\ntrue_peak_dbtp = 0.1\n"),
        ("bitrate_kbps = 128\n", "bitrate_kbps = 128\ntrue_peak_dbtp = -1\n"),
    ]));
}

#[test]
fn impossible_ladders_are_refused() {
    let ladder_start = GOOD.find("[[video]]").unwrap();
    let ladder_end = GOOD.find("[[audio]]").unwrap();
    insta::assert_snapshot!(messages(&[
        (&GOOD[ladder_start..ladder_end], ""),
        ("\"360p\"", "\"720P\""),
        ("height = 360", "height = 720"),
        ("height = 360", "height = 1080"),
        ("height = 360", "height = 361"),
        ("height = 720", "height = 0"),
        ("height = 720", "height = 4322"),
        ("height = 720", "height = -720"),
        (", bufsize_kbps = 6000", ""),
        ("maxrate_kbps = 3000, ", ""),
        ("bufsize_kbps = 6000", "bufsize_kbps = 60"),
        ("bufsize_kbps = 6000", "bufsize_kbps = 60000"),
        ("maxrate_kbps = 900, bufsize_kbps = 1800", "maxrate_kbps = 3000, bufsize_kbps = 3000"),
        ("crf = 21", "crf = 0"),
        ("crf = 21", "crf = 0.999"),
        ("crf = 21", "crf = 51.1"),
        ("crf = 21", "crf = -3"),
        ("crf = 21", "crf = 21, bitrate_kbps = 2000"),
        ("crf = 21", "bitrate_kbps = 0"),
        ("crf = 21", "psnr_db = 19.999"),
        ("crf = 21", "psnr_db = 60.5"),
        ("crf = 21", "psnr_db = \"42\""),
        ("crf = 21", "psnr_db = 42.0, ssim = 0.98"),
        ("crf = 21", "crf = 21, ssim = 0.98"),
        ("crf = 21", "bitrate_kbps = 2000, psnr_db = 40"),
        ("crf = 21", "ssim = 1.0"),
        ("crf = 21", "ssim = 98.5"),
        ("crf = 21", "ssim = 0.9855"),
        ("crf = 21", "vmaf = 19.9"),
        ("crf = 21", "vmaf = 99.5"),
        ("crf = 21", "vmaf = 95, ssim = 0.98"),
        ("crf = 21", "bitrate_kbps = 2701"),
        (
            "rate = { crf = 21, maxrate_kbps = 3000, bufsize_kbps = 6000 }",
            "level = \"1.3\"\nrate = { bitrate_kbps = 5000 }",
        ),
        ("height = 720", "height = 720\nlevel = \"1.3\""),
    ]));
}

#[test]
fn names_that_are_not_plain_file_names_are_refused() {
    insta::assert_snapshot!(messages(&[
        ("\"demo\"", "\"\""),
        ("\"720p\"", "\"../720p\""),
        ("\"720p\"", "\".hidden\""),
        ("\"720p\"", "\"a b\""),
        ("\"720p\"", "\"a\\n\""),
        ("\"stereo\"", "\"größe\""),
        ("\"stereo\"", "\"a-name-that-goes-on-and-on-and-on-and-on-and-on\""),
    ]));
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    insta::assert_snapshot!(messages(&[
        ("segment_seconds = 4.0", "segment_seconds = 0.4"),
        ("segment_seconds = 4.0", "segment_seconds = 61"),
        ("segment_seconds = 4.0", "segment_seconds = -4"),
        ("part_seconds = 12.0", "part_seconds = 14.0"),
        ("part_seconds = 12.0", "part_seconds = 3"),
        ("part_seconds = 12.0", "part_seconds = 124"),
        ("part_seconds = 12.0\n", "part_seconds = 0\n"),
    ]));
}

#[test]
fn what_is_made_of_segments_needs_some() {
    insta::assert_snapshot!(messages(&[
        ("hls = true", "mp4 = true\nimsc1 = true"),
        ("hls = true", "mp4 = true\ntrick_play = true"),
        ("hls = true", "mp4 = true\nbyte_ranges = true"),
        ("hls = true", "audio_files = true"),
        ("hls = true", "ts = true"),
        (
            "hls = true",
            "mp4 = true\n[[audio]]\nname = \"more\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 96"
        ),
    ]));
}

#[test]
fn codecs_that_do_not_go_where_they_stand_are_refused() {
    insta::assert_snapshot!(messages(&[
        ("\"h264\"", "\"aac\""),
        ("\"h264\"", "\"vp9\""),
        ("\"h264\"", "\"h265\""),
        ("\"aac\"", "\"h264\""),
        ("\"aac\"", "\"vorbis\""),
        ("channels = 2", "channels = 3"),
        ("channels = 2", "channels = 2\nsample_rate = 96000"),
        ("bitrate_kbps = 128", "bitrate_kbps = 8"),
        ("bitrate_kbps = 128", "bitrate_kbps = 640"),
        ("channels = 2", "channels = 2\nlanguage = \"english please\""),
        ("channels = 2", "channels = 2\nsources = [\"1.1\"]"),
        ("channels = 2", "channels = 2\nsources = [1.1, 1.2]"),
        ("channels = 2", "channels = 2\nsources = [\"1.1\", \"1.0\"]"),
        ("channels = 2", "channels = 2\nsources = []"),
        ("channels = 2", "channels = 2\ndownmix = \"lt-rt\"\nsources = [\"1.1\", \"2.1\"]"),
        ("channels = 2", "channels = 1\ndownmix = \"lt-rt\""),
    ]));
}

#[test]
fn each_codec_of_sound_has_limits_of_its_own() {
    let tracks = [
        "codec = \"aac\"\nchannels = 8\nbitrate_kbps = 512",
        "codec = \"ac3\"\nchannels = 6\nbitrate_kbps = 160",
        "codec = \"ac3\"\nchannels = 2\nbitrate_kbps = 200",
        "codec = \"eac3\"\nchannels = 6\nbitrate_kbps = 1025",
        "codec = \"eac3\"\nchannels = 6\nbitrate_kbps = 942\nsample_rate = 44100",
        "codec = \"eac3\"\nchannels = 6",
        "codec = \"opus\"\nchannels = 2\nbitrate_kbps = 96\nsample_rate = 44100",
        "codec = \"opus\"\nchannels = 7\nbitrate_kbps = 96",
        "codec = \"flac\"\nchannels = 2\nbitrate_kbps = 900",
        "codec = \"pcm\"\nchannels = 2",
    ];
    let usual = "codec = \"aac\"\nchannels = 2\nbitrate_kbps = 128";
    insta::assert_snapshot!(messages(&tracks.map(|track| (usual, track))));
    for good in [
        "codec = \"ac3\"\nchannels = 6\nbitrate_kbps = 640",
        "codec = \"eac3\"\nchannels = 6\nbitrate_kbps = 1024",
        "codec = \"eac3\"\nchannels = 2\nbitrate_kbps = 940\nsample_rate = 44100",
        "codec = \"opus\"\nchannels = 8\nbitrate_kbps = 512",
        "codec = \"flac\"\nchannels = 8",
        "codec = \"aac\"\nchannels = 2\nbitrate_kbps = 128\ndownmix = \"lt-rt\"",
    ] {
        let profile = Profile::parse(&GOOD.replacen(usual, good, 1), "demo.toml").unwrap();
        assert_eq!(Profile::parse(&profile.to_toml(), "again.toml"), Ok(profile));
    }
}

#[test]
fn settings_that_a_codec_has_not_are_refused() {
    let hevc = |more: &str| format!("\"hevc\"\n{more}");
    let av1 = |more: &str| format!("\"av1\"\n{more}");
    let edits = [
        hevc("h264_profile = \"high\""),
        hevc("level = \"4.1\""),
        hevc("tune = \"film\""),
        hevc("bit_depth = 9"),
        hevc("bit_depth = 12"),
        hevc("preset = 5"),
        av1("tune = \"grain\""),
        av1("preset = \"medium\""),
        av1("preset = 14"),
        "\"h264\"\nbit_depth = 10".to_owned(),
    ];
    let edits: Vec<_> = edits.iter().map(|edit| ("\"h264\"", edit.as_str())).collect();
    insta::assert_snapshot!(messages(&edits));
    let two =
        GOOD.replace("codec = \"h264\"", "codec = \"av1\"\npreset = 5").replace("preset = \"veryfast\"", "");
    let two = two.replace(", bufsize_kbps = 6000", "").replace(", bufsize_kbps = 1800", "");
    let error = Profile::parse(&two, "demo.toml").unwrap_err();
    assert!(error.reason.contains("is 6 to 13 where a ladder has several"), "{error}");
    let buffer = GOOD.replacen("\"h264\"", "\"av1\"", 1);
    let error = Profile::parse(&buffer, "demo.toml").unwrap_err();
    assert!(error.reason.contains("leave `bufsize_kbps` out"), "{error}");
    for (crf, reason) in [("21.5", "whole number"), ("63.5", "goes from 1 (best) to 63")] {
        let text = GOOD.replacen("\"h264\"", "\"av1\"", 1).replacen("crf = 21", &format!("crf = {crf}"), 1);
        let error = Profile::parse(&text, "demo.toml").unwrap_err();
        assert!(error.reason.contains(reason), "{error}");
    }
}

#[test]
fn admission_rules_are_checked() {
    let rule = |text: &str| format!("[admission]\n{text}\n[[audio]]");
    let rules = [
        "min_duration_s = 0",
        "min_duration_s = { limit = 2, action = \"fail\" }",
        "min_duration_s = { action = \"warn\" }",
        "min_height = { limit = 2, act = \"warn\" }",
        "min_height = true",
        "max_frame_rate = 29.97",
        "max_frame_rate = { limit = \"29.97\", action = \"warn\" }",
        "hdr = \"maybe\"",
        "max_black_s = -1",
        "max_frozen_s = \"2\"",
        "damage = \"ignore\"",
        "damage = { allow = 0 }",
        "damage = { upto = 3 }",
        "damage = {}",
    ];
    let edits: Vec<(&str, String)> = rules.iter().map(|text| ("[[audio]]", rule(text))).collect();
    let edits: Vec<(&str, &str)> = edits.iter().map(|(from, to)| (*from, to.as_str())).collect();
    insta::assert_snapshot!(messages(&edits));
}

#[test]
fn what_is_done_to_pictures_is_checked() {
    let rules = [
        "fields = \"yadif\"",
        "frame_rate = 25",
        "frame_rate = \"29.97\"",
        "frame_rate = \"0/1\"",
        "frame_rate = \"25/0\"",
        "frame_rate = \"301\"",
        "frame_rate = \"3000000000/100000001\"",
        "fields = \"keep\"\nframe_rate = \"25\"",
        "crop = 16",
        "crop = { top = 3 }",
        "crop = { height = 16 }",
        "scale = 2",
        "tone_map = \"hable\"",
    ];
    let edits: Vec<(&str, String)> =
        rules.iter().map(|text| ("[[audio]]", format!("[picture]\n{text}\n[[audio]]"))).collect();
    let edits: Vec<(&str, &str)> = edits.iter().map(|(from, to)| (*from, to.as_str())).collect();
    insta::assert_snapshot!(messages(&edits));
}

#[test]
fn renditions_without_fields_keep_none() {
    let keep = "[picture]\nfields = \"keep\"\n[[video]]\nname = \"720p\"";
    let edits = ["h264_profile = \"baseline\"", "level = \"4.2\"", "level = \"2.0\""];
    let edits = edits.map(|setting| format!("{keep}\n{setting}"));
    let edits: Vec<(&str, &str)> =
        edits.iter().map(|edit| ("[[video]]\nname = \"720p\"", edit.as_str())).collect();
    insta::assert_snapshot!(messages(&edits));
}

#[test]
fn impossible_stills_are_told_in_their_line() {
    let edits = [
        "every_s = 0.05",
        "every_s = 601",
        "every_s = \"10\"",
        "height = 181",
        "height = 16",
        "columns = 0",
        "rows = 21",
        "height = 1080\nrows = 4",
        "posters = true",
        "poster = 1",
        "poster = { at_s = -1 }",
        "poster = { height = 33 }",
        "poster = { time = 3 }",
    ];
    let edits = edits.map(|edit| format!("[images]\n{edit}\n[package]"));
    let edits: Vec<(&str, &str)> = edits.iter().map(|edit| ("[package]", edit.as_str())).collect();
    insta::assert_snapshot!(messages(&edits));
    let error = Profile::parse(&GOOD.replace("[package]", "[[images]]\n[package]"), "demo.toml").unwrap_err();
    assert_eq!(error.to_string(), "demo.toml:24: `images` takes a table, written [images], not a list");
}

#[test]
fn stills_are_written_with_every_value() {
    for (images, written) in [
        ("", "every_s = 10.0\nheight = 180\ncolumns = 5\nrows = 5\nposter = true\n"),
        (
            "every_s = 2\nposter = false",
            "every_s = 2.0\nheight = 180\ncolumns = 5\nrows = 5\nposter = false\n",
        ),
        (
            "rows = 1\nposter = { at_s = 1.5 }",
            "every_s = 10.0\nheight = 180\ncolumns = 5\nrows = 1\nposter = { at_s = 1.5 }\n",
        ),
        (
            "poster = { height = 64, at_s = 0 }",
            "every_s = 10.0\nheight = 180\ncolumns = 5\nrows = 5\nposter = { at_s = 0.0, height = 64 }\n",
        ),
    ] {
        let text = GOOD.replace("[package]", &format!("[images]\n{images}\n[package]"));
        let profile = Profile::parse(&text, "demo.toml").unwrap();
        let written = format!("\n[images]\n{written}\n[package]\n");
        assert!(profile.to_toml().contains(&written), "{}", profile.to_toml());
        assert_eq!(Profile::parse(&profile.to_toml(), "again.toml"), Ok(profile));
    }
    assert!(!Profile::parse(GOOD, "demo.toml").unwrap().to_toml().contains("images"));
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    insta::assert_snapshot!(messages(&[
        ("version = 1", "version = "),
        ("version = 1", "version = 1\nversion = 2"),
        ("[package]", "[package"),
        ("\"360p\"", "\"360p"),
        ("name = \"360p\"", "= \"360p\""),
        (GOOD, "\u{0}\u{1}\u{2}"),
        (GOOD, "just a sentence"),
        (GOOD, ""),
    ]));
}

#[test]
fn a_profile_longer_than_64_kib_is_refused_before_it_is_read() {
    let text = format!("{GOOD}#{}", "x".repeat(Profile::MAX_TEXT_BYTES));
    let error = Profile::parse(&text, "long.toml").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("long.toml:1: the profile has {} bytes, more than 64 KiB", text.len())
    );
}

#[test]
fn more_renditions_or_tracks_than_the_limit_are_refused() {
    let rendition = |n: usize| {
        format!(
            "[[video]]\nname = \"v{n}\"\ncodec = \"h264\"\nheight = {}\nrate = {{ crf = 21 }}\n",
            4000 - 2 * n
        )
    };
    let track =
        |n: usize| format!("[[audio]]\nname = \"a{n}\"\ncodec = \"aac\"\nchannels = 1\nbitrate_kbps = 64\n");
    let profile = |renditions: usize, tracks: usize| {
        let head = "name = \"many\"\nversion = 1\n[package]\nhls = true\n".to_owned();
        let video: String = (0..renditions).map(rendition).collect();
        let audio: String = (0..tracks).map(track).collect();
        Profile::parse(&(head + &video + &audio), "many.toml").map_err(|error| error.reason)
    };
    assert!(profile(16, 16).is_ok());
    assert_eq!(profile(17, 0), Err("a ladder has at most 16 renditions".to_owned()));
    assert_eq!(profile(1, 17), Err("a profile has at most 16 audio tracks".to_owned()));
}

#[test]
fn a_thousand_tables_deep_is_refused_and_not_a_stack_overflow() {
    let deep = format!("{GOOD}x = {}1{}", "{a = ".repeat(10_000), "}".repeat(10_000));
    assert!(Profile::parse(&deep, "deep.toml").is_err());
    let deep = format!("{GOOD}x = {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(Profile::parse(&deep, "deep.toml").is_err());
}

#[test]
fn transport_streams_have_what_old_devices_know() {
    let ts = "hls = true\nts = true";
    let text = GOOD.replacen("hls = true", ts, 1);
    let profile = Profile::parse(&text, "demo.toml").unwrap();
    assert!(profile.package.ts);
    assert_eq!(Profile::parse(&profile.to_toml(), "again.toml"), Ok(profile));
    let wrong = [
        text.replace("\"h264\"", "\"hevc\""),
        text.replace("\"aac\"", "\"opus\""),
        text.replace("channels = 2", "channels = 6"),
        text.replacen(ts, "hls = true\npreview = true\nts = true", 1),
    ];
    let messages = wrong.map(|text| Profile::parse(&text, "demo.toml").unwrap_err().to_string());
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn encryption_is_checked() {
    let keys = "hls = true\n[encryption]\nscheme = \"cbcs\"\nkeys = \"/srv/{title}.keys\"";
    let with = |more: &str| format!("{keys}\n{more}");
    let wrong = [
        "hls = true\n[encryption]\nscheme = \"cbcs\"".to_owned(),
        "hls = true\n[encryption]\nkeys = \"a\"".to_owned(),
        keys.replace("cbcs", "aes"),
        keys.replace("/srv/", "https://me:hush@host/"),
        keys.replace("hls = true", "mp4 = true"),
        keys.replace("hls = true", "hls = true\nmp4 = true"),
        keys.replace("hls = true", "hls = true\ntrick_play = true"),
        keys.replace("hls = true", "hls = true\naudio_files = true"),
        keys.replace("/srv/{title}.keys", "env:HOME"),
        keys.to_owned(),
        keys.replace("hls = true", "hls = true\nts = true"),
        with("systems = [\"widevine\", \"fairplay\"]"),
        with("systems = [\"widevine\", \"widevine\"]"),
        with("clear_lead_s = 61"),
        with("key_uri = \"a\\\"b\""),
        with("fair_play = \"skd://a\"").replace("cbcs", "cenc"),
    ];
    let edits: Vec<(&str, &str)> = wrong.iter().map(|wrong| ("hls = true", wrong.as_str())).collect();
    insta::assert_snapshot!(messages(&edits));
    for good in [
        with(
            "systems = [\"playready\", \"widevine\", \"common\"]\nclear_lead_s = 4\nfair_play = \"skd://{title}\"",
        ),
        with("key_uri = \"https://k/{title}\"\nclear_key_licence = \"https://k\"").replace("hls", "dash"),
    ] {
        let profile = Profile::parse(&GOOD.replacen("hls = true", &good, 1), "demo.toml").unwrap();
        assert_eq!(Profile::parse(&profile.to_toml(), "again.toml"), Ok(profile));
    }
}
