//! The plan of a job: where its title is cut, how parts are grouped, and what an attempt needs.

use reel_common::SegmentGrid;

/// The plan of a job, computed once by the leader from index and profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Segments and parts. Parts are fixed by this; chunks are only scheduling units.
    pub grid: SegmentGrid,
    /// Parts to a chunk, from 1.
    pub chunk_parts: u32,
    /// Numbers of the profile's `[[audio]]` entries that are made of this mezzanine, ascending: one task each.
    pub tracks: Vec<u32>,
    /// Renditions of the ladder that are made of this mezzanine.
    pub renditions: u32,
    /// Memory of one encode attempt, in bytes.
    pub encode_memory: u64,
    /// Memory of one measure attempt, in bytes.
    pub measure_memory: u64,
    /// What admission had to say, for people.
    pub warnings: Vec<String>,
}
