//! What operators and new nodes ask of the cluster.

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use reel_proto::v1::cluster_server::Cluster;
use reel_proto::v1::{self, backup_piece::Piece};
use tonic::{Request, Response, Status};

use super::refused;
use crate::raft;
use crate::scheduler::Scheduler;

pub(super) struct Service(pub(super) Scheduler);

#[tonic::async_trait]
impl Cluster for Service {
    type BackupStream = BoxStream<'static, Result<v1::BackupPiece, Status>>;

    async fn status(
        &self,
        _request: Request<v1::ClusterStatusRequest>,
    ) -> Result<Response<v1::ClusterStatus>, Status> {
        let raft::Status { cluster, node, leader, term, last_log, applied, snapshot, members } =
            self.0.admin.status();
        let members = members.into_iter().map(|member| v1::ClusterMember {
            id: member.id,
            address: member.address,
            voter: member.voter,
            matched: member.matched,
        });
        let members = members.collect();
        Ok(Response::new(v1::ClusterStatus {
            cluster,
            node,
            leader,
            term,
            last_log,
            applied,
            snapshot,
            members,
        }))
    }

    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinResponse>, Status> {
        let v1::JoinRequest { node, address, learner, folder } = request.into_inner();
        self.0.admin.join(node, address, folder, !learner).await.map_err(refused)?;
        Ok(Response::new(v1::JoinResponse {}))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveRequest>,
    ) -> Result<Response<v1::RemoveResponse>, Status> {
        self.0.admin.remove(request.into_inner().node).await.map_err(refused)?;
        Ok(Response::new(v1::RemoveResponse {}))
    }

    async fn transfer_leadership(
        &self,
        request: Request<v1::TransferLeadershipRequest>,
    ) -> Result<Response<v1::TransferLeadershipResponse>, Status> {
        self.0.admin.transfer_leader(request.into_inner().to).await.map_err(refused)?;
        Ok(Response::new(v1::TransferLeadershipResponse {}))
    }

    async fn snapshot(
        &self,
        _request: Request<v1::SnapshotRequest>,
    ) -> Result<Response<v1::SnapshotResponse>, Status> {
        self.0.admin.snapshot().await.map_err(refused)?;
        Ok(Response::new(v1::SnapshotResponse {}))
    }

    async fn backup(
        &self,
        _request: Request<v1::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let backup = self.0.admin.backup().await.map_err(refused)?;
        let head = v1::BackupHead { cluster: backup.cluster, bytes: backup.bytes, applied: backup.applied };
        let pieces = stream::try_unfold((backup, 0), |(backup, offset)| async move {
            let piece = backup.piece(offset).await.map_err(|error| Status::unavailable(error.to_string()))?;
            let next = (backup, offset + piece.len() as u64);
            Ok::<_, Status>((!piece.is_empty()).then_some((Piece::Content(piece), next)))
        });
        let all = stream::iter([Ok(Piece::Head(head))]).chain(pieces);
        Ok(Response::new(all.map_ok(|piece| v1::BackupPiece { piece: Some(piece) }).boxed()))
    }
}
