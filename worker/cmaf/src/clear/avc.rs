//! Lengths of H.264 slice headers (ITU-T H.264, section 7.3.3).

use std::collections::BTreeMap;

use super::nal::{bytes_passed, header_bits, spans};
use super::{HeaderError, Span};
use crate::avc::{HIGH_PROFILES, skip_scaling_list};
use crate::bits::Bits;

/// Types of NAL units (table 7-1).
const SLICE: u8 = 1;
const PARTITIONS: std::ops::RangeInclusive<u8> = 2..=4;
const IDR_SLICE: u8 = 5;
const SEQUENCE: u8 = 7;
const PICTURE: u8 = 8;
/// Slices of auxiliary pictures and of several layers or views.
const OTHER_SLICES: [u8; 3] = [19, 20, 21];
/// Bytes of the NAL unit's own header.
const UNIT_HEADER: usize = 1;
/// Most reference pictures in a list (section 7.4.3).
const MAX_REFERENCES: u32 = 32;

/// The parameter sets of a stream.
#[derive(Clone, Debug)]
pub(super) struct Headers {
    length_bytes: usize,
    sequences: BTreeMap<u32, Sequence>,
    pictures: BTreeMap<u32, Picture>,
}

#[derive(Clone, Copy, Debug)]
struct Sequence {
    /// Whether pictures have chroma that is coded with luma.
    chroma: bool,
    separate_planes: bool,
    frame_number_bits: u32,
    order: Order,
    frames_only: bool,
}

/// How slice headers tell the order of pictures (`pic_order_cnt_type`).
#[derive(Clone, Copy, Debug)]
enum Order {
    LowBits(u32),
    Deltas { told: bool },
    Decoding,
}

#[derive(Clone, Copy, Debug)]
struct Picture {
    sequence: u32,
    cabac: bool,
    bottom_order: bool,
    references: [u32; 2],
    weighted: bool,
    weighted_two_way: bool,
    deblocking: bool,
    redundant: bool,
}

/// `slice_type` modulo 5 (table 7-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P,
    B,
    I,
    SwitchingP,
    SwitchingI,
}

impl Headers {
    /// Reads an AVCDecoderConfigurationRecord.
    pub(super) fn new(record: &[u8]) -> Result<Self, HeaderError> {
        let lengths = *record.get(4).ok_or(HeaderError::Malformed("avcC"))?;
        let mut headers = Headers {
            length_bytes: usize::from(lengths & 3) + 1,
            sequences: BTreeMap::new(),
            pictures: BTreeMap::new(),
        };
        let mut rest = &record[5..];
        for mask in [0x1f, 0xff] {
            let (count, after) = rest.split_first().ok_or(HeaderError::Malformed("avcC"))?;
            rest = after;
            for _ in 0..count & mask {
                let (unit, after) = parameter_set(rest).ok_or(HeaderError::Malformed("avcC"))?;
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
        match unit.first().map(|header| header & 0x1f) {
            Some(SLICE | IDR_SLICE) => self.slice_header(unit).map(Some),
            Some(SEQUENCE | PICTURE) => self.learn(unit).map(|()| None),
            Some(kind) if PARTITIONS.contains(&kind) => {
                Err(HeaderError::Unsupported("H.264 with data partitions"))
            }
            Some(kind) if OTHER_SLICES.contains(&kind) => {
                Err(HeaderError::Unsupported("H.264 with auxiliary pictures, layers or views"))
            }
            _ => Ok(None),
        }
    }

    fn learn(&mut self, unit: &[u8]) -> Result<(), HeaderError> {
        let bits = || header_bits(unit, UNIT_HEADER);
        match unit.first().map(|header| header & 0x1f) {
            Some(SEQUENCE) => {
                let read = bits().and_then(|mut bits| Sequence::read(&mut bits));
                let (id, sequence) = read.ok_or(HeaderError::Malformed("an H.264 sequence parameter set"))?;
                self.sequences.insert(id, sequence);
            }
            Some(PICTURE) => {
                let read = bits().and_then(|mut bits| Picture::read(&mut bits));
                let read = read.ok_or(HeaderError::Malformed("an H.264 picture parameter set"))?;
                let (id, picture) = read.ok_or(HeaderError::Unsupported("H.264 with slice groups"))?;
                self.pictures.insert(id, picture);
            }
            _ => return Err(HeaderError::Malformed("a parameter set in avcC")),
        }
        Ok(())
    }

    fn slice_header(&self, unit: &[u8]) -> Result<usize, HeaderError> {
        let malformed = HeaderError::Malformed("an H.264 slice header");
        let mut bits = header_bits(unit, UNIT_HEADER).ok_or(malformed)?;
        let mut golomb = || bits.golomb().ok_or(malformed);
        let (_, kind, picture) = (golomb()?, golomb()?, golomb()?);
        let kind = match kind % 5 {
            0 => Kind::P,
            1 => Kind::B,
            2 => Kind::I,
            3 => Kind::SwitchingP,
            _ => Kind::SwitchingI,
        };
        let picture = self.pictures.get(&picture);
        let picture = picture.ok_or(HeaderError::Missing("the picture parameter set of an H.264 slice"))?;
        let sequence = self.sequences.get(&picture.sequence);
        let sequence =
            sequence.ok_or(HeaderError::Missing("the sequence parameter set of an H.264 slice"))?;
        let slice = Slice { sequence, picture, kind, idr: unit[0] & 0x1f == IDR_SLICE };
        slice.skip(&mut bits, unit[0] & 0x60 != 0).ok_or(malformed)?;
        Ok(bytes_passed(unit, UNIT_HEADER, &bits))
    }
}

fn parameter_set(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

impl Sequence {
    /// Section 7.3.2.1.1, up to where slices ask for it.
    fn read(bits: &mut Bits) -> Option<(u32, Self)> {
        let profile = bits.take(8)? as u8;
        bits.skip(16)?;
        let id = bits.golomb()?;
        let (mut chroma_format, mut separate_planes) = (1, false);
        if HIGH_PROFILES.contains(&profile) {
            chroma_format = bits.golomb()?;
            separate_planes = chroma_format == 3 && bits.flag()?;
            bits.golomb()?;
            bits.golomb()?;
            bits.skip(1)?;
            if bits.flag()? {
                for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                    if bits.flag()? {
                        skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                    }
                }
            }
        }
        let frame_number_bits = bits.golomb().filter(|bits| *bits <= 12)? + 4;
        let order = match bits.golomb()? {
            0 => Order::LowBits(bits.golomb().filter(|bits| *bits <= 12)? + 4),
            1 => {
                let told = !bits.flag()?;
                bits.golomb()?;
                bits.golomb()?;
                for _ in 0..bits.golomb()? {
                    bits.golomb()?;
                }
                Order::Deltas { told }
            }
            2 => Order::Decoding,
            _ => return None,
        };
        bits.golomb()?;
        bits.skip(1)?;
        bits.golomb()?;
        bits.golomb()?;
        let chroma = chroma_format != 0 && !separate_planes;
        let frames_only = bits.flag()?;
        Some((id, Sequence { chroma, separate_planes, frame_number_bits, order, frames_only }))
    }
}

impl Picture {
    /// Section 7.3.2.2, up to where slices ask for it; `None` inside for slice groups.
    fn read(bits: &mut Bits) -> Option<Option<(u32, Self)>> {
        let (id, sequence) = (bits.golomb()?, bits.golomb()?);
        let (cabac, bottom_order) = (bits.flag()?, bits.flag()?);
        if bits.golomb()? > 0 {
            return Some(None);
        }
        let mut list = || bits.golomb()?.checked_add(1).filter(|count| *count <= MAX_REFERENCES);
        let references = [list()?, list()?];
        let weighted = bits.flag()?;
        let weighted_two_way = bits.take(2)? == 1;
        for _ in 0..3 {
            bits.golomb()?;
        }
        let deblocking = bits.flag()?;
        bits.skip(1)?;
        let redundant = bits.flag()?;
        let picture = Picture {
            sequence,
            cabac,
            bottom_order,
            references,
            weighted,
            weighted_two_way,
            deblocking,
            redundant,
        };
        Some(Some((id, picture)))
    }
}

/// A slice and what its header depends on.
struct Slice<'a> {
    sequence: &'a Sequence,
    picture: &'a Picture,
    kind: Kind,
    idr: bool,
}

impl Slice<'_> {
    /// Passes over the rest of the header, from `colour_plane_id` on.
    fn skip(&self, bits: &mut Bits, reference: bool) -> Option<()> {
        bits.skip(if self.sequence.separate_planes { 2 } else { 0 })?;
        bits.skip(self.sequence.frame_number_bits)?;
        let field = !self.sequence.frames_only && bits.flag()?;
        bits.skip(field.into())?;
        if self.idr {
            bits.golomb()?;
        }
        let bottom = self.picture.bottom_order && !field;
        let deltas = match self.sequence.order {
            Order::LowBits(count) => {
                bits.skip(count)?;
                u32::from(bottom)
            }
            Order::Deltas { told: true } => 1 + u32::from(bottom),
            Order::Deltas { told: false } | Order::Decoding => 0,
        };
        skip_codes(bits, deltas)?;
        skip_codes(bits, self.picture.redundant.into())?;
        let references = self.references(bits)?;
        for _ in &references {
            skip_list_changes(bits)?;
        }
        if self.weighted() {
            self.skip_weights(bits, &references)?;
        }
        if reference {
            self.skip_marking(bits)?;
        }
        if self.picture.cabac && !matches!(self.kind, Kind::I | Kind::SwitchingI) {
            bits.golomb()?;
        }
        bits.golomb()?;
        if self.kind == Kind::SwitchingP {
            bits.skip(1)?;
        }
        if matches!(self.kind, Kind::SwitchingP | Kind::SwitchingI) {
            bits.golomb()?;
        }
        if self.picture.deblocking && bits.golomb()? != 1 {
            skip_codes(bits, 2)?;
        }
        Some(())
    }

    /// How many pictures are in each list that the slice has.
    fn references(&self, bits: &mut Bits) -> Option<Vec<u32>> {
        let lists = match self.kind {
            Kind::P | Kind::SwitchingP => 1,
            Kind::B => 2,
            Kind::I | Kind::SwitchingI => 0,
        };
        bits.skip((self.kind == Kind::B).into())?;
        if lists == 0 || !bits.flag()? {
            return Some(self.picture.references[..lists].to_vec());
        }
        let mut list = || bits.golomb()?.checked_add(1).filter(|count| *count <= MAX_REFERENCES);
        (0..lists).map(|_| list()).collect()
    }

    fn weighted(&self) -> bool {
        match self.kind {
            Kind::P | Kind::SwitchingP => self.picture.weighted,
            Kind::B => self.picture.weighted_two_way,
            Kind::I | Kind::SwitchingI => false,
        }
    }

    /// Section 7.3.3.2.
    fn skip_weights(&self, bits: &mut Bits, references: &[u32]) -> Option<()> {
        skip_codes(bits, 1 + u32::from(self.sequence.chroma))?;
        for _ in 0..references.iter().sum() {
            if bits.flag()? {
                skip_codes(bits, 2)?;
            }
            if self.sequence.chroma && bits.flag()? {
                skip_codes(bits, 4)?;
            }
        }
        Some(())
    }

    /// Section 7.3.3.3.
    fn skip_marking(&self, bits: &mut Bits) -> Option<()> {
        if self.idr {
            return bits.skip(2);
        }
        if !bits.flag()? {
            return Some(());
        }
        loop {
            match bits.golomb()? {
                0 => return Some(()),
                1 | 2 | 4 | 6 => skip_codes(bits, 1)?,
                3 => skip_codes(bits, 2)?,
                5 => {}
                _ => return None,
            }
        }
    }
}

/// Changes of one list of references (section 7.3.3.1).
fn skip_list_changes(bits: &mut Bits) -> Option<()> {
    if !bits.flag()? {
        return Some(());
    }
    loop {
        match bits.golomb()? {
            0..=2 => skip_codes(bits, 1)?,
            3 => return Some(()),
            _ => return None,
        }
    }
}

/// Passes over Exp-Golomb codes, signed or not.
fn skip_codes(bits: &mut Bits, count: u32) -> Option<()> {
    (0..count).try_for_each(|_| bits.golomb().map(|_| ()))
}
