//! Commands that carry what attempts made: parts and results.

use reel_common::{Artifact, Epoch, Failure, FailureClass, JobId, Measured, PartIndex, Stage, TaskId};

use super::failures::end_without_result;
use super::{answer_ended, end_attempt, hooks, quarantine};
use crate::command::{Accepted, Refusal, Reply, TaskResult};
use crate::event::Event;
use crate::state::{CommittedPart, FarmState, Job, Outcome, PartRange};

/// A part that a worker says is in the store.
pub(super) struct Offer {
    pub(super) part: PartIndex,
    pub(super) record: Artifact,
    pub(super) encoded: u32,
    pub(super) reused: u32,
    pub(super) measured: Vec<Measured>,
}

pub(super) fn on_commit_part(state: &mut FarmState, task: TaskId, epoch: Epoch, offer: Offer) -> Reply {
    if task.stage == Stage::Probe {
        return on_probed_part(state, task, epoch, &offer);
    }
    let committed = state.jobs.get(&task.job).and_then(|job| job.encode.committed.get(&offer.part)).copied();
    let mine = committed.is_some_and(|part| part.epoch == epoch && part.record == offer.record);
    if mine {
        return Reply::Duplicate(Accepted::Done);
    }
    let Some(lease) = state.leases.get_mut(&task).filter(|lease| lease.epoch == epoch) else {
        return Reply::Superseded;
    };
    let Some(job) = state.jobs.get_mut(&task.job) else { return Reply::Superseded };
    if !lease.granted.is_some_and(|granted| granted.contains(offer.part)) {
        return Reply::Refused(Refusal::NotItsPart { task, part: offer.part });
    }
    let plan = job.plan.as_ref().filter(|plan| !plan.targets.is_empty());
    if plan.is_some_and(|plan| offer.measured.len() != plan.renditions as usize) {
        let message = "the worker committed a part without its sizes: give all hosts the same version";
        end_without_result(state, task, &Failure::new(FailureClass::Failed, message, ""));
        return Reply::Refused(Refusal::WrongResult(task));
    }
    if committed.is_some() {
        if !lease.repeated.contains(&offer.part) {
            lease.repeated.push(offer.part);
            job.parts_encoded_twice += u64::from(offer.encoded > 0);
        }
        return Reply::Duplicate(Accepted::Done);
    }
    let part = CommittedPart {
        record: offer.record,
        worker: lease.worker,
        epoch,
        encoded: offer.encoded,
        reused: offer.reused,
    };
    job.encode.committed.insert(offer.part, part);
    // What is made again after damage has been counted.
    if let Some(plan) = job.plan.as_ref().filter(|_| job.reopenings == 0) {
        job.rate.note_part(plan, offer.part.0, &offer.measured);
    }
    job.renditions_encoded += u64::from(offer.encoded);
    job.renditions_reused += u64::from(offer.reused);
    note_progress(job, task);
    leave_other_chunk(state, task, offer.part);
    quarantine::on_success(state, task, part.worker);
    end_preview(state, task.job);
    state.tell(Event::PartCommitted { task, epoch, part: offer.part });
    Reply::DONE
}

/// The part of a probe is in the store, where the encode will find it. Its size comes with the task's result.
fn on_probed_part(state: &mut FarmState, task: TaskId, epoch: Epoch, offer: &Offer) -> Reply {
    let Some(lease) = state.leases.get_mut(&task).filter(|lease| lease.epoch == epoch) else {
        return Reply::Superseded;
    };
    if offer.part.0 != task.index {
        return Reply::Refused(Refusal::NotItsPart { task, part: offer.part });
    }
    if lease.repeated.contains(&offer.part) {
        return Reply::Duplicate(Accepted::Done);
    }
    lease.repeated.push(offer.part);
    if let Some(job) = state.jobs.get_mut(&task.job) {
        job.renditions_encoded += u64::from(offer.encoded);
        job.renditions_reused += u64::from(offer.reused);
    }
    Reply::DONE
}

/// Progress shows that neither the task nor a shortage stops the work.
fn note_progress(job: &mut Job, task: TaskId) {
    job.backoffs.remove(&task.stage);
    if let Some(record) = job.tasks.get_mut(&(task.stage, task.index)) {
        record.losses = 0;
    }
}

/// A part that was cut off its chunk while its commit was on the way is taken out of the chunk that holds it now. An
/// attempt that has begun on it finds it in the store.
fn leave_other_chunk(state: &mut FarmState, task: TaskId, part: PartIndex) {
    let Some(job) = state.jobs.get_mut(&task.job) else { return };
    let Some(owner) = job.encode.owner(part).filter(|owner| *owner != task.index) else { return };
    let leased = state.leases.contains_key(&TaskId { index: owner, ..task });
    if !leased && !job.encode.settle_chunk(owner) {
        job.tasks.remove(&(Stage::Encode, owner));
    }
}

pub(super) fn on_commit_task(
    state: &mut FarmState,
    task: TaskId,
    epoch: Epoch,
    result: TaskResult,
    source_bytes_read: Option<u64>,
) -> Reply {
    if state.live(task, epoch).is_none() {
        return answer_ended(state, task, epoch, Outcome::Done);
    }
    let Some(job) = state.jobs.get_mut(&task.job) else { return Reply::Superseded };
    let granted = state.leases.get(&task).and_then(|lease| lease.granted);
    if !take_result(job, task, granted, result) {
        let message = "the worker ended the task without its whole result";
        end_without_result(state, task, &Failure::new(FailureClass::Failed, message, ""));
        return Reply::Refused(Refusal::WrongResult(task));
    }
    note_progress(job, task);
    if let Some(worker) = state.leases.get(&task).map(|lease| lease.worker) {
        quarantine::on_success(state, task, worker);
    }
    end_attempt(state, task, Outcome::Done, "", source_bytes_read);
    end_preview(state, task.job);
    if let Some(job) = state.jobs.get_mut(&task.job) {
        match task.stage {
            Stage::Hook => hooks::note_done(job, task.index),
            // The probe of the next round is another task in all but its number, and so is the preview of later parts.
            Stage::Probe | Stage::Preview => drop(job.tasks.remove(&(task.stage, task.index))),
            _ => {}
        }
    }
    hooks::close_if_complete(state, task.job);
    Reply::DONE
}

/// Ends a preview that is late: everything is encoded, and the whole title comes next.
fn end_preview(state: &mut FarmState, id: JobId) {
    if state.jobs.get(&id).is_some_and(Job::is_encoded) {
        end_attempt(state, TaskId { job: id, stage: Stage::Preview, index: 0 }, Outcome::Revoked, "", None);
    }
}

/// Puts the result where it belongs; false where it is of another stage or not whole.
fn take_result(job: &mut Job, task: TaskId, granted: Option<PartRange>, result: TaskResult) -> bool {
    match (task.stage, result) {
        (Stage::Index, TaskResult::Index(summary)) => job.index = Some(summary),
        (Stage::Probe, TaskResult::Measured(measured)) => {
            let Some(plan) = job.plan.as_ref().filter(|plan| measured.len() == plan.targets.len()) else {
                return false;
            };
            job.rate.note_probe(plan, task.index, &measured);
        }
        (Stage::Encode, TaskResult::Nothing) => {
            let left = job.chunk(task.index).and_then(|range| job.encode.first_uncommitted(range));
            return left.is_none();
        }
        (Stage::Audio, TaskResult::Object(record)) => {
            job.audio.insert(task.index, record);
        }
        (Stage::Image, TaskResult::Object(record)) => job.images = Some(record),
        (Stage::Preview, TaskResult::Nothing) => {
            job.previewed = granted.map_or(job.previewed, |shown| shown.end);
        }
        (Stage::Check, TaskResult::Object(check)) => job.check = Some(check),
        (Stage::Assemble, TaskResult::Object(assembly)) => job.assembly = Some(assembly),
        (Stage::Measure, TaskResult::Object(proof)) => job.proof = Some(proof),
        (Stage::Deliver, TaskResult::Object(report)) => job.report = Some(report),
        (Stage::Hook, TaskResult::Nothing) => {}
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use reel_common::{Price, WorkerFacts};

    use super::*;
    use crate::command::{Action, LossCause};
    use crate::plan::WAVES;
    use crate::rate::RateStep;
    use crate::state::JobState;
    use crate::testing::{
        Farm, FarmBuilder, commit_task, encode, facts, plan_of, record_of, task, with_preview, with_targets,
    };

    fn one_chunk_running() -> (Farm, TaskId, Epoch) {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(6, 3, 1)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        (farm, encode(1, 0), epoch)
    }

    #[test]
    fn a_committed_part_is_never_granted_again() {
        let (mut farm, chunk, epoch) = one_chunk_running();
        farm.commit_part(chunk, epoch, 0);
        farm.commit_part(chunk, epoch, 1);
        farm.apply(Action::ExpireLease { task: chunk, epoch });
        assert_eq!(farm.job(1).chunk(0).unwrap(), crate::state::PartRange::new(2, 3));
        farm.run_to_end();
        assert_eq!(farm.job(1).renditions_encoded, 12);
        assert_eq!(farm.job(1).parts_encoded_twice, 0);
    }

    #[test]
    fn a_resent_commit_gets_the_first_answer_even_after_the_attempt() {
        let (mut farm, chunk, epoch) = one_chunk_running();
        assert_eq!(farm.commit_part(chunk, epoch, 0), Reply::DONE);
        assert_eq!(farm.commit_part(chunk, epoch, 0), Reply::Duplicate(Accepted::Done));
        farm.finish(chunk, epoch);
        assert_eq!(farm.commit_part(chunk, epoch, 0), Reply::Duplicate(Accepted::Done));
        assert_eq!(
            farm.apply(commit_task(chunk, epoch, TaskResult::Nothing)),
            Reply::Duplicate(Accepted::Done)
        );
        assert_eq!(farm.job(1).renditions_encoded, 6);
    }

    #[test]
    fn a_dead_epoch_commits_nothing() {
        let (mut farm, chunk, epoch) = one_chunk_running();
        farm.apply(Action::ExpireLease { task: chunk, epoch });
        let before = farm.state.jobs.clone();
        assert_eq!(farm.commit_part(chunk, epoch, 0), Reply::Superseded);
        assert_eq!(farm.apply(commit_task(chunk, epoch, TaskResult::Nothing)), Reply::Superseded);
        let worker = farm.worker("w");
        let newer = farm.grant(chunk, worker);
        assert!(newer > epoch);
        assert_eq!(farm.commit_part(chunk, epoch, 0), Reply::Superseded);
        assert_eq!(farm.job(1).encode.committed, before[&reel_common::JobId(1)].encode.committed);
        assert_eq!(farm.commit_part(chunk, newer, 0), Reply::DONE);
    }

    #[test]
    fn a_part_of_another_chunk_is_refused() {
        let (mut farm, chunk, epoch) = one_chunk_running();
        let part = PartIndex(3);
        assert_eq!(
            farm.commit_part(chunk, epoch, 3),
            Reply::Refused(Refusal::NotItsPart { task: chunk, part })
        );
        assert_eq!(farm.job(1).parts_committed(), 0);
    }

    #[test]
    fn a_chunk_that_ends_without_all_its_parts_is_charged_and_tried_again() {
        let (mut farm, chunk, epoch) = one_chunk_running();
        farm.commit_part(chunk, epoch, 1);
        let reply = farm.apply(commit_task(chunk, epoch, TaskResult::Nothing));
        assert_eq!(reply, Reply::Refused(Refusal::WrongResult(chunk)));
        assert_eq!(farm.job(1).tasks[&(Stage::Encode, 0)].faults.len(), 1);
        assert_eq!(farm.job(1).encode.chunks.len(), 2, "the hole splits the chunk");
    }

    #[test]
    fn a_result_of_another_stage_is_refused_and_charged() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(2, 2, 1)).build();
        let audio = task(1, Stage::Audio, 0);
        let worker = farm.worker("w");
        let epoch = farm.grant(audio, worker);
        let reply = farm.apply(commit_task(audio, epoch, TaskResult::Nothing));
        assert_eq!(reply, Reply::Refused(Refusal::WrongResult(audio)));
        assert!(farm.job(1).audio.is_empty());
    }

    #[test]
    fn a_complete_stage_makes_its_dependants_ready_in_the_same_step() {
        let mut farm = FarmBuilder::new().worker("w", 4).job(plan_of(2, 1, 1)).build();
        let worker = farm.worker("w");
        let ready = |farm: &Farm| -> Vec<Stage> {
            Stage::ALL.into_iter().filter(|stage| farm.job(1).is_ready(*stage)).collect()
        };
        assert_eq!(ready(&farm), [Stage::Encode, Stage::Audio]);
        for (done, next) in [
            (encode(1, 0), vec![Stage::Encode, Stage::Audio]),
            (encode(1, 1), vec![Stage::Audio]),
            (task(1, Stage::Audio, 0), vec![Stage::Assemble]),
        ] {
            let epoch = farm.grant(done, worker);
            farm.finish(done, epoch);
            assert_eq!(ready(&farm), next);
        }
        for stage in [Stage::Assemble, Stage::Measure, Stage::Check, Stage::Deliver] {
            assert_eq!(ready(&farm), [stage]);
            let epoch = farm.grant(task(1, stage, 0), worker);
            farm.finish(task(1, stage, 0), epoch);
        }
        assert_eq!(ready(&farm), []);
        assert_eq!(farm.job(1).state, JobState::Done);
    }

    #[test]
    fn the_last_answer_of_a_job_can_be_asked_again() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(1, 1, 0)).build();
        farm.run_to_end();
        let deliver = farm.job(1).attempts.back().unwrap().clone();
        assert_eq!(deliver.stage, Stage::Deliver);
        let again = commit_task(task(1, Stage::Deliver, 0), deliver.epoch, TaskResult::Object(record_of(0)));
        assert_eq!(farm.apply(again), Reply::Duplicate(Accepted::Done));
    }

    #[test]
    fn what_attempts_read_adds_up_and_a_resent_commit_counts_once() {
        let (mut farm, chunk, epoch) = one_chunk_running();
        farm.finish(chunk, epoch);
        farm.apply(commit_task(chunk, epoch, TaskResult::Nothing));
        let read: Vec<_> = farm.job(1).attempts.iter().map(|attempt| attempt.source_bytes_read).collect();
        assert_eq!(read, [Some(1_000), Some(1_000)], "index and encode");
        assert_eq!(farm.job(1).source_bytes_read, 2_000);
    }

    #[test]
    fn what_attempts_cost_adds_up_by_the_slots_of_priced_workers() {
        let mut farm = FarmBuilder::new().job(plan_of(1, 1, 0)).build();
        let price = Price { micros: 3_600_000 };
        let id = farm.register_facts(WorkerFacts { price, ..facts("w", 1, 2, FarmBuilder::PLENTY) });
        let chunk = encode(1, 0);
        let epoch = farm.grant(chunk, id);
        farm.now_ms += 10_000;
        farm.apply(Action::LoseWorker { worker: id, cause: LossCause::Silent });
        assert!(farm.state.live(chunk, epoch).is_none());
        assert_eq!(farm.job(1).cost_micros, 5_000, "ten seconds of one of two slots, whatever came of them");
        let history = crate::view::job_history(JobId(1), farm.job(1));
        let costs: Vec<_> = history.attempts.iter().map(|attempt| attempt.cost_micros).collect();
        assert_eq!((history.cost_micros, costs.last()), (5_000, Some(&5_000)));
    }

    /// A job of 68 parts in chunks of 5 with bit rates, whose drafts are done.
    fn drafted() -> Farm {
        let plan = with_targets(plan_of(4, 5, 0), true);
        let mut farm = FarmBuilder::new().worker("w", 8).job(plan).build();
        while farm.job(1).rate.waves.is_empty() {
            farm.place();
            for (task, epoch) in farm.running().into_iter().filter(|(task, _)| task.stage == Stage::Probe) {
                farm.finish(task, epoch);
            }
        }
        farm
    }

    #[test]
    fn a_job_with_bit_rates_is_probed_and_encoded_wave_by_wave() {
        let mut farm = drafted();
        assert_eq!(farm.job(1).rate.rounds.len(), 2, "the first draft was far from the size");
        assert_eq!(farm.job(1).rate.rounds[0].levels[1].total(), 68_000);
        for wave in 1..=WAVES {
            let plan = farm.job(1).plan.clone().unwrap();
            assert_eq!(farm.job(1).rate.waves.len(), wave);
            while farm.job(1).parts_committed() < plan.parts_of_waves(wave) {
                assert!(
                    farm.job(1).encode.fresh <= plan.chunks_of_waves(wave),
                    "a chunk of a later wave runs"
                );
                let (task, epoch) = farm.running()[0];
                farm.finish(task, epoch);
                farm.place();
            }
        }
        assert!(farm.job(1).is_encoded());
        farm.run_to_end();
        let job = farm.job(1);
        assert_eq!((job.state, job.parts_encoded_twice, job.renditions_encoded), (JobState::Done, 0, 136));
        assert!(job.tasks.keys().all(|(stage, _)| *stage != Stage::Probe), "{:?}", job.tasks);
    }

    #[test]
    fn a_probe_counts_once_and_its_part_is_not_committed_by_it() {
        let plan = with_targets(plan_of(3, 1, 0), false);
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan).build();
        farm.place();
        let (probe, epoch) = farm.running()[0];
        assert_eq!(farm.commit_part(probe, epoch, 0), Reply::DONE);
        assert_eq!(farm.commit_part(probe, epoch, 0), Reply::Duplicate(Accepted::Done));
        let part = PartIndex(1);
        assert_eq!(
            farm.commit_part(probe, epoch, 1),
            Reply::Refused(Refusal::NotItsPart { task: probe, part })
        );
        assert_eq!((farm.job(1).parts_committed(), farm.job(1).renditions_encoded), (0, 2));
        let sizes = |bytes: &[u64]| {
            commit_task(
                probe,
                epoch,
                TaskResult::Measured(bytes.iter().copied().map(Measured::sized).collect()),
            )
        };
        assert_eq!(farm.apply(sizes(&[10, 20])), Reply::DONE);
        assert_eq!(farm.apply(sizes(&[10, 20])), Reply::Duplicate(Accepted::Done));
        assert_eq!(farm.commit_part(probe, epoch, 0), Reply::Superseded);
        assert_eq!(farm.job(1).rate.rounds[0].levels[1].total(), 20);
        farm.place();
        let (probe, epoch) = farm.running()[0];
        let reply = farm.apply(commit_task(probe, epoch, TaskResult::Measured(vec![Measured::sized(1)])));
        assert_eq!(reply, Reply::Refused(Refusal::WrongResult(probe)));
        assert_eq!(farm.job(1).rate.rounds[0].levels[1].total(), 20);
    }

    #[test]
    fn a_part_without_its_sizes_is_charged_and_tried_again() {
        let mut farm = drafted();
        let (task, epoch) = farm.running()[0];
        let part = farm.job(1).chunk(task.index).unwrap().parts().next().unwrap();
        let record = record_of(part.0);
        let short = Action::CommitPart {
            task,
            epoch,
            part,
            record,
            encoded: 1,
            reused: 0,
            measured: vec![Measured::sized(9)],
        };
        assert_eq!(farm.apply(short), Reply::Refused(Refusal::WrongResult(task)));
        assert_eq!(farm.job(1).tasks[&(Stage::Encode, task.index)].faults.len(), 1);
        assert_eq!((farm.job(1).parts_committed(), farm.state.live(task, epoch)), (0, None));
    }

    #[test]
    fn a_step_to_the_bit_rates_that_nobody_waits_for_is_refused() {
        let mut farm = drafted();
        let refused = Reply::Refused(Refusal::BadRate(JobId(1)));
        let step = |probe, levels: usize| RateStep { probe, crf_milli: vec![20_000; levels] };
        let commit = |after, step| Action::CommitRate { job: JobId(1), after, step };
        assert_eq!(farm.apply(commit(3, step(false, 2))), refused, "the wave is not over");
        while farm.job(1).rate.waves.len() == 1 && !farm.job(1).wants_rate() {
            let (task, epoch) = farm.running()[0];
            farm.finish(task, epoch);
            for action in farm.proposals() {
                farm.ok(action);
            }
        }
        assert_eq!(farm.apply(commit(3, step(true, 2))), refused, "the encode has begun");
        let mut farm = FarmBuilder::new().job(with_targets(plan_of(3, 1, 0), false)).build();
        assert_eq!(farm.apply(commit(1, step(true, 2))), refused);
        assert_eq!(farm.apply(commit(0, step(true, 1))), refused);
        assert_eq!(farm.apply(commit(0, step(true, 2))), Reply::DONE);
        assert_eq!(farm.apply(commit(0, step(true, 2))), refused, "the same again");
        let mut farm = FarmBuilder::new().job(plan_of(3, 1, 0)).build();
        assert_eq!(farm.apply(commit(0, step(true, 0))), refused, "no rendition has a bit rate");
    }

    /// A title of 6 parts in chunks of 2, with sound, that is shown while it is encoded.
    fn shown_early(slots: u32) -> (Farm, TaskId) {
        let plan = with_preview(plan_of(6, 2, 1));
        let farm = FarmBuilder::new().worker("w", slots).job(plan).build();
        (farm, task(1, Stage::Preview, 0))
    }

    #[test]
    fn a_preview_shows_what_is_committed_from_the_first_part_on() {
        let (mut farm, preview) = shown_early(3);
        let shown = |farm: &Farm| farm.state.leases.get(&preview).map(|lease| lease.granted.unwrap());
        let finish = |farm: &mut Farm, stage, index| {
            let done = task(1, stage, index);
            farm.finish(done, farm.state.leases[&done].epoch);
            farm.place();
        };
        farm.place();
        farm.commit_part(encode(1, 0), farm.state.leases[&encode(1, 0)].epoch, 0);
        farm.place();
        assert_eq!(shown(&farm), None, "there is no sound yet");
        finish(&mut farm, Stage::Audio, 0);
        assert_eq!(shown(&farm), Some(PartRange::new(0, 1)));
        finish(&mut farm, Stage::Encode, 0);
        finish(&mut farm, Stage::Preview, 0);
        assert_eq!((farm.job(1).previewed, farm.job(1).tasks.contains_key(&(Stage::Preview, 0))), (1, true));
        assert_eq!(shown(&farm), Some(PartRange::new(1, 2)), "the third part is not there");
        // What would be shown late is shown as a whole.
        while !farm.job(1).is_encoded() {
            match farm.running().into_iter().find(|(task, _)| task.stage == Stage::Encode) {
                Some((task, epoch)) => farm.finish(task, epoch),
                None => farm.place(),
            }
        }
        assert_eq!(shown(&farm), None);
        let late = farm.job(1).attempts.iter().rev().find(|attempt| attempt.stage == Stage::Preview);
        assert_eq!(late.unwrap().outcome, Outcome::Revoked);
        farm.run_to_end();
        assert_eq!((farm.job(1).state, farm.job(1).previewed), (JobState::Done, 1));
    }

    #[test]
    fn a_preview_goes_before_further_chunks_and_never_runs_on_workers_that_do_not_know_it() {
        let (mut farm, preview) = shown_early(1);
        for _ in 0..2 {
            farm.place();
            let (task, epoch) = farm.running()[0];
            assert_ne!(task, preview);
            farm.finish(task, epoch);
        }
        farm.place();
        assert_eq!(farm.running()[0].0, preview, "sound and one chunk are done");
        let old = reel_common::WorkerFacts {
            codecs: Default::default(),
            ..facts("old", 1, 1, FarmBuilder::PLENTY)
        };
        let old = farm.register_facts(old);
        let epoch = farm.running()[0].1;
        farm.fail(preview, epoch, FailureClass::Failed, "no such folder");
        let refused = farm.grant_of(preview, old);
        farm.now_ms += 1 << 40;
        assert_eq!(farm.apply(refused), Reply::Refused(Refusal::Unfit(old)));
    }

    #[test]
    fn a_message_about_a_job_that_nobody_knows_is_superseded() {
        let mut farm = FarmBuilder::new().build();
        assert_eq!(farm.commit_part(encode(9, 0), Epoch(3), 0), Reply::Superseded);
        assert_eq!(farm.apply(commit_task(encode(9, 0), Epoch(3), TaskResult::Nothing)), Reply::Superseded);
    }
}
