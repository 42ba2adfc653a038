//! Clips made by the `ffmpeg` program, and what it and `ffprobe` say about files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A folder with one clip in it.
pub(crate) struct Clip {
    folder: TempDir,
    pub(crate) path: PathBuf,
}

impl Clip {
    /// Runs `ffmpeg` with arguments separated by blanks; the output is named last.
    pub(crate) fn make(arguments: &str, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        run("ffmpeg", &format!("-v error -bitexact {arguments} {}", path.display()));
        Clip { folder, path }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    /// Writes another file beside the clip.
    pub(crate) fn beside(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Two seconds of moving pictures.
pub(crate) const PICTURES: &str = "-f lavfi -i testsrc2=size=320x180:rate=24000/1001 -t 2";

/// Standard output of a program that must succeed.
pub(crate) fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {complaint}");
    assert_eq!(complaint, "", "{program} {arguments}");
    String::from_utf8(output.stdout).unwrap()
}

/// A packet as ffprobe prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) position: u64,
    pub(crate) size: u32,
    pub(crate) dts: i64,
    pub(crate) pts: i64,
    pub(crate) key: bool,
}

/// The packets of a stream, for example `v:0`, without the edit list applied.
pub(crate) fn packets(path: &Path, stream: &str) -> Vec<Packet> {
    let entries = "packet=pts,dts,size,pos,flags";
    let text = run(
        "ffprobe",
        &format!(
            "-v error -ignore_editlist 1 -select_streams {stream} -show_entries {entries} -of compact=p=0 {}",
            path.display()
        ),
    );
    text.lines().filter(|line| !line.is_empty()).map(packet).collect()
}

fn packet(line: &str) -> Packet {
    let field = |name: &str| {
        let found = line.split('|').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    Packet {
        position: field("pos").parse().unwrap(),
        size: field("size").parse().unwrap(),
        dts: field("dts").parse().unwrap(),
        pts: field("pts").parse().unwrap(),
        key: field("flags").starts_with('K'),
    }
}

/// The presented pictures: presentation time and digest of each, in order of time.
pub(crate) fn pictures(path: &Path) -> Vec<(i64, String)> {
    let text = run(
        "ffmpeg",
        &format!(
            "-v error -copyts -i {} -map 0:v -fps_mode passthrough -enc_time_base -1 -f framemd5 -",
            path.display()
        ),
    );
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            (fields[2].parse().unwrap(), fields[5].to_owned())
        })
        .collect()
}

/// The sound as 16-bit samples, all channels interleaved.
pub(crate) fn sound(path: &Path) -> Vec<u8> {
    let out = path.with_extension("raw");
    run(
        "ffmpeg",
        &format!("-v error -y -i {} -map 0:a -c:a pcm_s16le -f s16le {}", path.display(), out.display()),
    );
    fs::read(out).unwrap()
}
