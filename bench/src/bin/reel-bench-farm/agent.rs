//! An agent that has every task done as soon as it is granted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use reel_client::Client;
use reel_common::fixture::film;
use reel_common::{Artifact, IndexSummary};
use reel_proto::v1::scheduler_message::Message as Heard;
use reel_proto::v1::worker_message::Message as Said;
use reel_proto::v1::{self, commit_task, task_spec::Work};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Frames of a part of the profile `proxy`, at 24 a second.
const PART_FRAMES: u64 = 288;
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The wait before a link is made again, as a real agent waits.
const PAUSE: Duration = Duration::from_millis(100);

/// When a link came about that a task was granted over, and when that was.
pub(crate) type FirstGrant = (Instant, Instant);

/// Runs until it is aborted; the film that it indexes has so many parts. A link that breaks is made again.
pub(crate) async fn run(
    client: Client,
    number: u32,
    slots: u32,
    parts: u32,
    granted: mpsc::UnboundedSender<FirstGrant>,
) {
    while !granted.is_closed() {
        if link(&client, number, slots, parts, &granted).await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn link(
    client: &Client,
    number: u32,
    slots: u32,
    parts: u32,
    granted: &mpsc::UnboundedSender<FirstGrant>,
) -> Result<()> {
    let (sender, messages) = mpsc::channel(1024);
    let mut heard = client.connect_worker(ReceiverStream::new(messages)).await?;
    let opened = Instant::now();
    let mut first = true;
    let mut agent = Agent { sender, asked: HashMap::new(), running: HashMap::new(), last_request: 0, parts };
    let register = v1::Register {
        name: format!("bench-{number}"),
        incarnation: 1,
        slots,
        memory_bytes: 1 << 44,
        scratch_bytes: 1 << 44,
        codecs: ["h264", "aac", "check"].map(str::to_owned).to_vec(),
        ..v1::Register::default()
    };
    agent.say(Said::Register(register)).await?;
    let mut beats = tokio::time::interval(HEARTBEAT);
    let mut sequence = 0;
    loop {
        tokio::select! {
            message = heard.message() => match message?.context("the scheduler ended")?.message {
                Some(Heard::Grant(grant)) => {
                    if std::mem::take(&mut first) {
                        granted.send((opened, Instant::now()))?;
                    }
                    agent.on_grant(grant.spec.context("a task")?).await?;
                }
                Some(Heard::Answer(answer)) => agent.on_answer(answer.request).await?,
                _ => {}
            },
            _ = beats.tick() => {
                sequence += 1;
                let running = agent.running.iter().map(|(epoch, task)| v1::RunningAttempt {
                    task: Some(*task),
                    epoch: *epoch,
                    progress: None,
                });
                let running = running.collect();
                agent.say(Said::Heartbeat(v1::Heartbeat { sequence, running, leaving: false, load: None })).await?;
            }
        }
    }
}

struct Agent {
    sender: mpsc::Sender<v1::WorkerMessage>,
    /// Parts whose commit is not answered: their task is done then.
    asked: HashMap<u64, v1::TaskSpec>,
    /// Tasks by epoch.
    running: HashMap<u64, v1::TaskId>,
    last_request: u64,
    parts: u32,
}

impl Agent {
    async fn say(&self, message: Said) -> Result<()> {
        Ok(self.sender.send(v1::WorkerMessage { message: Some(message) }).await?)
    }

    fn request(&mut self) -> u64 {
        self.last_request += 1;
        self.last_request
    }

    async fn on_grant(&mut self, spec: v1::TaskSpec) -> Result<()> {
        self.running.insert(spec.epoch, spec.task.context("its id")?);
        let object = |name: &str| commit_task::Result::Object(Artifact::of(name.as_bytes()).into());
        let result = match spec.work.as_ref().context("its work")? {
            Work::Encode(encode) => {
                let part = encode.parts.first().map_or(0, |part| part.index);
                let request = self.request();
                let commit = v1::CommitPart {
                    request,
                    task: spec.task,
                    epoch: spec.epoch,
                    part,
                    record: Some(Artifact::of(&part.to_le_bytes()).into()),
                    renditions_encoded: 1,
                    renditions_reused: 0,
                    sample_bytes: Vec::new(),
                    psnr_mdb: Vec::new(),
                    ssim_ppm: Vec::new(),
                    vmaf_milli: Vec::new(),
                };
                self.asked.insert(request, spec);
                return self.say(Said::CommitPart(commit)).await;
            }
            Work::Index(_) => commit_task::Result::Index(index(self.parts).into()),
            Work::Audio(_) => object("audio"),
            Work::Image(_) => object("images"),
            Work::Assemble(_) => object("assembly"),
            Work::Measure(_) => object("proof"),
            Work::Check(_) => object("check"),
            Work::Deliver(_) => object("report"),
            Work::Probe(_) | Work::Preview(_) | Work::Hook(_) => {
                anyhow::bail!("the film has no bit rates, previews and hooks")
            }
        };
        self.finish(&spec, Some(result)).await
    }

    async fn on_answer(&mut self, request: u64) -> Result<()> {
        match self.asked.remove(&request) {
            Some(spec) => self.finish(&spec, None).await,
            None => Ok(()),
        }
    }

    async fn finish(&mut self, spec: &v1::TaskSpec, result: Option<commit_task::Result>) -> Result<()> {
        self.running.remove(&spec.epoch);
        let request = self.request();
        let (task, epoch) = (spec.task, spec.epoch);
        let source_bytes_read = Some(0);
        self.say(Said::CommitTask(v1::CommitTask { request, task, epoch, result, source_bytes_read })).await
    }
}

/// The index of a film of so many parts.
pub(crate) fn index(parts: u32) -> IndexSummary {
    film(u64::from(parts) * PART_FRAMES, (1280, 720))
}
