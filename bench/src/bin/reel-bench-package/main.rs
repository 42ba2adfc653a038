//! Packages a title whose parts are committed, in turns with `ffmpeg -c copy` and Shaka Packager on the same coded frames.
//! Fails where assemble is slower than they are, or reads a part twice.

mod assemble;
mod peer;
mod process;
mod title;

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use crate::assemble::Assemble;
use crate::process::Usage;
use crate::title::{Package, Title};

/// Times the packaging of a title whose parts are committed.
#[derive(Debug, Parser)]
#[command(name = "reel-bench-package")]
struct Args {
    /// Length of the title in seconds.
    #[arg(long, default_value_t = 1200, value_parser = clap::value_parser!(u32).range(20..=7200))]
    seconds: u32,
    /// Rounds, of which the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// Where the title and the packages go.
    #[arg(long, default_value = "target/bench-package")]
    work: PathBuf,
}

/// What takes turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Reel(Package),
    /// One set of segments for both, or a set for each.
    Ffmpeg {
        shared: bool,
    },
    Shaka {
        encrypted: bool,
    },
}

const TURNS: [(&str, Turn); 6] = [
    ("reel", Turn::Reel(Package::Clear)),
    ("ffmpeg, HLS beside DASH", Turn::Ffmpeg { shared: false }),
    ("ffmpeg, shared segments", Turn::Ffmpeg { shared: true }),
    ("Shaka Packager", Turn::Shaka { encrypted: false }),
    ("reel, cbcs", Turn::Reel(Package::Cbcs)),
    ("Shaka Packager, cbcs", Turn::Shaka { encrypted: true }),
];

/// Bytes of a package over bytes of parts: heads of fragments differ, what is coded does not.
const LEAST_MADE: f64 = 0.95;
/// Bytes read over bytes of parts: records grow with them.
const MOST_READ: f64 = 1.02;
/// Indexes, records and libraries, which do not grow with the parts.
const READ_BESIDE: u64 = 16 << 20;

fn main() -> ExitCode {
    reel_bench::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<ExitCode> {
    let work = std::path::absolute(&args.work)?;
    let title = Title::make(&work, args.seconds)?;
    let spent = work.join("spent");
    remove(&spent)?;
    let mut measured = vec![Vec::new(); TURNS.len()];
    for round in 0..args.rounds as usize {
        for turn in 0..TURNS.len() {
            // Who goes first changes.
            let at = (round + turn) % TURNS.len();
            let (name, turn) = TURNS[at];
            let usage = take(turn, &title, &work.join("package"))?;
            discard(&work.join("package"), &spent.join(format!("{round}-{at}")))?;
            writeln!(
                std::io::stderr(),
                "round {} of {}: {name} {:.2} s",
                round + 1,
                args.rounds,
                usage.wall_s
            )?;
            measured[at].push(usage);
        }
    }
    remove(&spent)?;
    let measured: Vec<Usage> = measured.iter().map(|usages| median(usages)).collect();
    print(&title, &measured)?;
    reel_bench::judge(&broken_limits(&title, &measured))
}

/// Makes one package.
fn take(turn: Turn, title: &Title, output: &Path) -> Result<Usage> {
    remove(output)?;
    process::flush(&title.folder)?;
    let files = title.files();
    let usage = match turn {
        Turn::Reel(package) => Assemble::of(title, package, output)?.run(),
        Turn::Ffmpeg { shared } => peer::ffmpeg(&files, output, shared),
        Turn::Shaka { encrypted } => peer::shaka(&peer::packager()?, &files, output, encrypted),
    }?;
    let made = bytes(output)?;
    ensure!(
        made as f64 > title.part_bytes as f64 * LEAST_MADE,
        "{turn:?} made {made} bytes of {}",
        title.part_bytes
    );
    Ok(usage)
}

/// Puts a package aside and empties its files. They are removed when all turns are over: for minutes after many were, ext4 looks long
/// for the number of each new one, which would be a share of every turn.
fn discard(package: &Path, aside: &Path) -> Result<()> {
    fs::create_dir_all(aside)?;
    fs::rename(package, aside)?;
    empty(aside).with_context(|| format!("emptying {}", aside.display()))
}

fn empty(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => empty(&entry.path())?,
            false => drop(fs::File::create(entry.path())?),
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("removing {}", folder.display())),
    }
}

/// Of all files below a folder.
fn bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}

/// Of each value by itself.
fn median(usages: &[Usage]) -> Usage {
    let middle = |of: &dyn Fn(&Usage) -> f64| {
        let mut values: Vec<f64> = usages.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Usage {
        ended_s: middle(&|usage| usage.ended_s),
        wall_s: middle(&|usage| usage.wall_s),
        cpu_s: middle(&|usage| usage.cpu_s),
        peak_bytes: middle(&|usage| usage.peak_bytes as f64) as u64,
        read_bytes: middle(&|usage| usage.read_bytes as f64) as u64,
    }
}

fn print(title: &Title, measured: &[Usage]) -> Result<()> {
    let mut out = std::io::stdout();
    let megabytes = title.part_bytes as f64 / 1e6;
    writeln!(out, "{megabytes:.0} MB in parts; until everything is on the disk, medians")?;
    writeln!(out, "                            on disk   ended    cpu     MB/s    read   peak MB  reel is")?;
    for ((name, turn), usage) in TURNS.iter().zip(measured) {
        let ratio = ours(turn).map(|at| format!("{:.2} x as fast", usage.wall_s / measured[at].wall_s));
        writeln!(
            out,
            "{name:25} {:7.2} s {:6.2} s {:5.2} s {:7.0} {:6.2} x {:7.1}  {}",
            usage.wall_s,
            usage.ended_s,
            usage.cpu_s,
            megabytes / usage.wall_s,
            usage.read_bytes as f64 / title.part_bytes as f64,
            usage.peak_bytes as f64 / 1e6,
            ratio.unwrap_or_default(),
        )?;
    }
    Ok(())
}

/// The place of what a peer is held against.
fn ours(turn: &Turn) -> Option<usize> {
    let package = match turn {
        Turn::Reel(_) => return None,
        Turn::Shaka { encrypted: true } => Package::Cbcs,
        Turn::Shaka { encrypted: false } | Turn::Ffmpeg { .. } => Package::Clear,
    };
    TURNS.iter().position(|(_, turn)| *turn == Turn::Reel(package))
}

fn broken_limits(title: &Title, measured: &[Usage]) -> Vec<String> {
    let mut broken = Vec::new();
    let most = (title.part_bytes as f64 * MOST_READ) as u64 + READ_BESIDE;
    for ((name, turn), usage) in TURNS.iter().zip(measured) {
        match ours(turn) {
            Some(at) if measured[at].wall_s > usage.wall_s => {
                let (ours, theirs) = (measured[at].wall_s, usage.wall_s);
                broken.push(format!("{} takes {ours:.2} s, {name} {theirs:.2} s", TURNS[at].0));
            }
            None if usage.read_bytes > most => {
                broken.push(format!(
                    "{name} reads {} bytes of {} in parts",
                    usage.read_bytes, title.part_bytes
                ));
            }
            _ => {}
        }
    }
    broken
}

/// A program that was built with this one.
fn program(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    ensure!(program.exists(), "{} is not built: run `make bench-package`", program.display());
    Ok(program)
}
