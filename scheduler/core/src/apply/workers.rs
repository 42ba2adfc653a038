//! Commands about the fleet.

use reel_common::{Failure, FailureClass, Hold, Hook, TaskId, WorkerFacts, WorkerId};

use super::failures::{self, end_without_result};
use crate::command::{Accepted, LossCause, Refusal, Reply};
use crate::event::Event;
use crate::state::{FarmState, Worker};

/// Most workers of a farm.
pub const MAX_WORKERS: usize = 20_000;
/// Most codecs of a worker, and their longest name.
const MAX_CODECS: usize = 32;
const MAX_CODEC_BYTES: usize = 16;
/// Most slots of a worker.
pub const MAX_SLOTS: u32 = 1_024;

pub(super) fn on_register_worker(state: &mut FarmState, mut worker: Worker) -> Reply {
    worker.registered_ms = state.clock_ms;
    let facts = &worker.facts;
    if let Err((field, problem)) = check(facts) {
        return Reply::Refused(Refusal::BadField { field, problem });
    }
    if let Some((id, other)) = state.worker_named(&facts.name) {
        let newest = other.facts.incarnation;
        if newest == facts.incarnation {
            return Reply::Duplicate(Accepted::Worker(id));
        }
        if newest > facts.incarnation {
            return Reply::Refused(Refusal::OldIncarnation { name: facts.name.clone(), newest });
        }
        worker.preemptions = other.preemptions;
        lose(state, id, LossCause::Silent);
    }
    if state.workers.len() >= MAX_WORKERS {
        return Reply::Refused(Refusal::TooManyWorkers(MAX_WORKERS));
    }
    let id = WorkerId(state.last_worker.0 + 1);
    state.last_worker = id;
    state.tell(Event::WorkerCame { worker: worker.facts.name.clone() });
    state.workers.insert(id, worker);
    Reply::Accepted(Accepted::Worker(id))
}

fn check(worker: &WorkerFacts) -> Result<(), (&'static str, &'static str)> {
    if let Some(problem) = WorkerFacts::name_problem(&worker.name) {
        return Err(("the worker's name", problem));
    }
    if worker.slots == 0 || worker.slots > MAX_SLOTS {
        return Err(("the worker's slots", "are to be 1 to 1024"));
    }
    if worker.memory == 0 {
        return Err(("the worker's memory", "is 0"));
    }
    if worker.codecs.len() > MAX_CODECS || worker.codecs.iter().any(|codec| codec.len() > MAX_CODEC_BYTES) {
        return Err(("the worker's codecs", "are to be at most 32 names of at most 16 bytes"));
    }
    if Hook::check_offered(worker.hooks.iter()).is_err() {
        return Err(("the worker's hooks", "are to be at most 64 names of 1 to 63 letters, digits or ._-/"));
    }
    Ok(())
}

pub(super) fn on_note_leaving(state: &mut FarmState, id: WorkerId) -> Reply {
    match state.workers.get_mut(&id) {
        None => Reply::Refused(Refusal::UnknownWorker(id)),
        Some(worker) if worker.draining => Reply::Duplicate(Accepted::Done),
        Some(worker) => {
            worker.draining = true;
            let worker = worker.facts.name.clone();
            state.tell(Event::WorkerLeaves { worker });
            Reply::DONE
        }
    }
}

pub(super) fn on_hold_worker(state: &mut FarmState, name: String, hold: Option<Hold>) -> Reply {
    if let Some(problem) = WorkerFacts::name_problem(&name) {
        let field = "the worker's name";
        return Reply::Refused(Refusal::BadField { field, problem });
    }
    if hold.is_none() && !state.holds.contains_key(&name) && state.worker_named(&name).is_none() {
        return Reply::Refused(Refusal::UnknownName(name));
    }
    if state.holds.get(&name).copied() == hold {
        return Reply::Duplicate(Accepted::Done);
    }
    match hold {
        Some(_) if state.holds.len() >= MAX_WORKERS => {
            return Reply::Refused(Refusal::TooManyWorkers(MAX_WORKERS));
        }
        Some(hold) => state.holds.insert(name.clone(), hold),
        None => state.holds.remove(&name),
    };
    state.strikes.remove(&name);
    state.tell(Event::WorkerHeld { worker: name, hold });
    Reply::DONE
}

pub(super) fn on_lose_worker(state: &mut FarmState, id: WorkerId, cause: LossCause) -> Reply {
    if !state.workers.contains_key(&id) {
        return Reply::Refused(Refusal::UnknownWorker(id));
    }
    lose(state, id, cause);
    Reply::DONE
}

fn lose(state: &mut FarmState, id: WorkerId, cause: LossCause) {
    let held: Vec<TaskId> = state.leases_of_worker(id).map(|(task, _)| task).collect();
    for task in held {
        match cause {
            LossCause::Silent => {
                let failure = Failure::new(FailureClass::Lost, "its worker was lost", "");
                end_without_result(state, task, &failure);
            }
            LossCause::FarmRestarted => failures::end_free(state, task, FailureClass::Lost),
        }
    }
    if let Some(worker) = state.workers.remove(&id) {
        state.tell(Event::WorkerGone { worker: worker.facts.name });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Action;
    use crate::policy::MAX_LOSSES;
    use crate::state::{JobState, Outcome};
    use crate::testing::{FarmBuilder, facts, plan_of};

    fn register(name: &str, incarnation: u64, slots: u32) -> Action {
        Action::RegisterWorker { facts: Box::new(facts(name, incarnation, slots, 10)) }
    }

    #[test]
    fn a_resent_registration_is_the_same_worker() {
        let mut farm = FarmBuilder::new().build();
        let first = farm.ok(register("w", 1, 2));
        assert_eq!(farm.apply(register("w", 1, 2)), Reply::Duplicate(first));
        assert_eq!(farm.state.workers.len(), 1);
    }

    #[test]
    fn a_restarted_agent_loses_what_it_ran_and_an_older_one_is_refused() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(4, 1, 0)).build();
        farm.place();
        let running = farm.running();
        farm.ok(register("w", 2, 2));
        assert_eq!(farm.running(), []);
        for (task, epoch) in running {
            assert_eq!(farm.commit_part(task, epoch, task.index), Reply::Superseded);
        }
        let reply = farm.apply(register("w", 1, 2));
        assert!(matches!(reply, Reply::Refused(Refusal::OldIncarnation { newest: 2, .. })), "{reply:?}");
    }

    #[test]
    fn a_preempted_worker_that_comes_back_takes_work_and_keeps_its_count() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(4, 1, 0)).build();
        farm.place();
        let (task, epoch) = farm.running()[0];
        farm.ok(Action::HandBack { task, epoch });
        farm.ok(register("w", 2, 1));
        let worker = &farm.state.workers[&farm.worker("w")];
        assert_eq!((worker.draining, worker.preemptions), (false, 1));
        assert_eq!(farm.proposals().len(), 1);
    }

    #[test]
    fn a_full_fleet_refuses_and_says_its_limit() {
        let mut farm = FarmBuilder::new().build();
        let workers =
            (1..=MAX_WORKERS as u64).map(|n| (WorkerId(n), Worker::new(facts(&format!("w{n}"), 1, 1, 1))));
        farm.state.workers = workers.collect();
        farm.state.last_worker = WorkerId(MAX_WORKERS as u64);
        let reply = farm.apply(register("one-more", 1, 1));
        assert_eq!(reply, Reply::Refused(Refusal::TooManyWorkers(MAX_WORKERS)));
    }

    #[test]
    fn a_lost_worker_frees_all_that_it_held() {
        let mut farm = FarmBuilder::new().worker("a", 2).worker("b", 1).job(plan_of(6, 2, 1)).build();
        farm.place();
        let worker = farm.worker("a");
        farm.ok(Action::LoseWorker { worker, cause: LossCause::Silent });
        assert_eq!(farm.running().len(), 1);
        assert_eq!(
            farm.apply(Action::LoseWorker { worker, cause: LossCause::Silent }),
            Reply::Refused(Refusal::UnknownWorker(worker))
        );
        let lost = farm.job(1).attempts.iter().filter(|a| a.outcome == Outcome::Failed(FailureClass::Lost));
        assert_eq!(lost.count(), 2);
        farm.run_to_end();
        assert_eq!(farm.job(1).state, JobState::Done);
    }

    #[test]
    fn restarts_of_the_farm_are_never_charged() {
        let mut farm = FarmBuilder::new().job(plan_of(1, 1, 1)).build();
        for incarnation in 0..MAX_LOSSES * 4 {
            let worker = farm.register("w", u64::from(incarnation), 2, FarmBuilder::PLENTY);
            farm.place();
            assert_eq!(farm.running().len(), 2);
            farm.ok(Action::LoseWorker { worker, cause: LossCause::FarmRestarted });
        }
        assert_eq!(farm.job(1).state, JobState::Running);
    }

    #[test]
    fn losses_in_a_row_fail_the_job_and_a_commit_between_them_starts_anew() {
        let mut farm = FarmBuilder::new().job(plan_of(2, 2, 0)).build();
        for incarnation in 0..MAX_LOSSES * 2 - 1 {
            let worker = farm.register("w", u64::from(incarnation), 1, FarmBuilder::PLENTY);
            farm.place();
            let (task, epoch) = farm.running()[0];
            if incarnation == MAX_LOSSES - 1 {
                farm.commit_part(task, epoch, 0);
            }
            assert_eq!(farm.job(1).state, JobState::Running);
            farm.ok(Action::LoseWorker { worker, cause: LossCause::Silent });
        }
        assert_eq!(farm.job(1).failure.as_ref().unwrap().failure.class, FailureClass::Lost);
        assert_eq!(farm.job(1).state, JobState::Failed);
    }

    #[test]
    fn a_worker_without_name_slots_or_memory_is_refused() {
        let mut farm = FarmBuilder::new().build();
        for (name, slots, memory) in
            [("", 1, 1), (&*"n".repeat(300), 1, 1), ("w", 0, 1), ("w", 9_999, 1), ("w", 1, 0)]
        {
            let name = name.to_owned();
            let reply =
                farm.apply(Action::RegisterWorker { facts: Box::new(facts(&name, 1, slots, memory)) });
            assert!(matches!(reply, Reply::Refused(Refusal::BadField { .. })), "{reply:?}");
        }
    }
}
