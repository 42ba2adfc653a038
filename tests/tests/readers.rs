//! Titles are read by programs that others wrote, and all of them find the same in them: two ffmpegs, Shaka Packager, mp4box.js, hls-parser,
//! mpd-parser and MediaInfo.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};

use reel_tests::readers::{
    assert_filled, assert_whole, boxes, count, decrypted, digest, judge, of_type, shaka,
};
use reel_tests::reel::Reel;
use reel_tests::tree::files;
use reel_tests::{ffmpeg, mediainfo, scratch};
use serde_json::Value;

const SECONDS: u64 = 9;
const FRAMES: u64 = 25 * SECONDS;
/// Of two seconds, the last of one.
const SEGMENTS: u64 = 5;
const VIDEO: [(&str, &str, u64); 4] =
    [("360p", "h264", 360), ("180p", "h264", 180), ("hevc", "hevc", 180), ("av1", "av1", 180)];
const AUDIO: [&str; 2] = ["en", "de"];
const VIDEO_ID: &str = "00000000000000000000000000000001";
const VIDEO_KEY: &str = "5fa3c1e07b924d68a1b2c3d4e5f60718";
const AUDIO_ID: &str = "00000000000000000000000000000002";
const AUDIO_KEY: &str = "c0ffee00112233445566778899aabbcc";

/// Makes pictures that move, with two languages, and a text.
fn make_sources(clip: &Path, words: &Path) {
    let pictures = format!("testsrc2=s=640x360:r=25:d={SECONDS},noise=alls=8");
    let sound = |frequency| format!("sine={frequency}:d={SECONDS}:r=48000,aformat=channel_layouts=stereo");
    let inputs = [pictures, sound(440), sound(880)];
    let coding = "-map 0 -map 1 -map 2 -c:v mpeg2video -qscale:v 2 -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
                  -color_range tv -c:a pcm_s16le";
    let args = inputs.iter().flat_map(|input| ["-f", "lavfi", "-i", input]).chain(coding.split_whitespace());
    ffmpeg::run(args.chain([clip.to_str().unwrap()]));
    let text =
        "1\n00:00:01,000 --> 00:00:05,000\nFirst words\n\n2\n00:00:06,000 --> 00:00:08,000\nLater words\n";
    fs::write(words, text).unwrap();
}

/// A title of three codecs, two languages and a text; `more` ends its profile.
fn title(dir: &Path, name: &str, more: &str) -> PathBuf {
    let (clip, words) = (dir.join("clip.mov"), dir.join("en.srt"));
    if !clip.exists() {
        make_sources(&clip, &words);
    }
    let mut profile = "name = \"readers\"\nversion = 1\nsegment_seconds = 2\npart_seconds = 4\n".to_owned();
    for (name, codec, height) in VIDEO {
        let (preset, crf) = if codec == "av1" { ("12", 45) } else { ("\"ultrafast\"", 30) };
        profile += &format!(
            "[[video]]\nname = \"{name}\"\ncodec = \"{codec}\"\nheight = {height}\npreset = {preset}\nrate = {{ crf = {crf} }}\n"
        );
    }
    for (name, stream) in AUDIO.iter().zip(1..) {
        profile += &format!(
            "[[audio]]\nname = \"{name}\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 96\nlanguage = \"{name}\"\n\
             sources = [\"{stream}.1\", \"{stream}.2\"]\n"
        );
    }
    profile += more;
    let (path, output) = (dir.join(format!("{name}.toml")), dir.join(name));
    fs::write(&path, profile).unwrap();
    let text = format!("--text en={} --quiet", words.display());
    Reel::transcode(dir, &clip, &output, &path).args(&text).run().success();
    output
}

/// A track as one file: its header, and all segments behind it.
fn parts_of(title: &Path, track: &str) -> Vec<PathBuf> {
    let folder = title.join(track);
    let segments = (1..=SEGMENTS).map(|number| folder.join(format!("seg_{number:05}.m4s")));
    [folder.join("init.mp4")].into_iter().chain(segments).collect()
}

/// The same, for the judges.
fn joined(title: &Path, track: &str) -> String {
    let parts = parts_of(title, track).into_iter().map(|path| path.display().to_string());
    parts.collect::<Vec<_>>().join(",")
}

/// The same, written beside the title.
fn written(title: &Path, track: &str) -> PathBuf {
    let path = title.with_extension(format!("{}.mp4", track.replace('/', "-")));
    let bytes: Vec<u8> = parts_of(title, track).iter().flat_map(|part| fs::read(part).unwrap()).collect();
    fs::write(&path, bytes).unwrap();
    path
}

fn video_tracks() -> impl Iterator<Item = String> {
    VIDEO.iter().map(|(name, ..)| format!("video/{name}"))
}

fn audio_tracks() -> impl Iterator<Item = String> {
    AUDIO.iter().map(|name| format!("audio/{name}"))
}

/// A track has so many samples over all of its time, and they fill its media.
fn assert_track(file: &Value, track: &Value, count: u64, sync: u64) {
    let (name, number) = (&file["name"], |field: &str| track[field].as_u64().unwrap());
    assert_eq!((number("count"), number("sync")), (count, sync), "{name}: {track}");
    assert_eq!(track["fits"], true, "{name}");
    let lasts = number("ends") - number("begins");
    let wanted = match number("timescale") {
        48_000 => count * 1024,
        timescale => timescale * SECONDS,
    };
    assert_eq!(lasts, wanted, "{name}: {track}");
}

/// mp4box.js finds every sample of each track, and no byte that belongs to nothing.
fn assert_boxes(title: &Path, sound: u64) {
    for track in video_tracks() {
        let file = &judge("boxes.mjs", &[joined(title, &track)])[0];
        assert_whole(file);
        assert_track(file, &file["tracks"][0], FRAMES, SEGMENTS);
        assert_filled(file);
    }
    for track in audio_tracks() {
        let file = &judge("boxes.mjs", &[joined(title, &track)])[0];
        assert_whole(file);
        assert_track(file, &file["tracks"][0], sound, sound);
        assert_filled(file);
        assert!(file["tracks"][0]["language"].as_str().unwrap().starts_with(&track[6..]), "{track}");
    }
}

/// hls-parser, by the letter of the rules, and mpd-parser find all segments of each stream, all of which are there.
fn assert_lists(title: &Path, systems: usize) {
    let lists: Vec<PathBuf> =
        files(title).into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "m3u8")).collect();
    let names: Vec<String> = lists.iter().map(|path| title.join(path).display().to_string()).collect();
    let mut there = 0;
    for (read, path) in judge("manifests.mjs", &names).iter().zip(&lists) {
        let folder = title.join(path.parent().unwrap());
        let is_there = |uri: &Value| uri.as_str().is_some_and(|uri| folder.join(uri).exists());
        if let Some(variants) = read["variants"].as_array() {
            let streams = variants.iter().filter(|variant| variant["isIFrameOnly"] == false);
            let heights: Vec<&Value> =
                streams.clone().map(|variant| &variant["resolution"]["height"]).collect();
            assert!(heights.iter().zip(VIDEO).all(|(found, (_, _, height))| **found == height), "{read}");
            assert!(variants.iter().all(|variant| is_there(&variant["uri"])), "{read}");
            for variant in streams {
                let languages = |of: &str| {
                    variant[of]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|track| track["language"].clone())
                        .collect::<Vec<_>>()
                };
                assert_eq!(
                    (languages("audio"), languages("subtitles")),
                    (vec!["en".into(), "de".into()], vec!["en".into()])
                );
                assert!(variant["bandwidth"].as_u64() >= variant["averageBandwidth"].as_u64(), "{variant}");
            }
            continue;
        }
        let segments = read["segments"].as_array().unwrap();
        assert!(segments.iter().all(is_there) && (read["map"].is_null() || is_there(&read["map"])), "{read}");
        assert!(read["endlist"] == true && read["playlistType"] == "VOD", "{read}");
        assert!((read["seconds"].as_f64().unwrap() - SECONDS as f64).abs() < 0.05, "{read}");
        if !path.starts_with("images") {
            assert_eq!(segments.len() as u64, SEGMENTS, "{read}");
        }
        let encrypted = systems > 0 && !path.starts_with("subtitles");
        assert_eq!(
            read["key"]["method"] == "SAMPLE-AES" || read["key"]["method"] == "SAMPLE-AES-CTR",
            encrypted,
            "{read}"
        );
        there += 1;
    }
    assert!(there >= 7, "{lists:?}");

    let manifest = &judge("manifests.mjs", &[title.join("manifest.mpd").display().to_string()])[0];
    assert_eq!(
        (&manifest["complaints"], &manifest["duration"]),
        (&Value::Array(Vec::new()), &SECONDS.into())
    );
    let playlists = manifest["playlists"].as_array().unwrap();
    for track in video_tracks().chain(audio_tracks()) {
        let list = playlists
            .iter()
            .find(|list| list["name"] == track.as_str())
            .unwrap_or_else(|| panic!("no {track} in {manifest}"));
        let segments = list["segments"].as_array().unwrap();
        let local = |url: &Value| title.join(url.as_str().unwrap().trim_start_matches("https://h/"));
        assert!(
            segments.len() as u64 == SEGMENTS
                && segments.iter().chain([&list["map"]]).all(|url| local(url).exists()),
            "{list}"
        );
        assert_eq!(list["protection"].as_array().unwrap().len(), systems, "{list}");
    }
}

/// Both ffmpegs find every packet and every frame; how many frames of sound a track has.
fn assert_counts(title: &Path) -> u64 {
    let (debian, shaka) = (Path::new("ffprobe"), shaka("ffprobe"));
    let playlist = |track: &str, name: &str| title.join(track).join(name);
    let sound = count(debian, "packets", "a:0", &playlist("audio/en", "playlist.m3u8"));
    // What the coder has before the first sample fills one frame, and what is behind the last the rest of another.
    assert_eq!(sound, (SECONDS * 48_000 + 1024).div_ceil(1024));
    for program in [debian, &shaka] {
        for track in video_tracks() {
            assert_eq!(
                count(program, "packets", "v:0", &playlist(&track, "playlist.m3u8")),
                FRAMES,
                "{track}"
            );
            assert_eq!(
                count(program, "packets", "v:0", &playlist(&track, "iframes.m3u8")),
                SEGMENTS,
                "{track}"
            );
            // The other one has no decoder of AV1.
            if program == debian || track != "video/av1" {
                assert_eq!(
                    count(program, "frames", "v:0", &playlist(&track, "playlist.m3u8")),
                    FRAMES,
                    "{track}"
                );
                assert_eq!(
                    count(program, "frames", "v:0", &playlist(&track, "iframes.m3u8")),
                    SEGMENTS,
                    "{track}"
                );
            }
        }
        for track in audio_tracks() {
            assert_eq!(
                count(program, "packets", "a:0", &playlist(&track, "playlist.m3u8")),
                sound,
                "{track}"
            );
        }
        let words = playlist("subtitles/webvtt/en", "playlist.m3u8");
        assert_eq!(count(program, "packets", "s:0", &words), 2);
        for number in 0..VIDEO.len() {
            let stream = format!("v:{number}");
            assert_eq!(
                count(program, "packets", &stream, &title.join("master.m3u8")),
                FRAMES,
                "variant {number}"
            );
        }
        for (name, ..) in VIDEO {
            let file = title.join(format!("{name}.mp4"));
            let streams = (count(program, "packets", "v:0", &file), count(program, "packets", "a:0", &file));
            assert_eq!(streams, (FRAMES, sound), "{name}");
        }
    }
    // Shaka's ffmpeg reads no manifests. The other ends with the first stream that ends: each is read by itself.
    let manifest = title.join("manifest.mpd");
    for number in 0..2 * VIDEO.len() {
        let wanted = if number < VIDEO.len() { FRAMES } else { SEGMENTS };
        assert_eq!(
            count(debian, "packets", &format!("v:{number}"), &manifest),
            wanted,
            "representation {number}"
        );
    }
    for number in 0..AUDIO.len() {
        assert_eq!(count(debian, "packets", &format!("a:{number}"), &manifest), sound);
    }
    sound
}

#[test]
fn a_clear_title_is_the_same_to_all_readers() {
    let dir = scratch();
    let more = "[images]\nevery_s = 4.0\nheight = 90\ncolumns = 3\nrows = 2\n[package]\nhls = true\ndash = true\nmp4 = true\ntrick_play = true\n";
    let title = title(dir.path(), "clear", more);
    let sound = assert_counts(&title);
    assert_lists(&title, 0);
    assert_boxes(&title, sound);
    for (name, ..) in VIDEO {
        let paths = [format!("{name}.mp4"), format!("video/{name}/iframes.mp4")];
        let read = judge("boxes.mjs", &paths.map(|path| title.join(path).display().to_string()));
        read.iter().for_each(assert_whole);
        read.iter().for_each(assert_filled);
        assert_track(&read[0], &read[0]["tracks"][0], FRAMES, SEGMENTS);
        assert_track(&read[0], &read[0]["tracks"][1], sound, sound);
        assert_track(&read[1], &read[1]["tracks"][0], SEGMENTS, SEGMENTS);
    }
    assert_tags(&title);
}

/// MediaInfo says of the single files what the profile says.
fn assert_tags(title: &Path) {
    for (name, codec, height) in VIDEO {
        let file = title.join(format!("{name}.mp4"));
        let (video, audio) = (mediainfo::video(&file), mediainfo::audio(&file));
        let (format, profile, id) = match codec {
            "h264" => ("AVC", "Constrained Baseline", "avc1"),
            "hevc" => ("HEVC", "Main", "hvc1"),
            _ => ("AV1", "Main", "av01"),
        };
        let (width, height) = ((height * 16 / 9).to_string(), height.to_string());
        for (field, wanted) in [
            ("Format", format),
            ("Format_Profile", profile),
            ("CodecID", id),
            ("Width", width.as_str()),
            ("Height", height.as_str()),
            ("FrameRate", "25.000"),
            ("FrameRate_Mode", "CFR"),
            ("FrameCount", "225"),
            ("Duration", "9.000"),
            ("BitDepth", "8"),
            ("ChromaSubsampling", "4:2:0"),
            ("PixelAspectRatio", "1.000"),
            ("colour_primaries", "BT.709"),
            ("transfer_characteristics", "BT.709"),
            ("matrix_coefficients", "BT.709"),
            ("colour_range", "Limited"),
        ] {
            assert_eq!(video.get(field).map(String::as_str), Some(wanted), "{name}: {field} of {video:#?}");
        }
        for (field, wanted) in [
            ("Format", "AAC"),
            ("Channels", "2"),
            ("SamplingRate", "48000"),
            ("Language", "en"),
            ("Duration", "9.000"),
        ] {
            assert_eq!(audio.get(field).map(String::as_str), Some(wanted), "{name}: {field} of {audio:#?}");
        }
    }
}

/// mp4box.js finds what says how a track is encrypted, and where it says that it is.
fn assert_encryption(title: &Path, track: &str, scheme: &str, id: &str) {
    let file = &judge("boxes.mjs", &[joined(title, track)])[0];
    let (all, is_video) = (boxes(file), track.starts_with("video"));
    let (tenc, schm) = (of_type(&all, "tenc")[0], of_type(&all, "schm")[0]);
    assert_eq!(schm["fields"]["scheme_type"], scheme, "{track}");
    let field = |name: &str| tenc["fields"][name].as_u64();
    assert_eq!(
        (field("default_isProtected"), &tenc["fields"]["default_KID"]),
        (Some(1), &id.into()),
        "{track}"
    );
    let size = if scheme == "cenc" { 8 } else { 0 };
    assert_eq!(field("default_Per_Sample_IV_Size"), Some(size), "{track}");
    let pattern =
        (field("default_crypt_byte_block").unwrap_or(0), field("default_skip_byte_block").unwrap_or(0));
    assert_eq!(pattern, if scheme == "cbcs" && is_video { (1, 9) } else { (0, 0) }, "{track}");
    // Licence systems are told by playlists and manifest (DASH-IF Guidelines, Security).
    assert_eq!(of_type(&all, "pssh").len(), 0, "{track}");
    let fragments = of_type(&all, "moof");
    assert_eq!(fragments.len() as u64, SEGMENTS, "{track}");
    for fragment in fragments {
        let all = boxes(fragment);
        let one = |kind: &str| of_type(&all, kind).first().copied();
        let senc = one("senc").unwrap_or_else(|| panic!("no senc in a fragment of {track}"));
        // Where nothing is told of a sample, nobody is sent to look for it.
        if scheme == "cbcs" && !is_video {
            assert!(one("saiz").is_none() && one("saio").is_none(), "{track}");
            continue;
        }
        let (saiz, saio, trun) = (one("saiz").unwrap(), one("saio").unwrap(), one("trun").unwrap());
        let samples = trun["fields"]["sample_count"].as_u64().unwrap();
        assert_eq!(saiz["fields"]["sample_count"], samples, "{track}");
        let sizes = saiz["fields"]["sample_info_size"].as_array().unwrap().iter();
        let told = match saiz["fields"]["default_sample_info_size"].as_u64().unwrap() {
            0 => sizes.map(|size| size.as_u64().unwrap()).sum(),
            size => size * samples,
        };
        // Behind its head and the count of samples, senc is what the others point at.
        assert_eq!(senc["size"].as_u64().unwrap(), 16 + told, "{track}");
        let at = senc["start"].as_u64().unwrap() + 16 - fragment["start"].as_u64().unwrap();
        assert_eq!(saio["fields"]["offset"], serde_json::json!([at]), "{track}: {saio}");
    }
}

fn is_decrypted_by_all(scheme: &str) {
    let dir = scratch();
    let clear = title(dir.path(), "clear", "[package]\nhls = true\ndash = true\n");
    let keys = dir.path().join("keys");
    fs::write(&keys, format!("video={VIDEO_ID}:{VIDEO_KEY}\naudio={AUDIO_ID}:{AUDIO_KEY}\n")).unwrap();
    let rules = format!(
        "[package]\nhls = true\ndash = true\n[encryption]\nscheme = \"{scheme}\"\nkeys = \"{}\"\n\
         systems = [\"common\", \"widevine\", \"playready\"]\n",
        keys.display()
    );
    let coded = title(dir.path(), scheme, &rules);
    // The schemes of the systems, and what says that it is encrypted at all.
    assert_lists(&coded, 4);
    let sound = count(Path::new("ffprobe"), "packets", "a:0", &clear.join("audio/en/playlist.m3u8"));
    assert_boxes(&coded, sound);
    let ffmpeg = shaka("ffmpeg");
    let tracks = video_tracks().map(|track| (track, "video", VIDEO_ID, VIDEO_KEY, AUDIO_KEY));
    let tracks = tracks.chain(audio_tracks().map(|track| (track, "audio", AUDIO_ID, AUDIO_KEY, VIDEO_KEY)));
    for (track, stream, id, key, wrong) in tracks {
        assert_encryption(&coded, &track, scheme, id);
        let (ours, wanted) = (written(&coded, &track), digest(&ffmpeg, &[], &written(&clear, &track)));
        assert_ne!(digest(&ffmpeg, &[], &ours), wanted, "{scheme} {track} is not encrypted");
        assert_eq!(digest(&ffmpeg, &["-decryption_key", key], &ours), wanted, "{scheme} {track} by ffmpeg");
        assert_ne!(
            digest(&ffmpeg, &["-decryption_key", wrong], &ours),
            wanted,
            "{scheme} {track} by a wrong key"
        );
        let whole =
            decrypted(&ours, stream, id, key).unwrap_or_else(|| panic!("the packager cannot read {track}"));
        assert_eq!(digest(&ffmpeg, &[], &whole), wanted, "{scheme} {track} by Shaka Packager");
        let other = decrypted(&ours, stream, id, wrong);
        assert!(
            other.is_none_or(|other| digest(&ffmpeg, &[], &other) != wanted),
            "{scheme} {track} by a wrong key"
        );
        let tags = if stream == "video" { mediainfo::video(&ours) } else { mediainfo::audio(&ours) };
        assert_eq!(tags.get("Encryption").map(String::as_str), Some("Encrypted"), "{track}: {tags:#?}");
    }
}

#[test]
fn a_title_by_cenc_is_decrypted_by_all_readers() {
    is_decrypted_by_all("cenc");
}

#[test]
fn a_title_by_cbcs_is_decrypted_by_all_readers() {
    is_decrypted_by_all("cbcs");
}
