//! What always holds of the state. Each invariant has a name, a function and a test that breaks it.

use std::collections::BTreeSet;

use reel_common::{Epoch, JobId, PartIndex, Stage, TaskId};

use crate::command::Reserved;
use crate::state::{FarmState, Job, JobState, PartRange, RateState, TaskSet};

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
pub struct Violation {
    /// The invariant's name.
    pub name: &'static str,
    /// What breaks it.
    pub what: String,
}

/// A check of one invariant; the error says what breaks it.
pub type Check = fn(&FarmState) -> Result<(), String>;

/// Every invariant by its name.
pub const ALL: [(&str, Check); 10] = [
    ("one_live_epoch_per_task", one_live_epoch_per_task),
    ("every_part_in_one_place", every_part_in_one_place),
    ("no_committed_part_is_queued", no_committed_part_is_queued),
    ("every_hook_in_one_place", every_hook_in_one_place),
    ("rates_are_those_of_the_plan", rates_are_those_of_the_plan),
    ("capacity_is_kept", capacity_is_kept),
    ("epochs_ascend", epochs_ascend),
    ("done_jobs_are_whole", done_jobs_are_whole),
    ("counters_agree", counters_agree),
    ("indexes_agree", indexes_agree),
];

/// Checks every invariant.
///
/// # Errors
/// The first [`Violation`].
pub fn check_all(state: &FarmState) -> Result<(), Violation> {
    ALL.iter().try_for_each(|(name, check)| check(state).map_err(|what| Violation { name, what }))
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// Every lease is the newest grant of a task that exists, is not finished, and belongs to an open job. That a task has
/// one lease at most is in the shape of [`FarmState::leases`].
fn one_live_epoch_per_task(state: &FarmState) -> Result<(), String> {
    for (task, lease) in &state.leases {
        let job = state.jobs.get(&task.job).ok_or_else(|| format!("{task} is leased, its job is unknown"))?;
        ensure(job.state.is_open() && job.state != JobState::Queued, || {
            format!("{task} is leased, its job is {}", job.state.name())
        })?;
        let record = job.tasks.get(&(task.stage, task.index));
        ensure(record.is_some_and(|record| record.last_epoch == lease.epoch), || {
            format!("{task} is leased by epoch {}, which is not its last grant", lease.epoch)
        })?;
        let exists = match task.stage {
            Stage::Encode => job.encode.chunks.contains_key(&task.index) && lease.granted.is_some(),
            stage => job.wants(stage, task.index) && lease.granted.is_some() == (stage == Stage::Preview),
        };
        ensure(exists, || format!("{task} is leased and is finished or not ready"))?;
    }
    Ok(())
}

/// Each part of a planned job is committed, or in the range of exactly one chunk.
fn every_part_in_one_place(state: &FarmState) -> Result<(), String> {
    state.jobs.iter().try_for_each(|(id, job)| parts_of_one_job(*id, job))
}

fn parts_of_one_job(id: JobId, job: &Job) -> Result<(), String> {
    let Some(plan) = &job.plan else {
        let empty = job.encode.committed.is_empty()
            && job.encode.chunks.is_empty()
            && job.audio.is_empty()
            && job.images.is_none();
        return ensure(empty, || format!("job {id} has parts or tracks without a plan"));
    };
    let fresh = |part: u32| plan.chunk_of(part) >= job.encode.fresh;
    let total = plan.grid.parts();
    let mut ranges: Vec<_> = job.encode.chunks.values().copied().collect();
    ranges.sort_unstable();
    let apart = ranges.windows(2).all(|pair| pair[0].end <= pair[1].start);
    ensure(apart, || format!("job {id}: two chunks hold the same part: {ranges:?}"))?;
    let begun = |range: &PartRange| !range.is_empty() && !fresh(range.start) && !fresh(range.end - 1);
    ensure(ranges.iter().all(begun), || {
        format!("job {id}: an empty chunk, or one of parts never granted: {ranges:?}")
    })?;
    let odd = job.encode.committed.keys().find(|part| fresh(part.0));
    ensure(odd.is_none(), || format!("job {id}: part {odd:?} is committed and was never granted"))?;
    let held: u32 = ranges.iter().flat_map(|range| job.encode.uncommitted(*range)).map(|run| run.len()).sum();
    let never: u32 = match plan.waves() {
        1 => total - plan.chunk(job.encode.fresh).start,
        _ => (job.encode.fresh..plan.chunks()).map(|chunk| plan.chunk(chunk).len()).sum(),
    };
    let known = job.parts_committed() + held + never;
    ensure(known == total, || format!("job {id}: {known} of {total} parts are somewhere"))?;
    let numbered = job.encode.fresh <= plan.chunks() && job.encode.next_chunk >= plan.chunks();
    let below_next = job.encode.chunks.keys().all(|index| *index < job.encode.next_chunk);
    ensure(numbered && below_next, || format!("job {id}: chunk numbers do not ascend"))
}

/// A chunk without a lease holds no committed part, so that none is granted again.
fn no_committed_part_is_queued(state: &FarmState) -> Result<(), String> {
    for (id, job) in &state.jobs {
        for (index, range) in &job.encode.chunks {
            let task = TaskId { job: *id, stage: Stage::Encode, index: *index };
            let clean = state.leases.contains_key(&task) || job.encode.uncommitted(*range) == [*range];
            ensure(clean, || format!("{task} waits with a committed part in {range:?}"))?;
        }
    }
    Ok(())
}

/// Tasks of hooks are done, open or skipped; none of a later hook is done before the earlier ones are, but for skipped ones.
fn every_hook_in_one_place(state: &FarmState) -> Result<(), String> {
    for (id, job) in &state.jobs {
        let (hooks, total) = (&job.hooks, job.hook_tasks());
        let below = |tasks: &BTreeSet<u32>, end: u32| tasks.last().is_none_or(|last| *last < end);
        let own = hooks.fresh <= total && below(&hooks.open, hooks.fresh) && below(&hooks.skipped, total);
        ensure(own, || format!("job {id} has hooks done or skipped that it does not have"))?;
        let apart = hooks.open.is_disjoint(&hooks.skipped) && !hooks.skipped.contains(&hooks.fresh);
        ensure(apart, || format!("job {id}: a skipped hook is open"))?;
        let turn = job.hook_now().map_or(total, |(_, tasks)| tasks.end);
        ensure(
            hooks.fresh <= turn
                || hooks.skipped.range(turn..hooks.fresh).count() as u32 == hooks.fresh - turn,
            || format!("job {id} ran a hook before the one whose turn it is"),
        )?;
        ensure(job.is_delivered() || hooks.done() == hooks.skipped.len() as u32, || {
            format!("job {id} ran a hook before its title was delivered")
        })?;
    }
    Ok(())
}

/// Jobs with bit rates have a level for each target, no chunk of a wave that is not open, and probes in a round alone.
fn rates_are_those_of_the_plan(state: &FarmState) -> Result<(), String> {
    for (id, job) in &state.jobs {
        let rate = &job.rate;
        let Some(plan) = job.plan.as_ref().filter(|plan| !plan.targets.is_empty()) else {
            ensure(*rate == RateState::default(), || format!("job {id} has rates without targets"))?;
            continue;
        };
        let mut steps = rate.rounds.iter().chain(&rate.waves);
        ensure(steps.all(|round| round.levels.len() == plan.targets.len()), || {
            format!("job {id} has a round without a level for each target")
        })?;
        ensure(rate.waves.len() <= plan.waves() && job.encode.fresh <= job.chunks_begun(plan), || {
            format!("job {id} has begun a wave that is not open")
        })?;
        let probed = if rate.probing {
            !rate.rounds.is_empty() && rate.waves.is_empty() && rate.probed.fresh <= plan.grid.parts()
        } else {
            rate.probed == TaskSet::default()
        };
        ensure(probed, || format!("job {id} has probes out of a round"))?;
    }
    Ok(())
}

/// Leases are held by registered workers and fit in their slots, memory and scratch space.
fn capacity_is_kept(state: &FarmState) -> Result<(), String> {
    for (id, tasks) in &state.by_worker {
        let worker =
            state.workers.get(id).ok_or_else(|| format!("worker {id} is unknown and holds leases"))?;
        let reserved = |of: fn(&Reserved) -> u64| -> u128 {
            state.leases_of_worker(*id).map(|(_, lease)| u128::from(of(&lease.reserved))).sum()
        };
        let (memory, scratch) = (reserved(|all| all.memory), reserved(|all| all.scratch));
        ensure(tasks.len() as u64 <= u64::from(worker.facts.slots), || {
            format!("worker {id} runs {} attempts in {} slots", tasks.len(), worker.facts.slots)
        })?;
        ensure(memory <= u128::from(worker.facts.memory), || {
            format!("worker {id} has reserved {memory} of {} bytes", worker.facts.memory)
        })?;
        ensure(scratch <= u128::from(worker.facts.scratch), || {
            format!("worker {id} has reserved {scratch} of {} bytes of scratch", worker.facts.scratch)
        })?;
    }
    Ok(())
}

/// No epoch is beyond the log, and none of a task is beyond its last grant.
fn epochs_ascend(state: &FarmState) -> Result<(), String> {
    let applied = Epoch(state.applied);
    for (id, job) in &state.jobs {
        let records = job.tasks.values().map(|record| record.last_epoch);
        let parts = job.encode.committed.values().map(|part| part.epoch);
        let ended = job.attempts.iter().map(|attempt| attempt.epoch);
        let newest = records.chain(parts).chain(ended).max();
        ensure(newest <= Some(applied), || format!("job {id} knows epoch {newest:?} beyond the log"))?;
    }
    Ok(())
}

/// A done job has every part, track, result and hook; an ended one has no lease.
fn done_jobs_are_whole(state: &FarmState) -> Result<(), String> {
    for (id, job) in state.jobs.iter().filter(|(_, job)| !job.state.is_open()) {
        ensure(state.leases_of_job(*id).next().is_none(), || {
            format!("job {id} has ended and holds a lease")
        })?;
        ensure(job.ended_ms.is_some(), || format!("job {id} has ended at no time"))?;
        ensure((job.state == JobState::Failed) == job.failure.is_some(), || {
            format!("job {id} is {} and has or lacks a reason", job.state.name())
        })?;
        let checked = job.plan.as_ref().is_some_and(|plan| job.check.is_some() == plan.check);
        let results = [job.assembly, job.proof, job.report].iter().all(Option::is_some) && checked;
        let titled = job.spec.has_title();
        let made = job.plan.as_ref().is_some_and(|plan| {
            let mut parts = (0..plan.grid.parts()).map(PartIndex);
            parts.all(|part| job.encode.committed.contains_key(&part))
                && plan.tracks.iter().all(|track| job.audio.contains_key(track))
                && job.images.is_some() == plan.image_memory.is_some()
        });
        let whole = (!titled || (made && results)) && job.is_complete();
        ensure(job.state != JobState::Done || whole, || format!("job {id} is done and lacks something"))?;
    }
    Ok(())
}

/// Counts are at least what the state still shows of what they count, and bounded lists are within their bounds.
fn counters_agree(state: &FarmState) -> Result<(), String> {
    for (id, job) in &state.jobs {
        let live = state.leases_of_job(*id).count() as u64;
        ensure(job.attempts_total >= job.attempts.len() as u64 + live, || {
            format!("job {id} has had fewer attempts than it remembers")
        })?;
        ensure(job.attempts.len() <= Job::MAX_ATTEMPTS, || format!("job {id} remembers too many attempts"))?;
        let (mut encoded, mut reused) = (0, 0);
        for part in job.encode.committed.values() {
            encoded += u64::from(part.encoded);
            reused += u64::from(part.reused);
        }
        ensure(job.renditions_encoded >= encoded && job.renditions_reused >= reused, || {
            format!("job {id} has committed more renditions than it counts")
        })?;
        ensure((job.state == JobState::Queued) <= (job.attempts_total == 0), || {
            format!("job {id} is queued after attempts")
        })?;
        ensure(state.profiles.contains_key(&job.profile), || format!("job {id} has no profile text"))?;
    }
    Ok(())
}

/// The derived fields are what [`FarmState::reindex`] makes of the others, and numbers were given out in order.
fn indexes_agree(state: &FarmState) -> Result<(), String> {
    let keys = state.jobs.values().filter_map(|job| job.spec.idempotency_key.as_ref()).count();
    let open = || state.jobs.values().filter(|job| job.state.is_open());
    let titles = open().filter(|job| job.spec.has_title()).count();
    let sizes = (state.by_key.len(), state.open.len(), state.by_output.len());
    ensure(sizes == (keys, open().count(), titles), || {
        "an index has too many or too few entries".to_owned()
    })?;
    for (id, job) in &state.jobs {
        let by_key = job.spec.idempotency_key.as_ref().is_none_or(|key| state.by_key.get(key) == Some(id));
        let by_output = state.by_output.get(&job.spec.output) == Some(id) || !job.spec.has_title();
        let open = !job.state.is_open() || (by_output && state.open.contains(id));
        ensure(by_key && open, || format!("job {id} is not found by its key or output"))?;
    }
    let indexed: BTreeSet<_> =
        state.by_worker.iter().flat_map(|(id, tasks)| tasks.iter().map(|t| (*id, *t))).collect();
    let leased: BTreeSet<_> = state.leases.iter().map(|(task, lease)| (lease.worker, *task)).collect();
    ensure(indexed == leased && state.by_worker.values().all(|tasks| !tasks.is_empty()), || {
        "leases by worker are not the leases".to_owned()
    })?;
    let numbers = state.jobs.keys().next_back().is_none_or(|id| *id <= state.last_job)
        && state.workers.keys().next_back().is_none_or(|id| *id <= state.last_worker);
    ensure(numbers, || "a job or worker number was not given out".to_owned())
}

#[cfg(test)]
mod tests {
    use reel_common::{AttemptNumber, FailureClass, WorkerId};

    use super::*;
    use crate::command::Action;
    use crate::state::{CommittedPart, PartRange, RateRound};
    use crate::testing::{Farm, FarmBuilder, encode, plan_of, record_of, task, with_targets};

    /// A job with a committed part, a running and a waiting chunk that were begun, and chunks that were not.
    fn farm() -> Farm {
        let mut farm = FarmBuilder::new().worker_with_memory("w", 2, 1_000).job(plan_of(12, 3, 1)).build();
        let worker = farm.worker("w");
        let waiting = farm.grant(encode(1, 0), worker);
        farm.grant(encode(1, 1), worker);
        farm.commit_part(encode(1, 0), waiting, 0);
        farm.fail(encode(1, 0), waiting, FailureClass::Failed, "x");
        farm
    }

    fn job(state: &mut FarmState) -> &mut Job {
        state.jobs.get_mut(&JobId(1)).unwrap()
    }

    /// Breaks a good state and requires that exactly the named check, if not others too, sees it.
    fn breaks(name: &str, damage: impl FnOnce(&mut FarmState)) {
        let mut state = farm().state;
        assert_eq!(check_all(&state), Ok(()));
        damage(&mut state);
        let (_, check) = ALL.iter().find(|(known, _)| *known == name).unwrap();
        assert!(check(&state).is_err(), "{name} does not see the damage");
        assert!(check_all(&state).is_err());
    }

    #[test]
    fn rates_out_of_the_plan_are_seen() {
        let name = "rates_are_those_of_the_plan";
        breaks(name, |state| job(state).rate.rounds.push(RateRound::default()));
        let mut farm = FarmBuilder::new().worker("w", 1).job(with_targets(plan_of(3, 1, 0), false)).build();
        farm.place();
        let broken: [fn(&mut Job); 5] = [
            |job| job.rate.rounds[0].levels.truncate(1),
            |job| job.rate.rounds.clear(),
            |job| job.rate.probed.fresh = 4,
            |job| job.encode.fresh = 1,
            |job| {
                job.rate.probing = false;
                job.rate.probed.fresh = 1;
            },
        ];
        for damage in broken {
            let mut state = farm.state.clone();
            assert_eq!(rates_are_those_of_the_plan(&state), Ok(()));
            damage(job(&mut state));
            assert!(rates_are_those_of_the_plan(&state).is_err());
        }
    }

    #[test]
    fn a_lease_that_is_not_the_newest_grant_of_a_live_task_is_seen() {
        let name = "one_live_epoch_per_task";
        breaks(name, |state| state.leases.get_mut(&encode(1, 1)).unwrap().epoch.0 -= 1);
        breaks(name, |state| job(state).state = JobState::Queued);
        breaks(name, |state| {
            state.jobs.remove(&JobId(1));
        });
        breaks(name, |state| {
            let lease = state.leases[&encode(1, 1)].clone();
            state.leases.insert(task(1, Stage::Measure, 0), lease);
        });
    }

    #[test]
    fn a_part_in_two_places_or_in_none_is_seen() {
        let name = "every_part_in_one_place";
        breaks(name, |state| {
            job(state).encode.committed.clear();
        });
        breaks(name, |state| {
            job(state).encode.chunks.insert(99, PartRange::new(4, 5));
        });
        breaks(name, |state| job(state).encode.fresh = 3);
        breaks(name, |state| job(state).encode.fresh = 1);
        breaks(name, |state| job(state).encode.next_chunk = 2);
        breaks(name, |state| {
            let part = job(state).encode.committed[&PartIndex(0)];
            job(state).encode.committed.insert(PartIndex(11), part);
        });
        breaks(name, |state| job(state).plan = None);
    }

    #[test]
    fn a_committed_part_in_a_waiting_chunk_is_seen() {
        breaks("no_committed_part_is_queued", |state| {
            job(state).encode.chunks.insert(0, PartRange::new(0, 3));
        });
        breaks("no_committed_part_is_queued", |state| {
            let (record, worker, epoch) = (record_of(2), WorkerId(2), Epoch(1));
            let part = CommittedPart { record, worker, epoch, encoded: 0, reused: 0 };
            job(state).encode.committed.insert(PartIndex(2), part);
        });
    }

    #[test]
    fn a_worker_with_too_much_on_it_is_seen() {
        let name = "capacity_is_kept";
        breaks(name, |state| state.workers.values_mut().for_each(|worker| worker.facts.slots = 0));
        breaks(name, |state| state.workers.values_mut().for_each(|worker| worker.facts.memory = 0));
        breaks(name, |state| state.workers.clear());
    }

    #[test]
    fn an_epoch_of_the_future_is_seen() {
        let name = "epochs_ascend";
        breaks(name, |state| state.applied = 1);
        breaks(name, |state| job(state).tasks.get_mut(&(Stage::Encode, 0)).unwrap().last_epoch = Epoch(999));
        breaks(name, |state| job(state).attempts[0].epoch = Epoch(999));
    }

    #[test]
    fn a_done_job_that_lacks_something_is_seen() {
        let name = "done_jobs_are_whole";
        breaks(name, |state| job(state).state = JobState::Done);
        breaks(name, |state| {
            state.leases.clear();
            job(state).state = JobState::Done;
            job(state).ended_ms = Some(1);
        });
        breaks(name, |state| {
            state.leases.clear();
            job(state).state = JobState::Failed;
            job(state).ended_ms = Some(1);
        });
    }

    #[test]
    fn counts_that_do_not_add_up_are_seen() {
        let name = "counters_agree";
        breaks(name, |state| job(state).attempts_total = 1);
        breaks(name, |state| job(state).renditions_encoded = 0);
        breaks(name, |state| state.profiles.clear());
        breaks(name, |state| job(state).state = JobState::Queued);
        breaks(name, |state| {
            let attempt = job(state).attempts[0].clone();
            job(state).attempts_total = u64::MAX;
            job(state).attempts.extend(std::iter::repeat_n(attempt, Job::MAX_ATTEMPTS));
        });
    }

    #[test]
    fn an_index_that_lies_is_seen() {
        let name = "indexes_agree";
        breaks(name, |state| state.by_output.clear());
        breaks(name, |state| state.open.clear());
        breaks(name, |state| state.by_worker.clear());
        breaks(name, |state| {
            state.by_key.insert("nobody's".to_owned(), JobId(1));
        });
        breaks(name, |state| job(state).spec.idempotency_key = Some("k".to_owned()));
        breaks(name, |state| state.last_job = JobId(0));
        breaks(name, |state| state.last_worker = WorkerId(0));
    }

    #[test]
    fn a_task_has_one_live_epoch_after_any_number_of_grants() {
        let mut farm = farm();
        let worker = farm.worker("w");
        for attempt in 2..20 {
            farm.now_ms += 100_000;
            let epoch = farm.grant(encode(1, 2), worker);
            let lease = &farm.state.leases[&encode(1, 2)];
            assert_eq!((lease.epoch, lease.attempt), (epoch, AttemptNumber(attempt - 1)));
            farm.ok(Action::HandBack { task: encode(1, 2), epoch });
            farm.state.workers.get_mut(&worker).unwrap().draining = false;
        }
    }
}
