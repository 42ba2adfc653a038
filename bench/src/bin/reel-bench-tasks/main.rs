//! No-op programs side by side with HyperQueue: as many tasks in as many slots of one worker, in turns on one machine.
//!
//! HyperQueue keeps its queue in memory. Schedulers of `reel` have each grant and each end on their disks before they
//! act on it, three of them on those of a majority.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use reel_bench::cluster::{Cluster, PATIENCE};
use reel_client::{Client, ClientError, Servers};
use reel_common::{JobId, JobState};
use reel_proto::v1;

const HYPERQUEUE: &str = include_str!("hyperqueue.py");
const PROGRAM: &str = "/bin/true";
const HOOK: &str = "noop";

/// Measures tasks a second, and the server's processor time for each, of no-op programs.
#[derive(Debug, Parser)]
#[command(name = "reel-bench-tasks")]
struct Args {
    /// Tasks of each run.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    tasks: u32,
    /// Slots of the worker.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=256))]
    slots: u32,
    /// Runs of each, in turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// A Python that may have the package hyperqueue.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Where the schedulers keep their logs: on the disk that is to be measured.
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
}

fn main() -> ExitCode {
    reel_bench::end(run(&Args::parse()).map(|()| ExitCode::SUCCESS))
}

/// What ran the tasks.
#[derive(Clone, Copy)]
enum Rival {
    HyperQueue,
    Reel { schedulers: usize },
}

impl Rival {
    fn name(self) -> String {
        match self {
            Rival::HyperQueue => "HyperQueue".to_owned(),
            Rival::Reel { schedulers: 1 } => "reel, 1 scheduler".to_owned(),
            Rival::Reel { schedulers } => format!("reel, {schedulers} schedulers"),
        }
    }
}

/// One run.
#[derive(Clone, Copy)]
struct Measured {
    seconds: f64,
    /// Processor time of the server, or of the leader, for each task.
    microseconds: f64,
}

fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut rivals = vec![Rival::Reel { schedulers: 1 }, Rival::Reel { schedulers: 3 }];
    let mut out = std::io::stdout();
    match has_hyperqueue(&args.python) {
        true => rivals.insert(0, Rival::HyperQueue),
        false => writeln!(
            out,
            "{} has no package hyperqueue: without it (`pip install hyperqueue`, and --python)",
            args.python.display()
        )?,
    }
    writeln!(out, "{} runs of {PROGRAM} in {} slots", args.tasks, args.slots)?;
    writeln!(out, "{:20}  round  tasks/s  server CPU/task", "")?;
    let mut all: Vec<(Rival, Vec<Measured>)> = rivals.iter().map(|rival| (*rival, Vec::new())).collect();
    for round in 1..=args.rounds {
        for (rival, runs) in &mut all {
            let measured = match *rival {
                Rival::HyperQueue => hyperqueue(args),
                Rival::Reel { schedulers } => runtime.block_on(reel(args, schedulers)),
            };
            let measured = measured.with_context(|| rival.name())?;
            writeln!(out, "{}", line(args, *rival, &round.to_string(), measured))?;
            runs.push(measured);
        }
    }
    for (rival, runs) in &all {
        let middle = Measured {
            seconds: median(runs.iter().map(|run| run.seconds)),
            microseconds: median(runs.iter().map(|run| run.microseconds)),
        };
        writeln!(out, "{}", line(args, *rival, "median", middle))?;
    }
    Ok(())
}

fn line(args: &Args, rival: Rival, round: &str, measured: Measured) -> String {
    let Measured { seconds, microseconds } = measured;
    let (name, per_second) = (rival.name(), f64::from(args.tasks) / seconds);
    format!("{name:20}  {round:>5}  {per_second:7.0}  {microseconds:12.0} us")
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn has_hyperqueue(python: &Path) -> bool {
    let asked = Command::new(python).args(["-c", "import hyperqueue"]).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn hyperqueue(args: &Args) -> Result<Measured> {
    let numbers = [args.tasks.to_string(), args.slots.to_string()];
    let ended = Command::new(&args.python).args(["-c", HYPERQUEUE]).args(numbers).output()?;
    ensure!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let said = String::from_utf8(ended.stdout)?;
    let last = said.lines().last().context("it said nothing")?;
    let (seconds, microseconds) = last.split_once(' ').context("two numbers")?;
    Ok(Measured { seconds: seconds.parse()?, microseconds: microseconds.parse()? })
}

/// A worker that is killed when this is dropped.
struct Worker(Child);

impl Worker {
    fn start(args: &Args, servers: &str, folder: &Path) -> Result<Self> {
        let reel = std::env::current_exe()?.with_file_name("reel");
        let mut command = Command::new(reel);
        command.args(["worker", "start", "--name", "bench", "--cloud", "none", "--server", servers]);
        command.arg("--slots").arg(args.slots.to_string());
        command.arg("--data").arg(folder.join("worker")).arg("--store").arg(folder.join("store"));
        command.arg("--hook").arg(format!("{HOOK}={PROGRAM}"));
        let log = File::create(folder.join("worker.log"))?;
        Ok(Worker(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn reel(args: &Args, schedulers: usize) -> Result<Measured> {
    let cluster = Cluster::start(&args.work, schedulers)?;
    let client = Client::new(Servers::parse(&cluster.servers())?);
    cluster.wait_until_whole(&client).await?;
    let _worker = Worker::start(args, &cluster.servers(), cluster.folder())?;
    let employed = async {
        while client.workers().await?.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, employed).await.context("the worker does not come")??;
    let leader = client.cluster().await?.leader.context("a leader")?;
    let (before, begun) = (cluster.cpu(leader)?, Instant::now());
    let hook = v1::Hook { name: HOOK.to_owned(), tasks: args.tasks };
    let request = v1::SubmitRequest { hooks: vec![hook], ..v1::SubmitRequest::default() };
    let job = JobId(client.submit(request).await?.job);
    let ended = client.watch(job, |_| Ok::<_, ClientError>(())).await?;
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cluster.cpu(leader)? - before);
    ensure!(ended.state == JobState::Done, "the job is {}: {:?}", ended.state.name(), ended.reason);
    Ok(Measured { seconds, microseconds: cpu.as_secs_f64() * 1e6 / f64::from(args.tasks) })
}
