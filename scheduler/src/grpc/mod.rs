//! The scheduler on the network: one server for users, workers and other schedulers.

mod cluster;
mod events;
mod farm;
mod jobs;
mod projects;
mod tasks;
mod workers;

use std::future::Future;
use std::time::Duration;

use axum::Router;
use reel_proto::v1::cluster_server::ClusterServer;
use reel_proto::v1::events_server::EventsServer;
use reel_proto::v1::farm_server::FarmServer;
use reel_proto::v1::jobs_server::JobsServer;
use reel_proto::v1::projects_server::ProjectsServer;
use reel_proto::v1::raft_server::RaftServer;
use reel_proto::v1::tasks_server::TasksServer;
use reel_proto::v1::workers_server::WorkersServer;
use reel_proto::{DESCRIPTORS, LEADER_METADATA};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};

use crate::http;
use crate::raft::MAX_MESSAGE_BYTES;
use crate::scheduler::{Refused, Scheduler};

/// A connection whose other end does not answer a ping for so long is closed.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// How long calls that run may take to end when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a server ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("the server of the scheduler ended: {0}")]
pub struct ServeError(String);

impl Scheduler {
    /// Serves users, workers and other schedulers on `listener`, and `pages` to browsers, until `stop` ends.
    ///
    /// # Errors
    /// The server ends by itself.
    pub async fn serve(
        self,
        listener: TcpListener,
        pages: Router,
        stop: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let failed = |error: &dyn std::error::Error| ServeError(error.to_string());
        let reflection = || {
            tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS)
        };
        // Many clients still speak the version before the first.
        let reflection_alpha = reflection().build_v1alpha().map_err(|error| failed(&error))?;
        let reflection = reflection().build_v1().map_err(|error| failed(&error))?;
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<JobsServer<jobs::Service>>().await;
        let raft = RaftServer::from_arc(self.peers())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let (ending, ended) = tokio::sync::oneshot::channel::<()>();
        let mut services = Routes::builder();
        services
            .add_service(health_service)
            .add_service(reflection)
            .add_service(reflection_alpha)
            .add_service(raft)
            .add_service(JobsServer::new(jobs::Service(self.clone())))
            .add_service(TasksServer::new(tasks::Service(self.clone())))
            .add_service(EventsServer::new(events::Service(self.clone())))
            .add_service(FarmServer::new(farm::Service(self.clone())))
            .add_service(ProjectsServer::new(projects::Service(self.clone())))
            .add_service(WorkersServer::new(workers::Service(self.clone())))
            .add_service(ClusterServer::new(cluster::Service(self.clone())));
        let routes = services.routes().into_axum_router().merge(http::routes(self)).merge(pages);
        let server = Server::builder()
            .accept_http1(true)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_routes(Routes::from(routes.fallback(http::unknown)))
            .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async {
                // The other end is dropped, never sent to.
                let _ = ended.await;
            });
        let mut server = std::pin::pin!(server);
        tokio::select! {
            served = &mut server => return served.map_err(|error| failed(&error)),
            () = stop => drop(ending),
        }
        // Links of workers last as long as both sides like, so the end is not waited for without limit.
        tokio::time::timeout(STOP_TIMEOUT, server).await.unwrap_or(Ok(())).map_err(|error| failed(&error))
    }
}

/// Most things in one list, and how many there are where nobody says.
const MOST_LISTED: usize = 1000;
const USUALLY_LISTED: usize = 100;

/// How many things a list is to have.
fn listed(limit: u32) -> usize {
    if limit == 0 { USUALLY_LISTED } else { MOST_LISTED.min(limit as usize) }
}

/// The one mapping of what is refused to a status.
fn refused(refused: impl Into<Refused>) -> Status {
    let refused = refused.into();
    let message = refused.to_string();
    match refused {
        Refused::Profile(_) => Status::invalid_argument(message),
        Refused::Request(_) | Refused::WrongState { .. } => Status::failed_precondition(message),
        Refused::UnknownJob(_) | Refused::UnknownTask(_) | Refused::NotFound(_) => Status::not_found(message),
        Refused::Forgotten => Status::out_of_range(message),
        Refused::NotLeader { leader } => not_leader(leader),
        Refused::Unavailable(_) => Status::unavailable(message),
    }
}

/// How a stream ends that lasts no longer than the leader's term.
fn term_over() -> Status {
    Status::unavailable("this scheduler does not lead any more")
}

fn not_leader(leader: Option<String>) -> Status {
    let mut status = Status::new(Code::Unavailable, "this scheduler is not the leader");
    if let Some(address) = leader.and_then(|leader| leader.parse().ok()) {
        status.metadata_mut().insert(LEADER_METADATA, address);
    }
    status
}
