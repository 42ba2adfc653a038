//! Initialisation vectors. None is random, since the same title has to come out as the same bytes: they are digests, keyed
//! with the content key.
//!
//! In `cenc` two samples with the same key and counter would give away what differs between them, so that no vector serves one
//! key for different clear bytes. A vector is 64 bits that an outsider cannot tell from chance, and counts up by one for each
//! sample of its segment; it depends on the clear bytes through their digest, so that a title that is encoded otherwise with the
//! same key has other vectors. In `cbcs` one vector serves a track, as players want it, in all titles that have its key.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::ContentKey;

/// What a digest is for: one of these never stands for the other.
const SEGMENT: &[u8] = b"reelfarm cenc segment\0";
const TRACK: &[u8] = b"reelfarm cbcs track\0";

/// The vector of the first sample of a segment in `cenc`. `clear` is the SHA-256 of the clear part that the segment came
/// from, `number` that of the segment in that part, from 0.
pub fn segment_vector(key: &ContentKey, track: &str, clear: &[u8; 32], number: u64) -> [u8; 8] {
    let digest = keyed_digest(key, SEGMENT, track, &[clear.as_slice(), &number.to_be_bytes()].concat());
    std::array::from_fn(|byte| digest[byte])
}

/// The vector of a track in `cbcs`.
pub fn track_vector(key: &ContentKey, track: &str) -> [u8; 16] {
    let digest = keyed_digest(key, TRACK, track, &[]);
    std::array::from_fn(|byte| digest[byte])
}

fn keyed_digest(key: &ContentKey, domain: &[u8], track: &str, rest: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut digest = Hmac::<Sha256>::new_from_slice(key.secret()).expect("a key of 16 bytes");
    digest.update(domain);
    digest.update(&key.id());
    // Its length comes first, so that a name never runs into what follows.
    digest.update(&(track.len() as u64).to_be_bytes());
    digest.update(track.as_bytes());
    digest.update(rest);
    digest.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_follow_from_key_track_clear_bytes_and_number_alone() {
        let key = |id, key| ContentKey::new([id; 16], [key; 16]);
        let all = [
            segment_vector(&key(1, 2), "720p", &[3; 32], 0),
            segment_vector(&key(2, 2), "720p", &[3; 32], 0),
            segment_vector(&key(1, 3), "720p", &[3; 32], 0),
            segment_vector(&key(1, 2), "1080p", &[3; 32], 0),
            segment_vector(&key(1, 2), "720p", &[4; 32], 0),
            segment_vector(&key(1, 2), "720p", &[3; 32], 1),
        ];
        for (index, vector) in all.iter().enumerate() {
            assert!(!all[..index].contains(vector), "{index}");
        }
        assert_eq!(all[0], segment_vector(&key(1, 2), "720p", &[3; 32], 0));
        // Computed with another program; titles that were delivered depend on it.
        assert_eq!(hex::encode(all[0]), GOLDEN_SEGMENT);
        assert_eq!(hex::encode(track_vector(&key(1, 2), "720p")), GOLDEN_TRACK);
    }

    const GOLDEN_SEGMENT: &str = "4bec9c428c3372c5";
    const GOLDEN_TRACK: &str = "aefbd2eeddee0f8015e6fdc1d8901ff9";
}
