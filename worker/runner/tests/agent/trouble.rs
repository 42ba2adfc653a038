//! Crashes, kills, revocations, drains: the agent classifies what happened and goes on, and no runner stays behind.

use std::time::Duration;

use reel_common::{Failure, FailureClass};
use reel_proto::v1;
use reel_proto::v1::scheduler_message;
use reel_proto::v1::task_spec::Work;
use reel_proto::v1::worker_message::Message;
use reel_worker::AgentEnd;
use rustix::process::{Pid, Signal, kill_process};

use crate::farm::{End, Farm, Plan, media, quick_profile, slow_profile};

const MEZZANINE: &str = "big-buck-bunny-1080p.mp4";

/// A farm in which a runner encodes all of a title, slowly.
async fn encoding() -> (Farm, Plan, u64) {
    let mut farm = Farm::new().await;
    farm.profile = slow_profile();
    let plan = farm.plan(&media(MEZZANINE)).await;
    let epoch = farm.grant(&media(MEZZANINE), plan.encode(0..plan.parts.len())).await;
    (farm, plan, epoch)
}

async fn killed_by(signal: Signal) -> Failure {
    let (mut farm, ..) = encoding().await;
    kill_process(Pid::from_raw(farm.runner().await).unwrap(), signal).unwrap();
    let End::Failed(failure) = farm.end().await else { panic!("it went on") };
    farm.profile = quick_profile();
    farm.plan(&media("city.mpg")).await;
    failure
}

#[tokio::test]
async fn a_runner_killed_by_a_crash_is_a_failure_with_evidence_and_the_agent_goes_on() {
    let failure = killed_by(Signal::SEGV).await;
    assert_eq!(failure.class, FailureClass::Failed);
    assert_eq!(failure.message, "the runner was killed by SIGSEGV (11)");
    assert!(failure.evidence.starts_with("killed by SIGSEGV (11); last progress"), "{failure:?}");
}

#[tokio::test]
async fn a_runner_killed_from_outside_is_a_shortage() {
    let failure = killed_by(Signal::KILL).await;
    assert_eq!(failure.class, FailureClass::Shortage);
    assert!(failure.message.contains("memory"), "{failure:?}");
}

#[tokio::test]
async fn a_revoked_attempt_is_killed_and_not_spoken_of_again() {
    let (mut farm, _, epoch) = encoding().await;
    farm.runner().await;
    farm.say(scheduler_message::Message::Revoke(v1::Revoke { task: None, epoch })).await;
    farm.no_runner_left().await;
    farm.profile = quick_profile();
    farm.plan(&media("city.mpg")).await;
    farm.no_scratch_left().await;
}

#[tokio::test]
async fn a_superseded_commit_stops_its_runner() {
    let mut farm = Farm::new().await;
    let plan = farm.plan(&media(MEZZANINE)).await;
    farm.grant(&media(MEZZANINE), plan.encode(0..plan.parts.len())).await;
    let Message::CommitPart(commit) = farm.next().await else { panic!("no part") };
    farm.answer(commit.request, v1::Verdict::Superseded).await;
    farm.no_runner_left().await;
}

#[tokio::test]
async fn a_cut_chunk_is_done_at_the_cut() {
    let mut farm = Farm::new().await;
    let plan = farm.plan(&media(MEZZANINE)).await;
    let epoch = farm.grant(&media(MEZZANINE), plan.encode(0..plan.parts.len())).await;
    let cut = v1::CutChunk { task: None, epoch, first_part_given_away: 1 };
    farm.say(scheduler_message::Message::CutChunk(cut)).await;
    assert!(matches!(farm.end().await, End::Committed(None)));
    assert_eq!(farm.parts.keys().copied().collect::<Vec<_>>(), [0]);
}

#[tokio::test]
async fn a_drained_agent_finishes_the_part_in_hand_and_hands_the_rest_back() {
    let (mut farm, ..) = encoding().await;
    farm.runner().await;
    let mut agent = farm.agent.take().unwrap();
    agent.drain(Duration::from_secs(600));
    assert!(matches!(farm.end().await, End::HandedBack));
    assert_eq!(agent.join().await, AgentEnd::Drained);
    assert!(farm.parts.len() <= 2, "{:?}", farm.parts);
}

#[tokio::test]
async fn a_drain_without_grace_kills_at_once() {
    let (mut farm, ..) = encoding().await;
    farm.runner().await;
    farm.agent.as_ref().unwrap().drain(Duration::ZERO);
    assert!(matches!(farm.end().await, End::HandedBack));
    farm.no_runner_left().await;
}

#[tokio::test]
async fn a_dropped_agent_leaves_no_runner() {
    let (mut farm, ..) = encoding().await;
    farm.runner().await;
    drop(farm.agent.take());
    farm.no_runner_left().await;
}

#[tokio::test]
async fn a_closed_link_ends_the_agent_and_its_runners() {
    let (mut farm, ..) = encoding().await;
    farm.runner().await;
    let mut agent = farm.agent.take().unwrap();
    let (closed, _) = tokio::sync::mpsc::channel(1);
    farm.to_agent = closed;
    assert_eq!(agent.join().await, AgentEnd::LinkClosed);
    farm.no_runner_left().await;
    farm.no_scratch_left().await;
}

async fn script_fails(script: &str) -> Failure {
    let mut farm = Farm::with_script(script).await;
    farm.grant(&media(MEZZANINE), Work::Index(v1::IndexTask::default())).await;
    let End::Failed(failure) = farm.end().await else { panic!("it was taken") };
    failure
}

#[tokio::test]
async fn a_runner_that_ends_without_a_word_is_judged_by_its_status_and_stderr() {
    let failure = script_fails("echo ouch >&2; exit 3").await;
    assert_eq!(failure.class, FailureClass::Failed);
    assert_eq!(failure.message, "the runner ended with status 3 and without a result");
    assert!(
        failure.evidence.contains("exit status 3") && failure.evidence.ends_with("ouch\n"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_runner_that_babbles_is_killed() {
    for babble in ["printf '\\005hello'", "printf '\\377\\377\\377\\377\\177'"] {
        let failure = script_fails(&format!("{babble}; exec sleep 600")).await;
        assert_eq!(failure.class, FailureClass::Failed);
        assert!(failure.message.contains("protocol"), "{failure:?}");
    }
}

#[tokio::test]
async fn of_endless_stderr_the_end_is_kept() {
    let failure = script_fails("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 1").await;
    assert!(failure.evidence.len() <= Failure::MAX_EVIDENCE_BYTES);
    assert!(failure.evidence.ends_with("the end\n") && failure.evidence.starts_with("exit status 1"));
}

#[tokio::test]
async fn a_runner_inherits_nothing_that_it_does_not_need() {
    let failure = script_fails("env >&2; exit 1").await;
    assert!(!failure.evidence.contains("CARGO") && !failure.evidence.contains("HOME="), "{failure:?}");
}
