//! How renditions come to the bit rates and qualities that they are to have, for people and programs.

use reel_common::{Goal, RateOutcome, RateView};
use serde_json::{Value, json};

use crate::output::bytes;

/// One line: what is wanted, and what the newest encode gave.
pub(crate) fn line(rate: &RateView) -> String {
    let wanted = reached(rate.goal, goal_of(rate.goal));
    let tried = |rounds: &[RateOutcome], what: &str| match rounds.len() {
        0 => None,
        1 => Some(format!("1 {what}")),
        many => Some(format!("{many} {what}s")),
    };
    let steps: Vec<String> =
        [tried(&rate.probes, "probe"), tried(&rate.waves, "wave")].into_iter().flatten().collect();
    let newest = rate.probes.iter().chain(&rate.waves).rfind(|round| value(rate.goal, round) > 0);
    let found = newest.map_or(String::new(), |round| {
        let crf = f64::from(round.crf_milli) / 1e3;
        let value = match rate.goal {
            Goal::Bytes(_) if !rate.waves.is_empty() => rate.waves.iter().map(|wave| wave.bytes).sum(),
            goal => value(goal, round),
        };
        format!("; {} at rate factor {crf}", reached(rate.goal, value))
    });
    let steps = if steps.is_empty() { String::new() } else { format!(", {}", steps.join(", ")) };
    format!("{wanted} wanted{found}{steps}")
}

pub(crate) fn as_json(rate: &RateView) -> Value {
    let rounds = |rounds: &[RateOutcome]| -> Vec<Value> {
        let round = |round: &RateOutcome| {
            let mut said = json!({
                "crf": f64::from(round.crf_milli) / 1e3,
                "sample_bytes": round.bytes,
                "draft": round.draft,
            });
            match rate.goal {
                Goal::Bytes(_) => {}
                Goal::Psnr(_) => said["psnr_db"] = json!(known(round).map(|mdb| mdb / 1e3)),
                Goal::Ssim(_) => said["ssim"] = json!(known(round).map(|ppm| ppm / 1e6)),
                Goal::Vmaf(_) => said["vmaf"] = json!(known(round).map(|milli| milli / 1e3)),
            }
            said
        };
        rounds.iter().map(round).collect()
    };
    let (key, target) = match rate.goal {
        Goal::Bytes(bytes) => ("target_bytes", json!(bytes)),
        Goal::Psnr(mdb) => ("target_psnr_db", json!(f64::from(mdb) / 1e3)),
        Goal::Ssim(ppm) => ("target_ssim", json!(f64::from(ppm) / 1e6)),
        Goal::Vmaf(milli) => ("target_vmaf", json!(f64::from(milli) / 1e3)),
    };
    let mut said = json!({
        "rendition": rate.rendition,
        "probes": rounds(&rate.probes),
        "waves": rounds(&rate.waves),
    });
    said[key] = target;
    said
}

/// The quality of a round that is over.
fn known(round: &RateOutcome) -> Option<f64> {
    (round.quality > 0).then(|| f64::from(round.quality))
}

fn goal_of(goal: Goal) -> u64 {
    match goal {
        Goal::Bytes(bytes) => bytes,
        Goal::Psnr(quality) | Goal::Ssim(quality) | Goal::Vmaf(quality) => quality.into(),
    }
}

fn value(goal: Goal, round: &RateOutcome) -> u64 {
    match goal {
        Goal::Bytes(_) => round.bytes,
        Goal::Psnr(_) | Goal::Ssim(_) | Goal::Vmaf(_) => round.quality.into(),
    }
}

/// A value in the unit of a goal.
fn reached(goal: Goal, value: u64) -> String {
    match goal {
        Goal::Bytes(_) => bytes(value),
        Goal::Psnr(_) => format!("PSNR {:.2} dB", value as f64 / 1e3),
        Goal::Ssim(_) => format!("SSIM {:.4}", value as f64 / 1e6),
        Goal::Vmaf(_) => format!("VMAF {:.2}", value as f64 / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_wanted_and_what_came() {
        let round = |crf_milli, bytes, quality, draft| RateOutcome { crf_milli, bytes, quality, draft };
        let rate = |goal, probes, waves| RateView { rendition: 1, goal, probes, waves };
        let tried = vec![round(24_000, 2_000_000, 40_731, true), round(22_410, 2_600_000, 41_978, false)];
        let psnr = rate(Goal::Psnr(42_000), tried.clone(), vec![round(22_410, 0, 0, false)]);
        let sized = rate(Goal::Bytes(2_500_000), tried.clone(), vec![tried[1]]);
        let ssim = rate(Goal::Ssim(985_000), Vec::new(), Vec::new());
        let vmaf = rate(Goal::Vmaf(94_500), Vec::new(), vec![round(22_410, 0, 94_476, false)]);
        insta::assert_snapshot!([line(&psnr), line(&sized), line(&ssim), line(&vmaf)].join("\n"));
        insta::assert_snapshot!(serde_json::to_string_pretty(&as_json(&psnr)).unwrap());
    }
}
