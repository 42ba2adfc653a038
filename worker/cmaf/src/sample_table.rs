//! The sample table of a track (`stbl`, ISO/IEC 14496-12, section 8.5 to 8.7): where each sample lies, when it is
//! decoded and shown, and whether decoding can begin there.
//!
//! Tables stay the bytes of their boxes and are walked, never expanded: a track of PCM sound lists millions of
//! samples in a few runs.

use bytes::Bytes;

use crate::boxes::{FourCc, Table, child, full, u32_at, u64_at};

/// One sample, as the tables place it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Offset of its first byte in the file.
    pub position: u64,
    /// Bytes.
    pub size: u32,
    /// Decode time in ticks of the track, from 0 at the first sample.
    pub dts: i64,
    /// Presentation time in ticks of the track, before edits.
    pub pts: i64,
    /// Ticks to the next sample in decode order.
    pub duration: u32,
    /// Whether the container calls it a sync sample. No more than a claim: the bitstream decides.
    pub sync: bool,
    /// Whether it is a QuickTime partial sync sample: an open GOP begins there.
    pub partial_sync: bool,
}

/// A run of samples that lie one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Offset of its first byte in the file.
    pub position: u64,
    /// Number of its first sample, from 0.
    pub first_sample: u64,
    /// How many samples it holds.
    pub samples: u32,
    /// How many bytes they take.
    pub bytes: u64,
}

/// Samples in a row with one duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRun {
    /// How many samples.
    pub samples: u32,
    /// Ticks from each to the next.
    pub duration: u32,
}

/// The sample table of one track.
#[derive(Clone, Debug, Default)]
pub struct SampleTable {
    len: u32,
    times: Table<8>,
    offsets: Table<8>,
    sizes: Sizes,
    runs: Table<12>,
    positions: Positions,
    sync: Option<Table<4>>,
    partial_sync: Table<4>,
}

/// A sample table that does not place its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A table that a track cannot do without.
    #[error("its sample table has no usable `{}` box", .0.escape_ascii())]
    Missing(FourCc),
    /// `stsc` does not ascend.
    #[error("its sample-to-chunk table is out of order")]
    Disorder,
    /// More samples than the chunks hold, or than the size table lists.
    #[error("its sample table lists {listed} samples but places only {placed}")]
    Unplaced {
        /// How many samples there should be.
        listed: u64,
        /// How many have a place and a size.
        placed: u64,
    },
}

#[derive(Clone, Debug)]
enum Sizes {
    Constant(u32),
    Words(Table<4>),
    Halves(Table<2>),
    Bytes(Table<1>),
    /// Two sizes of four bits to a byte, the first in the high bits.
    Nibbles(Table<1>),
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes::Constant(0)
    }
}

impl Sizes {
    fn get(&self, index: u32) -> u32 {
        let at = index as usize;
        match self {
            Sizes::Constant(size) => *size,
            Sizes::Words(table) => table.get(at).map_or(0, u32::from_be_bytes),
            Sizes::Halves(table) => table.get(at).map_or(0, u16::from_be_bytes).into(),
            Sizes::Bytes(table) => table.get(at).map_or(0, |[size]| size).into(),
            Sizes::Nibbles(table) => {
                let [pair] = table.get(at / 2).unwrap_or_default();
                u32::from(if at.is_multiple_of(2) { pair >> 4 } else { pair & 15 })
            }
        }
    }

    /// How many sizes there are, where each is listed.
    fn listed(&self) -> u64 {
        match self {
            Sizes::Constant(_) => u64::MAX,
            Sizes::Words(table) => table.len() as u64,
            Sizes::Halves(table) => table.len() as u64,
            Sizes::Bytes(table) => table.len() as u64,
            Sizes::Nibbles(table) => table.len() as u64 * 2,
        }
    }

    fn sum(&self, first: u32, count: u32) -> u64 {
        match self {
            Sizes::Constant(size) => u64::from(*size) * u64::from(count),
            _ => (first..first.saturating_add(count)).map(|index| u64::from(self.get(index))).sum(),
        }
    }

    /// Reads `stsz` or `stz2`; the number of samples, and their sizes.
    fn read(stbl: &Bytes) -> Option<(u32, Self)> {
        if let Some((_, _, body)) = child(stbl, b"stsz").as_ref().and_then(full) {
            let (size, count) = (u32_at(&body, 0)?, u32_at(&body, 4)?);
            let sizes = match size {
                0 => Sizes::Words(Table::new(body.slice(8..), count)),
                _ => Sizes::Constant(size),
            };
            return Some((count, sizes));
        }
        let (_, _, body) = child(stbl, b"stz2").as_ref().and_then(full)?;
        let (bits, count) = (u32_at(&body, 0)? & 0xff, u32_at(&body, 4)?);
        let entries = body.slice(8..);
        let sizes = match bits {
            4 => Sizes::Nibbles(Table::new(entries, count.div_ceil(2))),
            8 => Sizes::Bytes(Table::new(entries, count)),
            16 => Sizes::Halves(Table::new(entries, count)),
            _ => return None,
        };
        Some((count, sizes))
    }
}

#[derive(Clone, Debug)]
enum Positions {
    Narrow(Table<4>),
    Wide(Table<8>),
}

impl Default for Positions {
    fn default() -> Self {
        Positions::Narrow(Table::default())
    }
}

impl Positions {
    fn len(&self) -> usize {
        match self {
            Positions::Narrow(table) => table.len(),
            Positions::Wide(table) => table.len(),
        }
    }

    fn get(&self, index: usize) -> Option<u64> {
        match self {
            Positions::Narrow(table) => table.get(index).map(|entry| u32::from_be_bytes(entry).into()),
            Positions::Wide(table) => table.get(index).map(u64::from_be_bytes),
        }
    }
}

impl SampleTable {
    /// Reads the body of an `stbl` box.
    pub(crate) fn read(stbl: &Bytes) -> Result<Self, TableError> {
        let (len, sizes) = Sizes::read(stbl).ok_or(TableError::Missing(*b"stsz"))?;
        if len == 0 {
            return Ok(SampleTable::default());
        }
        let positions = match (counted(stbl, b"stco"), counted(stbl, b"co64")) {
            (Some(table), _) => Positions::Narrow(table),
            (_, Some(table)) => Positions::Wide(table),
            _ => return Err(TableError::Missing(*b"stco")),
        };
        let table = SampleTable {
            len,
            times: counted(stbl, b"stts").filter(|t| t.len() > 0).ok_or(TableError::Missing(*b"stts"))?,
            offsets: counted(stbl, b"ctts").unwrap_or_default(),
            sizes,
            runs: counted(stbl, b"stsc").ok_or(TableError::Missing(*b"stsc"))?,
            positions,
            sync: counted(stbl, b"stss"),
            partial_sync: counted(stbl, b"stps").unwrap_or_default(),
        };
        let placed = table.placed()?.min(table.sizes.listed());
        if placed < u64::from(len) {
            return Err(TableError::Unplaced { listed: len.into(), placed });
        }
        Ok(table)
    }

    /// How many samples the chunks hold.
    fn placed(&self) -> Result<u64, TableError> {
        let chunks = self.positions.len() as u64;
        let mut placed = 0u64;
        let mut open: Option<(u64, u64)> = None;
        for entry in self.runs.iter() {
            let (first, samples) = run(entry);
            let (first, samples) = (u64::from(first), u64::from(samples));
            match open {
                Some((since, _)) if first <= since => return Err(TableError::Disorder),
                None if first != 1 => return Err(TableError::Disorder),
                Some((since, each)) => placed = placed.saturating_add((first.min(chunks + 1) - since) * each),
                None => {}
            }
            if first > chunks {
                return Ok(placed);
            }
            open = Some((first, samples));
        }
        Ok(open.map_or(placed, |(since, each)| placed.saturating_add((chunks + 1 - since) * each)))
    }

    /// How many samples there are.
    pub fn len(&self) -> u64 {
        self.len.into()
    }

    /// Whether there are no samples, as in the header of a fragmented file.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All samples in decode order. Nothing is expanded ahead.
    pub fn iter(&self) -> Samples<'_> {
        Samples {
            table: self,
            chunks: self.chunks(),
            left_in_chunk: 0,
            position: 0,
            next: 0,
            dts: 0,
            times: Cursor::new(&self.times),
            offsets: Cursor::new(&self.offsets),
            sync: 0,
            partial_sync: 0,
        }
    }

    /// The chunks in file order of the table.
    pub fn chunks(&self) -> Chunks<'_> {
        Chunks { table: self, next: 0, run: 0, first_sample: 0 }
    }

    /// The durations of all samples, as runs.
    pub fn time_runs(&self) -> impl Iterator<Item = TimeRun> + '_ {
        self.times.iter().map(|entry| {
            let (samples, duration) = pair(entry);
            TimeRun { samples, duration }
        })
    }

    /// Ticks from the first decode time to the end of the last sample.
    pub fn duration(&self) -> u64 {
        let mut left = self.len;
        let mut total = 0u64;
        let mut last = 0;
        for run in self.time_runs() {
            let samples = run.samples.min(left);
            total = total.saturating_add(u64::from(samples) * u64::from(run.duration));
            (left, last) = (left - samples, run.duration);
        }
        total.saturating_add(u64::from(left) * u64::from(last))
    }

    /// The offset after the last byte that any sample takes; 0 when there are none.
    pub fn end(&self) -> u64 {
        self.chunks().map(|chunk| chunk.position.saturating_add(chunk.bytes)).max().unwrap_or(0)
    }
}

/// A full box with a 32-bit count and entries.
fn counted<const N: usize>(stbl: &Bytes, kind: &FourCc) -> Option<Table<N>> {
    let (_, _, body) = full(&child(stbl, kind)?)?;
    Some(Table::new(body.slice(4.min(body.len())..), u32_at(&body, 0)?))
}

fn pair(entry: [u8; 8]) -> (u32, u32) {
    let wide = u64_at(&entry, 0).unwrap_or(0);
    ((wide >> 32) as u32, wide as u32)
}

fn run(entry: [u8; 12]) -> (u32, u32) {
    (u32_at(&entry, 0).unwrap_or(0), u32_at(&entry, 4).unwrap_or(0))
}

/// Walks a run-length table of (count, value). Past its end the last value goes on, as players do.
#[derive(Clone, Debug)]
struct Cursor<'a> {
    table: &'a Table<8>,
    next: usize,
    left: u32,
    value: u32,
}

impl<'a> Cursor<'a> {
    fn new(table: &'a Table<8>) -> Self {
        Cursor { table, next: 0, left: 0, value: 0 }
    }

    fn step(&mut self) -> u32 {
        while self.left == 0 {
            let Some(entry) = self.table.get(self.next) else { return self.value };
            (self.left, self.value) = pair(entry);
            self.next += 1;
        }
        self.left -= 1;
        self.value
    }
}

/// The chunks of a track; see [`SampleTable::chunks`].
#[derive(Clone, Debug)]
pub struct Chunks<'a> {
    table: &'a SampleTable,
    next: usize,
    run: usize,
    first_sample: u32,
}

impl Iterator for Chunks<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        let table = self.table;
        while self.first_sample < table.len {
            let position = table.positions.get(self.next)?;
            self.next += 1;
            let follows = |entry| u64::from(run(entry).0) <= self.next as u64;
            while table.runs.get(self.run + 1).is_some_and(follows) {
                self.run += 1;
            }
            let samples = run(table.runs.get(self.run)?).1.min(table.len - self.first_sample);
            if samples > 0 {
                let first_sample = self.first_sample;
                self.first_sample += samples;
                let bytes = table.sizes.sum(first_sample, samples);
                return Some(Chunk { position, first_sample: first_sample.into(), samples, bytes });
            }
        }
        None
    }
}

/// The samples of a track in decode order; see [`SampleTable::iter`].
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    table: &'a SampleTable,
    chunks: Chunks<'a>,
    left_in_chunk: u32,
    position: u64,
    next: u32,
    dts: i64,
    times: Cursor<'a>,
    offsets: Cursor<'a>,
    sync: usize,
    partial_sync: usize,
}

impl Iterator for Samples<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        if self.left_in_chunk == 0 {
            let chunk = self.chunks.next()?;
            (self.left_in_chunk, self.position) = (chunk.samples, chunk.position);
        }
        let size = self.table.sizes.get(self.next);
        let duration = self.times.step();
        // Offsets of version 0 are unsigned by the letter, but writers put negative ones there too.
        let offset = self.offsets.step() as i32;
        let number = self.next + 1;
        let sample = Sample {
            position: self.position,
            size,
            dts: self.dts,
            pts: self.dts.saturating_add(offset.into()),
            duration,
            sync: match &self.table.sync {
                None => true,
                Some(table) => listed(table, &mut self.sync, number),
            },
            partial_sync: listed(&self.table.partial_sync, &mut self.partial_sync, number),
        };
        self.left_in_chunk -= 1;
        self.position = self.position.saturating_add(size.into());
        self.next += 1;
        self.dts = self.dts.saturating_add(duration.into());
        Some(sample)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.table.len - self.next) as usize;
        (0, Some(left))
    }
}

/// Whether `number` is in an ascending table, of which all before `cursor` was passed.
fn listed(table: &Table<4>, cursor: &mut usize, number: u32) -> bool {
    while let Some(entry) = table.get(*cursor).map(u32::from_be_bytes) {
        if entry >= number {
            return entry == number;
        }
        *cursor += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::Writer;

    /// A sample table of boxes whose words are given.
    fn stbl(boxes: &[(&FourCc, &[u32])]) -> Bytes {
        let mut w = Writer::default();
        for (kind, words) in boxes {
            w.full(kind, 0, 0, |w| words.iter().for_each(|word| w.u32(*word)));
        }
        w.finish().into()
    }

    const TIMES: (&FourCc, &[u32]) = (b"stts", &[1, 9, 10]);
    const CHUNKS: (&FourCc, &[u32]) = (b"stco", &[3, 100, 200, 300]);

    fn sizes(boxes: &[(&FourCc, &[u32])]) -> Vec<u32> {
        SampleTable::read(&stbl(boxes)).unwrap().iter().map(|sample| sample.size).collect()
    }

    #[test]
    fn compact_sizes_of_every_width_are_read() {
        let runs: (&FourCc, &[u32]) = (b"stsc", &[1, 1, 1, 1]);
        assert_eq!(sizes(&[TIMES, CHUNKS, runs, (b"stz2", &[4, 3, 0x12_30_00_00])]), [1, 2, 3]);
        assert_eq!(sizes(&[TIMES, CHUNKS, runs, (b"stz2", &[8, 3, 0x01_02_ff_00])]), [1, 2, 255]);
        assert_eq!(
            sizes(&[TIMES, CHUNKS, runs, (b"stz2", &[16, 3, 0x0001_ffff, 0x0003_0000])]),
            [1, 65_535, 3]
        );
        let odd = SampleTable::read(&stbl(&[TIMES, CHUNKS, runs, (b"stz2", &[5, 3, 0])]));
        assert_eq!(odd.err(), Some(TableError::Missing(*b"stsz")));
    }

    #[test]
    fn runs_of_chunks_place_samples() {
        let runs: (&FourCc, &[u32]) = (b"stsc", &[2, 1, 2, 1, 3, 1, 1]);
        let table = SampleTable::read(&stbl(&[TIMES, CHUNKS, runs, (b"stsz", &[7, 5])])).unwrap();
        let positions: Vec<_> = table.iter().map(|sample| sample.position).collect();
        assert_eq!(positions, [100, 107, 200, 207, 300]);
        let chunks: Vec<_> =
            table.chunks().map(|chunk| (chunk.first_sample, chunk.samples, chunk.bytes)).collect();
        assert_eq!(chunks, [(0, 2, 14), (2, 2, 14), (4, 1, 7)]);
        assert_eq!((table.end(), table.duration(), table.len()), (307, 50, 5));
    }

    #[test]
    fn the_last_duration_goes_on_where_the_time_table_ends_early() {
        let runs: (&FourCc, &[u32]) = (b"stsc", &[1, 1, 1, 1]);
        let times: (&FourCc, &[u32]) = (b"stts", &[1, 1, 10]);
        let table = SampleTable::read(&stbl(&[times, CHUNKS, runs, (b"stsz", &[7, 3])])).unwrap();
        assert_eq!(table.iter().map(|sample| sample.dts).collect::<Vec<_>>(), [0, 10, 20]);
        assert_eq!(table.duration(), 30);
    }

    #[test]
    fn tables_that_do_not_place_their_samples_are_refused() {
        let read = |runs: &[u32], sizes: &[u32]| {
            SampleTable::read(&stbl(&[TIMES, CHUNKS, (b"stsc", runs), (b"stsz", sizes)])).err()
        };
        assert_eq!(read(&[1, 1, 2, 1], &[7, 6]), None);
        assert_eq!(read(&[1, 1, 2, 1], &[7, 7]), Some(TableError::Unplaced { listed: 7, placed: 6 }));
        assert_eq!(read(&[1, 1, 2, 1], &[0, 6, 1, 1]), Some(TableError::Unplaced { listed: 6, placed: 2 }));
        assert_eq!(read(&[1, 2, 2, 1], &[7, 1]), Some(TableError::Disorder));
        assert_eq!(read(&[2, 1, 2, 1, 1, 1, 1], &[7, 1]), Some(TableError::Disorder));
        // Chunks that do not exist hold nothing, and a count of four billion is no reason to walk them.
        assert_eq!(read(&[2, 1, 1, 1, 4_000_000_000, 9, 1], &[7, 3]), None);
        let missing = SampleTable::read(&stbl(&[TIMES, CHUNKS, (b"stsz", &[7, 1])])).err();
        assert_eq!(missing, Some(TableError::Missing(*b"stsc")));
    }

    #[test]
    fn a_track_of_four_billion_small_samples_costs_nothing() {
        let times: (&FourCc, &[u32]) = (b"stts", &[1, u32::MAX, 1]);
        let runs: (&FourCc, &[u32]) = (b"stsc", &[1, 1, u32::MAX, 1]);
        let table = SampleTable::read(&stbl(&[times, CHUNKS, runs, (b"stsz", &[18, u32::MAX])])).unwrap();
        assert_eq!((table.len(), table.duration()), (u32::MAX.into(), u32::MAX.into()));
        assert_eq!(table.end(), 100 + 18 * u64::from(u32::MAX));
        assert_eq!((table.time_runs().count(), table.chunks().count()), (1, 1));
    }
}
