//! MediaInfo, which reads containers and bitstreams with code of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What MediaInfo says of the first video stream, by its names of fields.
pub fn video(path: &Path) -> BTreeMap<String, String> {
    let output = Command::new("mediainfo").arg("--Output=JSON").arg(path).output().expect("mediainfo runs");
    assert!(output.status.success(), "{}: {output:?}", path.display());
    let json: Value = serde_json::from_slice(&output.stdout).expect("mediainfo writes JSON");
    let tracks = json["media"]["track"].as_array().cloned().unwrap_or_default();
    let video = tracks.iter().find(|track| track["@type"] == "Video");
    let video = video.unwrap_or_else(|| panic!("{}: no video: {json}", path.display()));
    let fields = video.as_object().expect("an object").iter();
    fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}
