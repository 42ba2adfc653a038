//! What users ask about jobs.

use futures::stream::BoxStream;
use reel_common::{JobId, secret_problem};
use reel_proto::v1::jobs_server::Jobs;
use reel_proto::v1::{self, JobControl};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};

use super::refused;
use crate::scheduler::{JobSpec, Scheduler, Submitted};

/// Most jobs in one list, and how many there are where nobody says.
const MOST_LISTED: usize = 1000;
const USUALLY_LISTED: usize = 100;

pub(super) struct Service(pub(super) Scheduler);

#[tonic::async_trait]
impl Jobs for Service {
    type WatchStream = BoxStream<'static, Result<v1::Job, Status>>;

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitResponse>, Status> {
        let request = request.into_inner();
        // Before the log has it, from which nothing is removed.
        for (field, location) in [("the mezzanine", &request.mezzanine), ("the output", &request.output)] {
            if let Some(problem) = secret_problem(location) {
                return Err(Status::invalid_argument(format!("{field} {problem}")));
            }
        }
        let spec = JobSpec {
            mezzanine: request.mezzanine,
            identity: request.identity.map(Into::into),
            profile: request.profile,
            profile_name: request.profile_name,
            output: request.output,
            project: request.project,
            priority: request.priority,
            chunk_parts: request.chunk_parts,
            idempotency_key: request.idempotency_key,
        };
        let Submitted { job, duplicate } = self.0.submit(spec).await.map_err(refused)?;
        Ok(Response::new(v1::SubmitResponse { job: job.0, duplicate }))
    }

    async fn get(&self, request: Request<v1::GetJobRequest>) -> Result<Response<v1::Job>, Status> {
        let job = self.0.watch(JobId(request.into_inner().job)).await.map_err(refused)?;
        let view = job.borrow().clone();
        Ok(Response::new(view.into()))
    }

    async fn list(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        let v1::ListJobsRequest { limit, before, open_only } = request.into_inner();
        let limit = if limit == 0 { USUALLY_LISTED } else { MOST_LISTED.min(limit as usize) };
        let before = (before > 0).then_some(JobId(before));
        let jobs = self.0.jobs(before, limit, open_only).await.map_err(refused)?;
        Ok(Response::new(v1::ListJobsResponse { jobs: jobs.into_iter().map(Into::into).collect() }))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchJobRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let job = self.0.watch(JobId(request.into_inner().job)).await.map_err(refused)?;
        let views = WatchStream::new(job);
        let mut over = false;
        // The job's last state ends the stream. One that ends before that was cut off by a change of leader.
        let told = views.map(Some).chain(tokio_stream::once(None)).map_while(move |view| {
            let before = std::mem::replace(&mut over, view.as_ref().is_some_and(|view| view.is_over()));
            match view {
                _ if before => None,
                Some(view) => Some(Ok(v1::Job::from(view))),
                None => Some(Err(Status::unavailable("this scheduler does not lead any more"))),
            }
        });
        Ok(Response::new(Box::pin(told)))
    }

    async fn control(
        &self,
        request: Request<v1::ControlJobRequest>,
    ) -> Result<Response<v1::ControlJobResponse>, Status> {
        let request = request.into_inner();
        let job = JobId(request.job);
        let done = match request.control() {
            JobControl::Unspecified => return Err(Status::invalid_argument("no control is named")),
            JobControl::Cancel => self.0.cancel(job).await,
            JobControl::Pause => self.0.pause(job).await,
            JobControl::Resume => self.0.resume(job).await,
        };
        done.map_err(refused)?;
        Ok(Response::new(v1::ControlJobResponse {}))
    }
}
