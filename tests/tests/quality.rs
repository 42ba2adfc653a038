//! Renditions with a quality have it: one rate factor for the title, found by what comes of it, whoever encodes and whatever
//! dies; by the judgement of ffmpeg's filters.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reel_tests::farm::Farm;
use reel_tests::ffmpeg::{self, Score};
use reel_tests::fixtures;
use reel_tests::reel::{Reel, report, until};
use reel_tests::scratch;
use reel_tests::tree::{assert_same, digests};
use serde_json::Value;

/// A rendition: codec, settings, rate.
type Rendition<'a> = (&'a str, &'a str, &'a str);

/// Writes a profile with parts of so many seconds and these renditions, named by their codecs.
fn profile(dir: &Path, part_seconds: f64, ladder: &[Rendition<'_>]) -> PathBuf {
    let mut text = format!(
        "name = \"quality\"\nversion = 1\nsegment_seconds = {part_seconds:?}\npart_seconds = {part_seconds:?}\n"
    );
    for (codec, settings, rate) in ladder {
        let head = format!("[[video]]\nname = \"{codec}\"\ncodec = \"{codec}\"\n");
        text.push_str(&format!("{head}{settings}\nrate = {{ {rate} }}\n"));
    }
    text.push_str("[package]\nmp4 = true\n");
    let path = dir.join(format!("{}.toml", fs::read_dir(dir).unwrap().count()));
    fs::write(&path, text).unwrap();
    path
}

fn rounds<'a>(rendition: &'a Value, what: &str) -> &'a Vec<Value> {
    rendition["rate"][what].as_array().unwrap()
}

/// By how many decibels a rendition of a title is better than the quality that it was to have, as ffmpeg measures it; the
/// report says nearly the same.
fn above(title: &Path, clip: &Path, rendition: &Value, bits: u32) -> f64 {
    let made = title.join(format!("{}.mp4", rendition["name"].as_str().unwrap()));
    let mean = |score| {
        let frames = ffmpeg::scores(&made, clip, bits, score);
        assert_eq!(frames.len() as u64, rendition["frames"]);
        frames.iter().sum::<f64>() / frames.len() as f64
    };
    let decibels = |ssim: f64| -10.0 * (1.0 - ssim).log10();
    let rate = &rendition["rate"];
    let (wanted, found, said) = match rate["target_psnr_db"].as_f64() {
        Some(wanted) => (wanted, mean(Score::Psnr), rate["waves"][0]["psnr_db"].as_f64()),
        None => {
            let said = rate["waves"][0]["ssim"].as_f64().map(decibels);
            (decibels(rate["target_ssim"].as_f64().unwrap()), decibels(mean(Score::Ssim)), said)
        }
    };
    if rounds(rendition, "waves").len() == 1 {
        assert!((said.unwrap() - found).abs() < 0.2, "{found} by ffmpeg: {rate:#}");
    }
    found - wanted
}

#[test]
fn titles_of_every_codec_have_the_quality_that_was_asked_whoever_dies_meanwhile() {
    let dir = scratch();
    let clip = fixtures::five_seconds(dir.path());
    let hevc = "height = 360\npreset = \"fast\"\nbit_depth = 10";
    let ladders: [[Rendition<'_>; 3]; 2] = [
        [
            ("h264", "height = 360\npreset = \"fast\"", "psnr_db = 39.5"),
            ("hevc", hevc, "ssim = 0.975, maxrate_kbps = 4000, bufsize_kbps = 8000"),
            ("av1", "height = 360\npreset = 9", "psnr_db = 40.0"),
        ],
        [
            ("h264", "height = 360\npreset = \"veryfast\"", "ssim = 0.97"),
            ("hevc", hevc, "psnr_db = 38.25"),
            ("av1", "height = 360\npreset = 10", "ssim = 0.98"),
        ],
    ];
    for (number, ladder) in ladders.iter().enumerate() {
        let profile = profile(dir.path(), 1.0, ladder);
        let title = dir.path().join(format!("title-{number}"));
        Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
        let report = report(&title);
        for rendition in report["renditions"].as_array().unwrap() {
            let bits = if rendition["name"] == "hevc" { 10 } else { 8 };
            let above = above(&title, &clip, rendition, bits);
            assert!(above.abs() < 0.25, "off by {above:.2} dB: {:#}", rendition["rate"]);
            let (probes, waves) = (rounds(rendition, "probes"), rounds(rendition, "waves"));
            assert!((1..=6).contains(&probes.len()) && waves.len() == 1, "{:#}", rendition["rate"]);
            assert!(probes.contains(&waves[0]), "the title is none of those that were tried");
        }
        // What was tried last lies in the store.
        let count = |what: &str| report["job"][what].as_u64().unwrap();
        assert!(count("renditions_reused") >= 15, "{}", count("renditions_reused"));
        assert_eq!(report["job"]["warnings"], Value::Array(Vec::new()));
        Reel::verify(dir.path(), &title, &clip).run().success();
        if number == 0 {
            let deaths = [("probe", 2), ("probe", 7), ("probe", 11)];
            assert_the_same_of_a_dying_farm(&clip, &profile, &title, &deaths);
        }
    }
}

/// A farm of which a worker and the leader die whenever so many tasks of a stage are done makes the same title.
fn assert_the_same_of_a_dying_farm(clip: &Path, profile: &Path, alone: &Path, deaths: &[(&str, u64)]) {
    let mut farm = Farm::builder().schedulers(3).workers(2).start();
    let job = farm.submit(clip, "a", profile, "--chunk-parts 1");
    let done = |farm: &Farm, stage: &str| {
        let view = farm.job(job);
        let stages = view["stages"].as_array().unwrap();
        stages.iter().find(|seen| seen["stage"] == stage).and_then(|seen| seen["done"].as_u64()).unwrap_or(0)
    };
    for (stage, least) in deaths {
        until("its turn", Duration::from_secs(120), || done(&farm, stage) >= *least);
        assert_eq!(farm.job(job)["state"], "running", "it is to be disturbed while it runs");
        let leader = farm.leader();
        farm.kill_scheduler(leader);
        farm.kill_worker(0);
        farm.start_worker(0);
        farm.start_scheduler(leader);
    }
    let ended = farm.wait(job);
    assert_eq!((&ended["state"], &ended["parts_encoded_twice"]), (&"done".into(), &0.into()));
    assert_same(&digests(&farm.output("a")), &digests(alone), "after rounds of killing");
    assert_eq!(rates(&farm.output("a")), rates(alone));
}

fn rates(title: &Path) -> Vec<Value> {
    report(title)["renditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rendition| rendition["rate"].clone())
        .collect()
}

#[test]
fn of_a_long_title_each_part_is_encoded_once_whoever_dies_meanwhile() {
    let dir = scratch();
    let clip = fixtures::a_minute_of_180p().path;
    let profile = profile(dir.path(), 0.5, &[("h264", "height = 180\npreset = \"fast\"", "psnr_db = 38")]);
    let alone = dir.path().join("alone");
    let options = "--quiet --workers 1 --slots 2 --chunk-parts 100";
    Reel::transcode(dir.path(), &clip, &alone, &profile).args(options).run().success();
    let report = report(&alone);
    let rendition = &report["renditions"][0];
    let above = above(&alone, &clip, rendition, 8);
    assert!(above.abs() < 0.25, "off by {above:.2} dB: {:#}", rendition["rate"]);
    let (probes, waves) = (rounds(rendition, "probes"), rounds(rendition, "waves"));
    assert!((1..=2).contains(&probes.len()) && waves.len() == 5, "{:#}", rendition["rate"]);
    let count = |what: &str| report["job"][what].as_u64().unwrap();
    assert_eq!((count("renditions_encoded"), count("renditions_reused")), (120, 0));
    let deaths = [("probe", 40), ("encode", 10), ("encode", 60)];
    assert_the_same_of_a_dying_farm(&clip, &profile, &alone, &deaths);
}

#[test]
fn a_quality_that_cannot_be_reached_is_said_in_the_report() {
    let (dir, clip) = (scratch(), fixtures::city().path);
    let settings = "height = 90\npreset = \"ultrafast\"";
    for (rate, says, crf) in [
        ("psnr_db = 60", "not 60.00 dB, at rate factor 5", Some(5.0)),
        ("ssim = 0.999, maxrate_kbps = 60, bufsize_kbps = 60", "not 0.9990, at rate factor", None),
    ] {
        let profile = profile(dir.path(), 2.0, &[("h264", settings, rate)]);
        let title = dir.path().join(rate.split(' ').nth(2).unwrap());
        Reel::transcode(dir.path(), &clip, &title, &profile).args("--quiet").run().success();
        let report = report(&title);
        let rendition = &report["renditions"][0];
        let warning = report["job"]["warnings"][0].as_str().unwrap_or_default();
        let is_said = warning.contains("rendition h264 has a") && warning.contains(says);
        assert!(is_said, "{warning}: {:#}", rendition["rate"]);
        let found = &rounds(rendition, "waves")[0]["crf"];
        assert!(crf.is_none_or(|crf| *found == crf), "{found}");
    }
}
