//! What can be typed. Each command turns its arguments once into what it needs.

mod about;
mod farm;
mod job;

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::about::{CompletionsArgs, HelpArgs, ManArgs, SchemaArgs};
pub(crate) use self::farm::{
    CloudChoice, ClusterArgs, ClusterCommand, DoctorArgs, HookProgram, LogFormat, MonitorArgs, ProjectArgs,
    ProjectCommand, SchedulerArgs, SchedulerCommand, SchedulerStartArgs, ServerChoice, ViewChoice,
    WorkerArgs, WorkerCommand, WorkerStartArgs,
};
pub(crate) use self::job::{
    Deadline, EditChoice, EventsArgs, JobArgs, JobCommand, ReportForm, SubmitArgs, TaskArgs, TaskCommand,
    TextChoice,
};
use crate::environment;

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the job failed; 4 not found; \
    5 refused; 6 unreachable.\nEnvironment: see `reel help env`. What --json prints: see `reel schema`.";

/// Turns mezzanine files into delivered streaming titles, and proves every frame of them.
#[derive(Debug, Parser)]
#[command(name = "reel", version, disable_help_subcommand = true, after_help = EXIT_CODES)]
#[command(arg_required_else_help = true, subcommand_required = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Transcode(TranscodeArgs),
    Probe(ProbeArgs),
    Plan(PlanArgs),
    Verify(VerifyArgs),
    Check(CheckArgs),
    Profile(ProfileArgs),
    Submit(SubmitArgs),
    Job(JobArgs),
    Task(TaskArgs),
    Events(EventsArgs),
    Monitor(MonitorArgs),
    Project(ProjectArgs),
    Worker(WorkerArgs),
    Scheduler(SchedulerArgs),
    Cluster(ClusterArgs),
    Doctor(DoctorArgs),
    Schema(SchemaArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
    Help(HelpArgs),
}

/// Makes a title with the whole farm in one process: scheduler, workers and store.
///
/// The title appears at OUTPUT only when it is whole and proved. Ctrl-C, a crash or a power cut lose at most the parts
/// in hand: the same command goes on from there, and makes nothing twice.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel transcode movie.mov titles/movie --profile vod-abr\n\n\
    --json prints one object a line: {\"event\":\"progress\",..} while it works, at the end\n  \
    {\"job\":1,\"state\":\"done\",\"output\":\"..\",\"frames\":..,\"parts_total\":..,\"renditions_encoded\":..,\n   \
    \"renditions_reused\":..,\"parts_encoded_twice\":..,\"elapsed_s\":..}")]
pub(crate) struct TranscodeArgs {
    /// The mezzanine: a path, or a file, http, https, s3, gs or az URL.
    #[arg(value_name = "INPUT")]
    pub(crate) input: String,
    /// The folder of the title, or the s3, gs or az URL of one. It must not exist, be empty, or hold an earlier title, which is
    /// replaced.
    #[arg(value_name = "OUTPUT")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) profile: ProfileChoice,
    #[command(flatten)]
    pub(crate) home: HomeChoice,
    /// How many worker agents run in this process, at most 64.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) workers: u32,
    /// Attempts that each worker runs at once, at most 256; by default the cores divided by the workers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) slots: Option<u32>,
    #[command(flatten)]
    pub(crate) text: TextChoice,
    #[command(flatten)]
    pub(crate) edit: EditChoice,
    /// Parts that one attempt takes at a time; by default the plan decides.
    #[arg(long, value_name = "N")]
    pub(crate) chunk_parts: Option<NonZeroU32>,
    /// One JSON object a line instead of progress for people.
    #[arg(long, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// No progress: only warnings and errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Measures a mezzanine: streams, frames, random access points, times.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  reel probe movie.mov\n\n--json prints one object: input, container, size_bytes, \
    duration, frames, timing, rate, video, audio, ..;\nexact numbers are fractions in text, such as \
    \"24000/1001\"; names that end in _s are seconds in decimal."
)]
pub(crate) struct ProbeArgs {
    /// The mezzanine: a path, or a file, http, https, s3, gs or az URL.
    #[arg(value_name = "INPUT")]
    pub(crate) input: String,
    /// One JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows what a job would do: renditions, parts, chunks, tasks, memory and cost. Runs nothing but the index.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  reel plan movie.mov --profile vod-abr\n\n--json prints one object: input, \
    profile, frames, renditions, audio, images, segments, parts, chunks,\ntasks, memory, cost, warnings."
)]
pub(crate) struct PlanArgs {
    /// The mezzanine: a path, or a file, http, https, s3, gs or az URL.
    #[arg(value_name = "INPUT")]
    pub(crate) input: String,
    #[command(flatten)]
    pub(crate) profile: ProfileChoice,
    /// Parts that one attempt takes at a time; by default the plan decides.
    #[arg(long, value_name = "N")]
    pub(crate) chunk_parts: Option<NonZeroU32>,
    #[command(flatten)]
    pub(crate) edit: EditChoice,
    /// One JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Proves a delivered title against its mezzanine, or shows the first mismatch (exit code 1).
///
/// Checks the digest of every file that report.json lists, then decodes title and mezzanine and matches every frame.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  reel verify titles/movie --against movie.mov\n\n--json prints one object: \
    output, mezzanine, files, bytes, renditions, audio, images."
)]
pub(crate) struct VerifyArgs {
    /// The folder of the title.
    #[arg(value_name = "OUTPUT")]
    pub(crate) output: PathBuf,
    /// The mezzanine it was made from: a path, or a file, http, https, s3, gs or az URL.
    #[arg(long, value_name = "MEZZANINE")]
    pub(crate) against: String,
    /// Where the content keys of an encrypted title are, if they are not where its profile names them: a path, a URL, or
    /// `env:REEL_KEYS..`.
    #[arg(long, value_name = "KEYS")]
    pub(crate) keys: Option<String>,
    /// One JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Judges a package of HLS or DASH, whoever made it: exit code 1 where it breaks a rule that players depend on.
///
/// Playlists, manifest, boxes and files are read and held against their specifications and against each other, and against the rules
/// of destinations. Nothing is decoded or decrypted.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  reel check titles/movie --destination apple-hls\n  reel check --rules --destination roku\n\n\
    --json prints one object: folder, destinations, errors, warnings, findings; each finding has rule, severity,\nfile, \
    found, wanted, source. Warnings alone leave the exit code 0."
)]
pub(crate) struct CheckArgs {
    /// The folder of the package.
    #[arg(value_name = "FOLDER", required_unless_present = "rules")]
    pub(crate) folder: Option<PathBuf>,
    /// A destination whose rules are to be met as well: apple-hls, dash-if, roku. May be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: Vec<String>,
    /// Lists all rules in place of a judgement, with those of the destinations that are named.
    #[arg(long, conflicts_with = "folder")]
    pub(crate) rules: bool,
    /// One JSON object instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Lists, shows and checks profiles.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel profile show vod-abr > mine.toml\n  reel profile check mine.toml")]
#[command(arg_required_else_help = true)]
pub(crate) struct ProfileArgs {
    #[command(subcommand)]
    pub(crate) command: ProfileCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    List(ProfileListArgs),
    Show(ProfileShowArgs),
    Check(ProfileCheckArgs),
}

/// Lists the profiles of the catalog.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel profile list\n\n--json prints one object: \
    {\"profiles\":[{\"name\":\"..\",\"version\":1,\"video\":[..],\"audio\":[..]},..]}")]
pub(crate) struct ProfileListArgs {
    /// One JSON object instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows a profile with every value spelled out.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel profile show vod-abr\n\n--json prints one object with the same \
    names as the TOML.")]
pub(crate) struct ProfileShowArgs {
    /// A name of the catalog, or the path of a TOML file.
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: String,
    /// One JSON object instead of TOML.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Checks a profile file: says what is wrong, in which line.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel profile check mine.toml\n\n--json prints one object: \
    {\"file\":\"..\",\"name\":\"..\",\"version\":1,\"ok\":true}")]
pub(crate) struct ProfileCheckArgs {
    /// The TOML file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// One JSON object instead of a sentence.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileChoice {
    /// A name of the catalog (`reel profile list`), or the path of a TOML file.
    #[arg(long = "profile", value_name = "P", id = "profile")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct HomeChoice {
    /// Where state, finished parts and scratch files are kept; by default ~/.local/state/reel.
    #[arg(long = "home", value_name = "FOLDER", id = "home", env = environment::HOME, hide_env_values = true)]
    pub(crate) folder: Option<PathBuf>,
}
