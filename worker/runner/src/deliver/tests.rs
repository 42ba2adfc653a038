//! Delivery on a made-up tree: what is replaced, what is refused, and what is left behind.

use std::process::Command;
use std::sync::Arc;

use prost::Message;
use reel_common::{JobId, Stage, TaskId};
use reel_profiles::Profile;
use reel_store::BlockingStore;
use tempfile::TempDir;

use super::*;
use crate::channel::{Orders, Voice};

const PROFILE: &str = include_str!("../../../../tests/profiles/quick.toml");

/// A title in its staging folder, and a store with what deliver needs to know of it.
struct Place {
    dir: TempDir,
    /// Where the title goes to.
    parent: PathBuf,
    submitted_ms: u64,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("titles");
        fs::create_dir(&parent).unwrap();
        Place { dir, parent, submitted_ms: 1 }
    }

    fn output(&self) -> PathBuf {
        self.parent.join("title")
    }

    fn staging(&self) -> PathBuf {
        self.parent.join(".title.reel-42.partial")
    }

    fn attempt(&self) -> Attempt {
        let scratch = self.dir.path().join("scratch");
        fs::create_dir_all(&scratch).unwrap();
        let pipe = fs::File::create(self.dir.path().join("events")).unwrap();
        Attempt {
            spec: v1::TaskSpec {
                mezzanine: "movie.mov".to_owned(),
                output: self.output().to_str().unwrap().to_owned(),
                profile: PROFILE.to_owned(),
                ..v1::TaskSpec::default()
            },
            task: TaskId { job: JobId(42), stage: Stage::Deliver, index: 0 },
            profile: Profile::parse(PROFILE, "quick.toml").unwrap(),
            store: BlockingStore::open(self.dir.path().join("store").to_str().unwrap()).unwrap(),
            scratch,
            voice: Voice::new(pipe),
            orders: Arc::new(Orders::new()),
        }
    }

    /// Builds the tree anew, as assemble does; returns what deliver is told.
    fn assemble(&self, attempt: &Attempt, content: &str) -> v1::DeliverTask {
        let files = [("master.m3u8", content), ("video/360p/seg_00001.m4s", "media")];
        for (path, text) in files {
            let path = self.staging().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let listed = files.map(|(path, text)| v1::OutputFile {
            path: path.to_owned(),
            artifact: Some(Artifact::of(text.as_bytes()).into()),
        });
        let assembly = v1::Assembly {
            staging: self.staging().to_str().unwrap().to_owned(),
            files: listed.to_vec(),
            ..v1::Assembly::default()
        };
        let store = |bytes: Vec<u8>| Some(attempt.store.publish_object(bytes.into()).unwrap().into());
        v1::DeliverTask {
            index: store(v1::Index::default().encode_to_vec()),
            assembly: store(assembly.encode_to_vec()),
            proof: store(v1::Proof::default().encode_to_vec()),
            check: None,
            history: Some(v1::JobHistory {
                job: 42,
                submitted_ms: self.submitted_ms,
                ..v1::JobHistory::default()
            }),
        }
    }

    fn deliver(&self, content: &str) -> Result<v1::TaskFinished, Failure> {
        let attempt = self.attempt();
        run(&attempt, &self.assemble(&attempt, content))
    }

    fn master(&self) -> String {
        fs::read_to_string(self.output().join("master.m3u8")).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.parent).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn a_title_appears_whole_with_its_report() {
    let place = Place::new();
    let finished = place.deliver("one").unwrap();
    assert_eq!(place.master(), "one");
    let report = fs::read(place.output().join("report.json")).unwrap();
    assert_eq!(finished, finished_with("report.json".to_owned()));
    assert_eq!(fs::read(place.dir.path().join("scratch/report.json")).unwrap(), report);
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!((&report["job"]["id"], &report["files"][0]["path"]), (&42.into(), &"master.m3u8".into()));
    assert_eq!(place.names(), ["title"]);
}

#[test]
fn a_report_names_the_libraries_that_made_the_title() {
    let place = Place::new();
    place.deliver("one").unwrap();
    let report = fs::read(place.output().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    for (name, number) in reel_media::library_versions() {
        let text = report["libraries"][name].as_str().unwrap();
        let fields: Vec<u32> = text.split('.').map(|field| field.parse().unwrap()).collect();
        let [major, minor, micro] = fields[..] else { panic!("{name} {text}") };
        assert_eq!(major << 16 | minor << 8 | micro, number, "{name} {text}");
    }
}

#[test]
fn an_empty_folder_and_an_earlier_title_are_replaced_and_nothing_stays_behind() {
    let mut place = Place::new();
    fs::create_dir(place.output()).unwrap();
    for content in ["one", "two", "three"] {
        place.submitted_ms += 1;
        place.deliver(content).unwrap();
        assert_eq!(place.master(), content);
        assert_eq!(place.names(), ["title"]);
    }
}

#[test]
fn what_reel_did_not_deliver_is_refused_and_kept() {
    for (name, text) in [("photo.jpg", "mine"), ("report.json", "{\"job\": 1}"), ("report.json", "")] {
        let place = Place::new();
        fs::create_dir(place.output()).unwrap();
        fs::write(place.output().join(name), text).unwrap();
        let failure = place.deliver("one").unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{failure:?}");
        assert!(failure.message.contains("was not delivered by reel"), "{failure:?}");
        assert_eq!(fs::read_to_string(place.output().join(name)).unwrap(), text);
    }
    let place = Place::new();
    fs::write(place.output(), "a file").unwrap();
    assert_eq!(place.deliver("one").unwrap_err().class, FailureClass::Invalid);
    assert_eq!(fs::read_to_string(place.output()).unwrap(), "a file");
}

#[test]
fn a_killed_delivery_is_taken_up_wherever_it_stopped() {
    // After the report was written and before the rename.
    let place = Place::new();
    let attempt = place.attempt();
    let task = place.assemble(&attempt, "one");
    fs::write(place.staging().join("report.json"), "half").unwrap();
    fs::write(place.staging().join(REPORT_ON_ITS_WAY), "half").unwrap();
    let first = run(&attempt, &task).unwrap();
    let report = fs::read(place.output().join("report.json")).unwrap();
    // After the rename and before the commit: the same answer, from the report that is there.
    assert_eq!(run(&attempt, &task).unwrap(), first);
    assert_eq!(fs::read(place.output().join("report.json")).unwrap(), report);
    // After the exchange and before the old title was removed.
    fs::create_dir(place.staging()).unwrap();
    fs::write(place.staging().join("old"), "old").unwrap();
    assert_eq!(run(&attempt, &task).unwrap(), first);
    assert_eq!(place.names(), ["title"]);
}

type Change = fn(&Path);

#[test]
fn a_tree_that_was_changed_after_its_proof_is_not_delivered() {
    let changes: [(&str, Change); 4] = [
        ("master.m3u8 is not what assemble wrote", |tree| fs::write(tree.join("master.m3u8"), "x").unwrap()),
        ("seg_00001.m4s is missing", |tree| fs::remove_file(tree.join("video/360p/seg_00001.m4s")).unwrap()),
        ("it holds virus.exe", |tree| fs::write(tree.join("virus.exe"), "x").unwrap()),
        ("it is gone", |tree| fs::remove_dir_all(tree).unwrap()),
    ];
    for (reason, change) in changes {
        let place = Place::new();
        let attempt = place.attempt();
        let task = place.assemble(&attempt, "one");
        change(&place.staging());
        let failure = run(&attempt, &task).unwrap_err();
        assert_eq!(failure.class, FailureClass::Failed);
        assert!(failure.message.contains(reason), "{failure:?}");
        assert!(!place.output().exists());
    }
}

#[test]
fn a_full_disk_is_a_shortage_that_names_the_folder() {
    let mut place = Place::new();
    let disk = place.dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&disk).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return;
    }
    place.parent = disk.clone();
    let attempt = place.attempt();
    let task = place.assemble(&attempt, "one");
    let filler = fs::write(disk.join("filler"), vec![0; 1 << 20]);
    let failure = run(&attempt, &task).unwrap_err();
    let nothing_there = !place.output().exists();
    Command::new("umount").arg(&disk).status().unwrap();
    assert!(filler.is_err() && nothing_there);
    assert_eq!(failure.class, FailureClass::Shortage, "{failure:?}");
    assert!(failure.message.contains(disk.to_str().unwrap()), "{failure:?}");
}
