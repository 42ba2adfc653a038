//! Hosts of workers: killed, stopped and continued, told to go, started again.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use reel_common::{Epoch, JobId, WorkerFacts};
use reel_proto::v1;
use reel_worker::wire::Wire;
use reel_worker_core::{Agent, Event as Input};

use crate::agent::Publication;
use crate::faults::Fault;
use crate::judge::Lost;
use crate::network::End;
use crate::queue::Event;
use crate::runner::{Attempt, Runner};
use crate::title;
use crate::world::World;

/// An agent looks at the time so often; the real one does four times as often.
pub(crate) const TICK_MS: u64 = 1_000;
/// An agent that has lost its lease knows it after so long: a tick, and what a message may take longer than another.
const FENCED_MS: u64 = 4_000;

/// One host.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) slots: u32,
    pub(crate) life: u32,
    pub(crate) up: Option<Running>,
    /// Failures and losses that befell the attempts of each job here.
    pub(crate) troubles: BTreeMap<JobId, u32>,
}

/// A host that runs.
pub(crate) struct Running {
    pub(crate) agent: Agent<Wire>,
    pub(crate) me: WorkerFacts,
    pub(crate) began_ms: u64,
    pub(crate) link: Option<u64>,
    /// What the agent has said while it had no link.
    pub(crate) waiting: VecDeque<v1::WorkerMessage>,
    /// How it has registered last.
    pub(crate) register: Option<v1::WorkerMessage>,
    /// Attempts that were started and whose folders are there.
    pub(crate) attempts: BTreeMap<Epoch, Attempt>,
    pub(crate) runners: BTreeMap<Epoch, Runner>,
    pub(crate) publications: BTreeMap<Epoch, Publication>,
    /// The agent is stopped; what happens to it waits.
    stopped: Option<Vec<Input<Wire>>>,
    /// When it went on last.
    thawed_ms: u64,
}

impl Host {
    pub(crate) fn new(number: usize, slots: u32) -> Host {
        Host { name: format!("w{number}"), slots, life: 0, up: None, troubles: BTreeMap::new() }
    }

    pub(crate) fn agent(&self) -> Option<&Agent<Wire>> {
        self.up.as_ref().map(|running| &running.agent)
    }

    pub(crate) fn troubles_of(&self, job: JobId) -> u32 {
        self.troubles.get(&job).copied().unwrap_or(0)
    }
}

impl Running {
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }
}

impl World {
    pub(crate) fn on_host(&mut self, host: usize, life: u32) -> Option<&mut Running> {
        let host = &mut self.hosts[host];
        host.up.as_mut().filter(|_| host.life == life)
    }

    pub(crate) fn on_start_host(&mut self, host: usize, life: u32) {
        if self.hosts[host].life != life || self.hosts[host].up.is_some() {
            return;
        }
        let Host { name, slots, .. } = &self.hosts[host];
        let me = WorkerFacts {
            name: name.clone(),
            incarnation: self.wall_ms(End::Host(host)) * 1_000,
            slots: *slots,
            memory: 1 << 40,
            scratch: 1 << 40,
            codecs: ["h264", "aac", "image", "check"].map(str::to_owned).into(),
            hooks: [title::HOOK.to_owned()].into(),
            ..WorkerFacts::default()
        };
        let (agent, began_ms, link, register) = (Agent::new(*slots), self.queue.now_ms, None, None);
        let (waiting, runners, publications) = (VecDeque::new(), BTreeMap::new(), BTreeMap::new());
        let (attempts, stopped) = (BTreeMap::new(), None);
        let running = Running {
            agent,
            me,
            began_ms,
            link,
            waiting,
            register,
            attempts,
            runners,
            publications,
            stopped,
            thawed_ms: 0,
        };
        self.hosts[host].up = Some(running);
        self.after(0..100, Event::Dial { host, life });
        self.feed(host, life, Input::Ticked);
        self.after(0..TICK_MS, Event::Agent { host, life });
    }

    /// Kills a host with all that runs on it; it comes back after a while.
    pub(crate) fn kill_host(&mut self, host: usize) {
        self.end_host(host, 1_000..60_000);
    }

    /// A host is gone, for so long.
    pub(crate) fn end_host(&mut self, host: usize, down_ms: Range<u64>) {
        let Some(Running { attempts, runners, link, .. }) = self.hosts[host].up.take() else { return };
        self.hosts[host].life += 1;
        let life = self.hosts[host].life;
        self.judge.counts.killed_slots += runners.len() as u64;
        for attempt in attempts.values() {
            *self.hosts[host].troubles.entry(attempt.task.job).or_default() += 1;
        }
        if let Some(link) = link {
            let at_once = self.chance(50);
            self.after(if at_once { 0..50 } else { 5_000..15_000 }, Event::Close { link, at_host: false });
            self.after(0..1, Event::Close { link, at_host: true });
        }
        self.after(down_ms, Event::StartHost { host, life });
    }

    /// Something befalls an attempt.
    pub(crate) fn trouble(&mut self, host: usize, epoch: Epoch) {
        let host = &mut self.hosts[host];
        let attempt = host.up.as_ref().and_then(|running| running.attempts.get(&epoch));
        if let Some(job) = attempt.map(|attempt| attempt.task.job) {
            *host.troubles.entry(job).or_default() += 1;
        }
    }

    /// Stops an agent for a while; its runners go on until they have something to say.
    pub(crate) fn stop_host(&mut self, host: usize) {
        let life = self.hosts[host].life;
        let Some(running) = self.on_host(host, life).filter(|running| running.stopped.is_none()) else {
            return;
        };
        running.stopped = Some(Vec::new());
        let link = running.link;
        self.after(1_000..90_000, Event::Thaw { host, life });
        if let Some(link) = link {
            self.after(10_000..12_000, Event::Unanswered { host, life, link });
        }
    }

    /// A stopped agent does not answer pings.
    pub(crate) fn on_unanswered(&mut self, host: usize, life: u32, link: u64) {
        if self.on_host(host, life).is_some_and(|running| running.stopped.is_some()) {
            self.reset(link);
        }
    }

    pub(crate) fn on_thaw(&mut self, host: usize, life: u32) {
        let now_ms = self.queue.now_ms;
        let Some(running) = self.on_host(host, life) else { return };
        running.thawed_ms = now_ms;
        let missed = running.stopped.take();
        // Its clock may be what it sees first.
        if self.rng.bool() {
            self.feed(host, life, Input::Ticked);
        }
        for input in missed.into_iter().flatten() {
            self.feed(host, life, input);
        }
        // A link that was broken meanwhile is looked for again.
        self.after(0..100, Event::Dial { host, life });
    }

    /// The provider, or an operator, wants the host to go.
    pub(crate) fn preempt(&mut self, host: usize) {
        let (life, grace_ms) = (self.hosts[host].life, self.rng.u64(1_000..40_000));
        self.feed(host, life, Input::DrainAsked { grace_ms });
    }

    pub(crate) fn on_agent(&mut self, host: usize, life: u32) {
        if self.on_host(host, life).is_none() {
            return;
        }
        self.after(TICK_MS / 2..TICK_MS, Event::Agent { host, life });
        self.feed(host, life, Input::Ticked);
    }

    /// Something happens to an agent; one that is stopped finds it when it goes on.
    pub(crate) fn feed(&mut self, host: usize, life: u32, input: Input<Wire>) {
        let now_ms = self.queue.now_ms;
        let Some(running) = self.on_host(host, life) else { return };
        if let Some(missed) = &mut running.stopped {
            if !matches!(input, Input::Ticked) {
                missed.push(input);
            }
            return;
        }
        let actions = running.agent.handle(now_ms - running.began_ms, input);
        assert_eq!(running.agent.check(), Ok(()), "host {host}");
        self.note(3, actions.len() as u64);
        for action in actions {
            self.act(host, life, action);
        }
    }

    /// These have lost their leases: their hosts are to have ended them by themselves.
    pub(crate) fn watch_fences(&mut self, lost: Vec<Lost>) {
        for Lost { worker, epoch } in lost {
            let Some(host) = self.hosts.iter().position(|host| host.name == worker) else { continue };
            let life = self.hosts[host].life;
            self.push(self.queue.now_ms + FENCED_MS, Event::Fenced { host, life, epoch });
        }
    }

    pub(crate) fn on_fenced(&mut self, host: usize, life: u32, epoch: Epoch) {
        let now_ms = self.queue.now_ms;
        // Where messages are late, so may be an acknowledgement that counts from its heartbeat.
        if self.faults.contains(&Fault::Disorder) {
            return;
        }
        let Some(running) = self.on_host(host, life).filter(|running| running.stopped.is_none()) else {
            return;
        };
        if now_ms < running.thawed_ms + TICK_MS {
            // It has not looked at the time yet.
            let again_ms = running.thawed_ms + TICK_MS;
            return self.push(again_ms, Event::Fenced { host, life, epoch });
        }
        let runs = running.runners.get(&epoch).is_some_and(|runner| !runner.killed);
        assert!(!runs, "at {now_ms} host {host} still runs epoch {epoch}, which has lost its lease");
    }
}
