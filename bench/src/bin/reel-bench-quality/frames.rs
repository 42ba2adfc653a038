//! An encode of a clip: its size, and how far each frame is from the clip, by ffmpeg.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::clips::Clip;

/// An encode.
pub(crate) struct Made {
    /// Bytes of its coded frames.
    pub(crate) bytes: u64,
    /// Luma PSNR of each frame in dB, ascending.
    frames: Vec<f64>,
}

impl Made {
    /// Reads the sizes, decodes, and compares.
    pub(crate) fn of(path: &Path, clip: &Clip) -> Result<Made> {
        let mut probe = Command::new("ffprobe");
        probe.args([
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-show_entries",
            "packet=size",
            "-of",
            "csv=p=0",
        ]);
        let sizes = run(probe.arg(path))?;
        let sizes = sizes.lines().map(|line| line.trim_end_matches(',').parse::<u64>());
        let bytes = sizes.sum::<Result<u64, _>>().context("sizes of packets")?;
        // Frames are matched by number: times of different time bases differ in their rounding.
        let number = "settb=1/1000,setpts=N*40";
        let filter = format!("[0:v]format=yuv420p,{number}[m];[1:v]{number}[c];[m][c]psnr=stats_file=-[out]");
        let mut compare = Command::new("ffmpeg");
        compare.args(["-v", "error", "-nostdin", "-i"]).arg(path).arg("-i").arg(&clip.path);
        compare.args(["-filter_complex", &filter, "-map", "[out]", "-f", "null", "/dev/null"]);
        let of_line = |line: &str| {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix("psnr_y:"));
            // Equal pictures have no error; what is better than this nobody sees.
            word.with_context(|| format!("no PSNR in {line}"))?
                .parse()
                .map(|db: f64| db.min(60.0))
                .context("PSNR")
        };
        let mut frames = run(&mut compare)?.lines().map(of_line).collect::<Result<Vec<f64>>>()?;
        ensure!(!frames.is_empty(), "{} has no frames", path.display());
        frames.sort_by(f64::total_cmp);
        Ok(Made { bytes, frames })
    }

    /// Mean of all frames in dB.
    pub(crate) fn mean(&self) -> f64 {
        self.frames.iter().sum::<f64>() / self.frames.len() as f64
    }

    /// The frame than which one in a hundred is worse, in dB.
    pub(crate) fn worst(&self) -> f64 {
        self.frames[self.frames.len() / 100]
    }

    /// Its mean rate.
    pub(crate) fn kbps(&self, clip: &Clip) -> f64 {
        self.bytes as f64 * 8.0 / 1000.0 * f64::from(clip.rate) / self.frames.len() as f64
    }
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed:\n{errors}");
    Ok(String::from_utf8(output.stdout)?)
}
