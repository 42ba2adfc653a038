//! What a fragment says of its encrypted samples: `senc`, `saiz`, `saio` (ISO/IEC 23001-7, section 7).

use super::super::Track;
use super::super::boxes::{Cursor, Inner, full, name};
use super::super::protection::Protection;
use super::super::samples::Run;
use super::find;
use crate::finding::Findings;
use crate::rule::{CENC_AUXILIARY, CENC_BLOCKS, CENC_SAMPLES};
use crate::stream::Kind;

/// Bytes of a block of AES.
const BLOCK: u32 = 16;

/// A sample as `senc` describes it: the bytes of its description, and its ranges, clear and protected.
struct Told {
    bytes: usize,
    ranges: Vec<(u16, u32)>,
}

/// Judges a fragment; `moof` is the whole box.
pub(super) fn judge(
    track: &Track,
    run: &Run,
    traf: &[Inner<'_>],
    moof: &[u8],
    file: &str,
    findings: &mut Findings,
) {
    let Some(entry) = track.entries.get((run.entry as usize).saturating_sub(1)) else {
        return findings.add(
            &CENC_SAMPLES,
            file,
            format!("samples of sample entry {}, which is not there", run.entry),
        );
    };
    let Some(protection) = &entry.protection else { return };
    let is_nal = entry.nal_length.is_some();
    let Some(senc) = find(traf, b"senc") else {
        // With a vector for all and without ranges there is nothing to say.
        if protection.vector_bytes > 0 || is_nal {
            findings.add(&CENC_SAMPLES, file, "no senc");
        }
        return;
    };
    let Some(told) = read(senc.body, protection) else {
        return findings.add(
            &CENC_SAMPLES,
            file,
            "a senc that is cut off, or has bytes that it does not count",
        );
    };
    if told.len() != run.samples.len() {
        let found = format!("{} samples in senc, {} in trun", told.len(), run.samples.len());
        return findings.add(&CENC_SAMPLES, file, found);
    }
    for (number, (told, sample)) in told.iter().zip(&run.samples).enumerate() {
        let sum: u64 =
            told.ranges.iter().map(|(clear, protected)| u64::from(*clear) + u64::from(*protected)).sum();
        if !told.ranges.is_empty() && sum != u64::from(sample.size) {
            let found =
                format!("{sum} bytes in the subsamples of sample {number}, which has {}", sample.size);
            return findings.add(&CENC_SAMPLES, file, found);
        }
    }
    if track.kind == Kind::Video && is_nal {
        blocks(&told, protection, file, findings);
    }
    auxiliary(&told, traf, moof, senc, file, findings);
}

fn read(body: &[u8], protection: &Protection) -> Option<Vec<Told>> {
    let (_, flags, rest) = full(body)?;
    let mut cursor = Cursor::new(rest);
    let count = cursor.u32()? as usize;
    // Each takes a byte at least, or all take none.
    if protection.vector_bytes > 0 && count > cursor.left() {
        return None;
    }
    if flags & 2 == 0 && protection.vector_bytes == 0 {
        let empty = || Told { bytes: 0, ranges: Vec::new() };
        return (cursor.left() == 0 && count <= 1 << 20).then(|| (0..count).map(|_| empty()).collect());
    }
    let mut told = Vec::new();
    for _ in 0..count {
        let before = cursor.left();
        cursor.bytes(protection.vector_bytes.into())?;
        let mut ranges = Vec::new();
        if flags & 2 != 0 {
            for _ in 0..cursor.u16()? {
                ranges.push((cursor.u16()?, cursor.u32()?));
            }
        }
        told.push(Told { bytes: before - cursor.left(), ranges });
    }
    (cursor.left() == 0).then_some(told)
}

fn blocks(told: &[Told], protection: &Protection, file: &str, findings: &mut Findings) {
    if let Some(number) = told.iter().position(|told| told.ranges.is_empty()) {
        return findings.add(&CENC_BLOCKS, file, format!("sample {number} has no subsamples"));
    }
    let mut ranges = told.iter().flat_map(|told| &told.ranges);
    if let Some((_, bytes)) = ranges.find(|(_, bytes)| protection.scheme == *b"cenc" && bytes % BLOCK != 0) {
        findings.add(&CENC_BLOCKS, file, format!("{}: {bytes} protected bytes", name(protection.scheme)));
    }
}

/// The sizes of `saiz`, and the place that `saio` names.
fn auxiliary(
    told: &[Told],
    traf: &[Inner<'_>],
    moof: &[u8],
    senc: &Inner<'_>,
    file: &str,
    findings: &mut Findings,
) {
    let boxes = (find(traf, b"saiz"), find(traf, b"saio"));
    let (saiz, saio) = match boxes {
        (Some(saiz), Some(saio)) => (saiz.body, saio.body),
        (None, None) if told.iter().all(|told| told.bytes == 0) => return,
        _ => return findings.add(&CENC_AUXILIARY, file, "saiz or saio is missing"),
    };
    match sizes(saiz) {
        Some(sizes)
            if sizes.len() == told.len()
                && sizes.iter().zip(told).all(|(size, told)| *size == told.bytes) => {}
        _ => findings.add(&CENC_AUXILIARY, file, "the sizes in saiz are not those of senc"),
    }
    // The data of senc lie behind version, flags and count.
    let at = (senc.body.as_ptr() as usize).wrapping_sub(moof.as_ptr() as usize).wrapping_add(8);
    match offset(saio) {
        Some(offset) if offset == at as u64 => {}
        Some(offset) => {
            findings.add(&CENC_AUXILIARY, file, format!("saio names byte {offset} of moof, senc is at {at}"))
        }
        None => findings.add(&CENC_AUXILIARY, file, "a saio without one offset"),
    }
}

/// ISO/IEC 14496-12, section 8.7.8.
fn sizes(body: &[u8]) -> Option<Vec<usize>> {
    let (_, flags, rest) = full(body)?;
    let mut cursor = Cursor::new(rest);
    if flags & 1 != 0 {
        cursor.bytes(8)?;
    }
    let (default, count) = (cursor.u8()?, cursor.u32()? as usize);
    match default {
        0 => Some(cursor.bytes(count)?.iter().map(|size| usize::from(*size)).collect()),
        size => (count <= 1 << 20).then(|| vec![size.into(); count]),
    }
}

/// ISO/IEC 14496-12, section 8.7.9.
fn offset(body: &[u8]) -> Option<u64> {
    let (version, flags, rest) = full(body)?;
    let mut cursor = Cursor::new(rest);
    if flags & 1 != 0 {
        cursor.bytes(8)?;
    }
    (cursor.u32()? == 1).then_some(())?;
    cursor.word(version == 1)
}
