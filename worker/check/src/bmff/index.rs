//! The index of a file of segments (`sidx`, ISO/IEC 14496-12, section 8.16.3).

use super::boxes::{Cursor, children, full};

/// An opened index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) timescale: u32,
    /// The earliest presentation time of the first reference in ticks.
    pub(crate) earliest: u64,
    /// Bytes and ticks of each reference.
    pub(crate) references: Vec<(u64, u64)>,
    /// Bytes between the index and what the first reference names.
    pub(crate) first_offset: u64,
}

impl Index {
    /// Where each reference lies in its file, when its index ends at `end`.
    pub(crate) fn places(&self, end: u64) -> impl Iterator<Item = (u64, u64)> {
        self.references.iter().scan(end.saturating_add(self.first_offset), |at, (bytes, _)| {
            let from = *at;
            *at = at.saturating_add(*bytes);
            Some((from, *bytes))
        })
    }
}

/// Reads an index out of the bytes that hold it; an error says what is wrong.
pub(crate) fn read(bytes: &[u8]) -> Result<Index, String> {
    let boxes = children(bytes)?;
    match boxes.as_slice() {
        [only] if only.kind == *b"sidx" => {
            body(only.body).ok_or_else(|| "an index that is cut off".to_owned())?
        }
        _ => Err("the bytes of the index are not one sidx box".to_owned()),
    }
}

fn body(body: &[u8]) -> Option<Result<Index, String>> {
    let (version, _, rest) = full(body)?;
    let mut cursor = Cursor::new(rest);
    cursor.u32()?;
    let timescale = cursor.u32()?;
    let (earliest, first_offset) = (cursor.word(version > 0)?, cursor.word(version > 0)?);
    cursor.u16()?;
    let count = cursor.u16()?;
    let mut references = Vec::new();
    for _ in 0..count {
        let (size, ticks) = (cursor.u32()?, cursor.u32()?);
        cursor.u32()?;
        if size >> 31 != 0 {
            return Some(Err("an index of indexes".to_owned()));
        }
        references.push((size.into(), ticks.into()));
    }
    let whole = timescale > 0 && cursor.left() == 0;
    Some(if whole {
        Ok(Index { timescale, earliest, references, first_offset })
    } else {
        Err("an index that is not as long as it says".to_owned())
    })
}
