//! One task in a runner, without a scheduler.

use std::path::Path;

use prost::Message;
use reel_common::{Failure, FailureClass};
use reel_proto::v1;
use reel_proto::v1::task_spec::Work;
use reel_worker::{OneRun, RunnerResult, run_once};

use crate::farm::{RUNNER, media, quick_profile};

async fn probe(folder: &Path, mezzanine: &Path, memory_bytes: u64) -> Result<RunnerResult, Failure> {
    let spec = v1::TaskSpec {
        task: Some(v1::TaskId { job: 1, stage: v1::Stage::Index.into(), index: 0 }),
        mezzanine: mezzanine.to_str().unwrap().to_owned(),
        profile: quick_profile(),
        store: folder.join("store").to_str().unwrap().to_owned(),
        work: Some(Work::Index(v1::IndexTask::default())),
        ..v1::TaskSpec::default()
    };
    let scratch = folder.join("scratch");
    let run = OneRun { runner: RUNNER.into(), spec, scratch: scratch.clone(), memory_bytes };
    let result = run_once(run, &mut |_| {}).await;
    assert!(!scratch.exists());
    result
}

#[tokio::test]
async fn a_mezzanine_is_probed_and_its_index_stored() {
    let folder = tempfile::tempdir().unwrap();
    let result = probe(folder.path(), &media("city.mpg"), 0).await.unwrap();
    let RunnerResult::Index(summary) = result else { panic!("{result:?}") };
    assert_eq!(summary.frames, 71);
    let store = reel_store::Store::open(folder.path().join("store").to_str().unwrap()).unwrap();
    let artifact = summary.artifact.unwrap().try_into().unwrap();
    v1::Index::decode(store.object(artifact).await.unwrap()).unwrap();
}

#[tokio::test]
async fn a_missing_mezzanine_is_invalid() {
    let folder = tempfile::tempdir().unwrap();
    let failure = probe(folder.path(), &media("nothing.mov"), 0).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Invalid);
    assert!(failure.message.contains("does not exist"), "{failure:?}");
}

#[tokio::test]
async fn a_runner_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let spec = v1::TaskSpec { store: folder.path().to_str().unwrap().to_owned(), ..v1::TaskSpec::default() };
    let scratch = folder.path().join("scratch");
    let run = OneRun { runner: "/nowhere/reel-runner".into(), spec, scratch, memory_bytes: 0 };
    let failure = run_once(run, &mut |_| {}).await.unwrap_err();
    assert!(failure.message.contains("/nowhere/reel-runner"), "{failure:?}");
}

#[test]
fn a_runner_started_by_hand_says_so() {
    let output = std::process::Command::new(RUNNER).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("not by hand"));
    let stranger = std::process::Command::new(RUNNER).args(["--parent", "1"]).output().unwrap();
    assert!(String::from_utf8(stranger.stderr).unwrap().contains("is gone"));
}
