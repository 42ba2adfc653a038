//! A film as tests and benches that touch no media speak of it.

use crate::{Artifact, AudioFacts, Colour, Hdr10, IndexSummary, Rational, Scan, Timing, VideoFacts};

/// The index of a ProRes film of so many frames, at 24 a second, with stereo sound; each frame is a random access point.
pub fn film(frames: u64, (width, height): (u32, u32)) -> IndexSummary {
    IndexSummary {
        artifact: Artifact::of(b"index"),
        container: "mov".to_owned(),
        video: VideoFacts {
            stream: 0,
            codec: "prores".to_owned(),
            codec_profile: "HQ".to_owned(),
            width,
            height,
            sample_aspect: Rational::whole(1),
            rotation: 0,
            pixel_format: "yuv422p10le".to_owned(),
            scan: Scan::Progressive,
            telecine: false,
            timecode: String::new(),
            streams: 1,
            colour: Colour::default(),
            hdr10: Hdr10::default(),
            captions: false,
        },
        audio: vec![AudioFacts {
            stream: 1,
            codec: "pcm_s24le".to_owned(),
            sample_rate: 48_000,
            channels: 2,
            layout: "stereo".to_owned(),
            language: "eng".to_owned(),
            start: Rational::ZERO,
        }],
        frames,
        random_access_points: frames,
        duration: Rational::new(i64::try_from(frames).unwrap_or(i64::MAX), 24).unwrap_or(Rational::ZERO),
        timing: Timing::Constant { rate: Rational::whole(24) },
        texts: Vec::new(),
        bytes_read: 1000,
    }
}
