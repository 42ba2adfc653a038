//! The power cut: what was acknowledged must be there after the file system lost all that was not on its disk.
//!
//! The log lies on ext4 on a loop device. A child process (this test, started again) appends and says what was
//! acknowledged; then the file system is shut down without flushing its journal, mounted again, and read. Needs root.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use openraft::storage::{RaftLogReader, RaftLogStorage};

use super::log_store::LogStore;
use super::tests::{append, entry};
use super::types::Vote;

const CUTS: u64 = 20;
/// Tells the child where its log is.
const CHILD: &str = "REEL_POWER_CUT_LOG";
const IMAGE_BYTES: u64 = 128 << 20;
const NAME: &str = "raft::power_cut::a_power_cut_loses_nothing_that_was_acknowledged";
/// FS_IOC_SHUTDOWN (Linux, include/uapi/linux/fs.h) with the flag for "do not flush the journal".
const SHUTDOWN: &str = r#"open(my $f, "<", $ARGV[0]) or die "$!"; my $flag = pack("L", 2); ioctl($f, 0x8004587D, $flag) or die "$!";"#;
/// How long a child may go on after the cut: whatever it acknowledges then must be there as well.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Entries kept, so that the log is purged all the time.
const WINDOW: u64 = 500;

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_that_was_acknowledged() {
    if let Ok(dir) = std::env::var(CHILD) {
        return append_for_ever(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut disk = LoopDisk::new(dir.path());
    let mut acknowledged = Acknowledged::default();
    for cut in 0..CUTS {
        acknowledged = cut_while_appending(&disk, acknowledged, 20 + 90 * (cut % 5));
        disk = disk.after_cut(dir.path(), cut);
        check(&disk.log(), acknowledged).await;
    }
}

/// What the child was told is on disk.
#[derive(Clone, Copy, Debug, Default)]
struct Acknowledged {
    last: u64,
    term: u64,
}

/// Lets a child append until so many appends are acknowledged, then cuts the power while it goes on.
fn cut_while_appending(disk: &LoopDisk, mut acknowledged: Acknowledged, appends: u64) -> Acknowledged {
    let mut child = Running(
        Process::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
            .env(CHILD, disk.log())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut seen = 0;
    let id = child.0.id().to_string();
    let (ended, wait) = mpsc::channel::<()>();
    let mut wait = Some(wait);
    for line in lines.by_ref().map_while(Result::ok) {
        let mut words = line.split(' ');
        match (words.next(), words.next().and_then(|number| number.parse().ok())) {
            (Some("entry"), Some(number)) => {
                acknowledged.last = number;
                seen += 1;
                if seen == appends {
                    disk.cut_power();
                    // What still runs without a disk need not find its own end.
                    let (id, wait) = (id.clone(), wait.take().unwrap());
                    thread::spawn(move || {
                        if wait.recv_timeout(LAST_WORDS) == Err(mpsc::RecvTimeoutError::Timeout) {
                            run("kill", &["-9", &id]);
                        }
                    });
                }
            }
            (Some("vote"), Some(number)) => acknowledged.term = number,
            _ => {}
        }
    }
    drop(ended);
    assert!(seen >= appends, "the child ended by itself after entry {}", acknowledged.last);
    acknowledged
}

/// The child: votes and appends until the disk is gone, and says what is durable.
async fn append_for_ever(dir: &Path) {
    let (mut store, _) = LogStore::open(dir, 1).await.unwrap();
    let mut term =
        store.get_log_reader().await.read_vote().await.unwrap().map_or(0, |vote| vote.leader_id.term);
    let mut next = store.get_log_state().await.unwrap().last_log_id.map_or(0, |id| id.index + 1);
    loop {
        term += 1;
        store.save_vote(&Vote::new_committed(term, 1)).await.unwrap();
        println!("vote {term}");
        for count in [1, 16, 3, 40, 1] {
            let entries: Vec<_> =
                (next..next + count).map(|index| entry(index, (index % 7 * 900) as usize)).collect();
            append(&mut store, entries).await.unwrap();
            next += count;
            println!("entry {}", next - 1);
        }
        if next > 2 * WINDOW && next % 3 == 0 {
            store.purge(entry(next - WINDOW, 0).log_id).await.unwrap();
        }
    }
}

/// Opens the log and compares it with what was acknowledged.
async fn check(dir: &Path, acknowledged: Acknowledged) {
    let (mut store, closed) = LogStore::open(dir, 1).await.unwrap();
    let state = store.get_log_state().await.unwrap();
    let last = state.last_log_id.map_or(0, |id| id.index);
    assert!(
        last >= acknowledged.last,
        "entry {} was acknowledged, the log ends at {last}",
        acknowledged.last
    );
    let mut reader = store.get_log_reader().await;
    let term = reader.read_vote().await.unwrap().map_or(0, |vote| vote.leader_id.term);
    assert!(term >= acknowledged.term, "vote {} was acknowledged, {term} is stored", acknowledged.term);
    let first = state.last_purged_log_id.map_or(0, |id| id.index + 1);
    let entries = reader.try_get_log_entries(first..).await.unwrap();
    for (index, found) in (first..).zip(&entries) {
        assert_eq!(*found, entry(index, (index % 7 * 900) as usize));
    }
    if acknowledged.last > 0 {
        assert_eq!(first + entries.len() as u64 - 1, last);
    }
    drop((store, reader));
    closed.await.unwrap();
}

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An ext4 file system in a file, whose power can be cut.
struct LoopDisk {
    image: PathBuf,
    mounted: PathBuf,
}

impl LoopDisk {
    fn new(dir: &Path) -> LoopDisk {
        let image = dir.join("disk");
        std::fs::File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
        run("mkfs.ext4", &["-q", "-F", &image.to_string_lossy()]);
        LoopDisk::mount(image, dir.join("mnt"))
    }

    fn mount(image: PathBuf, mounted: PathBuf) -> LoopDisk {
        std::fs::create_dir(&mounted).unwrap();
        run("mount", &["-o", "loop", &image.to_string_lossy(), &mounted.to_string_lossy()]);
        let disk = LoopDisk { image, mounted };
        std::fs::create_dir_all(disk.log()).unwrap();
        std::fs::write(disk.handle(), b"x").unwrap();
        disk
    }

    fn log(&self) -> PathBuf {
        self.mounted.join("log")
    }

    fn handle(&self) -> PathBuf {
        self.mounted.join("handle")
    }

    fn cut_power(&self) {
        run("perl", &["-e", SHUTDOWN, &self.handle().to_string_lossy()]);
    }

    /// The disk as the cut left it. A copy, since the kernel may hold on to the file system that was shut down.
    fn after_cut(self, dir: &Path, cut: u64) -> LoopDisk {
        let copy = dir.join(format!("disk-{cut}"));
        run("cp", &["--sparse=always", &self.image.to_string_lossy(), &copy.to_string_lossy()]);
        LoopDisk::mount(copy, dir.join(format!("mnt-{cut}")))
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("-l").arg(&self.mounted).stderr(Stdio::null()).status();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Process::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("`{program}` cannot be started: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "`{program} {}` failed ({}): {stderr}; this test mounts a loop device: run it as root on a kernel that permits it",
        arguments.join(" "),
        output.status
    );
}
