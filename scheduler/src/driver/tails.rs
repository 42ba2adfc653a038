//! Log tails of attempts, which the workers have: questions on their way, and their answers.

use std::collections::BTreeMap;

use reel_common::{AttemptNumber, Epoch, TaskId, WorkerId};
use reel_proto::v1;
use reel_scheduler_core::FarmState;
use tokio::sync::oneshot;

use super::fleet::LinkId;
use crate::scheduler::Refused;

/// Questions that may be on their way at once; the tails of all of them fit in 16 MiB.
const MAX_ASKED: usize = 256;

pub(crate) type TailReply = oneshot::Sender<Result<v1::TailResponse, Refused>>;

/// An attempt whose tail is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) attempt: AttemptNumber,
    pub(super) epoch: Epoch,
    pub(super) name: String,
    pub(super) running: bool,
}

/// The attempt of a task by its number; 0 is the one that runs, or else the last that is remembered.
pub(super) fn find(state: &FarmState, task: TaskId, attempt: u32) -> Result<Wanted, Refused> {
    let job = state.jobs.get(&task.job).ok_or(Refused::UnknownJob(task.job))?;
    let name = |worker: &WorkerId| job.worker_name(*worker);
    let asked = |number: AttemptNumber| attempt == 0 || number.0 == attempt;
    if let Some(lease) = state.leases.get(&task).filter(|lease| asked(lease.attempt)) {
        let (attempt, epoch) = (lease.attempt, lease.epoch);
        return Ok(Wanted { attempt, epoch, name: name(&lease.worker), running: true });
    }
    let of_task = |ended: &&reel_scheduler_core::state::AttemptRecord| {
        (ended.stage, ended.index) == (task.stage, task.index) && asked(ended.attempt)
    };
    let ended = job.attempts.iter().rev().find(of_task);
    let ended = ended.ok_or_else(|| Refused::NotFound(format!("no such attempt of {task} is remembered")))?;
    let (attempt, epoch) = (ended.attempt, ended.epoch);
    Ok(Wanted { attempt, epoch, name: name(&ended.worker), running: false })
}

struct Asked {
    link: LinkId,
    wanted: Wanted,
    reply: TailReply,
}

/// Questions that workers have not answered yet.
#[derive(Default)]
pub(super) struct Tails {
    last: u64,
    asked: BTreeMap<u64, Asked>,
}

impl Tails {
    /// Takes in a question to a worker, and gives it its number.
    pub(super) fn ask(&mut self, link: LinkId, wanted: Wanted, reply: TailReply) -> Option<u64> {
        self.asked.retain(|_, asked| !asked.reply.is_closed());
        if self.asked.len() >= MAX_ASKED {
            let busy = "too many logs are asked for at once: ask again".to_owned();
            drop(reply.send(Err(Refused::Unavailable(busy))));
            return None;
        }
        self.last += 1;
        self.asked.insert(self.last, Asked { link, wanted, reply });
        Some(self.last)
    }

    /// Passes on what a worker answered; only to the question that it was asked.
    pub(super) fn answer(&mut self, link: LinkId, tail: v1::Tail) {
        if self.asked.get(&tail.request).is_none_or(|asked| asked.link != link) {
            return;
        }
        if let Some(Asked { wanted, reply, .. }) = self.asked.remove(&tail.request) {
            let Wanted { attempt, name, running, .. } = wanted;
            drop(reply.send(Ok(v1::TailResponse {
                attempt: attempt.0,
                worker: name,
                running,
                text: tail.text,
            })));
        }
    }
}
