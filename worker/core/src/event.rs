//! The vocabulary of the agent: events, actions and messages.

use std::fmt::Debug;
use std::ops::Range;

use reel_common::{Artifact, AttemptNumber, Epoch, Failure, Measured, PartIndex, TaskId};

use crate::Exit;

/// What passes through the agent untouched.
pub trait Payload: Debug + 'static {
    /// What a runner is told to do.
    type Spec: Debug;
    /// The files of a finished part.
    type Part: Debug;
    /// The files of a finished task.
    type Output: Debug;
    /// What the commit of a task carries.
    type Receipt: Debug + Clone;
}

/// The agent's own number for a request, which its answer carries back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// The right, given by the scheduler, to run one attempt.
#[derive(Debug)]
pub struct Grant<P: Payload> {
    /// What is run.
    pub task: TaskId,
    /// Which try it is.
    pub attempt: AttemptNumber,
    /// The fencing token; names the attempt from here on.
    pub epoch: Epoch,
    /// The parts of an encode task, or of a probe whose part is kept; empty otherwise.
    pub parts: Range<u32>,
    /// For the runner.
    pub spec: P::Spec,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames done, or bytes for stages that count bytes.
    pub done: u64,
    /// Of how many.
    pub total: u64,
    /// The part in hand, for encode.
    pub part: Option<PartIndex>,
}

/// A part that lies in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartReceipt {
    /// Its record, as an object.
    pub record: Artifact,
    /// Renditions that this attempt encoded.
    pub encoded: u32,
    /// Renditions that were in the store.
    pub reused: u32,
    /// What came of each rendition.
    pub measured: Vec<Measured>,
}

/// The scheduler's answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Accepted,
    /// Was done before; as good as accepted.
    Duplicate,
    /// The epoch is not live: the attempt is to stop.
    Superseded,
}

/// What happened.
#[derive(Debug)]
pub enum Event<P: Payload> {
    /// Time passed.
    Ticked,
    /// The scheduler knows this agent now.
    Registered {
        /// Which [`Message::Register`] this answers.
        round: u64,
        /// Send a heartbeat this often.
        heartbeat_ms: u64,
        /// The lease ends so long after the last send that the scheduler acknowledged.
        lease_ms: u64,
    },
    /// The scheduler saw a heartbeat.
    HeartbeatAcknowledged {
        /// Which one.
        sequence: u64,
    },
    /// There is work.
    Granted(Grant<P>),
    /// A request was answered.
    Answered {
        /// Which one.
        request: RequestId,
        /// How.
        verdict: Verdict,
    },
    /// An attempt's lease is gone.
    Revoked {
        /// Which attempt.
        epoch: Epoch,
    },
    /// Another worker took over the tail of a chunk.
    ChunkCut {
        /// Which attempt.
        epoch: Epoch,
        /// Its parts from here on are not its own any more.
        first_given_away: PartIndex,
    },
    /// The operator or the host wants this agent to go.
    DrainAsked {
        /// What still runs after this time is killed and handed back.
        grace_ms: u64,
    },
    /// No runner could be started.
    StartFailed {
        /// For which attempt.
        epoch: Epoch,
        /// Why.
        failure: Failure,
    },
    /// The runner says how far it is.
    Progressed {
        /// Which attempt.
        epoch: Epoch,
        /// How far.
        progress: Progress,
    },
    /// The runner finished a part, and waits for [`RunnerCommand::GoOn`].
    PartFinished {
        /// Which attempt.
        epoch: Epoch,
        /// Which part.
        part: PartIndex,
        /// Its files.
        files: P::Part,
    },
    /// The runner finished all that it was to do.
    TaskFinished {
        /// Which attempt.
        epoch: Epoch,
        /// Its files.
        output: P::Output,
    },
    /// The runner gave up in an orderly way.
    TaskFailed {
        /// Which attempt.
        epoch: Epoch,
        /// Why.
        failure: Failure,
    },
    /// The runner's process is gone; the last event of every runner that started.
    RunnerExited {
        /// Which attempt.
        epoch: Epoch,
        /// How.
        exit: Exit,
    },
    /// A part and its record are in the store.
    PartPublished {
        /// Which attempt.
        epoch: Epoch,
        /// Which part.
        part: PartIndex,
        /// For the commit.
        receipt: PartReceipt,
    },
    /// A task's result is in the store.
    ResultPublished {
        /// Which attempt.
        epoch: Epoch,
        /// For the commit.
        receipt: P::Receipt,
    },
    /// The store did not take it.
    PublishFailed {
        /// Which attempt.
        epoch: Epoch,
        /// Why.
        failure: Failure,
    },
}

/// What is to be done.
#[derive(Debug)]
pub enum Action<P: Payload> {
    /// Send this to the scheduler.
    Send(Message<P::Receipt>),
    /// Start a runner.
    StartRunner(Grant<P>),
    /// Tell a runner something.
    CommandRunner {
        /// Which attempt.
        epoch: Epoch,
        /// What.
        command: RunnerCommand,
    },
    /// Kill a runner at once.
    KillRunner {
        /// Which attempt.
        epoch: Epoch,
    },
    /// Bring a part into the store, then report [`Event::PartPublished`] or [`Event::PublishFailed`].
    PublishPart {
        /// Which attempt.
        epoch: Epoch,
        /// Which part.
        part: PartIndex,
        /// Its files.
        files: P::Part,
    },
    /// Bring a result into the store, then report [`Event::ResultPublished`] or [`Event::PublishFailed`].
    PublishResult {
        /// Which attempt.
        epoch: Epoch,
        /// Its files.
        output: P::Output,
    },
    /// Abandon what is being published for an attempt; its lease is gone.
    StopPublishing {
        /// Which attempt.
        epoch: Epoch,
    },
    /// Remove the scratch folder of an attempt: it has ended.
    Discard {
        /// Which attempt.
        epoch: Epoch,
    },
    /// The agent was drained and may end.
    End,
}

/// What a runner is told while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerCommand {
    /// Finish the part in hand and end.
    StopAfterPart,
    /// Parts from this one on belong to somebody else.
    CutTail(PartIndex),
    /// The part that it finished last is in the store, or is not wanted: begin the next.
    GoOn,
}

/// To the scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<R> {
    /// Let me in.
    Register {
        /// Grows each time the agent lost its lease and starts over.
        round: u64,
    },
    /// I am alive and hold these.
    Heartbeat {
        /// Grows with each.
        sequence: u64,
        /// Every attempt that this agent holds.
        running: Vec<Running>,
        /// It takes no more work.
        leaving: bool,
    },
    /// Wants an answer, and is sent again until it has one.
    Request(RequestId, Request<R>),
}

/// An attempt in a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// What is run.
    pub task: TaskId,
    /// Its fencing token.
    pub epoch: Epoch,
    /// How far it is.
    pub progress: Progress,
}

/// Wants an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<R> {
    /// A part is in the store.
    CommitPart {
        /// Of which task.
        task: TaskId,
        /// By which attempt.
        epoch: Epoch,
        /// Which part.
        part: PartIndex,
        /// Where its record is.
        receipt: PartReceipt,
    },
    /// A task is done and its result is in the store.
    CommitTask {
        /// Which task.
        task: TaskId,
        /// By which attempt.
        epoch: Epoch,
        /// Its result.
        receipt: R,
    },
    /// An attempt failed.
    FailAttempt {
        /// Which task.
        task: TaskId,
        /// Which attempt.
        epoch: Epoch,
        /// Why.
        failure: Failure,
    },
    /// What is not committed of this attempt is free for others.
    HandBack {
        /// Which task.
        task: TaskId,
        /// Which attempt.
        epoch: Epoch,
    },
}

impl<R> Request<R> {
    /// The attempt that it speaks of.
    pub fn epoch(&self) -> Epoch {
        match self {
            Request::CommitPart { epoch, .. }
            | Request::CommitTask { epoch, .. }
            | Request::FailAttempt { epoch, .. }
            | Request::HandBack { epoch, .. } => *epoch,
        }
    }
}
