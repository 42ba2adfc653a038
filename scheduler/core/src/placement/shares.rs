//! Whose turn it is: the queues of projects, and what they are entitled to.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::iter::Peekable;

use reel_common::{Hold, JobId, Share, Stage, TaskId, WorkerFacts, WorkerId};

use super::{Fleet, Progress, Straggler, Wanted, straggler};
use crate::command::Action;
use crate::state::{FarmState, Job, PartRange};

type Tasks<'a> = Peekable<Box<dyn Iterator<Item = (TaskId, Option<PartRange>)> + 'a>>;

/// The waiting tasks of one stage of a job.
struct Group<'a> {
    job: &'a Job,
    stage: Stage,
    tasks: Tasks<'a>,
    /// What each of them asks for, once that is known.
    wanted: Option<Wanted<'a>>,
}

/// One project: what it has, and what it waits for, in the order in which that is granted.
struct Queue<'a> {
    name: &'a str,
    share: Share,
    /// Slots that its tasks have, those that were just granted included.
    slots: u64,
    jobs: Vec<(JobId, &'a Job)>,
    /// The first is granted next, from the end.
    groups: Vec<Group<'a>>,
}

impl<'a> Queue<'a> {
    fn new(state: &'a FarmState, name: &'a str) -> Self {
        let (slots, jobs, groups) = (0, Vec::new(), Vec::new());
        Queue { name, share: state.share_of(name), slots, jobs, groups }
    }

    fn is_below_guarantee(&self) -> bool {
        self.slots < u64::from(self.share.guarantee)
    }

    fn has_its_burst(&self) -> bool {
        self.share.burst.is_some_and(|burst| self.slots >= u64::from(burst))
    }

    /// Who has less for its weight goes first; where that is the same, the first by name.
    fn order(&self, other: &Self) -> Ordering {
        let load = |slots: u64, weight: u32| u128::from(slots) * u128::from(weight);
        let guaranteed = other.is_below_guarantee().cmp(&self.is_below_guarantee());
        let shares = load(self.slots, other.share.weight).cmp(&load(other.slots, self.share.weight));
        guaranteed.then(shares).then(self.name.cmp(other.name))
    }

    /// The job whose task is granted next.
    fn first_waiting(&mut self) -> Option<&'a Job> {
        while let Some(group) = self.groups.last_mut() {
            if group.tasks.peek().is_some() {
                return Some(group.job);
            }
            self.groups.pop();
        }
        None
    }

    /// Grants the next task that fits somewhere.
    fn grant(&mut self, fleet: &mut Fleet<'_>) -> Option<Action> {
        while let Some(group) = self.groups.last_mut() {
            group.wanted = group.wanted.or_else(|| fleet.wanted(group.job, group.stage));
            if let Some(wanted) = group.wanted
                && let Some((task, parts)) = group.tasks.next()
            {
                let record = group.job.tasks.get(&(group.stage, task.index));
                if let Some(worker) = fleet.take(wanted, record) {
                    self.slots += 1;
                    return Some(Action::Grant { task, worker, parts, reserved: wanted.reserved });
                }
            }
            // All tasks of a stage ask for the same: where one finds no room, none does.
            self.groups.pop();
        }
        None
    }
}

/// The queues of all projects that have open jobs.
pub(super) struct Queues<'a> {
    queues: Vec<Queue<'a>>,
}

impl<'a> Queues<'a> {
    pub(super) fn of(state: &'a FarmState, now_ms: u64) -> Self {
        let mut queues: BTreeMap<&str, Queue<'a>> = BTreeMap::new();
        for (id, job) in state.open.iter().filter_map(|id| state.jobs.get(id).map(|job| (*id, job))) {
            let name = job.spec.project.as_str();
            let queue = queues.entry(name).or_insert_with(|| Queue::new(state, name));
            queue.slots += state.leases_of_job(id).count() as u64;
            if job.state.is_active() {
                queue.jobs.push((id, job));
            }
        }
        let mut queues: Vec<_> = queues.into_values().collect();
        for queue in &mut queues {
            queue.jobs.sort_unstable_by_key(|(id, job)| turn(*id, job));
            let stages =
                queue.jobs.iter().rev().flat_map(|(id, job)| Stage::ALL.map(|stage| (*id, *job, stage)));
            let due = stages.filter(|(_, job, stage)| job.stage_not_before_ms(*stage) <= now_ms);
            queue.groups = due.map(|(id, job, stage)| group(state, id, job, stage, now_ms)).collect();
        }
        Queues { queues }
    }

    /// The jobs whose tasks may be granted, in their order.
    pub(super) fn jobs(&self) -> Vec<(JobId, &'a Job)> {
        let mut jobs: Vec<_> = self.queues.iter().flat_map(|queue| queue.jobs.iter().copied()).collect();
        jobs.sort_unstable_by_key(|(id, job)| turn(*id, job));
        jobs
    }

    /// Grants one task of the project whose turn it is, or of the next that has one that fits.
    pub(super) fn grant(&mut self, fleet: &mut Fleet<'_>) -> Option<Action> {
        loop {
            let wanting = self.queues.iter_mut().filter_map(|queue| {
                (!queue.has_its_burst() && queue.first_waiting().is_some()).then_some(queue)
            });
            let next = wanting.min_by(|a, b| a.order(b))?;
            if let Some(action) = next.grant(fleet) {
                return Some(action);
            }
        }
    }
}

/// Orders jobs: by priority, then by deadline, then by age.
pub(crate) fn turn(id: JobId, job: &Job) -> (Reverse<i32>, u64, JobId) {
    (Reverse(job.spec.priority), job.spec.deadline_ms.unwrap_or(u64::MAX), id)
}

fn group<'a>(state: &'a FarmState, id: JobId, job: &'a Job, stage: Stage, now_ms: u64) -> Group<'a> {
    let rested = move |task: &TaskId| {
        job.tasks.get(&(stage, task.index)).is_none_or(|record| record.not_before_ms <= now_ms)
    };
    let tasks = state.waiting_tasks(id, stage).filter(move |(task, _)| rested(task));
    let tasks: Box<dyn Iterator<Item = _>> = Box::new(tasks);
    Group { job, stage, tasks: tasks.peekable(), wanted: None }
}

/// Cuts that end what runs on drained workers with the part in hand.
pub(super) fn drains(state: &FarmState, progress: &Progress) -> Vec<Action> {
    let drained = |worker: &WorkerId| {
        let name = state.workers.get(worker).map(|worker| &worker.facts.name);
        name.and_then(|name| state.holds.get(name)) == Some(&Hold::Drain)
    };
    let held =
        state.leases.iter().filter(|(task, lease)| task.stage == Stage::Encode && drained(&lease.worker));
    let rests =
        held.filter_map(|(task, lease)| straggler(state.jobs.get(&task.job)?, progress, *task, lease.epoch));
    rests.map(|rest| rest.cut_all()).collect()
}

/// Cuts that make room, one part from now, for those who are entitled to it: projects below their guarantee, and jobs
/// that came later than less urgent ones of their project. Chunks that are at their last part make room by themselves.
///
/// What no worker suits makes nobody give way, and slots are only taken on workers that suit.
pub(super) fn yields(state: &FarmState, progress: &Progress, mut queues: Queues<'_>) -> Vec<Action> {
    let mut running = Running::of(state, progress);
    let mut actions = Vec::new();
    let able: Vec<_> = state.workers.values().filter(|worker| state.takes_work(worker)).collect();
    for queue in &mut queues.queues {
        queue.groups.retain(|group| able.iter().any(|worker| group.job.suits(group.stage, &worker.facts)));
        if queue.first_waiting().is_none() {
            continue;
        }
        let Some(&Group { job, stage, .. }) = queue.groups.last() else { continue };
        let priority = job.spec.priority;
        let suits = |worker: &WorkerFacts| job.suits(stage, worker);
        let missing = u64::from(queue.share.guarantee).saturating_sub(queue.slots);
        for _ in 0..missing {
            match running
                .take(suits, |other, share, slots| other != queue.name && slots > u64::from(share.guarantee))
            {
                Taken::Cut(action) => actions.push(action),
                Taken::Soon => {}
                Taken::Nothing => break,
            }
        }
        // One at a time: when it runs, the next one waits.
        if missing == 0
            && let Taken::Cut(action) = running.take_less_urgent(suits, queue.name, priority)
        {
            actions.push(action);
        }
    }
    actions
}

/// What looking for room has found.
enum Taken {
    /// A chunk to cut.
    Cut(Action),
    /// A chunk that ends with the part in hand.
    Soon,
    /// Nothing that may be taken.
    Nothing,
}

/// A chunk that is encoded.
struct Chunk<'a> {
    worker: &'a WorkerFacts,
    project: &'a str,
    share: Share,
    priority: i32,
    rest: Option<Straggler>,
}

/// The chunks that are encoded, and how many slots each project has.
struct Running<'a> {
    chunks: Vec<Chunk<'a>>,
    slots: BTreeMap<&'a str, u64>,
}

impl<'a> Running<'a> {
    fn of(state: &'a FarmState, progress: &Progress) -> Self {
        let mut slots: BTreeMap<&str, u64> = BTreeMap::new();
        let mut chunks = Vec::new();
        for (task, lease) in &state.leases {
            let Some(job) = state.jobs.get(&task.job) else { continue };
            let Some(worker) = state.workers.get(&lease.worker) else { continue };
            let project = job.spec.project.as_str();
            *slots.entry(project).or_default() += 1;
            if task.stage == Stage::Encode {
                let rest = straggler(job, progress, *task, lease.epoch);
                let (share, priority) = (state.share_of(project), job.spec.priority);
                chunks.push(Chunk { worker: &worker.facts, project, share, priority, rest });
            }
        }
        // Those that make room by themselves first, then those that have most to give away.
        let unstarted = |chunk: &Chunk<'_>| chunk.rest.as_ref().map_or(0, |rest| rest.unstarted.len());
        chunks.sort_by_key(|chunk| (chunk.rest.is_some(), chunk.priority, Reverse(unstarted(chunk))));
        Running { chunks, slots }
    }

    /// Takes the slot of a chunk on a worker that suits, whose project may lose it.
    fn take(
        &mut self,
        suits: impl Fn(&WorkerFacts) -> bool,
        may_lose: impl Fn(&str, Share, u64) -> bool,
    ) -> Taken {
        let slots = |project: &str| self.slots.get(project).copied().unwrap_or(0);
        let found = self.chunks.iter().position(|chunk| {
            suits(chunk.worker) && may_lose(chunk.project, chunk.share, slots(chunk.project))
        });
        self.give_up(found)
    }

    /// Takes the slot of the least urgent chunk of a project below `priority`, on a worker that suits.
    fn take_less_urgent(
        &mut self,
        suits: impl Fn(&WorkerFacts) -> bool,
        project: &str,
        priority: i32,
    ) -> Taken {
        let own = |chunk: &Chunk<'_>| suits(chunk.worker) && chunk.project == project;
        let less = |chunk: &Chunk<'_>| own(chunk) && chunk.priority < priority;
        // One that ends by itself, whoever's it is, makes the room.
        if self.chunks.iter().any(|chunk| own(chunk) && chunk.rest.is_none()) {
            return Taken::Soon;
        }
        let found = self.chunks.iter().position(less);
        self.give_up(found)
    }

    fn give_up(&mut self, found: Option<usize>) -> Taken {
        let Some(found) = found else { return Taken::Nothing };
        let Chunk { project, rest, .. } = self.chunks.remove(found);
        if let Some(slots) = self.slots.get_mut(project) {
            *slots -= 1;
        }
        match rest {
            None => Taken::Soon,
            Some(rest) => Taken::Cut(rest.cut_all()),
        }
    }
}

impl Straggler {
    /// Gives away all that is not begun.
    fn cut_all(self) -> Action {
        Action::CutChunk { task: self.task, epoch: self.epoch, at_part: self.unstarted[0] }
    }
}

#[cfg(test)]
mod tests {
    use reel_common::PartIndex;

    use super::*;
    use crate::testing::{Farm, FarmBuilder, encode, plan_of};

    fn set(farm: &mut Farm, name: &str, share: Share) {
        farm.ok(Action::SetProject { name: name.to_owned(), share });
    }

    fn weight(weight: u32) -> Share {
        Share { weight, ..Share::default() }
    }

    fn slots(farm: &Farm, project: &str) -> usize {
        let of = |task: &TaskId| farm.state.jobs[&task.job].spec.project == project;
        farm.state.leases.keys().filter(|task| of(task)).count()
    }

    /// Two projects with endless work on `slots` slots.
    fn two_projects(slots: u32, a: Share, b: Share) -> Farm {
        let builder = FarmBuilder::new().worker("w", slots);
        let mut farm = builder.job_of("a", plan_of(5_000, 1, 0)).job_of("b", plan_of(5_000, 1, 0)).build();
        set(&mut farm, "a", a);
        set(&mut farm, "b", b);
        farm
    }

    #[test]
    fn slots_are_shared_by_weight_whatever_ends_when() {
        let mut farm = two_projects(40, weight(3), weight(1));
        farm.place();
        assert_eq!((slots(&farm, "a"), slots(&farm, "b")), (30, 10));
        for round in 0..300_usize {
            let (task, epoch) = farm.running()[round * 7 % 40];
            farm.finish(task, epoch);
            farm.place();
            let a = slots(&farm, "a");
            assert!((28..=32).contains(&a), "{a} of 40 in round {round}");
        }
    }

    #[test]
    fn what_one_does_not_use_the_other_gets_and_nobody_exceeds_its_burst() {
        let mut farm = two_projects(10, weight(3), weight(1));
        farm.ok(Action::PauseJob { job: JobId(1) });
        farm.place();
        assert_eq!(slots(&farm, "b"), 10);

        let mut farm = two_projects(10, Share { burst: Some(2), ..weight(9) }, weight(1));
        farm.place();
        assert_eq!((slots(&farm, "a"), slots(&farm, "b")), (2, 8));
    }

    #[test]
    fn a_guarantee_comes_before_every_weight() {
        let mut farm = two_projects(10, weight(100), Share { guarantee: 4, ..weight(1) });
        farm.place();
        assert_eq!((slots(&farm, "a"), slots(&farm, "b")), (6, 4));
    }

    /// A farm whose four slots have long chunks of project `a`, where `late` comes to wait.
    fn full(late: &str, priority: i32, guarantee: u32) -> Farm {
        let builder = FarmBuilder::new().worker("w", 4);
        let mut farm = builder.job_of("a", plan_of(400, 100, 0)).build();
        set(&mut farm, "b", Share { guarantee, ..weight(1) });
        farm.place();
        assert_eq!(slots(&farm, "a"), 4);
        for chunk in 0..4 {
            let epoch = farm.state.leases[&encode(1, chunk)].epoch;
            farm.progress.note(encode(1, chunk), epoch, PartIndex(100 * chunk + 10));
        }
        farm.add_job(late, priority, plan_of(50, 10, 0));
        farm
    }

    #[test]
    fn a_guarantee_is_met_when_the_parts_in_hand_are_done() {
        let mut farm = full("b", 0, 2);
        let cuts = farm.proposals();
        let cut = |chunk: u32| {
            let epoch = farm.state.leases[&encode(1, chunk)].epoch;
            Action::CutChunk { task: encode(1, chunk), epoch, at_part: PartIndex(100 * chunk + 11) }
        };
        assert_eq!(cuts, [cut(0), cut(1)]);
        farm.place();
        assert_eq!(farm.proposals(), [], "what is cut makes the room, and no more is");
        for chunk in 0..2 {
            let epoch = farm.state.leases[&encode(1, chunk)].epoch;
            farm.finish(encode(1, chunk), epoch);
            farm.place();
        }
        assert_eq!((slots(&farm, "a"), slots(&farm, "b")), (2, 2));
    }

    #[test]
    fn a_project_without_a_guarantee_waits_for_its_turn() {
        let farm = full("b", 99, 0);
        assert_eq!(farm.proposals(), []);
    }

    #[test]
    fn a_late_urgent_job_starts_when_a_part_in_hand_is_done() {
        let mut farm = full("a", 5, 0);
        let cuts = farm.proposals();
        assert!(matches!(cuts[..], [Action::CutChunk { at_part: PartIndex(11), .. }]), "{cuts:?}");
        farm.place();
        let epoch = farm.state.leases[&encode(1, 0)].epoch;
        farm.finish(encode(1, 0), epoch);
        farm.place();
        assert!(farm.state.leases.contains_key(&encode(2, 0)));
    }

    #[test]
    fn a_held_worker_gets_nothing_and_a_drained_one_ends_with_the_part_in_hand() {
        let builder = FarmBuilder::new().worker("w1", 1).worker("w2", 1);
        let mut farm = builder.job_of("a", plan_of(40, 20, 0)).build();
        let hold = |hold| Action::HoldWorker { name: "w1".to_owned(), hold };
        farm.ok(hold(Some(Hold::Cordon)));
        farm.place();
        let held = farm.worker("w1");
        assert!(farm.state.leases.values().all(|lease| lease.worker != held));
        farm.ok(hold(None));
        farm.place();
        let (task, epoch) = farm.running()[1];
        assert_eq!(farm.state.leases[&task].worker, held);
        assert_eq!(farm.proposals(), []);
        farm.ok(hold(Some(Hold::Drain)));
        let first = farm.state.leases[&task].granted.unwrap().start;
        assert_eq!(farm.proposals(), [Action::CutChunk { task, epoch, at_part: PartIndex(first + 1) }]);
        farm.place();
        assert_eq!(farm.proposals(), []);
    }

    #[test]
    fn a_late_job_that_is_not_more_urgent_waits() {
        assert_eq!(full("a", 0, 0).proposals(), []);
    }
}
