//! What RFC 6381 calls the codec of a sample entry.

use super::boxes::{FourCc, Inner, first, full, u16_at, u32_at};

/// The codecs parameter of an entry of this original format, with the boxes in it; `None` where its configuration is missing or
/// unknown.
pub(super) fn codec(format: FourCc, boxes: &[Inner<'_>]) -> Option<String> {
    let entry = String::from_utf8(format.to_vec()).ok()?;
    match &format {
        b"avc1" | b"avc3" => {
            let record = first(boxes, b"avcC")?;
            let [profile, constraints, level] = [*record.get(1)?, *record.get(2)?, *record.get(3)?];
            Some(format!("{entry}.{profile:02x}{constraints:02x}{level:02x}"))
        }
        b"hvc1" | b"hev1" => hevc(&entry, first(boxes, b"hvcC")?),
        b"av01" => av1(first(boxes, b"av1C")?),
        b"mp4a" => aac(full(first(boxes, b"esds")?)?.2),
        b"ac-3" | b"ec-3" | b"Opus" | b"fLaC" | b"wvtt" | b"ipcm" | b"fpcm" => Some(entry),
        _ => None,
    }
}

/// ISO/IEC 14496-15, annex E.3.
fn hevc(entry: &str, record: &[u8]) -> Option<String> {
    let head = *record.get(1)?;
    let space = ["", "A", "B", "C"][usize::from(head >> 6)];
    let tier = if head & 0x20 == 0 { 'L' } else { 'H' };
    let compatibility = u32_at(record, 2)?.reverse_bits();
    let constraints = record.get(6..12)?;
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let constraints: String = constraints[..used].iter().map(|byte| format!(".{byte:x}")).collect();
    let level = *record.get(12)?;
    Some(format!("{entry}.{space}{}.{compatibility:x}.{tier}{level}{constraints}", head & 0x1f))
}

/// AV1 Codec ISO Media File Format Binding, section 5, in its short form.
fn av1(record: &[u8]) -> Option<String> {
    let [head, depth] = [*record.get(1)?, *record.get(2)?];
    let tier = if depth & 0x80 == 0 { 'M' } else { 'H' };
    let bits = match (depth & 0x40 != 0, depth & 0x20 != 0) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    Some(format!("av01.{}.{:02}{tier}.{bits:02}", head >> 5, head & 0x1f))
}

/// The object type of MPEG-4 audio (ISO/IEC 14496-1, section 7.2.6, and 14496-3, section 1.6.2.1).
fn aac(mut body: &[u8]) -> Option<String> {
    let mut object = 0;
    for _ in 0..8 {
        let (tag, content, behind) = descriptor(body)?;
        match tag {
            // ES_Descriptor: an id, flags, and what these say follows.
            3 => {
                let flags = *content.get(2)?;
                let mut skip = 3 + if flags & 0x80 != 0 { 2 } else { 0 };
                if flags & 0x40 != 0 {
                    skip += 1 + usize::from(*content.get(skip)?);
                }
                skip += if flags & 0x20 != 0 { 2 } else { 0 };
                body = content.get(skip..)?;
            }
            4 => {
                object = *content.first()?;
                body = content.get(13..)?;
            }
            5 => {
                let first = u16_at(content, 0)?;
                let kind = match first >> 11 {
                    31 => 32 + (first >> 5 & 0x3f),
                    kind => kind,
                };
                return Some(format!("mp4a.{object:02x}.{kind}"));
            }
            _ => body = behind,
        }
        // Other objects than MPEG-4 audio need no configuration.
        if tag == 4 && object != 0x40 {
            return Some(format!("mp4a.{object:02x}"));
        }
    }
    None
}

/// Tag, content and what follows.
fn descriptor(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let tag = *bytes.first()?;
    let (mut size, mut at) = (0usize, 1);
    for _ in 0..4 {
        let byte = *bytes.get(at)?;
        at += 1;
        size = size << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (content, behind) = bytes.get(at..)?.split_at_checked(size)?;
    Some((tag, content, behind))
}

/// Whether a codec that a playlist or manifest names is the one of a sample entry. Letters of hexadecimal numbers may have either case,
/// AV1 may say more than is
/// needed, and of documents of TTML the entry does not say their profile.
pub(crate) fn is_same(told: &str, entry: &str) -> bool {
    let (told, entry) = (told.to_ascii_lowercase(), entry.to_ascii_lowercase());
    match entry.split('.').next() {
        Some("av01") => told == entry || told.starts_with(&format!("{entry}.")),
        Some("stpp") => told.split('.').next() == Some("stpp"),
        _ => told == entry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_spelled_as_their_records_say() {
        let record = [1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93, 0];
        assert_eq!(hevc("hvc1", &record).as_deref(), Some("hvc1.1.6.L93.90"));
        assert_eq!(av1(&[0x81, 0x05, 0x4c, 0]).as_deref(), Some("av01.0.05M.10"));
        let esds = [3, 25, 0, 1, 0, 4, 17, 0x40, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 2, 0x11, 0x90];
        let esds = [&esds[..], &[6, 1, 2]].concat();
        assert_eq!(aac(&esds).as_deref(), Some("mp4a.40.2"));
        assert!(is_same("avc1.64001F", "avc1.64001f") && is_same("av01.0.05M.10.0.110", "av01.0.05M.10"));
        assert!(!is_same("avc1.640020", "avc1.64001f") && !is_same("av01.0.05M.101", "av01.0.05M.10"));
    }
}
