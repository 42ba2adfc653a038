//! What commands have changed, for those who watch the farm.
//!
//! Every scheduler applies the same commands and so sees the same events under the same numbers: whoever has seen those
//! of one scheduler up to a number goes on from there with any other.

use reel_common::{AttemptNumber, Epoch, Hold, JobId, JobState, PartIndex, TaskId};

use crate::state::{Outcome, PartRange};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A job was accepted, has begun, was paused, resumed or opened again, or is over.
    JobChanged {
        /// Which one.
        job: JobId,
        /// Its state from now on.
        state: JobState,
        /// Why it failed; empty otherwise.
        reason: String,
    },
    /// A job has its plan.
    JobPlanned {
        /// Which one.
        job: JobId,
        /// Parts of its title.
        parts: u32,
    },
    /// A task was granted.
    AttemptBegan {
        /// The task.
        task: TaskId,
        /// Which try of it.
        attempt: AttemptNumber,
        /// Its fencing token.
        epoch: Epoch,
        /// Name of the worker.
        worker: String,
        /// For encode: its parts.
        parts: Option<PartRange>,
    },
    /// An attempt is over.
    AttemptEnded {
        /// The task.
        task: TaskId,
        /// Which try of it.
        attempt: AttemptNumber,
        /// Its fencing token.
        epoch: Epoch,
        /// Name of the worker.
        worker: String,
        /// How it ended.
        outcome: Outcome,
        /// The message of its failure.
        message: String,
    },
    /// A part is committed.
    PartCommitted {
        /// The encode task.
        task: TaskId,
        /// The attempt.
        epoch: Epoch,
        /// Which part.
        part: PartIndex,
    },
    /// The tail of a running chunk was given away.
    ChunkCut {
        /// The chunk.
        task: TaskId,
        /// The first part that is not its own any more.
        at_part: PartIndex,
    },
    /// A task was given up by an operator.
    TaskSkipped {
        /// Which one.
        task: TaskId,
    },
    /// A worker has registered.
    WorkerCame {
        /// Its name.
        worker: String,
    },
    /// A worker gets no more work, since it goes.
    WorkerLeaves {
        /// Its name.
        worker: String,
    },
    /// A worker is gone.
    WorkerGone {
        /// Its name.
        worker: String,
    },
    /// A worker is held back, or lets work in again.
    WorkerHeld {
        /// Its name.
        worker: String,
        /// How; `None` where it works again.
        hold: Option<Hold>,
    },
    /// A project was given its share.
    ProjectSet {
        /// Its name.
        project: String,
    },
}

impl Event {
    /// The job that it is about.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Event::JobChanged { job, .. } | Event::JobPlanned { job, .. } => Some(*job),
            Event::AttemptBegan { task, .. }
            | Event::AttemptEnded { task, .. }
            | Event::PartCommitted { task, .. }
            | Event::ChunkCut { task, .. }
            | Event::TaskSkipped { task } => Some(task.job),
            Event::WorkerCame { .. }
            | Event::WorkerLeaves { .. }
            | Event::WorkerGone { .. }
            | Event::WorkerHeld { .. }
            | Event::ProjectSet { .. } => None,
        }
    }
}

/// What the last command changed. It is no part of what schedulers agree on, and all are equal.
#[derive(Clone, Debug, Default)]
pub struct News(pub Vec<Event>);

impl PartialEq for News {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for News {}

#[cfg(test)]
mod tests {
    use reel_common::FailureClass;

    use super::*;
    use crate::command::Action;
    use crate::testing::{Farm, FarmBuilder, encode, plan_of};

    fn told(farm: &mut Farm, action: Action) -> Vec<Event> {
        farm.ok(action);
        farm.state.news.0.clone()
    }

    #[test]
    fn each_command_tells_what_it_changed_and_nothing_else() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(2, 2, 0)).build();
        let (task, job) = (encode(1, 0), JobId(1));
        let grant = farm.grant_of(task, farm.worker("w"));
        let began = told(&mut farm, grant);
        let (attempt, epoch, worker) = (AttemptNumber(1), farm.state.leases[&task].epoch, "w".to_owned());
        let parts = crate::testing::parts(0, 2);
        assert_eq!(began, [Event::AttemptBegan { task, attempt, epoch, worker: worker.clone(), parts }]);
        farm.commit_part(task, epoch, 0);
        assert_eq!(farm.state.news.0, [Event::PartCommitted { task, epoch, part: PartIndex(0) }]);
        farm.commit_part(task, epoch, 0);
        assert_eq!(farm.state.news.0, [], "a doubled message changes nothing");
        farm.fail(task, epoch, FailureClass::Invalid, "no moov");
        let (outcome, message) = (Outcome::Failed(FailureClass::Invalid), "no moov".to_owned());
        let ended = Event::AttemptEnded { task, attempt, epoch, worker, outcome, message: message.clone() };
        let failed = Event::JobChanged { job, state: JobState::Failed, reason: message };
        assert_eq!(farm.state.news.0, [ended, failed]);
    }

    #[test]
    fn a_job_tells_its_whole_life() {
        let mut farm = FarmBuilder::new().build();
        let job = farm.submit("out", 0);
        let mut states = vec![];
        let mut note = |farm: &Farm| {
            states.extend(farm.state.news.0.iter().filter_map(|event| match event {
                Event::JobChanged { state, .. } => Some(*state),
                _ => None,
            }));
        };
        note(&farm);
        for action in [Action::PauseJob { job }, Action::ResumeJob { job }, Action::CancelJob { job }] {
            farm.ok(action);
            note(&farm);
        }
        assert_eq!(states, [JobState::Queued, JobState::Paused, JobState::Queued, JobState::Canceled]);
    }
}
