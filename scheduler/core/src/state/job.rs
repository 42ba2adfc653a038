//! One job: its request, its plan, and how far each stage is.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use reel_common::{
    Artifact, Digest, Edit, Epoch, Failure, Hook, IndexSummary, JobState, PartIndex, Stage, TaskId,
    TextSource, WorkerFacts, WorkerId,
};

use super::{AttemptRecord, EncodeState, JobWorker, PartRange, RateState, TaskRecord, TaskSet};
use crate::command::{JobSpec, Reserved};
use crate::plan::Plan;

/// Why a job failed: the first failure that could not be retried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFailure {
    /// The task that failed; `None` where the plan was refused.
    pub task: Option<TaskId>,
    /// Name of the worker it ran on; empty where the plan was refused.
    pub worker: String,
    /// The failure.
    pub failure: Failure,
}

/// How long a stage of a job backs off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageBackoff {
    /// Shortages since the stage last made progress.
    pub shortages: u32,
    /// Nothing of the stage is granted before this time, in milliseconds since 1970.
    pub not_before_ms: u64,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What was asked for.
    pub spec: JobSpec,
    /// Digest of its profile's text, which is in [`FarmState::profiles`](super::FarmState::profiles).
    pub profile: Digest,
    /// Its state.
    pub state: JobState,
    /// When it was accepted, in milliseconds since 1970.
    pub submitted_ms: u64,
    /// When it ended, likewise.
    pub ended_ms: Option<u64>,
    /// Why it failed.
    pub failure: Option<Box<JobFailure>>,
    /// The result of index.
    pub index: Option<Box<IndexSummary>>,
    /// The plan.
    pub plan: Option<Box<Plan>>,
    /// Its parts; empty before the plan.
    pub encode: EncodeState,
    /// How it comes to its bit rates; empty where the plan has no targets.
    pub rate: RateState,
    /// The `AudioRecord`s of the committed tracks, by their number in the profile.
    pub audio: BTreeMap<u32, Artifact>,
    /// The `ImageRecord` of its still pictures.
    pub images: Option<Artifact>,
    /// How many parts, from the first, are shown at OUTPUT while others are still encoded.
    pub previewed: u32,
    /// No more of them are shown, since that failed too often.
    pub preview_over: bool,
    /// The result of assemble.
    pub assembly: Option<Artifact>,
    /// The result of measure.
    pub proof: Option<Artifact>,
    /// The result of check.
    pub check: Option<Artifact>,
    /// The result of deliver.
    pub report: Option<Artifact>,
    /// The tasks of its hooks.
    pub hooks: TaskSet,
    /// What is remembered of tasks that were granted; chunks, hooks and probes that are finished are dropped.
    pub tasks: BTreeMap<(Stage, u32), TaskRecord>,
    /// Stages that met a shortage.
    pub backoffs: BTreeMap<Stage, StageBackoff>,
    /// The workers that attempts were granted to.
    pub workers: BTreeMap<WorkerId, JobWorker>,
    /// The newest attempts that ended, oldest first.
    pub attempts: VecDeque<AttemptRecord>,
    /// Attempts granted so far.
    pub attempts_total: u64,
    /// Commits of an already committed part whose attempt encoded anything of it.
    pub parts_encoded_twice: u64,
    /// Renditions encoded, over all commits.
    pub renditions_encoded: u64,
    /// Renditions found in the store, over all commits.
    pub renditions_reused: u64,
    /// Bytes of the mezzanine that were read, over all attempts that ended with their result.
    pub source_bytes_read: u64,
    /// What all attempts that ended have cost, in millionths of the site's currency.
    pub cost_micros: u64,
    /// How often damaged parts or tracks were reopened.
    pub reopenings: u32,
}

impl Job {
    /// Attempts remembered of an open job: what a report lists.
    pub const MAX_ATTEMPTS: usize = 10_000;
    /// Attempts remembered of a job that has ended, so that a thousand of them stay small; the report has the rest.
    pub const MAX_ATTEMPTS_ENDED: usize = 100;

    /// A job as it is accepted.
    pub fn new(spec: JobSpec, profile: Digest, submitted_ms: u64) -> Self {
        Job {
            spec,
            profile,
            state: JobState::Queued,
            submitted_ms,
            ended_ms: None,
            failure: None,
            index: None,
            plan: None,
            encode: EncodeState::default(),
            rate: RateState::default(),
            audio: BTreeMap::new(),
            images: None,
            previewed: 0,
            preview_over: false,
            assembly: None,
            proof: None,
            check: None,
            report: None,
            hooks: TaskSet::default(),
            tasks: BTreeMap::new(),
            backoffs: BTreeMap::new(),
            workers: BTreeMap::new(),
            attempts: VecDeque::new(),
            attempts_total: 0,
            parts_encoded_twice: 0,
            renditions_encoded: 0,
            renditions_reused: 0,
            source_bytes_read: 0,
            cost_micros: 0,
            reopenings: 0,
        }
    }

    /// Parts of the title; 0 before the plan.
    pub fn parts_total(&self) -> u32 {
        self.plan.as_ref().map_or(0, |plan| plan.grid.parts())
    }

    /// Parts committed.
    pub fn parts_committed(&self) -> u32 {
        self.encode.committed.len() as u32
    }

    /// Whether its plan has still pictures.
    pub fn has_images(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.image_memory.is_some())
    }

    /// Whether every part and track is committed, and the still pictures.
    pub fn is_encoded(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| {
            self.parts_committed() == plan.grid.parts()
                && self.audio.len() == plan.tracks.len()
                && self.images.is_some() == plan.image_memory.is_some()
        })
    }

    /// Whether the index waits for a plan.
    pub fn wants_plan(&self) -> bool {
        self.state.is_open() && self.index.is_some() && self.plan.is_none()
    }

    /// Whether the last round of probes or wave of the encode is over, and the leader is to say what comes next.
    pub fn wants_rate(&self) -> bool {
        let wave_is_over = |plan: &Plan| {
            let open = self.rate.waves.len();
            open < plan.waves() && self.parts_committed() == plan.parts_of_waves(open)
        };
        let plan = self.plan.as_ref().filter(|plan| !plan.targets.is_empty());
        self.state.is_open() && !self.rate.probing && plan.is_some_and(|plan| wave_is_over(plan))
    }

    /// The chunks of the plan whose turn has come are those below this number.
    pub(crate) fn chunks_begun(&self, plan: &Plan) -> u32 {
        if plan.targets.is_empty() { plan.chunks() } else { plan.chunks_of_waves(self.rate.waves.len()) }
    }

    /// Whether tasks of `stage` may run: what it depends on is complete and it is not. This alone decides, so that a
    /// stage that becomes complete makes its dependants ready in the same step.
    pub fn is_ready(&self, stage: Stage) -> bool {
        match (stage, &self.plan) {
            (Stage::Index, _) => self.spec.has_title() && self.index.is_none(),
            (Stage::Hook, _) => self.is_delivered() && self.hook_now().is_some(),
            (_, None) => false,
            (Stage::Probe, _) => self.rate.probing,
            (Stage::Encode, Some(plan)) => {
                let begun = plan.targets.is_empty() || !self.rate.waves.is_empty();
                begun && self.parts_committed() < plan.grid.parts()
            }
            (Stage::Audio, Some(plan)) => self.audio.len() < plan.tracks.len(),
            (Stage::Image, Some(plan)) => plan.image_memory.is_some() && self.images.is_none(),
            (Stage::Preview, Some(plan)) => {
                let whole_sound = self.audio.len() == plan.tracks.len();
                let more = self.encode.committed.contains_key(&PartIndex(self.previewed));
                plan.preview && !self.preview_over && whole_sound && more && !self.is_encoded()
            }
            (Stage::Assemble, _) => self.is_encoded() && self.assembly.is_none(),
            (Stage::Measure, _) => self.assembly.is_some() && self.proof.is_none(),
            (Stage::Check, Some(plan)) => plan.check && self.proof.is_some() && self.check.is_none(),
            (Stage::Deliver, Some(plan)) => {
                self.proof.is_some() && self.check.is_some() == plan.check && self.report.is_none()
            }
        }
    }

    /// Whether a job has tasks of a stage at all.
    pub fn has_stage(&self, stage: Stage) -> bool {
        match stage {
            Stage::Hook => !self.spec.hooks.is_empty(),
            Stage::Probe => self.plan.as_ref().is_some_and(|plan| !plan.targets.is_empty()),
            Stage::Image => self.has_images(),
            Stage::Preview => self.plan.as_ref().is_some_and(|plan| plan.preview),
            Stage::Check => self.plan.as_ref().is_none_or(|plan| plan.check) && self.spec.has_title(),
            _ => self.spec.has_title(),
        }
    }

    /// Whether its title is delivered, if it makes one.
    pub fn is_delivered(&self) -> bool {
        self.report.is_some() || !self.spec.has_title()
    }

    /// Whether nothing is left to do.
    pub fn is_complete(&self) -> bool {
        self.is_delivered() && self.hook_now().is_none()
    }

    /// Tasks of all its hooks.
    pub fn hook_tasks(&self) -> u32 {
        self.spec.hooks.iter().map(|hook| hook.tasks).sum()
    }

    /// The hook that a task runs, and the numbers of all tasks that do.
    pub fn hook_of(&self, index: u32) -> Option<(&Hook, Range<u32>)> {
        let mut end = 0;
        self.spec.hooks.iter().find_map(|hook| {
            let start = end;
            end += hook.tasks;
            (start..end).contains(&index).then_some((hook, start..end))
        })
    }

    /// The hook whose turn it is: they are run one after the other, the tasks of one side by side.
    pub fn hook_now(&self) -> Option<(&Hook, Range<u32>)> {
        self.hook_of(self.hooks.first_open())
    }

    /// The parts in the range of encode task `index`, while it is not finished.
    pub fn chunk(&self, index: u32) -> Option<PartRange> {
        let planned = || {
            let plan = self.plan.as_ref()?;
            (self.encode.fresh <= index && index < plan.chunks()).then(|| plan.chunk(index))
        };
        self.encode.chunks.get(&index).copied().or_else(planned)
    }

    /// What a grant of the task hands out: the parts in the range of an encode task, and those that a preview is to show in
    /// addition to the ones that are shown.
    pub fn parts_of(&self, stage: Stage, index: u32) -> Option<PartRange> {
        match stage {
            Stage::Encode => self.chunk(index),
            Stage::Preview => {
                let shown = self.previewed;
                let next = self.encode.committed.range(PartIndex(shown)..).map(|(part, _)| part.0);
                let more = (shown..).zip(next).take_while(|(number, part)| number == part).count();
                Some(PartRange::new(shown, shown + more as u32))
            }
            _ => None,
        }
    }

    /// Whether the task exists, and what it depends on is complete and itself is not.
    pub fn wants(&self, stage: Stage, index: u32) -> bool {
        let exists = match stage {
            Stage::Probe => index < self.parts_total() && self.rate.probed.is_open(index),
            Stage::Encode => self.chunk(index).is_some() && !self.waits_for_its_wave(index),
            Stage::Audio => {
                let planned = self.plan.as_ref().is_some_and(|plan| plan.tracks.contains(&index));
                planned && !self.audio.contains_key(&index)
            }
            Stage::Hook => {
                let turn = self.hook_now().is_some_and(|(_, tasks)| tasks.contains(&index));
                turn && self.hooks.is_open(index)
            }
            _ => index == 0,
        };
        exists && self.is_ready(stage)
    }

    /// Whether a chunk of the plan belongs to a wave that is not open yet.
    fn waits_for_its_wave(&self, index: u32) -> bool {
        self.plan.as_ref().is_some_and(|plan| (self.chunks_begun(plan)..plan.chunks()).contains(&index))
    }

    /// When the task may be granted again, in milliseconds since 1970; 0 where nothing holds it back.
    pub fn not_before_ms(&self, stage: Stage, index: u32) -> u64 {
        let task = self.tasks.get(&(stage, index)).map_or(0, |task| task.not_before_ms);
        self.stage_not_before_ms(stage).max(task)
    }

    /// When tasks of a stage may be granted again, likewise.
    pub fn stage_not_before_ms(&self, stage: Stage) -> u64 {
        self.backoffs.get(&stage).map_or(0, |backoff| backoff.not_before_ms)
    }

    /// What an attempt of `stage` asks a worker to reserve.
    pub fn demand_of(&self, stage: Stage) -> Reserved {
        match (stage, &self.plan) {
            (Stage::Encode | Stage::Probe, Some(plan)) => {
                Reserved { memory: plan.encode_memory, scratch: plan.encode_scratch }
            }
            (Stage::Image, Some(plan)) => {
                Reserved { memory: plan.image_memory.unwrap_or(Plan::LIGHT_MEMORY), scratch: 0 }
            }
            (Stage::Assemble | Stage::Measure | Stage::Check | Stage::Deliver, Some(plan)) => {
                Reserved { memory: plan.tree_memory(), scratch: 0 }
            }
            _ => Reserved { memory: Plan::LIGHT_MEMORY, scratch: 0 },
        }
    }

    /// Whether a worker has the labels that the job needs, and the codecs or the hook of `stage`.
    pub fn suits(&self, stage: Stage, worker: &WorkerFacts) -> bool {
        worker.labels.include(&self.spec.needs)
            && self.codecs_of(stage).is_none_or(|codecs| codecs.is_subset(&worker.codecs))
            && self.program_of(stage).is_none_or(|hook| worker.hooks.contains(hook))
    }

    /// The hook that attempts of `stage` run now.
    pub(crate) fn program_of(&self, stage: Stage) -> Option<&str> {
        let (hook, _) = self.hook_now().filter(|_| stage == Stage::Hook)?;
        Some(&hook.name)
    }

    /// The codecs that attempts of `stage` need, and the words for what older agents do not know: they would make the title
    /// without it, or of the mezzanine as it is.
    pub(crate) fn codecs_of(&self, stage: Stage) -> Option<Cow<'_, BTreeSet<String>>> {
        let of_media = match (stage, &self.plan) {
            (Stage::Encode | Stage::Probe, Some(plan)) => Some(&plan.video_codecs),
            (Stage::Audio, Some(plan)) => Some(&plan.audio_codecs),
            _ => None,
        };
        let mut words = self.words_of(stage).peekable();
        if words.peek().is_none() {
            return of_media.map(Cow::Borrowed);
        }
        let words = words.map(str::to_owned).collect();
        Some(Cow::Owned(
            of_media.map_or_else(BTreeSet::new, BTreeSet::clone).union(&words).cloned().collect(),
        ))
    }

    fn words_of(&self, stage: Stage) -> impl Iterator<Item = &'static str> {
        let in_pictures = self.spec.texts.iter().any(|text| text.in_pictures().is_some());
        let others = self.spec.texts.iter().any(|text| text.in_pictures().is_none());
        let of_tree = matches!(stage, Stage::Assemble | Stage::Measure | Stage::Check | Stage::Deliver);
        let previews = self.plan.as_ref().is_some_and(|plan| plan.preview);
        let stills = self.plan.as_ref().is_some_and(|plan| plan.image_memory.is_some());
        let words = [
            (Edit::CODEC, stage != Stage::Hook && self.spec.edit.is_some()),
            (TextSource::CODEC, stage == Stage::Index && others),
            (
                TextSource::CAPTIONS_CODEC,
                in_pictures && !matches!(stage, Stage::Audio | Stage::Image | Stage::Hook),
            ),
            // Who knows nothing of previews refuses to replace one.
            (Stage::PREVIEW_CODEC, stage == Stage::Preview || (previews && stage == Stage::Deliver)),
            (Stage::CHECK_CODEC, stage == Stage::Check),
            (Stage::IMAGE_CODEC, stills && (of_tree || stage == Stage::Image)),
        ];
        words.into_iter().filter_map(|(word, needed)| needed.then_some(word))
    }

    /// The name of a worker that an attempt was granted to; empty for others.
    pub fn worker_name(&self, id: WorkerId) -> String {
        self.workers.get(&id).map(|worker| worker.name.clone()).unwrap_or_default()
    }

    /// Remembers an attempt that ended, what it read and what it cost, and forgets the oldest beyond the limit.
    pub(crate) fn remember(&mut self, attempt: AttemptRecord) {
        // A worker may say any number.
        let read = attempt.source_bytes_read.unwrap_or(0);
        self.source_bytes_read = self.source_bytes_read.saturating_add(read);
        let cost = self.workers.get(&attempt.worker).map_or(0, |worker| attempt.cost_micros(worker));
        self.cost_micros = self.cost_micros.saturating_add(cost);
        self.attempts.push_back(attempt);
        if self.attempts.len() > Self::MAX_ATTEMPTS {
            self.attempts.pop_front();
        }
    }

    /// The memory of the attempt with this task and epoch, while it is kept.
    pub fn ended_attempt(&self, stage: Stage, index: u32, epoch: Epoch) -> Option<&AttemptRecord> {
        self.attempts
            .iter()
            .rev()
            .find(|attempt| attempt.epoch == epoch && (attempt.stage, attempt.index) == (stage, index))
    }
}

#[cfg(test)]
mod tests {
    use reel_common::{AttemptNumber, WorkerId};

    use super::*;
    use crate::state::Outcome;
    use crate::testing::job_spec;

    #[test]
    fn the_newest_ten_thousand_attempts_are_remembered() {
        let mut job = Job::new(job_spec("out"), Digest::of(b"profile"), 0);
        for number in 1..=Job::MAX_ATTEMPTS as u64 + 5 {
            job.remember(AttemptRecord {
                stage: Stage::Encode,
                index: 0,
                attempt: AttemptNumber(1),
                epoch: Epoch(number),
                worker: WorkerId(1),
                started_ms: 0,
                ended_ms: 0,
                outcome: Outcome::Done,
                message: String::new(),
                source_bytes_read: Some(10),
            });
        }
        assert_eq!((job.attempts.len(), job.attempts[0].epoch), (Job::MAX_ATTEMPTS, Epoch(6)));
        assert_eq!(job.source_bytes_read, 100_050, "the forgotten ones count");
        assert!(job.ended_attempt(Stage::Encode, 0, Epoch(6)).is_some());
        assert!(job.ended_attempt(Stage::Encode, 0, Epoch(5)).is_none());
        assert!(job.ended_attempt(Stage::Encode, 1, Epoch(6)).is_none());
    }
}
