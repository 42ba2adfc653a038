//! The way to other nodes: gRPC, one connection to each.

use std::future::Future;
use std::io;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use openraft::AnyError;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, v2::RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use reel_proto::v1::raft_client::RaftClient;
use reel_proto::v1::{self, snapshot_chunk::Chunk};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::snapshot::SnapshotFile;
use super::types::{Peer, Types, Vote, vote_to_wire};
use super::wire::{self, Destination};
use super::{MAX_MESSAGE_BYTES, types};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A peer that does not answer a ping of the connection for so long is taken for gone, and the connection with it:
/// without this a lost packet can leave a connection that both sides believe in and nothing goes through.
const KEEPALIVE: Duration = Duration::from_secs(1);
/// A snapshot is sent in pieces of this size.
const SNAPSHOT_PIECE_BYTES: usize = 256 * 1024;
/// How long all of a snapshot may take.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(600);

type BoxFuture<'a, T> = futures::future::BoxFuture<'a, T>;
type BoxStream<'a, T> = futures::stream::BoxStream<'a, T>;
type Appended = Result<StreamAppendResult<Types>, RPCError<Types>>;

/// Makes the [`Connection`]s of one cluster.
pub(super) struct Peers {
    pub(super) cluster: u64,
}

/// The way to another node.
pub(super) struct Connection {
    to: Destination,
    client: Result<RaftClient<Channel>, String>,
}

impl RaftNetworkFactory<Types> for Peers {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &Peer) -> Connection {
        let to = Destination { cluster: self.cluster, node: target, folder: node.folder };
        Connection { to, client: connect(&node.address) }
    }
}

/// A connection that comes about when it is first used, and again after it broke.
fn connect(address: &str) -> Result<RaftClient<Channel>, String> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| error.to_string())?;
    let channel = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
        .connect_lazy();
    let client = RaftClient::new(channel);
    Ok(client.max_decoding_message_size(MAX_MESSAGE_BYTES).max_encoding_message_size(MAX_MESSAGE_BYTES))
}

fn unreachable(error: &(impl std::error::Error + 'static)) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(error))
}

/// What to do about a call that failed: a peer that is not there is left alone for a while.
fn failed(status: &Status) -> RPCError<Types> {
    match status.code() {
        Code::Unavailable | Code::FailedPrecondition | Code::Unimplemented => unreachable(status),
        _ => RPCError::Network(NetworkError::new(status)),
    }
}

fn malformed(error: &io::Error) -> RPCError<Types> {
    RPCError::Network(NetworkError::new(error))
}

fn too_slow() -> RPCError<Types> {
    malformed(&io::Error::new(io::ErrorKind::TimedOut, "the scheduler did not answer in time"))
}

impl Connection {
    fn client(&self) -> Result<RaftClient<Channel>, RPCError<Types>> {
        self.client.clone().map_err(|reason| unreachable(&AnyError::error(reason)))
    }

    async fn ask_vote(
        &self,
        pre: bool,
        request: &VoteRequest<Types>,
        option: &RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let mut client = self.client()?;
        let message = wire::vote_request(self.to.wire(), pre, request);
        let answer = tokio::time::timeout(option.soft_ttl(), client.vote(message)).await;
        let answer = answer.map_err(|_| too_slow())?.map_err(|status| failed(&status))?;
        wire::to_vote_response(answer.into_inner()).map_err(|error| malformed(&error))
    }

    /// Opens a stream of log entries and answers. Only the first message says whom it is for.
    ///
    /// openraft waits before the first request where the peer was not there a moment ago, so that one is taken before the
    /// peer is called: a call that fails before it has asked for a request would be made again at once, without end.
    async fn append_all<S>(
        &self,
        mut requests: S,
    ) -> Result<BoxStream<'static, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        let mut client = self.client()?;
        let Some(first) = requests.next().await else { return Ok(stream::empty().boxed()) };
        let mut to = self.to.wire();
        let requests = stream::iter([first]).chain(requests);
        let messages = requests.map(move |request| wire::append_request(to.take(), &request));
        let answers = client.append(messages).await.map_err(|status| failed(&status))?.into_inner();
        let answers = answers.map(|answer| match answer {
            Ok(message) => wire::to_append_response(message).map_err(|error| malformed(&error)),
            Err(status) => Err(failed(&status)),
        });
        Ok(answers.boxed())
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotFile,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let mut client = self.client()?;
        let head = v1::SnapshotHead {
            to: self.to.wire(),
            vote: Some(vote_to_wire(&vote)),
            bytes: snapshot.len().map_err(|error| malformed(&error))?,
        };
        let head = v1::SnapshotChunk { chunk: Some(Chunk::Head(head)) };
        let pieces = stream::unfold(0, move |offset| {
            let piece = snapshot.piece(offset, SNAPSHOT_PIECE_BYTES);
            async move {
                // A file that cannot be read ends early; the other side refuses it.
                let piece = piece.ok().filter(|piece| !piece.is_empty())?;
                let next = offset + piece.len() as u64;
                Some((v1::SnapshotChunk { chunk: Some(Chunk::Content(piece)) }, next))
            }
        });
        let all = stream::once(async { head }).chain(pieces);
        let sent = tokio::time::timeout(SNAPSHOT_TIMEOUT, client.install_snapshot(all)).await;
        let installed = sent.map_err(|_| too_slow())?.map_err(|status| failed(&status))?;
        let vote = wire::to_vote(installed.into_inner().vote).map_err(|error| malformed(&error))?;
        Ok(SnapshotResponse::new(vote))
    }
}

impl RaftNetworkV2<Types> for Connection {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let one = async {
            let mut answers = self.append_all(stream::iter([request])).await?;
            answers.try_next().await?.ok_or_else(|| malformed(&types::invalid("no answer came")))
        };
        let answer = tokio::time::timeout(option.soft_ttl(), one).await.map_err(|_| too_slow())??;
        Ok(match answer {
            Ok(_) => AppendEntriesResponse::Success,
            Err(StreamAppendError::Conflict(_)) => AppendEntriesResponse::Conflict,
            Err(StreamAppendError::HigherVote(vote)) => AppendEntriesResponse::HigherVote(vote),
        })
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Appended>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
    {
        Box::pin(async move { Ok(self.append_all(input).await? as BoxStream<'s, Appended>) })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(false, &request, &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(true, &request, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: openraft::alias::SnapshotOf<Types, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            sent = self.send_snapshot(vote, snapshot.snapshot) => sent,
            closed = cancel => Err(closed.into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let mut client = self.client()?;
        let message = v1::TransferLeaderRequest {
            to: self.to.wire(),
            from: Some(vote_to_wire(request.from_leader())),
            last: request.last_log_id().map(types::encode_log_id),
            successor: *request.to_node_id(),
        };
        let answer = tokio::time::timeout(option.soft_ttl(), client.transfer_leader(message)).await;
        let answer = answer.map_err(|_| too_slow())?.map_err(|status| failed(&status))?.into_inner();
        match answer.refused.is_empty() {
            true => Ok(Ok(())),
            false => Err(malformed(&io::Error::other(answer.refused))),
        }
    }
}
