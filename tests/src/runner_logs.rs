//! Runners that leave their logs behind, so that a test sees what each of them did, also those that were killed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::clouds::Variables;
use crate::reel::program;

/// A folder of logs, and the program that writes them.
pub struct RunnerLogs(TempDir);

/// What one runner of an encode task did.
#[derive(Debug, Default)]
pub struct Run {
    /// The parts that it finished and of which it encoded anything, in order.
    pub encoded: Vec<u32>,
    /// It has said its last word.
    pub ended: bool,
}

impl RunnerLogs {
    /// Makes the program.
    pub fn new() -> Self {
        let logs = RunnerLogs(crate::scratch());
        let (file, folder) = (logs.0.path().join("runner"), logs.0.path().display());
        let real = program("reel-runner");
        let script = format!("#!/bin/sh\nexec {} \"$@\" 2>>{folder}/$$.log\n", real.display());
        fs::write(&file, script).expect("the program is written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it may be run");
        logs
    }

    /// What makes workers start it.
    pub fn variables(&self) -> Variables {
        vec![("REEL_RUNNER", self.0.path().join("runner").display().to_string())]
    }

    /// All runners of encode tasks so far.
    pub fn runs(&self) -> Vec<Run> {
        let entries = fs::read_dir(self.0.path()).expect("the folder of the logs");
        let files = entries.map(|entry| entry.expect("a log").path());
        let logs = files.filter(|file| file.extension().is_some_and(|name| name == "log"));
        logs.filter_map(|log| run(&fs::read_to_string(log).expect("a log in UTF-8"))).collect()
    }
}

impl Default for RunnerLogs {
    fn default() -> Self {
        Self::new()
    }
}

fn run(log: &str) -> Option<Run> {
    let mut run = log.contains("/encode/").then(Run::default)?;
    for line in log.lines() {
        let fields: BTreeMap<_, _> =
            line.split_whitespace().filter_map(|word| word.split_once('=')).collect();
        if line.contains("part finished") && fields["found"] != fields["renditions"] {
            run.encoded.push(fields["part"].parse().expect("the number of a part"));
        }
        run.ended |= line.contains("task finished") || line.contains("task failed");
    }
    Some(run)
}
