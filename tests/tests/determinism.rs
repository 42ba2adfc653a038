//! The delivered bytes depend on the mezzanine and the profile alone, and what is there already is not made again.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::Path;

use reel_tests::fixtures::{self, Fixture};
use reel_tests::reel::{Ended, Reel, report};
use reel_tests::tree::{assert_same, assert_settings_change_no_byte, digests, stored_parts};
use reel_tests::{profile, scratch};
use serde_json::Value;

fn transcode(dir: &Path, mezzanine: &Fixture, title: &str, profile: &Path, options: &str) -> Ended {
    Reel::transcode(dir, &mezzanine.path, &dir.join(title), profile)
        .args(options)
        .arg("--quiet")
        .run()
        .success()
}

fn count(report: &Value, what: &str) -> u64 {
    report["job"][what].as_u64().unwrap_or_else(|| panic!("no {what} in {report:#}"))
}

#[test]
fn workers_chunks_and_order_change_no_byte() {
    let settings = [
        "--workers 1 --slots 1 --chunk-parts 100",
        "--workers 1 --slots 3 --chunk-parts 1",
        "--workers 2 --slots 1 --chunk-parts 2",
        "--workers 4 --slots 1 --chunk-parts 1",
        "--workers 4 --slots 2 --chunk-parts 100",
    ];
    assert_settings_change_no_byte(&fixtures::open_gop_h264_mkv().path, &profile("quick"), &settings);
}

#[test]
fn workers_and_chunks_change_no_byte_of_other_codecs() {
    let settings = [
        "--workers 1 --slots 1 --chunk-parts 100",
        "--workers 1 --slots 3 --chunk-parts 1",
        "--workers 2 --slots 2 --chunk-parts 2",
    ];
    assert_settings_change_no_byte(&fixtures::open_gop_h264_mkv().path, &profile("codecs"), &settings);
}

#[test]
fn a_rendition_is_the_same_whatever_is_encoded_beside_it() {
    let mezzanine = fixtures::hevc_cra_mp4();
    let text = fs::read_to_string(profile("codecs")).unwrap();
    let (head, rest) = text.split_once("[[video]]").unwrap();
    let (ladder, tail) = rest.split_once("[[audio]]").unwrap();
    // Several encoders of SVT-AV1 in one process, of the presets that are furthest apart.
    let ladder = ladder.replace("preset = 12", "preset = 13").replace("preset = 10", "preset = 6");
    let dir = scratch();
    let make = |name: &str, ladder: &str| {
        let path = dir.path().join(format!("{name}.toml"));
        fs::write(&path, format!("{head}[[video]]{ladder}[[audio]]{tail}")).unwrap();
        let fresh = scratch();
        transcode(fresh.path(), &mezzanine, "title", &path, "--workers 1 --slots 2 --chunk-parts 1");
        digests(&fresh.path().join("title"))
    };
    let together = make("together", &ladder);
    for rendition in ladder.split("[[video]]") {
        let name = rendition.split('"').nth(1).unwrap();
        let alone = make(name, rendition);
        let single = Path::new("video").join(name);
        let segments: Vec<_> = alone.iter().filter(|(path, _)| path.starts_with(&single)).collect();
        assert!(segments.len() > 3, "{name}: {segments:?}");
        for (path, digest) in segments {
            assert_eq!(together.get(path), Some(digest), "{}", path.display());
        }
    }
}

#[test]
fn the_same_job_again_encodes_nothing() {
    let (dir, mezzanine) = (scratch(), fixtures::intra_avc());
    let title = dir.path().join("title");
    transcode(dir.path(), &mezzanine, "title", &profile("quick"), "");
    let first = (digests(&title), count(&report(&title), "renditions_encoded"));
    let stored = stored_parts(&dir.path().join("home"));

    // The title is there: it stays as it is.
    let written = fs::metadata(title.join("report.json")).unwrap().modified().unwrap();
    transcode(dir.path(), &mezzanine, "title", &profile("quick"), "");
    assert_eq!(fs::metadata(title.join("report.json")).unwrap().modified().unwrap(), written);

    // It was removed, or is wanted elsewhere: it is made of the parts that are there.
    fs::remove_dir_all(&title).unwrap();
    for name in ["title", "elsewhere"] {
        transcode(dir.path(), &mezzanine, name, &profile("quick"), "");
        let again = report(&dir.path().join(name));
        assert_same(&first.0, &digests(&dir.path().join(name)), name);
        assert_eq!(
            (count(&again, "renditions_encoded"), count(&again, "renditions_reused")),
            (0, first.1),
            "{name}"
        );
    }
    assert_eq!(stored_parts(&dir.path().join("home")), stored);
}

#[test]
fn changing_one_rendition_encodes_that_one_alone() {
    let (dir, mezzanine) = (scratch(), fixtures::hevc_cra_mp4());
    transcode(dir.path(), &mezzanine, "title", &profile("quick"), "");
    let text = fs::read_to_string(profile("quick")).unwrap();
    let changed = dir.path().join("changed.toml");
    fs::write(&changed, text.replace("rate = { crf = 24 }", "rate = { crf = 26 }")).unwrap();
    transcode(dir.path(), &mezzanine, "changed", &changed, "");

    let second = report(&dir.path().join("changed"));
    let parts = second["job"]["parts"].as_array().expect("a list of parts");
    for part in parts {
        let made =
            (part["renditions_encoded"].as_u64().unwrap(), part["renditions_reused"].as_u64().unwrap());
        // A part that was in two hands at once is encoded by one of them and found in the store by the other.
        assert!(made == (1, 1) || made == (0, 2), "{part:#}");
    }
    assert!(count(&second, "renditions_encoded") > 0);
    let (before, after) = (digests(&dir.path().join("title")), digests(&dir.path().join("changed")));
    let differs = |path: &str| before[Path::new(path)] != after[Path::new(path)];
    assert!(differs("video/180p/seg_00001.m4s") && !differs("video/360p/seg_00001.m4s"));
}

#[test]
fn a_new_cut_encodes_the_parts_that_touch_it() {
    let (dir, (first, second)) = (scratch(), fixtures::two_cuts(10));
    transcode(dir.path(), &first, "first", &profile("quick"), "");
    transcode(dir.path(), &second, "second", &profile("quick"), "");
    let report = report(&dir.path().join("second"));
    let parts = report["job"]["parts"].as_array().expect("a list of parts");
    let encoded: Vec<usize> = (0..parts.len()).filter(|&i| parts[i]["renditions_encoded"] != 0).collect();
    // Ten seconds from 10 s on are parts 5 to 9 of two seconds. The encoder looks half a second back and two ahead.
    assert!((5..=9).all(|part| encoded.contains(&part)), "{encoded:?}");
    assert!(encoded.iter().all(|part| (3..=10).contains(part)), "{encoded:?}");

    let fresh = scratch();
    transcode(fresh.path(), &second, "second", &profile("quick"), "");
    let (mixed, fresh) = (digests(&dir.path().join("second")), digests(&fresh.path().join("second")));
    assert_same(&mixed, &fresh, "a title of old and new parts");
}
