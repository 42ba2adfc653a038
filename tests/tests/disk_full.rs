//! A disk that fills up: the scheduler stops with the reason, and what it had accepted is there when there is room.

#![allow(clippy::unwrap_used)] // in a test, a panic is the report

use std::time::Duration;

use reel_scheduler::{JobSpec, Refused, Scheduler, SchedulerConfig};
use reel_tests::disk::SmallDisk;

fn film(number: u64) -> JobSpec {
    JobSpec {
        mezzanine: format!("/in/{number}.mov"),
        profile: reel_profiles::catalog::text("proxy").unwrap().to_owned(),
        profile_name: "proxy".to_owned(),
        output: format!("/out/{number}"),
        idempotency_key: Some(number.to_string()),
        ..JobSpec::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_scheduler_and_loses_no_accepted_job() {
    let disk = SmallDisk::new(16);
    let config = SchedulerConfig::new(disk.path().join("farm"), 1, "file:///store");
    let scheduler = Scheduler::start(config.clone()).await.unwrap();
    disk.fill(1 << 20);
    let mut accepted = 0;
    let refused = loop {
        match scheduler.submit(film(accepted + 1)).await {
            Ok(submitted) => accepted = submitted.job.0,
            Err(refused) => break refused,
        }
        assert!(accepted < 100_000, "the disk does not fill up");
    };
    assert!(matches!(refused, Refused::Unavailable(_)), "{refused:?}");
    let reason = tokio::time::timeout(Duration::from_secs(30), scheduler.failed()).await.unwrap();
    assert!(reason.contains("the scheduler's log cannot be written"), "{reason}");
    assert!(reason.contains("free the disk"), "{reason}");
    scheduler.shutdown().await;

    disk.free();
    let scheduler = Scheduler::start(config).await.unwrap();
    assert!(accepted > 0);
    for number in 1..=accepted {
        let again = scheduler.submit(film(number)).await.unwrap();
        assert_eq!((again.job.0, again.duplicate), (number, true));
    }
    scheduler.shutdown().await;
}
