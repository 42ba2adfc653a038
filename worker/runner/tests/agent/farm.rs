//! A stand-in for the scheduler at the other end of a real agent's link, with real runners below.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reel_common::{Failure, IndexSummary, JobId, Labels, PartIndex, Pool, Price, Stage, TaskId};
use reel_profiles::Profile;
use reel_proto::v1;
use reel_proto::v1::task_spec::Work;
use reel_proto::v1::worker_message::Message;
use reel_proto::v1::{commit_task, scheduler_message};
use reel_store::Store;
use reel_worker::{Agent, AgentConfig, AgentHandle, RunnerProgram, WorkerLink};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::hook;

/// Nothing in these tests takes longer, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);
pub(crate) const RUNNER: &str = env!("CARGO_BIN_EXE_reel-runner");

/// How an attempt ended, as the scheduler hears it.
#[derive(Debug)]
pub(crate) enum End {
    Committed(Option<Box<commit_task::Result>>),
    Failed(Failure),
    HandedBack,
}

pub(crate) struct Farm {
    pub(crate) dir: TempDir,
    pub(crate) agent: Option<AgentHandle>,
    pub(crate) to_agent: mpsc::Sender<v1::SchedulerMessage>,
    from_agent: mpsc::Receiver<v1::WorkerMessage>,
    pub(crate) parts: BTreeMap<u32, v1::CommitPart>,
    /// Bytes of the mezzanine that the newest attempt of each stage said it read.
    pub(crate) read: BTreeMap<v1::Stage, Option<u64>>,
    pub(crate) profile: String,
    epoch: u64,
    /// Kept for as long as its program may be started.
    script: Option<TempDir>,
}

pub(crate) fn media(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/media").join(name)
}

pub(crate) fn quick_profile() -> String {
    fs::read_to_string(media("../profiles/quick.toml")).unwrap()
}

/// An encode with this takes far longer than a test needs to disturb it.
pub(crate) fn slow_profile() -> String {
    quick_profile().replace("height = 360", "height = 1080").replace("ultrafast", "veryslow")
}

impl Farm {
    pub(crate) async fn new() -> Self {
        Self::with_runner(Path::new(RUNNER)).await
    }

    /// With a program of the test's own in place of the runner.
    pub(crate) async fn with_script(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("runner");
        fs::write(&program, format!("#!/bin/sh\n[ $1 = --codecs ] && exec echo h264\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut farm = Self::with_runner(&program).await;
        farm.script = Some(dir);
        farm
    }

    async fn with_runner(runner: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (to_agent, receiver) = mpsc::channel(16);
        let (sender, from_agent) = mpsc::channel(16);
        let config = AgentConfig {
            price: Price::default(),
            name: "w1".to_owned(),
            slots: 2,
            memory_bytes: 4 << 30,
            pool: Pool::OnDemand,
            labels: Labels::default(),
            scratch: dir.path().join("scratch"),
            runner: RunnerProgram::ask(runner.to_owned()).await.unwrap(),
            hooks: hook::programs(&dir.path().join("hooks")),
            store_url: dir.path().join("store").to_str().unwrap().to_owned(),
        };
        let agent = Agent::start(config, WorkerLink { sender, receiver }).unwrap();
        let (agent, profile) = (Some(agent), quick_profile());
        let (parts, read) = (BTreeMap::new(), BTreeMap::new());
        let mut farm =
            Farm { dir, agent, to_agent, from_agent, parts, read, profile, epoch: 100, script: None };
        let incarnation = match farm.receive().await {
            Message::Register(v1::Register { name, incarnation, slots, .. }) => {
                assert_eq!((name.as_str(), slots), ("w1", 2));
                incarnation
            }
            other => panic!("{other:?} before the registration"),
        };
        let registered = v1::Registered { worker: 1, heartbeat_ms: 500, lease_ms: 60_000, incarnation };
        farm.say(scheduler_message::Message::Registered(registered)).await;
        farm
    }

    /// The folder of the programs of hooks.
    pub(crate) fn hooks(&self) -> PathBuf {
        self.dir.path().join("hooks")
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.store_path()).unwrap()
    }

    pub(crate) fn store_path(&self) -> String {
        self.dir.path().join("store").to_str().unwrap().to_owned()
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.dir.path().join("title")
    }

    pub(crate) async fn say(&self, message: scheduler_message::Message) {
        self.to_agent.send(v1::SchedulerMessage { message: Some(message) }).await.unwrap();
    }

    async fn receive(&mut self) -> Message {
        let message = timeout(DEADLINE, self.from_agent.recv()).await.expect("the agent is silent");
        message.expect("the agent has ended").message.unwrap()
    }

    /// The next request; heartbeats are acknowledged on the way.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            match self.receive().await {
                Message::Heartbeat(v1::Heartbeat { sequence, .. }) => {
                    self.say(scheduler_message::Message::HeartbeatAck(v1::HeartbeatAck { sequence })).await;
                }
                request => return request,
            }
        }
    }

    pub(crate) async fn answer(&self, request: u64, verdict: v1::Verdict) {
        let answer = v1::Answer { request, verdict: verdict.into() };
        self.say(scheduler_message::Message::Answer(answer)).await;
    }

    /// Grants a task; returns its epoch.
    pub(crate) async fn grant(&mut self, mezzanine: &Path, work: Work) -> u64 {
        self.epoch += 1;
        let stage = match work {
            Work::Index(_) => Stage::Index,
            Work::Probe(_) => Stage::Probe,
            Work::Encode(_) => Stage::Encode,
            Work::Audio(_) => Stage::Audio,
            Work::Image(_) => Stage::Image,
            Work::Assemble(_) => Stage::Assemble,
            Work::Preview(_) => Stage::Preview,
            Work::Measure(_) => Stage::Measure,
            Work::Check(_) => Stage::Check,
            Work::Deliver(_) => Stage::Deliver,
            Work::Hook(_) => Stage::Hook,
        };
        let task = TaskId { job: JobId(42), stage, index: self.epoch as u32 };
        let spec = v1::TaskSpec {
            task: Some(task.into()),
            attempt: 1,
            epoch: self.epoch,
            mezzanine: mezzanine.to_str().unwrap().to_owned(),
            identity: None,
            profile: self.profile.clone(),
            output: self.output().to_str().unwrap().to_owned(),
            store: "the agent fills in its own".to_owned(),
            submitted_ms: 0,
            work: Some(work),
        };
        let grant = v1::Grant { spec: Some(spec), memory_bytes: 2 << 30 };
        self.say(scheduler_message::Message::Grant(grant)).await;
        self.epoch
    }

    /// Accepts whatever is asked until an attempt ends; committed parts are kept.
    pub(crate) async fn end(&mut self) -> End {
        loop {
            let (request, end) = match self.next().await {
                Message::CommitPart(commit) => {
                    let request = commit.request;
                    self.parts.insert(commit.part, commit);
                    (request, None)
                }
                Message::CommitTask(commit) => {
                    self.read.insert(commit.task.unwrap().stage(), commit.source_bytes_read);
                    (commit.request, Some(End::Committed(commit.result.map(Box::new))))
                }
                Message::FailAttempt(fail) => {
                    (fail.request, Some(End::Failed(fail.failure.unwrap().try_into().unwrap())))
                }
                Message::HandBack(back) => (back.request, Some(End::HandedBack)),
                other => panic!("{other:?}"),
            };
            self.answer(request, v1::Verdict::Accepted).await;
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Runs a task to the object that it ends in.
    pub(crate) async fn object(&mut self, mezzanine: &Path, work: Work) -> v1::Artifact {
        self.grant(mezzanine, work).await;
        match self.end().await {
            End::Committed(Some(result)) => match *result {
                commit_task::Result::Object(artifact) => artifact,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// Indexes a mezzanine and plans it.
    pub(crate) async fn plan(&mut self, mezzanine: &Path) -> Plan {
        self.grant(mezzanine, Work::Index(v1::IndexTask::default())).await;
        let result = match self.end().await {
            End::Committed(Some(result)) => *result,
            other => panic!("{other:?}"),
        };
        let commit_task::Result::Index(summary) = result else { panic!("{result:?}") };
        let index = summary.artifact.clone().unwrap();
        let summary = IndexSummary::try_from(summary).unwrap();
        let grid = Profile::parse(&self.profile, "profile").unwrap().grid(&summary).unwrap();
        let parts = (0..grid.parts()).map(|part| grid.part(PartIndex(part)).unwrap().into()).collect();
        Plan { index, parts }
    }

    /// The process of the runner that works in this farm, once it has said something.
    pub(crate) async fn runner(&self) -> i32 {
        until("a runner", || runners(self.dir.path()).first().copied()).await
    }

    /// Waits until no runner of this farm is left.
    pub(crate) async fn no_runner_left(&self) {
        until("the end of the runner", || runners(self.dir.path()).is_empty().then_some(())).await;
    }

    /// Waits until no attempt has left anything in the scratch folder.
    pub(crate) async fn no_scratch_left(&self) {
        let folder = self.dir.path().join("scratch");
        let left =
            || fs::read_dir(&folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
        until("an empty scratch folder", || (left() == 0).then_some(())).await;
    }
}

/// What a scheduler would make of an index.
pub(crate) struct Plan {
    pub(crate) index: v1::Artifact,
    pub(crate) parts: Vec<v1::PartSpec>,
}

impl Plan {
    pub(crate) fn encode(&self, parts: std::ops::Range<usize>) -> Work {
        let parts = self.parts[parts].to_vec();
        Work::Encode(v1::EncodeTask { index: Some(self.index.clone()), parts, qualities: Vec::new() })
    }
}

/// Processes called `reel-runner` that work below `folder`.
pub(crate) fn runners(folder: &Path) -> Vec<i32> {
    let folder = folder.canonicalize().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse() else { continue };
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let works_in = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if name.trim() == "reel-runner" && works_in.starts_with(&folder) {
            found.push(id);
        }
    }
    found
}

/// Waits for a condition.
pub(crate) async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "{what} never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
