//! How far the log is known to be on disk, in a file of its own.
//!
//! sled opens a damaged database as far as it can be read, and says nothing of the rest: entries and votes that this
//! node has acknowledged would be gone, and it would go on as if it had never had them. The tail is written after each
//! sync and lowered before each truncation, so it is never ahead of the log: a log that ends before it is damaged.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: [u8; 8] = *b"REELTAIL";
/// Magic, the three numbers, CRC32C over all of that.
const BYTES: usize = 8 + 3 * 8 + 4;

/// What is on disk at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// Index of the last entry, removed from the front or not.
    pub(super) last: u64,
    /// The last vote.
    pub(super) term: u64,
    /// For whom.
    pub(super) voted_for: u64,
}

impl Tail {
    /// The tail of the log without its entries from `from` on.
    pub(super) fn cut(self, from: u64) -> Tail {
        Tail { last: self.last.min(from.saturating_sub(1)), ..self }
    }

    /// What a log lacks that ends at `found`, if anything.
    pub(super) fn missing(&self, found: &Tail) -> Option<String> {
        if found.last < self.last {
            return Some(format!("log entries {} to {} are missing", found.last + 1, self.last));
        }
        let voted = (found.term, found.voted_for) == (self.term, self.voted_for) || found.term > self.term;
        (!voted).then(|| format!("the vote of term {} is missing", self.term))
    }
}

/// The file. Its write is one sector, so a power cut leaves the old or the new one.
#[derive(Debug)]
pub(super) struct TailFile(File);

impl TailFile {
    /// Opens the file in `dir`, and reads what it holds; nothing where it is new or torn.
    pub(super) fn open(dir: &Path) -> io::Result<(TailFile, Option<Tail>)> {
        let path = dir.join("tail");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = [0; BYTES];
        let tail = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok((TailFile(file), tail))
    }

    /// Another handle on the same file.
    pub(super) fn try_clone(&self) -> io::Result<TailFile> {
        self.0.try_clone().map(TailFile)
    }

    /// Notes a tail that is on disk. Not synced: an older one says less, and nothing wrong.
    pub(super) fn raise(&self, tail: &Tail) -> io::Result<()> {
        self.0.write_all_at(&encode(tail), 0)
    }

    /// Notes a tail that the log is about to be cut to. Synced, since an older one would say too much.
    pub(super) fn lower(&self, tail: &Tail) -> io::Result<()> {
        self.raise(tail)?;
        self.0.sync_data()
    }
}

fn encode(tail: &Tail) -> Vec<u8> {
    let numbers = [tail.last, tail.term, tail.voted_for];
    let mut bytes = MAGIC.to_vec();
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; BYTES]) -> Option<Tail> {
    let (body, crc) = bytes.split_at(BYTES - 4);
    if body[..8] != MAGIC || crc32c::crc32c(body).to_le_bytes() != crc {
        return None;
    }
    let number = |at: usize| body[at..at + 8].try_into().ok().map(u64::from_le_bytes);
    Some(Tail { last: number(8)?, term: number(16)?, voted_for: number(24)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_read_back_and_a_torn_one_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (file, none) = TailFile::open(dir.path()).unwrap();
        assert_eq!(none, None);
        let tail = Tail { last: 7, term: 3, voted_for: 2 };
        file.raise(&tail).unwrap();
        assert_eq!(TailFile::open(dir.path()).unwrap().1, Some(tail));
        file.0.write_all_at(&[0xff], 12).unwrap();
        assert_eq!(TailFile::open(dir.path()).unwrap().1, None);
    }

    #[test]
    fn what_is_missing_is_told() {
        let tail = Tail { last: 7, term: 3, voted_for: 2 };
        assert_eq!(tail.missing(&tail), None);
        assert_eq!(tail.missing(&Tail { last: 9, term: 4, voted_for: 1 }), None);
        let missing = |found: Tail| tail.missing(&found).unwrap();
        assert_eq!(missing(Tail { last: 5, ..tail }), "log entries 6 to 7 are missing");
        assert_eq!(missing(Tail { term: 2, ..tail }), "the vote of term 3 is missing");
        assert_eq!(missing(Tail { voted_for: 1, ..tail }), "the vote of term 3 is missing");
    }
}
