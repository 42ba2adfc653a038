//! Assemble on made-up parts: what is joined, what is refused, and what is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use reel_cmaf::fragment::Fragments;
use reel_cmaf::mov::{Movie, TrackKind};
use reel_cmaf::segment::{Sample, media_segment};
use reel_common::{Digest, PartIndex, RecipeKey};
use tempfile::TempDir;

use super::*;

mod captions;
mod iframes;
mod one_file;

const RENDITIONS: [&str; 2] = ["1080p", "360p"];
const FRAMES_PER_SEGMENT: u64 = 4;
const SEGMENTS_PER_PART: u64 = 2;
/// Coded AAC frames of each audio segment, as long as the video's to within one.
const AUDIO_FRAMES: [u64; 6] = [8; 6];
const AUDIO_SAMPLES: u64 = 48_000;
/// Two frames of video in samples, less the priming.
const AUDIO_START: u64 = 4004 - 1024;

const PROFILE: &str = r#"
name = "test"
version = 1
segment_seconds = 4.0
part_seconds = 8.0

[[video]]
name = "1080p"
codec = "h264"
height = 1080
rate = { crf = 21 }

[[video]]
name = "360p"
codec = "h264"
height = 360
rate = { crf = 22 }

[[audio]]
name = "stereo"
codec = "aac"
channels = 2
bitrate_kbps = 128

[package]
hls = true
mp4 = true
"#;

/// A store with the parts of a title in it, and a place for the output.
struct Farm {
    folder: TempDir,
    store: BlockingStore,
    profile: Profile,
    task: v1::AssembleTask,
    parts: Vec<v1::PartRecord>,
    audio: v1::AudioRecord,
}

impl Farm {
    fn new(parts: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = BlockingStore::open(folder.path().join("store").to_str().unwrap()).unwrap();
        let profile = Profile::parse(PROFILE, "test.toml").unwrap();
        let frames = u64::from(parts) * SEGMENTS_PER_PART * FRAMES_PER_SEGMENT;
        let mut farm = Farm {
            folder,
            store,
            profile,
            task: v1::AssembleTask::default(),
            parts: Vec::new(),
            audio: v1::AudioRecord::default(),
        };
        farm.task.index = Some(farm.publish(&index(frames)));
        for part in 0..parts {
            let renditions = RENDITIONS.map(|rendition| farm.part(part, rendition));
            farm.parts.push(v1::PartRecord { part, renditions: renditions.to_vec() });
        }
        farm.audio = farm.track(&AUDIO_FRAMES);
        farm.commit();
        farm
    }

    /// Publishes the records as they are now.
    fn commit(&mut self) {
        self.task.parts = self.parts.iter().map(|record| self.publish(record)).collect();
        self.task.audio = vec![self.publish(&self.audio)];
    }

    fn publish(&self, message: &impl Message) -> v1::Artifact {
        self.store.publish_object(message.encode_to_vec().into()).unwrap().into()
    }

    fn part(&self, part: u32, rendition: &str) -> v1::RenditionPart {
        let segments: Vec<_> = (0..SEGMENTS_PER_PART)
            .map(|segment| video_segment(u64::from(part) * SEGMENTS_PER_PART + segment, rendition))
            .collect();
        let record = v1::RenditionPart {
            rendition: rendition.to_owned(),
            frames: SEGMENTS_PER_PART * FRAMES_PER_SEGMENT,
            timescale: 24_000,
            codec_config: avcc(rendition),
            width: if rendition == "1080p" { 1920 } else { 640 },
            height: rendition.trim_end_matches('p').parse().unwrap(),
            segment_bytes: segments.iter().map(|segment| segment.len() as u64).collect(),
            ..Default::default()
        };
        let (recipe_key, artifact) =
            self.store_bytes(&format!("{rendition} {part}"), &segments.concat(), |key, artifact| {
                v1::RenditionPart { recipe_key: key, artifact: Some(artifact), ..record.clone() }
                    .encode_to_vec()
            });
        v1::RenditionPart { recipe_key, artifact: Some(artifact), ..record }
    }

    fn track(&self, frames: &[u64]) -> v1::AudioRecord {
        let mut segments = Vec::new();
        let mut time = 0;
        for (sequence, frames) in (1..).zip(frames) {
            let data: Vec<_> = (0..*frames).map(|frame| noise(300, (time + frame) as u8)).collect();
            let samples: Vec<_> = data
                .iter()
                .map(|data| Sample { data, duration: 1024, composition_offset: 0, sync: true })
                .collect();
            segments.push(media_segment(sequence, AUDIO_START + time, &samples));
            time += frames * 1024;
        }
        let record = v1::AudioRecord {
            name: "stereo".to_owned(),
            sample_rate: 48_000,
            channels: 2,
            samples: AUDIO_SAMPLES,
            priming: 1024,
            segment_bytes: segments.iter().map(|segment| segment.len() as u64).collect(),
            segment_samples: frames.iter().map(|frames| frames * 1024).collect(),
            codec_config: vec![0x11, 0x90],
            language: "eng".to_owned(),
            ..Default::default()
        };
        let (recipe_key, artifact) = self.store_bytes("stereo", &segments.concat(), |key, artifact| {
            v1::AudioRecord { recipe_key: key, artifact: Some(artifact), ..record.clone() }.encode_to_vec()
        });
        v1::AudioRecord { recipe_key, artifact: Some(artifact), ..record }
    }

    fn store_bytes(
        &self,
        name: &str,
        bytes: &[u8],
        record: impl FnOnce(Vec<u8>, v1::Artifact) -> Vec<u8>,
    ) -> (Vec<u8>, v1::Artifact) {
        let key = Digest::of(name.as_bytes());
        let artifact = v1::Artifact::from(reel_common::Artifact::of(bytes));
        let file = self.folder.path().join("scratch");
        fs::write(&file, bytes).unwrap();
        let record = record(key.0.to_vec(), artifact.clone());
        self.store.publish_part(RecipeKey(key), &file, &record).unwrap();
        (key.0.to_vec(), artifact)
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("title/out")
    }

    fn stored(&self, name: &str) -> PathBuf {
        self.store.local_path(RecipeKey(Digest::of(name.as_bytes()))).unwrap()
    }

    fn assemble(&self) -> Result<v1::Assembly, Failure> {
        self.assemble_to(&self.output())
    }

    fn assemble_to(&self, output: &Path) -> Result<v1::Assembly, Failure> {
        let work = Assemble {
            job: 42,
            output,
            profile: &self.profile,
            task: &self.task,
            store: &self.store,
            protection: None,
        };
        let mut seen = (0, 0);
        let result = assemble(&work, &mut |done, total| {
            assert!(seen.0 <= done && done <= total, "{seen:?}, then {done} of {total}");
            seen = (done, total);
        });
        assert!(result.is_err() || seen.0 == seen.1, "ended at {seen:?}");
        result
    }

    /// Nothing but the store and a scratch file is there after a failure.
    fn assert_nothing_left(&self) {
        let folder = self.output();
        let parent = folder.parent().unwrap();
        let left: Vec<_> = fs::read_dir(parent).map(Iterator::collect).unwrap_or_default();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn noise(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|n| (n as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

fn avcc(rendition: &str) -> Vec<u8> {
    vec![1, 100, 0, 40, 0xff, 0xe1, 0, 4, 0x67, 100, 0, rendition.len() as u8, 1, 0, 2, 0x68, 0xee]
}

/// Frames I P B B, shown two frames after the sorted times at which they are decoded.
fn video_segment(number: u64, rendition: &str) -> Vec<u8> {
    let offsets = [2002, 4004, 1001, 1001];
    let data: Vec<_> = (0..FRAMES_PER_SEGMENT)
        .map(|frame| noise(rendition.len() * 100 + frame as usize, (number * 16 + frame) as u8))
        .collect();
    let samples: Vec<_> = data
        .iter()
        .zip(offsets)
        .enumerate()
        .map(|(frame, (data, composition_offset))| Sample {
            data,
            duration: 1001,
            composition_offset,
            sync: frame == 0,
        })
        .collect();
    media_segment(number as u32 + 1, number * FRAMES_PER_SEGMENT * 1001, &samples)
}

fn index(frames: u64) -> v1::Index {
    let deltas = |step: i64| (0..frames).map(|frame| if frame == 0 { 0 } else { step }).collect::<Vec<_>>();
    let packets = v1::Packets {
        position_deltas: deltas(10),
        sizes: vec![10; frames as usize],
        pts_deltas: deltas(1001),
        dts_deltas: deltas(1001),
        random_access_deltas: vec![0],
    };
    let video = v1::VideoStream {
        time_base: Some(v1::Rational { num: 1, den: 24_000 }),
        pts: vec![v1::Run { delta: 1001, count: frames - 1 }],
        last_duration: 1001,
        packets: Some(packets),
        constant_rate: Some(v1::Rational { num: 24_000, den: 1001 }),
        ..Default::default()
    };
    v1::Index { video: Some(video), ..Default::default() }
}

/// All files below a folder by their path.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, fs::read(&path).unwrap());
                }
            }
        }
    }
    files
}

#[test]
fn segments_put_together_are_the_parts() {
    let farm = Farm::new(3);
    let assembly = farm.assemble().unwrap();
    assert_eq!(assembly.staging, farm.output().with_file_name(".out.reel-42.partial").to_str().unwrap());
    assert!(!farm.output().exists());
    let files = tree(Path::new(&assembly.staging));
    for rendition in RENDITIONS {
        let segments = (1..=6).flat_map(|n| &files[&format!("video/{rendition}/seg_{n:05}.m4s")]);
        let parts = (0..3).flat_map(|part| fs::read(farm.stored(&format!("{rendition} {part}"))).unwrap());
        assert!(segments.copied().eq(parts));
    }
    let segments = (1..=6).flat_map(|n| &files[&format!("audio/stereo/seg_{n:05}.m4s")]);
    assert!(segments.copied().eq(fs::read(farm.stored("stereo")).unwrap()));
    assert_eq!((assembly.parts, assembly.audio), (farm.parts.clone(), vec![farm.audio.clone()]));
}

#[test]
fn every_file_is_listed_with_its_digest() {
    let farm = Farm::new(2);
    let assembly = farm.assemble().unwrap();
    let listed: BTreeMap<_, _> =
        assembly.files.iter().map(|file| (file.path.clone(), file.artifact.clone())).collect();
    let found = tree(Path::new(&assembly.staging));
    let found: BTreeMap<_, _> = found
        .iter()
        .map(|(path, bytes)| (path.clone(), Some(reel_common::Artifact::of(bytes).into())))
        .collect();
    assert_eq!(listed, found);
    assert_eq!(listed.len(), assembly.files.len());
    for name in [
        "master.m3u8",
        "video/1080p/init.mp4",
        "video/360p/playlist.m3u8",
        "audio/stereo/init.mp4",
        "360p.mp4",
    ] {
        assert!(listed.contains_key(name), "{name}");
    }
}

#[test]
fn a_second_run_makes_the_same_bytes_and_replaces_what_a_killed_one_left() {
    let farm = Farm::new(2);
    let first = farm.assemble().unwrap();
    let before = tree(Path::new(&first.staging));
    fs::write(Path::new(&first.staging).join("video/left-over"), "x").unwrap();
    let second = farm.assemble().unwrap();
    assert_eq!(second, first);
    assert!(tree(Path::new(&second.staging)) == before);
}

#[test]
fn a_single_file_holds_the_samples_of_all_parts_in_order() {
    let farm = Farm::new(3);
    let assembly = farm.assemble().unwrap();
    let files = tree(Path::new(&assembly.staging));
    for rendition in RENDITIONS {
        let bytes = &files[&format!("{rendition}.mp4")];
        let movie = Movie::read(bytes).unwrap();
        let track = movie.first(TrackKind::Video).unwrap();
        assert_eq!(track.codec_config().as_deref(), Some(avcc(rendition).as_slice()));
        let mut expected = Vec::new();
        for n in 1..=6 {
            let segment = &files[&format!("video/{rendition}/seg_{n:05}.m4s")];
            for fragment in Fragments::of_ours(segment) {
                for sample in fragment.unwrap().samples {
                    let data = segment[sample.position as usize..][..sample.size as usize].to_vec();
                    expected.push((sample.dts, sample.pts, sample.sync, data));
                }
            }
        }
        let found: Vec<_> = track
            .samples
            .iter()
            .map(|sample| {
                let data = bytes[sample.position as usize..][..sample.size as usize].to_vec();
                (sample.dts, sample.pts, sample.sync, data)
            })
            .collect();
        assert!(found == expected);
        let audio = movie.first(TrackKind::Audio).unwrap();
        assert_eq!((audio.samples.len(), audio.edits[0].media_time), (48, Some(1024)));
        assert_eq!(audio.edits[0].segment_duration, AUDIO_SAMPLES);
    }
}

#[test]
fn headers_say_where_presentation_begins() {
    let files = tree(Path::new(&Farm::new(2).assemble().unwrap().staging));
    for (path, start) in [("video/1080p/init.mp4", 2002), ("audio/stereo/init.mp4", 4004)] {
        let edits = Movie::read(&files[path]).unwrap().tracks.remove(0).edits;
        assert_eq!((edits.len(), edits[0].media_time, edits[0].segment_duration), (1, Some(start), 0));
    }
    let edits = Movie::read(&files["360p.mp4"]).unwrap().tracks.remove(0).edits;
    assert_eq!((edits[0].media_time, edits[0].segment_duration), (Some(2002), 16 * 2002));
}

#[test]
fn damaged_parts_and_tracks_are_all_named() {
    let farm = Farm::new(4);
    let flip = |name: &str, at: usize| {
        let path = farm.stored(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    flip("1080p 1", 40);
    flip("360p 3", 1500);
    let path = farm.stored("360p 2");
    let cut = fs::read(&path).unwrap();
    fs::write(&path, &cut[..cut.len() - 1]).unwrap();
    fs::remove_file(farm.stored("stereo")).unwrap();
    let failure = farm.assemble().unwrap_err();
    assert_eq!(failure.class, FailureClass::Failed);
    assert_eq!(failure.damaged_parts, [1, 2, 3].map(PartIndex));
    assert_eq!(failure.damaged_tracks, [0]);
    farm.assert_nothing_left();
}

#[test]
fn damage_that_still_parses_is_seen() {
    let farm = Farm::new(2);
    let path = farm.stored("1080p 0");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x80;
    fs::write(path, bytes).unwrap();
    assert_eq!(farm.assemble().unwrap_err().damaged_parts, [PartIndex(0)]);
    farm.assert_nothing_left();
}

#[test]
fn a_lost_record_counts_as_damage() {
    let mut farm = Farm::new(2);
    farm.task.parts[1] = reel_common::Artifact::of(b"never published").into();
    assert_eq!(farm.assemble().unwrap_err().damaged_parts, [PartIndex(1)]);
}

#[test]
fn parts_out_of_order_missing_or_twice_are_refused() {
    let check = |change: fn(&mut Farm), expected: &str| {
        let mut farm = Farm::new(3);
        change(&mut farm);
        let failure = farm.assemble().unwrap_err();
        assert!(failure.message.contains(expected), "{}", failure.message);
        assert!(failure.damaged_parts.is_empty());
        farm.assert_nothing_left();
    };
    check(|farm| farm.task.parts.swap(0, 2), "part 2 stands where part 0 belongs");
    check(|farm| farm.task.parts[1] = farm.task.parts[0].clone(), "part 0 stands where part 1 belongs");
    check(|farm| farm.task.parts.truncate(2), "have 16 frames, the mezzanine has 24");
    check(|farm| farm.task.parts.clear(), "there are no parts");
}

#[test]
fn a_part_with_the_bytes_of_another_is_refused() {
    let mut farm = Farm::new(3);
    // The numbers are right, but part 1 names the bytes of part 2.
    farm.parts[1].renditions[0] = farm.parts[2].renditions[0].clone();
    farm.commit();
    let failure = farm.assemble().unwrap_err();
    let expected = "part 1 of rendition 1080p: segment 5 at 16016 stands where segment 3 at 8008 belongs";
    assert_eq!(failure.message, expected);
    farm.assert_nothing_left();
}

#[test]
fn other_parameter_sets_are_refused() {
    let mut farm = Farm::new(3);
    farm.parts[2].renditions[1].codec_config[3] = 41;
    farm.commit();
    let failure = farm.assemble().unwrap_err();
    assert!(
        failure.message.starts_with("part 2 of rendition 360p has parameter sets"),
        "{}",
        failure.message
    );
}

#[test]
fn names_that_the_profile_does_not_know_are_refused() {
    let mut farm = Farm::new(1);
    farm.parts[0].renditions[0].rendition = "../../escape".to_owned();
    farm.commit();
    assert!(farm.assemble().unwrap_err().message.contains("is not in the profile"));
}

#[test]
fn a_destination_that_cannot_be_written_is_invalid() {
    let farm = Farm::new(1);
    let file = farm.folder.path().join("a-file");
    fs::write(&file, "x").unwrap();
    for output in [file.join("out"), PathBuf::from("/"), PathBuf::from("/proc/reel/out")] {
        let failure = farm.assemble_to(&output).unwrap_err();
        assert_eq!(failure.class, FailureClass::Invalid, "{}", failure.message);
        assert!(failure.message.starts_with("cannot write to "), "{}", failure.message);
    }
}

#[test]
fn a_disk_without_room_is_told_before_anything_is_written() {
    let mut farm = Farm::new(1);
    let record = &mut farm.parts[0].renditions[0];
    record.artifact.as_mut().unwrap().size = 1 << 60;
    record.segment_bytes = vec![1 << 60];
    farm.commit();
    let failure = farm.assemble().unwrap_err();
    assert_eq!(failure.class, FailureClass::Shortage);
    let folder = farm.output().parent().unwrap().display().to_string();
    assert!(failure.message.starts_with(&format!("not enough space in {folder}: ")), "{}", failure.message);
    let needed: u64 = failure.message.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert!(needed > 1 << 61, "the segments and the single file: {needed}");
    farm.assert_nothing_left();
}

#[test]
fn few_files_are_open_however_many_parts_there_are() {
    let farm = Farm::new(40);
    let (output, root) = (farm.output(), farm.folder.path());
    let work = Assemble {
        job: 42,
        output: &output,
        profile: &farm.profile,
        task: &farm.task,
        store: &farm.store,
        protection: None,
    };
    let mut most = 0;
    assemble(&work, &mut |_, _| {
        let open = fs::read_dir("/proc/self/fd").unwrap();
        let paths = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        most = most.max(paths.filter(|path| path.starts_with(root)).count());
    })
    .unwrap();
    // The folder, and what each of eight threads reads and writes.
    assert!((2..=1 + 2 * 8).contains(&most), "{most}");
}

#[test]
fn whichever_thread_copies_what_the_listing_keeps_its_order() {
    let farm = Farm::new(40);
    let first = farm.assemble().unwrap();
    let of = |rendition: &'static str| (1..=80).map(move |n| format!("video/{rendition}/seg_{n:05}.m4s"));
    let beside =
        |rendition: &'static str| [format!("video/{rendition}/init.mp4"), format!("{rendition}.mp4")];
    let sound =
        (1..=6).map(|n| format!("audio/stereo/seg_{n:05}.m4s")).chain(["audio/stereo/init.mp4".to_owned()]);
    let video = RENDITIONS.iter().flat_map(|name| of(name).chain(beside(name)));
    let wanted: Vec<_> = sound.chain(video).collect();
    assert_eq!(
        first.files.iter().map(|file| &file.path).take(wanted.len()).collect::<Vec<_>>(),
        wanted.iter().collect::<Vec<_>>()
    );
    for _ in 0..5 {
        assert_eq!(farm.assemble().unwrap(), first);
    }
}

#[test]
fn a_part_with_another_number_of_frames_is_refused() {
    let mut farm = Farm::new(3);
    // Part 1 of one rendition is the first half of it, and then the whole of it again.
    farm.parts[1].renditions[1].segment_bytes.pop();
    let size: u64 = farm.parts[1].renditions[1].segment_bytes.iter().sum();
    let bytes = fs::read(farm.stored("360p 1")).unwrap();
    let half = &bytes[..size as usize];
    fs::write(farm.stored("360p 1"), half).unwrap();
    farm.parts[1].renditions[1].artifact = Some(reel_common::Artifact::of(half).into());
    farm.commit();
    let failure = farm.assemble().unwrap_err();
    assert_eq!(failure.message, "part 1 of rendition 360p: it has 4 frames, its record says 8");
    farm.assert_nothing_left();
}

#[test]
fn a_folder_that_vanishes_while_threads_write_to_it_fails_them_all() {
    let farm = Farm::new(40);
    let output = farm.output();
    let work = Assemble {
        job: 42,
        output: &output,
        profile: &farm.profile,
        task: &farm.task,
        store: &farm.store,
        protection: None,
    };
    let staging = output.with_file_name(".out.reel-42.partial");
    let aside = tempfile::tempdir_in(farm.folder.path()).unwrap();
    let mut told = 0;
    let failure = assemble(&work, &mut |_, _| {
        told += 1;
        // Others may make a folder of it again before it is a file.
        let mut times = 0;
        while told == 20 && fs::write(&staging, "in the way").is_err() {
            fs::rename(&staging, aside.path().join(times.to_string())).unwrap();
            times += 1;
        }
    })
    .unwrap_err();
    drop(aside);
    assert_eq!(failure.class, FailureClass::Failed);
    assert!(failure.message.starts_with(&format!("writing {}", staging.display())), "{}", failure.message);
    fs::remove_file(staging).unwrap();
    farm.assert_nothing_left();
}

#[test]
fn without_a_package_form_its_files_are_not_made() {
    let mut farm = Farm::new(1);
    farm.profile.package = reel_profiles::Package { mp4: true, ..Default::default() };
    let names: Vec<_> = farm.assemble().unwrap().files.into_iter().map(|file| file.path).collect();
    assert_eq!(names, ["1080p.mp4", "360p.mp4"]);
    farm.profile.package = reel_profiles::Package { hls: true, ..Default::default() };
    let names: Vec<_> = farm.assemble().unwrap().files.into_iter().map(|file| file.path).collect();
    assert!(names.contains(&"master.m3u8".to_owned()));
    assert!(names.iter().all(|name| !name.contains('/') || !name.ends_with("p.mp4")));
}
