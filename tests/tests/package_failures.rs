//! Whatever happens between the parts of a title and its place, there is a whole title or none: a clear failure, nothing at
//! OUTPUT, nothing left beside it, and a farm that goes on.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reel_common::Digest;
use reel_tests::clouds::S3;
use reel_tests::disk::SmallDisk;
use reel_tests::farm::Farm;
use reel_tests::key_server::{Answer, KeyServer};
use reel_tests::reel::{Reel, report, until};
use reel_tests::tree::{assert_same, digests, files};
use reel_tests::{fixtures, profile, scratch, small_profile};
use serde_json::Value;

/// Attempts that a stage needs to give up, with their waits, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
const KEYS: &str = "00000000000000000000000000000001:5fa3c1e07b924d68a1b2c3d4e5f60718";
/// The key of [`KEYS`] under the same id, but for its last digit.
const OTHER_KEYS: &str = "00000000000000000000000000000001:5fa3c1e07b924d68a1b2c3d4e5f60719";

/// What `reel transcode` makes of a mezzanine.
fn by_one_process(mezzanine: &Path, profile: &Path) -> BTreeMap<PathBuf, Digest> {
    let dir = scratch();
    let output = dir.path().join("title");
    Reel::transcode(dir.path(), mezzanine, &output, profile).args("--quiet").run().success();
    digests(&output)
}

/// Submits a job to a place, and gives its number.
fn submit(farm: &Farm, mezzanine: &Path, output: &Path, profile: &Path) -> u64 {
    let submit = farm.reel("submit").arg(mezzanine).arg(output).arg("--profile").arg(profile);
    submit.arg("--json").run().success().json()["job"].as_u64().unwrap()
}

/// What stands in the way of a job.
fn obstacles(farm: &Farm, job: u64) -> String {
    let explained = farm.reel(&format!("job explain {job} --json")).run().success().json();
    explained["obstacles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|obstacle| obstacle["message"].to_string())
        .collect()
}

/// Waits until a job waits, and says for all of these reasons why.
fn until_it_waits(farm: &Farm, job: u64, says: &[&str]) {
    let mut told = String::new();
    until("a job that waits", PATIENCE, || {
        let view = farm.job(job);
        assert!(
            view["state"] == "running" || view["state"] == "queued",
            "it waits and does not fail: {view}"
        );
        told = obstacles(farm, job);
        says.iter().all(|text| told.contains(text))
    });
}

/// Another job gets through.
fn assert_goes_on(farm: &Farm) {
    let dir = scratch();
    let other = small_profile(dir.path(), "other", "[package]\nhls = true");
    let job = farm.submit(fixtures::city().path, "other", &other, "");
    assert_eq!(farm.wait(job)["state"], "done");
}

fn assert_done(farm: &Farm, job: u64, output: &Path, wanted: &BTreeMap<PathBuf, Digest>) -> Value {
    let done = farm.wait(job);
    assert_eq!(done["state"], "done", "{done}");
    assert_same(&digests(output), wanted, "in the end");
    done
}

/// Files and folders in a folder, but for what fills the disk.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "ballast").collect()
}

/// The parts in a store, the largest first.
fn parts(store: &Path) -> Vec<PathBuf> {
    let parts = files(store).into_iter().map(|path| store.join(path));
    let mut parts: Vec<PathBuf> =
        parts.filter(|path| path.extension().is_some_and(|kind| kind == "m4s")).collect();
    parts.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    parts
}

fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_to_committed_parts_is_mended_and_a_full_disk_is_waited_for() {
    let mezzanine = fixtures::prores_mov().path;
    let wanted = by_one_process(&mezzanine, &profile("quick"));
    let (farm, disk) = (Farm::builder().start(), SmallDisk::new(64));
    let output = disk.path().join("title");
    disk.fill(64 << 10);
    let job = submit(&farm, &mezzanine, &output, &profile("quick"));
    let place = disk.path().display().to_string();
    until_it_waits(&farm, job, &["not enough space in", &place, "free some space there"]);
    assert_eq!(names(disk.path()), Vec::<String>::new());
    let committed = farm.job(job)["parts_committed"].clone();

    // Meanwhile everything that may happen to parts happens: one is another's, one is gone, one has another bit, one is cut.
    let store = farm.shared().join("store/parts");
    let found = parts(&store);
    assert!(found.len() >= 8, "{found:?}");
    fs::copy(&found[5], &found[0]).unwrap();
    fs::remove_file(&found[1]).unwrap();
    flip_a_byte(&found[2]);
    fs::File::options().write(true).open(&found[3]).unwrap().set_len(1000).unwrap();
    assert_goes_on(&farm);
    disk.free();
    let done = assert_done(&farm, job, &output, &wanted);
    assert_eq!(done["parts_committed"], committed, "{done}");
    assert_eq!(names(disk.path()), ["title"]);
    let attempts = report(&output)["job"]["attempts"].to_string();
    assert!(attempts.contains("in the store are not what was committed: they are made again"), "{attempts}");
}

#[test]
fn a_disk_that_fills_while_a_title_is_assembled_leaves_nothing_and_is_waited_for() {
    let mezzanine = fixtures::prores_mov().path;
    let wanted = by_one_process(&mezzanine, &profile("quick"));
    // There is enough room for the bytes, and then no room for a file's name.
    let (farm, disk) = (Farm::builder().start(), SmallDisk::for_files(12));
    let output = disk.path().join("title");
    let job = submit(&farm, &mezzanine, &output, &profile("quick"));
    until_it_waits(&farm, job, &["not enough space in", "No space left on device", "free some space there"]);
    assert_eq!(names(disk.path()), Vec::<String>::new());
    assert_goes_on(&farm);
    disk.allow_files();
    assert_done(&farm, job, &output, &wanted);
    assert_eq!(names(disk.path()), ["title"]);
}

#[test]
fn a_title_for_a_bucket_waits_for_room_in_the_scratch_of_its_worker() {
    let (mezzanine, buckets, disk) = (fixtures::prores_mov().path, scratch(), SmallDisk::new(64));
    let wanted = by_one_process(&mezzanine, &profile("quick"));
    let title = buckets.path().join("media/titles/a");
    fs::create_dir(buckets.path().join("media")).unwrap();
    let server = S3::serve(buckets.path());
    let mut farm = Farm::builder().workers(0).env(server.environment(S3::SECRET)).start();
    std::os::unix::fs::symlink(disk.path(), farm.shared().join("small")).unwrap();
    // There is room for the parts on their way to the store, which lies elsewhere, and none for the tree.
    disk.fill(3 << 20);
    farm.add_worker("small", "");
    let job = submit(&farm, &mezzanine, Path::new("s3://media/titles/a"), &profile("quick"));
    until_it_waits(&farm, job, &["not enough space in", "scratch", "free some space there"]);
    let delivered = || if title.exists() { files(&title) } else { Vec::new() };
    assert_eq!(delivered(), Vec::<PathBuf>::new());
    assert_goes_on(&farm);
    assert_eq!(names(&disk.path().join("scratch")), [".lock"]);
    disk.free();
    assert_done(&farm, job, &title, &wanted);
}

/// A profile with two renditions whose keys lie at a URL.
fn protected(dir: &Path, keys: &str) -> PathBuf {
    let rules = format!(
        "[package]\nhls = true\ndash = true\n[encryption]\nscheme = \"cbcs\"\nkeys = \"{keys}\"\nsystems = [\"widevine\"]\n"
    );
    small_profile(dir, "protected", &rules)
}

fn keys(text: &str) -> Answer {
    Answer::Keys(text.into())
}

/// The keys are there when the job begins, and are not when the title is assembled.
fn waits_for_keys(instead: Answer, says: &[&str]) {
    let (dir, mezzanine) = (scratch(), fixtures::prores_mov().path);
    let mut server = KeyServer::serve([keys(KEYS), instead]);
    let profile = protected(dir.path(), &server.url());
    let farm = Farm::builder().start();
    let job = farm.submit(&mezzanine, "a", &profile, "");
    until_it_waits(&farm, job, says);
    assert_eq!(names(&farm.shared().join("titles")), Vec::<String>::new());
    assert_goes_on(&farm);
    server.answer(keys(KEYS));
    assert_eq!(farm.wait(job)["state"], "done");
    assert_same(&digests(&farm.output("a")), &by_one_process(&mezzanine, &profile), "the keys came back");
}

#[test]
fn a_key_server_that_is_down_is_waited_for() {
    waits_for_keys(Answer::Away, &["title.keys cannot be read now", "refused", "wait for the server"]);
}

#[test]
fn a_key_server_that_is_broken_is_waited_for() {
    let broken = Answer::Withheld(KEYS.into());
    waits_for_keys(broken, &["title.keys cannot be read now", "500", "wait for the server"]);
}

#[test]
fn what_are_no_keys_is_refused_before_anything_is_encoded() {
    let mezzanine = fixtures::city().path;
    let noise: Vec<u8> = (0..4096u32).map(|at| ((at * 7919) >> 3) as u8 | 0x80).collect();
    let page = "<!doctype html><html><body>Log in to see your keys</body></html>";
    for (answer, says) in [
        (Answer::Status("404 Not Found"), "title.keys does not exist"),
        (Answer::Status("403 Forbidden"), "check its permissions or the credentials in the environment"),
        (Answer::Keys(Vec::new()), "title.keys is empty"),
        (Answer::Keys(noise), "they are no text"),
        (keys(page), "the keys in http://127.0.0.1"),
        (keys("no keys today"), "line 1 of the keys"),
        (keys(&KEYS[..60]), "line 1 of the keys"),
        (keys("# none yet\n"), "there is no key"),
        (Answer::Keys(vec![b'#'; 2 << 20]), "at most 1048576 are read"),
        (Answer::Endless(KEYS.into()), "the server sent other bytes than it was asked for"),
    ] {
        let (dir, what) = (scratch(), format!("{answer:?}"));
        let server = KeyServer::serve([answer]);
        let (profile, output) = (protected(dir.path(), &server.url()), dir.path().join("title"));
        let ended = Reel::transcode(dir.path(), &mezzanine, &output, &profile).args("--quiet").run();
        let what = &what[..what.len().min(60)];
        assert_eq!((ended.code, ended.stderr.contains(says)), (Some(3), true), "{what}: {}", ended.stderr);
        assert!(ended.stderr.contains("index/0"), "{what}: {}", ended.stderr);
        assert!(!ended.stderr.contains("5fa3c1e07b92") && server.opened() > 0, "{what}: {}", ended.stderr);
        assert!(!output.exists() && parts(&dir.path().join("home")).is_empty(), "{what}");
    }
}

#[test]
fn keys_that_change_between_assembly_and_proof_fail_the_job() {
    let (dir, mezzanine) = (scratch(), fixtures::city().path);
    // One for the index, one for assemble; then another.
    let server = KeyServer::serve([keys(KEYS), keys(KEYS), keys(OTHER_KEYS)]);
    let (profile, output) = (protected(dir.path(), &server.url()), dir.path().join("titles/a"));
    let ended = Reel::transcode(dir.path(), &mezzanine, &output, &profile).args("--quiet").run();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("is not what it is when it is decrypted"), "{}", ended.stderr);
    assert_eq!(names(&dir.path().join("titles")), Vec::<String>::new());
}
