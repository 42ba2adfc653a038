//! The files of a package, and how they are read.

use std::collections::BTreeMap;
use std::io;

/// Longest playlist or manifest that is read.
const MAX_TEXT_BYTES: u64 = 32 << 20;

/// Fills a buffer with the bytes of a file from an offset on.
pub type ReadAt<'a> = dyn Fn(&str, u64, &mut [u8]) -> io::Result<()> + 'a;

/// A finished package.
pub struct Package<'a> {
    /// Its files, by paths relative to its root with `/`, and their bytes.
    pub files: &'a BTreeMap<String, u64>,
    /// How they are read.
    pub read: &'a ReadAt<'a>,
}

/// A range of bytes of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Place {
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

impl Package<'_> {
    pub(crate) fn size(&self, file: &str) -> Option<u64> {
        self.files.get(file).copied()
    }

    /// The bytes at a place, at most `most`; or why they cannot be had.
    pub(crate) fn bytes(&self, file: &str, offset: u64, length: u64, most: u64) -> Result<Vec<u8>, String> {
        let size = self.size(file).ok_or("it is not there")?;
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(format!("it ends at byte {size}, before {offset} + {length}"));
        }
        if length > most {
            return Err(format!("{length} bytes are more than are read"));
        }
        let mut bytes = vec![0; length as usize];
        (self.read)(file, offset, &mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// A whole file of text.
    pub(crate) fn text(&self, file: &str) -> Result<String, String> {
        let size = self.size(file).unwrap_or(0);
        let bytes = self.bytes(file, 0, size, MAX_TEXT_BYTES)?;
        String::from_utf8(bytes)
            .map_err(|error| format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to()))
    }

    /// The files whose names end so.
    pub(crate) fn ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = &'a String> {
        self.files.keys().filter(move |file| file.to_ascii_lowercase().ends_with(ending))
    }
}

/// The file that a reference in `base` names; `None` where it leads out of the package.
pub(crate) fn resolve(base: &str, reference: &str) -> Option<String> {
    let reference = reference.split(['?', '#']).next().unwrap_or_default();
    if reference.is_empty() || reference.starts_with('/') || scheme(reference) {
        return None;
    }
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let decoded = decode(reference)?;
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    let mut path = parts.join("/");
    // A reference to a folder, as of BaseURL, stays one.
    if decoded.ends_with('/') && !path.is_empty() {
        path.push('/');
    }
    Some(path)
}

/// Whether a reference is a URL with a scheme (RFC 3986, section 3.1).
fn scheme(reference: &str) -> bool {
    let head = reference.split(['/', '?']).next().unwrap_or_default();
    head.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// Percent-encoding undone (RFC 3986, section 2.1).
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?].map(|digit| char::from(digit).to_digit(16));
                bytes.push((digits[0]? * 16 + digits[1]?) as u8);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stay_within_the_package() {
        let cases = [
            ("video/p.m3u8", "seg_1.m4s", Some("video/seg_1.m4s")),
            ("video/p.m3u8", "../audio/a%20b.m4s?token=1", Some("audio/a b.m4s")),
            ("m.mpd", "video/", Some("video/")),
            ("m.mpd", "./x", Some("x")),
            ("m.mpd", "../x", None),
            ("m.mpd", "https://example.org/x", None),
            ("m.mpd", "/x", None),
            ("m.mpd", "a%2", None),
            ("m.mpd", "a:b/c", None),
            ("m.mpd", "9:b", Some("9:b")),
        ];
        for (base, reference, expected) in cases {
            assert_eq!(resolve(base, reference).as_deref(), expected, "{reference}");
        }
    }
}
