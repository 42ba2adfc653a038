//! What schedulers answer to plain HTTP: probes, and metrics as Prometheus scrapes them.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reel_tests::farm::Farm;
use reel_tests::reel::until;
use reel_tests::{fixtures, profile};

const PATIENCE: Duration = Duration::from_secs(120);

/// Status and body of a page.
fn get(address: &str, page: &str) -> (u16, String) {
    let mut server = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    write!(server, "GET {page} HTTP/1.1\r\nHost: reel\r\nConnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    server.read_to_string(&mut said).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{said}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The value of a sample, by its name with its labels.
fn sample(address: &str, name: &str) -> Option<f64> {
    let (status, body) = get(address, "/metrics");
    assert_eq!(status, 200, "{body}");
    let line = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap_or_else(|_| panic!("{name} {value}")))
}

#[test]
fn the_leader_tells_what_the_farm_has_done() {
    let farm = Farm::builder().schedulers(3).workers(1).start();
    let servers = farm.servers();
    let servers: Vec<&str> = servers.split(',').collect();
    let job = farm.submit(&fixtures::prores_mov().path, "a", &profile("quick"), "");
    let done = farm.wait(job);
    let leader = servers[farm.leader()];
    assert_eq!(sample(leader, "reel_raft_leader"), Some(1.0));
    assert_eq!(sample(leader, "reel_jobs{state=\"done\"}"), Some(1.0));
    assert_eq!(sample(leader, "reel_jobs_ended_total{state=\"done\"}"), Some(1.0));
    let parts = done["parts_total"].as_f64();
    assert_eq!(sample(leader, "reel_parts_committed_total"), parts);
    assert!(sample(leader, "reel_attempts_ended_total{stage=\"encode\",outcome=\"done\"}") >= Some(1.0));
    assert_eq!(sample(leader, "reel_workers{state=\"ready\",pool=\"on-demand\"}"), Some(1.0));
    assert_eq!((sample(leader, "reel_slots"), sample(leader, "reel_tasks_waiting")), (Some(1.0), Some(0.0)));
    assert!(sample(leader, "reel_data_free_bytes") > Some(0.0));
    until("the load of the worker", PATIENCE, || {
        sample(leader, "reel_workers_scratch_free_bytes_min") > Some(0.0)
    });
    for follower in servers.iter().filter(|server| **server != leader) {
        assert_eq!(sample(follower, "reel_raft_leader"), Some(0.0));
        assert_eq!(sample(follower, "reel_slots"), None, "it would be counted twice");
    }
}

#[test]
fn a_scheduler_without_a_majority_is_alive_but_not_ready() {
    let mut farm = Farm::builder().schedulers(3).workers(0).start();
    let servers = farm.servers();
    let servers: Vec<&str> = servers.split(',').collect();
    for server in &servers {
        assert_eq!(get(server, "/healthz").0, 200);
        until("readiness", PATIENCE, || get(server, "/readyz").0 == 200);
    }
    let leader = farm.leader();
    let other = (0..3).find(|number| *number != leader).unwrap();
    let left = (0..3).find(|number| ![leader, other].contains(number)).unwrap();
    farm.kill_scheduler(other);
    farm.kill_scheduler(leader);
    until("no leader", PATIENCE, || get(servers[left], "/readyz").0 == 503);
    let (_, reason) = get(servers[left], "/readyz");
    assert!(reason.contains("no scheduler leads"), "{reason}");
    assert_eq!(get(servers[left], "/healthz").0, 200);
    assert_eq!(sample(servers[left], "reel_raft_has_leader"), Some(0.0));
    assert_eq!(get(servers[left], "/no-such-page").0, 404);
}
