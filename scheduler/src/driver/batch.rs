//! Commands on their way into the log: one entry is in flight, what comes meanwhile goes into the next.

use std::collections::VecDeque;

use reel_common::TaskId;
use reel_scheduler_core::Command;
use tokio::sync::oneshot;

use super::fleet::LinkId;
use crate::codec;
use crate::raft::MAX_RECORD_BYTES;
use crate::scheduler::{Refused, Submitted};

/// Most bytes of commands in one entry, so that its record keeps below [`MAX_RECORD_BYTES`].
const MAX_ENTRY_BYTES: usize = MAX_RECORD_BYTES - 1024;
/// Most commands in one entry, so that a long queue does not delay the answers to its first.
const MAX_ENTRY_COMMANDS: usize = 1024;
/// As many commands as make the cost of an entry small against their own.
const ENOUGH_COMMANDS: usize = 64;
/// Commands that may wait before workers and clients have to.
const MAX_WAITING: usize = 4096;

/// Who waits for the answer to a command.
pub(super) enum Asker {
    /// A client that submitted.
    Submit(oneshot::Sender<Result<Submitted, Refused>>),
    /// An operator.
    Operator(oneshot::Sender<Result<(), Refused>>),
    /// A worker that registers.
    Register(LinkId),
    /// A worker with a request about an attempt; `ends` where acceptance ends the attempt.
    Worker { link: LinkId, request: u64, task: TaskId, ends: bool },
    /// Nobody: it was the leader's own decision.
    Leader,
}

/// Commands that wait for their entry.
#[derive(Default)]
pub(super) struct Batch {
    waiting: VecDeque<(Command, Asker)>,
}

impl Batch {
    pub(super) fn push(&mut self, command: Command, asker: Asker) {
        self.waiting.push_back((command, asker));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether nothing more should be taken in.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING
    }

    /// Whether enough waits to make an entry's cost small.
    pub(super) fn is_worth_an_entry(&self) -> bool {
        self.waiting.len() >= ENOUGH_COMMANDS
    }

    /// The commands of the next entry, oldest first. One that is too large by itself comes alone, for the log to refuse.
    pub(super) fn take_entry(&mut self) -> (Vec<Command>, Vec<Asker>) {
        let (mut commands, mut askers, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some((command, _)) = self.waiting.front() {
            bytes += codec::encoded_len(command);
            if !commands.is_empty() && (bytes > MAX_ENTRY_BYTES || commands.len() == MAX_ENTRY_COMMANDS) {
                break;
            }
            if let Some((command, asker)) = self.waiting.pop_front() {
                commands.push(command);
                askers.push(asker);
            }
        }
        (commands, askers)
    }

    /// Everybody who waits, when nothing will be proposed any more.
    pub(super) fn take_askers(&mut self) -> Vec<Asker> {
        self.waiting.drain(..).map(|(_, asker)| asker).collect()
    }
}

#[cfg(test)]
mod tests {
    use reel_scheduler_core::{Action, JobSpec};

    use super::*;

    fn submit(profile_bytes: usize) -> Command {
        let spec = JobSpec { mezzanine: "m".into(), output: "o".into(), ..JobSpec::default() };
        Command::at(1, Action::SubmitJob { spec: Box::new(spec), profile: "x".repeat(profile_bytes) })
    }

    #[test]
    fn entries_stay_below_their_limit_and_lose_nothing() {
        let mut batch = Batch::default();
        for _ in 0..20 {
            batch.push(submit(60_000), Asker::Leader);
        }
        let mut taken = 0;
        while !batch.is_empty() {
            let (commands, askers) = batch.take_entry();
            assert!(codec::encode_entry(&commands).len() < MAX_RECORD_BYTES);
            assert_eq!(commands.len(), askers.len());
            taken += commands.len();
        }
        assert_eq!(taken, 20);
    }

    #[test]
    fn a_command_that_fits_in_no_entry_comes_alone() {
        let mut batch = Batch::default();
        for bytes in [10, 300_000, 10] {
            batch.push(submit(bytes), Asker::Leader);
        }
        let counts: Vec<_> =
            std::iter::from_fn(|| (!batch.is_empty()).then(|| batch.take_entry().0.len())).collect();
        assert_eq!(counts, [1, 1, 1]);
    }
}
