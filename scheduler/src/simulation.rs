//! A scheduler without disk, network or clock, for simulations: the driver as it is, one event at a time.
//!
//! Whoever simulates stands in for the log, the links and the clocks. It takes what the node proposes, lets it come back
//! as an applied entry or not, and carries messages; it may do so in any order that the real ones could.

use std::sync::mpsc as channel;

use futures::future::{BoxFuture, FutureExt, pending, ready};
use reel_common::JobId;
use reel_proto::v1;
use reel_scheduler_core::{Action, Command, FarmState, Reply};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Duration, Instant};

use crate::codec;
use crate::config::{LeaseTimes, SchedulerConfig};
use crate::driver::{Driver, Event, EventLog, LinkEvent, LinkId, Now, Request, Teller};
use crate::raft::{Applied, Log, OwnerCall, ProposeError, Role};
use crate::scheduler::{JobSpec, Refused, Submitted};

/// Messages that may wait for a worker, as on a real link.
const LINK_MESSAGES: usize = 4096;

/// What the clocks of a node show, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The monotonic clock.
    pub steady_ms: u64,
    /// The wall clock, since 1970.
    pub wall_ms: u64,
}

/// The name of a link to a worker, unique in the life of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(LinkId);

/// What a client waits for.
pub type Answer<T> = oneshot::Receiver<Result<T, Refused>>;

/// A scheduler between its start and its end, which is that it is dropped.
pub struct Node {
    driver: Driver,
    role: watch::Sender<Role>,
    proposals: channel::Receiver<Vec<u8>>,
    origin: Instant,
}

/// Hands proposals to the simulation.
struct Proposals(channel::Sender<Vec<u8>>);

impl Log for Proposals {
    fn propose(&self, commands: &[Command]) -> BoxFuture<'static, Result<Applied, ProposeError>> {
        // A node that is dropped proposes nothing.
        let _ = self.0.send(codec::encode_entry(commands));
        pending().boxed()
    }

    fn shutdown(self: Box<Self>) -> BoxFuture<'static, ()> {
        ready(()).boxed()
    }
}

impl Node {
    /// A node that has just started, from a snapshot or from nothing. It follows.
    ///
    /// # Errors
    /// The snapshot cannot be read.
    pub fn start(leases: LeaseTimes, snapshot: Option<&[u8]>, clocks: Clocks) -> Result<Node, String> {
        let state = snapshot.map(read_state).transpose()?.unwrap_or_default();
        let origin = Instant::now();
        let config = SchedulerConfig { leases, ..SchedulerConfig::new("", 1, "memory:") };
        let (proposed, proposals) = channel::channel();
        let (role, roles) = watch::channel(Role::Follower { leader: None });
        // Links are opened without a task that forwards what they say, so nothing is ever sent to this.
        let (links, _) = mpsc::channel(1);
        let log = Box::new(Proposals(proposed));
        let events = EventLog::new(state.applied, Teller::default());
        let driver = Driver::new(config, (state, events), log, roles, links, at(origin, clocks));
        Ok(Node { driver, role, proposals, origin })
    }

    /// The state as far as this node has applied it.
    pub fn state(&self) -> &FarmState {
        &self.driver.state
    }

    /// A snapshot of it.
    pub fn snapshot(&self) -> Vec<u8> {
        codec::encode_state(&self.driver.state)
    }

    /// Whether the driver takes itself for the leader.
    pub fn leads(&self) -> bool {
        self.driver.leads()
    }

    /// The log hands over a committed entry: the answers to its commands.
    ///
    /// # Errors
    /// The entry cannot be read.
    pub fn apply(&mut self, clocks: Clocks, index: u64, entry: &[u8]) -> Result<Vec<Reply>, String> {
        let (reply, mut answers) = oneshot::channel();
        let commands = commands(entry)?;
        self.turn(clocks, Event::Owner(OwnerCall::Apply { index, commands, reply }));
        answers.try_recv().map_err(|error| error.to_string())
    }

    /// The log hands over a snapshot of another node.
    ///
    /// # Errors
    /// The snapshot cannot be read.
    pub fn restore(&mut self, clocks: Clocks, snapshot: &[u8]) -> Result<(), String> {
        let (reply, _) = oneshot::channel();
        let state = Box::new(read_state(snapshot)?);
        self.turn(clocks, Event::Owner(OwnerCall::Restore { state, reply }));
        Ok(())
    }

    /// What the node has proposed since it was asked last: an entry at most, until that is settled.
    pub fn proposal(&mut self) -> Option<Vec<u8>> {
        self.proposals.try_recv().ok()
    }

    /// The entry in flight was applied, with these answers.
    pub fn applied(&mut self, clocks: Clocks, replies: Vec<Reply>) {
        self.turn(clocks, Event::Proposed(Ok(replies)));
    }

    /// The entry in flight has no answer: this node does not lead any more.
    pub fn deposed(&mut self, clocks: Clocks) {
        self.turn(clocks, Event::Proposed(Err(ProposeError::NotLeader)));
    }

    /// The node leads in `term`, or follows.
    pub fn is_now(&mut self, clocks: Clocks, term: Option<u64>) {
        self.role.send_replace(match term {
            Some(term) => Role::Leader { term },
            None => Role::Follower { leader: None },
        });
        self.turn(clocks, Event::Role);
    }

    /// The time has come that [`Node::next_wake_ms`] told.
    pub fn wake(&mut self, clocks: Clocks) {
        self.turn(clocks, Event::Wake);
    }

    /// When the node is to look again by itself, on the monotonic clock.
    pub fn next_wake_ms(&self) -> u64 {
        let wait = self.driver.next_wake().saturating_duration_since(self.origin);
        u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
    }

    /// A worker connects, and gets what it is told; `None` where this node does not lead.
    pub fn connect(&mut self) -> Option<(Link, mpsc::Receiver<v1::SchedulerMessage>)> {
        if !self.leads() {
            return None;
        }
        let (to_worker, told) = mpsc::channel(LINK_MESSAGES);
        Some((Link(self.driver.fleet.open(to_worker)), told))
    }

    /// A worker says something.
    pub fn hear(&mut self, clocks: Clocks, link: Link, message: v1::WorkerMessage) {
        self.turn(clocks, Event::Link(LinkEvent::Said(link.0, Box::new(message))));
    }

    /// The other end of a link is gone.
    pub fn unlink(&mut self, clocks: Clocks, link: Link) {
        self.turn(clocks, Event::Link(LinkEvent::Broken(link.0)));
    }

    /// A client submits.
    pub fn submit(&mut self, clocks: Clocks, spec: JobSpec) -> Answer<Submitted> {
        let (reply, answer) = oneshot::channel();
        self.turn(clocks, Event::Request(Request::Submit { spec: Box::new(spec), reply }));
        answer
    }

    /// A client cancels a job.
    pub fn cancel(&mut self, clocks: Clocks, job: JobId) -> Answer<()> {
        let (reply, answer) = oneshot::channel();
        self.turn(clocks, Event::Request(Request::Operate { action: Action::CancelJob { job }, reply }));
        answer
    }

    fn turn(&mut self, clocks: Clocks, event: Event) {
        self.driver.turn(at(self.origin, clocks), event);
    }
}

/// The commands of an entry.
///
/// # Errors
/// The entry cannot be read.
pub fn commands(entry: &[u8]) -> Result<Vec<Command>, String> {
    codec::decode_entry(entry).map_err(|error| error.to_string())
}

/// A snapshot of a state.
pub fn write_state(state: &FarmState) -> Vec<u8> {
    codec::encode_state(state)
}

fn read_state(snapshot: &[u8]) -> Result<FarmState, String> {
    codec::decode_state(snapshot).map_err(|error| error.to_string())
}

fn at(origin: Instant, clocks: Clocks) -> Now {
    Now { steady: origin + Duration::from_millis(clocks.steady_ms), wall_ms: clocks.wall_ms }
}
