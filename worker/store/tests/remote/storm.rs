//! Faults between us and the server: what was published is whole, what was not is nowhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reel_common::FailureClass;
use reel_store::{Published, Source, SourceError, Store, StoreError};
use reel_tests::clouds::{S3, Variables};
use reel_tests::weather::{Fault, Weather};
use reel_tests::{Dice, scratch};
use tempfile::TempDir;

use crate::{Part, credentials};

/// An S3 server with one bucket.
struct Place {
    dir: TempDir,
    server: S3,
    store: Store,
}

impl Place {
    fn new(weather: Weather) -> Self {
        Self::with(weather, Vec::new())
    }

    fn with(weather: Weather, more: Variables) -> Self {
        let dir = scratch();
        std::fs::create_dir_all(dir.path().join("buckets/media")).unwrap();
        let server = S3::serve_in(&dir.path().join("buckets"), weather);
        let right = credentials([server.environment(S3::SECRET), more].concat());
        let store = Store::open_with("s3://media/farm", &right).unwrap();
        Place { dir, server, store }
    }

    fn bucket(&self) -> PathBuf {
        self.dir.path().join("buckets/media")
    }

    /// Files of uploads that were begun and have no end.
    fn unfinished(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path().join("buckets")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".upload")).collect()
    }

    fn part(&self, number: u8, size: usize) -> Part {
        Part::new(self.dir.path(), number, size)
    }
}

#[expect(clippy::print_stdout, reason = "a failed test shows how to replay it")]
fn dice() -> Dice {
    let dice = Dice::from_env();
    println!("replay with REEL_TEST_SEED={}", dice.seed);
    dice
}

/// One upload of one block, and one of three.
const SIZES: [usize; 2] = [300_000, (17 << 20) + 5];

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_in_a_storm_ends_with_the_right_bytes() {
    let place = Arc::new(Place::new(Weather::storm(dice(), 250, &Fault::ALL)));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=6 {
        let place = Arc::clone(&place);
        tasks.spawn(async move {
            let part = place.part(number, SIZES[usize::from(number) % 2]);
            assert_eq!(place.store.find_part(part.key).await.unwrap(), None);
            // Its own record may look like another's when the answer was lost.
            part.publish(&place.store).await.unwrap();
            assert_eq!(part.publish(&place.store).await.unwrap(), Published::AlreadyThere);
            assert_eq!(place.store.find_part(part.key).await.unwrap(), Some(part.record()));
            let range = place.store.read_part_range(part.key, 10..200_000).await.unwrap();
            assert_eq!(range, part.bytes[10..200_000]);
            assert_eq!(part.stored(&place.bucket()), part.bytes);
            let object = Bytes::from(vec![number; 100_000]);
            let artifact = place.store.publish_object(object.clone()).await.unwrap();
            assert_eq!(place.store.object(artifact).await.unwrap(), object);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let (requests, met) = place.server.weather().met();
    println!("{requests} requests, {met:?}");
    // A quarter of the requests draw a fault, and about half of those one that they can meet: far fewer is no storm.
    assert!(met.values().sum::<u64>() * 24 > requests, "a storm");
    assert_eq!(place.unfinished(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_although_the_answer_was_lost_is_not_done_again() {
    for fault in [Fault::LostAnswer, Fault::BrokenAfter, Fault::CutAnswer, Fault::ErrorInside] {
        let place = Place::new(Weather::storm(dice(), 400, &[fault]));
        for (number, size) in SIZES.into_iter().enumerate() {
            let part = place.part(number as u8, size);
            let published = part.publish(&place.store).await.unwrap();
            assert_eq!(published, Published::New, "{fault:?}: its own record is its own");
            assert_eq!(part.stored(&place.bucket()), part.bytes, "{fault:?}");
        }
        assert_eq!(place.unfinished(), Vec::<String>::new(), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_answered_is_asked_again() {
    let patience = vec![("AWS_TIMEOUT", "700ms".to_owned())];
    // A seed that leaves no request unanswered three times in a row.
    let place = Place::with(Weather::storm(Dice::new(1), 300, &[Fault::Stuck]), patience);
    for (number, size) in SIZES.into_iter().enumerate() {
        let part = place.part(number as u8, size);
        assert_eq!(part.publish(&place.store).await.unwrap(), Published::New);
        assert_eq!(part.stored(&place.bucket()), part.bytes);
        assert_eq!(place.store.find_part(part.key).await.unwrap(), Some(part.record()));
    }
    let (requests, met) = place.server.weather().met();
    println!("{requests} requests, {met:?}");
    assert!(met.contains_key(&Fault::Stuck));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_object_is_never_taken_for_a_whole_one() {
    let place = Place::new(Weather::fair());
    for (number, size) in SIZES.into_iter().enumerate() {
        let part = place.part(number as u8, size);
        part.publish(&place.store).await.unwrap();
        let data = place.bucket().join("farm").join(part.name());
        let harms: [(&Path, usize); 2] = [(&data, size / 2), (&data.with_extension("pb"), 20)];
        for (file, length) in harms {
            let whole = std::fs::read(file).unwrap();
            std::fs::write(file, &whole[..length]).unwrap();
            assert_eq!(place.store.find_part(part.key).await.unwrap(), None, "{}", file.display());
            assert_eq!(part.publish(&place.store).await.unwrap(), Published::Repaired);
            assert_eq!(std::fs::read(file).unwrap(), whole);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_given_up_leaves_nothing_on_the_server() {
    let place = Place::new(Weather::storm(dice(), 1000, &[Fault::Slow]));
    let part = place.part(1, SIZES[1]);
    let begun = async {
        let deadline = Instant::now() + Duration::from_secs(60);
        while place.unfinished().is_empty() {
            assert!(Instant::now() < deadline, "no upload was begun");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = part.publish(&place.store) => panic!("it takes five seconds"),
        () = begun => {}
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.unfinished().is_empty() {
        assert!(Instant::now() < deadline, "{:?}", place.unfinished());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A file that is not what was announced is found out after its blocks were sent.
    place.server.weather().clear();
    std::fs::write(&part.file, vec![0; SIZES[1]]).unwrap();
    let refused = part.publish(&place.store).await;
    assert!(matches!(refused, Err(StoreError::NotAsRecorded { .. })), "{refused:?}");
    assert_eq!(place.unfinished(), Vec::<String>::new());
    assert!(!place.bucket().join("farm/parts").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_or_throttles_is_a_shortage_and_never_a_hang() {
    let mut away = Place::new(Weather::fair());
    let right = credentials(away.server.environment(S3::SECRET));
    away.server.go_away();
    let busy = Place::new(Weather::storm(Dice::new(1), 1000, &[Fault::Busy]));
    let part = away.part(1, 1000);
    let begun = Instant::now();
    let from_s3 = "s3://media/farm/master.mov";
    let mezzanine = tokio::task::spawn_blocking(move || Source::open_with(from_s3, &right).err().unwrap());
    let (refused, throttled, checked, mezzanine) =
        tokio::join!(part.publish(&away.store), part.publish(&busy.store), busy.store.check(), mezzanine);
    for error in [refused.unwrap_err(), throttled.unwrap_err(), checked.unwrap_err()] {
        assert_eq!(error.class(), FailureClass::Shortage, "{error}");
        assert!(error.to_string().contains("wait for the store"), "{error}");
    }
    assert!(matches!(mezzanine.unwrap(), SourceError::Away { .. }));
    let took = begun.elapsed();
    // Three rounds of eight waits of at most five seconds.
    assert!(took < Duration::from_secs(130), "{took:?}");
    away.server.come_back();
    assert_eq!(part.publish(&away.store).await.unwrap(), Published::New);
}

#[test]
fn a_mezzanine_is_read_in_a_storm() {
    let place = Place::new(Weather::storm(dice(), 300, &Fault::ALL));
    let bytes: Vec<u8> = (0..20 << 20).map(|n: u32| (n / 11) as u8).collect();
    std::fs::write(place.bucket().join("master.mov"), &bytes).unwrap();
    let right = credentials(place.server.environment(S3::SECRET));
    let mezzanine = Source::open_with("s3://media/master.mov", &right).unwrap();
    let mut read = vec![0; bytes.len()];
    mezzanine.read_at(0, &mut read).unwrap();
    assert!(read == bytes, "some bytes differ");
}
