//! Keys from a CPIX document (DASH-IF Content Protection Information Exchange Format 2.3) whose keys are not encrypted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use zeroize::{Zeroize, Zeroizing};

use super::key::{KeyListError, MAX_KEYS};
use super::{ContentKey, KeyList, KeyScope, Resolution};

/// Largest document that is read, in bytes: hundreds of keys with the headers of their licence systems take less.
const MAX_BYTES: usize = 1 << 20;
/// Most elements within one another; the format has ten.
const MAX_NESTING: usize = 32;
/// Pictures of each class (width times height), by which filters of resolution are understood.
const CLASSES: [(Resolution, &[u64]); 3] = [
    (Resolution::Sd, &[640 * 360, 854 * 480, 1024 * 576]),
    (Resolution::Hd, &[1280 * 720, 1920 * 1080]),
    (Resolution::Uhd, &[2560 * 1440, 3840 * 2160]),
];

/// Why a document gives no keys. Never says what it holds, since that may be a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpixError {
    /// Too large.
    #[error("the CPIX document has more than 1 MiB")]
    Large,
    /// No XML, or none of CPIX.
    #[error("the CPIX document is no well-formed XML with the root CPIX, at byte {0}")]
    Malformed(u64),
    /// Keys that only the owner of a certificate can read.
    #[error(
        "the keys of the CPIX document are encrypted: ask for a document with plain keys over a secure connection"
    )]
    Encrypted,
    /// A key without an id or bytes, or with others than 16.
    #[error("key {0} of the CPIX document has no id of a UUID with a plain value of 16 bytes in Base64")]
    Key(usize),
    /// A rule for a key that is not in the document.
    #[error("usage rule {0} of the CPIX document names a key that is not in it")]
    UnknownKey(usize),
    /// A rule that says something other than kinds and classes of tracks.
    #[error(
        "usage rule {rule} of the CPIX document has {what}: give tracks by AUDIO, VIDEO, SD, HD and UHD or by pixels"
    )]
    Rule {
        /// Its number, from 1.
        rule: usize,
        /// What it has.
        what: &'static str,
    },
    /// Several keys, but no rules.
    #[error("the CPIX document has several keys and no usage rules: which key is for which track?")]
    NoRules,
    /// Rules that do not go together.
    #[error("usage rules of the CPIX document: {0}")]
    List(#[from] KeyListError),
}

/// A usage rule.
#[derive(Default)]
struct Rule {
    key_id: Option<[u8; 16]>,
    scopes: Vec<KeyScope>,
    unsupported: Option<&'static str>,
}

/// A document as far as it was read.
#[derive(Default)]
struct Reader {
    path: Vec<String>,
    keys: Vec<([u8; 16], Zeroizing<Vec<u8>>)>,
    rules: Vec<Rule>,
    text: Zeroizing<String>,
}

impl KeyList {
    /// Reads a document. Of rules, `intendedTrackType`, `VideoFilter` by pixels and `AudioFilter` are understood.
    pub fn parse_cpix(document: &str) -> Result<Self, CpixError> {
        if document.len() > MAX_BYTES {
            return Err(CpixError::Large);
        }
        let mut xml = quick_xml::Reader::from_str(document);
        xml.config_mut().expand_empty_elements = true;
        let mut reader = Reader::default();
        let mut root = false;
        loop {
            let event = xml.read_event();
            let malformed = CpixError::Malformed(xml.buffer_position());
            match event.map_err(|_| malformed.clone())? {
                Event::Start(start) => {
                    let within = !reader.path.is_empty() || (!root && start.local_name().as_ref() == "CPIX");
                    if !within || reader.path.len() >= MAX_NESTING {
                        return Err(malformed);
                    }
                    root = true;
                    reader.start(&start)?;
                }
                Event::End(_) => reader.end()?,
                Event::Text(text) => reader.text.push_str(&text.xml10_content()),
                Event::Eof if root && reader.path.is_empty() => return reader.finish(),
                Event::Eof | Event::CData(_) | Event::GeneralRef(_) | Event::DocType(_) => {
                    return Err(malformed);
                }
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }
}

impl Reader {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), CpixError> {
        let name = start.local_name().as_ref().to_owned();
        let parent = self.path.last().map(String::as_str).unwrap_or_default();
        match (parent, name.as_str()) {
            (_, "DeliveryData" | "EncryptedValue") => return Err(CpixError::Encrypted),
            ("ContentKeyList", "ContentKey") => {
                let place = self.keys.len() + 1;
                let id = attribute(start, "kid").and_then(|id| key_id(&id)).ok_or(CpixError::Key(place))?;
                if place > MAX_KEYS {
                    return Err(KeyListError::Many.into());
                }
                self.keys.push((id, Zeroizing::default()));
            }
            ("ContentKeyUsageRuleList", "ContentKeyUsageRule") => {
                if self.rules.len() >= MAX_KEYS {
                    return Err(KeyListError::Many.into());
                }
                let key_id = attribute(start, "kid").and_then(|id| key_id(&id));
                let mut rule = Rule { key_id, ..Rule::default() };
                for kind in attribute(start, "intendedTrackType").iter().flat_map(|kinds| kinds.split(',')) {
                    match kind.trim().to_ascii_lowercase().parse() {
                        Ok(scope) => rule.scopes.push(scope),
                        Err(()) => rule.unsupported = Some("another intendedTrackType"),
                    }
                }
                self.rules.push(rule);
            }
            ("ContentKeyUsageRule", filter) => {
                if let Some(rule) = self.rules.last_mut() {
                    rule.filter(filter, start);
                }
            }
            _ => {}
        }
        self.path.push(name);
        self.text.zeroize();
        Ok(())
    }

    fn end(&mut self) -> Result<(), CpixError> {
        let name = self.path.pop().unwrap_or_default();
        let in_key = self.path.iter().any(|name| name == "ContentKey");
        let place = self.keys.len();
        if let ("PlainValue", true, Some((_, key))) = (name.as_str(), in_key, self.keys.last_mut()) {
            let read = STANDARD.decode(self.text.trim());
            **key = read.map_err(|_| CpixError::Key(place))?;
        }
        self.text.zeroize();
        Ok(())
    }

    fn finish(self) -> Result<KeyList, CpixError> {
        let mut keys = Vec::new();
        for (place, (id, bytes)) in (1..).zip(&self.keys) {
            let key = bytes.as_slice().try_into().map_err(|_| CpixError::Key(place))?;
            keys.push(ContentKey::new(*id, key));
        }
        let mut list = KeyList::default();
        if self.rules.is_empty() {
            return match <[ContentKey; 1]>::try_from(keys) {
                Ok([key]) => list.add(KeyScope::All, key, 1).map(|()| list).map_err(CpixError::List),
                Err(keys) if keys.is_empty() => Err(KeyListError::Empty.into()),
                Err(_) => Err(CpixError::NoRules),
            };
        }
        for (number, rule) in (1..).zip(self.rules) {
            if let Some(what) = rule.unsupported {
                return Err(CpixError::Rule { rule: number, what });
            }
            let key = keys.iter().find(|key| Some(key.id()) == rule.key_id);
            let key = key.ok_or(CpixError::UnknownKey(number))?;
            let scopes = if rule.scopes.is_empty() { vec![KeyScope::All] } else { rule.scopes };
            for scope in scopes {
                list.add(scope, key.clone(), number)?;
            }
        }
        Ok(list)
    }
}

impl Rule {
    fn filter(&mut self, name: &str, start: &BytesStart<'_>) {
        let told = start.attributes().flatten().map(|found| found.key.local_name().as_ref().to_owned());
        let told: Vec<_> = told.collect();
        match name {
            // The type of the track is told beside its filters.
            "VideoFilter" | "AudioFilter" if !self.scopes.is_empty() && told.is_empty() => {}
            "AudioFilter" if told.is_empty() => self.scopes.push(KeyScope::Audio),
            "VideoFilter" if told.is_empty() => self.scopes.push(KeyScope::Video),
            "VideoFilter" if told.iter().all(|name| matches!(name.as_str(), "minPixels" | "maxPixels")) => {
                let number = |name| attribute(start, name).map(|value| value.trim().parse::<u64>());
                let (Ok(least), Ok(most)) =
                    (number("minPixels").unwrap_or(Ok(0)), number("maxPixels").unwrap_or(Ok(u64::MAX)))
                else {
                    self.unsupported = Some("pixels that are no number");
                    return;
                };
                let mut scopes = Vec::new();
                for (class, pixels) in CLASSES {
                    match pixels.iter().filter(|pixels| (least..=most).contains(pixels)).count() {
                        0 => {}
                        all if all == pixels.len() => scopes.push(KeyScope::VideoOf(class)),
                        _ => self.unsupported = Some("a VideoFilter that parts a class of resolutions"),
                    }
                }
                // Types that are told beside the filter have to say the same.
                if self.scopes.is_empty() || self.scopes == [KeyScope::Video] {
                    self.scopes = scopes;
                } else if self.scopes != scopes {
                    self.unsupported = Some("an intendedTrackType other than its VideoFilter");
                }
                if self.scopes.is_empty() {
                    self.unsupported = Some("a VideoFilter without any class of resolutions");
                }
            }
            _ => self.unsupported = Some("a filter other than pixels"),
        }
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut found = start.attributes().flatten().filter(|found| found.key.local_name().as_ref() == name);
    Some(found.next()?.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
}

fn key_id(text: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    hex::decode_to_slice(text.trim().replace('-', ""), &mut id).ok()?;
    Some(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDS: [&str; 3] = [
        "00000000-0000-0000-0000-000000000001",
        "00000000-0000-0000-0000-000000000002",
        "00000000-0000-0000-0000-000000000003",
    ];

    fn document(keys: usize, rules: &str) -> String {
        let secret = |digit: usize| STANDARD.encode([digit as u8; 16]);
        let key = |n: usize| {
            let value = format!("<pskc:PlainValue>{}</pskc:PlainValue>", secret(n + 1));
            let data = format!("<cpix:Data><pskc:Secret>{value}</pskc:Secret></cpix:Data>");
            format!("<cpix:ContentKey kid=\"{}\">{data}</cpix:ContentKey>", IDS[n])
        };
        let keys: String = (0..keys).map(key).collect();
        let names = "xmlns:cpix=\"urn:dashif:org:cpix\" xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\"";
        let rules = format!("<cpix:ContentKeyUsageRuleList>{rules}</cpix:ContentKeyUsageRuleList>");
        let keys = format!("<cpix:ContentKeyList>{keys}</cpix:ContentKeyList>");
        format!("<?xml version=\"1.0\"?>\n<cpix:CPIX {names}>{keys}{rules}</cpix:CPIX>")
    }

    fn rule(key: usize, kind: &str, filter: &str) -> String {
        let id = IDS[key];
        let kind = if kind.is_empty() { String::new() } else { format!(" intendedTrackType=\"{kind}\"") };
        format!("<cpix:ContentKeyUsageRule kid=\"{id}\"{kind}>{filter}</cpix:ContentKeyUsageRule>")
    }

    #[test]
    fn rules_say_which_key_is_for_which_track() {
        let by_type = rule(0, "AUDIO", "") + &rule(1, "SD,HD", "") + &rule(2, "UHD", "");
        let by_filter = rule(0, "", "<cpix:AudioFilter/>")
            + &rule(1, "", "<cpix:VideoFilter maxPixels=\"2073600\"/>")
            + &rule(2, "VIDEO", "<cpix:VideoFilter minPixels=\"2073601\"/>");
        for rules in [by_type, by_filter] {
            let list = KeyList::parse_cpix(&document(3, &rules)).unwrap();
            let last = |key: Option<&ContentKey>| key.map(|key| (key.id()[15], key.secret()[0]));
            assert_eq!(last(list.audio()), Some((1, 1)));
            assert_eq!(
                (last(list.video(640, 360)), last(list.video(1920, 1080))),
                (Some((2, 2)), Some((2, 2)))
            );
            assert_eq!(last(list.video(3840, 2160)), Some((3, 3)));
        }
        assert!(KeyList::parse_cpix(&document(1, "")).unwrap().audio().is_some());
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let key_period = "<cpix:KeyPeriodFilter periodId=\"1\"/>";
        let parted = "<cpix:VideoFilter maxPixels=\"1000000\"/>";
        let parts = "a VideoFilter that parts a class of resolutions";
        for (text, error) in [
            (document(2, ""), CpixError::NoRules),
            (document(0, ""), KeyListError::Empty.into()),
            (document(1, &rule(1, "AUDIO", "")), CpixError::UnknownKey(1)),
            (
                document(1, &rule(0, "", key_period)),
                CpixError::Rule { rule: 1, what: "a filter other than pixels" },
            ),
            (document(1, &rule(0, "", parted)), CpixError::Rule { rule: 1, what: parts }),
            (document(1, &rule(0, "3D", "")), CpixError::Rule { rule: 1, what: "another intendedTrackType" }),
            (document(1, &(rule(0, "HD", "") + &rule(0, "HD", ""))), KeyListError::Twice(2).into()),
            (document(1, "").replace("PlainValue", "EncryptedValue"), CpixError::Encrypted),
            (document(1, "").replace("AQEB", "AQ"), CpixError::Key(1)),
            (" ".repeat(MAX_BYTES + 1), CpixError::Large),
        ] {
            assert_eq!(KeyList::parse_cpix(&text).map(drop), Err(error));
        }
        let cut = document(1, "").replace("</cpix:CPIX>", "");
        assert!(matches!(KeyList::parse_cpix(&cut), Err(CpixError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn no_document_makes_it_fail(at in 0usize..700, with in "[<>/\"=&;a ]{0,3}") {
            let mut text = document(1, &rule(0, "HD", "<cpix:VideoFilter minPixels=\"1\"/>"));
            if text.is_char_boundary(at) {
                text.insert_str(at, &with);
            }
            let _ = KeyList::parse_cpix(&text);
        }
    }
}
