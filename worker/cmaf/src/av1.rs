//! What the sequence header of an AV1 stream says (AV1 Bitstream & Decoding Process Specification, sections 5.3 and 5.5),
//! and how AV1 lies in MP4 (AV1 Codec ISO Media File Format Binding, sections 2.3 and 2.4).

use reel_common::Colour;

use crate::bits::Bits;

/// Types of OBUs (section 6.2.2).
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
/// Where the OBUs of a record begin.
const CONFIG_OBUS: usize = 4;
/// Levels up to this one have no tier.
const LAST_WITHOUT_TIER: u32 = 7;

/// What a sequence header says.
struct Sequence {
    profile: u32,
    level: u32,
    tier: u32,
    high_depth: bool,
    twelve: bool,
    mono: bool,
    subsampling: [u32; 2],
    sample_position: u32,
    colour: Colour,
}

/// An OBU: its type, all of its bytes, and its payload.
pub(crate) struct Obu<'a> {
    pub(crate) kind: u8,
    pub(crate) bytes: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// The OBUs that bytes consist of; ends early where they are malformed.
pub(crate) struct Obus<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Obus<'a> {
    type Item = Obu<'a>;

    fn next(&mut self) -> Option<Obu<'a>> {
        let header = *self.0.first()?;
        let mut at = if header & 4 == 0 { 1 } else { 2 };
        let mut size = self.0.len().checked_sub(at)?;
        if header & 2 != 0 {
            size = 0;
            for shift in (0..56).step_by(7) {
                let byte = *self.0.get(at)?;
                at += 1;
                size |= usize::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
        }
        let (bytes, rest) = self.0.split_at_checked(at.checked_add(size)?)?;
        self.0 = rest;
        Some(Obu { kind: header >> 3 & 0xf, bytes, payload: &bytes[at..] })
    }
}

/// A temporal unit as a sample: without temporal delimiters (section 2.4 of the binding); `None` where it is malformed.
pub fn sample(unit: &[u8]) -> Option<Vec<u8>> {
    let mut obus = Obus(unit);
    let mut sample = Vec::with_capacity(unit.len());
    for obu in obus.by_ref() {
        if obu.kind != TEMPORAL_DELIMITER {
            sample.extend(obu.bytes);
        }
    }
    obus.0.is_empty().then_some(sample)
}

/// The AV1CodecConfigurationRecord of the first sequence header among OBUs.
pub fn configuration(obus: &[u8]) -> Option<Vec<u8>> {
    let header = Obus(obus).find(|obu| obu.kind == SEQUENCE_HEADER)?;
    let sequence = Sequence::read(header.payload)?;
    let [x, y] = sequence.subsampling;
    let flags = [sequence.high_depth, sequence.twelve, sequence.mono];
    let flags = flags.into_iter().fold(sequence.tier, |flags, flag| flags << 1 | u32::from(flag));
    let formats = flags << 4 | x << 3 | y << 2 | sequence.sample_position;
    let mut record = vec![0x81, (sequence.profile << 5 | sequence.level) as u8, formats as u8, 0];
    record.extend(header.bytes);
    Some(record)
}

fn sequence_of(record: &[u8]) -> Option<Sequence> {
    let header = Obus(record.get(CONFIG_OBUS..)?).find(|obu| obu.kind == SEQUENCE_HEADER)?;
    Sequence::read(header.payload)
}

/// The colour description in an AV1CodecConfigurationRecord; `None` where the stream leaves it open.
pub(crate) fn colour(record: &[u8]) -> Option<Colour> {
    let colour = sequence_of(record)?.colour;
    (colour != Colour::default()).then_some(colour)
}

/// `av01.P.LLT.DD` of a record, and what it says of colour where that is not BT.709 (section 5 of the binding).
pub(crate) fn codec_string(record: &[u8]) -> Option<String> {
    let sequence = sequence_of(record)?;
    let tier = if sequence.tier == 0 { 'M' } else { 'H' };
    let depth = 8 + 2 * u32::from(sequence.high_depth) + 2 * u32::from(sequence.twelve);
    let short = format!("av01.{}.{:02}{tier}.{depth:02}", sequence.profile, sequence.level);
    let Colour { primaries, transfer, matrix, full_range, .. } = sequence.colour;
    let [x, y] = sequence.subsampling;
    let position = if x + y == 2 { sequence.sample_position } else { 0 };
    let told = (primaries, transfer, matrix, full_range);
    if told == (2, 2, 2, false) || (told == (1, 1, 1, false) && position == 0) {
        return Some(short);
    }
    let (mono, range) = (u8::from(sequence.mono), u8::from(full_range));
    Some(format!("{short}.{mono}.{x}{y}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{range}"))
}

impl Sequence {
    fn read(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(payload);
        let profile = bits.take(3)?;
        bits.skip(1)?;
        let reduced = bits.flag()?;
        let (level, tier) = if reduced { (bits.take(5)?, 0) } else { operating_points(&mut bits)? };
        let sides = [bits.take(4)? + 1, bits.take(4)? + 1];
        bits.skip(sides[0] + sides[1])?;
        if !reduced && bits.flag()? {
            bits.skip(7)?;
        }
        bits.skip(3)?;
        if !reduced {
            skip_tools(&mut bits)?;
        }
        bits.skip(3)?;
        Self::read_colour(&mut bits, profile, level, tier)
    }

    /// Section 5.5.2.
    fn read_colour(bits: &mut Bits, profile: u32, level: u32, tier: u32) -> Option<Self> {
        let high_depth = bits.flag()?;
        let twelve = profile == 2 && high_depth && bits.flag()?;
        let mono = profile != 1 && bits.flag()?;
        let mut colour = Colour::default();
        if bits.flag()? {
            colour.primaries = bits.take(8)? as u8;
            colour.transfer = bits.take(8)? as u8;
            colour.matrix = bits.take(8)? as u8;
        }
        let mut sequence = Sequence {
            profile,
            level,
            tier,
            high_depth,
            twelve,
            mono,
            subsampling: [1, 1],
            sample_position: 0,
            colour,
        };
        if !mono && (colour.primaries, colour.transfer, colour.matrix) == (1, 13, 0) {
            sequence.subsampling = [0, 0];
            sequence.colour.full_range = true;
            return Some(sequence);
        }
        sequence.colour.full_range = bits.flag()?;
        if mono {
            return Some(sequence);
        }
        sequence.subsampling = match (profile, twelve) {
            (0, _) => [1, 1],
            (1, _) => [0, 0],
            (_, false) => [1, 0],
            (_, true) => {
                let x = bits.take(1)?;
                [x, if x == 1 { bits.take(1)? } else { 0 }]
            }
        };
        if sequence.subsampling == [1, 1] {
            sequence.sample_position = bits.take(2)?;
            // Unknown, left and top left (section 6.4.2), as ITU-T H.273 numbers them.
            sequence.colour.chroma_location = match sequence.sample_position {
                1 => Some(0),
                2 => Some(2),
                _ => None,
            };
        }
        Some(sequence)
    }
}

/// Level and tier of the first operating point, behind which the reader then stands (section 5.5.1).
fn operating_points(bits: &mut Bits) -> Option<(u32, u32)> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(64)?;
        if bits.flag()? {
            bits.golomb()?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.take(5)? + 1);
            bits.skip(42)?;
        }
    }
    let delays_told = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.take(5)? {
        bits.skip(12)?;
        let level = bits.take(5)?;
        let tier = if level > LAST_WITHOUT_TIER { bits.take(1)? } else { 0 };
        first = first.or(Some((level, tier)));
        if let Some(length) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * length + 1)?;
        }
        if delays_told && bits.flag()? {
            bits.skip(4)?;
        }
    }
    first
}

/// Coding tools between the frame's size and its filters.
fn skip_tools(bits: &mut Bits) -> Option<()> {
    bits.skip(4)?;
    let order_hint = bits.flag()?;
    bits.skip(if order_hint { 2 } else { 0 })?;
    let screen_content = if bits.flag()? { true } else { bits.flag()? };
    if screen_content && !bits.flag()? {
        bits.skip(1)?;
    }
    bits.skip(if order_hint { 3 } else { 0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delimiters_are_left_out_of_samples() {
        let unit = [0x12, 0, 0x32, 2, 7, 8];
        assert_eq!(sample(&unit).as_deref(), Some(&[0x32, 2, 7, 8][..]));
        assert_eq!(sample(&unit[..5]), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut unit = vec![0x0a, bytes.len() as u8];
            unit.extend(&bytes);
            if let Some(record) = configuration(&unit) {
                prop_assert_eq!(&record[CONFIG_OBUS..], unit.as_slice());
                codec_string(&record);
                colour(&record);
            }
            sample(&bytes);
            colour(&bytes);
        }
    }
}
