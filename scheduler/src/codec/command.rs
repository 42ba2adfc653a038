//! Commands as they stand in the log.

use reel_common::{Goal, Hold, JobId, PartIndex, Price, SegmentGrid, Share, WorkerFacts, WorkerId};
use reel_profiles::VideoCodec;
use reel_proto::log::v1::{self, command::Action as Wire};
use reel_proto::{Malformed, labels, lengths, starts, v1 as wire, wire_labels};
use reel_scheduler_core::plan::RateTarget;
use reel_scheduler_core::rate::RateStep;
use reel_scheduler_core::state::PartRange;
use reel_scheduler_core::{Action, Command, JobSpec, LossCause, Plan, Reserved, TaskResult};

use super::{artifact, attempt, task, wire_task};

pub(super) fn encode(command: &Command) -> v1::Command {
    v1::Command { now_ms: command.now_ms, action: Some(encode_action(&command.action)) }
}

pub(super) fn decode(command: v1::Command) -> Result<Command, Malformed> {
    let action = decode_action(command.action.ok_or(Malformed("action of a command"))?)?;
    Ok(Command { now_ms: command.now_ms, action })
}

fn encode_action(action: &Action) -> Wire {
    match action {
        Action::SubmitJob { spec, profile } => {
            Wire::SubmitJob(v1::SubmitJob { spec: Some(encode_spec(spec)), profile: profile.clone() })
        }
        Action::CommitPlan { job, plan } => {
            Wire::CommitPlan(v1::CommitPlan { job: job.0, plan: Some(encode_plan(plan)) })
        }
        Action::CommitRate { job, after, step } => Wire::CommitRate(v1::CommitRate {
            job: job.0,
            step: *after,
            crf_milli: step.crf_milli.clone(),
            probe: step.probe,
        }),
        Action::RejectPlan { job, reason } => {
            Wire::RejectPlan(v1::RejectPlan { job: job.0, reason: reason.clone() })
        }
        Action::RegisterWorker { facts } => Wire::RegisterWorker(encode_facts(facts)),
        Action::LoseWorker { worker, cause } => {
            Wire::LoseWorker(v1::LoseWorker { worker: worker.0, cause: encode_cause(*cause).into() })
        }
        Action::CancelJob { job } => Wire::CancelJob(v1::CancelJob { job: job.0 }),
        Action::PauseJob { job } => Wire::PauseJob(v1::PauseJob { job: job.0 }),
        Action::ResumeJob { job } => Wire::ResumeJob(v1::ResumeJob { job: job.0 }),
        Action::RetryJob { job } => Wire::RetryJob(v1::RetryJob { job: job.0 }),
        Action::SetPriority { job, priority } => {
            Wire::SetPriority(v1::SetPriority { job: job.0, priority: *priority })
        }
        Action::NoteLeaving { worker } => Wire::NoteLeaving(v1::NoteLeaving { worker: worker.0 }),
        Action::HoldWorker { name, hold } => Wire::HoldWorker(encode_hold(name, *hold)),
        Action::SetProject { name, share } => {
            Wire::SetProject(v1::SetProject { name: name.clone(), share: Some(encode_share(*share)) })
        }
        Action::PruneJobs => Wire::PruneJobs(v1::PruneJobs {}),
        about_a_task => encode_task_action(about_a_task),
    }
}

fn encode_task_action(action: &Action) -> Wire {
    match action {
        Action::Grant { task, worker, parts, reserved } => Wire::Grant(v1::Grant {
            task: wire_task(*task),
            worker: worker.0,
            parts: parts.map(encode_range),
            memory: reserved.memory,
            scratch: reserved.scratch,
        }),
        Action::CommitPart { task, epoch, part, record, encoded, reused, measured } => {
            let wire::ProbeSizes { sample_bytes, psnr_mdb, ssim_ppm, vmaf_milli } =
                wire::ProbeSizes::from(measured.as_slice());
            Wire::CommitPart(v1::CommitPart {
                task: wire_task(*task),
                epoch: epoch.0,
                part: part.0,
                record: Some((*record).into()),
                encoded: *encoded,
                reused: *reused,
                sample_bytes,
                psnr_mdb,
                ssim_ppm,
                vmaf_milli,
            })
        }
        Action::CommitTask { task, epoch, result, source_bytes_read } => Wire::CommitTask(v1::CommitTask {
            task: wire_task(*task),
            epoch: epoch.0,
            result: encode_result(result),
            source_bytes_read: *source_bytes_read,
        }),
        Action::FailAttempt { task, epoch, failure } => Wire::FailAttempt(v1::FailAttempt {
            task: wire_task(*task),
            epoch: epoch.0,
            failure: Some(failure.clone().into()),
        }),
        Action::HandBack { task, epoch } => {
            Wire::HandBack(v1::HandBack { task: wire_task(*task), epoch: epoch.0 })
        }
        Action::ExpireLease { task, epoch } => {
            Wire::ExpireLease(v1::ExpireLease { task: wire_task(*task), epoch: epoch.0 })
        }
        Action::CutChunk { task, epoch, at_part } => {
            Wire::CutChunk(v1::CutChunk { task: wire_task(*task), epoch: epoch.0, at_part: at_part.0 })
        }
        Action::RetryTask { task } => Wire::RetryTask(v1::RetryTask { task: wire_task(*task) }),
        Action::SkipTask { task } => Wire::SkipTask(v1::SkipTask { task: wire_task(*task) }),
        other => unreachable!("`encode_action` handles {other:?}"),
    }
}

fn decode_action(action: Wire) -> Result<Action, Malformed> {
    Ok(match action {
        Wire::SubmitJob(submit) => {
            let spec = decode_spec(submit.spec.ok_or(Malformed("job spec"))?)?;
            Action::SubmitJob { spec: Box::new(spec), profile: submit.profile }
        }
        Wire::CommitPlan(commit) => {
            let plan = Box::new(decode_plan(commit.plan.ok_or(Malformed("plan"))?)?);
            Action::CommitPlan { job: JobId(commit.job), plan }
        }
        Wire::CommitRate(commit) => {
            let step = RateStep { probe: commit.probe, crf_milli: commit.crf_milli };
            Action::CommitRate { job: JobId(commit.job), after: commit.step, step }
        }
        Wire::RejectPlan(reject) => Action::RejectPlan { job: JobId(reject.job), reason: reject.reason },
        Wire::RegisterWorker(worker) => Action::RegisterWorker { facts: Box::new(decode_facts(worker)?) },
        Wire::LoseWorker(lose) => {
            Action::LoseWorker { worker: WorkerId(lose.worker), cause: decode_cause(lose.cause())? }
        }
        Wire::CancelJob(cancel) => Action::CancelJob { job: JobId(cancel.job) },
        Wire::PauseJob(pause) => Action::PauseJob { job: JobId(pause.job) },
        Wire::ResumeJob(resume) => Action::ResumeJob { job: JobId(resume.job) },
        Wire::RetryJob(retry) => Action::RetryJob { job: JobId(retry.job) },
        Wire::SetPriority(set) => Action::SetPriority { job: JobId(set.job), priority: set.priority },
        Wire::NoteLeaving(note) => Action::NoteLeaving { worker: WorkerId(note.worker) },
        Wire::HoldWorker(held) => {
            let (name, hold) = decode_hold(held);
            Action::HoldWorker { name, hold }
        }
        Wire::SetProject(set) => Action::SetProject { name: set.name, share: decode_share(set.share)? },
        Wire::PruneJobs(_) => Action::PruneJobs,
        Wire::RetryTask(retry) => Action::RetryTask { task: task(retry.task)? },
        Wire::SkipTask(skip) => Action::SkipTask { task: task(skip.task)? },
        Wire::Grant(grant) => Action::Grant {
            task: task(grant.task)?,
            worker: WorkerId(grant.worker),
            parts: grant.parts.map(decode_range),
            reserved: Reserved { memory: grant.memory, scratch: grant.scratch },
        },
        about_an_attempt => decode_attempt_action(about_an_attempt)?,
    })
}

fn decode_attempt_action(action: Wire) -> Result<Action, Malformed> {
    Ok(match action {
        Wire::CommitPart(commit) => {
            let (task, epoch) = attempt(commit.task, commit.epoch)?;
            let record = artifact(commit.record)?;
            let v1::CommitPart {
                part, encoded, reused, sample_bytes, psnr_mdb, ssim_ppm, vmaf_milli, ..
            } = commit;
            let measured = wire::ProbeSizes { sample_bytes, psnr_mdb, ssim_ppm, vmaf_milli }.try_into()?;
            Action::CommitPart { task, epoch, part: PartIndex(part), record, encoded, reused, measured }
        }
        Wire::CommitTask(commit) => {
            let (task, epoch) = attempt(commit.task, commit.epoch)?;
            let source_bytes_read = commit.source_bytes_read;
            Action::CommitTask { task, epoch, result: decode_result(commit.result)?, source_bytes_read }
        }
        Wire::FailAttempt(fail) => {
            let (task, epoch) = attempt(fail.task, fail.epoch)?;
            let failure = fail.failure.ok_or(Malformed("failure"))?.try_into()?;
            Action::FailAttempt { task, epoch, failure }
        }
        Wire::HandBack(back) => {
            let (task, epoch) = attempt(back.task, back.epoch)?;
            Action::HandBack { task, epoch }
        }
        Wire::ExpireLease(expire) => {
            let (task, epoch) = attempt(expire.task, expire.epoch)?;
            Action::ExpireLease { task, epoch }
        }
        Wire::CutChunk(cut) => {
            let (task, epoch) = attempt(cut.task, cut.epoch)?;
            Action::CutChunk { task, epoch, at_part: PartIndex(cut.at_part) }
        }
        _ => return Err(Malformed("action of a command")),
    })
}

fn encode_result(result: &TaskResult) -> Option<v1::commit_task::Result> {
    match result {
        TaskResult::Index(index) => Some(v1::commit_task::Result::Index((**index).clone().into())),
        TaskResult::Object(object) => Some(v1::commit_task::Result::Object((*object).into())),
        TaskResult::Measured(measured) => Some(v1::commit_task::Result::Sizes(measured.as_slice().into())),
        TaskResult::Nothing => None,
    }
}

fn decode_result(result: Option<v1::commit_task::Result>) -> Result<TaskResult, Malformed> {
    Ok(match result {
        Some(v1::commit_task::Result::Index(index)) => TaskResult::Index(Box::new(index.try_into()?)),
        Some(v1::commit_task::Result::Object(object)) => TaskResult::Object(object.try_into()?),
        Some(v1::commit_task::Result::Sizes(sizes)) => TaskResult::Measured(sizes.try_into()?),
        None => TaskResult::Nothing,
    })
}

fn encode_cause(cause: LossCause) -> v1::LossCause {
    match cause {
        LossCause::Silent => v1::LossCause::Silent,
        LossCause::FarmRestarted => v1::LossCause::FarmRestarted,
    }
}

fn decode_cause(cause: v1::LossCause) -> Result<LossCause, Malformed> {
    match cause {
        v1::LossCause::Unspecified => Err(Malformed("cause of a loss")),
        v1::LossCause::Silent => Ok(LossCause::Silent),
        v1::LossCause::FarmRestarted => Ok(LossCause::FarmRestarted),
    }
}

pub(super) fn encode_facts(facts: &WorkerFacts) -> v1::RegisterWorker {
    v1::RegisterWorker {
        name: facts.name.clone(),
        incarnation: facts.incarnation,
        slots: facts.slots,
        memory: facts.memory,
        scratch: facts.scratch,
        pool: wire::Pool::from(facts.pool).into(),
        labels: wire_labels(&facts.labels),
        codecs: facts.codecs.iter().cloned().collect(),
        hooks: facts.hooks.iter().cloned().collect(),
        price_micros: facts.price.micros,
    }
}

pub(super) fn decode_facts(worker: v1::RegisterWorker) -> Result<WorkerFacts, Malformed> {
    Ok(WorkerFacts {
        pool: worker.pool().into(),
        labels: labels(worker.labels).map_err(|_| Malformed("label of a worker"))?,
        name: worker.name,
        incarnation: worker.incarnation,
        slots: worker.slots,
        memory: worker.memory,
        scratch: worker.scratch,
        codecs: worker.codecs.into_iter().collect(),
        hooks: worker.hooks.into_iter().collect(),
        price: Price { micros: worker.price_micros },
    })
}

pub(super) fn encode_spec(spec: &JobSpec) -> v1::JobSpec {
    v1::JobSpec {
        mezzanine: spec.mezzanine.clone(),
        identity: spec.identity.clone().map(Into::into),
        output: spec.output.clone(),
        priority: spec.priority,
        deadline_ms: spec.deadline_ms,
        labels: wire_labels(&spec.labels),
        needs: wire_labels(&spec.needs),
        chunk_parts: spec.chunk_parts,
        hooks: spec.hooks.iter().cloned().map(Into::into).collect(),
        texts: spec.texts.iter().cloned().map(Into::into).collect(),
        edit: spec.edit.clone().map(Into::into),
        idempotency_key: spec.idempotency_key.clone(),
        project: if spec.project == JobSpec::DEFAULT_PROJECT { String::new() } else { spec.project.clone() },
    }
}

pub(super) fn decode_spec(spec: v1::JobSpec) -> Result<JobSpec, Malformed> {
    let read = |wire| labels(wire).map_err(|_| Malformed("label of a job"));
    Ok(JobSpec {
        mezzanine: spec.mezzanine,
        identity: spec.identity.map(Into::into),
        output: spec.output,
        priority: spec.priority,
        deadline_ms: spec.deadline_ms,
        labels: read(spec.labels)?,
        needs: read(spec.needs)?,
        chunk_parts: spec.chunk_parts,
        hooks: spec.hooks.into_iter().map(Into::into).collect(),
        texts: spec.texts.into_iter().map(Into::into).collect(),
        edit: spec.edit.map(TryInto::try_into).transpose()?,
        idempotency_key: spec.idempotency_key,
        project: if spec.project.is_empty() { JobSpec::DEFAULT_PROJECT.to_owned() } else { spec.project },
    })
}

pub(super) fn encode_hold(name: &str, hold: Option<Hold>) -> v1::HoldWorker {
    let hold = match hold {
        None => v1::Hold::Unspecified,
        Some(Hold::Cordon) => v1::Hold::Cordon,
        Some(Hold::Drain) => v1::Hold::Drain,
        Some(Hold::Quarantine) => v1::Hold::Quarantine,
    };
    v1::HoldWorker { name: name.to_owned(), hold: hold.into() }
}

pub(super) fn decode_hold(held: v1::HoldWorker) -> (String, Option<Hold>) {
    let hold = match held.hold() {
        v1::Hold::Unspecified => None,
        v1::Hold::Cordon => Some(Hold::Cordon),
        v1::Hold::Drain => Some(Hold::Drain),
        v1::Hold::Quarantine => Some(Hold::Quarantine),
    };
    (held.name, hold)
}

pub(super) fn encode_share(share: Share) -> v1::Share {
    v1::Share { weight: share.weight, guarantee: share.guarantee, burst: share.burst }
}

pub(super) fn decode_share(share: Option<v1::Share>) -> Result<Share, Malformed> {
    let share = share.ok_or(Malformed("share of a project"))?;
    Ok(Share { weight: share.weight, guarantee: share.guarantee, burst: share.burst })
}

pub(super) fn encode_range(range: PartRange) -> v1::PartRange {
    v1::PartRange { start: range.start, end: range.end }
}

pub(super) fn decode_range(range: v1::PartRange) -> PartRange {
    PartRange { start: range.start, end: range.end }
}

pub(super) fn encode_plan(plan: &Plan) -> v1::Plan {
    v1::Plan {
        grid: Some(encode_grid(&plan.grid)),
        chunk_parts: plan.chunk_parts,
        tracks: plan.tracks.clone(),
        renditions: plan.renditions,
        encode_memory: plan.encode_memory,
        encode_scratch: plan.encode_scratch,
        video_codecs: plan.video_codecs.iter().cloned().collect(),
        audio_codecs: plan.audio_codecs.iter().cloned().collect(),
        warnings: plan.warnings.clone(),
        flags: plan.flags.iter().cloned().map(Into::into).collect(),
        targets: plan.targets.iter().map(encode_target).collect(),
        image_memory: plan.image_memory,
        preview: plan.preview,
        check: plan.check,
    }
}

fn encode_target(target: &RateTarget) -> v1::RateTarget {
    let RateTarget { rendition, codec, goal, crf_milli, draft_milli } = *target;
    let wire = v1::RateTarget {
        rendition,
        codec: codec.name().to_owned(),
        crf_milli,
        draft_milli,
        ..v1::RateTarget::default()
    };
    match goal {
        Goal::Bytes(bytes) => v1::RateTarget { bytes, ..wire },
        Goal::Psnr(psnr_mdb) => v1::RateTarget { psnr_mdb, ..wire },
        Goal::Ssim(ssim_ppm) => v1::RateTarget { ssim_ppm, ..wire },
        Goal::Vmaf(vmaf_milli) => v1::RateTarget { vmaf_milli, ..wire },
    }
}

fn decode_target(target: v1::RateTarget) -> Result<RateTarget, Malformed> {
    let v1::RateTarget { rendition, codec, bytes, crf_milli, draft_milli, psnr_mdb, ssim_ppm, vmaf_milli } =
        target;
    let goal = reel_proto::goal(bytes, psnr_mdb, ssim_ppm, vmaf_milli);
    let codec = VideoCodec::ALL.iter().find(|known| known.name() == codec);
    let codec = *codec.ok_or(Malformed("codec of a bit rate"))?;
    Ok(RateTarget { rendition, codec, goal, crf_milli, draft_milli })
}

pub(super) fn decode_plan(plan: v1::Plan) -> Result<Plan, Malformed> {
    Ok(Plan {
        grid: decode_grid(plan.grid.ok_or(Malformed("grid of a plan"))?)?,
        chunk_parts: plan.chunk_parts,
        tracks: plan.tracks,
        renditions: plan.renditions,
        encode_memory: plan.encode_memory,
        encode_scratch: plan.encode_scratch,
        video_codecs: plan.video_codecs.into_iter().collect(),
        audio_codecs: plan.audio_codecs.into_iter().collect(),
        warnings: plan.warnings,
        flags: plan.flags.into_iter().map(Into::into).collect(),
        targets: plan.targets.into_iter().map(decode_target).collect::<Result<_, _>>()?,
        image_memory: plan.image_memory,
        preview: plan.preview,
        check: plan.check,
    })
}

fn encode_grid(grid: &SegmentGrid) -> v1::SegmentGrid {
    v1::SegmentGrid {
        frames: grid.frames(),
        segments_per_part: grid.segments_per_part(),
        segment_frames: grid.segment_frames(),
        segment_lengths: lengths(grid.listed_starts()),
        part_segments: lengths(grid.listed_parts()),
        edited: !grid.listed_parts().is_empty(),
    }
}

fn decode_grid(grid: v1::SegmentGrid) -> Result<SegmentGrid, Malformed> {
    let (frames, per_part) = (grid.frames, grid.segments_per_part);
    let segments = || starts(&grid.segment_lengths);
    let made = match grid.segment_frames {
        Some(length) => SegmentGrid::regular(frames, length, per_part),
        None if grid.edited => {
            SegmentGrid::edited(frames, segments()?, starts(&grid.part_segments)?, per_part)
        }
        None => SegmentGrid::listed(frames, segments()?, per_part),
    };
    made.map_err(|_| Malformed("grid of a plan"))
}
