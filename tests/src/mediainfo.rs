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
    let output = Command::new("mediainfo").arg("--Output=JSON").arg(path).output().expect("mediainfo runs");
    assert!(output.status.success(), "{}: {output:?}", path.display());
    let json: Value = serde_json::from_slice(&output.stdout).expect("mediainfo writes JSON");
    let tracks = json["media"]["track"].as_array().cloned().unwrap_or_default();
    let found = tracks.iter().find(|track| track["@type"] == kind);
    let found = found.unwrap_or_else(|| panic!("{}: no {kind}: {json}", path.display()));
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let all = fields(found).into_iter().chain(fields(&found["extra"]));
    all.filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}
