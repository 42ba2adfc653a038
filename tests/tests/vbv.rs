//! The joined stream of a rendition keeps to its buffer: a model of the decoder's buffer runs over every frame of it.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::Path;

use reel_tests::reel::Reel;
use reel_tests::{ffmpeg, fixtures, scratch};

/// A rate that binds: at this quality the clip would take several times as much.
const RATE_KBPS: u64 = 500;
/// A second of it.
const BUFFER_KBIT: u64 = 500;
const FRAMES_PER_SECOND: u64 = 24;

/// The lowest fill of the buffer, in bits, and the mean rate in bits a second. The buffer begins half full, as each part's
/// encoder assumes; before each frame the rate of its duration flows in, what does not fit is not sent, and the frame's
/// bits leave at once (ITU-T H.264, annex C, with a variable rate).
fn run(sizes: &[u64]) -> (i64, u64) {
    let (buffer, inflow) = (BUFFER_KBIT as i64 * 1000, (RATE_KBPS * 1000 / FRAMES_PER_SECOND) as i64);
    let (mut fill, mut lowest) = (buffer / 2, i64::MAX);
    for size in sizes {
        fill = (fill + inflow).min(buffer) - *size as i64 * 8;
        lowest = lowest.min(fill);
    }
    (lowest, sizes.iter().sum::<u64>() * 8 * FRAMES_PER_SECOND / sizes.len() as u64)
}

fn make(dir: &Path, clip: &Path, codec: &str, preset: &str) -> Vec<u64> {
    let rate = format!("{{ crf = 18, maxrate_kbps = {RATE_KBPS}, bufsize_kbps = {BUFFER_KBIT} }}");
    let text = format!(
        "name = \"vbv\"\nversion = 1\nsegment_seconds = 1.0\npart_seconds = 2.0\n\n[[video]]\nname = \"v\"\n\
         codec = \"{codec}\"\nheight = 360\npreset = \"{preset}\"\nrate = {rate}\n\n[package]\nmp4 = true\n"
    );
    let profile = dir.join(format!("{codec}.toml"));
    fs::write(&profile, text).unwrap();
    let output = dir.join(codec);
    Reel::transcode(dir, clip, &output, &profile).args("--quiet").run().success();
    ffmpeg::packet_sizes(&output.join("v.mp4"))
}

#[test]
fn no_frame_of_joined_parts_comes_too_late_for_the_declared_buffer() {
    let (dir, clip) = (scratch(), fixtures::bbb_1080p().path);
    for (codec, preset) in [("h264", "medium"), ("hevc", "fast")] {
        let (lowest, mean) = run(&make(dir.path(), &clip, codec, preset));
        assert!(mean > RATE_KBPS * 1000 * 7 / 10, "{codec}: the rate does not bind at {mean} bit/s");
        assert!(lowest >= 0, "{codec}: the buffer lacks {} bits", -lowest);
    }
}
