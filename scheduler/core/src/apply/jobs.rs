//! Commands about whole jobs: accept, plan, retry, forget.

use std::collections::BTreeSet;

use reel_common::{
    Digest, Edit, Failure, FailureClass, Hook, JobId, LAST_TIME_MS, Stage, TaskId, TextSource,
};

use super::projects::name_problem;
use super::{close_job, known_job, tell_state};
use crate::command::{Accepted, JobSpec, Refusal, Reply};
use crate::event::Event;
use crate::plan::Plan;
use crate::rate::RateStep;
use crate::state::{FarmState, Job, JobFailure, JobState, RateRound};

/// Most open jobs: a queue beyond it is a mistake of the submitter.
pub const MAX_OPEN_JOBS: usize = 100_000;
/// Finished jobs that are remembered.
pub const MAX_ENDED_JOBS: usize = 1_000;
/// Committed parts that finished jobs may keep together: about 100 MB.
pub const MAX_ENDED_PARTS: u64 = 1_000_000;

pub(super) fn on_submit_job(state: &mut FarmState, spec: JobSpec, profile: String) -> Reply {
    if let Err(refusal) = check_spec(&spec, &profile) {
        return Reply::Refused(refusal);
    }
    let digest = Digest::of(profile.as_bytes());
    if let Some(known) = spec.idempotency_key.as_ref().and_then(|key| state.by_key.get(key)) {
        // Its priority may have been changed since.
        let as_now = |job: &Job| JobSpec { priority: job.spec.priority, ..spec.clone() };
        let same = state.jobs.get(known).is_some_and(|job| job.spec == as_now(job) && job.profile == digest);
        return match same {
            true => Reply::Duplicate(Accepted::Job(*known)),
            false => refuse_field("the idempotency key", "belongs to another job: choose a new one"),
        };
    }
    if let Some(job) = state.by_output.get(&spec.output) {
        return Reply::Refused(Refusal::OutputBusy { job: *job, output: spec.output });
    }
    if state.open.len() >= MAX_OPEN_JOBS {
        return Reply::Refused(Refusal::TooManyJobs(MAX_OPEN_JOBS));
    }
    let id = JobId(state.last_job.0 + 1);
    state.last_job = id;
    if let Some(key) = &spec.idempotency_key {
        state.by_key.insert(key.clone(), id);
    }
    state.profiles.entry(digest).or_insert(profile);
    state.jobs.insert(id, Job::new(spec, digest, state.clock_ms));
    state.note_open(id);
    tell_state(state, id);
    Reply::Accepted(Accepted::Job(id))
}

fn check_spec(spec: &JobSpec, profile: &str) -> Result<(), Refusal> {
    Hook::check_all(&spec.hooks).map_err(Refusal::BadHooks)?;
    TextSource::check_all(&spec.texts).map_err(Refusal::BadTexts)?;
    spec.edit.as_ref().map_or(Ok(()), Edit::check).map_err(Refusal::BadEdit)?;
    let key = spec.idempotency_key.as_deref().unwrap_or("-");
    // A job that only runs hooks has neither mezzanine nor output nor profile.
    let bare =
        !spec.hooks.is_empty() && [&spec.mezzanine, &spec.output, profile].iter().all(|text| text.is_empty());
    let texts = [
        ("the mezzanine", spec.mezzanine.as_str(), JobSpec::MAX_TEXT_BYTES),
        ("the output", spec.output.as_str(), JobSpec::MAX_TEXT_BYTES),
        ("the idempotency key", key, JobSpec::MAX_KEY_BYTES),
        ("the profile", profile, JobSpec::MAX_PROFILE_BYTES),
    ];
    let etag = spec.identity.as_ref().and_then(|identity| identity.etag.as_ref());
    if etag.is_some_and(|tag| tag.len() > JobSpec::MAX_TEXT_BYTES) {
        return Err(Refusal::BadField { field: "the version tag of the mezzanine", problem: "is too long" });
    }
    if bare && !spec.texts.is_empty() {
        return Err(Refusal::BadField { field: "the texts", problem: "have no title to go with" });
    }
    if bare && spec.edit.is_some() {
        return Err(Refusal::BadField { field: "the edit", problem: "has no title to go with" });
    }
    for (field, text, limit) in texts {
        if text.is_empty() && !bare {
            return Err(Refusal::BadField { field, problem: "is empty" });
        }
        if text.len() > limit {
            return Err(Refusal::BadField { field, problem: "is too long" });
        }
    }
    if let Some(problem) = name_problem(&spec.project) {
        return Err(Refusal::BadField { field: "the name of the project", problem });
    }
    if spec.deadline_ms.is_some_and(|deadline| deadline > LAST_TIME_MS) {
        return Err(Refusal::BadField { field: "the deadline", problem: "is after the year 9999" });
    }
    match spec.chunk_parts {
        Some(0) => Err(Refusal::BadField { field: "the chunk size", problem: "is 0: use 1 part or more" }),
        _ => Ok(()),
    }
}

fn refuse_field(field: &'static str, problem: &'static str) -> Reply {
    Reply::Refused(Refusal::BadField { field, problem })
}

pub(super) fn on_commit_plan(state: &mut FarmState, id: JobId, plan: Box<Plan>) -> Reply {
    let job = match known_job(state, id) {
        Ok(job) => job,
        Err(refusal) => return Reply::Refused(refusal),
    };
    if job.plan.as_ref() == Some(&plan) {
        return Reply::Duplicate(Accepted::Done);
    }
    if !job.wants_plan() {
        return Reply::Refused(Refusal::NotPlannable(id));
    }
    let ascending = plan.tracks.windows(2).all(|pair| pair[0] < pair[1]);
    let in_ladder = plan.targets.iter().all(|target| target.rendition < plan.renditions);
    if plan.chunk_parts == 0 || plan.grid.parts() > Plan::MAX_PARTS || !ascending || !in_ladder {
        return Reply::Refused(Refusal::BadPlan(id));
    }
    job.encode.next_chunk = plan.chunks();
    let parts = plan.grid.parts();
    job.plan = Some(plan);
    state.tell(Event::JobPlanned { job: id, parts });
    Reply::DONE
}

pub(super) fn on_commit_rate(state: &mut FarmState, id: JobId, after: u32, step: &RateStep) -> Reply {
    let job = match known_job(state, id) {
        Ok(job) => job,
        Err(refusal) => return Reply::Refused(refusal),
    };
    let targets = job.plan.as_ref().map_or(0, |plan| plan.targets.len());
    let late = step.probe && !job.rate.waves.is_empty();
    if late || !job.wants_rate() || after != job.rate.steps() || step.crf_milli.len() != targets {
        return Reply::Refused(Refusal::BadRate(id));
    }
    let round = RateRound::at(&step.crf_milli);
    match step.probe {
        true => {
            job.rate.rounds.push(round);
            job.rate.probing = true;
        }
        false => job.rate.waves.push(round),
    }
    Reply::DONE
}

pub(super) fn on_reject_plan(state: &mut FarmState, id: JobId, reason: &str) -> Reply {
    match known_job(state, id) {
        Err(refusal) => return Reply::Refused(refusal),
        Ok(job) if !job.wants_plan() => return Reply::Refused(Refusal::NotPlannable(id)),
        Ok(job) => {
            let failure = Failure::new(FailureClass::Invalid, reason, "");
            job.failure = Some(Box::new(JobFailure { task: None, worker: String::new(), failure }));
        }
    }
    close_job(state, id, JobState::Failed);
    Reply::DONE
}

/// What was charged is forgiven; a job that this task failed is opened again and goes on where it was.
pub(super) fn on_retry_task(state: &mut FarmState, task: TaskId) -> Reply {
    let wanted = |job: &Job| match job.wants(task.stage, task.index) {
        true => may_go_on(job, task),
        false => Err(Refusal::NothingToRetry(task)),
    };
    if let Err(refusal) = job_of(state, task).and_then(wanted) {
        return Reply::Refused(refusal);
    }
    retry(state, task.job, |stage, index| {
        stage == task.stage && index.is_none_or(|index| index == task.index)
    })
}

/// The job of a task that somebody names.
pub(super) fn job_of(state: &FarmState, task: TaskId) -> Result<&Job, Refusal> {
    let job = state.jobs.get(&task.job).ok_or(Refusal::UnknownJob(task.job))?;
    match crate::tasks::exists(job, task.stage, task.index) {
        true => Ok(job),
        false => Err(Refusal::UnknownTask(task)),
    }
}

/// Whether a job goes on, or would by what is done for `task`: it is open, or failed by that task.
pub(super) fn may_go_on(job: &Job, task: TaskId) -> Result<(), Refusal> {
    let failed_here = job.failure.as_ref().is_some_and(|failure| failure.task == Some(task));
    match job.state.is_open() || failed_here {
        true => Ok(()),
        false => Err(Refusal::WrongState { job: task.job, state: job.state }),
    }
}

/// What was charged to any task is forgiven; a job that failed is opened again and goes on where it was.
pub(super) fn on_retry_job(state: &mut FarmState, id: JobId) -> Reply {
    retry(state, id, |_, _| true)
}

/// Opens a job that failed, and forgives what was charged to the tasks that are named, and to stages by no index.
fn retry(state: &mut FarmState, id: JobId, forgiven: impl Fn(Stage, Option<u32>) -> bool) -> Reply {
    if let Err(refusal) = reopen_job(state, id) {
        return Reply::Refused(refusal);
    }
    let Some(job) = state.jobs.get_mut(&id) else { return Reply::Refused(Refusal::UnknownJob(id)) };
    for ((stage, index), record) in &mut job.tasks {
        if forgiven(*stage, Some(*index)) {
            record.losses = 0;
            record.faults.clear();
            record.not_before_ms = 0;
        }
    }
    job.backoffs.retain(|stage, _| !forgiven(*stage, None));
    Reply::DONE
}

/// Opens a job that has failed; one that is open stays as it is.
pub(super) fn reopen_job(state: &mut FarmState, id: JobId) -> Result<(), Refusal> {
    let job = state.jobs.get(&id).ok_or(Refusal::UnknownJob(id))?;
    match job.state {
        JobState::Queued | JobState::Running | JobState::Paused => return Ok(()),
        JobState::Done | JobState::Canceled => return Err(Refusal::WrongState { job: id, state: job.state }),
        JobState::Failed => {}
    }
    if let Some(other) = state.by_output.get(&job.spec.output) {
        return Err(Refusal::OutputBusy { job: *other, output: job.spec.output.clone() });
    }
    state.note_open(id);
    if let Some(job) = state.jobs.get_mut(&id) {
        job.state = JobState::Running;
        job.ended_ms = None;
        job.failure = None;
        // That there was any is still known: what is made again is not counted again.
        job.reopenings = job.reopenings.min(1);
    }
    tell_state(state, id);
    Ok(())
}

/// Forgets what [`surplus_jobs`] names.
pub(super) fn on_prune_jobs(state: &mut FarmState) -> Reply {
    let old = surplus_jobs(state);
    for id in &old {
        let key = state.jobs.remove(id).and_then(|job| job.spec.idempotency_key);
        if let Some(key) = key {
            state.by_key.remove(&key);
        }
    }
    let used: BTreeSet<Digest> = state.jobs.values().map(|job| job.profile).collect();
    state.profiles.retain(|digest, _| used.contains(digest));
    Reply::Accepted(Accepted::Pruned(old.len() as u32))
}

/// The ended jobs that are too many: the newest are kept, as many as their number and their parts allow.
pub(crate) fn surplus_jobs(state: &FarmState) -> Vec<JobId> {
    let (mut jobs, mut parts) = (0, 0);
    let ended = state.jobs.iter().rev().filter(|(_, job)| !job.state.is_open());
    let surplus = ended.filter(|(_, job)| {
        jobs += 1;
        parts += u64::from(job.parts_committed());
        jobs > MAX_ENDED_JOBS || parts > MAX_ENDED_PARTS
    });
    surplus.map(|(id, _)| *id).collect()
}

#[cfg(test)]
mod tests {
    use reel_common::{PartIndex, Stage};

    use super::*;
    use crate::command::{Action, LossCause};
    use crate::testing::{Farm, FarmBuilder, encode, job_spec, plan_of, task};

    fn submit(spec: JobSpec) -> Action {
        Action::SubmitJob { spec: Box::new(spec), profile: "profile text".to_owned() }
    }

    fn with_key(output: &str, key: &str) -> JobSpec {
        JobSpec { idempotency_key: Some(key.to_owned()), ..job_spec(output) }
    }

    #[test]
    fn a_resent_submit_is_the_same_job() {
        let mut farm = FarmBuilder::new().build();
        let first = farm.apply(submit(with_key("out", "k")));
        assert_eq!(first, Reply::Accepted(Accepted::Job(JobId(1))));
        assert_eq!(farm.apply(submit(with_key("out", "k"))), Reply::Duplicate(Accepted::Job(JobId(1))));
        farm.ok(Action::CancelJob { job: JobId(1) });
        assert_eq!(farm.apply(submit(with_key("out", "k"))), Reply::Duplicate(Accepted::Job(JobId(1))));
        assert_eq!(farm.state.jobs.len(), 1);
    }

    #[test]
    fn a_key_of_another_job_is_refused() {
        let mut farm = FarmBuilder::new().build();
        farm.ok(submit(with_key("out", "k")));
        let reply = farm.apply(submit(with_key("other", "k")));
        assert!(matches!(reply, Reply::Refused(Refusal::BadField { .. })), "{reply:?}");
    }

    #[test]
    fn two_open_jobs_never_write_to_one_place() {
        let mut farm = FarmBuilder::new().build();
        let first = farm.submit("out", 0);
        let reply = farm.apply(submit(job_spec("out")));
        assert_eq!(reply, Reply::Refused(Refusal::OutputBusy { job: first, output: "out".to_owned() }));
        farm.ok(Action::CancelJob { job: first });
        assert_eq!(farm.submit("out", 0), JobId(2));
    }

    #[test]
    fn oversized_and_empty_fields_are_refused_by_name() {
        let mut farm = FarmBuilder::new().build();
        let long = "x".repeat(JobSpec::MAX_TEXT_BYTES + 1);
        for spec in [
            JobSpec { mezzanine: long.clone(), ..job_spec("out") },
            JobSpec { mezzanine: String::new(), ..job_spec("out") },
            job_spec(&long),
            job_spec(""),
            with_key("out", ""),
            with_key("out", &"k".repeat(JobSpec::MAX_KEY_BYTES + 1)),
            JobSpec { chunk_parts: Some(0), ..job_spec("out") },
        ] {
            let reply = farm.apply(submit(spec));
            assert!(matches!(reply, Reply::Refused(Refusal::BadField { .. })), "{reply:?}");
        }
        let profile = "p".repeat(JobSpec::MAX_PROFILE_BYTES + 1);
        let reply = farm.apply(Action::SubmitJob { spec: Box::new(job_spec("out")), profile });
        assert!(matches!(reply, Reply::Refused(Refusal::BadField { field: "the profile", .. })));
    }

    #[test]
    fn an_index_waits_for_one_plan() {
        let mut farm = FarmBuilder::new().worker("w", 1).build();
        let job = farm.submit("out", 0);
        let plan = Box::new(plan_of(4, 2, 1));
        let commit = |plan: &Plan| Action::CommitPlan { job, plan: Box::new(plan.clone()) };
        assert_eq!(farm.apply(commit(&plan)), Reply::Refused(Refusal::NotPlannable(job)));
        let index = task(1, Stage::Index, 0);
        let epoch = farm.grant(index, farm.worker("w"));
        farm.finish(index, epoch);
        assert_eq!(crate::view::undecided(&farm.state), [job]);
        let empty = Plan { chunk_parts: 0, ..(*plan).clone() };
        assert_eq!(farm.apply(commit(&empty)), Reply::Refused(Refusal::BadPlan(job)));
        farm.ok(commit(&plan));
        assert_eq!(farm.apply(commit(&plan)), Reply::Duplicate(Accepted::Done));
        assert_eq!(farm.apply(commit(&plan_of(5, 2, 1))), Reply::Refused(Refusal::NotPlannable(job)));
        assert!(crate::view::undecided(&farm.state).is_empty());
    }

    #[test]
    fn a_refused_plan_fails_the_job_with_its_reason() {
        let mut farm = FarmBuilder::new().worker("w", 1).build();
        let job = farm.submit("out", 0);
        let index = task(1, Stage::Index, 0);
        let epoch = farm.grant(index, farm.worker("w"));
        farm.finish(index, epoch);
        farm.ok(Action::RejectPlan { job, reason: "too short".to_owned() });
        let failure = farm.job(1).failure.clone().unwrap();
        assert_eq!(
            (failure.failure.class, failure.failure.message.as_str()),
            (FailureClass::Invalid, "too short")
        );
        assert_eq!(farm.job(1).state, JobState::Failed);
    }

    #[test]
    fn a_failed_job_goes_on_where_it_was_when_its_task_is_retried() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(4, 2, 0)).build();
        farm.place();
        let (first, epoch) = farm.running()[0];
        assert_eq!(farm.commit_part(first, epoch, 0), Reply::DONE);
        farm.fail(first, epoch, FailureClass::Invalid, "no space in the mezzanine");
        assert_eq!(farm.job(1).state, JobState::Failed);
        let other = farm.apply(Action::RetryTask { task: encode(1, 1) });
        assert!(matches!(other, Reply::Refused(Refusal::WrongState { .. })), "{other:?}");
        farm.ok(Action::RetryTask { task: first });
        assert_eq!(farm.job(1).chunk(0).unwrap().start, 1, "the committed part stays");
        farm.run_to_end();
        assert_eq!(farm.job(1).state, JobState::Done);
        assert_eq!(farm.job(1).renditions_encoded, 8);
    }

    #[test]
    fn a_retry_forgives_what_was_charged_and_ends_the_wait() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(1, 1, 0)).build();
        for class in [FailureClass::Failed, FailureClass::Shortage] {
            farm.place();
            let (chunk, epoch) = farm.running()[0];
            farm.fail(chunk, epoch, class, "x");
            assert_eq!(farm.proposals(), []);
            farm.ok(Action::RetryTask { task: chunk });
            assert_eq!(farm.job(1).tasks[&(Stage::Encode, 0)].faults, []);
            assert_eq!(farm.proposals().len(), 1, "after {class}");
        }
        let mut waiting = FarmBuilder::new().worker("w", 1).job(plan_of(4, 1, 0)).build();
        waiting.place();
        let (chunk, epoch) = waiting.running()[0];
        waiting.fail(chunk, epoch, FailureClass::Shortage, "x");
        waiting.ok(Action::RetryTask { task: encode(1, 3) });
        assert_eq!(waiting.proposals().len(), 1, "a task that was never granted has its stage retried");
        let unknown = task(1, Stage::Deliver, 0);
        assert_eq!(
            farm.apply(Action::RetryTask { task: unknown }),
            Reply::Refused(Refusal::NothingToRetry(unknown))
        );
        let unknown = encode(1, 9);
        assert_eq!(
            farm.apply(Action::RetryTask { task: unknown }),
            Reply::Refused(Refusal::UnknownTask(unknown))
        );
    }

    #[test]
    fn a_retried_job_may_have_its_damage_made_again_as_often_as_a_new_one() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(1, 1, 0)).build();
        farm.place();
        let (chunk, epoch) = farm.running()[0];
        farm.state.jobs.get_mut(&JobId(1)).unwrap().reopenings = 3;
        farm.fail(chunk, epoch, FailureClass::Invalid, "x");
        farm.ok(Action::RetryTask { task: chunk });
        assert_eq!(farm.job(1).reopenings, 1);
    }

    #[test]
    fn a_full_queue_refuses_and_says_its_limit() {
        let mut farm = FarmBuilder::new().build();
        // The invariants are not asked: only the index of open jobs is full.
        farm.state.open = (0..MAX_OPEN_JOBS).map(|n| JobId(n as u64)).collect();
        let reply = on_submit_job(&mut farm.state, job_spec("one more"), "profile text".to_owned());
        assert_eq!(reply, Reply::Refused(Refusal::TooManyJobs(MAX_OPEN_JOBS)));
    }

    #[test]
    fn the_oldest_ended_jobs_are_forgotten_with_their_keys() {
        let mut farm = FarmBuilder::new().build();
        let total = MAX_ENDED_JOBS + 3;
        for number in 0..total {
            // Straight to the state: a thousand jobs need no invariants checked at each step.
            let spec = with_key(&format!("out-{number}"), &format!("key-{number}"));
            let id = JobId(number as u64 + 1);
            farm.state.last_job = id;
            farm.state.by_key.insert(format!("key-{number}"), id);
            let digest = Digest::of(b"profile text");
            farm.state.profiles.insert(digest, "profile text".to_owned());
            let ended = Job { state: JobState::Canceled, ended_ms: Some(1), ..Job::new(spec, digest, 0) };
            farm.state.jobs.insert(id, ended);
        }
        assert!(crate::view::prune_is_due(&farm.state));
        assert_eq!(farm.ok(Action::PruneJobs), Accepted::Pruned(3));
        assert!(!farm.state.jobs.contains_key(&JobId(3)));
        assert!(farm.state.jobs.contains_key(&JobId(4)));
        assert_eq!(farm.state.by_key.len(), MAX_ENDED_JOBS);
        assert_eq!(farm.ok(Action::PruneJobs), Accepted::Pruned(0));
        assert!(matches!(
            farm.apply(Action::CancelJob { job: JobId(1) }),
            Reply::Refused(Refusal::UnknownJob(_))
        ));
    }

    #[test]
    fn ended_jobs_with_too_many_parts_are_forgotten_before_they_are_a_thousand() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(2, 2, 0)).build();
        farm.run_to_end();
        let done = farm.job(1).clone();
        assert_eq!(done.state, JobState::Done);
        let part = done.encode.committed[&PartIndex(0)];
        for number in 2..=4 {
            let mut job = Job { ended_ms: Some(number), ..done.clone() };
            job.encode.committed =
                (0..MAX_ENDED_PARTS as u32 / 2).map(|index| (PartIndex(index), part)).collect();
            farm.state.jobs.insert(JobId(number), job);
        }
        assert_eq!(surplus_jobs(&farm.state), [JobId(2), JobId(1)]);
        assert!(crate::view::prune_is_due(&farm.state));
    }

    #[test]
    fn profile_texts_are_kept_once_and_go_with_their_last_job() {
        let mut farm = FarmBuilder::new().build();
        for number in 0..3 {
            farm.submit(&format!("out-{number}"), 0);
        }
        assert_eq!(farm.state.profiles.len(), 1);
        farm.state.jobs.clear();
        farm.state.reindex();
        farm.ok(Action::PruneJobs);
        assert!(farm.state.profiles.is_empty());
    }

    #[test]
    fn a_job_queued_behind_a_lost_fleet_waits() {
        let mut farm: Farm = FarmBuilder::new().worker("w", 1).job(plan_of(2, 1, 0)).build();
        let worker = farm.worker("w");
        farm.ok(Action::LoseWorker { worker, cause: LossCause::Silent });
        farm.place();
        assert_eq!(farm.job(1).state, JobState::Running);
        farm.register("w2", 1, 1, FarmBuilder::PLENTY);
        farm.run_to_end();
        assert_eq!(farm.job(1).state, JobState::Done);
    }
}
