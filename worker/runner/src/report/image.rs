//! Thumbnails and poster in the report.

use reel_common::Digest;
use reel_package::layout;
use reel_proto::v1;
use serde::Serialize;

/// The still pictures of the title.
#[derive(Serialize)]
pub(super) struct Images {
    /// From the beginning of one thumbnail to that of the next.
    every_s: f64,
    /// Of a thumbnail, in pixels.
    width: u32,
    height: u32,
    /// Thumbnails side by side, and rows of them, on a sheet.
    columns: u32,
    rows: u32,
    sheets: Vec<Sheet>,
    poster: Option<Poster>,
}

#[derive(Serialize)]
struct Sheet {
    file: String,
    bytes: u64,
    sha256: String,
    /// When its first thumbnail is shown.
    start_s: f64,
    /// Frames of the title that its thumbnails show.
    frames: Vec<u64>,
}

#[derive(Serialize)]
struct Poster {
    file: String,
    bytes: u64,
    sha256: String,
    width: u32,
    height: u32,
    /// Of the title.
    frame: u64,
    at_s: f64,
}

/// What is said of them.
pub(super) fn images(record: &v1::ImageRecord) -> Images {
    let sheet = |(number, sheet): (usize, &v1::ImageSheet)| {
        let (bytes, sha256) = file(sheet.artifact.as_ref());
        let frames = sheet.frames.clone();
        Sheet { file: path(&layout::sprite(number)), bytes, sha256, start_s: seconds(sheet.start_ms), frames }
    };
    let poster = |poster: &v1::ImagePoster| {
        let (bytes, sha256) = file(poster.artifact.as_ref());
        let v1::ImagePoster { width, height, frame, at_ms, .. } = *poster;
        Poster { file: path(layout::POSTER), bytes, sha256, width, height, frame, at_s: seconds(at_ms) }
    };
    Images {
        every_s: seconds(record.every_ms.into()),
        width: record.width,
        height: record.height,
        columns: record.columns,
        rows: record.rows,
        sheets: record.sheets.iter().enumerate().map(sheet).collect(),
        poster: record.poster.as_ref().map(poster),
    }
}

/// The proof of them.
#[derive(Serialize)]
pub(super) struct ImagesProof {
    sheets: u32,
    thumbnails: u64,
    poster: bool,
    /// Largest mean difference of a still to its frame, of full scale.
    worst_difference_ppm: u64,
}

impl From<v1::ImageProof> for ImagesProof {
    fn from(proof: v1::ImageProof) -> Self {
        let v1::ImageProof { sheets, thumbnails, poster, worst_difference_ppm } = proof;
        ImagesProof { sheets, thumbnails, poster, worst_difference_ppm }
    }
}

fn path(name: &str) -> String {
    format!("{}/{name}", layout::IMAGES)
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

fn file(artifact: Option<&v1::Artifact>) -> (u64, String) {
    let digest = artifact.and_then(|artifact| Digest::try_from(artifact.sha256.as_slice()).ok());
    (
        artifact.map_or(0, |artifact| artifact.size),
        digest.map(|digest| digest.to_string()).unwrap_or_default(),
    )
}
