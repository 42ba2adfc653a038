//! What operators ask about projects.

use reel_common::Share;
use reel_proto::v1;
use reel_proto::v1::projects_server::Projects;
use tonic::{Request, Response, Status};

use super::refused;
use crate::scheduler::Scheduler;

pub(super) struct Service(pub(super) Scheduler);

#[tonic::async_trait]
impl Projects for Service {
    async fn list(
        &self,
        _request: Request<v1::ListProjectsRequest>,
    ) -> Result<Response<v1::ListProjectsResponse>, Status> {
        let projects = self.0.projects().await.map_err(refused)?;
        Ok(Response::new(v1::ListProjectsResponse {
            projects: projects.into_iter().map(Into::into).collect(),
        }))
    }

    async fn set(
        &self,
        request: Request<v1::SetProjectRequest>,
    ) -> Result<Response<v1::SetProjectResponse>, Status> {
        let v1::SetProjectRequest { name, weight, guarantee, burst } = request.into_inner();
        self.0.set_project(name, Share { weight, guarantee, burst }).await.map_err(refused)?;
        Ok(Response::new(v1::SetProjectResponse {}))
    }
}
