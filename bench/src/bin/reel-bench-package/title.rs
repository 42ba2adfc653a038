//! The title: a ladder whose parts are committed once, and the same coded frames as MP4 files for the others.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use prost::Message as _;
use reel_proto::v1;

use crate::assemble::Assemble;

/// Renditions: name, height, rate factor.
const LADDER: [(&str, u32, u32); 3] = [("360p", 360, 26), ("270p", 270, 26), ("180p", 180, 26)];
/// Seconds of the clip that is repeated.
const LOOP_SECONDS: u32 = 20;
/// What the encrypted title is made with.
const KEYS: &str = "00112233445566778899aabbccddeeff:0123456789abcdef0123456789abcdef";

/// A title whose parts lie in a store.
pub(crate) struct Title {
    pub(crate) folder: PathBuf,
    /// Names its parts.
    pub(crate) task: v1::AssembleTask,
    /// Bytes of its parts and tracks together.
    pub(crate) part_bytes: u64,
}

/// What is made of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Package {
    /// HLS and DASH over the same segments.
    Clear,
    /// The same, encrypted by `cbcs`.
    Cbcs,
    /// A file for each rendition, with sound.
    Files,
}

impl Title {
    /// Makes it below `work` unless it is there.
    pub(crate) fn make(work: &Path, seconds: u32) -> Result<Title> {
        let folder = work.join(format!("title-{seconds}s"));
        let made = folder.join("made");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("keys"), KEYS)?;
        if !made.exists() {
            let clip = mezzanine(&folder, seconds)?;
            transcode(&folder, &clip)?;
        }
        let (task, part_bytes) = committed(&folder)?;
        let title = Title { folder, task, part_bytes };
        if !made.exists() {
            Assemble::of(&title, Package::Files, &title.folder.join("files"))?.run()?;
            fs::write(made, "")?;
        }
        Ok(title)
    }

    /// The profile with a package.
    pub(crate) fn profile(&self, package: Package) -> String {
        let mut text = "name = \"bench\"\nversion = 1\nsegment_seconds = 2\npart_seconds = 10\n".to_owned();
        for (name, height, crf) in LADDER {
            text += &format!(
                "[[video]]\nname = \"{name}\"\ncodec = \"h264\"\nheight = {height}\npreset = \"ultrafast\"\n\
                 rate = {{ crf = {crf} }}\n"
            );
        }
        text +=
            "[[audio]]\nname = \"stereo\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 128\n[package]\n";
        let keys = self.folder.join("keys");
        text += &match package {
            Package::Clear => "hls = true\ndash = true\n".to_owned(),
            Package::Files => "mp4 = true\n".to_owned(),
            Package::Cbcs => format!(
                "hls = true\ndash = true\n[encryption]\nscheme = \"cbcs\"\nkeys = \"{}\"\nsystems = [\"common\"]\n\
                 key_uri = \"https://keys.example\"\n",
                keys.display()
            ),
        };
        text
    }

    /// The file of each rendition.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        LADDER.iter().map(|(name, ..)| self.folder.join(format!("files/{name}.mp4"))).collect()
    }

    /// Where its parts lie.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("home/store")
    }
}

/// A clip with grain, repeated without coding it again.
fn mezzanine(folder: &Path, seconds: u32) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tests/media/big-buck-bunny-1080p.mp4");
    let (short, clip) = (folder.join("short.mov"), folder.join("clip.mov"));
    let frames = LOOP_SECONDS * 24;
    let mut command = ffmpeg();
    command.args(["-stream_loop", "9", "-i"]).arg(source);
    command.args(["-f", "lavfi", "-i", "sine=440:r=48000,aformat=channel_layouts=stereo"]);
    command.args(["-map", "0:v", "-map", "1:a", "-frames:v", &frames.to_string(), "-t"]);
    command.arg(LOOP_SECONDS.to_string()).args(["-vf", "fps=24,scale=640:360,noise=alls=12:allf=t,setsar=1"]);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "24", "-crf", "18"]);
    command.args(["-pix_fmt", "yuv420p", "-c:a", "pcm_s16le"]).arg(&short);
    ended(&mut command)?;
    let mut command = ffmpeg();
    let more = seconds.div_ceil(LOOP_SECONDS) - 1;
    command.args(["-stream_loop", &more.to_string(), "-i"]).arg(short);
    ended(command.args(["-map", "0", "-c", "copy"]).arg(&clip))?;
    Ok(clip)
}

fn transcode(folder: &Path, clip: &Path) -> Result<()> {
    let title = Title { folder: folder.to_owned(), task: v1::AssembleTask::default(), part_bytes: 0 };
    let profile = folder.join("bench.toml");
    // Of an encrypted title the store keeps what it was made of.
    fs::write(&profile, title.profile(Package::Cbcs))?;
    let mut command = Command::new(crate::program("reel")?);
    command
        .arg("transcode")
        .arg(clip)
        .arg(folder.join("delivered"))
        .args(["--quiet", "--profile"])
        .arg(profile);
    ended(command.arg("--home").arg(folder.join("home")))
}

/// What assemble was told of the title, and the bytes of the parts.
fn committed(folder: &Path) -> Result<(v1::AssembleTask, u64)> {
    let report = fs::read(folder.join("delivered/report.json"))?;
    let report: serde_json::Value = serde_json::from_slice(&report)?;
    let digest = report["job"]["assembly"].as_str().context("the report names no assembly")?;
    let object = folder.join("home/store/objects").join(&digest[..2]).join(digest);
    let assembly = v1::Assembly::decode(fs::read(object)?.as_slice())?;
    let video = assembly.parts.iter().flat_map(|part| &part.renditions).map(|record| &record.artifact);
    let stored = video.chain(assembly.audio.iter().map(|record| &record.artifact));
    let bytes = stored.flatten().map(|artifact| artifact.size).sum();
    Ok((assembly.made_from.context("the assembly does not say what it is made of")?, bytes))
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]);
    command
}

fn ended(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("running {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
