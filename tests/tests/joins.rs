//! Where parts join, pictures are as good as around the key frames of a title that one encoder has made.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};

use reel_tests::reel::Reel;
use reel_tests::{ffmpeg, fixtures, scratch};

/// Frames of a segment of a second: where a key frame is, and where parts of one segment join.
const SEGMENT: usize = 24;
/// Frames that are looked at on either side.
const AROUND: usize = 5;
/// What the mean of all joins may be off, on either side: half of what five frames of two encodes usually differ by.
const NOTHING_DB: f64 = 0.02;
/// What a single one may lose.
const NOTHING_ONCE_DB: f64 = 0.1;
/// The codecs at the speeds that ladders are made with.
const CODECS: [(&str, &str); 3] =
    [("h264", "preset = \"medium\""), ("hevc", "preset = \"fast\""), ("av1", "preset = 8")];

/// Makes the clip in parts of so many seconds.
fn make(dir: &Path, clip: &Path, seconds: u32) -> PathBuf {
    let mut text =
        format!("name = \"joins\"\nversion = 1\nsegment_seconds = 1.0\npart_seconds = {seconds}.0\n");
    for (codec, settings) in CODECS {
        let head = format!("\n[[video]]\nname = \"{codec}\"\ncodec = \"{codec}\"\nheight = 360\n");
        text.push_str(&format!("{head}{settings}\nrate = {{ crf = 28 }}\n"));
    }
    text.push_str("\n[package]\nmp4 = true\n");
    let profile = dir.join(format!("{seconds}.toml"));
    fs::write(&profile, text).unwrap();
    let output = dir.join(format!("parts-of-{seconds}"));
    Reel::transcode(dir, clip, &output, &profile).args("--quiet").run().success();
    output
}

/// Luma PSNR of each frame against the clip, in dB.
fn qualities(dir: &Path, made: &Path, clip: &Path) -> Vec<f64> {
    let stats = dir.join("psnr.log");
    let scale = "scale=640:360:flags=bicubic+accurate_rnd+full_chroma_int,format=yuv420p";
    let filter = format!(
        "[1:v]{scale}[clip];[0:v]format=yuv420p[made];[made][clip]psnr=stats_file={}",
        stats.display()
    );
    let inputs = ["-i".as_ref(), made.as_os_str(), "-i".as_ref(), clip.as_os_str()];
    ffmpeg::run(inputs.into_iter().chain(["-lavfi", &filter, "-f", "null", "-"].map(AsRef::as_ref)));
    let text = fs::read_to_string(&stats).unwrap();
    let of_line = |line: &str| {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix("psnr_y:")).unwrap();
        value.parse().unwrap()
    };
    text.lines().map(of_line).collect()
}

#[test]
fn pictures_around_joins_are_as_good_as_around_any_key_frame() {
    let (dir, clip) = (scratch(), fixtures::bbb_1080p().path);
    let [joined, whole] = [1, 100].map(|seconds| make(dir.path(), &clip, seconds));
    for (codec, _) in CODECS {
        let quality = |tree: &Path| qualities(dir.path(), &tree.join(format!("{codec}.mp4")), &clip);
        let (joined, whole) = (quality(&joined), quality(&whole));
        assert_eq!(joined.len(), whole.len());
        let joins: Vec<usize> = (SEGMENT..joined.len() - AROUND).step_by(SEGMENT).collect();
        assert!(joins.len() >= 6);
        for side in [0, AROUND] {
            // Five frames that end before the join, or begin with it.
            let gains = joins.iter().map(|join| {
                let frames = join + side - AROUND..join + side;
                let gain = |frame: usize| joined[frame] - whole[frame];
                frames.map(gain).sum::<f64>() / AROUND as f64
            });
            let gains: Vec<f64> = gains.collect();
            let mean = gains.iter().sum::<f64>() / gains.len() as f64;
            let worst = gains.iter().copied().fold(f64::INFINITY, f64::min);
            assert!(mean > -NOTHING_DB && worst > -NOTHING_ONCE_DB, "{codec}, {side}: {gains:?}");
        }
    }
}
