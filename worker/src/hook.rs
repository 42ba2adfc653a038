//! The programs of the site that this host runs for the farm.
//!
//! A submitter names a hook, and the operator of each host says which program that is: no job brings a program of its
//! own. The program is told what it is about by its environment, runs in the attempt's scratch folder, and has done its
//! work when it ends with status 0. It may be run again after a fault, so it is to bear that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use reel_common::{Failure, FailureClass};
use reel_proto::v1;
use reel_worker_core::{Exit, HowEnded};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::StartError;
use crate::child::{self, EVIDENCE_BYTES, Notice, Notices, Reins, STDERR_GRACE, Start};
use crate::spawner::Spawner;

/// Has the kernel kill a program when its parent dies, as the program cannot be expected to do itself. It is looked up
/// once: a program with a path of its own is started without a copy of the agent's memory map.
static KEEPER: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join("setpriv")).find(|file| file.is_file())
});
/// What a program inherits of the agent's environment beside the proxies. Credentials are its own business.
const INHERITED: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"];
/// How often it is told that a program has logged more, which shows that it is alive.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The programs of a host by the names of their hooks.
pub type Programs = BTreeMap<String, PathBuf>;

/// Whether this host can run a program as a hook.
///
/// # Errors
/// The program may not be run, or its keeper is not there.
pub(crate) fn check(program: &Path) -> Result<(), StartError> {
    if KEEPER.is_none() {
        let reason = "hooks are started by setpriv, which is not on this host: install util-linux";
        return Err(StartError::System(reason.to_owned()));
    }
    child::check_executable(program)
        .map_err(|reason| StartError::Hook { program: program.display().to_string(), reason })
}

/// A program that is about to be started.
pub(crate) struct Run {
    /// Where this host has it.
    program: Option<PathBuf>,
    start: Start,
    hook: v1::HookTask,
    notices: Notices,
    killed: CancellationToken,
}

/// The reins of a program, and its run, which begins with [`Run::run`].
pub(crate) fn prepare(
    program: Option<PathBuf>,
    hook: v1::HookTask,
    start: Start,
    notices: Notices,
) -> (Reins, Run) {
    let (reins, killed) = Reins::of_a_deaf_child();
    (reins, Run { program, start, hook, notices, killed })
}

impl Run {
    /// Runs the program to its end and tells how that was. Cancelling kills it.
    pub(crate) async fn run(self, spawner: &Spawner) {
        let notices = self.notices.clone();
        let last = match self.spawn(spawner).await {
            Ok(child) => Notice::Exited(self.supervise(child).await),
            Err(failure) => Notice::NotStarted(failure),
        };
        notices.send(last).await;
    }

    async fn spawn(&self, spawner: &Spawner) -> Result<Child, Failure> {
        let refused = |message: String| Failure::new(FailureClass::Failed, &message, "");
        // The leader grants none that this host did not offer.
        let none = || refused(format!("this worker has no hook {}", self.hook.name));
        let program = self.program.as_deref().ok_or_else(none)?;
        // It was there when the worker started.
        check(program).map_err(|error| refused(error.to_string()))?;
        child::make_scratch(program, self.start.scratch.clone()).await?;
        let command = command(program, &self.start, &self.hook);
        spawner.spawn(command).await.map_err(|error| child::not_started(program, &error))
    }

    async fn supervise(&self, mut child: Child) -> Exit {
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let mut ears = JoinSet::new();
        if let Some(stdout) = child.stdout.take() {
            ears.spawn(child::listen_to_log(stdout, self.start.log.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            ears.spawn(child::listen_to_log(stderr, self.start.log.clone()));
        }
        let how = match self.wait(&mut child).await {
            Ok(status) => child::how_ended(status),
            Err(error) => HowEnded::Garbled(format!("its exit cannot be known: {error}")),
        };
        // What it has left running would be nobody's.
        drop(group);
        let closed = async { while ears.join_next().await.is_some() {} };
        if timeout(STDERR_GRACE, closed).await.is_err() {
            tracing::debug!("somebody holds the output of a hook open");
        }
        let said = self.start.log.text(EVIDENCE_BYTES);
        if how == HowEnded::Status(0) {
            self.notices.send(Notice::Finished(Box::default())).await;
        } else if !self.killed.is_cancelled() {
            // Of a program that was killed nobody wants to know how it ended.
            let message = format!("hook {}: {how}", self.hook.name);
            let evidence = if said.is_empty() { "it logged nothing" } else { &said };
            let failure = Failure::new(FailureClass::Failed, &message, evidence);
            self.notices.send(Notice::Failed(failure.into())).await;
        }
        Exit { how, stderr: said }
    }

    /// Waits for the end of the program; one whose reins are dropped is killed.
    async fn wait(&self, child: &mut Child) -> std::io::Result<ExitStatus> {
        let mut looks = interval(LOOK_EVERY);
        let mut told = 0;
        loop {
            tokio::select! {
                () = self.killed.cancelled() => return child::kill(child).await,
                status = child.wait() => return status,
                _ = looks.tick() => {}
            }
            let now = self.start.log.logged();
            if std::mem::replace(&mut told, now) != now {
                let progress = v1::Progress { frames_done: now, ..v1::Progress::default() };
                self.notices.send(Notice::Progress(progress)).await;
            }
        }
    }
}

/// The process group of a program. Dropping it kills what is left of it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        // Nothing is left as a rule.
        let _ = self.0.map(|group| kill_process_group(group, Signal::KILL));
    }
}

fn command(program: &Path, start: &Start, hook: &v1::HookTask) -> Command {
    let keeper = KEEPER.as_deref().unwrap_or(Path::new("setpriv"));
    let mut command = child::isolated(keeper, &start.scratch, |name| INHERITED.contains(&name));
    let task = start.spec.task.unwrap_or_default();
    let labels = hook.labels.iter().map(|label| format!("{}={}", label.key, label.value));
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .env("REEL_JOB", task.job.to_string())
        .env("REEL_TASK", task_name(&task))
        .env("REEL_ATTEMPT", start.spec.attempt.to_string())
        .env("REEL_HOOK", &hook.name)
        .env("REEL_HOOK_INDEX", hook.index.to_string())
        .env("REEL_HOOK_TASKS", hook.tasks.to_string())
        .env("REEL_PROJECT", &hook.project)
        .env("REEL_LABELS", labels.collect::<Vec<_>>().join(" "))
        .env("REEL_MEZZANINE", &start.spec.mezzanine)
        .env("REEL_OUTPUT", &start.spec.output)
        .stdin(Stdio::null());
    command
}

fn task_name(task: &v1::TaskId) -> String {
    reel_common::TaskId::try_from(*task).map(|task| task.to_string()).unwrap_or_default()
}
