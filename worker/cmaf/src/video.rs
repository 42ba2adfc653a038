//! Decoder configurations of pictures, by the sample entry that they go into.

use reel_common::Colour;

use crate::{av1, avc, hevc};

/// The decoder configuration of a video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoConfig<'a> {
    /// AVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 5.3.3.1).
    Avc(&'a [u8]),
    /// HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 8.3.3.1).
    Hevc(&'a [u8]),
    /// AV1CodecConfigurationRecord (AV1 Codec ISO Media File Format Binding, section 2.3).
    Av1(&'a [u8]),
}

impl<'a> VideoConfig<'a> {
    /// The record.
    pub fn record(self) -> &'a [u8] {
        match self {
            VideoConfig::Avc(record) | VideoConfig::Hevc(record) | VideoConfig::Av1(record) => record,
        }
    }

    /// Type of the sample entry whose parameter sets are all in the record, and of the box that holds the record.
    pub(crate) fn boxes(self) -> (&'static [u8; 4], &'static [u8; 4]) {
        match self {
            VideoConfig::Avc(_) => (b"avc1", b"avcC"),
            VideoConfig::Hevc(_) => (b"hvc1", b"hvcC"),
            VideoConfig::Av1(_) => (b"av01", b"av1C"),
        }
    }

    /// Type of the sample entry that is a brand of its files as well.
    pub(crate) fn brand(self) -> &'static [u8; 4] {
        self.boxes().0
    }

    /// The colour description of the bitstream; `None` where it leaves it open.
    pub fn colour(self) -> Option<Colour> {
        match self {
            VideoConfig::Avc(record) => avc::colour(record),
            VideoConfig::Hevc(record) => hevc::colour(record),
            VideoConfig::Av1(record) => av1::colour(record),
        }
    }

    /// What RFC 6381 calls the codec; `None` where the record is malformed.
    pub fn codec_string(self) -> Option<String> {
        match self {
            VideoConfig::Avc(record) => avc::codec_string(record),
            VideoConfig::Hevc(record) => hevc::codec_string(record),
            VideoConfig::Av1(record) => av1::codec_string(record),
        }
    }
}
