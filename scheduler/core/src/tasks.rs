//! The tasks of a job, one by one, for those who look closer than at its stages.

use reel_common::{JobId, Stage, TaskId, TaskState, TaskView};

use crate::state::{FarmState, Job, JobState, PartRange, open_chunks};

/// The tasks of a job in the order of their stages and numbers, from `after` on; none where there is no such job. What
/// runs comes without its progress, which heartbeats bring.
pub fn tasks(
    state: &FarmState,
    id: JobId,
    after: Option<TaskId>,
    open_only: bool,
    now_ms: u64,
) -> impl Iterator<Item = TaskView> {
    let job = state.jobs.get(&id);
    let all = job.into_iter().flat_map(move |job| {
        Stage::ALL.into_iter().flat_map(move |stage| {
            let first = match after {
                Some(after) if after.stage > stage => u32::MAX,
                Some(after) if after.stage == stage => after.index.saturating_add(1),
                _ => 0,
            };
            let numbers = numbers(job, stage, open_only);
            numbers
                .filter(move |index| *index >= first)
                .map(move |index| (job, TaskId { job: id, stage, index }))
        })
    });
    all.map(move |(job, task)| view(state, job, task, now_ms))
}

/// One task; `None` where there is no such task.
pub fn task(state: &FarmState, task: TaskId, now_ms: u64) -> Option<TaskView> {
    let job = state.jobs.get(&task.job)?;
    exists(job, task.stage, task.index).then(|| view(state, job, task, now_ms))
}

/// Whether a job has this task, done or not.
pub(crate) fn exists(job: &Job, stage: Stage, index: u32) -> bool {
    match (stage, &job.plan) {
        (Stage::Index, _) => index == 0 && job.spec.has_title(),
        (Stage::Hook, _) => index < job.hook_tasks(),
        (_, None) => false,
        (Stage::Probe, Some(plan)) => !plan.targets.is_empty() && index < plan.grid.parts(),
        (Stage::Encode, Some(_)) => index < job.encode.next_chunk,
        (Stage::Audio, Some(plan)) => plan.tracks.contains(&index),
        (Stage::Image | Stage::Preview | Stage::Check, Some(_)) => index == 0 && job.has_stage(stage),
        _ => index == 0,
    }
}

/// The numbers of a stage's tasks, or of those that are not done. Before the plan only the index has one.
fn numbers(job: &Job, stage: Stage, open_only: bool) -> Box<dyn Iterator<Item = u32> + '_> {
    let all: Box<dyn Iterator<Item = u32> + '_> = match (stage, &job.plan) {
        (Stage::Index, _) => Box::new(0..u32::from(job.spec.has_title())),
        (Stage::Hook, _) if open_only => return Box::new(job.hooks.open_in(0..job.hook_tasks())),
        (Stage::Hook, _) => Box::new(0..job.hook_tasks()),
        (_, None) => Box::new(0..0),
        (Stage::Probe, Some(_)) if !job.has_stage(stage) => Box::new(0..0),
        // Of a million chunks, hooks and probes, nearly all may be done: those are not looked at one by one.
        (Stage::Probe, Some(plan)) if open_only && job.rate.probing => {
            return Box::new(job.rate.probed.open_in(0..plan.grid.parts()));
        }
        (Stage::Probe, Some(plan)) => Box::new(0..plan.grid.parts()),
        (Stage::Encode, Some(plan)) if open_only => return Box::new(open_chunks(job, plan.chunks())),
        (Stage::Encode, Some(_)) => Box::new(0..job.encode.next_chunk),
        (Stage::Audio, Some(plan)) => Box::new(plan.tracks.iter().copied()),
        (Stage::Image | Stage::Preview | Stage::Check, Some(_)) => {
            Box::new(0..u32::from(job.has_stage(stage)))
        }
        _ => Box::new(0..1),
    };
    Box::new(all.filter(move |index| !open_only || !is_done(job, stage, *index)))
}

fn view(state: &FarmState, job: &Job, task: TaskId, now_ms: u64) -> TaskView {
    let TaskId { stage, index, .. } = task;
    let record = job.tasks.get(&(stage, index));
    let faults = record.into_iter().flat_map(|record| &record.faults);
    let parts = match stage {
        Stage::Encode | Stage::Preview => job.parts_of(stage, index).filter(|parts| !parts.is_empty()),
        Stage::Probe => Some(PartRange::new(index, index + 1)),
        _ => None,
    };
    let now = task_state(state, job, task, now_ms);
    TaskView {
        task,
        state: now,
        parts: parts.map(|range| range.start..range.end),
        attempts: record.map_or(0, |record| record.attempts),
        preemptions: record.map_or(0, |record| record.preemptions),
        faults: faults.map(|fault| (fault.host.clone(), fault.message.clone())).collect(),
        not_before_ms: (now == TaskState::BackingOff).then(|| job.not_before_ms(stage, index)),
        running: None,
    }
}

fn task_state(state: &FarmState, job: &Job, task: TaskId, now_ms: u64) -> TaskState {
    let TaskId { stage, index, .. } = task;
    if state.leases.contains_key(&task) {
        return TaskState::Running;
    }
    let failed = job.failure.as_ref().and_then(|failure| failure.task) == Some(task);
    if failed && job.state == JobState::Failed {
        return TaskState::Failed;
    }
    if job.wants(stage, index) {
        let rests = job.not_before_ms(stage, index) > now_ms;
        return if rests { TaskState::BackingOff } else { TaskState::Waiting };
    }
    match is_done(job, stage, index) {
        true if stage == Stage::Hook && job.hooks.skipped.contains(&index) => TaskState::Skipped,
        true => TaskState::Done,
        false => TaskState::Blocked,
    }
}

/// Whether a task that exists and is not wanted has its result, or waits for earlier ones.
fn is_done(job: &Job, stage: Stage, index: u32) -> bool {
    match stage {
        Stage::Index => job.index.is_some(),
        Stage::Probe => {
            let rate = &job.rate;
            if rate.probing { !rate.probed.is_open(index) } else { !rate.rounds.is_empty() }
        }
        Stage::Encode => job.chunk(index).is_none(),
        Stage::Audio => job.audio.contains_key(&index),
        Stage::Image => job.images.is_some(),
        Stage::Assemble => job.assembly.is_some(),
        // What is not shown when everything is encoded never is: the whole title comes next.
        Stage::Preview => job.is_encoded() || job.preview_over,
        Stage::Measure => job.proof.is_some(),
        Stage::Check => job.check.is_some(),
        Stage::Deliver => job.report.is_some(),
        Stage::Hook => !job.hooks.is_open(index),
    }
}

#[cfg(test)]
mod tests {
    use reel_common::FailureClass;

    use super::*;
    use crate::testing::{Farm, FarmBuilder, encode, plan_of, task as name, with_images};

    fn states(farm: &Farm, after: Option<TaskId>) -> Vec<String> {
        let views = tasks(&farm.state, JobId(1), after, false, farm.now_ms);
        views.map(|view| format!("{} {}", view.task, view.state.name())).collect()
    }

    #[test]
    fn every_task_is_listed_once_with_its_state() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(6, 2, 1)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        farm.finish(encode(1, 0), epoch);
        let epoch = farm.grant(encode(1, 1), worker);
        farm.fail(encode(1, 1), epoch, FailureClass::Failed, "signal 11");
        farm.grant(encode(1, 2), worker);
        let all = [
            "1/index/0 done",
            "1/encode/0 done",
            "1/encode/1 backing-off",
            "1/encode/2 running",
            "1/audio/0 waiting",
            "1/assemble/0 blocked",
            "1/measure/0 blocked",
            "1/check/0 blocked",
            "1/deliver/0 blocked",
        ];
        assert_eq!(states(&farm, None), all);
        assert_eq!(states(&farm, Some(encode(1, 1))), all[3..]);
        assert_eq!(states(&farm, Some(name(1, Stage::Deliver, 0))), [""; 0]);
        let open = tasks(&farm.state, JobId(1), None, true, farm.now_ms);
        assert_eq!(open.map(|view| view.task).collect::<Vec<_>>()[..2], [encode(1, 1), encode(1, 2)]);
    }

    #[test]
    fn a_title_with_stills_has_one_task_for_them() {
        let farm = FarmBuilder::new().worker("w", 1).job(with_images(plan_of(1, 1, 1))).build();
        let wanted = ["1/audio/0 waiting", "1/image/0 waiting", "1/assemble/0 blocked"];
        assert_eq!(states(&farm, Some(encode(1, 0)))[..3], wanted);
    }

    #[test]
    fn a_task_shows_its_failures_and_when_it_goes_on() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(2, 2, 0)).build();
        let epoch = farm.grant(encode(1, 0), farm.worker("w"));
        farm.fail(encode(1, 0), epoch, FailureClass::Failed, "signal 11");
        let seen = task(&farm.state, encode(1, 0), farm.now_ms).unwrap();
        assert_eq!(seen.faults, [("w".to_owned(), "signal 11".to_owned())]);
        assert_eq!((seen.attempts, seen.parts), (1, Some(0..2)));
        assert_eq!(seen.not_before_ms, crate::view::next_backoff_deadline(&farm.state, farm.now_ms));
        assert_eq!(task(&farm.state, encode(1, 1), farm.now_ms), None);
    }

    #[test]
    fn the_task_that_failed_its_job_is_named() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(2, 2, 0)).build();
        let epoch = farm.grant(encode(1, 0), farm.worker("w"));
        farm.fail(encode(1, 0), epoch, FailureClass::Invalid, "no moov");
        assert!(states(&farm, None).contains(&"1/encode/0 failed".to_owned()));
    }
}
