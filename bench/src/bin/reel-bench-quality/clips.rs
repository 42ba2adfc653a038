//! The clips, cut from the bundled ones: a minute each, 640x360, coded without loss.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// A clip.
pub(crate) struct Clip {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    /// Frames a second.
    pub(crate) rate: u32,
    /// Mean rate of H.264 in kbit/s.
    pub(crate) kbps: u32,
}

/// Animated pictures, each time cut out at another place.
const ANIMATION: &str = "[0:v]crop=1840:1035:x='mod(floor(n/176)*29,80)':y='mod(floor(n/176)*17,45)',\
    scale=640:360,fps=24,setsar=1[v]";
/// A street, each time cut out at another place.
const STREET: &str =
    "[1:v]crop=640:360:x='mod(floor(n/190)*29,80)':y='mod(floor(n/190)*17,45)',fps=25,setsar=1[v]";
/// Cuts between what is easy and what is hard: whole pictures, windows of them, streets, and backwards.
const MIXED: &str = "[0:v]trim=end_frame=176,split=4[a0][w0][x0][b0];[1:v]trim=end_frame=190,split[s0][t0];\
    [2:v]trim=end_frame=130[c0];\
    [a0]scale=640:360[a];[s0]crop=640:360:40:20[s];[w0]crop=640:360:640:360[w];[c0]scale=640:360[c];\
    [t0]crop=640:360:0:45,hflip[t];[x0]crop=640:360:1280:600[x];[b0]reverse,hflip,scale=640:360[b];\
    [a]setpts=N/24/TB,setsar=1[a1];[s]setpts=N/24/TB,setsar=1[s1];[w]setpts=N/24/TB,setsar=1[w1];\
    [c]setpts=N/24/TB,setsar=1[c1];[t]setpts=N/24/TB,setsar=1[t1];[x]setpts=N/24/TB,setsar=1[x1];\
    [b]setpts=N/24/TB,setsar=1[b1];[a1][s1][w1][c1][t1][x1][b1]concat=n=7,fps=24[v]";

/// Makes those that are not there.
pub(crate) fn make(work: &Path) -> Result<Vec<Clip>> {
    let clip = |(name, filter, rate, frames, kbps)| {
        let path = work.join(format!("{name}.mkv"));
        if !path.exists() {
            cut(filter, frames, &path)?;
        }
        Ok(Clip { name, path, rate, kbps })
    };
    let clips = [
        ("animation", ANIMATION, 24, 1_536, 500),
        ("street", STREET, 25, 1_600, 1_200),
        ("mixed", MIXED, 24, 1_200, 700),
    ];
    clips.into_iter().map(clip).collect()
}

fn cut(filter: &str, frames: u32, path: &Path) -> Result<()> {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests/media");
    let part = path.with_extension("part.mkv");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]);
    for name in ["big-buck-bunny-1080p.mp4", "city.mpg", "big-buck-bunny-720p-5.1.mp4"] {
        command.args(["-stream_loop", "9", "-i"]).arg(media.join(name));
    }
    command.args(["-filter_complex", filter, "-map", "[v]", "-frames:v", &frames.to_string()]);
    command.args(["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0"]).arg(&part);
    ensure!(command.status()?.success(), "ffmpeg could not make {}", path.display());
    Ok(std::fs::rename(part, path)?)
}
