//! The monitor in a real terminal, before a real farm: every screen, every action, and a leader that dies meanwhile.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::time::Duration;

use reel_tests::farm::Farm;
use reel_tests::reel::{Reel, until};
use reel_tests::terminal::Terminal;
use reel_tests::{fixtures, profile, scratch};

const PATIENCE: Duration = Duration::from_secs(120);
const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 60);

/// Three schedulers, two workers, a job that runs, and one that waits for a label that nobody has.
fn farm() -> (Farm, u64, u64) {
    let mezzanine = fixtures::a_minute_of_1080p().path;
    let farm = Farm::builder().schedulers(3).workers(2).start();
    let works = farm.submit(&mezzanine, "works", &profile("ladder"), "--chunk-parts 1");
    let waits = farm.submit(&mezzanine, "waits", &profile("quick"), "--need site=berlin");
    until("work", PATIENCE, || {
        farm.job(works)["running"].as_array().is_some_and(|running| !running.is_empty())
    });
    (farm, works, waits)
}

fn monitor(farm: &Farm, size: (u16, u16)) -> Terminal {
    Terminal::start(farm.shared(), size, &format!("monitor --server {}", farm.servers()))
}

/// The state of a job.
fn state(farm: &Farm, job: u64) -> String {
    farm.job(job)["state"].as_str().unwrap().to_owned()
}

#[test]
fn every_screen_shows_what_the_farm_does() {
    let (farm, works, waits) = farm();
    for size in [SMALL, LARGE] {
        let seat = monitor(&farm, size);
        seat.shows(&["slots", "2/2", "leader", "running", "works", "waits", "q quit"]);
        seat.letters("2");
        seat.shows(&["output, by activity", "works", "waits"]);
        seat.letters("/berlin");
        seat.shows(&["filter: berlin"]);
        seat.key("Escape");
        seat.gone("filter:");
        seat.letters("/waits");
        seat.key("Enter");
        seat.shows(&["filter: waits", "(1 of 2)"]);
        seat.key("Enter");
        seat.shows(&[&format!("job {waits}"), "project default"]);
        seat.letters("tt");
        seat.shows(&["no worker that takes work has the labels site=berlin"]);
        seat.key("Escape");
        seat.gone("› job");
        seat.key("Escape");
        seat.gone("filter:");
        seat.letters("/works");
        seat.key("Enter");
        seat.key("Enter");
        seat.shows(&[&format!("job {works}"), "parts", "/encode/", "w1"]);
        seat.letters("l");
        seat.shows(&["log of", "attempt begins"]);
        seat.key("Escape");
        seat.gone("log of");
        seat.letters("t");
        seat.shows(&["w1", "w2", "█ done"]);
        seat.letters("3");
        seat.shows(&["w1", "w2", "ready", "on-demand", "1/1"]);
        seat.letters("4");
        seat.shows(&["leader", "voter", "3: 1 may be lost", "http://127.0.0.1"]);
        seat.letters("5");
        seat.shows(&["part-committed"]);
        seat.letters("?");
        seat.shows(&["Keys here", "shows only what has all of the words"]);
        seat.letters("x");
        seat.letters("q");
        assert_eq!(seat.wait(), 0);
    }
}

#[test]
fn every_action_is_done_when_it_was_confirmed() {
    let (mut farm, works, waits) = farm();
    let seat = monitor(&farm, SMALL);
    let confirm = |key: &str, question: &str| {
        seat.letters(key);
        seat.shows(&[question, "y yes"]);
        seat.letters("y");
    };
    seat.shows(&["slots", "works", "waits"]);
    seat.letters("2/waits");
    seat.key("Enter");
    seat.shows(&["(1 of 2)"]);
    confirm("+", &format!("Give job {waits} priority 1?"));
    seat.shows(&[&format!("give job {waits} priority 1: done")]);
    assert_eq!(farm.job(waits)["priority"], 1);
    confirm("p", &format!("Pause job {waits}?"));
    seat.shows(&["paused"]);
    assert_eq!(state(&farm, waits), "paused");
    confirm("p", &format!("Resume job {waits}?"));
    seat.shows(&["queued"]);
    // What is not confirmed is not done.
    seat.letters("c");
    seat.shows(&[&format!("Cancel job {waits}?")]);
    seat.letters("n");
    assert_eq!(state(&farm, waits), "queued");
    confirm("c", &format!("Cancel job {waits}?"));
    seat.shows(&["canceled"]);
    confirm("r", &format!("Retry job {waits}?"));
    seat.shows(&["retry job", "canceled"]);
    // Workers.
    seat.letters("3");
    let worker = |farm: &Farm| farm.worker("w1").unwrap()["state"].as_str().unwrap().to_owned();
    for (key, question, wanted) in [
        ("o", "Cordon worker w1?", "cordoned"),
        ("u", "Let worker w1 take work again?", "ready"),
        ("z", "Quarantine worker w1?", "quarantined"),
        ("d", "Drain worker w1?", "draining"),
    ] {
        confirm(key, question);
        until(wanted, PATIENCE, || worker(&farm) == wanted);
        seat.shows(&[wanted]);
    }
    confirm("u", "Let worker w1 take work again?");
    until("work again", PATIENCE, || worker(&farm) == "ready");
    // The leader dies; the monitor goes on with the next.
    let leader = farm.leader();
    farm.kill_scheduler(leader);
    seat.letters("4");
    until("another leader", PATIENCE, || farm.status().is_some_and(|status| !status["leader"].is_null()));
    seat.shows(&["not heard of"]);
    seat.letters("2");
    seat.shows(&["output, by activity"]);
    seat.key("Escape");
    seat.gone("filter:");
    seat.letters("/works");
    seat.key("Enter");
    confirm("c", &format!("Cancel job {works}?"));
    until("the end of the job", PATIENCE, || state(&farm, works) == "canceled");
    seat.letters("q");
    assert_eq!(seat.wait(), 0);
}

#[test]
fn without_a_terminal_or_a_farm_it_says_so() {
    let dir = scratch();
    let refused = Reel::new(dir.path(), ["monitor", "--demo"]).run();
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("needs a terminal"), "{}", refused.stderr);
    let seat = Terminal::start(dir.path(), SMALL, "monitor --server http://127.0.0.1:9");
    seat.shows(&["not up to date", "no scheduler of the farm answers"]);
    seat.letters("q");
    assert_eq!(seat.wait(), 0);
}

#[test]
fn a_signal_ends_it_and_leaves_the_terminal_in_order() {
    let dir = scratch();
    let seat = Terminal::start(dir.path(), SMALL, "monitor --demo");
    seat.shows(&["a farm that is made up"]);
    seat.signal("TERM");
    assert_eq!(seat.wait(), 0);
    assert!(!seat.screen().contains("Overview"), "{}", seat.screen());
}

#[test]
fn a_made_up_farm_of_the_largest_size_answers_keys() {
    let dir = scratch();
    let seat =
        Terminal::start(dir.path(), LARGE, "monitor --demo --demo-workers 10000 --demo-chunks 1000000");
    seat.shows(&["a farm that is made up", "of 10000 workers", "fps"]);
    seat.letters("3");
    seat.shows(&["workers a cell", "rack-0001"]);
    seat.letters("2");
    seat.key("Enter");
    seat.shows(&["parts", "in hand", "/encode/"]);
    seat.letters("q");
    assert_eq!(seat.wait(), 0);
}
