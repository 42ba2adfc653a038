//! Runs one task in a runner without a scheduler, for `reel probe` and `reel verify`.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use reel_common::{Artifact, Epoch, Failure, FailureClass};
use reel_proto::v1;
use reel_store::Store;
use reel_worker_core::{Exit, RunnerCommand, SILENCE_MS, classify};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::child::{self, Notice, Notices, Reins, Start};
use crate::log_tail::LogTail;
use crate::publish::{Made, failure, publish_output, publish_part};
use crate::spawner::Spawner;
use crate::{scratch, wire};

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
    Index(Box<v1::IndexSummary>),
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
    let store = Store::open(&run.spec.store).map_err(failure)?;
    let spawner =
        Spawner::new().map_err(|error| broken(&format!("no thread to start a runner from: {error}")))?;
    let folder = std::path::absolute(&run.scratch)
        .map_err(|error| broken(&format!("scratch folder {}: {error}", run.scratch.display())))?;
    let (sender, receiver) = mpsc::channel(1);
    let notices = Notices { epoch: Epoch(run.spec.epoch), sender };
    let start = Start {
        scratch: folder.clone(),
        memory_bytes: run.memory_bytes,
        spec: run.spec,
        log: LogTail::default(),
    };
    let (reins, runner) = child::prepare(run.runner, start, notices);
    let mut attempt = Once { store, folder, reins, parts: Vec::new(), heard: v1::Progress::default() };
    let (result, ()) = tokio::join!(attempt.follow(receiver, progress), runner.run(&spawner));
    if let Err(error) = scratch::remove(&attempt.folder) {
        tracing::warn!(folder = %attempt.folder.display(), %error, "a scratch folder stays behind");
    }
    result
}

struct Once {
    store: Store,
    folder: PathBuf,
    reins: Reins,
    parts: Vec<v1::PartRecord>,
    heard: v1::Progress,
}

impl Once {
    async fn follow(
        &mut self,
        mut notices: mpsc::Receiver<(Epoch, Notice)>,
        progress: &mut (dyn FnMut(v1::Progress) + Send),
    ) -> Result<RunnerResult, Failure> {
        let mut ending = None;
        loop {
            let silence = Duration::from_millis(SILENCE_MS);
            let notice = match timeout(silence, notices.recv()).await {
                Ok(Some((_, notice))) => notice,
                Ok(None) => return Err(broken("the runner vanished")),
                Err(_) => {
                    self.reins.kill();
                    ending.get_or_insert(Err(broken("the runner was silent for too long and was killed")));
                    continue;
                }
            };
            match notice {
                Notice::NotStarted(failure) => return Err(failure),
                Notice::Progress(now) => {
                    self.heard = now;
                    progress(now);
                }
                Notice::PartFinished(part) => {
                    if let Err(failure) = publish_part(&self.store, &self.folder, &part).await {
                        self.reins.kill();
                        ending.get_or_insert(Err(failure));
                    }
                    self.parts.extend(part.record);
                    self.reins.tell(wire::command(RunnerCommand::GoOn));
                }
                Notice::Finished(output) => {
                    ending.get_or_insert(Ok(output));
                }
                Notice::Failed(failure) => {
                    ending.get_or_insert(Err(wire::failure(failure)));
                }
                Notice::Exited(exit) => return self.end(ending, &exit).await,
            }
        }
    }

    async fn end(
        &mut self,
        ending: Option<Result<Box<v1::TaskFinished>, Failure>>,
        exit: &Exit,
    ) -> Result<RunnerResult, Failure> {
        let output = ending.unwrap_or_else(|| Err(classify(exit, wire::progress(self.heard))))?;
        match publish_output(&self.store, &self.folder, &output).await?.made {
            Made::Index(summary) => Ok(RunnerResult::Index(summary)),
            // Only a farm looks for bit rates.
            Made::Sizes(_) | Made::Nothing => Ok(RunnerResult::Parts(std::mem::take(&mut self.parts))),
            Made::Object(artifact) => {
                let bytes = self.store.object(artifact).await.map_err(failure)?;
                Ok(RunnerResult::Object { artifact, bytes })
            }
        }
    }
}

fn broken(message: &str) -> Failure {
    Failure::new(FailureClass::Failed, message, "")
}
