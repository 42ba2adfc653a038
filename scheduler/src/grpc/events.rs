//! What happens, change by change, from where a watcher left off.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use reel_common::{Hold, JobId};
use reel_proto::v1;
use reel_proto::v1::events_server::Events;
use reel_scheduler_core::event::Event;
use tokio_stream::wrappers::BroadcastStream;
use tonic::{Request, Response, Status};

use super::{refused, term_over};
use crate::driver::{Change, Watch};
use crate::scheduler::Scheduler;

/// Of so many changes that a watcher is not told, it is told the number of the last.
const TELL_EVERY: u32 = 1000;

pub(super) struct Service(pub(super) Scheduler);

#[tonic::async_trait]
impl Events for Service {
    type WatchStream = BoxStream<'static, Result<v1::Changes, Status>>;

    async fn watch(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let v1::WatchEventsRequest { after, job } = request.into_inner();
        let only = (job > 0).then_some(JobId(job));
        let Watch { now, missed, coming } = self.0.events(after, only).await.map_err(refused)?;
        let first = after.is_none().then(|| v1::Changes { number: now, ..v1::Changes::default() });
        let missed = futures::stream::iter(missed.into_iter().map(Ok));
        let coming = BroadcastStream::new(coming).map(|change| {
            // Whoever cannot keep up asks again for what comes after the last number that it has.
            change.map_err(|_| {
                Status::unavailable("more has changed than this watch could take: go on from the last number")
            })
        });
        let mut skipped = 0;
        let told = missed.chain(coming).filter_map(move |change| {
            let told = change.map(|change| wire(&change, only, &mut skipped)).transpose();
            futures::future::ready(told)
        });
        let all =
            futures::stream::iter(first.map(Ok)).chain(told).chain(futures::stream::iter([Err(term_over())]));
        Ok(Response::new(all.boxed()))
    }
}

/// A change as it is told to who watches one job, or all; `None` where nothing of it is about that job. Now and then its
/// number alone is told, so that a watcher of a quiet job does not fall behind what is kept.
fn wire(change: &Arc<Change>, only: Option<JobId>, skipped: &mut u32) -> Option<v1::Changes> {
    let wanted = |event: &&Event| only.is_none_or(|job| event.job() == Some(job));
    let events: Vec<_> = change.events.iter().filter(wanted).map(wire_event).collect();
    *skipped = if events.is_empty() { *skipped + 1 } else { 0 };
    let told = !events.is_empty() || skipped.is_multiple_of(TELL_EVERY);
    told.then(|| v1::Changes { number: change.number, at_ms: change.at_ms, events })
}

fn wire_event(event: &Event) -> v1::Event {
    use v1::event::Event as Wire;
    let event = match event.clone() {
        Event::JobChanged { job, state, reason } => {
            Wire::JobChanged(v1::JobChanged { job: job.0, state: v1::JobState::from(state).into(), reason })
        }
        Event::JobPlanned { job, parts } => Wire::JobPlanned(v1::JobPlanned { job: job.0, parts }),
        Event::AttemptBegan { task, attempt, epoch, worker, parts } => Wire::AttemptBegan(v1::AttemptBegan {
            task: Some(task.into()),
            attempt: attempt.0,
            epoch: epoch.0,
            worker,
            first_part: parts.map_or(0, |parts| parts.start),
            end_part: parts.map_or(0, |parts| parts.end),
        }),
        Event::AttemptEnded { task, attempt, epoch, worker, outcome, message } => {
            Wire::AttemptEnded(v1::AttemptEnded {
                task: Some(task.into()),
                attempt: attempt.0,
                epoch: epoch.0,
                worker,
                outcome: outcome.name().to_owned(),
                message,
            })
        }
        Event::PartCommitted { task, epoch, part } => {
            Wire::PartCommitted(v1::PartCommitted { task: Some(task.into()), epoch: epoch.0, part: part.0 })
        }
        Event::ChunkCut { task, at_part } => {
            Wire::ChunkCut(v1::ChunkWasCut { task: Some(task.into()), at_part: at_part.0 })
        }
        Event::TaskSkipped { task } => Wire::TaskSkipped(v1::TaskSkipped { task: Some(task.into()) }),
        Event::WorkerCame { worker } => changed(worker, v1::WorkerChange::Came, v1::Hold::Unspecified),
        Event::WorkerLeaves { worker } => changed(worker, v1::WorkerChange::Leaves, v1::Hold::Unspecified),
        Event::WorkerGone { worker } => changed(worker, v1::WorkerChange::Gone, v1::Hold::Unspecified),
        Event::WorkerHeld { worker, hold } => changed(worker, v1::WorkerChange::Held, wire_hold(hold)),
        Event::ProjectSet { project } => Wire::ProjectChanged(v1::ProjectChanged { project }),
    };
    v1::Event { event: Some(event) }
}

fn changed(worker: String, change: v1::WorkerChange, hold: v1::Hold) -> v1::event::Event {
    let (change, hold) = (change.into(), hold.into());
    v1::event::Event::WorkerChanged(v1::WorkerChanged { worker, change, hold })
}

fn wire_hold(hold: Option<Hold>) -> v1::Hold {
    match hold {
        None => v1::Hold::None,
        Some(Hold::Cordon) => v1::Hold::Cordon,
        Some(Hold::Drain) => v1::Hold::Drain,
        Some(Hold::Quarantine) => v1::Hold::Quarantine,
    }
}
