//! How many tasks a farm commits: real schedulers on a real disk, and agents that do nothing but answer.

mod agent;
mod heartbeats;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use reel_client::{Client, Servers};
use reel_common::{JobId, Stage};
use reel_proto::v1;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::heartbeats::Beats;
use reel_bench::cluster::{Cluster, PATIENCE};

/// Commits a second that three nodes must reach, and processor time of the leader that a task may cost.
const LEAST_COMMITS: f64 = 5000.0;
const MOST_MICROSECONDS: f64 = 100.0;
/// Seconds from the death of the leader to the next grant, in the median.
const MOST_FAILOVER: f64 = 3.0;
/// Milliseconds in which 99 of 100 heartbeats are to be answered: a tenth of a lease.
const MOST_ANSWER_MS: f64 = 2000.0;
/// More parts than are ever done while leaders are killed.
const ENDLESS: u32 = 1_000_000;

/// Measures tasks and commits a second, and the leader's processor time for each, with tasks that do nothing.
#[derive(Debug, Parser)]
#[command(name = "reel-bench-farm")]
struct Args {
    /// Sizes of the clusters that are measured.
    #[arg(long, value_delimiter = ',', default_value = "1,3")]
    schedulers: Vec<usize>,
    /// How often the leader of three is killed under load.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=100))]
    failovers: u32,
    /// Encode tasks of the job, of one part each.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    tasks: u32,
    /// Workers of the fleet whose heartbeats are measured; 0 leaves that out.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    fleet: u32,
    /// Agents.
    #[arg(long, default_value_t = 16)]
    workers: u32,
    /// Slots of each agent.
    #[arg(long, default_value_t = 64)]
    slots: u32,
    /// Where the schedulers keep their logs: on the disk that is to be measured.
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
}

fn main() -> ExitCode {
    reel_bench::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<ExitCode> {
    // Each worker of the fleet is a connection.
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut holds = true;
    let mut out = std::io::stdout();
    writeln!(out, "schedulers  tasks/s  first fifth  last fifth  commits/s  leader CPU/task  leader memory")?;
    for size in &args.schedulers {
        let measured =
            runtime.block_on(measure(args, *size)).with_context(|| format!("{size} schedulers"))?;
        let Measured { seconds, first, last, cpu, memory } = measured;
        let tasks = f64::from(args.tasks);
        // A part and the task, each a durable answer.
        let (commits, microseconds) = (2.0 * tasks / seconds, cpu.as_secs_f64() * 1e6 / tasks);
        let per_second = tasks / seconds;
        let memory = memory >> 20;
        writeln!(
            out,
            "{size:10}  {per_second:7.0}  {first:11.0}  {last:10.0}  {commits:9.0}  {microseconds:12.0} us  \
             {memory:9} MiB"
        )?;
        holds &= *size != 3 || (commits >= LEAST_COMMITS && microseconds <= MOST_MICROSECONDS);
    }
    if args.failovers > 0 {
        let mut seconds = runtime.block_on(failovers(args)).context("failovers")?;
        let all: Vec<String> = seconds.iter().map(|seconds| format!("{seconds:.2}")).collect();
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        writeln!(
            out,
            "leader killed to next grant, 3 schedulers: {} s, median {median:.2} s",
            all.join(" ")
        )?;
        holds &= median < MOST_FAILOVER;
    }
    if args.fleet > 0 {
        let beats = runtime.block_on(heartbeats::measure(&args.work, args.fleet)).context("heartbeats")?;
        let Beats { per_second, microseconds, answered_ms: (half, most), memory } = beats;
        let (fleet, memory) = (args.fleet, memory >> 20);
        writeln!(
            out,
            "{fleet} workers at work, {per_second:.0} heartbeats/s: {microseconds:.0} us of the leader each, answered in \
             {half:.1} ms, 99 of 100 in {most:.0} ms, {memory} MiB"
        )?;
        holds &= most < MOST_ANSWER_MS;
    }
    if !holds {
        writeln!(
            out,
            "behind the limits with 3 schedulers: {LEAST_COMMITS} commits/s, {MOST_MICROSECONDS} us a task, \
             {MOST_FAILOVER} s from leader to leader, {MOST_ANSWER_MS} ms for a heartbeat"
        )?;
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Measured {
    seconds: f64,
    /// Tasks a second while most are queued, and while most are done.
    first: f64,
    last: f64,
    cpu: Duration,
    memory: u64,
}

async fn submit(client: &Client) -> Result<JobId> {
    let profile = reel_profiles::catalog::text("proxy").context("the catalog has it")?;
    let request = v1::SubmitRequest {
        mezzanine: "/bench.mov".to_owned(),
        profile: profile.to_owned(),
        profile_name: "proxy".to_owned(),
        output: "/bench".to_owned(),
        chunk_parts: Some(1),
        idempotency_key: Some("bench".to_owned()),
        ..v1::SubmitRequest::default()
    };
    Ok(JobId(client.submit(request).await?.job))
}

/// Kills the leader under load, again and again: seconds until the next one has granted a task.
async fn failovers(args: &Args) -> Result<Vec<f64>> {
    let mut cluster = Cluster::start(&args.work, 3)?;
    let client = Client::new(Servers::parse(&cluster.servers())?);
    cluster.wait_until_whole(&client).await?;
    submit(&client).await?;
    let (granted, mut grants) = mpsc::unbounded_channel();
    let mut agents = JoinSet::new();
    for number in 0..args.workers {
        // As many slots as a host has: the farm is at work, and not at its limit.
        agents.spawn(agent::run(client.clone(), number, 2, ENDLESS, granted.clone()));
    }
    let mut seconds = Vec::new();
    for _ in 0..args.failovers {
        cluster.wait_until_level(&client).await?;
        let leader = client.cluster().await?.leader.context("a leader")?;
        let killed = Instant::now();
        cluster.kill(leader)?;
        let next = async {
            while let Some((opened, granted)) = grants.recv().await {
                if opened > killed {
                    return Some(granted);
                }
            }
            None
        };
        let next = tokio::time::timeout(PATIENCE, next).await.context("no grant")?.context("agents")?;
        seconds.push((next - killed).as_secs_f64());
        cluster.restart(leader)?;
    }
    agents.shutdown().await;
    Ok(seconds)
}

async fn measure(args: &Args, schedulers: usize) -> Result<Measured> {
    let cluster = Cluster::start(&args.work, schedulers)?;
    let client = Client::new(Servers::parse(&cluster.servers())?);
    cluster.wait_until_whole(&client).await?;
    let job = submit(&client).await?;
    let (granted, _grants) = mpsc::unbounded_channel();
    let mut agents = JoinSet::new();
    for number in 0..args.workers {
        agents.spawn(agent::run(client.clone(), number, args.slots, args.tasks, granted.clone()));
    }
    let leader = client.cluster().await?.leader.context("a leader")?;
    let committed = |view: &reel_common::JobView| view.parts_committed;
    let begun = loop {
        let view = client.job(job).await?;
        if committed(&view) > 0 {
            break (Instant::now(), committed(&view), cluster.cpu(leader)?);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let mut looks = vec![(begun.0, begun.1)];
    let end = loop {
        let view = client.job(job).await?;
        ensure!(view.reason.is_none(), "the job failed: {:?}", view.reason);
        looks.push((Instant::now(), committed(&view)));
        let encode = view.stages.iter().find(|stage| stage.stage == Stage::Encode);
        if encode.is_some_and(|stage| stage.done == stage.total) {
            break Instant::now();
        }
        // As often as somebody who watches is told.
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let (start, before, cpu_before) = begun;
    // Of one look and another.
    let rate =
        |from: &(Instant, u32), to: &(Instant, u32)| f64::from(to.1 - from.1) / (to.0 - from.0).as_secs_f64();
    let passed = |fifths: u32| looks.partition_point(|(_, done)| *done < args.tasks / 5 * fifths);
    let last_look = looks.len() - 1;
    let (first, last) = (passed(1).min(last_look), passed(4).min(last_look - 1));
    let (first, last) = (rate(&looks[0], &looks[first]), rate(&looks[last], &looks[last_look]));
    let share = f64::from(args.tasks) / f64::from(args.tasks - before);
    let cpu = cluster.cpu(leader)? - cpu_before;
    let memory = cluster.memory(leader)?;
    agents.shutdown().await;
    Ok(Measured {
        seconds: (end - start).as_secs_f64() * share,
        first,
        last,
        cpu: cpu.mul_f64(share),
        memory,
    })
}
