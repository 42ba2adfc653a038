//! The state as it stands in a snapshot.

use std::collections::BTreeSet;

use reel_common::{
    AttemptNumber, Digest, Epoch, FailureClass, JobId, PartIndex, Pool, Price, Share, Stage, TaskId, WorkerId,
};
use reel_proto::log::v1;
use reel_proto::{Malformed, v1 as wire};
use reel_scheduler_core::plan::WAVES;
use reel_scheduler_core::state::{
    AttemptRecord, CommittedPart, EncodeState, Fault, Job, JobFailure, JobState, JobWorker, Lease, Outcome,
    RateLevel, RateRound, RateState, StageBackoff, TaskRecord, TaskSet, Worker,
};
use reel_scheduler_core::{FarmState, Reserved};

use super::command::{
    decode_facts, decode_hold, decode_plan, decode_range, decode_share, decode_spec, encode_facts,
    encode_hold, encode_plan, encode_range, encode_share, encode_spec,
};
use super::{artifact, digest, task, wire_task};

pub(super) fn encode(state: &FarmState) -> v1::FarmState {
    v1::FarmState {
        applied: state.applied,
        clock_ms: state.clock_ms,
        last_job: state.last_job.0,
        last_worker: state.last_worker.0,
        jobs: state.jobs.iter().map(|(id, job)| encode_job(*id, job)).collect(),
        profiles: state.profiles.values().cloned().collect(),
        workers: state.workers.iter().map(|(id, worker)| encode_worker(*id, worker)).collect(),
        leases: state.leases.iter().map(|(task, lease)| encode_lease(*task, lease)).collect(),
        projects: state.projects.iter().map(|(name, share)| encode_project(name, *share)).collect(),
        holds: state.holds.iter().map(|(name, hold)| encode_hold(name, Some(*hold))).collect(),
        strikes: state.strikes.iter().map(|(worker, jobs)| encode_strikes(worker, jobs)).collect(),
    }
}

fn encode_project(name: &str, share: Share) -> v1::Project {
    v1::Project { name: name.to_owned(), share: Some(encode_share(share)) }
}

fn decode_project(project: v1::Project) -> Result<(String, Share), Malformed> {
    Ok((project.name, decode_share(project.share)?))
}

pub(super) fn decode(state: v1::FarmState) -> Result<FarmState, Malformed> {
    let mut decoded = FarmState {
        applied: state.applied,
        clock_ms: state.clock_ms,
        last_job: JobId(state.last_job),
        last_worker: WorkerId(state.last_worker),
        jobs: state.jobs.into_iter().map(decode_job).collect::<Result<_, _>>()?,
        profiles: state.profiles.into_iter().map(|text| (Digest::of(text.as_bytes()), text)).collect(),
        workers: state.workers.into_iter().map(decode_worker).collect::<Result<_, _>>()?,
        leases: state.leases.into_iter().map(decode_lease).collect::<Result<_, _>>()?,
        projects: state.projects.into_iter().map(decode_project).collect::<Result<_, _>>()?,
        holds: state
            .holds
            .into_iter()
            .map(decode_hold)
            .filter_map(|(name, hold)| Some((name, hold?)))
            .collect(),
        strikes: state.strikes.into_iter().map(decode_strikes).collect(),
        ..FarmState::default()
    };
    decoded.reindex();
    Ok(decoded)
}

fn encode_strikes(worker: &str, jobs: &BTreeSet<JobId>) -> v1::Strikes {
    v1::Strikes { worker: worker.to_owned(), jobs: jobs.iter().map(|job| job.0).collect() }
}

fn decode_strikes(strikes: v1::Strikes) -> (String, BTreeSet<JobId>) {
    (strikes.worker, strikes.jobs.into_iter().map(JobId).collect())
}

fn encode_worker(id: WorkerId, worker: &Worker) -> v1::Worker {
    let facts = encode_facts(&worker.facts);
    v1::Worker {
        id: id.0,
        name: facts.name,
        incarnation: facts.incarnation,
        slots: facts.slots,
        memory: facts.memory,
        scratch: facts.scratch,
        pool: facts.pool,
        labels: facts.labels,
        codecs: facts.codecs,
        hooks: facts.hooks,
        price_micros: facts.price_micros,
        draining: worker.draining,
        registered_ms: worker.registered_ms,
        preemptions: worker.preemptions,
    }
}

fn decode_worker(worker: v1::Worker) -> Result<(WorkerId, Worker), Malformed> {
    let facts = v1::RegisterWorker {
        name: worker.name,
        incarnation: worker.incarnation,
        slots: worker.slots,
        memory: worker.memory,
        scratch: worker.scratch,
        pool: worker.pool,
        labels: worker.labels,
        codecs: worker.codecs,
        hooks: worker.hooks,
        price_micros: worker.price_micros,
    };
    let decoded = Worker {
        facts: decode_facts(facts)?,
        draining: worker.draining,
        registered_ms: worker.registered_ms,
        preemptions: worker.preemptions,
    };
    Ok((WorkerId(worker.id), decoded))
}

fn encode_lease(task: TaskId, lease: &Lease) -> v1::Lease {
    v1::Lease {
        task: wire_task(task),
        epoch: lease.epoch.0,
        worker: lease.worker.0,
        attempt: lease.attempt.0,
        granted: lease.granted.map(encode_range),
        memory: lease.reserved.memory,
        scratch: lease.reserved.scratch,
        granted_ms: lease.granted_ms,
        repeated_parts: lease.repeated.iter().map(|part| part.0).collect(),
    }
}

fn decode_lease(lease: v1::Lease) -> Result<(TaskId, Lease), Malformed> {
    let decoded = Lease {
        epoch: Epoch(lease.epoch),
        worker: WorkerId(lease.worker),
        attempt: AttemptNumber(lease.attempt),
        granted: lease.granted.map(decode_range),
        reserved: Reserved { memory: lease.memory, scratch: lease.scratch },
        granted_ms: lease.granted_ms,
        repeated: lease.repeated_parts.into_iter().map(PartIndex).collect(),
    };
    Ok((task(lease.task)?, decoded))
}

fn encode_job(id: JobId, job: &Job) -> v1::Job {
    v1::Job {
        id: id.0,
        spec: Some(encode_spec(&job.spec)),
        profile: job.profile.0.to_vec(),
        state: encode_job_state(job.state).into(),
        submitted_ms: job.submitted_ms,
        ended_ms: job.ended_ms,
        failure: job.failure.as_deref().map(encode_failure),
        index: job.index.as_deref().cloned().map(Into::into),
        plan: job.plan.as_deref().map(encode_plan),
        encode: Some(encode_parts(&job.encode)),
        audio: job.audio.iter().map(|(number, record)| encode_track(*number, (*record).into())).collect(),
        images: job.images.map(Into::into),
        assembly: job.assembly.map(Into::into),
        proof: job.proof.map(Into::into),
        previewed: job.previewed,
        preview_over: job.preview_over,
        check: job.check.map(Into::into),
        report: job.report.map(Into::into),
        tasks: job.tasks.iter().map(|(task, record)| encode_task(*task, record)).collect(),
        backoffs: job.backoffs.iter().map(|(stage, backoff)| encode_backoff(*stage, *backoff)).collect(),
        workers: job.workers.iter().map(|(id, worker)| encode_job_worker(*id, worker)).collect(),
        attempts: job.attempts.iter().map(encode_attempt).collect(),
        attempts_total: job.attempts_total,
        parts_encoded_twice: job.parts_encoded_twice,
        renditions_encoded: job.renditions_encoded,
        renditions_reused: job.renditions_reused,
        reopenings: job.reopenings,
        source_bytes_read: job.source_bytes_read,
        cost_micros: job.cost_micros,
        hooks: encode_hooks(&job.hooks),
        rate: encode_rate(&job.rate),
    }
}

fn decode_job(job: v1::Job) -> Result<(JobId, Job), Malformed> {
    let state = decode_job_state(job.state())?;
    let optional = |field: Option<wire::Artifact>| field.map(TryInto::try_into).transpose();
    let decoded = Job {
        spec: decode_spec(job.spec.ok_or(Malformed("job spec"))?)?,
        profile: digest(&job.profile)?,
        state,
        submitted_ms: job.submitted_ms,
        ended_ms: job.ended_ms,
        failure: job.failure.map(decode_failure).transpose()?.map(Box::new),
        index: job.index.map(TryInto::try_into).transpose()?.map(Box::new),
        plan: job.plan.map(decode_plan).transpose()?.map(Box::new),
        encode: decode_parts(job.encode.unwrap_or_default())?,
        audio: job.audio.into_iter().map(decode_track).collect::<Result<_, _>>()?,
        images: optional(job.images)?,
        assembly: optional(job.assembly)?,
        proof: optional(job.proof)?,
        previewed: job.previewed,
        preview_over: job.preview_over,
        check: optional(job.check)?,
        report: optional(job.report)?,
        tasks: job.tasks.into_iter().map(decode_task).collect::<Result<_, _>>()?,
        backoffs: job.backoffs.into_iter().map(decode_backoff).collect::<Result<_, _>>()?,
        workers: job.workers.into_iter().map(decode_job_worker).collect(),
        attempts: job.attempts.into_iter().map(decode_attempt).collect::<Result<_, _>>()?,
        attempts_total: job.attempts_total,
        parts_encoded_twice: job.parts_encoded_twice,
        renditions_encoded: job.renditions_encoded,
        renditions_reused: job.renditions_reused,
        reopenings: job.reopenings,
        source_bytes_read: job.source_bytes_read,
        cost_micros: job.cost_micros,
        hooks: decode_hooks(job.hooks.unwrap_or_default()),
        rate: decode_rate(job.rate.unwrap_or_default())?,
    };
    Ok((JobId(job.id), decoded))
}

fn encode_job_worker(id: WorkerId, worker: &JobWorker) -> v1::WorkerName {
    let JobWorker { name, pool, price } = worker;
    v1::WorkerName {
        id: id.0,
        name: name.clone(),
        // Written where it says something, as before there were any.
        pool: if *pool == Pool::default() { 0 } else { wire::Pool::from(*pool).into() },
        price_micros: price.micros,
    }
}

fn decode_job_worker(worker: v1::WorkerName) -> (WorkerId, JobWorker) {
    let pool = worker.pool().into();
    let price = Price { micros: worker.price_micros };
    (WorkerId(worker.id), JobWorker { name: worker.name, pool, price })
}

/// Jobs without hooks are written as they were before there were any.
fn encode_hooks(hooks: &TaskSet) -> Option<v1::HookState> {
    let TaskSet { fresh, open, skipped } = hooks;
    let wire = || v1::HookState {
        fresh: *fresh,
        open: open.iter().copied().collect(),
        skipped: skipped.iter().copied().collect(),
    };
    (*hooks != TaskSet::default()).then(wire)
}

fn decode_hooks(hooks: v1::HookState) -> TaskSet {
    TaskSet {
        fresh: hooks.fresh,
        open: hooks.open.into_iter().collect(),
        skipped: hooks.skipped.into_iter().collect(),
    }
}

/// Jobs without bit rates are written as they were before there were any.
fn encode_rate(rate: &RateState) -> Option<v1::RateState> {
    let RateState { rounds, waves, probing, probed } = rate;
    let wire = || v1::RateState {
        rounds: rounds.iter().map(encode_round).collect(),
        waves: waves.iter().map(encode_round).collect(),
        probing: *probing,
        fresh: probed.fresh,
        open: probed.open.iter().copied().collect(),
    };
    (*rate != RateState::default()).then(wire)
}

fn encode_round(round: &RateRound) -> v1::RateRound {
    let level = |level: &RateLevel| {
        let quality = if level.total_quality() == 0 { Vec::new() } else { level.quality.to_vec() };
        v1::RateLevel { crf_milli: level.crf_milli, bytes: level.bytes.to_vec(), quality }
    };
    v1::RateRound { levels: round.levels.iter().map(level).collect() }
}

fn decode_rate(rate: v1::RateState) -> Result<RateState, Malformed> {
    let rounds = |rounds: Vec<v1::RateRound>| rounds.into_iter().map(decode_round).collect::<Result<_, _>>();
    let open = rate.open.into_iter().collect();
    Ok(RateState {
        rounds: rounds(rate.rounds)?,
        waves: rounds(rate.waves)?,
        probing: rate.probing,
        probed: TaskSet { fresh: rate.fresh, open, ..TaskSet::default() },
    })
}

fn decode_round(round: v1::RateRound) -> Result<RateRound, Malformed> {
    let level = |level: v1::RateLevel| {
        let bytes = level.bytes.try_into().map_err(|_| Malformed("waves of a bit rate"))?;
        let quality = match level.quality.is_empty() {
            true => [0; WAVES],
            false => level.quality.try_into().map_err(|_| Malformed("waves of a quality"))?,
        };
        Ok(RateLevel { crf_milli: level.crf_milli, bytes, quality })
    };
    Ok(RateRound { levels: round.levels.into_iter().map(level).collect::<Result<_, _>>()? })
}

fn encode_job_state(state: JobState) -> v1::JobState {
    match state {
        JobState::Queued => v1::JobState::Queued,
        JobState::Running => v1::JobState::Running,
        JobState::Done => v1::JobState::Done,
        JobState::Failed => v1::JobState::Failed,
        JobState::Canceled => v1::JobState::Canceled,
        JobState::Paused => v1::JobState::Paused,
    }
}

fn decode_job_state(state: v1::JobState) -> Result<JobState, Malformed> {
    match state {
        v1::JobState::Unspecified => Err(Malformed("state of a job")),
        v1::JobState::Queued => Ok(JobState::Queued),
        v1::JobState::Running => Ok(JobState::Running),
        v1::JobState::Done => Ok(JobState::Done),
        v1::JobState::Failed => Ok(JobState::Failed),
        v1::JobState::Canceled => Ok(JobState::Canceled),
        v1::JobState::Paused => Ok(JobState::Paused),
    }
}

fn encode_failure(failure: &JobFailure) -> v1::JobFailure {
    v1::JobFailure {
        task: failure.task.map(Into::into),
        worker: failure.worker.clone(),
        failure: Some(failure.failure.clone().into()),
    }
}

fn decode_failure(failure: v1::JobFailure) -> Result<JobFailure, Malformed> {
    Ok(JobFailure {
        task: failure.task.map(TryInto::try_into).transpose()?,
        worker: failure.worker,
        failure: failure.failure.ok_or(Malformed("failure"))?.try_into()?,
    })
}

fn encode_parts(parts: &EncodeState) -> v1::EncodeState {
    let committed = parts.committed.iter().map(|(part, committed)| v1::CommittedPart {
        part: part.0,
        record: Some(committed.record.into()),
        worker: committed.worker.0,
        epoch: committed.epoch.0,
        encoded: committed.encoded,
        reused: committed.reused,
    });
    let chunks = parts.chunks.iter();
    v1::EncodeState {
        committed: committed.collect(),
        fresh: parts.fresh,
        chunks: chunks
            .map(|(number, range)| v1::Chunk { number: *number, parts: Some(encode_range(*range)) })
            .collect(),
        next_chunk: parts.next_chunk,
    }
}

fn decode_parts(parts: v1::EncodeState) -> Result<EncodeState, Malformed> {
    let committed = parts.committed.into_iter().map(|part| {
        let committed = CommittedPart {
            record: artifact(part.record)?,
            worker: WorkerId(part.worker),
            epoch: Epoch(part.epoch),
            encoded: part.encoded,
            reused: part.reused,
        };
        Ok((PartIndex(part.part), committed))
    });
    let chunks = parts.chunks.into_iter().map(|chunk| {
        let range = chunk.parts.ok_or(Malformed("parts of a chunk"))?;
        Ok((chunk.number, decode_range(range)))
    });
    Ok(EncodeState {
        committed: committed.collect::<Result<_, _>>()?,
        fresh: parts.fresh,
        chunks: chunks.collect::<Result<_, _>>()?,
        next_chunk: parts.next_chunk,
    })
}

fn encode_track(number: u32, record: wire::Artifact) -> v1::Track {
    v1::Track { number, record: Some(record) }
}

fn decode_track(track: v1::Track) -> Result<(u32, reel_common::Artifact), Malformed> {
    Ok((track.number, artifact(track.record)?))
}

fn encode_task((stage, index): (Stage, u32), record: &TaskRecord) -> v1::TaskRecord {
    let faults = record.faults.iter();
    v1::TaskRecord {
        stage: wire::Stage::from(stage).into(),
        index,
        attempts: record.attempts,
        last_epoch: record.last_epoch.0,
        losses: record.losses,
        preemptions: record.preemptions,
        faults: faults
            .map(|fault| v1::Fault { host: fault.host.clone(), message: fault.message.clone() })
            .collect(),
        not_before_ms: record.not_before_ms,
    }
}

fn decode_task(record: v1::TaskRecord) -> Result<((Stage, u32), TaskRecord), Malformed> {
    let key = (record.stage().try_into()?, record.index);
    let faults = record.faults.into_iter().map(|fault| Fault { host: fault.host, message: fault.message });
    let decoded = TaskRecord {
        attempts: record.attempts,
        last_epoch: Epoch(record.last_epoch),
        losses: record.losses,
        preemptions: record.preemptions,
        faults: faults.collect(),
        not_before_ms: record.not_before_ms,
    };
    Ok((key, decoded))
}

fn encode_backoff(stage: Stage, backoff: StageBackoff) -> v1::StageBackoff {
    v1::StageBackoff {
        stage: wire::Stage::from(stage).into(),
        shortages: backoff.shortages,
        not_before_ms: backoff.not_before_ms,
    }
}

fn decode_backoff(backoff: v1::StageBackoff) -> Result<(Stage, StageBackoff), Malformed> {
    let decoded = StageBackoff { shortages: backoff.shortages, not_before_ms: backoff.not_before_ms };
    Ok((backoff.stage().try_into()?, decoded))
}

fn encode_attempt(attempt: &AttemptRecord) -> v1::AttemptRecord {
    let (end, class) = match attempt.outcome {
        Outcome::Done => (v1::AttemptEnd::Done, wire::FailureClass::Unspecified),
        Outcome::Failed(class) => (v1::AttemptEnd::Failed, class.into()),
        Outcome::Revoked => (v1::AttemptEnd::Revoked, wire::FailureClass::Unspecified),
    };
    v1::AttemptRecord {
        stage: wire::Stage::from(attempt.stage).into(),
        index: attempt.index,
        attempt: attempt.attempt.0,
        epoch: attempt.epoch.0,
        worker: attempt.worker.0,
        started_ms: attempt.started_ms,
        ended_ms: attempt.ended_ms,
        end: end.into(),
        class: class.into(),
        message: attempt.message.clone(),
        source_bytes_read: attempt.source_bytes_read,
    }
}

fn decode_attempt(attempt: v1::AttemptRecord) -> Result<AttemptRecord, Malformed> {
    let outcome = match attempt.end() {
        v1::AttemptEnd::Unspecified => return Err(Malformed("end of an attempt")),
        v1::AttemptEnd::Done => Outcome::Done,
        v1::AttemptEnd::Failed => Outcome::Failed(FailureClass::try_from(attempt.class())?),
        v1::AttemptEnd::Revoked => Outcome::Revoked,
    };
    Ok(AttemptRecord {
        stage: attempt.stage().try_into()?,
        index: attempt.index,
        attempt: AttemptNumber(attempt.attempt),
        epoch: Epoch(attempt.epoch),
        worker: WorkerId(attempt.worker),
        started_ms: attempt.started_ms,
        ended_ms: attempt.ended_ms,
        outcome,
        message: attempt.message,
        source_bytes_read: attempt.source_bytes_read,
    })
}
