//! A large fleet at work: every worker has a task in hand and says so, and the leader has nothing else to do.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reel_bench::cluster::Cluster;
use reel_client::{Client, Servers};
use reel_proto::v1::scheduler_message::Message as Heard;
use reel_proto::v1::worker_message::Message as Said;
use reel_proto::v1::{self, commit_task, task_spec::Work};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_stream::wrappers::ReceiverStream;

use crate::agent::index;

/// The default of `reel scheduler start`.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a fleet may take to come, and how long it is watched.
const ARRIVAL: Duration = Duration::from_secs(120);
const WATCHED: Duration = Duration::from_secs(30);
/// Workers that come at once: hosts do not all start in one moment, and a listener has its backlog.
const AT_ONCE: usize = 200;

/// What a fleet costs its leader.
pub(crate) struct Beats {
    /// Heartbeats a second.
    pub(crate) per_second: f64,
    /// Processor time of the leader for each.
    pub(crate) microseconds: f64,
    /// Milliseconds until 50 and 99 of a hundred are answered.
    pub(crate) answered_ms: (f64, f64),
    /// Memory of the leader, in bytes.
    pub(crate) memory: u64,
}

/// A fleet of so many workers at three schedulers.
pub(crate) async fn measure(work: &Path, workers: u32) -> Result<Beats> {
    let cluster = Cluster::start(work, 3)?;
    let servers = cluster.servers();
    let client = Client::new(Servers::parse(&servers)?);
    cluster.wait_until_whole(&client).await?;
    let leader = client.cluster().await?.leader.context("a leader")?;
    super::submit(&client).await?;
    let (answered, mut answers) = mpsc::unbounded_channel();
    let mut fleet = JoinSet::new();
    for number in 0..workers {
        // A connection of its own for each, as hosts have.
        let own = Client::new(Servers::parse(&servers)?);
        fleet.spawn(worker(own, number, workers, answered.clone()));
        if number as usize % AT_ONCE == AT_ONCE - 1 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let busy = async {
        loop {
            let listed = client.workers().await?;
            if listed.iter().filter(|worker| !worker.running.is_empty()).count() == workers as usize {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(ARRIVAL, busy).await.context("the fleet does not come to work")??;
    while answers.try_recv().is_ok() {}
    let (begun, cpu) = (Instant::now(), cluster.cpu(leader)?);
    tokio::time::sleep(WATCHED).await;
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cluster.cpu(leader)? - cpu);
    let mut took: Vec<f64> = std::iter::from_fn(|| answers.try_recv().ok()).collect();
    took.sort_by(f64::total_cmp);
    ensure!(!took.is_empty(), "no heartbeat was answered");
    let listed = client.workers().await?;
    let silent = workers as usize - listed.iter().filter(|worker| !worker.running.is_empty()).count();
    ensure!(silent == 0, "{silent} workers were lost");
    fleet.shutdown().await;
    Ok(Beats {
        per_second: took.len() as f64 / seconds,
        microseconds: cpu.as_secs_f64() * 1e6 / took.len() as f64,
        answered_ms: (took[took.len() / 2], took[took.len() * 99 / 100]),
        memory: cluster.memory(leader)?,
    })
}

/// A worker that never ends its chunk, until it is aborted.
async fn worker(client: Client, number: u32, of: u32, answered: mpsc::UnboundedSender<f64>) {
    while link(&client, number, of, &answered).await.is_err() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn link(client: &Client, number: u32, of: u32, answered: &mpsc::UnboundedSender<f64>) -> Result<()> {
    let (sender, messages) = mpsc::channel(16);
    let mut heard = client.connect_worker(ReceiverStream::new(messages)).await?;
    let say = async |message| sender.send(v1::WorkerMessage { message: Some(message) }).await;
    say(Said::Register(v1::Register {
        name: format!("beat-{number}"),
        incarnation: 1,
        slots: 1,
        memory_bytes: 1 << 44,
        scratch_bytes: 1 << 44,
        codecs: ["h264", "aac", "check"].map(str::to_owned).to_vec(),
        ..v1::Register::default()
    }))
    .await?;
    // Spread over the time between two heartbeats.
    let first = tokio::time::Instant::now() + HEARTBEAT.mul_f64(f64::from(number) / f64::from(of));
    let mut beats = interval_at(first, HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut sequence, mut sent, mut running) = (0, Instant::now(), Vec::new());
    loop {
        tokio::select! {
            message = heard.message() => match message?.context("the scheduler ended")?.message {
                Some(Heard::HeartbeatAck(ack)) if ack.sequence == sequence => {
                    answered.send(sent.elapsed().as_secs_f64() * 1000.0)?;
                }
                Some(Heard::Grant(grant)) => {
                    let spec = grant.spec.context("a task")?;
                    let Some(Work::Index(_)) = spec.work else {
                        running = vec![(spec.task, spec.epoch)];
                        continue;
                    };
                    let result = commit_task::Result::Index(index(of).into());
                    let (task, epoch, result) = (spec.task, spec.epoch, Some(result));
                    let commit = v1::CommitTask { request: 1, task, epoch, result, source_bytes_read: None };
                    say(Said::CommitTask(commit)).await?;
                }
                _ => {}
            },
            _ = beats.tick() => {
                (sequence, sent) = (sequence + 1, Instant::now());
                let progress = Some(v1::Progress { frames_done: sequence, frames_total: 288, part: None });
                let running = running.iter().map(|(task, epoch)| {
                    v1::RunningAttempt { task: *task, epoch: *epoch, progress }
                });
                let running = running.collect();
                say(Said::Heartbeat(v1::Heartbeat { sequence, running, leaving: false, load: None })).await?;
            }
        }
    }
}
