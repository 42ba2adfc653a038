//! Lengths of HEVC slice segment headers (ITU-T H.265, section 7.3.6).

use std::collections::BTreeMap;

use super::hevc_references::References;
use super::nal::{bytes_passed, header_bits, spans};
use super::{HeaderError, Span};
use crate::bits::Bits;
use crate::hevc::{skip_scaling_lists, skip_sub_layers};

/// Types of NAL units (table 7-1).
const IDR: std::ops::RangeInclusive<u8> = 19..=20;
const IRAP: std::ops::RangeInclusive<u8> = 16..=23;
const LAST_SLICE: u8 = 21;
const RESERVED_SLICES: [std::ops::RangeInclusive<u8>; 2] = [10..=15, 22..=31];
const SEQUENCE: u8 = 33;
const PICTURE: u8 = 34;
/// Bytes of the NAL unit's own header.
const UNIT_HEADER: usize = 2;
/// Where the count of arrays of parameter sets stands in a record.
const ARRAYS: usize = 22;
/// Most pictures in a list, a set or a buffer (annex A.4).
pub(super) const MAX_REFERENCES: u32 = 16;

/// The parameter sets of a stream.
#[derive(Clone, Debug)]
pub(super) struct Headers {
    length_bytes: usize,
    sequences: BTreeMap<u32, Sequence>,
    pictures: BTreeMap<u32, Picture>,
}

#[derive(Clone, Debug)]
struct Sequence {
    separate_planes: bool,
    /// Whether pictures have chroma that is coded with luma.
    chroma: bool,
    /// Bits of the address of a slice segment.
    address_bits: u32,
    order_bits: u32,
    adaptive_offset: bool,
    short_term: Vec<References>,
    /// For each candidate whether the current picture may use it; `None` without long-term references.
    long_term: Option<Vec<bool>>,
    temporal_motion: bool,
}

#[derive(Clone, Copy, Debug)]
struct Picture {
    sequence: u32,
    dependent: bool,
    output_flag: bool,
    extra_bits: u32,
    cabac_choice: bool,
    references: [u32; 2],
    chroma_offsets: bool,
    weighted: bool,
    weighted_two_way: bool,
    entry_points: bool,
    filter_across: bool,
    filter_override: bool,
    filter_disabled: bool,
    list_changes: bool,
    extension: bool,
    chroma_adjustment: bool,
}

impl Headers {
    /// Reads an HEVCDecoderConfigurationRecord.
    pub(super) fn new(record: &[u8]) -> Result<Self, HeaderError> {
        let malformed = HeaderError::Malformed("hvcC");
        let mut headers = Headers {
            length_bytes: usize::from(record.get(21).ok_or(malformed)? & 3) + 1,
            sequences: BTreeMap::new(),
            pictures: BTreeMap::new(),
        };
        let (arrays, mut rest) = record.get(ARRAYS..).and_then(<[u8]>::split_first).ok_or(malformed)?;
        for _ in 0..*arrays {
            let ([_, high, low], after) = rest.split_first_chunk().ok_or(malformed)?;
            rest = after;
            for _ in 0..u16::from_be_bytes([*high, *low]) {
                let (length, after) = rest.split_first_chunk().ok_or(malformed)?;
                let (unit, after) =
                    after.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(malformed)?;
                headers.learn(unit)?;
                rest = after;
            }
        }
        Ok(headers)
    }

    pub(super) fn spans(&mut self, sample: &[u8]) -> Result<Vec<Span>, HeaderError> {
        spans(sample, self.length_bytes, |unit| self.clear(unit))
    }

    fn clear(&mut self, unit: &[u8]) -> Result<Option<usize>, HeaderError> {
        let malformed = HeaderError::Malformed("the header of an HEVC NAL unit");
        let [first, second, ..] = unit else { return Err(malformed) };
        let kind = first >> 1 & 0x3f;
        if RESERVED_SLICES.iter().any(|reserved| reserved.contains(&kind)) {
            return Err(HeaderError::Unsupported("HEVC with slices of a reserved type"));
        }
        if kind > LAST_SLICE {
            return self.learn(unit).map(|()| None);
        }
        if first & 1 != 0 || second & 0xf8 != 0 {
            return Err(HeaderError::Unsupported("HEVC with layers"));
        }
        self.slice_header(unit, kind).map(Some)
    }

    /// Takes note of a parameter set; passes over any other unit.
    fn learn(&mut self, unit: &[u8]) -> Result<(), HeaderError> {
        let bits = || header_bits(unit, UNIT_HEADER);
        match unit.first().map(|header| header >> 1 & 0x3f) {
            Some(SEQUENCE) => {
                let read = bits().and_then(|mut bits| Sequence::read(&mut bits));
                let (id, sequence) = read.ok_or(HeaderError::Malformed("an HEVC sequence parameter set"))?;
                let sequence = sequence.ok_or(HeaderError::Unsupported("HEVC with screen content coding"))?;
                self.sequences.insert(id, sequence);
            }
            Some(PICTURE) => {
                let read = bits().and_then(|mut bits| Picture::read(&mut bits));
                let read = read.ok_or(HeaderError::Malformed("an HEVC picture parameter set"))?;
                let unsupported = "HEVC with the tools of several layers, depth or screen content";
                let (id, picture) = read.ok_or(HeaderError::Unsupported(unsupported))?;
                self.pictures.insert(id, picture);
            }
            _ => {}
        }
        Ok(())
    }

    fn slice_header(&self, unit: &[u8], kind: u8) -> Result<usize, HeaderError> {
        let malformed = HeaderError::Malformed("an HEVC slice header");
        let mut bits = header_bits(unit, UNIT_HEADER).ok_or(malformed)?;
        let first = bits.flag().ok_or(malformed)?;
        bits.skip(IRAP.contains(&kind).into()).ok_or(malformed)?;
        let picture = self.pictures.get(&bits.golomb().ok_or(malformed)?);
        let picture = picture.ok_or(HeaderError::Missing("the picture parameter set of an HEVC slice"))?;
        let sequence = self.sequences.get(&picture.sequence);
        let sequence = sequence.ok_or(HeaderError::Missing("the sequence parameter set of an HEVC slice"))?;
        let slice = Slice { sequence, picture, idr: IDR.contains(&kind) };
        slice.skip(&mut bits, first).ok_or(malformed)?;
        Ok(bytes_passed(unit, UNIT_HEADER, &bits))
    }
}

impl Sequence {
    /// Section 7.3.2.2, up to where slices ask for it; `None` inside for screen content coding.
    fn read(bits: &mut Bits) -> Option<(u32, Option<Self>)> {
        bits.skip(4)?;
        let more_layers = bits.take(3)?;
        bits.skip(1 + 3)?;
        let profile = bits.take(5)?;
        bits.skip(88)?;
        skip_sub_layers(bits, more_layers)?;
        let id = bits.golomb()?;
        // Profiles of screen content (annex A.3.7) and of it with high throughput (annex A.3.8).
        if matches!(profile, 9 | 11) {
            return Some((id, None));
        }
        let chroma_format = bits.golomb().filter(|format| *format <= 3)?;
        let separate_planes = chroma_format == 3 && bits.flag()?;
        let (width, height) = (bits.golomb()?, bits.golomb()?);
        if bits.flag()? {
            skip_codes(bits, 4)?;
        }
        skip_codes(bits, 2)?;
        let order_bits = bits.golomb().filter(|bits| *bits <= 12)? + 4;
        let first = if bits.flag()? { 0 } else { more_layers };
        skip_codes(bits, 3 * (more_layers + 1 - first))?;
        let block = bits.golomb().filter(|log| *log <= 3)? + 3;
        let block = block + bits.golomb().filter(|log| *log <= 3)?;
        skip_codes(bits, 4)?;
        if bits.flag()? && bits.flag()? {
            skip_scaling_lists(bits)?;
        }
        bits.skip(1)?;
        let adaptive_offset = bits.flag()?;
        if bits.flag()? {
            bits.skip(8)?;
            skip_codes(bits, 2)?;
            bits.skip(1)?;
        }
        let sets = bits.golomb().filter(|sets| *sets <= 64)?;
        let mut short_term = Vec::new();
        for index in 0..sets {
            let set = References::read(bits, index, sets, &short_term)?;
            short_term.push(set);
        }
        let mut long_term = None;
        if bits.flag()? {
            let count = bits.golomb().filter(|count| *count <= 32)?;
            let mut used = || {
                bits.skip(order_bits)?;
                bits.flag()
            };
            long_term = Some((0..count).map(|_| used()).collect::<Option<_>>()?);
        }
        let temporal_motion = bits.flag()?;
        let blocks = |samples: u32| u64::from(samples).div_ceil(1 << block);
        Some((
            id,
            Some(Sequence {
                separate_planes,
                chroma: chroma_format != 0 && !separate_planes,
                address_bits: log2_ceil(blocks(width) * blocks(height)),
                order_bits,
                adaptive_offset,
                short_term,
                long_term,
                temporal_motion,
            }),
        ))
    }
}

impl Picture {
    /// Section 7.3.2.3, up to where slices ask for it; `None` inside for extensions of other kinds of video.
    fn read(bits: &mut Bits) -> Option<Option<(u32, Self)>> {
        let (id, sequence) = (bits.golomb()?, bits.golomb()?);
        let (dependent, output_flag) = (bits.flag()?, bits.flag()?);
        let extra_bits = bits.take(3)?;
        bits.skip(1)?;
        let cabac_choice = bits.flag()?;
        let mut list = || bits.golomb().filter(|more| *more < MAX_REFERENCES).map(|more| more + 1);
        let references = [list()?, list()?];
        bits.golomb()?;
        bits.skip(1)?;
        let transform_skip = bits.flag()?;
        if bits.flag()? {
            bits.golomb()?;
        }
        skip_codes(bits, 2)?;
        let chroma_offsets = bits.flag()?;
        let (weighted, weighted_two_way) = (bits.flag()?, bits.flag()?);
        bits.skip(1)?;
        let (tiles, rows) = (bits.flag()?, bits.flag()?);
        if tiles {
            skip_tiles(bits)?;
        }
        let filter_across = bits.flag()?;
        let (mut filter_override, mut filter_disabled) = (false, false);
        if bits.flag()? {
            filter_override = bits.flag()?;
            filter_disabled = bits.flag()?;
            if !filter_disabled {
                skip_codes(bits, 2)?;
            }
        }
        if bits.flag()? {
            skip_scaling_lists(bits)?;
        }
        let list_changes = bits.flag()?;
        bits.golomb()?;
        let extension = bits.flag()?;
        let mut chroma_adjustment = false;
        if bits.flag()? {
            let range = bits.flag()?;
            if bits.take(7)? != 0 {
                return Some(None);
            }
            if range {
                if transform_skip {
                    bits.golomb()?;
                }
                bits.skip(1)?;
                chroma_adjustment = bits.flag()?;
            }
        }
        let picture = Picture {
            sequence,
            dependent,
            output_flag,
            extra_bits,
            cabac_choice,
            references,
            chroma_offsets,
            weighted,
            weighted_two_way,
            entry_points: tiles || rows,
            filter_across,
            filter_override,
            filter_disabled,
            list_changes,
            extension,
            chroma_adjustment,
        };
        Some(Some((id, picture)))
    }
}

/// A slice segment and what its header depends on.
struct Slice<'a> {
    sequence: &'a Sequence,
    picture: &'a Picture,
    idr: bool,
}

impl Slice<'_> {
    /// Passes over the rest of the header, from behind `slice_pic_parameter_set_id` on.
    fn skip(&self, bits: &mut Bits, first: bool) -> Option<()> {
        let mut dependent = false;
        if !first {
            dependent = self.picture.dependent && bits.flag()?;
            bits.skip(self.sequence.address_bits)?;
        }
        if !dependent {
            self.skip_independent(bits)?;
        }
        if self.picture.entry_points {
            let count = bits.golomb()?;
            if count > 0 {
                let width = bits.golomb().filter(|width| *width < 32)? + 1;
                (0..count).try_for_each(|_| bits.skip(width))?;
            }
        }
        if self.picture.extension {
            let bytes = bits.golomb().filter(|bytes| *bytes <= 256)?;
            bits.skip(8 * bytes)?;
        }
        // byte_alignment(): a one, and zeros to the end of the byte.
        bits.flag()?.then_some(())
    }

    fn skip_independent(&self, bits: &mut Bits) -> Option<()> {
        let (sequence, picture) = (self.sequence, self.picture);
        bits.skip(picture.extra_bits)?;
        let lists = match bits.golomb()? {
            0 => 2,
            1 => 1,
            2 => 0,
            _ => return None,
        };
        bits.skip(picture.output_flag.into())?;
        bits.skip(if sequence.separate_planes { 2 } else { 0 })?;
        let (mut used, mut motion) = (0, false);
        if !self.idr {
            bits.skip(sequence.order_bits)?;
            used = self.references(bits)?;
            motion = sequence.temporal_motion && bits.flag()?;
        }
        let (mut luma_offset, mut chroma_offset) = (false, false);
        if sequence.adaptive_offset {
            luma_offset = bits.flag()?;
            chroma_offset = sequence.chroma && bits.flag()?;
        }
        if lists > 0 {
            self.skip_prediction(bits, lists, used, motion)?;
        }
        bits.golomb()?;
        if picture.chroma_offsets {
            skip_codes(bits, 2)?;
        }
        bits.skip(picture.chroma_adjustment.into())?;
        let overridden = picture.filter_override && bits.flag()?;
        let mut filter_disabled = picture.filter_disabled;
        if overridden {
            filter_disabled = bits.flag()?;
            if !filter_disabled {
                skip_codes(bits, 2)?;
            }
        }
        bits.skip((picture.filter_across && (luma_offset || chroma_offset || !filter_disabled)).into())
    }

    /// How many pictures the current one may use, of the reference picture sets that the header names.
    fn references(&self, bits: &mut Bits) -> Option<u32> {
        let sets = &self.sequence.short_term;
        let count = sets.len() as u32;
        let mut used = if bits.flag()? {
            let index = bits.take(log2_ceil(count.into()))?;
            sets.get(index as usize)?.used()
        } else {
            References::read(bits, count, count, sets)?.used()
        };
        let Some(candidates) = &self.sequence.long_term else { return Some(used) };
        let known = candidates.len() as u32;
        let listed = if known > 0 { bits.golomb()? } else { 0 };
        let told = bits.golomb()?;
        if listed.max(told) > 32 {
            return None;
        }
        for index in 0..listed + told {
            let use_it = if index < listed {
                *candidates.get(bits.take(log2_ceil(known.into()))? as usize)?
            } else {
                bits.skip(self.sequence.order_bits)?;
                bits.flag()?
            };
            used += u32::from(use_it);
            if bits.flag()? {
                bits.golomb()?;
            }
        }
        Some(used)
    }

    /// What only slices with prediction from other pictures say.
    fn skip_prediction(&self, bits: &mut Bits, lists: usize, used: u32, motion: bool) -> Option<()> {
        let mut references = self.picture.references;
        if bits.flag()? {
            for count in &mut references[..lists] {
                *count = bits.golomb().filter(|more| *more < MAX_REFERENCES)? + 1;
            }
        }
        let references = &references[..lists];
        if self.picture.list_changes && used > 1 {
            for count in references {
                if bits.flag()? {
                    bits.skip(count * log2_ceil(used.into()))?;
                }
            }
        }
        bits.skip((lists == 2).into())?;
        bits.skip(self.picture.cabac_choice.into())?;
        if motion {
            let from_first = lists == 1 || bits.flag()?;
            if references[usize::from(!from_first)] > 1 {
                bits.golomb()?;
            }
        }
        let weighted = if lists == 1 { self.picture.weighted } else { self.picture.weighted_two_way };
        if weighted {
            self.skip_weights(bits, references)?;
        }
        bits.golomb().map(|_| ())
    }

    /// Section 7.3.6.3.
    fn skip_weights(&self, bits: &mut Bits, references: &[u32]) -> Option<()> {
        let chroma = self.sequence.chroma;
        skip_codes(bits, 1 + u32::from(chroma))?;
        for count in references {
            let mut flags = |there: bool| -> Option<Vec<bool>> {
                (0..*count).map(|_| Some(there && bits.flag()?)).collect()
            };
            let (luma, chroma) = (flags(true)?, flags(chroma)?);
            for (luma, chroma) in luma.into_iter().zip(chroma) {
                skip_codes(bits, if luma { 2 } else { 0 } + if chroma { 4 } else { 0 })?;
            }
        }
        Some(())
    }
}

/// The columns and rows of tiles in a picture parameter set.
fn skip_tiles(bits: &mut Bits) -> Option<()> {
    let (columns, rows) = (bits.golomb()?, bits.golomb()?);
    if !bits.flag()? {
        skip_codes(bits, columns.checked_add(rows)?)?;
    }
    bits.skip(1)
}

/// Passes over Exp-Golomb codes, signed or not.
fn skip_codes(bits: &mut Bits, count: u32) -> Option<()> {
    (0..count).try_for_each(|_| bits.golomb().map(|_| ()))
}

/// Bits of a number that is less than `count`.
fn log2_ceil(count: u64) -> u32 {
    count.max(1).next_power_of_two().trailing_zeros()
}
