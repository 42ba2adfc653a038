//! What the parameter sets of an HEVC stream say (ITU-T H.265, sections 7.3.2.2, 7.3.3 and annex E), and the decoder
//! configuration that is made of them (ISO/IEC 14496-15, section 8.3.3.1).

use reel_common::Colour;

use crate::avc::usability_colour;
use crate::bits::Bits;

/// Types of parameter sets (ITU-T H.265, table 7-1), in the order in which a record has them.
const PARAMETER_SETS: [u8; 3] = [32, 33, 34];
/// Where the first array of parameter sets begins in a record.
const ARRAYS: usize = 23;

/// What a sequence parameter set says.
struct Sequence {
    /// The general part of its profile, tier and level.
    profile: [u8; 12],
    sub_layers: u32,
    nested: bool,
    chroma_format: u32,
    luma_depth: u32,
    chroma_depth: u32,
    colour: Colour,
}

/// The HEVCDecoderConfigurationRecord of one video, one sequence and one picture parameter set, which are in no sample;
/// `None` where they are no such sets.
pub fn configuration(units: &[&[u8]; 3]) -> Option<Vec<u8>> {
    let kinds = units.map(|unit| unit.first().map(|header| header >> 1 & 0x3f));
    if kinds != PARAMETER_SETS.map(Some) {
        return None;
    }
    let sequence = Sequence::read(units[1])?;
    let mut record = vec![1];
    record.extend(sequence.profile);
    // Neither segmentation nor a kind of parallelism is promised.
    record.extend([0xf0, 0, 0xfc]);
    record.push(0xfc | sequence.chroma_format as u8);
    record.push(0xf8 | sequence.luma_depth as u8);
    record.push(0xf8 | sequence.chroma_depth as u8);
    // The average frame rate is not said; lengths have four bytes.
    record.extend([0, 0, (sequence.sub_layers as u8 & 7) << 3 | u8::from(sequence.nested) << 2 | 3, 3]);
    for (kind, unit) in PARAMETER_SETS.into_iter().zip(units) {
        record.extend([0x80 | kind, 0, 1]);
        record.extend(u16::try_from(unit.len()).ok()?.to_be_bytes());
        record.extend(*unit);
    }
    Some(record)
}

/// The colour description in an HEVCDecoderConfigurationRecord; `None` where the stream leaves it open.
pub(crate) fn colour(hvcc: &[u8]) -> Option<Colour> {
    let colour = Sequence::read(parameter_set(hvcc, PARAMETER_SETS[1])?)?.colour;
    (colour != Colour::default()).then_some(colour)
}

/// The first parameter set of a kind.
fn parameter_set(hvcc: &[u8], kind: u8) -> Option<&[u8]> {
    let mut rest = hvcc.get(ARRAYS..)?;
    for _ in 0..*hvcc.get(ARRAYS - 1)? {
        let [header, high, low, units @ ..] = rest else { return None };
        rest = units;
        for _ in 0..u16::from_be_bytes([*high, *low]) {
            let [high, low, after @ ..] = rest else { return None };
            let (unit, after) = after.split_at_checked(u16::from_be_bytes([*high, *low]).into())?;
            if header & 0x3f == kind {
                return Some(unit);
            }
            rest = after;
        }
    }
    None
}

/// `hvc1.P.C.TL.B` of an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, annex E).
pub(crate) fn codec_string(hvcc: &[u8]) -> Option<String> {
    let [_, profile, c0, c1, c2, c3, constraints @ .., level] = hvcc.get(..13)? else { return None };
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let compatible = u32::from_be_bytes([*c0, *c1, *c2, *c3]).reverse_bits();
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let told = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let constraints: String = constraints[..told].iter().map(|byte| format!(".{byte:X}")).collect();
    Some(format!("hvc1.{space}{}.{compatible:X}.{tier}{level}{constraints}", profile & 0x1f))
}

impl Sequence {
    fn read(unit: &[u8]) -> Option<Self> {
        let mut bits = Bits::of_nal(unit.get(2..)?);
        bits.skip(4)?;
        let more_layers = bits.take(3)?;
        let nested = bits.flag()?;
        let mut profile = [0; 12];
        for byte in &mut profile {
            *byte = bits.take(8)? as u8;
        }
        skip_sub_layers(&mut bits, more_layers)?;
        bits.golomb()?;
        let chroma_format = bits.golomb().filter(|format| *format <= 3)?;
        if chroma_format == 3 {
            bits.skip(1)?;
        }
        bits.golomb()?;
        bits.golomb()?;
        if bits.flag()? {
            for _ in 0..4 {
                bits.golomb()?;
            }
        }
        let [luma_depth, chroma_depth] = [bits.golomb()?, bits.golomb()?];
        if luma_depth > 7 || chroma_depth > 7 {
            return None;
        }
        let order_bits = bits.golomb()?.checked_add(4)?;
        let first = if bits.flag()? { 0 } else { more_layers };
        for _ in 0..3 * (more_layers + 1 - first) + 6 {
            bits.golomb()?;
        }
        if bits.flag()? && bits.flag()? {
            skip_scaling_lists(&mut bits)?;
        }
        bits.skip(2)?;
        if bits.flag()? {
            bits.skip(8)?;
            bits.golomb()?;
            bits.golomb()?;
            bits.skip(1)?;
        }
        skip_reference_sets(&mut bits)?;
        if bits.flag()? {
            for _ in 0..bits.golomb()? {
                bits.skip(order_bits.checked_add(1)?)?;
            }
        }
        bits.skip(2)?;
        let colour = if bits.flag()? { usability_colour(&mut bits)? } else { Colour::default() };
        let sub_layers = more_layers + 1;
        Some(Sequence { profile, sub_layers, nested, chroma_format, luma_depth, chroma_depth, colour })
    }
}

pub(crate) fn skip_sub_layers(bits: &mut Bits, count: u32) -> Option<()> {
    let mut told = Vec::new();
    for _ in 0..count {
        told.push((bits.flag()?, bits.flag()?));
    }
    if count > 0 {
        bits.skip(2 * (8 - count))?;
    }
    told.into_iter()
        .try_for_each(|(profile, level)| bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 }))
}

pub(crate) fn skip_scaling_lists(bits: &mut Bits) -> Option<()> {
    for size in 0..4 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.flag()? {
                bits.golomb()?;
                continue;
            }
            let coefficients = 64.min(1 << (4 + 2 * size)) + u32::from(size > 1);
            for _ in 0..coefficients {
                bits.golomb()?;
            }
        }
    }
    Some(())
}

/// Passes over the short-term reference picture sets (section 7.3.7).
fn skip_reference_sets(bits: &mut Bits) -> Option<()> {
    let mut pictures = 0;
    for set in 0..bits.golomb()? {
        if set > 0 && bits.flag()? {
            bits.skip(1)?;
            bits.golomb()?;
            let mut kept = 0;
            for _ in 0..=pictures {
                // Used by the current picture, or else still kept for another.
                kept += u32::from(bits.flag()? || bits.flag()?);
            }
            pictures = kept;
            continue;
        }
        let [before, after] = [bits.golomb()?, bits.golomb()?];
        pictures = before.checked_add(after)?;
        for _ in 0..pictures {
            bits.golomb()?;
            bits.skip(1)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codec_strings_follow_the_configuration() {
        let main = [1, 1, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93];
        assert_eq!(codec_string(&main).as_deref(), Some("hvc1.1.6.L93.B0"));
        let main10 = [1, 0x22, 0x20, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 153];
        assert_eq!(codec_string(&main10).as_deref(), Some("hvc1.2.4.H153.90"));
        assert_eq!(codec_string(&main[..12]), None);
    }

    proptest! {
        #[test]
        fn no_parameter_set_makes_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let sequence: Vec<u8> = [0x42, 1].into_iter().chain(bytes.iter().copied()).collect();
            if let Some(record) = configuration(&[&[0x40, 1], &sequence, &[0x44, 1]]) {
                prop_assert_eq!(parameter_set(&record, 33), Some(sequence.as_slice()));
                colour(&record);
            }
            colour(&bytes);
            codec_string(&bytes);
        }
    }
}
