//! What became of attempts, for reports and for answering doubled messages.

use reel_common::{AttemptNumber, Epoch, FailureClass, Pool, Price, Stage, WorkerFacts, WorkerId};

/// A worker as a job remembers it, which may outlive its registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobWorker {
    /// Its name.
    pub name: String,
    /// How its host was bought.
    pub pool: Pool,
    /// What one of its slots costs an hour.
    pub price: Price,
}

impl From<&WorkerFacts> for JobWorker {
    fn from(facts: &WorkerFacts) -> Self {
        JobWorker { name: facts.name.clone(), pool: facts.pool, price: facts.price.of_slot(facts.slots) }
    }
}

/// An attempt that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// The stage of its task.
    pub stage: Stage,
    /// The number of its task in the stage.
    pub index: u32,
    /// Which try of the task it was.
    pub attempt: AttemptNumber,
    /// Its epoch.
    pub epoch: Epoch,
    /// Who ran it: one of [`Job::workers`](super::Job::workers).
    pub worker: WorkerId,
    /// When it was granted, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it ended, likewise.
    pub ended_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The message of its failure, at most [`AttemptRecord::MAX_MESSAGE_BYTES`]; empty otherwise.
    pub message: String,
    /// Bytes of the mezzanine that it read; `None` where it ended without its result, or had nothing to read.
    pub source_bytes_read: Option<u64>,
}

impl AttemptRecord {
    /// Longest message kept of an ended attempt: a line of a report.
    pub const MAX_MESSAGE_BYTES: usize = 200;

    /// What its slot cost meanwhile, in millionths of the site's currency.
    pub fn cost_micros(&self, worker: &JobWorker) -> u64 {
        worker.price.for_ms(self.ended_ms.saturating_sub(self.started_ms))
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// With its result.
    Done,
    /// Without.
    Failed(FailureClass),
    /// Its job was canceled or failed by another task.
    Revoked,
}

impl Outcome {
    /// Each of them.
    pub fn all() -> impl Iterator<Item = Outcome> {
        FailureClass::ALL.into_iter().map(Outcome::Failed).chain([Outcome::Done, Outcome::Revoked])
    }

    /// The word used in output and reports.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed(class) => class.name(),
            Outcome::Revoked => "revoked",
        }
    }
}
