//! Titles are watched while they are encoded, and end up as they would without.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use m3u8_rs::{MediaPlaylist, MediaPlaylistType, parse_media_playlist_res};
use reel_tests::clouds::S3;
use reel_tests::reel::{Reel, Running, until};
use reel_tests::tree::{assert_same, digests};
use reel_tests::{ffmpeg, scratch, target_dir, workspace};
use rustix::process::Signal;
use serde_json::{Value, json};

const SECONDS: usize = 20;
const SOON: Duration = Duration::from_secs(120);

/// Grey pictures that grow lighter each second, with sound; the last two seconds are black.
fn mezzanine() -> &'static Path {
    static MADE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = MADE.get_or_init(|| {
        let dir = scratch();
        let path = dir.path().join("steps.mov");
        let luma = format!("'if(lt(T,{}),24+8*floor(T),16)'", SECONDS - 2);
        let pictures = format!("nullsrc=s=640x360:r=25:d={SECONDS},geq=lum={luma}:cb=128:cr=128,noise=alls=6:allf=t");
        let sound = format!("sine=440:d={SECONDS}:r=48000,aformat=channel_layouts=stereo");
        let coding = "-map 0 -map 1 -c:v mpeg2video -qscale:v 2 -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
                      -color_range tv -c:a pcm_s16le";
        let inputs = [pictures, sound];
        let args = inputs.iter().flat_map(|input| ["-f", "lavfi", "-i", input]).chain(coding.split_whitespace());
        ffmpeg::run(args.chain([path.to_str().unwrap()]));
        (dir, path)
    });
    path
}

/// Two renditions that take their time, with everything that a package may have beside them.
fn profile(dir: &Path, name: &str, more: &str) -> PathBuf {
    let video = |height: u32| {
        format!(
            "[[video]]\nname = \"{height}p\"\ncodec = \"h264\"\nheight = {height}\npreset = \"veryslow\"\n\
             rate = {{ crf = 24, maxrate_kbps = {}, bufsize_kbps = {} }}\n",
            8 * height,
            16 * height
        )
    };
    let audio = "[[audio]]\nname = \"aac\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 96\n";
    let head = "name = \"early\"\nversion = 1\nsegment_seconds = 2\npart_seconds = 2\n";
    let path = dir.join(format!("{name}.toml"));
    fs::write(&path, format!("{head}{}{}{audio}{more}", video(360), video(180))).unwrap();
    path
}

const PREVIEW: &str = "[package]\nhls = true\ndash = true\npreview = true\n";

fn transcode(dir: &Path, output: &Path, profile: &Path) -> Reel {
    Reel::transcode(dir, mezzanine(), output, profile).args("--chunk-parts 1 --slots 1 --json")
}

/// The title as it becomes without a preview.
fn without_preview(more: &str) -> std::collections::BTreeMap<PathBuf, reel_common::Digest> {
    let dir = scratch();
    let output = dir.path().join("title");
    let profile = profile(dir.path(), "whole", &more.replace("preview = true\n", ""));
    transcode(dir.path(), &output, &profile).run().success();
    digests(&output)
}

fn playlist(title: &Path, of: &str) -> Option<MediaPlaylist> {
    let text = fs::read(title.join(of).join("playlist.m3u8")).ok()?;
    Some(parse_media_playlist_res(&text).unwrap())
}

/// Waits until some segments are shown, and stops the farm there.
fn stopped_at(running: &mut Running, title: &Path, segments: usize) {
    let shown = || playlist(title, "video/360p").is_some_and(|list| list.segments.len() >= segments);
    until("a preview", SOON, || {
        assert!(!running.has_ended(), "{}", running.stderr());
        shown() && title.join("master.m3u8").exists()
    });
    running.send(Signal::STOP);
    assert!(!title.join("report.json").exists(), "the title was whole before anybody looked");
}

/// What is shown is right as far as it goes.
fn assert_shown(title: &Path) {
    let tracks = ["video/360p", "video/180p", "audio/aac"];
    let lists = tracks.map(|track| playlist(title, track).unwrap());
    for (list, track) in lists.iter().zip(tracks) {
        assert_eq!((&list.playlist_type, list.end_list), (&Some(MediaPlaylistType::Event), false), "{track}");
        assert_eq!((list.target_duration, list.media_sequence), (2, 0), "{track}");
        for segment in &list.segments {
            assert!(title.join(track).join(&segment.uri).exists(), "{track}: {} is listed", segment.uri);
        }
    }
    // A farm may be stopped between two playlists; players wait for the shorter one.
    let shown = lists[0].segments.len() * 2;
    // A reader of the playlist itself would wait for its end.
    let folder = title.join("video/360p");
    let names = ["init.mp4"].into_iter().chain(lists[0].segments.iter().map(|segment| segment.uri.as_str()));
    let joined: Vec<u8> = names.flat_map(|name| fs::read(folder.join(name)).unwrap()).collect();
    let file = scratch();
    fs::write(file.path().join("shown.mp4"), joined).unwrap();
    assert_eq!(ffmpeg::packet_times(&file.path().join("shown.mp4"), "v:0").len(), shown * 25);
    assert!(!title.join("manifest.mpd").exists());
}

/// A player that watches a title while it grows.
struct Watcher {
    process: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Watcher {
    fn start(player: &str, title: &Path) -> Self {
        let plan = json!({ "seeks": [SECONDS as f64 - 4.5], "watch": SECONDS });
        let mut command = Command::new("node");
        command.arg(workspace().join("tests/players/play.mjs")).arg(target_dir().join("players"));
        command.arg(player).arg(title).arg("master.m3u8").arg(plan.to_string());
        let mut process =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("node is there");
        let lines = BufReader::new(process.stdout.take().unwrap());
        Watcher { process, lines }
    }

    /// What it tells next.
    fn tells(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| {
            let mut why = String::new();
            self.process.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("the player gave up: {why}")
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_title_is_watched_from_its_beginning_while_it_is_encoded_and_to_its_end() {
    let dir = scratch();
    let output = dir.path().join("title");
    let mut running = transcode(dir.path(), &output, &profile(dir.path(), "early", PREVIEW)).start();
    stopped_at(&mut running, &output, 2);
    assert_shown(&output);
    let mut watchers = ["hls.js", "shaka"].map(|player| (player, Watcher::start(player, &output)));
    for (player, watcher) in &mut watchers {
        let began = watcher.tells();
        assert!(began["first"].as_f64().unwrap() < 0.5, "{player} did not begin at the beginning: {began}");
    }
    assert!(!output.join("report.json").exists());
    running.send(Signal::CONT);
    running.wait().success();
    for (player, watcher) in &mut watchers {
        let saw = watcher.tells();
        let grey = saw["end"]["grey"].as_f64().unwrap();
        // As full range.
        let wanted = (24.0 + 8.0 * (SECONDS - 5) as f64 - 16.0) * 255.0 / 219.0;
        assert!((grey - wanted).abs() < 6.0, "{player}: {saw}");
        assert!((saw["duration"].as_f64().unwrap() - SECONDS as f64).abs() < 0.1, "{player}: {saw}");
        assert_eq!(saw["errors"], json!([]), "{player}");
    }
    assert!(!output.join(".reel-delivery.json").exists());
}

#[test]
fn a_preview_outlives_its_farm_and_goes_on() {
    let dir = scratch();
    let output = dir.path().join("title");
    let profile = profile(dir.path(), "early", PREVIEW);
    let mut running = transcode(dir.path(), &output, &profile).start();
    stopped_at(&mut running, &output, 3);
    let shown = playlist(&output, "video/360p").unwrap().segments.len();
    running.kill_group();
    assert_shown(&output);
    // The same command goes on; what is shown grows.
    let mut running = transcode(dir.path(), &output, &profile).start();
    stopped_at(&mut running, &output, shown + 2);
    assert_shown(&output);
    running.kill_group();
    // So does another farm, which knows nothing of the first one.
    let other = scratch();
    let report = transcode(other.path(), &output, &profile).run().success().json();
    assert_eq!(report["parts_encoded_twice"], 0, "{report}");
    assert_same(&digests(&output), &without_preview(PREVIEW), "taken over");
}

#[test]
fn a_preview_in_a_bucket_is_encrypted_as_its_title_is() {
    let (dir, buckets) = (scratch(), scratch());
    fs::create_dir(buckets.path().join("media")).unwrap();
    let title = buckets.path().join("media/titles/a");
    let keys = dir.path().join("keys.txt");
    let key = "00112233445566778899aabbccddeeff:0123456789abcdef0123456789abcdef";
    fs::write(&keys, format!("video={key}\naudio={key}\n")).unwrap();
    let encrypted = format!(
        "{PREVIEW}[encryption]\nscheme = \"cbcs\"\nsystems = [\"widevine\"]\nkeys = \"{}\"\nclear_lead_s = 3.0\n",
        keys.display()
    );
    let server = S3::serve(buckets.path());
    let output = Path::new("s3://media/titles/a");
    let profile = profile(dir.path(), "early", &encrypted);
    let mut running = transcode(dir.path(), output, &profile).env(server.environment(S3::SECRET)).start();
    stopped_at(&mut running, &title, 4);
    let text = fs::read_to_string(title.join("video/360p/playlist.m3u8")).unwrap();
    let (clear, protected) = text.split_once("#EXT-X-KEY:METHOD=SAMPLE-AES").unwrap();
    assert!(clear.contains("seg_00002.m4s") && protected.contains("seg_00003.m4s"), "{text}");
    running.send(Signal::CONT);
    running.wait().success();
    assert_same(&digests(&title), &without_preview(&encrypted), "previewed in a bucket");
    assert!(!title.join(".reel-delivery.json").exists());
}

#[test]
fn an_earlier_title_stays_until_the_new_one_is_whole() {
    let dir = scratch();
    let output = dir.path().join("title");
    let plain = profile(dir.path(), "plain", "[package]\nhls = true\n");
    transcode(dir.path(), &output, &plain).run().success();
    let before = digests(&output);
    let early = profile(dir.path(), "early", PREVIEW);
    let mut running = transcode(dir.path(), &output, &early).start();
    while !running.has_ended() {
        let list = playlist(&output, "video/360p").expect("a title is there at any time");
        assert_eq!(list.playlist_type, Some(MediaPlaylistType::Vod));
    }
    running.wait().success();
    assert!(before.keys().count() < digests(&output).len(), "the new one has a manifest");
}

#[test]
fn what_was_shown_of_a_title_that_fails_is_taken_back() {
    let dir = scratch();
    let output = dir.path().join("title");
    let strict = format!("{PREVIEW}[admission]\nmax_black_s = 1.0\n");
    let mut running = transcode(dir.path(), &output, &profile(dir.path(), "strict", &strict)).start();
    stopped_at(&mut running, &output, 2);
    running.send(Signal::CONT);
    let ended = running.wait();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("black"), "{}", ended.stderr);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !output.exists() && !left.iter().any(|name| name.to_string_lossy().contains("partial")),
        "{left:?}"
    );
}
