//! What is the same for all parts of a chunk: the settings of each rendition, and what its encoder says of itself.

use reel_profiles::{Quality, ResolvedRendition};

use super::{EncodeJob, Purpose};
use crate::encoder::{Headers, Settings, Surroundings};
use crate::timeline::Timeline;
use crate::vmaf::Model;
use crate::{MediaError, facts};

/// What is the same for all parts of a rendition.
pub(super) struct RenditionSetup {
    pub(super) settings: Settings,
    pub(super) headers: Headers,
    pub(super) surroundings: Surroundings,
    /// Degrees by which pictures are turned clockwise to stand upright.
    pub(super) turn: u16,
    /// Where the rate factor of a part stands among those that come with it; `None` where it is that of the settings.
    pub(super) given: Option<usize>,
    /// Whether VMAF is measured, and how.
    pub(super) vmaf: Option<Model>,
}

impl RenditionSetup {
    /// The settings for a part, of which these rate factors are given.
    pub(super) fn settings_of(&self, quality: &[u32]) -> Settings {
        let given = self.given.and_then(|at| quality.get(at)).copied();
        Settings { crf_milli: given.unwrap_or(self.settings.crf_milli), ..self.settings.clone() }
    }
}

/// The rate factor with which an encoder is asked for its headers, which do not depend on it, where each part has its own.
const ANY_CRF_MILLI: u32 = 30_000;

/// The title's renditions, of pictures that are to be turned.
pub(super) fn renditions(
    job: &EncodeJob<'_>,
    turn: u16,
    timeline: &Timeline,
) -> Result<Vec<RenditionSetup>, MediaError> {
    let facts = facts::video(job.index)?;
    let ladder = facts::ladder(job.index, job.profile)?;
    let times = timeline.times();
    let variable_timescale = times.constant_rate().is_none().then(|| times.timescale());
    let mut searched = 0..;
    let setup = |mut rendition: ResolvedRendition| {
        let rate = times.average_rate();
        let (colour, hdr10) = job.profile.picture.coded_colours(facts.colour, facts.hdr10);
        let (crf_milli, given) = match rendition.rendition.rate.quality {
            Quality::Crf(crf_milli) => (crf_milli, None),
            Quality::Bitrate(_) | Quality::Psnr(_) | Quality::Ssim(_) | Quality::Vmaf(_) => {
                (ANY_CRF_MILLI, searched.next())
            }
        };
        let vmaf = job.profile.measures_vmaf(&rendition.rendition);
        let vmaf = vmaf.then(|| Model::of(rendition.width, rendition.height));
        match job.purpose {
            Purpose::Probe { .. } if given.is_none() => return Ok(None),
            Purpose::Probe { draft: true } => rendition.rendition.coding = rendition.rendition.coding.draft(),
            Purpose::Probe { draft: false } | Purpose::Title => {}
        }
        let settings = Settings { rendition, crf_milli, colour, hdr10, rate, variable_timescale };
        let headers = settings.open()?.headers()?;
        let surroundings = settings.surroundings()?;
        Ok(Some(RenditionSetup { settings, headers, surroundings, turn, given, vmaf }))
    };
    ladder.into_iter().map(setup).filter_map(Result::transpose).collect()
}
