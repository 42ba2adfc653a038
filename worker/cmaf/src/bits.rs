//! Bit by bit through the headers of coded pictures.

/// Bytes that are made bits of at a time.
const BYTES: usize = 64;

/// Bits, read from the highest of each byte on. Of what lies behind those that are asked for, little is looked at.
pub(crate) struct Bits<'a> {
    /// What follows `bytes`.
    rest: &'a [u8],
    is_nal: bool,
    zeros: usize,
    bytes: Vec<u8>,
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Bits { rest: bytes, is_nal: false, zeros: 0, bytes: Vec::new(), at: 0 }
    }

    /// Those of a NAL unit, without the bytes that keep start codes out (ITU-T H.264, section 7.4.1.1).
    pub(crate) fn of_nal(nal: &'a [u8]) -> Self {
        Bits { is_nal: true, ..Bits::new(nal) }
    }

    /// Has bytes up to so many bits from the beginning; `None` where there are not as many.
    fn reach(&mut self, bits: usize) -> Option<()> {
        while self.bytes.len() * 8 < bits {
            if self.rest.is_empty() {
                return None;
            }
            let (next, rest) = self.rest.split_at(BYTES.min(self.rest.len()));
            self.rest = rest;
            for byte in next {
                if self.is_nal && self.zeros >= 2 && *byte == 3 {
                    self.zeros = 0;
                    continue;
                }
                self.zeros = if *byte == 0 { self.zeros + 1 } else { 0 };
                self.bytes.push(*byte);
            }
        }
        Some(())
    }

    /// The next `count` bits, at most 32.
    pub(crate) fn take(&mut self, count: u32) -> Option<u32> {
        self.reach(self.at + count as usize)?;
        let mut value = 0u32;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// Passes over bits.
    pub(crate) fn skip(&mut self, count: u32) -> Option<()> {
        self.at += count as usize;
        self.reach(self.at)
    }

    /// How many bits were read or passed over.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next bit.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    /// An unsigned Exp-Golomb code (ITU-T H.264, section 9.1) of at most 32 bits.
    pub(crate) fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.take(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_the_standard_lists_them() {
        let mut bits = Bits::of_nal(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([(); 5].map(|()| bits.golomb()), [Some(0), Some(1), Some(2), Some(3), Some(4)]);
    }

    #[test]
    fn emulation_prevention_is_removed() {
        let mut bits = Bits::of_nal(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3]);
        assert_eq!([(); 7].map(|()| bits.take(8)), [0, 0, 1, 0, 0, 0, 0].map(Some));
        assert_eq!(bits.take(1), None);
    }

    #[test]
    fn bits_far_behind_are_found_and_those_behind_the_end_are_not() {
        // A byte that keeps start codes out stands where one block of bytes ends and the next begins.
        let mut nal = vec![7; 3 * BYTES];
        nal[BYTES - 2..=BYTES].copy_from_slice(&[0, 0, 3]);
        let mut bits = Bits::of_nal(&nal);
        assert_eq!((bits.skip(8 * BYTES as u32), bits.take(8)), (Some(()), Some(7)));
        assert!(bits.bytes.len() < 3 * BYTES - 1);
        assert_eq!(bits.skip(8 * (2 * BYTES as u32 - 2)), Some(()));
        assert_eq!((bits.take(1), bits.skip(1)), (None, None));
    }
}
