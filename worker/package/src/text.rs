//! The formats in which a title has its subtitles and captions.

/// A format of segments of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// WebVTT, each segment a file of text.
    WebVtt,
    /// IMSC 1 Text in CMAF.
    Imsc1,
}

impl TextFormat {
    /// Its folder, and its group in the master playlist.
    pub fn name(self) -> &'static str {
        match self {
            TextFormat::WebVtt => "webvtt",
            TextFormat::Imsc1 => "imsc1",
        }
    }

    /// What RFC 6381 calls it, where a playlist has to say so.
    pub(crate) fn codec(self) -> Option<&'static str> {
        match self {
            TextFormat::WebVtt => None,
            TextFormat::Imsc1 => Some("stpp.ttml.im1t"),
        }
    }
}
