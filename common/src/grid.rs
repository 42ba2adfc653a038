//! Where a title is cut: segments (output GOPs), and the parts that are whole runs of them.
//!
//! Every cut follows from the frame count, the frame rate or times, and the profile alone.

use crate::{PartIndex, SourceSpan};

/// The first frames of the segments of a title, and how many segments make a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentGrid {
    frames: u64,
    segments_per_part: u32,
    cuts: Cuts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cuts {
    /// Constant frame rate: every segment has this many frames, but for the last.
    Regular { segment_frames: u32 },
    /// Variable frame rate: the first frame of each segment, from 0, ascending.
    Listed { starts: Vec<u64> },
    /// An edited title: likewise, and the first segment of each part.
    Edited { starts: Vec<u64>, parts: Vec<u64> },
}

/// One part: a run of whole segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartSpec {
    /// Its place in the title.
    pub index: PartIndex,
    /// The first frame of each of its segments; the first entry is the part's first frame.
    pub segment_starts: Vec<u64>,
    /// The frame after its last.
    pub end: u64,
    /// The number of its first segment in the title, from 0.
    pub first_segment: u64,
}

impl PartSpec {
    /// The part's first frame.
    pub fn start(&self) -> u64 {
        self.segment_starts[0]
    }

    /// How many frames it has.
    pub fn frames(&self) -> u64 {
        self.end - self.start()
    }

    /// The frames of each segment, as `[start, end)`.
    pub fn segments(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let ends = self.segment_starts[1..].iter().copied().chain([self.end]);
        self.segment_starts.iter().copied().zip(ends)
    }
}

/// A grid that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// There is nothing to cut.
    #[error("the title has no frames")]
    NoFrames,
    /// A segment or part of nothing.
    #[error("segments and parts have at least one frame")]
    EmptySegment,
    /// The listed starts do not begin at 0, do not ascend, or pass the end.
    #[error("segment starts must begin at 0, ascend, and stay below the number of frames")]
    Disorder,
    /// The listed first segments of parts do not begin at 0, do not ascend, or pass the end.
    #[error("the first segments of parts must begin at 0, ascend, and stay below the number of segments")]
    PartDisorder,
    /// More parts than a part number can count.
    #[error("the title has more than 4,294,967,295 parts: use longer parts")]
    TooMany,
}

impl SegmentGrid {
    /// A grid of equal segments, for a constant frame rate. A tail shorter than half a segment joins the one before.
    pub fn regular(frames: u64, segment_frames: u32, segments_per_part: u32) -> Result<Self, GridError> {
        if segment_frames == 0 {
            return Err(GridError::EmptySegment);
        }
        Self { frames, segments_per_part, cuts: Cuts::Regular { segment_frames } }.checked()
    }

    /// A grid with the given first frames of segments, for a variable frame rate.
    pub fn listed(frames: u64, starts: Vec<u64>, segments_per_part: u32) -> Result<Self, GridError> {
        check_starts(frames, &starts)?;
        Self { frames, segments_per_part, cuts: Cuts::Listed { starts } }.checked()
    }

    /// A grid with the given first frames of segments and first segments of parts, for an edited title.
    pub fn edited(
        frames: u64,
        starts: Vec<u64>,
        parts: Vec<u64>,
        segments_per_part: u32,
    ) -> Result<Self, GridError> {
        check_starts(frames, &starts)?;
        let ascending = parts.windows(2).all(|pair| pair[0] < pair[1]);
        if parts.first() != Some(&0) || !ascending || parts.last() >= Some(&(starts.len() as u64)) {
            return Err(GridError::PartDisorder);
        }
        Self { frames, segments_per_part, cuts: Cuts::Edited { starts, parts } }.checked()
    }

    /// The grid of a title that is made of spans of sources. Each span is cut where the regular grid of its source is, so
    /// that moving a span, or cutting something out of it, leaves the segments and parts of the rest as they were. What is
    /// left at its beginning and end joins the segment beside it where it is shorter than half a segment.
    pub fn of_spans(
        spans: &[SourceSpan],
        segment_frames: u32,
        segments_per_part: u32,
    ) -> Result<Self, GridError> {
        let length = u64::from(segment_frames);
        if length == 0 || segments_per_part == 0 {
            return Err(GridError::EmptySegment);
        }
        let part_frames = length * u64::from(segments_per_part);
        let (mut title, mut starts, mut parts) = (0u64, Vec::new(), Vec::new());
        for span in spans {
            let mut begin = |frame: u64, part: bool| {
                if part {
                    parts.push(starts.len() as u64);
                }
                starts.push(title + (frame - span.start));
            };
            begin(span.start, true);
            let mut cut = (span.start / length + 1) * length;
            if (cut - span.start) * 2 < length {
                cut += length;
            }
            while cut < span.end && (span.end - cut) * 2 >= length {
                begin(cut, cut.is_multiple_of(part_frames));
                cut += length;
            }
            title = title.checked_add(span.frames()).ok_or(GridError::TooMany)?;
        }
        Self::edited(title, starts, parts, segments_per_part)
    }

    fn checked(self) -> Result<Self, GridError> {
        if self.frames == 0 {
            return Err(GridError::NoFrames);
        }
        if self.segments_per_part == 0 {
            return Err(GridError::EmptySegment);
        }
        u32::try_from(self.count_parts()).map(|_| self).map_err(|_| GridError::TooMany)
    }

    fn count_parts(&self) -> u64 {
        match &self.cuts {
            Cuts::Edited { parts, .. } => parts.len() as u64,
            _ => self.segments().div_ceil(u64::from(self.segments_per_part)),
        }
    }

    /// How many frames the title has.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// How many segments make a part; of an edited title, at the most but for what joins one of them.
    pub fn segments_per_part(&self) -> u32 {
        self.segments_per_part
    }

    /// The length of a segment in frames, where all have the same.
    pub fn segment_frames(&self) -> Option<u32> {
        match self.cuts {
            Cuts::Regular { segment_frames } => Some(segment_frames),
            Cuts::Listed { .. } | Cuts::Edited { .. } => None,
        }
    }

    /// The listed first frames of segments; empty for a regular grid.
    pub fn listed_starts(&self) -> &[u64] {
        match &self.cuts {
            Cuts::Regular { .. } => &[],
            Cuts::Listed { starts } | Cuts::Edited { starts, .. } => starts,
        }
    }

    /// The listed first segments of parts; empty where all but the last have as many.
    pub fn listed_parts(&self) -> &[u64] {
        match &self.cuts {
            Cuts::Edited { parts, .. } => parts,
            Cuts::Regular { .. } | Cuts::Listed { .. } => &[],
        }
    }

    /// How many segments there are.
    pub fn segments(&self) -> u64 {
        match &self.cuts {
            Cuts::Regular { segment_frames } => {
                let length = u64::from(*segment_frames);
                let (whole, tail) = (self.frames / length, self.frames % length);
                (whole + u64::from(tail * 2 >= length)).max(1)
            }
            Cuts::Listed { starts } | Cuts::Edited { starts, .. } => starts.len() as u64,
        }
    }

    /// The first frame of segment `segment`, or the frame count for the number after the last.
    pub fn segment_start(&self, segment: u64) -> u64 {
        if segment >= self.segments() {
            return self.frames;
        }
        match &self.cuts {
            Cuts::Regular { segment_frames } => segment * u64::from(*segment_frames),
            Cuts::Listed { starts } | Cuts::Edited { starts, .. } => starts[segment as usize],
        }
    }

    /// How many parts there are. A last part of less than half a part's segments still stands by itself: parts
    /// are checkpoints, and only a segment's own length shows in the output.
    pub fn parts(&self) -> u32 {
        self.count_parts() as u32
    }

    /// The number of the first segment of part `part`, or the number of segments past the last.
    pub fn first_segment(&self, part: u32) -> u64 {
        match &self.cuts {
            Cuts::Edited { parts, .. } => {
                parts.get(part as usize).copied().unwrap_or_else(|| self.segments())
            }
            _ => (u64::from(part) * u64::from(self.segments_per_part)).min(self.segments()),
        }
    }

    /// Part `index`, or `None` past the last.
    pub fn part(&self, index: PartIndex) -> Option<PartSpec> {
        let first_segment = self.first_segment(index.0);
        let last_segment = self.first_segment(index.0.saturating_add(1));
        (first_segment < self.segments()).then(|| PartSpec {
            index,
            segment_starts: (first_segment..last_segment).map(|n| self.segment_start(n)).collect(),
            end: self.segment_start(last_segment),
            first_segment,
        })
    }
}

fn check_starts(frames: u64, starts: &[u64]) -> Result<(), GridError> {
    let ascending = starts.windows(2).all(|pair| pair[0] < pair[1]);
    match starts.first() == Some(&0) && ascending && starts.last() < Some(&frames) {
        true => Ok(()),
        false if frames == 0 => Err(GridError::NoFrames),
        false => Err(GridError::Disorder),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_tail_joins_the_segment_before() {
        for (frames, segments) in [(1, 1), (95, 1), (96, 1), (143, 1), (144, 2), (288, 3)] {
            assert_eq!(SegmentGrid::regular(frames, 96, 3).unwrap().segments(), segments, "{frames} frames");
        }
    }

    #[test]
    fn impossible_grids_are_refused() {
        assert_eq!(SegmentGrid::regular(0, 96, 3), Err(GridError::NoFrames));
        assert_eq!(SegmentGrid::regular(9, 0, 3), Err(GridError::EmptySegment));
        assert_eq!(SegmentGrid::regular(9, 9, 0), Err(GridError::EmptySegment));
        assert_eq!(SegmentGrid::listed(9, vec![0, 5, 5], 1), Err(GridError::Disorder));
        assert_eq!(SegmentGrid::listed(9, vec![1], 1), Err(GridError::Disorder));
        assert_eq!(SegmentGrid::listed(9, vec![0, 9], 1), Err(GridError::Disorder));
        assert_eq!(SegmentGrid::listed(9, vec![], 1), Err(GridError::Disorder));
        assert_eq!(SegmentGrid::edited(9, vec![0, 5], vec![0, 2], 1), Err(GridError::PartDisorder));
        assert_eq!(SegmentGrid::edited(9, vec![0, 5], vec![1], 1), Err(GridError::PartDisorder));
        assert_eq!(SegmentGrid::of_spans(&[], 96, 3), Err(GridError::NoFrames));
        assert_eq!(SegmentGrid::of_spans(&[], 0, 3), Err(GridError::EmptySegment));
    }

    fn span(start: u64, end: u64) -> SourceSpan {
        SourceSpan { source: 0, start, end }
    }

    /// The parts of a grid in frames of the source of each.
    fn parts_of_source(spans: &[SourceSpan]) -> Vec<(u64, Vec<u64>, u64)> {
        let grid = SegmentGrid::of_spans(spans, 48, 3).unwrap();
        let parts = (0..grid.parts()).map(|index| grid.part(PartIndex(index)).unwrap());
        let local = |part: PartSpec| {
            let mut title = 0;
            let holds = |span: &&SourceSpan| {
                title += span.frames();
                part.start() < title
            };
            let span = *spans.iter().find(holds).unwrap();
            let local = |frame: u64| frame + span.end - title;
            assert!(part.end <= title, "a part lies in two spans");
            (
                u64::from(span.source),
                part.segment_starts.iter().map(|at| local(*at)).collect(),
                local(part.end),
            )
        };
        parts.map(local).collect()
    }

    #[test]
    fn a_whole_source_is_cut_as_if_it_were_not_edited() {
        let regular = SegmentGrid::regular(1000, 48, 3).unwrap();
        let parts = (0..regular.parts()).map(|index| regular.part(PartIndex(index)).unwrap());
        let whole: Vec<_> = parts.map(|part| (0, part.segment_starts, part.end)).collect();
        assert_eq!(parts_of_source(&[span(0, 1000)]), whole);
        // A cut changes the parts that it touches, and a bumper in front none.
        let cut = parts_of_source(&[span(0, 312), span(500, 1000)]);
        let kept = |parts: &[(u64, Vec<u64>, u64)]| parts.iter().filter(|part| whole.contains(part)).count();
        assert_eq!((whole.len(), kept(&cut)), (7, 5));
        let bumper = SourceSpan { source: 1, start: 0, end: 70 };
        assert_eq!(kept(&parts_of_source(&[bumper, span(0, 1000)])), 7);
    }

    proptest! {
        #[test]
        fn spans_are_cut_into_parts_that_cover_every_frame_once(
            lengths in proptest::collection::vec((0u64..500, 1u64..700), 1..9), segment_frames in 1u32..200, per_part in 1u32..5
        ) {
            let spans: Vec<_> = lengths.into_iter().map(|(start, length)| span(start, start + length)).collect();
            let grid = SegmentGrid::of_spans(&spans, segment_frames, per_part).unwrap();
            let (mut next, mut segment) = (0, 0);
            let mut edges: Vec<u64> = vec![0];
            edges.extend(spans.iter().scan(0, |end, span| { *end += span.frames(); Some(*end) }));
            for index in 0..grid.parts() {
                let part = grid.part(PartIndex(index)).unwrap();
                prop_assert_eq!((part.start(), part.first_segment), (next, segment));
                for (start, end) in part.segments() {
                    prop_assert_eq!(start, next);
                    // Joined on both sides by what is shorter than half of one.
                    prop_assert!(end > start && end - start < 2 * u64::from(segment_frames));
                    prop_assert!(!edges.iter().any(|edge| (start + 1..end).contains(edge)));
                    (next, segment) = (end, segment + 1);
                }
            }
            prop_assert_eq!((next, segment), (grid.frames(), grid.segments()));
        }

        #[test]
        fn parts_cover_every_frame_once(frames in 1u64..20_000, segment_frames in 1u32..300, per_part in 1u32..9) {
            let grid = SegmentGrid::regular(frames, segment_frames, per_part).unwrap();
            let mut next = 0;
            for index in 0..grid.parts() {
                let part = grid.part(PartIndex(index)).unwrap();
                prop_assert_eq!(part.start(), next);
                for (start, end) in part.segments() {
                    prop_assert_eq!(start, next);
                    prop_assert!(end > start);
                    next = end;
                }
                prop_assert_eq!(part.end, next);
            }
            prop_assert_eq!(next, frames);
            prop_assert_eq!(grid.part(PartIndex(grid.parts())), None);
        }
    }
}
