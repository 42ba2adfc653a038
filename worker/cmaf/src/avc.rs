//! What the header of an H.264 stream says of its colours (ITU-T H.264, section 7.3.2.1.1 and annex E).

use reel_common::Colour;

/// Profiles whose sequence parameter set describes chroma and bit depth.
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
/// `aspect_ratio_idc` of an aspect ratio that is written out.
const EXTENDED_SAR: u32 = 255;

/// The colour description of the first sequence parameter set in an AVCDecoderConfigurationRecord; `None` where the
/// stream leaves it open.
pub fn colour(avcc: &[u8]) -> Option<Colour> {
    let length = u16::from_be_bytes([*avcc.get(6)?, *avcc.get(7)?]);
    let sps = avcc.get(8..8 + usize::from(length))?;
    let mut bits = Bits::of_nal(sps.get(1..)?);
    let colour = sequence_colour(&mut bits)?;
    (colour != Colour::default()).then_some(colour)
}

fn sequence_colour(bits: &mut Bits) -> Option<Colour> {
    let profile = bits.take(8)? as u8;
    bits.take(16)?;
    bits.golomb()?;
    if HIGH_PROFILES.contains(&profile) {
        skip_chroma_format(bits)?;
    }
    bits.golomb()?;
    match bits.golomb()? {
        0 => {
            bits.golomb()?;
        }
        1 => {
            bits.take(1)?;
            bits.golomb()?;
            bits.golomb()?;
            for _ in 0..bits.golomb()? {
                bits.golomb()?;
            }
        }
        _ => {}
    }
    bits.golomb()?;
    bits.take(1)?;
    bits.golomb()?;
    bits.golomb()?;
    if bits.take(1)? == 0 {
        bits.take(1)?;
    }
    bits.take(1)?;
    if bits.take(1)? == 1 {
        for _ in 0..4 {
            bits.golomb()?;
        }
    }
    if bits.take(1)? == 1 { usability_colour(bits) } else { Some(Colour::default()) }
}

fn skip_chroma_format(bits: &mut Bits) -> Option<()> {
    let chroma_format = bits.golomb()?;
    if chroma_format == 3 {
        bits.take(1)?;
    }
    bits.golomb()?;
    bits.golomb()?;
    bits.take(1)?;
    if bits.take(1)? == 0 {
        return Some(());
    }
    for list in 0..if chroma_format == 3 { 12 } else { 8 } {
        if bits.take(1)? == 1 {
            skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
        }
    }
    Some(())
}

fn skip_scaling_list(bits: &mut Bits, size: u32) -> Option<()> {
    let (mut last, mut next) = (8u32, 8u32);
    for _ in 0..size {
        if next != 0 {
            let code = bits.golomb()?;
            let delta = if code % 2 == 1 { code / 2 + 1 } else { (code / 2).wrapping_neg() };
            next = last.wrapping_add(delta) & 0xff;
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// The beginning of the video usability information.
fn usability_colour(bits: &mut Bits) -> Option<Colour> {
    let mut colour = Colour::default();
    if bits.take(1)? == 1 && bits.take(8)? == EXTENDED_SAR {
        bits.take(32)?;
    }
    if bits.take(1)? == 1 {
        bits.take(1)?;
    }
    if bits.take(1)? == 1 {
        bits.take(3)?;
        colour.full_range = bits.take(1)? == 1;
        if bits.take(1)? == 1 {
            colour.primaries = bits.take(8)? as u8;
            colour.transfer = bits.take(8)? as u8;
            colour.matrix = bits.take(8)? as u8;
        }
    }
    if bits.take(1)? == 1 {
        colour.chroma_location = u8::try_from(bits.golomb()?).ok();
    }
    Some(colour)
}

/// Bits of a NAL unit, without the bytes that keep start codes out (section 7.4.1.1).
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    fn of_nal(nal: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(nal.len());
        let mut zeros = 0;
        for byte in nal {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            bytes.push(*byte);
        }
        Bits { bytes, at: 0 }
    }

    /// The next `count` bits, at most 32.
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// An unsigned Exp-Golomb code (section 9.1) of at most 32 bits.
    fn golomb(&mut self) -> Option<u32> {
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_are_read_as_the_standard_lists_them() {
        let mut bits = Bits::of_nal(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        assert_eq!([(); 5].map(|()| bits.golomb()), [Some(0), Some(1), Some(2), Some(3), Some(4)]);
    }

    #[test]
    fn emulation_prevention_is_removed() {
        assert_eq!(Bits::of_nal(&[0, 0, 3, 1, 0, 0, 3, 0, 0, 3]).bytes, [0, 0, 1, 0, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut avcc = vec![1, 100, 0, 40, 0xff, 0xe1, 0, bytes.len() as u8];
            avcc.extend(&bytes);
            colour(&avcc);
            colour(&bytes);
        }
    }
}
