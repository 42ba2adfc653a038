//! Which format a file is in, and its bytes as text.

use std::borrow::Cow;

use crate::{Document, MAX_BYTES, TextError, scc, srt, ttml, vtt};

/// A format of subtitles or captions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// SubRip.
    Srt,
    /// WebVTT.
    WebVtt,
    /// TTML and its profiles: IMSC 1 Text, EBU-TT-D, DFXP, iTT.
    Ttml,
    /// Scenarist: CEA-608 bytes with timecodes.
    Scc,
}

impl Format {
    /// The format of a file, by its content; by its extension (without the dot) where the content does not say.
    pub fn detect(bytes: &[u8], extension: Option<&str>) -> Option<Format> {
        let text = decode(bytes).unwrap_or_default();
        let text = text.trim_start();
        if text.starts_with("WEBVTT") {
            return Some(Format::WebVtt);
        }
        if text.starts_with(scc::HEADER) {
            return Some(Format::Scc);
        }
        if text.starts_with('<') && (text.contains("<tt") || text.contains(":tt")) {
            return Some(Format::Ttml);
        }
        if text.lines().any(srt::is_timing) {
            return Some(Format::Srt);
        }
        match extension?.to_ascii_lowercase().as_str() {
            "srt" => Some(Format::Srt),
            "vtt" | "webvtt" => Some(Format::WebVtt),
            "ttml" | "dfxp" | "itt" | "imsc" | "imsc1" | "xml" => Some(Format::Ttml),
            "scc" => Some(Format::Scc),
            _ => None,
        }
    }
}

/// Reads a file.
///
/// # Errors
///
/// A file that is too large, in an unknown encoding, not of this format, or without a cue.
pub fn read(format: Format, bytes: &[u8]) -> Result<Document, TextError> {
    let text = decode(bytes)?;
    let text = match text.contains('\r') {
        true => text.replace("\r\n", "\n").replace('\r', "\n").into(),
        false => text,
    };
    match format {
        Format::Srt => srt::read(&text),
        // Strictly nothing stands before the first line, but files have blank ones there.
        Format::WebVtt => vtt::read(text.trim_start()),
        Format::Ttml => ttml::read(&text),
        Format::Scc => scc::read(&text),
    }
}

/// The text of a file: UTF-8, or UTF-16 with a byte order mark.
fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, TextError> {
    if bytes.len() > MAX_BYTES {
        return Err(TextError::TooLarge(bytes.len()));
    }
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes).map(Cow::Owned),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes).map(Cow::Owned),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest).map(Cow::Borrowed),
        _ => utf8(bytes).map(Cow::Borrowed),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, TextError> {
    std::str::from_utf8(bytes).map_err(|e| {
        let before = &bytes[..e.valid_up_to()];
        TextError::Encoding { line: 1 + before.iter().filter(|byte| **byte == b'\n').count() }
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, TextError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    for c in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        let line = || 1 + text.matches('\n').count();
        text.push(c.map_err(|_| TextError::Encoding { line: line() })?);
    }
    if !rest.is_empty() {
        return Err(TextError::Encoding { line: 1 + text.matches('\n').count() });
    }
    Ok(text)
}
