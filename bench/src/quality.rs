//! Size and quality of one rendition against the mezzanine, by ffmpeg's `psnr` and `ssim` filters, frame by frame.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use reel_profiles::ResolvedRendition;

/// One rendition as it came out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quality {
    /// Bytes of its media files.
    pub(crate) bytes: u64,
    /// Luma PSNR over all frames in decibels.
    pub(crate) psnr: f64,
    /// Luma SSIM, mean over frames.
    pub(crate) ssim: f64,
}

/// Decodes the rendition in `folder` and compares it with the clip, scaled as it was for the encoder.
pub(crate) fn measure(clip: &Path, folder: &Path, rendition: &ResolvedRendition) -> Result<Quality> {
    let ResolvedRendition { width, height, .. } = rendition;
    // Frames are matched by number: times of different time bases differ in their rounding.
    let number = "settb=1/1000,setpts=N*40";
    let filter = format!(
        "[1:v]scale={width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int+bitexact,format=yuv420p,{number},\
         split[r0][r1];[0:v]{number},split[m0][m1];[m0][r0]psnr[p];[m1][r1]ssim[s]"
    );
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin", "-i"]).arg(folder.join("playlist.m3u8")).arg("-i").arg(clip);
    command.args([
        "-filter_complex",
        &filter,
        "-map",
        "[p]",
        "-f",
        "null",
        "-",
        "-map",
        "[s]",
        "-f",
        "null",
        "-",
    ]);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed:\n{text}");
    let value = |filter: &str, name: &str| -> Result<f64> {
        let line = text.lines().find(|line| line.contains(filter) && line.contains(name));
        let rest = line.and_then(|line| line.split_once(name)).map(|(_, rest)| rest);
        let word = rest.and_then(|rest| rest.split_whitespace().next());
        word.with_context(|| format!("ffmpeg printed no {name} of {filter}"))?.parse().context("a number")
    };
    Ok(Quality {
        bytes: media_bytes(folder)?,
        psnr: value("Parsed_psnr", "PSNR y:")?,
        ssim: value("Parsed_ssim", "SSIM Y:")?,
    })
}

fn media_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "m4s") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
