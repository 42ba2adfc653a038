//! The embedded farm: one scheduler, its agents, and the channels between them.

use std::path::PathBuf;
use std::time::Duration;

use reel_common::{
    Artifact, FailureClass, JobId, JobState, JobView, Labels, Pool, Price, Trouble, is_remote,
};
use reel_scheduler::{JobSpec, LeaseTimes, Refused, Scheduler, SchedulerConfig, Submitted};
use reel_worker::{Agent, AgentConfig, AgentHandle, HostFacts, Programs, RunnerProgram, WorkerLink};
use tokio::sync::watch;

use super::ledger;
use crate::destination::Destination;
use crate::exit::Stop;
use crate::home::Home;
use crate::reporter::Reporter;
use crate::signals;

/// Heartbeats carry progress, and the wire is this process: often enough for a bar that moves.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long agents may take to end after their runners were killed.
const DISMISSAL: Duration = Duration::from_secs(10);
/// Shortages of a stage in a row after which the command gives up, about half a minute after the first: who typed it is
/// there to make room, and what is made is kept.
const MAX_SHORTAGES: u32 = 4;
/// How often one and the same job may be submitted afresh; a thousand failures are a loop of the caller's.
const MAX_SUBMISSIONS: u32 = 1_000;

/// The agents that a job gets.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    pub(super) workers: u32,
    /// Of each worker; `None` shares the cores out.
    pub(super) slots: Option<u32>,
    pub(super) runner: PathBuf,
}

/// How following a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// There was nothing to do.
    AlreadyDone,
    /// The job is over, well or not.
    Over,
    /// The machine is short of something, again and again; the job was canceled, and what it made is in the store.
    Starved,
    /// A signal came.
    Stopped(&'static str),
}

/// A job that the scheduler has on disk.
pub(super) struct Accepted {
    pub(super) view: JobView,
    /// It goes on from an earlier command.
    pub(super) resumed: bool,
    /// An earlier command made it, and its title is still there.
    pub(super) already_done: bool,
}

/// A scheduler and its agents in this process.
pub(super) struct Farm {
    scheduler: Scheduler,
    agents: Vec<AgentHandle>,
    /// Of the home, for messages.
    place: String,
}

impl Farm {
    pub(super) async fn open(home: &Home) -> Result<Self, Stop> {
        let config = SchedulerConfig {
            abandon_fleet: true,
            leases: LeaseTimes { heartbeat: HEARTBEAT, ..LeaseTimes::default() },
            ..SchedulerConfig::new(home.farm(), 1, home.store().display().to_string())
        };
        let scheduler = Scheduler::start(config).await;
        let scheduler =
            scheduler.map_err(|error| Stop::failed(format!("the scheduler does not start: {error}")))?;
        Ok(Farm { scheduler, agents: Vec::new(), place: home.path().display().to_string() })
    }

    /// Ends the agents and the scheduler. Work that is to go on later is handed back first; after a job that is over
    /// the agents have nothing to say, and end with the scheduler.
    pub(super) async fn close(self, hand_back: bool) {
        if hand_back {
            self.agents.iter().for_each(|agent| agent.drain(Duration::ZERO));
            all_ended(self.agents).await;
            self.scheduler.shutdown().await;
        } else {
            self.scheduler.shutdown().await;
            all_ended(self.agents).await;
        }
    }

    /// Submits the job, or finds it where an earlier command has submitted it. One that has failed, or whose title has
    /// gone, is submitted afresh. A job of another command that was left open in this home is canceled: what it made
    /// stays in the store.
    pub(super) async fn accept(
        &self,
        spec: JobSpec,
        destination: &Destination,
        home: &Home,
    ) -> Result<Accepted, Stop> {
        let first_key = spec.idempotency_key.clone().unwrap_or_default();
        self.cancel_other(home, &first_key).await?;
        for number in 1..=MAX_SUBMISSIONS {
            let key = if number == 1 { first_key.clone() } else { format!("{first_key}/{number}") };
            let spec = JobSpec { idempotency_key: Some(key), ..spec.clone() };
            let Submitted { job, duplicate } = self.scheduler.submit(spec.clone()).await.map_err(refused)?;
            ledger::open(home, &ledger::Entry { job, key: first_key.clone(), output: spec.output })?;
            let view = self.scheduler.watch(job).await.map_err(refused)?.borrow().clone();
            let already_done = view.state == JobState::Done && report_is_there(&view, destination);
            match view.state {
                JobState::Paused => self.scheduler.cancel(job).await.map_err(refused)?,
                JobState::Done | JobState::Failed | JobState::Canceled if !already_done => {}
                _ => return Ok(Accepted { view, resumed: duplicate, already_done }),
            }
        }
        Err(Stop::refused(format!("this job was submitted {MAX_SUBMISSIONS} times: use another --home")))
    }

    async fn cancel_other(&self, home: &Home, key: &str) -> Result<(), Stop> {
        let Some(entry) = ledger::read(home).filter(|entry| entry.key != key) else { return Ok(()) };
        match self.scheduler.cancel(entry.job).await {
            Ok(()) => {
                tracing::info!(job = %entry.job, "canceled the job that another command left open");
                if !is_remote(&entry.output) {
                    ledger::clear_staging(entry.output.as_ref(), entry.job);
                }
            }
            Err(Refused::UnknownJob(_) | Refused::WrongState { .. }) => {}
            Err(error) => return Err(refused(error)),
        }
        ledger::close(home);
        Ok(())
    }

    /// Starts the agents and connects them.
    pub(super) async fn employ(&mut self, fleet: &Fleet, home: &Home) -> Result<(), Stop> {
        let failed =
            |error: &dyn std::fmt::Display| Stop::failed(format!("a worker does not start: {error}"));
        let host = HostFacts::measure(&home.scratch()).map_err(|error| failed(&error))?;
        let runner = RunnerProgram::ask(fleet.runner.clone()).await.map_err(|error| failed(&error))?;
        for number in 1..=fleet.workers {
            let name = format!("worker-{number}");
            let config = AgentConfig {
                price: Price::default(),
                slots: fleet.slots.unwrap_or(host.cores / fleet.workers).max(1),
                memory_bytes: host.runner_memory() / u64::from(fleet.workers),
                scratch: home.scratch().join(&name),
                runner: runner.clone(),
                store_url: home.store().display().to_string(),
                pool: Pool::OnDemand,
                labels: Labels::default(),
                hooks: Programs::new(),
                name,
            };
            let (sender, receiver) = self.scheduler.connect_worker().await.map_err(refused)?;
            let agent =
                Agent::start(config, WorkerLink { sender, receiver }).map_err(|error| failed(&error))?;
            self.agents.push(agent);
        }
        Ok(())
    }

    /// Gives a job up. A scheduler that cannot write that down either leaves the job open for the same command.
    pub(super) async fn give_up(&self, job: JobId) {
        if let Err(error) = self.scheduler.cancel(job).await {
            tracing::warn!(%job, %error, "the job stays open");
        }
    }

    /// Follows the job until it is over, a signal comes, or the scheduler cannot go on.
    pub(super) async fn watch(&self, job: JobId, reporter: &mut Reporter) -> Result<(JobView, Ending), Stop> {
        let mut views = self.scheduler.watch(job).await.map_err(refused)?;
        tokio::select! {
            ended = until_ended(&mut views, reporter) => ended,
            signal = signals::asked_to_end() => signal.map(|signal| (views.borrow().clone(), Ending::Stopped(signal))),
            reason = self.scheduler.failed() => Err(self.cannot_go_on(job, &reason)),
        }
    }

    /// The scheduler fell under the job, most likely of a full disk, which may as well fail an attempt first.
    fn cannot_go_on(&self, job: JobId, reason: &str) -> Stop {
        let advice = format!(
            "put that right and run the same command: what is made is kept in the home {}",
            self.place
        );
        Stop::job_failed(format!("job {job} cannot go on: the scheduler stopped: {reason}; {advice}"))
    }
}

async fn until_ended(
    views: &mut watch::Receiver<JobView>,
    reporter: &mut Reporter,
) -> Result<(JobView, Ending), Stop> {
    loop {
        let view = views.borrow_and_update().clone();
        let starved =
            |trouble: &Trouble| trouble.class == FailureClass::Shortage && trouble.shortages >= MAX_SHORTAGES;
        if !view.is_over() && view.trouble.as_ref().is_some_and(starved) {
            return Ok((view, Ending::Starved));
        }
        reporter.follow(&view)?;
        if view.is_over() {
            return Ok((view, Ending::Over));
        }
        views.changed().await.map_err(|_| Stop::failed("the scheduler has stopped"))?;
    }
}

async fn all_ended(agents: Vec<AgentHandle>) {
    let all = async {
        for mut agent in agents {
            agent.join().await;
        }
    };
    if tokio::time::timeout(DISMISSAL, all).await.is_err() {
        tracing::warn!("some workers did not end in time and were dropped");
    }
}

/// Whether OUTPUT holds the very report that this job delivered.
fn report_is_there(view: &JobView, destination: &Destination) -> bool {
    let found = destination.report().map(|bytes| Artifact::of(&bytes));
    found.is_some() && found == view.report
}

/// What the scheduler does not do.
fn refused(error: Refused) -> Stop {
    let message = error.to_string();
    match error {
        Refused::Profile(_) => Stop::usage(message),
        Refused::Request(_) | Refused::WrongState { .. } => Stop::refused(message),
        Refused::UnknownJob(_) | Refused::UnknownTask(_) | Refused::NotFound(_) => Stop::not_found(message),
        Refused::NotLeader { .. } | Refused::Unavailable(_) | Refused::Forgotten => Stop::failed(message),
    }
}
