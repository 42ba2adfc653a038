//! The farm at a glance, as monitors ask for it.

use reel_proto::v1;

use super::worker::FakeWorker;
use super::{PART, film, start, submit};
use reel_scheduler::JobSpec;

#[tokio::test]
async fn the_overview_counts_what_runs_and_what_waits() {
    let (_dir, scheduler) = start().await;
    let (id, _job) = submit(&scheduler, film("a")).await;
    submit(&scheduler, film("b")).await;
    let seen = scheduler.overview(10).await.unwrap();
    assert_eq!((seen.slots, seen.slots_taken, seen.tasks_waiting, seen.jobs_queued), (0, 0, 2, 2));
    assert_eq!(seen.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [id.0 + 1, id.0], "newest first");

    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let mut spec = worker.run_until(v1::Stage::Encode, 6 * PART).await;
    // Another job may have its turn first.
    while spec.task.unwrap().job != id.0 {
        worker.run(&spec, 6 * PART).await;
        spec = worker.run_until(v1::Stage::Encode, 6 * PART).await;
    }
    let beat = |frames_done| v1::RunningAttempt {
        task: spec.task,
        epoch: spec.epoch,
        progress: Some(v1::Progress { frames_done, frames_total: 3 * PART, part: Some(0) }),
    };
    let before = scheduler.overview(10).await.unwrap().frames;
    worker.beat(1, vec![beat(100)]).await;
    worker.beat(2, vec![beat(130)]).await;
    let seen = scheduler.overview(10).await.unwrap();
    assert_eq!((seen.frames - before, seen.slots, seen.slots_taken), (130, 1, 1));
    let [row] = &seen.workers[..] else { panic!("{:?}", seen.workers) };
    assert_eq!((row.name.as_str(), row.state(), row.running), ("w1", v1::WorkerState::Ready, 1));
    assert_eq!(row.load.unwrap().cpu_percent, 73);
    let job = seen.jobs.iter().find(|job| job.id == id.0).unwrap();
    assert_eq!((job.state(), job.stage(), job.running), (v1::JobState::Running, v1::Stage::Encode, 1));
    assert_eq!((job.parts_total, job.frames_total, job.frames_done), (6, 6 * PART, 130));
    let strip = scheduler.strip(id, 2).await.unwrap();
    assert_eq!((strip.parts_total, strip.cells.len()), (6, 2));
    let running: u32 = strip.cells.iter().map(|cell| cell.running).sum();
    assert!((1..=6).contains(&running), "{strip:?}");
    assert_eq!(scheduler.overview(1).await.unwrap().jobs.len(), 1, "no more rows than were asked for");
    assert_eq!((seen.cost_micros, row.price_micros), (250_000, 250_000));

    // The first part is done before a heartbeat says so; one that is late takes nothing back.
    worker.commit_part(&spec, 0).await;
    assert_eq!(scheduler.overview(10).await.unwrap().frames - before, PART);
    worker.beat(3, vec![beat(140)]).await;
    assert_eq!(scheduler.overview(10).await.unwrap().frames - before, PART);
    worker.beat(4, vec![beat(PART + 10)]).await;
    assert_eq!(scheduler.overview(10).await.unwrap().frames - before, PART + 10);
    scheduler.shutdown().await;
}

#[tokio::test]
async fn jobs_that_run_come_before_those_that_wait() {
    let (_dir, scheduler) = start().await;
    let (first, _job) = submit(&scheduler, film("a")).await;
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let running = worker.next_task().await;
    assert_eq!(running.task.unwrap().job, first.0);
    for name in ["b", "c"] {
        submit(&scheduler, JobSpec { deadline_ms: Some(1), ..film(name) }).await;
    }
    let seen = scheduler.overview(2).await.unwrap();
    assert_eq!(seen.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [first.0, first.0 + 2]);
    assert_eq!((seen.jobs_late, seen.jobs_stuck), (2, 2), "of all, not of the rows");
    scheduler.shutdown().await;
}
