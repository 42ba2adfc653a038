//! A farm of three schedulers and several workers goes on whatever dies, and makes the same bytes.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reel_common::Digest;
use reel_tests::farm::{Farm, Leases};
use reel_tests::reel::{Reel, report, until};
use reel_tests::runner_logs::{Run, RunnerLogs};
use reel_tests::tree::{assert_same, digests};
use reel_tests::{Dice, fixtures, profile, scratch};
use rustix::process::Signal;
use serde_json::{Value, json};

/// What `reel transcode` makes of a mezzanine.
fn by_one_process(mezzanine: &Path, profile: &Path) -> BTreeMap<PathBuf, Digest> {
    let dir = scratch();
    let output = dir.path().join("title");
    Reel::transcode(dir.path(), mezzanine, &output, profile).args("--quiet").run().success();
    digests(&output)
}

#[test]
fn a_job_survives_the_death_of_its_leader() {
    let mezzanine = fixtures::prores_mov().path;
    let wanted = by_one_process(&mezzanine, &profile("quick"));
    let mut farm = Farm::builder().schedulers(3).workers(2).start();
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "--chunk-parts 1");
    until("a committed part", Duration::from_secs(60), || {
        farm.job(job)["parts_committed"].as_u64() > Some(0)
    });
    let leader = farm.leader();
    farm.kill_scheduler(leader);
    let done = farm.wait(job);
    assert_eq!((&done["state"], &done["parts_encoded_twice"]), (&"done".into(), &0.into()));
    assert_same(&digests(&farm.output("a")), &wanted, "after the death of the leader");
    assert_eq!(report(&farm.output("a"))["job"]["parts_encoded_twice"], 0);
}

#[test]
fn ten_rounds_of_killing_leaders_followers_and_workers_change_nothing() {
    let mut dice = Dice::from_env();
    println!("replay with REEL_TEST_SEED={}", dice.seed);
    let mezzanine = fixtures::a_minute_of_1080p().path;
    let wanted = by_one_process(&mezzanine, &profile("ladder"));
    let logs = RunnerLogs::new();
    let mut farm = Farm::builder().schedulers(3).workers(4).env(logs.variables()).start();
    let job = farm.submit(&mezzanine, "a", &profile("ladder"), "--chunk-parts 2");
    until("the job to be under way", Duration::from_secs(60), || farm.job(job)["state"] == "running");
    for round in 1..=10 {
        assert_eq!(farm.job(job)["state"], "running", "round {round}: it is to be disturbed while it runs");
        let leader = farm.leader();
        farm.kill_scheduler(leader);
        let next = farm.leader();
        assert_ne!(next, leader);
        farm.start_scheduler(leader);
        let follower = (0..3).find(|other| ![leader, next].contains(other)).unwrap();
        farm.kill_scheduler(follower);
        farm.start_scheduler(follower);
        let worker = dice.below(4) as usize;
        println!("round {round}: scheduler {leader}, then {follower}, then worker {worker}");
        farm.kill_worker(worker);
        farm.start_worker(worker);
    }
    let done = farm.wait(job);
    assert_eq!((&done["state"], &done["parts_encoded_twice"]), (&"done".into(), &0.into()));
    assert_same(&digests(&farm.output("a")), &wanted, "after ten rounds");
    assert_a_killed_slot_costs_a_part(&logs.runs(), done["parts_total"].as_u64().unwrap());
}

/// Of what a killed runner had finished, at most one part was not in the store yet, and then it had begun no other; else it
/// loses the part in hand.
fn assert_a_killed_slot_costs_a_part(runs: &[Run], parts: u64) {
    let mut encoders: BTreeMap<u32, Vec<&Run>> = BTreeMap::new();
    for (part, run) in runs.iter().flat_map(|run| run.encoded.iter().map(move |part| (*part, run))) {
        encoders.entry(part).or_default().push(run);
    }
    assert_eq!(encoders.len() as u64, parts, "every part was encoded by somebody");
    let killed = runs.iter().filter(|run| !run.ended).count();
    assert!(killed > 0, "nobody was killed at work");
    for (part, runs) in encoders.iter().filter(|(_, runs)| runs.len() > 1) {
        // All but one of them were killed before it was in the store: it was the last that they had finished.
        let lost = runs.iter().filter(|run| !run.ended && run.encoded.last() == Some(part)).count();
        assert!(lost + 1 >= runs.len(), "part {part} was encoded by {runs:?}");
    }
}

#[test]
fn a_worker_that_is_asked_to_go_hands_back_and_the_job_waits_for_another() {
    let mezzanine = fixtures::prores_mov().path;
    let mut farm = Farm::builder().schedulers(1).workers(1).start();
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "--chunk-parts 4");
    until("a runner at work", Duration::from_secs(60), || {
        farm.job(job)["running"].as_array().is_some_and(|running| {
            running.iter().any(|task| task["task"].as_str().is_some_and(|task| task.contains("encode")))
        })
    });
    farm.signal_worker(0, Signal::TERM);
    let took = farm.wait_worker(0);
    assert!(took < Duration::from_secs(30), "{took:?}");
    until("the worker to be gone from the list", Duration::from_secs(10), || farm.worker_list().is_empty());
    assert_eq!(farm.job(job)["state"], "running");
    farm.start_worker(0);
    let done = farm.wait(job);
    assert_eq!((&done["state"], &done["parts_encoded_twice"]), (&"done".into(), &0.into()));
}

#[test]
fn a_job_waits_while_every_worker_is_gone_and_then_goes_on() {
    let mezzanine = fixtures::a_minute_of_1080p().path;
    let wanted = by_one_process(&mezzanine, &profile("quick"));
    let mut farm = Farm::builder().schedulers(3).workers(2).start();
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "--chunk-parts 2");
    until("committed parts, and both workers at work", Duration::from_secs(60), || {
        let busy = |worker: &Value| !worker["running"].as_array().unwrap().is_empty();
        farm.job(job)["parts_committed"].as_u64() > Some(1) && farm.worker_list().iter().all(busy)
    });
    farm.kill_worker(0);
    farm.kill_worker(1);
    until("the farm to be empty", Duration::from_secs(60), || farm.worker_list().is_empty());
    let assert_waits = |farm: &Farm| {
        let waiting = farm.job(job);
        assert_eq!((&waiting["state"], &waiting["running"]), (&"running".into(), &json!([])));
        waiting["parts_committed"].as_u64().unwrap()
    };
    let committed = assert_waits(&farm);
    // Whoever leads meanwhile waits as well.
    let leader = farm.leader();
    farm.kill_scheduler(leader);
    assert_ne!(farm.leader(), leader);
    assert_eq!(assert_waits(&farm), committed);
    farm.start_scheduler(leader);
    farm.start_worker(0);
    farm.start_worker(1);
    let done = farm.wait(job);
    assert_eq!((&done["state"], &done["parts_encoded_twice"]), (&"done".into(), &0.into()));
    assert_same(&digests(&farm.output("a")), &wanted, "after a time without workers");
}

#[test]
fn a_zombie_worker_commits_nothing_and_harms_nothing() {
    let mezzanine = fixtures::a_minute_of_1080p().path;
    let wanted = by_one_process(&mezzanine, &profile("quick"));
    let farm = Farm::builder().schedulers(1).workers(2).start();
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "--chunk-parts 2");
    until("both workers at work", Duration::from_secs(60), || {
        farm.worker_list().iter().all(|worker| !worker["running"].as_array().unwrap().is_empty())
    });
    // The agent sleeps past its lease; its runner goes on.
    farm.signal_worker(0, Signal::STOP);
    until("its work to go to another", Duration::from_secs(60), || {
        !farm.worker_list().iter().any(|worker| worker["name"] == "w1")
    });
    farm.signal_worker(0, Signal::CONT);
    let done = farm.wait(job);
    assert_eq!((&done["state"], &done["parts_encoded_twice"]), (&"done".into(), &0.into()));
    assert_same(&digests(&farm.output("a")), &wanted, "after a zombie");
    until("the zombie to register anew", Duration::from_secs(30), || {
        farm.worker_list().iter().filter(|worker| worker["state"] == "ready").count() == 2
    });
}

#[test]
fn a_partitioned_leader_accepts_nothing() {
    let mezzanine = fixtures::prores_mov().path;
    let farm = Farm::builder().schedulers(3).workers(1).start();
    let old = farm.leader();
    // The others sleep: the leader is alone.
    let others: Vec<usize> = (0..3).filter(|number| *number != old).collect();
    others.iter().for_each(|other| farm.signal_scheduler(*other, Signal::STOP));
    let alone = farm.reel("submit").arg(&mezzanine).arg(farm.output("a")).args("--profile proxy");
    let key = "--idempotency-key once";
    let refused = alone.args(key).run();
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    others.iter().for_each(|other| farm.signal_scheduler(*other, Signal::CONT));
    farm.leader();
    let again = farm.submit(&mezzanine, "a", Path::new("proxy"), key);
    assert_eq!(farm.submit(&mezzanine, "a", Path::new("proxy"), key), again);
    assert_eq!(farm.wait(again)["state"], "done");
}

#[test]
fn whoever_is_asked_tells_how_far_every_scheduler_is() {
    let farm = Farm::builder().schedulers(3).start();
    farm.leader();
    for server in farm.servers().split(',') {
        let status = farm.reel("cluster status --json").args("--server").arg(server).run().success().json();
        let members = status["members"].as_array().unwrap();
        assert!(members.len() == 3 && members.iter().all(|member| member["lag"].is_u64()), "{status}");
    }
}

#[test]
fn a_leader_that_reaches_no_majority_lets_its_workers_go() {
    let mezzanine = fixtures::prores_mov().path;
    let farm = Farm::builder().schedulers(3).workers(1).start();
    let old = farm.leader();
    let others: Vec<usize> = (0..3).filter(|number| *number != old).collect();
    others.iter().for_each(|other| farm.signal_scheduler(*other, Signal::STOP));
    let log = format!("s{}", old + 1);
    let let_go = || farm.log(&log).matches("this scheduler does not lead any more").count() == 1;
    until("the leader to step aside", Duration::from_secs(20), let_go);
    others.iter().for_each(|other| farm.signal_scheduler(*other, Signal::CONT));
    farm.leader();
    let job = farm.submit(&mezzanine, "a", Path::new("proxy"), "");
    assert_eq!(farm.wait(job)["state"], "done");
}

#[test]
fn a_leader_that_is_asked_to_end_hands_over_first() {
    let mut farm = Farm::builder().schedulers(3).workers(0).start();
    let leader = farm.leader();
    farm.signal_scheduler(leader, Signal::TERM);
    until("its end", Duration::from_secs(60), || farm.has_ended(leader));
    let said = farm.log(&format!("s{}", leader + 1));
    let next = said.lines().find_map(|line| line.strip_prefix("scheduler ")?.strip_suffix(" leads now"));
    let next: usize = next.unwrap_or_else(|| panic!("{said}")).parse().unwrap();
    assert_ne!(next - 1, leader);
    assert_eq!(farm.leader(), next - 1);
}

#[test]
fn schedulers_come_and_go_while_the_farm_is_at_work() {
    let mezzanine = fixtures::prores_mov().path;
    let mut farm = Farm::builder().schedulers(3).workers(2).start();
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "--chunk-parts 1");
    let leader = farm.leader();
    let next = (leader + 1) % 3;
    farm.reel(&format!("cluster transfer-leader {}", next + 1)).run().success();
    assert_eq!(farm.leader(), next);
    farm.reel(&format!("cluster remove {}", leader + 1)).run().success();
    farm.kill_scheduler(leader);
    assert_eq!(farm.members().len(), 2);
    assert_eq!(farm.wait(job)["state"], "done");
    let last = farm.reel("cluster remove 9").run();
    assert_eq!((last.code, last.stderr.contains("no member")), (Some(5), true), "{}", last.stderr);
}

#[test]
fn a_late_urgent_job_starts_when_the_part_in_hand_is_done() {
    let farm = Farm::builder().start();
    let long =
        farm.submit(&fixtures::a_minute_of_1080p().path, "long", &profile("quick"), "--chunk-parts 30");
    until("the long job to be encoded", Duration::from_secs(60), || {
        farm.job(long)["parts_committed"].as_u64() > Some(0)
    });
    let urgent = farm.submit(&fixtures::prores_mov().path, "urgent", &profile("quick"), "--priority 5");
    assert_eq!(farm.wait(urgent)["state"], "done");
    let first = farm.job(long);
    assert_eq!((&first["state"], first["parts_committed"].as_u64() < Some(30)), (&"running".into(), true));
    let done = farm.wait(long);
    assert_eq!((&done["state"], &done["parts_encoded_twice"]), (&"done".into(), &0.into()));
}

#[test]
fn a_guarantee_is_met_while_another_project_has_every_slot() {
    let farm = Farm::builder().workers(2).start();
    farm.reel("project set vip --guarantee 1").run().success();
    let minute = fixtures::a_minute_of_1080p().path;
    let long = farm.submit(&minute, "long", &profile("quick"), "--chunk-parts 15 --project bulk");
    until("both slots to be taken", Duration::from_secs(60), || {
        farm.worker_list().iter().all(|worker| !worker["running"].as_array().unwrap().is_empty())
    });
    let other = farm.submit(&fixtures::prores_mov().path, "vip", &profile("quick"), "--project vip");
    assert_eq!(farm.wait(other)["state"], "done");
    assert_eq!(farm.job(long)["state"], "running");
    let listed = farm.reel("project list --json").run().success().json();
    let names: Vec<_> =
        listed["projects"].as_array().unwrap().iter().map(|project| &project["name"]).collect();
    assert_eq!(names, ["bulk", "vip"]);
    let refused = farm.reel("project set vip --guarantee 5 --burst 2").run();
    assert_eq!(
        (refused.code, refused.stderr.contains("below its guarantee")),
        (Some(5), true),
        "{}",
        refused.stderr
    );
    assert_eq!(farm.wait(long)["state"], "done");
}

#[test]
fn a_worker_that_goes_or_is_held_back_gets_nothing_and_shows_it() {
    let mut farm = Farm::builder().workers(2).start();
    let state = |farm: &Farm, name: &str| {
        let worker = farm.worker_list().into_iter().find(|worker| worker["name"] == name);
        worker.map(|worker| (worker["state"].as_str().unwrap().to_owned(), worker["running"].clone()))
    };
    farm.reel("worker cordon w2").run().success();
    let long =
        farm.submit(&fixtures::a_minute_of_1080p().path, "long", &profile("ladder"), "--chunk-parts 15");
    until("w1 to encode", Duration::from_secs(60), || {
        state(&farm, "w1").is_some_and(|(_, running)| running.to_string().contains("encode"))
    });
    assert_eq!(state(&farm, "w2").unwrap(), ("cordoned".to_owned(), json!([])));

    // Asked to go, it shows that at once, though the part in hand takes a while.
    farm.signal_worker(0, Signal::TERM);
    until("w1 to be draining", Duration::from_secs(30), || {
        state(&farm, "w1").is_none_or(|(state, _)| state == "draining")
    });
    farm.wait_worker(0);
    assert_eq!(state(&farm, "w2").unwrap().1, json!([]));

    farm.reel("worker undrain w2").run().success();
    until("w2 to encode", Duration::from_secs(60), || {
        state(&farm, "w2").is_some_and(|(_, running)| running.to_string().contains("encode"))
    });
    farm.reel("worker drain w2").run().success();
    until("w2 to have ended with a part", Duration::from_secs(60), || {
        state(&farm, "w2") == Some(("draining".to_owned(), json!([])))
    });
    assert_eq!(farm.job(long)["parts_encoded_twice"], 0);
    farm.reel(&format!("job cancel {long}")).run().success();
    let unknown = farm.reel("worker drain nobody").run();
    assert_eq!(unknown.code, Some(4), "{}", unknown.stderr);
}

#[test]
fn the_work_of_a_worker_that_dies_is_free_within_thirty_seconds_by_default() {
    let leases = Leases { heartbeat_ms: 5000, lease_ms: 20_000, grace_ms: 10_000 };
    let mut farm = Farm::builder().leases(leases).start();
    let job =
        farm.submit(&fixtures::a_minute_of_1080p().path, "long", &profile("ladder"), "--chunk-parts 15");
    until("a chunk to be encoded", Duration::from_secs(60), || {
        farm.job(job)["running"].to_string().contains("encode")
    });
    farm.kill_worker(0);
    until("its chunk to wait for another", Duration::from_secs(30), || farm.worker_list().is_empty());
    assert_eq!(farm.job(job)["running"], json!([]));
    farm.reel(&format!("job cancel {job}")).run().success();
}
