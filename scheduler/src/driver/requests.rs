//! What clients ask.

use reel_profiles::Profile;
use reel_scheduler_core::view::open_job_like;
use reel_scheduler_core::{Action, JobSpec as CoreSpec, Refusal};
use tokio::sync::oneshot;

use super::batch::Asker;
use super::views::{jobs, projects, workers};
use super::{Driver, Request};
use crate::scheduler::{JobSpec, Refused, Submitted};

impl Driver {
    pub(super) fn on_request(&mut self, request: Request) {
        if !*self.leading.borrow() {
            return self.send_elsewhere(request);
        }
        match request {
            Request::Submit { spec, reply } => self.on_submit(*spec, reply),
            Request::Operate { action, reply } => self.propose(action, Asker::Operator(reply)),
            Request::Jobs { before, limit, open_only, reply } => {
                drop(reply.send(Ok(jobs(&self.state, &self.fleet, before, limit, open_only))));
            }
            Request::Projects { reply } => drop(reply.send(Ok(projects(&self.state)))),
            Request::Workers { reply } => drop(reply.send(Ok(workers(&self.state, &self.fleet)))),
            Request::Watch { job, reply } => {
                let receiver = self.watchers.watch(job, &self.state, &self.fleet);
                drop(reply.send(receiver.ok_or(Refused::UnknownJob(job))));
            }
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
            Request::Jobs { reply, .. } => drop(reply.send(Err(elsewhere))),
            Request::Projects { reply } => drop(reply.send(Err(elsewhere))),
            Request::Workers { reply } => drop(reply.send(Err(elsewhere))),
            Request::Watch { reply, .. } => drop(reply.send(Err(elsewhere))),
            Request::Stop => {}
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
        if let Err(error) = Profile::parse(profile, profile_name) {
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
            chunk_parts: spec.chunk_parts,
            idempotency_key: spec.idempotency_key,
        };
        // The same command given again takes up the work where it is.
        if spec.idempotency_key.is_none()
            && let Some(job) = open_job_like(&self.state, &spec, &profile)
        {
            return drop(reply.send(Ok(Submitted { job, duplicate: true })));
        }
        self.propose(Action::SubmitJob { spec, profile }, Asker::Submit(reply));
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        match refusal {
            Refusal::UnknownJob(job) => Refused::UnknownJob(job),
            Refusal::WrongState { job, state } => Refused::WrongState { job, state },
            other => Refused::Request(other.to_string()),
        }
    }
}
