//! Publication and repair, in a folder and in an object store: whatever happens to stored bytes, they are either the
//! ones that were published or count as absent.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use prost::Message;
use reel_common::{Artifact, Digest, FailureClass, RecipeKey};
use reel_proto::v1;
use reel_store::{BlockingStore, Published, Store, StoreError};
use tempfile::TempDir;

/// A store in a fresh folder, and a part to publish.
struct Place {
    dir: TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store").to_str().unwrap()).unwrap();
        Place { dir, store }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(Digest::of(bytes).to_string());
        fs::write(&path, bytes).unwrap();
        path
    }

    async fn publish(&self, bytes: &[u8]) -> Result<Published, StoreError> {
        self.store.publish_part(KEY, &self.file(bytes), &record(bytes)).await
    }

    fn data_path(&self) -> PathBuf {
        self.store.local_path(KEY).unwrap()
    }

    fn record_path(&self) -> PathBuf {
        self.data_path().with_extension("pb")
    }
}

const KEY: RecipeKey = RecipeKey(Digest([0x3f; 32]));

fn record(bytes: &[u8]) -> Vec<u8> {
    let artifact = Some(Artifact::of(bytes).into());
    let record = v1::RenditionPart {
        rendition: "720p".to_owned(),
        recipe_key: KEY.0.0.to_vec(),
        artifact,
        frames: 288,
        ..v1::RenditionPart::default()
    };
    record.encode_to_vec()
}

fn part() -> Vec<u8> {
    (0..3 << 20).map(|n: u32| (n % 251) as u8).collect()
}

#[tokio::test]
async fn what_is_published_is_found_read_and_never_written_twice() {
    let place = Place::new();
    assert_eq!(place.store.find_part(KEY).await.unwrap(), None);
    assert_eq!(place.publish(&part()).await.unwrap(), Published::New);
    assert_eq!(place.publish(&part()).await.unwrap(), Published::AlreadyThere);
    assert_eq!(place.store.find_part(KEY).await.unwrap(), Some(record(&part())));
    let range = place.store.read_part_range(KEY, 5..9).await.unwrap();
    assert_eq!(range, Bytes::copy_from_slice(&part()[5..9]));
    assert_eq!(fs::read(place.data_path()).unwrap(), part());
}

/// One way in which a stored file suffers.
type Harm = fn(&Path);

const HARMS: [(&str, Harm); 5] = [
    ("truncated", |path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("zeroed", |path| fs::write(path, vec![0; fs::read(path).unwrap().len()]).unwrap()),
    ("one bit flipped", |path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(path, bytes).unwrap();
    }),
    ("emptied", |path| fs::write(path, b"").unwrap()),
    ("longer", |path| {
        let mut bytes = fs::read(path).unwrap();
        bytes.push(0);
        fs::write(path, bytes).unwrap();
    }),
];

#[tokio::test]
async fn damaged_bytes_count_as_absent_and_are_repaired() {
    for (harm, damage) in HARMS {
        let place = Place::new();
        place.publish(&part()).await.unwrap();
        damage(&place.data_path());
        assert_eq!(place.store.find_part(KEY).await.unwrap(), None, "{harm}");
        assert_eq!(place.publish(&part()).await.unwrap(), Published::Repaired, "{harm}");
        assert_eq!(place.store.find_part(KEY).await.unwrap(), Some(record(&part())), "{harm}");
        assert_eq!(fs::read(place.data_path()).unwrap(), part(), "{harm}");
    }
}

#[tokio::test]
async fn a_damaged_record_counts_as_absent_and_is_repaired() {
    for (harm, damage) in HARMS {
        let place = Place::new();
        place.publish(&part()).await.unwrap();
        damage(&place.record_path());
        assert_eq!(place.store.find_part(KEY).await.unwrap(), None, "{harm}");
        assert_eq!(place.publish(&part()).await.unwrap(), Published::Repaired, "{harm}");
        assert_eq!(place.store.find_part(KEY).await.unwrap(), Some(record(&part())), "{harm}");
    }
}

#[tokio::test]
async fn a_writer_killed_between_data_and_record_leaves_nothing_that_counts() {
    for left_behind in [part(), b"half of somebody else's".to_vec()] {
        let place = Place::new();
        place.publish(&part()).await.unwrap();
        fs::remove_file(place.record_path()).unwrap();
        fs::write(place.data_path(), left_behind).unwrap();
        assert_eq!(place.store.find_part(KEY).await.unwrap(), None);
        assert_eq!(place.publish(&part()).await.unwrap(), Published::New);
        assert_eq!(fs::read(place.data_path()).unwrap(), part());
    }
}

#[tokio::test]
async fn a_writer_killed_while_it_wrote_leaves_a_temporary_that_the_next_removes() {
    let place = Place::new();
    place.publish(&part()).await.unwrap();
    let folder = place.data_path().parent().unwrap().to_owned();
    fs::write(folder.join(".new-left-behind"), b"half").unwrap();
    place.publish(&part()).await.unwrap();
    let names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test]
async fn other_bytes_under_one_recipe_are_a_determinism_fault_and_change_nothing() {
    let place = Place::new();
    place.publish(&part()).await.unwrap();
    let error = place.publish(b"other bytes").await.unwrap_err();
    assert!(matches!(error, StoreError::Determinism { .. }), "{error}");
    assert_eq!(error.class(), FailureClass::Failed);
    assert!(error.to_string().contains(&KEY.to_string()), "{error}");
    assert_eq!(fs::read(place.data_path()).unwrap(), part());
}

#[tokio::test]
async fn a_record_that_does_not_fit_its_file_or_key_is_refused() {
    let place = Place::new();
    let file = place.file(b"what was written");
    let refused = place.store.publish_part(KEY, &file, &record(b"what was meant")).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotAsRecorded { .. }), "{refused}");
    let other = RecipeKey(Digest([1; 32]));
    let refused = place.store.publish_part(other, &file, &record(b"what was written")).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotAsRecorded { .. }), "{refused}");
    let refused = place.store.publish_part(KEY, &file, b"").await.unwrap_err();
    assert!(matches!(refused, StoreError::NotAsRecorded { .. }), "{refused}");
    assert_eq!(place.store.find_part(KEY).await.unwrap(), None);
    assert!(!place.data_path().exists());
}

#[tokio::test]
async fn objects_are_checked_when_read_and_repaired_when_published_again() {
    let place = Place::new();
    let bytes = Bytes::from_static(b"an index");
    let artifact = place.store.publish_object(bytes.clone()).await.unwrap();
    assert_eq!(artifact, Artifact::of(&bytes));
    assert_eq!(place.store.object(artifact).await.unwrap(), bytes);
    let hex = artifact.sha256.to_string();
    let path = place.dir.path().join("store/objects").join(&hex[..2]).join(&hex);
    for (harm, damage) in HARMS {
        damage(&path);
        assert!(matches!(place.store.object(artifact).await, Err(StoreError::Damaged { .. })), "{harm}");
        place.store.publish_object(bytes.clone()).await.unwrap();
        assert_eq!(place.store.object(artifact).await.unwrap(), bytes, "{harm}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(place.store.object(artifact).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_one_recipe_at_one_time_agree() {
    let place = Place::new();
    let (file, record) = (place.file(&part()), record(&part()));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, file, record) = (place.store.clone(), file.clone(), record.clone());
        writers.spawn(async move { store.publish_part(KEY, &file, &record).await.unwrap() });
    }
    let outcomes = writers.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Published::New).count(), 1, "{outcomes:?}");
    assert_eq!(place.store.find_part(KEY).await.unwrap(), Some(record));
}

#[tokio::test]
async fn an_object_store_keeps_the_same_promises() {
    let place = Place { store: Store::open("memory:///farm/store").unwrap(), ..Place::new() };
    assert_eq!(place.store.find_part(KEY).await.unwrap(), None);
    assert_eq!(place.publish(&part()).await.unwrap(), Published::New);
    assert_eq!(place.publish(&part()).await.unwrap(), Published::AlreadyThere);
    assert_eq!(place.store.find_part(KEY).await.unwrap(), Some(record(&part())));
    assert!(matches!(place.publish(b"other").await, Err(StoreError::Determinism { .. })));
    let range = place.store.read_part_range(KEY, 100..200).await.unwrap();
    assert_eq!(range, Bytes::copy_from_slice(&part()[100..200]));
    let artifact = place.store.publish_object(Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(place.store.object(artifact).await.unwrap(), "x");
    assert_eq!(place.store.local_path(KEY), None);
}

#[test]
fn a_part_is_read_whole_and_checked_on_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = BlockingStore::open(dir.path().join("store").to_str().unwrap()).unwrap();
    let file = dir.path().join("part");
    fs::write(&file, part()).unwrap();
    store.publish_part(KEY, &file, &record(&part())).unwrap();
    let artifact = Artifact::of(&part());
    let read = || {
        let mut bytes = Vec::new();
        let mut reader = store.part_reader(KEY, artifact).unwrap();
        std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
        reader.finish().map(|()| bytes)
    };
    assert_eq!(read().unwrap(), part());
    for (harm, damage) in HARMS {
        damage(&store.local_path(KEY).unwrap());
        assert!(matches!(read(), Err(StoreError::Damaged { .. })), "{harm}");
        store.publish_part(KEY, &file, &record(&part())).unwrap();
    }
}

#[tokio::test]
async fn a_store_that_may_not_be_written_is_denied_and_not_a_shortage() {
    let place = Place::new();
    let root = place.dir.path().join("store");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o555)).unwrap();
    let refused = place.publish(&part()).await;
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    // The superuser may write anywhere.
    if !rustix::process::geteuid().is_root() {
        assert!(matches!(refused, Err(StoreError::Denied { .. })), "{refused:?}");
    }
}

/// A small file system of its own, where this user may make one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> Option<Self> {
        fs::create_dir(folder).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder).status();
        mounted.ok().filter(|status| status.success()).map(|_| SmallDisk(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_is_a_shortage_and_leaves_nothing_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk")) else { return };
    let place = Place { store: Store::open(disk.0.to_str().unwrap()).unwrap(), ..Place::new() };
    let error = place.publish(&part()).await.unwrap_err();
    assert!(matches!(error, StoreError::Shortage { .. }), "{error}");
    assert_eq!(error.class(), FailureClass::Shortage);
    assert!(!place.data_path().exists() && !place.record_path().exists());
    let error = place.store.publish_object(part().into()).await.unwrap_err();
    assert!(matches!(error, StoreError::Shortage { .. }), "{error}");
    let small = vec![7; 1000];
    assert_eq!(place.publish(&small).await.unwrap(), Published::New, "the space was given back");
}

#[test]
fn what_cannot_be_a_store_is_refused_with_a_hint() {
    for url in ["gopher://a/b", "http://host/store", "file://host/store"] {
        let error = Store::open(url).unwrap_err();
        assert!(error.to_string().contains("give a folder"), "{error}");
    }
    assert!(matches!(Store::open("/proc/nothing/store"), Err(StoreError::BadUrl { .. })));
    assert!(matches!(Store::open("/dev/null"), Err(StoreError::BadUrl { .. })));
}
