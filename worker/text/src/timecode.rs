//! Timecodes of SMPTE ST 12-1 as numbers of frames.

/// Hours, minutes, seconds and frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timecode(pub(crate) [i64; 4]);

impl Timecode {
    /// The frame it names, counted from zero. Drop-frame timecodes leave out the first two names of every minute that
    /// is no multiple of ten.
    pub(crate) fn frame(self, frames_a_second: i64, drop: bool) -> i64 {
        let Timecode([hours, minutes, seconds, frames]) = self;
        let minutes = hours * 60 + minutes;
        let dropped = if drop { 2 * (minutes - minutes / 10) } else { 0 };
        (minutes * 60 + seconds) * frames_a_second + frames - dropped
    }
}
