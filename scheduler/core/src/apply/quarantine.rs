//! Workers that fail what others can do get no more work.
//!
//! A host with a bad disk, library or memory fails whatever it is given, and fast, so that it would draw work from all
//! others. It is struck when another worker does what it failed at; a job that fails wherever it runs strikes nobody.

use std::collections::BTreeSet;

use reel_common::{Hold, JobId, TaskId, WorkerId};

use super::MAX_WORKERS;
use crate::event::Event;
use crate::policy::QUARANTINE_JOBS;
use crate::state::FarmState;

/// A worker has done what is committed of a task. It is cleared, and others that failed at the task are struck.
pub(super) fn on_success(state: &mut FarmState, task: TaskId, worker: WorkerId) {
    let record = state.jobs.get(&task.job).and_then(|job| job.tasks.get(&(task.stage, task.index)));
    let faults = record.map_or(&[][..], |record| &record.faults);
    if state.strikes.is_empty() && faults.is_empty() {
        return;
    }
    let Some(able) = state.workers.get(&worker).map(|worker| worker.facts.name.clone()) else { return };
    let hosts: BTreeSet<String> = faults.iter().map(|fault| fault.host.clone()).collect();
    state.strikes.remove(&able);
    for host in hosts.into_iter().filter(|host| *host != able) {
        strike(state, host, task.job);
    }
}

/// Notes that `host` failed at a job that another could do. The last host that takes work is never quarantined: a farm
/// that tries is better than one that waits.
fn strike(state: &mut FarmState, host: String, job: JobId) {
    if state.strikes.len() >= MAX_WORKERS {
        let FarmState { strikes, workers, .. } = state;
        strikes.retain(|name, _| workers.values().any(|worker| worker.facts.name == *name));
    }
    let mut others = state.workers.values().filter(|worker| worker.facts.name != host);
    let spare = others.any(|other| state.takes_work(other));
    let held = state.holds.contains_key(&host);
    let struck = state.strikes.entry(host.clone()).or_default();
    struck.insert(job);
    if struck.len() < QUARANTINE_JOBS || held {
        return;
    }
    if !spare {
        // It stays at one below, so that it is quarantined by the next failure once there are others.
        struck.pop_first();
        return;
    }
    state.strikes.remove(&host);
    state.holds.insert(host.clone(), Hold::Quarantine);
    state.tell(Event::WorkerHeld { worker: host, hold: Some(Hold::Quarantine) });
}

#[cfg(test)]
mod tests {
    use reel_common::FailureClass;

    use super::*;
    use crate::command::Action;
    use crate::testing::{Farm, FarmBuilder, encode, plan_of};

    fn farm_of(workers: &[&str], jobs: usize) -> Farm {
        let builder = workers.iter().fold(FarmBuilder::new(), |builder, name| builder.worker(name, 4));
        (0..jobs).fold(builder, |builder, _| builder.job(plan_of(4, 1, 0))).build()
    }

    fn fail_on(farm: &mut Farm, host: &str, job: u64, chunk: u32) {
        farm.now_ms += 60_000;
        let epoch = farm.grant(encode(job, chunk), farm.worker(host));
        farm.fail(encode(job, chunk), epoch, FailureClass::Failed, "signal 11");
    }

    fn do_on(farm: &mut Farm, host: &str, job: u64, chunk: u32) {
        farm.now_ms += 60_000;
        let epoch = farm.grant(encode(job, chunk), farm.worker(host));
        farm.finish(encode(job, chunk), epoch);
    }

    fn is_quarantined(farm: &Farm, host: &str) -> bool {
        farm.state.holds.get(host) == Some(&Hold::Quarantine)
    }

    #[test]
    fn a_host_that_fails_what_another_can_do_for_three_jobs_gets_no_more_work() {
        let mut farm = farm_of(&["bad", "good"], 4);
        for job in 1..=3 {
            assert!(!is_quarantined(&farm, "bad"), "before job {job}");
            fail_on(&mut farm, "bad", job, 0);
            do_on(&mut farm, "good", job, 0);
        }
        assert!(is_quarantined(&farm, "bad"));
        let refused = farm.grant_of(encode(4, 0), farm.worker("bad"));
        assert!(farm.apply(refused).accepted().is_none());
        farm.ok(Action::HoldWorker { name: "bad".to_owned(), hold: None });
        do_on(&mut farm, "bad", 4, 0);
    }

    #[test]
    fn jobs_that_fail_everywhere_strike_nobody() {
        let mut farm = farm_of(&["a", "b", "c"], 4);
        for job in 1..=4 {
            for host in ["a", "b", "c"] {
                fail_on(&mut farm, host, job, 0);
            }
        }
        assert!(farm.state.holds.is_empty() && farm.state.strikes.is_empty());
    }

    #[test]
    fn jobs_that_crash_wherever_they_run_leave_the_hosts_at_work() {
        let mut farm = farm_of(&["a", "b", "c", "d"], 3);
        for _ in 0..40 {
            farm.place();
            for (task, epoch) in farm.running() {
                farm.fail(task, epoch, FailureClass::Failed, "signal 11");
            }
            farm.now_ms += 60_000;
        }
        assert!(farm.state.jobs.values().all(|job| !job.state.is_open()));
        assert!(farm.state.holds.is_empty(), "{:?}", farm.state.holds);
    }

    #[test]
    fn what_it_does_between_clears_the_host() {
        let mut farm = farm_of(&["shaky", "good"], 4);
        for job in 1..=4 {
            fail_on(&mut farm, "shaky", job, 0);
            do_on(&mut farm, "good", job, 0);
            do_on(&mut farm, "shaky", job, 1);
        }
        assert!(farm.state.holds.is_empty() && farm.state.strikes.is_empty());
    }

    #[test]
    fn the_last_host_that_takes_work_is_kept() {
        let mut farm = farm_of(&["bad", "good", "spare"], 5);
        farm.ok(Action::HoldWorker { name: "spare".to_owned(), hold: Some(Hold::Cordon) });
        for job in 1..=4 {
            fail_on(&mut farm, "bad", job, 0);
            farm.now_ms += 60_000;
            let epoch = farm.grant(encode(job, 0), farm.worker("good"));
            if job == 4 {
                farm.ok(Action::HoldWorker { name: "spare".to_owned(), hold: None });
            }
            farm.ok(Action::HoldWorker { name: "good".to_owned(), hold: Some(Hold::Cordon) });
            farm.finish(encode(job, 0), epoch);
            farm.ok(Action::HoldWorker { name: "good".to_owned(), hold: None });
            assert_eq!(is_quarantined(&farm, "bad"), job == 4, "after job {job}");
        }
    }
}
