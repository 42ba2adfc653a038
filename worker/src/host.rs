//! What the host offers: memory and free scratch space.

use std::io;
use std::path::Path;

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
        let limited = system.cgroup_limits().map(|limits| limits.total_memory);
        let memory_bytes = limited.unwrap_or(u64::MAX).min(system.total_memory());
        let cores = std::thread::available_parallelism()?;
        Ok(HostFacts {
            cores: u32::try_from(cores.get()).unwrap_or(u32::MAX),
            memory_bytes,
            scratch_bytes: free_bytes(scratch)?,
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
}
