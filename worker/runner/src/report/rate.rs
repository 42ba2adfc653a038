//! How renditions came to their bit rates and qualities, in the report.

use reel_common::{Goal, RateView};
use reel_proto::v1;
use serde::Serialize;

use super::Rendition;

/// What was wanted of a rendition, and what was tried.
#[derive(Serialize)]
pub(super) struct Found {
    /// What the rendition was to come to.
    #[serde(flatten)]
    target: Wanted,
    /// Encodes of the whole title for its size and quality.
    probes: Vec<Round>,
    /// Of the encode itself.
    waves: Vec<Round>,
}

impl Found {
    /// What the history says of it.
    pub(super) fn of(rate: &v1::RateHistory) -> Self {
        let rounds = |rounds: &[v1::RateRound]| {
            let round = |round: &v1::RateRound| Round {
                crf: f64::from(round.crf_milli) / 1e3,
                sample_bytes: round.bytes,
                psnr_db: (rate.target_psnr_mdb > 0).then(|| f64::from(round.quality) / 1e3),
                ssim: (rate.target_ssim_ppm > 0).then(|| f64::from(round.quality) / 1e6),
                vmaf: (rate.target_vmaf_milli > 0).then(|| f64::from(round.quality) / 1e3),
                draft: round.draft,
            };
            rounds.iter().map(round).collect()
        };
        Found { target: Wanted::of(rate), probes: rounds(&rate.probes), waves: rounds(&rate.waves) }
    }
}

/// What a rendition is to come to: under one of four keys.
#[derive(Clone, Copy, Serialize)]
enum Wanted {
    /// Bytes of its coded frames.
    #[serde(rename = "target_bytes")]
    Bytes(u64),
    /// Mean PSNR of its frames.
    #[serde(rename = "target_psnr_db")]
    PsnrDb(f64),
    /// Mean SSIM of its frames.
    #[serde(rename = "target_ssim")]
    Ssim(f64),
    /// Mean VMAF of its frames.
    #[serde(rename = "target_vmaf")]
    Vmaf(f64),
}

impl Wanted {
    fn of(rate: &v1::RateHistory) -> Self {
        match RateView::from(rate.clone()).goal {
            Goal::Bytes(bytes) => Wanted::Bytes(bytes),
            Goal::Psnr(mdb) => Wanted::PsnrDb(f64::from(mdb) / 1e3),
            Goal::Ssim(ppm) => Wanted::Ssim(f64::from(ppm) / 1e6),
            Goal::Vmaf(milli) => Wanted::Vmaf(f64::from(milli) / 1e3),
        }
    }

    /// How a rendition missed it; nothing where it is near enough: within 1 % of a size, within 0.25 dB of a quality, of SSIM
    /// and VMAF in decibels of what they lack of all.
    fn missed(self, rendition: &Rendition<'_>) -> Option<String> {
        const NEAR_DB: f64 = 0.25;
        let decibels = |wanted: f64, lacking: f64| (10.0 * (wanted / lacking.max(1e-9)).log10()).abs();
        let (far, how) = match self {
            Wanted::Bytes(bytes) => {
                let percent = (rendition.sample_bytes as f64 / bytes as f64 - 1.0) * 100.0;
                (percent.abs() > 1.0, format!("is {percent:+.1} % from its bit rate"))
            }
            Wanted::PsnrDb(wanted) => {
                let psnr = rendition.psnr_db;
                ((psnr - wanted).abs() > NEAR_DB, format!("has a PSNR of {psnr:.2} dB, not {wanted:.2} dB"))
            }
            Wanted::Ssim(wanted) => {
                let ssim = rendition.ssim.ssim.unwrap_or(0.0);
                let far = decibels(1.0 - wanted, 1.0 - ssim) > NEAR_DB;
                (far, format!("has an SSIM of {ssim:.4}, not {wanted:.4}"))
            }
            Wanted::Vmaf(wanted) => {
                let vmaf = rendition.vmaf.vmaf.unwrap_or(0.0);
                let far = decibels(100.0 - wanted, 100.0 - vmaf) > NEAR_DB;
                (far, format!("has a VMAF of {vmaf:.2}, not {wanted:.2}"))
            }
        };
        let last = rendition.rate.as_ref().and_then(|rate| rate.waves.last()).map(|wave| wave.crf);
        let at = last.map_or(String::new(), |crf| format!(", at rate factor {crf}"));
        far.then(|| format!("rendition {} {how}{at}", rendition.name))
    }
}

#[derive(Serialize)]
struct Round {
    /// The rate factor; of AV1 the mean of its parts, whose rate factors are whole.
    crf: f64,
    sample_bytes: u64,
    /// Where that is the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    psnr_db: Option<f64>,
    /// Likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    ssim: Option<f64>,
    /// Likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    vmaf: Option<f64>,
    /// Encoded at fast settings; left out otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    draft: bool,
}

/// Bit rates and qualities that are not what was asked.
pub(super) fn warnings(renditions: &[Rendition<'_>]) -> Vec<String> {
    let missed = renditions.iter().filter_map(|rendition| rendition.rate.as_ref()?.target.missed(rendition));
    missed.collect()
}
