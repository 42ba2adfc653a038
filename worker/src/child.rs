//! One runner process: its start, what it says, what it is told, and its end.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use reel_common::{Epoch, Failure, FailureClass};
use reel_proto::v1;
use reel_proto::v1::{runner_command, runner_event};
use reel_worker_core::{Exit, HowEnded};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::frame::{FrameError, read_message, write_message};
use crate::log_tail::LogTail;
use crate::scratch;
use crate::spawner::Spawner;

/// The last bytes of a runner's stderr that are evidence of its failure.
pub(crate) const EVIDENCE_BYTES: usize = Failure::MAX_EVIDENCE_BYTES;
/// A runner that has said its last word, or closed its stdout, gets so long to exit.
const EXIT_GRACE: Duration = Duration::from_secs(10);
/// After the exit of a runner its stderr is awaited so long; a grandchild might hold it open.
pub(crate) const STDERR_GRACE: Duration = Duration::from_secs(2);
/// Commands that wait for a runner to read them; each cut is one, and a chunk is cut a few times at most.
const MAX_COMMANDS: usize = 64;

/// Variables that every child inherits: how remote hosts are reached.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];
/// Variables that a runner inherits: where libraries lie, whom to trust, and how much is logged.
const INHERITED: [&str; 4] = ["LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REEL_LOG"];
/// Credentials and settings of sources and stores at S3, Azure and Google,
/// and content keys, which those who encrypt read there.
const INHERITED_PREFIXES: [&str; 4] = ["AWS_", "AZURE_", "GOOGLE_", "REEL_KEYS"];

/// What an attempt starts with.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) scratch: PathBuf,
    /// 0 sets no limit.
    pub(crate) memory_bytes: u64,
    pub(crate) spec: v1::TaskSpec,
    /// Where its stderr goes.
    pub(crate) log: LogTail,
}

/// What a runner says, in order. `Exited` is the last.
#[derive(Debug)]
pub(crate) enum Notice {
    /// There is no runner; the only notice of this attempt.
    NotStarted(Failure),
    Progress(v1::Progress),
    /// The runner waits until it is told to go on.
    PartFinished(v1::PartFinished),
    Finished(Box<v1::TaskFinished>),
    Failed(v1::Failure),
    Exited(Exit),
}

/// Where the notices of a runner go, marked with its epoch.
#[derive(Clone, Debug)]
pub(crate) struct Notices {
    pub(crate) epoch: Epoch,
    pub(crate) sender: mpsc::Sender<(Epoch, Notice)>,
}

impl Notices {
    pub(crate) async fn send(&self, notice: Notice) {
        if self.sender.send((self.epoch, notice)).await.is_err() {
            tracing::debug!(epoch = %self.epoch, "nobody listens to the runner any more");
        }
    }
}

/// The reins of a runner. Dropping them kills it.
#[derive(Debug)]
pub(crate) struct Reins {
    commands: mpsc::Sender<v1::RunnerCommand>,
    killed: CancellationToken,
}

impl Reins {
    /// Those of a child that hears no commands, and what says that it is to be killed.
    pub(crate) fn of_a_deaf_child() -> (Self, CancellationToken) {
        let killed = CancellationToken::new();
        (Reins { commands: mpsc::channel(1).0, killed: killed.clone() }, killed)
    }

    /// Tells the runner something.
    pub(crate) fn tell(&self, command: runner_command::Command) {
        // A full queue means a runner that does not read; it is killed when it stays silent.
        if self.commands.try_send(v1::RunnerCommand { command: Some(command) }).is_err() {
            tracing::warn!("the runner takes no more commands");
        }
    }

    /// Kills the runner.
    pub(crate) fn kill(&self) {
        self.killed.cancel();
    }
}

impl Drop for Reins {
    fn drop(&mut self) {
        self.killed.cancel();
    }
}

/// A runner that is about to be started.
pub(crate) struct Runner {
    program: PathBuf,
    start: Start,
    notices: Notices,
    commands: mpsc::Receiver<v1::RunnerCommand>,
    killed: CancellationToken,
}

/// The reins of a runner, and the runner itself, which starts with [`Runner::run`].
pub(crate) fn prepare(program: PathBuf, mut start: Start, notices: Notices) -> (Reins, Runner) {
    let (sender, commands) = mpsc::channel(MAX_COMMANDS);
    let reins = Reins { commands: sender, killed: CancellationToken::new() };
    reins.tell(runner_command::Command::Start(std::mem::take(&mut start.spec)));
    let killed = reins.killed.clone();
    (reins, Runner { program, start, notices, commands, killed })
}

/// What glibc is told in a runner, by its tunables.
///
/// Mathematics that encoders call must not use fused multiplication where the processor has it: it rounds differently,
/// and the same part would have other bytes on another host. Most of what one part's encoders free is kept for those of
/// the next instead of going back to the system, which would have to find and clear it again: two minutes of 1080p as a
/// ladder of four touch 3.7 GiB of fresh memory so, and 9.6 GiB when it goes back.
const TUNABLES: &str = "glibc.cpu.hwcaps=-FMA,-FMA4:glibc.malloc.mmap_threshold=33554432:\
    glibc.malloc.trim_threshold=17179869184:glibc.malloc.top_pad=16777216";

/// Names the file of credentials that Google's tools keep below the home, which a runner does not know.
const GOOGLE_FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// That file, where it is there.
fn google_file(home: &Path) -> Option<PathBuf> {
    let file = home.join(".config/gcloud/application_default_credentials.json");
    file.is_file().then_some(file)
}

/// A program that starts in the folder of its attempt and leads a process group; of the agent's environment it has the
/// proxies and what `inherits` names.
pub(crate) fn isolated(program: &Path, scratch: &Path, inherits: impl Fn(&str) -> bool) -> Command {
    let inherited = |(name, _): &(OsString, OsString)| {
        let name = name.to_string_lossy();
        PROXIES.contains(&&*name) || inherits(&name)
    };
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(std::env::vars_os().filter(inherited))
        .current_dir(scratch)
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn command(program: &Path, scratch: &Path, memory_bytes: u64) -> Command {
    let google = std::env::var_os("HOME").and_then(|home| google_file(Path::new(&home)));
    // Another file that is named stands above it.
    let google = google.filter(|_| std::env::var_os(GOOGLE_FILE).is_none());
    let mut command = isolated(program, scratch, |name| {
        INHERITED.contains(&name) || INHERITED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    });
    command
        .arg("--parent")
        .arg(std::process::id().to_string())
        .arg("--memory-bytes")
        .arg(memory_bytes.to_string())
        .envs(google.map(|file| (GOOGLE_FILE, file)))
        .env("GLIBC_TUNABLES", TUNABLES)
        // SVT-AV1 would tell its settings for each GOP; its errors are told.
        .env("SVT_LOG", "1")
        .stdin(Stdio::piped());
    command
}

/// Sends commands until the reins are dropped or the runner stops reading; then its stdin closes.
async fn speak(mut stdin: ChildStdin, mut queue: mpsc::Receiver<v1::RunnerCommand>) {
    while let Some(command) = queue.recv().await {
        if let Err(error) = write_message(&mut stdin, &command).await {
            tracing::debug!(%error, "the runner does not read its commands");
            return;
        }
    }
}

/// Keeps the end of what comes through a pipe until it closes.
pub(crate) async fn listen_to_log(mut pipe: impl AsyncRead + Unpin, log: LogTail) {
    let mut block = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut block).await {
        log.push(&block[..length]);
    }
}

impl Runner {
    /// Starts the runner and passes on what it says, until it has exited and was reaped. Cancelling kills it.
    pub(crate) async fn run(self, spawner: &Spawner) {
        let notices = self.notices.clone();
        let last = match self.spawn(spawner).await {
            Ok(process) => Notice::Exited(process.supervise().await),
            Err(failure) => Notice::NotStarted(failure),
        };
        notices.send(last).await;
    }

    async fn spawn(self, spawner: &Spawner) -> Result<Process, Failure> {
        let (program, Start { scratch, memory_bytes, log, .. }) = (self.program, self.start);
        make_scratch(&program, scratch.clone()).await?;
        let command = command(&program, &scratch, memory_bytes);
        let mut child = spawner.spawn(command).await.map_err(|error| not_started(&program, &error))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(not_started(&program, &io::Error::other("it has no pipes")));
        };
        let (notices, killed) = (self.notices, self.killed);
        let stdin = tokio::spawn(speak(stdin, self.commands));
        let stderr = tokio::spawn(listen_to_log(stderr, log.clone()));
        Ok(Process { child, stdout, stderr, log, stdin, notices, killed })
    }
}

/// Makes the folder of an attempt, for the program that is to start in it.
pub(crate) async fn make_scratch(program: &Path, folder: PathBuf) -> Result<(), Failure> {
    match tokio::task::spawn_blocking(move || scratch::make(&folder)).await {
        Ok(made) => made,
        Err(error) => Err(not_started(program, &io::Error::other(error))),
    }
}

/// Whether a file may be run; otherwise what is wrong with it.
pub(crate) fn check_executable(program: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(program).map_err(|error| error.to_string())?;
    match metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 {
        true => Ok(()),
        false => Err("it is not an executable file".to_owned()),
    }
}

pub(crate) fn not_started(program: &Path, error: &io::Error) -> Failure {
    let class = match error.kind() {
        io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock => FailureClass::Shortage,
        _ => FailureClass::Failed,
    };
    Failure::new(class, &format!("starting {} failed: {error}", program.display()), "")
}

/// A runner's process.
struct Process {
    child: Child,
    stdout: ChildStdout,
    stderr: JoinHandle<()>,
    log: LogTail,
    stdin: JoinHandle<()>,
    notices: Notices,
    killed: CancellationToken,
}

impl Process {
    async fn supervise(mut self) -> Exit {
        let killed = self.killed.clone();
        let garbled = tokio::select! {
            () = killed.cancelled() => None,
            garbled = listen(&mut self.stdout, &self.notices) => garbled,
        };
        let status = match garbled {
            Some(_) => None,
            None => tokio::select! {
                () = killed.cancelled() => None,
                status = timeout(EXIT_GRACE, self.child.wait()) => status.ok(),
            },
        };
        let status = match status {
            Some(status) => status,
            None => kill(&mut self.child).await,
        };
        let how = match (garbled, status) {
            (Some(reason), _) => HowEnded::Garbled(reason),
            (None, Ok(status)) => how_ended(status),
            (None, Err(error)) => HowEnded::Garbled(format!("its exit cannot be known: {error}")),
        };
        if timeout(STDERR_GRACE, &mut self.stderr).await.is_err() {
            tracing::debug!("somebody holds the log of a runner open");
        }
        Exit { how, stderr: self.log.text(EVIDENCE_BYTES) }
    }
}

/// Kills a child and its whole process group.
pub(crate) async fn kill(child: &mut Child) -> io::Result<ExitStatus> {
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(group) = group
        && let Err(error) = kill_process_group(group, Signal::KILL)
    {
        tracing::debug!(%error, "the child's group is gone already");
    }
    // The group may not exist yet when the child is younger than its own setpgid.
    if let Err(error) = child.start_kill() {
        tracing::debug!(%error, "the child is gone already");
    }
    child.wait().await
}

/// Reads until stdout ends; `Some` says how the runner broke the protocol.
async fn listen(stdout: &mut ChildStdout, notices: &Notices) -> Option<String> {
    let mut stdout = BufReader::new(stdout);
    let mut last_word = false;
    loop {
        let read = read_message::<v1::RunnerEvent>(&mut stdout);
        let event = match last_word {
            false => read.await,
            true => match timeout(EXIT_GRACE, read).await {
                Ok(event) => event,
                Err(_) => return None,
            },
        };
        let event = match event {
            Ok(None) | Err(FrameError::CutOff) => return None,
            Ok(Some(v1::RunnerEvent { event: Some(event) })) => event,
            Ok(Some(v1::RunnerEvent { event: None })) => return Some("it sent an empty event".to_owned()),
            Err(error) => return Some(format!("it sent {error}")),
        };
        match event {
            _ if last_word => return Some("it went on after its last word".to_owned()),
            runner_event::Event::Progress(progress) => notices.send(Notice::Progress(progress)).await,
            runner_event::Event::PartFinished(part) => notices.send(Notice::PartFinished(part)).await,
            runner_event::Event::Finished(finished) => {
                last_word = true;
                notices.send(Notice::Finished(Box::new(finished))).await;
            }
            runner_event::Event::Failed(failure) => {
                last_word = true;
                notices.send(Notice::Failed(failure)).await;
            }
        }
    }
}

pub(crate) fn how_ended(status: ExitStatus) -> HowEnded {
    match (status.signal(), status.code()) {
        (Some(signal), _) => HowEnded::Signal(signal),
        (None, code) => HowEnded::Status(code.unwrap_or(-1)),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin.abort();
        self.stderr.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_credentials_of_googles_tools_are_found_below_the_home() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(google_file(home.path()), None);
        let folder = home.path().join(".config/gcloud");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("application_default_credentials.json");
        std::fs::write(&file, "{}").unwrap();
        assert_eq!(google_file(home.path()), Some(file));
    }
}
