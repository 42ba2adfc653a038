//! The layout of tiles in a frame header of AV1 (section 5.9.15).

use super::Header;
use crate::bits::Bits;

/// Largest tiles: columns, and samples.
const MAX_TILE_WIDTH: u32 = 4096;
const MAX_TILE_AREA: u32 = 4096 * 2304;
const MAX_TILE_SIDES: u32 = 64;

impl Header<'_> {
    /// Section 5.9.15: how many tiles there are, bits of a tile's number, bytes of its size.
    pub(super) fn read_tiles(&self, bits: &mut Bits) -> Option<(u32, u32, usize)> {
        let shift = if self.sequence.large_blocks { 7 } else { 6 };
        // Sides are multiples of eight samples before they are counted in blocks.
        let [columns, rows] =
            [self.size[1], self.size[2]].map(|side| (side.div_ceil(8) * 8).div_ceil(1 << shift));
        let widest = MAX_TILE_WIDTH >> shift;
        let largest = MAX_TILE_AREA >> (2 * shift);
        let least_columns = tile_log2(widest, columns);
        let least = least_columns.max(tile_log2(largest, rows * columns));
        let most = |blocks: u32| tile_log2(1, blocks.min(MAX_TILE_SIDES));
        let (across, down) = if bits.flag()? {
            let across = uniform(bits, least_columns, most(columns), columns)?;
            (across, uniform(bits, least.saturating_sub(across.1), most(rows), rows)?)
        } else {
            let (across, _, wide) = explicit(bits, columns, widest)?;
            let area = if least > 0 { (rows * columns) >> (least + 1) } else { rows * columns };
            let (down, _, _) = explicit(bits, rows, (area / wide).max(1))?;
            ((across, tile_log2(1, across)), (down, tile_log2(1, down)))
        };
        let tile_bits = across.1 + down.1;
        let mut size_bytes = 0;
        if tile_bits > 0 {
            bits.skip(tile_bits)?;
            size_bytes = bits.take(2)? as usize + 1;
        }
        let tiles = across.0 * down.0;
        (across.0.max(down.0) <= MAX_TILE_SIDES).then_some((tiles, tile_bits, size_bytes))
    }
}

/// How many tiles a side of `blocks` has where all are alike, and the logarithm that said so.
fn uniform(bits: &mut Bits, least: u32, most: u32, blocks: u32) -> Option<(u32, u32)> {
    let mut log = least;
    while log < most && bits.flag()? {
        log += 1;
    }
    Some((blocks.div_ceil(blocks.div_ceil(1 << log)), log))
}

/// How many tiles a side has where each tells its size, blocks that are left, and the largest.
fn explicit(bits: &mut Bits, blocks: u32, largest: u32) -> Option<(u32, u32, u32)> {
    let (mut tiles, mut left, mut widest) = (0, blocks, 1);
    while left > 0 {
        let size = limited(bits, left.min(largest))? + 1;
        (tiles, left, widest) = (tiles + 1, left.checked_sub(size)?, widest.max(size));
    }
    Some((tiles, left, widest))
}

/// The smallest power of two that, times `block`, is at least `target`.
fn tile_log2(block: u32, target: u32) -> u32 {
    (0..31).find(|log| block << log >= target).unwrap_or(31)
}

/// A number less than `count`, `ns(n)` of section 4.10.7.
pub(super) fn limited(bits: &mut Bits, count: u32) -> Option<u32> {
    let width = u32::BITS - count.leading_zeros();
    let short = (1u32 << width) - count;
    let value = bits.take(width - 1)?;
    if value < short { Some(value) } else { Some((value << 1) - short + bits.take(1)?) }
}
