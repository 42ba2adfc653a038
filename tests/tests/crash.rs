//! A codec that crashes takes its runner along and nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::time::Duration;

use reel_tests::reel::{Reel, report, runners, send, state, until};
use reel_tests::tree::{assert_same, digests, stored_parts};
use reel_tests::{fixtures, profile, scratch};
use rustix::process::Signal;

#[test]
fn a_runner_that_crashes_is_a_failed_attempt_with_evidence_and_the_job_goes_on() {
    let mezzanine = fixtures::prores_mov();
    let job = |dir: &std::path::Path| {
        Reel::transcode(dir, &mezzanine.path, &dir.join("title"), &profile("quick"))
            .args("--quiet --workers 1 --slots 1 --chunk-parts 4")
    };
    let undisturbed = scratch();
    job(undisturbed.path()).run().success();

    let dir = scratch();
    let mut running = job(dir.path()).start();
    let stored = || {
        let stored = stored_parts(&dir.path().join("home"));
        stored.keys().filter(|path| path.extension().is_some_and(|e| e == "m4s")).count()
    };
    // One slot, one runner: with three of the eight files of its chunk in the store it has encoded a part and has some
    // to go. It stands still while that is looked at, so that this is so when it crashes.
    let mut found = None;
    until("a runner in the middle of its chunk", Duration::from_secs(120), || {
        assert!(!running.has_ended(), "the job ended before it could be disturbed");
        found = runners(running.id()).first().copied();
        let stopped = stored() >= 3
            && found.is_some_and(|runner| send(runner, Signal::STOP).is_ok() && state(runner) == Some('T'));
        let in_the_middle = stopped && stored() < 7;
        if stopped && !in_the_middle {
            send(found.unwrap(), Signal::CONT).expect("a stopped process is there");
        }
        in_the_middle
    });
    let runner = found.unwrap();
    send(runner, Signal::CONT).expect("a stopped process is there");
    // The first is taken by the Rust runtime's handler for stack overflow, which steps back and waits for a real one.
    until("the runner to crash", Duration::from_secs(10), || send(runner, Signal::SEGV).is_err());
    running.wait().success();

    let output = dir.path().join("title");
    assert_same(&digests(&output), &digests(&undisturbed.path().join("title")), "after a crash");
    let report = report(&output);
    let attempts = report["job"]["attempts"].as_array().expect("a list of attempts");
    let failed: Vec<_> = attempts.iter().filter(|attempt| attempt["outcome"] != "done").collect();
    assert_eq!(failed.len(), 1, "{report:#}");
    assert_eq!(failed[0]["outcome"], "failed");
    assert!(failed[0]["message"].as_str().unwrap().contains("SIGSEGV"), "{:#}", failed[0]);
    assert_eq!(report["job"]["parts_encoded_twice"], 0);
}
