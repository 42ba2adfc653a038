//! What the host offers, and how busy it is: processors, memory, free scratch space.

use std::io;
use std::path::{Path, PathBuf};

use reel_proto::v1;
use sysinfo::System;

/// What the host offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Cores that this process may use.
    pub cores: u32,
    /// Memory in bytes, of the host or of the control group that this process lives in.
    pub memory_bytes: u64,
    /// Free bytes for this user where the scratch folder lies.
    pub scratch_bytes: u64,
}

/// The share of the memory that runners may have; the rest is for the system and the agent.
const RUNNER_PERCENT: u64 = 85;

impl HostFacts {
    /// Memory that all runners of the host may have together, in bytes.
    pub fn runner_memory(&self) -> u64 {
        self.memory_bytes / 100 * RUNNER_PERCENT
    }

    /// Measures now. `scratch` must exist.
    pub fn measure(scratch: &Path) -> io::Result<Self> {
        let mut system = System::new().map_err(io::Error::other)?;
        system.refresh_memory();
        let (_, memory_bytes) = memory(&system);
        let cores = std::thread::available_parallelism()?;
        Ok(HostFacts {
            cores: u32::try_from(cores.get()).unwrap_or(u32::MAX),
            memory_bytes,
            scratch_bytes: free_bytes(scratch)?,
        })
    }
}

/// Bytes of memory that are used, and all: of the control group that this process lives in, or of the host.
fn memory(system: &System) -> (u64, u64) {
    let host = (system.used_memory(), system.total_memory());
    match system.cgroup_limits() {
        Some(limits) if limits.total_memory < host.1 => {
            (limits.total_memory.saturating_sub(limits.free_memory), limits.total_memory)
        }
        _ => host,
    }
}

/// Reads how busy the host is, again and again.
pub(crate) struct Gauge {
    /// None where the system does not tell.
    system: Option<System>,
    scratch: PathBuf,
}

impl Gauge {
    /// A gauge of this host, whose runners leave their files in `scratch`.
    pub(crate) fn new(scratch: PathBuf) -> Gauge {
        Gauge { system: System::new().ok(), scratch }
    }

    /// How busy it has been since the last reading; `None` where that cannot be told.
    pub(crate) fn read(&mut self) -> Option<v1::HostLoad> {
        let system = self.system.as_mut()?;
        system.refresh_cpu_usage();
        system.refresh_memory();
        let (memory_used, memory_total) = memory(system);
        Some(v1::HostLoad {
            cpu_percent: system.global_cpu_usage().clamp(0.0, 100.0).round() as u32,
            memory_used,
            memory_total,
            scratch_free: free_bytes(&self.scratch).ok()?,
        })
    }
}

/// Free bytes for this user on the file system of `folder`.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let facts = rustix::fs::statvfs(folder)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_cores_memory_and_space() {
        let facts = HostFacts::measure(Path::new("/")).unwrap();
        assert!(facts.cores > 0 && facts.memory_bytes > 1 << 20, "{facts:?}");
    }

    #[test]
    fn a_busy_host_says_so() {
        let mut gauge = Gauge::new(PathBuf::from("/"));
        let load = gauge.read().unwrap();
        assert!(load.cpu_percent <= 100 && load.memory_used < load.memory_total, "{load:?}");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while gauge.read().unwrap().cpu_percent == 0 {
            assert!(std::time::Instant::now() < deadline, "this loop keeps a processor busy");
        }
    }
}
