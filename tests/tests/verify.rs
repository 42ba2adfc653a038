//! `reel verify` finds what is wrong with a title, and says where; a title can only be replaced by a whole one.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::Path;

use reel_common::Digest;
use reel_tests::fixtures::{self, Fixture};
use reel_tests::reel::{Ended, Reel, report};
use reel_tests::tree::digests;
use reel_tests::{profile, scratch};
use rustix::process::Signal;

fn make(dir: &Path, mezzanine: &Fixture) -> std::path::PathBuf {
    let title = dir.join("title");
    Reel::transcode(dir, &mezzanine.path, &title, &profile("quick")).arg("--quiet").run().success();
    title
}

fn verify(dir: &Path, title: &Path, mezzanine: &Fixture) -> Ended {
    Reel::verify(dir, title, &mezzanine.path).run()
}

/// Fails with one message that holds every fragment.
fn assert_found(ended: &Ended, fragments: &[&str]) {
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.stdout, ended.stderr);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    for fragment in fragments {
        assert!(said.contains(fragment), "`{fragment}` is not in:\n{said}");
    }
}

/// Writes the digest and size of a changed file into the report, so that only the content can give the change away.
fn forge(title: &Path, changed: &[&str]) {
    let mut report = report(title);
    for file in report["files"].as_array_mut().unwrap() {
        let path = file["path"].as_str().unwrap().to_owned();
        if changed.contains(&path.as_str()) {
            let bytes = fs::read(title.join(&path)).unwrap();
            file["sha256"] = Digest::of(&bytes).to_string().into();
            file["bytes"] = bytes.len().into();
        }
    }
    fs::write(title.join("report.json"), report.to_string()).unwrap();
}

#[test]
fn verify_finds_what_is_wrong_with_a_title() {
    let (dir, (first, second)) = (scratch(), fixtures::two_cuts(10));
    let title = make(dir.path(), &first);
    verify(dir.path(), &title, &first).success();

    // Another film of the same length: its frames 240 to 479 are others.
    assert_found(&verify(dir.path(), &title, &second), &["240"]);

    // The single file is that of the other film; the segments are not.
    let single = "180p.mp4";
    let own = fs::read(title.join(single)).unwrap();
    let elsewhere = scratch();
    fs::copy(make(elsewhere.path(), &second).join(single), title.join(single)).unwrap();
    forge(&title, &[single]);
    assert_found(&verify(dir.path(), &title, &first), &["does not hold the samples of"]);
    fs::write(title.join(single), own).unwrap();
    forge(&title, &[single]);

    let (one, other) = ("video/180p/seg_00003.m4s", "video/180p/seg_00004.m4s");
    let (third, fourth) = (fs::read(title.join(one)).unwrap(), fs::read(title.join(other)).unwrap());
    let mut flipped = third.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(title.join(one), &flipped).unwrap();
    assert_found(&verify(dir.path(), &title, &first), &[one]);

    fs::write(title.join(one), &fourth).unwrap();
    fs::write(title.join(other), &third).unwrap();
    forge(&title, &[one, other]);
    assert_found(&verify(dir.path(), &title, &first), &["180p"]);

    fs::write(title.join(one), &third).unwrap();
    forge(&title, &[one]);
    fs::remove_file(title.join(other)).unwrap();
    assert_found(&verify(dir.path(), &title, &first), &[other]);
}

#[test]
fn verify_hears_that_the_sound_was_moved() {
    let (dir, mezzanine) = (scratch(), fixtures::prores_mov());
    let quick = fs::read_to_string(profile("quick")).unwrap();
    let segments_only = dir.path().join("segments.toml");
    fs::write(&segments_only, quick.replace("mp4 = true", "mp4 = false")).unwrap();
    let title = dir.path().join("title");
    Reel::transcode(dir.path(), &mezzanine.path, &title, &segments_only).arg("--quiet").run().success();
    verify(dir.path(), &title, &mezzanine).success();

    let header = "audio/stereo/init.mp4";
    let mut bytes = fs::read(title.join(header)).unwrap();
    let list = bytes.windows(4).position(|kind| kind == b"elst").unwrap();
    // Version and flags, the number of edits, a duration, and the low half of the media time.
    let media_time = if bytes[list + 4] == 0 { list + 16 } else { list + 24 };
    let place = &mut bytes[media_time..media_time + 4];
    let moved = u32::from_be_bytes(place.try_into().unwrap()) - 1500;
    place.copy_from_slice(&moved.to_be_bytes());
    fs::write(title.join(header), bytes).unwrap();
    forge(&title, &[header]);
    assert_found(&verify(dir.path(), &title, &mezzanine), &["audio/stereo has a gap at sample 0"]);
}

#[test]
fn a_second_job_does_not_enter_a_home_that_is_at_work() {
    let (dir, mezzanine) = (scratch(), fixtures::prores_mov());
    let job = |work: &Path| {
        let output = work.join("title");
        Reel::transcode(work, &mezzanine.path, &output, &profile("quick")).arg("--quiet").arg("--home")
    };
    let home = dir.path().join("home");
    let running = job(dir.path()).arg(&home).start();
    running.wait_for_runner();
    // It stands still, so that it cannot have ended before the second has asked.
    running.send(Signal::STOP);
    let second = scratch();
    let refused = job(second.path()).arg(&home).run();
    running.send(Signal::CONT);
    assert_eq!(refused.code, Some(5), "{}", refused.stderr);
    assert!(refused.stderr.contains("home"), "{}", refused.stderr);
    running.wait().success();
}

#[test]
fn a_title_is_replaced_by_a_new_one_as_a_whole() {
    let (dir, (first, second)) = (scratch(), fixtures::two_cuts(10));
    let title = make(dir.path(), &first);
    let before = digests(&title);
    make(dir.path(), &second);
    let after = digests(&title);
    assert_ne!(before, after);
    verify(dir.path(), &title, &second).success();
    let beside: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!beside.iter().any(|name| name.to_string_lossy().starts_with('.')), "{beside:?}");
}
