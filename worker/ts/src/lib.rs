//! MPEG-2 transport streams (ISO/IEC 13818-1) of one program: H.264 and, where there is sound, AAC in ADTS frames.
//!
//! A title is one stream, cut into segments that each begin with PAT, PMT and an IDR picture. [`Muxer`] writes it segment by segment,
//! [`Reader`] takes segments apart again and holds them against the standard. Nothing is read or written here but memory.

mod adts;
mod avc;
mod mux;
mod packet;
mod read;

use reel_common::{Rational, Rounding, rescale};

pub use adts::Adts;
pub use avc::{AccessUnit, ParameterSets};
pub use mux::{Muxer, Picture, SoundFrame};
pub use read::{ReadError, Reader, Segment, Unit};

/// Ticks a second of all timestamps.
pub const CLOCK: u32 = 90_000;
/// The timestamp of the title's beginning, 10 s: what is decoded earlier, and the priming of sound, lies before it.
pub const ORIGIN: i64 = 10 * CLOCK as i64;
/// How long before its decoding begins a picture or sound arrives: program clock references are that much earlier. It is more than
/// the sound of one packet lasts, and less than the second for which a decoder has to hold anything (section 2.4.2.6).
const LEAD: i64 = CLOCK as i64 / 5;
/// The longest time between program clock references, 100 ms (section 2.7.2).
const PCR_PERIOD: i64 = CLOCK as i64 / 10;
/// Timestamps have 33 bits and begin again.
const TIMESTAMP_MASK: i64 = (1 << 33) - 1;

/// The timestamp of a time on a title's timeline, in ticks from its beginning, rounded to the nearest.
pub fn timestamp(ticks: i64, timescale: u32) -> i64 {
    let second = |ticks: u32| Rational::new(1, ticks.max(1).into()).unwrap_or(Rational::whole(1));
    rescale(ticks, second(timescale), second(CLOCK), Rounding::Nearest) + ORIGIN
}

/// The same as the stream has it.
pub fn wrapped(timestamp: i64) -> i64 {
    timestamp & TIMESTAMP_MASK
}

/// What does not go into a transport stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TsError {
    /// A configuration that is malformed, or whose lengths are not of four bytes.
    #[error("the H.264 decoder configuration is none with lengths of four bytes")]
    VideoConfig,
    /// A configuration that ADTS headers cannot say.
    #[error("the AAC decoder configuration is not one that ADTS frames can have")]
    SoundConfig,
    /// A sample that is not a run of units, or has parameter sets or delimiters of its own.
    #[error("a picture is not a run of NAL units without parameter sets and delimiters")]
    Picture,
    /// A segment without pictures, or one that does not begin with a picture that depends on no other.
    #[error("a segment does not begin with a picture that depends on no other")]
    Start,
    /// A frame of sound that is longer than an ADTS frame, or a run of them longer than a packet.
    #[error("a frame of sound is too large")]
    SoundFrame,
}
