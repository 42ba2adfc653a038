//! Builders, so that a test of the farm speaks of jobs, workers and parts.

use std::collections::BTreeSet;

use reel_common::fixture::film;
use reel_common::{
    Artifact, Epoch, Failure, FailureClass, Goal, IndexSummary, JobId, Measured, PartIndex, SegmentGrid,
    Stage, TaskId, WorkerFacts, WorkerId,
};
use reel_profiles::VideoCodec;

use crate::command::{Accepted, Action, Command, JobSpec, LossCause, Reply, Reserved, TaskResult};
use crate::invariant::check_all;
use crate::placement::{Progress, make_room, place};
use crate::plan::{Plan, RateTarget};
use crate::state::{FarmState, Job, PartRange};

/// The index of a 1080p film of `frames` frames at 24 frames per second, with stereo sound.
pub(crate) fn index_summary(frames: u64) -> IndexSummary {
    film(frames, (1920, 1080))
}

/// A plan of `parts` parts with `chunk_parts` to a chunk and `tracks` audio tracks; an encode attempt asks for 100
/// bytes of memory
/// and of scratch space.
pub(crate) fn plan_of(parts: u32, chunk_parts: u32, tracks: u32) -> Plan {
    Plan {
        grid: SegmentGrid::regular(u64::from(parts) * 10, 10, 1).unwrap(),
        chunk_parts,
        tracks: (0..tracks).collect(),
        renditions: 2,
        encode_memory: 100,
        encode_scratch: 100,
        video_codecs: BTreeSet::new(),
        audio_codecs: BTreeSet::new(),
        warnings: Vec::new(),
        flags: Vec::new(),
        targets: Vec::new(),
        image_memory: None,
        preview: false,
        check: true,
    }
}

/// The same plan with bit rates for its two renditions; `long` as of a title that has waves.
pub(crate) fn with_targets(plan: Plan, long: bool) -> Plan {
    let target = |rendition, codec| RateTarget {
        rendition,
        codec,
        goal: Goal::Bytes(20_000),
        crf_milli: 24_000,
        draft_milli: 1_300,
    };
    let targets = vec![target(0, VideoCodec::H264), target(1, VideoCodec::Av1)];
    let parts = if long { 64 + plan.grid.parts() } else { plan.grid.parts() };
    Plan { targets, ..plan_of(parts, plan.chunk_parts, plan.tracks.len() as u32) }
}

/// The same plan with still pictures, which ask for 80 bytes of memory.
pub(crate) fn with_images(plan: Plan) -> Plan {
    Plan { image_memory: Some(80), ..plan }
}

/// The record of a part, as a worker would report it.
pub(crate) fn record_of(part: u32) -> Artifact {
    Artifact::of(format!("record of part {part}").as_bytes())
}

/// Ends an attempt that has read 1,000 bytes of the mezzanine.
pub(crate) fn commit_task(task: TaskId, epoch: Epoch, result: TaskResult) -> Action {
    Action::CommitTask { task, epoch, result, source_bytes_read: Some(1_000) }
}

/// What a farm begins with.
pub(crate) struct FarmBuilder {
    workers: Vec<(String, u32, u64)>,
    jobs: Vec<(String, Plan, i32)>,
}

impl FarmBuilder {
    /// Memory that no task can use up.
    pub(crate) const PLENTY: u64 = 1 << 40;

    pub(crate) fn new() -> Self {
        FarmBuilder { workers: Vec::new(), jobs: Vec::new() }
    }

    /// A worker with `slots` slots and plenty of memory.
    pub(crate) fn worker(self, name: &str, slots: u32) -> Self {
        self.worker_with_memory(name, slots, Self::PLENTY)
    }

    pub(crate) fn worker_with_memory(mut self, name: &str, slots: u32, memory: u64) -> Self {
        self.workers.push((name.to_owned(), slots, memory));
        self
    }

    /// A job that is planned already.
    pub(crate) fn job(self, plan: Plan) -> Self {
        self.job_with_priority(plan, 0)
    }

    pub(crate) fn job_with_priority(mut self, plan: Plan, priority: i32) -> Self {
        self.jobs.push((JobSpec::DEFAULT_PROJECT.to_owned(), plan, priority));
        self
    }

    pub(crate) fn job_of(mut self, project: &str, plan: Plan) -> Self {
        self.jobs.push((project.to_owned(), plan, 0));
        self
    }

    pub(crate) fn build(self) -> Farm {
        let mut farm = Farm {
            state: FarmState::default(),
            log: Vec::new(),
            now_ms: 1_000,
            progress: Progress::default(),
        };
        for (project, plan, priority) in self.jobs {
            farm.add_job(&project, priority, plan);
        }
        for (name, slots, memory) in self.workers {
            farm.register(&name, 1, slots, memory);
        }
        farm
    }
}

/// A farm under test: every command goes through here, and every invariant is checked after each.
pub(crate) struct Farm {
    pub(crate) state: FarmState,
    pub(crate) log: Vec<(u64, Command)>,
    pub(crate) now_ms: u64,
    pub(crate) progress: Progress,
}

impl Farm {
    pub(crate) fn apply(&mut self, action: Action) -> Reply {
        let index = self.log.len() as u64 + 1;
        let command = Command::at(self.now_ms, action);
        self.log.push((index, command.clone()));
        let reply = self.state.apply(index, command);
        if !cfg!(debug_assertions) {
            assert_eq!(check_all(&self.state), Ok(()), "after {:?}", self.log.last());
        }
        reply
    }

    /// Applies what must be accepted.
    pub(crate) fn ok(&mut self, action: Action) -> Accepted {
        let reply = self.apply(action.clone());
        let Reply::Accepted(accepted) = reply else { panic!("{action:?} was answered {reply:?}") };
        accepted
    }

    /// Adds a job that is planned already; its index was measured by a worker that is gone.
    pub(crate) fn add_job(&mut self, project: &str, priority: i32, plan: Plan) -> JobId {
        let indexer = self.register("indexer", 1, 1, FarmBuilder::PLENTY);
        let output = format!("out-{}", self.state.last_job.0 + 1);
        let job = self.submit_spec(JobSpec { priority, project: project.to_owned(), ..job_spec(&output) });
        let task = TaskId { job, stage: Stage::Index, index: 0 };
        let epoch = self.grant(task, indexer);
        let summary = Box::new(index_summary(plan.grid.frames()));
        self.ok(commit_task(task, epoch, TaskResult::Index(summary)));
        self.ok(Action::CommitPlan { job, plan: Box::new(plan) });
        self.ok(Action::LoseWorker { worker: indexer, cause: LossCause::FarmRestarted });
        job
    }

    pub(crate) fn submit(&mut self, output: &str, priority: i32) -> JobId {
        self.submit_spec(JobSpec { priority, ..job_spec(output) })
    }

    pub(crate) fn submit_spec(&mut self, spec: JobSpec) -> JobId {
        let profile = if spec.has_title() { "profile text".to_owned() } else { String::new() };
        let Accepted::Job(id) = self.ok(Action::SubmitJob { spec: Box::new(spec), profile }) else {
            panic!("no job")
        };
        id
    }

    pub(crate) fn register(&mut self, name: &str, incarnation: u64, slots: u32, memory: u64) -> WorkerId {
        self.register_facts(facts(name, incarnation, slots, memory))
    }

    pub(crate) fn register_facts(&mut self, facts: WorkerFacts) -> WorkerId {
        let facts = Box::new(facts);
        let Accepted::Worker(id) = self.ok(Action::RegisterWorker { facts }) else { panic!("no worker") };
        id
    }

    pub(crate) fn worker(&self, name: &str) -> WorkerId {
        self.state.worker_named(name).unwrap().0
    }

    pub(crate) fn job(&self, job: u64) -> &Job {
        &self.state.jobs[&JobId(job)]
    }

    /// What a grant of `task` to `worker` would be.
    pub(crate) fn grant_of(&self, task: TaskId, worker: WorkerId) -> Action {
        let parts = self.state.jobs[&task.job].parts_of(task.stage, task.index);
        Action::Grant { task, worker, parts, reserved: Reserved { memory: 1, scratch: 0 } }
    }

    pub(crate) fn grant(&mut self, task: TaskId, worker: WorkerId) -> Epoch {
        let action = self.grant_of(task, worker);
        let Accepted::Granted { epoch, .. } = self.ok(action) else { panic!("no epoch") };
        epoch
    }

    /// Commits a part, of which both renditions were encoded.
    pub(crate) fn commit_part(&mut self, task: TaskId, epoch: Epoch, part: u32) -> Reply {
        let (part, record) = (PartIndex(part), record_of(part));
        self.apply(Action::CommitPart {
            task,
            epoch,
            part,
            record,
            encoded: 2,
            reused: 0,
            measured: vec![Measured::sized(1_000); 2],
        })
    }

    /// Commits what the attempt has left, and the task.
    pub(crate) fn finish(&mut self, task: TaskId, epoch: Epoch) {
        let result = match task.stage {
            Stage::Index => TaskResult::Index(Box::new(index_summary(240))),
            Stage::Encode => {
                let range = self.state.jobs[&task.job].chunk(task.index).unwrap();
                for run in self.state.jobs[&task.job].encode.uncommitted(range) {
                    for part in run.parts() {
                        assert_eq!(self.commit_part(task, epoch, part.0), Reply::DONE);
                    }
                }
                TaskResult::Nothing
            }
            Stage::Probe => TaskResult::Measured(vec![Measured::sized(1_000); 2]),
            Stage::Hook | Stage::Preview => TaskResult::Nothing,
            stage => TaskResult::Object(Artifact::of(stage.name().as_bytes())),
        };
        self.ok(commit_task(task, epoch, result));
    }

    pub(crate) fn fail(&mut self, task: TaskId, epoch: Epoch, class: FailureClass, message: &str) -> Reply {
        let failure = Failure::new(class, message, "evidence");
        self.apply(Action::FailAttempt { task, epoch, failure })
    }

    /// What placement proposes now.
    pub(crate) fn proposals(&self) -> Vec<Action> {
        let placed = place(&self.state, &self.progress, self.now_ms).into_iter();
        let placed = placed.chain(make_room(&self.state, &self.progress, self.now_ms));
        placed.map(|command| command.action).collect()
    }

    /// Places until nothing more is proposed.
    pub(crate) fn place(&mut self) {
        let waiting = crate::view::undecided(&self.state);
        for step in
            waiting.into_iter().filter_map(|job| crate::view::rate_step(&self.state, job)).collect::<Vec<_>>()
        {
            self.ok(step);
        }
        for _ in 0..1_000 {
            let proposals = self.proposals();
            if proposals.is_empty() {
                return;
            }
            for action in proposals {
                self.ok(action);
            }
        }
        panic!("placement does not come to an end");
    }

    /// The live attempts.
    pub(crate) fn running(&self) -> Vec<(TaskId, Epoch)> {
        self.state.leases.iter().map(|(task, lease)| (*task, lease.epoch)).collect()
    }

    /// Places and finishes attempts until nothing runs.
    pub(crate) fn run_to_end(&mut self) {
        for _ in 0..100_000 {
            self.place();
            let Some((task, epoch)) = self.running().first().copied() else { return };
            self.finish(task, epoch);
        }
        panic!("the farm does not come to an end");
    }
}

/// The same plan, of which parts are shown before the title is whole.
pub(crate) fn with_preview(plan: Plan) -> Plan {
    Plan { preview: true, ..plan }
}

/// A worker that checks titles and shows them, with scratch space that no task can use up.
pub(crate) fn facts(name: &str, incarnation: u64, slots: u32, memory: u64) -> WorkerFacts {
    let (name, scratch) = (name.to_owned(), FarmBuilder::PLENTY);
    let codecs = [Stage::CHECK_CODEC, Stage::PREVIEW_CODEC].map(str::to_owned).into();
    WorkerFacts { name, incarnation, slots, memory, scratch, codecs, ..WorkerFacts::default() }
}

/// A request for `output`.
pub(crate) fn job_spec(output: &str) -> JobSpec {
    JobSpec { mezzanine: "film.mov".to_owned(), output: output.to_owned(), ..JobSpec::default() }
}

pub(crate) fn encode(job: u64, index: u32) -> TaskId {
    TaskId { job: JobId(job), stage: Stage::Encode, index }
}

pub(crate) fn task(job: u64, stage: Stage, index: u32) -> TaskId {
    TaskId { job: JobId(job), stage, index }
}

pub(crate) fn parts(start: u32, end: u32) -> Option<PartRange> {
    Some(PartRange::new(start, end))
}
