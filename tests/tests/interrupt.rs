//! A job that is asked to end stops in order, says how it goes on, and does.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::path::Path;

use reel_tests::reel::{Reel, report};
use reel_tests::tree::{assert_same, digests};
use reel_tests::{fixtures, profile, scratch};
use rustix::process::Signal;

#[test]
fn a_job_that_is_interrupted_is_kept_and_the_same_command_goes_on() {
    let mezzanine = fixtures::prores_mov();
    let job = |dir: &Path| {
        Reel::transcode(dir, &mezzanine.path, &dir.join("title"), &profile("quick")).arg("--json")
    };
    let undisturbed = scratch();
    let made = job(undisturbed.path()).run().success().json();
    for signal in [Signal::INT, Signal::TERM] {
        let dir = scratch();
        let running = job(dir.path()).start();
        running.wait_for_runner();
        running.send(signal);
        let ended = running.wait();
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("the same command goes on"), "{}", ended.stderr);
        assert!(!dir.path().join("title").exists());
        let again = job(dir.path()).run().success().json();
        let keys =
            |result: &serde_json::Value| result.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&again), keys(&made));
        let title = dir.path().join("title");
        assert_same(&digests(&title), &digests(&undisturbed.path().join("title")), "after an interruption");
        assert_eq!(report(&title)["job"]["parts_encoded_twice"], 0);
    }
}
