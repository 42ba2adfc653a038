//! Titles go to object stores: whole or not at all, whoever dies, whatever the network does, and never over foreign files.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use reel_common::Digest;
use reel_tests::clouds::{Azure, Gcs, S3, Variables};
use reel_tests::farm::Farm;
use reel_tests::reel::{Reel, until};
use reel_tests::tree::{assert_same, digests, files};
use reel_tests::weather::{Fault, Weather};
use reel_tests::{Dice, fixtures, profile, scratch, small_profile};
use tempfile::TempDir;

const TITLE: &str = "s3://media/titles/a";

/// What `reel transcode` delivers to a folder.
fn to_a_folder(mezzanine: &Path, profile: &Path) -> BTreeMap<PathBuf, Digest> {
    let dir = scratch();
    let output = dir.path().join("title");
    Reel::transcode(dir.path(), mezzanine, &output, profile).args("--quiet").run().success();
    digests(&output)
}

/// A folder of buckets, and where [`TITLE`] lies in it.
fn buckets() -> (TempDir, PathBuf) {
    let buckets = scratch();
    fs::create_dir(buckets.path().join("media")).unwrap();
    let title = buckets.path().join("media/titles/a");
    (buckets, title)
}

fn transcode(home: &Path, mezzanine: &Path, output: &str, environment: Variables) -> Reel {
    Reel::transcode(home, mezzanine, Path::new(output), &profile("quick")).arg("--json").env(environment)
}

fn written(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

#[test]
fn a_title_reaches_a_bucket_in_a_storm_although_its_worker_dies_on_the_way() {
    let dice = Dice::from_env();
    println!("replay with REEL_TEST_SEED={}", dice.seed);
    let ((buckets, title), mezzanine) = (buckets(), fixtures::prores_mov().path);
    let server = S3::serve_in(buckets.path(), Weather::storm(dice, 60, &Fault::ALL));
    let mut farm =
        Farm::builder().workers(1).store("s3://media/farm").env(server.environment(S3::SECRET)).start();
    let quick = profile("quick");
    let words = format!("submit {} {TITLE} --profile {} --json", mezzanine.display(), quick.display());
    let job = farm.reel(&words).run().success().json()["job"].as_u64().unwrap();
    until("a file of the title", Duration::from_secs(120), || title.join(".reel-delivery.json").exists());
    farm.kill_worker(0);
    assert!(!title.join("master.m3u8").exists(), "players find no half of a title");
    farm.start_worker(0);
    let done = farm.wait(job);
    assert_eq!((&done["state"], &done["parts_encoded_twice"]), (&"done".into(), &0.into()), "{done}");
    assert_same(&digests(&title), &to_a_folder(&mezzanine, &profile("quick")), "delivered to a bucket");
    // What players begin with came last.
    let master = written(&title.join("master.m3u8"));
    assert!(files(&title).iter().all(|path| written(&title.join(path)) <= master));
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(title.join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["job"]["id"], &report["job"]["output"]), (&job.into(), &TITLE.into()));
}

#[test]
fn a_title_replaces_an_earlier_one_and_nothing_else() {
    let ((buckets, title), dir) = (buckets(), scratch());
    let (first, second) = (fixtures::prores_mov().path, fixtures::h264_bframes_editlist_mp4().path);
    let server = S3::serve(buckets.path());
    let environment = || server.environment(S3::SECRET);
    transcode(dir.path(), &first, TITLE, environment()).run().success();
    let wanted = to_a_folder(&first, &profile("quick"));
    assert_same(&digests(&title), &wanted, "the first");
    let again = transcode(dir.path(), &first, TITLE, environment()).run().success();
    assert_eq!(again.json()["already_done"], true);
    // A neighbour whose name begins alike is no part of it.
    fs::create_dir(title.with_file_name("a-trailer")).unwrap();
    fs::write(title.with_file_name("a-trailer").join("x"), "x").unwrap();
    let smaller = small_profile(dir.path(), "smaller", "[package]\nhls = true\nbyte_ranges = true");
    let other = Reel::transcode(dir.path(), &second, Path::new(TITLE), &smaller).arg("--json");
    other.env(environment()).run().success();
    let replaced = to_a_folder(&second, &smaller);
    assert!(wanted.keys().any(|path| !replaced.contains_key(path)), "the second has no single files");
    assert_same(&digests(&title), &replaced, "the second");
    assert!(title.with_file_name("a-trailer").join("x").exists());

    fs::create_dir(title.with_file_name("photos")).unwrap();
    fs::write(title.with_file_name("photos").join("one.jpg"), "x").unwrap();
    let refused = transcode(dir.path(), &first, "s3://media/titles/photos", environment()).run();
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("not delivered by reel, such as one.jpg"), "{}", refused.stderr);
    assert_eq!(files(&title.with_file_name("photos")), [PathBuf::from("one.jpg")]);
}

#[test]
fn every_cloud_takes_a_title_and_keeps_its_secret() {
    let (mezzanine, (buckets, _)) = (fixtures::prores_mov().path, buckets());
    let (google, azure) = (Gcs::serve(buckets.path()), Azure::serve("media"));
    for (output, environment, secret) in [
        ("gs://media/titles/g", google.environment(Gcs::SECRET), Gcs::SECRET),
        ("az://media/titles/z", azure.environment(Azure::SECRET), Azure::SECRET),
    ] {
        let dir = scratch();
        transcode(dir.path(), &mezzanine, output, environment.clone()).run().success();
        // It is read again: the report that lies there is that of the job.
        let again = transcode(dir.path(), &mezzanine, output, environment.clone()).run().success();
        assert_eq!(again.json()["already_done"], true, "{output}");
        for path in files(dir.path()) {
            let bytes = fs::read(dir.path().join(&path)).unwrap();
            let told = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!told, "{} tells the secret", path.display());
        }
    }
    let nowhere =
        transcode(scratch().path(), &mezzanine, "az://nowhere/z", azure.environment(Azure::SECRET)).run();
    assert_eq!(
        (nowhere.code, nowhere.stderr.contains("make it first")),
        (Some(3), true),
        "{}",
        nowhere.stderr
    );
    assert_same(
        &digests(&buckets.path().join("media/titles/g")),
        &to_a_folder(&mezzanine, &profile("quick")),
        "in Google's cloud",
    );
}

#[test]
fn a_bucket_that_cannot_be_written_is_told_before_anything_is_encoded() {
    let ((buckets, title), dir, mezzanine) = (buckets(), scratch(), fixtures::prores_mov().path);
    let server = S3::serve(buckets.path());
    for (output, secret, code, says) in [
        (TITLE, "not-the-secret-at-all", 3, "credentials in the environment"),
        ("s3://media", S3::SECRET, 2, "it names no folder in the bucket"),
        ("https://host/titles/a", S3::SECRET, 2, "give a folder, or an s3://, gs:// or az:// URL"),
        ("memory:///t", S3::SECRET, 2, "give a folder, or an s3://, gs:// or az:// URL"),
        ("s3://key:not-the-secret-at-all@media/a", S3::SECRET, 2, "credentials in the environment"),
    ] {
        let refused = transcode(dir.path(), &mezzanine, output, server.environment(secret)).run();
        assert_eq!((refused.code, refused.stderr.contains(says)), (Some(code), true), "{}", refused.stderr);
        assert!(!refused.stderr.contains("not-the-secret-at-all"), "{}", refused.stderr);
    }
    assert!(!title.exists());
}

#[test]
fn what_a_job_works_with_and_what_others_delivered_is_never_removed() {
    let ((buckets, title), dir, mezzanine) = (buckets(), scratch(), fixtures::prores_mov().path);
    let server = S3::serve(buckets.path());
    let environment = || server.environment(S3::SECRET);
    fs::create_dir_all(&title).unwrap();
    fs::copy(&mezzanine, title.join("source.mov")).unwrap();
    let source = format!("{TITLE}/source.mov");
    let refused = transcode(dir.path(), Path::new(&source), TITLE, environment()).run();
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("which the job works with"), "{}", refused.stderr);
    assert!(title.join("source.mov").exists());
    fs::remove_dir_all(&title).unwrap();

    // A title inside of another, and a picture that somebody put beside it, outlive its replacement; so they do where the URL is
    // written in another way.
    transcode(dir.path(), &mezzanine, TITLE, environment()).run().success();
    transcode(dir.path(), &mezzanine, &format!("{TITLE}/trailer"), environment()).run().success();
    fs::write(title.join("mine.jpg"), "x").unwrap();
    let inside = digests(&title.join("trailer"));
    let smaller = small_profile(dir.path(), "smaller", "[package]\nhls = true");
    let other = "s3://media/titles/x/../a/";
    let replaced =
        Reel::transcode(dir.path(), &mezzanine, Path::new(other), &smaller).arg("--json").env(environment());
    assert_eq!(replaced.run().success().json()["output"], TITLE);
    assert_same(&digests(&title.join("trailer")), &inside, "the title inside");
    assert!(title.join("mine.jpg").exists() && !title.join("360p.mp4").exists());

    // Anything that is called as a claim is not one.
    let photos = title.with_file_name("photos");
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join(".reel-delivery.json"), "x").unwrap();
    fs::write(photos.join("one.jpg"), "x").unwrap();
    let refused = transcode(dir.path(), &mezzanine, "s3://media/titles/photos", environment()).run();
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(photos.join("one.jpg").exists());
}

#[test]
fn a_replacement_that_is_broken_off_leaves_no_title_and_the_later_job_wins() {
    let ((buckets, title), dir) = (buckets(), scratch());
    let (first, second) = (fixtures::prores_mov().path, fixtures::h264_bframes_editlist_mp4().path);
    let server = S3::serve(buckets.path());
    let environment = || server.environment(S3::SECRET);
    let both = small_profile(dir.path(), "both", "[package]\nhls = true\ndash = true");
    let smaller = small_profile(dir.path(), "smaller", "[package]\nhls = true");
    let make = |mezzanine: &Path, profile: &Path| {
        Reel::transcode(dir.path(), mezzanine, Path::new(TITLE), profile).arg("--json").env(environment())
    };
    make(&first, &both).run().success();
    let running = make(&second, &smaller).start();
    until("the second delivery to begin", Duration::from_secs(60), || {
        title.join(".reel-delivery.json").exists() && !title.join("manifest.mpd").exists()
    });
    running.kill_group();
    if title.join(".reel-delivery.json").exists() {
        assert!(!title.join("report.json").exists() || title.join("master.m3u8").exists());
        assert!(!title.join("manifest.mpd").exists());
    }
    // What was there before is made anew, not said to be there.
    let again = make(&first, &both).run().success();
    assert_eq!(again.json()["already_done"], false);
    assert_same(&digests(&title), &to_a_folder(&first, &both), "the first once more");
    // A job that was submitted later has begun: this one gives way.
    let later = r#"{"id":99,"submitted_ms":9999999999999,"assembly":"0000000000000000000000000000000000000000000000000000000000000000"}"#;
    fs::write(title.join(".reel-delivery.json"), later).unwrap();
    let refused = make(&second, &smaller).run();
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("job 99 delivers to"), "{}", refused.stderr);
}
