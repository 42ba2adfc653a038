//! The metrics of a scheduler in the text format that Prometheus scrapes (exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use reel_proto::v1;

use crate::driver::Counts;
use crate::raft::Status;

/// What the metrics are made of.
pub(crate) struct Reading {
    pub(crate) status: Status,
    /// Free bytes where the log lies.
    pub(crate) data_free: Option<u64>,
    /// What the leader alone knows.
    pub(crate) farm: Option<(v1::FarmOverview, Counts)>,
}

/// Samples, family by family.
struct Text(String);

impl Text {
    /// Begins a family; its samples follow.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    /// A family of one sample.
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes all that it is given.
        let _ = writeln!(self.0, "{line}");
    }
}

/// A label's value as the format wants it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// All that there is to scrape now.
pub(crate) fn text(reading: &Reading) -> String {
    let mut text = Text(String::new());
    of_cluster(&mut text, reading);
    if let Some((overview, counts)) = &reading.farm {
        of_jobs(&mut text, overview);
        of_workers(&mut text, overview);
        of_work(&mut text, overview, counts);
    }
    text.0
}

fn of_cluster(text: &mut Text, reading: &Reading) {
    let Status { node, leader, term, last_log, applied, members, .. } = &reading.status;
    let leads = *leader == Some(*node);
    text.family("reel_build_info", "gauge", "The version of this scheduler.");
    text.sample("reel_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.gauge("reel_raft_leader", "Whether this scheduler leads.", u8::from(leads));
    text.gauge(
        "reel_raft_has_leader",
        "Whether this scheduler knows of a leader.",
        u8::from(leader.is_some()),
    );
    text.gauge("reel_raft_term", "The Raft term.", term);
    text.gauge("reel_raft_last_log_index", "Index of the last entry of the log.", last_log);
    text.gauge("reel_raft_applied_index", "Index of the last entry that was applied.", applied);
    let voters = members.iter().filter(|member| member.voter).count();
    text.gauge("reel_raft_voters", "Schedulers that vote.", voters);
    if leads {
        let name = "reel_raft_member_lag_entries";
        text.family(name, "gauge", "Entries that a scheduler is behind the leader, which alone knows.");
        for member in members.iter().filter(|member| member.id != *node) {
            let lag = last_log.saturating_sub(member.matched.unwrap_or(0));
            text.sample(name, &[("id", &member.id.to_string())], lag);
        }
    }
    if let Some(free) = reading.data_free {
        text.gauge("reel_data_free_bytes", "Free bytes where the log and the snapshots lie.", free);
    }
}

fn of_jobs(text: &mut Text, overview: &v1::FarmOverview) {
    text.family("reel_jobs", "gauge", "Jobs that are remembered, by state.");
    for (state, count) in [
        ("queued", overview.jobs_queued),
        ("running", overview.jobs_running),
        ("paused", overview.jobs_paused),
        ("done", overview.jobs_done),
        ("failed", overview.jobs_failed),
        ("canceled", overview.jobs_canceled),
    ] {
        text.sample("reel_jobs", &[("state", state)], count);
    }
    text.gauge("reel_jobs_late", "Jobs that are not over and whose deadline has passed.", overview.jobs_late);
    text.gauge("reel_tasks_waiting", "Tasks that wait for a slot.", overview.tasks_waiting);
    text.gauge("reel_jobs_waiting", "Jobs of which tasks wait and none runs.", overview.jobs_stuck);
}

fn of_workers(text: &mut Text, overview: &v1::FarmOverview) {
    text.gauge("reel_slots", "Slots of workers that take work.", overview.slots);
    text.gauge("reel_slots_taken", "Attempts that run.", overview.slots_taken);
    if overview.cost_micros > 0 {
        let help = "What all hosts with a price cost an hour, in the currency of the site.";
        text.gauge("reel_cost_per_hour", help, overview.cost_micros as f64 / 1e6);
    }
    let mut workers: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for worker in &overview.workers {
        let state = reel_common::WorkerState::try_from(worker.state())
            .map_or("unknown", reel_common::WorkerState::name);
        *workers.entry((state, reel_common::Pool::from(worker.pool()).name())).or_default() += 1;
    }
    text.family("reel_workers", "gauge", "Workers, by state and pool.");
    for ((state, pool), count) in workers {
        text.sample("reel_workers", &[("state", state), ("pool", pool)], count);
    }
    let scratch =
        overview.workers.iter().filter_map(|worker| worker.load).map(|load| load.scratch_free).min();
    if let Some(free) = scratch {
        text.gauge(
            "reel_workers_scratch_free_bytes_min",
            "The least scratch space that is left on a worker.",
            free,
        );
    }
}

fn of_work(text: &mut Text, overview: &v1::FarmOverview, counts: &Counts) {
    let counter = |text: &mut Text, name: &str, help: &str, value: u64| {
        text.family(name, "counter", help);
        text.sample(name, &[], value);
    };
    counter(
        text,
        "reel_frames_encoded_total",
        "Frames of titles that were encoded, those of lost attempts too.",
        overview.frames,
    );
    counter(text, "reel_parts_committed_total", "Parts that were committed.", counts.parts);
    let name = "reel_attempts_ended_total";
    text.family(name, "counter", "Attempts that ended, by stage and outcome.");
    for ((stage, outcome), count) in &counts.attempts {
        text.sample(name, &[("stage", stage.name()), ("outcome", outcome)], count);
    }
    let name = "reel_jobs_ended_total";
    text.family(name, "counter", "Jobs that ended, by how.");
    for (state, count) in &counts.jobs {
        text.sample(name, &[("state", state.name())], count);
    }
}

#[cfg(test)]
mod tests {
    use reel_common::Stage;

    use super::*;
    use crate::raft::Member;

    fn status(node: u64) -> Status {
        let member = |id, matched| Member { id, address: String::new(), folder: 0, voter: true, matched };
        let members = vec![member(1, Some(100)), member(2, Some(90)), member(3, None)];
        Status {
            cluster: 1,
            node,
            leader: Some(1),
            term: 4,
            last_log: 100,
            applied: 99,
            snapshot: 50,
            members,
        }
    }

    #[test]
    fn the_leader_tells_of_the_farm_and_of_who_is_behind() {
        let worker = |state: v1::WorkerState, scratch_free| v1::WorkerRow {
            state: state.into(),
            pool: v1::Pool::Spot.into(),
            load: Some(v1::HostLoad { scratch_free, ..v1::HostLoad::default() }),
            ..v1::WorkerRow::default()
        };
        let overview = v1::FarmOverview {
            at_ms: 10,
            frames: 1234,
            tasks_waiting: 3,
            jobs_running: 1,
            jobs_late: 1,
            jobs_stuck: 1,
            cost_micros: 2_340_000,
            workers: vec![worker(v1::WorkerState::Ready, 7), worker(v1::WorkerState::Silent, 5)],
            ..v1::FarmOverview::default()
        };
        let mut counts = Counts { parts: 12, ..Counts::default() };
        counts.attempts.insert((Stage::Encode, "done"), 11);
        let said =
            text(&Reading { status: status(1), data_free: Some(1 << 30), farm: Some((overview, counts)) });
        for wanted in [
            concat!("reel_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "reel_raft_leader 1",
            "reel_raft_member_lag_entries{id=\"2\"} 10",
            "reel_raft_member_lag_entries{id=\"3\"} 100",
            "reel_data_free_bytes 1073741824",
            "reel_jobs{state=\"running\"} 1",
            "reel_jobs_late 1",
            "reel_jobs_waiting 1",
            "reel_tasks_waiting 3",
            "reel_cost_per_hour 2.34",
            "reel_workers{state=\"silent\",pool=\"spot\"} 1",
            "reel_workers_scratch_free_bytes_min 5",
            "reel_frames_encoded_total 1234",
            "reel_parts_committed_total 12",
            "reel_attempts_ended_total{stage=\"encode\",outcome=\"done\"} 11",
            "reel_jobs_ended_total{state=\"failed\"} 0",
        ] {
            assert!(said.lines().any(|line| line == wanted), "{wanted}\n{said}");
        }
        // A family is announced once, before its samples.
        let families: Vec<_> = said.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let unique: std::collections::BTreeSet<_> = families.iter().collect();
        assert_eq!(families.len(), unique.len());
    }

    #[test]
    fn a_follower_tells_of_itself_alone() {
        let said = text(&Reading { status: status(2), data_free: None, farm: None });
        assert!(
            said.contains("reel_raft_leader 0\n") && !said.contains("lag") && !said.contains("reel_jobs"),
            "{said}"
        );
    }

    #[test]
    fn labels_are_escaped() {
        let mut text = Text(String::new());
        text.sample("x", &[("a", "q\"\\\n")], 1);
        assert_eq!(text.0, "x{a=\"q\\\"\\\\\\n\"} 1\n");
    }
}
