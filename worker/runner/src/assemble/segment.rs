//! One segment out of a stream of them: its head is kept and parsed, its media bytes pass by.

use std::io::{self, Read};

use reel_cmaf::ReadAt;
use reel_cmaf::fragment::{Fragment, Fragments};
use reel_cmaf::segment::move_segment;
use reel_common::Failure;

/// `styp` and `moof` of a segment: ten minutes at 60 frames a second take less.
const MAX_HEAD_BYTES: u64 = 1 << 20;
/// Media bytes are copied in blocks of this size.
const BLOCK_BYTES: usize = 1 << 20;

/// Why a segment could not be passed on.
pub(super) enum Trouble {
    /// It could not be read, or is no segment: the stored bytes may be damaged.
    Source(String),
    /// It could not be written.
    Output(Failure),
}

/// Reads the next `length` bytes, which are one segment, gives it another number and time if it is to have one (`moved`:
/// the number, and how many ticks later), passes them on to `sink`, and says what they hold. Positions are relative to
/// the segment.
pub(super) fn pass(
    reader: &mut dyn Read,
    length: u64,
    moved: Option<(u32, i64)>,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<Fragment, Trouble> {
    let mut head = read_head(reader, length)?;
    if let Some((number, ticks)) = moved
        && !move_segment(&mut head, number, ticks)
    {
        return Err(Trouble::Source("a segment in it cannot be moved".to_owned()));
    }
    sink(&head).map_err(Trouble::Output)?;
    let mut left = length - head.len() as u64;
    let fragment = parse(&Head { head, length })?;
    let mut block = vec![0; BLOCK_BYTES.min(left as usize)];
    while left > 0 {
        let wanted = left.min(block.len() as u64) as usize;
        reader.read_exact(&mut block[..wanted]).map_err(|error| Trouble::Source(error.to_string()))?;
        sink(&block[..wanted]).map_err(Trouble::Output)?;
        left -= wanted as u64;
    }
    Ok(fragment)
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
            reader.read_exact(&mut head[start..]).map_err(|error| Trouble::Source(error.to_string()))
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
