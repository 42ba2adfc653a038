//! A farm: each scheduler by itself, whether they are one cluster, and the workers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reel_client::{Client, ClientError, Servers};
use reel_common::WorkerState;
use reel_proto::v1;

use super::Check;
use super::page::{self, Page};
use crate::output::bytes;

const AREA: &str = "farm";
/// How long the farm may take to have a leader who answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// Log entries that a scheduler may be behind while much goes on.
const USUAL_LAG: u64 = 1000;
/// A scheduler whose disk is full stops; one whose disk has less than the other stops soon.
const LEAST_DISK: f64 = 512.0 * 1024.0 * 1024.0;
const GOOD_DISK: f64 = 4.0 * 1024.0 * 1024.0 * 1024.0;
/// Attempts on a worker with less do not end well.
const LEAST_SCRATCH: u64 = 1 << 30;
/// Times in logs and deadlines are off by so much; object stores refuse who is off by 15 minutes.
const CLOCK_WARN_S: i64 = 2;
const CLOCK_FAIL_S: i64 = 60;

/// What was learned of one scheduler.
struct Seen {
    address: String,
    status: Result<v1::ClusterStatus, String>,
    metrics: Result<Page, String>,
    ready: Result<Page, String>,
}

pub(super) async fn checks(servers: Servers) -> Vec<Check> {
    let client = Client::new(servers.clone()).with_patience(PATIENCE);
    let mut seen = BTreeMap::new();
    for address in servers.named() {
        seen.insert(address.clone(), look(&client, address).await);
    }
    // Members that nobody named are looked at too.
    let members: BTreeSet<String> = statuses(&seen).flat_map(|status| &status.members).map(address).collect();
    for address in members {
        if !seen.contains_key(&address) {
            seen.insert(address.clone(), look(&client, &address).await);
        }
    }
    let mut checks: Vec<Check> = seen.values().flat_map(scheduler).collect();
    checks.extend(cluster(&seen));
    // Without a leader nobody knows of workers.
    if statuses(&seen).any(|status| status.leader.is_some()) {
        checks.extend(match client.overview(1).await {
            Ok(overview) => workers(&overview.workers),
            Err(error) => vec![Check::fail(AREA, "workers", error, "see what the schedulers log")],
        });
    }
    checks
}

fn address(member: &v1::ClusterMember) -> String {
    member.address.clone()
}

fn statuses(seen: &BTreeMap<String, Seen>) -> impl Iterator<Item = &v1::ClusterStatus> {
    seen.values().filter_map(|seen| seen.status.as_ref().ok())
}

async fn look(client: &Client, address: &str) -> Seen {
    let (status, metrics, ready) = tokio::join!(
        client.status_of(address),
        page::get(address, "/metrics"),
        page::get(address, "/readyz")
    );
    let status = status.map_err(|error| match error {
        ClientError::Unreachable(why) => why,
        other => other.to_string(),
    });
    Seen { address: address.to_owned(), status, metrics, ready }
}

/// What is right and wrong with one scheduler.
fn scheduler(seen: &Seen) -> Vec<Check> {
    let address = &seen.address;
    let away = "start it, or see that this host may reach its address and port";
    let status = match &seen.status {
        Ok(status) => status,
        Err(error) => return vec![Check::fail(AREA, "scheduler", error, away)],
    };
    let name = format!("scheduler {}", status.node);
    let role = if status.leader == Some(status.node) { "leads" } else { "follows" };
    let mut checks = vec![match &seen.ready {
        Ok(ready) if ready.is_ok => Check::ok(AREA, &name, format!("{address} {role}, term {}", status.term)),
        Ok(ready) => {
            let found = format!("{address} is not ready: {}", ready.text.trim());
            Check::fail(AREA, &name, found, "see what it logs, and that a majority of the schedulers runs")
        }
        Err(error) => Check::fail(AREA, &name, format!("{address} does not answer HTTP: {error}"), away),
    }];
    if let Ok(metrics) = &seen.metrics {
        checks.push(version(&name, metrics));
        checks.extend(metrics.metric("reel_data_free_bytes").map(|free| disk(&name, free)));
        checks.extend(metrics.ahead_s.map(|ahead_s| clock(&name, ahead_s)));
    }
    checks
}

fn version(name: &str, metrics: &Page) -> Check {
    let name = format!("{name}, version");
    let own = env!("CARGO_PKG_VERSION");
    match metrics.version() {
        Some(version) if version == own => Check::ok(AREA, name, version),
        version => {
            let found = format!("{}, and this reel has {own}", version.unwrap_or("none that it says"));
            Check::warn(AREA, name, found, "give all hosts the same version, one scheduler after the other")
        }
    }
}

fn disk(name: &str, free: f64) -> Check {
    let name = format!("{name}, disk");
    let found = format!("{} free", bytes(free as u64));
    let advice = "make room for its log and snapshots: a scheduler whose disk is full stops";
    match free {
        free if free < LEAST_DISK => Check::fail(AREA, name, found, advice),
        free if free < GOOD_DISK => Check::warn(AREA, name, found, advice),
        _ => Check::ok(AREA, name, found),
    }
}

fn clock(name: &str, ahead_s: i64) -> Check {
    let name = format!("{name}, clock");
    let found = match ahead_s {
        0 => "as that of this host".to_owned(),
        ahead if ahead > 0 => format!("{ahead} s ahead of this host"),
        behind => format!("{} s behind this host", -behind),
    };
    let advice = "see that the clocks of both hosts follow NTP";
    match ahead_s.abs() {
        off if off >= CLOCK_FAIL_S => Check::fail(AREA, name, found, advice),
        off if off >= CLOCK_WARN_S => Check::warn(AREA, name, found, advice),
        _ => Check::ok(AREA, name, found),
    }
}

/// Whether those that answer are one cluster with a leader, and none of it is far behind.
fn cluster(seen: &BTreeMap<String, Seen>) -> Vec<Check> {
    let clusters: BTreeSet<u64> = statuses(seen).map(|status| status.cluster).collect();
    if clusters.len() > 1 {
        let found = format!("these schedulers belong to {} clusters", clusters.len());
        return vec![Check::fail(AREA, "cluster", found, "name those of one farm in --server")];
    }
    let Some(leading) = statuses(seen).find(|status| status.leader == Some(status.node)) else {
        let found = "no scheduler leads";
        return vec![Check::fail(AREA, "leader", found, "start schedulers until a majority of them runs")];
    };
    let voters = leading.members.iter().filter(|member| member.voter).count();
    let mut checks = vec![match voters {
        0..3 => {
            let advice = "a farm that is to outlive a host needs three schedulers: add some with --join";
            Check::warn(AREA, "cluster", format!("{voters} voting"), advice)
        }
        _ => Check::ok(AREA, "cluster", format!("{voters} voting, scheduler {} leads", leading.node)),
    }];
    let behind = |member: &v1::ClusterMember| leading.last_log.saturating_sub(member.matched.unwrap_or(0));
    let others = leading.members.iter().filter(|member| member.id != leading.node);
    for member in others.filter(|member| behind(member) > USUAL_LAG) {
        let found = format!("{} log entries behind", behind(member));
        let name = format!("scheduler {}, lag", member.id);
        checks.push(Check::warn(AREA, name, found, "see that its disk and its network keep up"));
    }
    checks
}

fn workers(workers: &[v1::WorkerRow]) -> Vec<Check> {
    const NAME: &str = "workers";
    let state = |worker: &v1::WorkerRow| WorkerState::try_from(worker.state()).ok();
    let named = |wanted: WorkerState| {
        let names = workers.iter().filter(|worker| state(worker) == Some(wanted));
        names.map(|worker| worker.name.as_str()).collect::<Vec<_>>().join(" ")
    };
    let ready = workers.iter().filter(|worker| state(worker) == Some(WorkerState::Ready)).count();
    let found = format!("{ready} of {} take work", workers.len());
    let mut checks = vec![match ready {
        0 => Check::fail(
            AREA,
            NAME,
            found,
            "start some with `reel worker start`, or let them work again with `reel worker undrain`",
        ),
        _ => Check::ok(AREA, NAME, found),
    }];
    let told = [
        (WorkerState::Silent, "see that their hosts run and reach the schedulers"),
        (
            WorkerState::Quarantined,
            "see what they failed by (`reel events`), then `reel worker undrain NAME`",
        ),
    ];
    for (state, advice) in told {
        let names = named(state);
        if !names.is_empty() {
            checks.push(Check::warn(AREA, format!("workers, {}", state.name()), names, advice));
        }
    }
    let short = |worker: &&v1::WorkerRow| worker.load.is_some_and(|load| load.scratch_free < LEAST_SCRATCH);
    let short: Vec<&str> = workers.iter().filter(short).map(|worker| worker.name.as_str()).collect();
    if !short.is_empty() {
        let found = format!("less than {} on {}", bytes(LEAST_SCRATCH), short.join(" "));
        checks.push(Check::warn(AREA, "workers, scratch", found, "make room on their --data"));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn clocks_and_disks_are_judged_by_what_they_do_to_a_farm() {
        assert_eq!(
            [0, 1, -5, 3600].map(|off| clock("s", off).state),
            [State::Ok, State::Ok, State::Warn, State::Fail]
        );
        let states = [1e6, 1e9, 1e12].map(|free| disk("s", free).state);
        assert_eq!(states, [State::Fail, State::Warn, State::Ok]);
    }

    #[test]
    fn workers_that_take_no_work_are_named() {
        let worker = |name: &str, state: v1::WorkerState| v1::WorkerRow {
            name: name.to_owned(),
            state: state.into(),
            ..v1::WorkerRow::default()
        };
        let all = [worker("a", v1::WorkerState::Ready), worker("b", v1::WorkerState::Quarantined)];
        let told = workers(&all);
        assert_eq!(told.iter().map(|check| check.state).collect::<Vec<_>>(), [State::Ok, State::Warn]);
        assert_eq!(told[1].found, "b");
        assert_eq!(workers(&all[1..])[0].state, State::Fail);
    }
}
