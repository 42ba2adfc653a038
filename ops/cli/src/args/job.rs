//! What can be typed about jobs and their tasks.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use reel_common::{Hook, LAST_TIME_MS, Label, TaskId, TextSource};

use super::{ServerChoice, ViewChoice};

/// A time, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(pub(crate) u64);

impl FromStr for Deadline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span = humantime::parse_duration(text.trim_start_matches('+')).ok();
        let time = match span {
            Some(span) => SystemTime::now().checked_add(span).ok_or("that is too far away")?,
            None => humantime::parse_rfc3339(text)
                .map_err(|_| "give a time such as 2027-01-31T06:00:00Z, or a span such as 90m")?,
        };
        if time < SystemTime::now() && span.is_none_or(|span| span.is_zero()) {
            return Err("that is past".to_owned());
        }
        let since_1970 = time.duration_since(UNIX_EPOCH).map_err(|_| "that is past")?.as_millis();
        let deadline = u64::try_from(since_1970).ok().filter(|ms| *ms <= LAST_TIME_MS);
        deadline.map(Deadline).ok_or_else(|| "that is too far away".to_owned())
    }
}

/// Subtitles and captions that come with a mezzanine.
#[derive(Debug, Args)]
pub(crate) struct TextChoice {
    /// A file of subtitles (SRT, WebVTT, TTML, SCC): its language, what it is for where that is `captions` or `forced`, the
    /// time in it at which the title begins, and its path or URL, such as en=movie.srt or en:captions@01:00:00=movie.scc; or
    /// one of the mezzanine's own, such as de=stream:2; or captions that lie in its pictures, such as en:captions=video:cc1,
    /// up to video:cc4, and video:service1 to video:service63. May be repeated.
    #[arg(long = "text", value_name = "LANGUAGE[:ROLE][@START]=FILE")]
    pub(crate) texts: Vec<TextSource>,
}

/// What a title is made of, where it is not the mezzanine as it is.
#[derive(Debug, Args)]
pub(crate) struct EditChoice {
    /// An edit decision list: runs of frames of the mezzanine and of other files, in the order of the title (README, "Edits").
    #[arg(long, value_name = "EDIT.toml")]
    pub(crate) edit: Option<PathBuf>,
}

/// Submits a job to a farm.
///
/// When this returns, the job is on the disks of a majority of the schedulers and will not be lost. Mezzanine and OUTPUT
/// are named as the workers see them: a folder that all hosts share, or an http, s3, gs or az URL.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  reel submit movie.mov file:///srv/out --profile vod-abr --wait\n  reel submit -f job.toml\n  \
    reel submit --hook purge:8 --wait\n\n\
    --json prints one object: {\"job\":42,\"state\":\"queued\",\"duplicate\":false}; with --wait the events of \
    `reel transcode`,\nand at the end the object of `reel job show`."
)]
pub(crate) struct SubmitArgs {
    /// The mezzanine: a path, or a file, http, https, s3, gs or az URL.
    #[arg(value_name = "INPUT", required_unless_present_any = ["file", "hooks"], requires = "output")]
    pub(crate) input: Option<String>,
    /// The folder of the title, or its file, s3, gs or az URL. An earlier title there is replaced.
    #[arg(value_name = "OUTPUT", id = "output")]
    pub(crate) output: Option<String>,
    /// A name of the catalog (`reel profile list`), or the path of a TOML file.
    #[arg(long, value_name = "P", required_unless_present_any = ["file", "hooks"])]
    pub(crate) profile: Option<String>,
    /// A file with the job (`reel schema job` says what may stand in it); flags go before it.
    #[arg(long, short, value_name = "JOB.toml", id = "file")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerChoice,
    /// Whose work it is: projects share the farm (see `reel project`); by default the project `default`.
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<String>,
    /// Jobs with more go first within their project; one that comes late starts when a part in hand is done. By default 0.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// When it is wanted: a time such as 2027-01-31T06:00:00Z, or a span from now such as 90m. Of equal priority the
    /// earlier goes first.
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<String>,
    /// What it is to be known by, such as title=a-113. May be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<Label>,
    /// A label that a worker must have to run any of it, such as site=berlin. May be repeated.
    #[arg(long = "need", value_name = "KEY=VALUE")]
    pub(crate) needs: Vec<Label>,
    /// A program of the site to run when the title is delivered, by the name that workers know it by, and how many tasks of
    /// it, such as notify or purge:8. May be repeated: one goes after the other. Without INPUT the job runs just these.
    #[arg(long = "hook", value_name = "NAME[:TASKS]", id = "hooks")]
    pub(crate) hooks: Vec<Hook>,
    #[command(flatten)]
    pub(crate) text: TextChoice,
    #[command(flatten)]
    pub(crate) edit: EditChoice,
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
    #[command(
        after_help = "Examples:\n  reel job list --open\n  reel job list --watch\n\n--json prints one object: {\"jobs\":[..]}"
    )]
    List {
        #[command(flatten)]
        view: ViewChoice,
        /// Only jobs that are not over.
        #[arg(long)]
        open: bool,
        /// Only jobs with this label. May be repeated.
        #[arg(long = "label", value_name = "KEY=VALUE")]
        labels: Vec<Label>,
        /// How many at most.
        #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Shows a job: its state, its stages, what runs.
    #[command(
        after_help = "Examples:\n  reel job show 42\n  reel job show 42 --watch=5\n\n--json prints one object: id, state, stages, \
        parts_total, parts_committed, attempts, parts_encoded_twice, reason, .."
    )]
    Show {
        /// Its number.
        job: u64,
        #[command(flatten)]
        view: ViewChoice,
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
    /// Gives a job that is not over another priority: of its project, the highest goes first.
    #[command(after_help = "Examples:\n  reel job priority 42 10\n  reel job priority 42 -5")]
    Priority {
        /// Its number.
        job: u64,
        /// Higher goes first; 0 is usual.
        #[arg(allow_negative_numbers = true)]
        priority: i32,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Forgives all failures of a job; one that failed goes on where it was.
    #[command(after_help = "Example:\n  reel job retry 42")]
    Retry {
        /// Its number.
        job: u64,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Says why nothing runs of a job, or not all of it.
    #[command(after_help = "Example:\n  reel job explain 42\n\n--json prints one object: \
        {\"job\":42,\"running\":0,\"waiting\":7,\"obstacles\":[{\"stage\":\"encode\",\"name\":\"no-workers\",\"message\":\"..\"}]}")]
    Explain {
        /// Its number.
        job: u64,
        #[command(flatten)]
        server: ServerChoice,
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Prints the end of the log of each attempt that runs, or what the job failed by.
    #[command(after_help = "Example:\n  reel job logs 42")]
    Logs {
        /// Its number.
        job: u64,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Says where the time of a job went: attempts by stage and worker, what was lost.
    #[command(
        after_help = "Example:\n  reel job report 42\n  reel job report 42 --html movie.html\n  reel job report titles/movie --svg movie.svg\n\n\
        --json prints one object: job, attempts_total, stages, workers, attempts, ..; report.json in OUTPUT has every attempt."
    )]
    Report {
        /// Its number; or the folder of a delivered title, or a report.json, of which the curves alone are shown.
        #[arg(value_name = "JOB|PATH")]
        of: String,
        #[command(flatten)]
        server: ServerChoice,
        #[command(flatten)]
        form: ReportForm,
    },
}

/// What a report is printed as; tables where nothing is said.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct ReportForm {
    /// One JSON object instead of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the curves into a file of SVG instead.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Write everything into one file of HTML instead: ladder, curves and joins, timeline, attempts, cost, proof.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Lists, shows, retries and skips the tasks of jobs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel task list 42\n  reel task logs 42/encode/7")]
#[command(arg_required_else_help = true)]
pub(crate) struct TaskArgs {
    #[command(subcommand)]
    pub(crate) command: TaskCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Lists the tasks of a job in the order of their stages.
    #[command(
        after_help = "Example:\n  reel task list 42 --open\n\n--json prints one object: {\"tasks\":[..]}"
    )]
    List {
        /// The number of the job.
        job: u64,
        #[command(flatten)]
        view: ViewChoice,
        /// Only tasks that are not done.
        #[arg(long)]
        open: bool,
        /// Only tasks behind this one.
        #[arg(long, value_name = "TASK")]
        after: Option<TaskId>,
        /// How many at most.
        #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Shows a task and its attempts.
    #[command(
        after_help = "Example:\n  reel task show 42/encode/7\n\n--json prints one object: task, state, parts, \
        attempts, preemptions, faults, running, ended"
    )]
    Show {
        /// Its name, such as 42/encode/7.
        task: TaskId,
        #[command(flatten)]
        view: ViewChoice,
    },
    /// Prints the end of what an attempt has logged.
    #[command(after_help = "Example:\n  reel task logs 42/encode/7 --follow")]
    Logs {
        /// Its name, such as 42/encode/7.
        task: TaskId,
        #[command(flatten)]
        server: ServerChoice,
        /// Which attempt; by default the one that runs, or else the last.
        #[arg(long, value_name = "N")]
        attempt: Option<NonZeroU32>,
        /// Goes on until the attempt is over.
        #[arg(long)]
        follow: bool,
    },
    /// Gives up a task of a hook; its job goes on without it, also one that failed by it.
    #[command(after_help = "Example:\n  reel task skip 42/hook/0")]
    Skip {
        /// Its name, such as 42/hook/0.
        task: TaskId,
        #[command(flatten)]
        server: ServerChoice,
    },
    /// Forgives the failures of a task; a job that it failed goes on where it was.
    #[command(after_help = "Example:\n  reel task retry 42/encode/7")]
    Retry {
        /// Its name, such as 42/encode/7.
        task: TaskId,
        #[command(flatten)]
        server: ServerChoice,
    },
}

/// Prints what happens in a farm, change by change, until it is stopped.
///
/// Each line has the number of its change. Whoever has seen one may go on after it with --after, even when another
/// scheduler leads meanwhile: the newest 20,000 changes are kept.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel events --job 42\n\n--json prints one object a line: \
    {\"number\":812,\"at_ms\":..,\"event\":\"part-committed\",\"task\":\"42/encode/7\",..}")]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) server: ServerChoice,
    /// Only what is about this job.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) job: Option<u64>,
    /// Begin with what came after this change; by default with what happens from now on.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) after: Option<u64>,
    /// One JSON object a line instead of text.
    #[arg(long)]
    pub(crate) json: bool,
}
