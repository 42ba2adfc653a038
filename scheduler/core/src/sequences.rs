//! Random sequences of commands: every invariant after each, the promises checked from outside, and the log replayed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use reel_common::{
    Artifact, Epoch, Failure, FailureClass, JobId, Measured, PartIndex, Stage, TaskId, WorkerFacts, WorkerId,
};

use crate::command::{Action, JobSpec, LossCause, Reply, Reserved, TaskResult};
use crate::state::{FarmState, JobState};
use crate::testing::{
    Farm, FarmBuilder, commit_task, facts, index_summary, job_spec, plan_of, record_of, with_images,
    with_preview, with_targets,
};

/// One thing that happens; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Submit {
        output: u8,
        priority: i8,
        parts: u8,
        chunk_parts: u8,
        tracks: u8,
        hooks: u8,
    },
    Register {
        name: u8,
        slots: u8,
        memory: u16,
    },
    Place,
    /// An attempt, live or long dead, commits a part.
    CommitPart {
        attempt: u8,
        part: u8,
        encoded: u8,
    },
    /// A live attempt commits its next part.
    CommitNext {
        attempt: u8,
    },
    /// An attempt, live or long dead, ends.
    CommitTask {
        attempt: u8,
        object: bool,
    },
    /// A live attempt commits all that it has left.
    Finish {
        attempt: u8,
    },
    Fail {
        attempt: u8,
        class: u8,
        damaged: Vec<u8>,
    },
    HandBack {
        attempt: u8,
    },
    Expire {
        attempt: u8,
    },
    Lose {
        worker: u8,
        restarted: bool,
    },
    Cut {
        attempt: u8,
        at: u8,
    },
    Progress {
        attempt: u8,
        part: u8,
    },
    Cancel {
        job: u8,
    },
    Pause {
        job: u8,
    },
    Priority {
        job: u8,
        priority: u8,
    },
    Resume {
        job: u8,
    },
    Retry {
        job: u8,
    },
    /// A hook, done or not, is given up.
    Skip {
        job: u8,
        index: u8,
    },
    RejectPlan {
        job: u8,
    },
    Prune,
    /// A message that was sent before comes again.
    Again {
        back: u8,
    },
    Wait {
        ms: u16,
    },
    /// A command about things that need not exist.
    Nonsense {
        job: u8,
        stage: u8,
        index: u8,
        epoch: u8,
        kind: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let n = any::<u8>;
    let damaged = prop::collection::vec(0u8..12, 0..3);
    prop_oneof![
        2 => (0u8..4, -1i8..2, 1u8..14, 1u8..6, 0u8..3, 0u8..4).prop_map(
            |(output, priority, parts, chunk_parts, tracks, hooks)| Step::Submit {
                output, priority, parts, chunk_parts, tracks, hooks,
            }
        ),
        3 => (0u8..4, 1u8..4, 50u16..400).prop_map(|(name, slots, memory)| Step::Register { name, slots, memory }),
        12 => Just(Step::Place),
        4 => (n(), 0u8..14, 0u8..3).prop_map(|(attempt, part, encoded)| Step::CommitPart { attempt, part, encoded }),
        14 => n().prop_map(|attempt| Step::CommitNext { attempt }),
        3 => (n(), any::<bool>()).prop_map(|(attempt, object)| Step::CommitTask { attempt, object }),
        12 => n().prop_map(|attempt| Step::Finish { attempt }),
        4 => (n(), 0u8..6, damaged).prop_map(|(attempt, class, damaged)| Step::Fail { attempt, class, damaged }),
        2 => n().prop_map(|attempt| Step::HandBack { attempt }),
        2 => n().prop_map(|attempt| Step::Expire { attempt }),
        1 => (n(), any::<bool>()).prop_map(|(worker, restarted)| Step::Lose { worker, restarted }),
        3 => (n(), 0u8..14).prop_map(|(attempt, at)| Step::Cut { attempt, at }),
        2 => (n(), 0u8..14).prop_map(|(attempt, part)| Step::Progress { attempt, part }),
        1 => n().prop_map(|job| Step::Cancel { job }),
        1 => n().prop_map(|job| Step::Pause { job }),
        1 => (n(), n()).prop_map(|(job, priority)| Step::Priority { job, priority }),
        1 => n().prop_map(|job| Step::Resume { job }),
        1 => n().prop_map(|job| Step::Retry { job }),
        1 => (n(), 0u8..6).prop_map(|(job, index)| Step::Skip { job, index }),
        1 => n().prop_map(|job| Step::RejectPlan { job }),
        1 => Just(Step::Prune),
        3 => n().prop_map(|back| Step::Again { back }),
        4 => (0u16..20_000).prop_map(|ms| Step::Wait { ms }),
        2 => (n(), 0u8..9, n(), n(), 0u8..10).prop_map(|(job, stage, index, epoch, kind)| {
            Step::Nonsense { job, stage, index, epoch, kind }
        }),
    ]
}

/// A farm and what an onlooker remembers of its answers.
struct Onlooker {
    farm: Farm,
    plans: BTreeMap<JobId, (u8, u8, u8)>,
    /// Every attempt ever granted.
    attempts: Vec<(TaskId, Epoch)>,
    newest: BTreeMap<TaskId, Epoch>,
    committed: BTreeSet<(JobId, PartIndex)>,
    /// Hooks that are done or given up.
    hooks: BTreeSet<TaskId>,
}

impl Onlooker {
    fn new() -> Self {
        Onlooker {
            farm: FarmBuilder::new().build(),
            plans: BTreeMap::new(),
            attempts: Vec::new(),
            newest: BTreeMap::new(),
            committed: BTreeSet::new(),
            hooks: BTreeSet::new(),
        }
    }

    fn apply(&mut self, action: Action) -> Reply {
        let before: u32 = self.farm.state.jobs.values().map(|job| job.reopenings).sum();
        let reply = self.farm.apply(action.clone());
        let accepted = matches!(reply, Reply::Accepted(_));
        match action {
            Action::Grant { task, parts, .. } if accepted => {
                let epoch = Epoch(self.farm.state.applied);
                let encoded = parts.filter(|_| task.stage == Stage::Encode);
                for part in encoded.into_iter().flat_map(crate::state::PartRange::parts) {
                    assert!(!self.committed.contains(&(task.job, part)), "{part} of {task} is granted again");
                }
                assert!(!self.hooks.contains(&task), "{task} is granted again");
                let older = self.newest.insert(task, epoch);
                assert!(older < Some(epoch), "epochs of {task} go back");
                self.attempts.push((task, epoch));
            }
            Action::CommitPart { task, epoch, part, .. } if accepted && task.stage == Stage::Encode => {
                assert_eq!(self.newest.get(&task), Some(&epoch), "a dead epoch has committed");
                assert!(self.committed.insert((task.job, part)), "{part} of {task} was committed twice");
            }
            Action::CommitTask { task, epoch, .. } if accepted => {
                assert_eq!(self.newest.get(&task), Some(&epoch), "a dead epoch has committed");
                if task.stage == Stage::Hook {
                    self.hooks.insert(task);
                }
            }
            Action::SkipTask { task } if accepted => {
                assert!(self.hooks.insert(task), "{task} was done and is skipped");
            }
            _ => {}
        }
        let after: u32 = self.farm.state.jobs.values().map(|job| job.reopenings).sum();
        if before != after {
            self.committed = self.committed_parts();
        }
        for (job, part) in &self.committed {
            let known =
                self.farm.state.jobs.get(job).is_none_or(|job| job.encode.committed.contains_key(part));
            assert!(known, "part {part} of job {job} is no longer committed");
        }
        reply
    }

    fn committed_parts(&self) -> BTreeSet<(JobId, PartIndex)> {
        let jobs = self.farm.state.jobs.iter();
        jobs.flat_map(|(id, job)| job.encode.committed.keys().map(|part| (*id, *part))).collect()
    }

    fn attempt(&self, choice: u8) -> Option<(TaskId, Epoch)> {
        // Half of the choices fall on live attempts, the others on any.
        let live = self.farm.running();
        match live.len() {
            0 => None,
            count if choice < 128 => Some(live[usize::from(choice) % count]),
            _ => None,
        }
        .or_else(|| self.attempts.get(usize::from(choice) % self.attempts.len().max(1)).copied())
    }

    fn live(&self, choice: u8) -> Option<(TaskId, Epoch)> {
        let live = self.farm.running();
        live.get(usize::from(choice) % live.len().max(1)).copied()
    }

    fn job(&self, choice: u8) -> JobId {
        JobId(u64::from(choice) % (self.farm.state.last_job.0 + 1))
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Submit { .. } => self.submit(step),
            Step::Register { name, slots, memory } => {
                let incarnation = self.farm.state.applied + 1;
                let (name, slots, memory) = (format!("w{name}"), u32::from(slots), u64::from(memory));
                self.register(facts(&name, incarnation, slots, memory));
            }
            Step::Place => self.place(),
            Step::Progress { attempt, part } => {
                if let Some((task, epoch)) = self.attempt(attempt) {
                    self.farm.progress.note(task, epoch, PartIndex(u32::from(part)));
                }
            }
            Step::Wait { ms } => self.farm.now_ms += u64::from(ms),
            Step::Finish { attempt } => {
                if let Some((task, epoch)) = self.live(attempt) {
                    self.finish(task, epoch);
                }
            }
            Step::Again { back } => {
                let log = &self.farm.log;
                let again =
                    log.len().checked_sub(usize::from(back) + 1).map(|place| log[place].1.action.clone());
                again.map(|action| self.apply(action));
            }
            other => {
                let action = self.action(other);
                action.map(|action| self.apply(action));
            }
        }
    }

    /// Registers a worker that has the hook of all jobs and makes still pictures.
    fn register(&mut self, facts: WorkerFacts) {
        let facts = WorkerFacts { hooks: BTreeSet::from(["hook".to_owned()]), ..facts };
        let codecs = [Stage::IMAGE_CODEC, Stage::PREVIEW_CODEC, Stage::CHECK_CODEC].map(str::to_owned).into();
        let facts = WorkerFacts { codecs, ..facts };
        self.apply(Action::RegisterWorker { facts: Box::new(facts) });
    }

    fn submit(&mut self, step: Step) {
        let Step::Submit { output, priority, parts, chunk_parts, tracks, hooks } = step else { return };
        let key = (output == 0).then(|| "one key".to_owned());
        let (titled, hooks) = match hooks {
            0 => (true, &[][..]),
            1 => (true, &["hook"][..]),
            2 => (true, &["hook:3", "hook"][..]),
            _ => (false, &["hook:5"][..]),
        };
        let spec = match titled {
            true => job_spec(&format!("out-{output}")),
            false => JobSpec::default(),
        };
        let hooks = hooks.iter().filter_map(|hook| hook.parse().ok()).collect();
        let spec = JobSpec { priority: i32::from(priority), idempotency_key: key, hooks, ..spec };
        let profile = if titled { "profile text" } else { "" };
        self.apply(Action::SubmitJob { spec: Box::new(spec), profile: profile.to_owned() });
        self.plans.entry(self.farm.state.last_job).or_insert((parts, chunk_parts, tracks));
    }

    /// What a leader does: plans what is indexed, then places once.
    fn place(&mut self) {
        for job in crate::view::undecided(&self.farm.state) {
            if let Some(step) = crate::view::rate_step(&self.farm.state, job) {
                assert_eq!(self.apply(step.clone()), Reply::DONE);
                assert!(matches!(self.apply(step), Reply::Refused(_)), "a step was taken twice");
                continue;
            }
            // A job whose submit came again after its end has no plan of its own here.
            let (parts, chunk_parts, tracks) = self.plans.get(&job).copied().unwrap_or((5, 2, 1));
            let mut plan = plan_of(u32::from(parts), u32::from(chunk_parts), u32::from(tracks));
            // Of two or more tracks, with bit rates; of many parts, in waves.
            if tracks > 1 {
                plan = with_targets(plan, u32::from(parts) % 4 == 0);
            }
            if parts % 3 == 0 {
                plan = with_images(plan);
            }
            if parts % 2 == 0 {
                plan = with_preview(plan);
            }
            self.apply(Action::CommitPlan { job, plan: Box::new(plan) });
        }
        for action in self.farm.proposals() {
            let reply = self.apply(action);
            assert!(matches!(reply, Reply::Accepted(_)), "a proposal was answered {reply:?}");
        }
    }

    fn finish(&mut self, task: TaskId, epoch: Epoch) {
        let job = &self.farm.state.jobs[&task.job];
        let left = job.chunk(task.index).filter(|_| task.stage == Stage::Encode);
        let parts: Vec<_> = left
            .into_iter()
            .flat_map(|range| job.encode.uncommitted(range))
            .flat_map(|run| run.parts())
            .collect();
        for part in parts {
            let record = record_of(part.0);
            let measured = vec![Measured::sized(900 + u64::from(part.0)); 2];
            self.apply(Action::CommitPart { task, epoch, part, record, encoded: 1, reused: 1, measured });
        }
        let result = match task.stage {
            Stage::Index => TaskResult::Index(Box::new(index_summary(100))),
            Stage::Probe => TaskResult::Measured(vec![Measured::sized(1_000); 2]),
            Stage::Encode | Stage::Preview | Stage::Hook => TaskResult::Nothing,
            _ => TaskResult::Object(Artifact::of(b"object")),
        };
        self.apply(commit_task(task, epoch, result));
    }

    fn action(&self, step: Step) -> Option<Action> {
        Some(match step {
            Step::CommitPart { attempt, part, encoded } => {
                let ((task, epoch), part) = (self.attempt(attempt)?, u32::from(part));
                let (record, encoded) = (record_of(part), u32::from(encoded));
                let (part, measured) = (PartIndex(part), vec![Measured::sized(u64::MAX); 2]);
                Action::CommitPart { task, epoch, part, record, encoded, reused: 0, measured }
            }
            Step::CommitNext { attempt } => {
                let (task, epoch) = self.live(attempt)?;
                let job = self.farm.state.jobs.get(&task.job)?;
                let part = job.encode.first_uncommitted(job.chunk(task.index)?)?;
                let (record, measured) = (record_of(part.0), vec![Measured::sized(1_000); 2]);
                Action::CommitPart { task, epoch, part, record, encoded: 1, reused: 1, measured }
            }
            Step::CommitTask { attempt, object } => {
                let (task, epoch) = self.attempt(attempt)?;
                let object = object.then(|| TaskResult::Object(Artifact::of(b"object")));
                commit_task(task, epoch, object.unwrap_or(TaskResult::Nothing))
            }
            Step::Fail { attempt, class, damaged } => {
                let (task, epoch) = self.attempt(attempt)?;
                let mut failure = Failure::new(CLASSES[usize::from(class)], "it failed", "");
                failure.damaged_images = !damaged.is_empty();
                failure.damaged_tracks = damaged.iter().map(|track| u32::from(*track)).collect();
                failure.damaged_parts = damaged.iter().map(|part| PartIndex(u32::from(*part))).collect();
                Action::FailAttempt { task, epoch, failure }
            }
            Step::HandBack { attempt } => {
                let (task, epoch) = self.attempt(attempt)?;
                Action::HandBack { task, epoch }
            }
            Step::Expire { attempt } => {
                let (task, epoch) = self.attempt(attempt)?;
                Action::ExpireLease { task, epoch }
            }
            Step::Cut { attempt, at } => {
                let (task, epoch) = self.attempt(attempt)?;
                Action::CutChunk { task, epoch, at_part: PartIndex(u32::from(at)) }
            }
            Step::Lose { worker, restarted } => {
                let worker = WorkerId(u64::from(worker) % (self.farm.state.last_worker.0 + 1));
                let cause = if restarted { LossCause::FarmRestarted } else { LossCause::Silent };
                Action::LoseWorker { worker, cause }
            }
            Step::Nonsense { .. } => nonsense(step),
            other => self.action_on_job(other)?,
        })
    }

    fn action_on_job(&self, step: Step) -> Option<Action> {
        Some(match step {
            Step::Cancel { job } => Action::CancelJob { job: self.job(job) },
            Step::Pause { job } => Action::PauseJob { job: self.job(job) },
            Step::Priority { job, priority } => {
                Action::SetPriority { job: self.job(job), priority: i32::from(priority) }
            }
            Step::Resume { job } => Action::ResumeJob { job: self.job(job) },
            Step::RejectPlan { job } => {
                Action::RejectPlan { job: self.job(job), reason: "refused".to_owned() }
            }
            Step::Retry { job } => {
                let job = self.farm.state.jobs.get(&self.job(job))?;
                Action::RetryTask { task: job.failure.as_ref()?.task? }
            }
            Step::Skip { job, index } => {
                let index = u32::from(index);
                Action::SkipTask { task: TaskId { job: self.job(job), stage: Stage::Hook, index } }
            }
            Step::Prune => Action::PruneJobs,
            _ => return None,
        })
    }
}

const CLASSES: [FailureClass; 6] = [
    FailureClass::Preempted,
    FailureClass::Lost,
    FailureClass::Shortage,
    FailureClass::Failed,
    FailureClass::Invalid,
    FailureClass::Poisoned,
];

fn nonsense(step: Step) -> Action {
    let Step::Nonsense { job, stage, index, epoch, kind } = step else { return Action::PruneJobs };
    let (job, epoch) = (JobId(u64::from(job)), Epoch(u64::from(epoch)));
    let task = TaskId { job, stage: Stage::ALL[usize::from(stage)], index: u32::from(index) };
    let part = PartIndex(u32::from(index));
    match kind {
        0 => Action::CommitPart {
            task,
            epoch,
            part,
            record: record_of(0),
            encoded: u32::MAX,
            reused: u32::MAX,
            measured: Vec::new(),
        },
        1 => {
            Action::CommitTask { task, epoch, result: TaskResult::Nothing, source_bytes_read: Some(u64::MAX) }
        }
        2 => Action::CutChunk { task, epoch, at_part: part },
        3 => Action::Grant {
            task,
            worker: WorkerId(epoch.0),
            parts: None,
            reserved: Reserved { memory: u64::MAX, scratch: 0 },
        },
        4 if index % 2 == 0 => Action::RetryJob { job },
        4 => Action::RetryTask { task },
        5 => Action::CommitPlan { job, plan: Box::new(plan_of(1, 1, 1)) },
        6 => Action::HandBack { task, epoch },
        7 => Action::ExpireLease { task, epoch },
        8 => Action::SkipTask { task },
        _ => Action::CancelJob { job: JobId(u64::MAX) },
    }
}

proptest! {
    #[test]
    fn invariants_hold_after_every_command_and_one_log_makes_one_state(
        steps in prop::collection::vec(step(), 1..150),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut onlooker = Onlooker::new();
        for step in steps {
            onlooker.take(step);
        }
        let farm = onlooker.farm;
        let mut replayed = FarmState::default();
        let stop = cut.index(farm.log.len() + 1);
        for (place, (index, command)) in farm.log.iter().enumerate() {
            if place == stop {
                // As from a snapshot: the derived fields are made anew.
                let mut restored = replayed.clone();
                restored.by_key.clear();
                restored.open.clear();
                restored.by_output.clear();
                restored.by_worker.clear();
                restored.reindex();
                prop_assert_eq!(&restored, &replayed);
            }
            replayed.apply(*index, command.clone());
        }
        prop_assert_eq!(replayed, farm.state);
    }

    #[test]
    fn whatever_happened_open_jobs_end_once_the_farm_is_well(steps in prop::collection::vec(step(), 1..120)) {
        let mut onlooker = Onlooker::new();
        for step in steps {
            onlooker.take(step);
        }
        for job in 1..=onlooker.farm.state.last_job.0 {
            onlooker.apply(Action::ResumeJob { job: JobId(job) });
        }
        let (name, memory) = ("healthy".to_owned(), FarmBuilder::PLENTY);
        onlooker.register(facts(&name, 1, 3, memory));
        for _ in 0..10_000 {
            onlooker.farm.now_ms += 1_000;
            onlooker.place();
            let running = onlooker.farm.running();
            if running.is_empty() && onlooker.farm.state.open.is_empty() {
                break;
            }
            for (task, epoch) in running {
                if onlooker.farm.state.live(task, epoch).is_some() {
                    onlooker.finish(task, epoch);
                }
            }
        }
        for (id, job) in &onlooker.farm.state.jobs {
            prop_assert!(!job.state.is_open(), "job {} is still {}", id, job.state.name());
            if job.state == JobState::Done {
                prop_assert_eq!(job.parts_committed(), job.parts_total());
            }
        }
    }
}
