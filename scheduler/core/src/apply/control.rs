//! What operators do to a job: cancel, pause, resume, give it another priority.

use reel_common::JobId;

use super::{close_job, known_job, tell_state};
use crate::command::{Accepted, Refusal, Reply};
use crate::state::{FarmState, JobState};

pub(super) fn on_cancel_job(state: &mut FarmState, id: JobId) -> Reply {
    match known_job(state, id).map(|job| job.state) {
        Err(refusal) => Reply::Refused(refusal),
        Ok(JobState::Canceled) => Reply::Duplicate(Accepted::Done),
        Ok(now) if !now.is_open() => Reply::Refused(Refusal::WrongState { job: id, state: now }),
        Ok(_) => {
            close_job(state, id, JobState::Canceled);
            Reply::DONE
        }
    }
}

pub(super) fn on_pause_job(state: &mut FarmState, id: JobId) -> Reply {
    match known_job(state, id) {
        Err(refusal) => Reply::Refused(refusal),
        Ok(job) if job.state == JobState::Paused => Reply::Duplicate(Accepted::Done),
        Ok(job) if !job.state.is_open() => Reply::Refused(Refusal::WrongState { job: id, state: job.state }),
        Ok(job) => {
            job.state = JobState::Paused;
            tell_state(state, id);
            Reply::DONE
        }
    }
}

pub(super) fn on_resume_job(state: &mut FarmState, id: JobId) -> Reply {
    match known_job(state, id) {
        Err(refusal) => Reply::Refused(refusal),
        Ok(job) if job.state.is_active() => Reply::Duplicate(Accepted::Done),
        Ok(job) if job.state == JobState::Paused => {
            job.state = if job.attempts_total == 0 { JobState::Queued } else { JobState::Running };
            tell_state(state, id);
            Reply::DONE
        }
        Ok(job) => Reply::Refused(Refusal::WrongState { job: id, state: job.state }),
    }
}

pub(super) fn on_set_priority(state: &mut FarmState, id: JobId, priority: i32) -> Reply {
    match known_job(state, id) {
        Err(refusal) => Reply::Refused(refusal),
        Ok(job) if !job.state.is_open() => Reply::Refused(Refusal::WrongState { job: id, state: job.state }),
        Ok(job) if job.spec.priority == priority => Reply::Duplicate(Accepted::Done),
        Ok(job) => {
            job.spec.priority = priority;
            tell_state(state, id);
            Reply::DONE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Action;
    use crate::testing::{FarmBuilder, encode, plan_of};

    #[test]
    fn a_canceled_job_has_no_live_epoch() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(8, 2, 1)).build();
        farm.place();
        let running = farm.running();
        assert_eq!(running.len(), 2);
        farm.ok(Action::CancelJob { job: JobId(1) });
        assert_eq!(farm.running(), []);
        for (task, epoch) in running {
            assert_eq!(farm.commit_part(task, epoch, 0), Reply::Superseded);
        }
        assert_eq!(farm.apply(Action::CancelJob { job: JobId(1) }), Reply::Duplicate(Accepted::Done));
        assert_eq!(farm.proposals(), []);
        let refused = Refusal::WrongState { job: JobId(1), state: JobState::Canceled };
        assert_eq!(farm.apply(Action::PauseJob { job: JobId(1) }), Reply::Refused(refused));
    }

    #[test]
    fn a_paused_job_ends_what_runs_and_begins_nothing() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(4, 1, 0)).build();
        farm.place();
        farm.ok(Action::PauseJob { job: JobId(1) });
        let (running, epoch) = farm.running()[0];
        farm.finish(running, epoch);
        assert_eq!(farm.proposals(), []);
        let grant = farm.grant_of(encode(1, 1), farm.worker("w"));
        assert!(matches!(farm.apply(grant), Reply::Refused(Refusal::WrongState { .. })));
        farm.ok(Action::ResumeJob { job: JobId(1) });
        farm.run_to_end();
        assert_eq!(farm.job(1).state, JobState::Done);
    }

    #[test]
    fn the_job_with_the_highest_priority_goes_first_from_then_on() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(2, 1, 0)).job(plan_of(2, 1, 0)).build();
        farm.ok(Action::SetPriority { job: JobId(2), priority: 1 });
        assert_eq!(farm.job(2).spec.priority, 1);
        farm.place();
        assert_eq!(farm.running()[0].0, encode(2, 0));
        let again = farm.apply(Action::SetPriority { job: JobId(2), priority: 1 });
        assert_eq!(again, Reply::Duplicate(Accepted::Done));
        farm.ok(Action::CancelJob { job: JobId(1) });
        let refused = Refusal::WrongState { job: JobId(1), state: JobState::Canceled };
        assert_eq!(farm.apply(Action::SetPriority { job: JobId(1), priority: 9 }), Reply::Refused(refused));
        assert_eq!(
            farm.apply(Action::SetPriority { job: JobId(7), priority: 9 }),
            Reply::Refused(Refusal::UnknownJob(JobId(7)))
        );
    }
}
