//! The task that a lease stands for, as the message that hands it to a worker.

use reel_common::{Artifact, TaskId};
use reel_proto::v1::{self, task_spec::Work as WireWork};
use reel_proto::wire_labels;
use reel_scheduler_core::view::{AttemptView, JobHistory, Work, staging_path, task_inputs};
use reel_scheduler_core::{FarmState, JobSpec};

/// The grant of the live lease of `task`; `None` where the job lacks what the stage needs, which a live lease excludes.
pub(super) fn grant(state: &FarmState, store_url: &str, task: TaskId) -> Option<v1::Grant> {
    let inputs = task_inputs(state, task)?;
    let output = inputs.spec.output.clone();
    let spec = v1::TaskSpec {
        task: Some(task.into()),
        attempt: inputs.attempt.0,
        epoch: inputs.epoch.0,
        mezzanine: inputs.spec.mezzanine.clone(),
        identity: inputs.spec.identity.clone().map(Into::into),
        profile: inputs.profile.to_owned(),
        store: store_url.to_owned(),
        work: Some(wire_work(inputs.work, inputs.spec, staging_path(&output, task.job))),
        output,
        submitted_ms: inputs.submitted_ms,
    };
    Some(v1::Grant { spec: Some(spec), memory_bytes: inputs.memory })
}

fn wire_work(work: Work, spec: &JobSpec, staging: String) -> WireWork {
    match work {
        Work::Index => {
            let texts = spec.texts.iter().cloned().map(Into::into).collect();
            WireWork::Index(v1::IndexTask { texts, edit: spec.edit.clone().map(Into::into) })
        }
        Work::Encode { index, parts, crf_milli } => WireWork::Encode(v1::EncodeTask {
            index: wire(index),
            parts: parts.into_iter().map(Into::into).collect(),
            qualities: crf_milli.into_iter().map(|crf_milli| v1::PartQuality { crf_milli }).collect(),
        }),
        Work::Probe { index, part, crf_milli, draft } => WireWork::Probe(v1::ProbeTask {
            index: wire(index),
            part: Some(part.into()),
            quality: Some(v1::PartQuality { crf_milli }),
            draft,
        }),
        Work::Audio { index, track } => WireWork::Audio(v1::AudioTask { index: wire(index), track }),
        Work::Image { index } => WireWork::Image(v1::ImageTask { index: wire(index) }),
        Work::Assemble { index, parts, audio, images } => WireWork::Assemble(v1::AssembleTask {
            index: wire(index),
            parts: parts.into_iter().map(Into::into).collect(),
            audio: audio.into_iter().map(Into::into).collect(),
            images: images.map(Into::into),
        }),
        Work::Measure { index, assembly } => {
            WireWork::Measure(v1::MeasureTask { index: wire(index), tree: staging, assembly: wire(assembly) })
        }
        Work::Preview { index, parts, audio } => WireWork::Preview(v1::PreviewTask {
            index: wire(index),
            parts: parts.into_iter().map(Into::into).collect(),
            audio: audio.into_iter().map(Into::into).collect(),
        }),
        Work::Check { index, assembly } => {
            WireWork::Check(v1::CheckTask { index: wire(index), assembly: wire(assembly) })
        }
        Work::Deliver { index, assembly, proof, check, history } => WireWork::Deliver(v1::DeliverTask {
            index: wire(index),
            assembly: wire(assembly),
            proof: wire(proof),
            check: check.map(Into::into),
            history: Some(wire_history(*history)),
        }),
        Work::Hook { name, index, tasks } => WireWork::Hook(v1::HookTask {
            name,
            index,
            tasks,
            project: spec.project.clone(),
            labels: wire_labels(&spec.labels),
        }),
    }
}

fn wire(artifact: Artifact) -> Option<v1::Artifact> {
    Some(artifact.into())
}

pub(super) fn wire_history(history: JobHistory) -> v1::JobHistory {
    let attempts = history.attempts.into_iter().map(wire_attempt);
    let parts = history.parts.into_iter().map(|part| v1::PartHistory {
        worker: part.worker,
        epoch: part.epoch.0,
        renditions_encoded: part.encoded,
        renditions_reused: part.reused,
    });
    v1::JobHistory {
        job: history.job.0,
        submitted_ms: history.submitted_ms,
        attempts: attempts.collect(),
        attempts_total: history.attempts_total,
        parts: parts.collect(),
        parts_encoded_twice: history.parts_encoded_twice,
        renditions_encoded: history.renditions_encoded,
        renditions_reused: history.renditions_reused,
        source_bytes_read: history.source_bytes_read,
        cost_micros: history.cost_micros,
        warnings: history.warnings,
        flags: history.flags.into_iter().map(Into::into).collect(),
        rates: history.rates.into_iter().map(Into::into).collect(),
    }
}

pub(super) fn wire_attempt(attempt: AttemptView) -> v1::AttemptRecord {
    v1::AttemptRecord {
        task: Some(attempt.task.into()),
        attempt: attempt.attempt.0,
        epoch: attempt.epoch.0,
        worker: attempt.worker,
        started_ms: attempt.started_ms,
        ended_ms: attempt.ended_ms,
        outcome: attempt.outcome.name().to_owned(),
        message: attempt.message,
        source_bytes_read: attempt.source_bytes_read,
        pool: v1::Pool::from(attempt.pool).into(),
        cost_micros: attempt.cost_micros,
    }
}
