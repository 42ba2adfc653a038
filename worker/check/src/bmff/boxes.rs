//! Boxes in bytes that may hold anything (ISO/IEC 14496-12, section 4.2).

use crate::Package;
use crate::package::Place;

/// A four-character code.
pub(crate) type FourCc = [u8; 4];

/// Most boxes on the top level of a segment.
const MAX_TOP_BOXES: usize = 1 << 16;

/// A box on the top level of a file or range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopBox {
    pub(crate) kind: FourCc,
    /// Offset in the file.
    pub(crate) offset: u64,
    /// Bytes of its header.
    pub(crate) header: u64,
    /// Bytes of the whole box.
    pub(crate) size: u64,
}

impl TopBox {
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.size
    }
}

/// A code for people.
pub(crate) fn name(kind: FourCc) -> String {
    kind.iter()
        .map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { *byte as char } else { '?' })
        .collect()
}

/// The boxes at a place; an error says where they end wrongly.
pub(crate) fn top_boxes(package: &Package<'_>, place: &Place) -> Result<Vec<TopBox>, String> {
    let mut found = Vec::new();
    let mut at = place.offset;
    while at < place.end() {
        let left = place.end() - at;
        let bytes = package.bytes(&place.file, at, left.min(16), 16)?;
        let (kind, header, size) =
            head(&bytes, left).ok_or_else(|| format!("the box at byte {at} is cut off or has no size"))?;
        found.push(TopBox { kind, offset: at, header, size });
        if found.len() > MAX_TOP_BOXES {
            return Err(format!("more than {MAX_TOP_BOXES} boxes"));
        }
        at += size;
    }
    Ok(found)
}

/// Type, bytes of the header and bytes of the whole box that begins here, of which `left` are there.
fn head(bytes: &[u8], left: u64) -> Option<(FourCc, u64, u64)> {
    let kind = array(bytes, 4)?;
    let (header, size) = match u32_at(bytes, 0)? {
        0 => (8, left),
        1 => (16, u64_at(bytes, 8)?),
        size => (8, size.into()),
    };
    (size >= header && size <= left).then_some((kind, header, size))
}

/// A box within another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inner<'a> {
    pub(crate) kind: FourCc,
    /// Offset of the box in what holds it.
    pub(crate) at: usize,
    pub(crate) body: &'a [u8],
}

/// The boxes that fill `bytes`; an error where they do not.
pub(crate) fn children(bytes: &[u8]) -> Result<Vec<Inner<'_>>, String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (kind, header, size) = head(rest, rest.len() as u64)
            .ok_or_else(|| format!("a box at byte {at} of what holds it does not fit"))?;
        found.push(Inner { kind, at, body: &rest[header as usize..size as usize] });
        at += size as usize;
    }
    Ok(found)
}

/// The body of the first of a type.
pub(crate) fn first<'a>(boxes: &[Inner<'a>], kind: &FourCc) -> Option<&'a [u8]> {
    boxes.iter().find(|inner| inner.kind == *kind).map(|inner| inner.body)
}

/// Version, flags and the rest of a full box.
pub(crate) fn full(body: &[u8]) -> Option<(u8, u32, &[u8])> {
    let word = u32_at(body, 0)?;
    Some(((word >> 24) as u8, word & 0xff_ffff, &body[4..]))
}

pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}

/// Numbers and bytes one behind the other.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cursor { rest: bytes }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.bytes(2).and_then(|bytes| u16_at(bytes, 0))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.bytes(4).and_then(|bytes| u32_at(bytes, 0))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.bytes(8).and_then(|bytes| u64_at(bytes, 0))
    }

    /// A number of 32 bits, or of 64 in the other version of a box.
    pub(crate) fn word(&mut self, wide: bool) -> Option<u64> {
        if wide { self.u64() } else { self.u32().map(u64::from) }
    }

    /// What is left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }
}
