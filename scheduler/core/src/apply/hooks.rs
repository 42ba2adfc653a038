//! Hooks that an operator gives up, and the end of jobs that wait for nothing else.

use reel_common::{JobId, Stage, TaskId};

use super::jobs::{job_of, may_go_on, reopen_job};
use super::{close_job, end_attempt};
use crate::command::{Accepted, Refusal, Reply};
use crate::event::Event;
use crate::state::{FarmState, Job, JobState, Outcome};

/// Notes that a task of a hook is done; what was charged to it is of no use any more.
pub(super) fn note_done(job: &mut Job, index: u32) {
    job.hooks.end(index);
    job.tasks.remove(&(Stage::Hook, index));
}

/// Ends a job of which nothing is left to do.
pub(super) fn close_if_complete(state: &mut FarmState, id: JobId) {
    if state.jobs.get(&id).is_some_and(Job::is_complete) {
        close_job(state, id, JobState::Done);
    }
}

/// Gives up a task, whether it waits, runs, or has failed its job, which is opened again and goes on without it.
pub(super) fn on_skip_task(state: &mut FarmState, task: TaskId) -> Reply {
    skip(state, task).unwrap_or_else(Reply::Refused)
}

fn skip(state: &mut FarmState, task: TaskId) -> Result<Reply, Refusal> {
    let job = job_of(state, task)?;
    if task.stage != Stage::Hook {
        return Err(Refusal::NotSkippable(task));
    }
    if job.hooks.skipped.contains(&task.index) {
        return Ok(Reply::Duplicate(Accepted::Done));
    }
    if !job.hooks.is_open(task.index) {
        return Err(Refusal::NothingToSkip(task));
    }
    may_go_on(job, task)?;
    reopen_job(state, task.job)?;
    end_attempt(state, task, Outcome::Revoked, "", None);
    if let Some(job) = state.jobs.get_mut(&task.job) {
        job.hooks.skip(task.index);
        job.tasks.remove(&(Stage::Hook, task.index));
    }
    state.tell(Event::TaskSkipped { task });
    close_if_complete(state, task.job);
    Ok(Reply::DONE)
}

#[cfg(test)]
mod tests {
    use reel_common::{Epoch, FailureClass, Hook, WorkerFacts};

    use super::*;
    use crate::command::{Action, JobSpec, TaskResult};
    use crate::testing::{Farm, FarmBuilder, commit_task, encode, facts, job_spec, plan_of, task};

    fn hook(index: u32) -> TaskId {
        task(1, Stage::Hook, index)
    }

    fn hooks(names: &[&str]) -> Vec<Hook> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn offering(name: &str, slots: u32, hooks: &[&str]) -> WorkerFacts {
        let hooks = hooks.iter().map(|hook| (*hook).to_owned()).collect();
        WorkerFacts { hooks, ..facts(name, 1, slots, FarmBuilder::PLENTY) }
    }

    /// A job of hooks alone, and a worker that has them.
    fn farm(names: &[&str]) -> Farm {
        let mut farm = FarmBuilder::new().build();
        farm.submit_spec(JobSpec { hooks: hooks(names), ..JobSpec::default() });
        farm.register_facts(offering("w", 2, &["notify", "purge"]));
        farm
    }

    /// A job with a title, all of which is done but its hooks.
    fn delivered(names: &[&str]) -> Farm {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(2, 2, 0)).build();
        farm.state.jobs.get_mut(&JobId(1)).unwrap().spec.hooks = hooks(names);
        farm.run_to_end();
        farm
    }

    fn running(farm: &Farm) -> Vec<u32> {
        farm.running().iter().map(|(task, _)| task.index).collect()
    }

    fn end(farm: &mut Farm, index: u32) {
        let epoch = farm.state.leases[&hook(index)].epoch;
        farm.finish(hook(index), epoch);
    }

    #[test]
    fn hooks_run_when_the_title_is_delivered_where_a_worker_has_them() {
        let mut farm = delivered(&["notify"]);
        assert_eq!((farm.job(1).state, farm.job(1).report.is_some()), (JobState::Running, true));
        assert_eq!(farm.proposals(), [], "no worker has it");
        farm.register_facts(offering("other", 1, &["notify"]));
        farm.place();
        assert_eq!(running(&farm), [0]);
        end(&mut farm, 0);
        assert_eq!(
            (farm.job(1).state, farm.job(1).tasks.contains_key(&(Stage::Hook, 0))),
            (JobState::Done, false)
        );
    }

    #[test]
    fn hooks_go_one_after_the_other_and_the_tasks_of_one_side_by_side() {
        let mut farm = farm(&["notify:3", "purge"]);
        farm.place();
        assert_eq!(running(&farm), [0, 1]);
        end(&mut farm, 1);
        farm.place();
        assert_eq!(running(&farm), [0, 2]);
        end(&mut farm, 2);
        assert_eq!(farm.proposals(), [], "the first hook is not done");
        end(&mut farm, 0);
        farm.place();
        assert_eq!(running(&farm), [3]);
        end(&mut farm, 3);
        assert_eq!(farm.job(1).state, JobState::Done);
    }

    #[test]
    fn a_task_whose_worker_was_lost_runs_again() {
        let mut farm = farm(&["notify:3"]);
        farm.place();
        let epoch = farm.state.leases[&hook(0)].epoch;
        farm.ok(Action::ExpireLease { task: hook(0), epoch });
        assert_eq!(farm.apply(commit_task(hook(0), epoch, TaskResult::Nothing)), Reply::Superseded);
        farm.run_to_end();
        assert_eq!(farm.job(1).state, JobState::Done);
        assert_eq!((farm.job(1).attempts_total, farm.job(1).hooks.done()), (4, 3));
    }

    #[test]
    fn a_job_that_failed_by_a_hook_goes_on_without_it_or_tries_it_again() {
        for skips in [true, false] {
            let mut farm = delivered(&["notify", "purge"]);
            farm.register_facts(offering("other", 1, &["notify", "purge"]));
            farm.place();
            let epoch = farm.state.leases[&hook(0)].epoch;
            farm.fail(hook(0), epoch, FailureClass::Invalid, "no such title");
            assert_eq!(farm.job(1).state, JobState::Failed);
            let other = farm.apply(Action::SkipTask { task: hook(1) });
            assert!(matches!(other, Reply::Refused(Refusal::WrongState { .. })), "{other:?}");
            farm.ok(if skips {
                Action::SkipTask { task: hook(0) }
            } else {
                Action::RetryTask { task: hook(0) }
            });
            farm.run_to_end();
            let job = farm.job(1);
            assert_eq!((job.state, job.hooks.skipped.len()), (JobState::Done, usize::from(skips)));
        }
    }

    #[test]
    fn a_hook_is_skipped_before_its_turn_and_while_it_runs() {
        let mut farm = farm(&["notify", "purge:2"]);
        farm.place();
        let epoch = farm.state.leases[&hook(0)].epoch;
        farm.ok(Action::SkipTask { task: hook(2) });
        farm.ok(Action::SkipTask { task: hook(0) });
        assert_eq!(farm.state.leases.len(), 0, "its worker is told to stop");
        assert_eq!(farm.apply(Action::SkipTask { task: hook(0) }), Reply::Duplicate(Accepted::Done));
        assert_eq!(farm.apply(commit_task(hook(0), epoch, TaskResult::Nothing)), Reply::Superseded);
        farm.place();
        assert_eq!(running(&farm), [1]);
        end(&mut farm, 1);
        assert_eq!(farm.job(1).state, JobState::Done);
        let done = farm.apply(Action::SkipTask { task: hook(1) });
        assert_eq!(done, Reply::Refused(Refusal::NothingToSkip(hook(1))));
    }

    #[test]
    fn the_last_hook_that_is_skipped_ends_its_job() {
        let mut farm = farm(&["notify"]);
        farm.ok(Action::SkipTask { task: hook(0) });
        assert_eq!(farm.job(1).state, JobState::Done);
    }

    #[test]
    fn only_hooks_are_skipped() {
        let mut farm = FarmBuilder::new().job(plan_of(2, 2, 0)).build();
        let refused = |task| Reply::Refused(Refusal::NotSkippable(task));
        assert_eq!(farm.apply(Action::SkipTask { task: encode(1, 0) }), refused(encode(1, 0)));
        let unknown = farm.apply(Action::SkipTask { task: hook(0) });
        assert_eq!(unknown, Reply::Refused(Refusal::UnknownTask(hook(0))));
    }

    #[test]
    fn a_job_needs_a_title_or_hooks_and_hooks_that_are_in_order() {
        let mut farm = FarmBuilder::new().build();
        let mut refused = |spec: JobSpec, profile: &str| {
            let action = Action::SubmitJob { spec: Box::new(spec), profile: profile.to_owned() };
            let reply = farm.apply(action);
            let named = matches!(reply, Reply::Refused(Refusal::BadField { .. } | Refusal::BadHooks(_)));
            assert!(named, "{reply:?}");
        };
        refused(JobSpec::default(), "");
        refused(JobSpec { hooks: hooks(&["notify"]), output: "out".to_owned(), ..JobSpec::default() }, "");
        refused(JobSpec { hooks: hooks(&["notify"]), ..JobSpec::default() }, "profile text");
        let none = Hook { name: "notify".to_owned(), tasks: 0 };
        refused(JobSpec { hooks: vec![none], ..job_spec("out") }, "profile text");
        refused(JobSpec { hooks: hooks(&["notify"; 17]), ..job_spec("out") }, "profile text");
    }

    #[test]
    fn a_hook_that_ends_with_an_object_has_failed() {
        let mut farm = farm(&["notify"]);
        farm.place();
        let epoch = farm.state.leases[&hook(0)].epoch;
        let object = TaskResult::Object(reel_common::Artifact::of(b"x"));
        let reply = farm.apply(commit_task(hook(0), epoch, object));
        assert_eq!(reply, Reply::Refused(Refusal::WrongResult(hook(0))));
        assert_eq!(farm.state.live(hook(0), Epoch(epoch.0)), None);
    }
}
