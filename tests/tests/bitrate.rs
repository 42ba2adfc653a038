//! Renditions with a bit rate have it: one quality for the title, found by its size, whoever encodes and whatever dies.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reel_tests::farm::Farm;
use reel_tests::fixtures;
use reel_tests::reel::{Reel, report, until};
use reel_tests::tree::{assert_same, digests};
use reel_tests::{ffmpeg, scratch};
use serde_json::Value;

/// Writes a profile with parts of so many seconds and these renditions: name, codec, settings, rate.
fn profile(dir: &Path, part_seconds: f64, ladder: &[(&str, &str, &str, &str)]) -> PathBuf {
    let mut text = format!(
        "name = \"rates\"\nversion = 1\nsegment_seconds = {part_seconds:?}\npart_seconds = {part_seconds:?}\n"
    );
    for (name, codec, settings, rate) in ladder {
        let head = format!("\n[[video]]\nname = \"{name}\"\ncodec = \"{codec}\"\n");
        text.push_str(&format!("{head}{settings}\nrate = {{ {rate} }}\n"));
    }
    text.push_str("\n[package]\nmp4 = true\n");
    let path = dir.join("rates.toml");
    fs::write(&path, text).unwrap();
    path
}

/// How far the coded frames of a file are from a bit rate, in percent; the report says the same.
fn error_percent(title: &Path, rendition: &Value, seconds: f64, kbps: f64) -> f64 {
    let name = rendition["name"].as_str().unwrap();
    let bytes: u64 = ffmpeg::packet_sizes(&title.join(format!("{name}.mp4"))).iter().sum();
    assert_eq!(rendition["sample_bytes"], bytes, "{name}");
    (bytes as f64 * 8.0 / (seconds * kbps * 1000.0) - 1.0) * 100.0
}

fn rounds<'a>(rendition: &'a Value, what: &str) -> &'a Vec<Value> {
    rendition["rate"][what].as_array().unwrap()
}

/// How many different rate factors a rendition was probed with, but for the draft.
fn different_levels(rendition: &Value) -> Option<u64> {
    let probes = rendition["rate"]["probes"].as_array()?;
    let mut crf: Vec<_> = probes[1..].iter().map(|round| round["crf"].to_string()).collect();
    crf.sort();
    crf.dedup();
    Some(crf.len() as u64)
}

#[test]
fn a_short_title_is_tried_until_its_size_is_right_and_the_last_try_is_the_title() {
    let (dir, clip) = (scratch(), fixtures::bbb_1080p().path);
    let ladder = [
        ("avc", "h264", "height = 360\npreset = \"fast\"", "bitrate_kbps = 400"),
        ("avc-fixed", "h264", "height = 180", "crf = 30"),
        (
            "hevc",
            "hevc",
            "height = 270\npreset = \"fast\"\nbit_depth = 10",
            "bitrate_kbps = 200, maxrate_kbps = 400, bufsize_kbps = 800",
        ),
        ("av1", "av1", "height = 270\npreset = 9", "bitrate_kbps = 200"),
    ];
    let profile = profile(dir.path(), 1.0, &ladder);
    let title = dir.path().join("title");
    Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
    let report = report(&title);
    let seconds = report["renditions"][0]["frames"].as_f64().unwrap() / 24.0;
    for (rendition, (name, codec, _, rate)) in report["renditions"].as_array().unwrap().iter().zip(&ladder) {
        assert_eq!(rendition["name"], *name);
        let Some(kbps) = rate.strip_prefix("bitrate_kbps = ") else {
            assert_eq!(rendition["rate"], Value::Null);
            continue;
        };
        let kbps: f64 = kbps.split(',').next().unwrap().parse().unwrap();
        let percent = error_percent(&title, rendition, seconds, kbps);
        assert!(percent.abs() < 1.0, "{name} is off by {percent:.2} %: {:#}", rendition["rate"]);
        let (probes, waves) = (rounds(rendition, "probes"), rounds(rendition, "waves"));
        assert!((2..=6).contains(&probes.len()) && waves.len() == 1, "{codec}: {:#}", rendition["rate"]);
        assert!(probes[1..].contains(&waves[0]), "the title is none of those that were tried: {codec}");
    }
    // What was tried last lies in the store; the rendition without a bit rate was not tried.
    let parts = report["job"]["parts"].as_array().unwrap().len() as u64;
    let count = |what: &str| report["job"][what].as_u64().unwrap();
    let tried: u64 = report["renditions"].as_array().unwrap().iter().filter_map(different_levels).sum();
    // Of AV1 some parts keep their whole rate factor from one level to the next.
    let encoded = count("renditions_encoded");
    assert!(
        (4 * parts..=parts * (tried + 1)).contains(&encoded),
        "{encoded} of {parts} parts, {tried} levels"
    );
    assert!(count("renditions_reused") >= 3 * parts);
    assert!(report["job"]["warnings"].as_array().unwrap().is_empty());
    Reel::verify(dir.path(), &title, &clip).run().success();
}

/// A minute in 120 parts.
fn long(dir: &Path) -> (PathBuf, PathBuf) {
    let settings = "height = 144\npreset = \"fast\"";
    let ladder = [("avc", "h264", settings, "bitrate_kbps = 150")];
    (fixtures::a_minute_of_180p().path, profile(dir, 0.5, &ladder))
}

/// What is said of the long title: its size, and that each part was encoded once.
fn assert_encoded_once(title: &Path) {
    let report = report(title);
    let rendition = &report["renditions"][0];
    let percent = error_percent(title, rendition, 60.0, 150.0);
    assert!(percent.abs() < 1.0, "off by {percent:.2} %: {:#}", rendition["rate"]);
    let (probes, waves) = (rounds(rendition, "probes"), rounds(rendition, "waves"));
    assert!((1..=2).contains(&probes.len()) && waves.len() == 5, "{:#}", rendition["rate"]);
    let count = |what: &str| report["job"][what].as_u64().unwrap();
    assert_eq!((count("renditions_encoded"), count("renditions_reused")), (120, 0));
    // But for the first, which it learns by, all waves have nearly the same quality.
    let crf: Vec<f64> = waves[1..].iter().map(|wave| wave["crf"].as_f64().unwrap()).collect();
    let spread = crf.iter().copied().fold(0.0, f64::max) - crf.iter().copied().fold(100.0, f64::min);
    assert!(spread < 1.5, "{:#}", rendition["rate"]);
}

#[test]
fn a_long_title_is_encoded_once_after_a_draft_whoever_dies_meanwhile() {
    let dir = scratch();
    let (clip, profile) = long(dir.path());
    let alone = dir.path().join("alone");
    let options = "--quiet --workers 1 --slots 2 --chunk-parts 100";
    Reel::transcode(dir.path(), &clip, &alone, &profile).args(options).run().success();
    assert_encoded_once(&alone);
    let mut farm = Farm::builder().schedulers(3).workers(2).start();
    let job = farm.submit(&clip, "a", &profile, "--chunk-parts 1");
    let done = |farm: &Farm, stage: &str| {
        let view = farm.job(job);
        let stages = view["stages"].as_array().unwrap();
        stages.iter().find(|seen| seen["stage"] == stage).and_then(|seen| seen["done"].as_u64()).unwrap_or(0)
    };
    for (stage, least) in [("probe", 10), ("probe", 100), ("encode", 5), ("encode", 40), ("encode", 100)] {
        until("its turn", Duration::from_secs(120), || done(&farm, stage) >= least);
        assert_eq!(farm.job(job)["state"], "running", "it is to be disturbed while it runs");
        let leader = farm.leader();
        farm.kill_scheduler(leader);
        farm.kill_worker(0);
        farm.start_worker(0);
        farm.start_scheduler(leader);
    }
    let ended = farm.wait(job);
    assert_eq!((&ended["state"], &ended["parts_encoded_twice"]), (&"done".into(), &0.into()));
    assert_same(&digests(&farm.output("a")), &digests(&alone), "after five rounds of killing");
    let rates = |title: &Path| report(title)["renditions"][0]["rate"].clone();
    assert_eq!(rates(&farm.output("a")), rates(&alone));
}

#[test]
fn a_bit_rate_that_cannot_be_met_is_said_in_the_report() {
    let dir = scratch();
    let ladder = [("avc", "h264", "height = 90\npreset = \"ultrafast\"", "bitrate_kbps = 90000")];
    let profile = profile(dir.path(), 2.0, &ladder);
    let title = dir.path().join("title");
    let clip = fixtures::city().path;
    Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
    let report = report(&title);
    let warning = report["job"]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("rendition avc is -") && warning.contains("% from its bit rate"), "{warning}");
    assert_eq!(rounds(&report["renditions"][0], "waves")[0]["crf"], 5.0);
}
