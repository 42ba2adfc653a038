//! What users ask about jobs.

use futures::stream::BoxStream;
use reel_common::{Edit, JobId, Labels, secret_problem};
use reel_proto::labels;
use reel_proto::v1::jobs_server::Jobs;
use reel_proto::v1::{self, JobControl};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};

use super::{listed, refused, term_over};
use crate::driver::JobFilter;
use crate::scheduler::{JobSpec, Scheduler, Submitted};

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
        let places = [("the mezzanine", &request.mezzanine), ("the output", &request.output)];
        let texts = request.texts.iter().map(|text| ("the file of a text", &text.location));
        let sources = request.edit.iter().flat_map(|edit| &edit.sources);
        let sources = sources.map(|source| ("a source of the edit", &source.location));
        let logos = request.edit.iter().flat_map(|edit| &edit.overlays);
        let sources = sources.chain(logos.map(|logo| ("a logo of the edit", &logo.location)));
        for (field, location) in places.into_iter().chain(texts).chain(sources) {
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
            deadline_ms: request.deadline_ms,
            labels: read_labels(request.labels)?,
            needs: read_labels(request.needs)?,
            chunk_parts: request.chunk_parts,
            hooks: request.hooks.into_iter().map(Into::into).collect(),
            texts: request.texts.into_iter().map(Into::into).collect(),
            edit: request.edit.map(read_edit).transpose()?,
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
        let v1::ListJobsRequest { limit, before, open_only, labels } = request.into_inner();
        let before = (before > 0).then_some(JobId(before));
        let filter = JobFilter { before, open_only, labels: read_labels(labels)? };
        let jobs = self.0.jobs(filter, listed(limit)).await.map_err(refused)?;
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
                None => Some(Err(term_over())),
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
            JobControl::Retry => self.0.retry(job).await,
        };
        done.map_err(refused)?;
        Ok(Response::new(v1::ControlJobResponse {}))
    }

    async fn set_priority(
        &self,
        request: Request<v1::SetPriorityRequest>,
    ) -> Result<Response<v1::SetPriorityResponse>, Status> {
        let v1::SetPriorityRequest { job, priority } = request.into_inner();
        self.0.set_priority(JobId(job), priority).await.map_err(refused)?;
        Ok(Response::new(v1::SetPriorityResponse {}))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainJobRequest>,
    ) -> Result<Response<v1::Explanation>, Status> {
        let explained = self.0.explain(JobId(request.into_inner().job)).await.map_err(refused)?;
        let obstacles = explained.obstacles.into_iter().map(|(stage, obstacle)| v1::Obstacle {
            stage: stage.map_or(v1::Stage::Unspecified, Into::into).into(),
            name: obstacle.name().to_owned(),
            message: obstacle.to_string(),
        });
        let (running, waiting) = (explained.running, explained.waiting);
        Ok(Response::new(v1::Explanation { running, waiting, obstacles: obstacles.collect() }))
    }

    async fn history(&self, request: Request<v1::GetJobRequest>) -> Result<Response<v1::JobHistory>, Status> {
        self.0.history(JobId(request.into_inner().job)).await.map(Response::new).map_err(refused)
    }
}

fn read_edit(wire: v1::Edit) -> Result<Edit, Status> {
    Edit::try_from(wire).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn read_labels(wire: Vec<v1::Label>) -> Result<Labels, Status> {
    labels(wire).map_err(|error| Status::invalid_argument(error.to_string()))
}
