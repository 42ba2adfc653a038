//! The first picture of a segment, where it consists of NAL units. Their headers are clear in encrypted segments too.

use super::track::Entry;
use crate::Package;
use crate::finding::Findings;
use crate::package::Place;
use crate::rule::CMAF_SAMPLE;

/// Largest picture that is looked into.
const MAX_PICTURE_BYTES: u64 = 64 << 20;

/// Judges the sample at a place: its units fill it, and its picture is one at which decoding can begin.
pub(super) fn judge(package: &Package<'_>, place: &Place, entry: &Entry, findings: &mut Findings) {
    let Some(length_bytes) = entry.nal_length else { return };
    // What lies outside is found elsewhere.
    let bytes = package.bytes(&place.file, place.offset, place.length, MAX_PICTURE_BYTES);
    let Ok(bytes) = bytes else { return };
    let is_avc = entry.format.starts_with(b"avc");
    let mut rest = bytes.as_slice();
    let mut picture = None;
    while !rest.is_empty() {
        let unit = rest.split_at_checked(length_bytes).and_then(|(length, behind)| {
            let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
            behind.split_at_checked(length)
        });
        let Some((unit, behind)) = unit else {
            let at = place.offset + (bytes.len() - rest.len()) as u64;
            return findings.add(
                &CMAF_SAMPLE,
                &place.file,
                format!("a NAL unit at byte {at} that does not fit its sample"),
            );
        };
        let kind = unit.first().map_or(0, |head| if is_avc { head & 0x1f } else { head >> 1 & 0x3f });
        let is_slice = if is_avc { (1..=5).contains(&kind) } else { kind < 32 && !unit.is_empty() };
        if is_slice && picture.is_none() {
            picture = Some(kind);
        }
        rest = behind;
    }
    // IDR of H.264; BLA, IDR and CRA of HEVC.
    let begins = |kind: u8| if is_avc { kind == 5 } else { (16..=21).contains(&kind) };
    match picture {
        Some(kind) if begins(kind) => {}
        Some(kind) => {
            findings.add(&CMAF_SAMPLE, &place.file, format!("a first picture in NAL units of type {kind}"))
        }
        None => findings.add(&CMAF_SAMPLE, &place.file, "a first sample without a picture"),
    }
}
