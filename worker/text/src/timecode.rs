//! Timecodes of SMPTE ST 12-1 as numbers of frames, and what a file means by a time of day.

use reel_common::Rational;

/// Names of frames in a second of a timecode of video at 30000/1001 frames a second.
pub(crate) const FRAMES_A_SECOND: i64 = 30;

/// How the times of a file are to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// As they are.
    #[default]
    Real,
    /// They are names of frames. Of video at 30000/1001 frames a second an hour of them lasts 3.6 s longer, unless names are
    /// dropped.
    Timecode {
        /// Names of frames in a second.
        nominal: i64,
        /// Frames in a second.
        rate: Rational,
        /// Whether names are dropped.
        drop: bool,
    },
}

impl Clock {
    /// The time of the document, in milliseconds, that the file shows as `shown_ms` milliseconds after its midnight.
    pub fn document_ms(self, shown_ms: u64) -> u64 {
        let Clock::Timecode { nominal, rate, drop } = self else { return shown_ms };
        let shown = i64::try_from(shown_ms).unwrap_or(i64::MAX / 1000);
        let (seconds, frames) = (shown / 1000, shown % 1000 * nominal / 1000);
        let timecode = Timecode([seconds / 3600, seconds / 60 % 60, seconds % 60, frames]);
        let time = Rational::whole(timecode.frame(nominal, drop)).checked_div(rate);
        in_ms(time).unwrap_or(shown_ms)
    }

    /// What the file shows at a time of the document, roughly.
    pub fn shown_ms(self, document_ms: u64) -> u64 {
        match self {
            Clock::Timecode { nominal, rate, drop: false } => {
                let time = i64::try_from(document_ms).ok().map(Rational::from_millis);
                let frame = time.and_then(|time| time.checked_mul(rate)).map(Rational::round);
                in_ms(frame.and_then(|frame| Rational::new(frame, nominal))).unwrap_or(document_ms)
            }
            // Dropped names keep both together within a frame or two.
            Clock::Real | Clock::Timecode { drop: true, .. } => document_ms,
        }
    }
}

fn in_ms(seconds: Option<Rational>) -> Option<u64> {
    u64::try_from(seconds?.checked_mul(Rational::whole(1000))?.round()).ok()
}

/// The time of a frame, rounded: each lasts 1001/30 milliseconds.
pub(crate) fn frame_ms(frame: i64) -> u64 {
    u64::try_from((frame * 1001 + 15) / 30).unwrap_or_default()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_timecode_is_longer_unless_names_are_dropped() {
        let hour = 3_600_000;
        let timecode = |nominal, drop| Clock::Timecode {
            nominal,
            rate: Rational::new(nominal * 1000, 1001).unwrap(),
            drop,
        };
        assert_eq!(Clock::Real.document_ms(hour), hour);
        for nominal in [24, 30] {
            assert_eq!(timecode(nominal, false).document_ms(hour), 3_603_600);
            assert_eq!(timecode(nominal, false).shown_ms(3_603_600), hour);
        }
        assert_eq!(timecode(30, true).document_ms(hour), 3_599_996);
        assert_eq!(timecode(30, false).document_ms(1_500), 1_502);
        assert_eq!(timecode(30, true).shown_ms(3_599_996), 3_599_996);
        let film = Clock::Timecode { nominal: 25, rate: Rational::whole(25), drop: false };
        assert_eq!((film.document_ms(hour), film.shown_ms(hour)), (hour, hour));
    }
}
