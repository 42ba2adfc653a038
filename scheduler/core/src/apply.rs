//! Applies commands to the state. Total: a command that cannot be done is answered, never a panic.

mod commits;
mod control;
mod failures;
mod grants;
mod hooks;
mod jobs;
mod projects;
mod quarantine;
mod reopen;
mod workers;

use reel_common::{Epoch, JobId, Stage, TaskId};

use crate::command::{Accepted, Action, Command, Refusal, Reply};
use crate::event::Event;
use crate::state::{AttemptRecord, FarmState, Job, JobState, Lease, Outcome, Worker};

pub(crate) use jobs::surplus_jobs;
pub use jobs::{MAX_ENDED_JOBS, MAX_ENDED_PARTS, MAX_OPEN_JOBS};
pub use workers::{MAX_SLOTS, MAX_WORKERS};

impl FarmState {
    /// Applies one command of the log entry `log_index`.
    ///
    /// Its number, which is the epoch of what it grants, is the log index; where an entry holds several commands, each
    /// has the next number, so that no two grants have one epoch. In debug builds every invariant is checked
    /// afterwards.
    pub fn apply(&mut self, log_index: u64, command: Command) -> Reply {
        self.applied = log_index.max(self.applied.saturating_add(1));
        self.clock_ms = self.clock_ms.max(command.now_ms);
        self.news.0.clear();
        let reply = self.act(Epoch(self.applied), command.action);
        debug_assert_eq!(crate::invariant::check_all(self), Ok(()), "after log index {log_index}");
        reply
    }

    fn act(&mut self, epoch: Epoch, action: Action) -> Reply {
        match action {
            Action::SubmitJob { spec, profile } => jobs::on_submit_job(self, *spec, profile),
            Action::CommitPlan { job, plan } => jobs::on_commit_plan(self, job, plan),
            Action::RejectPlan { job, reason } => jobs::on_reject_plan(self, job, &reason),
            Action::CommitRate { job, after, step } => jobs::on_commit_rate(self, job, after, &step),
            Action::CancelJob { job } => control::on_cancel_job(self, job),
            Action::PauseJob { job } => control::on_pause_job(self, job),
            Action::ResumeJob { job } => control::on_resume_job(self, job),
            Action::SetPriority { job, priority } => control::on_set_priority(self, job, priority),
            Action::RetryTask { task } => jobs::on_retry_task(self, task),
            Action::SkipTask { task } => hooks::on_skip_task(self, task),
            Action::RetryJob { job } => jobs::on_retry_job(self, job),
            Action::SetProject { name, share } => projects::on_set_project(self, name, share),
            Action::PruneJobs => jobs::on_prune_jobs(self),
            Action::RegisterWorker { facts } => workers::on_register_worker(self, Worker::new(*facts)),
            Action::NoteLeaving { worker } => workers::on_note_leaving(self, worker),
            Action::HoldWorker { name, hold } => workers::on_hold_worker(self, name, hold),
            Action::LoseWorker { worker, cause } => workers::on_lose_worker(self, worker, cause),
            Action::Grant { task, worker, parts, reserved } => {
                grants::on_grant(self, epoch, grants::Proposal { task, worker, parts, reserved })
            }
            Action::CutChunk { task, epoch, at_part } => grants::on_cut_chunk(self, task, epoch, at_part),
            Action::CommitPart { task, epoch, part, record, encoded, reused, measured } => {
                let offer = commits::Offer { part, record, encoded, reused, measured };
                commits::on_commit_part(self, task, epoch, offer)
            }
            Action::CommitTask { task, epoch, result, source_bytes_read } => {
                commits::on_commit_task(self, task, epoch, result, source_bytes_read)
            }
            Action::FailAttempt { task, epoch, failure } => {
                failures::on_fail_attempt(self, task, epoch, &failure)
            }
            Action::HandBack { task, epoch } => failures::on_hand_back(self, task, epoch),
            Action::ExpireLease { task, epoch } => failures::on_expire_lease(self, task, epoch),
        }
    }
}

fn known_job(state: &mut FarmState, id: JobId) -> Result<&mut Job, Refusal> {
    state.jobs.get_mut(&id).ok_or(Refusal::UnknownJob(id))
}

/// Ends the live attempt of a task: its epoch is dead, and what its chunk has left waits for another attempt.
fn end_attempt(
    state: &mut FarmState,
    task: TaskId,
    outcome: Outcome,
    message: &str,
    source_bytes_read: Option<u64>,
) -> Option<Lease> {
    let lease = state.leases.remove(&task)?;
    if let Some(tasks) = state.by_worker.get_mut(&lease.worker) {
        tasks.remove(&task);
        if tasks.is_empty() {
            state.by_worker.remove(&lease.worker);
        }
    }
    let ended_ms = state.clock_ms;
    let job = state.jobs.get_mut(&task.job)?;
    job.remember(AttemptRecord {
        stage: task.stage,
        index: task.index,
        attempt: lease.attempt,
        epoch: lease.epoch,
        worker: lease.worker,
        started_ms: lease.granted_ms,
        ended_ms,
        outcome,
        message: message[..message.floor_char_boundary(AttemptRecord::MAX_MESSAGE_BYTES)].to_owned(),
        source_bytes_read,
    });
    if task.stage == Stage::Encode && !job.encode.settle_chunk(task.index) {
        job.tasks.remove(&(task.stage, task.index));
    }
    let Lease { attempt, epoch, worker, .. } = lease;
    let worker = job.worker_name(worker);
    let message = message.to_owned();
    state.tell(Event::AttemptEnded { task, attempt, epoch, worker, outcome, message });
    Some(lease)
}

/// Ends a job: all its epochs are dead.
fn close_job(state: &mut FarmState, id: JobId, end: JobState) {
    let running: Vec<TaskId> = state.leases_of_job(id).map(|(task, _)| task).collect();
    for task in running {
        end_attempt(state, task, Outcome::Revoked, "", None);
    }
    let Some(job) = state.jobs.get_mut(&id) else { return };
    job.state = end;
    job.ended_ms = Some(state.clock_ms);
    let surplus = job.attempts.len().saturating_sub(Job::MAX_ATTEMPTS_ENDED);
    job.attempts.drain(..surplus);
    state.open.remove(&id);
    if job.spec.has_title() {
        state.by_output.remove(&job.spec.output);
    }
    tell_state(state, id);
}

/// Tells the state of a job that has just changed.
fn tell_state(state: &mut FarmState, id: JobId) {
    let Some(job) = state.jobs.get(&id) else { return };
    let reason = job.failure.as_ref().map(|failed| failed.failure.message.clone()).unwrap_or_default();
    state.tell(Event::JobChanged { job: id, state: job.state, reason });
}

/// The answer to a message about an epoch that is not live: the first one, where the attempt ended just so.
fn answer_ended(state: &FarmState, task: TaskId, epoch: Epoch, outcome: Outcome) -> Reply {
    let ended = state.jobs.get(&task.job).and_then(|job| job.ended_attempt(task.stage, task.index, epoch));
    match ended {
        Some(attempt) if attempt.outcome == outcome => Reply::Duplicate(Accepted::Done),
        _ => Reply::Superseded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FarmBuilder, plan_of};

    #[test]
    fn a_job_that_has_ended_remembers_its_newest_attempts() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(150, 1, 0)).build();
        farm.run_to_end();
        let job = farm.job(1);
        assert_eq!((job.attempts_total, job.attempts.len()), (155, Job::MAX_ATTEMPTS_ENDED));
        assert_eq!(job.attempts.back().map(|attempt| attempt.stage), Some(Stage::Deliver));
    }

    #[test]
    fn the_clock_of_the_state_never_goes_back() {
        let mut farm = FarmBuilder::new().build();
        for (now_ms, clock_ms) in [(5_000, 5_000), (9_000, 9_000), (1_000, 9_000)] {
            farm.now_ms = now_ms;
            let job = farm.submit(&format!("out-{now_ms}"), 0);
            assert_eq!((farm.state.clock_ms, farm.job(job.0).submitted_ms), (clock_ms, clock_ms));
        }
    }
}
