//! What a profile says, with every default filled in.

use std::ops::RangeInclusive;

use reel_common::{Colour, Hdr10, Rational, Scan};

pub use self::audio::{AudioCodec, AudioTrack, Downmix, Loudness, SourceChannel};
pub use self::destination::{
    Demand, Destination, DestinationRule, PackageFeature, PackageMeasure, PackageTrait, Strictness,
};
pub use self::encryption::{Encryption, EncryptionScheme, LicenceSystem};
use crate::{Images, Level};

/// Defines an enum whose variants are written as words in profiles.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word used in profiles and in output.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

mod audio;
mod destination;
mod encryption;

/// TransferCharacteristics of H.273 that make a source HDR: 16 is PQ (SMPTE ST 2084), 18 is HLG (ARIB STD-B67).
pub const HDR_TRANSFERS: [u8; 2] = [16, 18];

/// A named, versioned recipe: segments and parts, admission, ladder, audio, packaging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name, a plain file name.
    pub name: String,
    /// Grows with every change that its owner wants to tell apart.
    pub version: u32,
    /// Length of a segment (= output GOP) in seconds, 0.5 to 60.
    pub segment_seconds: Rational,
    /// Length of a part in seconds: a whole number of segments, at most 120.
    pub part_seconds: Rational,
    /// Where segments begin.
    pub segments_begin: SegmentStart,
    /// What a mezzanine must be like.
    pub admission: Admission,
    /// What is done to its pictures before they are scaled.
    pub picture: Picture,
    /// The ladder, of each codec tallest first; at least one rendition, at most [`Profile::MAX_RENDITIONS`].
    pub video: Vec<Rendition>,
    /// Audio tracks; may be empty, at most [`Profile::MAX_AUDIO_TRACKS`].
    pub audio: Vec<AudioTrack>,
    /// What is measured beside PSNR and SSIM.
    pub measure: Measure,
    /// Thumbnails and poster.
    pub images: Option<Images>,
    /// What is delivered.
    pub package: Package,
    /// The destinations whose rules its titles have to meet, by names of [`crate::destination::names`].
    pub destinations: Vec<String>,
    /// How its segments are encrypted; `None` leaves them clear.
    pub encryption: Option<Encryption>,
}

/// What is measured of coded pictures beside PSNR and SSIM, which cost next to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// VMAF of every rendition; else of those alone whose rate asks for one.
    pub vmaf: bool,
}

impl Profile {
    /// Whether VMAF is measured of a rendition.
    pub fn measures_vmaf(&self, rendition: &Rendition) -> bool {
        self.measure.vmaf || matches!(rendition.rate.quality, Quality::Vmaf(_))
    }

    /// Longest text of a profile: it travels in every task.
    pub const MAX_TEXT_BYTES: usize = 64 * 1024;
    /// Most renditions of a ladder: each takes an encoder thread and its memory in every attempt.
    pub const MAX_RENDITIONS: usize = 16;
    /// Most frames per second that a source is conformed to.
    pub const MAX_FRAME_RATE: i64 = 300;
    /// Most audio tracks, each of which is a task.
    pub const MAX_AUDIO_TRACKS: usize = 16;
}

/// What a mezzanine must be like to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Shortest mezzanine.
    pub min_duration_s: Option<Rule<Rational>>,
    /// Longest mezzanine.
    pub max_duration_s: Option<Rule<Rational>>,
    /// Smallest displayed height in pixels.
    pub min_height: Option<Rule<u32>>,
    /// Largest displayed height in pixels.
    pub max_height: Option<Rule<u32>>,
    /// Fewest frames per second of the title, on average where its rate varies.
    pub min_frame_rate: Option<Rule<Rational>>,
    /// Most frames per second of the title, likewise.
    pub max_frame_rate: Option<Rule<Rational>>,
    /// What to do with a title whose frame rate varies.
    pub variable_frame_rate: Action,
    /// What to do with a source that lacks the sound that a track of the profile asks for.
    pub missing_audio: Action,
    /// What to do with sound that is silent: nowhere louder than -70 LUFS (ITU-R BS.1770, the absolute gate).
    pub silent_audio: Action,
    /// Longest time for which the title may be black.
    pub max_black_s: Option<Rule<Rational>>,
    /// Longest time for which the title may stand still.
    pub max_frozen_s: Option<Rule<Rational>>,
    /// What to do with a field-coded or interlaced source.
    pub interlaced: Action,
    /// What to do with a source in PQ or HLG where a rendition has 8 bit, which shows it with banding.
    pub hdr: Action,
    /// What to do with a source in PQ or HLG whose primaries or matrix are not those of BT.2020 (ITU-R BT.2100).
    pub hdr_colour: Action,
    /// What to do with a source that does not say its primaries, transfer or matrix.
    pub unspecified_colour: Action,
    /// What to do with packets that do not decode.
    pub damage: DamageRule,
}

impl Default for Admission {
    fn default() -> Self {
        Admission {
            min_duration_s: None,
            max_duration_s: None,
            min_height: None,
            max_height: None,
            min_frame_rate: None,
            max_frame_rate: None,
            variable_frame_rate: Action::Allow,
            missing_audio: Action::Warn,
            silent_audio: Action::Warn,
            max_black_s: None,
            max_frozen_s: None,
            interlaced: Action::Warn,
            hdr: Action::Reject,
            hdr_colour: Action::Warn,
            unspecified_colour: Action::Allow,
            damage: DamageRule::Refuse,
        }
    }
}

/// A limit and what happens to a source beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule<T> {
    /// The limit.
    pub limit: T,
    /// What happens beyond it.
    pub action: Action,
}

words! {
    /// What an admission rule does with a source that breaks it.
    Action {
        /// The job fails with the reason.
        Reject = "reject",
        /// The job goes on with a warning, which its submitter reads.
        Warn = "warn",
        /// The job goes on, and what was found is kept with it and in its report, for a later look at the title.
        Flag = "flag",
        /// The job goes on.
        Allow = "allow",
    }
}

/// What is done to the pictures of a mezzanine before they are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Picture {
    /// What becomes of the fields of an interlaced source.
    pub fields: Fields,
    /// Frames per second to which a source of another rate, or of a variable one, is conformed; `None` keeps its times.
    pub frame_rate: Option<Rational>,
    /// What is cut off.
    pub crop: Crop,
    /// How HDR becomes SDR.
    pub tone_map: ToneMap,
}

impl Picture {
    /// Whether frames are made of the fields of a source.
    pub fn deinterlaces(&self, scan: Scan) -> bool {
        scan != Scan::Progressive && self.fields == Fields::Bwdif
    }

    /// Whether pictures of such colours are made SDR.
    pub fn maps_tones(&self, colour: Colour) -> bool {
        self.tone_map != ToneMap::None && HDR_TRANSFERS.contains(&colour.transfer)
    }

    /// Colours and HDR10's metadata with which the pictures of a source are coded.
    pub fn coded_colours(&self, colour: Colour, hdr10: Hdr10) -> (Colour, Hdr10) {
        let bt709 = Colour { primaries: 1, transfer: 1, matrix: 1, full_range: false, chroma_location: None };
        if self.maps_tones(colour) { (bt709, Hdr10::default()) } else { (colour, hdr10) }
    }
}

words! {
    /// How a source in PQ or HLG becomes SDR in the colours of BT.709.
    #[derive(Default)]
    ToneMap {
        /// Not at all: HDR stays HDR.
        #[default]
        None = "none",
        /// By the curve of ITU-R BT.2390 (5.4.1), to 100 cd/m2.
        Bt2390 = "bt2390",
    }
}

words! {
    /// Where segments begin, in all renditions alike.
    #[derive(Default)]
    SegmentStart {
        /// After each length of a segment.
        #[default]
        Grid = "grid",
        /// There, or with the scene that begins nearest to it, at most a quarter of a segment away.
        Scenes = "scenes",
    }
}

words! {
    /// What becomes of the fields of an interlaced source.
    #[derive(Default)]
    Fields {
        /// One progressive frame of every two fields, by the filter bwdif (Bob Weaver): the first field stays, the lines of
        /// the second are interpolated in space and time.
        #[default]
        Bwdif = "bwdif",
        /// They stay, and are coded as fields: by H.264 alone, in the height of the source.
        Keep = "keep",
        /// They are the halves of progressive frames: the source's flag is wrong.
        Weave = "weave",
    }
}

/// Samples that are cut off the sides of the coded picture, before it is turned; all even.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Crop {
    /// Lines at the top.
    pub top: u32,
    /// Lines at the bottom.
    pub bottom: u32,
    /// Columns on the left.
    pub left: u32,
    /// Columns on the right.
    pub right: u32,
}

impl Crop {
    /// Width and height of what is left of a picture; 0 where nothing is.
    pub fn rest(self, width: u32, height: u32) -> (u32, u32) {
        let across = self.left.saturating_add(self.right);
        (width.saturating_sub(across), height.saturating_sub(self.top.saturating_add(self.bottom)))
    }
}

/// What to do with frames of the mezzanine that do not decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DamageRule {
    /// The job fails with the place of the damage.
    #[default]
    Refuse,
    /// The last good frame is shown again, without limit.
    Repeat,
    /// The same, for at most this many frames of a title; beyond them the job fails.
    Allow(u32),
}

words! {
    /// A video codec.
    VideoCodec {
        /// AVC, ISO/IEC 14496-10, by x264.
        H264 = "h264",
        /// HEVC, ISO/IEC 23008-2, by x265.
        Hevc = "hevc",
        /// AV1, by SVT-AV1.
        Av1 = "av1",
    }
}

impl VideoCodec {
    /// The largest rate factor of its encoder; 1 is the best quality of all of them.
    pub fn max_crf(self) -> u32 {
        match self {
            VideoCodec::H264 | VideoCodec::Hevc => 51,
            VideoCodec::Av1 => 63,
        }
    }

    /// The least difference between two rate factors of its encoder, in thousandths.
    pub fn crf_step_milli(self) -> u32 {
        match self {
            VideoCodec::H264 | VideoCodec::Hevc => 10,
            VideoCodec::Av1 => 1_000,
        }
    }
}

words! {
    /// x264's and x265's presets: speed against size.
    Preset {
        /// Fastest.
        Ultrafast = "ultrafast",
        /// Faster than veryfast.
        Superfast = "superfast",
        /// Faster than faster.
        Veryfast = "veryfast",
        /// Faster than fast.
        Faster = "faster",
        /// Faster than medium.
        Fast = "fast",
        /// The encoders' default.
        Medium = "medium",
        /// Slower than medium.
        Slow = "slow",
        /// Slower than slow.
        Slower = "slower",
        /// Slower than slower.
        Veryslow = "veryslow",
    }
}

words! {
    /// x264's tunings for kinds of pictures; x265 has all but `film`.
    Tune {
        /// Live action.
        Film = "film",
        /// Drawn pictures.
        Animation = "animation",
        /// Keeps film grain.
        Grain = "grain",
    }
}

words! {
    /// H.264 profiles, ISO/IEC 14496-10 annex A.
    H264Profile {
        /// Constrained baseline: no B-frames, no CABAC.
        Baseline = "baseline",
        /// Main.
        Main = "main",
        /// High, 8 bit 4:2:0.
        High = "high",
    }
}

/// Bits of a sample of the coded picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BitDepth {
    /// 8 bit.
    #[default]
    Eight,
    /// 10 bit.
    Ten,
}

impl BitDepth {
    /// The number of bits.
    pub fn bits(self) -> u32 {
        match self {
            BitDepth::Eight => 8,
            BitDepth::Ten => 10,
        }
    }
}

/// What a codec's encoder is told beside the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// H.264 by x264, 8 bit.
    H264 {
        /// Encoder preset.
        preset: Preset,
        /// Encoder tuning; `None` is written `none`.
        tune: Option<Tune>,
        /// H.264 profile.
        profile: H264Profile,
        /// H.264 level; `None` is written `auto` and leaves the choice to the encoder.
        level: Option<Level>,
    },
    /// HEVC by x265, profile Main or Main 10.
    Hevc {
        /// Encoder preset.
        preset: Preset,
        /// Encoder tuning; `None` is written `none`.
        tune: Option<Tune>,
        /// Bits of a sample.
        bit_depth: BitDepth,
    },
    /// AV1 by SVT-AV1, profile Main.
    Av1 {
        /// Encoder preset, 0 (smallest) to 13 (fastest).
        preset: u8,
        /// Bits of a sample.
        bit_depth: BitDepth,
    },
}

impl Coding {
    /// The fastest preset of SVT-AV1.
    pub const MAX_AV1_PRESET: u8 = 13;
    /// The slowest preset of SVT-AV1 with which several renditions are encoded in one process.
    pub const LEAST_SHARED_AV1_PRESET: u8 = 6;

    /// The codec.
    pub fn codec(self) -> VideoCodec {
        match self {
            Coding::H264 { .. } => VideoCodec::H264,
            Coding::Hevc { .. } => VideoCodec::Hevc,
            Coding::Av1 { .. } => VideoCodec::Av1,
        }
    }

    /// The same for a draft, whose size is all that is asked of it: at a preset that takes a third of the time or less of
    /// the usual ones, and whose sizes still follow the content as theirs do.
    pub fn draft(self) -> Self {
        let fast = |preset: Preset| preset.min(Preset::Veryfast);
        match self {
            Coding::H264 { preset, tune, profile, level } => {
                Coding::H264 { preset: fast(preset), tune, profile, level }
            }
            Coding::Hevc { preset, tune, bit_depth } => {
                Coding::Hevc { preset: fast(preset), tune, bit_depth }
            }
            Coding::Av1 { preset, bit_depth } => Coding::Av1 { preset: preset.max(10), bit_depth },
        }
    }

    /// Bits of a sample.
    pub fn bit_depth(self) -> BitDepth {
        match self {
            Coding::H264 { .. } => BitDepth::Eight,
            Coding::Hevc { bit_depth, .. } | Coding::Av1 { bit_depth, .. } => bit_depth,
        }
    }
}

/// One encoded stream of the ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// Its name, a plain file name that is unique in the profile.
    pub name: String,
    /// Codec and its encoder's settings.
    pub coding: Coding,
    /// Height in pixels, even; the width follows from the display aspect.
    pub height: u32,
    /// Rate control.
    pub rate: Rate,
    /// Whether a source that is less tall is scaled up for it.
    pub upscale: bool,
}

/// One quality for the whole title, with a rate ceiling where both numbers of the VBV are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// What the quality follows from.
    pub quality: Quality,
    /// VBV rate in kbit/s; of AV1 a ceiling that it may overshoot by a half for a while.
    pub maxrate_kbps: Option<u32>,
    /// VBV size in kbit; given if and only if the rate is, and never for AV1.
    pub bufsize_kbps: Option<u32>,
}

/// What the quality of a rendition follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quality {
    /// The encoder's rate factor in thousandths, 1000 to [`VideoCodec::max_crf`]; whole for AV1.
    Crf(u32),
    /// The mean rate of the coded frames of the title in kbit/s: the rate factor is the one that gives it.
    Bitrate(u32),
    /// The mean luma PSNR of the title's frames in thousandths of a decibel, one of [`Quality::PSNR_MDB`]: likewise.
    Psnr(u32),
    /// The mean luma SSIM of the title's frames in thousandths, one of [`Quality::SSIM_MILLI`]: likewise.
    Ssim(u32),
    /// The mean VMAF of the title's frames in thousandths, one of [`Quality::VMAF_MILLI`]: likewise.
    Vmaf(u32),
}

impl Quality {
    /// What may be asked of PSNR: below it nothing is to be seen, above it nothing is better.
    pub const PSNR_MDB: RangeInclusive<u32> = 20_000..=60_000;
    /// What may be asked of SSIM, likewise.
    pub const SSIM_MILLI: RangeInclusive<u32> = 500..=999;
    /// What may be asked of VMAF, of which 100 is the most.
    pub const VMAF_MILLI: RangeInclusive<u32> = 20_000..=99_000;
}

/// What is delivered; at least one of `hls`, `dash` and `mp4` is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// CMAF segments with HLS playlists.
    pub hls: bool,
    /// The same segments with a DASH manifest.
    pub dash: bool,
    /// The first picture of each segment once more in a file for each rendition, which players wind through; only where there
    /// are segments.
    pub trick_play: bool,
    /// One MP4 file for each rendition, with the first audio track.
    pub mp4: bool,
    /// HLS playlists that grow while the title is encoded, so that it can be watched before it is whole; only with `hls`.
    pub preview: bool,
    /// Subtitles and captions as IMSC 1 Text as well as WebVTT; only where there are segments.
    pub imsc1: bool,
    /// All segments of a rendition, track or IMSC 1 text in one file, of which players ask for byte ranges; only where there are
    /// segments.
    pub byte_ranges: bool,
    /// Each audio track as one file by itself.
    pub audio_files: bool,
    /// The H.264 renditions once more in segments of MPEG-2 transport streams with HLS playlists, with the first AAC track of at most
    /// two channels, for devices that know nothing else.
    pub ts: bool,
}

impl Package {
    /// Whether there are CMAF segments.
    pub fn segments(self) -> bool {
        self.hls || self.dash
    }

    /// Whether transport streams have a rendition.
    pub fn ts_rendition(self, rendition: &Rendition) -> bool {
        self.ts && rendition.coding.codec() == VideoCodec::H264
    }

    /// Whether transport streams can have a track.
    pub fn ts_track(self, track: &AudioTrack) -> bool {
        self.ts && track.codec == AudioCodec::Aac && track.channels <= 2
    }

    /// Whether each text is a file by itself: beside single files, and for DASH, which knows WebVTT in no other way.
    pub fn text_files(self) -> bool {
        self.mp4 || self.dash
    }
}
