//! What the index stage learned about a mezzanine, in the short form that the scheduler keeps.

use serde::{Deserialize, Serialize};

use crate::{Artifact, Rational, SourceSpan};

/// What tells one version of a source from another without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// Length in bytes.
    pub size: u64,
    /// Modification time in microseconds since 1970, where the store gives one.
    pub modified_us: Option<i64>,
    /// The store's own version tag, where it gives one.
    pub etag: Option<String>,
}

/// The short form of an index: what plan, admission and `reel probe` need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSummary {
    /// The whole index, as an artifact in the store.
    pub artifact: Artifact,
    /// Container, in libav's short name, for example `mov` or `matroska`.
    pub container: String,
    /// The video stream that is transcoded.
    pub video: VideoFacts,
    /// The audio streams, in container order.
    pub audio: Vec<AudioFacts>,
    /// Streams of subtitles and captions, in the order of the container.
    pub texts: Vec<TextFacts>,
    /// Presented video frames.
    pub frames: u64,
    /// Frames at which decoding can begin.
    pub random_access_points: u64,
    /// From the first presented video frame to the end of the last, in seconds.
    pub duration: Rational,
    /// How frames lie in time.
    pub timing: Timing,
    /// Bytes of the source that the index stage read.
    pub bytes_read: u64,
}

/// How the frames of a mezzanine lie in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Timing {
    /// Frame n is shown at `n / rate`.
    Constant {
        /// Frames per second.
        rate: Rational,
    },
    /// Each frame has its own time; segments begin at the listed frames.
    Variable {
        /// Frames per second over the whole title, for people and for rate control.
        average_rate: Rational,
        /// The first frame of each segment of the job's profile, ascending from 0.
        segment_starts: Vec<u64>,
    },
    /// Frame n is shown at `n / rate`; segments begin at the listed frames.
    Scenes {
        /// Frames per second.
        rate: Rational,
        /// As of [`Timing::Variable`].
        segment_starts: Vec<u64>,
    },
    /// Frame n is shown at `n / rate`; the title is edited.
    Edited {
        /// Frames per second.
        rate: Rational,
        /// What it is made of, in order; none goes on where the one before ends.
        spans: Vec<SourceSpan>,
        /// Coded samples of the largest picture of all sources.
        most_pixels: u64,
        /// Bytes of memory that logos take while pictures are decoded.
        overlay_bytes: u64,
    },
}

impl Timing {
    /// Frames per second; the average where the rate varies.
    pub fn rate(&self) -> Rational {
        match self {
            Timing::Constant { rate } | Timing::Scenes { rate, .. } | Timing::Edited { rate, .. } => *rate,
            Timing::Variable { average_rate, .. } => *average_rate,
        }
    }
}

/// The video stream of a mezzanine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoFacts {
    /// Index of the stream in its container.
    pub stream: u32,
    /// Codec, in libav's short name, for example `prores`.
    pub codec: String,
    /// Codec profile as libav names it, for example `HQ`; empty where there is none.
    pub codec_profile: String,
    /// Coded picture width in samples.
    pub width: u32,
    /// Coded picture height in samples.
    pub height: u32,
    /// Sample aspect ratio; 1 where the source gives none.
    pub sample_aspect: Rational,
    /// Degrees by which the picture is to be turned clockwise for display: 0, 90, 180 or 270.
    pub rotation: u16,
    /// Pixel format, in libav's name, for example `yuv422p10le`.
    pub pixel_format: String,
    /// Whether its frames are made of two fields.
    pub scan: Scan,
    /// Whether fields are shown again to fill a higher rate, as film is for television.
    pub telecine: bool,
    /// Timecode of the first frame as the container gives it, `HH:MM:SS:FF` or `HH:MM:SS;FF`; empty where it gives none.
    pub timecode: String,
    /// Video streams in the container, without attached pictures.
    pub streams: u32,
    /// Colour description.
    pub colour: Colour,
    /// What HDR10 adds to it.
    pub hdr10: Hdr10,
    /// Whether captions lie in its first picture.
    pub captions: bool,
}

/// How the lines of a frame were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scan {
    /// All at once.
    #[default]
    Progressive,
    /// As two fields, first that of the upper lines.
    TopFieldFirst,
    /// As two fields, first that of the lower lines.
    BottomFieldFirst,
}

impl Scan {
    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Scan::Progressive => "progressive",
            Scan::TopFieldFirst => "interlaced, top field first",
            Scan::BottomFieldFirst => "interlaced, bottom field first",
        }
    }
}

/// Colour code points of ITU-T H.273; 2 means unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Colour {
    /// ColourPrimaries, H.273 table 2.
    pub primaries: u8,
    /// TransferCharacteristics, H.273 table 3.
    pub transfer: u8,
    /// MatrixCoefficients, H.273 table 4.
    pub matrix: u8,
    /// VideoFullRangeFlag.
    pub full_range: bool,
    /// Chroma sample location type, H.264 annex E: 0 is left, 1 is centre; `None` where unspecified.
    pub chroma_location: Option<u8>,
}

impl Default for Colour {
    fn default() -> Self {
        Colour { primaries: 2, transfer: 2, matrix: 2, full_range: false, chroma_location: None }
    }
}

/// Static metadata of HDR10, where a source has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hdr10 {
    /// The display on which the title was mastered.
    pub mastering: Option<Mastering>,
    /// How bright the title gets.
    pub light_level: Option<LightLevel>,
}

/// A mastering display (SMPTE ST 2086).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mastering {
    /// Chromaticity coordinates x and y of red, green, blue and white, in steps of 0.00002 up to 1.
    pub red: [u16; 2],
    /// Green.
    pub green: [u16; 2],
    /// Blue.
    pub blue: [u16; 2],
    /// White.
    pub white: [u16; 2],
    /// Largest luminance in steps of 0.0001 cd/m2.
    pub max_luminance: u32,
    /// Smallest luminance, likewise.
    pub min_luminance: u32,
}

/// Content light level (CTA-861.3), in cd/m2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LightLevel {
    /// Of the brightest pixel of the title (MaxCLL).
    pub max_content: u16,
    /// Of the brightest frame in its mean (MaxFALL).
    pub max_frame_average: u16,
}

/// Subtitles or captions that lie in a mezzanine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFacts {
    /// Index of the stream in its container.
    pub stream: u32,
    /// Codec, in libav's short name, for example `mov_text`.
    pub codec: String,
    /// As of sound.
    pub language: String,
}

/// One audio stream of a mezzanine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFacts {
    /// Index of the stream in its container.
    pub stream: u32,
    /// Codec, in libav's short name, for example `pcm_s24le`.
    pub codec: String,
    /// Samples per second.
    pub sample_rate: u32,
    /// Number of channels.
    pub channels: u32,
    /// Channel layout as libav describes it, for example `5.1`; empty where unknown.
    pub layout: String,
    /// BCP 47 or ISO 639-2 language as the container gives it; empty where it gives none.
    pub language: String,
    /// Presentation time of the first sample minus that of the first video frame, in seconds.
    pub start: Rational,
}
