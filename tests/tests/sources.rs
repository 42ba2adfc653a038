//! A mezzanine behind HTTP or S3 is read where it lies, by ranges, and gives the same title. One that changes meanwhile is
//! refused.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use reel_tests::clouds::S3;
use reel_tests::fixtures::{self, Fixture};
use reel_tests::reel::{Ended, Reel, report, until};
use reel_tests::servers::Http;
use reel_tests::tree::{assert_same, digests, files, stored_parts};
use reel_tests::{profile, scratch};

fn job(work: &Path, mezzanine: &str) -> Reel {
    Reel::transcode(work, mezzanine, &work.join("title"), &profile("quick")).args("--quiet")
}

/// The title of the mezzanine as it lies on the disk.
fn local(mezzanine: &Fixture) -> tempfile::TempDir {
    let dir = scratch();
    job(dir.path(), mezzanine.path.to_str().unwrap()).run().success();
    dir
}

fn assert_like_local(work: &Path, mezzanine: &Fixture) {
    let (made, wanted) = (work.join("title"), local(mezzanine));
    let wanted = wanted.path().join("title");
    assert_same(&digests(&made), &digests(&wanted), "read from a server");
    // Index, sound and pictures, each read twice, with some room for blocks of which a part is needed.
    let (size, read) = (fs::metadata(&mezzanine.path).unwrap().len(), source_bytes_read(&made));
    assert!(read >= size && read < 5 * size + (16 << 20), "{read} of {size} bytes were read");
}

fn source_bytes_read(title: &Path) -> u64 {
    report(title)["job"]["source_bytes_read"].as_u64().unwrap()
}

#[test]
fn a_mezzanine_behind_http_gives_the_same_title() {
    let (dir, mezzanine) = (scratch(), fixtures::hevc_cra_mp4());
    let server = Http::serve(mezzanine.path.parent().unwrap(), &dir.path().join("server.log"));
    let url = server.url(mezzanine.path.file_name().unwrap().to_str().unwrap());
    job(dir.path(), &url).run().success();
    let title = dir.path().join("title");
    Reel::verify(dir.path(), &title, &url).run().success();
    assert_like_local(dir.path(), &mezzanine);

    let missing = job(dir.path(), &server.url("nothing.mov")).run();
    assert_refused(&missing, 4, &["nothing.mov does not exist"]);
}

#[test]
fn a_mezzanine_in_s3_gives_the_same_title_and_secrets_stay_out_of_everything_that_is_written() {
    let (dir, buckets, mezzanine) = (scratch(), scratch(), fixtures::prores_mov());
    fs::create_dir_all(buckets.path().join("masters/reels")).unwrap();
    fs::copy(&mezzanine.path, buckets.path().join("masters/reels/one two.mov")).unwrap();
    let server = S3::serve(buckets.path());
    let (url, work) = ("s3://masters/reels/one two.mov", dir.path());
    job(work, url)
        .env(server.environment(S3::SECRET))
        .env([("REEL_LOG", "trace".to_owned())])
        .run()
        .success();
    assert_like_local(work, &mezzanine);
    for path in files(work) {
        let bytes = fs::read(work.join(&path)).unwrap();
        let secret = S3::SECRET.as_bytes();
        assert!(!bytes.windows(secret.len()).any(|found| found == secret), "{} tells", path.display());
    }

    let elsewhere = scratch();
    let refused = job(elsewhere.path(), url).env(server.environment("not-the-secret")).run();
    let says = ["masters/reels/one two.mov may not be read", "credentials in the environment"];
    assert_refused(&refused, 1, &says);
}

#[test]
fn a_mezzanine_that_is_replaced_while_the_job_is_at_work_is_refused() {
    let (dir, (first, second)) = (scratch(), fixtures::two_cuts(10));
    let mezzanine = dir.path().join("master.mov");
    fs::copy(&first.path, &mezzanine).unwrap();
    let one_at_a_time = "--workers 1 --slots 1 --chunk-parts 1";
    let running = job(dir.path(), mezzanine.to_str().unwrap()).args(one_at_a_time).start();
    until("an encoded part", Duration::from_secs(120), || !stored_parts(&dir.path().join("home")).is_empty());
    // Nothing that is at work is told: it has the old file open.
    let new = dir.path().join("new.mov");
    fs::copy(&second.path, &new).unwrap();
    fs::rename(new, &mezzanine).unwrap();
    assert_refused(&running.wait(), 3, &["master.mov changed since it was indexed", "submit it again"]);
    assert!(!dir.path().join("title").exists());

    job(dir.path(), mezzanine.to_str().unwrap()).run().success();
    let other = local(&second);
    assert_same(
        &digests(&dir.path().join("title")),
        &digests(&other.path().join("title")),
        "submitted again",
    );
}

fn assert_refused(ended: &Ended, code: i32, fragments: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    for fragment in fragments {
        assert!(ended.stderr.contains(fragment), "`{fragment}` is not in:\n{}", ended.stderr);
    }
}
