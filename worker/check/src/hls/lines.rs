//! Lines of playlists and lists of attributes (RFC 8216bis, sections 4.1 and 4.2).

use std::collections::BTreeMap;

use crate::finding::Findings;
use crate::rule::HLS_SYNTAX;

/// Most lines of a playlist.
const MAX_LINES: usize = 4 << 20;

/// A line that says something.
pub(super) enum Line<'a> {
    /// A tag, without `#EXT`, and what stands behind its colon.
    Tag(&'a str, Option<&'a str>),
    Uri(&'a str),
}

/// The lines of a playlist; comments and empty lines are left out.
pub(super) fn lines<'a>(file: &str, text: &'a str, findings: &mut Findings) -> Vec<Line<'a>> {
    let mut all = text.lines().take(MAX_LINES);
    if all.next() != Some("#EXTM3U") {
        findings.add(&HLS_SYNTAX, file, "the first line is not #EXTM3U");
    }
    let mut found = Vec::new();
    for (number, line) in (2..).zip(all) {
        if line.chars().any(|c| c.is_control() && c != '\t') {
            findings.add(&HLS_SYNTAX, file, format!("a control character in line {number}"));
        }
        if let Some(tag) = line.strip_prefix("#EXT") {
            let (name, value) = tag.split_once(':').map_or((tag, None), |(name, value)| (name, Some(value)));
            found.push(Line::Tag(name, value));
        } else if !line.is_empty() && !line.starts_with('#') {
            if line.trim() != line {
                findings.add(&HLS_SYNTAX, file, format!("spaces around the URI in line {number}"));
            }
            found.push(Line::Uri(line));
        }
    }
    found
}

/// Attributes by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes(BTreeMap<String, (bool, String)>);

impl Attributes {
    /// Reads a list; what is wrong with it is found.
    pub(super) fn read(file: &str, tag: &str, value: Option<&str>, findings: &mut Findings) -> Self {
        let mut found = Attributes::default();
        let mut rest = value.unwrap_or_default();
        while !rest.is_empty() {
            let Some((name, quoted, text, behind)) = attribute(rest) else {
                findings.add(&HLS_SYNTAX, file, format!("#EXT{tag}: no attribute at `{rest}`"));
                break;
            };
            if found.0.insert(name.to_owned(), (quoted, text.to_owned())).is_some() {
                findings.add(&HLS_SYNTAX, file, format!("#EXT{tag}: {name} twice"));
            }
            rest = behind;
        }
        found
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A value, whatever its form.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|(_, text)| text.as_str())
    }

    /// The text of a quoted value.
    pub(crate) fn quoted(&self, name: &str) -> Option<&str> {
        self.0.get(name).filter(|(quoted, _)| *quoted).map(|(_, text)| text.as_str())
    }

    /// A value without quotation marks.
    pub(crate) fn word(&self, name: &str) -> Option<&str> {
        self.0.get(name).filter(|(quoted, _)| !*quoted).map(|(_, text)| text.as_str())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.word(name).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
    }

    /// The names of those that do not have the form that they must have.
    pub(super) fn malformed(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(|(name, (quoted, text))| !fits(name, *quoted, text))
            .map(|(name, _)| name.as_str())
    }
}

/// Name, whether its value is quoted, the value, and what follows the comma.
fn attribute(text: &str) -> Option<(&str, bool, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let letters = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(letters) {
        return None;
    }
    let (quoted, value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => {
            let (value, rest) = quoted.split_once('"')?;
            (true, value, rest)
        }
        None => {
            let (value, rest) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            if value.is_empty() || value.contains(['"', ' ']) {
                return None;
            }
            (false, value, rest)
        }
    };
    let behind = match rest.strip_prefix(',') {
        Some(behind) if !behind.is_empty() => behind,
        None if rest.is_empty() => "",
        _ => return None,
    };
    Some((name, quoted, value, behind))
}

/// Whether a value has the form that its attribute has.
fn fits(name: &str, quoted: bool, text: &str) -> bool {
    match name {
        "BANDWIDTH" | "AVERAGE-BANDWIDTH" | "PROGRAM-ID" => {
            !quoted && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
        }
        "RESOLUTION" => !quoted && resolution(text).is_some(),
        "FRAME-RATE" => !quoted && crate::time::decimal(text).is_some(),
        "DEFAULT" | "AUTOSELECT" | "FORCED" => !quoted && ["YES", "NO"].contains(&text),
        "TYPE" => !quoted && ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"].contains(&text),
        "VIDEO-RANGE" => !quoted && ["SDR", "HLG", "PQ"].contains(&text),
        "METHOD" => !quoted && ["NONE", "AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR"].contains(&text),
        "IV" | "KEYID" => {
            let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or_default();
            !quoted && digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        }
        "CLOSED-CAPTIONS" => quoted || text == "NONE",
        "URI"
        | "CODECS"
        | "SUPPLEMENTAL-CODECS"
        | "GROUP-ID"
        | "NAME"
        | "LANGUAGE"
        | "CHANNELS"
        | "AUDIO"
        | "VIDEO"
        | "SUBTITLES"
        | "CHARACTERISTICS"
        | "KEYFORMAT"
        | "KEYFORMATVERSIONS"
        | "INSTREAM-ID"
        | "BYTERANGE" => quoted && !text.is_empty(),
        _ => true,
    }
}

/// Width and height.
pub(crate) fn resolution(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    let number = |text: &str| text.parse().ok().filter(|number| *number > 0);
    Some((number(width)?, number(height)?))
}

/// Length and offset of a byte range.
pub(super) fn byte_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (length, offset) =
        text.split_once('@').map_or((text, None), |(length, offset)| (length, Some(offset)));
    let number = |text: &str| text.parse::<u64>().ok();
    Some((number(length)?, offset.map_or(Some(None), |offset| number(offset).map(Some))?))
}
