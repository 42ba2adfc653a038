//! Times the whole job against one ffmpeg command that makes the same ladder on the same cores: wall time, memory,
//! bytes read, size and quality. Fails where `reel` is behind its limits.

mod clip;
mod ladder;
mod process;
mod quality;
mod result;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use crate::ladder::Ladder;
use crate::process::Usage;
use crate::result::Results;

/// Compares `reel transcode` with one ffmpeg command that makes the same ladder.
#[derive(Debug, Parser)]
#[command(name = "reel-bench")]
struct Args {
    /// The mezzanine; by default one is made of the bundled clip.
    #[arg(long, value_name = "PATH")]
    clip: Option<PathBuf>,
    /// Length of the mezzanine that is made, in seconds.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(4..=3600))]
    seconds: u32,
    /// Runs of each; the ratio is the median over pairs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// Profile of the catalog, or the path of a TOML file.
    #[arg(long, default_value = "vod-abr")]
    profile: String,
    /// Where clips, outputs and results go.
    #[arg(long, default_value = "target/bench")]
    work: PathBuf,
}

fn main() -> ExitCode {
    reel_bench::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<ExitCode> {
    fs::create_dir_all(&args.work)?;
    let clip = match &args.clip {
        Some(path) => path.clone(),
        None => clip::make(&args.work, args.seconds)?,
    };
    let ladder = Ladder::of(&args.profile, &clip)?;
    let results = measure(args, &clip, &ladder)?;
    let text = results.table();
    std::io::stdout().write_all(text.as_bytes())?;
    let json = args.work.join("results.json");
    fs::write(&json, serde_json::to_vec_pretty(&results.json())?)?;
    let broken = results.broken_limits();
    let judged = reel_bench::judge(&broken)?;
    writeln!(std::io::stdout(), "\nresults: {}", json.display())?;
    Ok(judged)
}

/// Runs both in turns, then measures what the last pair made.
fn measure(args: &Args, clip: &Path, ladder: &Ladder) -> Result<Results> {
    // Both find the source in the page cache.
    std::io::copy(&mut fs::File::open(clip)?, &mut std::io::sink())?;
    let (ours, theirs) = (args.work.join("reel"), args.work.join("ffmpeg"));
    let mut pairs = Vec::new();
    for run in 1..=args.runs {
        let mut pair = [Usage::default(), Usage::default()];
        // The one that goes first changes, so that neither always meets a warm or a tired machine.
        for turn in 0..2 {
            let which = (run as usize + turn) % 2;
            pair[which] =
                if which == 0 { run_reel(args, clip, &ours)? } else { run_ffmpeg(ladder, clip, &theirs, 0)? };
        }
        let [reel, ffmpeg] = pair;
        writeln!(
            std::io::stderr(),
            "run {run} of {}: reel {:.1} s, ffmpeg {:.1} s",
            args.runs,
            reel.wall_s,
            ffmpeg.wall_s
        )?;
        pairs.push((reel, ffmpeg));
    }
    // The same command one step coarser shows what a change of size is worth in quality.
    let coarse = args.work.join("ffmpeg-coarse");
    run_ffmpeg(ladder, clip, &coarse, 1000)?;
    let quality = ladder
        .renditions
        .iter()
        .enumerate()
        .map(|(at, rendition)| {
            let name = &rendition.rendition.name;
            let reel = quality::measure(clip, &ours.join(format!("video/{name}")), rendition)?;
            let ffmpeg = quality::measure(clip, &theirs.join(format!("v{at}")), rendition)?;
            let coarse = quality::measure(clip, &coarse.join(format!("v{at}")), rendition)?;
            Ok(result::Rendition { name: name.clone(), reel, ffmpeg, coarse })
        })
        .collect::<Result<_>>()?;
    Ok(Results { clip: clip.to_owned(), clip_bytes: fs::metadata(clip)?.len(), pairs, quality })
}

fn run_reel(args: &Args, clip: &Path, output: &Path) -> Result<Usage> {
    let home = args.work.join("home");
    for folder in [&home, &output.to_owned()] {
        remove(folder)?;
    }
    let reel = std::env::current_exe()?.with_file_name("reel");
    ensure!(reel.exists(), "{} is not built: run `make bench`", reel.display());
    let mut command = std::process::Command::new(reel);
    command.arg("transcode").arg(clip).arg(output).args(["--quiet", "--profile", &args.profile]);
    command.arg("--home").arg(&home);
    process::run(&mut command)
}

fn run_ffmpeg(ladder: &Ladder, clip: &Path, output: &Path, coarser_milli: u32) -> Result<Usage> {
    remove(output)?;
    fs::create_dir_all(output)?;
    process::run(&mut ladder.ffmpeg(clip, output, coarser_milli)?)
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", folder.display()))
        }
        _ => Ok(()),
    }
}
