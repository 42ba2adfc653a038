//! Frame headers of AV1 (AV1 Bitstream & Decoding Process Specification, section 5.9), as far as their length and the
//! layout of tiles ask for it.

mod motion;
mod tiles;

use super::HeaderError;
use super::av1::{CHOSEN, Headers, Sequence};
use crate::bits::Bits;

/// Types of frames (section 6.8.2).
const KEY: u32 = 0;
const INTRA_ONLY: u32 = 2;
const SWITCH: u32 = 3;
/// References of a frame (`REFS_PER_FRAME`).
const REFERENCES: usize = 7;
/// `primary_ref_frame` of a frame that takes nothing over.
const NO_PRIMARY: u32 = 7;
const ALL: u32 = 0xff;
/// Segmentation features (section 5.9.14): their bits, and whether they have a sign.
const FEATURES: [(u32, bool); 8] =
    [(8, true), (6, true), (6, true), (6, true), (6, true), (3, false), (0, false), (0, false)];
/// What later frames take over of one (section 7.20).
#[derive(Clone, Debug, Default)]
pub(super) struct Reference {
    valid: bool,
    key: bool,
    /// Width before scaling, coded width and height.
    size: [u32; 3],
    order: u32,
    motion: [[i32; 6]; REFERENCES],
    /// Of each segment what is added to the quantiser.
    quantisers: [Option<i32>; 8],
}

/// A frame whose header was read.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) tiles: u32,
    /// Bits of a tile's number.
    pub(super) tile_bits: u32,
    /// Bytes of a tile's size.
    pub(super) size_bytes: usize,
    /// The references that it becomes, a bit each.
    pub(super) refreshed: u32,
    pub(super) kept: Reference,
}

/// Reads a frame header; `None` where it shows an earlier frame again. `layer` is the header extension of its OBU.
pub(super) fn read(headers: &mut Headers, bits: &mut Bits, layer: u8) -> Result<Option<Frame>, HeaderError> {
    let malformed = HeaderError::Malformed("an AV1 frame header");
    let sequence = headers.sequence.clone();
    if !sequence.reduced && bits.flag().ok_or(malformed)? {
        let shown = show_again(&sequence, bits).ok_or(malformed)?;
        let kept = headers.references[shown as usize].clone();
        if !kept.valid {
            return Err(HeaderError::Missing("the AV1 frame that is shown again"));
        }
        if kept.key {
            headers.keep(&Frame { tiles: 1, tile_bits: 0, size_bytes: 0, refreshed: ALL, kept });
        }
        return Ok(None);
    }
    let mut header = Header::new(&sequence, &mut headers.references, layer);
    match header.read(bits) {
        Some(frame) => Ok(Some(frame)),
        None => Err(header.unsupported.map_or(malformed, HeaderError::Unsupported)),
    }
}

fn show_again(sequence: &Sequence, bits: &mut Bits) -> Option<u32> {
    let shown = bits.take(3)?;
    if let Some((_, presentation)) = sequence.decoder_model.filter(|_| !sequence.equal_intervals) {
        bits.skip(presentation)?;
    }
    bits.skip(sequence.frame_ids.map_or(0, |(id, _)| id))?;
    Some(shown)
}

/// A frame header as far as it was read.
struct Header<'a> {
    sequence: &'a Sequence,
    references: &'a mut [Reference; 8],
    layer: u8,
    unsupported: Option<&'static str>,
    kind: u32,
    shown: bool,
    showable: bool,
    resilient: bool,
    screen_content: bool,
    whole_vectors: bool,
    own_size: bool,
    order: u32,
    primary: u32,
    refreshed: u32,
    /// Which reference stands for each name.
    names: [usize; REFERENCES],
    /// Width before scaling, coded width and height.
    size: [u32; 3],
    copies_blocks: bool,
    fine_vectors: bool,
    base_quantiser: u32,
    /// Whether a plane has a quantiser other than the base.
    quantiser_deltas: bool,
    quantisers: [Option<i32>; 8],
    lossless: bool,
    compound: bool,
}

impl<'a> Header<'a> {
    fn new(sequence: &'a Sequence, references: &'a mut [Reference; 8], layer: u8) -> Self {
        Header {
            sequence,
            references,
            layer,
            unsupported: None,
            kind: KEY,
            shown: true,
            showable: false,
            resilient: true,
            screen_content: false,
            whole_vectors: false,
            own_size: false,
            order: 0,
            primary: NO_PRIMARY,
            refreshed: ALL,
            names: [0; REFERENCES],
            size: [0; 3],
            copies_blocks: false,
            fine_vectors: false,
            base_quantiser: 0,
            quantiser_deltas: false,
            quantisers: [None; 8],
            lossless: false,
            compound: false,
        }
    }

    fn intra(&self) -> bool {
        matches!(self.kind, KEY | INTRA_ONLY)
    }

    /// Section 5.9.2, from behind `show_existing_frame` on.
    fn read(&mut self, bits: &mut Bits) -> Option<Frame> {
        self.read_kind(bits)?;
        let update = !bits.flag()?;
        self.read_choices(bits)?;
        self.read_refreshed(bits)?;
        if self.intra() {
            self.read_size(bits)?;
            self.skip_render_size(bits)?;
            self.copies_blocks = self.screen_content && self.size[0] == self.size[1] && bits.flag()?;
        } else {
            self.read_references(bits)?;
        }
        if !self.sequence.reduced && update {
            bits.skip(1)?;
        }
        let (tiles, tile_bits, size_bytes) = self.read_tiles(bits)?;
        self.read_quantisers(bits)?;
        self.read_segments(bits)?;
        self.skip_deltas(bits)?;
        self.skip_filters(bits)?;
        if !self.lossless {
            bits.skip(1)?;
        }
        self.compound = !self.intra() && bits.flag()?;
        if self.skip_mode_allowed() {
            bits.skip(1)?;
        }
        if !self.intra() && !self.resilient && self.sequence.warped_motion {
            bits.skip(1)?;
        }
        bits.skip(1)?;
        let motion = self.read_motion(bits)?;
        self.skip_grain(bits)?;
        let kept = Reference {
            valid: true,
            key: self.kind == KEY,
            size: self.size,
            order: self.order,
            motion,
            quantisers: self.quantisers,
        };
        Some(Frame { tiles, tile_bits, size_bytes, refreshed: self.refreshed, kept })
    }

    fn read_kind(&mut self, bits: &mut Bits) -> Option<()> {
        if self.sequence.reduced {
            return Some(());
        }
        self.kind = bits.take(2)?;
        self.shown = bits.flag()?;
        if let Some((_, presentation)) = self.sequence.decoder_model
            && self.shown
            && !self.sequence.equal_intervals
        {
            bits.skip(presentation)?;
        }
        self.showable = if self.shown { self.kind != KEY } else { bits.flag()? };
        let key = self.kind == KEY && self.shown;
        self.resilient = key || self.kind == SWITCH || bits.flag()?;
        if key {
            *self.references = Default::default();
        }
        Some(())
    }

    fn read_choices(&mut self, bits: &mut Bits) -> Option<()> {
        let mut choice = |told: u32| if told == CHOSEN { bits.flag() } else { Some(told == 1) };
        self.screen_content = choice(self.sequence.screen_content)?;
        self.whole_vectors = self.screen_content && choice(self.sequence.whole_vectors)?;
        bits.skip(self.sequence.frame_ids.map_or(0, |(id, _)| id))?;
        self.own_size = self.kind == SWITCH || (!self.sequence.reduced && bits.flag()?);
        self.order = bits.take(self.sequence.order_bits)?;
        if !self.intra() && !self.resilient {
            self.primary = bits.take(3)?;
        }
        let Some((removal, _)) = self.sequence.decoder_model else { return Some(()) };
        if bits.flag()? {
            let (temporal, spatial) = (self.layer >> 5, self.layer >> 3 & 3);
            for (parts, _) in self.sequence.operating_points.iter().filter(|(_, model)| *model) {
                let within = parts >> temporal & 1 == 1 && parts >> (spatial + 8) & 1 == 1;
                bits.skip(if *parts == 0 || within { removal } else { 0 })?;
            }
        }
        Some(())
    }

    fn read_refreshed(&mut self, bits: &mut Bits) -> Option<()> {
        if self.kind != SWITCH && !(self.kind == KEY && self.shown) {
            self.refreshed = bits.take(8)?;
        }
        let orders = self.resilient && self.sequence.order_bits > 0;
        if orders && (!self.intra() || self.refreshed != ALL) {
            for index in 0..8 {
                let order = bits.take(self.sequence.order_bits)?;
                let reference = &mut self.references[index];
                if !reference.valid || reference.order != order {
                    *reference = Reference { order, ..Reference::default() };
                }
            }
        }
        Some(())
    }

    fn read_references(&mut self, bits: &mut Bits) -> Option<()> {
        if self.sequence.order_bits > 0 && bits.flag()? {
            self.unsupported = Some("AV1 whose frames name their references in short");
            return None;
        }
        for index in 0..REFERENCES {
            self.names[index] = bits.take(3)? as usize;
            bits.skip(self.sequence.frame_ids.map_or(0, |(_, difference)| difference))?;
        }
        let mut found = None;
        if self.own_size && !self.resilient {
            for name in self.names {
                if found.is_none() && bits.flag()? {
                    found = Some(self.references[name].size);
                    break;
                }
            }
        }
        match found {
            Some([width, _, height]) => {
                self.size = [width, width, height];
                self.read_scale(bits)?;
            }
            None => {
                self.read_size(bits)?;
                self.skip_render_size(bits)?;
            }
        }
        self.fine_vectors = !self.whole_vectors && bits.flag()?;
        if !bits.flag()? {
            bits.skip(2)?;
        }
        bits.skip(1)?;
        bits.skip((!self.resilient && self.sequence.reference_motion).into())
    }

    /// Sections 5.9.5 and 5.9.8.
    fn read_size(&mut self, bits: &mut Bits) -> Option<()> {
        let [mut width, mut height] = self.sequence.sides;
        if self.own_size {
            width = bits.take(self.sequence.side_bits[0])? + 1;
            height = bits.take(self.sequence.side_bits[1])? + 1;
        }
        self.size = [width, width, height];
        self.read_scale(bits)
    }

    fn read_scale(&mut self, bits: &mut Bits) -> Option<()> {
        if self.sequence.scaled && bits.flag()? {
            let denominator = bits.take(3)? + 9;
            self.size[1] = (self.size[0] * 8 + denominator / 2) / denominator;
        }
        (self.size.iter().all(|side| *side > 0)).then_some(())
    }

    fn skip_render_size(&self, bits: &mut Bits) -> Option<()> {
        let told = bits.flag()?;
        bits.skip(if told { 32 } else { 0 })
    }

    /// Section 5.9.12.
    fn read_quantisers(&mut self, bits: &mut Bits) -> Option<()> {
        self.base_quantiser = bits.take(8)?;
        let mut delta = |bits: &mut Bits| -> Option<()> {
            if bits.flag()? {
                self.quantiser_deltas |= bits.take(7)? != 0;
            }
            Some(())
        };
        delta(bits)?;
        if !self.sequence.mono {
            let both = self.sequence.separate_chroma && bits.flag()?;
            for _ in 0..if both { 4 } else { 2 } {
                delta(bits)?;
            }
        }
        if bits.flag()? {
            bits.skip(if self.sequence.separate_chroma { 12 } else { 8 })?;
        }
        Some(())
    }

    /// Section 5.9.14.
    fn read_segments(&mut self, bits: &mut Bits) -> Option<()> {
        if bits.flag()? {
            let mut update = true;
            if self.primary != NO_PRIMARY {
                if bits.flag()? {
                    bits.skip(1)?;
                }
                update = bits.flag()?;
            }
            if update {
                for segment in 0..8 {
                    self.quantisers[segment] = read_features(bits)?;
                }
            } else {
                self.quantisers = self.primary()?.quantisers;
            }
        }
        let quantiser = |delta: &Option<i32>| (self.base_quantiser as i32 + delta.unwrap_or(0)).clamp(0, 255);
        let all_zero = self.quantisers.iter().map(quantiser).all(|quantiser| quantiser == 0);
        self.lossless = all_zero && !self.quantiser_deltas;
        Some(())
    }

    fn primary(&self) -> Option<&Reference> {
        let name = self.names.get(self.primary as usize)?;
        Some(&self.references[*name]).filter(|reference| reference.valid)
    }

    /// Sections 5.9.17 and 5.9.18.
    fn skip_deltas(&self, bits: &mut Bits) -> Option<()> {
        if self.base_quantiser > 0 && bits.flag()? {
            bits.skip(2)?;
            if !self.copies_blocks && bits.flag()? {
                bits.skip(3)?;
            }
        }
        Some(())
    }

    /// Sections 5.9.11, 5.9.19 and 5.9.20.
    fn skip_filters(&self, bits: &mut Bits) -> Option<()> {
        let mono = self.sequence.mono;
        if self.copies_blocks {
            return Some(());
        }
        if !self.lossless {
            let levels = [bits.take(6)?, bits.take(6)?];
            if !mono && levels != [0, 0] {
                bits.skip(12)?;
            }
            bits.skip(3)?;
            if bits.flag()? && bits.flag()? {
                for _ in 0..10 {
                    let told = bits.flag()?;
                    bits.skip(if told { 7 } else { 0 })?;
                }
            }
            if self.sequence.direction_filter {
                bits.skip(2)?;
                let strengths = 1 << bits.take(2)?;
                bits.skip(strengths * if mono { 6 } else { 12 })?;
            }
        }
        let lossless = self.lossless && self.size[0] == self.size[1];
        if lossless || !self.sequence.restoration {
            return Some(());
        }
        let luma = bits.take(2)? != 0;
        let chroma = !mono && {
            let kinds = [bits.take(2)?, bits.take(2)?];
            kinds != [0, 0]
        };
        if luma || chroma {
            let shifted = bits.flag()?;
            bits.skip((shifted && !self.sequence.large_blocks).into())?;
            bits.skip((self.sequence.subsampled && chroma).into())?;
        }
        Some(())
    }

    /// Section 5.9.22.
    fn skip_mode_allowed(&self) -> bool {
        if !self.compound || self.sequence.order_bits == 0 {
            return false;
        }
        let orders = self.names.map(|name| self.references[name].order);
        let distance = |from: u32, to: u32| distance(from, to, self.sequence.order_bits);
        let before = |order: u32| orders.into_iter().filter(move |other| distance(*other, order) < 0);
        let Some(forward) = before(self.order).reduce(|a, b| if distance(b, a) > 0 { b } else { a }) else {
            return false;
        };
        orders.iter().any(|order| distance(*order, self.order) > 0) || before(forward).next().is_some()
    }

    /// Section 5.9.30.
    fn skip_grain(&self, bits: &mut Bits) -> Option<()> {
        if !self.sequence.grain || !(self.shown || self.showable) || !bits.flag()? {
            return Some(());
        }
        bits.skip(16)?;
        // An inter frame may take over the rest.
        if self.kind == 1 && !bits.flag()? {
            return bits.skip(3);
        }
        let mut points = || {
            let count = bits.take(4)?;
            bits.skip(16 * count)?;
            Some(count)
        };
        let luma = points()?;
        let mono = self.sequence.mono;
        let from_luma = !mono && bits.flag()?;
        let mut chroma = [0; 2];
        let without = mono || from_luma || (self.sequence.subsampled && luma == 0);
        if !without {
            for plane in &mut chroma {
                *plane = bits.take(4)?;
                bits.skip(16 * *plane)?;
            }
        }
        bits.skip(2)?;
        let lag = bits.take(2)?;
        let coefficients = 2 * lag * (lag + 1);
        let of_chroma = coefficients + u32::from(luma > 0);
        bits.skip(if luma > 0 { 8 * coefficients } else { 0 })?;
        for plane in chroma {
            bits.skip(if from_luma || plane > 0 { 8 * of_chroma } else { 0 })?;
        }
        bits.skip(4)?;
        for plane in chroma {
            bits.skip(if plane > 0 { 25 } else { 0 })?;
        }
        bits.skip(2)
    }
}

/// The features of a segment; what is added to its quantiser.
fn read_features(bits: &mut Bits) -> Option<Option<i32>> {
    let mut quantiser = None;
    for (feature, (size, signed)) in FEATURES.into_iter().enumerate() {
        if bits.flag()? {
            let value = bits.take(size + u32::from(signed))? as i32;
            if feature == 0 {
                quantiser = Some(if value >= 256 { value - 512 } else { value });
            }
        }
    }
    Some(quantiser)
}

/// How far one order lies behind another, where both count round (section 7.9.3.1).
fn distance(from: u32, to: u32, order_bits: u32) -> i32 {
    let half = 1 << (order_bits - 1);
    let difference = from as i32 - to as i32;
    (difference & (half - 1)) - (difference & half)
}
