//! Programs of the site that a farm runs: after a title, alone, many at a time, and when they go wrong.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use reel_tests::farm::Farm;
use reel_tests::reel::{state, until};
use reel_tests::{fixtures, profile};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// Writes a program for the workers; `$0` lies in the farm's shared folder.
fn program(farm: &Farm, name: &str, script: &str) -> PathBuf {
    let path = farm.shared().join(name);
    fs::write(&path, format!("#!/bin/sh\nhere=${{0%/*}}\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Starts a worker that has a program as a hook of the same name.
fn worker_with(farm: &mut Farm, worker: &str, hook: &str) -> usize {
    let program = farm.shared().join(hook);
    farm.add_worker(worker, &format!("--hook {hook}={}", program.display()))
}

fn submit_hooks(farm: &Farm, hooks: &str) -> u64 {
    farm.reel(&format!("submit --json {hooks}")).run().success().json()["job"].as_u64().unwrap()
}

fn task(farm: &Farm, name: &str) -> Value {
    farm.reel(&format!("task show {name} --json")).run().success().json()
}

#[test]
fn a_hook_runs_where_a_worker_has_it_once_the_title_is_delivered() {
    let mezzanine = fixtures::prores_mov().path;
    let mut farm = Farm::builder().workers(1).start();
    program(
        &farm,
        "notify",
        "ls $REEL_OUTPUT > $here/seen; env | grep ^REEL_ >> $here/seen; echo told the site",
    );
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "--hook notify --label title=a-113");
    until("the delivery", PATIENCE * 2, || farm.output("a").join("report.json").exists());
    let explained = || farm.reel(&format!("job explain {job} --json")).run().success().json();
    until("the hook's turn", PATIENCE, || explained()["obstacles"][0]["stage"] == "hook");
    assert_eq!(explained()["obstacles"][0]["name"], "nobody-has-the-hook");
    assert_eq!(farm.job(job)["state"], "running");
    worker_with(&mut farm, "site", "notify");
    let done = farm.wait(job);
    assert_eq!((&done["state"], &done["hooks"]), (&"done".into(), &serde_json::json!(["notify"])));
    let seen = fs::read_to_string(farm.shared().join("seen")).unwrap();
    let output = farm.output("a");
    let told = [
        "master.m3u8".to_owned(),
        format!("REEL_OUTPUT={}", output.display()),
        format!("REEL_MEZZANINE={}", mezzanine.display()),
        format!("REEL_TASK={job}/hook/0"),
        "REEL_LABELS=title=a-113".to_owned(),
    ];
    assert!(told.iter().all(|line| seen.lines().any(|seen| seen == line)), "{seen}");
    let shown = farm.reel("worker show site --json").run().success().json();
    assert_eq!(shown["hooks"], serde_json::json!(["notify"]));
    let log = farm.reel(&format!("task logs {job}/hook/0")).run().success().stdout;
    assert_eq!(log, "told the site\n");
}

#[test]
fn a_hook_that_fails_is_tried_again_and_then_fails_its_job_which_goes_on_without_it() {
    let mut farm = Farm::builder().workers(0).start();
    program(&farm, "purge", "echo once >> $here/tries; echo the CDN says no >&2; exit 3");
    let job = submit_hooks(&farm, "--hook purge:2");
    worker_with(&mut farm, "site", "purge");
    let failed = farm.reel(&format!("job wait {job} --json")).run();
    assert_eq!(failed.code, Some(3), "{}", failed.stderr);
    let reason = &farm.job(job)["reason"];
    let name = reason["task"].as_str().unwrap().to_owned();
    assert_eq!(
        reason["message"].as_str().unwrap().matches("hook purge: exit status 3").count(),
        1,
        "{reason}"
    );
    assert!(reason["evidence"].as_str().unwrap().contains("the CDN says no"), "{reason}");
    let tries = fs::read_to_string(farm.shared().join("tries")).unwrap().lines().count();
    assert!(tries > 2, "{tries}");
    let shown = farm.reel(&format!("task show {name}")).run().success().stdout;
    assert!(shown.contains(&format!("reel task skip {name}")), "{shown}");
    program(&farm, "purge", "exit 0");
    farm.reel(&format!("task skip {name}")).run().success();
    assert_eq!(farm.wait(job)["state"], "done");
    assert_eq!(task(&farm, &name)["state"], "skipped");
    let other = if name.ends_with("/0") { 1 } else { 0 };
    assert_eq!(task(&farm, &format!("{job}/hook/{other}"))["state"], "done");
}

#[test]
fn what_the_output_needs_cannot_be_skipped_and_wrong_hooks_are_told() {
    let farm = Farm::builder().workers(0).start();
    let job = farm.submit(fixtures::prores_mov().path, "a", &profile("quick"), "");
    let refused = |line: &str, code: i32, reason: &str| {
        let ended = farm.reel(line).run();
        assert!(ended.code == Some(code) && ended.stderr.contains(reason), "{line}: {}", ended.stderr);
    };
    refused(&format!("task skip {job}/index/0"), 5, "the output needs it");
    refused(&format!("task skip {job}/hook/0"), 4, "there is no task");
    refused("task skip 99/hook/0", 4, "there is no job 99");
    refused("submit --hook notify:0", 2, "1 to 1000000 tasks");
    refused("submit --hook no;tify", 2, "letters, digits");
    refused("submit --wait", 2, "<INPUT>");
    refused("submit --hook notify --profile proxy", 2, "the job has no input");
    let start = |hook: &str| {
        format!("worker start --data {} --store x --hook {hook}", farm.shared().join("w").display())
    };
    refused(&start("notify"), 2, "name=/path");
    refused(&start("notify=/nowhere/notify"), 1, "the hook /nowhere/notify cannot be run");
    refused(&start("a=/bin/true --hook a=/bin/false"), 2, "stands there twice");
}

#[test]
fn each_of_many_tasks_is_done_although_the_leader_and_a_worker_die() {
    const TASKS: usize = 300;
    let mut farm = Farm::builder().schedulers(3).workers(0).start();
    program(&farm, "count", "echo $REEL_ATTEMPT >> $here/count-$REEL_HOOK_INDEX");
    let first = worker_with(&mut farm, "first", "count");
    worker_with(&mut farm, "second", "count");
    let job = submit_hooks(&farm, &format!("--hook count:{TASKS}"));
    let done = |farm: &Farm| farm.job(job)["stages"][0]["done"].as_u64().unwrap() as usize;
    until("some of them", PATIENCE, || done(&farm) > TASKS / 10);
    let leader = farm.leader();
    farm.kill_scheduler(leader);
    farm.kill_worker(first);
    let ended = farm.wait(job);
    assert_eq!((&ended["state"], &ended["stages"][0]["done"]), (&"done".into(), &TASKS.into()));
    let ran = |index: usize| fs::read_to_string(farm.shared().join(format!("count-{index}"))).unwrap();
    let all: Vec<String> = (0..TASKS).map(ran).collect();
    // Only what the killed worker had in hand may have run again.
    let again = all.iter().filter(|attempts| attempts.lines().count() > 1).count();
    assert!(again <= 1, "{again} ran again");
}

#[test]
fn a_program_dies_with_its_worker_and_its_task_goes_to_another() {
    let mut farm = Farm::builder().workers(0).start();
    program(&farm, "wait", "echo $$ > $here/process.$REEL_ATTEMPT; [ $REEL_ATTEMPT = 2 ] || exec sleep 1000");
    let first = worker_with(&mut farm, "first", "wait");
    let job = submit_hooks(&farm, "--hook wait");
    let file = farm.shared().join("process.1");
    until("the program", PATIENCE, || fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')));
    let process: u32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    worker_with(&mut farm, "second", "wait");
    farm.kill_worker(first);
    until("the end of the program", PATIENCE, || matches!(state(process), None | Some('Z')));
    assert_eq!(farm.wait(job)["state"], "done");
    assert_eq!(task(&farm, &format!("{job}/hook/0"))["ended"][1]["worker"], "second");
}
