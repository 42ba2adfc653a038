//! Samples of NAL units (ISO/IEC 14496-15, section 4.3), and how many of their bytes a header takes.

use super::{HeaderError, Span};
use crate::bits::Bits;

/// Bytes in which a slice header ends: the longest lists the entry points of a thousand rows of blocks.
const MAX_HEADER: usize = 16 << 10;

/// The spans of a sample, where `clear` says how many bytes at the beginning of a unit stay clear; all where it says
/// `None`.
pub(super) fn spans(
    sample: &[u8],
    length_bytes: usize,
    mut clear: impl FnMut(&[u8]) -> Result<Option<usize>, HeaderError>,
) -> Result<Vec<Span>, HeaderError> {
    let mut spans = Vec::new();
    let mut rest = sample;
    while !rest.is_empty() {
        let (unit, after) =
            split(rest, length_bytes).ok_or(HeaderError::Malformed("a sample of NAL units"))?;
        let kept = clear(unit)?.unwrap_or(unit.len()).min(unit.len());
        spans.push(Span { clear: length_bytes + kept, protected: unit.len() - kept });
        rest = after;
    }
    Ok(spans)
}

fn split(bytes: &[u8], length_bytes: usize) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(length_bytes)?;
    rest.split_at_checked(length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
}

/// The bits of a header at the beginning of a unit, behind the `skipped` bytes of the unit's own.
pub(super) fn header_bits(unit: &[u8], skipped: usize) -> Option<Bits<'_>> {
    unit.get(skipped..unit.len().min(MAX_HEADER)).map(Bits::of_nal)
}

/// Bytes of the unit up to where `bits` stands, which [`header_bits`] made: those that keep start codes out count as well.
pub(super) fn bytes_passed(unit: &[u8], skipped: usize, bits: &Bits<'_>) -> usize {
    let mut left = bits.position().div_ceil(8);
    let mut zeros = 0;
    let mut passed = skipped;
    for byte in unit.iter().skip(skipped) {
        if left == 0 {
            break;
        }
        passed += 1;
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        left -= 1;
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_keep_start_codes_out_are_part_of_a_header() {
        let unit = [0x65, 0, 0, 3, 1, 0, 0, 3, 2, 9];
        let mut bits = header_bits(&unit, 1).unwrap();
        for (taken, passed) in [(16, 3), (1, 5), (7, 5), (16, 7), (3, 9)] {
            bits.take(taken).unwrap();
            assert_eq!(bytes_passed(&unit, 1, &bits), passed);
        }
    }

    #[test]
    fn units_that_do_not_fit_are_malformed() {
        let sample = [0, 2, 7, 8, 0, 3, 1, 2, 3];
        let found = spans(&sample, 2, |unit| Ok((unit[0] == 1).then_some(1))).unwrap();
        assert_eq!(found, [Span { clear: 4, protected: 0 }, Span { clear: 3, protected: 2 }]);
        assert!(spans(&sample[..8], 2, |_| Ok(None)).is_err());
    }
}
