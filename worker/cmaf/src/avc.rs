//! What the header of an H.264 stream says of its colours (ITU-T H.264, section 7.3.2.1.1 and annex E).

use reel_common::Colour;

use crate::bits::Bits;

/// Profiles whose sequence parameter set describes chroma and bit depth.
pub(crate) const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
/// `aspect_ratio_idc` of an aspect ratio that is written out.
const EXTENDED_SAR: u32 = 255;

/// The colour description of the first sequence parameter set in an AVCDecoderConfigurationRecord; `None` where the
/// stream leaves it open.
pub(crate) fn colour(avcc: &[u8]) -> Option<Colour> {
    let length = u16::from_be_bytes([*avcc.get(6)?, *avcc.get(7)?]);
    let sps = avcc.get(8..8 + usize::from(length))?;
    let mut bits = Bits::of_nal(sps.get(1..)?);
    let colour = sequence_colour(&mut bits)?;
    (colour != Colour::default()).then_some(colour)
}

/// The AVCDecoderConfigurationRecord of one sequence and one picture parameter set, which are in no sample: 8-bit 4:2:0,
/// four-byte lengths. `None` where they are no such sets.
pub fn configuration(sps: &[u8], pps: &[u8]) -> Option<Vec<u8>> {
    let [_, profile, constraints, level, ..] = *sps else { return None };
    let mut record = vec![1, profile, constraints, level, 0xff, 0xe1];
    record.extend(u16::try_from(sps.len()).ok()?.to_be_bytes());
    record.extend(sps);
    record.push(1);
    record.extend(u16::try_from(pps.len()).ok()?.to_be_bytes());
    record.extend(pps);
    if matches!(profile, 100 | 110 | 122 | 144) {
        record.extend([0xfd, 0xf8, 0xf8, 0]);
    }
    Some(record)
}

/// `avc1.PPCCLL` of an AVCDecoderConfigurationRecord (RFC 6381; ISO/IEC 14496-15, section 5.3.3.1 and annex E).
pub(crate) fn codec_string(avcc: &[u8]) -> Option<String> {
    let [_, profile, constraints, level, ..] = avcc else { return None };
    Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
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

pub(crate) fn skip_scaling_list(bits: &mut Bits, size: u32) -> Option<()> {
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

/// The beginning of the video usability information, which H.264 and HEVC have in common.
pub(crate) fn usability_colour(bits: &mut Bits) -> Option<Colour> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codec_strings_follow_the_configuration() {
        assert_eq!(codec_string(&[1, 0x64, 0, 0x28, 0xff]).as_deref(), Some("avc1.640028"));
        assert_eq!(codec_string(&[1, 0x42, 0xc0, 0x1e]).as_deref(), Some("avc1.42c01e"));
        assert_eq!(codec_string(&[1, 2]), None);
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
