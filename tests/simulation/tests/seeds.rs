//! Farms of many seeds. `REEL_SEED=7` runs one seed and prints its trace, `REEL_SEEDS=5000` runs so many.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use reel_common::JobState;
use reel_simulation::{Fault, Outcome, Plan, run};

/// Seeds of farms where anything goes wrong, and of each kind where only some things do, unless more are asked for.
const MANY: u64 = 200;
const SOME: u64 = 30;

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(0) };
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Runs every seed, on all processors, and checks what came of each. The first that fails is told before its reason.
#[expect(clippy::print_stderr, reason = "a failed test shows its seed")]
fn each_seed(count: u64, plan: impl Fn(u64) -> Plan + Sync, check: impl Fn(u64, &Outcome) + Sync) {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let seed = SEED.get();
        eprintln!("seed {seed} breaks a promise; REEL_SEED={seed} runs it alone");
        before(info);
    }));
    let seeds = match (number("REEL_SEED"), number("REEL_SEEDS").unwrap_or(count)) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count,
    };
    let next = AtomicU64::new(seeds.start);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return;
            }
            SEED.set(seed);
            check(seed, &run(&plan(seed)));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
}

fn all_done(outcome: &Outcome) {
    assert!(outcome.jobs.iter().all(|job| *job == JobState::Done), "{:?}", outcome.jobs);
}

#[test]
fn whatever_goes_wrong_every_promise_is_kept() {
    each_seed(MANY, Plan::of, |seed, outcome| println!("seed {seed}: {outcome:?}"));
}

#[test]
fn one_seed_gives_one_trace_in_every_process() {
    let traces: BTreeSet<String> = (0..2)
        .map(|_| {
            let mut program = Command::new(std::env::current_exe().unwrap());
            program.args(["--exact", "whatever_goes_wrong_every_promise_is_kept", "--nocapture"]);
            let output = program.env("REEL_SEED", "11").output().unwrap();
            assert!(output.status.success());
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines().find(|line| line.starts_with("seed 11: ")).unwrap().to_owned()
        })
        .collect();
    assert_eq!(traces.len(), 1, "{traces:?}");
}

#[test]
fn nothing_is_encoded_twice_where_nothing_goes_wrong() {
    each_seed(
        SOME,
        |seed| Plan::with(seed, &[]),
        |_, outcome| {
            all_done(outcome);
            assert_eq!(
                outcome.counts.encodes + outcome.counts.found,
                outcome.parts + outcome.counts.overlaps,
                "{:?}",
                outcome.counts
            );
            assert_eq!((outcome.counts.zombies, outcome.counts.most_lost), (0, 0));
        },
    );
}

#[test]
fn leaders_that_die_cost_no_work() {
    let faults = [Fault::CrashLeader, Fault::Transfer, Fault::Reset];
    each_seed(
        SOME,
        |seed| Plan::with(seed, &faults),
        |_, outcome| {
            all_done(outcome);
            assert_eq!((outcome.counts.zombies, outcome.counts.most_lost), (0, 0), "{:?}", outcome.counts);
            assert_eq!(outcome.counts.killed_slots, 0);
        },
    );
}

#[test]
fn messages_that_come_twice_or_late_change_nothing() {
    each_seed(
        SOME,
        |seed| Plan::with(seed, &[Fault::Disorder]),
        |_, outcome| {
            all_done(outcome);
            assert_eq!((outcome.counts.zombies, outcome.counts.most_lost), (0, 0), "{:?}", outcome.counts);
            assert_eq!(outcome.counts.killed_slots, 0);
        },
    );
}

#[test]
fn clocks_that_jump_by_an_hour_change_nothing() {
    let faults = [Fault::CrashLeader, Fault::Transfer, Fault::StopWorker, Fault::Reset];
    let steady = |seed| run(&Plan::with(seed, &faults));
    let jumping: Vec<_> = faults.iter().copied().chain([Fault::Clock]).collect();
    each_seed(
        SOME,
        |seed| Plan::with(seed, &jumping),
        |seed, outcome| {
            assert_eq!(outcome.actions, steady(seed).actions, "{outcome:?}");
        },
    );
}

#[test]
fn a_killed_slot_costs_a_part_at_most() {
    each_seed(
        SOME,
        |seed| Plan::with(seed, &[Fault::KillWorker]),
        |_, outcome| {
            all_done(outcome);
            let counts = &outcome.counts;
            let lost = counts.encodes_again - counts.overlaps;
            assert!(counts.most_lost <= 1 && lost <= counts.killed_slots, "{counts:?}");
        },
    );
}
