//! The farm at a glance: counts and short rows, for whoever looks every second.

use std::collections::{BTreeMap, BTreeSet};

use reel_common::{JobId, JobState, Stage, TaskId, WorkerId, WorkerState};
use reel_proto::v1;
use reel_scheduler_core::FarmState;
use reel_scheduler_core::explain::waiting_in;
use reel_scheduler_core::state::{Job, Lease, Worker};

use super::fleet::Fleet;
use super::views::{encode_frames, trouble, worker_state};

/// Longest trouble in a row, in bytes.
const MAX_TROUBLE: usize = 200;

/// The whole farm, with at most `jobs` rows of jobs.
pub(super) fn overview(state: &FarmState, fleet: &Fleet, jobs: usize, now_ms: u64) -> v1::FarmOverview {
    let mut states: BTreeMap<JobState, u64> = BTreeMap::new();
    state.jobs.values().for_each(|job| *states.entry(job.state).or_default() += 1);
    let of_state = |wanted: JobState| states.get(&wanted).copied().unwrap_or(0);
    let running: BTreeSet<JobId> = state.leases.keys().map(|task| task.job).collect();
    let waits: BTreeMap<JobId, u64> = state.open.iter().map(|id| (*id, waiting(state, *id))).collect();
    let is_late = |id: &&JobId| {
        let deadline = state.jobs.get(id).and_then(|job| job.spec.deadline_ms);
        deadline.is_some_and(|deadline| deadline < now_ms)
    };
    let workers: Vec<_> =
        state.workers.iter().map(|(id, worker)| worker_row(state, fleet, *id, worker)).collect();
    let ready = workers.iter().filter(|worker| worker.state() == v1::WorkerState::Ready);
    let mut overview = v1::FarmOverview {
        at_ms: now_ms,
        term: fleet.term(),
        slots: ready.map(|worker| u64::from(worker.slots)).sum(),
        slots_taken: state.leases.len() as u64,
        tasks_waiting: waits.values().sum(),
        frames: fleet.frames(),
        jobs_queued: of_state(JobState::Queued),
        jobs_running: of_state(JobState::Running),
        jobs_paused: of_state(JobState::Paused),
        jobs_done: of_state(JobState::Done),
        jobs_failed: of_state(JobState::Failed),
        jobs_canceled: of_state(JobState::Canceled),
        jobs_late: state.open.iter().filter(is_late).count() as u64,
        jobs_stuck: waits.iter().filter(|(id, tasks)| **tasks > 0 && !running.contains(id)).count() as u64,
        cost_micros: state.workers.values().map(|worker| worker.facts.price.micros).sum(),
        jobs: job_rows(state, fleet, &running, jobs),
        workers,
    };
    overview.workers.sort_by(|a, b| a.name.cmp(&b.name));
    overview
}

/// Tasks of a job that wait for a slot.
fn waiting(state: &FarmState, id: JobId) -> u64 {
    Stage::ALL.into_iter().map(|stage| u64::from(waiting_in(state, id, stage))).sum()
}

/// Those of which attempts run, newest first, then the others that are not over, then those that are.
fn job_rows(state: &FarmState, fleet: &Fleet, running: &BTreeSet<JobId>, limit: usize) -> Vec<v1::JobRow> {
    let open = state.open.iter().rev().filter(|id| !running.contains(id));
    let over = state.jobs.iter().rev().filter(|(_, job)| !job.state.is_open()).map(|(id, _)| id);
    let found = running.iter().rev().chain(open).chain(over).take(limit);
    found.filter_map(|id| Some(job_row(state, fleet, *id, state.jobs.get(id)?))).collect()
}

fn job_row(state: &FarmState, fleet: &Fleet, id: JobId, job: &Job) -> v1::JobRow {
    let leases: Vec<(TaskId, &Lease)> = state.leases_of_job(id).collect();
    let encodes: Vec<_> = leases.iter().filter(|(task, _)| task.stage == Stage::Encode).copied().collect();
    let (frames_done, frames_total) = match &job.plan {
        Some(plan) => encode_frames(fleet, job, &plan.grid, &encodes),
        None => (0, job.index.as_ref().map_or(0, |index| index.frames)),
    };
    let failed = job.failure.as_ref().map(|failed| failed.failure.message.clone());
    let trouble = failed.or_else(|| trouble(id, job).map(|trouble| trouble.message)).unwrap_or_default();
    v1::JobRow {
        id: id.0,
        state: v1::JobState::from(job.state).into(),
        output: job.spec.output.clone(),
        project: job.spec.project.clone(),
        priority: job.spec.priority,
        stage: stage(job).map_or(v1::Stage::Unspecified, Into::into).into(),
        frames_done,
        frames_total,
        parts_done: job.parts_committed(),
        parts_total: job.parts_total(),
        running: leases.len() as u32,
        waiting: waiting(state, id),
        submitted_ms: job.submitted_ms,
        ended_ms: job.ended_ms,
        deadline_ms: job.spec.deadline_ms,
        cost_micros: job.cost_micros,
        trouble: first_bytes(trouble),
    }
}

/// The first stage that is not complete; previews are nothing that a job waits for.
fn stage(job: &Job) -> Option<Stage> {
    let counts = |stage: &Stage| job.has_stage(*stage) && *stage != Stage::Preview;
    // What comes before is complete where a stage may run.
    Stage::ALL.into_iter().filter(counts).find(|stage| job.is_ready(*stage))
}

fn worker_row(state: &FarmState, fleet: &Fleet, id: WorkerId, worker: &Worker) -> v1::WorkerRow {
    let now: WorkerState = worker_state(state, fleet, id, worker);
    v1::WorkerRow {
        name: worker.facts.name.clone(),
        state: v1::WorkerState::from(now).into(),
        pool: v1::Pool::from(worker.facts.pool).into(),
        slots: worker.facts.slots,
        running: state.by_worker.get(&id).map_or(0, |tasks| tasks.len() as u32),
        preemptions: worker.preemptions,
        load: fleet.load(id),
        price_micros: worker.facts.price.micros,
    }
}

fn first_bytes(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TROUBLE));
    text
}
