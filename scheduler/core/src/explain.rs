//! Why the tasks of a job do not run.

use std::borrow::Cow;
use std::fmt;

use reel_common::{JobId, JobState, Labels, Stage, WorkerFacts};

use crate::placement::turn;
use crate::state::{FarmState, Job, Room, Worker};

/// Waiting tasks that are looked at one by one; of more, the first are.
const MAX_LOOKED_AT: usize = 1_000;

/// What a job waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Attempts that run.
    pub running: u32,
    /// Tasks that wait for a slot, whatever holds them back; at most [`u32::MAX`].
    pub waiting: u32,
    /// What holds them back, the job first, then by stage; empty where they start at once.
    pub obstacles: Vec<(Option<Stage>, Obstacle)>,
}

/// Something that keeps tasks from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The job is over or paused.
    Job(JobState),
    /// The index is measured, and the leader plans.
    Plan,
    /// The stage is short of something, or failed tasks wait.
    BackingOff {
        /// Tasks that wait for it.
        tasks: u32,
        /// Milliseconds until the first may go on.
        wait_ms: u64,
        /// What has failed last.
        message: String,
    },
    /// The farm has no worker.
    NoWorkers,
    /// All workers are held back or going.
    NobodyTakesWork {
        /// How many there are.
        workers: usize,
    },
    /// No worker that takes work has these labels or codecs.
    NobodySuits {
        /// Labels that the job needs.
        needs: Labels,
        /// Codecs that the stage needs, and no worker that has the labels.
        codecs: Vec<String>,
    },
    /// No worker that takes work has this hook.
    NobodyHas {
        /// Its name.
        hook: String,
    },
    /// Every slot of the workers that suit is taken.
    SlotsTaken {
        /// How many slots they have.
        slots: u64,
    },
    /// There are slots, but none with so much memory or scratch space.
    NoRoom {
        /// Bytes of memory that a task asks for.
        memory: u64,
        /// Bytes of scratch space likewise.
        scratch: u64,
    },
    /// The project has as many slots as it may have.
    ShareUsed {
        /// Its name.
        project: String,
        /// How many those are.
        burst: u32,
    },
    /// Other jobs of the project go first.
    Behind {
        /// How many.
        jobs: usize,
        /// Whose they are.
        project: String,
    },
}

impl Obstacle {
    /// One word for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Obstacle::Job(_) => "job",
            Obstacle::Plan => "plan",
            Obstacle::BackingOff { .. } => "backing-off",
            Obstacle::NoWorkers => "no-workers",
            Obstacle::NobodyTakesWork { .. } => "nobody-takes-work",
            Obstacle::NobodySuits { .. } => "nobody-suits",
            Obstacle::NobodyHas { .. } => "nobody-has-the-hook",
            Obstacle::SlotsTaken { .. } => "slots-taken",
            Obstacle::NoRoom { .. } => "no-room",
            Obstacle::ShareUsed { .. } => "share-used",
            Obstacle::Behind { .. } => "behind",
        }
    }
}

const MIB: u64 = 1 << 20;

/// What is in the way, and what to do where something can be done.
impl fmt::Display for Obstacle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Job(JobState::Paused) => write!(out, "the job is paused: resume it"),
            Obstacle::Job(JobState::Failed) => {
                write!(out, "the job has failed: see its reason, mend it, and retry")
            }
            Obstacle::Job(state) => write!(out, "the job is {}", state.name()),
            Obstacle::Plan => write!(out, "the job is being planned"),
            Obstacle::BackingOff { tasks, wait_ms, message } => {
                let seconds = wait_ms.div_ceil(1000);
                write!(out, "{tasks} waiting for {seconds} s after a failure: {message}")
            }
            Obstacle::NoWorkers => write!(out, "the farm has no worker: start one"),
            Obstacle::NobodyTakesWork { workers } => {
                write!(
                    out,
                    "none of {workers} workers takes work: they are going, drained, cordoned or quarantined"
                )
            }
            Obstacle::NobodySuits { needs, codecs } if codecs.is_empty() => {
                write!(out, "no worker that takes work has the labels {needs}")
            }
            Obstacle::NobodySuits { codecs, .. } => {
                write!(out, "no worker that takes work offers {}", codecs.join(", "))
            }
            Obstacle::NobodyHas { hook } => write!(
                out,
                "no worker that takes work has the hook {hook}: start one with `--hook {hook}=PROGRAM`"
            ),
            Obstacle::SlotsTaken { slots } => write!(out, "no slot is free, of {slots} on workers that suit"),
            Obstacle::NoRoom { memory, scratch } => write!(
                out,
                "no free slot has {} MiB of memory and {} MiB of scratch space left",
                memory.div_ceil(MIB),
                scratch.div_ceil(MIB)
            ),
            Obstacle::ShareUsed { project, burst } => {
                write!(out, "project {project} has the {burst} slots that it may have")
            }
            Obstacle::Behind { jobs, project } => {
                write!(out, "jobs of project {project} with waiting tasks that go first: {jobs}")
            }
        }
    }
}

/// What a job waits for at `now_ms`; `None` where there is no such job.
pub fn explain(state: &FarmState, id: JobId, now_ms: u64) -> Option<Explanation> {
    let job = state.jobs.get(&id)?;
    let mut explanation =
        Explanation { running: state.leases_of_job(id).count() as u32, ..Explanation::default() };
    let mut note = |stage, obstacle| explanation.obstacles.push((stage, obstacle));
    if !job.state.is_active() {
        note(None, Obstacle::Job(job.state));
        return Some(explanation);
    }
    if job.wants_plan() {
        note(None, Obstacle::Plan);
    }
    let mut waiting = 0;
    for stage in Stage::ALL {
        let tasks = waiting_in(state, id, stage);
        waiting += tasks;
        if tasks > 0 {
            obstacles_of(state, id, job, stage, now_ms)
                .into_iter()
                .for_each(|found| note(Some(stage), found));
        }
    }
    if waiting > 0 {
        of_project(state, id, job).into_iter().for_each(|found| note(None, found));
    }
    explanation.waiting = waiting;
    Some(explanation)
}

/// Tasks of a stage that wait for a slot, whatever holds them back. Chunks and hooks that nobody has begun are counted, not looked at.
pub fn waiting_in(state: &FarmState, id: JobId, stage: Stage) -> u32 {
    let Some(job) = state.jobs.get(&id).filter(|job| job.state.is_active()) else { return 0 };
    let leased = || state.leases_of_job(id).filter(|(task, _)| task.stage == stage).count() as u32;
    match (stage, &job.plan) {
        (Stage::Encode, Some(plan)) if job.is_ready(stage) => {
            let known = job.encode.chunks.len() as u32;
            (known + job.chunks_begun(plan).saturating_sub(job.encode.fresh)).saturating_sub(leased())
        }
        (Stage::Probe, Some(plan)) if job.is_ready(stage) => {
            job.rate.probed.count_open_in(0..plan.grid.parts()).saturating_sub(leased())
        }
        (Stage::Hook, _) if job.is_ready(stage) => {
            let open = job.hook_now().map_or(0, |(_, tasks)| job.hooks.count_open_in(tasks));
            open.saturating_sub(leased())
        }
        _ => state.waiting_tasks(id, stage).count() as u32,
    }
}

fn obstacles_of(state: &FarmState, id: JobId, job: &Job, stage: Stage, now_ms: u64) -> Vec<Obstacle> {
    let resting: Vec<u64> = state
        .waiting_tasks(id, stage)
        .take(MAX_LOOKED_AT)
        .map(|(task, _)| job.not_before_ms(stage, task.index).saturating_sub(now_ms))
        .filter(|wait_ms| *wait_ms > 0)
        .collect();
    let backing_off = resting.iter().min().map(|wait_ms| {
        let last = job.attempts.iter().rev().find(|ended| ended.stage == stage && !ended.message.is_empty());
        let message = last.map(|ended| ended.message.clone()).unwrap_or_default();
        Obstacle::BackingOff { tasks: resting.len() as u32, wait_ms: *wait_ms, message }
    });
    backing_off.into_iter().chain(of_fleet(state, job, stage)).collect()
}

/// What of the fleet is in the way of a stage.
fn of_fleet(state: &FarmState, job: &Job, stage: Stage) -> Option<Obstacle> {
    if state.workers.is_empty() {
        return Some(Obstacle::NoWorkers);
    }
    let able: Vec<_> = state.workers.iter().filter(|(_, worker)| state.takes_work(worker)).collect();
    if able.is_empty() {
        return Some(Obstacle::NobodyTakesWork { workers: state.workers.len() });
    }
    let suits = |worker: &Worker| job.suits(stage, &worker.facts);
    let suited: Vec<_> = able.iter().filter(|(_, worker)| suits(worker)).collect();
    if suited.is_empty() {
        let labelled = able.iter().map(|(_, worker)| &worker.facts);
        return Some(lacking(job, stage, labelled.filter(|facts| facts.labels.include(&job.spec.needs))));
    }
    let rooms: Vec<Room> = suited.iter().map(|(id, _)| state.room_of(**id)).collect();
    if rooms.iter().all(|room| room.slots == 0) {
        let slots = suited.iter().map(|(_, worker)| u64::from(worker.facts.slots)).sum();
        return Some(Obstacle::SlotsTaken { slots });
    }
    let wanted = crate::placement::demand(state, job, stage)?;
    let none_fits = !rooms.iter().any(|room| room.has(wanted));
    none_fits.then_some(Obstacle::NoRoom { memory: wanted.memory, scratch: wanted.scratch })
}

/// What no worker has: labels, or of those that have them some codec.
fn lacking<'a>(job: &Job, stage: Stage, labelled: impl Iterator<Item = &'a WorkerFacts>) -> Obstacle {
    let (needs, labelled) = (job.spec.needs.clone(), labelled.collect::<Vec<_>>());
    let codecs =
        job.codecs_of(stage).filter(|_| !labelled.is_empty()).map(Cow::into_owned).unwrap_or_default();
    let had = |codec: &String| labelled.iter().any(|facts| facts.codecs.contains(codec));
    let missing: Vec<_> = codecs.iter().filter(|codec| !had(codec)).cloned().collect();
    if let Some(hook) = job.program_of(stage).filter(|_| !labelled.is_empty()) {
        return Obstacle::NobodyHas { hook: hook.to_owned() };
    }
    // Where each is there, but never all on one worker, all are named.
    let codecs = if missing.is_empty() { codecs.into_iter().collect() } else { missing };
    Obstacle::NobodySuits { needs, codecs }
}

/// What of the other work of its project is in the way of a job.
fn of_project(state: &FarmState, id: JobId, job: &Job) -> Vec<Obstacle> {
    let project = &job.spec.project;
    let others = || {
        let ids = state.open.iter();
        ids.filter_map(|id| state.jobs.get_key_value(id)).filter(|(_, other)| other.spec.project == *project)
    };
    let mut found = Vec::new();
    if let Some(burst) = state.share_of(project).burst {
        let slots: usize = others().map(|(id, _)| state.leases_of_job(*id).count()).sum();
        if slots as u64 >= u64::from(burst) {
            found.push(Obstacle::ShareUsed { project: project.clone(), burst });
        }
    }
    let able: Vec<_> = state.workers.values().filter(|worker| state.takes_work(worker)).collect();
    let earlier = others().filter(|(other, its)| {
        let suits = |stage| able.iter().any(|worker| its.suits(stage, &worker.facts));
        let waits = |stage| suits(stage) && state.waiting_tasks(**other, stage).next().is_some();
        its.state.is_active() && turn(**other, its) < turn(id, job) && Stage::ALL.into_iter().any(waits)
    });
    let jobs = earlier.count();
    if jobs > 0 {
        found.push(Obstacle::Behind { jobs, project: project.clone() });
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use reel_common::{FailureClass, Hold, Share, TextSource};

    use super::*;
    use crate::command::{Action, JobSpec};
    use crate::testing::{Farm, FarmBuilder, encode, facts, job_spec, plan_of};

    /// The names of what is in the way of job `job`.
    fn names(farm: &Farm, job: u64) -> Vec<&'static str> {
        let explained = explain(&farm.state, JobId(job), farm.now_ms).unwrap();
        explained.obstacles.iter().map(|(_, obstacle)| obstacle.name()).collect()
    }

    fn texts(farm: &Farm, job: u64) -> String {
        let explained = explain(&farm.state, JobId(job), farm.now_ms).unwrap();
        let texts = explained.obstacles.iter().map(|(_, obstacle)| obstacle.to_string());
        texts.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_job_that_runs_or_is_about_to_has_nothing_in_its_way() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(2, 1, 0)).build();
        assert_eq!(names(&farm, 1), [""; 0]);
        farm.place();
        let explained = explain(&farm.state, JobId(1), farm.now_ms).unwrap();
        assert_eq!((explained.running, explained.waiting, explained.obstacles), (2, 0, vec![]));
        assert_eq!(explain(&farm.state, JobId(9), farm.now_ms), None);
    }

    #[test]
    fn a_paused_or_ended_job_says_so_and_no_more() {
        let mut farm = FarmBuilder::new().job(plan_of(2, 1, 0)).build();
        farm.ok(Action::PauseJob { job: JobId(1) });
        assert_eq!(texts(&farm, 1), "the job is paused: resume it");
        assert_eq!(
            waiting_in(&farm.state, JobId(1), Stage::Encode),
            0,
            "it waits for nothing but its operator"
        );
        farm.ok(Action::CancelJob { job: JobId(1) });
        assert_eq!(texts(&farm, 1), "the job is canceled");
    }

    #[test]
    fn a_farm_without_workers_or_with_held_ones_is_named() {
        let mut farm = FarmBuilder::new().job(plan_of(2_000_000 / 2, 1, 0)).build();
        assert_eq!(names(&farm, 1), ["no-workers"]);
        assert_eq!(explain(&farm.state, JobId(1), 0).unwrap().waiting, 1_000_000);
        farm.register("w", 1, 1, 100);
        farm.ok(Action::HoldWorker { name: "w".to_owned(), hold: Some(Hold::Cordon) });
        assert_eq!(names(&farm, 1), ["nobody-takes-work"]);
    }

    #[test]
    fn missing_labels_come_before_missing_codecs() {
        let mut farm = FarmBuilder::new().build();
        let needs = Labels::new([("site".to_owned(), "berlin".to_owned())]).unwrap();
        let spec = JobSpec { needs: needs.clone(), ..job_spec("out") };
        farm.ok(Action::SubmitJob { spec: Box::new(spec), profile: "profile text".to_owned() });
        farm.register("w", 1, 1, 100);
        assert_eq!(texts(&farm, 1), "no worker that takes work has the labels site=berlin");
        farm.register_facts(WorkerFacts { labels: needs, ..facts("berlin", 1, 1, 1 << 40) });
        assert_eq!(names(&farm, 1), [""; 0]);

        let plan = crate::Plan { video_codecs: BTreeSet::from(["av1".to_owned()]), ..plan_of(2, 1, 0) };
        let farm = FarmBuilder::new().worker("w", 1).job(plan).build();
        assert_eq!(texts(&farm, 1), "no worker that takes work offers av1");

        // An older version would make the title without its texts.
        let mut farm = FarmBuilder::new().worker("old", 1).build();
        let spec = JobSpec { texts: vec!["en=a.srt".parse().unwrap()], ..job_spec("out") };
        farm.ok(Action::SubmitJob { spec: Box::new(spec), profile: "profile text".to_owned() });
        assert_eq!(texts(&farm, 1), "no worker that takes work offers text");
        farm.place();
        assert!(farm.state.leases.is_empty());
        let codecs = BTreeSet::from([TextSource::CODEC.to_owned()]);
        farm.register_facts(WorkerFacts { codecs, ..facts("new", 1, 1, 1 << 40) });
        assert_eq!(names(&farm, 1), [""; 0]);

        // Who reads files of texts may be from before captions were read from pictures, at any stage.
        let plan = crate::Plan { video_codecs: BTreeSet::from(["h264".to_owned()]), ..plan_of(2, 1, 0) };
        let mut job = FarmBuilder::new().worker("w", 1).job(plan).build().state.jobs[&JobId(1)].clone();
        job.spec.texts = vec!["en=video:cc1".parse().unwrap()];
        let codecs = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let before = WorkerFacts { codecs: codecs(&["h264", "text"]), ..facts("before", 1, 1, 1 << 40) };
        let after = WorkerFacts { codecs: codecs(&["h264", "captions"]), ..facts("after", 1, 1, 1 << 40) };
        for stage in
            [Stage::Index, Stage::Probe, Stage::Encode, Stage::Assemble, Stage::Measure, Stage::Deliver]
        {
            assert_eq!((job.suits(stage, &before), job.suits(stage, &after)), (false, true), "{stage:?}");
        }
        let none = WorkerFacts { codecs: codecs(&["captions"]), ..facts("none", 1, 1, 1 << 40) };
        assert!(!job.suits(Stage::Encode, &none));
    }

    #[test]
    fn taken_slots_and_missing_memory_are_told_apart() {
        let mut farm = FarmBuilder::new().worker_with_memory("w", 3, 150).job(plan_of(3, 1, 0)).build();
        farm.place();
        assert_eq!(names(&farm, 1), ["no-room"], "one of 100 bytes runs, two slots are free");
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(3, 1, 0)).build();
        farm.place();
        assert_eq!(names(&farm, 1), ["slots-taken"]);
    }

    #[test]
    fn a_share_that_is_used_up_and_jobs_before_it_are_named() {
        let mut farm = FarmBuilder::new()
            .worker("w", 9)
            .job_of("a", plan_of(9, 1, 0))
            .job_of("a", plan_of(9, 1, 0))
            .build();
        let share = Share { burst: Some(1), ..Share::default() };
        farm.ok(Action::SetProject { name: "a".to_owned(), share });
        farm.place();
        assert_eq!(names(&farm, 1), ["share-used"]);
        assert_eq!(names(&farm, 2), ["share-used", "behind"]);
    }

    #[test]
    fn a_failure_that_is_tried_again_is_told_with_its_message() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(1, 1, 0)).build();
        let epoch = farm.grant(encode(1, 0), farm.worker("w"));
        farm.fail(encode(1, 0), epoch, FailureClass::Shortage, "no space left on device");
        assert_eq!(texts(&farm, 1), "1 waiting for 5 s after a failure: no space left on device");
    }
}
