//! A long mezzanine is indexed from its tables, not from its pictures.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::time::{Duration, Instant};

use reel_tests::reel::Reel;
use reel_tests::{fixtures, scratch};

#[test]
fn twenty_minutes_of_prores_are_indexed_in_two_seconds_from_one_percent() {
    let dir = scratch();
    let mezzanine = dir.path().join("long.mov");
    fixtures::long_prores(20, &mezzanine);
    let size = std::fs::metadata(&mezzanine).unwrap().len();
    assert!(size > 3_000_000_000, "{size} bytes are no large file");

    let start = Instant::now();
    let probe =
        Reel::new(dir.path(), ["probe".as_ref(), mezzanine.as_os_str(), "--json".as_ref()]).run().success();
    let took = start.elapsed();

    let facts = probe.json();
    assert_eq!(facts["frames"], 20 * 60 * 24);
    let read = facts["bytes_read"].as_u64().expect("bytes read");
    assert!(read > 0 && read < size / 100, "read {read} of {size} bytes");
    assert!(took < Duration::from_secs(2), "took {took:?}");
}
