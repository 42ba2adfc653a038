//! Answers to questions about the state: what users see of a job, and what a shell needs to start an attempt.

mod work;

use reel_common::{
    AttemptNumber, Digest, Epoch, Failure, Flag, JobId, Pool, RateOutcome, RateView, Stage, TaskId, WorkerId,
};

use crate::command::{Action, JobSpec};
use crate::plan::RateTarget;
use crate::rate;
use crate::state::{AttemptRecord, FarmState, Job, JobState, Outcome, RateLevel, RateRound};

pub use work::{TaskInputs, Work, task_inputs};

/// A job as users see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its number.
    pub id: JobId,
    /// Its state.
    pub state: JobState,
    /// Its destination.
    pub output: String,
    /// The stages that it has, in order.
    pub stages: Vec<StageView>,
    /// Parts of the title; 0 before the plan.
    pub parts_total: u32,
    /// Parts committed.
    pub parts_committed: u32,
    /// Frames of the title; 0 before the index.
    pub frames: u64,
    /// Renditions of the ladder; 0 before the plan.
    pub renditions: u32,
    /// Attempts begun.
    pub attempts: u64,
    /// Commits of an already committed part whose attempt encoded anything of it.
    pub parts_encoded_twice: u64,
    /// Renditions of parts that were encoded.
    pub renditions_encoded: u64,
    /// Renditions of parts that were found in the store.
    pub renditions_reused: u64,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The task that failed it, and the name of the worker it ran on.
    pub failed_task: Option<(TaskId, String)>,
    /// What admission had to say.
    pub warnings: Vec<String>,
    /// What it flagged.
    pub flags: Vec<Flag>,
    /// How the renditions with a bit rate or a quality come to it.
    pub rates: Vec<RateView>,
    /// When it was accepted, in milliseconds since 1970.
    pub submitted_ms: u64,
    /// When it ended, likewise.
    pub ended_ms: Option<u64>,
}

/// How far a stage of a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageView {
    /// The stage.
    pub stage: Stage,
    /// Its size: parts for encode, tasks for the others; 0 where the plan is not known yet.
    pub total: u32,
    /// How much of it is committed.
    pub done: u32,
    /// Attempts that run.
    pub running: u32,
}

/// The job as users see it.
pub fn job_view(state: &FarmState, id: JobId) -> Option<JobView> {
    let job = state.jobs.get(&id)?;
    Some(JobView {
        id,
        state: job.state,
        output: job.spec.output.clone(),
        stages: Stage::ALL
            .into_iter()
            .filter(|stage| job.has_stage(*stage))
            .map(|stage| stage_view(state, id, job, stage))
            .collect(),
        parts_total: job.parts_total(),
        parts_committed: job.parts_committed(),
        frames: job.index.as_ref().map_or(0, |index| index.frames),
        renditions: job.plan.as_ref().map_or(0, |plan| plan.renditions),
        attempts: job.attempts_total,
        parts_encoded_twice: job.parts_encoded_twice,
        renditions_encoded: job.renditions_encoded,
        renditions_reused: job.renditions_reused,
        failure: job.failure.as_ref().map(|failure| failure.failure.clone()),
        failed_task: job.failure.as_ref().and_then(|failure| Some((failure.task?, failure.worker.clone()))),
        warnings: warnings(job),
        flags: flags(job),
        rates: rates(job),
        submitted_ms: job.submitted_ms,
        ended_ms: job.ended_ms,
    })
}

fn stage_view(state: &FarmState, id: JobId, job: &Job, stage: Stage) -> StageView {
    let tracks = job.plan.as_ref().map_or(0, |plan| plan.tracks.len() as u32);
    let (total, done) = match stage {
        Stage::Index => (1, u32::from(job.index.is_some())),
        Stage::Probe => {
            let parts = job.parts_total();
            (parts * job.rate.rounds_known(), parts * job.rate.rounds_over() + job.rate.probed.done())
        }
        Stage::Encode => (job.parts_total(), job.parts_committed()),
        Stage::Audio => (tracks, job.audio.len() as u32),
        Stage::Image => (1, u32::from(job.images.is_some())),
        Stage::Assemble => (1, u32::from(job.assembly.is_some())),
        Stage::Preview => (job.parts_total(), job.previewed),
        Stage::Measure => (1, u32::from(job.proof.is_some())),
        Stage::Check => (1, u32::from(job.check.is_some())),
        Stage::Deliver => (1, u32::from(job.report.is_some())),
        Stage::Hook => (job.hook_tasks(), job.hooks.done()),
    };
    let running = state.leases_of_job(id).filter(|(task, _)| task.stage == stage).count() as u32;
    StageView { stage, total, done, running }
}

/// Who did what for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobHistory {
    /// The job.
    pub job: JobId,
    /// When it was accepted, in milliseconds since 1970.
    pub submitted_ms: u64,
    /// The newest attempts that ended, oldest first.
    pub attempts: Vec<AttemptView>,
    /// Attempts begun, the live ones included.
    pub attempts_total: u64,
    /// Every committed part, in order.
    pub parts: Vec<PartView>,
    /// Commits of an already committed part whose attempt encoded anything of it.
    pub parts_encoded_twice: u64,
    /// Renditions of parts that were encoded.
    pub renditions_encoded: u64,
    /// Renditions of parts that were found in the store.
    pub renditions_reused: u64,
    /// Bytes of the mezzanine that were read, over all attempts that ended with their result.
    pub source_bytes_read: u64,
    /// What all attempts that ended have cost, in millionths of the site's currency.
    pub cost_micros: u64,
    /// What admission had to say.
    pub warnings: Vec<String>,
    /// What it flagged.
    pub flags: Vec<Flag>,
    /// How the renditions with a bit rate or a quality came to it.
    pub rates: Vec<RateView>,
}

/// An attempt that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptView {
    /// The task.
    pub task: TaskId,
    /// Which try of it.
    pub attempt: AttemptNumber,
    /// Its epoch.
    pub epoch: Epoch,
    /// Name of the worker.
    pub worker: String,
    /// When it was granted, in milliseconds since 1970.
    pub started_ms: u64,
    /// When it ended, likewise.
    pub ended_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The message of its failure.
    pub message: String,
    /// Bytes of the mezzanine that it read, as in [`AttemptRecord`](crate::state::AttemptRecord).
    pub source_bytes_read: Option<u64>,
    /// How the worker's host was bought.
    pub pool: Pool,
    /// What its slot cost meanwhile, in millionths of the site's currency.
    pub cost_micros: u64,
}

/// Who made a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartView {
    /// Name of the worker that committed it.
    pub worker: String,
    /// By which attempt.
    pub epoch: Epoch,
    /// Renditions encoded for it.
    pub encoded: u32,
    /// Renditions found in the store.
    pub reused: u32,
}

/// What admission had to say, once there is a plan.
fn warnings(job: &Job) -> Vec<String> {
    let of_preview = job.preview_over.then(|| {
        let failed =
            |attempt: &&AttemptRecord| attempt.stage == Stage::Preview && !attempt.message.is_empty();
        let reason = job.attempts.iter().rev().find(failed).map_or("", |attempt| attempt.message.as_str());
        format!("the preview was given up, and the title is seen when it is whole: {reason}")
    });
    let of_plan = job.plan.iter().flat_map(|plan| plan.warnings.iter().cloned());
    of_plan.chain(of_preview).collect()
}

/// Who did what for a job; what a report lists.
pub fn job_history(id: JobId, job: &Job) -> JobHistory {
    let name = |worker: &WorkerId| job.worker_name(*worker);
    let attempts = job.attempts.iter().map(|attempt| AttemptView {
        task: TaskId { job: id, stage: attempt.stage, index: attempt.index },
        attempt: attempt.attempt,
        epoch: attempt.epoch,
        worker: name(&attempt.worker),
        pool: job.workers.get(&attempt.worker).map(|worker| worker.pool).unwrap_or_default(),
        cost_micros: job.workers.get(&attempt.worker).map_or(0, |worker| attempt.cost_micros(worker)),
        started_ms: attempt.started_ms,
        ended_ms: attempt.ended_ms,
        outcome: attempt.outcome,
        message: attempt.message.clone(),
        source_bytes_read: attempt.source_bytes_read,
    });
    let parts = job.encode.committed.values().map(|part| PartView {
        worker: name(&part.worker),
        epoch: part.epoch,
        encoded: part.encoded,
        reused: part.reused,
    });
    JobHistory {
        job: id,
        submitted_ms: job.submitted_ms,
        attempts: attempts.collect(),
        attempts_total: job.attempts_total,
        parts: parts.collect(),
        parts_encoded_twice: job.parts_encoded_twice,
        renditions_encoded: job.renditions_encoded,
        renditions_reused: job.renditions_reused,
        source_bytes_read: job.source_bytes_read,
        cost_micros: job.cost_micros,
        warnings: warnings(job),
        flags: flags(job),
        rates: rates(job),
    }
}

fn flags(job: &Job) -> Vec<Flag> {
    job.plan.as_ref().map(|plan| plan.flags.clone()).unwrap_or_default()
}

/// What came of a level by its `frames`; their mean quality is known once they are all there.
fn outcome(level: &RateLevel, frames: u64, is_over: bool, draft: bool) -> RateOutcome {
    let quality = if is_over { (level.total_quality() / frames.max(1)) as u32 } else { 0 };
    RateOutcome { crf_milli: level.crf_milli, bytes: level.total(), quality, draft }
}

fn rates(job: &Job) -> Vec<RateView> {
    let Some(plan) = job.plan.as_ref().filter(|plan| !plan.targets.is_empty()) else { return Vec::new() };
    let (frames, frames_of_waves) = (plan.grid.frames(), plan.frames_of_waves());
    let view = |(at, target): (usize, &RateTarget)| {
        let probe = |(number, round): (usize, &RateRound)| {
            let is_over = (number as u32) < job.rate.rounds_over();
            outcome(&round.levels[at], frames, is_over, plan.is_draft(number))
        };
        let wave = |(number, round): (usize, &RateRound)| {
            let is_over = job.parts_committed() >= plan.parts_of_waves(number + 1);
            outcome(&round.levels[at], frames_of_waves[number], is_over, false)
        };
        RateView {
            rendition: target.rendition,
            goal: target.goal,
            probes: job.rate.rounds.iter().enumerate().map(probe).collect(),
            waves: job.rate.waves.iter().enumerate().map(wave).collect(),
        }
    };
    plan.targets.iter().enumerate().map(view).collect()
}

/// The open job that makes the same output of the same mezzanine and profile, so that a command given again takes up
/// its work.
pub fn open_job_like(state: &FarmState, spec: &JobSpec, profile: &str) -> Option<JobId> {
    let id = state.by_output.get(&spec.output)?;
    let job = state.jobs.get(id)?;
    let same = job.spec.mezzanine == spec.mezzanine
        && job.spec.identity == spec.identity
        && job.profile == Digest::of(profile.as_bytes());
    same.then_some(*id)
}

/// Jobs that wait for the leader to say what comes next, in order: those of which [`rate_step`] knows the next step to their
/// bit rates, and those whose index waits for a plan.
pub fn undecided(state: &FarmState) -> Vec<JobId> {
    let waits = |job: &Job| job.wants_plan() || job.wants_rate();
    state.open.iter().filter(|id| state.jobs.get(id).is_some_and(waits)).copied().collect()
}

/// The next step to the bit rates of a job; `None` where it waits for none.
pub fn rate_step(state: &FarmState, id: JobId) -> Option<Action> {
    let job = state.jobs.get(&id).filter(|job| job.wants_rate())?;
    let step = rate::next(job.plan.as_ref()?, &job.rate);
    Some(Action::CommitRate { job: id, after: job.rate.steps(), step })
}

/// When the next backoff ends after `now_ms`, in milliseconds since 1970: the time to place again.
pub fn next_backoff_deadline(state: &FarmState, now_ms: u64) -> Option<u64> {
    let active = state.open.iter().filter_map(|id| state.jobs.get(id));
    let deadlines = active.filter(|job| job.state.is_active()).flat_map(|job| {
        let tasks = job.tasks.values().map(|record| record.not_before_ms);
        tasks.chain(job.backoffs.values().map(|backoff| backoff.not_before_ms))
    });
    deadlines.filter(|deadline| *deadline > now_ms).min()
}

/// Whether ended jobs are more than are remembered, so that `PruneJobs` is due.
pub fn prune_is_due(state: &FarmState) -> bool {
    !crate::apply::surplus_jobs(state).is_empty()
}

/// Where the output of a job is assembled: a hidden folder beside `output`, which is a path with `/`.
pub fn staging_path(output: &str, job: JobId) -> String {
    let output = output.trim_end_matches('/');
    let (parent, name) =
        output.rsplit_once('/').map_or(("", output), |(parent, name)| (&output[..=parent.len()], name));
    format!("{parent}.{name}.reel-{job}.partial")
}

#[cfg(test)]
mod tests {
    use reel_common::{Artifact, FailureClass};

    use super::*;
    use crate::command::Action;
    use crate::testing::{Farm, FarmBuilder, encode, job_spec, plan_of, record_of, task};

    fn stage_of(farm: &Farm, stage: Stage) -> StageView {
        job_view(&farm.state, JobId(1)).unwrap().stages.into_iter().find(|view| view.stage == stage).unwrap()
    }

    #[test]
    fn a_job_shows_how_far_each_stage_is() {
        let mut farm = FarmBuilder::new().worker("w", 2).job(plan_of(4, 2, 1)).build();
        farm.place();
        let epoch = farm.state.leases[&encode(1, 0)].epoch;
        farm.commit_part(encode(1, 0), epoch, 0);
        let view = job_view(&farm.state, JobId(1)).unwrap();
        assert_eq!((view.state, view.parts_total, view.parts_committed), (JobState::Running, 4, 1));
        assert_eq!((view.frames, view.renditions, view.attempts), (40, 2, 3));
        let wanted = StageView { stage: Stage::Encode, total: 4, done: 1, running: 1 };
        assert_eq!(stage_of(&farm, Stage::Encode), wanted);
        assert_eq!(
            stage_of(&farm, Stage::Audio),
            StageView { stage: Stage::Audio, total: 1, done: 0, running: 1 }
        );
        assert_eq!(job_view(&farm.state, JobId(9)), None);
    }

    #[test]
    fn a_resumed_chunk_is_given_the_parts_that_are_left() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(8, 4, 0)).build();
        let worker = farm.worker("w");
        let epoch = farm.grant(encode(1, 1), worker);
        farm.commit_part(encode(1, 1), epoch, 4);
        farm.ok(Action::ExpireLease { task: encode(1, 1), epoch });
        let epoch = farm.grant(encode(1, 1), worker);
        let inputs = task_inputs(&farm.state, encode(1, 1)).unwrap();
        assert_eq!((inputs.attempt, inputs.epoch, inputs.profile), (AttemptNumber(2), epoch, "profile text"));
        let Work::Encode { parts, .. } = inputs.work else { panic!("{:?}", inputs.work) };
        let frames: Vec<_> = parts.iter().map(|part| (part.index.0, part.start(), part.end)).collect();
        assert_eq!(frames, [(5, 50, 60), (6, 60, 70), (7, 70, 80)]);
        assert_eq!(task_inputs(&farm.state, encode(1, 0)), None, "no attempt, no inputs");
    }

    #[test]
    fn later_stages_are_given_what_the_earlier_ones_made() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(12, 1, 2)).build();
        let mut seen = Vec::new();
        loop {
            farm.place();
            let Some((running, epoch)) = farm.running().first().copied() else { break };
            seen.push(task_inputs(&farm.state, running).unwrap().work);
            farm.finish(running, epoch);
        }
        let [assemble, measure, check, deliver] = &seen[seen.len() - 4..] else { panic!("{seen:?}") };
        let Work::Assemble { parts, audio, .. } = assemble else { panic!("{assemble:?}") };
        assert_eq!(*parts, (0..12).map(record_of).collect::<Vec<_>>(), "in order, past the ninth");
        assert_eq!(audio.len(), 2);
        assert!(matches!(measure, Work::Measure { assembly, .. } if *assembly == Artifact::of(b"assemble")));
        assert!(matches!(check, Work::Check { assembly, .. } if *assembly == Artifact::of(b"assemble")));
        let Work::Deliver { proof, check, history, .. } = deliver else { panic!("{deliver:?}") };
        assert_eq!((*proof, *check), (Artifact::of(b"measure"), Some(Artifact::of(b"check"))));
        assert_eq!((history.parts.len(), history.attempts.len(), history.attempts_total), (12, 18, 19));
        assert!(history.parts.iter().all(|part| part.worker == "w" && part.encoded == 2));
    }

    #[test]
    fn a_failed_job_says_where_and_why() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(1, 1, 0)).build();
        farm.place();
        let (chunk, epoch) = farm.running()[0];
        farm.fail(chunk, epoch, FailureClass::Invalid, "no such codec");
        let view = job_view(&farm.state, JobId(1)).unwrap();
        assert_eq!(view.failure.unwrap().message, "no such codec");
        assert_eq!(view.failed_task, Some((chunk, "w".to_owned())));
    }

    #[test]
    fn the_same_command_finds_its_open_job() {
        let mut farm = FarmBuilder::new().build();
        let job = farm.submit("out", 0);
        let spec = JobSpec { priority: 5, chunk_parts: Some(9), ..job_spec("out") };
        assert_eq!(open_job_like(&farm.state, &spec, "profile text"), Some(job));
        assert_eq!(open_job_like(&farm.state, &spec, "another profile"), None);
        let other = JobSpec { mezzanine: "other.mov".to_owned(), ..job_spec("out") };
        assert_eq!(open_job_like(&farm.state, &other, "profile text"), None);
        farm.ok(Action::CancelJob { job });
        assert_eq!(open_job_like(&farm.state, &spec, "profile text"), None);
    }

    #[test]
    fn the_staging_folder_lies_beside_the_output() {
        for (output, staging) in [
            ("/srv/out/film", "/srv/out/.film.reel-7.partial"),
            ("/srv/out/film/", "/srv/out/.film.reel-7.partial"),
            ("film", ".film.reel-7.partial"),
            ("/film", "/.film.reel-7.partial"),
        ] {
            assert_eq!(staging_path(output, JobId(7)), staging);
        }
    }

    #[test]
    fn an_attempt_that_ended_is_told_with_its_worker() {
        let mut farm = FarmBuilder::new().worker("w", 1).job(plan_of(1, 1, 0)).build();
        farm.place();
        let (chunk, epoch) = farm.running()[0];
        farm.now_ms += 50;
        farm.fail(chunk, epoch, FailureClass::Shortage, "disk full");
        let history = job_history(JobId(1), farm.job(1));
        let last = history.attempts.last().unwrap();
        assert_eq!(
            (last.worker.as_str(), last.outcome.name(), last.message.as_str()),
            ("w", "shortage", "disk full")
        );
        assert_eq!(last.ended_ms - last.started_ms, 50);
        assert_eq!(history.attempts[0].task, task(1, Stage::Index, 0));
        let read: Vec<_> = history.attempts.iter().map(|attempt| attempt.source_bytes_read).collect();
        assert_eq!((read, history.source_bytes_read), (vec![Some(1_000), None], 1_000));
    }
}
