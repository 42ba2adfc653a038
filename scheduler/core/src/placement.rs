//! Which waiting task goes to which worker, and which running chunk is cut for an idle slot.
//!
//! Pure and integer: the same state, progress and time always give the same proposals; once they are applied, there is
//! nothing more to propose until something changes, but for the grants of what was cut. Whoever is to run a task has
//! a free slot, the memory and scratch space for it, and the labels and codecs that it needs. Slots are shared between
//! projects by guarantee and weight; jobs of a project are served by priority, then by deadline, then in the order of
//! their acceptance; within a job later stages go first and whole audio tracks before encoding, which cannot be spread
//! over slots as parts can.

mod shares;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use reel_common::{Epoch, JobId, PartIndex, Pool, Stage, TaskId, WorkerFacts, WorkerId};

use self::shares::Queues;
pub(crate) use self::shares::turn;
use crate::command::{Action, Command, Reserved};
use crate::policy::SPOT_PREEMPTIONS;
use crate::state::{FarmState, Job, PartRange, Room, TaskRecord};

/// The part that each encode attempt was last seen at; leader-local, from heartbeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    in_hand: BTreeMap<TaskId, (Epoch, PartIndex)>,
}

impl Progress {
    /// Notes that an attempt was seen at `part`.
    pub fn note(&mut self, task: TaskId, epoch: Epoch, part: PartIndex) {
        self.in_hand.insert(task, (epoch, part));
    }

    /// Forgets attempts that are not live.
    pub fn retain_live(&mut self, state: &FarmState) {
        self.in_hand.retain(|task, (epoch, _)| state.live(*task, *epoch).is_some());
    }

    fn part(&self, task: TaskId, epoch: Epoch) -> Option<PartIndex> {
        self.in_hand.get(&task).filter(|(seen, _)| *seen == epoch).map(|(_, part)| *part)
    }
}

/// What the leader is to propose now: grants of waiting tasks, then cuts for slots that would stay idle.
///
/// Each free slot goes to one project after the other: first to those below their guarantee, then to the one that has
/// least for its weight, never to one that has its burst. Within a project, jobs go by priority and age, and the end of a
/// job before its beginning.
pub fn place(state: &FarmState, progress: &Progress, now_ms: u64) -> Vec<Command> {
    let now_ms = now_ms.max(state.clock_ms);
    let mut fleet = Fleet::of(state);
    if fleet.idle == 0 {
        return Vec::new();
    }
    let mut queues = Queues::of(state, now_ms);
    let mut actions = Vec::new();
    while fleet.idle > 0 {
        let Some(action) = queues.grant(&mut fleet) else { break };
        actions.push(action);
    }
    if fleet.idle > 0 {
        cut_stragglers(state, progress, &mut fleet, &queues.jobs(), now_ms, &mut actions);
    }
    actions.into_iter().map(|action| Command::at(now_ms, action)).collect()
}

/// What the leader is to propose so that slots come free when the part in hand is done: cuts of chunks on workers that are
/// to be drained and, where no slot is free, of chunks whose slots others are entitled to. It looks at every open job, so it is asked now and then, not after every change.
pub fn make_room(state: &FarmState, progress: &Progress, now_ms: u64) -> Vec<Command> {
    let now_ms = now_ms.max(state.clock_ms);
    if state.leases.is_empty() {
        return Vec::new();
    }
    let mut actions = shares::drains(state, progress);
    if actions.is_empty() && Fleet::of(state).idle == 0 {
        actions = shares::yields(state, progress, Queues::of(state, now_ms));
    }
    actions.into_iter().map(|action| Command::at(now_ms, action)).collect()
}

/// The registered workers that take work, with what they have left.
struct Fleet<'a> {
    workers: Vec<(WorkerId, &'a WorkerFacts, Room)>,
    /// Free slots of all of them.
    idle: u64,
    /// All that take work, those without a free slot too.
    able: Vec<&'a WorkerFacts>,
}

/// What is to be placed: any task of one stage of a job.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    job: &'a Job,
    stage: Stage,
    reserved: Reserved,
}

impl<'a> Fleet<'a> {
    fn of(state: &'a FarmState) -> Self {
        let able = state.workers.iter().filter(|(_, worker)| state.takes_work(worker));
        // Most of a busy fleet is full, which the number of its leases tells at once; both maps are in the same order.
        let mut held = state.by_worker.iter().peekable();
        let mut leases = |id: &WorkerId| {
            while held.next_if(|(holder, _)| *holder < id).is_some() {}
            held.peek().filter(|(holder, _)| *holder == id).map_or(0, |(_, tasks)| tasks.len() as u64)
        };
        let (mut workers, mut all) = (Vec::new(), Vec::new());
        for (id, worker) in able {
            all.push(&worker.facts);
            if leases(id) < u64::from(worker.facts.slots) {
                workers.push((*id, &worker.facts, state.room_of(*id)));
            }
        }
        workers.retain(|(_, _, room)| room.slots > 0);
        let idle = workers.iter().map(|(_, _, room)| u64::from(room.slots)).sum();
        Fleet { workers, idle, able: all }
    }

    /// What to ask for a stage of a job: all of the largest worker that suits it where that is less, so that a task which
    /// is estimated too large for the farm is tried alone instead of waiting for ever. `None` where nobody suits.
    fn wanted<'j>(&self, job: &'j Job, stage: Stage) -> Option<Wanted<'j>> {
        let able = self.able.iter().filter(|facts| job.suits(stage, facts));
        let largest = able.max_by_key(|facts| (facts.memory, facts.scratch))?;
        let Reserved { memory, scratch } = job.demand_of(stage);
        let reserved = Reserved { memory: memory.min(largest.memory), scratch: scratch.min(largest.scratch) };
        Some(Wanted { job, stage, reserved })
    }

    /// Takes a slot with what is wanted. A host where the task has not failed goes first; then, for what is cheap to do
    /// again, one that may be taken away, and for what was preempted often or is made as a whole one that stays; then
    /// the emptiest.
    fn take(&mut self, wanted: Wanted<'_>, record: Option<&TaskRecord>) -> Option<WorkerId> {
        let Wanted { job, stage, reserved } = wanted;
        let faults = record.map_or(&[][..], |record| &record.faults);
        let often = record.is_some_and(|record| record.preemptions >= SPOT_PREEMPTIONS);
        let by_part = matches!(stage, Stage::Encode | Stage::Probe);
        let preferred = if often || !by_part { Pool::OnDemand } else { Pool::Spot };
        let fits = |(_, facts, room): &&mut (WorkerId, &WorkerFacts, Room)| {
            room.has(reserved) && job.suits(stage, facts)
        };
        let (id, _, room) = self.workers.iter_mut().filter(fits).min_by_key(|(id, facts, room)| {
            let failed_here = faults.iter().any(|fault| fault.host == facts.name);
            (failed_here, facts.pool != preferred, Reverse(room.slots), Reverse(room.memory), *id)
        })?;
        room.take(reserved);
        self.idle -= 1;
        Some(*id)
    }
}

/// What a task of a stage is given of a worker; `None` where none suits it.
pub(crate) fn demand(state: &FarmState, job: &Job, stage: Stage) -> Option<Reserved> {
    Some(Fleet::of(state).wanted(job, stage)?.reserved)
}

/// A running chunk with whole parts that nobody has begun.
struct Straggler {
    task: TaskId,
    epoch: Epoch,
    unstarted: Vec<PartIndex>,
}

/// Gives slots that are still idle the tail half of what running chunks have not begun, the longest first. What is cut
/// waits like any chunk, and goes to the idle slot in the next round.
fn cut_stragglers(
    state: &FarmState,
    progress: &Progress,
    fleet: &mut Fleet<'_>,
    jobs: &[(JobId, &Job)],
    now_ms: u64,
    actions: &mut Vec<Action>,
) {
    for (id, job) in jobs {
        if fleet.idle == 0 {
            return;
        }
        if job.stage_not_before_ms(Stage::Encode) > now_ms {
            continue;
        }
        let Some(wanted) = fleet.wanted(job, Stage::Encode) else { continue };
        let mut stragglers: Vec<_> = state
            .leases_of_job(*id)
            .filter(|(task, _)| task.stage == Stage::Encode)
            .filter_map(|(task, lease)| straggler(job, progress, task, lease.epoch))
            .collect();
        stragglers.sort_by_key(|straggler| (Reverse(straggler.unstarted.len()), straggler.task));
        for Straggler { task, epoch, unstarted } in stragglers {
            if fleet.take(wanted, None).is_none() {
                break;
            }
            let at_part = unstarted[unstarted.len() / 2];
            actions.push(Action::CutChunk { task, epoch, at_part });
        }
    }
}

fn straggler(job: &Job, progress: &Progress, task: TaskId, epoch: Epoch) -> Option<Straggler> {
    let range = job.chunk(task.index)?;
    let first = job.encode.first_uncommitted(range)?;
    let in_hand = progress.part(task, epoch).map_or(first, |seen| seen.max(first));
    let rest = PartRange::new(in_hand.0.saturating_add(1), range.end);
    let unstarted: Vec<_> = job.encode.uncommitted(rest).into_iter().flat_map(PartRange::parts).collect();
    (!unstarted.is_empty()).then_some(Straggler { task, epoch, unstarted })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use reel_common::Labels;

    use super::*;
    use crate::command::{Refusal, Reply};
    use crate::plan::Plan;
    use crate::testing::{Farm, FarmBuilder, encode, facts, parts, plan_of, task, with_images};

    fn granted(farm: &Farm) -> Vec<String> {
        farm.proposals()
            .iter()
            .filter_map(|action| match action {
                Action::Grant { task, .. } => Some(task.to_string()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn jobs_are_served_by_priority_and_then_in_order() {
        let farm = FarmBuilder::new()
            .worker("w", 5)
            .job(plan_of(2, 1, 0))
            .job_with_priority(plan_of(2, 1, 0), 7)
            .job(plan_of(2, 1, 0))
            .build();
        assert_eq!(granted(&farm), ["2/encode/0", "2/encode/1", "1/encode/0", "1/encode/1", "3/encode/0"]);
    }

    #[test]
    fn audio_and_encode_run_side_by_side() {
        let farm = FarmBuilder::new().worker("w", 3).job(plan_of(8, 2, 1)).build();
        assert_eq!(granted(&farm), ["1/audio/0", "1/encode/0", "1/encode/1"]);
    }

    #[test]
    fn the_end_of_a_job_goes_before_the_middle_of_the_next() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(1, 1, 0)).job(plan_of(9, 1, 0)).build();
        for wanted in ["1/encode/0", "1/assemble/0", "1/measure/0", "1/check/0", "1/deliver/0", "2/encode/0"]
        {
            assert_eq!(granted(&farm), [wanted]);
            farm.place();
            let (task, epoch) = farm.running()[0];
            farm.finish(task, epoch);
        }
    }

    #[test]
    fn memory_is_never_promised_twice() {
        let mut farm = FarmBuilder::new().worker_with_memory("w", 4, 250).job(plan_of(8, 1, 0)).build();
        farm.place();
        assert_eq!(farm.running().len(), 2, "each asks for 100 of 250 bytes");
    }

    #[test]
    fn a_task_too_large_for_every_worker_runs_alone_on_the_largest() {
        let mut farm = FarmBuilder::new()
            .worker_with_memory("small", 2, 20)
            .worker_with_memory("large", 2, 60)
            .job(plan_of(2, 1, 0))
            .build();
        let (worker, reserved) = (farm.worker("large"), Reserved { memory: 60, scratch: 100 });
        let alone = Action::Grant { task: encode(1, 0), worker, parts: parts(0, 1), reserved };
        assert_eq!(farm.proposals(), [alone]);
        farm.place();
        assert_eq!(farm.running().len(), 1);
    }

    fn worker_of(farm: &Farm, task: TaskId) -> &str {
        &farm.state.workers[&farm.state.leases[&task].worker].facts.name
    }

    #[test]
    fn chunks_go_to_spot_workers_first_and_after_three_preemptions_to_those_that_stay() {
        let mut farm = FarmBuilder::new().worker("stays", 1).job(plan_of(2, 2, 1)).build();
        for incarnation in 1..=4 {
            let spot = WorkerFacts { pool: Pool::Spot, ..facts("spot", incarnation, 2, FarmBuilder::PLENTY) };
            farm.register_facts(spot);
            farm.place();
            assert_eq!(worker_of(&farm, task(1, Stage::Audio, 0)), "stays", "a whole track");
            if incarnation <= 3 {
                assert_eq!(worker_of(&farm, encode(1, 0)), "spot", "after {} preemptions", incarnation - 1);
                let epoch = farm.state.leases[&encode(1, 0)].epoch;
                farm.ok(Action::HandBack { task: encode(1, 0), epoch });
            }
        }
        assert_eq!(worker_of(&farm, encode(1, 0)), "spot", "better there than not at all");
        let epoch = farm.state.leases[&encode(1, 0)].epoch;
        farm.ok(Action::ExpireLease { task: encode(1, 0), epoch });
        let epoch = farm.state.leases[&task(1, Stage::Audio, 0)].epoch;
        farm.finish(task(1, Stage::Audio, 0), epoch);
        farm.place();
        assert_eq!(worker_of(&farm, encode(1, 0)), "stays");
    }

    fn label(text: &str) -> Labels {
        let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        Labels::new(pair).unwrap()
    }

    #[test]
    fn larger_workers_that_do_not_suit_keep_no_task_from_running() {
        let mut farm = FarmBuilder::new().job(plan_of(2, 1, 0)).build();
        farm.state.jobs.get_mut(&JobId(1)).unwrap().spec.needs = label("site=berlin");
        farm.register_facts(WorkerFacts { labels: label("site=berlin"), ..facts("small", 1, 1, 60) });
        farm.register_facts(WorkerFacts { labels: label("site=paris"), ..facts("large", 1, 1, 1000) });
        assert_eq!(granted(&farm), ["1/encode/0"]);
        let mut farm = FarmBuilder::new().job(plan_of(2, 1, 0)).build();
        farm.register_facts(WorkerFacts { scratch: 10, ..facts("memory", 1, 1, 1000) });
        farm.register_facts(WorkerFacts { scratch: 1000, ..facts("scratch", 1, 1, 10) });
        assert_eq!(granted(&farm), ["1/encode/0"], "no worker has most of both");
    }

    #[test]
    fn nobody_gives_way_to_a_job_that_suits_no_worker() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(8, 8, 0)).build();
        farm.place();
        farm.add_job("default", 5, plan_of(2, 1, 0));
        farm.state.jobs.get_mut(&JobId(2)).unwrap().spec.needs = label("site=mars");
        assert_eq!(farm.proposals(), []);
        farm.state.jobs.get_mut(&JobId(2)).unwrap().spec.needs = Labels::default();
        assert_eq!(farm.proposals().len(), 1, "to one that suits it does");
    }

    #[test]
    fn a_worker_without_the_labels_or_codecs_gets_nothing_of_a_job_that_needs_them() {
        let plan = Plan { video_codecs: BTreeSet::from(["h264".to_owned()]), ..plan_of(4, 1, 0) };
        let mut farm = FarmBuilder::new().job(plan).build();
        farm.state.jobs.get_mut(&JobId(1)).unwrap().spec.needs = label("site=berlin");
        let able = |name: &str, site: &str, codec: &str| WorkerFacts {
            labels: label(site),
            codecs: BTreeSet::from([codec.to_owned()]),
            ..facts(name, 1, 2, FarmBuilder::PLENTY)
        };
        for unfit in [able("a", "site=paris", "h264"), able("b", "site=berlin", "av1")] {
            let worker = farm.register_facts(unfit);
            assert_eq!(farm.proposals(), []);
            let grant = farm.grant_of(encode(1, 0), worker);
            assert_eq!(farm.apply(grant), Reply::Refused(Refusal::Unfit(worker)));
        }
        farm.register_facts(able("c", "site=berlin", "h264"));
        farm.place();
        assert_eq!(farm.running().len(), 2);
        assert_eq!(worker_of(&farm, encode(1, 0)), "c");
    }

    #[test]
    fn stills_are_made_assembled_and_proved_by_workers_that_know_of_them() {
        let mut farm = FarmBuilder::new().worker("old", 9).job(with_images(plan_of(2, 2, 0))).build();
        assert_eq!(granted(&farm), ["1/encode/0"]);
        let refused = farm.grant_of(task(1, Stage::Image, 0), farm.worker("old"));
        assert_eq!(farm.apply(refused), Reply::Refused(Refusal::Unfit(farm.worker("old"))));
        let codecs = [Stage::IMAGE_CODEC, Stage::CHECK_CODEC].map(str::to_owned).into();
        farm.register_facts(WorkerFacts { codecs, ..facts("new", 1, 1, FarmBuilder::PLENTY) });
        for stage in [Stage::Image, Stage::Assemble, Stage::Measure, Stage::Check, Stage::Deliver] {
            farm.place();
            assert_eq!(worker_of(&farm, task(1, stage, 0)), "new", "{stage}");
            if stage == Stage::Image {
                assert_eq!(farm.state.leases[&task(1, stage, 0)].reserved.memory, 80);
            }
            for (task, epoch) in farm.running() {
                farm.finish(task, epoch);
            }
        }
        assert!(farm.job(1).is_complete());
    }

    #[test]
    fn scratch_space_is_never_promised_twice() {
        let mut farm = FarmBuilder::new().job(plan_of(8, 1, 0)).build();
        farm.register_facts(WorkerFacts { scratch: 250, ..facts("w", 1, 4, FarmBuilder::PLENTY) });
        farm.place();
        assert_eq!(farm.running().len(), 2, "each asks for 100 of 250 bytes");
    }

    #[test]
    fn of_equal_priority_the_earlier_deadline_goes_first() {
        let job = || plan_of(1, 1, 0);
        let mut farm =
            FarmBuilder::new().job(job()).job(job()).job(job()).job_with_priority(job(), 1).build();
        for (job, deadline_ms) in [(2, 9_000), (3, 5_000)] {
            farm.state.jobs.get_mut(&JobId(job)).unwrap().spec.deadline_ms = Some(deadline_ms);
        }
        farm.register("w", 1, 4, FarmBuilder::PLENTY);
        assert_eq!(granted(&farm), ["4/encode/0", "3/encode/0", "2/encode/0", "1/encode/0"]);
    }

    #[test]
    fn work_is_spread_over_workers() {
        let mut farm = FarmBuilder::new()
            .worker("a", 2)
            .worker_with_memory("b", 3, FarmBuilder::PLENTY / 2)
            .job(plan_of(3, 1, 0))
            .build();
        farm.place();
        let workers: Vec<_> = farm.state.leases.values().map(|lease| lease.worker).collect();
        let (a, b) = (farm.worker("a"), farm.worker("b"));
        assert_eq!(workers, [b, a, b], "by free slots before memory");
    }

    #[test]
    fn an_idle_slot_takes_the_tail_half_of_the_longest_straggler() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(12, 8, 0)).build();
        farm.place();
        let epoch = farm.state.leases[&encode(1, 1)].epoch;
        farm.finish(encode(1, 1), epoch);
        let epoch = farm.state.leases[&encode(1, 0)].epoch;
        farm.commit_part(encode(1, 0), epoch, 0);
        farm.progress.note(encode(1, 0), epoch, PartIndex(2));
        // Parts 3 to 7 are not begun: 5, 6 and 7 go.
        let at_part = PartIndex(5);
        assert_eq!(farm.proposals(), [Action::CutChunk { task: encode(1, 0), epoch, at_part }]);
        farm.place();
        assert_eq!(farm.job(1).chunk(0), parts(0, 5));
        assert_eq!(farm.state.leases[&encode(1, 2)].granted, parts(5, 8));
    }

    #[test]
    fn of_two_stragglers_the_longer_is_cut() {
        let mut farm = FarmBuilder::new().worker("w", 3).job(plan_of(12, 6, 0)).build();
        farm.place();
        let longer = |farm: &Farm| {
            let cuts = farm.proposals().into_iter().filter_map(|action| match action {
                Action::CutChunk { task, at_part, .. } => Some((task.index, at_part.0)),
                _ => None,
            });
            cuts.collect::<Vec<_>>()
        };
        // Two chunks of six and a tail cut off the first: three run.
        let tail = encode(1, 2);
        let epoch = farm.state.leases[&tail].epoch;
        farm.finish(tail, epoch);
        let epoch = farm.state.leases[&encode(1, 0)].epoch;
        farm.commit_part(encode(1, 0), epoch, 0);
        assert_eq!(longer(&farm), [(1, 9)]);
    }

    #[test]
    fn a_heartbeat_older_than_the_last_commit_does_not_count() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(4, 4, 0)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        for part in 0..2 {
            farm.commit_part(encode(1, 0), epoch, part);
        }
        farm.progress.note(encode(1, 0), epoch, PartIndex(0));
        // Part 2 is in hand whatever the heartbeat said, so 3 is all that can go.
        assert_eq!(farm.proposals(), [Action::CutChunk { task: encode(1, 0), epoch, at_part: PartIndex(3) }]);
    }

    #[test]
    fn progress_of_a_dead_epoch_says_nothing() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(4, 4, 0)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        farm.progress.note(encode(1, 0), Epoch(epoch.0 - 1), PartIndex(3));
        let at_part = PartIndex(2);
        assert_eq!(farm.proposals(), [Action::CutChunk { task: encode(1, 0), epoch, at_part }]);
        farm.progress.retain_live(&farm.state);
        assert_eq!(farm.progress, Progress::default());
    }

    #[test]
    fn the_last_part_of_a_chunk_is_not_cut_from_under_its_encoder() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(2, 2, 0)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 0), worker);
        farm.progress.note(encode(1, 0), epoch, PartIndex(1));
        assert_eq!(farm.proposals(), []);
    }

    #[test]
    fn a_queue_of_a_million_chunks_costs_what_its_head_costs() {
        let mut farm = FarmBuilder::new().worker("w", 4).job(plan_of(1_000_000, 1, 0)).build();
        assert_eq!(farm.state.waiting_tasks(JobId(1), Stage::Encode).take(3).count(), 3);
        farm.place();
        assert_eq!(farm.running().len(), 4);
    }

    proptest! {
        #[test]
        fn placement_is_idempotent_and_keeps_capacity(
            workers in prop::collection::vec((1u32..5, 0u64..600), 1..6),
            jobs in prop::collection::vec((1u32..30, 1u32..9, 0u32..3, -2i32..3), 1..5),
        ) {
            let mut builder = FarmBuilder::new();
            for (number, (slots, memory)) in workers.iter().enumerate() {
                builder = builder.worker_with_memory(&format!("w{number}"), *slots, memory + 1);
            }
            for (parts, chunk_parts, tracks, priority) in &jobs {
                builder = builder.job_with_priority(plan_of(*parts, *chunk_parts, *tracks), *priority);
            }
            let mut farm = builder.build();
            prop_assert_eq!(farm.proposals(), farm.proposals());
            // `Farm` checks capacity after each command, and `place` that the proposals come to an end.
            for action in farm.proposals() {
                let reply = farm.apply(action);
                prop_assert!(matches!(reply, Reply::Accepted(_)), "{reply:?}");
            }
            farm.place();
            prop_assert_eq!(farm.proposals(), []);
            farm.run_to_end();
            prop_assert!(farm.state.jobs.values().all(|job| job.state == crate::state::JobState::Done));
            prop_assert!(farm.state.jobs.values().all(|job| job.parts_encoded_twice == 0));
        }
    }

    #[test]
    fn a_draining_worker_is_passed_over() {
        let mut farm = FarmBuilder::new().worker("a", 1).worker("b", 1).job(plan_of(3, 1, 0)).build();
        let a = farm.worker("a");
        let epoch = farm.grant(encode(1, 0), a);
        farm.ok(Action::HandBack { task: encode(1, 0), epoch });
        let b = farm.worker("b");
        let all_b = farm
            .proposals()
            .iter()
            .all(|action| matches!(action, Action::Grant { worker, .. } if *worker == b));
        assert!(all_b);
        assert_eq!(granted(&farm), [task(1, Stage::Encode, 0).to_string()]);
    }
}
