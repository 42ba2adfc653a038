//! `reel cluster`: the schedulers of a farm.

use std::time::Duration;

use reel_client::{Client, ClientError};
use reel_proto::v1;
use serde_json::{Value, json};

use crate::args::{ClusterArgs, ClusterCommand};
use crate::commands::backup;
use crate::exit::Stop;
use crate::output::{self, Column, print};
use crate::watch::{self, Shown};
use crate::{server, signals};

/// How long a new leader may take after it was asked to lead.
const HANDOVER: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(crate) fn run(args: ClusterArgs) -> Result<(), Stop> {
    let runtime = signals::runtime()?;
    match args.command {
        ClusterCommand::Status { view } => watch::show(&view, async |farm| {
            let status = farm.cluster().await?;
            Ok(Shown { json: as_json(&status), tables: as_table(&status) })
        }),
        ClusterCommand::Remove { id, server } => {
            runtime.block_on(remove(&server::client(&server)?, id))?;
            print(&format!("scheduler {id} is removed: stop it; its number is not given again\n"))
        }
        ClusterCommand::TransferLeader { id, server } => {
            runtime.block_on(hand_over(&server::client(&server)?, id))?;
            print(&format!("scheduler {id} leads\n"))
        }
        ClusterCommand::Backup { file, server } => {
            let farm = server::client(&server)?;
            let bytes = runtime.block_on(async {
                tokio::select! {
                    written = backup::write(&farm, &file) => written,
                    signal = signals::asked_to_end() => {
                        Err(signal.map_or_else(|stop| stop, |signal| Stop::failed(format!("stopped by {signal}"))))
                    }
                }
            })?;
            print(&format!(
                "{}: {bytes} bytes; keep it where the schedulers' disks are not\n",
                file.display()
            ))
        }
        ClusterCommand::Restore { file, id, data, advertise } => {
            runtime.block_on(backup::restore(file, id, &data, advertise))?;
            let start = format!("reel scheduler start --id {id} --data {} --listen ..", data.display());
            print(&format!("a new cluster is restored; start its scheduler with `{start}`\n"))
        }
        ClusterCommand::Snapshot { server } => {
            runtime.block_on(server::client(&server)?.snapshot())?;
            print("a snapshot is written, and the log before it is gone\n")
        }
    }
}

/// A leader that is to go hands over to another voter first.
async fn remove(client: &Client, id: u64) -> Result<(), Stop> {
    let status = client.cluster().await?;
    if status.leader == Some(id)
        && let Some(other) = status.members.iter().find(|member| member.voter && member.id != id)
    {
        hand_over(client, other.id).await?;
    }
    Ok(client.remove(id).await?)
}

async fn hand_over(client: &Client, to: u64) -> Result<(), Stop> {
    client.transfer_leadership(to).await?;
    let led = async {
        while client.cluster().await?.leader != Some(to) {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok::<_, ClientError>(())
    };
    let late = || Stop::failed(format!("scheduler {to} does not lead yet: look with `reel cluster status`"));
    Ok(tokio::time::timeout(HANDOVER, led).await.map_err(|_| late())??)
}

/// Entries that a member lacks, as far as the one that answers knows.
fn lag(status: &v1::ClusterStatus, member: &v1::ClusterMember) -> Option<u64> {
    let known = if member.id == status.node { Some(status.last_log) } else { member.matched };
    known.map(|matched| status.last_log.saturating_sub(matched))
}

fn as_json(status: &v1::ClusterStatus) -> Value {
    let members = status.members.iter().map(|member| {
        json!({
            "id": member.id,
            "address": member.address,
            "voter": member.voter,
            "lag": lag(status, member),
        })
    });
    json!({
        "cluster": format!("{:016x}", status.cluster),
        "leader": status.leader,
        "term": status.term,
        "answered_by": status.node,
        "last_log": status.last_log,
        "applied": status.applied,
        "snapshot": status.snapshot,
        "members": members.collect::<Vec<_>>(),
    })
}

fn as_table(status: &v1::ClusterStatus) -> String {
    let columns = [
        Column::Numbers("scheduler"),
        Column::Words("role"),
        Column::Words("address"),
        Column::Numbers("lag"),
    ];
    let cells = |member: &v1::ClusterMember| {
        let role = match (member.voter, status.leader == Some(member.id)) {
            (_, true) => "leader",
            (true, false) => "voter",
            (false, false) => "learner",
        };
        let lag = lag(status, member).map_or("?".to_owned(), |lag| lag.to_string());
        [member.id.to_string(), role.to_owned(), member.address.clone(), lag]
    };
    let members = output::list(columns, status.members.iter().map(cells));
    let (term, log, snapshot) = (status.term, status.last_log, status.snapshot);
    format!("{members}term {term}, log entry {log}, snapshot of entry {snapshot}\n")
}
