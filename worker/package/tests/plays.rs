//! A tree of segments and playlists, played by ffmpeg from its master playlist.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use reel_cmaf::init::{AudioInit, Bitrate, Span, VideoInit, audio_init, video_init};
use reel_cmaf::mov::{self, Movie, TrackKind};
use reel_cmaf::segment::{Sample, media_segment};
use reel_cmaf::{AudioConfig, VideoConfig};
use reel_common::{Colour, Hdr10, Rational};
use reel_package::dash::Manifest;
use reel_package::hls::{AudioMedia, Variant, master_playlist, media_playlist};
use reel_package::{SegmentSize, Stream, layout, target_duration};

fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Presentation time and digest of each picture.
fn pictures(path: &Path) -> Vec<String> {
    let arguments = "-map 0:v:0 -fps_mode passthrough -enc_time_base 1:24000 -f framemd5 -";
    let text = run("ffmpeg", &format!("-v error -copyts -i {} {arguments}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            format!("{} {}", fields[2], fields[5])
        })
        .collect()
}

/// Coded samples on their way into segments.
struct Coded<'a> {
    source: &'a [u8],
    samples: Vec<mov::Sample>,
    timescale: u32,
    /// Decode time of the first.
    first: u64,
    /// Added to presentation times, so that none lies before its decode time.
    delay: i64,
}

impl Coded<'_> {
    fn write(&self, folder: &Path, per_segment: usize) -> Stream {
        fs::create_dir_all(folder).unwrap();
        let mut times: Vec<i64> = self.samples.iter().map(|sample| sample.pts).collect();
        times.sort_unstable();
        let mut stream = Stream { timescale: self.timescale, segments: Vec::new(), head: None };
        let segments = self.samples.chunks(per_segment).zip(times.chunks(per_segment));
        for (number, (samples, times)) in (0u32..).zip(segments) {
            let samples: Vec<_> = samples
                .iter()
                .zip(times)
                .map(|(sample, dts)| Sample {
                    data: &self.source[sample.position as usize..][..sample.size as usize],
                    duration: sample.duration,
                    composition_offset: (sample.pts + self.delay - dts) as i32,
                    sync: sample.sync,
                })
                .collect();
            let bytes = media_segment(number + 1, self.first + stream.duration(), &samples);
            fs::write(folder.join(layout::segment(number.into())), &bytes).unwrap();
            let ticks = samples.iter().map(|sample| u64::from(sample.duration)).sum();
            stream.segments.push(SegmentSize { ticks, bytes: bytes.len() as u64 });
        }
        stream
    }
}

fn make_source(path: &Path) {
    let pictures = "-f lavfi -i testsrc2=size=320x180:rate=24000/1001";
    let sound = "-f lavfi -i sine=sample_rate=48000:frequency=440";
    let coding = "-t 4 -c:v libx264 -bf 3 -g 24 -keyint_min 24 -sc_threshold 0 -c:a aac -ac 2";
    run("ffmpeg", &format!("-v error -bitexact {pictures} {sound} {coding} {}", path.display()));
}

#[test]
fn a_player_shows_every_picture_and_plays_the_sound() {
    let root = tempfile::tempdir().unwrap();
    let source = root.path().join("source.mp4");
    make_source(&source);
    let bytes = fs::read(&source).unwrap();
    let movie = Movie::read(&bytes).unwrap();
    let [video, audio] = [TrackKind::Video, TrackKind::Audio].map(|kind| movie.first(kind).unwrap());

    let out = root.path().join("out");
    let delay = video.edits[0].media_time.unwrap();
    let shown: Vec<_> =
        video.samples.iter().map(|sample| mov::Sample { pts: sample.pts - delay, ..sample }).collect();
    let heard: Vec<_> = audio.samples.iter().map(|sample| mov::Sample { duration: 1024, ..sample }).collect();
    let video_folder = out.join(layout::video_folder("180p"));
    let audio_folder = out.join(layout::audio_folder("stereo"));
    // Both are presented from 2002/24000 s on: two frames of delay for the pictures, and the same for the sound.
    let coded = |samples, timescale, first, delay| Coded { source: &bytes, samples, timescale, first, delay };
    let video_stream = coded(shown, 24_000, 0, 2002).write(&video_folder, 24);
    let audio_stream = coded(heard, 48_000, 4004 - 1024, 0).write(&audio_folder, 47);
    let video_span = Span { start: 2002, duration: video_stream.duration() };
    let audio_span = Span { start: 4004, duration: audio_stream.duration() };

    let (avcc, config) = (video.codec_config().unwrap(), audio.codec_config().unwrap());
    let bitrate = Bitrate { peak: 1, average: 1 };
    let video_header = VideoInit {
        timescale: 24_000,
        width: 320,
        height: 180,
        sample_aspect: Rational::whole(1),
        codec: VideoConfig::Avc(&avcc),
        colour: None,
        hdr10: Hdr10::default(),
        bitrate,
    };
    let audio_header = AudioInit {
        sample_rate: 48_000,
        channels: 2,
        codec: AudioConfig::Aac(&config),
        language: "eng",
        bitrate,
    };
    let target = target_duration([&video_stream, &audio_stream]);
    fs::write(video_folder.join(layout::INIT), video_init(&video_header, video_span)).unwrap();
    fs::write(audio_folder.join(layout::INIT), audio_init(&audio_header, audio_span)).unwrap();
    fs::write(video_folder.join(layout::PLAYLIST), media_playlist(&video_stream, target, None)).unwrap();
    fs::write(audio_folder.join(layout::PLAYLIST), media_playlist(&audio_stream, target, None)).unwrap();
    let variant = Variant {
        rendition: "180p",
        stream: &video_stream,
        codec: &VideoConfig::Avc(&avcc).codec_string().unwrap(),
        width: 320,
        height: 180,
        frame_rate: Rational::new(24_000, 1001),
        frames: 96,
        colour: Colour::default(),
        iframes: None,
        keys: None,
    };
    let track = AudioMedia {
        track: "stereo",
        stream: &audio_stream,
        codec: "mp4a.40.2",
        channels: 2,
        priming: 1024,
        keys: None,
        language: "eng",
    };
    let written = write_manifests(&out, &[variant], &[track], target);

    let expected = pictures(&source);
    assert_eq!(expected.len(), 96);
    for path in written {
        assert_eq!(pictures(&path), expected, "{}", path.display());
        assert_sound(&path, audio_stream.duration());
    }
}

/// Master playlist and manifest.
fn write_manifests(
    out: &Path,
    variants: &[Variant<'_>],
    audio: &[AudioMedia<'_>],
    target: u64,
) -> [PathBuf; 2] {
    let paths = [layout::MASTER, layout::MANIFEST].map(|name| out.join(name));
    fs::write(&paths[0], master_playlist(variants, audio, &[], target)).unwrap();
    let manifest = Manifest { variants, audio, texts: &[], text_files: &[], sprites: None };
    fs::write(&paths[1], manifest.text()).unwrap();
    paths
}

/// The priming comes before time 0, so that sound and picture begin together, and so many samples are heard from there on.
fn assert_sound(path: &Path, samples: u64) {
    let entries = "-v error -show_entries stream=codec_type,start_time -of csv=p=0";
    let starts = run("ffprobe", &format!("{entries} {}", path.display()));
    assert!(starts.contains("video,0.000000") && starts.contains("audio,-0.021333"), "{starts}");
    let raw = path.with_extension("raw");
    run("ffmpeg", &format!("-v error -i {} -map 0:a -f s16le {}", path.display(), raw.display()));
    assert_eq!(fs::metadata(raw).unwrap().len(), samples * 4);
}
