//! Transitions of the agent, and its invariants under any order of events.

mod property;
mod transition;

use std::ops::Range;

use reel_common::{
    Artifact, AttemptNumber, Digest, Epoch, Failure, FailureClass, JobId, Measured, PartIndex, Stage, TaskId,
};

use crate::*;

/// Stands for everything that passes through: a spec, files, a receipt.
#[derive(Debug)]
struct Word;

impl Payload for Word {
    type Spec = &'static str;
    type Part = u32;
    type Output = &'static str;
    type Receipt = &'static str;
}

type Do = Action<Word>;
type On = Event<Word>;

const HEARTBEAT_MS: u64 = 5_000;
const LEASE_MS: u64 = 20_000;

fn task(stage: Stage, index: u32) -> TaskId {
    TaskId { job: JobId(42), stage, index }
}

fn encode_grant(epoch: u64, parts: Range<u32>) -> Grant<Word> {
    let task = task(Stage::Encode, epoch as u32);
    Grant { task, attempt: AttemptNumber(1), epoch: Epoch(epoch), parts, spec: "encode" }
}

fn index_grant(epoch: u64) -> Grant<Word> {
    let task = task(Stage::Index, 0);
    Grant { task, attempt: AttemptNumber(1), epoch: Epoch(epoch), parts: 0..0, spec: "index" }
}

fn receipt() -> PartReceipt {
    PartReceipt {
        record: Artifact { sha256: Digest([7; 32]), size: 9 },
        encoded: 4,
        reused: 0,
        measured: vec![Measured::sized(9); 4],
    }
}

fn failure(message: &str) -> Failure {
    Failure::new(FailureClass::Shortage, message, "seen")
}

fn exited(epoch: u64, how: HowEnded) -> On {
    Event::RunnerExited { epoch: Epoch(epoch), exit: Exit { how, stderr: "last words".to_owned() } }
}

fn part_finished(epoch: u64, part: u32) -> On {
    Event::PartFinished { epoch: Epoch(epoch), part: PartIndex(part), files: part }
}

fn part_published(epoch: u64, part: u32) -> On {
    Event::PartPublished { epoch: Epoch(epoch), part: PartIndex(part), receipt: receipt() }
}

fn finished(epoch: u64) -> On {
    Event::TaskFinished { epoch: Epoch(epoch), output: "files" }
}

fn answered(request: u64, verdict: Verdict) -> On {
    Event::Answered { request: RequestId(request), verdict }
}

/// An agent that the scheduler knows, at time 0.
fn registered(slots: u32) -> Agent<Word> {
    let mut agent = Agent::new(slots);
    assert_eq!(shown(&agent.handle(0, Event::Ticked)), ["register 0"]);
    let registered = Event::Registered { round: 0, heartbeat_ms: HEARTBEAT_MS, lease_ms: LEASE_MS };
    assert_eq!(shown(&agent.handle(0, registered)), ["heartbeat 1 []"]);
    agent
}

fn feed(agent: &mut Agent<Word>, event: On) -> Vec<String> {
    shown(&agent.handle(1, event))
}

fn shown(actions: &[Do]) -> Vec<String> {
    actions.iter().map(show).collect()
}

/// An action as a line of text, so that a test reads like a protocol.
fn show(action: &Do) -> String {
    match action {
        Action::Send(Message::Register { round }) => format!("register {round}"),
        Action::Send(Message::Heartbeat { sequence, running, leaving }) => {
            let epochs: Vec<u64> = running.iter().map(|running| running.epoch.0).collect();
            let leaving = if *leaving { " leaving" } else { "" };
            format!("heartbeat {sequence} {epochs:?}{leaving}")
        }
        Action::Send(Message::Request(id, request)) => format!("request {} {}", id.0, show_request(request)),
        Action::StartRunner(grant) => format!("start {} {}", grant.epoch, grant.spec),
        Action::CommandRunner { epoch, command } => format!("tell {epoch} {command:?}"),
        Action::KillRunner { epoch } => format!("kill {epoch}"),
        Action::PublishPart { epoch, part, files } => format!("publish {epoch} part {part} files {files}"),
        Action::PublishResult { epoch, output } => format!("publish {epoch} {output}"),
        Action::StopPublishing { epoch } => format!("stop publishing {epoch}"),
        Action::Discard { epoch } => format!("discard {epoch}"),
        Action::End => "end".to_owned(),
    }
}

fn show_request(request: &Request<&'static str>) -> String {
    match request {
        Request::CommitPart { epoch, part, .. } => format!("commit {epoch} part {part}"),
        Request::CommitTask { epoch, receipt, .. } => format!("commit {epoch} {receipt}"),
        Request::FailAttempt { epoch, failure, .. } => format!("fail {epoch} {}", failure.class),
        Request::HandBack { epoch, .. } => format!("hand back {epoch}"),
    }
}
