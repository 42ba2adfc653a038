//! The host: processors, memory, the folder of scratch files, open files, clock.

use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use reel_worker::HostFacts;
use rustix::fs::{statfs, statvfs};
use rustix::process::{Resource, getrlimit};
use tokio::process::Command;

use super::Check;
use crate::output::bytes;

const AREA: &str = "host";
const GIB: u64 = 1 << 30;
/// What one attempt needs for renditions up to 1080p; larger ones need more (`reel plan` says).
const ATTEMPT_MEMORY: u64 = GIB;
/// Less free space than this stops attempts; less than the other is soon used up.
const LEAST_SCRATCH: u64 = GIB;
const GOOD_SCRATCH: u64 = 10 * GIB;
/// A runner opens a file for each rendition of the parts in hand; a scheduler has a connection for each worker.
const LEAST_FILES: u64 = 1024;
const GOOD_FILES: u64 = 4096;
/// How many bytes are written to see whether a folder takes them.
const TRIAL_BYTES: usize = 1 << 20;
/// How long the service manager may take to say how the clock is.
const CLOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Kinds of file systems whose number (linux/magic.h) matters: name, and whether it is not for scratch files.
const FILE_SYSTEMS: [(u32, &str, bool); 11] = [
    (0x0102_1994, "tmpfs", true),
    (0x0000_6969, "nfs", true),
    (0xff53_4d42, "cifs", true),
    (0xfe53_4d42, "smb2", true),
    (0x6573_5546, "fuse", true),
    (0x0102_1997, "9p", true),
    (0x0000_ef53, "ext", false),
    (0x5846_5342, "xfs", false),
    (0x9123_683e, "btrfs", false),
    (0x2fc1_2fc1, "zfs", false),
    (0x794c_7630, "overlay", false),
];

/// All that is asked of the system itself.
pub(super) fn checks(folder: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    match HostFacts::measure(existing(folder)) {
        Ok(facts) => {
            checks.push(Check::ok(AREA, "processors", facts.cores));
            checks.push(memory(facts.memory_bytes, facts.cores));
        }
        Err(error) => {
            let advice = "see that /proc is there";
            checks.push(Check::fail(AREA, "memory", format!("cannot be measured: {error}"), advice));
        }
    }
    checks.push(space(folder));
    checks.push(open_files(getrlimit(Resource::Nofile).maximum));
    checks
}

/// The folder, or the one above it that is there.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"))
}

fn memory(memory: u64, cores: u32) -> Check {
    let found = format!("{}, {} for each processor", bytes(memory), bytes(memory / u64::from(cores.max(1))));
    let fit = memory / ATTEMPT_MEMORY;
    match fit {
        0 => Check::fail(AREA, "memory", found, "an attempt needs 1 GiB and more: use a larger host"),
        fit if fit < u64::from(cores) => {
            let advice = format!("start its worker with --slots {fit}: an attempt needs 1 GiB and more");
            Check::warn(AREA, "memory", found, advice)
        }
        _ => Check::ok(AREA, "memory", found),
    }
}

/// Whether a folder takes files, how much room is left there, and of what kind it is.
fn space(folder: &Path) -> Check {
    const NAME: &str = "scratch";
    let place = existing(folder);
    let shown = folder.display();
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Check::fail(AREA, NAME, format!("{shown} is full: {error}"), "make room, or give another --data")
        }
        _ => {
            let advice = "give this user the right to write there, or give another --data";
            Check::fail(AREA, NAME, format!("{shown} cannot be written: {error}"), advice)
        }
    };
    let (kind, is_unfit) = kind_of(place);
    let free = match statvfs(place) {
        Ok(facts) => facts.f_bavail.saturating_mul(facts.f_frsize),
        Err(error) => return told(error.into()),
    };
    if let Err(error) = try_write(place) {
        return told(error);
    }
    let found = format!("{shown} has {} free, on {kind}", bytes(free));
    match free {
        free if free < LEAST_SCRATCH => {
            let advice = "attempts need a few GiB each: make room, or give another --data";
            Check::fail(AREA, NAME, found, advice)
        }
        _ if is_unfit => {
            let advice = "scratch files belong on a disk of this host: give a --data that lies on one";
            Check::warn(AREA, NAME, found, advice)
        }
        free if free < GOOD_SCRATCH => {
            Check::warn(AREA, NAME, found, "that is room for few attempts: give it 10 GiB and more")
        }
        _ => Check::ok(AREA, NAME, found),
    }
}

fn try_write(folder: &Path) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".reel-doctor-").tempfile_in(folder)?;
    file.write_all(&vec![0x5a; TRIAL_BYTES])?;
    file.as_file().sync_all()
}

/// The name of a file system, and whether scratch files do not belong there.
fn kind_of(folder: &Path) -> (String, bool) {
    let Ok(facts) = statfs(folder) else { return ("an unknown file system".to_owned(), false) };
    let number = facts.f_type as u32;
    let known = FILE_SYSTEMS.iter().find(|(known, ..)| *known == number);
    known.map_or_else(
        || (format!("a file system of type {number:#x}"), false),
        |(_, name, unfit)| ((*name).to_owned(), *unfit),
    )
}

fn open_files(most: Option<u64>) -> Check {
    const NAME: &str = "open files";
    let advice = format!("raise the limit (ulimit -Hn, LimitNOFILE=) to {GOOD_FILES} and more");
    match most {
        None => Check::ok(AREA, NAME, "no limit"),
        Some(most) if most < LEAST_FILES => Check::fail(AREA, NAME, format!("at most {most}"), advice),
        Some(most) if most < GOOD_FILES => Check::warn(AREA, NAME, format!("at most {most}"), advice),
        Some(most) => Check::ok(AREA, NAME, format!("at most {most}")),
    }
}

/// Whether something keeps the clock right, by the service manager of the host.
pub(super) async fn clock() -> Check {
    const NAME: &str = "clock";
    let advice = "see that the clock of the host follows NTP: object stores refuse whose clock is wrong";
    let mut asked = Command::new("timedatectl");
    asked.args(["show", "--property=NTPSynchronized", "--value"]).stdin(Stdio::null()).kill_on_drop(true);
    let said = match tokio::time::timeout(CLOCK_PATIENCE, asked.output()).await {
        Ok(Ok(said)) => String::from_utf8_lossy(&said.stdout).trim().to_owned(),
        Ok(Err(_)) | Err(_) => String::new(),
    };
    match said.as_str() {
        "yes" => Check::ok(AREA, NAME, "synchronised"),
        "no" => Check::warn(AREA, NAME, "not synchronised", advice),
        _ => Check::warn(AREA, NAME, "nobody here says whether it is synchronised", advice),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn what_a_host_has_is_judged_by_what_attempts_need() {
        let states =
            [(GIB / 2, 4), (2 * GIB, 4), (4 * GIB, 4)].map(|(bytes, cores)| memory(bytes, cores).state);
        assert_eq!(states, [State::Fail, State::Warn, State::Ok]);
        assert!(memory(2 * GIB, 4).advice.unwrap().contains("--slots 2"));
        let states = [Some(256), Some(1024), Some(4096), None].map(|most| open_files(most).state);
        assert_eq!(states, [State::Fail, State::Warn, State::Ok, State::Ok]);
    }
}
