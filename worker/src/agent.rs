//! The agent: joins the pure core to the link, the runners, the store and the clock.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reel_common::{Epoch, Failure, PartIndex, WorkerFacts};
use reel_proto::Malformed;
use reel_proto::v1::{self, scheduler_message, task_spec::Work, worker_message};
use reel_store::Store;
use reel_worker_core::{Action, Agent as Core, Event, Grant};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::child::{self, Notice, Notices, Reins, Start};
use crate::host::{Gauge, free_bytes};
use crate::log_tail::LogTails;
use crate::publish::{publish_output, publish_part};
use crate::scratch::{self, Scratch};
use crate::spawner::Spawner;
use crate::wire::{self, Wire};
use crate::{AgentConfig, AgentEnd, StartError, WorkerLink, hook};

/// How often the core looks at the time; leases and silences are known to this exactness.
const TICK: Duration = Duration::from_millis(250);
/// Events that wait for the agent; whoever reports one waits while it is full.
const MAX_EVENTS: usize = 64;
/// Calls to drain that wait for the agent. Past this they say nothing new.
const MAX_DRAINS: usize = 8;
/// Messages that wait for a slow link. Past this they are dropped: requests and heartbeats are sent again.
const MAX_OUTGOING: usize = 1024;
/// At its end the agent waits so long for killed runners to be gone.
const END_GRACE: Duration = Duration::from_secs(5);

/// A worker agent.
pub struct Agent;

impl Agent {
    /// Starts an agent on the current tokio runtime. It registers by itself, and again when it lost its lease.
    pub fn start(config: AgentConfig, link: WorkerLink) -> Result<AgentHandle, StartError> {
        config.hooks.values().try_for_each(|program| hook::check(program))?;
        let scratch = Scratch::open(&config.scratch)?;
        let store = Store::open(&config.store_url)?;
        let system = |error: std::io::Error| StartError::System(error.to_string());
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let me = WorkerFacts {
            name: config.name.clone(),
            incarnation: since_1970.as_micros() as u64,
            slots: config.slots.max(1),
            memory: config.memory_bytes,
            scratch: free_bytes(scratch.root()).map_err(system)?,
            pool: config.pool,
            price: config.price,
            labels: config.labels,
            codecs: config.runner.codecs().clone(),
            hooks: config.hooks.keys().cloned().collect(),
        };
        let (reports, events) = mpsc::channel(MAX_EVENTS);
        let (notices, said) = mpsc::channel(MAX_EVENTS);
        let shell = Shell {
            core: Core::new(me.slots),
            me,
            gauge: Gauge::new(scratch.root().to_owned()),
            store_url: config.store_url,
            program: config.runner.path().to_owned(),
            hooks: config.hooks,
            shared: Arc::new(Shared { store, scratch, spawner: Spawner::new().map_err(system)? }),
            outgoing: VecDeque::new(),
            held: BTreeMap::new(),
            logs: LogTails::default(),
            tasks: JoinSet::new(),
            reports,
            notices,
            began: Instant::now(),
        };
        let (drain, drains) = mpsc::channel(MAX_DRAINS);
        let task = tokio::spawn(shell.run(link, Inbox { events, said, drains }));
        Ok(AgentHandle { drain, task })
    }
}

/// A running agent. Dropping it kills its runners and ends it.
#[derive(Debug)]
pub struct AgentHandle {
    drain: mpsc::Sender<Duration>,
    task: JoinHandle<AgentEnd>,
}

impl AgentHandle {
    /// Takes no more work; encode attempts finish the part in hand, unless that cannot end in time; what still runs after
    /// `grace` is killed and handed back. A second call may shorten the grace.
    pub fn drain(&self, grace: Duration) {
        // Full: the agent has not yet read the calls before. Closed: it has ended. Both are as good as drained.
        let _ = self.drain.try_send(grace);
    }

    /// Waits until the agent has ended, which it tells once.
    ///
    /// # Panics
    /// When the agent itself panicked, or has ended before.
    pub async fn join(&mut self) -> AgentEnd {
        match (&mut self.task).await {
            Ok(end) => end,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Drop for AgentHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What reaches the agent beside the link.
struct Inbox {
    events: mpsc::Receiver<Event<Wire>>,
    said: mpsc::Receiver<(Epoch, Notice)>,
    drains: mpsc::Receiver<Duration>,
}

/// What the agent's tasks share.
struct Shared {
    store: Store,
    scratch: Scratch,
    spawner: Spawner,
}

/// What the shell holds for an attempt that was started.
struct Held {
    folder: PathBuf,
    reins: Option<Reins>,
    publication: Option<AbortHandle>,
}

struct Shell {
    core: Core<Wire>,
    /// As it registers first; later rounds have later incarnations.
    me: WorkerFacts,
    gauge: Gauge,
    store_url: String,
    program: PathBuf,
    hooks: hook::Programs,
    shared: Arc<Shared>,
    outgoing: VecDeque<v1::WorkerMessage>,
    held: BTreeMap<Epoch, Held>,
    logs: LogTails,
    tasks: JoinSet<()>,
    reports: mpsc::Sender<Event<Wire>>,
    notices: mpsc::Sender<(Epoch, Notice)>,
    began: Instant,
}

impl Shell {
    async fn run(mut self, mut link: WorkerLink, mut inbox: Inbox) -> AgentEnd {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            let event = tokio::select! {
                permit = link.sender.reserve(), if !self.outgoing.is_empty() => {
                    match (permit, self.outgoing.pop_front()) {
                        (Ok(permit), Some(message)) => permit.send(message),
                        _ => break AgentEnd::LinkClosed,
                    }
                    continue;
                }
                message = link.receiver.recv() => match message.map(|message| self.understand(message)) {
                    None => break AgentEnd::LinkClosed,
                    Some(Ok(Some(event))) => event,
                    Some(Ok(None)) => continue,
                    Some(Err(error)) => {
                        tracing::error!(%error, "the scheduler sent a message that makes no sense");
                        continue;
                    }
                },
                Some(event) = inbox.events.recv() => event,
                Some((epoch, notice)) = inbox.said.recv() => self.heard(epoch, notice),
                Some(grace) = inbox.drains.recv() => Event::DrainAsked { grace_ms: grace.as_millis() as u64 },
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    log_panic(ended);
                    continue;
                }
                _ = ticks.tick() => Event::Ticked,
            };
            if self.take_in(event) {
                break AgentEnd::Drained;
            }
        };
        let unsent = std::mem::take(&mut self.outgoing);
        self.end().await;
        if matches!(end, AgentEnd::Drained) {
            say_goodbye(&link, unsent).await;
        }
        end
    }

    /// A message of the scheduler as an event. Who wants to read a log is answered at once.
    fn understand(&mut self, message: v1::SchedulerMessage) -> Result<Option<Event<Wire>>, Malformed> {
        if let Some(scheduler_message::Message::TailAsked(asked)) = &message.message {
            let text = self.logs.text(Epoch(asked.epoch));
            let text = text.unwrap_or_else(|| "the log of this attempt is not kept any more".to_owned());
            let tail = v1::Tail { request: asked.request, text };
            self.send(v1::WorkerMessage { message: Some(worker_message::Message::Tail(tail)) });
        }
        wire::event(message, &self.me)
    }

    /// True when the agent is to end.
    fn take_in(&mut self, event: Event<Wire>) -> bool {
        let now_ms = self.began.elapsed().as_millis() as u64;
        let mut ends = false;
        for action in self.core.handle(now_ms, event) {
            match action {
                Action::Send(message) => {
                    let message = wire::message(message, &self.me, || self.gauge.read());
                    self.send(message);
                }
                Action::StartRunner(grant) => self.start_runner(grant),
                Action::CommandRunner { epoch, command } => {
                    self.with_reins(epoch, |reins| reins.tell(wire::command(command)));
                }
                Action::KillRunner { epoch } => {
                    tracing::info!(epoch = epoch.0, "the attempt is given up");
                    self.with_reins(epoch, Reins::kill);
                }
                Action::PublishPart { epoch, part, files } => {
                    self.publish(epoch, Publication::Part(part, files));
                }
                Action::PublishResult { epoch, output } => {
                    self.publish(epoch, Publication::Result(output));
                }
                Action::StopPublishing { epoch } => self.stop_publishing(epoch),
                Action::Discard { epoch } => self.discard(epoch),
                Action::End => ends = true,
            }
        }
        ends
    }

    fn send(&mut self, message: v1::WorkerMessage) {
        match self.outgoing.len() < MAX_OUTGOING {
            true => self.outgoing.push_back(message),
            false => tracing::warn!("the link to the scheduler is stuck; a message will be sent again later"),
        }
    }

    fn with_reins(&self, epoch: Epoch, act: impl FnOnce(&Reins)) {
        if let Some(reins) = self.held.get(&epoch).and_then(|held| held.reins.as_ref()) {
            act(reins);
        }
    }

    fn start_runner(&mut self, grant: Grant<Wire>) {
        let epoch = grant.epoch;
        let folder = self.shared.scratch.folder(grant.task, epoch);
        let v1::Grant { spec, memory_bytes } = grant.spec;
        // The agent publishes, and the runner looks, in one and the same store.
        let spec = v1::TaskSpec { store: self.store_url.clone(), ..spec.unwrap_or_default() };
        let hook = match &spec.work {
            Some(Work::Hook(hook)) => Some(hook.clone()),
            _ => None,
        };
        let start = Start { scratch: folder.clone(), memory_bytes, spec, log: self.logs.begin(epoch) };
        let notices = Notices { epoch, sender: self.notices.clone() };
        let shared = self.shared.clone();
        let reins = match hook {
            Some(hook) => {
                let program = self.hooks.get(&hook.name).cloned();
                let (reins, run) = hook::prepare(program, hook, start, notices);
                self.tasks.spawn(async move { run.run(&shared.spawner).await });
                reins
            }
            None => {
                let (reins, runner) = child::prepare(self.program.clone(), start, notices);
                self.tasks.spawn(async move { runner.run(&shared.spawner).await });
                reins
            }
        };
        self.held.insert(epoch, Held { folder, reins: Some(reins), publication: None });
        let (task, attempt) = (grant.task, grant.attempt.0);
        tracing::info!(job = task.job.0, %task, attempt, epoch = epoch.0, "an attempt has begun");
    }

    /// What a runner said, as an event.
    fn heard(&mut self, epoch: Epoch, notice: Notice) -> Event<Wire> {
        if let Notice::NotStarted(_) | Notice::Exited(_) = notice
            && let Some(held) = self.held.get_mut(&epoch)
        {
            held.reins = None;
        }
        match notice {
            Notice::NotStarted(failure) => Event::StartFailed { epoch, failure },
            Notice::Progress(progress) => Event::Progressed { epoch, progress: wire::progress(progress) },
            Notice::PartFinished(files) => {
                let part = files.record.as_ref().map_or(0, |record| record.part);
                Event::PartFinished { epoch, part: PartIndex(part), files }
            }
            Notice::Finished(output) => Event::TaskFinished { epoch, output },
            Notice::Failed(failure) => Event::TaskFailed { epoch, failure: wire::failure(failure) },
            Notice::Exited(exit) => Event::RunnerExited { epoch, exit },
        }
    }

    fn publish(&mut self, epoch: Epoch, publication: Publication) {
        let Some(held) = self.held.get_mut(&epoch) else { return };
        let (shared, folder, reports) = (self.shared.clone(), held.folder.clone(), self.reports.clone());
        let task = self.tasks.spawn(async move {
            let event = match publication.publish(epoch, &shared.store, &folder).await {
                Ok(event) => event,
                Err(failure) => Event::PublishFailed { epoch, failure },
            };
            if reports.send(event).await.is_err() {
                tracing::debug!(%epoch, "the agent ended before a publication did");
            }
        });
        held.publication = Some(task);
    }

    fn stop_publishing(&mut self, epoch: Epoch) {
        if let Some(task) = self.held.get_mut(&epoch).and_then(|held| held.publication.take()) {
            task.abort();
        }
    }

    fn discard(&mut self, epoch: Epoch) {
        let Some(held) = self.held.remove(&epoch) else { return };
        self.tasks.spawn_blocking(move || remove(&held.folder));
    }

    /// Kills what runs, waits for its end within bounds, and removes what it left.
    async fn end(mut self) {
        let mut folders = Vec::new();
        for (_, held) in std::mem::take(&mut self.held) {
            if let Some(publication) = held.publication {
                publication.abort();
            }
            // Dropping the reins kills the runner.
            drop(held.reins);
            folders.push(held.folder);
        }
        // Nobody reads what the killed runners say.
        drop((self.reports, self.notices));
        let quiet = async {
            while let Some(ended) = self.tasks.join_next().await {
                log_panic(ended);
            }
        };
        if timeout(END_GRACE, quiet).await.is_err() {
            tracing::warn!("some runners were not gone in time; they die with this process");
        }
        let removed = tokio::task::spawn_blocking(move || folders.iter().for_each(|folder| remove(folder)));
        if let Err(error) = removed.await {
            tracing::error!(%error, "scratch folders stay behind");
        }
    }
}

/// Sends what still waits, and that the agent is gone.
async fn say_goodbye(link: &WorkerLink, unsent: VecDeque<v1::WorkerMessage>) {
    let leave = v1::WorkerMessage { message: Some(v1::worker_message::Message::Leave(v1::Leave {})) };
    let all = async {
        for message in unsent.into_iter().chain([leave]) {
            if link.sender.send(message).await.is_err() {
                return;
            }
        }
    };
    if timeout(END_GRACE, all).await.is_err() {
        tracing::warn!(
            "the scheduler was not told that this worker is gone; it finds out when the lease ends"
        );
    }
}

fn remove(folder: &Path) {
    if let Err(error) = scratch::remove(folder) {
        tracing::warn!(folder = %folder.display(), %error, "a scratch folder stays behind");
    }
}

/// Something on its way into the store.
enum Publication {
    Part(PartIndex, v1::PartFinished),
    Result(Box<v1::TaskFinished>),
}

impl Publication {
    async fn publish(self, epoch: Epoch, store: &Store, folder: &Path) -> Result<Event<Wire>, Failure> {
        match self {
            Publication::Part(part, files) => {
                let receipt = publish_part(store, folder, &files).await?;
                Ok(Event::PartPublished { epoch, part, receipt })
            }
            Publication::Result(output) => {
                let receipt = publish_output(store, folder, &output).await?;
                Ok(Event::ResultPublished { epoch, receipt })
            }
        }
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a task of the agent panicked");
    }
}
