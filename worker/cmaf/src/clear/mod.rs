//! Which bytes of a coded picture stay clear when it is encrypted: everything that comes before coded blocks (ISO/IEC
//! 23001-7, section 9.5.2; AV1 Codec ISO Media File Format Binding, section 4).
//!
//! Players derive these ranges from the bitstream again, so that a length may never be guessed: what cannot be read is an
//! error.

mod av1;
mod av1_frame;
mod avc;
mod hevc;
mod nal;

use crate::VideoConfig;

/// Bytes that lie one after the other in a sample: first clear ones, then coded blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Bytes that stay clear.
    pub clear: usize,
    /// Bytes of coded blocks; 0 where there are none.
    pub protected: usize,
}

/// Why the clear bytes of a sample are unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A header that contradicts itself, or ends too soon.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// A header that refers to one that is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A coding tool whose headers are not read.
    #[error("{0} cannot be encrypted")]
    Unsupported(&'static str),
}

/// What the headers of a track's pictures depend on. The headers of AV1 depend on earlier pictures: there it stands for
/// one place in a sequence that began with a key frame.
#[derive(Clone, Debug)]
pub struct Headers(Codec);

#[derive(Clone, Debug)]
enum Codec {
    Avc(avc::Headers),
    Hevc(hevc::Headers),
    Av1(Box<av1::Headers>),
}

impl Headers {
    /// Reads the decoder configuration of the track.
    pub fn new(config: VideoConfig<'_>) -> Result<Self, HeaderError> {
        Ok(Headers(match config {
            VideoConfig::Avc(record) => Codec::Avc(avc::Headers::new(record)?),
            VideoConfig::Hevc(record) => Codec::Hevc(hevc::Headers::new(record)?),
            VideoConfig::Av1(record) => Codec::Av1(Box::new(av1::Headers::new(record)?)),
        }))
    }

    /// The spans that the next sample in decode order consists of.
    pub fn spans(&mut self, sample: &[u8]) -> Result<Vec<Span>, HeaderError> {
        match &mut self.0 {
            Codec::Avc(headers) => headers.spans(sample),
            Codec::Hevc(headers) => headers.spans(sample),
            Codec::Av1(headers) => headers.spans(sample),
        }
    }
}
