//! What parts cost in quality: a title with a bit rate against whole-file two-pass encodes by ffmpeg, and titles in parts of
//! several lengths against one in a single part. Fails where bit rates or qualities are beyond their limits.

mod clips;
mod frames;
mod peer;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use crate::clips::Clip;
use crate::frames::Made;

/// Compares titles that are made in parts with whole-file encodes of the same size.
#[derive(Debug, Parser)]
#[command(name = "reel-bench-quality")]
struct Args {
    /// Where clips, titles and logs go.
    #[arg(long, default_value = "target/bench-quality")]
    work: PathBuf,
}

/// A codec as it is compared.
struct Codec {
    name: &'static str,
    /// Settings of the profile.
    settings: &'static str,
    /// Its mean rate in percent of that of H.264.
    share: u32,
    /// Rate factor, and by how much the coarser one is higher.
    crf: (u32, u32),
}

impl Codec {
    /// Its mean rate for a clip in kbit/s.
    fn kbps(&self, clip: &Clip) -> u32 {
        clip.kbps * self.share / 100
    }
}

const CODECS: [Codec; 3] = [
    Codec { name: "h264", settings: "preset = \"medium\"", share: 100, crf: (25, 2) },
    Codec { name: "hevc", settings: "preset = \"medium\"", share: 70, crf: (27, 2) },
    Codec { name: "av1", settings: "preset = 8", share: 60, crf: (38, 4) },
];

/// How far a size may be from its bit rate, in percent of it.
const MOST_OFF_PERCENT: f64 = 1.0;
/// How much lower the mean may be than that of a whole-file two-pass encode of the same size, in dB.
const MOST_LOST_DB: f64 = 0.1;
/// Likewise of the frame than which one in a hundred is worse.
const MOST_LOST_OF_WORST_DB: f64 = 0.3;
/// How much larger a title in parts may be than one in a single part, at equal PSNR, in percent.
const MOST_COST_PERCENT: f64 = 0.5;
/// Parts of a title that is not compared by its parts, in seconds.
const USUAL_PART: u32 = 10;
/// A part that holds any of the clips.
const WHOLE: u32 = 120;

fn main() -> ExitCode {
    reel_bench::end(run(&Args::parse()))
}

fn run(args: &Args) -> Result<ExitCode> {
    fs::create_dir_all(&args.work)?;
    let clips = clips::make(&args.work)?;
    let mut out = std::io::stdout();
    writeln!(out, "bit rates, parts of {USUAL_PART} s against whole-file two passes (AV1: one pass)")?;
    writeln!(out, "clip      codec  kbit/s  size off  peer off  psnr   peer   mean    worst 1 %")?;
    let mut broken = Vec::new();
    for clip in &clips {
        let title = transcode(&args.work, clip, "rates", USUAL_PART, |codec| {
            format!("bitrate_kbps = {}", codec.kbps(clip))
        })?;
        for codec in &CODECS {
            let ours = Made::of(&title.join(format!("{}.mp4", codec.name)), clip)?;
            let theirs = Made::of(&peer::encode(&args.work, clip, codec)?, clip)?;
            let off = |made: &Made| (made.kbps(clip) / f64::from(codec.kbps(clip)) - 1.0) * 100.0;
            let (mean, worst) = (ours.mean() - theirs.mean(), ours.worst() - theirs.worst());
            writeln!(
                out,
                "{:9} {:5} {:7} {:+8.2} % {:+7.2} % {:6.2} {:6.2} {mean:+6.3} {worst:+6.3} dB",
                clip.name,
                codec.name,
                codec.kbps(clip),
                off(&ours),
                off(&theirs),
                ours.mean(),
                theirs.mean(),
            )?;
            let what = format!("{} of {}", codec.name, clip.name);
            if off(&ours).abs() > MOST_OFF_PERCENT {
                broken.push(format!("{what} is {:+.2} % from its bit rate", off(&ours)));
            }
            // The peer's single pass of AV1 does not keep its rate.
            if codec.name != "av1" && (mean < -MOST_LOST_DB || worst < -MOST_LOST_OF_WORST_DB) {
                broken.push(format!("{what} is worse than two passes: {mean:+.3} dB, worst {worst:+.3} dB"));
            }
        }
    }
    broken.extend(costs(args, &clips, &mut out)?);
    reel_bench::judge(&broken)
}

/// Prints what parts of several lengths cost against one part, at one rate factor; gives what is beyond its limit.
fn costs(args: &Args, clips: &[Clip], out: &mut impl std::io::Write) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    writeln!(out, "\none rate factor, parts against a single one")?;
    writeln!(out, "clip      codec  parts   size      mean       size at equal PSNR")?;
    for clip in clips {
        let make = |name: &str, seconds: u32, coarser: bool| {
            transcode(&args.work, clip, name, seconds, |codec| {
                format!("crf = {}", codec.crf.0 + if coarser { codec.crf.1 } else { 0 })
            })
        };
        let (whole, coarse) = (make("whole", WHOLE, false)?, make("coarse", WHOLE, true)?);
        let parts = [4, 8, 12, 30].into_iter().map(|seconds| {
            let title = make(&format!("parts-{seconds}"), seconds, false)?;
            Ok((seconds, title))
        });
        let parts = parts.collect::<Result<Vec<(u32, PathBuf)>>>()?;
        for codec in &CODECS {
            let made = |title: &Path| Made::of(&title.join(format!("{}.mp4", codec.name)), clip);
            let (whole, coarse) = (made(&whole)?, made(&coarse)?);
            let per_db = (whole.bytes as f64 / coarse.bytes as f64).ln() / (whole.mean() - coarse.mean());
            for (seconds, title) in &parts {
                let made = made(title)?;
                let (size, lost) = (made.bytes as f64 / whole.bytes as f64, whole.mean() - made.mean());
                let equal = size * (per_db * lost).exp();
                writeln!(
                    out,
                    "{:9} {:5} {seconds:4} s {:+7.2} % {:+7.3} dB {:+7.2} %",
                    clip.name,
                    codec.name,
                    (size - 1.0) * 100.0,
                    -lost,
                    (equal - 1.0) * 100.0,
                )?;
                if (equal - 1.0) * 100.0 > MOST_COST_PERCENT {
                    broken.push(format!("{} of {} pays for parts of {seconds} s", codec.name, clip.name));
                }
            }
        }
    }
    Ok(broken)
}

/// Makes a title of the clip with all codecs, in parts of so many seconds.
fn transcode(
    work: &Path,
    clip: &Clip,
    name: &str,
    part_seconds: u32,
    rate: impl Fn(&Codec) -> String,
) -> Result<PathBuf> {
    let mut text =
        format!("name = \"{name}\"\nversion = 1\nsegment_seconds = 2\npart_seconds = {part_seconds}\n");
    for codec in &CODECS {
        let Codec { name, settings, .. } = codec;
        let head = format!("\n[[video]]\nname = \"{name}\"\ncodec = \"{name}\"\nheight = 360\n{settings}\n");
        text.push_str(&format!("{head}rate = {{ {} }}\n", rate(codec)));
    }
    text.push_str("\n[package]\nmp4 = true\n");
    let profile = work.join(format!("{name}.toml"));
    fs::write(&profile, text)?;
    let title = work.join(format!("{}-{name}", clip.name));
    // Nothing of an earlier run counts as made.
    let home = tempfile::tempdir_in(work)?;
    if title.exists() {
        fs::remove_dir_all(&title)?;
    }
    let reel = std::env::current_exe()?.with_file_name("reel");
    ensure!(reel.exists(), "{} is not built: run `make bench-quality`", reel.display());
    let mut command = Command::new(reel);
    command.arg("transcode").arg(&clip.path).arg(&title).args(["--quiet", "--profile"]).arg(&profile);
    let ended = command.arg("--home").arg(home.path()).status().context("starting reel")?;
    ensure!(ended.success(), "{command:?} failed: {ended}");
    Ok(title)
}
