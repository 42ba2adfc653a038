//! What users ask about tasks.

use reel_common::{JobId, TaskId};
use reel_proto::v1;
use reel_proto::v1::tasks_server::Tasks;
use tonic::{Request, Response, Status};

use super::{listed, refused};
use crate::scheduler::Scheduler;

pub(super) struct Service(pub(super) Scheduler);

#[tonic::async_trait]
impl Tasks for Service {
    async fn list(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<v1::ListTasksResponse>, Status> {
        let v1::ListTasksRequest { job, limit, after, open_only } = request.into_inner();
        let after = after.map(|task| name(Some(task))).transpose()?;
        let tasks = self.0.tasks(JobId(job), after, listed(limit), open_only).await.map_err(refused)?;
        Ok(Response::new(v1::ListTasksResponse { tasks: tasks.into_iter().map(Into::into).collect() }))
    }

    async fn get(
        &self,
        request: Request<v1::GetTaskRequest>,
    ) -> Result<Response<v1::GetTaskResponse>, Status> {
        let task = name(request.into_inner().task)?;
        let (task, attempts) = self.0.task(task).await.map_err(refused)?;
        Ok(Response::new(v1::GetTaskResponse { task: Some(task.into()), attempts }))
    }

    async fn retry(
        &self,
        request: Request<v1::RetryTaskRequest>,
    ) -> Result<Response<v1::RetryTaskResponse>, Status> {
        let task = name(request.into_inner().task)?;
        self.0.retry_task(task).await.map_err(refused)?;
        Ok(Response::new(v1::RetryTaskResponse {}))
    }

    async fn skip(
        &self,
        request: Request<v1::SkipTaskRequest>,
    ) -> Result<Response<v1::SkipTaskResponse>, Status> {
        let task = name(request.into_inner().task)?;
        self.0.skip_task(task).await.map_err(refused)?;
        Ok(Response::new(v1::SkipTaskResponse {}))
    }

    async fn tail(&self, request: Request<v1::TailRequest>) -> Result<Response<v1::TailResponse>, Status> {
        let v1::TailRequest { task, attempt } = request.into_inner();
        self.0.tail(name(task)?, attempt).await.map(Response::new).map_err(refused)
    }
}

fn name(task: Option<v1::TaskId>) -> Result<TaskId, Status> {
    let task = task.ok_or_else(|| Status::invalid_argument("no task is named"))?;
    task.try_into().map_err(|_| Status::invalid_argument("the name of the task has no stage"))
}
