//! Profile schema, parser, validation and the catalog.
//!
//! A profile is the named recipe of a job. Its text is TOML; whatever is wrong in it is refused with file, line and
//! reason. Numbers that matter to media are exact: milli-integers and rationals, never floats.

mod admit;
pub mod catalog;
mod check;
pub mod destination;
mod images;
mod ladder;
mod level;
mod parse;
mod read;
mod text;
mod types;

pub use admit::{Admitted, Rejection, Stretch, TrackInput, TrackSource, Warning};
pub use images::{Images, ImagesError, Poster, ResolvedImages, title_ms};
pub use ladder::{LadderError, ResolvedRendition};
pub use level::Level;
pub use read::ProfileError;
pub use types::{
    Action, Admission, AudioCodec, AudioTrack, BitDepth, Coding, Crop, DamageRule, Demand, Destination,
    DestinationRule, Downmix, Encryption, EncryptionScheme, Fields, H264Profile, HDR_TRANSFERS,
    LicenceSystem, Loudness, Package, PackageFeature, PackageMeasure, PackageTrait, Picture, Preset, Profile,
    Quality, Rate, Rendition, Rule, SegmentStart, SourceChannel, Strictness, ToneMap, Tune, VideoCodec,
};
