//! What operators do with a farm that runs: ask why nothing happens, read logs, retry, follow what happens.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::time::Duration;

use reel_tests::farm::Farm;
use reel_tests::reel::{Running, until};
use reel_tests::{fixtures, profile};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// The names of what is in the way of a job.
fn obstacles(farm: &Farm, job: u64) -> Vec<String> {
    let explained = farm.reel(&format!("job explain {job} --json")).run().success().json();
    let names = explained["obstacles"].as_array().unwrap().iter();
    names.map(|obstacle| obstacle["name"].as_str().unwrap().to_owned()).collect()
}

/// Waits until an encode attempt of a job runs, and gives the name of its task.
fn encoding(farm: &Farm, job: u64) -> String {
    let mut found = None;
    until("an encode attempt", PATIENCE, || {
        let view = farm.job(job);
        let running = view["running"].as_array().unwrap().iter();
        let mut names = running.filter_map(|task| task["task"].as_str());
        found = names.find(|task| task.contains("/encode/")).map(str::to_owned);
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_job_that_waits_says_for_what_until_it_runs() {
    let mezzanine = fixtures::prores_mov().path;
    let mut farm = Farm::builder().workers(0).start();
    let needs = "--need site=berlin --label title=a-113 --deadline 2h";
    let job = farm.submit(&mezzanine, "a", &profile("quick"), needs);
    assert_eq!(obstacles(&farm, job), ["no-workers"]);
    let other = farm.add_worker("elsewhere", "--label site=paris");
    until("the first worker", PATIENCE, || farm.worker_list().len() == 1);
    assert_eq!(obstacles(&farm, job), ["nobody-suits"]);
    let said = farm.reel(&format!("job explain {job}")).run().success().stdout;
    assert!(said.contains("no worker that takes work has the labels site=berlin"), "{said}");
    let unknown = farm.reel("worker undrain nobody").run();
    assert!(unknown.code == Some(4) && unknown.stderr.contains("no worker nobody"), "{}", unknown.stderr);
    farm.reel("worker quarantine elsewhere").run().success();
    assert_eq!(obstacles(&farm, job), ["nobody-takes-work"]);
    assert_eq!(farm.worker_list()[0]["state"], "quarantined");
    farm.add_worker("here", "--label site=berlin --pool spot");
    let done = farm.wait(job);
    assert_eq!((&done["state"], &done["labels"]["title"]), (&"done".into(), &"a-113".into()));
    assert!(done["deadline_ms"].as_u64() > done["submitted_ms"].as_u64(), "{done}");
    let shown = farm.reel("worker show here --json").run().success().json();
    assert_eq!((&shown["pool"], &shown["labels"]["site"]), (&"spot".into(), &"berlin".into()));
    // HEVC depends on the host.
    let codecs = shown["codecs"].as_array().unwrap();
    assert!(["aac", "av1", "h264"].iter().all(|codec| codecs.contains(&(*codec).into())), "{shown}");
    let by_label = |line: &str| farm.reel(line).run().success().json()["jobs"].as_array().unwrap().len();
    assert_eq!(by_label("job list --json --label title=a-113"), 1);
    assert_eq!(by_label("job list --json --label title=b-7"), 0);
    farm.kill_worker(other);
}

#[test]
fn a_job_may_stand_in_a_file_and_flags_go_before_it() {
    let farm = Farm::builder().workers(0).start();
    let file = farm.shared().join("job.toml");
    let text = format!(
        "input = {:?}\noutput = {:?}\nprofile = \"proxy\"\nproject = \"feature\"\npriority = 3\n[labels]\ntitle = \"b-7\"\n",
        fixtures::prores_mov().path,
        farm.output("a"),
    );
    std::fs::write(&file, &text).unwrap();
    let submit = |more: &str| farm.reel("submit --json -f").arg(&file).args(more).run();
    let job = submit("--priority 5 --label cut=2 --deadline 90m").success().json()["job"].as_u64().unwrap();
    let shown = farm.job(job);
    assert_eq!((&shown["project"], &shown["priority"]), (&"feature".into(), &5.into()));
    assert_eq!(shown["labels"], serde_json::json!({ "title": "b-7", "cut": "2" }));
    assert!(shown["deadline_ms"].as_u64() > shown["submitted_ms"].as_u64(), "{shown}");
    let refused = |text: &str, more: &str, reason: &str| {
        std::fs::write(&file, text).unwrap();
        let ended = submit(more);
        assert!(ended.code == Some(2) && ended.stderr.contains(reason), "{}", ended.stderr);
    };
    refused(&text, "--deadline soon", "deadline soon: give a time such as");
    refused(&format!("output = \"x\"\n{text}"), "", "line 3");
    refused("output = \"x\"\nprofile = \"proxy\"\n", "", "the job has no input");
    refused("colour = \"red\"\n", "", "unknown field `colour`");
}

#[test]
fn what_runs_can_be_read_and_what_ended_is_told() {
    let mezzanine = fixtures::a_minute_of_1080p().path;
    let farm = Farm::builder().workers(1).start();
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "");
    let task = encoding(&farm, job);
    until("a part to be logged", PATIENCE, || {
        farm.reel(&format!("task logs {task}")).run().success().stdout.contains("part finished")
    });
    let logs = farm.reel(&format!("job logs {job}")).run().success().stdout;
    assert!(logs.contains(&format!("== {task}, attempt 1 on w1")), "{logs}");
    let listed = farm.reel(&format!("task list {job} --open --json")).run().success().json();
    let running = listed["tasks"].as_array().unwrap().iter().find(|it| it["task"] == task.as_str()).unwrap();
    assert_eq!((&running["state"], &running["running"]["worker"]), (&"running".into(), &"w1".into()));
    let followed = farm.reel(&format!("task logs {task} --follow")).run().success().stdout;
    assert!(followed.contains("task finished"), "{followed}");
    assert_eq!(followed.matches("attempt begins").count(), 1, "every line once:\n{followed}");
    farm.wait(job);
    let shown = farm.reel(&format!("task show {task} --json")).run().success().json();
    assert_eq!((&shown["state"], &shown["ended"][0]["outcome"]), (&"done".into(), &"done".into()));
    let report = farm.reel(&format!("job report {job} --json")).run().success().json();
    let encode = report["stages"].as_array().unwrap().iter().find(|sum| sum["stage"] == "encode").unwrap();
    assert_eq!(encode["attempts"], encode["done"], "{report}");
    assert_eq!(
        report["attempts"].as_array().unwrap().len() as u64,
        report["attempts_total"].as_u64().unwrap()
    );
    let unknown = farm.reel(&format!("task logs {job}/encode/999")).run();
    assert_eq!(unknown.code, Some(4), "{}", unknown.stderr);
}

#[test]
fn a_job_that_failed_goes_on_when_its_cause_is_mended() {
    let film = fixtures::prores_mov().path;
    let mut farm = Farm::builder().workers(0).start();
    let mezzanine = farm.shared().join("film.mov");
    std::fs::copy(&film, &mezzanine).unwrap();
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "");
    let aside = farm.shared().join("aside.mov");
    std::fs::rename(&mezzanine, &aside).unwrap();
    farm.add_worker("w", "");
    let failed = farm.reel(&format!("job wait {job} --json")).run();
    assert_eq!(failed.code, Some(3), "{}", failed.stderr);
    let task = farm.job(job)["reason"]["task"].as_str().unwrap().to_owned();
    assert_eq!(task, format!("{job}/index/0"));
    assert_eq!(obstacles(&farm, job), ["job"]);
    let logs = farm.reel(&format!("job logs {job}")).run().success().stdout;
    assert!(logs.contains("failed: "), "{logs}");
    std::fs::rename(&aside, &mezzanine).unwrap();
    farm.reel(&format!("task retry {task}")).run().success();
    assert_eq!(farm.wait(job)["state"], "done");
    let again = farm.reel(&format!("job retry {job}")).run();
    assert_eq!((again.code, again.stderr.contains("is done")), (Some(5), true), "{}", again.stderr);
}

fn follow(farm: &Farm, more: &str) -> Running {
    farm.reel(&format!("events --json {more}")).start()
}

/// What a `reel events --json` has printed up to the first change that `is_last`.
fn up_to(follower: &Running, is_last: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut seen = Vec::new();
    until("the last change", PATIENCE, || {
        seen = follower.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let last = seen.iter().position(&is_last);
        seen.truncate(last.map_or(0, |last| last + 1));
        last.is_some()
    });
    seen
}

#[test]
fn who_follows_events_misses_none_and_sees_none_twice_across_leaders() {
    let mezzanine = fixtures::prores_mov().path;
    let mut farm = Farm::builder().schedulers(3).workers(1).start();
    let follower = follow(&farm, "--after 0");
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "--chunk-parts 1");
    encoding(&farm, job);
    let leader = farm.leader();
    farm.kill_scheduler(leader);
    farm.wait(job);
    let is_end = |change: &Value| change["event"] == "job-changed" && change["state"] == "done";
    let seen = up_to(&follower, is_end);
    // Whoever begins anew, at another leader, is told the very same.
    let all = up_to(&follow(&farm, "--after 0"), is_end);
    assert_eq!(seen, all);
    let parts = seen.iter().filter(|change| change["event"] == "part-committed").count() as u64;
    assert_eq!(Some(parts), farm.job(job)["parts_total"].as_u64());
    let middle = all[all.len() / 2]["number"].as_u64().unwrap();
    let rest = up_to(&follow(&farm, &format!("--after {middle} --job {job}")), is_end);
    let later = all.iter().filter(|change| change["number"].as_u64() > Some(middle));
    let of_job = later.filter(|change| change["worker"].is_null() || change["task"].is_string());
    assert_eq!(rest, of_job.cloned().collect::<Vec<_>>());
}

#[test]
fn a_scheduler_that_is_not_where_its_cluster_looks_for_it_says_so() {
    let mut farm = Farm::builder().workers(0).start();
    farm.kill_scheduler(0);
    let folder = farm.shared().join("s1");
    let moved = farm
        .reel(&format!("scheduler start --id 1 --listen 127.0.0.1:0 --data {}", folder.display()))
        .start();
    until("the remark", PATIENCE, || moved.stderr().contains("the cluster knows scheduler 1 at"));
}

#[test]
fn a_disk_that_was_just_mounted_is_the_folder_of_a_new_scheduler() {
    let disk = reel_tests::scratch();
    std::fs::create_dir(disk.path().join("lost+found")).unwrap();
    let farm = Farm::builder().schedulers(2).workers(0).folder(1, disk.path()).start();
    assert_eq!(farm.members().len(), 2);
    let used = reel_tests::scratch();
    std::fs::write(used.path().join("letter.txt"), "x").unwrap();
    let line = format!("scheduler start --id 3 --listen 127.0.0.1:0 --join {} --data", farm.servers());
    let refused = farm.reel(&line).arg(used.path()).run();
    assert!(refused.code == Some(1) && refused.stderr.contains("holds no scheduler"), "{}", refused.stderr);
}

#[test]
fn a_farm_whose_schedulers_are_all_lost_goes_on_from_its_backup() {
    let mezzanine = fixtures::prores_mov().path;
    let mut farm = Farm::builder().workers(1).start();
    let done = farm.submit(&mezzanine, "a", &profile("quick"), "");
    farm.wait(done);
    let open = farm.submit(&mezzanine, "b", &profile("quick"), "--need site=nowhere");
    let backup = farm.shared().join("farm.backup");
    farm.reel("cluster backup").arg(&backup).run().success();
    let again = farm.reel("cluster backup").arg(&backup).run();
    assert_eq!((again.code, again.stderr.contains("exists")), (Some(5), true), "{}", again.stderr);
    let late = farm.submit(&mezzanine, "c", &profile("quick"), "");
    farm.wait(late);
    farm.kill_scheduler(0);
    let restore = |backup: &std::path::Path, folder: &std::path::Path| {
        let advertise = farm.servers();
        let line = format!("--id 1 --advertise {advertise} --data {}", folder.display());
        farm.reel("cluster restore").arg(backup).args(&line).run()
    };
    let old = restore(&backup, &farm.shared().join("s1"));
    assert!(old.code == Some(5) && old.stderr.contains("restore into a new folder"), "{}", old.stderr);
    let mut damaged = std::fs::read(&backup).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let broken = farm.shared().join("damaged.backup");
    std::fs::write(&broken, damaged).unwrap();
    let refused = restore(&broken, &farm.shared().join("s-broken"));
    assert!(refused.code == Some(1) && refused.stderr.contains("checksum"), "{}", refused.stderr);

    std::fs::rename(farm.shared().join("s1"), farm.shared().join("lost")).unwrap();
    restore(&backup, &farm.shared().join("s1")).success();
    farm.start_scheduler(0);
    farm.leader();
    assert_eq!(farm.job(done)["state"], "done");
    assert_eq!(farm.job(open)["state"], "queued");
    let unknown = farm.reel(&format!("job show {late}")).run();
    assert_eq!(unknown.code, Some(4), "{}", unknown.stderr);
    // The worker finds the new cluster, another scheduler joins it, and no number is given again.
    farm.add_scheduler(2);
    let next = farm.submit(&mezzanine, "d", &profile("quick"), "");
    assert!(next > late, "{next}");
    let made = farm.wait(next);
    assert_eq!((&made["state"], &made["renditions_encoded"]), (&"done".into(), &0.into()));
}

#[test]
fn a_worker_whose_name_another_took_works_again_when_that_is_gone() {
    let farm = Farm::builder().workers(1).start();
    let registrations = || farm.worker_list().iter().map(|worker| worker["id"].clone()).collect::<Vec<_>>();
    let first = registrations();
    let folder = farm.shared().join("twin");
    let store = farm.shared().join("store");
    let line = format!("--cloud none --data {} --store file://{}", folder.display(), store.display());
    let twin = farm.reel("worker start --name w1").args(&line).start();
    let mut second = Vec::new();
    until("the other to take the name", PATIENCE, || {
        second = registrations();
        second.len() == 1 && second != first
    });
    drop(twin);
    until("the first to be back", PATIENCE, || {
        let now = registrations();
        now.len() == 1 && now != second && farm.worker_list()[0]["state"] == "ready"
    });
    let job = farm.submit(fixtures::prores_mov().path, "a", &profile("quick"), "");
    assert_eq!(farm.wait(job)["state"], "done");
    let wrong = farm.reel("worker start --name").arg("w 1").args(&line).run();
    assert!(wrong.code == Some(2) && wrong.stderr.contains("letters, digits"), "{}", wrong.stderr);
}
