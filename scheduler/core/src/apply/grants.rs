//! Commands that hand tasks to workers: grant, and the cut of a running chunk.

use reel_common::{AttemptNumber, Epoch, PartIndex, Stage, TaskId, WorkerId};

use super::tell_state;
use crate::command::{Accepted, Refusal, Reply, Reserved};
use crate::event::Event;
use crate::state::{FarmState, JobState, JobWorker, Lease, PartRange};

/// What the leader proposes to grant.
#[derive(Clone, Copy)]
pub(super) struct Proposal {
    pub(super) task: TaskId,
    pub(super) worker: WorkerId,
    pub(super) parts: Option<PartRange>,
    pub(super) reserved: Reserved,
}

pub(super) fn on_grant(state: &mut FarmState, epoch: Epoch, proposal: Proposal) -> Reply {
    match check_grant(state, proposal) {
        Ok(()) => grant(state, epoch, proposal),
        Err(refusal) => Reply::Refused(refusal),
    }
}

fn check_grant(state: &FarmState, proposal: Proposal) -> Result<(), Refusal> {
    let Proposal { task, worker, parts, reserved } = proposal;
    let job = state.jobs.get(&task.job).ok_or(Refusal::UnknownJob(task.job))?;
    if !job.state.is_active() {
        return Err(Refusal::WrongState { job: task.job, state: job.state });
    }
    let left = job.parts_of(task.stage, task.index);
    let free = !state.leases.contains_key(&task);
    if !free || !job.wants(task.stage, task.index) || parts != left {
        return Err(Refusal::NotReady(task));
    }
    let until_ms = job.not_before_ms(task.stage, task.index);
    if until_ms > state.clock_ms {
        return Err(Refusal::BackingOff { task, until_ms });
    }
    let known = state.workers.get(&worker).ok_or(Refusal::UnknownWorker(worker))?;
    if !job.suits(task.stage, &known.facts) {
        return Err(Refusal::Unfit(worker));
    }
    if !state.room_of(worker).has(reserved) {
        return Err(Refusal::NoRoom(worker));
    }
    Ok(())
}

fn grant(state: &mut FarmState, epoch: Epoch, proposal: Proposal) -> Reply {
    let Proposal { task, worker, parts, reserved } = proposal;
    let Some(facts) = state.workers.get(&worker).map(|worker| &worker.facts) else {
        return Reply::Refused(Refusal::UnknownWorker(worker));
    };
    let Some(job) = state.jobs.get_mut(&task.job) else {
        return Reply::Refused(Refusal::UnknownJob(task.job));
    };
    if let (Stage::Encode, Some(plan)) = (task.stage, &job.plan) {
        job.encode.begin_chunk(task.index, plan);
    }
    let record = job.tasks.entry((task.stage, task.index)).or_default();
    record.attempts += 1;
    record.last_epoch = epoch;
    let attempt = AttemptNumber(record.attempts);
    job.attempts_total += 1;
    let first = std::mem::replace(&mut job.state, JobState::Running) != JobState::Running;
    let hired = JobWorker::from(facts);
    let name = hired.name.clone();
    job.workers.insert(worker, hired);
    let granted_ms = state.clock_ms;
    let lease = Lease { epoch, worker, attempt, granted: parts, reserved, granted_ms, repeated: Vec::new() };
    state.leases.insert(task, lease);
    state.by_worker.entry(worker).or_default().insert(task);
    if first {
        tell_state(state, task.job);
    }
    state.tell(Event::AttemptBegan { task, attempt, epoch, worker: name, parts });
    Reply::Accepted(Accepted::Granted { epoch, attempt })
}

pub(super) fn on_cut_chunk(state: &mut FarmState, task: TaskId, epoch: Epoch, at: PartIndex) -> Reply {
    if state.live(task, epoch).is_none() {
        return Reply::Superseded;
    }
    let Some(job) = state.jobs.get_mut(&task.job) else { return Reply::Superseded };
    let Some(range) = job.encode.chunks.get(&task.index).copied().filter(|_| task.stage == Stage::Encode)
    else {
        return Reply::Refused(Refusal::BadCut(task));
    };
    let tail = PartRange::new(at.0, range.end);
    let in_hand = job.encode.first_uncommitted(range);
    if !range.contains(at) || in_hand.is_none_or(|part| at <= part) {
        return Reply::Refused(Refusal::BadCut(task));
    }
    if job.encode.first_uncommitted(tail).is_none() {
        return Reply::Refused(Refusal::BadCut(task));
    }
    job.encode.chunks.insert(task.index, PartRange::new(range.start, at.0));
    let cut = job.encode.add_chunk(tail);
    job.encode.settle_chunk(cut);
    state.tell(Event::ChunkCut { task, at_part: at });
    Reply::Accepted(Accepted::Cut { task: TaskId { index: cut, ..task } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Action;
    use crate::testing::{FarmBuilder, encode, parts, plan_of, task};

    fn cut(task: TaskId, epoch: Epoch, at: u32) -> Action {
        Action::CutChunk { task, epoch, at_part: PartIndex(at) }
    }

    #[test]
    fn the_epoch_is_the_log_index_of_the_grant() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(4, 2, 0)).build();
        let grant = farm.grant_of(encode(1, 0), farm.worker("w"));
        let accepted = farm.ok(grant);
        let epoch = Epoch(farm.log.len() as u64);
        assert_eq!(accepted, Accepted::Granted { epoch, attempt: AttemptNumber(1) });
    }

    #[test]
    fn grants_of_one_log_entry_have_epochs_of_their_own() {
        let mut farm = FarmBuilder::new().worker("w", 3).job(plan_of(6, 2, 0)).build();
        let entry = farm.log.len() as u64 + 1;
        let proposals = crate::placement::place(&farm.state, &farm.progress, farm.now_ms);
        let replies: Vec<_> = proposals.into_iter().map(|command| farm.state.apply(entry, command)).collect();
        let epochs: Vec<_> = farm.state.leases.values().map(|lease| lease.epoch.0).collect();
        assert_eq!(epochs, [entry, entry + 1, entry + 2], "{replies:?}");
        let next = farm.state.apply(entry + 1, crate::Command::at(0, Action::PruneJobs));
        assert_eq!((next, farm.state.applied), (Reply::Accepted(Accepted::Pruned(0)), entry + 3));
    }

    #[test]
    fn a_task_is_granted_once_at_a_time() {
        let mut farm = FarmBuilder::new().worker("w", 4).job(plan_of(4, 2, 0)).build();
        let worker = farm.worker("w");
        farm.grant(encode(1, 0), worker);
        let again = farm.grant_of(encode(1, 0), worker);
        assert_eq!(farm.apply(again), Reply::Refused(Refusal::NotReady(encode(1, 0))));
    }

    #[test]
    fn a_grant_of_other_parts_or_of_a_stage_that_waits_is_refused() {
        let mut farm = FarmBuilder::new().worker("w", 4).job(plan_of(4, 2, 1)).build();
        let worker = farm.worker("w");
        let mut refused = |task: TaskId, parts: Option<PartRange>| {
            let reserved = Reserved { memory: 1, scratch: 0 };
            let reply = farm.apply(Action::Grant { task, worker, parts, reserved });
            assert_eq!(reply, Reply::Refused(Refusal::NotReady(task)));
        };
        refused(encode(1, 0), parts(0, 1));
        refused(encode(1, 0), None);
        refused(encode(1, 2), None);
        refused(encode(1, u32::MAX), parts(0, 2));
        refused(task(1, Stage::Audio, 1), None);
        refused(task(1, Stage::Audio, 0), parts(0, 2));
        for stage in [Stage::Index, Stage::Assemble, Stage::Measure, Stage::Check, Stage::Deliver] {
            refused(task(1, stage, 0), None);
        }
    }

    #[test]
    fn a_full_or_unknown_worker_gets_nothing() {
        let mut farm = FarmBuilder::new().worker_with_memory("w", 2, 150).job(plan_of(8, 2, 0)).build();
        let worker = farm.worker("w");
        let mut grant = |index: u32, worker, memory| {
            farm.apply(Action::Grant {
                task: encode(1, index),
                worker,
                parts: parts(index * 2, index * 2 + 2),
                reserved: Reserved { memory, scratch: 0 },
            })
        };
        assert!(grant(0, worker, 100).accepted().is_some());
        assert_eq!(grant(1, worker, 51), Reply::Refused(Refusal::NoRoom(worker)));
        assert!(grant(1, worker, 50).accepted().is_some());
        assert_eq!(grant(2, worker, 0), Reply::Refused(Refusal::NoRoom(worker)));
        assert_eq!(grant(2, WorkerId(99), 0), Reply::Refused(Refusal::UnknownWorker(WorkerId(99))));
    }

    #[test]
    fn chunks_can_be_granted_in_any_order() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(9, 2, 0)).build();
        let worker = farm.worker("w");
        for index in [4, 1, 3, 0, 2] {
            let epoch = farm.grant(encode(1, index), worker);
            farm.finish(encode(1, index), epoch);
        }
        assert!(farm.job(1).is_encoded());
        assert!(farm.job(1).encode.chunks.is_empty());
    }

    #[test]
    fn a_million_chunks_that_wait_take_no_room() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(1_000_000, 1, 0)).build();
        farm.place();
        assert_eq!(farm.job(1).encode.chunks.len(), 1);
        assert_eq!(farm.job(1).tasks.len(), 2, "index and one chunk");
    }

    #[test]
    fn a_cut_tail_is_a_chunk_of_its_own_and_encodes_nothing_twice() {
        let mut farm = FarmBuilder::new().worker("a", 1).worker("b", 1).job(plan_of(6, 6, 0)).build();
        let (a, b) = (farm.worker("a"), farm.worker("b"));
        let epoch = farm.grant(encode(1, 0), a);
        farm.commit_part(encode(1, 0), epoch, 0);
        let Accepted::Cut { task: tail } = farm.ok(cut(encode(1, 0), epoch, 4)) else { panic!("not cut") };
        assert_eq!(farm.job(1).chunk(0), parts(0, 4));
        assert_eq!(farm.job(1).chunk(tail.index), parts(4, 6));
        let tail_epoch = farm.grant(tail, b);
        farm.finish(tail, tail_epoch);
        farm.finish(encode(1, 0), epoch);
        assert!(farm.job(1).is_encoded());
        assert_eq!(farm.job(1).parts_encoded_twice, 0);
    }

    #[test]
    fn the_part_in_hand_is_never_cut_off() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(4, 4, 0)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        farm.commit_part(encode(1, 0), epoch, 0);
        for at in [0, 1, 4, 9] {
            assert_eq!(
                farm.apply(cut(encode(1, 0), epoch, at)),
                Reply::Refused(Refusal::BadCut(encode(1, 0)))
            );
        }
        assert_eq!(farm.apply(cut(encode(1, 0), Epoch(epoch.0 + 1), 2)), Reply::Superseded);
        farm.ok(cut(encode(1, 0), epoch, 2));
    }

    #[test]
    fn a_part_that_was_cut_off_while_its_commit_was_on_the_way_is_taken() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(4, 4, 0)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        farm.commit_part(encode(1, 0), epoch, 0);
        farm.ok(cut(encode(1, 0), epoch, 2));
        for part in [1, 2] {
            assert_eq!(farm.commit_part(encode(1, 0), epoch, part), Reply::DONE);
        }
        assert_eq!(farm.job(1).chunk(1), parts(3, 4), "the tail holds what is left of it");
        farm.finish(encode(1, 0), epoch);
        farm.run_to_end();
        assert_eq!((farm.job(1).renditions_encoded, farm.job(1).parts_encoded_twice), (8, 0));
    }

    #[test]
    fn a_tail_with_committed_parts_is_cut_into_what_lies_between_them() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(6, 6, 0)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        farm.commit_part(encode(1, 0), epoch, 4);
        farm.ok(cut(encode(1, 0), epoch, 2));
        assert_eq!([0, 1, 2].map(|index| farm.job(1).chunk(index)), [parts(0, 2), parts(2, 4), parts(5, 6)]);
    }

    #[test]
    fn a_part_that_two_attempts_encode_after_a_cut_is_counted_once() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(4, 4, 0)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        farm.ok(cut(encode(1, 0), epoch, 2));
        let tail_epoch = farm.grant(encode(1, 1), worker);
        for part in [0, 1, 2] {
            assert_eq!(farm.commit_part(encode(1, 0), epoch, part), Reply::DONE);
        }
        for _ in 0..2 {
            assert_eq!(farm.commit_part(encode(1, 1), tail_epoch, 2), Reply::Duplicate(Accepted::Done));
        }
        assert_eq!(farm.job(1).parts_encoded_twice, 1);
        assert_eq!(farm.job(1).encode.committed[&PartIndex(2)].epoch, epoch, "the first commit stands");
        farm.finish(encode(1, 1), tail_epoch);
        farm.finish(encode(1, 0), epoch);
        assert!(farm.job(1).is_encoded());
    }

    #[test]
    fn a_part_that_the_second_attempt_found_in_the_store_was_not_encoded_twice() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(6, 6, 0)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        farm.ok(cut(encode(1, 0), epoch, 2));
        let tail_epoch = farm.grant(encode(1, 1), worker);
        assert_eq!(farm.commit_part(encode(1, 0), epoch, 3), Reply::DONE);
        assert_eq!(farm.job(1).chunk(1), parts(2, 6), "what runs is not split under its worker");
        let (part, record) = (PartIndex(3), crate::testing::record_of(3));
        let found = Action::CommitPart {
            task: encode(1, 1),
            epoch: tail_epoch,
            part,
            record,
            encoded: 0,
            reused: 2,
            measured: Vec::new(),
        };
        assert_eq!(farm.apply(found), Reply::Duplicate(Accepted::Done));
        assert_eq!((farm.job(1).parts_encoded_twice, farm.job(1).renditions_reused), (0, 0));
    }
}
