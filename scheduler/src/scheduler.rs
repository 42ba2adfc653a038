//! The public face of a scheduler: start, submit, watch, connect workers, stop.

use std::time::Duration;

use reel_common::{JobId, SourceIdentity};
use reel_proto::v1;
use reel_scheduler_core::state::JobState;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::SchedulerConfig;
use crate::driver::{self, Request};
use crate::view::JobView;

/// Messages of one worker that may wait for the scheduler, and the other way: a worker says a few things a second.
const LINK_MESSAGES: usize = 256;
/// How long a start waits until the node leads.
const LEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The channels of one worker: what it sends, and what it is told.
pub type WorkerChannels = (mpsc::Sender<v1::WorkerMessage>, mpsc::Receiver<v1::SchedulerMessage>);

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Higher goes first; 0 is usual.
    pub priority: i32,
    /// Parts to a chunk; `None` leaves it to the plan.
    pub chunk_parts: Option<u32>,
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
    /// The job has ended already.
    #[error("job {job} is {}", .state.name())]
    WrongState {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
    /// The scheduler cannot answer: it has stopped or does not lead.
    #[error("{0}")]
    Unavailable(String),
}

/// A running scheduler. Dropping it stops it too, but does not wait until its folder is closed.
pub struct Scheduler {
    requests: mpsc::Sender<Request>,
    failure: watch::Receiver<Option<String>>,
    driver: JoinHandle<()>,
}

impl Scheduler {
    /// Opens the scheduler's folder, applies what is in its log, and waits until it leads.
    ///
    /// # Errors
    /// The folder is damaged, in use, of another node, or cannot be written.
    pub async fn start(config: SchedulerConfig) -> Result<Scheduler, StartError> {
        let (requests, queue) = mpsc::channel(LINK_MESSAGES);
        let driver::Started { mut leading, failure, task } = driver::start(config, queue).await?;
        let wait = tokio::time::timeout(LEAD_TIMEOUT, leading.wait_for(|leading| *leading));
        match wait.await {
            Ok(Ok(_)) => Ok(Scheduler { requests, failure, driver: task }),
            _ => {
                drop(requests);
                let reason = failure.borrow().clone();
                Err(reason.map_or(StartError::NoLeader, StartError::Log))
            }
        }
    }

    /// Accepts a job: when this returns, the job is on disk and will not be lost.
    ///
    /// # Errors
    /// The profile does not parse, a field is too long, or another open job writes to the same destination.
    pub async fn submit(&self, spec: JobSpec) -> Result<Submitted, Refused> {
        self.ask(|reply| Request::Submit { spec: Box::new(spec), reply }).await?
    }

    /// The channels of a new worker, which registers by its first message. Dropping the sender says that the worker is
    /// gone for good: it is lost, and its work goes to others.
    ///
    /// # Errors
    /// The scheduler has stopped.
    pub async fn connect_worker(&self) -> Result<WorkerChannels, Refused> {
        let (to_scheduler, from_worker) = mpsc::channel(LINK_MESSAGES);
        let (to_worker, from_scheduler) = mpsc::channel(LINK_MESSAGES);
        self.ask(|reply| Request::Connect { from_worker, to_worker, reply }).await?;
        Ok((to_scheduler, from_scheduler))
    }

    /// A job as it is now and as it changes, a few times a second. The sender is gone when the scheduler has stopped.
    ///
    /// # Errors
    /// There is no such job, or the scheduler has stopped.
    pub async fn watch(&self, job: JobId) -> Result<watch::Receiver<JobView>, Refused> {
        self.ask(|reply| Request::Watch { job, reply }).await?
    }

    /// Ends a job; its attempts are revoked.
    ///
    /// # Errors
    /// There is no such job, it has ended, or the scheduler has stopped.
    pub async fn cancel(&self, job: JobId) -> Result<(), Refused> {
        self.ask(|reply| Request::Cancel { job, reply }).await?
    }

    /// Waits until the scheduler cannot go on, and says why; for ever while it can.
    pub async fn failed(&self) -> String {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the scheduler has stopped".to_owned(),
        }
    }

    /// Stops: what was accepted or committed is on disk, and the folder may be opened again.
    pub async fn shutdown(self) {
        drop(self.requests);
        if let Err(error) = self.driver.await {
            tracing::error!(%error, "the scheduler did not stop in order");
        }
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        let stopped = || {
            let reason = self.failure.borrow().clone();
            Refused::Unavailable(reason.unwrap_or_else(|| "the scheduler has stopped".to_owned()))
        };
        self.requests.send(request(reply)).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }
}
