//! The report of a delivered title, as it lies beside its files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use reel_store::Destination;
use serde_json::Value;

use crate::destination::{MAX_REPORT_BYTES, REPORT};
use crate::exit::Stop;
use crate::input;

/// Reads the report of the title in a folder, or the report itself.
///
/// # Errors
/// Nothing is there that could be read as a report.
pub(crate) fn read(path: &Path) -> Result<Value, Stop> {
    let path = if path.is_dir() { path.join(REPORT) } else { path.to_owned() };
    let shown = path.display();
    let mut text = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MAX_REPORT_BYTES).read_to_end(&mut text));
    read.map_err(|error| Stop::failed(format!("cannot read {shown}: {error}")))?;
    let report: Value = serde_json::from_slice(&text)
        .map_err(|error| Stop::failed(format!("{shown} is no report of a title: {error}")))?;
    if report["renditions"].is_array() {
        Ok(report)
    } else {
        Err(Stop::failed(format!("{shown} is no report of a title: it has no renditions")))
    }
}

/// The report of a job's title, where its output is a folder of this machine that holds it.
pub(crate) fn of_job(output: &str, job: u64, submitted_ms: u64) -> Option<Value> {
    let folder = input::local_path(output).filter(|folder| folder.is_absolute())?;
    read(&folder).ok().filter(|report| is_of(report, job, submitted_ms))
}

/// The same, where it is a prefix of an object store that this machine may read.
pub(crate) fn of_remote_job(output: &str, job: u64, submitted_ms: u64) -> Option<Value> {
    let text = Destination::open(output).ok()?.read(REPORT, MAX_REPORT_BYTES).ok()??;
    let report = serde_json::from_slice(&text).ok()?;
    is_of(&report, job, submitted_ms).then_some(report)
}

/// Another job may have delivered there since.
fn is_of(report: &Value, job: u64, submitted_ms: u64) -> bool {
    report["job"]["id"] == job && report["job"]["submitted_ms"] == submitted_ms
}
