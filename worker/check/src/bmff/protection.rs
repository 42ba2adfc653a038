//! What headers say of encryption (ISO/IEC 23001-7).

use super::boxes::{Cursor, FourCc, Inner, array, children, first, full, name};
use crate::finding::Findings;
use crate::rule::{CENC_BOXES, CENC_SCHEME, CENC_VECTOR};
use crate::stream::Kind;

/// How a track is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Protection {
    /// The type of `schm`.
    pub(crate) scheme: FourCc,
    /// The id of the key of `tenc`.
    pub(crate) key_id: [u8; 16],
    /// Bytes of the vector of each sample; 0 where the track has one.
    pub(crate) vector_bytes: u8,
}

/// The original format of an encrypted sample entry, and how it is encrypted; `None` where that is not said, which is found.
pub(super) fn of_entry(
    boxes: &[Inner<'_>],
    kind: Kind,
    file: &str,
    findings: &mut Findings,
) -> Option<(FourCc, Protection)> {
    let read = || -> Result<(FourCc, FourCc, Tenc), String> {
        let lacks = |what: &str| format!("no {what} in an encrypted sample entry");
        let sinf = children(first(boxes, b"sinf").ok_or_else(|| lacks("sinf"))?)?;
        let format = first(&sinf, b"frma").and_then(|body| array(body, 0)).ok_or_else(|| lacks("frma"))?;
        let schm = first(&sinf, b"schm").and_then(full).and_then(|(_, _, rest)| array(rest, 0));
        let scheme = schm.ok_or_else(|| lacks("schm"))?;
        let schi = children(first(&sinf, b"schi").ok_or_else(|| lacks("schi"))?)?;
        let tenc = first(&schi, b"tenc").ok_or_else(|| lacks("tenc"))?;
        Ok((
            format,
            scheme,
            Tenc::read(tenc).ok_or("a tenc that is cut off, or has bytes that it does not count")?,
        ))
    };
    let (format, scheme, tenc) = read().map_err(|reason| findings.add(&CENC_BOXES, file, reason)).ok()?;
    match &scheme {
        b"cenc" | b"cbcs" => {
            if let Some(wrong) = tenc.wrong(&scheme, kind) {
                findings.add(&CENC_VECTOR, file, format!("{}: {wrong}", name(scheme)));
            }
        }
        other => findings.add(&CENC_SCHEME, file, format!("the scheme {}", name(*other))),
    }
    let protection = Protection { scheme, key_id: tenc.key_id, vector_bytes: tenc.vector_bytes };
    Some((format, protection))
}

/// The box (section 8.2).
struct Tenc {
    pattern: (u8, u8),
    vector_bytes: u8,
    constant: Option<u8>,
    key_id: [u8; 16],
}

impl Tenc {
    fn read(body: &[u8]) -> Option<Self> {
        let (version, _, rest) = full(body)?;
        let mut cursor = Cursor::new(rest);
        cursor.u8()?;
        let pattern = cursor.u8()?;
        let (protected, vector_bytes) = (cursor.u8()?, cursor.u8()?);
        let key_id = cursor.bytes(16)?.try_into().ok()?;
        let mut constant = None;
        if protected == 1 && vector_bytes == 0 {
            let bytes = cursor.u8()?;
            cursor.bytes(bytes.into())?;
            constant = Some(bytes);
        }
        let pattern = if version == 0 { (0, 0) } else { (pattern >> 4, pattern & 15) };
        (cursor.left() == 0).then_some(Tenc { pattern, vector_bytes, constant, key_id })
    }

    fn wrong(&self, scheme: &FourCc, kind: Kind) -> Option<String> {
        let Tenc { pattern, vector_bytes, constant, .. } = self;
        if scheme == b"cenc" {
            return match (vector_bytes, pattern) {
                (8 | 16, (0, 0)) => None,
                (8 | 16, _) => Some("a pattern".to_owned()),
                (bytes, _) => Some(format!("vectors of {bytes} bytes")),
            };
        }
        match (vector_bytes, constant) {
            (0, Some(16)) | (16, None) => {}
            (0, bytes) => return Some(format!("a constant vector of {} bytes", bytes.unwrap_or(0))),
            (bytes, _) => return Some(format!("vectors of {bytes} bytes")),
        }
        (kind == Kind::Video && *pattern == (0, 0)).then(|| "no pattern for pictures".to_owned())
    }
}

/// What licence systems are told, as a box by itself, such as in a manifest.
pub(crate) fn system_header(bytes: &[u8]) -> Result<(), String> {
    match children(bytes)?.as_slice() {
        [only] if only.kind == *b"pssh" => system_header_body(only.body),
        _ => Err("not one pssh box".to_owned()),
    }
}

/// The body of `pssh` (section 8.1).
pub(super) fn system_header_body(body: &[u8]) -> Result<(), String> {
    let read = || {
        let (version, _, rest) = full(body)?;
        let mut cursor = Cursor::new(rest);
        cursor.bytes(16)?;
        if version > 0 {
            let keys = cursor.u32()?;
            cursor.bytes(usize::try_from(keys).ok()?.checked_mul(16)?)?;
        }
        let bytes = cursor.u32()?;
        cursor.bytes(bytes as usize)?;
        Some(cursor.left())
    };
    match read() {
        Some(0) => Ok(()),
        Some(left) => Err(format!("a pssh with {left} bytes too many")),
        None => Err("a pssh that is shorter than it says".to_owned()),
    }
}
