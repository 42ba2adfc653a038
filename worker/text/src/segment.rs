//! Cuts a document: the part that a title uses, and the cues of each segment.

use crate::document::joined;
use crate::{Cue, Document};

/// The cues that are shown in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins, in milliseconds.
    pub start_ms: u64,
    /// Where it ends, in milliseconds.
    pub end_ms: u64,
    /// With their own times, also where they reach out of the segment: as a segment of WebVTT repeats them
    /// (RFC 8216bis, section 3.1.4).
    pub cues: Vec<Cue>,
}

impl Segment {
    /// The cues with their times cut to the segment, as a sample of IMSC 1 holds them: a document of a sample is
    /// active only within it (ISO/IEC 14496-30). Cues that are the same for the segment but in their lines are one.
    pub fn clipped(&self) -> Vec<Cue> {
        let cut = |cue: &Cue| Cue {
            start_ms: cue.start_ms.max(self.start_ms),
            end_ms: cue.end_ms.min(self.end_ms),
            ..cue.clone()
        };
        let mut cues: Vec<Cue> = self.cues.iter().map(cut).collect();
        cues.sort_by_key(|cue| (cue.start_ms, cue.end_ms));
        joined(cues)
    }
}

/// The segments that end at these times, the first beginning at zero; a cue is in each that shows it. A cue past the
/// last end is in none. One segment is made at a time: a long cue in many segments takes no more memory.
pub fn segments(document: &Document, ends_ms: &[u64]) -> impl Iterator<Item = Segment> {
    let starts = std::iter::once(0).chain(ends_ms.iter().copied());
    starts.zip(ends_ms).map(|(start_ms, &end_ms)| {
        // Sorted by start: what begins after the segment is not looked at.
        let begun = document.cues.partition_point(|cue| cue.start_ms < end_ms);
        let cues = document.cues[..begun].iter().filter(|cue| cue.end_ms > start_ms).cloned().collect();
        Segment { start_ms, end_ms, cues }
    })
}

/// A run of what a document goes with, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it begins and ends in the document.
    pub start_ms: u64,
    /// Above `start_ms`.
    pub end_ms: u64,
    /// When it begins in what is made of the runs.
    pub new_ms: u64,
}

/// What a document becomes when what it goes with is made of runs of it. A cue that is cut through stands in both runs.
pub fn edited(document: &Document, runs: &[Run]) -> Document {
    let cues_of = |&Run { start_ms, end_ms, new_ms }: &Run| {
        let moved = move |ms: u64| ms.clamp(start_ms, end_ms) - start_ms + new_ms;
        let shown = document.cues.iter().filter(move |cue| cue.start_ms < end_ms && cue.end_ms > start_ms);
        shown.map(move |cue| Cue { start_ms: moved(cue.start_ms), end_ms: moved(cue.end_ms), ..cue.clone() })
    };
    let mut cues: Vec<Cue> = runs.iter().flat_map(cues_of).collect();
    cues.sort_by_key(|cue| (cue.start_ms, cue.end_ms));
    Document { cues, ..document.clone() }
}

/// The part of a document from `origin_ms` on, which becomes time zero, and of that length. A negative origin moves
/// everything to later. Cues outside are gone, and may be all of them.
pub fn clip(mut document: Document, origin_ms: i64, duration_ms: u64) -> Document {
    let moved = |ms: u64| {
        let ms = i128::from(ms) - i128::from(origin_ms);
        u64::try_from(ms.max(0)).unwrap_or(u64::MAX).min(duration_ms)
    };
    document.cues.retain_mut(|cue| {
        (cue.start_ms, cue.end_ms) = (moved(cue.start_ms), moved(cue.end_ms));
        cue.start_ms < cue.end_ms
    });
    // Cues that were cut at time zero now begin together.
    document.cues.sort_by_key(|cue| (cue.start_ms, cue.end_ms));
    document
}
