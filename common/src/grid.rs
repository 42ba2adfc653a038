//! Where a title is cut: segments (output GOPs), and the parts that are whole runs of them.
//!
//! Every cut follows from the frame count, the frame rate or times, and the profile alone.

use crate::PartIndex;

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
        let ascending = starts.windows(2).all(|pair| pair[0] < pair[1]);
        if starts.first() != Some(&0) || !ascending || starts.last() >= Some(&frames) {
            return Err(if frames == 0 { GridError::NoFrames } else { GridError::Disorder });
        }
        Self { frames, segments_per_part, cuts: Cuts::Listed { starts } }.checked()
    }

    fn checked(self) -> Result<Self, GridError> {
        if self.frames == 0 {
            return Err(GridError::NoFrames);
        }
        if self.segments_per_part == 0 {
            return Err(GridError::EmptySegment);
        }
        let parts = self.segments().div_ceil(u64::from(self.segments_per_part));
        u32::try_from(parts).map(|_| self).map_err(|_| GridError::TooMany)
    }

    /// How many frames the title has.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// How many segments make a part.
    pub fn segments_per_part(&self) -> u32 {
        self.segments_per_part
    }

    /// The length of a segment in frames, where all have the same.
    pub fn segment_frames(&self) -> Option<u32> {
        match self.cuts {
            Cuts::Regular { segment_frames } => Some(segment_frames),
            Cuts::Listed { .. } => None,
        }
    }

    /// The listed first frames of segments; empty for a regular grid.
    pub fn listed_starts(&self) -> &[u64] {
        match &self.cuts {
            Cuts::Regular { .. } => &[],
            Cuts::Listed { starts } => starts,
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
            Cuts::Listed { starts } => starts.len() as u64,
        }
    }

    /// The first frame of segment `segment`, or the frame count for the number after the last.
    pub fn segment_start(&self, segment: u64) -> u64 {
        if segment >= self.segments() {
            return self.frames;
        }
        match &self.cuts {
            Cuts::Regular { segment_frames } => segment * u64::from(*segment_frames),
            Cuts::Listed { starts } => starts[segment as usize],
        }
    }

    /// How many parts there are. A last part of less than half a part's segments still stands by itself: parts
    /// are checkpoints, and only a segment's own length shows in the output.
    pub fn parts(&self) -> u32 {
        self.segments().div_ceil(u64::from(self.segments_per_part)) as u32
    }

    /// Part `index`, or `None` past the last.
    pub fn part(&self, index: PartIndex) -> Option<PartSpec> {
        let per_part = u64::from(self.segments_per_part);
        let first_segment = u64::from(index.0) * per_part;
        let last_segment = (first_segment + per_part).min(self.segments());
        (first_segment < self.segments()).then(|| PartSpec {
            index,
            segment_starts: (first_segment..last_segment).map(|n| self.segment_start(n)).collect(),
            end: self.segment_start(last_segment),
            first_segment,
        })
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
    }

    proptest! {
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
