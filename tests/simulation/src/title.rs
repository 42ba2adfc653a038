//! The titles of the simulation: what their index says, and what each part is when it is encoded, whoever encodes it.

use prost::Message as _;
use reel_common::{Artifact, AudioFacts, Colour, Digest, IndexSummary, Rational, Timing, VideoFacts};
use reel_proto::v1;

/// Frames of a part of the profile `proxy`, at 24 a second.
const PART_FRAMES: u64 = 288;

/// The profile of every job.
pub(crate) fn profile() -> &'static str {
    reel_profiles::catalog::text("proxy").expect("the catalog has it")
}

/// What the index of a mezzanine of so many parts says.
pub(crate) fn index(mezzanine: &str, parts: u32) -> IndexSummary {
    let frames = u64::from(parts) * PART_FRAMES;
    IndexSummary {
        artifact: Artifact::of(format!("index of {mezzanine}").as_bytes()),
        container: "mov".to_owned(),
        video: VideoFacts {
            stream: 0,
            codec: "prores".to_owned(),
            codec_profile: "HQ".to_owned(),
            width: 1280,
            height: 720,
            sample_aspect: Rational::whole(1),
            rotation: 0,
            pixel_format: "yuv422p10le".to_owned(),
            interlaced: false,
            colour: Colour::default(),
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
        duration: Rational::new(frames as i64, 24).unwrap(),
        timing: Timing::Constant { rate: Rational::whole(24) },
        bytes_read: 1000,
    }
}

/// The record of a part.
pub(crate) fn part_record(mezzanine: &str, part: u32) -> v1::PartRecord {
    let recipe_key = Digest::of(format!("{mezzanine} part {part}").as_bytes());
    let rendition = v1::RenditionPart {
        rendition: "540p".to_owned(),
        recipe_key: recipe_key.0.to_vec(),
        artifact: Some(Artifact::of(&recipe_key.0).into()),
        frames: PART_FRAMES,
        ..v1::RenditionPart::default()
    };
    v1::PartRecord { part, renditions: vec![rendition] }
}

/// The record as an object of the store.
pub(crate) fn part_artifact(mezzanine: &str, part: u32) -> Artifact {
    Artifact::of(&part_record(mezzanine, part).encode_to_vec())
}

/// What a stage other than index and encode makes of a mezzanine.
pub(crate) fn object(mezzanine: &str, stage: &str) -> String {
    format!("{stage} of {mezzanine}")
}
