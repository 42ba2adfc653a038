//! Where packages go, and what is asked of them there.

use reel_common::Rational;

/// A destination: rules of its own beside those of the formats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its name, by which profiles and commands call it.
    pub name: String,
    /// What it is, in a line.
    pub title: String,
    /// Its rules, at least one.
    pub rules: Vec<DestinationRule>,
}

/// A rule of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationRule {
    /// What it is called: words with hyphens, unique in its destination.
    pub id: String,
    /// Whether a package that breaks it is not taken there.
    pub severity: Strictness,
    /// Document and section.
    pub source: String,
    /// What is wanted, in a line.
    pub message: String,
    /// Holds for titles that are longer than this alone.
    pub longer_than: Option<Rational>,
    /// What is asked.
    pub demand: Demand,
}

/// What a rule asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Every number of this kind is within bounds.
    Within {
        /// What is measured.
        measure: PackageMeasure,
        /// The least.
        least: Option<Rational>,
        /// The most.
        most: Option<Rational>,
    },
    /// Every word of this kind is one of these.
    OneOf {
        /// What is looked at.
        trait_of: PackageTrait,
        /// What it may be.
        words: Vec<String>,
    },
    /// Something is there, or is not.
    Has {
        /// What.
        feature: PackageFeature,
        /// Whether it must be there, or must not.
        present: bool,
    },
}

words! {
    /// How grave it is to break a rule of a destination.
    Strictness {
        /// The package is not taken.
        Error = "error",
        /// It is taken, and should be better.
        Warning = "warning",
    }
}

words! {
    /// Numbers of a package.
    PackageMeasure {
        /// Seconds of each segment of pictures but the last.
        SegmentSeconds = "segment_seconds",
        /// Seconds of each media playlist's target duration.
        TargetSeconds = "target_seconds",
        /// The longest time from keyframe to keyframe of each rendition, in seconds.
        KeyframeSeconds = "keyframe_seconds",
        /// The longest time from picture to picture of each file for winding, in seconds.
        WindingSeconds = "winding_seconds",
        /// Peak bit rate of each rendition of pictures, divided by its mean.
        PeakToAverage = "peak_to_average",
        /// Mean of the rendition of pictures with the lowest bit rate, in thousands of bits a second.
        LowestKbps = "lowest_kbps",
        /// Mean of the one with the highest.
        HighestKbps = "highest_kbps",
        /// Width of each rendition in samples.
        Width = "width",
        /// Its height.
        Height = "height",
        /// Its frames a second: the reciprocal of the shortest.
        FrameRate = "frame_rate",
        /// How many renditions of pictures there are.
        Renditions = "renditions",
        /// Samples a second of each track of sound.
        SampleRate = "sample_rate",
        /// Channels of each track of sound.
        Channels = "channels",
    }
}

words! {
    /// Words that describe a package.
    PackageTrait {
        /// Of each rendition: `h264`, `hevc`, `av1`, or the first part of its codec.
        VideoCodec = "video_codec",
        /// The four characters of its sample entry, such as `hvc1`.
        VideoEntry = "video_entry",
        /// Of each track of sound: `aac`, `ac3`, `eac3`, `opus`, `flac`, or the first part of its codec.
        AudioCodec = "audio_codec",
        /// Of each track: `clear`, `cenc` or `cbcs`.
        Encryption = "encryption",
        /// Of each segment of pictures: `fmp4`, or the ending of its file.
        Container = "container",
        /// Of each track of texts: `webvtt`, `stpp` or `wvtt`.
        TextFormat = "text_format",
    }
}

words! {
    /// What a package has or has not.
    PackageFeature {
        /// A multivariant playlist of HLS.
        Hls = "hls",
        /// A manifest of DASH.
        Dash = "dash",
        /// Sound in AAC with two channels.
        StereoAac = "stereo_aac",
        /// Texts of any format.
        Texts = "texts",
        /// Playlists of I-frames, in HLS.
        IframePlaylists = "iframe_playlists",
        /// Pictures for winding, as I-frames or as trick mode.
        TrickPlay = "trick_play",
        /// Thumbnails in a manifest.
        ThumbnailTiles = "thumbnail_tiles",
        /// EXT-X-INDEPENDENT-SEGMENTS in each multivariant playlist, or in all playlists of pictures.
        IndependentSegments = "independent_segments",
        /// CODECS of each variant and each playlist of I-frames.
        Codecs = "codecs",
        /// RESOLUTION, likewise.
        Resolution = "resolution",
        /// FRAME-RATE of each variant with pictures.
        FrameRates = "frame_rates",
        /// AVERAGE-BANDWIDTH of each variant.
        AverageBandwidth = "average_bandwidth",
        /// LANGUAGE of each EXT-X-MEDIA but those of pictures.
        Languages = "languages",
        /// An id of each AdaptationSet.
        SetIds = "set_ids",
        /// ContentProtection with pssh in a manifest for each set that is encrypted.
        LicenceHeaders = "licence_headers",
    }
}

impl Destination {
    /// Longest text of a destination's file.
    pub const MAX_TEXT_BYTES: usize = 64 * 1024;
    /// Most rules of one.
    pub const MAX_RULES: usize = 200;
}
