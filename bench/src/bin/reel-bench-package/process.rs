//! One process that packages, and what it used until its bytes were on the disk.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// How often its memory is looked at: it only ever grows.
const INTERVAL: Duration = Duration::from_millis(20);
/// The unit of processor times in `/proc`, in ticks a second: Linux shows it as 100 on every architecture that it runs on today.
const TICKS: f64 = 100.0;

/// What a process used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Until it ended, in seconds.
    pub(crate) ended_s: f64,
    /// Until the file system had also written what it left, in seconds.
    pub(crate) wall_s: f64,
    /// Processor time in seconds.
    pub(crate) cpu_s: f64,
    /// Largest resident set.
    pub(crate) peak_bytes: u64,
    /// Bytes that it read by system calls.
    pub(crate) read_bytes: u64,
}

/// Waits for the end of a child that was started at `start` and writes below `folder`.
///
/// # Errors
/// It failed.
pub(crate) fn watch(mut child: Child, start: Instant, folder: &Path) -> Result<Usage> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process has an id")?;
    let mut usage = Usage::default();
    let mut options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    // It stays a zombie, of which the counters can still be read.
    options |= WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(pid), options)?.is_none() {
        let peak = field(&of_process(pid, "status"), "VmHWM:") * 1024;
        usage.peak_bytes = usage.peak_bytes.max(peak);
        thread::sleep(INTERVAL);
    }
    usage.ended_s = start.elapsed().as_secs_f64();
    usage.read_bytes = field(&of_process(pid, "io"), "rchar:");
    usage.cpu_s = cpu_seconds(&of_process(pid, "stat"))?;
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "it ended with {status}");
    flush(folder)?;
    usage.wall_s = start.elapsed().as_secs_f64();
    Ok(usage)
}

/// Waits until the file system of a folder has written everything.
pub(crate) fn flush(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

fn of_process(pid: Pid, name: &str) -> String {
    // One that has just ended has no memory to tell of.
    fs::read_to_string(format!("/proc/{}/{name}", pid.as_raw_nonzero())).unwrap_or_default()
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// User and system time, which are the fields 14 and 15 of proc(5)'s `stat`.
fn cpu_seconds(stat: &str) -> Result<f64> {
    let (_, fields) = stat.rsplit_once(')').context("no counters of a process that ended")?;
    let ticks: Vec<u64> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<u64>() as f64 / TICKS)
}
