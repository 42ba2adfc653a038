//! Round trips over made-up tracks, and headers that were damaged on purpose.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use reel_cmaf::fragment::Fragments;
use reel_cmaf::init::{AudioInit, Bitrate, Span, VideoInit, audio_init, video_init};
use reel_cmaf::mov::{Movie, TrackKind};
use reel_cmaf::progressive::{
    Progressive, ProgressiveError, SampleSpec, SourceRun, TrackConfig, TrackInput, plan,
};
use reel_cmaf::segment::{Sample, media_segment};
use reel_cmaf::{AudioConfig, VideoConfig};
use reel_common::{Hdr10, Rational};

const AVCC: &[u8] = &[1, 100, 0, 40, 0xff, 0xe1, 0, 4, 0x67, 100, 0, 40, 1, 0, 2, 0x68, 0xee];

fn video(timescale: u32) -> VideoInit<'static> {
    VideoInit {
        timescale,
        width: 640,
        height: 360,
        sample_aspect: Rational::whole(1),
        codec: VideoConfig::Avc(AVCC),
        colour: None,
        hdr10: Hdr10::default(),
        bitrate: Bitrate { peak: 2, average: 1 },
    }
}

fn audio() -> AudioInit<'static> {
    AudioInit {
        sample_rate: 48_000,
        channels: 2,
        codec: AudioConfig::Aac(&[0x11, 0x90]),
        language: "pt-BR",
        bitrate: Bitrate { peak: 2, average: 1 },
    }
}

/// Samples with irregular durations, offsets and sizes; the first is a sync sample.
fn specs() -> impl Strategy<Value = Vec<SampleSpec>> {
    let spec = (1u32..3000, prop_oneof![Just(1001u32), 1u32..5000], -3000i32..3000, any::<bool>());
    proptest::collection::vec(spec, 1..200).prop_map(|specs| {
        let specs = specs.into_iter().enumerate();
        specs
            .map(|(number, (size, duration, composition_offset, sync))| SampleSpec {
                size,
                duration,
                composition_offset,
                sync: sync || number == 0,
            })
            .collect()
    })
}

fn data(number: usize, spec: &SampleSpec) -> Vec<u8> {
    (0..spec.size).map(|byte| (byte as u8).wrapping_add(number as u8)).collect()
}

fn build(file: &Progressive, sources: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = file.head.clone();
    for copy in &file.copies {
        let start = copy.offset as usize;
        bytes.extend(&sources[copy.source as usize][start..start + copy.length as usize]);
    }
    bytes
}

/// Cuts samples into sources of a few samples each.
fn sources(specs: &[SampleSpec], per_source: usize, first: u32) -> (Vec<SourceRun>, Vec<Vec<u8>>) {
    let mut number = 0;
    let mut all = Vec::new();
    let mut runs = Vec::new();
    for (source, specs) in (first..).zip(specs.chunks(per_source)) {
        let mut bytes = vec![0xee; 3];
        for spec in specs {
            bytes.extend(data(number, spec));
            number += 1;
        }
        runs.push(SourceRun { samples: specs.len() as u32, source, offset: 3 });
        all.push(bytes);
    }
    (runs, all)
}

fn single_file(specs: Vec<SampleSpec>, per_source: usize) -> (Progressive, Vec<Vec<u8>>) {
    let sound: Vec<_> = (0..90)
        .map(|n| SampleSpec { size: 200 + n % 7, duration: 1024, composition_offset: 0, sync: true })
        .collect();
    let (video_runs, mut all) = sources(&specs, per_source, 0);
    let (audio_runs, sound_bytes) = sources(&sound, 1000, all.len() as u32);
    all.extend(sound_bytes);
    let presented = 90_000;
    let tracks = [
        TrackInput { config: TrackConfig::Video(video(24_000)), samples: specs, runs: video_runs },
        TrackInput {
            config: TrackConfig::Audio { init: audio(), priming: 1024, presented },
            samples: sound,
            runs: audio_runs,
        },
    ];
    (plan(&tracks).unwrap(), all)
}

proptest! {
    #[test]
    fn segments_survive_writing_and_reading(specs in specs(), base in 0u64..1 << 40) {
        let data: Vec<_> = specs.iter().enumerate().map(|(number, spec)| data(number, spec)).collect();
        let samples: Vec<_> = specs
            .iter()
            .zip(&data)
            .map(|(spec, data)| Sample {
                data,
                duration: spec.duration,
                composition_offset: spec.composition_offset,
                sync: spec.sync,
            })
            .collect();
        let bytes = media_segment(7, base, &samples);
        let fragments: Vec<_> = Fragments::of_ours(&bytes).map(Result::unwrap).collect();
        prop_assert_eq!(fragments.len(), 1);
        let fragment = &fragments[0];
        prop_assert_eq!((fragment.position, fragment.end, fragment.sequence), (0, bytes.len() as u64, 7));
        prop_assert_eq!(fragment.duration(), specs.iter().map(|spec| u64::from(spec.duration)).sum::<u64>());
        let mut dts = base as i64;
        prop_assert_eq!(fragment.samples.len(), specs.len());
        for ((found, spec), data) in fragment.samples.iter().zip(&specs).zip(&data) {
            prop_assert_eq!((found.dts, found.duration, found.sync), (dts, spec.duration, spec.sync));
            prop_assert_eq!(found.pts - found.dts, i64::from(spec.composition_offset));
            prop_assert_eq!(&bytes[found.position as usize..][..found.size as usize], data.as_slice());
            dts += i64::from(spec.duration);
        }
    }

    #[test]
    fn single_files_survive_writing_and_reading(specs in specs(), per_source in 1usize..50) {
        let (file, all) = single_file(specs.clone(), per_source);
        let bytes = build(&file, &all);
        prop_assert_eq!(bytes.len() as u64, file.len());
        let movie = Movie::read(&bytes).unwrap();
        let track = movie.first(TrackKind::Video).unwrap();
        prop_assert_eq!(track.samples.len(), specs.len() as u64);
        prop_assert_eq!(track.samples.duration(), specs.iter().map(|spec| u64::from(spec.duration)).sum::<u64>());
        let mut times = Vec::new();
        for spec in &specs {
            let dts = times.last().map_or(0, |(dts, _, duration)| dts + duration);
            times.push((dts, dts + i64::from(spec.composition_offset), i64::from(spec.duration)));
        }
        let first = times.iter().map(|(_, pts, _)| *pts).min().unwrap();
        let end = times.iter().map(|(_, pts, duration)| pts + duration).max().unwrap();
        // Presentation cannot begin before 0: there all offsets are raised, and players see no difference.
        let raised = -first.min(0);
        for (number, (found, spec)) in track.samples.iter().zip(&specs).enumerate() {
            let (dts, pts, duration) = times[number];
            prop_assert_eq!((found.dts, found.pts - raised, i64::from(found.duration)), (dts, pts, duration));
            prop_assert_eq!(found.sync, spec.sync);
            let expected = data(number, spec);
            prop_assert_eq!(&bytes[found.position as usize..][..found.size as usize], expected.as_slice());
        }
        // The movie's ticks are 1/48000 s, the track's 1/24000 s.
        let edit = track.edits[0];
        prop_assert_eq!((edit.segment_duration, edit.media_time), (2 * (end - first) as u64, Some(first.max(0))));
        let sound = movie.first(TrackKind::Audio).unwrap();
        prop_assert_eq!((sound.edits[0].media_time, sound.edits[0].segment_duration), (Some(1024), 90_000));
        prop_assert_eq!(sound.language.as_str(), "pt-BR");
    }

    #[test]
    fn damaged_headers_are_refused_or_read_but_never_crash(
        specs in specs(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let (file, all) = single_file(specs, 20);
        let mut bytes = build(&file, &all);
        for (at, value) in &changes {
            let at = at.index(file.head.len());
            bytes[at] = *value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(movie) = Movie::read(&bytes) {
            for track in &movie.tracks {
                track.codec_config();
                track.coded_size();
                for sample in track.samples.iter().take(1000) {
                    prop_assert!(track.external || sample.position + u64::from(sample.size) <= bytes.len() as u64);
                }
            }
        }
    }

    #[test]
    fn damaged_fragments_are_refused_or_read_but_never_crash(
        specs in specs(),
        changes in proptest::collection::vec((0usize..400, any::<u8>()), 1..12),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let data: Vec<_> = specs.iter().enumerate().map(|(number, spec)| data(number, spec)).collect();
        let samples: Vec<_> =
            data.iter().map(|data| Sample { data, duration: 1, composition_offset: 0, sync: true }).collect();
        let mut bytes = [media_segment(1, 0, &samples), media_segment(2, 9, &samples)].concat();
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        for fragment in Fragments::of_ours(&bytes).take(10).flatten() {
            for sample in fragment.samples {
                prop_assert!(sample.position + u64::from(sample.size) <= bytes.len() as u64);
            }
        }
    }

    #[test]
    fn random_bytes_are_no_movie(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Movie::read(&bytes).is_err());
        let moov = [&(bytes.len() as u32 + 8).to_be_bytes()[..], b"moov", &bytes].concat();
        let _ = Movie::read(&moov);
    }
}

#[test]
fn headers_say_where_presentation_begins() {
    let span = |start| Span { start, duration: 90_000 };
    let init = Movie::read(&audio_init(&audio(), span(1024))).unwrap();
    assert_eq!(
        (init.tracks[0].edits[0].media_time, init.tracks[0].edits[0].segment_duration),
        (Some(1024), 0)
    );
    assert_eq!((init.fragmented, init.defaults[0].track_id), (true, 1));
    let init = Movie::read(&video_init(&video(24_000), span(2002))).unwrap();
    assert_eq!(init.tracks[0].edits[0].media_time, Some(2002));
    assert_eq!(init.tracks[0].codec_config().as_deref(), Some(AVCC));
    let from_zero = video_init(&video(24_000), span(0));
    assert!(Movie::read(&from_zero).unwrap().tracks[0].edits.is_empty());
    assert_eq!(from_zero, video_init(&video(24_000), span(0)));
}

#[test]
fn tracks_that_make_no_file_are_refused() {
    let sample = SampleSpec { size: 1, duration: 1, composition_offset: 0, sync: true };
    let run = SourceRun { samples: 1, source: 0, offset: 0 };
    let input = |timescale, samples: Vec<SampleSpec>, runs: Vec<SourceRun>| {
        plan(&[TrackInput { config: TrackConfig::Video(video(timescale)), samples, runs }])
    };
    assert_eq!(input(24, vec![], vec![]), Err(ProgressiveError::Empty(1)));
    assert_eq!(input(24, vec![sample], vec![run, run]), Err(ProgressiveError::Runs(1)));
    assert_eq!(input(0, vec![sample], vec![run]), Err(ProgressiveError::Timescale(1)));
    let far = SampleSpec { composition_offset: i32::MAX, ..sample };
    let early = SampleSpec { composition_offset: -2, ..sample };
    let two = SourceRun { samples: 2, ..run };
    assert_eq!(input(24, vec![far, early], vec![two]), Err(ProgressiveError::Offsets(1)));
    assert!(input(24, vec![sample], vec![run]).is_ok());
}

#[test]
fn a_file_beyond_4_gib_gets_wide_offsets() {
    let big = SampleSpec { size: 1 << 30, duration: 1001, composition_offset: 0, sync: true };
    let tracks = [TrackInput {
        config: TrackConfig::Video(video(24_000)),
        samples: vec![big; 5],
        runs: vec![SourceRun { samples: 5, source: 0, offset: 0 }],
    }];
    let file = plan(&tracks).unwrap();
    assert_eq!(file.len(), file.head.len() as u64 + (5 << 30));
    assert_eq!(file.head[file.head.len() - 16..][..8], [0, 0, 0, 1, b'm', b'd', b'a', b't']);
    assert!(file.head.windows(4).any(|kind| kind == b"co64"));
    assert!(!file.head.windows(4).any(|kind| kind == b"stco"));
}

/// A step that costs the square of that would not end before the test is ended.
#[test]
fn a_million_samples_are_planned_and_read() {
    let sample = |n: u32| SampleSpec {
        size: 900 + n % 800,
        duration: 1001,
        composition_offset: [0, 2002, -1001, -1001][n as usize % 4],
        sync: n.is_multiple_of(96),
    };
    let specs: Vec<_> = (0..1_000_000).map(sample).collect();
    let (runs, mut offset) = (0..1000, 0);
    let runs = runs.map(|source| {
        let run = SourceRun { samples: 1000, source, offset };
        offset += 1;
        run
    });
    let tracks =
        [TrackInput { config: TrackConfig::Video(video(24_000)), samples: specs, runs: runs.collect() }];
    let file = plan(&tracks).unwrap();
    // The media bytes are never read, so a source that has none will do.
    let mut moov = Movie::read(&HeadOnly(&file)).unwrap();
    let samples = moov.tracks.remove(0).samples;
    assert_eq!(samples.iter().count(), 1_000_000);
    assert_eq!(samples.iter().filter(|sample| sample.sync).count(), 10_417);
}

/// A planned file of which only the head can be read.
struct HeadOnly<'a>(&'a Progressive);

impl reel_cmaf::ReadAt for HeadOnly<'_> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
        reel_cmaf::ReadAt::read_at(self.0.head.as_slice(), offset, buf)
    }
}
