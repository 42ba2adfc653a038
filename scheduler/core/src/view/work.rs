//! What an attempt is given to do, with what earlier stages made.

use reel_common::{Artifact, AttemptNumber, Epoch, PartIndex, PartSpec, Stage, TaskId};

use super::{JobHistory, job_history};
use crate::command::JobSpec;
use crate::plan::Plan;
use crate::rate;
use crate::state::{FarmState, Job, PartRange, RateRound};

/// What an attempt needs to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInputs<'a> {
    /// The task.
    pub task: TaskId,
    /// Which try of it.
    pub attempt: AttemptNumber,
    /// Its epoch.
    pub epoch: Epoch,
    /// Memory reserved for it, in bytes.
    pub memory: u64,
    /// The job's request.
    pub spec: &'a JobSpec,
    /// The job's profile text.
    pub profile: &'a str,
    /// When the job was accepted, in milliseconds since 1970.
    pub submitted_ms: u64,
    /// What is to be done.
    pub work: Work,
}

/// What an attempt is to do, with the artifacts that it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Measure the mezzanine.
    Index,
    /// Encode these consecutive parts.
    Encode {
        /// The index.
        index: Artifact,
        /// The parts.
        parts: Vec<PartSpec>,
        /// The rate factors of each part in thousandths, one for each target of the plan; none without targets.
        crf_milli: Vec<Vec<u32>>,
    },
    /// Encode a part to see how large it becomes.
    Probe {
        /// The index.
        index: Artifact,
        /// The part.
        part: PartSpec,
        /// Its rate factors in thousandths, one for each target of the plan.
        crf_milli: Vec<u32>,
        /// At fast settings, for nothing but the sizes.
        draft: bool,
    },
    /// Encode one track.
    Audio {
        /// The index.
        index: Artifact,
        /// Its number in the profile.
        track: u32,
    },
    /// Make thumbnails and poster.
    Image {
        /// The index.
        index: Artifact,
    },
    /// Show the first parts.
    Preview {
        /// The index.
        index: Artifact,
        /// Their records, in order.
        parts: Vec<Artifact>,
        /// The record of every track, in profile order.
        audio: Vec<Artifact>,
    },
    /// Join what is committed.
    Assemble {
        /// The index.
        index: Artifact,
        /// The record of every part, in order.
        parts: Vec<Artifact>,
        /// The record of every track, in profile order.
        audio: Vec<Artifact>,
        /// The record of the still pictures, where there are any.
        images: Option<Artifact>,
    },
    /// Prove the assembled tree, which lies in [`staging_path`].
    Measure {
        /// The index.
        index: Artifact,
        /// The assembly.
        assembly: Artifact,
    },
    /// Hold the proved tree against rules.
    Check {
        /// The index.
        index: Artifact,
        /// The assembly.
        assembly: Artifact,
    },
    /// Publish the proved tree.
    Deliver {
        /// The index.
        index: Artifact,
        /// The assembly.
        assembly: Artifact,
        /// The proof.
        proof: Artifact,
        /// What came of the check; `None` where the plan has none.
        check: Option<Artifact>,
        /// Who did what.
        history: Box<JobHistory>,
    },
    /// Run a program of the site.
    Hook {
        /// Its name.
        name: String,
        /// Which of its tasks, from 0.
        index: u32,
        /// How many it has.
        tasks: u32,
    },
}

/// What the live attempt of a task needs to start; `None` where there is none.
pub fn task_inputs(state: &FarmState, task: TaskId) -> Option<TaskInputs<'_>> {
    let lease = state.leases.get(&task)?;
    let job = state.jobs.get(&task.job)?;
    Some(TaskInputs {
        task,
        attempt: lease.attempt,
        epoch: lease.epoch,
        memory: lease.reserved.memory,
        spec: &job.spec,
        profile: state.profiles.get(&job.profile)?,
        submitted_ms: job.submitted_ms,
        work: work(job, task, lease.granted)?,
    })
}

fn work(job: &Job, task: TaskId, granted: Option<PartRange>) -> Option<Work> {
    let index = || Some(job.index.as_ref()?.artifact);
    Some(match task.stage {
        Stage::Index => Work::Index,
        Stage::Encode => {
            let plan = job.plan.as_ref()?;
            let parts: Vec<_> =
                job.chunk(task.index)?.parts().filter_map(|part| plan.grid.part(part)).collect();
            let qualities = parts.iter().filter_map(|part| {
                Some(part_quality(plan, job.rate.waves.get(plan.wave_of(part.index.0))?, part.index))
            });
            Work::Encode { index: index()?, crf_milli: qualities.collect(), parts }
        }
        Stage::Probe => {
            let (plan, part) = (job.plan.as_ref()?, PartIndex(task.index));
            Work::Probe {
                index: index()?,
                part: plan.grid.part(part)?,
                crf_milli: part_quality(plan, job.rate.rounds.last()?, part),
                draft: plan.is_draft(job.rate.rounds.len() - 1),
            }
        }
        Stage::Audio => Work::Audio { index: index()?, track: task.index },
        Stage::Image => Work::Image { index: index()? },
        Stage::Assemble => Work::Assemble {
            index: index()?,
            parts: job.encode.committed.values().map(|part| part.record).collect(),
            audio: job.audio.values().copied().collect(),
            images: job.images,
        },
        Stage::Preview => {
            let first = job.encode.committed.range(..PartIndex(granted?.end));
            let parts = first.map(|(_, part)| part.record).collect();
            Work::Preview { index: index()?, parts, audio: job.audio.values().copied().collect() }
        }
        Stage::Check => Work::Check { index: index()?, assembly: job.assembly? },
        Stage::Measure => Work::Measure { index: index()?, assembly: job.assembly? },
        Stage::Deliver => Work::Deliver {
            index: index()?,
            assembly: job.assembly?,
            proof: job.proof?,
            check: job.check,
            history: Box::new(job_history(task.job, job)),
        },
        Stage::Hook => {
            let (hook, tasks) = job.hook_of(task.index)?;
            Work::Hook { name: hook.name.clone(), index: task.index - tasks.start, tasks: hook.tasks }
        }
    })
}

/// The rate factors of a part in a round, in thousandths.
fn part_quality(plan: &Plan, round: &RateRound, part: PartIndex) -> Vec<u32> {
    let levels = plan.targets.iter().zip(&round.levels);
    levels.map(|(target, level)| rate::of_part(target.codec, level.crf_milli, part.0)).collect()
}
