//! Enough titles to keep a fleet busy.

use anyhow::{Context as _, Result};
use reel_common::IndexSummary;
use reel_common::fixture::film;
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
        let index = film(TITLE_PARTS * PART_FRAMES, (1280, 720));
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
