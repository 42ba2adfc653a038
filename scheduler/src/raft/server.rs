//! What other nodes ask of this one.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use openraft::raft::{StreamAppendError, TransferLeaderRequest};
use reel_proto::v1::raft_server::Raft as RaftService;
use reel_proto::v1::{self, snapshot_chunk::Chunk};
use tonic::{Request, Response, Status, Streaming};

use super::machine::Machine;
use super::snapshot::{Incoming, SnapshotFolder};
use super::types::{Types, decode_log_id};
use super::wire::{self, Destination};

/// Answers the calls of other nodes.
pub(crate) struct Server {
    pub(super) raft: openraft::Raft<Types, Machine>,
    pub(super) here: Destination,
    pub(super) snapshots: SnapshotFolder,
    pub(super) heard: Heard,
}

/// When the leader was heard of last. A follower takes the last leader for the leader until there is another, alive or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<Option<Instant>>>);

impl Heard {
    /// The leader has just said something.
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it has said something within this time.
    pub(super) fn lately(&self, within: Duration) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < within)
    }
}

type Appended = Pin<Box<dyn Stream<Item = Result<v1::AppendResponse, Status>> + Send>>;

fn malformed(error: &io::Error) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: &impl ToString) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl RaftService for Server {
    type AppendStream = Appended;

    async fn append(
        &self,
        request: Request<Streaming<v1::AppendRequest>>,
    ) -> Result<Response<Appended>, Status> {
        let mut messages = request.into_inner();
        let Some(first) = messages.message().await? else {
            return Ok(Response::new(futures::stream::empty().boxed()));
        };
        self.here.check(first.to)?;
        let first = wire::to_append_request(first).map_err(|error| malformed(&error))?;
        // A peer that breaks off or sends what cannot be read has its stream ended; it begins a new one.
        let rest = messages.map(|message| wire::to_append_request(message.ok()?).ok());
        let rest =
            rest.take_while(|request| std::future::ready(request.is_some())).filter_map(std::future::ready);
        let requests = futures::stream::iter([first]).chain(rest);
        let heard = self.heard.clone();
        let answers = self.raft.stream_append(requests).map(move |answer| match answer {
            Ok(result) => {
                if !matches!(result, Err(StreamAppendError::HigherVote(_))) {
                    heard.note();
                }
                Ok(wire::append_response(result))
            }
            Err(fatal) => Err(stopped(&fatal)),
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn vote(&self, request: Request<v1::VoteRequest>) -> Result<Response<v1::VoteResponse>, Status> {
        let message = request.into_inner();
        self.here.check(message.to)?;
        let pre = message.pre;
        let asked = wire::to_vote_request(message).map_err(|error| malformed(&error))?;
        let answer = if pre { self.raft.pre_vote(asked).await } else { self.raft.vote(asked).await };
        let answer = answer.map_err(|error| stopped(&error))?;
        Ok(Response::new(wire::vote_response(&answer)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<v1::SnapshotChunk>>,
    ) -> Result<Response<v1::SnapshotInstalled>, Status> {
        let mut chunks = request.into_inner();
        let Some(v1::SnapshotChunk { chunk: Some(Chunk::Head(head)) }) = chunks.message().await? else {
            return Err(Status::invalid_argument("a snapshot begins with its head"));
        };
        self.here.check(head.to)?;
        let vote = wire::to_vote(head.vote).map_err(|error| malformed(&error))?;
        let broken = |error: io::Error| Status::internal(format!("a snapshot was not received: {error}"));
        let mut incoming = Incoming::begin(&self.snapshots).map_err(broken)?;
        while let Some(v1::SnapshotChunk { chunk: Some(Chunk::Content(piece)) }) = chunks.message().await? {
            self.heard.note();
            incoming = incoming.add(piece, head.bytes).await.map_err(broken)?;
        }
        let snapshot = incoming.finish(head.bytes).await.map_err(broken)?;
        let installed = self.raft.install_full_snapshot(vote, snapshot).await;
        let vote = installed.map_err(|fatal| stopped(&fatal))?.vote;
        Ok(Response::new(v1::SnapshotInstalled { vote: Some(super::types::vote_to_wire(&vote)) }))
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::TransferLeaderRequest>,
    ) -> Result<Response<v1::TransferLeaderResponse>, Status> {
        let message = request.into_inner();
        self.here.check(message.to)?;
        let from = wire::to_vote(message.from).map_err(|error| malformed(&error))?;
        let asked = TransferLeaderRequest::new(from, message.successor, message.last.map(decode_log_id));
        let answer = self.raft.handle_transfer_leader(asked).await.map_err(|fatal| stopped(&fatal))?;
        let refused = answer.err().map(|error| error.to_string()).unwrap_or_default();
        Ok(Response::new(v1::TransferLeaderResponse { refused }))
    }
}
