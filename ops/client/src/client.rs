//! One call a method, each asked until the leader has answered or nobody does.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::time::{Duration, Instant};

use reel_common::{JobId, JobView, Labels, ProjectView, Share, TaskId, TaskView, WorkerView};
use reel_proto::v1::cluster_client::ClusterClient;
use reel_proto::v1::events_client::EventsClient;
use reel_proto::v1::farm_client::FarmClient;
use reel_proto::v1::jobs_client::JobsClient;
use reel_proto::v1::projects_client::ProjectsClient;
use reel_proto::v1::tasks_client::TasksClient;
use reel_proto::v1::workers_client::WorkersClient;
use reel_proto::v1::{self, JobControl};
use reel_proto::{Malformed, wire_labels};
use tonic::transport::Channel;
use tonic::{Code, IntoStreamingRequest, Response, Status, Streaming};

use crate::Servers;

/// How long one scheduler may take to answer; a leader that has lost its majority never does.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A leader that another scheduler names may take so long for what that one could say as well.
const LEADER_TIMEOUT: Duration = Duration::from_secs(2);
/// Taking a node in lasts as long as the node needs to catch up, and a snapshot as long as the disk needs.
const MEMBERSHIP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long nobody may answer before a call fails.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nobody may answer before that is said: a change of leader is shorter.
const SILENCE: Duration = Duration::from_secs(5);
/// An overview of the largest farm: a thousand jobs with paths as long as paths may be, and a hundred thousand workers.
const MAX_OVERVIEW_BYTES: usize = 64 << 20;
/// The wait between two rounds of asking everybody.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No scheduler answers, or none leads.
    #[error(
        "no scheduler of the farm answers: asked {0}; check --server or REEL_SERVER, and that a majority of the schedulers runs"
    )]
    Unreachable(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// What was asked is wrong.
    #[error("{0}")]
    Wrong(String),
    /// What a watch was to go on with is not kept any more.
    #[error("{0}")]
    Forgotten(String),
    /// The state of the farm does not allow it.
    #[error("{0}")]
    Refused(String),
    /// The answer makes no sense.
    #[error("the scheduler's answer cannot be read ({0}): use the same version of reel on all hosts")]
    Malformed(String),
}

impl From<Malformed> for ClientError {
    fn from(error: Malformed) -> Self {
        ClientError::Malformed(error.to_string())
    }
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        let message = status.message().to_owned();
        match status.code() {
            Code::NotFound => ClientError::NotFound(message),
            Code::InvalidArgument => ClientError::Wrong(message),
            Code::OutOfRange => ClientError::Forgotten(message),
            Code::FailedPrecondition | Code::PermissionDenied | Code::Unauthenticated => {
                ClientError::Refused(message)
            }
            code if is_elsewhere(code) => ClientError::Unreachable(message),
            _ => ClientError::Malformed(message),
        }
    }
}

/// A client of one farm.
#[derive(Clone, Debug)]
pub struct Client {
    servers: Servers,
    patience: Duration,
}

/// Why a scheduler does not answer: the innermost reason, which says most in few words.
fn reason(status: &Status) -> String {
    let mut reason: Option<&dyn Error> = status.source();
    while let Some(inner) = reason.and_then(Error::source) {
        reason = Some(inner);
    }
    reason.map_or_else(|| status.message().to_owned(), ToString::to_string)
}

/// What each scheduler that was asked has said, or why it says nothing.
fn all(said: &BTreeMap<String, String>) -> String {
    said.iter().map(|(server, why)| format!("{server} ({why})")).collect::<Vec<_>>().join(", ")
}

/// Whether another scheduler may answer better.
fn is_elsewhere(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown)
}

impl Client {
    /// A client that asks these schedulers.
    pub fn new(servers: Servers) -> Self {
        Client { servers, patience: PATIENCE }
    }

    /// The same, but it gives up after `patience`.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Client { patience, ..self }
    }

    /// Asks until somebody answers who can.
    async fn call<T, F>(&self, timeout: Duration, ask: impl Fn(Channel) -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let start = Instant::now();
        let (mut said, mut told) = (BTreeMap::new(), false);
        for round in 1.. {
            let asked = self.servers.current();
            let answer = match self.servers.channel() {
                Ok(channel) => tokio::time::timeout(timeout, ask(channel)).await,
                Err(status) => Ok(Err(status)),
            };
            let late = |_| Err(Status::deadline_exceeded(format!("no answer in {} s", timeout.as_secs())));
            let status = match answer.unwrap_or_else(late) {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) if !is_elsewhere(status.code()) => return Err(status.into()),
                Err(status) => status,
            };
            tracing::debug!(server = asked, %status, "asking another scheduler");
            said.insert(asked, reason(&status));
            if start.elapsed() >= self.patience {
                return Err(ClientError::Unreachable(all(&said)));
            }
            if !told && start.elapsed() >= SILENCE {
                tracing::warn!("no scheduler answers yet, asked {}: asking on", all(&said));
                told = true;
            }
            // The first hint is followed at once; where two point at each other, neither leads yet.
            if !self.servers.turn(&status) || round > 1 {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Err(ClientError::Unreachable("no scheduler was asked".to_owned()))
    }

    /// Submits a job. With an idempotency key, asking again is harmless; every request must have one.
    ///
    /// # Errors
    /// The farm refuses the job, or nobody answers.
    pub async fn submit(&self, request: v1::SubmitRequest) -> Result<v1::SubmitResponse, ClientError> {
        self.call(CALL_TIMEOUT, |channel| {
            let request = request.clone();
            async move { JobsClient::new(channel).submit(request).await }
        })
        .await
    }

    /// A job as it is now.
    ///
    /// # Errors
    /// There is none, or nobody answers.
    pub async fn job(&self, job: JobId) -> Result<JobView, ClientError> {
        let ask =
            |channel| async move { JobsClient::new(channel).get(v1::GetJobRequest { job: job.0 }).await };
        Ok(self.call(CALL_TIMEOUT, ask).await?.try_into()?)
    }

    /// Jobs that have all of `labels`, newest first.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn jobs(
        &self,
        limit: u32,
        open_only: bool,
        labels: &Labels,
    ) -> Result<Vec<JobView>, ClientError> {
        let ask = |channel| {
            let request = v1::ListJobsRequest { limit, before: 0, open_only, labels: wire_labels(labels) };
            async move { JobsClient::new(channel).list(request).await }
        };
        let listed = self.call(CALL_TIMEOUT, ask).await?;
        Ok(listed.jobs.into_iter().map(TryInto::try_into).collect::<Result<_, Malformed>>()?)
    }

    /// The whole farm at a glance, with at most `jobs` rows of jobs.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn overview(&self, jobs: u32) -> Result<v1::FarmOverview, ClientError> {
        let ask = |channel| async move {
            let mut client = FarmClient::new(channel).max_decoding_message_size(MAX_OVERVIEW_BYTES);
            client.overview(v1::OverviewRequest { jobs }).await
        };
        self.call(CALL_TIMEOUT, ask).await
    }

    /// How far the parts of a title are, in at most `cells` cells.
    ///
    /// # Errors
    /// There is no such job, or nobody answers.
    pub async fn strip(&self, job: JobId, cells: u32) -> Result<v1::PartStrip, ClientError> {
        let request = v1::StripRequest { job: job.0, cells };
        let ask = |channel| async move { FarmClient::new(channel).strip(request).await };
        self.call(CALL_TIMEOUT, ask).await
    }

    /// Why tasks of a job do not run.
    ///
    /// # Errors
    /// There is no such job, or nobody answers.
    pub async fn explain(&self, job: JobId) -> Result<v1::Explanation, ClientError> {
        let request = v1::ExplainJobRequest { job: job.0 };
        let ask = |channel| async move { JobsClient::new(channel).explain(request).await };
        self.call(CALL_TIMEOUT, ask).await
    }

    /// Who did what for a job.
    ///
    /// # Errors
    /// There is no such job, or nobody answers.
    pub async fn history(&self, job: JobId) -> Result<v1::JobHistory, ClientError> {
        let request = v1::GetJobRequest { job: job.0 };
        let ask = |channel| async move { JobsClient::new(channel).history(request).await };
        self.call(CALL_TIMEOUT, ask).await
    }

    /// Tasks of a job in the order of stages and numbers, behind `after`; at most 1000.
    ///
    /// # Errors
    /// There is no such job, or nobody answers.
    pub async fn tasks(
        &self,
        job: JobId,
        after: Option<TaskId>,
        limit: u32,
        open_only: bool,
    ) -> Result<Vec<TaskView>, ClientError> {
        let request = v1::ListTasksRequest { job: job.0, limit, after: after.map(Into::into), open_only };
        let ask = |channel| async move { TasksClient::new(channel).list(request).await };
        let listed = self.call(CALL_TIMEOUT, ask).await?;
        Ok(listed.tasks.into_iter().map(TryInto::try_into).collect::<Result<_, Malformed>>()?)
    }

    /// One task, and its attempts that have ended and are remembered, oldest first.
    ///
    /// # Errors
    /// There is no such task, or nobody answers.
    pub async fn task(&self, task: TaskId) -> Result<(TaskView, Vec<v1::AttemptRecord>), ClientError> {
        let request = v1::GetTaskRequest { task: Some(task.into()) };
        let ask = |channel| async move { TasksClient::new(channel).get(request).await };
        let found = self.call(CALL_TIMEOUT, ask).await?;
        let view = found.task.ok_or_else(|| ClientError::Malformed("task".to_owned()))?;
        Ok((view.try_into()?, found.attempts))
    }

    /// Forgives the failures of a task; a job that it failed goes on where it was.
    ///
    /// # Errors
    /// There is no such task that waits or has failed its job, or nobody answers.
    pub async fn retry_task(&self, task: TaskId) -> Result<(), ClientError> {
        let request = v1::RetryTaskRequest { task: Some(task.into()) };
        let ask = |channel| async move { TasksClient::new(channel).retry(request).await };
        self.call(CALL_TIMEOUT, ask).await.map(|_| ())
    }

    /// Gives up a task of a hook; its job goes on without it, also one that failed by it.
    ///
    /// # Errors
    /// There is no such task that is not done, it is of another stage, or nobody answers.
    pub async fn skip_task(&self, task: TaskId) -> Result<(), ClientError> {
        let request = v1::SkipTaskRequest { task: Some(task.into()) };
        let ask = |channel| async move { TasksClient::new(channel).skip(request).await };
        self.call(CALL_TIMEOUT, ask).await.map(|_| ())
    }

    /// The end of what an attempt has logged; of the one that runs, or the last, where `attempt` is 0.
    ///
    /// # Errors
    /// There is no such attempt, its worker is gone, or nobody answers.
    pub async fn tail(&self, task: TaskId, attempt: u32) -> Result<v1::TailResponse, ClientError> {
        let request = v1::TailRequest { task: Some(task.into()), attempt };
        let ask = |channel| async move { TasksClient::new(channel).tail(request).await };
        self.call(CALL_TIMEOUT, ask).await
    }

    /// Follows what happens from the change after `after` on, across changes of leader, until `seen` has had enough.
    /// Without a number it begins with what happens from now on.
    ///
    /// # Errors
    /// The changes after that number are not kept any more, nobody answers for long, or `seen` has had enough.
    pub async fn follow<E: From<ClientError>>(
        &self,
        mut after: Option<u64>,
        job: Option<JobId>,
        mut seen: impl FnMut(v1::Changes) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let request = v1::WatchEventsRequest { after, job: job.map_or(0, |job| job.0) };
            let ask = |channel| async move { EventsClient::new(channel).watch(request).await };
            let mut changes: Streaming<v1::Changes> = self.call(CALL_TIMEOUT, ask).await?;
            // A stream that breaks is asked for again, from whoever leads now.
            while let Ok(Some(change)) = changes.message().await {
                after = Some(change.number);
                if !change.events.is_empty() {
                    seen(change)?;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Cancels, pauses, resumes or retries a job.
    ///
    /// # Errors
    /// There is none, its state does not allow it, or nobody answers.
    pub async fn control(&self, job: JobId, control: JobControl) -> Result<(), ClientError> {
        let request = v1::ControlJobRequest { job: job.0, control: control.into() };
        let ask = |channel| async move { JobsClient::new(channel).control(request).await };
        self.call(CALL_TIMEOUT, ask).await.map(|_| ())
    }

    /// Gives a job that is not over another priority.
    ///
    /// # Errors
    /// There is none, it is over, or nobody answers.
    pub async fn set_priority(&self, job: JobId, priority: i32) -> Result<(), ClientError> {
        let request = v1::SetPriorityRequest { job: job.0, priority };
        let ask = |channel| async move { JobsClient::new(channel).set_priority(request).await };
        self.call(CALL_TIMEOUT, ask).await.map(|_| ())
    }

    /// The schedulers that are asked, as they were given.
    pub fn servers(&self) -> String {
        self.servers.list()
    }

    /// Follows a job until it is over: `seen` is given each state, across changes of leader, and ends the watch with an
    /// error of its own.
    ///
    /// # Errors
    /// There is no such job, nobody answers for long, or `seen` has had enough.
    pub async fn watch<E: From<ClientError>>(
        &self,
        job: JobId,
        mut seen: impl FnMut(&JobView) -> Result<(), E>,
    ) -> Result<JobView, E> {
        loop {
            let ask = |channel| async move {
                JobsClient::new(channel).watch(v1::WatchJobRequest { job: job.0 }).await
            };
            let mut states: Streaming<v1::Job> = self.call(CALL_TIMEOUT, ask).await?;
            // A stream that breaks is asked for again, from whoever leads now.
            while let Ok(Some(state)) = states.message().await {
                let view = JobView::try_from(state).map_err(ClientError::from)?;
                seen(&view)?;
                if view.is_over() {
                    return Ok(view);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Gives a project its share of the farm.
    ///
    /// # Errors
    /// The name or the share is wrong, or nobody answers.
    pub async fn set_project(&self, name: &str, share: Share) -> Result<(), ClientError> {
        self.call(CALL_TIMEOUT, |channel| {
            let Share { weight, guarantee, burst } = share;
            let request = v1::SetProjectRequest { name: name.to_owned(), weight, guarantee, burst };
            async move { ProjectsClient::new(channel).set(request).await }
        })
        .await
        .map(|_| ())
    }

    /// The projects that have a share of their own or work, by name.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn projects(&self) -> Result<Vec<ProjectView>, ClientError> {
        let ask =
            |channel| async move { ProjectsClient::new(channel).list(v1::ListProjectsRequest {}).await };
        let listed = self.call(CALL_TIMEOUT, ask).await?;
        Ok(listed.projects.into_iter().map(Into::into).collect())
    }

    /// The fleet, by name.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn workers(&self) -> Result<Vec<WorkerView>, ClientError> {
        let ask = |channel| async move { WorkersClient::new(channel).list(v1::ListWorkersRequest {}).await };
        let listed = self.call(CALL_TIMEOUT, ask).await?;
        Ok(listed.workers.into_iter().map(TryInto::try_into).collect::<Result<_, Malformed>>()?)
    }

    /// Holds back the worker of a name, or lets it work again.
    ///
    /// # Errors
    /// There is no such worker, or nobody answers.
    pub async fn hold_worker(&self, name: &str, hold: v1::Hold) -> Result<(), ClientError> {
        self.call(CALL_TIMEOUT, |channel| {
            let request = v1::HoldWorkerRequest { name: name.to_owned(), hold: hold.into() };
            async move { WorkersClient::new(channel).hold(request).await }
        })
        .await
        .map(|_| ())
    }

    /// Opens the link of a worker, once: to whoever is taken for the leader now.
    ///
    /// # Errors
    /// It does not lead or is not there; the next call asks another.
    pub async fn connect_worker(
        &self,
        messages: impl IntoStreamingRequest<Message = v1::WorkerMessage>,
    ) -> Result<Streaming<v1::SchedulerMessage>, ClientError> {
        let connected = async {
            let mut workers = WorkersClient::new(self.servers.channel()?);
            workers.connect(messages).await
        };
        let late = |_| Err(Status::deadline_exceeded("no answer"));
        match tokio::time::timeout(CALL_TIMEOUT, connected).await.unwrap_or_else(late) {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => {
                self.servers.turn(&status);
                Err(status.into())
            }
        }
    }

    /// The cluster, as its leader sees it, who alone knows how far the others are; or as whoever answers, where the
    /// leader does not.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn cluster(&self) -> Result<v1::ClusterStatus, ClientError> {
        let ask =
            |channel| async move { ClusterClient::new(channel).status(v1::ClusterStatusRequest {}).await };
        let status = self.call(CALL_TIMEOUT, ask).await?;
        let leads =
            |member: &&v1::ClusterMember| Some(member.id) == status.leader && member.id != status.node;
        let Some(leader) = status.members.iter().find(leads) else { return Ok(status) };
        let asked = self.servers.channel_to(&leader.address).map(ask);
        let answer = match asked {
            Ok(asked) => tokio::time::timeout(LEADER_TIMEOUT, asked).await.ok().and_then(Result::ok),
            Err(_) => None,
        };
        Ok(answer.map_or(status, Response::into_inner))
    }

    /// The cluster as the scheduler at `address` sees it, which is asked once.
    ///
    /// # Errors
    /// It does not answer in time.
    pub async fn status_of(&self, address: &str) -> Result<v1::ClusterStatus, ClientError> {
        let unreachable = |why: String| ClientError::Unreachable(format!("{address} ({why})"));
        let channel = self.servers.channel_to(address).map_err(|status| unreachable(reason(&status)))?;
        let mut cluster = ClusterClient::new(channel);
        let asked = tokio::time::timeout(CALL_TIMEOUT, cluster.status(v1::ClusterStatusRequest {})).await;
        let answer = asked.map_err(|_| unreachable(format!("no answer in {} s", CALL_TIMEOUT.as_secs())))?;
        answer.map(Response::into_inner).map_err(|status| match is_elsewhere(status.code()) {
            true => unreachable(reason(&status)),
            false => status.into(),
        })
    }

    /// Takes a scheduler in, as a voter or as a learner; `folder` is the number of its folder.
    ///
    /// # Errors
    /// The cluster refuses it, or nobody answers.
    pub async fn join(
        &self,
        node: u64,
        address: &str,
        folder: u64,
        learner: bool,
    ) -> Result<(), ClientError> {
        self.call(MEMBERSHIP_TIMEOUT, |channel| {
            let request = v1::JoinRequest { node, address: address.to_owned(), learner, folder };
            async move { ClusterClient::new(channel).join(request).await }
        })
        .await
        .map(|_| ())
    }

    /// Takes a scheduler out for good.
    ///
    /// # Errors
    /// It is no member, it is the last voter, or nobody answers.
    pub async fn remove(&self, node: u64) -> Result<(), ClientError> {
        let ask =
            |channel| async move { ClusterClient::new(channel).remove(v1::RemoveRequest { node }).await };
        self.call(MEMBERSHIP_TIMEOUT, ask).await.map(|_| ())
    }

    /// Hands leadership to another voter.
    ///
    /// # Errors
    /// It is no voter, or nobody answers.
    pub async fn transfer_leadership(&self, to: u64) -> Result<(), ClientError> {
        let request = v1::TransferLeadershipRequest { to };
        let ask = |channel| async move { ClusterClient::new(channel).transfer_leadership(request).await };
        self.call(CALL_TIMEOUT, ask).await.map(|_| ())
    }

    /// Has the scheduler that is asked take a snapshot, and let go of the log before it.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn snapshot(&self) -> Result<(), ClientError> {
        let ask = |channel| async move { ClusterClient::new(channel).snapshot(v1::SnapshotRequest {}).await };
        self.call(MEMBERSHIP_TIMEOUT, ask).await.map(|_| ())
    }

    /// Everything that was acknowledged before, as a file in pieces: the first says how long it is.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn backup(&self) -> Result<Streaming<v1::BackupPiece>, ClientError> {
        let ask = |channel| async move { ClusterClient::new(channel).backup(v1::BackupRequest {}).await };
        self.call(MEMBERSHIP_TIMEOUT, ask).await
    }
}
