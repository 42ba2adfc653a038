//! What schedulers answer to plain HTTP: probes, and metrics as Prometheus scrapes them.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reel_tests::dashboards;
use reel_tests::disk::SmallDisk;
use reel_tests::farm::Farm;
use reel_tests::reel::until;
use reel_tests::servers::free_address;
use reel_tests::{fixtures, profile, scratch, target_dir, workspace};
use rustix::process::Signal;
use serde_json::Value;

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

fn program(name: &str) -> PathBuf {
    let program = target_dir().join("prometheus/usr/bin").join(name);
    assert!(program.exists(), "{} is missing: run `make prometheus`", program.display());
    program
}

/// A Prometheus that scrapes a farm each second and tells of alerts at once: what it would wait for is left out.
struct Prometheus {
    server: Child,
    address: String,
}

impl Prometheus {
    fn start(dir: &Path, farm: &Farm) -> Prometheus {
        let rules = fs::read_to_string(workspace().join("ops/dashboards/alerts.yml")).unwrap();
        let rules: String = rules
            .lines()
            .filter(|line| !line.trim().starts_with("for:"))
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(dir.join("rules.yml"), rules).unwrap();
        let targets = farm.servers().replace("http://", "");
        let targets: Vec<String> = targets.split(',').map(|target| format!("{target:?}")).collect();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n  \
             - job_name: reel\n    static_configs: [{{targets: [{}]}}]\n",
            targets.join(", ")
        );
        fs::write(dir.join("prometheus.yml"), config).unwrap();
        let (address, log) = (free_address().to_string(), File::create(dir.join("prometheus.log")).unwrap());
        let mut command = Command::new(program("prometheus"));
        command.arg("--config.file=prometheus.yml").arg(format!("--web.listen-address={address}"));
        command.arg("--storage.tsdb.path=data").current_dir(dir).stdout(Stdio::null()).stderr(log);
        Prometheus { server: command.spawn().unwrap(), address }
    }

    fn ask(&self, page: &str) -> String {
        match TcpStream::connect(&self.address) {
            Ok(_) => get(&self.address, page).1,
            Err(_) => String::new(),
        }
    }

    fn query(&self, query: &str) -> String {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        self.ask(&format!("/api/v1/query?query={encoded}"))
    }

    fn fires(&self, alert: &str) {
        until(alert, PATIENCE, || self.ask("/api/v1/alerts").contains(&format!("\"alertname\":\"{alert}\"")));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn prometheus_scrapes_a_farm_and_its_alerts_fire_where_something_is_wrong() {
    let film = fixtures::prores_mov().path;
    let dir = scratch();
    let prices = vec![("REEL_PRICE", "0.5".to_owned())];
    let mut farm = Farm::builder().schedulers(3).workers(0).env(prices).start();
    let prometheus = Prometheus::start(dir.path(), &farm);
    until("three targets", PATIENCE, || prometheus.ask("/api/v1/query?query=sum(up)").contains("\"3\""));
    // Before the first scrape nobody leads.
    until("nothing to be wrong", PATIENCE, || !prometheus.ask("/api/v1/alerts").contains("alertname"));
    let late = farm.submit(&film, "late", &profile("quick"), "--deadline 1s");
    prometheus.fires("ReelNoWorkers");
    prometheus.fires("ReelJobLate");
    farm.add_worker("w1", "");
    farm.wait(late);
    for (title, query) in dashboards::all().iter().flat_map(|(_, dashboard)| dashboards::queries(dashboard)) {
        until(&format!("{title} to have something to show: {query}"), PATIENCE, || {
            let answer: Value = serde_json::from_str(&prometheus.query(&query)).unwrap_or_default();
            answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty())
        });
    }
    let vanishes = farm.shared().join("film.mov");
    fs::copy(&film, &vanishes).unwrap();
    farm.reel("worker quarantine w1").run().success();
    prometheus.fires("ReelWorkersQuarantined");
    let failed = farm.submit(&vanishes, "failed", &profile("quick"), "");
    fs::write(&vanishes, "no film any more").unwrap();
    farm.reel("worker undrain w1").run().success();
    until("the failure", PATIENCE, || farm.job(failed)["state"] == "failed");
    prometheus.fires("ReelJobFailed");
    farm.submit(&film, "waits", &profile("quick"), "--need site=berlin");
    prometheus.fires("ReelJobsStandStill");
    let leader = farm.leader();
    let others: Vec<usize> = (0..3).filter(|number| *number != leader).collect();
    farm.kill_scheduler(others[0]);
    prometheus.fires("ReelSchedulerDown");
    farm.kill_scheduler(others[1]);
    prometheus.fires("ReelNoLeader");
}

#[test]
fn disks_that_fill_up_and_a_scheduler_that_falls_behind_are_told() {
    let dir = scratch();
    let (log, room) = (SmallDisk::new(4000), SmallDisk::new(4000));
    let mut farm = Farm::builder().schedulers(3).workers(0).folder(1, &log.path().join("s2")).start();
    symlink(room.path(), farm.shared().join("w1")).unwrap();
    farm.add_worker("w1", "--hook nothing=/bin/true");
    let prometheus = Prometheus::start(dir.path(), &farm);
    let low = |alert: &str| prometheus.ask("/api/v1/alerts").contains(&format!("\"alertname\":\"{alert}\""));
    let scratch = || prometheus.ask("/api/v1/query?query=reel_workers_scratch_free_bytes_min");
    until("three targets and the load of the worker", PATIENCE, || {
        prometheus.ask("/api/v1/query?query=sum(up)").contains("\"3\"") && scratch().contains("value")
    });
    assert!(!low("ReelSchedulerDiskLow") && !low("ReelScratchLow"));
    log.resize(1000);
    prometheus.fires("ReelSchedulerDiskLow");
    room.resize(1000);
    prometheus.fires("ReelScratchLow");

    let leader = farm.leader();
    let follower = (0..3).find(|number| *number != leader).unwrap();
    farm.signal_scheduler(follower, Signal::STOP);
    farm.reel("submit --hook nothing:20000").run().success();
    prometheus.fires("ReelSchedulerBehind");
    farm.signal_scheduler(follower, Signal::CONT);
    until("the scheduler to catch up", PATIENCE, || !low("ReelSchedulerBehind"));
}

#[test]
fn workers_that_go_and_attempts_that_fail_are_told() {
    let dir = scratch();
    let mut farm = Farm::builder().schedulers(1).workers(0).start();
    let prometheus = Prometheus::start(dir.path(), &farm);
    let fires =
        |alert: &str| prometheus.ask("/api/v1/alerts").contains(&format!("\"alertname\":\"{alert}\""));
    farm.reel("submit --hook nap:100").run().success();
    // Rates are of what is added between two scrapes, so it takes more than one worker that goes.
    let deadline = Instant::now() + PATIENCE;
    for number in 0.. {
        let name = format!("w{number}");
        let worker = farm.add_worker(&name, "--hook nap=/usr/bin/yes --hook fail=/bin/false");
        let runs =
            || farm.worker(&name).is_some_and(|worker| !worker["running"].as_array().unwrap().is_empty());
        until("the worker to be busy", PATIENCE, runs);
        farm.signal_worker(worker, Signal::TERM);
        farm.signal_worker(worker, Signal::TERM);
        farm.wait_worker(worker);
        if fires("ReelPreemptionStorm") {
            break;
        }
        assert!(Instant::now() < deadline, "{}", prometheus.ask("/api/v1/alerts"));
    }
    assert!(!fires("ReelAttemptsFail"));
    farm.reel("job cancel 1").run().success();
    farm.add_worker("fails", "--hook fail=/bin/false");
    let deadline = Instant::now() + PATIENCE;
    while !fires("ReelAttemptsFail") {
        assert!(Instant::now() < deadline, "{}", prometheus.ask("/api/v1/alerts"));
        farm.reel("submit --hook fail:20").run().success();
        std::thread::sleep(Duration::from_secs(1));
    }
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
    let page = farm.shared().join("metrics");
    fs::write(&page, get(leader, "/metrics").1).unwrap();
    let judged = Command::new(program("promtool"))
        .args(["check", "metrics"])
        .stdin(File::open(page).unwrap())
        .output();
    let judged = judged.unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    until("the load of the worker", PATIENCE, || {
        sample(leader, "reel_workers_scratch_free_bytes_min") > Some(0.0)
    });
    for follower in servers.iter().filter(|server| **server != leader) {
        assert_eq!(sample(follower, "reel_raft_leader"), Some(0.0));
        assert_eq!(sample(follower, "reel_slots"), None, "it would be counted twice");
    }
}

#[test]
fn what_a_scheduler_reads_again_from_its_log_is_not_counted_again() {
    let mut farm = Farm::builder().workers(1).start();
    let job = farm.submit(&fixtures::prores_mov().path, "a", &profile("quick"), "");
    farm.wait(job);
    let server = farm.servers();
    assert_eq!(sample(&server, "reel_jobs_ended_total{state=\"done\"}"), Some(1.0));
    farm.kill_scheduler(0);
    farm.start_scheduler(0);
    farm.leader();
    assert_eq!(sample(&server, "reel_jobs{state=\"done\"}"), Some(1.0));
    assert_eq!(sample(&server, "reel_jobs_ended_total{state=\"done\"}"), Some(0.0));
    assert_eq!(sample(&server, "reel_attempts_ended_total{stage=\"index\",outcome=\"done\"}"), Some(0.0));
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

#[test]
fn a_leader_without_followers_is_alive_but_leads_nobody() {
    let mut farm = Farm::builder().schedulers(3).workers(0).start();
    let servers = farm.servers();
    let leader = farm.leader();
    let address = servers.split(',').nth(leader).unwrap();
    until("readiness", PATIENCE, || get(address, "/readyz").0 == 200);
    (0..3).filter(|number| *number != leader).for_each(|number| farm.kill_scheduler(number));
    until("no leader", PATIENCE, || get(address, "/readyz").0 == 503);
    assert_eq!(sample(address, "reel_raft_has_leader"), Some(0.0));
    assert_eq!(get(address, "/healthz").0, 200);
}
