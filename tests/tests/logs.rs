//! Logs that programs read: one JSON object a line, with the same names for the same things everywhere.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::time::Duration;

use reel_tests::farm::Farm;
use reel_tests::reel::until;
use reel_tests::{fixtures, profile};
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn every_line_is_an_object_and_a_job_is_found_by_its_number() {
    let secret = "AKIA-do-not-log-me";
    let variables =
        vec![("REEL_LOG_FORMAT", "json".to_owned()), ("AWS_SECRET_ACCESS_KEY", secret.to_owned())];
    let mut farm = Farm::builder().workers(0).env(variables).start();
    let film = farm.shared().join("film.mov");
    fs::copy(fixtures::prores_mov().path, &film).unwrap();
    let done = farm.submit(fixtures::prores_mov().path, "done", &profile("quick"), "");
    let failed = farm.submit(&film, "failed", &profile("quick"), "");
    fs::write(&film, "no film any more").unwrap();
    let worker = farm.add_worker("w1", "");
    farm.wait(done);
    until("the failure", Duration::from_secs(60), || farm.job(failed)["state"] == "failed");
    farm.signal_worker(worker, Signal::TERM);
    farm.wait_worker(worker);
    let lines: Vec<Value> = ["s1", "w1"]
        .into_iter()
        .flat_map(|name| farm.log(name).lines().map(str::to_owned).collect::<Vec<_>>())
        .map(|line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        assert!(["timestamp", "level", "target"].iter().all(|name| line[name].is_string()), "{line}");
        assert!(line["fields"]["message"].is_string() && !line.to_string().contains(secret), "{line}");
    }
    let of = |job: u64| lines.iter().filter(move |line| line["fields"]["job"] == job);
    assert!(of(done).any(|line| line["fields"]["state"] == "done" && line["level"] == "INFO"));
    let begun = of(done).find(|line| line["fields"]["task"] == format!("{done}/index/0")).unwrap();
    assert_eq!(begun["fields"]["attempt"], 1, "{begun}");
    assert!(begun["fields"]["epoch"].is_u64(), "{begun}");
    let ended = of(failed).find(|line| line["fields"]["outcome"] == "invalid").unwrap();
    assert_eq!((&ended["level"], &ended["fields"]["worker"]), (&"WARN".into(), &"w1".into()), "{ended}");
    assert!(of(failed).any(|line| line["fields"]["message"] == "a job has failed"));
    let said =
        |text: &str| lines.iter().any(|line| line["fields"]["message"].as_str().unwrap().contains(text));
    assert!(said("scheduler 1 listens on") && said("worker w1 is gone"), "{lines:#?}");
}
