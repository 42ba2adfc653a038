//! The one owner of the farm's state: events come in, the leader decides, entries go out, effects follow what was
//! applied.
//!
//! Effects are levels, not edges: after each entry, [`Fleet::reconcile`] tells every connected worker how its leases
//! differ from what it knows. A new leader therefore needs no memory of what the last one said.

mod batch;
mod clock;
mod counts;
mod ended;
mod events;
mod fleet;
mod messages;
mod overview;
mod requests;
mod sight;
mod spec;
mod tails;
mod views;

use std::time::Duration;

use futures::future::BoxFuture;
use reel_common::{JobId, JobView, TaskId};
use reel_profiles::Profile;
use reel_proto::v1;
use reel_scheduler_core::lease::LeaseTerms;
use reel_scheduler_core::view::{next_backoff_deadline, prune_is_due, rate_step, undecided};
use reel_scheduler_core::{Action, Command, FarmState, LossCause, Reply, placement, plan};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use self::batch::{Asker, Batch};
pub(crate) use self::clock::Now;
use self::clock::{Clock, millis};
pub(crate) use self::counts::Counts;
pub use self::ended::Ended;
pub(crate) use self::ended::Teller;
pub(crate) use self::events::{Change, EventLog, Watch};
pub(crate) use self::fleet::{Fleet, LinkEvent, LinkId};
use self::messages::refuse;
pub use self::sight::JobFilter;
pub(crate) use self::sight::{Look, Sight};
pub(crate) use self::tails::TailReply;
use self::tails::Tails;
use self::views::Watchers;
use crate::codec;
use crate::config::SchedulerConfig;
use crate::raft::{Admin, Applied, Log, MAX_RECORD_BYTES, OwnerCall, ProposeError, Raft, Role, Server};
use crate::scheduler::{JobSpec, Refused, StartError, Submitted};

/// Calls of the log that may wait for the owner; each is one entry.
const OWNER_CALLS: usize = 64;
/// Worker messages that may wait.
const LINK_EVENTS: usize = 1024;
/// Leases are checked and waiting tasks placed at least this often.
const TICK: Duration = Duration::from_secs(1);
/// An entry of few commands goes so long after the one before: each costs its synchronised writes on every node, however
/// little it holds. One that comes after a pause goes at once.
const GATHER: Duration = Duration::from_millis(20);
/// Watchers are told at most this often, but at once when a job's state changes.
const VIEW_INTERVAL: Duration = Duration::from_millis(100);

/// What a client asks.
pub(crate) enum Request {
    Submit {
        spec: Box<JobSpec>,
        reply: oneshot::Sender<Result<Submitted, Refused>>,
    },
    /// Somebody looks at the farm.
    Look(Look),
    /// The changes after a number, or those to come; `job` must be known where one is named.
    Events {
        after: Option<u64>,
        job: Option<JobId>,
        reply: oneshot::Sender<Result<Watch, Refused>>,
    },
    /// The end of the log of an attempt; of the one that runs, or the last, where the number is 0.
    Tail {
        task: TaskId,
        attempt: u32,
        reply: TailReply,
    },
    /// An action of an operator.
    Operate {
        action: Action,
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    Watch {
        job: JobId,
        reply: oneshot::Sender<Result<watch::Receiver<JobView>, Refused>>,
    },
    Connect {
        from_worker: mpsc::Receiver<v1::WorkerMessage>,
        to_worker: mpsc::Sender<v1::SchedulerMessage>,
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    Stop,
}

/// A driver that runs.
pub(crate) struct Started {
    /// Whether this node leads.
    pub(crate) leading: watch::Receiver<bool>,
    /// Why it cannot go on. Closed when it has stopped, which it does when it is asked to, when nobody can ask any more,
    /// or after a failure.
    pub(crate) failure: watch::Receiver<Option<String>>,
    /// What operators ask of the cluster.
    pub(crate) admin: Admin,
    /// What answers other nodes.
    pub(crate) peers: Server,
}

/// What happens to a driver.
pub(crate) enum Event {
    Owner(OwnerCall),
    Proposed(Result<Applied, ProposeError>),
    Role,
    Link(LinkEvent),
    Request(Request),
    /// The time that [`Driver::next_wake`] told has come.
    Wake,
    Views,
    Stop,
}

type InFlight = BoxFuture<'static, Result<Applied, ProposeError>>;

/// The owner of the state. Between events it does nothing: whoever drives it waits for the next one and knows the time.
pub(crate) struct Driver {
    config: SchedulerConfig,
    pub(crate) state: FarmState,
    log: Box<dyn Log>,
    role: watch::Receiver<Role>,
    link_sender: mpsc::Sender<LinkEvent>,
    leading: watch::Sender<bool>,
    failure: watch::Sender<Option<String>>,
    pub(crate) fleet: Fleet,
    watchers: Watchers,
    events: EventLog,
    tails: Tails,
    batch: Batch,
    in_flight: Option<(InFlight, Vec<Asker>)>,
    /// What the clocks showed at the event that is handled.
    now: Now,
    clock: Clock,
    /// Counts for leases, whatever the wall clock does.
    started: Instant,
    /// Something has happened that may let a task be placed.
    unsettled: bool,
    next_tick: Instant,
    /// When the next entry may go: entries gather what comes meanwhile.
    next_entry: Instant,
    views_due: Option<Instant>,
    abandon_fleet: bool,
}

/// Where the events of a driver come from, but for those of its own.
struct Inbox {
    calls: mpsc::Receiver<OwnerCall>,
    requests: mpsc::Receiver<Request>,
    link_events: mpsc::Receiver<LinkEvent>,
}

/// Opens the log, applies what is in it, and starts the driver.
pub(crate) async fn start(
    config: SchedulerConfig,
    requests: mpsc::Receiver<Request>,
) -> Result<Started, StartError> {
    let (owner, mut calls) = mpsc::channel(OWNER_CALLS);
    let (mut state, mut events) = (FarmState::default(), EventLog::new(0, Teller::new(config.ended.clone())));
    let (dir, node, beginning) = (config.dir.clone(), config.node_id, config.beginning.clone());
    let mut opening = Box::pin(async move { Raft::start(&dir, node, beginning, owner).await });
    let raft = loop {
        tokio::select! {
            opened = &mut opening => break opened.map_err(|error| StartError::Log(error.to_string()))?,
            Some(call) = calls.recv() => serve(&mut state, &mut events, call),
        }
    };
    let (admin, peers) = (raft.admin(), raft.server());
    let (link_sender, link_events) = mpsc::channel(LINK_EVENTS);
    let mut role = raft.role();
    role.mark_changed();
    let driver = Driver::new(config, (state, events), Box::new(raft), role, link_sender, Now::read());
    let (leading, failure) = (driver.leading.subscribe(), driver.failure.subscribe());
    tokio::spawn(driver.run(Inbox { calls, requests, link_events }));
    Ok(Started { leading, failure, admin, peers })
}

fn terms(config: &SchedulerConfig) -> LeaseTerms {
    LeaseTerms { ttl_ms: millis(config.leases.lease), grace_ms: millis(config.leases.grace) }
}

/// Answers a call of the log.
fn serve(state: &mut FarmState, events: &mut EventLog, call: OwnerCall) {
    // A caller that is gone has stopped; what it asked is done all the same.
    match call {
        OwnerCall::Apply { index, commands, reply } => {
            let apply = |command| {
                let reply = state.apply(index, command);
                events.note(state);
                reply
            };
            let _ = reply.send(commands.into_iter().map(apply).collect());
        }
        OwnerCall::Copy { reply } => drop(reply.send(state.clone())),
        OwnerCall::Restore { state: restored, reply } => {
            *state = *restored;
            events.forget(state.applied);
            let _ = reply.send(());
        }
    }
}

impl Driver {
    /// A driver of `state`, which follows until `role` says otherwise. What workers say goes to `link_sender`.
    pub(crate) fn new(
        config: SchedulerConfig,
        (state, events): (FarmState, EventLog),
        log: Box<dyn Log>,
        role: watch::Receiver<Role>,
        link_sender: mpsc::Sender<LinkEvent>,
        now: Now,
    ) -> Driver {
        Driver {
            log,
            role,
            link_sender,
            leading: watch::Sender::new(false),
            failure: watch::Sender::new(None),
            fleet: Fleet::new(terms(&config)),
            watchers: Watchers::default(),
            events,
            tails: Tails::default(),
            batch: Batch::default(),
            in_flight: None,
            now,
            clock: Clock::new(now, state.clock_ms),
            started: now.steady,
            unsettled: true,
            next_tick: now.steady + TICK,
            next_entry: now.steady,
            views_due: None,
            abandon_fleet: config.abandon_fleet,
            config,
            state,
        }
    }

    async fn run(mut self, mut inbox: Inbox) {
        while self.failure.borrow().is_none() {
            match self.next_event(&mut inbox).await {
                Event::Stop => break,
                event => self.turn(Now::read(), event),
            }
        }
        self.stop(inbox).await;
    }

    async fn next_event(&mut self, inbox: &mut Inbox) -> Event {
        let (open, wake) = (!self.batch.is_full(), self.next_wake());
        tokio::select! {
            Some(call) = inbox.calls.recv() => Event::Owner(call),
            result = settled(&mut self.in_flight) => Event::Proposed(result),
            Ok(()) = self.role.changed() => Event::Role,
            Some(event) = inbox.link_events.recv(), if open => Event::Link(event),
            request = inbox.requests.recv(), if open => match request {
                None | Some(Request::Stop) => Event::Stop,
                Some(request) => Event::Request(request),
            },
            () = sleep_until(wake) => Event::Wake,
            () = due(self.views_due) => Event::Views,
        }
    }

    /// Takes in what happened when the clocks showed `now`, and does what follows.
    pub(crate) fn turn(&mut self, now: Now, event: Event) {
        self.now = now;
        self.handle(event);
        if self.failure.borrow().is_none() {
            self.advance();
        }
    }

    /// Whether this node leads, as far as it knows.
    pub(crate) fn leads(&self) -> bool {
        *self.leading.borrow()
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Owner(call) => serve(&mut self.state, &mut self.events, call),
            Event::Proposed(result) => self.on_proposed(result),
            Event::Role => self.on_role(),
            Event::Link(LinkEvent::Said(link, message)) => self.on_message(link, *message),
            Event::Link(LinkEvent::Broken(link)) => self.on_broken(link),
            Event::Request(request) => self.on_request(request),
            Event::Wake if self.now.steady >= self.next_tick => self.on_tick(),
            Event::Wake => {}
            Event::Views => self.on_views(),
            Event::Stop => {}
        }
    }

    /// Decides and proposes, unless an entry is on its way: then the state is about to change.
    fn advance(&mut self) {
        if self.in_flight.is_some() || (self.now.steady < self.next_entry && !self.batch.is_worth_an_entry())
        {
            return;
        }
        if std::mem::take(&mut self.unsettled) && *self.leading.borrow() {
            self.decide();
        }
        if self.batch.is_empty() {
            return;
        }
        let (commands, askers) = self.batch.take_entry();
        self.in_flight = Some((self.log.propose(&commands), askers));
        self.next_entry = self.now.steady + GATHER;
    }

    /// When the driver is to look again by itself: at the next tick, or when an entry may go that waits.
    pub(crate) fn next_wake(&self) -> Instant {
        let waits = !self.batch.is_empty() || (self.unsettled && *self.leading.borrow());
        match waits && self.in_flight.is_none() {
            true => self.next_tick.min(self.next_entry),
            false => self.next_tick,
        }
    }

    /// What the leader wants by itself: plans, bit rates, forgetting, grants and cuts.
    fn decide(&mut self) {
        for job in undecided(&self.state) {
            if let Some(action) = rate_step(&self.state, job).or_else(|| self.plan(job)) {
                self.propose(action, Asker::Leader);
            }
        }
        if prune_is_due(&self.state) {
            self.propose(Action::PruneJobs, Asker::Leader);
        }
        for command in placement::place(&self.state, &self.fleet.in_hand, self.now_ms()) {
            self.batch.push(command, Asker::Leader);
        }
        self.schedule_tick();
    }

    /// The next tick, or the end of a backoff where that is earlier.
    fn schedule_tick(&mut self) {
        let now_ms = self.now_ms();
        let wait = next_backoff_deadline(&self.state, now_ms)
            .map_or(TICK, |deadline| TICK.min(Duration::from_millis(deadline - now_ms)));
        self.next_tick = self.next_tick.min(self.now.steady + wait);
    }

    fn plan(&self, id: JobId) -> Option<Action> {
        let job = self.state.jobs.get(&id)?;
        let (index, text) = (job.index.as_ref()?, self.state.profiles.get(&job.profile)?);
        let planned =
            Profile::parse(text, "profile").map_err(|error| error.to_string()).and_then(|profile| {
                plan(index, &profile, job.spec.chunk_parts).map_err(|error| error.to_string())
            });
        let commit = match planned {
            Ok(plan) => Action::CommitPlan { job: id, plan: Box::new(plan) },
            Err(reason) => return Some(Action::RejectPlan { job: id, reason }),
        };
        let fits = codec::encoded_len(&Command::at(0, commit.clone())) < MAX_RECORD_BYTES - 1024;
        let reason =
            || "the title has too many segments of different lengths: use longer segments".to_owned();
        Some(if fits { commit } else { Action::RejectPlan { job: id, reason: reason() } })
    }

    fn propose(&mut self, action: Action, asker: Asker) {
        self.batch.push(Command::at(self.now_ms(), action), asker);
    }

    /// The time that is stamped into commands.
    fn now_ms(&self) -> u64 {
        self.clock.at_ms(self.now)
    }

    /// Milliseconds since the driver began, for leases.
    fn steady_ms(&self) -> u64 {
        millis(self.now.steady.saturating_duration_since(self.started))
    }

    fn on_proposed(&mut self, result: Result<Applied, ProposeError>) {
        let Some((_, askers)) = self.in_flight.take() else { return };
        match result {
            Ok(applied) => {
                // Where all that was done are refused decisions, deciding again would give the same.
                self.unsettled |= askers.iter().zip(&applied).any(|pair| !is_refused_decision(pair));
                for (asker, reply) in askers.into_iter().zip(applied) {
                    self.answer(asker, reply);
                }
                self.fleet.reconcile(&self.state, &self.config.store_url);
            }
            Err(error) => {
                tracing::warn!(%error, "an entry was not accepted");
                for asker in askers {
                    self.on_refused(asker, &error);
                }
            }
        }
        self.touch_views();
    }

    fn on_role(&mut self) {
        let role = self.role.borrow_and_update().clone();
        let leads = matches!(role, Role::Leader { .. });
        match role {
            Role::Leader { term } => self.begin_term(term),
            Role::Follower { .. } => self.end_term(),
            Role::Failed(reason) => {
                self.failure.send_replace(Some(reason));
            }
        }
        self.leading.send_replace(leads);
    }

    fn begin_term(&mut self, term: u64) {
        tracing::info!(term, "this scheduler leads");
        self.clock = Clock::new(self.now, self.state.clock_ms);
        self.fleet.begin_term(term, self.state.applied, terms(&self.config));
        (self.events.counts, self.events.leads) = (Counts::default(), true);
        if std::mem::take(&mut self.abandon_fleet) {
            let workers: Vec<_> = self.state.workers.keys().copied().collect();
            for worker in workers {
                self.propose(Action::LoseWorker { worker, cause: LossCause::FarmRestarted }, Asker::Leader);
            }
        }
        self.unsettled = true;
    }

    /// Lets go of workers and watchers, who find the next leader.
    fn end_term(&mut self) {
        if *self.leading.borrow() {
            tracing::info!("this scheduler does not lead any more");
            self.events.leads = false;
            self.fleet = Fleet::new(terms(&self.config));
            self.watchers = Watchers::default();
            self.events.cut_off();
            self.tails = Tails::default();
        }
    }

    /// What is answered to those who need the leader.
    fn elsewhere(&self) -> Refused {
        match &*self.role.borrow() {
            Role::Follower { leader } => Refused::NotLeader { leader: leader.clone() },
            Role::Leader { .. } | Role::Failed(_) => Refused::NotLeader { leader: None },
        }
    }

    fn on_tick(&mut self) {
        self.next_tick = self.now.steady + TICK;
        if !*self.leading.borrow() {
            return;
        }
        let expired = self.fleet.leases.expire(&self.state, self.steady_ms());
        if expired.held_back > 0 {
            tracing::error!(
                workers = expired.held_back,
                "many workers fell silent at once: their work is kept for now"
            );
        }
        for action in expired.actions {
            tracing::warn!(?action, "a worker or lease was not heard of");
            self.propose(action, Asker::Leader);
        }
        for command in placement::make_room(&self.state, &self.fleet.in_hand, self.now_ms()) {
            self.batch.push(command, Asker::Leader);
        }
        self.unsettled = true;
    }

    fn on_views(&mut self) {
        self.views_due = None;
        self.watchers.publish(&self.state, &self.fleet);
    }

    /// Tells watchers soon, or now where a job has begun or ended.
    fn touch_views(&mut self) {
        if self.watchers.is_empty() {
            return;
        }
        if self.watchers.have_news(&self.state) {
            self.on_views();
        } else {
            self.views_due.get_or_insert(self.now.steady + VIEW_INTERVAL);
        }
    }

    /// Closes the log, which may still ask for what it has to apply, and refuses everybody who waits.
    async fn stop(mut self, mut inbox: Inbox) {
        let reason = self.failure.borrow().clone().unwrap_or_else(|| "the scheduler has stopped".to_owned());
        let flying = self.in_flight.take().map(|(_, askers)| askers).unwrap_or_default();
        for asker in flying.into_iter().chain(self.batch.take_askers()) {
            refuse(asker, Refused::Unavailable(reason.clone()));
        }
        inbox.requests.close();
        let Driver { log, mut state, mut events, .. } = self;
        let mut closing = log.shutdown();
        loop {
            tokio::select! {
                () = &mut closing => return,
                Some(call) = inbox.calls.recv() => serve(&mut state, &mut events, call),
            }
        }
    }
}

fn is_refused_decision((asker, reply): (&Asker, &Reply)) -> bool {
    matches!((asker, reply), (Asker::Leader, Reply::Refused(_) | Reply::Superseded))
}

async fn settled(in_flight: &mut Option<(InFlight, Vec<Asker>)>) -> Result<Applied, ProposeError> {
    match in_flight {
        Some((proposal, _)) => proposal.await,
        None => std::future::pending().await,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
