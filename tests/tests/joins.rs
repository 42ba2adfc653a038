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
/// What the mean of all joins may lose on either side, in dB: half of what five frames of two encodes usually differ by; and
/// what a single one may lose.
const NOTHING: [f64; 2] = [0.02, 0.1];
/// Likewise of x264 with a VBV, whose encoder sees fewer frames before a part.
const LITTLE: [f64; 2] = [0.1, 0.2];

/// An encoder at the speed that ladders are made with.
struct Case {
    codec: &'static str,
    settings: &'static str,
    rate: &'static str,
    /// What the mean of all joins, and a single one, may lose in dB.
    most_lost: [f64; 2],
}

const CRF: &str = "crf = 28";
const BOUNDED: &str = "crf = 28, maxrate_kbps = 3000, bufsize_kbps = 6000";
/// The ladders: one has each codec once.
const LADDERS: [&[Case]; 2] = [
    &[
        Case { codec: "h264", settings: "preset = \"medium\"", rate: CRF, most_lost: NOTHING },
        Case { codec: "hevc", settings: "preset = \"fast\"", rate: CRF, most_lost: NOTHING },
        Case { codec: "av1", settings: "preset = 8", rate: CRF, most_lost: NOTHING },
    ],
    &[Case { codec: "h264", settings: "preset = \"medium\"", rate: BOUNDED, most_lost: LITTLE }],
];

/// Makes the clip in parts of so many seconds.
fn make(dir: &Path, clip: &Path, ladder: &[Case], seconds: u32) -> PathBuf {
    let mut text =
        format!("name = \"joins\"\nversion = 1\nsegment_seconds = 1.0\npart_seconds = {seconds}.0\n");
    for Case { codec, settings, rate, .. } in ladder {
        let head = format!("\n[[video]]\nname = \"{codec}\"\ncodec = \"{codec}\"\nheight = 360\n");
        text.push_str(&format!("{head}{settings}\nrate = {{ {rate} }}\n"));
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
    let clip = fixtures::bbb_1080p().path;
    for ladder in LADDERS {
        let dir = scratch();
        let [joined, whole] = [1, 100].map(|seconds| make(dir.path(), &clip, ladder, seconds));
        for Case { codec, rate, most_lost, .. } in ladder {
            let quality = |tree: &Path| qualities(dir.path(), &tree.join(format!("{codec}.mp4")), &clip);
            let gains = gains(&quality(&joined), &quality(&whole));
            for (side, gains) in ["before", "after"].iter().zip(gains) {
                let mean = gains.iter().sum::<f64>() / gains.len() as f64;
                let worst = gains.iter().copied().fold(f64::INFINITY, f64::min);
                let fine = mean > -most_lost[0] && worst > -most_lost[1];
                assert!(fine, "{codec}, {rate}, {side}: {gains:?}");
            }
        }
    }
}

/// What five frames that end before each join, and five that begin with it, gain on those of the title in one part, in dB.
fn gains(joined: &[f64], whole: &[f64]) -> [Vec<f64>; 2] {
    assert_eq!(joined.len(), whole.len());
    let joins: Vec<usize> = (SEGMENT..joined.len() - AROUND).step_by(SEGMENT).collect();
    assert!(joins.len() >= 6);
    [0, AROUND].map(|side| {
        let around = |join: &usize| {
            let frames = join + side - AROUND..join + side;
            frames.map(|frame| joined[frame] - whole[frame]).sum::<f64>() / AROUND as f64
        };
        joins.iter().map(around).collect()
    })
}
