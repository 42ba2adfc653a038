//! What the leader alone knows of workers: their links, what they were told, when they were heard, how far they are.

use std::collections::BTreeMap;

use reel_common::{Epoch, PartIndex, Stage, TaskId, WorkerId};
use reel_proto::v1::{self, scheduler_message::Message};
use reel_scheduler_core::FarmState;
use reel_scheduler_core::lease::{LeaseClock, LeaseTerms};
use reel_scheduler_core::placement;
use reel_scheduler_core::state::PartRange;
use tokio::sync::mpsc;

use super::spec;
use super::views::part_frames;

/// Numbers the links of this process, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(u64);

/// What came over a link.
pub(crate) enum LinkEvent {
    /// A message of the worker.
    Said(LinkId, Box<v1::WorkerMessage>),
    /// The other end was dropped.
    Broken(LinkId),
}

/// One worker's connection.
struct Link {
    sender: mpsc::Sender<v1::SchedulerMessage>,
    worker: Option<WorkerId>,
    told: BTreeMap<TaskId, Told>,
}

/// A lease that the worker knows of.
#[derive(Clone, Copy)]
struct Told {
    epoch: Epoch,
    /// For encode: the part after the last that it was told to do.
    end: Option<u32>,
}

/// How far an attempt is, by its last heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    epoch: Epoch,
    pub(super) frames_done: u64,
    pub(super) frames_total: u64,
    pub(super) part: Option<u32>,
    /// Frames that were counted as encoded in this term, or not to be: never fewer than before.
    counted: u64,
}

/// The links, and the heartbeats of this leader's term.
pub(crate) struct Fleet {
    links: BTreeMap<LinkId, Link>,
    by_worker: BTreeMap<WorkerId, LinkId>,
    progress: BTreeMap<TaskId, Progress>,
    /// How busy hosts are, by their last heartbeats.
    loads: BTreeMap<WorkerId, v1::HostLoad>,
    /// The term, and the last command before it.
    term: (u64, u64),
    /// Frames that were encoded in this term.
    frames: u64,
    last_link: u64,
    /// Who was heard of when.
    pub(super) leases: LeaseClock,
    /// The part that each encode attempt is at, for cutting chunks.
    pub(super) in_hand: placement::Progress,
}

impl Fleet {
    pub(super) fn new(terms: LeaseTerms) -> Fleet {
        Fleet {
            links: BTreeMap::new(),
            by_worker: BTreeMap::new(),
            progress: BTreeMap::new(),
            loads: BTreeMap::new(),
            term: (0, 0),
            frames: 0,
            last_link: 0,
            leases: LeaseClock::new(terms),
            in_hand: placement::Progress::default(),
        }
    }

    /// Forgets heartbeats at the start of a term, before which `applied` was the last command: every lease is taken for fresh.
    pub(super) fn begin_term(&mut self, term: u64, applied: u64, terms: LeaseTerms) {
        self.leases = LeaseClock::new(terms);
        self.in_hand = placement::Progress::default();
        self.progress.clear();
        self.loads.clear();
        (self.term, self.frames) = ((term, applied), 0);
    }

    /// The number of this leader's term.
    pub(super) fn term(&self) -> u64 {
        self.term.0
    }

    /// Frames of titles that were encoded in this term, those of attempts that were lost too.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// How busy a host is, by its last heartbeat.
    pub(super) fn load(&self, worker: WorkerId) -> Option<v1::HostLoad> {
        self.loads.get(&worker).copied()
    }

    /// Adds a link; what comes over it goes to `events`.
    pub(super) fn connect(
        &mut self,
        mut from_worker: mpsc::Receiver<v1::WorkerMessage>,
        to_worker: mpsc::Sender<v1::SchedulerMessage>,
        events: mpsc::Sender<LinkEvent>,
    ) {
        let id = self.open(to_worker);
        tokio::spawn(async move {
            while let Some(message) = from_worker.recv().await {
                if events.send(LinkEvent::Said(id, Box::new(message))).await.is_err() {
                    return;
                }
            }
            // Nobody takes this when the driver is gone, and then it does not matter.
            let _ = events.send(LinkEvent::Broken(id)).await;
        });
    }

    /// Adds a link that nothing is heard of but by the driver's events.
    pub(crate) fn open(&mut self, to_worker: mpsc::Sender<v1::SchedulerMessage>) -> LinkId {
        self.last_link += 1;
        let id = LinkId(self.last_link);
        self.links.insert(id, Link { sender: to_worker, worker: None, told: BTreeMap::new() });
        id
    }

    /// Forgets a link, and says whose it was.
    pub(super) fn disconnect(&mut self, id: LinkId) -> Option<WorkerId> {
        let worker = self.links.remove(&id)?.worker?;
        (self.by_worker.get(&worker) == Some(&id)).then(|| self.by_worker.remove(&worker));
        Some(worker)
    }

    /// The worker that registered over a link.
    pub(super) fn worker(&self, id: LinkId) -> Option<WorkerId> {
        self.links.get(&id)?.worker
    }

    /// Notes that `worker` speaks over this link. It may not know what an earlier link or leader was to tell it, so it is
    /// told all of its leases; what it knows already changes nothing.
    pub(super) fn registered(&mut self, id: LinkId, worker: WorkerId) {
        if let Some(older) = self.by_worker.insert(worker, id).filter(|older| *older != id) {
            self.links.remove(&older);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        link.worker = Some(worker);
        link.told.clear();
    }

    /// Sends to a link. A worker that does not read its messages is cut off; its lease runs out.
    pub(super) fn send(&mut self, id: LinkId, message: Message) {
        let Some(link) = self.links.get(&id) else { return };
        let message = v1::SchedulerMessage { message: Some(message) };
        if let Err(mpsc::error::TrySendError::Full(_)) = link.sender.try_send(message) {
            tracing::warn!(worker = ?link.worker, "the worker does not read its messages, its link is closed");
            self.disconnect(id);
        }
    }

    /// Takes a heartbeat: renews the worker and the attempts that it lists, and revokes what is not its own.
    pub(super) fn beat(&mut self, id: LinkId, beat: v1::Heartbeat, state: &FarmState, now_ms: u64) {
        let Some(worker) = self.worker(id) else { return };
        if !state.workers.contains_key(&worker) {
            // Another agent has taken its name, or it was given up: it is to register anew.
            self.disconnect(id);
            return;
        }
        self.send(id, Message::HeartbeatAck(v1::HeartbeatAck { sequence: beat.sequence }));
        let mut renewed = Vec::new();
        for running in beat.running {
            let epoch = Epoch(running.epoch);
            let Some(Ok(task)) = running.task.map(TaskId::try_from) else { continue };
            if state.live(task, epoch).is_none_or(|lease| lease.worker != worker) {
                self.ended(id, task);
                self.send(id, Message::Revoke(v1::Revoke { task: running.task, epoch: running.epoch }));
                continue;
            }
            renewed.push((task, epoch));
            if let Some(v1::Progress { frames_done, frames_total, part }) = running.progress {
                let counted = self.count_frames(task, epoch, frames_done);
                self.progress.insert(task, Progress { epoch, frames_done, frames_total, part, counted });
                if let Some(part) = part {
                    self.in_hand.note(task, epoch, PartIndex(part));
                }
            }
        }
        if let Some(load) = beat.load {
            self.loads.insert(worker, load);
        }
        self.leases.note_heartbeat(state, worker, renewed, now_ms);
    }

    /// Takes a part that an attempt has finished: what came before it in its chunk is done, too.
    pub(super) fn finished(&mut self, state: &FarmState, task: TaskId, epoch: Epoch, part: PartIndex) {
        let plan = state.jobs.get(&task.job).and_then(|job| job.plan.as_ref());
        let granted = state.live(task, epoch).and_then(|lease| lease.granted);
        let (Some(plan), Some(granted)) = (plan, granted.filter(|_| task.stage == Stage::Encode)) else {
            return;
        };
        let done = PartRange::new(granted.start, part.0.saturating_add(1).min(granted.end));
        let frames_done = done.parts().map(|part| part_frames(&plan.grid, part)).sum();
        let counted = self.count_frames(task, epoch, frames_done);
        let first = Progress { epoch, frames_done, frames_total: 0, part: Some(part.0), counted };
        match self.progress.get_mut(&task).filter(|seen| seen.epoch == epoch) {
            Some(seen) => seen.counted = counted,
            None => drop(self.progress.insert(task, first)),
        }
    }

    /// Counts what an attempt has encoded since it was heard of last, and says how far it is counted; what it did under another
    /// leader is not.
    fn count_frames(&mut self, task: TaskId, epoch: Epoch, frames_done: u64) -> u64 {
        let counted = match self.progress(task, epoch) {
            Some(before) => before.counted,
            None if epoch.0 > self.term.1 => 0,
            None => frames_done,
        };
        if task.stage == Stage::Encode {
            self.frames = self.frames.saturating_add(frames_done.saturating_sub(counted));
        }
        counted.max(frames_done)
    }

    /// The attempt has ended by the worker's own message, so it needs no revocation.
    pub(super) fn ended(&mut self, id: LinkId, task: TaskId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.told.remove(&task);
        }
    }

    /// The link of a worker, while it is connected.
    pub(super) fn link_of(&self, worker: WorkerId) -> Option<LinkId> {
        self.by_worker.get(&worker).copied()
    }

    /// Whether a worker is connected.
    pub(super) fn is_connected(&self, worker: WorkerId) -> bool {
        self.by_worker.contains_key(&worker)
    }

    /// How far a live attempt is.
    pub(super) fn progress(&self, task: TaskId, epoch: Epoch) -> Option<Progress> {
        self.progress.get(&task).copied().filter(|progress| progress.epoch == epoch)
    }

    /// Makes every connected worker know its leases as the state has them: grants, revocations, cuts.
    pub(super) fn reconcile(&mut self, state: &FarmState, store_url: &str) {
        let mut messages = Vec::new();
        for (id, link) in &mut self.links {
            if let Some(worker) = link.worker {
                let told = std::mem::take(&mut link.told);
                link.told =
                    tell(state, store_url, worker, told, &mut |message| messages.push((*id, message)));
            }
        }
        for (id, message) in messages {
            self.send(id, message);
        }
        self.progress.retain(|task, progress| state.live(*task, progress.epoch).is_some());
        self.loads.retain(|worker, _| state.workers.contains_key(worker));
        self.in_hand.retain_live(state);
    }
}

impl Told {
    fn new(state: &FarmState, task: TaskId, epoch: Epoch) -> Told {
        let range = || state.jobs.get(&task.job)?.chunk(task.index);
        Told { epoch, end: range().filter(|_| task.stage == Stage::Encode).map(|range| range.end) }
    }
}

fn cut(task: TaskId, epoch: Epoch, end: u32) -> Message {
    let task = Some(task.into());
    Message::CutChunk(v1::CutChunk { task, epoch: epoch.0, first_part_given_away: end })
}

/// Says what has changed for one worker, and returns what it knows now.
fn tell(
    state: &FarmState,
    store_url: &str,
    worker: WorkerId,
    told: BTreeMap<TaskId, Told>,
    say: &mut impl FnMut(Message),
) -> BTreeMap<TaskId, Told> {
    let mut known = BTreeMap::new();
    for (task, before) in told {
        let epoch = before.epoch.0;
        if state.live(task, before.epoch).is_none() {
            say(Message::Revoke(v1::Revoke { task: Some(task.into()), epoch }));
            continue;
        }
        let now = Told::new(state, task, before.epoch);
        if let Some(end) = now.end.filter(|end| before.end.is_some_and(|before| *end < before)) {
            say(cut(task, before.epoch, end));
        }
        known.insert(task, now);
    }
    for (task, lease) in state.leases_of_worker(worker) {
        if known.contains_key(&task) {
            continue;
        }
        match spec::grant(state, store_url, task) {
            Some(grant) => say(Message::Grant(grant)),
            None => tracing::error!(%task, epoch = lease.epoch.0, "the lease has no task to hand out"),
        }
        let now = Told::new(state, task, lease.epoch);
        // An agent that has it already has it as it was granted.
        if let (Some(end), Some(granted)) = (now.end, lease.granted)
            && end < granted.end
        {
            say(cut(task, lease.epoch, end));
        }
        known.insert(task, now);
    }
    known
}
