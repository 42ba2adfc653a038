//! One segment out of a stream of them: its head is kept and parsed, its media bytes pass by.

use std::io::{self, Read};

use reel_cmaf::ReadAt;
use reel_cmaf::fragment::{Fragment, Fragments};
use reel_cmaf::segment::move_segment;
use reel_common::Failure;

/// `styp` and `moof` of a segment: ten minutes at 60 frames a second take less.
const MAX_HEAD_BYTES: u64 = 1 << 20;
/// Media bytes are copied in blocks of this size, which stay in a processor's cache while they are digested twice.
const BLOCK_BYTES: usize = 256 << 10;

/// Why a segment could not be passed on.
pub(super) enum Trouble {
    /// It could not be read, or is no segment: the stored bytes may be damaged.
    Source(String),
    /// It could not be written.
    Output(Failure),
}

/// Reads the next `length` bytes, which are one segment, gives it another number and time if it is to have one (`moved`:
/// the number, and how many ticks later), passes them on to `sink`, and says what they hold. Positions are relative to
/// the segment. What `block` holds is overwritten.
pub(super) fn pass(
    reader: &mut dyn Read,
    length: u64,
    moved: Option<(u32, i64)>,
    block: &mut Vec<u8>,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<Fragment, Trouble> {
    let head = moved_head(reader, length, moved)?;
    sink(&head).map_err(Trouble::Output)?;
    let mut left = length - head.len() as u64;
    let fragment = parse(&Head { head, length })?;
    let block = at_least(block, left.min(BLOCK_BYTES as u64))?;
    while left > 0 {
        let wanted = left.min(block.len() as u64) as usize;
        read_exact(reader, &mut block[..wanted])?;
        sink(&block[..wanted]).map_err(Trouble::Output)?;
        left -= wanted as u64;
    }
    Ok(fragment)
}

/// Reads the next `length` bytes as [`pass`] does, to the beginning of `buffer`: gives the segment and what it holds.
pub(super) fn whole<'a>(
    reader: &mut dyn Read,
    length: u64,
    moved: Option<(u32, i64)>,
    buffer: &'a mut Vec<u8>,
) -> Result<(&'a mut [u8], Fragment), Trouble> {
    let head = moved_head(reader, length, moved)?;
    let segment = &mut at_least(buffer, length)?[..length as usize];
    let (before, media) = segment.split_at_mut(head.len());
    before.copy_from_slice(&head);
    read_exact(reader, media)?;
    Ok((segment, parse(&Head { head, length })?))
}

/// The buffer, grown where it is shorter.
fn at_least(buffer: &mut Vec<u8>, bytes: u64) -> Result<&mut [u8], Trouble> {
    let missing = (bytes as usize).saturating_sub(buffer.len());
    buffer.try_reserve(missing).map_err(|error| Trouble::Source(error.to_string()))?;
    buffer.resize(buffer.len() + missing, 0);
    Ok(buffer)
}

fn read_exact(reader: &mut dyn Read, bytes: &mut [u8]) -> Result<(), Trouble> {
    reader.read_exact(bytes).map_err(|error| Trouble::Source(error.to_string()))
}

/// Reads the head of a segment as [`pass`] does, and says what the segment holds.
pub(super) fn peek(
    reader: &mut dyn Read,
    length: u64,
    moved: Option<(u32, i64)>,
) -> Result<Fragment, Trouble> {
    parse(&Head { head: moved_head(reader, length, moved)?, length })
}

fn moved_head(reader: &mut dyn Read, length: u64, moved: Option<(u32, i64)>) -> Result<Vec<u8>, Trouble> {
    let mut head = read_head(reader, length)?;
    match moved {
        Some((number, ticks)) if !move_segment(&mut head, number, ticks) => {
            Err(Trouble::Source("a segment in it cannot be moved".to_owned()))
        }
        _ => Ok(head),
    }
}

/// Reads up to the first byte of media.
fn read_head(reader: &mut dyn Read, length: u64) -> Result<Vec<u8>, Trouble> {
    let malformed = || Trouble::Source("it is not a run of segments".to_owned());
    let mut head = Vec::new();
    loop {
        let start = head.len();
        let mut take = |head: &mut Vec<u8>, bytes: u64| {
            if head.len() as u64 + bytes > length.min(MAX_HEAD_BYTES) {
                return Err(malformed());
            }
            let start = head.len();
            head.resize(start + bytes as usize, 0);
            read_exact(reader, &mut head[start..])
        };
        take(&mut head, 8)?;
        let size = u32::from_be_bytes([head[start], head[start + 1], head[start + 2], head[start + 3]]);
        if &head[start + 4..] == b"mdat" {
            // A size of 1 says that the real one follows in eight bytes.
            take(&mut head, if size == 1 { 8 } else { 0 })?;
            return Ok(head);
        }
        take(&mut head, u64::from(size).checked_sub(8).ok_or_else(malformed)?)?;
    }
}

fn parse(head: &Head) -> Result<Fragment, Trouble> {
    let malformed = |what: String| Trouble::Source(format!("a segment in it cannot be read: {what}"));
    let mut fragments = Fragments::of_ours(head);
    match fragments.next() {
        Some(Ok(fragment)) if fragment.end == head.length && !fragment.samples.is_empty() => Ok(fragment),
        Some(Ok(_)) => Err(malformed("its fragment does not fill it".to_owned())),
        Some(Err(error)) => Err(malformed(error.to_string())),
        None => Err(malformed("it has no fragment".to_owned())),
    }
}

/// A segment of which only the head is here.
struct Head {
    head: Vec<u8>,
    length: u64,
}

impl ReadAt for Head {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        // The reader of fragments looks 16 bytes ahead, which may reach into the media: zeros will do there.
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.head.len());
        let held = (self.head.len() - start).min(buf.len());
        buf[..held].copy_from_slice(&self.head[start..start + held]);
        buf[held..].fill(0);
        Ok(())
    }
}
