//! `--watch`: in place on a terminal, page by page or change by change elsewhere, and on when the leader changes.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::time::Duration;

use reel_tests::farm::Farm;
use reel_tests::fixtures;
use reel_tests::profile;
use reel_tests::reel::until;
use reel_tests::terminal::Terminal;
use rustix::process::Signal;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const SIZE: (u16, u16) = (100, 12);

/// A job that waits for a label which nobody has.
fn waiting(farm: &Farm, name: &str) -> u64 {
    farm.submit(fixtures::prores_mov().path, name, &profile("quick"), "--need site=berlin")
}

#[test]
fn a_terminal_shows_the_farm_in_place_while_its_leader_changes() {
    let mut farm = Farm::builder().schedulers(3).workers(0).start();
    let line = format!("job list --watch=1 --server {}", farm.servers());
    let seat = Terminal::start(farm.shared(), SIZE, &line);
    seat.shows(&["every 1 s", "no jobs; submit one with `reel submit`"]);
    let first = waiting(&farm, "a");
    seat.shows(&["every 1 s", "queued"]);
    let leader = farm.leader();
    farm.kill_scheduler(leader);
    farm.leader();
    farm.reel(&format!("job cancel {first}")).run().success();
    let screen = seat.shows(&["every 1 s", "canceled"]);
    assert_eq!(screen.matches("every 1 s").count(), 1, "{screen}");
    assert!(!screen.contains("queued") && !screen.contains("no jobs"), "{screen}");
    // More than there is room for is cut, and nothing scrolls away.
    (0..SIZE.1).for_each(|number| {
        waiting(&farm, &format!("b{number}"));
    });
    let full = seat.shows(&["every 1 s", &format!("{}  queued", first + u64::from(SIZE.1))]);
    assert!(!full.contains("canceled"), "{full}");
    seat.key("C-c");
    assert_eq!(seat.wait(), 0);
    // The last view stays where the command was typed.
    seat.shows(&["canceled"]);
    assert!(!seat.screen().contains("every 1 s"));
}

#[test]
fn programs_get_a_line_for_each_change_and_files_page_after_page() {
    let farm = Farm::builder().workers(0).start();
    let job = waiting(&farm, "a");
    let lines = farm.reel(&format!("job show {job} --watch=1 --json")).start();
    let pages = farm.reel(&format!("job show {job} --watch=1")).start();
    until("three pages", PATIENCE, || pages.stdout().matches("queued").count() >= 3);
    assert_eq!(lines.stdout().lines().count(), 1, "nothing has changed");
    farm.reel(&format!("job cancel {job}")).run().success();
    until("the change", PATIENCE, || lines.stdout().lines().count() == 2);
    until("its page", PATIENCE, || pages.stdout().contains("canceled"));
    for running in [&lines, &pages] {
        running.send(Signal::INT);
    }
    let lines = lines.wait().success().stdout;
    let states: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["state"].clone()).collect();
    assert_eq!(states, ["queued", "canceled"]);
    let pages = pages.wait().success().stdout;
    assert!(pages.split("\n\n").all(|page| page.starts_with("job ")), "{pages}");
    assert!(!pages.contains('\u{1b}'), "no control characters in a file");
}

#[test]
fn a_watch_goes_on_when_nobody_answers_and_ends_with_what_is_gone() {
    let mut farm = Farm::builder().workers(1).start();
    let seen = farm.reel("worker list --watch=1 --json").start();
    until("the worker", PATIENCE, || seen.stdout().contains("\"w1\""));
    farm.kill_scheduler(0);
    until("the silence to be told", PATIENCE * 2, || seen.stderr().contains("schedulers runs; asking on"));
    farm.start_scheduler(0);
    farm.reel("worker cordon w1").run().success();
    until("the farm again", PATIENCE, || seen.stdout().contains("cordoned"));
    seen.send(Signal::TERM);
    seen.wait().success();
    let gone = farm.reel("worker show w11 --watch").run();
    assert_eq!(gone.code, Some(4), "{gone:?}");
    assert!(gone.stderr.contains("did you mean `w1`?"), "{gone:?}");
}
