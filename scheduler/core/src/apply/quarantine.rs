//! Workers on which tasks of several jobs fail in a row get no more work.
//!
//! A host with a bad disk, library or memory fails whatever it is given, and fast, so that it would draw work from all
//! others. A job that fails wherever it runs is stopped by its own count; it is one job, and strikes nobody out.

use reel_common::{Hold, JobId, WorkerId};

use super::MAX_WORKERS;
use crate::event::Event;
use crate::policy::QUARANTINE_JOBS;
use crate::state::FarmState;

/// A task of `job` has failed on `host`. The last host that takes work is never quarantined: a farm that tries is better
/// than one that waits.
pub(super) fn on_fault(state: &mut FarmState, host: &str, job: JobId) {
    if state.strikes.len() >= MAX_WORKERS {
        let FarmState { strikes, workers, .. } = state;
        strikes.retain(|name, _| workers.values().any(|worker| worker.facts.name == *name));
    }
    let struck = state.strikes.entry(host.to_owned()).or_default();
    struck.insert(job);
    if struck.len() < QUARANTINE_JOBS || state.holds.contains_key(host) {
        return;
    }
    let others = state.workers.values().filter(|worker| worker.facts.name != host);
    if others.into_iter().any(|other| state.takes_work(other)) {
        state.strikes.remove(host);
        state.holds.insert(host.to_owned(), Hold::Quarantine);
        state.tell(Event::WorkerHeld { worker: host.to_owned(), hold: Some(Hold::Quarantine) });
    } else if let Some(struck) = state.strikes.get_mut(host) {
        // It stays at one below, so that it is quarantined by the next failure once there are others.
        struck.pop_first();
    }
}

/// A task has succeeded on a worker.
pub(super) fn on_success(state: &mut FarmState, worker: WorkerId) {
    if state.strikes.is_empty() {
        return;
    }
    if let Some(worker) = state.workers.get(&worker) {
        state.strikes.remove(&worker.facts.name);
    }
}

#[cfg(test)]
mod tests {
    use reel_common::{Epoch, FailureClass, TaskId};

    use super::*;
    use crate::command::Action;
    use crate::testing::{Farm, FarmBuilder, encode, plan_of};

    fn farm_of(workers: &[&str], jobs: usize) -> Farm {
        let builder = workers.iter().fold(FarmBuilder::new(), |builder, name| builder.worker(name, 4));
        (0..jobs).fold(builder, |builder, _| builder.job(plan_of(4, 1, 0))).build()
    }

    fn start(farm: &mut Farm, job: u64, chunk: u32) -> (TaskId, Epoch) {
        let worker = farm.worker("bad");
        (encode(job, chunk), farm.grant(encode(job, chunk), worker))
    }

    fn fail(farm: &mut Farm, job: u64, chunk: u32) {
        let (task, epoch) = start(farm, job, chunk);
        farm.fail(task, epoch, FailureClass::Failed, "signal 11");
    }

    #[test]
    fn a_host_that_fails_three_jobs_in_a_row_gets_no_more_work() {
        let mut farm = farm_of(&["bad", "good"], 4);
        for job in 1..=3 {
            assert_eq!(farm.state.holds.get("bad"), None, "before job {job}");
            fail(&mut farm, job, 0);
        }
        assert_eq!(farm.state.holds.get("bad"), Some(&Hold::Quarantine));
        let refused = farm.grant_of(encode(4, 0), farm.worker("bad"));
        assert!(farm.apply(refused).accepted().is_none());
        farm.ok(Action::HoldWorker { name: "bad".to_owned(), hold: None });
        start(&mut farm, 4, 0);
    }

    #[test]
    fn one_job_that_fails_everywhere_strikes_nobody_out() {
        let mut farm = farm_of(&["bad", "good"], 1);
        for chunk in 0..3 {
            fail(&mut farm, 1, chunk);
        }
        assert_eq!(farm.state.holds.get("bad"), None);
    }

    #[test]
    fn what_succeeds_between_clears_the_host() {
        let mut farm = farm_of(&["bad", "good"], 4);
        fail(&mut farm, 1, 0);
        fail(&mut farm, 2, 0);
        let (task, epoch) = start(&mut farm, 3, 1);
        farm.finish(task, epoch);
        fail(&mut farm, 3, 0);
        fail(&mut farm, 4, 0);
        assert_eq!(farm.state.holds.get("bad"), None);
    }

    #[test]
    fn the_last_host_is_kept_until_there_is_another() {
        let mut farm = farm_of(&["bad"], 5);
        for job in 1..=3 {
            fail(&mut farm, job, 0);
        }
        assert_eq!(farm.state.holds.get("bad"), None);
        farm.register("good", 1, 1, FarmBuilder::PLENTY);
        fail(&mut farm, 4, 0);
        assert_eq!(farm.state.holds.get("bad"), Some(&Hold::Quarantine));
    }

    #[test]
    fn losses_and_shortages_strike_nobody_out() {
        let mut farm = farm_of(&["bad", "good"], 6);
        for (job, class) in [(1, FailureClass::Lost), (2, FailureClass::Shortage), (3, FailureClass::Lost)] {
            let (task, epoch) = start(&mut farm, job, 0);
            farm.fail(task, epoch, class, "x");
        }
        assert_eq!(farm.state.strikes.len(), 0);
    }
}
