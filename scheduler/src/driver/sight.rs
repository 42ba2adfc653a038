//! What readers see of the farm, from where the leader stands.

use reel_common::{JobId, JobView, Labels, ProjectView, TaskId, TaskView, WorkerView};
use reel_proto::v1;
use reel_scheduler_core::explain::{Explanation, explain};
use reel_scheduler_core::strip::{Strip, strip};
use reel_scheduler_core::view::job_history;
use reel_scheduler_core::{FarmState, tasks};

use super::counts::Counts;
use super::fleet::Fleet;
use super::{overview, spec, views};
use crate::scheduler::Refused;

/// Looks at the farm, or is told why it cannot.
pub(crate) type Look = Box<dyn FnOnce(Result<Sight<'_>, Refused>) + Send>;

/// Which jobs are listed.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only those with smaller numbers.
    pub before: Option<JobId>,
    /// Only those that are not over.
    pub open_only: bool,
    /// Only those with all of these labels.
    pub labels: Labels,
}

/// The farm as it is now.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(super) state: &'a FarmState,
    pub(super) fleet: &'a Fleet,
    pub(super) counts: &'a Counts,
    pub(super) now_ms: u64,
}

impl Sight<'_> {
    /// Jobs from the newest on.
    pub(crate) fn jobs(&self, filter: &JobFilter, limit: usize) -> Vec<JobView> {
        views::jobs(self.state, self.fleet, filter, limit)
    }

    /// The projects that have a share of their own or work, by name.
    pub(crate) fn projects(&self) -> Vec<ProjectView> {
        views::projects(self.state)
    }

    /// The fleet, by name.
    pub(crate) fn workers(&self) -> Vec<WorkerView> {
        views::workers(self.state, self.fleet)
    }

    /// The whole farm at a glance, with at most `jobs` rows of jobs.
    pub(crate) fn overview(&self, jobs: usize) -> v1::FarmOverview {
        overview::overview(self.state, self.fleet, jobs, self.now_ms)
    }

    /// What has happened since this scheduler leads.
    pub(crate) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// How far the parts of a title are.
    pub(crate) fn strip(&self, job: JobId, cells: u32) -> Result<Strip, Refused> {
        strip(self.state, job, cells).ok_or(Refused::UnknownJob(job))
    }

    /// Why tasks of a job do not run.
    pub(crate) fn explain(&self, job: JobId) -> Result<Explanation, Refused> {
        explain(self.state, job, self.now_ms).ok_or(Refused::UnknownJob(job))
    }

    /// Who did what for a job.
    pub(crate) fn history(&self, id: JobId) -> Result<v1::JobHistory, Refused> {
        let job = self.state.jobs.get(&id).ok_or(Refused::UnknownJob(id))?;
        Ok(spec::wire_history(job_history(id, job)))
    }

    /// At most `limit` tasks of a job, behind `after`.
    pub(crate) fn tasks(
        &self,
        job: JobId,
        after: Option<TaskId>,
        limit: usize,
        open_only: bool,
    ) -> Result<Vec<TaskView>, Refused> {
        if !self.state.jobs.contains_key(&job) {
            return Err(Refused::UnknownJob(job));
        }
        if after.is_some_and(|after| after.job != job) {
            return Err(Refused::Request(format!("the task to begin after is not one of job {job}")));
        }
        let wanted = tasks::tasks(self.state, job, after, open_only, self.now_ms);
        Ok(wanted.take(limit).map(|task| self.with_progress(task)).collect())
    }

    /// One task, and its attempts that have ended, oldest first.
    pub(crate) fn task(&self, id: TaskId) -> Result<(TaskView, Vec<v1::AttemptRecord>), Refused> {
        let job = self.state.jobs.get(&id.job).ok_or(Refused::UnknownJob(id.job))?;
        let view = tasks::task(self.state, id, self.now_ms).ok_or(Refused::UnknownTask(id))?;
        let ended = job_history(id.job, job).attempts.into_iter().filter(|attempt| attempt.task == id);
        Ok((self.with_progress(view), ended.map(spec::wire_attempt).collect()))
    }

    fn with_progress(&self, task: TaskView) -> TaskView {
        let lease = self.state.leases.get(&task.task);
        let job = self.state.jobs.get(&task.task.job);
        let running = lease.zip(job).map(|(lease, job)| views::running(job, self.fleet, task.task, lease));
        TaskView { running, ..task }
    }
}
