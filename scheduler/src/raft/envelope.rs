//! The envelope around every stored value: a format version and a checksum, so that a bad byte is never read as truth.

/// Version of the envelope and of what lies in it.
const VERSION: u8 = 1;
/// Version byte, CRC32C, and the number of pieces that follow.
const HEADER: usize = 1 + 4 + 2;

/// A stored value that must not be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    /// Shorter than its header.
    #[error("is cut off")]
    Short,
    /// Written by another version of the program.
    #[error("has format version {0}, this program reads version {VERSION}")]
    Version(u8),
    /// Not the bytes that were written.
    #[error("does not match its checksum")]
    Checksum,
}

/// Wraps `payload`, which is stored under `key`; `remaining` pieces of the same record follow it.
pub(super) fn seal(key: &[u8], remaining: u16, payload: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEADER + payload.len());
    value.push(VERSION);
    value.extend_from_slice(&checksum(key, remaining, payload).to_le_bytes());
    value.extend_from_slice(&remaining.to_le_bytes());
    value.extend_from_slice(payload);
    value
}

/// The payload under `key` and how many pieces follow.
pub(super) fn open<'a>(key: &[u8], value: &'a [u8]) -> Result<(u16, &'a [u8]), Damage> {
    let (header, payload) = value.split_at_checked(HEADER).ok_or(Damage::Short)?;
    if header[0] != VERSION {
        return Err(Damage::Version(header[0]));
    }
    let stored = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
    let remaining = u16::from_le_bytes([header[5], header[6]]);
    match stored == checksum(key, remaining, payload) {
        true => Ok((remaining, payload)),
        false => Err(Damage::Checksum),
    }
}

/// Covers the key too, so that a value that ended up under another key is noticed.
fn checksum(key: &[u8], remaining: u16, payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[VERSION]), key);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &remaining.to_le_bytes()), payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_under_its_own_key_only() {
        let value = seal(b"key", 3, b"payload");
        assert_eq!(open(b"key", &value), Ok((3, b"payload".as_slice())));
        assert_eq!(open(b"kex", &value), Err(Damage::Checksum));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let value = seal(b"key", 3, b"payload");
        for bit in 0..value.len() * 8 {
            let mut bad = value.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(b"key", &bad).is_err(), "bit {bit}");
        }
        for length in 0..value.len() {
            assert!(open(b"key", &value[..length]).is_err(), "{length} bytes");
        }
    }
}
