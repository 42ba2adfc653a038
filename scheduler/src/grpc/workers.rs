//! The links of workers, and what operators ask about them.

use futures::StreamExt;
use futures::stream::BoxStream;
use reel_common::Hold;
use reel_proto::v1;
use reel_proto::v1::workers_server::Workers;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::refused;
use crate::scheduler::Scheduler;

pub(super) struct Service(pub(super) Scheduler);

#[tonic::async_trait]
impl Workers for Service {
    type ConnectStream = BoxStream<'static, Result<v1::SchedulerMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (to_scheduler, from_scheduler) = self.0.connect_worker().await.map_err(refused)?;
        let mut messages = request.into_inner();
        tokio::spawn(async move {
            // Dropping the sender breaks the link on the scheduler's side as well.
            while let Ok(Some(message)) = messages.message().await {
                if to_scheduler.send(message).await.is_err() {
                    return;
                }
            }
        });
        let cut = Status::unavailable("this scheduler does not lead any more, or has closed the link");
        let messages = ReceiverStream::new(from_scheduler).map(Ok);
        Ok(Response::new(messages.chain(futures::stream::iter([Err(cut)])).boxed()))
    }

    async fn list(
        &self,
        _request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let workers = self.0.workers().await.map_err(refused)?;
        Ok(Response::new(v1::ListWorkersResponse { workers: workers.into_iter().map(Into::into).collect() }))
    }

    async fn hold(
        &self,
        request: Request<v1::HoldWorkerRequest>,
    ) -> Result<Response<v1::HoldWorkerResponse>, Status> {
        let request = request.into_inner();
        let hold = match request.hold() {
            v1::Hold::Unspecified => return Err(Status::invalid_argument("no hold is named")),
            v1::Hold::None => None,
            v1::Hold::Cordon => Some(Hold::Cordon),
            v1::Hold::Drain => Some(Hold::Drain),
            v1::Hold::Quarantine => Some(Hold::Quarantine),
        };
        let known = self.0.workers().await.map_err(refused)?;
        if hold.is_some() && !known.iter().any(|worker| worker.name == request.name) {
            return Err(Status::not_found(format!("there is no worker {}", request.name)));
        }
        self.0.hold_worker(request.name, hold).await.map_err(refused)?;
        Ok(Response::new(v1::HoldWorkerResponse {}))
    }
}
