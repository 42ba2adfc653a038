//! MediaInfo, which reads containers and bitstreams with code of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What MediaInfo says of the first video stream, by its names of fields.
pub fn video(path: &Path) -> BTreeMap<String, String> {
    stream(path, "Video")
}

/// Likewise of the first audio stream.
pub fn audio(path: &Path) -> BTreeMap<String, String> {
    stream(path, "Audio")
}

fn stream(path: &Path, kind: &str) -> BTreeMap<String, String> {
    all(path, kind).into_iter().next().unwrap_or_else(|| panic!("{}: no {kind}", path.display()))
}

/// What MediaInfo says of each stream of a kind, such as `Text`.
pub fn all(path: &Path, kind: &str) -> Vec<BTreeMap<String, String>> {
    let output = Command::new("mediainfo").arg("--Output=JSON").arg(path).output().expect("mediainfo runs");
    assert!(output.status.success(), "{}: {output:?}", path.display());
    let json: Value = serde_json::from_slice(&output.stdout).expect("mediainfo writes JSON");
    let tracks = json["media"]["track"].as_array().cloned().unwrap_or_default();
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let of_track = |track: &Value| {
        let all = fields(track).into_iter().chain(fields(&track["extra"]));
        all.filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
    };
    tracks.iter().filter(|track| track["@type"] == kind).map(of_track).collect()
}
