//! `reel plan`: what a submit would make, and its cost. Runs nothing but the index.

use reel_common::{IndexSummary, Stage};
use reel_profiles::{
    AudioTrack, Coding, Images, Profile, Quality, Rate, ResolvedImages, ResolvedRendition, title_ms,
};
use reel_scheduler_core::Plan;
use serde_json::{Value, json};

use crate::args::PlanArgs;
use crate::commands::{job, probe, profile};
use crate::edit_file;
use crate::exit::Stop;
use crate::input::Input;
use crate::once::Bench;
use crate::output::{bytes, print, print_json, row, table};

pub(crate) fn run(args: PlanArgs) -> Result<(), Stop> {
    let profile = profile::load(&args.profile.name)?;
    let input = Input::open(&args.input)?;
    let edit = args.edit.edit.as_deref().map(edit_file::read).transpose()?;
    let index = Bench::new()?.index(&input, edit, &profile)?;
    let chunk_parts = args.chunk_parts.map(std::num::NonZeroU32::get);
    let shown = Shown::of(input, profile, index, chunk_parts)?;
    if args.json { print_json(&shown.as_json()) } else { print(&shown.as_table()) }
}

/// A plan with what it was made from.
struct Shown {
    input: Input,
    profile: Profile,
    index: IndexSummary,
    ladder: Vec<ResolvedRendition>,
    plan: Plan,
    images: Option<ResolvedImages>,
}

impl Shown {
    fn of(
        input: Input,
        profile: Profile,
        index: IndexSummary,
        chunk_parts: Option<u32>,
    ) -> Result<Self, Stop> {
        let refused =
            |error: &dyn std::fmt::Display| Stop::job_failed(format!("{}: {error}", input.location));
        let plan = reel_scheduler_core::plan::plan(&index, &profile, chunk_parts).map_err(|e| refused(&e))?;
        let ladder = profile.ladder(&index.video).map_err(|error| refused(&error))?;
        let images = profile.images(&index.video, index.duration).map_err(|error| refused(&error))?;
        Ok(Shown { input, profile, index, ladder, plan, images })
    }

    /// How many tasks each stage has.
    fn tasks(&self) -> Vec<(Stage, u32)> {
        let tracks = self.plan.tracks.len() as u32;
        let count = |stage| match stage {
            // Of each round.
            Stage::Probe => self.plan.grid.parts(),
            Stage::Encode => self.plan.chunks(),
            Stage::Audio => tracks,
            Stage::Image | Stage::Index | Stage::Assemble => 1,
            Stage::Measure | Stage::Check | Stage::Deliver => 1,
            // As many as there happen to be, and a job's, not a title's.
            Stage::Preview | Stage::Hook => 0,
        };
        let probed = !self.plan.targets.is_empty();
        let planned = Stage::ALL.into_iter().filter(|stage| !matches!(stage, Stage::Preview | Stage::Hook));
        let planned = planned.filter(|stage| *stage != Stage::Probe || probed);
        let planned = planned.filter(|stage| *stage != Stage::Image || self.images.is_some());
        planned.map(|stage| (stage, count(stage))).collect()
    }

    /// Millions of pixels that all encoders together take: what the time of a job grows with.
    fn encoded_megapixels(&self) -> u64 {
        let pixels: u64 = self.ladder.iter().map(|r| u64::from(r.width) * u64::from(r.height)).sum();
        pixels.saturating_mul(self.index.frames) / 1_000_000
    }

    /// Bytes that the title has at most, by the ceilings of its rates; `None` where a rendition has no ceiling. Single
    /// files hold every rendition once more, each with the first audio track; audio files hold every track once more.
    fn most_bytes(&self) -> Option<u64> {
        let video = self.ladder.iter().map(|entry| most_kbps(entry.rendition.rate));
        let video = video.sum::<Option<u64>>()?;
        let tracks = self.plan.tracks.iter().filter_map(|number| self.profile.audio.get(*number as usize));
        let audio: Vec<u64> = tracks.map(most_audio_kbps).collect();
        let tracks: u64 = audio.iter().sum();
        let segments = video + tracks;
        let files = video + audio.first().unwrap_or(&0) * self.ladder.len() as u64;
        let package = self.profile.package;
        // What is of one picture for each segment is no larger than the segments.
        let kbps = segments * u64::from(package.segments())
            + video * u64::from(package.trick_play)
            + files * u64::from(package.mp4)
            + tracks * u64::from(package.audio_files)
            + files * u64::from(package.ts);
        let seconds = u64::try_from(self.index.duration.ceil()).unwrap_or(0);
        Some(kbps.saturating_mul(1000 / 8).saturating_mul(seconds))
    }

    fn as_table(&self) -> String {
        let Shown { profile, index, plan, .. } = self;
        let title = format!(
            "{} frames, {} s, {}",
            index.frames,
            probe::seconds(index.duration),
            probe::timing(&index.timing)
        );
        let mut rows = vec![
            row(["mezzanine", &self.input.location]),
            row(["title", &title]),
            row(["profile", &format!("{} version {}", profile.name, profile.version)]),
        ];
        for entry in &self.ladder {
            rows.push(row(["rendition", &rendition_line(entry)]));
        }
        for track in plan.tracks.iter().filter_map(|number| profile.audio.get(*number as usize)) {
            let AudioTrack { name, codec, channels, .. } = track;
            let rate = track.bitrate_kbps.map_or("lossless".to_owned(), |rate| format!("{rate} kbit/s"));
            rows.push(row(["audio", &format!("{name}: {codec}, {channels} channels, {rate}")]));
        }
        if let Some(images) = self.images {
            rows.push(row(["images", &self.images_line(images)]));
        }
        rows.push(row(["segments", &self.segments_line()]));
        let parts = plan.grid.parts();
        let per_part = plan.grid.segments_per_part();
        rows.push(row(["parts", &format!("{parts} of up to {per_part} segments")]));
        rows.push(row(["chunks", &format!("{} of up to {} parts", plan.chunks(), plan.chunk_parts)]));
        let rounds = |stage: &Stage| if *stage == Stage::Probe { " in each round" } else { "" };
        let tasks: Vec<String> =
            self.tasks().iter().map(|(stage, count)| format!("{count} {stage}{}", rounds(stage))).collect();
        rows.push(row(["tasks", &tasks.join(", ")]));
        rows.push(row(["memory", &format!("{} to encode a chunk", bytes(plan.encode_memory))]));
        let most =
            self.most_bytes().map_or("no ceiling".to_owned(), |most| format!("at most {}", bytes(most)));
        let (frames, megapixels) = (plan.encoded_frames(), self.encoded_megapixels());
        rows.push(row([
            "cost",
            &format!("{frames} encoded frames, {megapixels} megapixels; {most} delivered"),
        ]));
        rows.extend(plan.warnings.iter().map(|warning| row(["warning", warning])));
        rows.extend(plan.flags.iter().map(|flag| row(["flag", &flag.what])));
        table(&rows)
    }

    fn images_line(&self, resolved: ResolvedImages) -> String {
        let ResolvedImages { images, width, poster } = resolved;
        let Images { height, columns, rows, .. } = images;
        let thumbnails = images.thumbnails(title_ms(self.index.duration));
        let sheets = thumbnails.div_ceil(images.per_sheet());
        let poster =
            poster.map(|(width, height)| format!("; a poster of {width}x{height}")).unwrap_or_default();
        format!("{thumbnails} thumbnails of {width}x{height} in {sheets} sheets of {columns}x{rows}{poster}")
    }

    fn segments_line(&self) -> String {
        let segments = self.plan.grid.segments();
        match self.plan.grid.segment_frames() {
            Some(frames) => format!("{segments} of {frames} frames"),
            None => format!("{segments} of about {} s", probe::seconds(self.profile.segment_seconds)),
        }
    }

    fn as_json(&self) -> Value {
        let Shown { input, profile, index, plan, .. } = self;
        let tasks: serde_json::Map<String, Value> =
            self.tasks().into_iter().map(|(stage, count)| (stage.to_string(), count.into())).collect();
        let rendition = |entry: &ResolvedRendition| {
            let mut shown = json!({
                "name": entry.rendition.name,
                "width": entry.width,
                "height": entry.height,
                "crf": null,
                "bitrate_kbps": null,
                "psnr_db": null,
                "ssim": null,
                "vmaf": null,
            });
            let (key, value) = match entry.rendition.rate.quality {
                Quality::Crf(crf_milli) => ("crf", json!(thousandths(crf_milli))),
                Quality::Bitrate(kbps) => ("bitrate_kbps", json!(kbps)),
                Quality::Psnr(mdb) => ("psnr_db", json!(thousandths(mdb))),
                Quality::Ssim(milli) => ("ssim", json!(thousandths(milli))),
                Quality::Vmaf(milli) => ("vmaf", json!(thousandths(milli))),
            };
            shown[key] = value;
            shown
        };
        let audio = plan.tracks.iter().filter_map(|number| profile.audio.get(*number as usize));
        json!({
            "input": input.location,
            "profile": { "name": profile.name, "version": profile.version },
            "frames": index.frames,
            "duration_s": index.duration.to_f64(),
            "renditions": self.ladder.iter().map(rendition).collect::<Vec<_>>(),
            "audio": audio.map(|track| track.name.clone()).collect::<Vec<_>>(),
            "images": self.images.map(|resolved| json!({
                "thumbnails": resolved.images.thumbnails(title_ms(index.duration)),
                "width": resolved.width,
                "height": resolved.images.height,
                "poster": resolved.poster.map(|(width, height)| json!({ "width": width, "height": height })),
            })),
            "segments": plan.grid.segments(),
            "segment_frames": plan.grid.segment_frames(),
            "parts": plan.grid.parts(),
            "chunks": plan.chunks(),
            "chunk_parts": plan.chunk_parts,
            "tasks": tasks,
            "memory": { "encode_bytes": plan.encode_memory },
            "cost": {
                "encoded_frames": plan.encoded_frames(),
                "encoded_megapixels": self.encoded_megapixels(),
                "delivered_bytes_at_most": self.most_bytes(),
            },
            "warnings": plan.warnings,
            "flags": plan.flags.iter().map(job::flag).collect::<Vec<_>>(),
        })
    }
}

/// Kilobits a second of a track; of a lossless one as many as its samples have.
fn most_audio_kbps(track: &AudioTrack) -> u64 {
    let samples = u64::from(track.sample_rate) * u64::from(track.channels);
    track.bitrate_kbps.map_or(samples * 24 / 1000, u64::from)
}

/// The rate of a rendition at most: on the whole where its mean is given, else at any time.
fn most_kbps(rate: Rate) -> Option<u64> {
    match rate.quality {
        Quality::Bitrate(kbps) => Some(kbps.into()),
        Quality::Crf(_) | Quality::Psnr(_) | Quality::Ssim(_) | Quality::Vmaf(_) => {
            rate.maxrate_kbps.map(u64::from)
        }
    }
}

fn thousandths(milli: u32) -> f64 {
    f64::from(milli) / 1000.0
}

fn rendition_line(entry: &ResolvedRendition) -> String {
    let rendition = &entry.rendition;
    let quality = match rendition.rate.quality {
        Quality::Crf(crf_milli) => format!("crf {}", thousandths(crf_milli)),
        Quality::Bitrate(kbps) => format!("{kbps} kbit/s"),
        Quality::Psnr(mdb) => format!("PSNR {} dB", thousandths(mdb)),
        Quality::Ssim(milli) => format!("SSIM {}", thousandths(milli)),
        Quality::Vmaf(milli) => format!("VMAF {}", thousandths(milli)),
    };
    let ceiling =
        rendition.rate.maxrate_kbps.map_or(String::new(), |rate| format!(", at most {rate} kbit/s"));
    let (name, codec) = (&rendition.name, rendition.coding.codec());
    let coding = match rendition.coding {
        Coding::H264 { preset, .. } => preset.to_string(),
        Coding::Hevc { preset, bit_depth, .. } => format!("{} bit {preset}", bit_depth.bits()),
        Coding::Av1 { preset, bit_depth } => format!("{} bit preset {preset}", bit_depth.bits()),
    };
    format!("{name}: {}x{} {codec} {coding}, {quality}{ceiling}", entry.width, entry.height)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::probe::tests::sample;
    use crate::exit::Exit;

    fn shown(name: &str) -> Shown {
        let (input, index) = sample();
        Shown::of(input, profile::load(name).unwrap(), index, Some(2)).unwrap()
    }

    #[test]
    fn a_plan_is_shown_as_a_table() {
        insta::assert_snapshot!(shown("vod-abr").as_table());
    }

    #[test]
    fn a_plan_is_one_json_object() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&shown("proxy").as_json()).unwrap());
    }

    #[test]
    fn a_plan_says_which_quality_is_wanted_and_what_is_flagged() {
        let (input, index) = sample();
        let text = reel_profiles::catalog::text("vod-abr").unwrap();
        let text = text.replacen("crf = 21", "psnr_db = 42.5", 1).replacen("crf = 22", "ssim = 0.985", 1);
        let rule = "[admission]\nmax_height = { limit = 480, action = \"flag\" }";
        let profile = Profile::parse(&text.replace("[admission]", rule), "vod-abr").unwrap();
        let shown = Shown::of(input, profile, index, None).unwrap();
        let table = shown.as_table();
        assert!(table.contains("PSNR 42.5 dB") && table.contains("SSIM 0.985"), "{table}");
        assert!(table.lines().any(|line| line.starts_with("flag") && line.contains("max_height")), "{table}");
        let json = shown.as_json();
        assert_eq!(json["flags"][0]["rule"], "max_height");
        let known: Vec<_> =
            json["renditions"].as_array().unwrap().iter().map(|made| &made["psnr_db"]).collect();
        assert!(known.contains(&&json!(42.5)), "{json:#}");
    }

    #[test]
    fn a_rejected_mezzanine_is_a_failed_job_with_the_reason() {
        let (input, mut index) = sample();
        index.video.colour.transfer = 16;
        let stop = Shown::of(input, profile::load("vod-abr").unwrap(), index, None).err().unwrap();
        assert_eq!(stop.exit, Exit::JobFailed);
        assert!(stop.message.contains("HDR"), "{}", stop.message);
    }
}
