//! Programs of the site: what they are told, how their end is taken, and that none outlives its attempt.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use reel_common::FailureClass;
use reel_proto::v1::{self, scheduler_message, task_spec::Work, worker_message::Message};
use reel_worker::{AgentEnd, Programs};

use crate::farm::{End, Farm, until};

/// Programs that write into their own folder, as `$0` tells it.
const SCRIPTS: [(&str, &str); 4] = [
    ("told", "env | grep -e ^REEL_ -e ^AWS_ | sort > ${0%/*}/environment; pwd > ${0%/*}/folder; echo said"),
    ("fails", "echo before; echo the CDN says no >&2; exit 3"),
    ("crashes", "kill -SEGV $$"),
    ("waits", "echo $$ > ${0%/*}/waits.pid; echo waiting; sleep 1000 & wait"),
];

/// Writes the programs; their hooks have their names.
pub(crate) fn programs(folder: &Path) -> Programs {
    fs::create_dir(folder).unwrap();
    let write = |(name, script): (&str, &str)| {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        (name.to_owned(), path)
    };
    SCRIPTS.into_iter().map(write).collect()
}

async fn granted(name: &str) -> (Farm, u64) {
    let mut farm = Farm::new().await;
    let label = v1::Label { key: "title".to_owned(), value: "a-113".to_owned() };
    let (name, project) = (name.to_owned(), "feature".to_owned());
    let hook = v1::HookTask { name, index: 2, tasks: 5, project, labels: vec![label] };
    let epoch = farm.grant(Path::new("/in/a film.mov"), Work::Hook(hook)).await;
    (farm, epoch)
}

/// The process of the program that waits.
async fn waiting(farm: &Farm) -> i32 {
    let file = farm.hooks().join("waits.pid");
    until("the process of the hook", || fs::read_to_string(&file).ok()?.trim().parse().ok()).await
}

/// Waits until neither the program nor what it has started is left.
async fn nothing_left(group: i32) {
    let of_group = |entry: &fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
        let mut fields = fields.split_whitespace();
        let alive = fields.next().is_some_and(|state| state != "Z");
        alive && fields.nth(1) == Some(&group.to_string())
    };
    let left = || fs::read_dir("/proc").unwrap().flatten().filter(of_group).count();
    until("the end of the hook", || (left() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_program_knows_what_it_is_about_and_no_secret() {
    let (mut farm, epoch) = granted("told").await;
    assert!(matches!(farm.end().await, End::Committed(None)));
    let said = fs::read_to_string(farm.hooks().join("environment")).unwrap();
    let output = farm.output();
    let expected = [
        "REEL_ATTEMPT=1",
        "REEL_HOOK=told",
        "REEL_HOOK_INDEX=2",
        "REEL_HOOK_TASKS=5",
        "REEL_JOB=42",
        "REEL_LABELS=title=a-113",
        "REEL_MEZZANINE=/in/a film.mov",
        &format!("REEL_OUTPUT={}", output.display()),
        "REEL_PROJECT=feature",
        &format!("REEL_TASK=42/hook/{epoch}"),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    let folder = fs::read_to_string(farm.hooks().join("folder")).unwrap();
    assert!(folder.contains(&format!("42-hook-{epoch}-{epoch}")), "{folder}");
    farm.no_scratch_left().await;
}

#[tokio::test]
async fn what_a_program_says_is_its_log_and_its_end_a_failure_with_that_as_evidence() {
    let (mut farm, epoch) = granted("fails").await;
    let End::Failed(failure) = farm.end().await else { panic!("it went on") };
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (FailureClass::Failed, "hook fails: exit status 3")
    );
    assert!(
        failure.evidence.contains("before\n") && failure.evidence.contains("the CDN says no\n"),
        "{failure:?}"
    );
    farm.say(scheduler_message::Message::TailAsked(v1::TailAsked { request: 9, epoch })).await;
    let Message::Tail(tail) = farm.next().await else { panic!("no tail") };
    assert!(tail.text.contains("the CDN says no"), "{tail:?}");
}

#[tokio::test]
async fn a_program_that_crashes_fails_and_the_agent_goes_on() {
    let (mut farm, _) = granted("crashes").await;
    let End::Failed(failure) = farm.end().await else { panic!("it went on") };
    assert_eq!(failure.message, "hook crashes: killed by SIGSEGV (11)");
    assert_eq!(failure.evidence, "it logged nothing");
    let hook = v1::HookTask { name: "told".to_owned(), ..v1::HookTask::default() };
    farm.grant(Path::new(""), Work::Hook(hook)).await;
    assert!(matches!(farm.end().await, End::Committed(None)));
}

#[tokio::test]
async fn a_hook_that_the_host_does_not_have_fails() {
    let (mut farm, _) = granted("unknown").await;
    let End::Failed(failure) = farm.end().await else { panic!("it went on") };
    assert_eq!(failure.message, "this worker has no hook unknown");
}

#[tokio::test]
async fn a_revoked_hook_is_killed_with_all_that_it_has_started() {
    let (farm, epoch) = granted("waits").await;
    let process = waiting(&farm).await;
    farm.say(scheduler_message::Message::Revoke(v1::Revoke { task: None, epoch })).await;
    nothing_left(process).await;
}

#[tokio::test]
async fn a_hook_that_does_not_end_within_the_grace_is_killed_and_handed_back() {
    let (mut farm, _) = granted("waits").await;
    let process = waiting(&farm).await;
    let mut agent = farm.agent.take().unwrap();
    agent.drain(Duration::from_millis(300));
    assert!(matches!(farm.end().await, End::HandedBack));
    assert_eq!(agent.join().await, AgentEnd::Drained);
    nothing_left(process).await;
}

#[tokio::test]
async fn an_agent_that_is_dropped_leaves_no_hook() {
    let (mut farm, _) = granted("waits").await;
    let process = waiting(&farm).await;
    drop(farm.agent.take());
    nothing_left(process).await;
}
