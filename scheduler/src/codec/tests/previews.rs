//! Commands and state of jobs that are shown before they are whole, and checked.

use super::*;

fn plan_with_preview() -> Box<Plan> {
    Box::new(Plan { preview: true, check: true, ..*plan(SegmentGrid::regular(1000, 96, 3).unwrap()) })
}

/// Commands of jobs with a preview and a check.
pub(super) fn preview_actions() -> Vec<(&'static str, Action)> {
    let preview = TaskId { stage: Stage::Preview, index: 0, ..TASK };
    let check = TaskId { stage: Stage::Check, ..preview };
    let result = TaskResult::Object(Artifact::of(b"check"));
    vec![
        ("commit_plan_with_preview", Action::CommitPlan { job: JobId(42), plan: plan_with_preview() }),
        (
            "commit_preview",
            Action::CommitTask {
                task: preview,
                epoch: EPOCH,
                result: TaskResult::Nothing,
                source_bytes_read: None,
            },
        ),
        ("commit_check", Action::CommitTask { task: check, epoch: EPOCH, result, source_bytes_read: None }),
    ]
}

/// The same with a preview and a check, which were added later.
pub(super) fn state_with_preview() -> FarmState {
    let mut state = state();
    for job in state.jobs.values_mut() {
        job.plan = Some(plan_with_preview());
        job.previewed = 7;
        job.preview_over = true;
        job.check = Some(Artifact::of(b"check"));
    }
    state
}
