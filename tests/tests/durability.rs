//! What a scheduler has acknowledged is there, however it dies.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reel_client::{Client, Servers};
use reel_proto::v1;
use reel_tests::disk::SmallDisk;
use reel_tests::farm::Farm;
use reel_tests::reel::until;
use reel_tests::{Dice, fixtures, profile};
use tokio::task::JoinSet;

/// Submits that are under way at once, and jobs of a round.
const WRITERS: u64 = 3;

/// The jobs that were acknowledged, by their idempotency keys.
type Acknowledged = Arc<Mutex<BTreeMap<String, u64>>>;

fn request(key: &str) -> v1::SubmitRequest {
    v1::SubmitRequest {
        mezzanine: format!("/in/{key}.mov"),
        profile: reel_profiles::catalog::text("proxy").unwrap().to_owned(),
        profile_name: "proxy".to_owned(),
        output: format!("/out/{key}"),
        idempotency_key: Some(key.to_owned()),
        ..v1::SubmitRequest::default()
    }
}

/// Submits a job, and the same again and again, until it is aborted.
async fn write(client: Client, key: String, acknowledged: Acknowledged) {
    loop {
        if let Ok(answer) = client.submit(request(&key)).await {
            let before = acknowledged.lock().unwrap().insert(key.clone(), answer.job);
            assert!(before.is_none_or(|before| before == answer.job), "{key} was accepted twice");
        }
    }
}

fn client(farm: &Farm) -> Client {
    Client::new(Servers::parse(&farm.servers()).unwrap())
}

#[test]
fn every_acknowledged_job_survives_two_hundred_kills_of_its_scheduler() {
    let mut dice = Dice::from_env();
    println!("replay with REEL_TEST_SEED={}", dice.seed);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut farm = Farm::builder().workers(0).start();
    let acknowledged = Acknowledged::default();
    for round in 0..200 {
        let before = acknowledged.lock().unwrap().len();
        let client = client(&farm);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let write = write(client.clone(), format!("{round}-{writer}"), acknowledged.clone());
            writers.spawn_on(write, runtime.handle());
        }
        until("the first job of a round", Duration::from_secs(30), || {
            acknowledged.lock().unwrap().len() > before
        });
        std::thread::sleep(Duration::from_micros(dice.below(60_000)));
        farm.kill_scheduler(0);
        runtime.block_on(writers.shutdown());
        farm.start_scheduler(0);
    }
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    println!("{} jobs were acknowledged", acknowledged.len());
    assert!(acknowledged.len() > 200);
    let client = client(&farm);
    runtime.block_on(async {
        for (key, job) in &acknowledged {
            let answer = client.submit(request(key)).await.unwrap();
            assert_eq!((answer.job, answer.duplicate), (*job, true), "{key} was acknowledged and is lost");
        }
    });
}

#[test]
fn a_follower_whose_disk_is_full_says_so_and_leaves_the_farm_to_the_others() {
    fill_the_disk_of_one(false);
}

#[test]
fn a_leader_whose_disk_is_full_says_so_and_leaves_the_farm_to_the_others() {
    fill_the_disk_of_one(true);
}

fn fill_the_disk_of_one(leads: bool) {
    let (disk, mezzanine) = (SmallDisk::new(8), fixtures::prores_mov().path);
    let mut farm = Farm::builder().schedulers(3).workers(2).folder(1, &disk.path().join("data")).start();
    farm.reel(&format!("cluster transfer-leader {}", if leads { 2 } else { 1 })).run().success();
    disk.fill(0);
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "--chunk-parts 1");
    assert_eq!(farm.wait(job)["state"], "done");
    until("the scheduler to stop", Duration::from_secs(60), || farm.has_ended(1));
    let log = farm.log("s2");
    assert!(log.contains("cannot be written") && log.contains("free the disk"), "{log}");
    farm.kill_scheduler(1);

    disk.free();
    farm.start_scheduler(1);
    until("the scheduler to catch up", Duration::from_secs(60), || {
        farm.members().iter().any(|member| member["id"] == 2 && member["lag"] == 0)
    });
}

#[test]
fn a_scheduler_with_a_damaged_log_refuses_it_and_is_made_anew_from_its_peers() {
    let mezzanine = fixtures::prores_mov().path;
    let mut farm = Farm::builder().schedulers(3).workers(1).start();
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "");
    assert_eq!(farm.wait(job)["state"], "done");
    farm.kill_scheduler(2);
    let path = farm.shared().join("s3/db/db");
    let mut bytes = std::fs::read(&path).unwrap();
    for at in (4096..bytes.len()).step_by(512) {
        bytes[at] ^= 0x55;
    }
    std::fs::write(&path, bytes).unwrap();
    farm.start_scheduler(2);
    until("the scheduler to refuse its log", Duration::from_secs(60), || farm.has_ended(2));
    let log = farm.log("s3");
    assert!(log.contains("is damaged") && log.contains("restore it from a backup"), "{log}");
    farm.kill_scheduler(2);

    // With an empty folder it would have forgotten what it has voted for: it is not the same.
    std::fs::remove_dir_all(farm.shared().join("s3")).unwrap();
    farm.start_scheduler(2);
    until("the scheduler to be refused", Duration::from_secs(60), || farm.has_ended(2));
    let log = farm.log("s3");
    assert!(log.contains("a number is never given twice"), "{log}");
    farm.kill_scheduler(2);
    farm.reel("cluster remove 3").run().success();
    farm.add_scheduler(4);
    until("the new scheduler to vote and catch up", Duration::from_secs(60), || {
        farm.members().iter().any(|member| member["id"] == 4 && member["voter"] == true)
    });
}

#[test]
fn a_scheduler_that_comes_late_gets_a_snapshot_of_what_the_log_has_no_more() {
    let mezzanine = fixtures::prores_mov().path;
    let mut farm = Farm::builder().workers(1).start();
    let job = farm.submit(&mezzanine, "a", &profile("quick"), "");
    assert_eq!(farm.wait(job)["state"], "done");
    farm.reel("cluster snapshot").run().success();
    let status = farm.status().unwrap();
    assert!(status["snapshot"].as_u64() > Some(10), "{status}");
    farm.add_scheduler(2);
    until("the second scheduler to vote", Duration::from_secs(60), || {
        farm.members().iter().filter(|member| member["voter"] == true).count() == 2
    });
    // It is counted among the voters as soon as the cluster wants it to be one.
    until("the snapshot to arrive", Duration::from_secs(60), || {
        std::fs::read_dir(farm.shared().join("s2/snapshots")).is_ok_and(|found| found.count() > 0)
    });
    farm.reel("cluster transfer-leader 2").run().success();
    assert_eq!(farm.job(job)["state"], "done");
    // Both restart from what they have.
    farm.kill_scheduler(0);
    farm.kill_scheduler(1);
    farm.start_scheduler(0);
    farm.start_scheduler(1);
    farm.leader();
    assert_eq!(farm.job(job)["state"], "done");
}
