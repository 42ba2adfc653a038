//! One span for what is over.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use reel_common::{Digest, Epoch, JobId, JobState};
use reel_scheduler::Ended;

/// The span of a job, or of an attempt below it.
pub(crate) fn of(cluster: u64, ended: &Ended) -> SpanData {
    match ended {
        Ended::Job { job, state, project, output, began_ms, ended_ms, reason } => {
            let attributes = vec![
                KeyValue::new("reel.job", job.0 as i64),
                KeyValue::new("reel.state", state.name()),
                KeyValue::new("reel.project", project.clone()),
                KeyValue::new("reel.output", output.clone()),
            ];
            let status = if *state == JobState::Failed { Status::error(reason.clone()) } else { Status::Ok };
            let (id, parent) = (job_span(cluster, *job), SpanId::INVALID);
            span("job", cluster, *job, (id, parent), (*began_ms, *ended_ms), attributes, status)
        }
        Ended::Attempt { task, attempt, epoch, worker, outcome, began_ms, ended_ms, message } => {
            let attributes = vec![
                KeyValue::new("reel.job", task.job.0 as i64),
                KeyValue::new("reel.task", task.to_string()),
                KeyValue::new("reel.attempt", i64::from(attempt.0)),
                KeyValue::new("reel.epoch", epoch.0 as i64),
                KeyValue::new("reel.worker", worker.clone()),
                KeyValue::new("reel.outcome", outcome.name()),
            ];
            let status = if message.is_empty() { Status::Ok } else { Status::error(message.clone()) };
            let ids = (attempt_span(cluster, *epoch), job_span(cluster, task.job));
            span(task.stage.name(), cluster, task.job, ids, (*began_ms, *ended_ms), attributes, status)
        }
    }
}

fn span(
    name: &'static str,
    cluster: u64,
    job: JobId,
    (id, parent): (SpanId, SpanId),
    (began_ms, ended_ms): (u64, u64),
    attributes: Vec<KeyValue>,
    status: Status,
) -> SpanData {
    let context =
        SpanContext::new(trace(cluster, job), id, TraceFlags::SAMPLED, false, TraceState::default());
    SpanData {
        span_context: context,
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: time(began_ms),
        end_time: time(ended_ms.max(began_ms)),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: InstrumentationScope::builder("reelfarm").build(),
    }
}

fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH)
}

/// The first bytes of a digest, which no other part of a farm has.
fn number<const N: usize>(kind: &str, cluster: u64, number: u64) -> [u8; N] {
    let digest = Digest::of(format!("reelfarm {kind} {cluster} {number}").as_bytes());
    std::array::from_fn(|at| digest.0[at])
}

fn trace(cluster: u64, job: JobId) -> TraceId {
    TraceId::from_bytes(number("trace", cluster, job.0))
}

fn job_span(cluster: u64, job: JobId) -> SpanId {
    SpanId::from_bytes(number("job", cluster, job.0))
}

fn attempt_span(cluster: u64, epoch: Epoch) -> SpanId {
    SpanId::from_bytes(number("attempt", cluster, epoch.0))
}
