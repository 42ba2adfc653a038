//! Files of one track that players read by byte ranges: a header, an index (`sidx`, ISO/IEC 14496-12, section 8.16.3), and the
//! segments one behind the other.

use std::io;

use bytes::Bytes;

use crate::ReadAt;
use crate::boxes::{Header, full, u16_at, u32_at, u64_at};
use crate::writer::Writer;

/// Most references of one `sidx`, whose count has 16 bits.
const MAX_REFERENCES: usize = u16::MAX as usize;
/// Most bytes of a subsegment, which are told in 31 bits.
const MAX_BYTES: u64 = (1 << 31) - 1;
/// The largest index that is read: as many references as there can be, and what precedes them.
const MAX_INDEX_BYTES: u64 = 12 * MAX_REFERENCES as u64 + 64;
/// Starts with a stream access point of type 1, without delay.
const STARTS_WITH_SAP_1: u32 = 0x9000_0000;
/// The brand of files with movie fragments and an index (ISO/IEC 23009-1, section 6.3).
const DASH_BRAND: &[u8; 4] = b"dash";

/// What an index says of a segment, or of some that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its bytes, boxes and media.
    pub bytes: u64,
    /// Ticks for which it is presented.
    pub ticks: u64,
}

/// What precedes the segments of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `ftyp`, `moov` and `sidx`.
    pub bytes: Vec<u8>,
    /// Bytes of the first two; the index is the rest.
    pub init_bytes: u64,
}

/// A segment of 2 GiB or more, or one longer than 32 bits of ticks, which an index cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} bytes from segment {number} on are more than one reference of an index tells: make segments shorter, or deliver \
     them as files", .reference.bytes
)]
pub struct IndexError {
    /// The first segment of the reference, from 0.
    pub number: usize,
    /// What it would say.
    pub reference: Reference,
}

/// The head of the file that holds these segments in order, the first of which is presented at 0. `init` is an init segment of
/// ours. Its length follows from that and the number of segments.
pub fn head(init: &[u8], timescale: u32, segments: &[Reference]) -> Result<Head, IndexError> {
    // Its brands end `ftyp`, which comes first.
    let ftyp = u32_at(init, 0).map_or(0, |size| size as usize).min(init.len());
    let mut bytes = Vec::with_capacity(init.len() + 64 + 12 * segments.len().min(MAX_REFERENCES));
    bytes.extend((ftyp as u32 + 4).to_be_bytes());
    bytes.extend(init.get(4..ftyp).unwrap_or_default());
    bytes.extend(DASH_BRAND);
    bytes.extend(&init[ftyp..]);
    let init_bytes = bytes.len() as u64;
    bytes.extend(index(timescale, 0, segments)?);
    Ok(Head { bytes, init_bytes })
}

/// The index of segments, the first of which is presented at `start`: a reference for each, or for runs of them where there are
/// more than it can count. All begin with a picture that depends on no other and is shown first.
pub(crate) fn index(timescale: u32, start: u64, segments: &[Reference]) -> Result<Vec<u8>, IndexError> {
    let run = segments.len().div_ceil(MAX_REFERENCES).max(1);
    let mut references = Vec::with_capacity(segments.len().div_ceil(run));
    for (number, run) in (0..).step_by(run).zip(segments.chunks(run)) {
        let sum = |part: fn(&Reference) -> u64| run.iter().map(part).sum::<u64>();
        let reference = Reference { bytes: sum(|one| one.bytes), ticks: sum(|one| one.ticks) };
        let ticks = u32::try_from(reference.ticks).ok().filter(|_| reference.bytes <= MAX_BYTES);
        references.push((reference.bytes as u32, ticks.ok_or(IndexError { number, reference })?));
    }
    let mut w = Writer::default();
    w.full(b"sidx", 1, 0, |w| {
        w.u32(1);
        w.u32(timescale);
        w.u64(start);
        w.u64(0);
        w.u16(0);
        w.u16(references.len() as u16);
        for (bytes, ticks) in references {
            // The highest bit would say that it is another index.
            w.u32(bytes);
            w.u32(ticks);
            w.u32(STARTS_WITH_SAP_1);
        }
    });
    Ok(w.finish())
}

/// The index of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    /// Offset of its first byte, where the header ends.
    pub position: u64,
    /// Offset after its last byte, where the first segment begins.
    pub end: u64,
    /// Ticks a second.
    pub timescale: u32,
    /// When the first segment is presented, in ticks.
    pub start: u64,
    /// What it says of the segments.
    pub references: Vec<Reference>,
}

impl SegmentIndex {
    /// Reads the index of a file of ours; `None` where there is none, or where segments do not follow it that all begin with a
    /// picture that is shown first.
    ///
    /// # Errors
    /// The source cannot be read.
    pub fn read(source: &dyn ReadAt) -> io::Result<Option<Self>> {
        let mut position = 0;
        while position < source.len() {
            let mut bytes = [0; Header::MAX];
            let held = bytes.len().min(usize::try_from(source.len() - position).unwrap_or(usize::MAX));
            source.read_at(position, &mut bytes[..held])?;
            let Some((header, size)) =
                Header::parse(&bytes[..held]).and_then(|header| Some((header, header.size?)))
            else {
                return Ok(None);
            };
            let end = position.saturating_add(size);
            if &header.kind == b"sidx" && size <= MAX_INDEX_BYTES && end <= source.len() {
                let mut body = vec![0; (size - header.header) as usize];
                source.read_at(position + header.header, &mut body)?;
                return Ok(Self::parse(&body.into(), position, end));
            }
            position = end;
        }
        Ok(None)
    }

    fn parse(body: &Bytes, position: u64, end: u64) -> Option<Self> {
        let (1, _, body) = full(body)? else { return None };
        let (timescale, start, offset) = (u32_at(&body, 4)?, u64_at(&body, 8)?, u64_at(&body, 16)?);
        let count = usize::from(u16_at(&body, 26)?);
        let references = (0..count).map(|number| {
            let at = 28 + 12 * number;
            let (bytes, ticks) = (u32_at(&body, at)?.into(), u32_at(&body, at + 4)?.into());
            let plain = bytes <= MAX_BYTES && u32_at(&body, at + 8)? == STARTS_WITH_SAP_1;
            plain.then_some(Reference { bytes, ticks })
        });
        let references = references.collect::<Option<Vec<_>>>()?;
        (offset == 0 && body.len() == 28 + 12 * count).then_some(SegmentIndex {
            position,
            end,
            timescale,
            start,
            references,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(count: u64) -> Vec<Reference> {
        (0..count).map(|number| Reference { bytes: 90 + number % 7, ticks: 100 + number % 3 }).collect()
    }

    fn init() -> Vec<u8> {
        let mut w = Writer::default();
        w.boxed(b"ftyp", |w| w.bytes(b"cmfc\0\0\0\0iso6cmfc"));
        w.boxed(b"moov", |w| w.bytes(b"what a header says"));
        w.finish()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let segments = references(5);
        let head = head(&init(), 24_000, &segments).unwrap();
        assert_eq!(&head.bytes[..4], [0, 0, 0, 28]);
        assert_eq!(&head.bytes[8..28], b"cmfc\0\0\0\0iso6cmfcdash");
        assert_eq!(head.bytes[28..head.init_bytes as usize], init()[24..]);
        let (position, end) = (head.init_bytes, head.bytes.len() as u64);
        let read = SegmentIndex::read(&head.bytes).unwrap().unwrap();
        assert_eq!(read, SegmentIndex { position, end, timescale: 24_000, start: 0, references: segments });
    }

    #[test]
    fn the_length_of_a_head_follows_from_the_number_of_segments() {
        for count in [0, 1, 65_535, 65_536, 140_000] {
            let blank = vec![Reference { bytes: 0, ticks: 0 }; count as usize];
            let length = |segments: &[Reference]| head(&init(), 1, segments).unwrap().bytes.len();
            assert_eq!(length(&blank), length(&references(count)));
        }
    }

    #[test]
    fn more_segments_than_an_index_can_count_share_references() {
        let segments = references(140_000);
        let written = index(25, 7, &segments).unwrap();
        let read = SegmentIndex::read(&written).unwrap().unwrap();
        assert_eq!((read.start, read.references.len()), (7, 46_667));
        let sums =
            |all: &[Reference]| all.iter().fold((0, 0), |sum, one| (sum.0 + one.bytes, sum.1 + one.ticks));
        assert_eq!(sums(&read.references), sums(&segments));
        // The last has the two that are left.
        let last = read.references[46_666];
        assert_eq!((last.bytes, last.ticks), sums(&segments[139_998..]));
    }

    #[test]
    fn a_segment_that_a_reference_cannot_tell_is_refused() {
        let fits = Reference { bytes: MAX_BYTES, ticks: u32::MAX.into() };
        assert!(index(25, 0, &[fits, fits]).is_ok());
        let (large, long) =
            (Reference { bytes: MAX_BYTES + 1, ..fits }, Reference { ticks: 1 << 32, ..fits });
        for reference in [large, long] {
            assert_eq!(index(25, 0, &[fits, reference]), Err(IndexError { number: 1, reference }));
        }
    }

    #[test]
    fn an_index_that_is_cut_off_or_says_something_else_is_none() {
        let written = index(25, 0, &references(3)).unwrap();
        assert!(SegmentIndex::read(&written).unwrap().is_some());
        for end in 0..written.len() {
            assert_eq!(SegmentIndex::read(&written[..end].to_vec()).unwrap(), None, "{end}");
        }
        // The version, the first offset, the count, another index, no access point.
        for at in [8, 31, 35, 40, 48] {
            let mut other = written.clone();
            other[at] ^= 0x80;
            assert_eq!(SegmentIndex::read(&other).unwrap(), None, "{at}");
        }
    }
}
