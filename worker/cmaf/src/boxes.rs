//! Reading boxes out of bytes that may hold anything (ISO/IEC 14496-12, section 4.2).

use bytes::Bytes;

/// A four-character code.
pub(crate) type FourCc = [u8; 4];

/// A box header: its type, and where its body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The type; the extended type of a `uuid` box is part of its body.
    pub(crate) kind: FourCc,
    /// Bytes of the header itself: 8 or 16.
    pub(crate) header: u64,
    /// Bytes of the whole box; `None` when it reaches to the end of what holds it.
    pub(crate) size: Option<u64>,
}

impl Header {
    /// The longest header.
    pub(crate) const MAX: usize = 16;

    /// Parses a header from the first bytes of a box; `None` when they are too few or contradict themselves.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let small = u32_at(bytes, 0)?;
        let kind = array_at(bytes, 4)?;
        let (header, size) = match small {
            0 => (8, None),
            1 => (16, Some(u64::from_be_bytes(array_at(bytes, 8)?))),
            _ => (8, Some(u64::from(small))),
        };
        (size.is_none_or(|size| size >= header)).then_some(Header { kind, header, size })
    }
}

/// The boxes in `bytes`, one after the other, each with its body. Ends at the first that does not fit: what
/// follows a damaged box cannot be found. Four zero bytes end a list of QuickTime atoms.
pub(crate) fn children(bytes: &Bytes) -> impl Iterator<Item = (FourCc, Bytes)> + use<> {
    let mut rest = bytes.clone();
    std::iter::from_fn(move || {
        let header = Header::parse(&rest)?;
        if header.size.is_none() && header.kind == [0; 4] {
            return None;
        }
        let size = header.size.unwrap_or(rest.len() as u64);
        let size = usize::try_from(size).ok().filter(|size| *size <= rest.len())?;
        let body = rest.split_to(size).slice(header.header as usize..);
        Some((header.kind, body))
    })
}

/// The body of the first child of the given type.
pub(crate) fn child(bytes: &Bytes, kind: &FourCc) -> Option<Bytes> {
    children(bytes).find(|(found, _)| found == kind).map(|(_, body)| body)
}

/// The body at the end of a path of types, each the first of its kind.
pub(crate) fn descend(bytes: &Bytes, path: &[&FourCc]) -> Option<Bytes> {
    path.iter().try_fold(bytes.clone(), |body, kind| child(&body, kind))
}

/// Version, flags and the rest of a full box.
pub(crate) fn full(body: &Bytes) -> Option<(u8, u32, Bytes)> {
    let word = u32_at(body, 0)?;
    Some(((word >> 24) as u8, word & 0xff_ffff, body.slice(4..)))
}

/// A fixed number of bytes at `offset`.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset.checked_add(N)?)?.try_into().ok()
}

/// A big-endian number at `offset`.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_be_bytes)
}

/// A big-endian number at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_be_bytes)
}

/// A big-endian number at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    array_at(bytes, offset).map(u64::from_be_bytes)
}

/// A table of fixed-size entries, kept as the bytes of the box. Its length is that of the bytes, whatever a count
/// in front of it claims.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table<const N: usize>(Bytes);

impl<const N: usize> Table<N> {
    /// The table of at most `count` entries that `bytes` begin with.
    pub(crate) fn new(bytes: Bytes, count: u32) -> Self {
        let held = (bytes.len() / N).min(count as usize);
        Table(bytes.slice(..held * N))
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len() / N
    }

    /// Entry `index`.
    pub(crate) fn get(&self, index: usize) -> Option<[u8; N]> {
        array_at(&self.0, index.checked_mul(N)?)
    }

    /// All entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = [u8; N]> + '_ {
        self.0.as_chunks::<N>().0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_of_every_size_form_are_walked() {
        let mut bytes = vec![0, 0, 0, 9, b'a', b'b', b'c', b'd', 7];
        bytes.extend([0, 0, 0, 1, b'l', b'o', b'n', b'g', 0, 0, 0, 0, 0, 0, 0, 18, 1, 2]);
        bytes.extend([0, 0, 0, 0, b'r', b'e', b's', b't', 3, 4, 5]);
        let found: Vec<_> = children(&Bytes::from(bytes)).map(|(kind, body)| (kind, body.to_vec())).collect();
        assert_eq!(found, [(*b"abcd", vec![7]), (*b"long", vec![1, 2]), (*b"rest", vec![3, 4, 5])]);
    }

    #[test]
    fn a_box_that_does_not_fit_ends_the_walk() {
        for bytes in
            [&[0, 0, 0, 7, b'x', b'x', b'x', b'x'][..], &[0, 0, 0, 9, b'x', b'x', b'x', b'x'], &[0; 4]]
        {
            assert_eq!(children(&Bytes::copy_from_slice(bytes)).count(), 0, "{bytes:?}");
        }
    }

    #[test]
    fn a_table_never_trusts_its_count() {
        let table = Table::<4>::new(Bytes::from_static(&[0, 0, 0, 1, 0, 0, 0, 2, 9]), u32::MAX);
        assert_eq!(table.len(), 2);
        assert_eq!(table.get(1), Some([0, 0, 0, 2]));
        assert_eq!(table.get(2), None);
    }
}
