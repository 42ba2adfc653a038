//! The titles of the simulation: what their index says, and what each part is when it is encoded, whoever encodes it.

use prost::Message as _;
use reel_common::fixture::film;
use reel_common::{Artifact, Digest, IndexSummary, Measured};
use reel_proto::v1;

/// Frames of a part of the profile `proxy`, at 24 a second.
const PART_FRAMES: u64 = 288;

/// The hook of titles that have one.
pub(crate) const HOOK: &str = "notify";

/// The profile of a job: every third has a bit rate or a quality, and every second still pictures.
pub(crate) fn profile(parts: u32) -> String {
    let text = reel_profiles::catalog::text("proxy").expect("the catalog has it");
    let text = if parts.is_multiple_of(2) { format!("{text}\n[images]\n") } else { text.to_owned() };
    match (parts.is_multiple_of(3), parts % 2) {
        (true, 0) => text.replace("crf = 24", "bitrate_kbps = 1000"),
        (true, _) => text.replace("crf = 24", "psnr_db = 41.5"),
        _ => text,
    }
}

/// What comes of a part, by rendition, at a rate factor in thousandths.
pub(crate) fn measured(part: u32, crf_milli: u32) -> Vec<Measured> {
    let bytes = u64::from(part % 7 + 1) * 10_000_000_000 / u64::from(crf_milli.max(1));
    let psnr_mdb = 52_000 + i64::from(part % 5) * 700 - i64::from(crf_milli) / 2;
    vec![Measured::new(bytes, psnr_mdb, 980_000)]
}

/// What the index of a mezzanine of so many parts says.
pub(crate) fn index(mezzanine: &str, parts: u32) -> IndexSummary {
    let artifact = Artifact::of(format!("index of {mezzanine}").as_bytes());
    IndexSummary { artifact, ..film(u64::from(parts) * PART_FRAMES, (1280, 720)) }
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
