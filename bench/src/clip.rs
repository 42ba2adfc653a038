//! A mezzanine of any length from the bundled clip: it is repeated, each time cut out of the picture at another place, so
//! that no two repetitions are the same pixels.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// Makes the clip in `work` unless it is there: 1920x1080, 24 fps, H.264 of high quality, AAC stereo.
pub(crate) fn make(work: &Path, seconds: u32) -> Result<PathBuf> {
    let path = work.join(format!("clip-{seconds}s.mp4"));
    if path.exists() {
        return Ok(path);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests/media/big-buck-bunny-1080p.mp4");
    let part = work.join("clip-part.mp4");
    let window =
        "crop=1840:1035:x='mod(floor(n/176)*29,80)':y='mod(floor(n/176)*17,45)',scale=1920:1080,setsar=1";
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-stream_loop", "-1", "-i"]).arg(source);
    command.args(["-t", &seconds.to_string(), "-vf", window, "-c:v", "libx264", "-preset", "veryfast"]);
    command.args(["-crf", "14", "-c:a", "aac", "-b:a", "256k", "-ac", "2"]).arg(&part);
    ensure!(command.status()?.success(), "ffmpeg could not make {}", path.display());
    fs::rename(part, &path)?;
    Ok(path)
}
