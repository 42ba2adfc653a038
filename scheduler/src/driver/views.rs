//! Jobs for their watchers: the replicated state and, for work in hand, the heartbeats.

use std::collections::BTreeMap;

use reel_common::{
    FailureClass, Hold, JobId, JobReason, JobView, PartIndex, ProjectView, RunningView, SegmentGrid, Stage,
    StageView, TaskId, Trouble, WorkerId, WorkerState, WorkerView,
};
use reel_scheduler_core::FarmState;
use reel_scheduler_core::state::{Job, Lease, Outcome, PartRange, Worker};
use reel_scheduler_core::view::{self as core, job_view};
use tokio::sync::watch;

use super::fleet::Fleet;
use super::sight::JobFilter;

/// The watched jobs.
#[derive(Default)]
pub(super) struct Watchers {
    jobs: BTreeMap<JobId, watch::Sender<JobView>>,
}

impl Watchers {
    /// A receiver of a job's views, of which the first is the job as it is now; `None` where there is no such job.
    pub(super) fn watch(
        &mut self,
        id: JobId,
        state: &FarmState,
        fleet: &Fleet,
    ) -> Option<watch::Receiver<JobView>> {
        let view = view(state, fleet, id)?;
        match self.jobs.get(&id) {
            Some(sender) => tell(sender, view),
            None => drop(self.jobs.insert(id, watch::channel(view).0)),
        }
        self.jobs.get(&id).map(watch::Sender::subscribe)
    }

    /// Whether anybody watches.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Tells the watchers what has changed; forgets jobs that nobody watches any more and jobs that are over.
    pub(super) fn publish(&mut self, state: &FarmState, fleet: &Fleet) {
        self.jobs.retain(|id, sender| {
            let Some(view) = view(state, fleet, *id).filter(|_| !sender.is_closed()) else {
                return false;
            };
            let open = !view.is_over();
            tell(sender, view);
            open
        });
    }

    /// Whether a watched job is over and its watchers do not know.
    pub(super) fn have_news(&self, state: &FarmState) -> bool {
        self.jobs.iter().any(|(id, sender)| {
            let now = state.jobs.get(id).map(|job| job.state);
            now.is_none_or(|now| now != sender.borrow().state)
        })
    }
}

/// Tells the watchers of a job what has changed.
fn tell(sender: &watch::Sender<JobView>, mut view: JobView) {
    keep_encoded_frames(&mut view, &sender.borrow());
    sender.send_if_modified(|current| {
        let changed = *current != view;
        *current = view;
        changed
    });
}

/// Jobs from the newest on.
pub(super) fn jobs(state: &FarmState, fleet: &Fleet, filter: &JobFilter, limit: usize) -> Vec<JobView> {
    let range = ..filter.before.unwrap_or(JobId(u64::MAX));
    let wanted =
        |job: &Job| (!filter.open_only || job.state.is_open()) && job.spec.labels.include(&filter.labels);
    let found = state.jobs.range(range).rev().filter(|(_, job)| wanted(job));
    found.take(limit).filter_map(|(id, _)| view(state, fleet, *id)).collect()
}

/// The projects that have a share of their own or work, by name.
pub(super) fn projects(state: &FarmState) -> Vec<ProjectView> {
    let mut counts: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for name in state.projects.keys() {
        counts.entry(name).or_default();
    }
    for job in state.open.iter().filter_map(|id| state.jobs.get(id)) {
        counts.entry(&job.spec.project).or_default().0 += 1;
    }
    for job in state.leases.keys().filter_map(|task| state.jobs.get(&task.job)) {
        counts.entry(&job.spec.project).or_default().1 += 1;
    }
    let view = |(name, (open_jobs, slots)): (&str, (u32, u32))| {
        let name = name.to_owned();
        ProjectView { share: state.share_of(&name), name, slots, open_jobs }
    };
    counts.into_iter().map(view).collect()
}

/// The fleet, by name.
pub(super) fn workers(state: &FarmState, fleet: &Fleet) -> Vec<WorkerView> {
    let view = |(id, worker): (&WorkerId, &Worker)| {
        let leases = state.leases_of_worker(*id).filter_map(|(task, lease)| {
            let job = state.jobs.get(&task.job)?;
            Some(running(job, fleet, task, lease))
        });
        WorkerView {
            id: *id,
            name: worker.facts.name.clone(),
            state: worker_state(state, fleet, *id, worker),
            slots: worker.facts.slots,
            memory_bytes: worker.facts.memory,
            scratch_bytes: worker.facts.scratch,
            pool: worker.facts.pool,
            labels: worker.facts.labels.clone(),
            codecs: worker.facts.codecs.clone(),
            hooks: worker.facts.hooks.clone(),
            price: worker.facts.price,
            running: leases.collect(),
            preemptions: worker.preemptions,
            registered_ms: worker.registered_ms,
        }
    };
    let mut views: Vec<_> = state.workers.iter().map(view).collect();
    views.sort_by(|a, b| a.name.cmp(&b.name));
    views
}

/// Whether a worker takes work.
pub(super) fn worker_state(state: &FarmState, fleet: &Fleet, id: WorkerId, worker: &Worker) -> WorkerState {
    match (worker.draining, state.holds.get(&worker.facts.name)) {
        _ if !fleet.is_connected(id) => WorkerState::Silent,
        (true, _) | (_, Some(Hold::Drain)) => WorkerState::Draining,
        (_, Some(Hold::Cordon)) => WorkerState::Cordoned,
        (_, Some(Hold::Quarantine)) => WorkerState::Quarantined,
        (false, None) => WorkerState::Ready,
    }
}

/// A job as it is now.
fn view(state: &FarmState, fleet: &Fleet, id: JobId) -> Option<JobView> {
    let (job, seen) = (state.jobs.get(&id)?, job_view(state, id)?);
    let planned = job.plan.is_some() || !job.spec.has_title();
    let stages = seen.stages.iter().filter(|stage| planned || stage.stage == Stage::Index);
    Some(JobView {
        id,
        state: seen.state,
        mezzanine: job.spec.mezzanine.clone(),
        output: job.spec.output.clone(),
        project: job.spec.project.clone(),
        priority: job.spec.priority,
        deadline_ms: job.spec.deadline_ms,
        labels: job.spec.labels.clone(),
        needs: job.spec.needs.clone(),
        hooks: job.spec.hooks.clone(),
        texts: job.spec.texts.clone(),
        edit: job.spec.edit.clone(),
        reason: reason(job),
        stages: stages.map(|stage| stage_view(state, fleet, job, id, stage)).collect(),
        running: state.leases_of_job(id).map(|(task, lease)| running(job, fleet, task, lease)).collect(),
        trouble: trouble(id, job),
        warnings: seen.warnings,
        flags: seen.flags,
        rates: seen.rates,
        frames: seen.frames,
        parts_total: seen.parts_total,
        parts_committed: seen.parts_committed,
        attempts: seen.attempts,
        parts_encoded_twice: seen.parts_encoded_twice,
        renditions_encoded: seen.renditions_encoded,
        renditions_reused: seen.renditions_reused,
        report: job.report,
        submitted_ms: seen.submitted_ms,
        ended_ms: seen.ended_ms,
        cost_micros: job.cost_micros,
    })
}

fn reason(job: &Job) -> Option<JobReason> {
    let failed = job.failure.as_ref()?;
    Some(JobReason {
        task: failed.task,
        worker: failed.worker.clone(),
        class: failed.failure.class,
        message: failed.failure.message.clone(),
        evidence: failed.failure.evidence.clone(),
    })
}

/// Ended attempts among which trouble is looked for: a job has thousands, and is looked at each second.
const TROUBLE_WITHIN: usize = 1000;

/// The newest attempt that failed, while its stage is not complete. Who was told to go has not failed.
pub(super) fn trouble(id: JobId, job: &Job) -> Option<Trouble> {
    let failed = job.attempts.iter().rev().take(TROUBLE_WITHIN).find_map(|ended| match ended.outcome {
        Outcome::Failed(FailureClass::Preempted) | Outcome::Done | Outcome::Revoked => None,
        Outcome::Failed(class) => Some((ended, class)),
    });
    let (ended, class) = failed.filter(|(ended, _)| job.is_ready(ended.stage))?;
    Some(Trouble {
        task: TaskId { job: id, stage: ended.stage, index: ended.index },
        attempt: ended.attempt,
        worker: job.worker_name(ended.worker),
        class,
        message: ended.message.clone(),
        shortages: job.backoffs.get(&ended.stage).map_or(0, |backoff| backoff.shortages),
    })
}

pub(super) fn running(job: &Job, fleet: &Fleet, task: TaskId, lease: &Lease) -> RunningView {
    let progress = fleet.progress(task, lease.epoch);
    RunningView {
        task,
        attempt: lease.attempt,
        epoch: lease.epoch,
        worker: job.worker_name(lease.worker),
        started_ms: lease.granted_ms,
        frames_done: progress.map_or(0, |progress| progress.frames_done),
        frames_total: progress.map_or(0, |progress| progress.frames_total),
        part: progress.and_then(|progress| progress.part),
    }
}

fn stage_view(state: &FarmState, fleet: &Fleet, job: &Job, id: JobId, seen: &core::StageView) -> StageView {
    let leases: Vec<_> = state.leases_of_job(id).filter(|(task, _)| task.stage == seen.stage).collect();
    let (frames_done, frames_total) = match (&job.plan, seen.stage) {
        (Some(plan), Stage::Encode) => encode_frames(fleet, job, &plan.grid, &leases),
        (Some(plan), Stage::Probe) => {
            let in_hand = frames_in_hand(fleet, &leases).0;
            let (over, rounds) = (u64::from(job.rate.rounds_over()), u64::from(job.rate.rounds_known()));
            let probed = u64::from(job.rate.probed.done()) * part_frames(&plan.grid, PartIndex(0));
            let frames = plan.grid.frames();
            (frames * over + (probed + in_hand).min(frames), frames * rounds)
        }
        // A hook does not say how much it has to do.
        (_, Stage::Hook) => (u64::from(seen.done), u64::from(seen.total)),
        _ => frames_in_hand(fleet, &leases),
    };
    let core::StageView { stage, total, done, running } = *seen;
    StageView { stage, total, done, running, frames_done, frames_total }
}

/// What the attempts that run have done, and of how much.
fn frames_in_hand(fleet: &Fleet, leases: &[(TaskId, &Lease)]) -> (u64, u64) {
    let progress = leases.iter().filter_map(|(task, lease)| fleet.progress(*task, lease.epoch));
    progress
        .fold((0, 0), |(done, total), progress| (done + progress.frames_done, total + progress.frames_total))
}

/// Frames of the title that are encoded, and all: those of committed parts, and of parts in hand those that are done.
pub(super) fn encode_frames(
    fleet: &Fleet,
    job: &Job,
    grid: &SegmentGrid,
    leases: &[(TaskId, &Lease)],
) -> (u64, u64) {
    let committed = committed_frames(job, grid);
    let in_hand = leases.iter().filter_map(|(task, lease)| {
        let progress = fleet.progress(*task, lease.epoch)?;
        // The chunk ends where its tail was cut off; what the attempt did of that is not its own any more.
        let own = PartRange::new(lease.granted?.start, job.chunk(task.index)?.end);
        Some(uncommitted_frames(job, grid, own, progress.frames_done))
    });
    ((committed + in_hand.sum::<u64>()).min(grid.frames()), grid.frames())
}

/// Frames of all committed parts. Where all parts but the last are equally long, a million of them need not be looked at.
fn committed_frames(job: &Job, grid: &SegmentGrid) -> u64 {
    let committed = &job.encode.committed;
    if grid.segment_frames().is_none() {
        return committed.keys().map(|part| part_frames(grid, *part)).sum();
    }
    let (full, last) = (part_frames(grid, PartIndex(0)), PartIndex(grid.parts().saturating_sub(1)));
    // The last one may be shorter or longer.
    match committed.contains_key(&last) {
        true => (committed.len() as u64 - 1) * full + part_frames(grid, last),
        false => committed.len() as u64 * full,
    }
}

/// How many of the first `done` frames of `own` no commit covers. An attempt counts from its first part on, parts that
/// are committed meanwhile included.
fn uncommitted_frames(job: &Job, grid: &SegmentGrid, own: PartRange, done: u64) -> u64 {
    let (mut left, mut in_hand) = (done, 0);
    for part in own.parts().take_while(|part| part.0 < grid.parts()) {
        let of_part = part_frames(grid, part).min(left);
        left -= of_part;
        in_hand += if job.encode.committed.contains_key(&part) { 0 } else { of_part };
        if left == 0 {
            break;
        }
    }
    in_hand
}

pub(super) fn part_frames(grid: &SegmentGrid, part: PartIndex) -> u64 {
    let start = |part: u32| grid.segment_start(grid.first_segment(part));
    start(part.0 + 1).saturating_sub(start(part.0))
}

/// A job that loses an attempt loses its frames in hand; its watchers are shown no fewer than before.
fn keep_encoded_frames(view: &mut JobView, before: &JobView) {
    let encode = |stage: &&StageView| stage.stage == Stage::Encode;
    let shown = before.stages.iter().find(encode).map_or(0, |stage| stage.frames_done);
    for stage in view.stages.iter_mut().filter(|stage| stage.stage == Stage::Encode) {
        stage.frames_done = stage.frames_done.max(shown);
    }
}

#[cfg(test)]
mod tests {
    use reel_common::{Artifact, Digest, Epoch, WorkerId};
    use reel_scheduler_core::JobSpec;
    use reel_scheduler_core::state::CommittedPart;

    use super::*;

    #[test]
    fn frames_are_counted_without_a_look_at_each_part() {
        for frames in [48, 100, 144, 145, 150, 200, 287, 288, 289, 990, 1_000, 1_008] {
            count_parts_of(SegmentGrid::regular(frames, 48, 3).unwrap());
        }
    }

    fn count_parts_of(grid: SegmentGrid) {
        let mut job = Job::new(JobSpec::default(), Digest::of(b""), 0);
        for part in 0..grid.parts() {
            let (record, worker, epoch) = (Artifact::of(b"record"), WorkerId(1), Epoch(1));
            let committed = CommittedPart { record, worker, epoch, encoded: 1, reused: 0 };
            job.encode.committed.insert(PartIndex(part), committed);
            let counted: u64 = job.encode.committed.keys().map(|part| part_frames(&grid, *part)).sum();
            assert_eq!(committed_frames(&job, &grid), counted, "{grid:?}");
        }
    }
}
