//! Records of parts and tracks: sealed with a digest, so that a damaged record is known for what it is.
//!
//! A stored record is the message itself with one more field at its end, number [`SEAL_FIELD`], which holds the
//! SHA-256 of everything before it. Readers of the message skip the field as unknown.

use prost::Message;
use reel_common::{Artifact, Digest, RecipeKey};
use reel_proto::v1;

/// Far above the fields that the messages will ever have.
const SEAL_FIELD: u32 = 1000;
/// Tag (field number, length-delimited) as a varint of two bytes, and the length of the seal.
const SEAL_HEAD: [u8; 3] = {
    let tag = SEAL_FIELD << 3 | 2;
    [(tag & 0x7f | 0x80) as u8, (tag >> 7) as u8, 32]
};
const SEAL_BYTES: usize = SEAL_HEAD.len() + 32;

/// A record has a few numbers per segment, or 150 bytes per thumbnail; a track of a day in 1 s segments and the most
/// thumbnails of a title stay below.
pub(crate) const MAX_RECORD_BYTES: u64 = 4 << 20;

/// What `RenditionPart`, `AudioRecord` and `ImageRecord` have in common.
#[derive(Clone, PartialEq, Message)]
struct RecordHead {
    #[prost(bytes = "vec", tag = "2")]
    recipe_key: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    artifact: Option<v1::Artifact>,
}

/// The recipe key and artifact that a record names; `Err` says what is wrong with the record.
pub(crate) fn head(record: &[u8]) -> Result<(RecipeKey, Artifact), String> {
    let head = RecordHead::decode(record).map_err(|error| error.to_string())?;
    let key = Digest::try_from(head.recipe_key.as_slice()).map_err(|error| error.to_string())?;
    let artifact = head.artifact.ok_or("it names no artifact")?;
    Ok((RecipeKey(key), artifact.try_into().map_err(|error: reel_proto::Malformed| error.to_string())?))
}

/// The record as it is stored.
pub(crate) fn seal(record: &[u8]) -> Vec<u8> {
    [record, &SEAL_HEAD, &Digest::of(record).0].concat()
}

/// The record without its seal; `None` when it is damaged.
pub(crate) fn unseal(stored: &[u8]) -> Option<&[u8]> {
    let (record, seal) = stored.split_at_checked(stored.len().checked_sub(SEAL_BYTES)?)?;
    (seal.strip_prefix(&SEAL_HEAD)? == Digest::of(record).0).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_record_is_still_the_message() {
        let record = v1::RenditionPart { rendition: "720p".into(), frames: 288, ..Default::default() };
        let stored = seal(&record.encode_to_vec());
        assert_eq!(v1::RenditionPart::decode(stored.as_slice()).unwrap(), record);
        assert_eq!(unseal(&stored).unwrap(), record.encode_to_vec());
    }

    #[test]
    fn any_flipped_bit_breaks_the_seal() {
        let stored = seal(b"a record");
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(&damaged), None, "bit {bit}");
        }
        for length in 0..stored.len() {
            assert_eq!(unseal(&stored[..length]), None, "{length} bytes");
        }
    }
}
