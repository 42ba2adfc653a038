//! Runs one task in a runner without a scheduler, for `reel probe` and `reel verify`.

use std::path::PathBuf;

use bytes::Bytes;
use reel_common::{Artifact, Failure, FailureClass};
use reel_proto::v1;

/// One task, and where and how it runs.
#[derive(Clone, Debug)]
pub struct OneRun {
    /// The `reel-runner` binary.
    pub runner: PathBuf,
    /// What to do. Its `store` is opened, and results are published there.
    pub spec: v1::TaskSpec,
    /// A folder for the attempt; made where needed and removed at the end.
    pub scratch: PathBuf,
    /// The most memory that the runner may use, in bytes; 0 sets no limit.
    pub memory_bytes: u64,
}

/// What a task that ran by itself ended in.
#[derive(Clone, Debug, PartialEq)]
pub enum RunnerResult {
    /// An index; the whole of it is in the store.
    Index(v1::IndexSummary),
    /// The one object that other stages end in, which is also in the store.
    Object {
        /// Its name in the store.
        artifact: Artifact,
        /// Its bytes.
        bytes: Bytes,
    },
    /// Encode ends in its parts: these were finished, and published.
    Parts(Vec<v1::PartRecord>),
}

/// Runs one task to its end. Dropping the future kills the runner.
///
/// # Errors
/// The failure as a scheduler would have got it.
pub async fn run_once(
    run: OneRun,
    progress: &mut (dyn FnMut(v1::Progress) + Send),
) -> Result<RunnerResult, Failure> {
    let _ = (run, progress);
    Err(Failure::new(FailureClass::Failed, "not built yet", ""))
}
