//! Edit decision lists: which frames of which mezzanines a title is made of, in which order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Rational, SourceIdentity};

/// What a title is made of, event by event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// The mezzanines beside the job's own, which is source 0: source n is entry n - 1.
    pub sources: Vec<EditSource>,
    /// In the order of the title; at least one.
    pub events: Vec<EditEvent>,
    /// Logos, each laid over those before it.
    pub overlays: Vec<EditOverlay>,
}

/// A mezzanine beside the job's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditSource {
    /// What events and messages call it.
    pub name: String,
    /// Path or URL.
    pub location: String,
    /// The version that the submitter has seen.
    pub identity: Option<SourceIdentity>,
}

/// A run of frames of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EditEvent {
    /// 0 for the job's own mezzanine, n for entry n - 1 of the sources.
    pub source: u32,
    /// Its first frame; that of the source where `None`.
    pub start: Option<EditTime>,
    /// The frame after its last; the end of the source where `None`.
    pub end: Option<EditTime>,
}

/// A logo over frames of the title. Places and sizes are in millionths of the picture as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditOverlay {
    /// Path or URL of a PNG.
    pub location: String,
    /// The version that the submitter has seen.
    pub identity: Option<SourceIdentity>,
    /// The first frame of the title that has it; the first of all where `None`. Timecodes count from `00:00:00:00`.
    pub start: Option<EditTime>,
    /// The frame after the last that has it; the end of the title where `None`.
    pub end: Option<EditTime>,
    /// Its left edge, of the picture's width.
    pub x_ppm: u32,
    /// Its upper edge, of the picture's height.
    pub y_ppm: u32,
    /// Its width, of the picture's; its height follows from its own shape.
    pub width_ppm: u32,
    /// How much of what is below it hides where it is opaque itself.
    pub opacity_ppm: u32,
}

/// A frame of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditTime {
    /// By its number in the source, from 0.
    Frame(u64),
    /// By its timecode: that of the source's timecode track; without one the first frame has `00:00:00:00`.
    Timecode(Timecode),
    /// The one that begins nearest to so many milliseconds from the source's beginning.
    Milliseconds(u64),
}

/// `HH:MM:SS:FF`, or `HH:MM:SS;FF` where frame numbers are dropped (SMPTE ST 12-1, 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timecode {
    /// Below 24.
    pub hours: u8,
    /// Below 60.
    pub minutes: u8,
    /// Below 60.
    pub seconds: u8,
    /// Below the frames of a second.
    pub frames: u8,
    /// Whether it is written as one that drops frame numbers.
    pub drop: bool,
}

/// A run of frames of a source, found: `[start, end)` at the title's frame rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpan {
    /// As in [`EditEvent::source`].
    pub source: u32,
    /// Its first frame.
    pub start: u64,
    /// The frame after its last; above `start`.
    pub end: u64,
}

impl SourceSpan {
    /// How many frames it has.
    pub fn frames(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// Why something is no edit of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Nothing would be left.
    #[error("an edit has 1 to {} events, or overlays alone", Edit::MAX_EVENTS)]
    Events,
    /// More mezzanines than a job may have.
    #[error("an edit has at most {} sources beside the mezzanine", Edit::MAX_SOURCES)]
    Sources,
    /// A name that cannot be told from others.
    #[error(
        "`{0}` is no name of a source: use 1 to 64 letters, digits, `-` and `_`, each name once, and not `mezzanine`"
    )]
    Name(String),
    /// Its place is empty or too long.
    #[error(
        "source `{name}` is named in 1 to {} bytes, its version in as many at most",
        Edit::MAX_LOCATION_BYTES
    )]
    Location {
        /// What it is called.
        name: String,
    },
    /// An event names a source that is not listed.
    #[error("event {event} is of source {source_number}, and there are {sources} beside the mezzanine")]
    NoSource {
        /// Number of the event, from 1.
        event: usize,
        /// What it names.
        source_number: u32,
        /// How many there are.
        sources: usize,
    },
    /// A source of which nothing is shown.
    #[error("no event is of source `{0}`: leave it out")]
    Unused(String),
    /// More logos than a job may have.
    #[error("an edit has at most {} overlays", Edit::MAX_OVERLAYS)]
    Overlays,
    /// A logo that nobody could see, or that does not fit.
    #[error(
        "overlay {0} lies outside of the picture: `x`, `y`, `width` and `opacity` go from 0 to 1, and so does `x` with `width`; width and opacity are above 0"
    )]
    Place(usize),
    /// Its place is empty or too long.
    #[error(
        "the image of overlay {overlay} is named in 1 to {} bytes, its version in as many at most",
        Edit::MAX_LOCATION_BYTES
    )]
    Image {
        /// Its number, from 1.
        overlay: usize,
    },
    /// Not a frame of a source.
    #[error(
        "`{0}` is no time: write a timecode such as 01:00:10:00, a time such as 00:00:10.500, or the number of a frame"
    )]
    Time(String),
}

impl Edit {
    /// What a worker that edits names among its codecs.
    pub const CODEC: &str = "edit";
    /// Most events: a title that is cut every five seconds for more than an hour.
    pub const MAX_EVENTS: usize = 1000;
    /// Most mezzanines beside the job's own.
    pub const MAX_SOURCES: usize = 32;
    /// Most logos.
    pub const MAX_OVERLAYS: usize = 16;
    /// Longest path or URL.
    pub const MAX_LOCATION_BYTES: usize = 4096;
    /// What events call the job's own mezzanine.
    pub const MEZZANINE: &str = "mezzanine";

    /// What source `number` is called.
    pub fn source_name(&self, number: u32) -> &str {
        let source = (number as usize).checked_sub(1).and_then(|at| self.sources.get(at));
        source.map_or(Self::MEZZANINE, |source| &source.name)
    }

    /// Whether this may be the edit of a job.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), EditError> {
        if !(1..=Self::MAX_EVENTS).contains(&self.events.len()) {
            return Err(EditError::Events);
        }
        if self.sources.len() > Self::MAX_SOURCES {
            return Err(EditError::Sources);
        }
        for (number, source) in self.sources.iter().enumerate() {
            let known = self.sources[..number].iter().any(|other| other.name == source.name);
            if known || !is_name(&source.name) {
                return Err(EditError::Name(source.name.clone()));
            }
            if !is_place(&source.location, source.identity.as_ref()) {
                return Err(EditError::Location { name: source.name.clone() });
            }
            if !self.events.iter().any(|event| event.source as usize == number + 1) {
                return Err(EditError::Unused(source.name.clone()));
            }
        }
        if self.overlays.len() > Self::MAX_OVERLAYS {
            return Err(EditError::Overlays);
        }
        for (overlay, found) in (1..).zip(&self.overlays) {
            if !is_place(&found.location, found.identity.as_ref()) {
                return Err(EditError::Image { overlay });
            }
            let whole = 0..=1_000_000;
            let seen = found.width_ppm > 0 && found.opacity_ppm > 0;
            let inside = [found.x_ppm.saturating_add(found.width_ppm), found.y_ppm, found.opacity_ppm];
            if !seen || !inside.iter().all(|ppm| whole.contains(ppm)) {
                return Err(EditError::Place(overlay));
            }
        }
        let sources = self.sources.len();
        match (1..).zip(&self.events).find(|(_, event)| event.source as usize > sources) {
            Some((event, found)) => Err(EditError::NoSource { event, source_number: found.source, sources }),
            None => Ok(()),
        }
    }
}

fn is_place(location: &str, identity: Option<&SourceIdentity>) -> bool {
    let tag = identity.and_then(|identity| identity.etag.as_ref()).map_or(0, String::len);
    (1..=Edit::MAX_LOCATION_BYTES).contains(&location.len()) && tag <= Edit::MAX_LOCATION_BYTES
}

fn is_name(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    letters && (1..=64).contains(&name.len()) && name != Edit::MEZZANINE
}

impl EditTime {
    /// The number of the frame that is meant, at the title's `rate` frames a second, of a source of `own` frames a second
    /// whose first frame has the timecode `first`; `None` where it names no frame of such a source, lies before its first,
    /// or beyond what can be counted.
    pub fn frame(self, rate: Rational, own: Rational, first: Option<Timecode>) -> Option<u64> {
        let seconds = match self {
            EditTime::Milliseconds(ms) => Rational::from_millis(i64::try_from(ms).ok()?),
            EditTime::Frame(frame) => Rational::whole(i64::try_from(frame).ok()?).checked_div(own)?,
            EditTime::Timecode(timecode) => {
                if first.is_some_and(|first| first.drop != timecode.drop) {
                    return None;
                }
                let first = first.map_or(Some(0), |first| first.number(own))?;
                let frame = timecode.number(own)?.checked_sub(first)?;
                Rational::whole(i64::try_from(frame).ok()?).checked_div(own)?
            }
        };
        u64::try_from(seconds.checked_mul(rate)?.round()).ok()
    }
}

impl Timecode {
    /// The number of its frame, counted from `00:00:00:00`, at `rate` frames a second; `None` where it names no frame.
    ///
    /// Dropped are the first two numbers of each minute, of 59.94 frames a second the first four, but for each tenth minute.
    pub fn number(self, rate: Rational) -> Option<u64> {
        let in_second = u64::try_from(rate.round()).ok().filter(|count| *count > u64::from(self.frames))?;
        let minutes = u64::from(self.hours) * 60 + u64::from(self.minutes);
        let counted = (minutes * 60 + u64::from(self.seconds)) * in_second + u64::from(self.frames);
        if !self.drop {
            return Some(counted);
        }
        if !in_second.is_multiple_of(30) || rate.den() == 1 {
            return None;
        }
        let dropped = in_second / 15;
        let skipped = self.seconds == 0 && !self.minutes.is_multiple_of(10);
        (!skipped || u64::from(self.frames) >= dropped).then(|| counted - dropped * (minutes - minutes / 10))
    }
}

impl fmt::Display for Timecode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timecode { hours, minutes, seconds, frames, drop } = self;
        let mark = if *drop { ';' } else { ':' };
        write!(f, "{hours:02}:{minutes:02}:{seconds:02}{mark}{frames:02}")
    }
}

impl FromStr for Timecode {
    type Err = EditError;

    fn from_str(text: &str) -> Result<Self, EditError> {
        let wrong = || EditError::Time(text.to_owned());
        let (time, frames, drop) = match text.rsplit_once(';') {
            Some((time, frames)) => (time, frames, true),
            None => text.rsplit_once(':').map(|(time, frames)| (time, frames, false)).ok_or_else(wrong)?,
        };
        let (hours, minutes, seconds) = clock(time).ok_or_else(wrong)?;
        let frames = two_digits(frames).filter(|frames| *frames < 120).ok_or_else(wrong)?;
        Ok(Timecode { hours, minutes, seconds, frames, drop })
    }
}

/// `HH:MM:SS` of one day.
fn clock(text: &str) -> Option<(u8, u8, u8)> {
    let parts: Vec<u8> = text.split(':').map(two_digits).collect::<Option<_>>()?;
    let [hours @ 0..24, minutes @ 0..60, seconds @ 0..60] = parts[..] else { return None };
    Some((hours, minutes, seconds))
}

fn two_digits(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

impl fmt::Display for EditTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditTime::Frame(frame) => write!(f, "{frame}"),
            EditTime::Timecode(timecode) => timecode.fmt(f),
            EditTime::Milliseconds(ms) => {
                let (seconds, ms) = (ms / 1000, ms % 1000);
                let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
                write!(f, "{hours:02}:{minutes:02}:{:02}.{ms:03}", seconds % 60)
            }
        }
    }
}

impl FromStr for EditTime {
    type Err = EditError;

    /// Reads the number of a frame, a timecode, or `HH:MM:SS.mmm`.
    fn from_str(text: &str) -> Result<Self, EditError> {
        let wrong = || EditError::Time(text.to_owned());
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(EditTime::Frame).map_err(|_| wrong());
        }
        let Some((time, fraction)) = text.split_once('.') else {
            return text.parse().map(EditTime::Timecode);
        };
        let (hours, minutes, seconds) = clock(time).ok_or_else(wrong)?;
        let thousandths =
            (1..=3).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
        let ms: u64 = format!("{fraction:0<3}").parse().ok().filter(|_| thousandths).ok_or_else(wrong)?;
        let seconds = (u64::from(hours) * 60 + u64::from(minutes)) * 60 + u64::from(seconds);
        Ok(EditTime::Milliseconds(seconds * 1000 + ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(num: i64, den: i64) -> Rational {
        Rational::new(num, den).unwrap()
    }

    #[test]
    fn times_are_read_as_they_are_typed() {
        let timecode = |drop| Timecode { hours: 1, minutes: 2, seconds: 3, frames: 4, drop };
        for (text, time) in [
            ("0", EditTime::Frame(0)),
            ("1440", EditTime::Frame(1440)),
            ("01:02:03:04", EditTime::Timecode(timecode(false))),
            ("01:02:03;04", EditTime::Timecode(timecode(true))),
            ("00:01:02.500", EditTime::Milliseconds(62_500)),
        ] {
            assert_eq!(text.parse(), Ok(time));
            assert_eq!(time.to_string(), text);
        }
        assert_eq!("00:00:01.5".parse(), Ok(EditTime::Milliseconds(1500)));
        for wrong in [
            "",
            "-1",
            "1.5",
            "00:00:10",
            "24:00:00:00",
            "00:60:00:00",
            "1:00:00:00",
            "00:00:00:+1",
            "00:00:01.",
        ] {
            assert!(wrong.parse::<EditTime>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_timecode_counts_from_that_of_the_first_frame() {
        let frame = |text: &str, rate, first: Option<&str>| {
            text.parse::<EditTime>().unwrap().frame(rate, rate, first.map(|first| first.parse().unwrap()))
        };
        assert_eq!(frame("00:00:10:05", rate(24, 1), None), Some(245));
        assert_eq!(frame("01:00:10:05", rate(24_000, 1001), Some("01:00:00:00")), Some(245));
        assert_eq!(frame("00:59:59:23", rate(24, 1), Some("01:00:00:00")), None);
        assert_eq!(frame("00:00:00:24", rate(24, 1), None), None);
        assert_eq!(frame("00:00:10.021", rate(24, 1), Some("01:00:00:00")), Some(241));
        // Drop-frame counting is another count: who mixes them up is told so.
        assert_eq!(frame("01:00:10:00", rate(30_000, 1001), Some("01:00:00;00")), None);
        assert_eq!(frame("01:00:10;00", rate(30_000, 1001), Some("01:00:00;00")), Some(300));
    }

    #[test]
    fn frames_and_timecodes_are_those_of_the_source_at_its_own_rate() {
        let frame = |text: &str| text.parse::<EditTime>().unwrap().frame(rate(24, 1), rate(25, 1), None);
        assert_eq!([frame("50"), frame("00:00:02:00"), frame("00:00:02.000")], [Some(48); 3]);
        assert_eq!(frame("00:00:01:24"), Some(47));
    }

    #[test]
    fn dropped_numbers_are_not_counted() {
        let number = |text: &str, rate| text.parse::<Timecode>().unwrap().number(rate);
        let ntsc = rate(30_000, 1001);
        assert_eq!(number("00:00:59;29", ntsc), Some(1799));
        assert_eq!(number("00:01:00;02", ntsc), Some(1800));
        assert_eq!(number("00:10:00;00", ntsc), Some(17_982));
        assert_eq!(number("01:00:00;00", ntsc), Some(107_892));
        assert_eq!(number("00:01:00;01", ntsc), None);
        assert_eq!(number("00:01:00;04", rate(60_000, 1001)), Some(3600));
        assert_eq!(number("00:01:00;02", rate(25, 1)), None);
    }

    #[test]
    fn impossible_edits_are_refused() {
        let event = |source| EditEvent { source, ..EditEvent::default() };
        let source =
            |name: &str| EditSource { name: name.to_owned(), location: "a.mov".to_owned(), identity: None };
        let edit = |sources: &[&str], events: &[u32]| Edit {
            sources: sources.iter().map(|name| source(name)).collect(),
            events: events.iter().map(|number| event(*number)).collect(),
            overlays: Vec::new(),
        };
        assert_eq!(edit(&["slate"], &[1, 0]).check(), Ok(()));
        assert_eq!(edit(&[], &[]).check(), Err(EditError::Events));
        assert_eq!(edit(&[], &vec![0; 1001]).check(), Err(EditError::Events));
        assert_eq!(edit(&["a"], &[0]).check(), Err(EditError::Unused("a".to_owned())));
        assert_eq!(edit(&["a", "a"], &[1, 2]).check(), Err(EditError::Name("a".to_owned())));
        assert_eq!(edit(&["mezzanine"], &[1]).check(), Err(EditError::Name("mezzanine".to_owned())));
        let missing = EditError::NoSource { event: 2, source_number: 1, sources: 0 };
        assert_eq!(edit(&[], &[0, 1]).check(), Err(missing));
        let with = |x_ppm, width_ppm, opacity_ppm| {
            let (location, identity, start, end) = ("a.png".to_owned(), None, None, None);
            let logo =
                EditOverlay { location, identity, start, end, x_ppm, y_ppm: 0, width_ppm, opacity_ppm };
            Edit { overlays: vec![logo], ..edit(&[], &[0]) }.check()
        };
        assert_eq!(with(900_000, 100_000, 1), Ok(()));
        for wrong in [with(900_000, 100_001, 1), with(0, 0, 1), with(0, 1, 0), with(0, 1, 1_000_001)] {
            assert_eq!(wrong, Err(EditError::Place(1)));
        }
    }
}
