//! Where the tiles of AV1 lie in a sample (AV1 Bitstream & Decoding Process Specification, sections 5.5, 5.9.1 and 5.11.1).

use super::av1_frame::{Frame, Reference, read};
use super::{HeaderError, Span};
use crate::av1::Obus;
use crate::bits::Bits;

/// Types of OBUs (section 6.2.2).
const SEQUENCE: u8 = 1;
const FRAME_HEADER: u8 = 3;
const TILE_GROUP: u8 = 4;
const FRAME: u8 = 6;
const REPEATED_HEADER: u8 = 7;
const TILE_LIST: u8 = 8;
/// Where the OBUs of an AV1CodecConfigurationRecord begin.
const CONFIG_OBUS: usize = 4;
/// A tool that a frame chooses by itself (`SELECT_SCREEN_CONTENT_TOOLS`, `SELECT_INTEGER_MV`).
pub(super) const CHOSEN: u32 = 2;

/// The sequence header, and what later headers depend on.
#[derive(Clone, Debug)]
pub(super) struct Headers {
    pub(super) sequence: Sequence,
    pub(super) references: [Reference; 8],
    /// The frame whose tiles are still to come.
    frame: Option<Frame>,
}

/// What frame headers ask of a sequence header (section 5.5).
#[derive(Clone, Debug, Default)]
pub(super) struct Sequence {
    pub(super) reduced: bool,
    pub(super) equal_intervals: bool,
    /// Bits of times of removal and of presentation.
    pub(super) decoder_model: Option<(u32, u32)>,
    /// Of each operating point what it consists of, and whether it has a model.
    pub(super) operating_points: Vec<(u32, bool)>,
    pub(super) side_bits: [u32; 2],
    pub(super) sides: [u32; 2],
    /// Bits of a frame's number and of differences between two.
    pub(super) frame_ids: Option<(u32, u32)>,
    pub(super) large_blocks: bool,
    pub(super) warped_motion: bool,
    pub(super) reference_motion: bool,
    pub(super) screen_content: u32,
    pub(super) whole_vectors: u32,
    pub(super) order_bits: u32,
    pub(super) scaled: bool,
    pub(super) direction_filter: bool,
    pub(super) restoration: bool,
    pub(super) mono: bool,
    pub(super) subsampled: bool,
    pub(super) separate_chroma: bool,
    pub(super) grain: bool,
}

impl Headers {
    /// Reads an AV1CodecConfigurationRecord.
    pub(super) fn new(record: &[u8]) -> Result<Self, HeaderError> {
        let mut obus = Obus(record.get(CONFIG_OBUS..).ok_or(HeaderError::Malformed("av1C"))?);
        let header = obus.find(|obu| obu.kind == SEQUENCE);
        let header = header.ok_or(HeaderError::Missing("the sequence header in av1C"))?;
        let sequence =
            Sequence::read(header.payload).ok_or(HeaderError::Malformed("an AV1 sequence header"))?;
        Ok(Headers { sequence, references: Default::default(), frame: None })
    }

    pub(super) fn spans(&mut self, sample: &[u8]) -> Result<Vec<Span>, HeaderError> {
        let mut spans = Vec::new();
        let mut clear = 0;
        let mut obus = Obus(sample);
        for obu in obus.by_ref() {
            let before = obu.bytes.len() - obu.payload.len();
            let mut told = 0;
            for (start, size) in self.tiles(obu.kind, obu.bytes, obu.payload)? {
                spans.push(Span { clear: clear + before + start - told, protected: size });
                (clear, told) = (0, before + start + size);
            }
            clear += obu.bytes.len() - told;
        }
        if !obus.0.is_empty() {
            return Err(HeaderError::Malformed("a sample of OBUs"));
        }
        if clear > 0 {
            spans.push(Span { clear, protected: 0 });
        }
        Ok(spans)
    }

    /// The tiles of an OBU: where in its payload each begins, and its bytes.
    fn tiles(&mut self, kind: u8, bytes: &[u8], payload: &[u8]) -> Result<Vec<(usize, usize)>, HeaderError> {
        let at = match kind {
            SEQUENCE => {
                let sequence = Sequence::read(payload);
                self.sequence = sequence.ok_or(HeaderError::Malformed("an AV1 sequence header"))?;
                return Ok(Vec::new());
            }
            FRAME_HEADER | FRAME | REPEATED_HEADER if self.frame.is_some() => {
                // A copy of the header before (section 5.9.1).
                if kind == FRAME {
                    return Err(HeaderError::Malformed("an AV1 frame that lacks tiles"));
                }
                return Ok(Vec::new());
            }
            FRAME_HEADER | FRAME => {
                // Temporal and spatial layer stand in the second byte of the header, where it has one.
                let layer = if bytes[0] & 4 == 0 { 0 } else { bytes[1] };
                let mut bits = Bits::new(payload);
                self.frame = read(self, &mut bits, layer)?;
                if kind == FRAME_HEADER {
                    return Ok(Vec::new());
                }
                bits.position().div_ceil(8)
            }
            TILE_GROUP => 0,
            REPEATED_HEADER => {
                return Err(HeaderError::Missing("the frame header that an AV1 header repeats"));
            }
            TILE_LIST => return Err(HeaderError::Unsupported("AV1 with large scale tiles")),
            _ => return Ok(Vec::new()),
        };
        let frame = self.frame.take().ok_or(HeaderError::Missing("the frame header of an AV1 tile group"))?;
        let (tiles, done) =
            tile_group(&frame, payload, at).ok_or(HeaderError::Malformed("an AV1 tile group"))?;
        if done {
            self.keep(&frame)
        } else {
            self.frame = Some(frame)
        }
        Ok(tiles)
    }

    /// Section 7.20.
    pub(super) fn keep(&mut self, frame: &Frame) {
        for (index, reference) in self.references.iter_mut().enumerate() {
            if frame.refreshed >> index & 1 == 1 {
                *reference = frame.kept.clone();
            }
        }
    }
}

/// The tiles of a group that begins at `at` in `payload`, and whether they are the frame's last.
fn tile_group(frame: &Frame, payload: &[u8], at: usize) -> Option<(Vec<(usize, usize)>, bool)> {
    let group = payload.get(at..)?;
    // Behind the frame's header only a few bits are needed.
    let mut bits = Bits::new(&group[..group.len().min(8)]);
    let (mut start, mut end) = (0, frame.tiles - 1);
    if frame.tiles > 1 && bits.flag()? {
        start = bits.take(frame.tile_bits)?;
        end = bits.take(frame.tile_bits)?;
    }
    if start > end || end >= frame.tiles {
        return None;
    }
    let mut at = at + bits.position().div_ceil(8);
    let mut tiles = Vec::new();
    for tile in start..=end {
        let mut size = payload.len().checked_sub(at)?;
        if tile < end {
            let told = payload.get(at..at + frame.size_bytes)?;
            at += frame.size_bytes;
            size = told.iter().rev().fold(0, |size, byte| size << 8 | usize::from(*byte)) + 1;
        }
        if size == 0 || size > payload.len().checked_sub(at)? {
            return None;
        }
        tiles.push((at, size));
        at += size;
    }
    Some((tiles, end + 1 == frame.tiles))
}

impl Sequence {
    fn read(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(payload);
        let mut sequence = Sequence::default();
        let profile = bits.take(3)?;
        bits.skip(1)?;
        sequence.reduced = bits.flag()?;
        if sequence.reduced {
            bits.skip(5)?;
            sequence.operating_points.push((0, false));
        } else {
            sequence.read_operating_points(&mut bits)?;
        }
        sequence.side_bits = [bits.take(4)? + 1, bits.take(4)? + 1];
        sequence.sides = [bits.take(sequence.side_bits[0])? + 1, bits.take(sequence.side_bits[1])? + 1];
        if !sequence.reduced && bits.flag()? {
            let difference = bits.take(4)? + 2;
            sequence.frame_ids = Some((bits.take(3)? + difference + 1, difference));
        }
        sequence.large_blocks = bits.flag()?;
        bits.skip(2)?;
        (sequence.screen_content, sequence.whole_vectors) = (CHOSEN, CHOSEN);
        if !sequence.reduced {
            sequence.read_tools(&mut bits)?;
        }
        sequence.scaled = bits.flag()?;
        sequence.direction_filter = bits.flag()?;
        sequence.restoration = bits.flag()?;
        sequence.read_colour(&mut bits, profile)?;
        sequence.grain = bits.flag()?;
        Some(sequence)
    }

    fn read_operating_points(&mut self, bits: &mut Bits) -> Option<()> {
        let mut delay_bits = 0;
        if bits.flag()? {
            bits.skip(64)?;
            self.equal_intervals = bits.flag()?;
            if self.equal_intervals {
                bits.golomb()?;
            }
            if bits.flag()? {
                delay_bits = bits.take(5)? + 1;
                bits.skip(32)?;
                self.decoder_model = Some((bits.take(5)? + 1, bits.take(5)? + 1));
            }
        }
        let delays = bits.flag()?;
        for _ in 0..=bits.take(5)? {
            let parts = bits.take(12)?;
            if bits.take(5)? > 7 {
                bits.skip(1)?;
            }
            let model = self.decoder_model.is_some() && bits.flag()?;
            if model {
                bits.skip(2 * delay_bits + 1)?;
            }
            if delays && bits.flag()? {
                bits.skip(4)?;
            }
            self.operating_points.push((parts, model));
        }
        Some(())
    }

    fn read_tools(&mut self, bits: &mut Bits) -> Option<()> {
        bits.skip(2)?;
        self.warped_motion = bits.flag()?;
        bits.skip(1)?;
        let order = bits.flag()?;
        if order {
            bits.skip(1)?;
            self.reference_motion = bits.flag()?;
        }
        self.screen_content = if bits.flag()? { CHOSEN } else { bits.take(1)? };
        if self.screen_content > 0 {
            self.whole_vectors = if bits.flag()? { CHOSEN } else { bits.take(1)? };
        }
        self.order_bits = if order { bits.take(3)? + 1 } else { 0 };
        Some(())
    }

    /// Section 5.5.2.
    fn read_colour(&mut self, bits: &mut Bits, profile: u32) -> Option<()> {
        let high_depth = bits.flag()?;
        let twelve = profile == 2 && high_depth && bits.flag()?;
        self.mono = profile != 1 && bits.flag()?;
        let described = if bits.flag()? { [bits.take(8)?, bits.take(8)?, bits.take(8)?] } else { [2; 3] };
        if self.mono {
            self.subsampled = true;
            return bits.skip(1);
        }
        if described == [1, 13, 0] {
            self.separate_chroma = bits.flag()?;
            return Some(());
        }
        bits.skip(1)?;
        self.subsampled = match (profile, twelve) {
            (0, _) => true,
            (2, true) => bits.flag()? && bits.flag()?,
            _ => false,
        };
        if self.subsampled {
            bits.skip(2)?;
        }
        self.separate_chroma = bits.flag()?;
        Some(())
    }
}
