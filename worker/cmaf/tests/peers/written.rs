//! Files written here, decoded by ffmpeg and parsed by `mp4-atom`.

use mp4_atom::{Any, Codec, DecodeMaybe};
use reel_cmaf::fragment::Fragments;
use reel_cmaf::init::{AudioInit, Bitrate, Span, VideoInit, audio_init, video_init};
use reel_cmaf::mov::{Movie, TrackKind};
use reel_cmaf::progressive::{Progressive, SampleSpec, SourceRun, TrackConfig, TrackInput, plan};
use reel_cmaf::segment::{Sample, media_segment};
use reel_cmaf::{AudioConfig, VideoConfig};
use reel_common::{Colour, Hdr10, Rational};

use crate::clip::{Clip, PICTURES, packets, pictures, run, sound};

/// Samples of one track as an encoder hands them over, on the title's timeline.
struct Coded {
    config: Vec<u8>,
    timescale: u32,
    data: Vec<Vec<u8>>,
    specs: Vec<SampleSpec>,
}

impl Coded {
    /// Reads a track of a clip. Video gets decode times that are its sorted presentation times.
    fn read(bytes: &[u8], kind: TrackKind) -> Self {
        let movie = Movie::read(&bytes.to_vec()).unwrap();
        let track = movie.first(kind).unwrap();
        let samples: Vec<_> = track.samples.iter().collect();
        let mut times: Vec<i64> = samples.iter().map(|sample| sample.pts).collect();
        times.sort_unstable();
        let first = times[0];
        let ends = times[1..].iter().copied().chain([times[times.len() - 1] + 1001]);
        let durations = times.iter().zip(ends).map(|(start, end)| (end - start) as u32);
        let video = kind == TrackKind::Video;
        let specs = samples.iter().zip(&times).zip(durations).map(|((sample, dts), duration)| SampleSpec {
            size: sample.size,
            duration: if video { duration } else { sample.duration },
            composition_offset: if video { (sample.pts - first - (dts - first)) as i32 } else { 0 },
            sync: sample.sync,
        });
        let data = samples.iter().map(|sample| {
            let start = sample.position as usize;
            bytes[start..start + sample.size as usize].to_vec()
        });
        let config = track.codec_config().unwrap().to_vec();
        Coded { config, timescale: track.timescale, data: data.collect(), specs: specs.collect() }
    }

    /// Segments that begin where `starts` says.
    fn segments(&self, starts: impl Fn(usize, &SampleSpec) -> bool) -> Vec<Vec<u8>> {
        let mut cuts: Vec<usize> =
            self.specs.iter().enumerate().filter(|(n, spec)| starts(*n, spec)).map(|(n, _)| n).collect();
        cuts.push(self.specs.len());
        let mut time = 0;
        let mut segments = Vec::new();
        for (number, cut) in cuts.windows(2).enumerate() {
            let samples: Vec<_> = (cut[0]..cut[1])
                .map(|n| Sample {
                    data: &self.data[n],
                    duration: self.specs[n].duration,
                    composition_offset: self.specs[n].composition_offset,
                    sync: self.specs[n].sync,
                })
                .collect();
            segments.push(media_segment(number as u32 + 1, time, &samples));
            time += samples.iter().map(|sample| u64::from(sample.duration)).sum::<u64>();
        }
        segments
    }

    fn video_init(&self) -> VideoInit<'_> {
        VideoInit {
            timescale: self.timescale,
            width: 320,
            height: 180,
            sample_aspect: Rational::whole(1),
            codec: VideoConfig::Avc(&self.config),
            colour: Some(Colour {
                primaries: 1,
                transfer: 1,
                matrix: 1,
                full_range: false,
                chroma_location: None,
            }),
            hdr10: Hdr10::default(),
            bitrate: Bitrate { peak: 900_000, average: 600_000 },
        }
    }

    fn audio_init(&self) -> AudioInit<'_> {
        AudioInit {
            sample_rate: self.timescale,
            channels: 2,
            codec: AudioConfig::Aac(&self.config),
            language: "eng",
            bitrate: Bitrate { peak: 140_000, average: 128_000 },
        }
    }
}

fn h264() -> Clip {
    Clip::make(&format!("{PICTURES} -c:v libx264 -bf 3 -g 12 -x264-params open-gop=0"), "source.mp4")
}

fn aac() -> Clip {
    let noise = "-f lavfi -i anoisesrc=sample_rate=48000:seed=7:duration=1.9";
    Clip::make(&format!("{noise} -ac 2 -c:a aac -b:a 128k"), "source.m4a")
}

#[test]
fn video_segments_decode_to_the_same_pictures_at_the_same_times() {
    let clip = h264();
    let mut coded = Coded::read(&clip.bytes(), TrackKind::Video);
    // Two frames of delay, so that no picture is shown before it is decoded.
    coded.specs.iter_mut().for_each(|spec| spec.composition_offset += 2002);
    assert!(coded.specs.iter().all(|spec| spec.composition_offset >= 0));
    let segments = coded.segments(|_, spec| spec.sync);
    assert_eq!(segments.len(), 4);
    let mut track = video_init(&coded.video_init(), Span { start: 2002, duration: 48_048 });
    track.extend(segments.concat());
    let expected = pictures(&clip.path);
    assert_eq!((expected.len(), expected[0].0, expected[47].0), (48, 0, 47 * 1001));
    assert_eq!(pictures(&clip.beside("track.mp4", &track)), expected);
}

#[test]
fn ffmpeg_shows_fragments_with_negative_offsets_late() {
    let clip = h264();
    let coded = Coded::read(&clip.bytes(), TrackKind::Video);
    assert!(coded.specs.iter().any(|spec| spec.composition_offset < 0), "the source reorders pictures");
    let mut track = video_init(&coded.video_init(), Span { start: 0, duration: 48_048 });
    track.extend(coded.segments(|_, spec| spec.sync).concat());
    // The right pictures, but all by the largest negative offset too late: the reason to avoid them in segments.
    let mut expected = pictures(&clip.path);
    expected.iter_mut().for_each(|(time, _)| *time += 2002);
    assert_eq!(pictures(&clip.beside("track.mp4", &track)), expected);
}

#[test]
fn audio_segments_decode_to_the_same_sound_without_priming() {
    let clip = aac();
    let coded = Coded::read(&clip.bytes(), TrackKind::Audio);
    let segments = coded.segments(|n, _| n % 47 == 0);
    let mut track = audio_init(&coded.audio_init(), Span { start: 1024, duration: 92_224 });
    track.extend(segments.concat());
    let path = clip.beside("track.mp4", &track);
    // ffmpeg gives the priming of a fragmented track times before 0 and leaves it to the player to drop it.
    assert_eq!(packets(&path, "a:0")[0].pts, 0);
    let first =
        run("ffprobe", &format!("-v error -show_entries stream=start_pts -of csv=p=0 {}", path.display()));
    assert_eq!(first.trim(), "-1024");
    let (expected, found) = (sound(&clip.path), sound(&path));
    assert!(found[1024 * 4..][..91_200 * 4] == expected[..91_200 * 4]);
}

#[test]
fn fragments_written_here_are_read_back_sample_for_sample() {
    let clip = h264();
    let coded = Coded::read(&clip.bytes(), TrackKind::Video);
    let bytes = coded.segments(|_, spec| spec.sync).concat();
    let mut number = 0;
    let mut time = 0;
    let mut end = 0;
    for (sequence, fragment) in (1..).zip(Fragments::of_ours(&bytes)) {
        let fragment = fragment.unwrap();
        assert_eq!((fragment.position, fragment.sequence), (end, sequence));
        end = fragment.end;
        for sample in fragment.samples {
            let spec = coded.specs[number];
            let data = &bytes[sample.position as usize..][..sample.size as usize];
            assert_eq!(data, coded.data[number]);
            assert_eq!((sample.dts, sample.duration, sample.sync), (time, spec.duration, spec.sync));
            assert_eq!(sample.pts - sample.dts, spec.composition_offset.into());
            time += i64::from(spec.duration);
            number += 1;
        }
    }
    assert_eq!((number, end), (coded.specs.len(), bytes.len() as u64));
}

#[test]
fn a_second_parser_finds_what_init_and_segments_say() {
    let clip = h264();
    let coded = Coded::read(&clip.bytes(), TrackKind::Video);
    let init = video_init(&coded.video_init(), Span { start: 0, duration: 48_048 });
    let mut rest = init.as_slice();
    let mut atoms = Vec::new();
    while let Some(atom) = Any::decode_maybe(&mut rest).unwrap() {
        atoms.push(atom);
    }
    let [Any::Ftyp(ftyp), Any::Moov(moov)] = &atoms[..] else { panic!("{atoms:?}") };
    assert_eq!(ftyp.major_brand.to_string(), "cmfc");
    let trak = &moov.trak[0];
    assert_eq!((trak.tkhd.track_id, trak.mdia.mdhd.timescale, &trak.edts), (1, 24000, &None));
    let Codec::Avc1(avc1) = &trak.mdia.minf.stbl.stsd.codecs[0] else { panic!("no avc1") };
    assert_eq!((avc1.visual.width, avc1.visual.height), (320, 180));
    let mvex = moov.mvex.as_ref().unwrap();
    assert_eq!((mvex.trex.len(), mvex.mehd.as_ref().unwrap().fragment_duration), (1, 48_048));
    assert_eq!(avc1.btrt.as_ref().unwrap().avg_bitrate, 600_000);

    let segments = coded.segments(|_, spec| spec.sync);
    let mut rest = segments[1].as_slice();
    let mut kinds = Vec::new();
    while let Some(atom) = Any::decode_maybe(&mut rest).unwrap() {
        kinds.push(match &atom {
            Any::Moof(moof) => {
                assert_eq!(moof.mfhd.sequence_number, 2);
                let traf = &moof.traf[0];
                assert_eq!(traf.tfdt.as_ref().unwrap().base_media_decode_time, 12 * 1001);
                assert_eq!(traf.tfhd.default_sample_duration, Some(1001));
                assert_eq!(traf.trun[0].samples.len(), 12);
                "moof"
            }
            Any::Styp(_) => "styp",
            Any::Mdat(_) => "mdat",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(kinds, ["styp", "moof", "mdat"]);
}

/// Lays both tracks out as the runs of two sources each, as parts would be.
fn single_file(video: &Coded, audio: &Coded, presented: u64) -> (Progressive, Vec<Vec<u8>>) {
    let mut sources = Vec::new();
    let mut inputs = Vec::new();
    let configs = [
        TrackConfig::Video(video.video_init()),
        TrackConfig::Audio { init: audio.audio_init(), priming: 1024, presented },
    ];
    for (coded, config) in [video, audio].into_iter().zip(configs) {
        let mut runs = Vec::new();
        for data in coded.data.chunks(30) {
            runs.push(SourceRun { samples: data.len() as u32, source: sources.len() as u32, offset: 5 });
            sources.push([b"extra".to_vec(), data.concat()].concat());
        }
        inputs.push(TrackInput { config, samples: coded.specs.clone(), runs });
    }
    (plan(&inputs).unwrap(), sources)
}

#[test]
fn a_single_file_plays_the_same_pictures_and_exactly_the_presented_sound() {
    let (pictures_clip, sound_clip) = (h264(), aac());
    let video = Coded::read(&pictures_clip.bytes(), TrackKind::Video);
    let audio = Coded::read(&sound_clip.bytes(), TrackKind::Audio);
    let (file, sources) = single_file(&video, &audio, 91_200);
    let mut bytes = file.head.clone();
    for copy in &file.copies {
        let start = copy.offset as usize;
        bytes.extend(&sources[copy.source as usize][start..start + copy.length as usize]);
    }
    assert_eq!(bytes.len() as u64, file.len());
    let path = pictures_clip.beside("single.mp4", &bytes);
    assert_eq!(pictures(&path), pictures(&pictures_clip.path));
    let (expected, found) = (sound(&sound_clip.path), sound(&path));
    // ffmpeg drops the priming, but plays the padding of the last frame; the stated duration is exact.
    assert_eq!(found.len(), 90 * 1024 * 4);
    assert!(found[..91_200 * 4] == expected[..91_200 * 4]);
    let durations = run(
        "ffprobe",
        &format!("-v error -show_entries stream=duration_ts,time_base -of csv=p=0 {}", path.display()),
    );
    assert_eq!(durations.lines().collect::<Vec<_>>(), ["1/24000,48048", "1/48000,91200"]);

    let movie = Movie::read(&bytes).unwrap();
    assert_eq!(movie.movie_timescale, 48_000);
    let edits: Vec<_> = movie
        .tracks
        .iter()
        .map(|track| (track.edits[0].segment_duration, track.edits[0].media_time))
        .collect();
    assert_eq!(edits, [(96_096, Some(0)), (91_200, Some(1024))]);
    for (track, coded) in movie.tracks.iter().zip([&video, &audio]) {
        for (sample, data) in track.samples.iter().zip(&coded.data) {
            assert_eq!(&bytes[sample.position as usize..][..sample.size as usize], data);
        }
    }
}
