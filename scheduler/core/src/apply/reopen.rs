//! Parts, tracks and still pictures whose stored bytes are not what was committed: they are made again, and only they.

use std::collections::BTreeSet;

use reel_common::{Failure, FailureClass, JobId, PartIndex, Stage, TaskId};

use super::end_attempt;
use super::failures::fail_job;
use crate::policy::MAX_REOPENINGS;
use crate::state::{FarmState, Job, Outcome, PartRange};

/// Committed parts and tracks that are damaged, and whether the still pictures are.
pub(super) struct Damage {
    parts: BTreeSet<PartIndex>,
    tracks: BTreeSet<u32>,
    images: bool,
}

/// What of a failure is damage to what is committed; only these stages read them.
pub(super) fn damage(state: &FarmState, task: TaskId, failure: &Failure) -> Option<Damage> {
    // Where OUTPUT is no folder, later stages make the tree of the same parts again.
    let of_tree = matches!(task.stage, Stage::Assemble | Stage::Measure | Stage::Check | Stage::Deliver);
    let job = state.jobs.get(&task.job).filter(|_| of_tree || task.stage == Stage::Preview)?;
    let parts = failure.damaged_parts.iter().filter(|part| job.encode.committed.contains_key(part));
    let tracks = failure.damaged_tracks.iter().filter(|track| job.audio.contains_key(track));
    let damage = Damage {
        parts: parts.copied().collect(),
        tracks: tracks.copied().collect(),
        images: failure.damaged_images && job.images.is_some(),
    };
    (!damage.parts.is_empty() || !damage.tracks.is_empty() || damage.images).then_some(damage)
}

/// Ends the attempt that found the damage, and takes back what is damaged; nothing is charged. A store that damages
/// parts again and again fails the job.
pub(super) fn on_damage(state: &mut FarmState, task: TaskId, damage: Damage, failure: &Failure) {
    let Some(lease) = end_attempt(state, task, Outcome::Failed(failure.class), &failure.message, None) else {
        return;
    };
    let Some(job) = state.jobs.get_mut(&task.job) else { return };
    if job.reopenings >= MAX_REOPENINGS {
        let host = job.worker_name(lease.worker);
        let message = format!(
            "parts were made again {MAX_REOPENINGS} times and are damaged once more: check the disk of the store; {}",
            failure.message
        );
        fail_job(state, task, host, Failure::new(FailureClass::Failed, &message, &failure.evidence));
        return;
    }
    job.reopenings += 1;
    job.assembly = None;
    job.proof = None;
    job.check = None;
    // What is shown from there on is shown again, with what takes its place.
    job.previewed = damage.parts.first().map_or(job.previewed, |first| job.previewed.min(first.0));
    job.encode.committed.retain(|part, _| !damage.parts.contains(part));
    job.audio.retain(|track, _| !damage.tracks.contains(track));
    job.images = job.images.filter(|_| !damage.images);
    revoke_holders(state, task.job, &damage.parts);
    if let Some(job) = state.jobs.get_mut(&task.job) {
        queue_again(job, &damage.parts);
    }
}

/// Attempts that have committed all their parts, but not yet said that they are done, take these for committed. A preview
/// takes all that it shows for committed.
fn revoke_holders(state: &mut FarmState, id: JobId, parts: &BTreeSet<PartIndex>) {
    let holders: Vec<TaskId> = state
        .leases_of_job(id)
        .filter(|(task, lease)| {
            let range = state.jobs.get(&id).and_then(|job| job.chunk(task.index)).or(lease.granted);
            let held = range.filter(|_| task.stage == Stage::Encode);
            let damaged = held.is_some_and(|range| parts.iter().any(|part| range.contains(*part)));
            damaged || task.stage == Stage::Preview
        })
        .map(|(task, _)| task)
        .collect();
    for task in holders {
        end_attempt(state, task, Outcome::Revoked, "", None);
    }
}

/// Makes chunks of the parts that are in none.
fn queue_again(job: &mut Job, parts: &BTreeSet<PartIndex>) {
    let chunk_parts = job.plan.as_ref().map_or(1, |plan| plan.chunk_parts);
    let mut run: Option<PartRange> = None;
    for part in parts {
        if job.encode.owner(*part).is_some() {
            continue;
        }
        run = match run {
            Some(range) if range.end == part.0 && range.len() < chunk_parts => {
                Some(PartRange::new(range.start, part.0 + 1))
            }
            full => {
                full.map(|range| job.encode.add_chunk(range));
                Some(PartRange::new(part.0, part.0 + 1))
            }
        };
    }
    run.map(|range| job.encode.add_chunk(range));
}

#[cfg(test)]
mod tests {
    use reel_common::{Epoch, WorkerFacts};

    use super::*;
    use crate::command::{Action, Reply, TaskResult};
    use crate::state::JobState;
    use crate::testing::{
        Farm, FarmBuilder, commit_task, encode, facts, plan_of, task, with_images, with_preview,
    };

    /// A job of 8 parts and 2 tracks, of which all is committed and `stage` runs.
    fn up_to(stage: Stage) -> (Farm, Epoch) {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(8, 2, 2)).build();
        loop {
            farm.place();
            let (task, epoch) = farm.running()[0];
            if task.stage == stage {
                return (farm, epoch);
            }
            farm.finish(task, epoch);
        }
    }

    fn report(farm: &mut Farm, stage: Stage, epoch: Epoch, parts: &[u32], tracks: &[u32]) -> Reply {
        let failure = Failure {
            damaged_parts: parts.iter().copied().map(PartIndex).collect(),
            damaged_tracks: tracks.to_vec(),
            ..Failure::new(FailureClass::Failed, "stored bytes are not what was committed", "")
        };
        farm.apply(Action::FailAttempt { task: task(1, stage, 0), epoch, failure })
    }

    #[test]
    fn exactly_the_damaged_parts_and_tracks_are_made_again() {
        for stage in [Stage::Assemble, Stage::Measure] {
            let (mut farm, epoch) = up_to(stage);
            assert_eq!(report(&mut farm, stage, epoch, &[1, 2, 3, 6, 99], &[1, 7]), Reply::DONE);
            let job = farm.job(1);
            assert_eq!(job.parts_committed(), 4);
            assert_eq!(job.audio.keys().copied().collect::<Vec<_>>(), [0]);
            assert_eq!((job.assembly, job.proof), (None, None));
            let chunks: Vec<_> = job.encode.chunks.values().map(|range| (range.start, range.end)).collect();
            assert_eq!(chunks, [(1, 3), (3, 4), (6, 7)], "no longer than the plan's chunks");
            farm.run_to_end();
            let job = farm.job(1);
            assert_eq!((job.state, job.renditions_encoded, job.parts_encoded_twice), (JobState::Done, 24, 0));
        }
    }

    #[test]
    fn a_preview_goes_on_at_the_first_part_that_was_damaged() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(with_preview(plan_of(8, 1, 0))).build();
        let preview = task(1, Stage::Preview, 0);
        while farm.job(1).previewed < 3 {
            farm.place();
            let (task, epoch) = farm.running()[0];
            farm.finish(task, epoch);
        }
        farm.place();
        while !farm.state.leases.contains_key(&preview) {
            let (task, epoch) = farm.running()[0];
            farm.finish(task, epoch);
            farm.place();
        }
        let epoch = farm.state.leases[&preview].epoch;
        report(&mut farm, Stage::Preview, epoch, &[1], &[]);
        assert_eq!((farm.job(1).previewed, farm.job(1).is_ready(Stage::Preview)), (1, false));
        farm.run_to_end();
        assert_eq!((farm.job(1).state, farm.job(1).parts_encoded_twice), (JobState::Done, 0));
    }

    #[test]
    fn damaged_stills_are_made_again_and_nothing_else_is() {
        let mut farm = FarmBuilder::new().job(with_images(plan_of(2, 2, 1))).build();
        let codecs = [Stage::IMAGE_CODEC, Stage::CHECK_CODEC].map(str::to_owned).into();
        farm.register_facts(WorkerFacts { codecs, ..facts("w", 1, 1, FarmBuilder::PLENTY) });
        let epoch = loop {
            farm.place();
            let (task, epoch) = farm.running()[0];
            if task.stage == Stage::Measure {
                break epoch;
            }
            farm.finish(task, epoch);
        };
        let failure = Failure { damaged_images: true, ..Failure::new(FailureClass::Failed, "cut off", "") };
        farm.apply(Action::FailAttempt { task: task(1, Stage::Measure, 0), epoch, failure });
        let job = farm.job(1);
        assert_eq!((job.images, job.assembly, job.parts_committed()), (None, None, 2));
        farm.place();
        assert_eq!(farm.running()[0].0, task(1, Stage::Image, 0));
        farm.run_to_end();
        assert_eq!(farm.job(1).state, JobState::Done);
    }

    #[test]
    fn nothing_is_charged_for_damage_and_it_needs_no_wait() {
        let (mut farm, epoch) = up_to(Stage::Assemble);
        report(&mut farm, Stage::Assemble, epoch, &[0], &[]);
        assert_eq!(farm.job(1).tasks[&(Stage::Assemble, 0)].faults, []);
        assert_eq!(crate::view::next_backoff_deadline(&farm.state, farm.now_ms), None);
    }

    #[test]
    fn damage_without_end_fails_the_job() {
        let (mut farm, mut epoch) = up_to(Stage::Assemble);
        for round in 0..=MAX_REOPENINGS {
            assert_eq!(farm.job(1).state, JobState::Running, "round {round}");
            report(&mut farm, Stage::Assemble, epoch, &[4], &[]);
            farm.place();
            if let Some((chunk, chunk_epoch)) = farm.running().first().copied() {
                farm.finish(chunk, chunk_epoch);
                farm.place();
                epoch = farm.running()[0].1;
            }
        }
        assert_eq!(farm.job(1).state, JobState::Failed);
        assert!(farm.job(1).failure.as_ref().unwrap().failure.message.contains("check the disk"));
    }

    #[test]
    fn damage_of_nothing_that_is_committed_is_a_failure_like_any_other() {
        let (mut farm, epoch) = up_to(Stage::Assemble);
        report(&mut farm, Stage::Assemble, epoch, &[99], &[9]);
        assert_eq!(farm.job(1).tasks[&(Stage::Assemble, 0)].faults.len(), 1);
        assert_eq!(farm.job(1).parts_committed(), 8);
    }

    #[test]
    fn an_attempt_that_had_committed_a_damaged_part_is_revoked() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(2, 2, 0)).build();
        let worker = farm.worker("w");
        let chunk = farm.grant(encode(1, 0), worker);
        for part in [0, 1] {
            farm.commit_part(encode(1, 0), chunk, part);
        }
        let epoch = farm.grant(task(1, Stage::Assemble, 0), worker);
        report(&mut farm, Stage::Assemble, epoch, &[1], &[]);
        let late = farm.apply(commit_task(encode(1, 0), chunk, TaskResult::Nothing));
        assert_eq!(late, Reply::Superseded);
        assert_eq!(farm.job(1).chunk(0), crate::testing::parts(1, 2));
        farm.run_to_end();
        assert_eq!(farm.job(1).state, JobState::Done);
    }
}
