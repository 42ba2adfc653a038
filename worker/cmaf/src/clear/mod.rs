//! Which bytes of a coded picture stay clear when it is encrypted: everything that comes before coded blocks (ISO/IEC
//! 23001-7, section 9.5.2; AV1 Codec ISO Media File Format Binding, section 4).
//!
//! Players derive these ranges from the bitstream again, so that a length may never be guessed: what cannot be read is an
//! error.

mod av1;
mod av1_frame;
mod avc;
mod hevc;
mod hevc_references;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A sample of NAL units or OBUs whose headers are of the kinds that are read, with any bytes behind them.
    fn units(kinds: &'static [u8]) -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
        let unit = (proptest::sample::select(kinds), proptest::collection::vec(any::<u8>(), 0..60));
        proptest::collection::vec(unit, 0..6)
    }

    fn nal_sample(units: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let unit = |(kind, bytes): &(u8, Vec<u8>)| {
            let length = (bytes.len() as u32 + 1).to_be_bytes();
            length.into_iter().chain([*kind]).chain(bytes.iter().copied()).collect::<Vec<_>>()
        };
        units.iter().flat_map(unit).collect()
    }

    fn check(config: VideoConfig<'_>, sample: &[u8]) -> Result<(), TestCaseError> {
        if let Ok(mut headers) = Headers::new(config)
            && let Ok(spans) = headers.spans(sample)
        {
            let bytes: usize = spans.iter().map(|span| span.clear + span.protected).sum();
            prop_assert_eq!(bytes, sample.len());
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_h264_makes_it_fail(units in units(&[0x65, 0x41, 0x01, 0x67, 0x68, 0x06]), any in any::<[u8; 9]>()) {
            let sample = nal_sample(&units);
            check(VideoConfig::Avc(&[1, 100, 0, 40, 0xff, 0xe0, 0]), &sample)?;
            check(VideoConfig::Avc(&any), &sample)?;
        }

        #[test]
        fn no_hevc_makes_it_fail(units in units(&[0x42, 0x44, 0x26, 0x02, 0x2a, 0x4e]), any in any::<[u8; 9]>()) {
            let sample = nal_sample(&units);
            let record: Vec<u8> = [0; 21].into_iter().chain([3, 0]).collect();
            check(VideoConfig::Hevc(&record), &sample)?;
            check(VideoConfig::Hevc(&[record.as_slice(), &any].concat()), &sample)?;
        }

        #[test]
        fn no_av1_makes_it_fail(units in units(&[0x0a, 0x1a, 0x22, 0x32, 0x36, 0x3a]), header in any::<[u8; 14]>()) {
            let obu = |(kind, bytes): &(u8, Vec<u8>)| [&[*kind, bytes.len() as u8], bytes.as_slice()].concat();
            let sample: Vec<u8> = units.iter().flat_map(obu).collect();
            check(VideoConfig::Av1(&[&[0x81, 0, 0, 0, 0x0a, 14], header.as_slice()].concat()), &sample)?;
            // A header as SVT-AV1 writes it, so that frames are read further.
            let real = [0x81, 0, 0x0c, 0, 0x0a, 0x0b, 0, 0, 0, 0x04, 0x45, 0x7e, 0x3e, 0xfd, 0xfc, 0xc0, 0x20];
            check(VideoConfig::Av1(&real), &sample)?;
        }
    }
}
