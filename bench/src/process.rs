//! Runs a command and watches what its whole process tree uses, as `/proc` tells it.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// How often the tree is looked at: short against the seconds that memory stays in use.
const INTERVAL: Duration = Duration::from_millis(100);

/// What a command used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Wall time in seconds.
    pub(crate) wall_s: f64,
    /// Largest sum of resident bytes over the tree.
    pub(crate) peak_bytes: u64,
    /// Runners that were at work at that moment; 0 for a program without runners.
    pub(crate) runners: u64,
    /// Bytes that the tree read by system calls: of ffmpeg, the source; of `reel`, the source, and its own parts and
    /// messages again.
    pub(crate) read_bytes: u64,
}

/// Runs `command` to its end. Fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<Usage> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).spawn()?;
    let mut usage = Usage::default();
    let mut read = BTreeMap::new();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let tree = tree(child.id());
        let resident = tree.iter().map(|process| process.resident_bytes).sum();
        if resident > usage.peak_bytes {
            usage.peak_bytes = resident;
            usage.runners = tree.iter().filter(|process| process.name == "reel-runner").count() as u64;
        }
        read.extend(tree.iter().map(|process| (process.id, process.read_bytes)));
        thread::sleep(INTERVAL);
    };
    ensure!(status.success(), "{command:?} failed: {status}");
    usage.wall_s = start.elapsed().as_secs_f64();
    usage.read_bytes = read.values().sum();
    Ok(usage)
}

struct Process {
    id: u32,
    name: String,
    resident_bytes: u64,
    read_bytes: u64,
}

/// The processes below `root`, itself included. One that ends meanwhile counts as nothing.
fn tree(root: u32) -> Vec<Process> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        for task in fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            open.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        let read = |name: &str| fs::read_to_string(format!("/proc/{id}/{name}")).unwrap_or_default();
        let resident_kib = field(&read("status"), "VmRSS:");
        let read_bytes = field(&read("io"), "rchar:");
        found.push(Process {
            id,
            name: read("comm").trim_end().to_owned(),
            resident_bytes: resident_kib * 1024,
            read_bytes,
        });
    }
    found
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
