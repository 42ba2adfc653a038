//! `report.json`: what a title is made of, the proof, and who did what.
//!
//! Times are milliseconds since 1970, `pts` are ticks of `1/timescale`, PSNR is in decibels. The report is written
//! once, when the title is delivered, and is the one file of a title that differs from run to run.

mod audio;
mod check;
mod edit;
mod flag;
mod image;
mod picture;
mod rate;
mod text;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use reel_common::{Digest, Failure, Flag, Pool, Scan, TaskId};
use reel_media::Stretches;
use reel_package::layout;
use reel_profiles::Profile;
use reel_proto::v1;
use serde::{Deserialize, Serialize};

use crate::attempt::{failed, media};
use crate::text::pictures;

/// Grows when a reader of older reports would misread a new one.
const FORMAT: u32 = 1;
/// A report of the longest title with the longest history stays far below.
pub(crate) const MAX_REPORT_BYTES: u64 = 256 << 20;

/// Everything that a report is made from.
pub(crate) struct Sources<'a> {
    pub(crate) spec: &'a v1::TaskSpec,
    pub(crate) profile: &'a Profile,
    pub(crate) index: &'a v1::Index,
    pub(crate) assembly: &'a v1::Assembly,
    pub(crate) proof: &'a v1::Proof,
    /// Absent where the plan has no check.
    pub(crate) check: Option<&'a v1::Check>,
    pub(crate) history: &'a v1::JobHistory,
    pub(crate) identity: &'a Identity,
}

/// What tells one delivery from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Number of the job.
    pub(crate) id: u64,
    /// When it was accepted.
    pub(crate) submitted_ms: u64,
    /// SHA-256 of the assembly that was delivered.
    pub(crate) assembly: Digest,
}

impl Identity {
    /// Which delivery made the title in `folder`; `None` when no report of reel is there.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        let file = fs::File::open(folder.join(layout::REPORT)).ok()?;
        file.take(MAX_REPORT_BYTES).read_to_end(&mut bytes).ok()?;
        Self::of_report(&bytes)
    }

    /// Which delivery wrote a report; `None` for other files.
    pub(crate) fn of_report(report: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Head {
            job: Identity,
        }
        serde_json::from_slice::<Head>(report).ok().map(|head| head.job)
    }
}

#[derive(Serialize)]
struct Report<'a> {
    format: u32,
    made_by: &'static str,
    /// Versions of what decodes and scales, on the host that delivered.
    libraries: BTreeMap<&'static str, String>,
    job: Job<'a>,
    mezzanine: Mezzanine<'a>,
    /// `null` where the title is the mezzanine as it is.
    edit: Option<edit::Edited<'a>>,
    /// `null` where a part was made by a version that did not look.
    picture: Option<picture::Picture>,
    profile: ProfileUsed<'a>,
    renditions: Vec<Rendition<'a>>,
    audio: Vec<audio::Track<'a>>,
    /// Subtitles and captions.
    texts: Vec<text::Text>,
    /// Thumbnails and poster; `null` where the profile has none.
    images: Option<image::Images>,
    proof: Proof<'a>,
    /// By which rules the title was judged; `null` where it was made by a version that did not.
    check: Option<check::Checked<'a>>,
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct Job<'a> {
    #[serde(flatten)]
    identity: &'a Identity,
    output: &'a str,
    renditions_encoded: u64,
    renditions_reused: u64,
    parts_encoded_twice: u64,
    /// What admission had to say of the mezzanine and its pictures, and bit rates and loudnesses that were not met.
    warnings: Vec<String>,
    /// What admission flags for whoever checks the title.
    flags: Vec<flag::Flagged>,
    /// Of the mezzanine, by all attempts that ended with their result.
    source_bytes_read: u64,
    /// What all attempts have cost that had ended, in millionths of the site's currency.
    cost_micros: u64,
    /// All that there were; of many only the newest are listed.
    attempts_total: u64,
    attempts: Vec<Attempt<'a>>,
    parts: Vec<PartMade<'a>>,
}

#[derive(Serialize)]
struct Attempt<'a> {
    task: String,
    attempt: u32,
    epoch: u64,
    worker: &'a str,
    started_ms: u64,
    ended_ms: u64,
    outcome: &'a str,
    message: &'a str,
    /// `null` for an attempt without a result, and for a stage that does not open the mezzanine.
    source_bytes_read: Option<u64>,
    pool: &'static str,
    /// Millionths of the site's currency; 0 where its worker has no price.
    cost_micros: u64,
}

#[derive(Serialize)]
struct PartMade<'a> {
    part: usize,
    worker: &'a str,
    epoch: u64,
    renditions_encoded: u32,
    renditions_reused: u32,
}

#[derive(Serialize)]
struct Mezzanine<'a> {
    url: &'a str,
    bytes: Option<u64>,
    modified_us: Option<i64>,
    etag: Option<&'a str>,
    container: &'a str,
    codec: &'a str,
    width: u32,
    height: u32,
    pixel_format: &'a str,
    /// Frames a second as a fraction; `null` where the rate varies.
    frame_rate: Option<String>,
    frames: u64,
    /// `progressive`, `top_field_first` or `bottom_field_first`.
    scan: Scan,
    telecine: bool,
    /// Of the first frame; `null` where the container has none.
    timecode: Option<&'a str>,
    /// What its container lacks, where the profile allows damage.
    faults: Vec<Fault<'a>>,
}

#[derive(Serialize)]
struct Fault<'a> {
    /// On the container's own timeline.
    at_s: f64,
    what: &'a str,
}

#[derive(Serialize)]
struct ProfileUsed<'a> {
    name: &'a str,
    version: u32,
    sha256: Digest,
    /// As the job carried it, so that the title can be verified without the profile's file.
    text: &'a str,
}

#[derive(Serialize)]
struct Rendition<'a> {
    name: &'a str,
    width: u32,
    height: u32,
    timescale: u32,
    frames: u64,
    bytes: u64,
    /// Of the coded frames, without the container.
    sample_bytes: u64,
    peak_segment_bps: u64,
    /// Over all frames.
    psnr_db: f64,
    #[serde(flatten)]
    ssim: Ssim,
    #[serde(flatten)]
    vmaf: Vmaf,
    /// The model by which it was measured; `null` where it was not.
    vmaf_model: Option<&'static str>,
    /// How it came to its bit rate; `null` where the profile gives a rate factor.
    rate: Option<rate::Found>,
    parts: Vec<Part>,
}

/// Of luma; `null` where a part was made by a version that did not measure it.
#[derive(Serialize)]
struct Ssim {
    /// Over all frames.
    ssim: Option<f64>,
    worst_frame_ssim: Option<f64>,
}

impl Ssim {
    fn of<'a>(records: impl Iterator<Item = &'a v1::RenditionPart> + Clone) -> Self {
        let frames: u64 = records.clone().map(|record| record.frames).sum();
        let sum = records.clone().map(|record| Some(f64::from(record.ssim_ppm?) * record.frames as f64));
        let worst: Option<Vec<i32>> = records.map(|record| record.worst_frame_ssim_ppm).collect();
        Ssim {
            ssim: sum.sum::<Option<f64>>().map(|sum| sum / frames.max(1) as f64 / 1e6),
            worst_frame_ssim: worst.and_then(|worst| worst.into_iter().min()).map(|ppm| f64::from(ppm) / 1e6),
        }
    }
}

/// `null` where the profile does not ask for it.
#[derive(Serialize)]
struct Vmaf {
    /// Over all frames.
    vmaf: Option<f64>,
    worst_frame_vmaf: Option<f64>,
}

impl Vmaf {
    fn of<'a>(records: impl Iterator<Item = &'a v1::RenditionPart> + Clone) -> Self {
        let frames: u64 = records.clone().map(|record| record.frames).sum();
        let sum = records.clone().map(|record| Some(f64::from(record.vmaf_milli?) * record.frames as f64));
        let worst: Option<Vec<u32>> = records.map(|record| record.worst_frame_vmaf_milli).collect();
        Vmaf {
            vmaf: sum.sum::<Option<f64>>().map(|sum| sum / frames.max(1) as f64 / 1e3),
            worst_frame_vmaf: worst
                .and_then(|worst| worst.into_iter().min())
                .map(|milli| f64::from(milli) / 1e3),
        }
    }
}

/// Of each frame where a part begins and where it ends; `null` where VMAF is.
#[derive(Serialize)]
struct VmafAtJoins {
    first_frames_vmaf: Option<Vec<f64>>,
    last_frames_vmaf: Option<Vec<f64>>,
}

impl VmafAtJoins {
    fn of(record: &v1::RenditionPart) -> Self {
        let of = |milli: &[u32]| {
            record.vmaf_milli.map(|_| milli.iter().map(|milli| f64::from(*milli) / 1e3).collect())
        };
        VmafAtJoins {
            first_frames_vmaf: of(&record.first_frames_vmaf_milli),
            last_frames_vmaf: of(&record.last_frames_vmaf_milli),
        }
    }
}

#[derive(Serialize)]
struct Part {
    part: u32,
    recipe_key: String,
    frames: u64,
    first_pts: i64,
    last_pts: i64,
    segments: usize,
    bytes: u64,
    /// Of each segment.
    segment_bytes: Vec<u64>,
    sample_bytes: u64,
    sha256: String,
    psnr_db: f64,
    #[serde(flatten)]
    ssim: Ssim,
    #[serde(flatten)]
    vmaf: Vmaf,
    #[serde(flatten)]
    vmaf_at_joins: VmafAtJoins,
    /// Largest mean difference of a frame to its source, of full scale.
    worst_difference_ppm: u64,
    /// Frames that look like their neighbour, where order shows in time alone.
    ties: u64,
}

#[derive(Serialize)]
struct Proof<'a> {
    renditions: Vec<RenditionProof<'a>>,
    audio: Vec<TrackProof<'a>>,
    /// Frames that the mezzanine does not give, for which another stands.
    mended_frames: &'a [u64],
    images: Option<image::ImagesProof>,
}

#[derive(Serialize)]
struct RenditionProof<'a> {
    name: &'a str,
    frames: u64,
    first_pts: i64,
    last_pts: i64,
    timescale: u32,
    worst_difference_ppm: u64,
    ties: u64,
}

#[derive(Serialize)]
struct TrackProof<'a> {
    name: &'a str,
    samples: u64,
    sample_rate: u32,
    /// Delay against the mezzanine in samples, at start, middle and end.
    offsets: &'a [i32],
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    bytes: u64,
    sha256: String,
}

/// The text of a report.
pub(crate) fn write(sources: &Sources<'_>) -> Result<Vec<u8>, Failure> {
    let renditions = renditions(sources);
    let (parts, index, profile) = (&sources.assembly.parts, sources.index, sources.profile);
    let stretches = Stretches::of(parts, index, profile).map_err(media)?;
    let texts = pictures::of_title(index, profile, parts)?;
    let text_warnings = [text::warnings(&texts), pictures::warnings(index, profile, parts)?].concat();
    let report = Report {
        format: FORMAT,
        made_by: concat!("reel ", env!("CARGO_PKG_VERSION")),
        libraries: libraries(),
        job: job(sources, &renditions, stretches.as_ref(), text_warnings),
        mezzanine: mezzanine(sources),
        edit: edit::Edited::of(sources.index),
        picture: stretches.as_ref().map(picture::Picture::of),
        profile: ProfileUsed {
            name: &sources.profile.name,
            version: sources.profile.version,
            sha256: Digest::of(sources.spec.profile.as_bytes()),
            text: &sources.spec.profile,
        },
        renditions,
        audio: audio::tracks(&sources.assembly.audio, sources.profile),
        texts: text::texts(&texts),
        images: sources.assembly.images.as_ref().map(image::images),
        proof: proof(sources.proof),
        check: sources.check.map(|check| check::Checked::of(check, sources.profile)),
        files: sources.assembly.files.iter().map(file).collect(),
    };
    let mut text = serde_json::to_vec_pretty(&report)
        .map_err(|error| failed(&format!("the report cannot be written: {error}")))?;
    text.push(b'\n');
    Ok(text)
}

/// libav packs a version number as `major << 16 | minor << 8 | micro` (`AV_VERSION_INT` of libavutil/version.h).
fn libraries() -> BTreeMap<&'static str, String> {
    let text = |version: u32| format!("{}.{}.{}", version >> 16, (version >> 8) & 0xFF, version & 0xFF);
    let libav = reel_media::library_versions().into_iter().map(|(name, version)| (name, text(version)));
    let encoders = [
        ("x264", Some(reel_media::x264_version().to_owned())),
        ("x265", reel_media::x265_version()),
        ("svt-av1", Some(reel_media::svt_av1_version())),
        ("libopus", Some(reel_media::opus_version())),
        ("libvmaf", Some(reel_media::vmaf_version())),
    ];
    let encoders = encoders.into_iter().filter_map(|(name, version)| Some((name, version?)));
    libav.chain(encoders).collect()
}

fn job<'a>(
    sources: &Sources<'a>,
    renditions: &[Rendition<'_>],
    stretches: Option<&Stretches>,
    text_warnings: Vec<String>,
) -> Job<'a> {
    let history = sources.history;
    let attempts = history.attempts.iter().map(|attempt| Attempt {
        task: attempt
            .task
            .and_then(|task| TaskId::try_from(task).ok())
            .map_or_else(String::new, |task| task.to_string()),
        attempt: attempt.attempt,
        epoch: attempt.epoch,
        worker: &attempt.worker,
        started_ms: attempt.started_ms,
        ended_ms: attempt.ended_ms,
        outcome: &attempt.outcome,
        message: &attempt.message,
        source_bytes_read: attempt.source_bytes_read,
        pool: Pool::from(attempt.pool()).name(),
        cost_micros: attempt.cost_micros,
    });
    let parts = history.parts.iter().enumerate().map(|(part, made)| PartMade {
        part,
        worker: &made.worker,
        epoch: made.epoch,
        renditions_encoded: made.renditions_encoded,
        renditions_reused: made.renditions_reused,
    });
    let admitted =
        stretches.map(|stretches| picture::admitted(stretches, sources.profile)).unwrap_or_default();
    Job {
        identity: sources.identity,
        output: &sources.spec.output,
        renditions_encoded: history.renditions_encoded,
        renditions_reused: history.renditions_reused,
        parts_encoded_twice: history.parts_encoded_twice,
        warnings: history
            .warnings
            .iter()
            .cloned()
            .chain(sources.index.edit.iter().flat_map(|edit| edit.warnings.iter().cloned()))
            .chain(rate::warnings(renditions))
            .chain(admitted.warnings.into_iter().map(|warning| warning.0))
            .chain(audio::warnings(&sources.assembly.audio, sources.profile))
            .chain(text_warnings)
            .collect(),
        flags: history
            .flags
            .iter()
            .cloned()
            .map(Flag::from)
            .chain(admitted.flags)
            .chain(audio::flags(&sources.assembly.audio, sources.profile))
            .map(Into::into)
            .collect(),
        source_bytes_read: history.source_bytes_read,
        cost_micros: history.cost_micros,
        attempts_total: history.attempts_total,
        attempts: attempts.collect(),
        parts: parts.collect(),
    }
}

fn mezzanine<'a>(sources: &Sources<'a>) -> Mezzanine<'a> {
    let index = sources.index;
    let identity = index.identity.as_ref();
    let video = index.video.as_ref();
    let facts = video.and_then(|video| video.facts.as_ref());
    let rate = video.and_then(|video| video.constant_rate);
    let rate = rate.and_then(|rate| reel_common::Rational::try_from(rate).ok());
    let differences: u64 = video.map_or(0, |video| video.pts.iter().map(|run| run.count).sum());
    Mezzanine {
        url: &sources.spec.mezzanine,
        bytes: identity.map(|identity| identity.size),
        modified_us: identity.and_then(|identity| identity.modified_us),
        etag: identity.and_then(|identity| identity.etag.as_deref()),
        container: &index.container,
        codec: facts.map_or("", |facts| &facts.codec),
        width: facts.map_or(0, |facts| facts.width),
        height: facts.map_or(0, |facts| facts.height),
        pixel_format: facts.map_or("", |facts| &facts.pixel_format),
        frame_rate: rate.map(|rate| rate.to_string()),
        // The first frame has no difference.
        frames: differences + 1,
        scan: facts.map_or(Scan::Progressive, Scan::from),
        telecine: facts.is_some_and(|facts| facts.telecine),
        faults: index
            .faults
            .iter()
            .map(|fault| Fault { at_s: fault.at_ms as f64 / 1000.0, what: &fault.what })
            .collect(),
        timecode: facts.map(|facts| facts.timecode.as_str()).filter(|timecode| !timecode.is_empty()),
    }
}

fn renditions<'a>(sources: &Sources<'a>) -> Vec<Rendition<'a>> {
    let parts = &sources.assembly.parts;
    let ladder = parts.first().map_or(&[][..], |part| &part.renditions);
    let rate = |number: usize| {
        let found = sources.history.rates.iter().find(|rate| rate.rendition as usize == number);
        found.map(rate::Found::of)
    };
    let made = ladder.iter().enumerate();
    made.map(|(number, first)| Rendition { rate: rate(number), ..rendition(parts, number, first) }).collect()
}

fn rendition<'a>(parts: &[v1::PartRecord], number: usize, first: &'a v1::RenditionPart) -> Rendition<'a> {
    let records = || parts.iter().filter_map(|part| Some((part.part, part.renditions.get(number)?)));
    let total = |what: fn(&v1::RenditionPart) -> u64| records().map(|(_, record)| what(record)).sum();
    let frames: u64 = total(|record| record.frames);
    let psnr: f64 = records().map(|(_, record)| psnr_db(record) * record.frames as f64).sum();
    Rendition {
        name: &first.rendition,
        width: first.width,
        height: first.height,
        timescale: first.timescale,
        frames,
        bytes: total(|record| record.artifact.as_ref().map_or(0, |artifact| artifact.size)),
        sample_bytes: total(|record| record.sample_bytes),
        rate: None,
        peak_segment_bps: records().map(|(_, record)| record.peak_segment_bps).max().unwrap_or(0),
        psnr_db: psnr / frames.max(1) as f64,
        ssim: Ssim::of(records().map(|(_, record)| record)),
        vmaf: Vmaf::of(records().map(|(_, record)| record)),
        vmaf_model: first.vmaf_milli.map(|_| reel_media::vmaf_model(first.width, first.height)),
        parts: records().map(|(index, record)| part(index, record)).collect(),
    }
}

fn part(index: u32, record: &v1::RenditionPart) -> Part {
    let (bytes, sha256) = artifact(record.artifact.as_ref());
    let proof = record.proof.clone().unwrap_or_default();
    Part {
        part: index,
        recipe_key: hex(&record.recipe_key),
        frames: record.frames,
        first_pts: record.first_pts,
        last_pts: record.last_pts,
        segments: record.segment_bytes.len(),
        bytes,
        segment_bytes: record.segment_bytes.clone(),
        sample_bytes: record.sample_bytes,
        sha256,
        psnr_db: psnr_db(record),
        ssim: Ssim::of(std::iter::once(record)),
        vmaf: Vmaf::of(std::iter::once(record)),
        vmaf_at_joins: VmafAtJoins::of(record),
        worst_difference_ppm: proof.worst_difference_ppm,
        ties: proof.ties,
    }
}

fn psnr_db(record: &v1::RenditionPart) -> f64 {
    record.psnr_mdb as f64 / 1e3
}

fn proof(proof: &v1::Proof) -> Proof<'_> {
    let renditions = proof.renditions.iter().map(|proof| RenditionProof {
        name: &proof.rendition,
        frames: proof.frames,
        first_pts: proof.first_pts,
        last_pts: proof.last_pts,
        timescale: proof.timescale,
        worst_difference_ppm: proof.worst_difference_ppm,
        ties: proof.ties,
    });
    let audio = proof.audio.iter().map(|proof| TrackProof {
        name: &proof.name,
        samples: proof.samples,
        sample_rate: proof.sample_rate,
        offsets: &proof.offsets,
    });
    Proof {
        renditions: renditions.collect(),
        audio: audio.collect(),
        mended_frames: &proof.mended,
        images: proof.images.map(Into::into),
    }
}

fn file(file: &v1::OutputFile) -> File<'_> {
    let (bytes, sha256) = artifact(file.artifact.as_ref());
    File { path: &file.path, bytes, sha256 }
}

fn artifact(artifact: Option<&v1::Artifact>) -> (u64, String) {
    artifact.map_or((0, String::new()), |artifact| (artifact.size, hex(&artifact.sha256)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
