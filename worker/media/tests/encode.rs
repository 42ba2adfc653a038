//! Chunks of real clips, encoded and decoded back by ffmpeg.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use reel_cmaf::init::{Bitrate, VideoInit, video_init};
use reel_common::{IndexSummary, PartIndex, PartSpec, Rational, RecipeKey};
use reel_media::{EncodeEvents, EncodeJob, encode, index};
use reel_profiles::Profile;
use reel_proto::v1;
use reel_store::Source;

const PROFILE: &str = r#"
name = "test"
version = 1
segment_seconds = 1.0
part_seconds = 2.0
[[video]]
name = "360p"
codec = "h264"
height = 360
preset = "veryfast"
rate = { crf = 25, maxrate_kbps = 900, bufsize_kbps = 1800 }
[[video]]
name = "180p"
codec = "h264"
height = 180
preset = "ultrafast"
rate = { crf = 30 }
[package]
hls = true
mp4 = false
"#;

/// Clips that the project bundles.
const CLIPS: [&str; 3] = ["big-buck-bunny-1080p.mp4", "big-buck-bunny-720p-5.1.mp4", "city.mpg"];

fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/media").join(name)
}

/// Keeps what an attempt says, and plays the store.
#[derive(Default)]
struct Recorder {
    store: BTreeMap<RecipeKey, v1::RenditionPart>,
    records: Vec<v1::PartRecord>,
    files: Vec<Vec<Option<PathBuf>>>,
    stop_before: Option<u32>,
}

impl EncodeEvents for Recorder {
    fn find(&mut self, key: RecipeKey) -> Option<v1::RenditionPart> {
        self.store.get(&key).cloned()
    }

    fn progress(&mut self, done: u64, total: u64, _: PartIndex) {
        assert!(done <= total, "{done} of {total}");
    }

    fn part_finished(&mut self, record: v1::PartRecord, files: Vec<Option<PathBuf>>) {
        for rendition in &record.renditions {
            let key = RecipeKey(rendition.recipe_key.as_slice().try_into().unwrap());
            self.store.insert(key, rendition.clone());
        }
        self.records.push(record);
        self.files.push(files);
    }

    fn next_part_allowed(&mut self, part: PartIndex) -> bool {
        self.stop_before.is_none_or(|limit| part.0 < limit)
    }
}

struct Title {
    source: Source,
    index: v1::Index,
    profile: Profile,
    parts: Vec<PartSpec>,
    frames: u64,
    rate: Rational,
}

fn title(path: &Path) -> Title {
    let source = Source::open(path.to_str().unwrap()).unwrap();
    let profile = Profile::parse(PROFILE, "test.toml").unwrap();
    let (index, mut summary) = index(&source, &profile).unwrap();
    summary.artifact = Some(v1::Artifact { sha256: vec![0; 32], size: 0 });
    let summary = IndexSummary::try_from(summary).unwrap();
    let grid = profile.grid(&summary).unwrap();
    let parts = (0..grid.parts()).map(|part| grid.part(PartIndex(part)).unwrap()).collect();
    Title { source, index, profile, parts, frames: summary.frames, rate: summary.timing.rate() }
}

fn run(title: &Title, parts: &[PartSpec], scratch: &Path, recorder: &mut Recorder) {
    let job =
        EncodeJob { source: &title.source, index: &title.index, profile: &title.profile, parts, scratch };
    encode(&job, recorder).unwrap();
}

/// One rendition of the whole title as a fragmented MP4.
fn join(recorder: &Recorder, lane: usize) -> Vec<u8> {
    let first = &recorder.records[0].renditions[lane];
    let init = VideoInit {
        timescale: first.timescale,
        width: first.width as u16,
        height: first.height as u16,
        sample_aspect: Rational::whole(1),
        avcc: &first.codec_config,
        colour: None,
        bitrate: Bitrate { peak: 0, average: 0 },
    };
    let mut bytes = video_init(&init, 0);
    for files in &recorder.files {
        bytes.extend(std::fs::read(files[lane].as_ref().unwrap()).unwrap());
    }
    bytes
}

fn frame_times(path: &Path) -> Vec<i64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_matches(',').parse().unwrap()).collect()
}

fn check_clip(name: &str) {
    let title = title(&clip(name));
    let scratch = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::default();
    run(&title, &title.parts, scratch.path(), &mut recorder);
    assert_eq!(recorder.records.len(), title.parts.len());
    for lane in 0..recorder.records[0].renditions.len() {
        let path = scratch.path().join(format!("{lane}.mp4"));
        std::fs::write(&path, join(&recorder, lane)).unwrap();
        let step = title.rate.den() * if title.rate.num() < 1000 { 1000 } else { 1 };
        // libav reads fragments with negative composition offsets late by the largest of them, for all frames alike.
        let times = frame_times(&path);
        let late = times[0];
        assert!(late % step == 0 && late <= 3 * step, "{name} starts at {late}");
        let expected: Vec<i64> = (0..title.frames as i64).map(|frame| late + frame * step).collect();
        assert_eq!(times, expected, "{name}, rendition {lane}");
    }
}

#[test]
fn joined_parts_play_every_frame_once_at_its_time() {
    for name in CLIPS {
        check_clip(name);
    }
}

#[test]
fn grouping_into_chunks_does_not_change_a_byte() {
    let title = title(&clip(CLIPS[0]));
    let scratch = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut whole, mut single) = (Recorder::default(), Recorder::default());
    run(&title, &title.parts, scratch[0].path(), &mut whole);
    for part in title.parts.iter().rev() {
        run(&title, std::slice::from_ref(part), scratch[1].path(), &mut single);
    }
    single.records.reverse();
    assert_eq!(whole.records, single.records);
}

#[test]
fn a_part_that_is_in_the_store_is_not_encoded_again() {
    let title = title(&clip(CLIPS[0]));
    let scratch = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut first = Recorder { stop_before: Some(1), ..Recorder::default() };
    run(&title, &title.parts, scratch[0].path(), &mut first);
    assert_eq!(first.records.len(), 1);
    let mut second = Recorder { store: first.store.clone(), ..Recorder::default() };
    run(&title, &title.parts, scratch[1].path(), &mut second);
    assert_eq!(second.records.len(), title.parts.len());
    assert!(second.files[0].iter().all(Option::is_none));
    assert!(second.files[1].iter().all(Option::is_some));
    assert_eq!(second.records[0], first.records[0]);
}
