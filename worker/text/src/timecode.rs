//! Timecodes of SMPTE ST 12-1 as numbers of frames, and what a file means by a time of day.

/// Names of frames in a second of a timecode of video at 30000/1001 frames a second.
pub(crate) const FRAMES_A_SECOND: i64 = 30;

/// How the times of a file are to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// As they are.
    #[default]
    Real,
    /// They are names of frames at 30000/1001 a second: without dropped names an hour of them lasts 3.6 s longer.
    Timecode {
        /// Whether names are dropped.
        drop: bool,
    },
}

impl Clock {
    /// The time of the document, in milliseconds, that the file shows as `shown_ms` milliseconds after its midnight.
    pub fn document_ms(self, shown_ms: u64) -> u64 {
        let Clock::Timecode { drop } = self else { return shown_ms };
        let shown = i64::try_from(shown_ms).unwrap_or(i64::MAX / FRAMES_A_SECOND);
        let (seconds, frames) = (shown / 1000, shown % 1000 * FRAMES_A_SECOND / 1000);
        let clock = Timecode([seconds / 3600, seconds / 60 % 60, seconds % 60, frames]);
        frame_ms(clock.frame(FRAMES_A_SECOND, drop))
    }

    /// What the file shows at a time of the document, roughly.
    pub fn shown_ms(self, document_ms: u64) -> u64 {
        match self {
            // Dropped names keep both together within a frame or two.
            Clock::Real | Clock::Timecode { drop: true } => document_ms,
            Clock::Timecode { drop: false } => document_ms / 1001 * 1000 + document_ms % 1001,
        }
    }
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
        assert_eq!(Clock::Real.document_ms(hour), hour);
        assert_eq!(Clock::Timecode { drop: false }.document_ms(hour), 3_603_600);
        assert_eq!(Clock::Timecode { drop: true }.document_ms(hour), 3_599_996);
        assert_eq!(Clock::Timecode { drop: false }.document_ms(1_500), 1_502);
        assert_eq!(Clock::Timecode { drop: false }.shown_ms(3_603_600), hour);
        assert_eq!(Clock::Timecode { drop: true }.shown_ms(3_599_996), 3_599_996);
    }
}
