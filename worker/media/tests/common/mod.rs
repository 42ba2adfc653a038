//! Real clips, their plans, and a stand-in for the store.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reel_cmaf::VideoConfig;
use reel_cmaf::fragment::Fragments;
use reel_cmaf::init::{Bitrate, Span, VideoInit, audio_init, video_init};
use reel_common::{Hdr10, IndexSummary, PartIndex, PartSpec, Rational, RecipeKey};
use reel_media::{AudioJob, EncodeEvents, EncodeJob, Purpose, audio, encode, index};
use reel_profiles::{AudioCodec, Profile};
use reel_proto::v1;
use reel_store::Source;

pub(crate) const PROFILE: &str = r#"
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
[[audio]]
name = "stereo"
codec = "aac"
channels = 2
bitrate_kbps = 96
[package]
hls = true
mp4 = false
"#;

/// Clips that the project bundles.
pub(crate) const CLIPS: [&str; 3] = ["big-buck-bunny-1080p.mp4", "big-buck-bunny-720p-5.1.mp4", "city.mpg"];

pub(crate) fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/media").join(name)
}

/// Keeps what an attempt says, and plays the store.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) store: BTreeMap<RecipeKey, v1::RenditionPart>,
    pub(crate) records: Vec<v1::PartRecord>,
    pub(crate) files: Vec<Vec<Option<PathBuf>>>,
    pub(crate) stop_before: Option<u32>,
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

pub(crate) struct Title {
    pub(crate) source: Source,
    pub(crate) index: v1::Index,
    pub(crate) profile: Profile,
    pub(crate) parts: Vec<PartSpec>,
    pub(crate) frames: u64,
    pub(crate) rate: Rational,
}

impl Title {
    /// An encode of some of its parts.
    pub(crate) fn job<'a>(&'a self, parts: &'a [PartSpec], scratch: &'a Path) -> EncodeJob<'a> {
        EncodeJob {
            sources: std::slice::from_ref(&self.source),
            index: &self.index,
            profile: &self.profile,
            parts,
            qualities: &[],
            purpose: Purpose::Title,
            scratch,
        }
    }
}

pub(crate) fn title(path: &Path) -> Title {
    let source = Source::open(path.to_str().unwrap()).unwrap();
    let profile = Profile::parse(PROFILE, "test.toml").unwrap();
    let (index, mut summary) = index(&source, &profile).unwrap();
    summary.artifact = Some(v1::Artifact { sha256: vec![0; 32], size: 0 });
    let summary = IndexSummary::try_from(summary).unwrap();
    let grid = profile.grid(&summary).unwrap();
    let parts = (0..grid.parts()).map(|part| grid.part(PartIndex(part)).unwrap()).collect();
    Title { source, index, profile, parts, frames: summary.frames, rate: summary.timing.rate() }
}

pub(crate) fn run(title: &Title, parts: &[PartSpec], scratch: &Path, recorder: &mut Recorder) {
    encode(&title.job(parts, scratch), recorder).unwrap();
}

/// One rendition of the whole title as a fragmented MP4.
pub(crate) fn join(recorder: &Recorder, lane: usize) -> Vec<u8> {
    let first = &recorder.records[0].renditions[lane];
    let init = VideoInit {
        timescale: first.timescale,
        width: first.width as u16,
        height: first.height as u16,
        sample_aspect: Rational::whole(1),
        codec: VideoConfig::Avc(&first.codec_config),
        colour: None,
        hdr10: Hdr10::default(),
        bitrate: Bitrate { peak: 0, average: 0 },
    };
    let media = recorder.files.iter().map(|files| std::fs::read(files[lane].as_ref().unwrap()).unwrap());
    let media = media.collect::<Vec<_>>().concat();
    let samples = Fragments::of_ours(&media).flat_map(|fragment| fragment.unwrap().samples);
    let start = samples.map(|sample| sample.pts).min().unwrap() as u64;
    [video_init(&init, Span { start, duration: 0 }), media].concat()
}

/// Makes the whole output tree of a clip, as assemble would, without playlists; gives the records of what it holds.
pub(crate) fn make_tree(title: &Title, root: &Path) -> (Vec<v1::PartRecord>, Vec<v1::AudioRecord>) {
    let scratch = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::default();
    run(title, &title.parts, scratch.path(), &mut recorder);
    for lane in 0..recorder.records[0].renditions.len() {
        let joined = join(&recorder, lane);
        let parts = recorder.records.iter().map(|record| &record.renditions[lane]);
        let sizes: Vec<u64> = parts.flat_map(|part| part.segment_bytes.clone()).collect();
        let name = &recorder.records[0].renditions[lane].rendition;
        write_segments(&root.join("video").join(name), &joined, &sizes);
    }
    if title.index.audio.is_empty() {
        return (recorder.records, Vec::new());
    }
    let job = AudioJob {
        sources: std::slice::from_ref(&title.source),
        index: &title.index,
        profile: &title.profile,
        track: 0,
        scratch: scratch.path(),
    };
    let (record, path) = audio(&job, &mut |_| None, &mut |_, _| ()).unwrap();
    let init = reel_media::audio_init(AudioCodec::Aac, &record, Bitrate { peak: 0, average: 0 });
    let media = std::fs::read(path.unwrap()).unwrap();
    let first = Fragments::of_ours(&media).next().unwrap().unwrap().base_decode_time().unwrap();
    let span = Span { start: first as u64 + u64::from(record.priming), duration: 0 };
    let joined = [audio_init(&init, span), media].concat();
    write_segments(&root.join("audio").join(&record.name), &joined, &record.segment_bytes);
    (recorder.records, vec![record])
}

fn write_segments(folder: &Path, joined: &[u8], sizes: &[u64]) {
    std::fs::create_dir_all(folder).unwrap();
    let mut at = joined.len() - sizes.iter().sum::<u64>() as usize;
    std::fs::write(folder.join("init.mp4"), &joined[..at]).unwrap();
    for (number, size) in sizes.iter().enumerate() {
        let end = at + *size as usize;
        std::fs::write(folder.join(format!("seg_{:05}.m4s", number + 1)), &joined[at..end]).unwrap();
        at = end;
    }
}
