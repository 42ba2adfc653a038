//! A title as its playlists and manifest describe it, and what was read of its media.

use std::collections::BTreeSet;
use std::rc::Rc;

use reel_common::Rational;

use crate::bmff::{Fragments, Track};
use crate::dash::Manifest;
use crate::finding::Findings;
use crate::hls::{Master, MediaPlaylist};
use crate::package::Place;
use crate::rule::PACKAGE_SIZE;

/// Most segments that all playlists and manifests of a package name: a title of ten hours in sixteen renditions of two seconds has
/// half of them in either.
const MAX_SEGMENTS: usize = 1 << 20;

/// How many more segments are looked at.
pub(crate) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Room(MAX_SEGMENTS)
    }
}

impl Room {
    /// How many more there may be.
    pub(crate) fn left(&self) -> usize {
        self.0
    }

    /// Takes the place of so many segments. Where there were as many as may be, what is beyond was not looked at, and that is found.
    pub(crate) fn take(&mut self, segments: usize, file: &str, findings: &mut Findings) {
        self.0 = self.0.saturating_sub(segments);
        if self.0 == 0 {
            findings.add(&PACKAGE_SIZE, file, "more");
        }
    }
}

/// All that is known of a package.
#[derive(Default)]
pub(crate) struct Title {
    pub(crate) masters: Vec<Master>,
    pub(crate) playlists: Vec<MediaPlaylist>,
    pub(crate) manifests: Vec<Manifest>,
    /// The files that something names.
    pub(crate) named: BTreeSet<String>,
    /// For segments that are read next.
    pub(crate) room: Room,
}

/// What a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Video,
    Audio,
    Text,
    Unknown,
}

/// A segment as it is described.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Where it lies; `None` where the file is not there.
    pub(crate) place: Option<Place>,
    /// When it begins, in seconds from the beginning of the stream.
    pub(crate) start: Rational,
    /// How long it lasts in seconds.
    pub(crate) duration: Rational,
    /// Where its header lies.
    pub(crate) init: Option<Place>,
    /// What was read of it; `None` of what is no fragmented MP4, or cannot be read.
    pub(crate) media: Option<Rc<Fragments>>,
    /// What was read of its header.
    pub(crate) track: Option<Rc<Track>>,
}

impl Segment {
    pub(crate) fn bytes(&self) -> u64 {
        self.place.as_ref().map_or(0, |place| place.length)
    }

    /// When it is presented, as its media say, behind the edit list; sound that is decoded and not heard is not counted.
    pub(crate) fn presented(&self) -> Option<(Rational, Rational)> {
        let (media, track) = (self.media.as_ref()?, self.track.as_ref()?);
        let at =
            |ticks: i64| crate::time::seconds(ticks.saturating_sub(track.edit_start).max(0), track.timescale);
        Some((at(media.earliest), at(media.latest)))
    }

    /// How long it is in decode time.
    pub(crate) fn decoded(&self) -> Option<Rational> {
        let (media, track) = (self.media.as_ref()?, self.track.as_ref()?);
        Some(crate::time::seconds(media.end.saturating_sub(media.start), track.timescale))
    }

    /// The longest of its samples in seconds.
    pub(crate) fn longest_sample(&self) -> Option<Rational> {
        let (media, track) = (self.media.as_ref()?, self.track.as_ref()?);
        Some(crate::time::seconds(media.longest_sample.into(), track.timescale))
    }
}

/// Segments one behind the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    pub(crate) segments: Vec<Segment>,
}

impl Stream {
    /// Seconds of all segments, as they are described.
    pub(crate) fn duration(&self) -> Rational {
        self.segments.last().map_or(Rational::ZERO, |last| crate::time::add(last.start, last.duration))
    }

    /// The header of its first segment.
    pub(crate) fn track(&self) -> Option<&Track> {
        self.segments.iter().find_map(|segment| segment.track.as_deref())
    }

    /// What its media are.
    pub(crate) fn kind(&self) -> Kind {
        self.track().map_or(Kind::Unknown, |track| track.kind)
    }

    /// The end of its last segment, as its media say.
    pub(crate) fn presented_end(&self) -> Option<Rational> {
        Some(self.segments.last()?.presented()?.1)
    }

    /// The longest sample of all.
    pub(crate) fn longest_sample(&self) -> Rational {
        self.segments.iter().filter_map(Segment::longest_sample).max().unwrap_or(Rational::ZERO)
    }

    /// Seconds and bytes of each segment.
    pub(crate) fn sizes(&self) -> Vec<(Rational, u64)> {
        self.segments.iter().map(|segment| (segment.duration, segment.bytes())).collect()
    }

    /// Whether all of it could be measured.
    pub(crate) fn is_whole(&self) -> bool {
        !self.segments.is_empty() && self.segments.iter().all(|segment| segment.place.is_some())
    }
}
