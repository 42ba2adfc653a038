//! Whole-file encodes by the distribution's ffmpeg, with the same presets and key frames.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::Codec;
use crate::clips::Clip;

/// Encodes the clip at the codec's bit rate: in two passes, but for AV1, for which ffmpeg 5.1 has none.
pub(crate) fn encode(work: &Path, clip: &Clip, codec: &Codec) -> Result<PathBuf> {
    let output = work.join(format!("{}-{}-peer.mp4", clip.name, codec.name));
    let log = work.join("two-pass.log");
    let passes = if codec.name == "av1" { 1 } else { 2 };
    for pass in 1..=passes {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y", "-i"]).arg(&clip.path).args(["-an", "-b:v"]);
        command.arg(format!("{}k", codec.kbps(clip))).args(encoder(codec, clip, pass, &log));
        // Key frames where segments of two seconds begin; inside, a cut may get one of its own.
        command.args(["-force_key_frames", "expr:gte(t,n_forced*2)"]);
        match pass == passes {
            true => command.arg(&output),
            false => command.args(["-f", "null", "/dev/null"]),
        };
        // SVT-AV1 tells of itself whatever it is asked.
        let ended = command.output()?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.success(), "{command:?} failed:\n{said}");
    }
    Ok(output)
}

fn encoder(codec: &Codec, clip: &Clip, pass: u32, log: &Path) -> Vec<String> {
    let log = log.display();
    let words = match codec.name {
        "h264" => format!(
            "-c:v libx264 -preset medium -pass {pass} -passlogfile {log} \
             -x264-params keyint=infinite:min-keyint=1:open-gop=0"
        ),
        "hevc" => format!(
            "-c:v libx265 -preset medium -forced-idr 1 \
             -x265-params pass={pass}:stats={log}:keyint=2147483647:min-keyint=1:open-gop=0:log-level=error"
        ),
        _ => format!("-c:v libsvtav1 -preset 8 -svtav1-params rc=1 -g {}", 2 * clip.rate),
    };
    words.split_whitespace().map(str::to_owned).collect()
}
