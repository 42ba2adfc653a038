//! Enough titles to keep a fleet busy.

use anyhow::{Context as _, Result};
use reel_common::{Artifact, AudioFacts, Colour, IndexSummary, Rational, Timing, VideoFacts};
use reel_profiles::{Profile, catalog};
use reel_scheduler_core::{Action, JobSpec, Plan, plan};

/// Frames of a part of the profile `proxy`, at 24 a second.
const PART_FRAMES: u64 = 288;
/// Parts of a title: an hour of 12 seconds each.
const TITLE_PARTS: u64 = 300;
/// What a small fleet has to do, so that chance evens out.
const LEAST_PARTS: u64 = 2_000;
/// What a large one has, so that a run ends within a minute.
const MOST_PARTS: u64 = 100_000;

/// Titles of one hour.
pub(crate) struct Workload {
    pub(crate) titles: u64,
    pub(crate) index: IndexSummary,
    pub(crate) plan: Plan,
    profile: String,
}

impl Workload {
    /// Titles with so many parts together, within limits.
    pub(crate) fn of(parts: u64) -> Result<Workload> {
        let text = catalog::text("proxy").context("the catalog has it")?;
        let index = index(TITLE_PARTS * PART_FRAMES)?;
        let plan = plan(&index, &Profile::parse(text, "proxy")?, None)?;
        let titles = parts.clamp(LEAST_PARTS, MOST_PARTS).div_ceil(TITLE_PARTS);
        Ok(Workload { titles, index, plan, profile: text.to_owned() })
    }

    /// The submit of a title.
    pub(crate) fn submit(&self, title: u64) -> Action {
        let spec = JobSpec {
            mezzanine: format!("/m/{title}.mov"),
            output: format!("/out/{title}"),
            ..JobSpec::default()
        };
        Action::SubmitJob { spec: Box::new(spec), profile: self.profile.clone() }
    }
}

fn index(frames: u64) -> Result<IndexSummary> {
    Ok(IndexSummary {
        artifact: Artifact::of(b"index"),
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
        duration: Rational::new(i64::try_from(frames)?, 24).context("a duration")?,
        timing: Timing::Constant { rate: Rational::whole(24) },
        bytes_read: 0,
    })
}
