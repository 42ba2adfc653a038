//! Runs the real `reel`, in a process group and a home of its own.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::bin_dir;

/// Longest time that one command may take: far above what any test needs on two cores.
const DEADLINE: Duration = Duration::from_secs(240);

/// How many commands this test has made.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// One `reel` command, ready to be started.
pub struct Reel {
    command: Command,
    log: PathBuf,
}

/// A started `reel`. Its whole process group is killed when this is dropped.
pub struct Running {
    child: Child,
    log: PathBuf,
    ended: bool,
}

/// How a `reel` ended and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` when it was killed by a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Reel {
    /// `reel` with the given arguments. What it says is kept in files in `work`.
    pub fn new<S: Into<OsString>>(work: &Path, args: impl IntoIterator<Item = S>) -> Self {
        Self::behind(Vec::new(), work, args)
    }

    /// The same as an ordinary user, also where the test runs as root. `work` must be open to that user.
    pub fn unprivileged<S: Into<OsString>>(work: &Path, args: impl IntoIterator<Item = S>) -> Self {
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
        let root = rustix::process::geteuid().is_root();
        Self::behind(if root { nobody.map(OsString::from).to_vec() } else { Vec::new() }, work, args)
    }

    /// The same, started by the program whose words come first.
    pub fn behind<S: Into<OsString>>(
        first: Vec<OsString>,
        work: &Path,
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        let words = first.into_iter().chain([program("reel").into_os_string()]);
        let mut words = words.chain(args.into_iter().map(Into::into));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).process_group(0).stdin(Stdio::null());
        command.env("REEL_HOME", work.join("home")).env_remove("REEL_LOG");
        // Several commands may run side by side in one folder.
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        Reel { command, log: work.join(format!("log-{number}")) }
    }

    /// `reel transcode` of a path or URL with the home `work/home`.
    pub fn transcode(work: &Path, mezzanine: impl AsRef<OsStr>, output: &Path, profile: &Path) -> Self {
        let words = ["transcode".as_ref(), mezzanine.as_ref(), output.as_os_str(), "--profile".as_ref()];
        Self::new(work, words).arg(profile)
    }

    /// `reel verify` of a title against the path or URL of its mezzanine.
    pub fn verify(work: &Path, title: &Path, mezzanine: impl AsRef<OsStr>) -> Self {
        Self::new(work, ["verify".as_ref(), title.as_os_str(), "--against".as_ref(), mezzanine.as_ref()])
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.command.arg(argument.into());
        self
    }

    /// Adds arguments given as words of a line.
    pub fn args(mut self, line: &str) -> Self {
        self.command.args(line.split_whitespace());
        self
    }

    /// Sets variables of its environment.
    pub fn env(mut self, variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.command.envs(variables);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        let file = |extension| File::create(self.log.with_extension(extension)).expect("a writable folder");
        self.command.stdout(file("out")).stderr(file("err"));
        let child = self.command.spawn().unwrap_or_else(|e| panic!("cannot run {:?}: {e}", self.command));
        Running { child, log: self.log, ended: false }
    }

    /// Runs it to its end.
    pub fn run(self) -> Ended {
        self.start().wait()
    }
}

impl Running {
    /// Id of the process and of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal` to `reel` alone, not to its runners.
    pub fn send(&self, signal: Signal) {
        send(self.id(), signal).expect("it was not waited for");
    }

    /// What it has printed so far, in whole lines.
    pub fn stdout(&self) -> String {
        self.said("out")
    }

    /// What it has complained of so far, in whole lines.
    pub fn stderr(&self) -> String {
        self.said("err")
    }

    fn said(&self, extension: &str) -> String {
        let mut text = fs::read_to_string(self.log.with_extension(extension)).unwrap_or_default();
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        text
    }

    /// Waits until a runner is at work. Panics when none comes.
    pub fn wait_for_runner(&self) {
        until("a runner at work", Duration::from_secs(60), || !runners(self.id()).is_empty());
    }

    /// Waits for the end. Panics when it does not come.
    pub fn wait(mut self) -> Ended {
        let status = self.wait_status();
        self.finish(status)
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.ended = self.ended || self.child.try_wait().expect("a child can be waited for").is_some();
        self.ended
    }

    /// Kills the whole process group with SIGKILL, and waits until it is gone.
    pub fn kill_group(mut self) -> Ended {
        self.kill();
        let status = self.wait_status();
        self.finish(status)
    }

    fn kill(&mut self) {
        // The group may be gone already.
        let _ = kill_process_group(pid(self.id()), Signal::KILL);
    }

    fn wait_status(&mut self) -> ExitStatus {
        let mut status = None;
        until("the end of a reel command", DEADLINE, || {
            status = self.child.try_wait().expect("a child can be waited for");
            status.is_some()
        });
        self.ended = true;
        status.expect("it has ended")
    }

    fn finish(&self, status: ExitStatus) -> Ended {
        let read = |extension| {
            let bytes = fs::read(self.log.with_extension(extension)).expect("the file was made at start");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ended { code: status.code(), stdout: read("out"), stderr: read("err") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            let _ = self.child.wait();
        }
    }
}

impl Ended {
    /// Panics with what it said unless it exited with 0.
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "reel failed\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The last line of its standard output as JSON: the result of a command with `--json`.
    pub fn json(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}):\n{}", self.stdout))
    }
}

/// The path of a program that was built with the tests.
pub fn program(name: &str) -> PathBuf {
    let path = bin_dir().join(name);
    assert!(
        path.exists(),
        "{} is not built: run `make test`, or `cargo build --workspace --bins` first",
        path.display()
    );
    path
}

/// Reads `report.json` of a delivered title.
pub fn report(output: &Path) -> Value {
    let path = output.join("report.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).expect("the report is JSON")
}

/// Waits until `condition` holds. Panics when it does not within `deadline`.
pub fn until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < deadline, "waited {deadline:?} for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends `signal` to one process. Fails when there is none.
pub fn send(id: u32, signal: Signal) -> rustix::io::Result<()> {
    kill_process(pid(id), signal)
}

fn pid(id: u32) -> Pid {
    i32::try_from(id).ok().and_then(Pid::from_raw).expect("the id of a process")
}

/// The state of a process as `proc(5)` writes it: `T` when it is stopped, `Z` when it has ended and nobody has asked
/// for its status. `None` when there is none.
pub fn state(id: u32) -> Option<char> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("State:"))?.trim_start().chars().next()
}

/// Ids of the runners with an attempt in the process tree below `root`.
pub fn runners(root: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for task in tasks {
            // A task that ended meanwhile has no children.
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            open.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
        let read = |file: &str| fs::read_to_string(format!("/proc/{parent}/{file}")).unwrap_or_default();
        // One that is only asked what it can do has no parent that it watches.
        if read("comm").trim_end() == "reel-runner" && read("cmdline").contains("--parent") {
            found.push(parent);
        }
    }
    found
}
