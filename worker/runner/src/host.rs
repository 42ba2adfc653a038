//! How the process fits itself to its host: arguments, limits, its end with its parent, its pipes.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitCode;

use reel_common::{Edit, Stage, TextSource};
use reel_profiles::{AudioCodec, VideoCodec};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};

/// Open files: the mezzanine, the store, and a file for each rendition of the parts in hand.
const OPEN_FILES: u64 = 1024;
/// The data limit is the granted memory twice over, since address space is counted that is never touched, plus the
/// stacks and arenas of a few dozen threads.
const MEMORY_FACTOR: u64 = 2;
const MEMORY_BASE_BYTES: u64 = 512 << 20;

/// What is asked of a runner on its command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To run an attempt.
    Run(Arguments),
    /// What it can encode to.
    Codecs,
    /// What it can decode.
    Decoders,
    /// Which version it is.
    Version,
}

/// What the agent tells a runner that is to run an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    parent: i32,
    /// 0 sets no limit.
    memory_bytes: u64,
}

impl Asked {
    /// Reads `--parent PID --memory-bytes N`, or one of the questions.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut parent, mut memory_bytes) = (None, 0);
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            match name.as_str() {
                "--codecs" => return Ok(Asked::Codecs),
                "--decoders" => return Ok(Asked::Decoders),
                "--version" => return Ok(Asked::Version),
                _ => {}
            }
            let value = arguments.next().ok_or_else(|| format!("{name} has no value"))?;
            let bad = || format!("{name} {value} is not a number");
            match name.as_str() {
                "--parent" => parent = Some(value.parse().map_err(|_| bad())?),
                "--memory-bytes" => memory_bytes = value.parse().map_err(|_| bad())?,
                _ => return Err(format!("{name} is not an option")),
            }
        }
        let parent = parent.ok_or("--parent is missing")?;
        Ok(Asked::Run(Arguments { parent, memory_bytes }))
    }
}

/// Says on stdout what this runner can encode to, as profiles name it, and what else it does that older ones do not, one a line.
pub(crate) fn tell_codecs() -> ExitCode {
    // x265 gives the same bytes with one level of SIMD alone, which a host may lack.
    let runs = |codec: &&VideoCodec| **codec != VideoCodec::Hevc || reel_media::x265_version().is_some();
    let video = VideoCodec::ALL.iter().filter(runs).map(|codec| codec.name());
    let audio = AudioCodec::ALL.iter().filter(|codec| reel_media::encodes(**codec)).map(|codec| codec.name());
    let others = [
        TextSource::CODEC,
        TextSource::CAPTIONS_CODEC,
        Edit::CODEC,
        Stage::IMAGE_CODEC,
        Stage::PREVIEW_CODEC,
        Stage::CHECK_CODEC,
    ];
    tell(video.chain(audio).chain(others))
}

/// Says what this runner can decode, one a line, as libav names it.
pub(crate) fn tell_decoders() -> ExitCode {
    tell(reel_media::decoders().iter().map(String::as_str))
}

/// Says which version it is.
pub(crate) fn tell_version() -> ExitCode {
    tell(std::iter::once(env!("CARGO_PKG_VERSION")))
}

#[expect(clippy::print_stdout, reason = "it is asked for")]
fn tell<'a>(lines: impl Iterator<Item = &'a str>) -> ExitCode {
    lines.for_each(|line| println!("{line}"));
    ExitCode::SUCCESS
}

/// Says on stderr why there is nothing to do.
#[expect(clippy::print_stderr, reason = "there is no log yet")]
pub(crate) fn misused(reason: &str) -> ExitCode {
    eprintln!("reel-runner: {reason}; it is started by reel and not by hand");
    ExitCode::from(2)
}

/// Sets limits, ties the process to its parent, and keeps stdout for messages alone: what libraries print there goes
/// to stderr. Returns the way to the agent.
pub(crate) fn settle_in(arguments: &Arguments) -> Result<File, String> {
    let failed = |what: &str, error: io::Error| format!("{what} failed: {error}");
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| failed("asking for the parent's death signal", error.into()))?;
    // The parent may have died before that.
    if getppid().map(Pid::as_raw_pid) != Some(arguments.parent) {
        return Err("the agent that started it is gone".to_owned());
    }
    let set = |resource, limit| {
        // A limit that is lower already stays.
        let limit = getrlimit(resource).maximum.map_or(limit, |most: u64| most.min(limit));
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
            .map_err(|error| failed("setting a resource limit", error.into()))
    };
    leave_sigterm_to_the_agent().map_err(|error| failed("catching SIGTERM", error))?;
    set(Resource::Core, 0)?;
    set(Resource::Nofile, OPEN_FILES)?;
    if arguments.memory_bytes > 0 {
        set(Resource::Data, arguments.memory_bytes.saturating_mul(MEMORY_FACTOR) + MEMORY_BASE_BYTES)?;
    }
    let pipe =
        io::stdout().as_fd().try_clone_to_owned().map_err(|error| failed("duplicating stdout", error))?;
    rustix::stdio::dup2_stdout(io::stderr()).map_err(|error| failed("redirecting stdout", error.into()))?;
    Ok(File::from(pipe))
}

/// A service manager that stops a worker, or a host that goes down, may send SIGTERM to each of its processes. The agent has
/// time to let the part in hand end; without the agent a runner is gone anyway.
fn leave_sigterm_to_the_agent() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    // The handler stays for as long as the process lives; nobody waits for it.
    tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map(drop)
}

/// Logs what happens, or what `REEL_LOG` asks for, to stderr, whose end the agent keeps.
pub(crate) fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_env_var("REEL_LOG")
        .with_default_directive(tracing_subscriber::filter::LevelFilter::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).init();
}

/// Ends the process at once: the agent is gone and nobody wants the result. Not through `exit`, whose handlers would
/// race with the threads of codecs.
pub(crate) fn vanish() -> ! {
    if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL) {
        tracing::error!(%error, "cannot kill this process");
    }
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Asked, String> {
        Asked::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_are_read_or_refused_with_a_reason() {
        let read = parse("--parent 12 --memory-bytes 1000");
        assert_eq!(read, Ok(Asked::Run(Arguments { parent: 12, memory_bytes: 1000 })));
        assert_eq!(parse("--codecs"), Ok(Asked::Codecs));
        assert_eq!(parse("--version"), Ok(Asked::Version));
        for (line, reason) in [
            ("", "--parent is missing"),
            ("--parent", "--parent has no value"),
            ("--parent x", "--parent x is not a number"),
            ("--help me", "--help is not an option"),
        ] {
            assert_eq!(parse(line), Err(reason.to_owned()));
        }
    }
}
