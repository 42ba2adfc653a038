//! What can be typed about a farm: schedulers, workers, and the jobs that are submitted to them.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ProfileChoice;
use crate::environment;

#[derive(Debug, Args)]
pub(crate) struct ServerChoice {
    /// The farm's schedulers, separated by commas: any of them, such as http://10.0.0.1:7101,http://10.0.0.2:7101.
    #[arg(long = "server", value_name = "URLS", id = "server", env = environment::SERVER, hide_env_values = true)]
    #[arg(default_value = "http://127.0.0.1:7101")]
    pub(crate) list: String,
}

/// Submits a job to a farm.
///
/// When this returns, the job is on the disks of a majority of the schedulers and will not be lost. Mezzanine and OUTPUT
/// are named as the workers see them: a folder that all hosts share, or an http, s3, gs or az URL.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel submit movie.mov file:///srv/out --profile vod-abr --wait\n\n\
    --json prints one object: {\"job\":42,\"state\":\"queued\",\"duplicate\":false}; with --wait the events of \
    `reel transcode`,\nand at the end the object of `reel job show`.")]
pub(crate) struct SubmitArgs {
    /// The mezzanine: a path, or a file, http, https, s3, gs or az URL.
    #[arg(value_name = "INPUT")]
    pub(crate) input: String,
    /// The folder of the title, or its file URL. An earlier title there is replaced.
    #[arg(value_name = "OUTPUT")]
    pub(crate) output: String,
    #[command(flatten)]
    pub(crate) profile: ProfileChoice,
    #[command(flatten)]
    pub(crate) server: ServerChoice,
    /// Whose work it is: projects share the farm (see `reel project`).
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) project: String,
    /// Jobs with more go first within their project; one that comes late starts when a part in hand is done.
    #[arg(long, value_name = "N", default_value = "0", allow_negative_numbers = true)]
    pub(crate) priority: i32,
    /// A second submit with the same key is the same job; by default each submit is a job of its own.
    #[arg(long, value_name = "TEXT")]
    pub(crate) idempotency_key: Option<String>,
    /// Parts that one attempt takes at a time; by default the plan decides.
    #[arg(long, value_name = "N")]
    pub(crate) chunk_parts: Option<NonZeroU32>,
    /// Follow the job until it is over.
    #[arg(long)]
    pub(crate) wait: bool,
    /// JSON instead of text for people.
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// No progress: only warnings and errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Lists, shows, follows and controls jobs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel job list\n  reel job wait 42")]
#[command(arg_required_else_help = true)]
pub(crate) struct JobArgs {
    #[command(subcommand)]
    pub(crate) command: JobCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Lists jobs, newest first.
    #[command(after_help = "Example:\n  reel job list --open\n\n--json prints one object: {\"jobs\":[..]}")]
    List {
        #[command(flatten)]
        server: ServerChoice,
        /// Only jobs that are not over.
        #[arg(long)]
        open: bool,
        /// How many at most.
        #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// One JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Shows a job: its state, its stages, what runs.
    #[command(after_help = "Example:\n  reel job show 42\n\n--json prints one object: id, state, stages, \
        parts_total, parts_committed, attempts, parts_encoded_twice, reason, ..")]
    Show {
        /// Its number.
        job: u64,
        #[command(flatten)]
        server: ServerChoice,
        /// One JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Follows a job until it is over (exit code 3 where it failed).
    #[command(
        after_help = "Example:\n  reel job wait 42\n\n--json prints the events of `reel transcode`, and at \
        the end the object of `reel job show`."
    )]
    Wait {
        /// Its number.
        job: u64,
        #[command(flatten)]
        server: ServerChoice,
        /// One JSON object a line instead of progress for people.
        #[arg(long, conflicts_with = "quiet")]
        json: bool,
        /// No progress: only warnings and errors.
        #[arg(long, short)]
        quiet: bool,
    },
    /// Ends a job; what it made stays in the store.
    #[command(after_help = "Example:\n  reel job cancel 42")]
    Cancel {
        /// Its number.
        job: u64,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Starts nothing more of a job; what runs may end.
    #[command(after_help = "Example:\n  reel job pause 42")]
    Pause {
        /// Its number.
        job: u64,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Ends a pause.
    #[command(after_help = "Example:\n  reel job resume 42")]
    Resume {
        /// Its number.
        job: u64,
        #[command(flatten)]
        server: ServerChoice,
    },
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
    /// Lets a worker work again that was drained or cordoned.
    #[command(after_help = "Example:\n  reel worker undrain w1")]
    Undrain {
        /// Its name.
        name: String,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Lists the workers of the farm.
    #[command(after_help = "Example:\n  reel worker list\n\n--json prints one object: \
        {\"workers\":[{\"name\":\"..\",\"state\":\"ready\",\"slots\":4,\"running\":[..],\"preemptions\":0},..]}")]
    List {
        #[command(flatten)]
        server: ServerChoice,
        /// One JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
}

/// Runs one worker agent until it is asked to end.
///
/// SIGTERM and SIGINT make it go: it takes no more work, finishes the parts in hand if they end within the notice, hands
/// the rest back, and ends. A second signal ends it at once.
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
    /// The store of finished parts, the same for all workers: a folder, or a file, s3, gs or az URL, whose credentials
    /// lie in the environment (see `reel help env`).
    #[arg(long, value_name = "URL")]
    pub(crate) store: String,
    #[command(flatten)]
    pub(crate) server: ServerChoice,
    /// How long parts in hand may take to end after SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value = "90", value_parser = clap::value_parser!(u64).range(0..=86400))]
    pub(crate) notice: u64,
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
        server: ServerChoice,
        /// One JSON object instead of a table.
        #[arg(long)]
        json: bool,
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
        server: ServerChoice,
        /// One JSON object instead of a table.
        #[arg(long)]
        json: bool,
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
