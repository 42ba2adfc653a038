//! `reel scheduler start`: one scheduler of a farm, until it is asked to end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use reel_client::{Client, Servers};
use reel_scheduler::{Beginning, LeaseTimes, Scheduler, SchedulerConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;

use crate::args::{SchedulerArgs, SchedulerCommand, SchedulerStartArgs};
use crate::exit::Stop;
use crate::output::remark;
use crate::signals;

/// How long a scheduler that joins looks for a leader: as long as a cluster needs that starts at the same time.
const JOIN_PATIENCE: Duration = Duration::from_secs(120);

/// How long a leader that is asked to end looks for another; then there is an election.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(3);

/// How long the last traces may take to be sent.
const TRACES_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: SchedulerArgs) -> Result<(), Stop> {
    let SchedulerCommand::Start(args) = args.command;
    signals::runtime()?.block_on(start(args))
}

/// Each worker, peer and client is a connection: all files that the host lets a process have may be open.
fn raise_open_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

async fn start(args: SchedulerStartArgs) -> Result<(), Stop> {
    raise_open_files();
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Stop::failed(format!("cannot listen on {}: {error}; choose another --listen", args.listen))
    })?;
    let bound = listener.local_addr().map_err(|error| Stop::failed(error.to_string()))?;
    let address = args.advertise.clone().unwrap_or_else(|| format!("http://{bound}"));
    let joining = match &args.join {
        Some(list) => {
            let servers = Servers::parse(list).map_err(|error| Stop::usage(error.to_string()))?;
            Some(Client::new(servers).with_patience(JOIN_PATIENCE))
        }
        None => None,
    };
    let config = config(&args, &address, joining.as_ref()).await?;
    let traces = reel_traces::from_environment(args.id).map_err(|error| Stop::usage(error.to_string()))?;
    let (traces, ended) = traces.unzip();
    let scheduler = Scheduler::open(SchedulerConfig { ended, ..config }).await;
    let scheduler =
        scheduler.map_err(|error| Stop::failed(format!("the scheduler does not start: {error}")))?;
    let traced = traces.map(|traces| tokio::spawn(traces.run(scheduler.cluster())));
    let (stopping, stop) = tokio::sync::oneshot::channel::<()>();
    let pages = reel_web::routes(Client::new(itself(bound)?), args.preview);
    let served = tokio::spawn(scheduler.clone().serve(listener, pages, async {
        // The other end is dropped, never sent to.
        let _ = stop.await;
    }));
    remark(&format!("scheduler {} listens on {address}", args.id));
    let ended = tokio::select! {
        ended = until_ended(&scheduler, &args, &address, joining) => ended,
        signal = signals::asked_to_end() => signal.map(|signal| remark(&format!("ending on {signal}"))),
    };
    if ended.is_ok()
        && let Some(leader) = scheduler.hand_over(HAND_OVER_PATIENCE).await
    {
        remark(&format!("scheduler {leader} leads now"));
    }
    scheduler.shutdown().await;
    drop(stopping);
    let served = served.await;
    if let Some(traced) = traced {
        // A collector that does not answer holds nobody up.
        let _ = tokio::time::timeout(TRACES_PATIENCE, traced).await;
    }
    match served {
        Ok(Err(error)) if ended.is_ok() => Err(Stop::failed(error.to_string())),
        _ => ended,
    }
}

/// This scheduler as its own pages reach it, which ask as all clients do.
fn itself(bound: SocketAddr) -> Result<Servers, Stop> {
    let host = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = format!("http://{}", SocketAddr::new(host, bound.port()));
    Servers::parse(&address).map_err(|error| Stop::failed(error.to_string()))
}

/// Whether nothing is in a folder, as on a disk that was just mounted.
pub(super) fn is_new(folder: &Path) -> bool {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "lost+found")),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

async fn config(
    args: &SchedulerStartArgs,
    address: &str,
    joining: Option<&Client>,
) -> Result<SchedulerConfig, Stop> {
    let beginning = match joining {
        None if args.bootstrap => Beginning::Alone { address: address.to_owned() },
        Some(cluster) if is_new(&args.data) => {
            Beginning::Outside { cluster: cluster.cluster().await?.cluster }
        }
        _ => Beginning::Before,
    };
    let leases = LeaseTimes {
        heartbeat: Duration::from_millis(args.heartbeat_ms),
        lease: Duration::from_millis(args.lease_ms),
        grace: Duration::from_millis(args.grace_ms),
    };
    if leases.heartbeat * 3 > leases.lease {
        let problem = "a lease must last three heartbeats at least, or one lost message ends it";
        return Err(Stop::usage(format!("--lease-ms {}: {problem}", args.lease_ms)));
    }
    // Workers name the store themselves.
    let config = SchedulerConfig::new(&args.data, args.id, "");
    Ok(SchedulerConfig { beginning, leases, ..config })
}

/// Joins where that is asked for, and waits for the scheduler's own end.
async fn until_ended(
    scheduler: &Scheduler,
    args: &SchedulerStartArgs,
    address: &str,
    joining: Option<Client>,
) -> Result<(), Stop> {
    if let Some(known) = scheduler.known_address().filter(|known| known != address) {
        remark(&format!(
            "the cluster knows scheduler {} at {known}, not at {address}, and looks for it there: give it that --listen or \
             --advertise, or remove it from the cluster and let it join anew",
            args.id
        ));
    }
    if let Some(cluster) = joining
        && !scheduler.is_member()
    {
        cluster.join(args.id, address, scheduler.folder(), args.learner).await?;
        remark(&format!("scheduler {} has joined the cluster", args.id));
    }
    let reason = scheduler.failed().await;
    Err(Stop::failed(format!("the scheduler stopped: {reason}")))
}
