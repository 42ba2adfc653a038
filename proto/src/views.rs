//! Conversions of what users are shown: jobs and workers.

use reel_common as common;
use reel_common::{AttemptNumber, Epoch, JobId, WorkerId};

use crate::v1;
use crate::{Malformed, labels, wire_labels};

impl From<common::JobState> for v1::JobState {
    fn from(value: common::JobState) -> Self {
        match value {
            common::JobState::Queued => v1::JobState::Queued,
            common::JobState::Running => v1::JobState::Running,
            common::JobState::Paused => v1::JobState::Paused,
            common::JobState::Done => v1::JobState::Done,
            common::JobState::Failed => v1::JobState::Failed,
            common::JobState::Canceled => v1::JobState::Canceled,
        }
    }
}

impl TryFrom<v1::JobState> for common::JobState {
    type Error = Malformed;

    fn try_from(value: v1::JobState) -> Result<Self, Malformed> {
        match value {
            v1::JobState::Unspecified => Err(Malformed("job state")),
            v1::JobState::Queued => Ok(common::JobState::Queued),
            v1::JobState::Running => Ok(common::JobState::Running),
            v1::JobState::Paused => Ok(common::JobState::Paused),
            v1::JobState::Done => Ok(common::JobState::Done),
            v1::JobState::Failed => Ok(common::JobState::Failed),
            v1::JobState::Canceled => Ok(common::JobState::Canceled),
        }
    }
}

impl From<common::JobView> for v1::Job {
    fn from(view: common::JobView) -> Self {
        v1::Job {
            id: view.id.0,
            state: v1::JobState::from(view.state).into(),
            mezzanine: view.mezzanine,
            output: view.output,
            project: view.project,
            priority: view.priority,
            deadline_ms: view.deadline_ms,
            labels: wire_labels(&view.labels),
            needs: wire_labels(&view.needs),
            hooks: view.hooks.into_iter().map(Into::into).collect(),
            texts: view.texts.into_iter().map(Into::into).collect(),
            edit: view.edit.map(Into::into),
            reason: view.reason.map(Into::into),
            trouble: view.trouble.map(Into::into),
            warnings: view.warnings,
            flags: view.flags.into_iter().map(Into::into).collect(),
            rates: view.rates.into_iter().map(Into::into).collect(),
            stages: view.stages.into_iter().map(Into::into).collect(),
            running: view.running.into_iter().map(Into::into).collect(),
            frames: view.frames,
            parts_total: view.parts_total,
            parts_committed: view.parts_committed,
            attempts: view.attempts,
            parts_encoded_twice: view.parts_encoded_twice,
            renditions_encoded: view.renditions_encoded,
            renditions_reused: view.renditions_reused,
            report: view.report.map(Into::into),
            submitted_ms: view.submitted_ms,
            ended_ms: view.ended_ms,
            cost_micros: view.cost_micros,
        }
    }
}

impl TryFrom<v1::Job> for common::JobView {
    type Error = Malformed;

    fn try_from(job: v1::Job) -> Result<Self, Malformed> {
        Ok(common::JobView {
            id: JobId(job.id),
            state: job.state().try_into()?,
            mezzanine: job.mezzanine,
            output: job.output,
            project: job.project,
            priority: job.priority,
            deadline_ms: job.deadline_ms,
            labels: labels(job.labels).map_err(|_| Malformed("label of a job"))?,
            needs: labels(job.needs).map_err(|_| Malformed("label of a job"))?,
            hooks: job.hooks.into_iter().map(Into::into).collect(),
            texts: job.texts.into_iter().map(Into::into).collect(),
            edit: job.edit.map(TryInto::try_into).transpose()?,
            reason: job.reason.map(TryInto::try_into).transpose()?,
            trouble: job.trouble.map(TryInto::try_into).transpose()?,
            warnings: job.warnings,
            flags: job.flags.into_iter().map(Into::into).collect(),
            rates: job.rates.into_iter().map(Into::into).collect(),
            stages: job.stages.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            running: job.running.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            frames: job.frames,
            parts_total: job.parts_total,
            parts_committed: job.parts_committed,
            attempts: job.attempts,
            parts_encoded_twice: job.parts_encoded_twice,
            renditions_encoded: job.renditions_encoded,
            renditions_reused: job.renditions_reused,
            report: job.report.map(TryInto::try_into).transpose()?,
            submitted_ms: job.submitted_ms,
            ended_ms: job.ended_ms,
            cost_micros: job.cost_micros,
        })
    }
}

impl From<common::JobReason> for v1::JobReason {
    fn from(reason: common::JobReason) -> Self {
        v1::JobReason {
            task: reason.task.map(Into::into),
            worker: reason.worker,
            class: v1::FailureClass::from(reason.class).into(),
            message: reason.message,
            evidence: reason.evidence,
        }
    }
}

impl TryFrom<v1::JobReason> for common::JobReason {
    type Error = Malformed;

    fn try_from(reason: v1::JobReason) -> Result<Self, Malformed> {
        Ok(common::JobReason {
            class: reason.class().try_into()?,
            task: reason.task.map(TryInto::try_into).transpose()?,
            worker: reason.worker,
            message: reason.message,
            evidence: reason.evidence,
        })
    }
}

impl From<common::Trouble> for v1::JobTrouble {
    fn from(trouble: common::Trouble) -> Self {
        v1::JobTrouble {
            task: Some(trouble.task.into()),
            attempt: trouble.attempt.0,
            worker: trouble.worker,
            class: v1::FailureClass::from(trouble.class).into(),
            message: trouble.message,
            shortages: trouble.shortages,
        }
    }
}

impl TryFrom<v1::JobTrouble> for common::Trouble {
    type Error = Malformed;

    fn try_from(trouble: v1::JobTrouble) -> Result<Self, Malformed> {
        Ok(common::Trouble {
            class: trouble.class().try_into()?,
            task: trouble.task.ok_or(Malformed("task"))?.try_into()?,
            attempt: AttemptNumber(trouble.attempt),
            worker: trouble.worker,
            message: trouble.message,
            shortages: trouble.shortages,
        })
    }
}

impl From<common::StageView> for v1::StageProgress {
    fn from(stage: common::StageView) -> Self {
        v1::StageProgress {
            stage: v1::Stage::from(stage.stage).into(),
            total: stage.total,
            done: stage.done,
            running: stage.running,
            frames_done: stage.frames_done,
            frames_total: stage.frames_total,
        }
    }
}

impl TryFrom<v1::StageProgress> for common::StageView {
    type Error = Malformed;

    fn try_from(stage: v1::StageProgress) -> Result<Self, Malformed> {
        Ok(common::StageView {
            stage: stage.stage().try_into()?,
            total: stage.total,
            done: stage.done,
            running: stage.running,
            frames_done: stage.frames_done,
            frames_total: stage.frames_total,
        })
    }
}

impl From<common::RunningView> for v1::RunningTask {
    fn from(running: common::RunningView) -> Self {
        v1::RunningTask {
            task: Some(running.task.into()),
            attempt: running.attempt.0,
            epoch: running.epoch.0,
            worker: running.worker,
            frames_done: running.frames_done,
            frames_total: running.frames_total,
            started_ms: running.started_ms,
            part: running.part,
        }
    }
}

impl TryFrom<v1::RunningTask> for common::RunningView {
    type Error = Malformed;

    fn try_from(running: v1::RunningTask) -> Result<Self, Malformed> {
        Ok(common::RunningView {
            task: running.task.ok_or(Malformed("task"))?.try_into()?,
            attempt: AttemptNumber(running.attempt),
            epoch: Epoch(running.epoch),
            worker: running.worker,
            frames_done: running.frames_done,
            frames_total: running.frames_total,
            started_ms: running.started_ms,
            part: running.part,
        })
    }
}

impl From<common::WorkerState> for v1::WorkerState {
    fn from(value: common::WorkerState) -> Self {
        match value {
            common::WorkerState::Ready => v1::WorkerState::Ready,
            common::WorkerState::Draining => v1::WorkerState::Draining,
            common::WorkerState::Silent => v1::WorkerState::Silent,
            common::WorkerState::Cordoned => v1::WorkerState::Cordoned,
            common::WorkerState::Quarantined => v1::WorkerState::Quarantined,
        }
    }
}

impl TryFrom<v1::WorkerState> for common::WorkerState {
    type Error = Malformed;

    fn try_from(value: v1::WorkerState) -> Result<Self, Malformed> {
        match value {
            v1::WorkerState::Unspecified => Err(Malformed("worker state")),
            v1::WorkerState::Ready => Ok(common::WorkerState::Ready),
            v1::WorkerState::Draining => Ok(common::WorkerState::Draining),
            v1::WorkerState::Silent => Ok(common::WorkerState::Silent),
            v1::WorkerState::Cordoned => Ok(common::WorkerState::Cordoned),
            v1::WorkerState::Quarantined => Ok(common::WorkerState::Quarantined),
        }
    }
}

impl From<common::WorkerView> for v1::WorkerView {
    fn from(worker: common::WorkerView) -> Self {
        v1::WorkerView {
            id: worker.id.0,
            name: worker.name,
            state: v1::WorkerState::from(worker.state).into(),
            slots: worker.slots,
            memory_bytes: worker.memory_bytes,
            scratch_bytes: worker.scratch_bytes,
            pool: v1::Pool::from(worker.pool).into(),
            labels: wire_labels(&worker.labels),
            codecs: worker.codecs.into_iter().collect(),
            hooks: worker.hooks.into_iter().collect(),
            price_micros: worker.price.micros,
            running: worker.running.into_iter().map(Into::into).collect(),
            preemptions: worker.preemptions,
            registered_ms: worker.registered_ms,
        }
    }
}

impl TryFrom<v1::WorkerView> for common::WorkerView {
    type Error = Malformed;

    fn try_from(worker: v1::WorkerView) -> Result<Self, Malformed> {
        Ok(common::WorkerView {
            id: WorkerId(worker.id),
            state: worker.state().try_into()?,
            pool: worker.pool().into(),
            labels: labels(worker.labels).map_err(|_| Malformed("label of a worker"))?,
            codecs: worker.codecs.into_iter().collect(),
            hooks: worker.hooks.into_iter().collect(),
            price: common::Price { micros: worker.price_micros },
            scratch_bytes: worker.scratch_bytes,
            name: worker.name,
            slots: worker.slots,
            memory_bytes: worker.memory_bytes,
            running: worker.running.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            preemptions: worker.preemptions,
            registered_ms: worker.registered_ms,
        })
    }
}

impl From<common::ProjectView> for v1::Project {
    fn from(project: common::ProjectView) -> Self {
        v1::Project {
            name: project.name,
            weight: project.share.weight,
            guarantee: project.share.guarantee,
            burst: project.share.burst,
            slots: project.slots,
            open_jobs: project.open_jobs,
        }
    }
}

impl From<v1::Project> for common::ProjectView {
    fn from(project: v1::Project) -> Self {
        let v1::Project { name, weight, guarantee, burst, slots, open_jobs } = project;
        common::ProjectView { name, share: common::Share { weight, guarantee, burst }, slots, open_jobs }
    }
}

impl From<common::TaskState> for v1::TaskState {
    fn from(state: common::TaskState) -> Self {
        match state {
            common::TaskState::Blocked => v1::TaskState::Blocked,
            common::TaskState::Waiting => v1::TaskState::Waiting,
            common::TaskState::BackingOff => v1::TaskState::BackingOff,
            common::TaskState::Running => v1::TaskState::Running,
            common::TaskState::Done => v1::TaskState::Done,
            common::TaskState::Failed => v1::TaskState::Failed,
            common::TaskState::Skipped => v1::TaskState::Skipped,
        }
    }
}

impl TryFrom<v1::TaskState> for common::TaskState {
    type Error = Malformed;

    fn try_from(state: v1::TaskState) -> Result<Self, Malformed> {
        match state {
            v1::TaskState::Unspecified => Err(Malformed("task state")),
            v1::TaskState::Blocked => Ok(common::TaskState::Blocked),
            v1::TaskState::Waiting => Ok(common::TaskState::Waiting),
            v1::TaskState::BackingOff => Ok(common::TaskState::BackingOff),
            v1::TaskState::Running => Ok(common::TaskState::Running),
            v1::TaskState::Done => Ok(common::TaskState::Done),
            v1::TaskState::Failed => Ok(common::TaskState::Failed),
            v1::TaskState::Skipped => Ok(common::TaskState::Skipped),
        }
    }
}

impl From<common::TaskView> for v1::Task {
    fn from(view: common::TaskView) -> Self {
        let parts = view.parts.unwrap_or_default();
        let faults = view.faults.into_iter();
        v1::Task {
            id: Some(view.task.into()),
            state: v1::TaskState::from(view.state).into(),
            first_part: parts.start,
            end_part: parts.end,
            attempts: view.attempts,
            preemptions: view.preemptions,
            faults: faults.map(|(worker, message)| v1::TaskFault { worker, message }).collect(),
            not_before_ms: view.not_before_ms,
            running: view.running.map(Into::into),
        }
    }
}

impl TryFrom<v1::Task> for common::TaskView {
    type Error = Malformed;

    fn try_from(task: v1::Task) -> Result<Self, Malformed> {
        let parts = task.first_part..task.end_part;
        Ok(common::TaskView {
            state: task.state().try_into()?,
            task: task.id.ok_or(Malformed("task"))?.try_into()?,
            parts: (!parts.is_empty()).then_some(parts),
            attempts: task.attempts,
            preemptions: task.preemptions,
            faults: task.faults.into_iter().map(|fault| (fault.worker, fault.message)).collect(),
            not_before_ms: task.not_before_ms,
            running: task.running.map(TryInto::try_into).transpose()?,
        })
    }
}
