//! What can be typed about a farm: schedulers, workers, projects.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use reel_common::{Hook, Label, Pool, Price};

use crate::environment;

#[derive(Debug, Args)]
pub(crate) struct ServerChoice {
    /// The farm's schedulers, separated by commas: any of them, such as http://10.0.0.1:7101,http://10.0.0.2:7101.
    #[arg(long = "server", value_name = "URLS", id = "server", env = environment::SERVER, hide_env_values = true)]
    #[arg(default_value = "http://127.0.0.1:7101")]
    pub(crate) list: String,
}

/// How what a farm knows is shown.
#[derive(Debug, Args)]
pub(crate) struct ViewChoice {
    #[command(flatten)]
    pub(crate) server: ServerChoice,
    /// JSON instead of tables: one object; with --watch one a line for each change.
    #[arg(long)]
    pub(crate) json: bool,
    /// Shows it again and again until Ctrl-C, every 2 seconds or so many.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) watch: Option<u64>,
}

/// Checks this host and a farm, and says of each finding what to do: exit code 1 where a check fails.
///
/// Without options it checks the host: processors, memory, scratch space, open files, clock, the runner and its codecs. With
/// --server or REEL_SERVER it checks the schedulers and workers of the farm too.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  reel doctor\n  reel doctor --data /var/lib/reel --store s3://bucket/reel --output s3://titles/movie\n  \
    reel doctor --server http://10.0.0.1:7101,http://10.0.0.2:7101\n\n\
    --json prints one object: {\"checks\":[{\"area\":\"host\",\"check\":\"memory\",\"state\":\"ok\",\"found\":\"..\",\"advice\":null},..],\
    \"ok\":9,\"warn\":1,\"fail\":0}"
)]
pub(crate) struct DoctorArgs {
    /// The folder of the worker or scheduler that is to run here; by default that of temporary files.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// The store of the workers: a small object is put, read, listed and removed.
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    /// Where titles are to be delivered: a small file is put and removed beside them.
    #[arg(long, value_name = "OUTPUT")]
    pub(crate) output: Option<String>,
    /// The farm's schedulers, separated by commas.
    #[arg(long, value_name = "URLS", env = environment::SERVER, hide_env_values = true)]
    pub(crate) server: Option<String>,
    /// One JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows a farm in the terminal, and lets its operator act: jobs, workers, schedulers, events, logs.
///
/// Keys are at the bottom of each screen; ? shows all of them. Whatever changes something is confirmed first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  reel monitor --server http://10.0.0.1:7101,http://10.0.0.2:7101\n  reel monitor --demo"
)]
pub(crate) struct MonitorArgs {
    #[command(flatten)]
    pub(crate) server: ServerChoice,
    /// Shows a farm that is made up, and asks no real one.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Workers of the farm that is made up, at most 100000.
    #[arg(long, value_name = "N", default_value = "48", requires = "demo")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) demo_workers: u32,
    /// Its chunks, at most 10000000.
    #[arg(long, value_name = "N", default_value = "6000", requires = "demo")]
    #[arg(value_parser = clap::value_parser!(u32).range(16..=10_000_000))]
    pub(crate) demo_chunks: u32,
}

/// Runs a worker, and lists those that a farm has.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  reel worker start --name w1 --data /var/lib/reel --store file:///srv/reel\n  \
    reel worker list"
)]
#[command(arg_required_else_help = true)]
pub(crate) struct WorkerArgs {
    #[command(subcommand)]
    pub(crate) command: WorkerCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkerCommand {
    Start(WorkerStartArgs),
    /// Keeps work from a worker, and ends what runs on it with the part in hand. It stays, until it is undrained.
    #[command(after_help = "Example:\n  reel worker drain w1")]
    Drain {
        /// Its name.
        name: String,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Keeps new work from a worker; what runs on it goes on.
    #[command(after_help = "Example:\n  reel worker cordon w1")]
    Cordon {
        /// Its name.
        name: String,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Keeps new work from a worker whose host fails; the farm does so itself when it fails at three jobs in a
    /// row which others can do.
    #[command(after_help = "Example:\n  reel worker quarantine w1")]
    Quarantine {
        /// Its name.
        name: String,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Lets a worker work again that was drained, cordoned or quarantined.
    #[command(after_help = "Example:\n  reel worker undrain w1")]
    Undrain {
        /// Its name.
        name: String,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Shows one worker: its host, what it runs.
    #[command(
        after_help = "Example:\n  reel worker show w1\n\n--json prints the object that `reel worker list` lists."
    )]
    Show {
        /// Its name.
        name: String,
        #[command(flatten)]
        view: ViewChoice,
    },
    /// Lists the workers of the farm.
    #[command(after_help = "Example:\n  reel worker list\n\n--json prints one object: \
        {\"workers\":[{\"name\":\"..\",\"state\":\"ready\",\"slots\":4,\"running\":[..],\"preemptions\":0},..]}")]
    List {
        #[command(flatten)]
        view: ViewChoice,
    },
}

/// How the host of a worker was bought.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum PoolChoice {
    /// It stays.
    OnDemand,
    /// It is cheap, and may be taken away at any time.
    Spot,
}

impl From<PoolChoice> for Pool {
    fn from(choice: PoolChoice) -> Pool {
        match choice {
            PoolChoice::OnDemand => Pool::OnDemand,
            PoolChoice::Spot => Pool::Spot,
        }
    }
}

/// Runs one worker agent until it is asked to end.
///
/// SIGTERM, SIGINT, a notice file and the notice of its cloud make it go: it takes no more work, finishes the parts in hand
/// if they end in time, hands the rest back, and ends. A second signal ends it at once.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  reel worker start --name w1 --data /var/lib/reel --store s3://bucket/reel"
)]
pub(crate) struct WorkerStartArgs {
    /// Its name in the farm; by default the name of the host.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Attempts that it runs at once, at most 256; by default one for each core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) slots: Option<u32>,
    /// Its folder, for scratch files.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: PathBuf,
    /// How its host was bought: chunks go to spot workers first, and after three preemptions to those that stay.
    #[arg(long, value_enum, value_name = "POOL", default_value = "on-demand")]
    pub(crate) pool: PoolChoice,
    /// What its host costs an hour, such as 0.34 in the currency of the site: reports and the monitor say what jobs cost.
    #[arg(long, value_name = "AMOUNT", env = environment::PRICE, hide_env_values = true)]
    pub(crate) price: Option<Price>,
    /// What it is to be known by, such as site=berlin: jobs may need it. May be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<Label>,
    /// A program of the site that it runs for jobs which name its hook, such as notify=/opt/site/notify. May be repeated.
    #[arg(long = "hook", value_name = "NAME=PROGRAM")]
    pub(crate) hooks: Vec<HookProgram>,
    /// The store of finished parts, the same for all workers: a folder, or a file, s3, gs or az URL, whose credentials
    /// lie in the environment (see `reel help env`).
    #[arg(long, value_name = "URL")]
    pub(crate) store: String,
    #[command(flatten)]
    pub(crate) server: ServerChoice,
    /// How long parts in hand may take to end when the worker is to go; less where its host goes sooner.
    #[arg(long, value_name = "SECONDS", default_value = "90", value_parser = clap::value_parser!(u64).range(0..=86400))]
    pub(crate) notice: u64,
    /// The worker goes when this file appears. A number in it says in how many seconds the host goes.
    #[arg(long, value_name = "FILE")]
    pub(crate) notice_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: LogChoice,
    /// Whose preemption notices to follow; auto asks the cloud that the host's firmware names, and elsewhere nobody.
    #[arg(long, value_name = "NAME", value_enum, default_value_t = CloudChoice::Auto)]
    pub(crate) cloud: CloudChoice,
}

/// A hook, and the program that it stands for on this host.
#[derive(Clone, Debug)]
pub(crate) struct HookProgram {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
}

impl FromStr for HookProgram {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, program) = text.split_once('=').ok_or("a hook is written name=/path/of/its/program")?;
        Hook::check_name(name).map_err(|error| error.to_string())?;
        let program = std::path::absolute(program).map_err(|error| format!("{program:?}: {error}"))?;
        Ok(HookProgram { name: name.to_owned(), program })
    }
}

/// How a process that runs by itself writes its log.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LogChoice {
    /// Lines of the log on stderr: for people, or one JSON object each: timestamp, level, target, fields.
    #[arg(long = "log", id = "log", value_name = "FORMAT", value_enum, env = environment::LOG_FORMAT, hide_env_values = true)]
    #[arg(default_value_t = LogFormat::Text)]
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum CloudChoice {
    Auto,
    Aws,
    Gcp,
    Azure,
    None,
}

/// Runs one scheduler of a farm.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  reel scheduler start --id 1 --listen 127.0.0.1:7101 --data s1 --bootstrap"
)]
#[command(arg_required_else_help = true)]
pub(crate) struct SchedulerArgs {
    #[command(subcommand)]
    pub(crate) command: SchedulerCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchedulerCommand {
    Start(SchedulerStartArgs),
}

/// Runs one scheduler until it is asked to end.
///
/// The first one of a farm begins with --bootstrap; each other one is taken in by one that runs, with --join. Both say
/// nothing to a scheduler whose folder belongs to a cluster already, so the same command starts it again.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  reel scheduler start --id 1 --listen 127.0.0.1:7101 --data s1 --bootstrap\n  \
    reel scheduler start --id 2 --listen 127.0.0.1:7102 --data s2 --join http://127.0.0.1:7101"
)]
pub(crate) struct SchedulerStartArgs {
    /// Its number in the cluster, from 1; a number is never given to another.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) id: u64,
    /// Address and port to listen on.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: std::net::SocketAddr,
    /// Where others reach it; by default http:// and what it listens on.
    #[arg(long, value_name = "URL")]
    pub(crate) advertise: Option<String>,
    /// Its folder: log and snapshots. It belongs to this scheduler for ever.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: PathBuf,
    /// Begin a new cluster.
    #[arg(long, conflicts_with = "join")]
    pub(crate) bootstrap: bool,
    /// Join the cluster of these schedulers.
    #[arg(long, value_name = "URLS")]
    pub(crate) join: Option<String>,
    /// Join without a vote.
    #[arg(long, requires = "join")]
    pub(crate) learner: bool,
    #[command(flatten)]
    pub(crate) log: LogChoice,
    /// Let browsers play finished titles: its page then reads them where they were delivered, with its own credentials.
    #[arg(long)]
    pub(crate) preview: bool,
    /// A worker sends a heartbeat this often.
    #[arg(long, value_name = "MS", default_value = "5000", value_parser = clap::value_parser!(u64).range(50..=60_000))]
    pub(crate) heartbeat_ms: u64,
    /// A worker that was not acknowledged for so long stops by itself.
    #[arg(long, value_name = "MS", default_value = "20000", value_parser = clap::value_parser!(u64).range(200..=600_000))]
    pub(crate) lease_ms: u64,
    /// Its work goes to others so much later.
    #[arg(long, value_name = "MS", default_value = "10000", value_parser = clap::value_parser!(u64).range(50..=600_000))]
    pub(crate) grace_ms: u64,
}

/// Shows and changes the cluster of schedulers.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel cluster status\n  reel cluster transfer-leader 2")]
#[command(arg_required_else_help = true)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    pub(crate) command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Shows the schedulers: who leads, who lags.
    #[command(after_help = "Example:\n  reel cluster status\n\n--json prints one object: \
        {\"leader\":1,\"term\":3,\"members\":[{\"id\":1,\"address\":\"..\",\"voter\":true,\"lag\":0},..],..}")]
    Status {
        #[command(flatten)]
        view: ViewChoice,
    },
    /// Takes a scheduler out for good. One that leads hands over first.
    #[command(after_help = "Example:\n  reel cluster remove 3")]
    Remove {
        /// Its number.
        id: u64,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Hands leadership to another scheduler.
    #[command(after_help = "Example:\n  reel cluster transfer-leader 2")]
    TransferLeader {
        /// The number of the one that is to lead.
        id: u64,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Writes everything that the farm knows into a file, from which a new cluster can begin.
    #[command(after_help = "Example:\n  reel cluster backup farm-2026-11-21.backup")]
    Backup {
        /// The file. It must not exist.
        file: PathBuf,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Makes the folder of a first scheduler from a backup, for a farm whose schedulers are all lost.
    ///
    /// Start it then with `reel scheduler start`, and let others join with new folders. What was accepted after the backup is
    /// not known any more; what workers have made of it lies in the store and is not made again.
    #[command(
        after_help = "Example:\n  reel cluster restore farm.backup --id 1 --data s1 --advertise http://10.0.0.1:7101\n  \
        reel scheduler start --id 1 --listen 10.0.0.1:7101 --data s1"
    )]
    Restore {
        /// The file that `reel cluster backup` wrote.
        file: PathBuf,
        /// The number of the scheduler in the new cluster.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        id: u64,
        /// Its folder, which must be new.
        #[arg(long, value_name = "FOLDER")]
        data: PathBuf,
        /// Where others will reach it.
        #[arg(long, value_name = "URL")]
        advertise: String,
    },
    /// Has the scheduler that answers write a snapshot now, and let go of the log before it.
    #[command(after_help = "Example:\n  reel cluster snapshot --server http://127.0.0.1:7102")]
    Snapshot {
        #[command(flatten)]
        server: ServerChoice,
    },
}

/// Lists the projects, and gives them their shares of the farm.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel project set feature --weight 3 --guarantee 8\n  reel project list")]
#[command(arg_required_else_help = true)]
pub(crate) struct ProjectArgs {
    #[command(subcommand)]
    pub(crate) command: ProjectCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectCommand {
    /// Lists the projects that have a share of their own or work.
    #[command(
        after_help = "Example:\n  reel project list\n\n--json prints one object: {\"projects\":[{\"name\":\"..\",\
        \"weight\":1,\"guarantee\":0,\"burst\":null,\"slots\":4,\"open_jobs\":2},..]}"
    )]
    List {
        #[command(flatten)]
        view: ViewChoice,
    },
    /// Gives a project its share.
    #[command(after_help = "Example:\n  reel project set feature --weight 3 --guarantee 8 --burst 100")]
    Set {
        /// Its name: letters, digits and -_.
        name: String,
        #[command(flatten)]
        server: ServerChoice,
        /// Slots are shared in proportion to this.
        #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        weight: u32,
        /// Slots that it gets first, as long as it has work for them.
        #[arg(long, value_name = "SLOTS", default_value = "0")]
        guarantee: u32,
        /// Slots that it never has more of; by default it may have all.
        #[arg(long, value_name = "SLOTS")]
        burst: Option<u32>,
    },
}
