//! The judge: it sees every committed entry, every encode that begins and every answer to a user, and holds them against
//! what the farm promises.

use std::collections::{BTreeMap, BTreeSet};

use reel_common::{Digest, Epoch, JobId, PartIndex, Stage, TaskId};
use reel_scheduler::simulation;
use reel_scheduler_core::invariant::check_all;
use reel_scheduler_core::state::{JobState, Outcome, PartRange};
use reel_scheduler_core::{Accepted, Action, Command, FarmState, Reply, TaskResult};

use crate::store::Store;
use crate::title;

/// The part in hand, or the one that is on its way into the store.
const MOST_LOST: u64 = 1;

/// An attempt whose lease has ended although nobody of its worker said so, and the worker's name.
pub(crate) struct Lost {
    pub(crate) worker: String,
    pub(crate) epoch: Epoch,
}

/// What was counted in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries of the log.
    pub entries: u64,
    /// Attempts granted.
    pub grants: u64,
    /// Chunks cut.
    pub cuts: u64,
    /// Parts whose encode has begun, again each time.
    pub encodes: u64,
    /// Parts that an encode found in the store, where a probe had left them.
    pub found: u64,
    /// Of them, those of a part whose encode had begun before.
    pub encodes_again: u64,
    /// Of these, those that another attempt had begun when they were cut off its chunk.
    pub overlaps: u64,
    /// Likewise of an attempt that had lost its lease and did not know.
    pub zombies: u64,
    /// Most parts of one attempt that were encoded again because it was over before they were in the store.
    pub most_lost: u64,
    /// Commits that came too late.
    pub superseded: u64,
    /// Commits that came again.
    pub duplicates: u64,
    /// Slots whose runner ended before its time.
    pub killed_slots: u64,
}

/// What was promised, as far as it is known by now.
#[derive(Default)]
pub(crate) struct Judge {
    /// What the log gives: the state of every replica, ahead of all of them.
    pub(crate) state: FarmState,
    pub(crate) counts: Counts,
    /// The digest of the state after each entry.
    digests: BTreeMap<u64, Digest>,
    /// The newest grant of each task.
    newest: BTreeMap<TaskId, Epoch>,
    /// The command that committed each part.
    committed: BTreeMap<(JobId, PartIndex), Epoch>,
    /// Jobs that users were told of, by their key.
    acknowledged: BTreeMap<String, JobId>,
    /// Jobs that were canceled, and whether they were delivered by then.
    canceled: BTreeMap<JobId, bool>,
    /// Tasks of hooks that are done.
    hooks: BTreeSet<TaskId>,
    /// Who has begun to encode each part last.
    begun: BTreeMap<(JobId, u32), Epoch>,
    /// Parts that were encoded again, by the attempt that had begun them.
    again: BTreeMap<Epoch, u64>,
}

impl Judge {
    /// An entry is committed: it is in the log for ever.
    pub(crate) fn on_committed(&mut self, index: u64, entry: Option<&[u8]>, store: &Store) -> Vec<Lost> {
        let mut lost = Vec::new();
        self.counts.entries += 1;
        for command in entry.map(|entry| simulation::commands(entry).unwrap()).unwrap_or_default() {
            lost.extend(self.lost_by(&command.action));
            let before = self.live_epoch(&command.action);
            let reply = self.state.apply(index, command.clone());
            self.on_reply(&command, before, &reply, store);
        }
        assert_eq!(check_all(&self.state), Ok(()), "after entry {index}");
        self.check_promises();
        self.digests.insert(index, digest(&self.state));
        lost
    }

    /// The leases that a command ends if it is accepted, and whose holders were not asked.
    fn lost_by(&self, action: &Action) -> Vec<Lost> {
        let lost = |worker: u64, task: &TaskId| {
            let lease = self.state.leases.get(task)?;
            let name = self.state.workers.get(&lease.worker)?.facts.name.clone();
            (lease.worker.0 == worker).then_some(Lost { worker: name, epoch: lease.epoch })
        };
        let of_worker =
            |worker: u64| self.state.leases.keys().filter_map(|task| lost(worker, task)).collect::<Vec<_>>();
        match action {
            Action::ExpireLease { task, epoch } => {
                let lease = self.state.live(*task, *epoch);
                lease.and_then(|lease| lost(lease.worker.0, task)).into_iter().collect()
            }
            Action::LoseWorker { worker, .. } => of_worker(worker.0),
            Action::RegisterWorker { facts } => {
                let older = self.state.worker_named(&facts.name);
                let older = older.filter(|(_, worker)| worker.facts.incarnation < facts.incarnation);
                older.map(|(id, _)| of_worker(id.0)).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// The epoch that is live for the task of a commit, before the commit is looked at.
    fn live_epoch(&self, action: &Action) -> Option<Epoch> {
        let (Action::CommitPart { task, .. } | Action::CommitTask { task, .. }) = action else { return None };
        self.state.leases.get(task).map(|lease| lease.epoch)
    }

    fn on_reply(&mut self, command: &Command, live: Option<Epoch>, reply: &Reply, store: &Store) {
        let number = Epoch(self.state.applied);
        match (&command.action, reply) {
            (Action::Grant { task, parts, .. }, Reply::Accepted(_)) => self.on_grant(*task, *parts, number),
            (Action::CutChunk { .. }, Reply::Accepted(_)) => self.counts.cuts += 1,
            (Action::CommitPart { task, epoch, part, record, encoded, .. }, Reply::Accepted(_)) => {
                assert_eq!(live, Some(*epoch), "a dead epoch has committed part {part} of {task}");
                assert!(store.has(record), "part {part} of {task} is committed and not in the store");
                let mezzanine = &self.state.jobs[&task.job].spec.mezzanine;
                assert_eq!(*record, title::part_artifact(mezzanine, part.0), "part {part} of {task}");
                if task.stage == Stage::Encode {
                    self.counts.found += u64::from(*encoded == 0);
                    let again = self.committed.insert((task.job, *part), number);
                    assert_eq!(again, None, "part {part} of {task} is committed twice");
                }
            }
            (Action::CommitTask { task, epoch, result, .. }, Reply::Accepted(_)) => {
                assert_eq!(live, Some(*epoch), "a dead epoch has ended {task}");
                if let TaskResult::Object(object) = result {
                    assert!(store.has(object), "{task} is done and its result is not in the store");
                }
                if task.stage == Stage::Hook {
                    self.hooks.insert(*task);
                }
            }
            (Action::CommitPart { .. } | Action::CommitTask { .. }, Reply::Superseded) => {
                self.counts.superseded += 1;
            }
            (Action::CommitPart { .. } | Action::CommitTask { .. }, Reply::Duplicate(_)) => {
                self.counts.duplicates += 1;
            }
            (Action::CommitPart { task, .. } | Action::CommitTask { task, .. }, Reply::Refused(refusal)) => {
                panic!("a commit of {task} was refused: {refusal}");
            }
            (Action::CancelJob { job }, Reply::Accepted(Accepted::Done)) => {
                self.canceled.insert(*job, self.state.jobs[job].report.is_some());
            }
            _ => {}
        }
    }

    fn on_grant(&mut self, task: TaskId, parts: Option<PartRange>, epoch: Epoch) {
        self.counts.grants += 1;
        for part in parts.into_iter().flat_map(PartRange::parts) {
            let committed = self.committed.contains_key(&(task.job, part));
            assert!(!committed, "part {part} of {task} is committed and granted again");
        }
        let older = self.newest.insert(task, epoch);
        assert!(older < Some(epoch), "the epochs of {task} go back");
        assert!(!self.canceled.contains_key(&task.job), "{task} of a canceled job is granted");
        if task.stage == Stage::Hook {
            assert!(self.state.jobs[&task.job].report.is_some(), "{task} is granted before the delivery");
            assert!(!self.hooks.contains(&task), "{task} is done and granted again");
        }
    }

    /// What a user was told is so, and what is committed stays so.
    fn check_promises(&self) {
        for (key, job) in &self.acknowledged {
            self.check_acknowledged(key, *job);
        }
        let mut keys = BTreeSet::new();
        for key in self.state.jobs.values().filter_map(|job| job.spec.idempotency_key.as_ref()) {
            assert!(keys.insert(key), "two jobs have the key {key}");
        }
        for (job, part) in self.committed.keys() {
            let kept = self.state.jobs[job].encode.committed.contains_key(part);
            assert!(kept, "part {part} of job {job} is not committed any more");
        }
        for (job, delivered) in &self.canceled {
            let job_state = self.state.jobs[job].state;
            assert_eq!(job_state, JobState::Canceled, "job {job} was canceled");
            let report = self.state.jobs[job].report;
            assert_eq!(report.is_some(), *delivered, "job {job} was canceled and is delivered");
        }
    }

    fn check_acknowledged(&self, key: &str, job: JobId) {
        let kept = self.state.jobs.get(&job);
        let kept = kept.unwrap_or_else(|| panic!("job {job} was accepted and is lost"));
        assert_eq!(kept.spec.idempotency_key.as_deref(), Some(key), "job {job} is another one");
    }

    /// A user was told that its job is accepted. That must be in the log by now.
    pub(crate) fn on_acknowledged(&mut self, key: &str, job: JobId) {
        self.check_acknowledged(key, job);
        let before = self.acknowledged.insert(key.to_owned(), job);
        assert!(before.is_none_or(|before| before == job), "{key} is two jobs: {before:?} and {job}");
    }

    /// A user was told that its job is canceled.
    pub(crate) fn on_cancel_acknowledged(&self, job: JobId) {
        assert!(self.canceled.contains_key(&job), "job {job} is not canceled");
    }

    /// A replica has applied an entry, or taken a snapshot or begun from one.
    pub(crate) fn check_replica(&self, node: usize, index: u64, state: &FarmState) {
        assert_eq!(check_all(state), Ok(()), "scheduler {node} after entry {index}");
        if index > 0 {
            let same = self.digests.get(&index) == Some(&digest(state));
            assert!(same, "scheduler {node} has another state than the log gives at entry {index}");
        }
    }

    /// The attempt that has begun to encode a part last.
    pub(crate) fn encoded_by(&self, job: JobId, part: u32) -> Option<Epoch> {
        self.begun.get(&(job, part)).copied()
    }

    /// A runner begins to encode a part. It may not have been committed when the attempt was granted. `holder` is the task
    /// of the attempt that had begun it before, if that is not over.
    pub(crate) fn on_encode(&mut self, job: JobId, part: u32, epoch: Epoch, holder: Option<TaskId>) {
        let committed = self.committed.get(&(job, PartIndex(part)));
        assert!(
            committed.is_none_or(|number| *number > epoch),
            "part {part} of job {job} was committed by command {committed:?} and is encoded again by epoch {epoch}"
        );
        self.counts.encodes += 1;
        let Some(before) = self.begun.insert((job, part), epoch) else { return };
        self.counts.encodes_again += 1;
        let ended = self.state.jobs[&job].attempts.iter().find(|attempt| attempt.epoch == before);
        let was_done = ended.is_some_and(|attempt| attempt.outcome == Outcome::Done);
        match holder {
            Some(task) if self.state.live(task, before).is_some() => self.counts.overlaps += 1,
            _ if was_done => self.counts.overlaps += 1,
            Some(_) => self.counts.zombies += 1,
            None => {
                let again = self.again.entry(before).or_default();
                *again += 1;
                self.counts.most_lost = self.counts.most_lost.max(*again);
                assert!(*again <= MOST_LOST, "{again} parts of epoch {before} are encoded again");
            }
        }
    }

    /// The jobs that are not over, for a message.
    pub(crate) fn open_jobs(&self) -> String {
        let open = self.state.jobs.iter().filter(|(_, job)| job.state.is_open());
        let shown = open.map(|(id, job)| {
            let (parts, total) = (job.parts_committed(), job.parts_total());
            let held: Vec<_> =
                self.state.leases_of_job(*id).map(|(task, lease)| (task, lease.epoch)).collect();
            format!("job {id} {} {parts}/{total} held {held:?} {:?}", job.state.name(), job.backoffs)
        });
        let workers: Vec<_> =
            self.state.workers.values().map(|w| (&w.facts.name, w.facts.incarnation, w.draining)).collect();
        format!("{}; workers {workers:?}", shown.collect::<Vec<_>>().join(", "))
    }

    /// Whether all jobs are over.
    pub(crate) fn all_over(&self) -> bool {
        self.state.open.is_empty()
    }
}

fn digest(state: &FarmState) -> Digest {
    Digest::of(&simulation::write_state(state))
}
