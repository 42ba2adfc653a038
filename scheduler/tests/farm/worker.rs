//! A worker of the test's own making: it speaks the messages, and says of each task what the test wants.

use std::time::Duration;

use reel_common::fixture::film;
use reel_common::{Artifact, IndexSummary};
use reel_proto::v1::{self, Verdict, scheduler_message, task_spec::Work, worker_message::Message};
use reel_scheduler::Scheduler;
use tokio::sync::mpsc;

/// No wait of a healthy test comes near this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct FakeWorker {
    sender: mpsc::Sender<v1::WorkerMessage>,
    receiver: mpsc::Receiver<v1::SchedulerMessage>,
    /// Grants that came while something else was waited for.
    grants: Vec<v1::TaskSpec>,
    /// Revocations and cuts likewise.
    pub(crate) revoked: Vec<v1::Revoke>,
    pub(crate) cuts: Vec<v1::CutChunk>,
    last_request: u64,
}

impl FakeWorker {
    /// Connects and registers.
    pub(crate) async fn register(
        scheduler: &Scheduler,
        name: &str,
        incarnation: u64,
        slots: u32,
    ) -> FakeWorker {
        let (sender, receiver) = scheduler.connect_worker().await.unwrap();
        let (grants, revoked, cuts) = (Vec::new(), Vec::new(), Vec::new());
        let mut worker = FakeWorker { sender, receiver, grants, revoked, cuts, last_request: 0 };
        let register = v1::Register {
            name: name.to_owned(),
            incarnation,
            slots,
            memory_bytes: 1 << 44,
            scratch_bytes: 1 << 40,
            price_micros: 250_000,
            codecs: ["h264", "aac", "check"].map(str::to_owned).to_vec(),
            ..v1::Register::default()
        };
        worker.say(Message::Register(register)).await;
        let registered = worker.hear(|message| match message {
            scheduler_message::Message::Registered(registered) => Some(registered),
            _ => None,
        });
        assert!(registered.await.worker > 0);
        worker
    }

    pub(crate) async fn say(&self, message: Message) {
        self.sender.send(v1::WorkerMessage { message: Some(message) }).await.unwrap();
    }

    /// Says that it is gone for good.
    pub(crate) async fn leave(self) {
        self.say(Message::Leave(v1::Leave {})).await;
    }

    /// Waits for a message that `wanted` takes, and keeps what comes before it.
    async fn hear<T>(&mut self, wanted: impl Fn(scheduler_message::Message) -> Option<T>) -> T {
        loop {
            let message =
                tokio::time::timeout(PATIENCE, self.receiver.recv()).await.expect("the scheduler is silent");
            let message = message.expect("the scheduler closed the link").message.unwrap();
            match message {
                scheduler_message::Message::Grant(ref grant) => self.grants.extend(grant.spec.clone()),
                scheduler_message::Message::Revoke(revoke) => self.revoked.push(revoke),
                scheduler_message::Message::CutChunk(cut) => self.cuts.push(cut),
                _ => {}
            }
            if let Some(found) = wanted(message) {
                return found;
            }
        }
    }

    /// The next task that this worker is to run.
    pub(crate) async fn next_task(&mut self) -> v1::TaskSpec {
        if self.grants.is_empty() {
            self.hear(|message| matches!(message, scheduler_message::Message::Grant(_)).then_some(())).await;
        }
        self.grants.remove(0)
    }

    /// Whether a task is waiting already.
    pub(crate) fn has_task(&mut self) -> bool {
        while let Ok(message) = self.receiver.try_recv() {
            if let Some(scheduler_message::Message::Grant(grant)) = message.message {
                self.grants.extend(grant.spec);
            }
        }
        !self.grants.is_empty()
    }

    pub(crate) async fn wait_revoked(&mut self) -> v1::Revoke {
        if self.revoked.is_empty() {
            self.hear(|message| matches!(message, scheduler_message::Message::Revoke(_)).then_some(())).await;
        }
        self.revoked.remove(0)
    }

    pub(crate) async fn wait_cut(&mut self) -> v1::CutChunk {
        if self.cuts.is_empty() {
            self.hear(|message| matches!(message, scheduler_message::Message::CutChunk(_)).then_some(()))
                .await;
        }
        self.cuts.remove(0)
    }

    pub(crate) async fn beat(&mut self, sequence: u64, running: Vec<v1::RunningAttempt>) {
        let load = Some(v1::HostLoad { cpu_percent: 73, ..v1::HostLoad::default() });
        self.say(Message::Heartbeat(v1::Heartbeat { sequence, running, leaving: false, load })).await;
        self.hear(|message| match message {
            scheduler_message::Message::HeartbeatAck(ack) => (ack.sequence == sequence).then_some(()),
            _ => None,
        })
        .await;
    }

    async fn ask(&mut self, message: impl FnOnce(u64) -> Message) -> Verdict {
        self.last_request += 1;
        let request = self.last_request;
        self.say(message(request)).await;
        self.hear(|message| match message {
            scheduler_message::Message::Answer(answer) => {
                (answer.request == request).then(|| answer.verdict())
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn commit_part(&mut self, spec: &v1::TaskSpec, part: u32) -> Verdict {
        let (task, epoch) = (spec.task, spec.epoch);
        let record = Some(Artifact::of(format!("part {part}").as_bytes()).into());
        self.ask(|request| {
            Message::CommitPart(v1::CommitPart {
                request,
                task,
                epoch,
                part,
                record,
                renditions_encoded: 1,
                renditions_reused: 0,
                sample_bytes: vec![1_000],
                psnr_mdb: vec![40_000],
                ssim_ppm: vec![980_000],
                vmaf_milli: Vec::new(),
            })
        })
        .await
    }

    pub(crate) async fn finish(
        &mut self,
        spec: &v1::TaskSpec,
        result: Option<v1::commit_task::Result>,
    ) -> Verdict {
        let (task, epoch) = (spec.task, spec.epoch);
        let source_bytes_read = Some(100);
        let commit = |request| v1::CommitTask { request, task, epoch, result, source_bytes_read };
        self.ask(|request| Message::CommitTask(commit(request))).await
    }

    pub(crate) async fn fail(&mut self, spec: &v1::TaskSpec, failure: v1::Failure) -> Verdict {
        let (task, epoch) = (spec.task, spec.epoch);
        let failure = Some(failure);
        self.ask(|request| Message::FailAttempt(v1::FailAttempt { request, task, epoch, failure })).await
    }

    pub(crate) async fn hand_back(&mut self, spec: &v1::TaskSpec) -> Verdict {
        let (task, epoch) = (spec.task, spec.epoch);
        self.ask(|request| Message::HandBack(v1::HandBack { request, task, epoch })).await
    }

    /// Does the whole task; a film of `frames` frames.
    pub(crate) async fn run(&mut self, spec: &v1::TaskSpec, frames: u64) {
        let result = match spec.work.as_ref().unwrap() {
            Work::Index(_) => Some(v1::commit_task::Result::Index(index_summary(frames).into())),
            Work::Probe(_) => panic!("no profile of these tests has a bit rate"),
            Work::Encode(encode) => {
                for part in &encode.parts {
                    self.commit_part(spec, part.index).await;
                }
                None
            }
            Work::Audio(audio) => Some(object(&format!("track {}", audio.track))),
            Work::Image(_) => Some(object("images")),
            Work::Assemble(_) => Some(object("assembly")),
            Work::Measure(_) => Some(object("proof")),
            Work::Check(_) => Some(object("check")),
            Work::Deliver(_) => Some(object("report")),
            Work::Preview(_) | Work::Hook(_) => None,
        };
        assert_eq!(self.finish(spec, result).await, Verdict::Accepted, "{:?}", spec.task);
    }

    /// Runs tasks until one of this stage comes, which is returned.
    pub(crate) async fn run_until(&mut self, stage: v1::Stage, frames: u64) -> v1::TaskSpec {
        loop {
            let spec = self.next_task().await;
            if stage_of(&spec) == stage {
                return spec;
            }
            self.run(&spec, frames).await;
        }
    }
}

pub(crate) fn stage_of(spec: &v1::TaskSpec) -> v1::Stage {
    spec.task.unwrap().stage()
}

pub(crate) fn parts_of(spec: &v1::TaskSpec) -> Vec<u32> {
    match spec.work.as_ref().unwrap() {
        Work::Encode(encode) => encode.parts.iter().map(|part| part.index).collect(),
        other => panic!("{other:?} has no parts"),
    }
}

pub(crate) fn object(name: &str) -> v1::commit_task::Result {
    v1::commit_task::Result::Object(Artifact::of(name.as_bytes()).into())
}

/// The index of a 1080p film at 24 frames per second, with stereo sound.
pub(crate) fn index_summary(frames: u64) -> IndexSummary {
    film(frames, (1920, 1080))
}
