//! What was measured, what of it is within the limits, and how it is shown.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::process::Usage;
use crate::quality::Quality;

/// Wall time of `reel` over that of ffmpeg.
const MOST_WALL_RATIO: f64 = 1.05;
/// Peak memory of `reel` for each part at work, over the peak of ffmpeg.
const MOST_MEMORY_RATIO: f64 = 1.5;
/// Luma PSNR that may be lost at equal size, in decibels.
const MOST_LOSS_DB: f64 = 0.1;

/// One rendition by each program, and by ffmpeg with a coarser rate factor.
pub(crate) struct Rendition {
    pub(crate) name: String,
    pub(crate) reel: Quality,
    pub(crate) ffmpeg: Quality,
    pub(crate) coarse: Quality,
}

/// All that was measured: pairs are `(reel, ffmpeg)`.
pub(crate) struct Results {
    pub(crate) clip: PathBuf,
    pub(crate) clip_bytes: u64,
    pub(crate) pairs: Vec<(Usage, Usage)>,
    pub(crate) quality: Vec<Rendition>,
}

impl Rendition {
    /// What ffmpeg's PSNR gains or loses by as much size as lies between the two, read off its own coarser run.
    fn worth_of_size_db(&self) -> f64 {
        let log = |quality: &Quality| (quality.bytes as f64).ln();
        let slope = (self.ffmpeg.psnr - self.coarse.psnr) / (log(&self.ffmpeg) - log(&self.coarse));
        slope * (log(&self.reel) - log(&self.ffmpeg))
    }

    /// PSNR of `reel` less that of ffmpeg, at equal size.
    fn gain_db(&self) -> f64 {
        self.reel.psnr - self.ffmpeg.psnr - self.worth_of_size_db()
    }
}

impl Results {
    fn wall_ratio(&self) -> f64 {
        median(self.pairs.iter().map(|(reel, ffmpeg)| reel.wall_s / ffmpeg.wall_s))
    }

    fn memory_ratio(&self) -> f64 {
        let each = |usage: &Usage| usage.peak_bytes as f64 / usage.runners.max(1) as f64;
        median(self.pairs.iter().map(|(reel, ffmpeg)| each(reel) / each(ffmpeg)))
    }

    /// One sentence for each limit that does not hold.
    pub(crate) fn broken_limits(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut check = |holds: bool, sentence: String| {
            if !holds {
                broken.push(sentence);
            }
        };
        let (wall, memory) = (self.wall_ratio(), self.memory_ratio());
        check(
            wall <= MOST_WALL_RATIO,
            format!("wall time is {wall:.3} of ffmpeg's, above {MOST_WALL_RATIO}"),
        );
        let sentence =
            format!("peak memory for each part is {memory:.2} of ffmpeg's, above {MOST_MEMORY_RATIO}");
        check(memory <= MOST_MEMORY_RATIO, sentence);
        for rendition in &self.quality {
            let (name, gain) = (&rendition.name, rendition.gain_db());
            let sentence = format!("{name} is {:.3} dB behind ffmpeg at equal size", -gain);
            check(gain >= -MOST_LOSS_DB, sentence);
        }
        broken
    }

    /// The result for people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("\n{:<34}{:>12}{:>12}{:>10}\n", "", "reel", "ffmpeg", "ratio");
        let mut line = |name: &str, reel: String, ffmpeg: String, ratio: String| {
            let _ = writeln!(text, "{name:<34}{reel:>12}{ffmpeg:>12}{ratio:>10}");
        };
        let reel = |value: fn(&Usage) -> f64| median(self.pairs.iter().map(|pair| value(&pair.0)));
        let ffmpeg = |value: fn(&Usage) -> f64| median(self.pairs.iter().map(|pair| value(&pair.1)));
        let mib = |bytes: f64| format!("{:.0} MiB", bytes / 1_048_576.0);
        let wall = |usage: &Usage| usage.wall_s;
        line(
            "wall time",
            format!("{:.1} s", reel(wall)),
            format!("{:.1} s", ffmpeg(wall)),
            ratio(self.wall_ratio()),
        );
        let peak = |usage: &Usage| usage.peak_bytes as f64;
        let total = reel(peak) / ffmpeg(peak);
        line("peak memory", mib(reel(peak)), mib(ffmpeg(peak)), ratio(total));
        let each = |usage: &Usage| usage.peak_bytes as f64 / usage.runners.max(1) as f64;
        line(
            "peak memory for each part at work",
            mib(reel(each)),
            mib(ffmpeg(each)),
            ratio(self.memory_ratio()),
        );
        let read = |usage: &Usage| usage.read_bytes as f64;
        let share = ratio(reel(read) / ffmpeg(read));
        line("read of the source and own parts", mib(reel(read)), mib(ffmpeg(read)), share);
        line("size of the source", mib(self.clip_bytes as f64), String::new(), String::new());
        for Rendition { name, reel, ffmpeg, .. } in &self.quality {
            let size = |quality: &Quality| format!("{:.0} KiB", quality.bytes as f64 / 1024.0);
            let share = ratio(reel.bytes as f64 / ffmpeg.bytes as f64);
            line(&format!("{name} size"), size(reel), size(ffmpeg), share);
            let ssim = |quality: &Quality| format!("{:.5}", quality.ssim);
            line(&format!("{name} SSIM"), ssim(reel), ssim(ffmpeg), String::new());
            let psnr = |quality: &Quality| format!("{:.3} dB", quality.psnr);
            line(&format!("{name} PSNR"), psnr(reel), psnr(ffmpeg), String::new());
        }
        for rendition in &self.quality {
            let (name, worth, gain) = (&rendition.name, rendition.worth_of_size_db(), rendition.gain_db());
            let sentence =
                format!("{name} at equal size: {gain:+.3} dB (sizes differ by what is worth {worth:+.3} dB)");
            let _ = writeln!(text, "{sentence}");
        }
        text
    }

    /// The result for machines.
    pub(crate) fn json(&self) -> Value {
        let usage = |usage: &Usage| {
            json!({
                "wall_s": usage.wall_s, "peak_bytes": usage.peak_bytes, "runners_at_peak": usage.runners,
                "read_bytes": usage.read_bytes,
            })
        };
        let quality = |quality: &Quality| json!({"bytes": quality.bytes, "psnr_y_db": quality.psnr, "ssim_y": quality.ssim});
        let runs =
            self.pairs.iter().map(|(reel, ffmpeg)| json!({"reel": usage(reel), "ffmpeg": usage(ffmpeg)}));
        let renditions = self.quality.iter().map(|rendition| {
            json!({
                "name": rendition.name, "reel": quality(&rendition.reel), "ffmpeg": quality(&rendition.ffmpeg),
                "ffmpeg_coarser": quality(&rendition.coarse), "gain_at_equal_size_db": rendition.gain_db(),
            })
        });
        json!({
            "clip": self.clip, "clip_bytes": self.clip_bytes, "wall_ratio": self.wall_ratio(),
            "memory_ratio_per_part": self.memory_ratio(), "runs": runs.collect::<Vec<_>>(),
            "renditions": renditions.collect::<Vec<_>>(), "broken_limits": self.broken_limits(),
        })
    }
}

fn ratio(value: f64) -> String {
    format!("{value:.3}")
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(wall: &[f64], gain: f64) -> Results {
        let usage = |wall_s, peak_bytes, runners| Usage { wall_s, peak_bytes, runners, ..Usage::default() };
        let quality = |bytes, psnr| Quality { bytes, psnr, ssim: 1.0 };
        Results {
            clip: PathBuf::new(),
            clip_bytes: 1,
            pairs: wall.iter().map(|wall| (usage(*wall, 200, 2), usage(1.0, 100, 0))).collect(),
            quality: vec![Rendition {
                name: "540p".to_owned(),
                reel: quality(1000, 40.0 + gain),
                ffmpeg: quality(1000, 40.0),
                coarse: quality(900, 39.5),
            }],
        }
    }

    #[test]
    fn limits_are_those_of_the_median_pair() {
        assert_eq!(results(&[0.9, 1.04, 3.0], 0.0).broken_limits(), Vec::<String>::new());
        assert_eq!(results(&[0.9, 1.06, 3.0], 0.0).broken_limits().len(), 1);
        assert_eq!(results(&[1.0], -0.2).broken_limits().len(), 1);
    }

    #[test]
    fn a_smaller_file_is_owed_what_its_size_is_worth() {
        let mut smaller = results(&[1.0], 0.0);
        smaller.quality[0].reel = smaller.quality[0].coarse;
        assert!(smaller.quality[0].gain_db().abs() < 1e-9);
    }
}
