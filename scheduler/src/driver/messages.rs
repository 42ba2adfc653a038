//! What workers say, and the answers to it.

use reel_common::{Epoch, Failure, FailureClass, Goal, Measured, PartIndex, Stage, TaskId};
use reel_profiles::Profile;
use reel_proto::Malformed;
use reel_proto::v1::{self, Verdict, scheduler_message, worker_message::Message};
use reel_scheduler_core::plan::RateTarget;
use reel_scheduler_core::{Accepted, Action, LossCause, Reply, TaskResult};

use super::Driver;
use super::batch::Asker;
use super::clock::millis;
use super::fleet::LinkId;
use crate::raft::ProposeError;
use crate::scheduler::{Refused, Submitted};

impl Driver {
    pub(super) fn on_message(&mut self, link: LinkId, message: v1::WorkerMessage) {
        let Some(message) = message.message else {
            return self.on_malformed(link, Malformed("worker message"));
        };
        match message {
            Message::Register(register) => match register.try_into() {
                Ok(facts) => {
                    let facts = Box::new(facts);
                    self.propose(Action::RegisterWorker { facts }, Asker::Register(link));
                }
                Err(error) => self.on_malformed(link, error),
            },
            Message::Heartbeat(beat) => {
                let now_ms = self.steady_ms();
                self.note_leaving(link, beat.leaving);
                self.fleet.beat(link, beat, &self.state, now_ms);
                self.touch_views();
            }
            Message::Leave(v1::Leave {}) => self.on_left(link),
            Message::Tail(tail) => self.tails.answer(link, tail),
            request => match parse(request) {
                Ok(Request { request, task, ends, mut action }) => {
                    if let Action::CommitPart { task, epoch, part, .. } = action {
                        self.fleet.finished(&self.state, task, epoch, part);
                    }
                    self.leave_out_sizes(&mut action);
                    self.propose(action, Asker::Worker { link, request, task, ends });
                }
                Err(error) => self.on_malformed(link, error),
            },
        }
    }

    /// Sizes and qualities that nothing follows from are not written down.
    fn leave_out_sizes(&self, action: &mut Action) {
        let Action::CommitPart { task, measured, .. } = action else { return };
        let plan = self.state.jobs.get(&task.job).and_then(|job| job.plan.as_ref());
        if task.stage == Stage::Probe || plan.is_none_or(|plan| plan.targets.is_empty()) {
            measured.clear();
        }
        let is_size = |target: &RateTarget| matches!(target.goal, Goal::Bytes(_));
        if plan.is_none_or(|plan| plan.targets.iter().all(is_size)) {
            measured.iter_mut().for_each(|measured| *measured = Measured::sized(measured.bytes));
        }
    }

    /// An agent that sends what it cannot mean is of another version: it is cut off before it does harm.
    fn on_malformed(&mut self, link: LinkId, error: Malformed) {
        tracing::error!(%error, "a worker sent a message that cannot be read, its link is closed");
        self.on_broken(link);
    }

    /// A link is broken: the agent, if there still is one, makes another, or its leases run out.
    pub(super) fn on_broken(&mut self, link: LinkId) {
        if let Some(worker) = self.fleet.disconnect(link) {
            let name = self.state.workers.get(&worker).map(|known| known.facts.name.as_str());
            tracing::info!(worker = name, "the link of a worker is broken");
            self.fleet.leases.note_broken(worker);
        }
    }

    /// A worker that goes says so in each heartbeat, and it is written down once.
    fn note_leaving(&mut self, link: LinkId, leaving: bool) {
        let Some(worker) = self.fleet.worker(link).filter(|_| leaving) else { return };
        if self.state.workers.get(&worker).is_some_and(|known| !known.draining) {
            self.propose(Action::NoteLeaving { worker }, Asker::Leader);
        }
    }

    /// An agent is gone for good.
    fn on_left(&mut self, link: LinkId) {
        let Some(worker) = self.fleet.disconnect(link) else { return };
        let Some(known) = self.state.workers.get(&worker) else { return };
        if known.draining {
            tracing::info!(worker = known.facts.name, "a worker that handed its work back is gone");
        } else {
            tracing::warn!(worker = known.facts.name, "a worker is gone");
        }
        self.propose(Action::LoseWorker { worker, cause: LossCause::Silent }, Asker::Leader);
    }

    /// Passes the reply to a command on to whoever waits for it.
    pub(super) fn answer(&mut self, asker: Asker, reply: Reply) {
        match asker {
            Asker::Leader => {
                if let Reply::Refused(refusal) = reply {
                    tracing::debug!(%refusal, "a decision came too late");
                }
            }
            Asker::Submit(sender) => drop(sender.send(submitted(reply))),
            Asker::Operator(sender) => drop(sender.send(match reply {
                Reply::Refused(refusal) => Err(refusal.into()),
                _ => Ok(()),
            })),
            Asker::Register(link) => self.answer_register(link, reply),
            Asker::Worker { link, request, task, ends } => {
                let verdict = verdict(&reply);
                if ends || verdict == Verdict::Superseded {
                    self.fleet.ended(link, task);
                }
                self.send_verdict(link, request, verdict);
            }
        }
    }

    fn answer_register(&mut self, link: LinkId, reply: Reply) {
        match reply {
            Reply::Accepted(Accepted::Worker(worker)) | Reply::Duplicate(Accepted::Worker(worker)) => {
                self.fleet.registered(link, worker);
                let registered = v1::Registered {
                    worker: worker.0,
                    incarnation: self.state.workers.get(&worker).map_or(0, |known| known.facts.incarnation),
                    heartbeat_ms: millis(self.config.leases.heartbeat),
                    lease_ms: millis(self.config.leases.lease),
                };
                self.fleet.send(link, scheduler_message::Message::Registered(registered));
            }
            other => {
                tracing::error!(reply = ?other, "a worker cannot be registered, its link is closed");
                self.fleet.disconnect(link);
            }
        }
    }

    /// The entry of a command was not accepted. A worker's result that fits in no entry ends its attempt, since the
    /// worker would send it for ever.
    pub(super) fn on_refused(&mut self, asker: Asker, error: &ProposeError) {
        match (asker, error) {
            (Asker::Worker { link, request, task, .. }, ProposeError::TooLarge(_)) => {
                let Some(epoch) = self.state.leases.get(&task).map(|lease| lease.epoch) else { return };
                let failure = Failure::new(FailureClass::Failed, &error.to_string(), "");
                let action = Action::FailAttempt { task, epoch, failure };
                self.propose(action, Asker::Worker { link, request, task, ends: true });
            }
            (asker, ProposeError::TooLarge(_)) => refuse(asker, Refused::Request(error.to_string())),
            (asker, ProposeError::NotLeader) => refuse(asker, self.elsewhere()),
            (asker, ProposeError::Stopped(_)) => refuse(asker, Refused::Unavailable(error.to_string())),
        }
    }

    fn send_verdict(&mut self, link: LinkId, request: u64, verdict: Verdict) {
        let answer = v1::Answer { request, verdict: verdict.into() };
        self.fleet.send(link, scheduler_message::Message::Answer(answer));
    }
}

/// Tells a client that nothing was done, or that it is not known. Workers ask again until they are answered.
pub(super) fn refuse(asker: Asker, refused: Refused) {
    match asker {
        Asker::Submit(sender) => drop(sender.send(Err(refused))),
        Asker::Operator(sender) => drop(sender.send(Err(refused))),
        Asker::Leader | Asker::Register(_) | Asker::Worker { .. } => {}
    }
}

fn submitted(reply: Reply) -> Result<Submitted, Refused> {
    match reply {
        Reply::Accepted(Accepted::Job(job)) => Ok(Submitted { job, duplicate: false }),
        Reply::Duplicate(Accepted::Job(job)) => Ok(Submitted { job, duplicate: true }),
        Reply::Refused(refusal) => Err(Refused::Request(refusal.to_string())),
        other => Err(Refused::Request(format!("the submit was answered with {other:?}"))),
    }
}

fn verdict(reply: &Reply) -> Verdict {
    match reply {
        Reply::Accepted(_) => Verdict::Accepted,
        Reply::Duplicate(_) => Verdict::Duplicate,
        Reply::Superseded => Verdict::Superseded,
        Reply::Refused(refusal) => {
            tracing::error!(%refusal, "a worker's commit was refused");
            Verdict::Superseded
        }
    }
}

/// A worker's request about an attempt.
struct Request {
    request: u64,
    task: TaskId,
    /// Whether acceptance ends the attempt.
    ends: bool,
    action: Action,
}

fn parse(message: Message) -> Result<Request, Malformed> {
    match message {
        Message::CommitPart(commit) => {
            let (task, epoch) = attempt(commit.task, commit.epoch)?;
            let record = commit.record.ok_or(Malformed("part record"))?.try_into()?;
            let v1::CommitPart { sample_bytes, psnr_mdb, ssim_ppm, vmaf_milli, .. } = commit;
            let part = PartIndex(commit.part);
            let sizes = v1::ProbeSizes { sample_bytes, psnr_mdb, ssim_ppm, vmaf_milli };
            let measured = Vec::try_from(sizes)?;
            if measured.len() > Profile::MAX_RENDITIONS {
                return Err(Malformed("sizes of a part"));
            }
            let (encoded, reused) = (commit.renditions_encoded, commit.renditions_reused);
            let action = Action::CommitPart { task, epoch, part, record, encoded, reused, measured };
            Ok(Request { request: commit.request, task, ends: false, action })
        }
        Message::CommitTask(commit) => {
            let (task, epoch) = attempt(commit.task, commit.epoch)?;
            let result = match commit.result {
                Some(v1::commit_task::Result::Index(index)) => TaskResult::Index(Box::new(index.try_into()?)),
                Some(v1::commit_task::Result::Object(object)) => TaskResult::Object(object.try_into()?),
                Some(v1::commit_task::Result::Sizes(sizes)) => TaskResult::Measured(sizes.try_into()?),
                None => TaskResult::Nothing,
            };
            let source_bytes_read = commit.source_bytes_read;
            let action = Action::CommitTask { task, epoch, result, source_bytes_read };
            Ok(Request { request: commit.request, task, ends: true, action })
        }
        Message::FailAttempt(fail) => {
            let (task, epoch) = attempt(fail.task, fail.epoch)?;
            let failure = Failure::try_from(fail.failure.ok_or(Malformed("failure"))?)?;
            let action = Action::FailAttempt { task, epoch, failure };
            Ok(Request { request: fail.request, task, ends: true, action })
        }
        Message::HandBack(back) => {
            let (task, epoch) = attempt(back.task, back.epoch)?;
            let action = Action::HandBack { task, epoch };
            Ok(Request { request: back.request, task, ends: true, action })
        }
        Message::Register(_) | Message::Heartbeat(_) | Message::Leave(_) | Message::Tail(_) => {
            Err(Malformed("request of a worker"))
        }
    }
}

fn attempt(task: Option<v1::TaskId>, epoch: u64) -> Result<(TaskId, Epoch), Malformed> {
    Ok((task.ok_or(Malformed("task"))?.try_into()?, Epoch(epoch)))
}
