//! `reel doctor` finds nothing to mend where all is well, and each trouble where it was made.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use reel_tests::clouds::S3;
use reel_tests::disk::SmallDisk;
use reel_tests::farm::Farm;
use reel_tests::reel::{Reel, program, until};
use reel_tests::scratch;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// What a run found: every check that is in that state, as `area/check: found`.
fn found(reel: Reel, state: &str) -> Vec<String> {
    let ended = reel.arg("--json").run();
    let said: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    let fails = said["fail"].as_u64().unwrap();
    assert_eq!(ended.code, Some(i32::from(fails > 0)), "{ended:?}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = said["checks"].as_array().unwrap().iter().filter(|check| check["state"] == state);
    let line = |check: &Value| {
        let [area, name, found] = ["area", "check", "found"].map(|key| text(&check[key]));
        assert_eq!(check["advice"].is_null(), state == "ok", "{check}");
        format!("{area}/{name}: {found}")
    };
    checks.map(line).collect()
}

fn doctor(dir: &Path, line: &str) -> Reel {
    Reel::new(dir, ["doctor"]).args(line)
}

/// The one check that fails.
fn failure(reel: Reel) -> String {
    let fails = found(reel, "fail");
    assert_eq!(fails.len(), 1, "{fails:#?}");
    fails.into_iter().next().unwrap()
}

fn assert_says(said: &str, words: &[&str]) {
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
}

#[test]
fn a_farm_that_is_well_has_nothing_to_mend() {
    let farm = Farm::builder().schedulers(3).workers(2).start();
    let folder = farm.shared().display();
    let line = format!("doctor --data {folder} --store {folder} --output {folder}/titles/a");
    assert_eq!(found(farm.reel(&line), "fail"), [""; 0]);
    let well = found(farm.reel(&line), "ok");
    for check in [
        "host/processors: ",
        "host/scratch: ",
        "codecs/runner: ",
        "codecs/encoders: h264",
        "codecs/decoders: ",
        "store/trial: ",
        "output/trial: ",
        "farm/scheduler 1: ",
        "farm/scheduler 2, version: ",
        "farm/scheduler 3, clock: ",
        "farm/cluster: 3 voting",
        "farm/workers: 2 of 2",
    ] {
        assert!(well.iter().any(|line| line.starts_with(check)), "{check} in {well:#?}");
    }
    // It leaves nothing behind.
    let left = |name: &str| farm.shared().join(name).exists();
    assert!(
        !left("titles")
            && fs::read_dir(farm.shared())
                .unwrap()
                .all(|entry| { !entry.unwrap().file_name().to_string_lossy().starts_with(".reel-doctor") })
    );
    let people = farm.reel("doctor").run().success().stdout;
    assert_says(&people, &["OK    farm    workers", "0 failed"]);
}

#[test]
fn a_runner_that_is_missing_broken_or_of_another_version_is_found() {
    let dir = scratch();
    let runner = |path: &Path| [("REEL_RUNNER", path.display().to_string())];
    let missing = failure(doctor(dir.path(), "").env(runner(&dir.path().join("nowhere"))));
    assert_says(&missing, &["codecs/runner", "nowhere"]);
    let script = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let broken = script("broken", "echo libx265.so.199: cannot open >&2; exit 127");
    assert_says(&failure(doctor(dir.path(), "").env(runner(&broken))), &["codecs/runner", "libx265.so.199"]);
    let real = program("reel-runner");
    let old = script("old", &format!("test $1 = --version && echo 0.0.1 || exec {} $1", real.display()));
    assert_says(&failure(doctor(dir.path(), "").env(runner(&old))), &["codecs/runner", "0.0.1"]);
}

#[test]
fn a_folder_that_is_full_or_not_ours_and_few_open_files_are_found() {
    let dir = scratch();
    let disk = SmallDisk::new(8);
    disk.fill(0);
    let data = |folder: &Path| format!("--data {}", folder.display());
    let full = failure(doctor(dir.path(), &data(disk.path())));
    assert_says(&full, &["host/scratch", "is full"]);
    disk.free();
    assert_says(&failure(doctor(dir.path(), &data(disk.path()))), &["host/scratch", "on tmpfs"]);
    let few = SmallDisk::for_files(1);
    assert_says(&failure(doctor(dir.path(), &data(few.path()))), &["host/scratch", "is full"]);

    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let closed = open.path().join("closed");
    fs::create_dir(&closed).unwrap();
    let refused = Reel::unprivileged(open.path(), ["doctor"]).args(&data(&closed));
    assert_says(&failure(refused), &["host/scratch", "cannot be written"]);
    let output = Reel::unprivileged(open.path(), ["doctor"]).args(&data(open.path())).arg("--output");
    assert_says(&failure(output.arg(closed.join("title"))), &["output/trial", "cannot be written"]);
    let store = Reel::unprivileged(open.path(), ["doctor"]).args(&data(open.path())).arg("--store");
    assert_says(&failure(store.arg(&closed)), &["store/trial", "ermission denied"]);

    let few = ["prlimit", "--nofile=256:256"].map(OsString::from).to_vec();
    assert_says(&failure(Reel::behind(few, dir.path(), ["doctor"])), &["host/open files", "256"]);
}

#[test]
fn a_store_that_cannot_be_used_is_found() {
    let dir = scratch();
    let buckets = scratch();
    fs::create_dir(buckets.path().join("media")).unwrap();
    let mut server = S3::serve(buckets.path());
    let ask =
        |server: &S3, secret: &str, more: &str| doctor(dir.path(), more).env(server.environment(secret));
    let url = "--store s3://media/farm --output s3://media/titles/a";
    assert_eq!(found(ask(&server, S3::SECRET, url), "fail"), [""; 0]);
    let left: Vec<_> = reel_tests::tree::files(&buckets.path().join("media"));
    let left = left.iter().filter(|path| path.to_string_lossy().contains("trial"));
    assert_eq!(left.count(), 0, "the trial is removed");
    let wrong = found(ask(&server, "wrong", url), "fail");
    assert!(
        wrong.len() == 2 && wrong[0].starts_with("store/") && wrong[1].starts_with("output/"),
        "{wrong:#?}"
    );
    assert!(!wrong.join("").contains(S3::SECRET));
    assert_says(
        &failure(ask(&server, S3::SECRET, "--store s3://nowhere/farm")),
        &["store/trial", "does not exist"],
    );
    let missing = format!("--store {}", dir.path().join("not-mounted").display());
    assert_says(&failure(doctor(dir.path(), &missing)), &["store/trial", "not-mounted"]);
    assert!(!dir.path().join("not-mounted").exists(), "what is to be mounted is not made");
    assert_says(&failure(doctor(dir.path(), "--output https://host/title")), &["output/trial"]);
    server.go_away();
    assert_says(&failure(ask(&server, S3::SECRET, "--store s3://media/farm")), &["store/trial"]);
}

#[test]
fn schedulers_that_are_dead_full_or_of_another_farm_are_found() {
    let disk = SmallDisk::new(200);
    let mut farm = Farm::builder().schedulers(3).workers(1).folder(2, disk.path()).start();
    assert_says(&failure(farm.reel("doctor")), &["farm/scheduler 3, disk", "free"]);
    farm.kill_scheduler(2);
    farm.leader();
    // One name is enough: the others are members.
    let first = farm.servers().split(',').next().unwrap().to_owned();
    let dead = failure(farm.reel(&format!("doctor --server {first}")));
    assert_says(&dead, &["farm/scheduler: ", "Connection refused"]);

    let other = Farm::builder().start();
    let both = format!("doctor --server {},{}", farm.servers(), other.servers());
    assert_says(&found(farm.reel(&both), "fail").join("\n"), &["farm/cluster", "2 clusters"]);

    farm.kill_scheduler(1);
    let alone = || found(farm.reel("doctor"), "fail").join("\n");
    until("the lone one to see that nobody leads", PATIENCE, || alone().contains("farm/leader"));
    assert_says(&alone(), &["farm/scheduler 1", "not ready"]);
}

#[test]
fn workers_that_take_no_work_are_found() {
    let mut farm = Farm::builder().workers(2).start();
    farm.reel("worker quarantine w1").run().success();
    let told = found(farm.reel("doctor"), "warn").join("\n");
    assert_says(&told, &["farm/workers, quarantined: w1"]);
    farm.kill_worker(1);
    until("a silent worker", PATIENCE, || {
        found(farm.reel("doctor"), "warn").join("\n").contains("farm/workers, silent: w2")
    });
    assert_says(&failure(farm.reel("doctor")), &["farm/workers: 0 of"]);
}
