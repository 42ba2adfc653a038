//! Clips made by the `ffmpeg` program, cut into our segments.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use reel_cmaf::init::{AudioInit, Bitrate, Span, VideoInit, audio_init, video_init};
use reel_cmaf::mov::{Movie, Sample, TrackKind};
use reel_cmaf::protect::{Scheme, TrackEncryption, sample_ranges};
use reel_cmaf::segment::{self, media_segment};
use reel_cmaf::{AudioConfig, VideoConfig};
use reel_common::{Hdr10, Rational};
use reel_package::protect::{ContentKey, SegmentCipher};
use tempfile::TempDir;

pub(crate) const KEY_ID: [u8; 16] = *b"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";
pub(crate) const KEY: [u8; 16] = *b"\xa0\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf";
/// The vector of the first sample in `cenc`: it passes the end of its lower half.
pub(crate) const VECTOR: [u8; 8] = *b"\x00\x11\x22\x33\xff\xff\xff\xf0";
pub(crate) const TRACK_VECTOR: [u8; 16] =
    *b"\x0f\x1e\x2d\x3c\x4b\x5a\x69\x78\x87\x96\xa5\xb4\xc3\xd2\xe1\xf0";
const WIDTH: u16 = 640;
const HEIGHT: u16 = 360;

pub(crate) fn content_key() -> ContentKey {
    ContentKey::new(KEY_ID, KEY)
}

/// The coded samples of a clip.
pub(crate) struct Clip {
    folder: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) kind: TrackKind,
    fourcc: [u8; 4],
    timescale: u32,
    config: Vec<u8>,
    specs: Vec<Sample>,
    pub(crate) samples: Vec<Vec<u8>>,
}

impl Clip {
    /// Two seconds of pictures, coded as the arguments of ffmpeg say, with a key frame each second.
    pub(crate) fn video(coding: &str) -> Self {
        let pictures = format!("-f lavfi -i testsrc2=size={WIDTH}x{HEIGHT}:rate=24 -t 2");
        let noise = "-vf noise=alls=20:allf=t,format=yuv420p";
        Self::make(TrackKind::Video, &format!("{pictures} {noise} -g 24 -keyint_min 24 {coding}"))
    }

    /// Three seconds of sound.
    pub(crate) fn audio(coding: &str) -> Self {
        let sound = "-f lavfi -i anoisesrc=sample_rate=48000:seed=7:duration=3 -ac 2";
        Self::make(TrackKind::Audio, &format!("{sound} {coding}"))
    }

    fn make(kind: TrackKind, arguments: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        run("ffmpeg", &format!("-v error -bitexact {arguments} -strict -2 {}", path.display()));
        let bytes = fs::read(&path).unwrap();
        let movie = Movie::read(&bytes).unwrap();
        let track = movie.first(kind).unwrap();
        let specs: Vec<_> = track.samples.iter().collect();
        let data = |sample: &Sample| bytes[sample.position as usize..][..sample.size as usize].to_vec();
        let samples = specs.iter().map(data).collect();
        let config = track.codec_config().unwrap().to_vec();
        let (fourcc, timescale) = (track.fourcc, track.timescale);
        Clip { folder, path, kind, fourcc, timescale, config, specs, samples }
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn video_config(&self) -> VideoConfig<'_> {
        match &self.fourcc {
            b"avc1" => VideoConfig::Avc(&self.config),
            b"hvc1" | b"hev1" => VideoConfig::Hevc(&self.config),
            _ => VideoConfig::Av1(&self.config),
        }
    }

    /// The clear init segment.
    pub(crate) fn init(&self) -> Vec<u8> {
        let bitrate = Bitrate { peak: 1, average: 1 };
        let span = Span { start: 0, duration: self.specs.iter().map(|spec| u64::from(spec.duration)).sum() };
        if self.kind == TrackKind::Video {
            let codec = self.video_config();
            return video_init(
                &VideoInit {
                    timescale: self.timescale,
                    width: WIDTH,
                    height: HEIGHT,
                    sample_aspect: Rational::whole(1),
                    codec,
                    colour: None,
                    hdr10: Hdr10::default(),
                    bitrate,
                },
                span,
            );
        }
        let codec = match &self.fourcc {
            b"mp4a" => AudioConfig::Aac(&self.config),
            b"ac-3" => AudioConfig::Ac3(&self.config),
            b"ec-3" => AudioConfig::Eac3(&self.config),
            b"Opus" => AudioConfig::Opus(&self.config),
            _ => AudioConfig::Flac(&self.config),
        };
        let init = AudioInit { sample_rate: self.timescale, channels: 2, codec, language: "eng", bitrate };
        audio_init(&init, span)
    }

    /// The clear segments, each with as many samples as `counts` says.
    pub(crate) fn segments(&self, counts: &[usize]) -> Vec<Vec<u8>> {
        assert_eq!(counts.iter().sum::<usize>(), self.samples.len());
        let (mut at, mut time) = (0, 0);
        let mut segments = Vec::new();
        for (number, count) in (1..).zip(counts) {
            let samples: Vec<_> = (at..at + count)
                .map(|n| segment::Sample {
                    data: &self.samples[n],
                    duration: self.specs[n].duration,
                    composition_offset: (self.specs[n].pts - self.specs[n].dts) as i32,
                    sync: self.specs[n].sync,
                })
                .collect();
            segments.push(media_segment(number, time, &samples));
            time += samples.iter().map(|sample| u64::from(sample.duration)).sum::<u64>();
            at += count;
        }
        segments
    }

    /// As many samples as begin in each second; of pictures those up to the next key frame.
    pub(crate) fn seconds(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for spec in &self.specs {
            let begins = match self.kind {
                TrackKind::Video => spec.sync,
                _ => spec.dts / i64::from(self.timescale) >= counts.len() as i64,
            };
            if begins {
                counts.push(0);
            }
            *counts.last_mut().unwrap() += 1;
        }
        counts
    }

    pub(crate) fn encryption(&self, scheme: &str) -> TrackEncryption {
        let scheme = match scheme {
            "cenc" => Scheme::Cenc,
            _ => Scheme::Cbcs { iv: TRACK_VECTOR, pattern: self.kind == TrackKind::Video },
        };
        TrackEncryption { scheme, key_id: KEY_ID }
    }

    /// The segments encrypted one by one, with vectors that count on from segment to segment.
    pub(crate) fn encrypted(&self, scheme: &str, counts: &[usize]) -> Vec<Vec<u8>> {
        let (key, encryption) = (content_key(), self.encryption(scheme));
        let cipher = match self.kind {
            TrackKind::Video => SegmentCipher::video(&key, &encryption, self.video_config()).unwrap(),
            _ => SegmentCipher::audio(&key, &encryption).unwrap(),
        };
        let mut vector = u64::from_be_bytes(VECTOR);
        let mut out = Vec::new();
        for (mut segment, count) in self.segments(counts).into_iter().zip(counts) {
            let media = sample_ranges(&segment).unwrap()[0].start;
            let head = cipher.encrypt(&mut segment, vector.to_be_bytes()).unwrap();
            out.push([&head, &segment[media..]].concat());
            vector += *count as u64;
        }
        out
    }
}

/// Standard output of a program that must succeed.
pub(crate) fn run(program: &str, arguments: &str) -> String {
    let output =
        Command::new(program).args(arguments.split_whitespace()).stdin(Stdio::null()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}
