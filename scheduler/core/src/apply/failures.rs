//! Commands that end attempts without a result.

use std::collections::BTreeSet;

use reel_common::{Epoch, Failure, FailureClass, Stage, TaskId};

use super::{answer_ended, close_job, end_attempt, reopen};
use crate::command::Reply;
use crate::event::Event;
use crate::policy::{Consequence, Ending, judge};
use crate::state::{FarmState, JobFailure, JobState, Outcome};

pub(super) fn on_fail_attempt(state: &mut FarmState, task: TaskId, epoch: Epoch, failure: &Failure) -> Reply {
    if state.live(task, epoch).is_none() {
        return answer_ended(state, task, epoch, Outcome::Failed(failure.class));
    }
    let failure = bounded(failure);
    match reopen::damage(state, task, &failure) {
        Some(damage) => reopen::on_damage(state, task, damage, &failure),
        None if failure.class == FailureClass::Preempted => hand_back(state, task),
        None => end_without_result(state, task, &failure),
    }
    Reply::DONE
}

/// The failure with its texts within their limits, whoever sent it.
fn bounded(failure: &Failure) -> Failure {
    Failure {
        damaged_parts: failure.damaged_parts.clone(),
        damaged_tracks: failure.damaged_tracks.clone(),
        damaged_images: failure.damaged_images,
        ..Failure::new(failure.class, &failure.message, &failure.evidence)
    }
}

pub(super) fn on_hand_back(state: &mut FarmState, task: TaskId, epoch: Epoch) -> Reply {
    if state.live(task, epoch).is_none() {
        return answer_ended(state, task, epoch, Outcome::Failed(FailureClass::Preempted));
    }
    hand_back(state, task);
    Reply::DONE
}

fn hand_back(state: &mut FarmState, task: TaskId) {
    let holder = state.leases.get(&task).map(|lease| lease.worker);
    if let Some(worker) = holder.and_then(|id| state.workers.get_mut(&id)) {
        worker.preemptions += 1;
        if !std::mem::replace(&mut worker.draining, true) {
            let worker = worker.facts.name.clone();
            state.tell(Event::WorkerLeaves { worker });
        }
    }
    note_preemption(state, task);
    end_free(state, task, FailureClass::Preempted);
}

/// Counts that a worker went or was lost under a task, which makes it prefer one that stays.
fn note_preemption(state: &mut FarmState, task: TaskId) {
    let job = state.jobs.get_mut(&task.job);
    if let Some(record) = job.and_then(|job| job.tasks.get_mut(&(task.stage, task.index))) {
        record.preemptions = record.preemptions.saturating_add(1);
    }
}

pub(super) fn on_expire_lease(state: &mut FarmState, task: TaskId, epoch: Epoch) -> Reply {
    if state.live(task, epoch).is_none() {
        return answer_ended(state, task, epoch, Outcome::Failed(FailureClass::Lost));
    }
    let failure = Failure::new(FailureClass::Lost, "its lease was not renewed", "");
    end_without_result(state, task, &failure);
    Reply::DONE
}

/// Ends the live attempt of a task with nothing charged.
pub(super) fn end_free(state: &mut FarmState, task: TaskId, class: FailureClass) {
    end_attempt(state, task, Outcome::Failed(class), "", None);
}

/// Ends the live attempt of a task, charges the failure, and fails the job where the policy says so.
pub(super) fn end_without_result(state: &mut FarmState, task: TaskId, failure: &Failure) {
    if failure.class == FailureClass::Lost {
        note_preemption(state, task);
    }
    let hosts: BTreeSet<&str> = state.workers.values().map(|worker| worker.facts.name.as_str()).collect();
    let hosts = hosts.len();
    let Some(ended) = end_attempt(state, task, Outcome::Failed(failure.class), &failure.message, None) else {
        return;
    };
    let now_ms = state.clock_ms;
    let Some(job) = state.jobs.get_mut(&task.job) else { return };
    let host = job.worker_name(ended.worker);
    let ending = Ending { task, host: &host, hosts, failure, now_ms };
    let mut backoff = job.backoffs.get(&task.stage).copied().unwrap_or_default();
    // A chunk whose parts were all committed is gone: its attempt made what it was to make.
    let Some(record) = job.tasks.get_mut(&(task.stage, task.index)) else { return };
    let consequence = judge(ending, record, &mut backoff);
    if backoff.shortages > 0 {
        job.backoffs.insert(task.stage, backoff);
    }
    match consequence {
        // The title comes without it.
        Consequence::FailJob(_) if task.stage == Stage::Preview => job.preview_over = true,
        Consequence::FailJob(failure) => fail_job(state, task, host, failure),
        _ => {}
    }
}

/// Fails the job of `task`, which ran on `host`.
pub(super) fn fail_job(state: &mut FarmState, task: TaskId, host: String, failure: Failure) {
    if let Some(job) = state.jobs.get_mut(&task.job) {
        job.failure = Some(Box::new(JobFailure { task: Some(task), worker: host, failure }));
    }
    close_job(state, task.job, JobState::Failed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Accepted, Action, Refusal};
    use crate::testing::{Farm, FarmBuilder, encode, plan_of, task, with_preview};

    fn one_slot(parts: u32, chunk_parts: u32) -> Farm {
        FarmBuilder::new().worker("w", 1).job(plan_of(parts, chunk_parts, 0)).build()
    }

    fn reason(farm: &Farm) -> (FailureClass, String) {
        let failure = &farm.job(1).failure.as_ref().unwrap().failure;
        (failure.class, failure.message.clone())
    }

    #[test]
    fn what_is_handed_back_is_free_at_once_and_its_worker_gets_no_more() {
        let mut farm = one_slot(4, 4);
        farm.place();
        let (chunk, epoch) = farm.running()[0];
        farm.commit_part(chunk, epoch, 0);
        farm.ok(Action::HandBack { task: chunk, epoch });
        let leaves = Event::WorkerLeaves { worker: "w".to_owned() };
        assert!(farm.state.news.0.contains(&leaves), "{:?}", farm.state.news);
        assert_eq!(farm.apply(Action::HandBack { task: chunk, epoch }), Reply::Duplicate(Accepted::Done));
        assert_eq!(farm.proposals(), [], "the worker is going");
        farm.register("other", 1, 1, FarmBuilder::PLENTY);
        farm.place();
        let (again, newer) = farm.running()[0];
        assert_eq!((again, farm.state.leases[&again].granted), (chunk, crate::testing::parts(1, 4)));
        assert!(newer > epoch);
        assert_eq!(farm.job(1).tasks[&(Stage::Encode, 0)].faults, []);
    }

    #[test]
    fn a_preview_that_fails_for_good_is_given_up_and_its_title_is_made() {
        for class in [FailureClass::Invalid, FailureClass::Failed] {
            let plan = with_preview(plan_of(60, 1, 0));
            let mut farm = FarmBuilder::new().worker("w", 1).job(plan).build();
            let preview = task(1, Stage::Preview, 0);
            while !farm.job(1).preview_over {
                // Whatever backs off has rested.
                farm.now_ms += 3_600_000;
                farm.place();
                let (task, epoch) = farm.running()[0];
                match task == preview {
                    true => drop(farm.fail(task, epoch, class, "in use")),
                    false => farm.finish(task, epoch),
                }
            }
            assert_eq!((farm.job(1).preview_over, farm.job(1).previewed), (true, 0), "{class:?}");
            assert!(
                crate::view::job_view(&farm.state, reel_common::JobId(1)).unwrap().warnings[0]
                    .contains("preview")
            );
            farm.run_to_end();
            assert_eq!(farm.job(1).state, JobState::Done);
        }
    }

    #[test]
    fn an_attempt_that_fails_as_preempted_is_handed_back() {
        let mut farm = one_slot(4, 4);
        farm.place();
        let (chunk, epoch) = farm.running()[0];
        assert_eq!(farm.fail(chunk, epoch, FailureClass::Preempted, "told to go"), Reply::DONE);
        assert_eq!(
            farm.fail(chunk, epoch, FailureClass::Preempted, "told to go"),
            Reply::Duplicate(Accepted::Done)
        );
        let worker = &farm.state.workers[&farm.worker("w")];
        assert_eq!((worker.draining, worker.preemptions), (true, 1));
    }

    #[test]
    fn a_failed_task_waits_and_is_then_tried_on_another_host() {
        let mut farm = FarmBuilder::new().worker("a", 1).worker("b", 1).job(plan_of(1, 1, 0)).build();
        let (a, b) = (farm.worker("a"), farm.worker("b"));
        let epoch = farm.grant(encode(1, 0), a);
        farm.fail(encode(1, 0), epoch, FailureClass::Failed, "signal 11");
        let until_ms = crate::view::next_backoff_deadline(&farm.state, farm.now_ms).unwrap();
        assert_eq!(farm.proposals(), []);
        let early = farm.grant_of(encode(1, 0), b);
        let waits = Refusal::BackingOff { task: encode(1, 0), until_ms };
        assert_eq!(farm.apply(early), Reply::Refused(waits));
        farm.now_ms = until_ms;
        let Action::Grant { worker, .. } = farm.proposals()[0] else { panic!("no grant") };
        assert_eq!(worker, b);
    }

    #[test]
    fn three_equal_failures_stop_the_job_with_its_evidence() {
        let mut farm = one_slot(4, 1);
        for _ in 0..3 {
            farm.place();
            let (chunk, epoch) = *farm.running().iter().find(|(task, _)| *task == encode(1, 0)).unwrap();
            farm.fail(chunk, epoch, FailureClass::Failed, "the runner died of signal 11");
            farm.now_ms += 10_000;
        }
        let (class, message) = reason(&farm);
        assert_eq!(class, FailureClass::Poisoned);
        assert!(message.contains("signal 11"), "{message}");
        assert_eq!(farm.job(1).failure.as_ref().unwrap().failure.evidence, "evidence");
        assert_eq!(farm.job(1).failure.as_ref().unwrap().task, Some(encode(1, 0)));
    }

    #[test]
    fn bad_input_fails_the_job_at_once_and_revokes_what_runs() {
        let mut farm = FarmBuilder::new().worker("w", 3).job(plan_of(3, 1, 0)).build();
        farm.place();
        let running = farm.running();
        farm.fail(running[0].0, running[0].1, FailureClass::Invalid, "packet 7 does not decode");
        assert_eq!(farm.job(1).state, JobState::Failed);
        assert_eq!(reason(&farm), (FailureClass::Invalid, "packet 7 does not decode".to_owned()));
        assert_eq!(farm.running(), []);
        assert_eq!(farm.commit_part(running[1].0, running[1].1, 1), Reply::Superseded);
        let again = farm.fail(running[0].0, running[0].1, FailureClass::Invalid, "packet 7 does not decode");
        assert_eq!(again, Reply::Duplicate(Accepted::Done));
    }

    #[test]
    fn a_shortage_holds_back_its_stage_and_no_other() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(4, 1, 1)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        farm.fail(encode(1, 0), epoch, FailureClass::Shortage, "no space left on device");
        let granted: Vec<_> = farm.proposals();
        assert!(
            matches!(granted[..], [Action::Grant { task, .. }] if task.stage == Stage::Audio),
            "{granted:?}"
        );
        farm.now_ms = crate::view::next_backoff_deadline(&farm.state, farm.now_ms).unwrap();
        assert_eq!(farm.now_ms, 6_000);
        farm.run_to_end();
        assert_eq!(farm.job(1).state, JobState::Done);
    }

    #[test]
    fn progress_forgives_shortages() {
        let mut farm = one_slot(40, 40);
        let worker = farm.worker("w");
        for part in 0..40 {
            farm.now_ms += crate::policy::SHORTAGE_CAP_MS;
            let epoch = farm.grant(encode(1, 0), worker);
            farm.commit_part(encode(1, 0), epoch, part);
            farm.fail(encode(1, 0), epoch, FailureClass::Shortage, "no space left on device");
            assert_eq!(farm.job(1).state, JobState::Running);
        }
    }

    #[test]
    fn texts_of_a_failure_are_bounded_whoever_sends_them() {
        let mut farm = one_slot(1, 1);
        farm.place();
        let (chunk, epoch) = farm.running()[0];
        let failure = Failure {
            message: "m".repeat(100_000),
            evidence: "e".repeat(100_000),
            ..Failure::new(FailureClass::Invalid, "", "")
        };
        farm.ok(Action::FailAttempt { task: chunk, epoch, failure });
        let kept = &farm.job(1).failure.as_ref().unwrap().failure;
        assert_eq!((kept.message.len(), kept.evidence.len()), (1024, 4096));
        assert!(farm.job(1).attempts.back().unwrap().message.len() <= 200);
    }

    #[test]
    fn an_attempt_whose_parts_are_all_committed_fails_without_a_charge() {
        let mut farm = one_slot(1, 1);
        farm.place();
        let (chunk, epoch) = farm.running()[0];
        farm.commit_part(chunk, epoch, 0);
        farm.fail(chunk, epoch, FailureClass::Failed, "the runner died after its work");
        farm.run_to_end();
        assert_eq!(farm.job(1).state, JobState::Done);
    }

    #[test]
    fn a_late_expiry_harms_nothing() {
        let mut farm = one_slot(1, 1);
        farm.place();
        let (chunk, epoch) = farm.running()[0];
        farm.finish(chunk, epoch);
        assert_eq!(farm.apply(Action::ExpireLease { task: chunk, epoch }), Reply::Superseded);
        assert_eq!(
            farm.apply(Action::ExpireLease { task: task(9, Stage::Index, 0), epoch }),
            Reply::Superseded
        );
    }
}
