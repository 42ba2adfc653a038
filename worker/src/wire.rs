//! Between protobuf messages and the vocabulary of the core.

use reel_common::{AttemptNumber, Epoch, Failure, FailureClass, PartIndex, TaskId, WorkerFacts};
use reel_proto::v1::{commit_task, runner_command, scheduler_message, task_spec, worker_message};
use reel_proto::{Malformed, v1};
use reel_worker_core::{
    Event, Grant, Message, Payload, Progress, Request, RequestId, RunnerCommand, Running, Verdict,
};

use crate::publish::{Made, Receipt};

/// The protobuf messages that pass through the core.
#[derive(Debug)]
pub struct Wire;

impl Payload for Wire {
    type Spec = v1::Grant;
    type Part = v1::PartFinished;
    type Output = Box<v1::TaskFinished>;
    type Receipt = Receipt;
}

/// A message of the scheduler as an event; `None` for one that says nothing to a worker.
///
/// # Errors
/// The message makes no sense.
pub fn event(message: v1::SchedulerMessage, me: &WorkerFacts) -> Result<Option<Event<Wire>>, Malformed> {
    use scheduler_message::Message as From;
    let Some(message) = message.message else { return Ok(None) };
    Ok(Some(match message {
        From::Registered(v1::Registered { heartbeat_ms, lease_ms, incarnation, .. }) => {
            let round = incarnation.saturating_sub(me.incarnation);
            Event::Registered { round, heartbeat_ms, lease_ms }
        }
        From::HeartbeatAck(ack) => Event::HeartbeatAcknowledged { sequence: ack.sequence },
        From::Grant(grant) => Event::Granted(self::grant(grant)?),
        From::Answer(answer) => {
            let request = RequestId(answer.request);
            Event::Answered { request, verdict: verdict(answer.verdict())? }
        }
        From::Revoke(revoke) => Event::Revoked { epoch: Epoch(revoke.epoch) },
        From::CutChunk(cut) => Event::ChunkCut {
            epoch: Epoch(cut.epoch),
            first_given_away: PartIndex(cut.first_part_given_away),
        },
        // The shell answers it.
        From::TailAsked(_) => return Ok(None),
    }))
}

fn verdict(verdict: v1::Verdict) -> Result<Verdict, Malformed> {
    match verdict {
        v1::Verdict::Unspecified => Err(Malformed("verdict")),
        v1::Verdict::Accepted => Ok(Verdict::Accepted),
        v1::Verdict::Duplicate => Ok(Verdict::Duplicate),
        v1::Verdict::Superseded => Ok(Verdict::Superseded),
    }
}

fn grant(grant: v1::Grant) -> Result<Grant<Wire>, Malformed> {
    let spec = grant.spec.as_ref().ok_or(Malformed("task spec"))?;
    let (task, attempt, epoch): (TaskId, AttemptNumber, Epoch) = spec.try_into()?;
    let parts = match &spec.work {
        Some(task_spec::Work::Encode(encode)) => {
            let first = encode.parts.first().ok_or(Malformed("parts of a chunk"))?.index;
            let end = first.checked_add(encode.parts.len() as u32).ok_or(Malformed("parts of a chunk"))?;
            let consecutive = encode.parts.iter().zip(first..).all(|(part, index)| part.index == index);
            consecutive.then_some(first..end).ok_or(Malformed("parts of a chunk"))?
        }
        // Nothing of a draft goes to the store.
        Some(task_spec::Work::Probe(probe)) if !probe.draft => {
            let part = probe.part.as_ref().ok_or(Malformed("part of a probe"))?.index;
            part..part.checked_add(1).ok_or(Malformed("part of a probe"))?
        }
        Some(_) => 0..0,
        None => return Err(Malformed("work of a task")),
    };
    Ok(Grant { task, attempt, epoch, parts, spec: grant })
}

/// A message of the core for the scheduler, from an agent that was `me` at its start. `load` reads how busy the host is.
pub fn message(
    message: Message<Receipt>,
    me: &WorkerFacts,
    load: impl FnOnce() -> Option<v1::HostLoad>,
) -> v1::WorkerMessage {
    use worker_message::Message as To;
    let message = match message {
        Message::Register { round } => {
            let incarnation = me.incarnation + round;
            To::Register(WorkerFacts { incarnation, ..me.clone() }.into())
        }
        Message::Heartbeat { sequence, running, leaving } => To::Heartbeat(v1::Heartbeat {
            sequence,
            leaving,
            load: load(),
            running: running.into_iter().map(running_attempt).collect(),
        }),
        Message::Request(RequestId(id), asked) => request(id, asked),
    };
    v1::WorkerMessage { message: Some(message) }
}

fn running_attempt(running: Running) -> v1::RunningAttempt {
    let Progress { done, total, part } = running.progress;
    v1::RunningAttempt {
        task: Some(running.task.into()),
        epoch: running.epoch.0,
        progress: Some(v1::Progress {
            frames_done: done,
            frames_total: total,
            part: part.map(|part| part.0),
        }),
    }
}

fn request(id: u64, request: Request<Receipt>) -> worker_message::Message {
    use worker_message::Message as To;
    let epoch = request.epoch().0;
    match request {
        Request::CommitPart { task, part, receipt, .. } => {
            let v1::ProbeSizes { sample_bytes, psnr_mdb, ssim_ppm, vmaf_milli } =
                receipt.measured.as_slice().into();
            To::CommitPart(v1::CommitPart {
                request: id,
                task: Some(task.into()),
                epoch,
                part: part.0,
                record: Some(receipt.record.into()),
                renditions_encoded: receipt.encoded,
                renditions_reused: receipt.reused,
                sample_bytes,
                psnr_mdb,
                ssim_ppm,
                vmaf_milli,
            })
        }
        Request::CommitTask { task, receipt, .. } => To::CommitTask(v1::CommitTask {
            request: id,
            task: Some(task.into()),
            epoch,
            source_bytes_read: receipt.source_bytes_read,
            result: match receipt.made {
                Made::Index(summary) => Some(commit_task::Result::Index(*summary)),
                Made::Object(artifact) => Some(commit_task::Result::Object(artifact.into())),
                Made::Sizes(sizes) => Some(commit_task::Result::Sizes(sizes)),
                Made::Nothing => None,
            },
        }),
        Request::FailAttempt { task, failure, .. } => To::FailAttempt(v1::FailAttempt {
            request: id,
            task: Some(task.into()),
            epoch,
            failure: Some(failure.into()),
        }),
        Request::HandBack { task, .. } => {
            To::HandBack(v1::HandBack { request: id, task: Some(task.into()), epoch })
        }
    }
}

/// A command of the core for a runner.
pub(crate) fn command(command: RunnerCommand) -> runner_command::Command {
    match command {
        RunnerCommand::GoOn => runner_command::Command::GoOn(v1::GoOn {}),
        RunnerCommand::StopAfterPart => runner_command::Command::StopAfterPart(v1::StopAfterPart {}),
        RunnerCommand::CutTail(first) => {
            runner_command::Command::CutTail(v1::CutTail { first_part_given_away: first.0 })
        }
    }
}

pub(crate) fn progress(progress: v1::Progress) -> Progress {
    Progress { done: progress.frames_done, total: progress.frames_total, part: progress.part.map(PartIndex) }
}

/// A runner's own failure; one without a class counts as failed.
pub(crate) fn failure(failure: v1::Failure) -> Failure {
    let (message, evidence) = (failure.message.clone(), failure.evidence.clone());
    failure.try_into().unwrap_or_else(|_| Failure::new(FailureClass::Failed, &message, &evidence))
}
