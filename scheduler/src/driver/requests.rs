//! What clients ask.

use reel_common::TaskId;
use reel_profiles::Profile;
use reel_proto::v1::{self, scheduler_message::Message};
use reel_scheduler_core::view::open_job_like;
use reel_scheduler_core::{Action, JobSpec as CoreSpec, Refusal};
use tokio::sync::oneshot;

use super::batch::Asker;
use super::sight::Sight;
use super::tails::TailReply;
use super::{Driver, Request, tails};
use crate::scheduler::{JobSpec, Refused, Submitted};

impl Driver {
    pub(super) fn on_request(&mut self, request: Request) {
        if !*self.leading.borrow() {
            return self.send_elsewhere(request);
        }
        match request {
            Request::Submit { spec, reply } => self.on_submit(*spec, reply),
            Request::Operate { action, reply } => self.propose(action, Asker::Operator(reply)),
            Request::Look(look) => {
                let now_ms = self.now_ms();
                let counts = &self.events.counts;
                look(Ok(Sight { state: &self.state, fleet: &self.fleet, counts, now_ms }));
            }
            Request::Watch { job, reply } => {
                let receiver = self.watchers.watch(job, &self.state, &self.fleet);
                drop(reply.send(receiver.ok_or(Refused::UnknownJob(job))));
            }
            Request::Events { after, job, reply } => {
                let unknown = job.filter(|job| !self.state.jobs.contains_key(job));
                drop(reply.send(match unknown {
                    Some(job) => Err(Refused::UnknownJob(job)),
                    None => self.events.watch(after, self.state.applied),
                }));
            }
            Request::Tail { task, attempt, reply } => self.on_tail(task, attempt, reply),
            Request::Connect { from_worker, to_worker, reply } => {
                self.fleet.connect(from_worker, to_worker, self.link_sender.clone());
                let _ = reply.send(Ok(()));
            }
            Request::Stop => {}
        }
    }

    fn send_elsewhere(&self, request: Request) {
        let elsewhere = self.elsewhere();
        // Whoever has asked may be gone by now.
        match request {
            Request::Submit { reply, .. } => drop(reply.send(Err(elsewhere))),
            Request::Operate { reply, .. } | Request::Connect { reply, .. } => {
                drop(reply.send(Err(elsewhere)))
            }
            Request::Look(look) => look(Err(elsewhere)),
            Request::Events { reply, .. } => drop(reply.send(Err(elsewhere))),
            Request::Tail { reply, .. } => drop(reply.send(Err(elsewhere))),
            Request::Watch { reply, .. } => drop(reply.send(Err(elsewhere))),
            Request::Stop => {}
        }
    }

    /// Asks the worker of an attempt for the end of its log.
    fn on_tail(&mut self, task: TaskId, attempt: u32, reply: TailReply) {
        let wanted = match tails::find(&self.state, task, attempt) {
            Ok(wanted) => wanted,
            Err(refused) => return drop(reply.send(Err(refused))),
        };
        // The same agent may have registered anew since.
        let known = self.state.worker_named(&wanted.name).map(|(worker, _)| worker);
        let Some(link) = known.and_then(|worker| self.fleet.link_of(worker)) else {
            let refused = match known {
                // After a change of leader it takes workers a moment to come.
                Some(_) => Refused::Unavailable(format!("worker {} is not connected now", wanted.name)),
                None => {
                    Refused::Request(format!("worker {} is gone, and the log of {task} with it", wanted.name))
                }
            };
            return drop(reply.send(Err(refused)));
        };
        let epoch = wanted.epoch.0;
        if let Some(request) = self.tails.ask(link, wanted, reply) {
            self.fleet.send(link, Message::TailAsked(v1::TailAsked { request, epoch }));
        }
    }

    fn on_submit(&mut self, spec: JobSpec, reply: oneshot::Sender<Result<Submitted, Refused>>) {
        let JobSpec { profile, profile_name, .. } = &spec;
        if profile.len() > CoreSpec::MAX_PROFILE_BYTES {
            let (length, limit) = (profile.len(), CoreSpec::MAX_PROFILE_BYTES);
            let problem =
                format!("{profile_name}: the profile has {length} bytes, at most {limit} are allowed");
            return drop(reply.send(Err(Refused::Profile(problem))));
        }
        // A job that only runs hooks has none.
        if !spec.mezzanine.is_empty()
            && let Err(error) = Profile::parse(profile, profile_name)
        {
            return drop(reply.send(Err(Refused::Profile(error.to_string()))));
        }
        let profile = spec.profile;
        let spec = CoreSpec {
            mezzanine: spec.mezzanine,
            identity: spec.identity,
            output: spec.output,
            project: match spec.project.is_empty() {
                true => CoreSpec::DEFAULT_PROJECT.to_owned(),
                false => spec.project,
            },
            priority: spec.priority,
            deadline_ms: spec.deadline_ms,
            labels: spec.labels,
            needs: spec.needs,
            chunk_parts: spec.chunk_parts,
            hooks: spec.hooks,
            texts: spec.texts,
            edit: spec.edit,
            idempotency_key: spec.idempotency_key,
        };
        // The same command given again takes up the work where it is.
        if spec.idempotency_key.is_none()
            && let Some(job) = open_job_like(&self.state, &spec, &profile)
        {
            return drop(reply.send(Ok(Submitted { job, duplicate: true })));
        }
        self.propose(Action::SubmitJob { spec: Box::new(spec), profile }, Asker::Submit(reply));
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        match refusal {
            Refusal::UnknownJob(job) => Refused::UnknownJob(job),
            Refusal::UnknownTask(task) => Refused::UnknownTask(task),
            Refusal::UnknownName(_) => Refused::NotFound(refusal.to_string()),
            Refusal::WrongState { job, state } => Refused::WrongState { job, state },
            other => Refused::Request(other.to_string()),
        }
    }
}
