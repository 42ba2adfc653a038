//! The public face of a scheduler: start, submit, watch, connect workers, stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reel_common::{
    Edit, Hold, Hook, JobId, JobState, JobView, Labels, ProjectView, Share, SourceIdentity, TaskId, TaskView,
    TextSource, WorkerView,
};
use reel_proto::v1;
use reel_scheduler_core::Action;
use reel_scheduler_core::explain::Explanation;
use reel_scheduler_core::strip::Strip;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::SchedulerConfig;
use crate::driver::{self, JobFilter, Request, Sight, Watch};
use crate::http::Reading;
use crate::raft::{Admin, AdminError, Server};

/// Messages of one worker that may wait for the scheduler, and the other way: all slots of the largest worker may be
/// granted, cut and revoked at once.
const LINK_MESSAGES: usize = 4096;
/// How long a worker may take to send a log: a round trip, and what waits before it.
const TAIL_TIMEOUT: Duration = Duration::from_secs(4);
/// Entries that may wait to be applied on a scheduler that is ready.
const READY_LAG: u64 = 1_000;
/// Between two looks for the leader that takes over.
const HAND_OVER_PAUSE: Duration = Duration::from_millis(10);
/// How long a start waits until the node leads.
const LEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The channels of one worker: what it sends, and what it is told.
pub type WorkerChannels = (mpsc::Sender<v1::WorkerMessage>, mpsc::Receiver<v1::SchedulerMessage>);

/// What is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobSpec {
    /// URL or path of the mezzanine.
    pub mezzanine: String,
    /// The version of the mezzanine, where the submitter has looked.
    pub identity: Option<SourceIdentity>,
    /// The profile's TOML text, at most 64 KiB.
    pub profile: String,
    /// What the profile is called in messages: its file or catalog name.
    pub profile_name: String,
    /// Path of the destination.
    pub output: String,
    /// Whose it is; empty is the project `default`.
    pub project: String,
    /// Higher goes first within the project; 0 is usual.
    pub priority: i32,
    /// When it is wanted, in milliseconds since 1970.
    pub deadline_ms: Option<u64>,
    /// What its submitter says of it.
    pub labels: Labels,
    /// Labels that a worker must have to run any of its tasks.
    pub needs: Labels,
    /// Parts to a chunk; `None` leaves it to the plan.
    pub chunk_parts: Option<u32>,
    /// Programs of the site to run when the title is delivered, or at once where there is no mezzanine.
    pub hooks: Vec<Hook>,
    /// Subtitles and captions of the title.
    pub texts: Vec<TextSource>,
    /// What the title is made of; `None` where it is the mezzanine as it is.
    pub edit: Option<Edit>,
    /// A second submit with the same key is the same job.
    pub idempotency_key: Option<String>,
}

/// An accepted job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Its number.
    pub job: JobId,
    /// It was accepted before, under the same idempotency key.
    pub duplicate: bool,
}

/// Why a scheduler does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its folder or log cannot be used.
    #[error("{0}")]
    Log(String),
    /// It did not become the leader in time.
    #[error("the scheduler did not become ready within {} s", LEAD_TIMEOUT.as_secs())]
    NoLeader,
}

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The profile is wrong; the message has its file and line.
    #[error("{0}")]
    Profile(String),
    /// The request is wrong, or the state of the farm does not allow it.
    #[error("{0}")]
    Request(String),
    /// No such job, or it is forgotten.
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    /// No such task.
    #[error("there is no task {0}")]
    UnknownTask(TaskId),
    /// No such thing.
    #[error("{0}")]
    NotFound(String),
    /// The changes that a watch was to go on with are not kept any more.
    #[error("the changes after that number are not kept any more: list what there is, and watch from now on")]
    Forgotten,
    /// The job has ended already.
    #[error("job {job} is {}", .state.name())]
    WrongState {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
    /// Another scheduler leads, or none.
    #[error("this scheduler is not the leader")]
    NotLeader {
        /// The leader's address, where it is known.
        leader: Option<String>,
    },
    /// The scheduler cannot answer: it has stopped.
    #[error("{0}")]
    Unavailable(String),
}

impl From<AdminError> for Refused {
    fn from(error: AdminError) -> Refused {
        match error {
            AdminError::NotLeader(leader) => Refused::NotLeader { leader },
            AdminError::Unavailable(reason) => Refused::Unavailable(reason),
            AdminError::Refused(reason) => Refused::Request(reason),
        }
    }
}

/// A running scheduler; clones are the same one. Dropping all of them stops it too, but does not wait until its folder
/// is closed.
#[derive(Clone)]
pub struct Scheduler {
    requests: mpsc::Sender<Request>,
    failure: watch::Receiver<Option<String>>,
    pub(crate) admin: Admin,
    peers: Arc<Server>,
    dir: Arc<PathBuf>,
}

impl Scheduler {
    /// Opens the scheduler's folder, applies what is in its log, and waits until it leads.
    ///
    /// # Errors
    /// The folder is damaged, in use, of another node, or cannot be written.
    pub async fn start(config: SchedulerConfig) -> Result<Scheduler, StartError> {
        let (scheduler, mut leading) = Self::begin(config).await?;
        match tokio::time::timeout(LEAD_TIMEOUT, leading.wait_for(|leading| *leading)).await {
            Ok(Ok(_)) => Ok(scheduler),
            _ => {
                let reason = scheduler.failure.borrow().clone();
                Err(reason.map_or(StartError::NoLeader, StartError::Log))
            }
        }
    }

    /// The same without waiting: a node of a cluster may follow for ever.
    ///
    /// # Errors
    /// As [`Scheduler::start`].
    pub async fn open(config: SchedulerConfig) -> Result<Scheduler, StartError> {
        Ok(Self::begin(config).await?.0)
    }

    async fn begin(config: SchedulerConfig) -> Result<(Scheduler, watch::Receiver<bool>), StartError> {
        let (requests, queue) = mpsc::channel(LINK_MESSAGES);
        let dir = Arc::new(config.dir.clone());
        let driver::Started { leading, failure, admin, peers } = driver::start(config, queue).await?;
        Ok((Scheduler { requests, failure, admin, peers: Arc::new(peers), dir }, leading))
    }

    /// Accepts a job: when this returns, the job is on disk and will not be lost.
    ///
    /// # Errors
    /// The profile does not parse, a field is too long, or another open job writes to the same destination.
    pub async fn submit(&self, spec: JobSpec) -> Result<Submitted, Refused> {
        self.ask(|reply| Request::Submit { spec: Box::new(spec), reply }).await?
    }

    /// The channels of a worker, which registers by its first message. Dropping the sender breaks the link; a worker that
    /// is gone for good says so before.
    ///
    /// # Errors
    /// The scheduler has stopped, or does not lead.
    pub async fn connect_worker(&self) -> Result<WorkerChannels, Refused> {
        let (to_scheduler, from_worker) = mpsc::channel(LINK_MESSAGES);
        let (to_worker, from_scheduler) = mpsc::channel(LINK_MESSAGES);
        self.ask(|reply| Request::Connect { from_worker, to_worker, reply }).await??;
        Ok((to_scheduler, from_scheduler))
    }

    /// A job as it is now and as it changes, a few times a second. The sender is gone when the scheduler has stopped.
    ///
    /// # Errors
    /// There is no such job, or the scheduler has stopped.
    pub async fn watch(&self, job: JobId) -> Result<watch::Receiver<JobView>, Refused> {
        self.read(|reply| Request::Watch { job, reply }).await
    }

    /// Jobs from the newest on: at most `limit`.
    ///
    /// # Errors
    /// The scheduler has stopped, or does not lead.
    pub async fn jobs(&self, filter: JobFilter, limit: usize) -> Result<Vec<JobView>, Refused> {
        self.look(move |sight| Ok(sight.jobs(&filter, limit))).await
    }

    /// The whole farm at a glance, with at most `jobs` rows of jobs.
    ///
    /// # Errors
    /// The scheduler has stopped, or does not lead.
    pub async fn overview(&self, jobs: usize) -> Result<v1::FarmOverview, Refused> {
        self.look(move |sight| Ok(sight.overview(jobs))).await
    }

    /// How far the parts of a title are, in at most `cells` cells.
    ///
    /// # Errors
    /// There is no such job, or the scheduler has stopped or does not lead.
    pub async fn strip(&self, job: JobId, cells: u32) -> Result<Strip, Refused> {
        self.look(move |sight| sight.strip(job, cells)).await
    }

    /// Why tasks of a job do not run.
    ///
    /// # Errors
    /// There is no such job, or the scheduler has stopped or does not lead.
    pub async fn explain(&self, job: JobId) -> Result<Explanation, Refused> {
        self.look(move |sight| sight.explain(job)).await
    }

    /// Who did what for a job.
    ///
    /// # Errors
    /// As [`Scheduler::explain`].
    pub async fn history(&self, job: JobId) -> Result<v1::JobHistory, Refused> {
        self.look(move |sight| sight.history(job)).await
    }

    /// At most `limit` tasks of a job in the order of stages and numbers, behind `after`.
    ///
    /// # Errors
    /// As [`Scheduler::explain`].
    pub async fn tasks(
        &self,
        job: JobId,
        after: Option<TaskId>,
        limit: usize,
        open_only: bool,
    ) -> Result<Vec<TaskView>, Refused> {
        self.look(move |sight| sight.tasks(job, after, limit, open_only)).await
    }

    /// One task, and its attempts that have ended and are remembered, oldest first.
    ///
    /// # Errors
    /// There is no such task, or the scheduler has stopped or does not lead.
    pub async fn task(&self, task: TaskId) -> Result<(TaskView, Vec<v1::AttemptRecord>), Refused> {
        self.look(move |sight| sight.task(task)).await
    }

    /// The end of what an attempt has logged, from the worker that runs or ran it; of the one that runs, or the last,
    /// where `attempt` is 0.
    ///
    /// # Errors
    /// There is no such attempt, its worker is not connected or does not answer, or the scheduler does not lead.
    pub async fn tail(&self, task: TaskId, attempt: u32) -> Result<v1::TailResponse, Refused> {
        let asked = self.ask(|reply| Request::Tail { task, attempt, reply });
        let silent = |_| Refused::Unavailable("the worker does not answer".to_owned());
        tokio::time::timeout(TAIL_TIMEOUT, asked).await.map_err(silent)??
    }

    /// The changes after a number, or those to come.
    pub(crate) async fn events(&self, after: Option<u64>, job: Option<JobId>) -> Result<Watch, Refused> {
        self.read(|reply| Request::Events { after, job, reply }).await
    }

    /// Gives a project its share of the farm.
    ///
    /// # Errors
    /// The name or the share is wrong, or the scheduler has stopped or does not lead.
    pub async fn set_project(&self, name: String, share: Share) -> Result<(), Refused> {
        self.operate(Action::SetProject { name, share }).await
    }

    /// Holds back the worker of a name, or lets it work again.
    ///
    /// # Errors
    /// The name is wrong, or the scheduler has stopped or does not lead.
    pub async fn hold_worker(&self, name: String, hold: Option<Hold>) -> Result<(), Refused> {
        self.operate(Action::HoldWorker { name, hold }).await
    }

    /// The projects that have a share of their own or work, by name.
    ///
    /// # Errors
    /// The scheduler has stopped, or does not lead.
    pub async fn projects(&self) -> Result<Vec<ProjectView>, Refused> {
        self.look(|sight| Ok(sight.projects())).await
    }

    /// The fleet, by name.
    ///
    /// # Errors
    /// The scheduler has stopped, or does not lead.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, Refused> {
        self.look(|sight| Ok(sight.workers())).await
    }

    /// Grants nothing more to a job until it is resumed; attempts that run may end.
    ///
    /// # Errors
    /// As [`Scheduler::cancel`].
    pub async fn pause(&self, job: JobId) -> Result<(), Refused> {
        self.operate(Action::PauseJob { job }).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// As [`Scheduler::cancel`].
    pub async fn resume(&self, job: JobId) -> Result<(), Refused> {
        self.operate(Action::ResumeJob { job }).await
    }

    /// Gives an open job another priority.
    ///
    /// # Errors
    /// As [`Scheduler::cancel`].
    pub async fn set_priority(&self, job: JobId, priority: i32) -> Result<(), Refused> {
        self.operate(Action::SetPriority { job, priority }).await
    }

    /// Forgives all failures of a job; one that failed goes on where it was.
    ///
    /// # Errors
    /// As [`Scheduler::cancel`]; or another job writes to its destination now.
    pub async fn retry(&self, job: JobId) -> Result<(), Refused> {
        self.operate(Action::RetryJob { job }).await
    }

    /// Forgives the failures of a task; a job that it failed goes on where it was.
    ///
    /// # Errors
    /// There is no such task that waits or has failed its job, or the scheduler has stopped.
    pub async fn retry_task(&self, task: TaskId) -> Result<(), Refused> {
        self.operate(Action::RetryTask { task }).await
    }

    /// Gives up a task of a hook; its job goes on without it, also one that failed by it.
    ///
    /// # Errors
    /// There is no such task that is not done, or the scheduler has stopped.
    pub async fn skip_task(&self, task: TaskId) -> Result<(), Refused> {
        self.operate(Action::SkipTask { task }).await
    }

    /// Ends a job; its attempts are revoked.
    ///
    /// # Errors
    /// There is no such job, it has ended, or the scheduler has stopped.
    pub async fn cancel(&self, job: JobId) -> Result<(), Refused> {
        self.operate(Action::CancelJob { job }).await
    }

    /// The number of its cluster.
    pub fn cluster(&self) -> u64 {
        self.admin.status().cluster
    }

    /// The number of its folder, by which the cluster knows it again.
    pub fn folder(&self) -> u64 {
        self.admin.folder()
    }

    /// Whether it belongs to its cluster, and not only wants to.
    pub fn is_member(&self) -> bool {
        self.known_address().is_some()
    }

    /// The address by which its cluster knows it; `None` while it does not belong to it.
    pub fn known_address(&self) -> Option<String> {
        let status = self.admin.status();
        status.members.into_iter().find(|member| member.id == status.node).map(|member| member.address)
    }

    /// Why it cannot go on, where it cannot.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// Why it does not take part in its cluster yet, where it does not.
    pub(crate) fn not_ready(&self) -> Option<String> {
        let status = self.admin.status();
        let behind = status.last_log.saturating_sub(status.applied);
        match (self.failure(), self.is_member(), status.leader) {
            (Some(reason), ..) => Some(reason),
            (None, false, _) => Some("it does not belong to its cluster yet".to_owned()),
            (None, true, None) => Some("no scheduler leads that it knows of".to_owned()),
            (None, true, Some(_)) if behind > READY_LAG => {
                Some(format!("{behind} entries are not applied yet"))
            }
            (None, true, Some(_)) => None,
        }
    }

    /// What there is to measure of it and, where it leads, of the farm.
    pub(crate) async fn reading(&self) -> Reading {
        let farm = self.look(|sight| Ok((sight.overview(0), sight.counts()))).await.ok();
        let disk = rustix::fs::statvfs(self.dir.as_path()).ok();
        let data_free = disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        Reading { status: self.admin.status(), data_free, farm }
    }

    /// Waits until the scheduler cannot go on, and says why; for ever while it can.
    pub async fn failed(&self) -> String {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the scheduler has stopped".to_owned(),
        }
    }

    /// Gives the lead to the voter that is least behind, where this scheduler has it, and waits for that: nobody then waits for an
    /// election. The number of the new leader; `None` where there is nobody to give it to, or that takes longer than `patience`.
    pub async fn hand_over(&self, patience: Duration) -> Option<u64> {
        let status = self.admin.status();
        if status.leader != Some(status.node) {
            return None;
        }
        let others = status.members.iter().filter(|member| member.voter && member.id != status.node);
        let to = others.max_by_key(|member| member.matched)?.id;
        let handed = async {
            self.admin.transfer_leader(to).await.ok()?;
            loop {
                match self.admin.status().leader {
                    Some(leader) if leader != status.node => return Some(leader),
                    _ => tokio::time::sleep(HAND_OVER_PAUSE).await,
                }
            }
        };
        tokio::time::timeout(patience, handed).await.ok()?
    }

    /// Stops: what was accepted or committed is on disk, and the folder may be opened again. Other clones are refused
    /// from now on.
    pub async fn shutdown(mut self) {
        // It may have stopped by itself.
        let _ = self.requests.send(Request::Stop).await;
        while self.failure.changed().await.is_ok() {}
    }

    /// What answers the other nodes of the cluster.
    pub(crate) fn peers(&self) -> Arc<Server> {
        Arc::clone(&self.peers)
    }

    /// Asks after this node has shown that it still leads: no old leader can answer.
    async fn read<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, Refused>>) -> Request,
    ) -> Result<T, Refused> {
        self.admin.linearize().await.map_err(|error| match error {
            AdminError::Unavailable(reason) => self.unavailable(&reason),
            other => other.into(),
        })?;
        self.ask(request).await?
    }

    /// Looks at the farm as it is now.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Sight<'_>) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        self.read(|reply| {
            // Who asked may be gone.
            Request::Look(Box::new(move |sight| drop(reply.send(sight.and_then(|sight| look(&sight))))))
        })
        .await
    }

    /// Why nobody answers: the failure, where there was one.
    fn unavailable(&self, otherwise: &str) -> Refused {
        Refused::Unavailable(self.failure.borrow().clone().unwrap_or_else(|| otherwise.to_owned()))
    }

    async fn operate(&self, action: Action) -> Result<(), Refused> {
        self.ask(|reply| Request::Operate { action, reply }).await?
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        let stopped = || self.unavailable("the scheduler has stopped");
        self.requests.send(request(reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }
}
