//! The whole farm at a glance.

use reel_common::JobId;
use reel_proto::v1;
use reel_proto::v1::farm_server::Farm;
use tonic::{Request, Response, Status};

use super::{listed, refused};
use crate::scheduler::Scheduler;

/// Most cells of a strip, and how many there are where nobody says.
const MOST_CELLS: u32 = 4096;
const USUAL_CELLS: u32 = 256;

pub(super) struct Service(pub(super) Scheduler);

#[tonic::async_trait]
impl Farm for Service {
    async fn overview(
        &self,
        request: Request<v1::OverviewRequest>,
    ) -> Result<Response<v1::FarmOverview>, Status> {
        let overview = self.0.overview(listed(request.into_inner().jobs)).await.map_err(refused)?;
        Ok(Response::new(overview))
    }

    async fn strip(&self, request: Request<v1::StripRequest>) -> Result<Response<v1::PartStrip>, Status> {
        let v1::StripRequest { job, cells } = request.into_inner();
        let cells = if cells == 0 { USUAL_CELLS } else { MOST_CELLS.min(cells) };
        let strip = self.0.strip(JobId(job), cells).await.map_err(refused)?;
        Ok(Response::new(v1::PartStrip {
            parts_total: strip.parts_total,
            done: strip.cells.iter().map(|cell| cell.done).collect(),
            running: strip.cells.iter().map(|cell| cell.running).collect(),
            troubled: strip.cells.iter().map(|cell| cell.troubled).collect(),
        }))
    }
}
