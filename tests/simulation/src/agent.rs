//! The shell of an agent: does what the core says, with links, runners and a store that are simulated.

use reel_common::{Epoch, Failure, FailureClass, PartIndex};
use reel_proto::v1::{self, worker_message};
use reel_worker::wire::{self, Wire};
use reel_worker::{Made, Receipt};
use reel_worker_core::{Action, Event as Input, Message, PartReceipt, RunnerCommand};

use crate::faults::Fault;
use crate::queue::Event;
use crate::store::Mood;
use crate::title;
use crate::world::World;

/// What is published.
pub(crate) enum Files {
    Part { part: u32, encoded: u32 },
    Output(Box<v1::TaskFinished>),
}

/// Something on its way into the store.
pub(crate) struct Publication {
    files: Files,
    step: u64,
    /// The bytes are there.
    written: bool,
}

/// Messages that may wait for a link, as in the real shell.
const MAX_OUTGOING: usize = 1024;

impl World {
    pub(crate) fn act(&mut self, host: usize, life: u32, action: Action<Wire>) {
        match action {
            Action::Send(message) => self.say(host, life, message),
            Action::StartRunner(grant) => self.start_runner(host, life, grant),
            Action::CommandRunner { epoch, command } => {
                if let Some(runner) = self.runner(host, life, epoch) {
                    match command {
                        RunnerCommand::StopAfterPart => runner.stop = true,
                        RunnerCommand::CutTail(first) => runner.end = runner.end.min(first.0),
                        RunnerCommand::GoOn => self.let_go_on(host, life, epoch),
                    }
                }
            }
            Action::KillRunner { epoch } => self.kill_runner(host, life, epoch),
            Action::PublishPart { epoch, part, files } => {
                let encoded = files.scratch_files.iter().filter(|name| !name.is_empty()).count() as u32;
                self.publish(host, life, epoch, Files::Part { part: part.0, encoded });
            }
            Action::PublishResult { epoch, output } => self.publish(host, life, epoch, Files::Output(output)),
            Action::StopPublishing { epoch } => {
                self.on_host(host, life).map(|running| running.publications.remove(&epoch));
            }
            Action::Discard { epoch } => {
                if let Some(running) = self.on_host(host, life) {
                    let alive = running.runners.contains_key(&epoch);
                    assert!(!alive, "the folder of epoch {epoch} is removed under its runner");
                    running.attempts.remove(&epoch);
                }
            }
            Action::End => self.end_host(host, 1_000..30_000),
        }
    }

    fn say(&mut self, host: usize, life: u32, message: Message<Receipt>) {
        let Some(running) = self.on_host(host, life) else { return };
        let message = wire::message(message, &running.me, || None);
        if let Some(worker_message::Message::Register(_)) = message.message {
            running.register = Some(message.clone());
        }
        match running.link {
            Some(link) => self.send_up(link, message),
            None if running.waiting.len() < MAX_OUTGOING => running.waiting.push_back(message),
            None => {}
        }
    }

    /// The agent has a link: it registers first, then says what has waited.
    pub(crate) fn on_linked(&mut self, host: usize, link: u64) {
        let life = self.hosts[host].life;
        let Some(running) = self.on_host(host, life) else { return };
        running.link = Some(link);
        let register = |message: &v1::WorkerMessage| {
            matches!(message.message, Some(worker_message::Message::Register(_)))
        };
        let waiting = std::mem::take(&mut running.waiting);
        let first = running.register.clone();
        for message in first.into_iter().chain(waiting.into_iter().filter(|message| !register(message))) {
            self.send_up(link, message);
        }
        // The worst moment to be stopped: what it is told now waits for it.
        if self.may(Fault::StopWorker) && self.chance(10) {
            self.stop_host(host);
        }
    }

    pub(crate) fn on_unlinked(&mut self, host: usize, life: u32, link: u64) {
        let Some(running) = self.on_host(host, life).filter(|running| running.link == Some(link)) else {
            return;
        };
        running.link = None;
        self.after(100..300, Event::Dial { host, life });
    }

    pub(crate) fn wants_link(&mut self, host: usize, life: u32) -> bool {
        self.on_host(host, life).is_some_and(|running| running.link.is_none() && !running.is_stopped())
    }

    /// A scheduler says something to an agent.
    pub(crate) fn on_told(&mut self, host: usize, life: u32, message: v1::SchedulerMessage) {
        let Some(running) = self.on_host(host, life) else { return };
        if let Some(input) = wire::event(message, &running.me).unwrap() {
            self.feed(host, life, input);
        }
    }

    fn publish(&mut self, host: usize, life: u32, epoch: Epoch, files: Files) {
        let step = self.rng.u64(..);
        let Some(running) = self.on_host(host, life) else { return };
        assert!(!running.publications.contains_key(&epoch), "epoch {epoch} publishes two things at once");
        running.publications.insert(epoch, Publication { files, step, written: false });
        self.next_write(host, life, epoch, step);
    }

    fn next_write(&mut self, host: usize, life: u32, epoch: Epoch, step: u64) {
        let wait = if self.store.mood == Mood::Slow { 2_000..30_000 } else { 20..300 };
        self.after(wait, Event::Publish { host, life, epoch, step });
    }

    /// The bytes are in the store first, what tells of them after it.
    pub(crate) fn on_publish(&mut self, host: usize, life: u32, epoch: Epoch, step: u64) {
        let attempt = self.on_host(host, life).and_then(|running| running.attempts.get(&epoch));
        let Some(mezzanine) = attempt.map(|attempt| attempt.mezzanine.clone()) else { return };
        let trouble = self.store.mood == Mood::Full || self.may(Fault::Store) && self.chance(1);
        let Some(running) = self.on_host(host, life) else { return };
        let Some(publication) = running.publications.get_mut(&epoch).filter(|p| p.step == step) else {
            return;
        };
        if trouble {
            running.publications.remove(&epoch);
            self.trouble(host, epoch);
            let failure = Failure::new(FailureClass::Shortage, "no space left in the store", "");
            return self.feed(host, life, Input::PublishFailed { epoch, failure });
        }
        if !std::mem::replace(&mut publication.written, true) {
            if let Files::Part { part, .. } = publication.files {
                self.store.parts.insert((mezzanine, part));
            }
            return self.next_write(host, life, epoch, step);
        }
        let Some(Publication { files, .. }) = running.publications.remove(&epoch) else { return };
        let input = match files {
            Files::Part { part, encoded } => {
                let record = title::part_artifact(&mezzanine, part);
                self.store.put(record);
                let measured = title::measured(part, 24_000);
                let receipt = PartReceipt { record, encoded, reused: 1 - encoded, measured };
                Input::PartPublished { epoch, part: PartIndex(part), receipt }
            }
            Files::Output(output) => Input::ResultPublished { epoch, receipt: self.publish_output(*output) },
        };
        self.feed(host, life, input);
    }

    fn publish_output(&mut self, output: v1::TaskFinished) -> Receipt {
        let made = match output.result {
            None => Made::Nothing,
            Some(v1::task_finished::Result::Sizes(sizes)) => Made::Sizes(sizes),
            Some(v1::task_finished::Result::Index(summary)) => {
                let artifact = summary.artifact.as_ref().unwrap().try_into().unwrap();
                self.store.put(artifact);
                Made::Index(Box::new(summary))
            }
            // The file's name is what is in it.
            Some(v1::task_finished::Result::ScratchFile(name)) => {
                let artifact = reel_common::Artifact::of(name.as_bytes());
                self.store.put(artifact);
                Made::Object(artifact)
            }
        };
        Receipt { made, source_bytes_read: output.source_bytes_read }
    }
}
