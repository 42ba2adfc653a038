//! A farm as the monitor asks it: a real one, or one that is made up.

use std::future::Future;
use std::time::Duration;

use reel_client::{Client, ClientError};
use reel_common::{JobId, JobView, TaskId, TaskView};
use reel_proto::v1;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::act::Act;

/// How long nobody may answer before the operator is told; the farm is asked on and on.
const PATIENCE: Duration = Duration::from_secs(3);
/// The wait before a watch that broke is begun again.
const PAUSE: Duration = Duration::from_secs(1);
/// Changes that wait to be shown. Past this they are left out: they are many, and gone from the screen at once.
const MAX_CHANGES: usize = 1024;
/// Tasks of a job that are shown.
const MAX_TASKS: u32 = 500;
/// Jobs that are shown.
const MAX_JOBS: u32 = 1000;

/// What is shown of one job.
#[derive(Clone, Debug)]
pub(crate) struct JobDetail {
    pub(crate) view: JobView,
    pub(crate) strip: v1::PartStrip,
    /// Those that are not done, as many as are shown.
    pub(crate) tasks: Vec<TaskView>,
    pub(crate) explanation: v1::Explanation,
    /// Where it is asked for.
    pub(crate) history: Option<v1::JobHistory>,
}

/// What of a job is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobFocus {
    pub(crate) job: JobId,
    /// Cells that can be drawn.
    pub(crate) cells: u32,
    /// Who did what when is shown, too.
    pub(crate) history: bool,
}

/// What answers the monitor.
pub(crate) trait Farm: Send + 'static {
    /// The whole farm at a glance.
    fn overview(&mut self) -> impl Future<Output = Result<v1::FarmOverview, ClientError>> + Send;
    /// Its schedulers.
    fn cluster(&mut self) -> impl Future<Output = Result<v1::ClusterStatus, ClientError>> + Send;
    /// One job.
    fn job(&mut self, focus: JobFocus) -> impl Future<Output = Result<JobDetail, ClientError>> + Send;
    /// The end of what an attempt has logged.
    fn log(&mut self, task: TaskId) -> impl Future<Output = Result<v1::TailResponse, ClientError>> + Send;
    /// What has happened since it was asked last.
    fn changes(&mut self) -> Vec<v1::Changes>;
    /// Does something.
    fn act(&mut self, act: &Act) -> impl Future<Output = Result<(), ClientError>> + Send;
}

/// A real farm.
pub(crate) struct Live {
    client: Client,
    changes: mpsc::Receiver<v1::Changes>,
    following: AbortHandle,
}

impl Live {
    pub(crate) fn new(client: Client) -> Live {
        let (told, changes) = mpsc::channel(MAX_CHANGES);
        let following = tokio::spawn(follow(client.clone(), told)).abort_handle();
        Live { client: client.with_patience(PATIENCE), changes, following }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.following.abort();
    }
}

/// Follows what happens from now on, whatever becomes of the schedulers.
async fn follow(client: Client, told: mpsc::Sender<v1::Changes>) {
    while !told.is_closed() {
        let seen = |changes| {
            // Full: nobody could read so many.
            let _ = told.try_send(changes);
            Ok::<(), ClientError>(())
        };
        // It ends where nobody answers for long, or what it was to go on with is forgotten.
        let _ = client.follow(None, None, seen).await;
        tokio::time::sleep(PAUSE).await;
    }
}

impl Farm for Live {
    async fn overview(&mut self) -> Result<v1::FarmOverview, ClientError> {
        self.client.overview(MAX_JOBS).await
    }

    async fn cluster(&mut self) -> Result<v1::ClusterStatus, ClientError> {
        self.client.cluster().await
    }

    async fn job(&mut self, focus: JobFocus) -> Result<JobDetail, ClientError> {
        let JobFocus { job, cells, history } = focus;
        Ok(JobDetail {
            view: self.client.job(job).await?,
            strip: self.client.strip(job, cells).await?,
            tasks: self.client.tasks(job, None, MAX_TASKS, true).await?,
            explanation: self.client.explain(job).await?,
            history: if history { Some(self.client.history(job).await?) } else { None },
        })
    }

    async fn log(&mut self, task: TaskId) -> Result<v1::TailResponse, ClientError> {
        self.client.tail(task, 0).await
    }

    fn changes(&mut self) -> Vec<v1::Changes> {
        std::iter::from_fn(|| self.changes.try_recv().ok()).collect()
    }

    async fn act(&mut self, act: &Act) -> Result<(), ClientError> {
        match act {
            Act::Control(job, control) => self.client.control(*job, *control).await,
            Act::Priority(job, priority) => self.client.set_priority(*job, *priority).await,
            Act::RetryTask(task) => self.client.retry_task(*task).await,
            Act::SkipTask(task) => self.client.skip_task(*task).await,
            Act::Hold(worker, hold) => self.client.hold_worker(worker, *hold).await,
        }
    }
}
