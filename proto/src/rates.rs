//! Conversions of what is measured of renditions, and of what admission flags.

use reel_common as common;

use crate::{Malformed, v1};

/// Where no quality was measured, none is said.
impl From<&[common::Measured]> for v1::ProbeSizes {
    fn from(all: &[common::Measured]) -> Self {
        let sample_bytes = all.iter().map(|measured| measured.bytes).collect();
        let has_vmaf = all.iter().any(|measured| measured.vmaf_milli > 0);
        let vmaf_milli: Vec<u32> =
            all.iter().filter(|_| has_vmaf).map(|measured| measured.vmaf_milli).collect();
        if all.iter().all(|measured| (measured.psnr_mdb, measured.ssim_ppm) == (0, 0)) {
            return v1::ProbeSizes { sample_bytes, vmaf_milli, ..v1::ProbeSizes::default() };
        }
        let psnr_mdb = all.iter().map(|measured| measured.psnr_mdb.into()).collect();
        let ssim_ppm = all.iter().map(|measured| measured.ssim_ppm as i32).collect();
        v1::ProbeSizes { sample_bytes, psnr_mdb, ssim_ppm, vmaf_milli }
    }
}

impl TryFrom<v1::ProbeSizes> for Vec<common::Measured> {
    type Error = Malformed;

    fn try_from(sizes: v1::ProbeSizes) -> Result<Self, Malformed> {
        let v1::ProbeSizes { sample_bytes, psnr_mdb, ssim_ppm, vmaf_milli } = sizes;
        if !vmaf_milli.is_empty() && vmaf_milli.len() != sample_bytes.len() {
            return Err(Malformed("VMAF of a part"));
        }
        let vmaf = vmaf_milli.into_iter().chain(std::iter::repeat(0));
        let with_vmaf = |(measured, vmaf): (common::Measured, u32)| measured.with_vmaf(vmaf);
        if psnr_mdb.is_empty() && ssim_ppm.is_empty() {
            return Ok(sample_bytes
                .into_iter()
                .map(common::Measured::sized)
                .zip(vmaf)
                .map(with_vmaf)
                .collect());
        }
        if psnr_mdb.len() != sample_bytes.len() || ssim_ppm.len() != sample_bytes.len() {
            return Err(Malformed("quality of a part"));
        }
        let all = sample_bytes.into_iter().zip(psnr_mdb).zip(ssim_ppm);
        let measured = all.map(|((bytes, psnr), ssim)| common::Measured::new(bytes, psnr, ssim.into()));
        Ok(measured.zip(vmaf).map(with_vmaf).collect())
    }
}

impl From<&v1::RenditionPart> for common::Measured {
    fn from(part: &v1::RenditionPart) -> Self {
        common::Measured::new(part.sample_bytes, part.psnr_mdb, part.ssim_ppm.unwrap_or(0).into())
            .with_vmaf(part.vmaf_milli.unwrap_or(0))
    }
}

impl From<common::RateView> for v1::RateHistory {
    fn from(rate: common::RateView) -> Self {
        let rounds = |rounds: Vec<common::RateOutcome>| {
            let round = |round: common::RateOutcome| v1::RateRound {
                crf_milli: round.crf_milli,
                bytes: round.bytes,
                draft: round.draft,
                quality: round.quality,
            };
            rounds.into_iter().map(round).collect()
        };
        let history = v1::RateHistory {
            rendition: rate.rendition,
            probes: rounds(rate.probes),
            waves: rounds(rate.waves),
            ..v1::RateHistory::default()
        };
        match rate.goal {
            common::Goal::Bytes(target_bytes) => v1::RateHistory { target_bytes, ..history },
            common::Goal::Psnr(target_psnr_mdb) => v1::RateHistory { target_psnr_mdb, ..history },
            common::Goal::Ssim(target_ssim_ppm) => v1::RateHistory { target_ssim_ppm, ..history },
            common::Goal::Vmaf(target_vmaf_milli) => v1::RateHistory { target_vmaf_milli, ..history },
        }
    }
}

impl From<v1::RateHistory> for common::RateView {
    fn from(rate: v1::RateHistory) -> Self {
        let rounds = |rounds: Vec<v1::RateRound>| {
            let round = |round: v1::RateRound| common::RateOutcome {
                crf_milli: round.crf_milli,
                bytes: round.bytes,
                quality: round.quality,
                draft: round.draft,
            };
            rounds.into_iter().map(round).collect()
        };
        common::RateView {
            rendition: rate.rendition,
            goal: goal(rate.target_bytes, rate.target_psnr_mdb, rate.target_ssim_ppm, rate.target_vmaf_milli),
            probes: rounds(rate.probes),
            waves: rounds(rate.waves),
        }
    }
}

/// A goal, of which all numbers but one are 0.
pub fn goal(bytes: u64, psnr_mdb: u32, ssim_ppm: u32, vmaf_milli: u32) -> common::Goal {
    match (psnr_mdb, ssim_ppm, vmaf_milli) {
        (0, 0, 0) => common::Goal::Bytes(bytes),
        (_, 0, 0) => common::Goal::Psnr(psnr_mdb),
        (_, _, 0) => common::Goal::Ssim(ssim_ppm),
        _ => common::Goal::Vmaf(vmaf_milli),
    }
}

impl From<common::Flag> for v1::Flag {
    fn from(flag: common::Flag) -> Self {
        let common::Flag { rule, found, limit, what } = flag;
        v1::Flag { rule, found, limit, what }
    }
}

impl From<v1::Flag> for common::Flag {
    fn from(flag: v1::Flag) -> Self {
        let v1::Flag { rule, found, limit, what } = flag;
        common::Flag { rule, found, limit, what }
    }
}
