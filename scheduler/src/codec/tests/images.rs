//! Commands and state of jobs with still pictures.

use super::*;

fn plan_with_images() -> Box<Plan> {
    Box::new(Plan { image_memory: Some(1 << 28), ..*plan(SegmentGrid::regular(1000, 96, 3).unwrap()) })
}

/// Commands of jobs with still pictures.
pub(super) fn image_actions() -> Vec<(&'static str, Action)> {
    let task = TaskId { stage: Stage::Image, index: 0, ..TASK };
    let failure = Failure { damaged_images: true, ..failure() };
    let result = TaskResult::Object(Artifact::of(b"images"));
    vec![
        ("commit_plan_with_images", Action::CommitPlan { job: JobId(42), plan: plan_with_images() }),
        ("commit_images", Action::CommitTask { task, epoch: EPOCH, result, source_bytes_read: Some(9) }),
        ("fail_with_images", Action::FailAttempt { task: TASK, epoch: EPOCH, failure }),
    ]
}

/// The same with still pictures, which were added later.
pub(super) fn state_with_images() -> FarmState {
    let mut state = state();
    for job in state.jobs.values_mut() {
        job.plan = Some(plan_with_images());
        job.images = Some(Artifact::of(b"images"));
    }
    state
}
