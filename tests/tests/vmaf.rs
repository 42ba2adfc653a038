//! VMAF is what libvmaf in ffmpeg measures of the whole title, frame by frame and where parts join; and a title has the one
//! that was asked for, whoever encodes it.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reel_tests::farm::Farm;
use reel_tests::reel::{Reel, report, until};
use reel_tests::tree::{assert_same, digests};
use reel_tests::{ffmpeg, fixtures, scratch};
use serde_json::Value;

/// How much the versions of libvmaf differ, ours and the judge's, in points of 100: of many frames, and of one. Most frames
/// have the same score to a thousandth; one that loses the motion to its neighbour is off by two and more.
const NEAR: f64 = 0.05;
const NEAR_FRAME: f64 = 0.3;

/// Writes a profile with parts of a second, of renditions in 640x360.
fn profile(dir: &Path, ladder: &[(&str, &str, &str)], more: &str) -> PathBuf {
    let rendition = |(codec, settings, rate): &(&str, &str, &str)| {
        format!(
            "[[video]]\nname = \"{codec}\"\ncodec = \"{codec}\"\nheight = 360\n{settings}\nrate = {{ {rate} }}\n"
        )
    };
    let text = format!(
        "name = \"vmaf\"\nversion = 1\nsegment_seconds = 1\npart_seconds = 1\n{}{more}[package]\nmp4 = true\n",
        ladder.iter().map(rendition).collect::<String>()
    );
    let path = dir.join(format!("{}.toml", fs::read_dir(dir).unwrap().count()));
    fs::write(&path, text).unwrap();
    path
}

fn mean(frames: &[f64]) -> f64 {
    frames.iter().sum::<f64>() / frames.len() as f64
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Holds what a report says of a rendition against the judge, who sees the whole title; gives the judge's mean.
fn judged(title: &Path, clip: &Path, rendition: &Value) -> f64 {
    let name = rendition["name"].as_str().unwrap();
    let bits = if name == "hevc" { 10 } else { 8 };
    let frames = ffmpeg::vmaf(&title.join(format!("{name}.mp4")), clip, bits);
    assert_eq!(frames.len(), 120);
    let near = |what: &str, said: f64, found: f64| {
        let most = if what.contains("frame") { NEAR_FRAME } else { NEAR };
        assert!((said - found).abs() < most, "{name}: {what} is {said}, {found} by ffmpeg");
    };
    let lowest = |frames: &[f64]| frames.iter().copied().fold(100.0, f64::min);
    near("VMAF", rendition["vmaf"].as_f64().unwrap(), mean(&frames));
    near("the worst frame", rendition["worst_frame_vmaf"].as_f64().unwrap(), lowest(&frames));
    assert_eq!(rendition["vmaf_model"], "vmaf_v0.6.1");
    let parts = rendition["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 5);
    for (part, frames) in parts.iter().zip(frames.chunks(24)) {
        near("a part", part["vmaf"].as_f64().unwrap(), mean(frames));
        near("a part's worst frame", part["worst_frame_vmaf"].as_f64().unwrap(), lowest(frames));
        let (first, last) = (numbers(&part["first_frames_vmaf"]), numbers(&part["last_frames_vmaf"]));
        assert_eq!((first.len(), last.len()), (8, 8));
        for (said, found) in first.iter().zip(frames).chain(last.iter().zip(&frames[16..])) {
            near("a frame at a join", *said, *found);
        }
    }
    mean(&frames)
}

#[test]
fn titles_have_the_vmaf_that_was_asked_whoever_dies_meanwhile() {
    let dir = scratch();
    let clip = fixtures::five_seconds(dir.path());
    let ladder = [
        ("h264", "preset = \"fast\"", "vmaf = 90"),
        (
            "hevc",
            "preset = \"veryfast\"\nbit_depth = 10",
            "vmaf = 86.5, maxrate_kbps = 4000, bufsize_kbps = 8000",
        ),
        ("av1", "preset = 10", "vmaf = 93"),
    ];
    let profile = profile(dir.path(), &ladder, "");
    let title = dir.path().join("title");
    Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
    let alone = report(&title);
    for (rendition, wanted) in alone["renditions"].as_array().unwrap().iter().zip([90.0, 86.5, 93.0]) {
        let found = judged(&title, &clip, rendition);
        let rate = &rendition["rate"];
        assert!((found - wanted).abs() < 0.3, "{found} by ffmpeg, not {wanted}: {rate:#}");
        assert_eq!(rate["target_vmaf"], wanted);
        assert!((rate["waves"][0]["vmaf"].as_f64().unwrap() - found).abs() < NEAR, "{rate:#}");
        assert!((1..=6).contains(&rate["probes"].as_array().unwrap().len()), "{rate:#}");
    }
    assert_eq!(alone["job"]["warnings"], Value::Array(Vec::new()));
    assert!(alone["libraries"]["libvmaf"].is_string());
    Reel::verify(dir.path(), &title, &clip).run().success();

    let mut farm = Farm::builder().schedulers(3).workers(2).start();
    let job = farm.submit(&clip, "a", &profile, "--chunk-parts 1");
    for least in [2, 8] {
        let done = |farm: &Farm| {
            let stages = farm.job(job)["stages"].as_array().unwrap().clone();
            let probe = stages.into_iter().find(|seen| seen["stage"] == "probe");
            probe.and_then(|probe| probe["done"].as_u64()).unwrap_or(0)
        };
        until("its turn", Duration::from_secs(120), || done(&farm) >= least);
        let leader = farm.leader();
        farm.kill_scheduler(leader);
        farm.kill_worker(0);
        farm.start_worker(0);
        farm.start_scheduler(leader);
    }
    assert_eq!(farm.wait(job)["state"], "done");
    assert_same(&digests(&farm.output("a")), &digests(&title), "after rounds of killing");
    let scores = |report: &Value| -> Vec<Value> {
        let renditions = report["renditions"].as_array().unwrap().iter();
        renditions.map(|rendition| serde_json::json!([rendition["rate"], rendition["parts"]])).collect()
    };
    assert_eq!(scores(&report(&farm.output("a"))), scores(&alone));
}

#[test]
fn vmaf_is_measured_of_every_rendition_where_the_profile_says_so() {
    let dir = scratch();
    let clip = fixtures::five_seconds(dir.path());
    let ladder = [
        ("h264", "preset = \"veryfast\"", "crf = 30"),
        ("hevc", "preset = \"ultrafast\"\nbit_depth = 10", "crf = 33"),
        ("av1", "preset = 12", "crf = 50"),
    ];
    let made = |more: &str, name: &str| {
        let (profile, title) = (profile(dir.path(), &ladder, more), dir.path().join(name));
        Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
        (report(&title), title)
    };
    // In the same store: a part of which it was not measured does not stand for one of which it was.
    let (plain, unmeasured) = made("", "plain");
    for rendition in plain["renditions"].as_array().unwrap() {
        let all = [rendition, &rendition["parts"][0]];
        assert!(all.iter().all(|said| said["vmaf"].is_null() && said["worst_frame_vmaf"].is_null()));
        assert!(rendition["vmaf_model"].is_null() && rendition["parts"][0]["first_frames_vmaf"].is_null());
    }
    let (told, measured) = made("[measure]\nvmaf = true\n", "measured");
    for rendition in told["renditions"].as_array().unwrap() {
        judged(&measured, &clip, rendition);
    }
    for name in ["h264.mp4", "hevc.mp4", "av1.mp4"] {
        let bytes = |title: &Path| fs::read(title.join(name)).unwrap();
        assert!(bytes(&measured) == bytes(&unmeasured), "{name} depends on what is measured");
    }
}
