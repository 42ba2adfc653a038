//! Titles play in a real browser: each rendition, seeks, switches, sounds and subtitles, by players that others wrote.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reel_tests::reel::Reel;
use reel_tests::{ffmpeg, scratch, target_dir, workspace};
use serde::Deserialize;
use serde_json::json;

/// What a player saw of a title.
#[derive(Debug, Deserialize)]
struct Saw {
    /// Of the renditions, in its own order.
    heights: Vec<u32>,
    seeks: Vec<Seek>,
    switches: Vec<Switch>,
    sounds: Vec<String>,
    texts: Vec<String>,
    /// The cues of each text.
    read: Vec<Vec<String>>,
    /// Tracks of them; hls.js knows none.
    thumbnails: usize,
    errors: Vec<String>,
    /// What the page said as an error.
    console: Vec<String>,
    duration: f64,
    corrupted: u32,
}

/// A frame that was sought.
#[derive(Debug, Deserialize)]
struct Seek {
    time: f64,
    /// Mean of the middle of the picture, 0 to 255.
    grey: f64,
    height: u32,
}

/// A change of rendition while it played.
#[derive(Debug, Deserialize)]
struct Switch {
    from: u32,
    to: u32,
    /// The most by which it went on faster than the clock meanwhile, in seconds.
    jump: f64,
}

const SECONDS: usize = 24;
/// Where players seek; all renditions.
const SEEKS: [f64; 5] = [1.5, 6.5, 11.5, 15.5, 22.5];
const HEIGHTS: [u32; 3] = [180, 270, 360];

/// Grey pictures that grow lighter each second, with two languages.
fn mezzanine(dir: &Path) -> PathBuf {
    let path = dir.join("steps.mov");
    let pictures = format!("nullsrc=s=640x360:r=25:d={SECONDS},geq=lum='24+8*floor(T)':cb=128:cr=128");
    let sound = |frequency| format!("sine={frequency}:d={SECONDS}:r=48000,aformat=channel_layouts=stereo");
    let inputs = [pictures, sound(440), sound(880)];
    let coding = "-map 0 -map 1 -map 2 -c:v mpeg2video -qscale:v 2 -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
                  -color_range tv -c:a pcm_s16le";
    let args = inputs.iter().flat_map(|input| ["-f", "lavfi", "-i", input]).chain(coding.split_whitespace());
    ffmpeg::run(args.chain([path.to_str().unwrap()]));
    path
}

/// Three renditions, English and German, English subtitles; and what else is said below `[package]`.
fn title(dir: &Path, package: &str) -> PathBuf {
    let (clip, words, output) = (mezzanine(dir), dir.join("en.srt"), dir.join("title"));
    fs::write(
        &words,
        "1\n00:00:01,000 --> 00:00:05,000\nFirst words\n\n2\n00:00:12,000 --> 00:00:15,000\nLater words\n",
    )
    .unwrap();
    let mut profile = "name = \"players\"\nversion = 1\nsegment_seconds = 2\npart_seconds = 4\n".to_owned();
    for height in HEIGHTS.iter().rev() {
        profile += &format!(
            "[[video]]\nname = \"{height}p\"\ncodec = \"h264\"\nheight = {height}\npreset = \"veryfast\"\n\
             rate = {{ crf = 28, maxrate_kbps = {}, bufsize_kbps = {} }}\n",
            2 * height,
            4 * height
        );
    }
    for (stream, language) in [(1, "en"), (2, "de")] {
        profile += &format!(
            "[[audio]]\nname = \"{language}\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 96\n\
             language = \"{language}\"\nsources = [\"{stream}.1\", \"{stream}.2\"]\n"
        );
    }
    profile +=
        "[images]\nevery_s = 4.0\nheight = 90\ncolumns = 3\nrows = 2\n[package]\nhls = true\ndash = true\n";
    let path = dir.join("players.toml");
    fs::write(&path, profile + package).unwrap();
    let text = format!("--text en={} --quiet", words.display());
    Reel::transcode(dir, &clip, &output, &path).args(&text).run().success();
    output
}

/// Plays a title in Chromium.
fn play(player: &str, title: &Path, file: &str, screenshot: &Path) -> Saw {
    let modules = target_dir().join("players");
    assert!(modules.join("node_modules").exists(), "{} is missing: run `make players`", modules.display());
    let plan = json!({ "seeks": SEEKS, "screenshot": screenshot });
    let mut command = Command::new("node");
    command.arg(workspace().join("tests/players/play.mjs")).arg(modules).arg(player).arg(title).arg(file);
    let ended = command.arg(plan.to_string()).output().expect("node is there");
    assert!(ended.status.success(), "{player} {file}: {}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).unwrap()
}

fn assert_plays(player: &str, title: &Path, file: &str) {
    let saw = assert_shows(player, title, file, 0);
    let what = format!("{player} {file}: {saw:?}");
    assert_eq!(
        (saw.sounds.as_slice(), saw.texts.as_slice()),
        (&["en".into(), "de".into()][..], &["en".into()][..])
    );
    assert!(saw.read[0].iter().any(|cue| cue == "First words"), "{what}");
    assert_eq!(saw.thumbnails > 0, player != "hls.js", "{what}");
}

/// All renditions, seeks and switches, of pictures that the player shows so many frames late.
fn assert_shows(player: &str, title: &Path, file: &str, late: u32) -> Saw {
    let screenshot = title.with_file_name(format!("{player}.png"));
    let saw = play(player, title, file, &screenshot);
    let what = format!("{player} {file}: {saw:?}");
    let duration = SECONDS as f64 + f64::from(late) / 25.0;
    assert_eq!((saw.heights.as_slice(), saw.duration), (HEIGHTS.as_slice(), duration), "{what}");
    let wanted = HEIGHTS.iter().flat_map(|height| SEEKS.map(|time| (*height, time)));
    assert!(saw.seeks.iter().map(|seek| (seek.height, seek.time)).eq(wanted), "{what}");
    for seek in &saw.seeks {
        // 16 to 235 are black and white.
        let grey = (24.0 + 8.0 * seek.time.floor() - 16.0) * 255.0 / 219.0;
        assert!((seek.grey - grey).abs() < 4.0, "{what}: {grey} at {}", seek.time);
    }
    let switches: Vec<(u32, u32)> = saw.switches.iter().map(|switch| (switch.from, switch.to)).collect();
    assert_eq!(switches, [(180, 360), (360, 180), (180, 360)], "{what}");
    // A gap that a player jumps over is a frame or more.
    assert!(saw.switches.iter().all(|switch| switch.jump < 0.5), "{what}");
    assert_eq!(saw.corrupted, 0, "{what}");
    let is_lateness =
        |error: &String| late > 0 && error.contains("bufferSeekOverHole") && error.contains("from 0 to");
    assert!(saw.errors.iter().all(is_lateness) && saw.console.is_empty(), "{what}");
    // The last frame that was sought is on the screen.
    let pixel = [
        "-i",
        screenshot.to_str().unwrap(),
        "-vf",
        "crop=64:64,scale=1:1",
        "-pix_fmt",
        "gray",
        "-f",
        "rawvideo",
        "-",
    ];
    let (shown, grey) = (ffmpeg::run(pixel)[0], (24.0 + 8.0 * 22.0 - 16.0) * 255.0 / 219.0);
    assert!((f64::from(shown) - grey).abs() < 4.0, "{player} {file}: {shown} on the screen");
    saw
}

#[test]
fn hls_js_plays_a_title() {
    let dir = scratch();
    assert_plays("hls.js", &title(dir.path(), ""), "master.m3u8");
}

#[test]
fn shaka_player_plays_a_title() {
    let dir = scratch();
    let title = title(dir.path(), "");
    assert_plays("shaka", &title, "master.m3u8");
    assert_plays("shaka", &title, "manifest.mpd");
}

#[test]
fn dash_js_plays_a_title() {
    let dir = scratch();
    assert_plays("dash.js", &title(dir.path(), ""), "manifest.mpd");
}

#[test]
fn all_of_them_play_byte_ranges_of_one_file_for_each_track() {
    let dir = scratch();
    let title = title(dir.path(), "trick_play = true\nbyte_ranges = true\n");
    assert!(title.join("video/180p/media.mp4").exists() && !title.join("video/180p/init.mp4").exists());
    for (player, file) in [
        ("hls.js", "master.m3u8"),
        ("shaka", "master.m3u8"),
        ("shaka", "manifest.mpd"),
        ("dash.js", "manifest.mpd"),
    ] {
        assert_plays(player, &title, file);
    }
}

#[test]
fn hls_js_plays_transport_streams_with_the_sound_in_them() {
    let dir = scratch();
    // Its time begins with the first decode time, which is two frames before the first picture is shown.
    let saw = assert_shows("hls.js", &title(dir.path(), "ts = true\n"), "ts.m3u8", 2);
    assert!(saw.sounds.is_empty() && saw.texts.is_empty(), "{saw:?}");
}
