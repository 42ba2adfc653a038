//! A whole scheduler on disk, with workers that speak the real messages.

#![allow(clippy::unwrap_used)] // in a test, a panic is the report

mod overview;
mod worker;

use std::path::Path;
use std::time::{Duration, Instant};

use reel_common::{FailureClass, IndexSummary, JobId, JobState, JobView, Stage};
use reel_proto::v1::{self, Verdict};
use reel_scheduler::{JobSpec, LeaseTimes, Refused, Scheduler, SchedulerConfig};
use tempfile::TempDir;
use tokio::sync::watch;
use worker::{FakeWorker, PATIENCE, index_summary, object, parts_of, stage_of};

/// Frames of one part of the proxy profile at 24 frames per second.
const PART: u64 = 288;

fn config(dir: &Path) -> SchedulerConfig {
    SchedulerConfig { abandon_fleet: true, ..SchedulerConfig::new(dir, 1, "file:///store") }
}

async fn start() -> (TempDir, Scheduler) {
    let dir = tempfile::tempdir().unwrap();
    let scheduler = Scheduler::start(config(dir.path())).await.unwrap();
    (dir, scheduler)
}

fn film(name: &str) -> JobSpec {
    JobSpec {
        mezzanine: format!("/in/{name}.mov"),
        profile: reel_profiles::catalog::text("proxy").unwrap().to_owned(),
        profile_name: "proxy".to_owned(),
        output: format!("/out/{name}"),
        ..JobSpec::default()
    }
}

async fn submit(scheduler: &Scheduler, spec: JobSpec) -> (JobId, watch::Receiver<JobView>) {
    let submitted = scheduler.submit(spec).await.unwrap();
    assert!(!submitted.duplicate);
    (submitted.job, scheduler.watch(submitted.job).await.unwrap())
}

async fn wait(job: &mut watch::Receiver<JobView>, wanted: impl Fn(&JobView) -> bool) -> JobView {
    let found = tokio::time::timeout(PATIENCE, job.wait_for(|view| wanted(view))).await;
    if let Ok(view) = found {
        return view.unwrap().clone();
    }
    drop(found);
    panic!("the job stays at {:#?}", job.borrow());
}

#[tokio::test]
async fn a_job_flows_through_every_stage_to_done() {
    let (_dir, scheduler) = start().await;
    let (id, mut job) = submit(&scheduler, film("a")).await;
    assert_eq!(job.borrow().state, JobState::Queued);
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let mut stages = Vec::new();
    for _ in 0..8 {
        let spec = worker.next_task().await;
        assert_eq!((spec.store.as_str(), spec.output.as_str()), ("file:///store", "/out/a"));
        assert_eq!(spec.mezzanine, "/in/a.mov");
        stages.push(stage_of(&spec));
        worker.run(&spec, 6 * PART).await;
    }
    use v1::Stage::{Assemble, Audio, Check, Deliver, Encode, Index, Measure};
    assert_eq!(stages, [Index, Audio, Encode, Encode, Assemble, Measure, Check, Deliver]);
    let view = wait(&mut job, JobView::is_over).await;
    assert_eq!((view.id, view.state, view.reason), (id, JobState::Done, None));
    assert_eq!((view.parts_total, view.parts_committed, view.attempts), (6, 6, 8));
    assert_eq!((view.renditions_encoded, view.parts_encoded_twice), (6, 0));
    assert!(view.report.is_some() && view.ended_ms.is_some());
    scheduler.shutdown().await;
}

#[tokio::test]
async fn deliver_is_told_who_did_what() {
    let (_dir, scheduler) = start().await;
    let (_, mut job) = submit(&scheduler, film("a")).await;
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let measure = worker.run_until(v1::Stage::Measure, PART).await;
    let Some(v1::task_spec::Work::Measure(ref task)) = measure.work else { panic!("{measure:?}") };
    assert_eq!(task.tree, "/out/.a.reel-1.partial");
    worker.run(&measure, PART).await;
    let check = worker.next_task().await;
    worker.run(&check, PART).await;
    let spec = worker.next_task().await;
    let Some(v1::task_spec::Work::Deliver(deliver)) = &spec.work else { panic!("{spec:?}") };
    let history = deliver.history.as_ref().unwrap();
    assert_eq!(history.attempts.len(), 6);
    assert!(history.attempts.iter().all(|attempt| attempt.worker == "w1" && attempt.outcome == "done"));
    assert_eq!(history.parts.len(), 1);
    assert!(history.attempts.iter().all(|attempt| attempt.source_bytes_read == Some(100)));
    assert_eq!(history.source_bytes_read, 600);
    worker.run(&spec, PART).await;
    wait(&mut job, JobView::is_over).await;
}

#[tokio::test]
async fn a_restart_keeps_committed_parts_and_frees_the_dead_fleets_leases_at_once() {
    let (dir, scheduler) = start().await;
    let (id, _) = submit(&scheduler, film("a")).await;
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let spec = worker.run_until(v1::Stage::Encode, 8 * PART).await;
    assert_eq!(parts_of(&spec), [0, 1, 2, 3, 4]);
    for part in 0..2 {
        assert_eq!(worker.commit_part(&spec, part).await, Verdict::Accepted);
    }
    scheduler.shutdown().await;
    drop(worker);

    let scheduler = Scheduler::start(config(dir.path())).await.unwrap();
    let mut job = scheduler.watch(id).await.unwrap();
    assert_eq!((job.borrow().state, job.borrow().parts_committed), (JobState::Running, 2));
    let started = Instant::now();
    let mut worker = FakeWorker::register(&scheduler, "w1", 2, 1).await;
    let mut parts = Vec::new();
    loop {
        let spec = worker.next_task().await;
        if stage_of(&spec) == v1::Stage::Encode {
            parts.extend(parts_of(&spec));
        }
        worker.run(&spec, 8 * PART).await;
        if stage_of(&spec) == v1::Stage::Deliver {
            break;
        }
    }
    parts.sort_unstable();
    assert_eq!(parts, [2, 3, 4, 5, 6, 7]);
    assert!(started.elapsed() < LeaseTimes::default().lease, "the leases of the dead were waited for");
    let view = wait(&mut job, JobView::is_over).await;
    assert_eq!((view.state, view.renditions_encoded, view.parts_encoded_twice), (JobState::Done, 8, 0));
}

#[tokio::test]
async fn a_late_commit_is_answered_superseded() {
    let (_dir, scheduler) = start().await;
    submit(&scheduler, film("a")).await;
    let mut old = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let spec = old.run_until(v1::Stage::Encode, 2 * PART).await;
    assert_eq!(old.commit_part(&spec, 0).await, Verdict::Accepted);
    let mut new = FakeWorker::register(&scheduler, "w1", 2, 1).await;
    assert_eq!(old.commit_part(&spec, 1).await, Verdict::Superseded);
    assert_eq!(old.commit_part(&spec, 0).await, Verdict::Duplicate);
    assert_eq!(old.finish(&spec, None).await, Verdict::Superseded);
    let again = new.next_task().await;
    assert_eq!(parts_of(&again), [1]);
    assert!(again.epoch > spec.epoch);
}

#[tokio::test]
async fn a_worker_that_leaves_gives_its_work_to_another_at_once() {
    let (_dir, scheduler) = start().await;
    submit(&scheduler, film("a")).await;
    let mut first = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let spec = first.run_until(v1::Stage::Encode, 2 * PART).await;
    first.leave().await;
    let mut second = FakeWorker::register(&scheduler, "w2", 1, 1).await;
    let again = second.next_task().await;
    assert_eq!((parts_of(&again), again.attempt), (parts_of(&spec), 2));
}

#[tokio::test]
async fn a_worker_whose_link_broke_is_told_all_it_holds_over_the_next() {
    let (_dir, scheduler) = start().await;
    submit(&scheduler, film("a")).await;
    let mut first = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let spec = first.run_until(v1::Stage::Encode, 4 * PART).await;
    drop(first);
    // A slot of another worker takes the tail meanwhile, which the first does not hear.
    let mut other = FakeWorker::register(&scheduler, "w2", 1, 1).await;
    let tail = other.next_task().await;
    assert_eq!((parts_of(&spec), parts_of(&tail)), (vec![0, 1, 2, 3], vec![2, 3]));

    let mut again = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let told = again.next_task().await;
    assert_eq!((told.epoch, parts_of(&told)), (spec.epoch, vec![0, 1]));
    assert_eq!(again.wait_cut().await.first_part_given_away, 2);
    assert_eq!(again.commit_part(&told, 0).await, Verdict::Accepted);
}

#[tokio::test]
async fn a_worker_with_very_many_slots_is_granted_all_of_them_at_once() {
    let (_dir, scheduler) = start().await;
    submit(&scheduler, JobSpec { chunk_parts: Some(1), ..film("a") }).await;
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 600).await;
    let index = worker.next_task().await;
    worker.run(&index, 700 * PART).await;
    let mut granted = 0;
    while granted < 600 {
        worker.next_task().await;
        granted += 1;
    }
}

#[tokio::test]
async fn what_is_handed_back_is_resumed_without_charge() {
    let (_dir, scheduler) = start().await;
    submit(&scheduler, film("a")).await;
    let mut first = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let spec = first.run_until(v1::Stage::Encode, 4 * PART).await;
    first.commit_part(&spec, 0).await;
    assert_eq!(first.hand_back(&spec).await, Verdict::Accepted);
    assert_eq!(first.hand_back(&spec).await, Verdict::Duplicate);
    let mut second = FakeWorker::register(&scheduler, "w2", 1, 1).await;
    let again = second.next_task().await;
    assert_eq!(parts_of(&again), [1, 2, 3]);
    assert!(!first.has_task(), "a worker that goes gets no more work");
}

#[tokio::test]
async fn damaged_parts_are_encoded_again_and_only_they() {
    let (_dir, scheduler) = start().await;
    let (_, mut job) = submit(&scheduler, film("a")).await;
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let assemble = worker.run_until(v1::Stage::Assemble, 5 * PART).await;
    let failure = v1::Failure {
        class: v1::FailureClass::Failed.into(),
        message: "part 3 is damaged".to_owned(),
        damaged_parts: vec![3],
        ..Default::default()
    };
    assert_eq!(worker.fail(&assemble, failure).await, Verdict::Accepted);
    let spec = worker.next_task().await;
    assert_eq!(parts_of(&spec), [3]);
    worker.run(&spec, 5 * PART).await;
    for _ in 0..4 {
        let spec = worker.next_task().await;
        worker.run(&spec, 5 * PART).await;
    }
    let view = wait(&mut job, JobView::is_over).await;
    assert_eq!((view.state, view.renditions_encoded), (JobState::Done, 6));
}

#[tokio::test]
async fn an_invalid_mezzanine_fails_its_job_with_the_reason() {
    let (_dir, scheduler) = start().await;
    let (_, mut job) = submit(&scheduler, film("a")).await;
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let spec = worker.next_task().await;
    let failure = v1::Failure {
        class: v1::FailureClass::Invalid.into(),
        message: "/in/a.mov has no moov box: send the whole file".to_owned(),
        evidence: "exit status 1".to_owned(),
        ..Default::default()
    };
    worker.fail(&spec, failure).await;
    let view = wait(&mut job, JobView::is_over).await;
    let reason = view.reason.unwrap();
    assert_eq!((view.state, reason.class), (JobState::Failed, FailureClass::Invalid));
    assert_eq!(reason.message, "/in/a.mov has no moov box: send the whole file");
    assert_eq!((reason.worker.as_str(), reason.evidence.as_str()), ("w1", "exit status 1"));
    assert_eq!(reason.task.unwrap().stage, Stage::Index);
}

#[tokio::test]
async fn a_mezzanine_that_the_profile_rejects_fails_its_job_with_the_reason() {
    let (_dir, scheduler) = start().await;
    let mut spec = film("a");
    spec.profile = spec.profile.replace("[admission]", "[admission]\nmin_duration_s = 60");
    let (_, mut job) = submit(&scheduler, spec).await;
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let spec = worker.next_task().await;
    worker.run(&spec, 24).await;
    let view = wait(&mut job, JobView::is_over).await;
    let reason = view.reason.unwrap();
    assert_eq!((view.state, reason.class, reason.task), (JobState::Failed, FailureClass::Invalid, None));
    assert!(reason.message.contains("`min_duration_s` is 60"), "{}", reason.message);
}

#[tokio::test]
async fn a_crash_is_tried_again_after_a_wait_and_named_when_it_goes_on() {
    let (_dir, scheduler) = start().await;
    let (_, mut job) = submit(&scheduler, film("a")).await;
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let crash = v1::Failure {
        class: v1::FailureClass::Failed.into(),
        message: "the runner was killed by signal 11".to_owned(),
        evidence: "SIGSEGV".to_owned(),
        ..Default::default()
    };
    let mut attempts = Vec::new();
    for _ in 0..3 {
        let spec = worker.next_task().await;
        attempts.push(spec.attempt);
        worker.fail(&spec, crash.clone()).await;
    }
    assert_eq!(attempts, [1, 2, 3]);
    let reason = wait(&mut job, JobView::is_over).await.reason.unwrap();
    assert_eq!((reason.class, reason.evidence.as_str()), (FailureClass::Poisoned, "SIGSEGV"));
    assert!(reason.message.contains("signal 11"), "{}", reason.message);
}

#[tokio::test]
async fn a_result_that_fits_in_no_entry_fails_its_attempt() {
    let (_dir, scheduler) = start().await;
    let (_, mut job) = submit(&scheduler, film("a")).await;
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    for _ in 0..3 {
        let spec = worker.next_task().await;
        let huge = IndexSummary { container: "x".repeat(300_000), ..index_summary(PART) };
        worker.finish(&spec, Some(v1::commit_task::Result::Index(huge.into()))).await;
    }
    let reason = wait(&mut job, JobView::is_over).await.reason.unwrap();
    assert!(reason.message.contains("fit in a log entry"), "{}", reason.message);
}

#[tokio::test]
async fn an_idle_worker_takes_the_tail_of_a_stragglers_chunk() {
    let (_dir, scheduler) = start().await;
    let mut spec = film("a");
    spec.chunk_parts = Some(8);
    let (_, mut job) = submit(&scheduler, spec).await;
    let mut slow = FakeWorker::register(&scheduler, "slow", 1, 1).await;
    let spec = slow.run_until(v1::Stage::Encode, 8 * PART).await;
    assert_eq!(parts_of(&spec).len(), 8);
    let mut idle = FakeWorker::register(&scheduler, "idle", 1, 1).await;
    let cut = slow.wait_cut().await;
    assert_eq!((cut.task, cut.epoch), (spec.task, spec.epoch));
    let tail = idle.next_task().await;
    assert_eq!(parts_of(&tail), (cut.first_part_given_away..8).collect::<Vec<_>>());
    for part in 0..cut.first_part_given_away {
        assert_eq!(slow.commit_part(&spec, part).await, Verdict::Accepted);
    }
    assert_eq!(slow.finish(&spec, None).await, Verdict::Accepted);
    idle.run(&tail, 8 * PART).await;
    let view = wait(&mut job, |view| view.parts_committed == 8).await;
    assert_eq!((view.renditions_encoded, view.parts_encoded_twice), (8, 0));
}

#[tokio::test]
async fn a_silent_worker_loses_its_lease() {
    let dir = tempfile::tempdir().unwrap();
    let times = |millis| Duration::from_millis(millis);
    let leases = LeaseTimes { heartbeat: times(100), lease: times(2000), grace: times(500) };
    let scheduler = Scheduler::start(SchedulerConfig { leases, ..config(dir.path()) }).await.unwrap();
    submit(&scheduler, film("a")).await;
    let mut silent = FakeWorker::register(&scheduler, "silent", 1, 1).await;
    let spec = silent.next_task().await;
    let mut second = FakeWorker::register(&scheduler, "second", 1, 1).await;
    let deadline = Instant::now() + PATIENCE;
    let mut sequence = 0;
    while !second.has_task() {
        assert!(Instant::now() < deadline, "the silent worker keeps its lease");
        sequence += 1;
        second.beat(sequence, Vec::new()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = second.next_task().await;
    assert_eq!((again.task, again.attempt), (spec.task, 2));
    assert_eq!(silent.finish(&spec, Some(object("late"))).await, Verdict::Superseded);
}

#[tokio::test]
async fn heartbeats_show_in_the_view_and_foreign_attempts_are_revoked() {
    let (_dir, scheduler) = start().await;
    let (_, mut job) = submit(&scheduler, film("a")).await;
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let spec = worker.run_until(v1::Stage::Encode, 4 * PART).await;
    worker.commit_part(&spec, 0).await;
    let running = encoding(&spec, 2 * PART, 1);
    let foreign = v1::RunningAttempt { epoch: spec.epoch + 100, ..running };
    worker.beat(1, vec![running]).await;
    let view = wait(&mut job, |view| view.running.iter().any(|attempt| attempt.part == Some(1))).await;
    let encode = view.stages.iter().find(|stage| stage.stage == Stage::Encode).unwrap();
    assert_eq!((encode.done, encode.total, encode.running), (1, 4, 1));
    assert_eq!((encode.frames_done, encode.frames_total), (2 * PART, 4 * PART));
    worker.beat(2, vec![foreign]).await;
    assert_eq!(worker.wait_revoked().await.epoch, spec.epoch + 100);
}

/// A heartbeat's line of an attempt that has done so many frames and is at `part`.
fn encoding(spec: &v1::TaskSpec, frames_done: u64, part: u32) -> v1::RunningAttempt {
    let frames_total = parts_of(spec).len() as u64 * PART;
    let progress = v1::Progress { frames_done, frames_total, part: Some(part) };
    v1::RunningAttempt { task: spec.task, epoch: spec.epoch, progress: Some(progress) }
}

/// Frames of the encode stage once the attempts that run have told all of `told`, in task order.
async fn frames_after(job: &mut watch::Receiver<JobView>, committed: u32, told: &[u64]) -> u64 {
    let view = wait(job, |view| {
        let heard: Vec<_> = view.running.iter().map(|attempt| attempt.frames_done).collect();
        view.parts_committed == committed && heard == told
    });
    view.await.stages.iter().find(|stage| stage.stage == Stage::Encode).unwrap().frames_done
}

#[tokio::test]
async fn frames_done_never_go_back_when_a_tail_is_cut_and_the_part_in_hand_commits() {
    let (_dir, scheduler) = start().await;
    let (_, mut job) = submit(&scheduler, JobSpec { chunk_parts: Some(3), ..film("a") }).await;
    let mut first = FakeWorker::register(&scheduler, "first", 1, 1).await;
    let spec = first.run_until(v1::Stage::Encode, 720).await;
    assert_eq!(parts_of(&spec), [0, 1, 2]);
    first.beat(1, vec![encoding(&spec, 357, 1)]).await;
    assert_eq!(frames_after(&mut job, 0, &[357]).await, 357);

    let mut second = FakeWorker::register(&scheduler, "second", 1, 1).await;
    assert_eq!(first.wait_cut().await.first_part_given_away, 2);
    let tail = second.next_task().await;
    // A runner that opens a part says for a moment that it is at its end of the last one.
    first.beat(2, vec![encoding(&spec, 288, 0)]).await;
    assert_eq!(frames_after(&mut job, 0, &[288, 0]).await, 357);
    first.commit_part(&spec, 0).await;
    assert_eq!(frames_after(&mut job, 1, &[288, 0]).await, 357);
    first.beat(3, vec![encoding(&spec, 400, 1)]).await;
    assert_eq!(frames_after(&mut job, 1, &[400, 0]).await, 400, "committed frames count once");
    second.beat(1, vec![encoding(&tail, 72, 2)]).await;
    assert_eq!(frames_after(&mut job, 1, &[400, 72]).await, 472);
    first.beat(4, vec![encoding(&spec, 600, 2)]).await;
    assert_eq!(frames_after(&mut job, 1, &[600, 72]).await, 648, "what was given away is not counted");
    first.hand_back(&spec).await;
    assert_eq!(frames_after(&mut job, 1, &[72]).await, 648, "the frames of part 1 are lost");
    second.run(&tail, 720).await;
    assert_eq!(frames_after(&mut job, 2, &[0]).await, 648);
}

#[tokio::test]
async fn a_canceled_job_is_revoked_everywhere() {
    let (_dir, scheduler) = start().await;
    let (id, mut job) = submit(&scheduler, film("a")).await;
    let mut worker = FakeWorker::register(&scheduler, "w1", 1, 1).await;
    let spec = worker.next_task().await;
    scheduler.cancel(id).await.unwrap();
    assert_eq!(worker.wait_revoked().await.epoch, spec.epoch);
    assert_eq!(wait(&mut job, JobView::is_over).await.state, JobState::Canceled);
    assert_eq!(scheduler.cancel(JobId(99)).await, Err(Refused::UnknownJob(JobId(99))));
    assert!(matches!(scheduler.watch(JobId(99)).await, Err(Refused::UnknownJob(_))));
}

#[tokio::test]
async fn a_submit_that_was_accepted_survives_and_is_known_by_its_key() {
    let (dir, scheduler) = start().await;
    let keyed = JobSpec { idempotency_key: Some("k".to_owned()), ..film("a") };
    let (id, _) = submit(&scheduler, keyed.clone()).await;
    let (other, _) = submit(&scheduler, film("b")).await;
    scheduler.shutdown().await;
    let scheduler = Scheduler::start(config(dir.path())).await.unwrap();
    let again = scheduler.submit(keyed).await.unwrap();
    assert_eq!((again.job, again.duplicate), (id, true));
    let same = scheduler.submit(film("b")).await.unwrap();
    assert_eq!((same.job, same.duplicate), (other, true));
    assert_eq!(scheduler.watch(other).await.unwrap().borrow().state, JobState::Queued);
}

#[tokio::test]
async fn wrong_submits_are_refused_with_what_is_wrong() {
    let (_dir, scheduler) = start().await;
    submit(&scheduler, film("a")).await;
    let refused = |change: fn(&mut JobSpec)| {
        let mut spec = film("b");
        change(&mut spec);
        let submitted = scheduler.submit(spec);
        async { submitted.await.unwrap_err().to_string() }
    };
    let busy = refused(|spec| spec.output = "/out/a".to_owned()).await;
    assert!(busy.contains("job 1 is writing to /out/a"), "{busy}");
    let profile = refused(|spec| spec.profile = "name = \"x\"\ncolour = 3\n".to_owned()).await;
    assert!(profile.starts_with("proxy:"), "{profile}");
    let large = refused(|spec| spec.profile = "#".repeat(70_000)).await;
    assert!(large.contains("at most 65536 are allowed"), "{large}");
    let chunk = refused(|spec| spec.chunk_parts = Some(0)).await;
    assert!(chunk.contains("chunk size"), "{chunk}");
    let output = refused(|spec| spec.output = "x".repeat(5000)).await;
    assert!(output.contains("is too long"), "{output}");
    let huge = refused(|spec| spec.mezzanine = "x".repeat(300_000)).await;
    assert!(huge.contains("fit in a log entry"), "{huge}");
}

#[tokio::test]
async fn a_folder_in_use_is_refused() {
    let (dir, scheduler) = start().await;
    let message = Scheduler::start(config(dir.path())).await.err().unwrap().to_string();
    assert!(message.contains("in use by another process"), "{message}");
    scheduler.shutdown().await;
    Scheduler::start(config(dir.path())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_thousand_parts_is_committed_quickly() {
    let (_dir, scheduler) = start().await;
    let (_, mut job) = submit(&scheduler, film("long")).await;
    let frames = 1000 * PART;
    let started = Instant::now();
    let mut workers = Vec::new();
    for number in 0..4 {
        let mut worker = FakeWorker::register(&scheduler, &format!("w{number}"), 1, 2).await;
        workers.push(tokio::spawn(async move {
            loop {
                let spec = worker.next_task().await;
                worker.run(&spec, frames).await;
            }
        }));
    }
    let view = wait(&mut job, JobView::is_over).await;
    assert_eq!((view.state, view.parts_committed), (JobState::Done, 1000));
    assert!(started.elapsed() < Duration::from_secs(30), "took {:?}", started.elapsed());
    workers.iter().for_each(|worker| worker.abort());
}
