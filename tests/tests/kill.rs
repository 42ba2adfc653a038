//! A job whose processes are all killed goes on from where it was: same bytes, nothing encoded twice.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use reel_common::Digest;
use reel_tests::fixtures::{self, Fixture};
use reel_tests::reel::{Reel, report, runners, state, until};
use reel_tests::tree::{assert_same, digests, stored_parts};
use reel_tests::{Dice, profile, scratch};

/// An undisturbed run: what must come out, and how long it takes.
struct Undisturbed {
    mezzanine: Fixture,
    digests: BTreeMap<PathBuf, Digest>,
    took: Duration,
}

impl Undisturbed {
    fn run() -> Undisturbed {
        let mezzanine = fixtures::prores_mov();
        let dir = scratch();
        let start = Instant::now();
        job(dir.path(), &mezzanine).run().success();
        let took = start.elapsed();
        let output = dir.path().join("title");
        assert_eq!(report(&output)["job"]["parts_encoded_twice"], 0);
        Undisturbed { mezzanine, digests: digests(&output), took }
    }
}

fn job(dir: &Path, mezzanine: &Fixture) -> Reel {
    Reel::transcode(dir, &mezzanine.path, &dir.join("title"), &profile("quick"))
        .args("--quiet --workers 2 --slots 1")
}

/// Starts the job and kills its whole process group after `moment`. False when the job was faster.
fn start_and_kill(dir: &Path, mezzanine: &Fixture, moment: Duration) -> bool {
    let mut running = job(dir, mezzanine).start();
    let start = Instant::now();
    until("the moment to kill", Duration::from_secs(120), || {
        running.has_ended() || start.elapsed() >= moment
    });
    if running.has_ended() {
        running.wait().success();
        return false;
    }
    let runners = runners(running.id());
    running.kill_group();
    until("the runners to die with their parent", Duration::from_secs(10), || {
        runners.iter().all(|id| state(*id).is_none_or(|state| state == 'Z'))
    });
    true
}

/// Finished parts: those whose record, which is written last, is there.
fn finished(home: &Path) -> BTreeMap<PathBuf, (u64, i64)> {
    let parts = stored_parts(home);
    let has_record = |path: &PathBuf| parts.contains_key(&path.with_extension("pb"));
    parts.iter().filter(|(path, _)| has_record(path)).map(|(path, mark)| (path.clone(), *mark)).collect()
}

fn assert_resumed(dir: &Path, before: &BTreeMap<PathBuf, (u64, i64)>, wanted: &Undisturbed, what: &str) {
    let output = dir.join("title");
    assert_same(&digests(&output), &wanted.digests, what);
    assert_eq!(report(&output)["job"]["parts_encoded_twice"], 0, "{what}");
    let after = stored_parts(&dir.join("home"));
    for (path, mark) in before {
        assert_eq!(after.get(path), Some(mark), "{what}: {} was written again", path.display());
    }
    let left: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".partial")), "{what}: {left:?}");
}

#[test]
fn twenty_jobs_killed_at_random_moments_resume_to_the_same_bytes() {
    let mut dice = Dice::from_env();
    println!("replay with REEL_TEST_SEED={}", dice.seed);
    let wanted = Undisturbed::run();
    let mut killed = 0;
    while killed < 20 {
        let moment = Duration::from_millis(dice.below(wanted.took.as_millis() as u64));
        let dir = scratch();
        if !start_and_kill(dir.path(), &wanted.mezzanine, moment) {
            continue;
        }
        killed += 1;
        let what = format!("job {killed}, killed after {moment:?} of {:?}", wanted.took);
        println!("{what}");
        assert!(
            !dir.path().join("title").exists() || report(&dir.path().join("title")).is_object(),
            "{what}"
        );
        let before = finished(&dir.path().join("home"));
        let submitted = dir.path().join("home/open-job.json").exists();
        let killed_ms = UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
        job(dir.path(), &wanted.mezzanine).run().success();
        assert_resumed(dir.path(), &before, &wanted, &what);
        let since_ms = report(&dir.path().join("title"))["job"]["submitted_ms"].as_u64().unwrap();
        assert!(!submitted || since_ms <= killed_ms, "{what}: the job was lost, and submitted anew");
    }
}

#[test]
fn one_job_killed_again_and_again_ends_with_the_same_bytes() {
    let mut dice = Dice::from_env();
    println!("replay with REEL_TEST_SEED={}", dice.seed);
    let wanted = Undisturbed::run();
    let dir = scratch();
    let mut before = BTreeMap::new();
    for _ in 0..20 {
        let moment = Duration::from_millis(100 + dice.below(wanted.took.as_millis() as u64 / 2));
        if !start_and_kill(dir.path(), &wanted.mezzanine, moment) {
            break;
        }
        let now = finished(&dir.path().join("home"));
        assert!(
            before.iter().all(|(path, mark)| now.get(path) == Some(mark)),
            "finished parts stay as they are"
        );
        before = now;
    }
    job(dir.path(), &wanted.mezzanine).run().success();
    assert_resumed(dir.path(), &before, &wanted, "the job killed again and again");
}
