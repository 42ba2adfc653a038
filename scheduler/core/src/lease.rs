//! Which leases have run out: the leader's own record of who was heard of when.
//!
//! Times are of the leader's monotonic clock, in milliseconds from any start. Nothing of this is replicated: a new
//! leader begins with an empty [`LeaseClock`] and so takes every lease for fresh.

use std::collections::{BTreeMap, BTreeSet};

use reel_common::{Epoch, TaskId, WorkerId};

use crate::command::{Action, LossCause};
use crate::state::FarmState;

/// How long leases last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// What a worker counts by itself from its last acknowledged heartbeat; then it stops publishing.
    pub ttl_ms: u64,
    /// What the leader waits beyond that.
    pub grace_ms: u64,
}

impl Default for LeaseTerms {
    /// 20 seconds and 10 more.
    fn default() -> Self {
        LeaseTerms { ttl_ms: 20_000, grace_ms: 10_000 }
    }
}

/// When each worker, and each lease in a heartbeat, was last heard of.
#[derive(Clone, Debug, Default)]
pub struct LeaseClock {
    terms: LeaseTerms,
    heard: BTreeMap<WorkerId, u64>,
    renewed: BTreeMap<TaskId, (Epoch, u64)>,
    /// Workers whose link is broken.
    broken: BTreeSet<WorkerId>,
    /// Start of the current window for losses, and the losses in it.
    window: (u64, usize),
}

/// What has run out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// What the leader is to propose.
    pub actions: Vec<Action>,
    /// Workers that are overdue and were kept, since so many at once speak of a fault on the leader's side: an alert.
    pub held_back: usize,
}

impl LeaseClock {
    /// Workers that may be lost within one lease term whatever the size of the fleet.
    const MIN_LOSSES: usize = 4;

    /// A clock on which every lease is fresh.
    pub fn new(terms: LeaseTerms) -> Self {
        LeaseClock { terms, ..LeaseClock::default() }
    }

    /// Notes a heartbeat with the attempts that it lists. Only the holder of a lease renews it.
    pub fn note_heartbeat(
        &mut self,
        state: &FarmState,
        worker: WorkerId,
        running: impl IntoIterator<Item = (TaskId, Epoch)>,
        now_ms: u64,
    ) {
        self.heard.insert(worker, now_ms);
        self.broken.remove(&worker);
        for (task, epoch) in running {
            if state.live(task, epoch).is_some_and(|lease| lease.worker == worker) {
                self.renewed.insert(task, (epoch, now_ms));
            }
        }
    }

    /// Notes that a worker's link is broken. No heartbeat is on its way any more, so it gets no grace until the next one
    /// comes: by the end of its lease it has stopped by itself.
    pub fn note_broken(&mut self, worker: WorkerId) {
        self.broken.insert(worker);
    }

    /// What has run out by `now_ms`: workers that fell silent, and leases that their workers do not know of.
    ///
    /// Whatever is seen here for the first time counts as heard of now. At most a quarter of the fleet, but
    /// at least four workers, is lost within one lease term; the rest is held back.
    pub fn expire(&mut self, state: &FarmState, now_ms: u64) -> Expired {
        self.follow(state, now_ms);
        let limit = self.terms.ttl_ms.saturating_add(self.terms.grace_ms);
        let overdue = |then: &u64| now_ms.saturating_sub(*then) > limit;
        if now_ms.saturating_sub(self.window.0) > self.terms.ttl_ms {
            self.window = (now_ms, 0);
        }
        let may_lose = (state.workers.len() / 4).max(Self::MIN_LOSSES).saturating_sub(self.window.1);
        let over = |then: &u64| now_ms.saturating_sub(*then) > self.terms.ttl_ms;
        let is_silent =
            |(id, then): &(&WorkerId, &u64)| overdue(then) || self.broken.contains(id) && over(then);
        let silent: Vec<_> = self.heard.iter().filter(is_silent).map(|(id, _)| *id).collect();
        let lost = &silent[..silent.len().min(may_lose)];
        self.window.1 += lost.len();
        let mut actions: Vec<_> = lost
            .iter()
            .map(|worker| Action::LoseWorker { worker: *worker, cause: LossCause::Silent })
            .collect();
        for (task, (epoch, then)) in &self.renewed {
            let held_by_silent = state.live(*task, *epoch).is_none_or(|lease| silent.contains(&lease.worker));
            if overdue(then) && !held_by_silent {
                actions.push(Action::ExpireLease { task: *task, epoch: *epoch });
            }
        }
        Expired { actions, held_back: silent.len() - lost.len() }
    }

    /// Forgets what is no more, and begins to count for what is new.
    fn follow(&mut self, state: &FarmState, now_ms: u64) {
        self.heard.retain(|worker, _| state.workers.contains_key(worker));
        self.broken.retain(|worker| state.workers.contains_key(worker));
        self.renewed.retain(|task, (epoch, _)| state.live(*task, *epoch).is_some());
        for worker in state.workers.keys() {
            self.heard.entry(*worker).or_insert(now_ms);
        }
        for (task, lease) in &state.leases {
            self.renewed.entry(*task).or_insert((lease.epoch, now_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Farm, FarmBuilder, plan_of};

    const LIMIT: u64 = 30_000;

    fn farm(workers: u32) -> Farm {
        let names: Vec<_> = (0..workers).map(|number| format!("w{number}")).collect();
        let builder = names.iter().fold(FarmBuilder::new(), |builder, name| builder.worker(name, 1));
        let mut farm = builder.job(plan_of(workers * 2, 2, 0)).build();
        farm.place();
        farm
    }

    fn everybody(clock: &mut LeaseClock, farm: &Farm, now_ms: u64) {
        for worker in farm.state.workers.keys() {
            let held: Vec<_> =
                farm.state.leases_of_worker(*worker).map(|(task, lease)| (task, lease.epoch)).collect();
            clock.note_heartbeat(&farm.state, *worker, held, now_ms);
        }
    }

    #[test]
    fn a_new_leader_takes_every_lease_for_fresh() {
        let farm = farm(2);
        let mut clock = LeaseClock::new(LeaseTerms::default());
        assert_eq!(clock.expire(&farm.state, 5_000_000), Expired::default());
        assert_eq!(clock.expire(&farm.state, 5_000_000 + LIMIT), Expired::default());
        assert_eq!(clock.expire(&farm.state, 5_000_001 + LIMIT).actions.len(), 2);
    }

    #[test]
    fn a_silent_worker_is_lost_with_all_its_leases() {
        let farm = farm(2);
        let mut clock = LeaseClock::new(LeaseTerms::default());
        clock.expire(&farm.state, 0);
        let (silent, heard) = (farm.worker("w0"), farm.worker("w1"));
        let held: Vec<_> =
            farm.state.leases_of_worker(heard).map(|(task, lease)| (task, lease.epoch)).collect();
        clock.note_heartbeat(&farm.state, heard, held, LIMIT);
        let expired = clock.expire(&farm.state, LIMIT + 1);
        assert_eq!(expired.actions, [Action::LoseWorker { worker: silent, cause: LossCause::Silent }]);
    }

    #[test]
    fn a_worker_whose_link_is_broken_gets_no_grace_unless_it_comes_back() {
        let farm = farm(2);
        let mut clock = LeaseClock::new(LeaseTerms::default());
        let (gone, back) = (farm.worker("w0"), farm.worker("w1"));
        everybody(&mut clock, &farm, 0);
        clock.note_broken(gone);
        clock.note_broken(back);
        clock.note_heartbeat(&farm.state, back, [], 10_000);
        assert_eq!(clock.expire(&farm.state, 20_000).actions, []);
        let lost = Action::LoseWorker { worker: gone, cause: LossCause::Silent };
        assert_eq!(clock.expire(&farm.state, 20_001).actions, [lost]);
    }

    #[test]
    fn a_lease_that_its_worker_does_not_list_runs_out() {
        let farm = farm(1);
        let mut clock = LeaseClock::new(LeaseTerms::default());
        let worker = farm.worker("w0");
        for now_ms in (0..=40_000).step_by(5_000) {
            clock.note_heartbeat(&farm.state, worker, [], now_ms);
            let actions = clock.expire(&farm.state, now_ms).actions;
            let (task, epoch) = farm.running()[0];
            let wanted = if now_ms > LIMIT { vec![Action::ExpireLease { task, epoch }] } else { Vec::new() };
            assert_eq!(actions, wanted, "at {now_ms}");
        }
    }

    #[test]
    fn a_zombie_renews_nothing() {
        let mut farm = farm(2);
        let mut clock = LeaseClock::new(LeaseTerms::default());
        let zombie = farm.worker("w0");
        let (task, epoch) =
            farm.state.leases_of_worker(zombie).map(|(task, lease)| (task, lease.epoch)).next().unwrap();
        farm.ok(Action::ExpireLease { task, epoch });
        let other = farm.register("w2", 1, 1, FarmBuilder::PLENTY);
        let newer = farm.grant(task, other);
        clock.expire(&farm.state, 0);
        everybody(&mut clock, &farm, LIMIT);
        clock.note_heartbeat(&farm.state, other, [], LIMIT);
        clock.renewed.insert(task, (newer, 0));
        clock.note_heartbeat(&farm.state, zombie, [(task, epoch), (task, newer)], LIMIT);
        let expired = clock.expire(&farm.state, LIMIT + 1);
        assert_eq!(expired.actions, [Action::ExpireLease { task, epoch: newer }]);
    }

    #[test]
    fn a_fleet_that_falls_silent_at_once_is_lost_slowly() {
        let mut farm = farm(40);
        let mut clock = LeaseClock::new(LeaseTerms::default());
        clock.expire(&farm.state, 0);
        let first = clock.expire(&farm.state, LIMIT + 1);
        assert_eq!((first.actions.len(), first.held_back), (10, 30));
        for action in first.actions {
            farm.ok(action);
        }
        let second = clock.expire(&farm.state, LIMIT + 2);
        assert_eq!((second.actions.len(), second.held_back), (0, 30), "one lot to a lease term");
        let later = clock.expire(&farm.state, LIMIT + 20_002);
        assert_eq!((later.actions.len(), later.held_back), (7, 23));
    }
}
