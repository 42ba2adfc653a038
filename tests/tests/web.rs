//! What schedulers serve to browsers: the farm in JSON, titles where they are allowed, the page itself.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs;
use std::io;
use std::time::Duration;

use reel_tests::farm::Farm;
use reel_tests::http::{Answer, get};
use reel_tests::reel::until;
use reel_tests::{fixtures, profile};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);

/// What a scheduler says under a path of its interface.
fn ask(server: &str, path: &str) -> Value {
    let answer = get(server, &format!("/api/v1/{path}"), "").unwrap();
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn servers(farm: &Farm) -> Vec<String> {
    farm.servers().split(',').map(str::to_owned).collect()
}

#[test]
fn every_scheduler_tells_of_the_farm_whoever_leads() {
    let prices = vec![("REEL_PRICE", "3.6".to_owned())];
    let mut farm = Farm::builder().schedulers(3).workers(1).env(prices).start();
    let job = farm.submit(&fixtures::prores_mov().path, "a", &profile("quick"), "");
    farm.wait(job);
    let shown = farm.job(job);
    for server in servers(&farm) {
        let overview = ask(&server, "overview?jobs=5");
        assert_eq!((&overview["jobsDone"], &overview["costMicros"]), (&json!("1"), &json!("3600000")));
        let row = &overview["jobs"][0];
        assert_eq!((&row["id"], &row["state"]), (&json!(job.to_string()), &json!("JOB_STATE_DONE")));
        assert_eq!(overview["workers"][0]["name"], "w1");
        let view = ask(&server, &format!("jobs/{job}"));
        assert_eq!((&view["partsTotal"], &view["output"]), (&shown["parts_total"], &shown["output"]));
        assert_eq!(ask(&server, &format!("jobs/{job}/strip?cells=2"))["partsTotal"], shown["parts_total"]);
        assert_eq!(ask(&server, &format!("jobs/{job}/tasks")), json!({}));
        let explained = ask(&server, &format!("jobs/{job}/explain"));
        assert_eq!(explained["obstacles"][0]["message"], "the job is done");
        assert_eq!(ask(&server, "cluster")["members"].as_array().unwrap().len(), 3);
        let history = ask(&server, &format!("jobs/{job}/history"));
        let attempts = history["attempts"].as_array().unwrap();
        // A thousandth of a currency unit a second.
        for attempt in attempts {
            let number = |field: &str| attempt[field].as_str().map_or(0, |text| text.parse::<u64>().unwrap());
            assert_eq!(number("costMicros"), number("endedMs") - number("startedMs"), "{attempt}");
        }
        let cost = attempts
            .iter()
            .map(|attempt| attempt["costMicros"].as_str().map_or(0, |text| text.parse().unwrap()));
        assert_eq!(history["costMicros"], json!(cost.sum::<u64>().to_string()));
        assert_eq!(history["costMicros"], view["costMicros"]);
        until("the end of the job to be told", PATIENCE, || {
            let told = ask(&server, "events");
            let is_end = |event: &Value| event["event"] == "job-changed" && event["state"] == "done";
            told["events"].as_array().unwrap().iter().any(is_end)
        });
    }
    let told = farm.reel(&format!("job report {job}")).run().success().stdout;
    assert!(told.lines().any(|line| line.starts_with("on-demand")), "{told}");

    let leader = farm.leader();
    farm.kill_scheduler(leader);
    for (_, server) in servers(&farm).iter().enumerate().filter(|(number, _)| *number != leader) {
        until("another leader", PATIENCE, || get(server, "/api/v1/overview", "").unwrap().status == 200);
        assert_eq!(ask(server, &format!("jobs/{job}"))["state"], "JOB_STATE_DONE");
    }
}

#[test]
fn what_is_not_there_or_not_allowed_is_said() {
    let mut farm = Farm::builder().schedulers(1).workers(0).options("--preview").start();
    let server = farm.servers();
    let job = farm.submit(&fixtures::prores_mov().path, "a", &profile("quick"), "");
    let refused = |path: &str| {
        let Answer { status, body, .. } = get(&server, path, "").unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    for path in [
        "/api/v1/jobs/99",
        "/api/v1/jobs/x",
        "/api/v1/jobs/1/nothing",
        "/assets/nothing.js",
        "/titles/99/a.mp4",
    ] {
        let (status, body) = refused(path);
        assert_eq!(status, 404, "{path}: {body}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["error"].is_string(), "{path}: {body}");
    }
    assert_eq!(refused("/api/v1/overview?jobs=many").0, 400);
    assert_eq!(refused("/no-such-page").0, 404);
    assert_eq!(refused(&format!("/titles/{job}/master.m3u8")).0, 404, "it is not whole");
    for method in ["POST", "DELETE"] {
        let asked = reel_tests::http::ask(&server, method, "/api/v1/jobs/1", "").unwrap();
        assert_eq!(asked.status, 405, "nothing is changed from here");
    }
    farm.kill_scheduler(0);
    assert_eq!(get(&server, "/", "").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn finished_titles_are_read_where_that_is_allowed() {
    let mut farm = Farm::builder().schedulers(1).workers(1).options("--preview").start();
    let server = farm.servers();
    let job = farm.submit(&fixtures::prores_mov().path, "a", &profile("quick"), "");
    farm.wait(job);
    let place = ask(&server, &format!("jobs/{job}/title"))["url"].as_str().unwrap().to_owned();
    let file = |path: &str, more: &str| get(&server, &format!("/{place}{path}"), more).unwrap();
    let master = fs::read(farm.output("a").join("master.m3u8")).unwrap();
    let read = file("master.m3u8", "");
    assert_eq!((read.status, &read.body), (200, &master));
    assert!(read.head.contains("content-type: application/vnd.apple.mpegurl"), "{}", read.head);
    let read = file("master.m3u8", "Range: bytes=3-9\r\n");
    assert_eq!((read.status, &read.body[..]), (206, &master[3..10]));
    assert!(read.head.contains(&format!("content-range: bytes 3-9/{}", master.len())), "{}", read.head);
    assert_eq!(file("master.m3u8", "Range: bytes=100000000-\r\n").status, 416);

    let outside = farm.shared().join("outside.json");
    fs::write(&outside, "{}").unwrap();
    std::os::unix::fs::symlink(&outside, farm.output("a").join("link.json")).unwrap();
    for path in [
        "link.json",
        "nothing.mp4",
        "../../outside.json",
        "%2e%2e/%2e%2e/outside.json",
        "..%2f..%2foutside.json",
        "%2fetc%2fhosts.json",
        ".",
    ] {
        assert_eq!(file(path, "").status, 404, "{path}");
    }
    // The next scheduler was not told to.
    farm.add_scheduler(2);
    let other = servers(&farm)[1].clone();
    until("the second scheduler", PATIENCE, || {
        get(&other, &format!("/api/v1/jobs/{job}"), "").is_ok_and(|answer| answer.status == 200)
    });
    let answer = get(&other, &format!("/{place}master.m3u8"), "").unwrap();
    assert_eq!((answer.status, answer.text().contains("--preview")), (404, true), "{}", answer.text());
    let told = ask(&other, &format!("jobs/{job}/title"));
    assert!(told["url"].is_null() && told["reason"].as_str().unwrap().contains("--preview"), "{told}");
}
