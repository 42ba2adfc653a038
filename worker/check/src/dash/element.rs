//! A document of XML as a tree of elements.

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

/// The namespace of manifests.
const DASH: &str = "urn:mpeg:dash:schema:mpd:2011";
/// Elements within elements.
const MAX_NESTING: usize = 32;
/// Most elements of a document.
const MAX_ELEMENTS: usize = 1 << 20;
/// Most attributes of an element.
const MAX_ATTRIBUTES: usize = 64;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Its local name.
    pub(super) name: String,
    /// Whether it is of the namespace of manifests.
    pub(super) is_dash: bool,
    /// Attributes as they are written, such as `cenc:default_KID`.
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
    /// Prefixes that are declared here, with whether they are of manifests.
    prefixes: BTreeMap<String, bool>,
}

impl Element {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// An attribute of a foreign namespace, by its local name.
    pub(super) fn foreign(&self, name: &str) -> Option<&str> {
        let is_same = |key: &&String| key.split_once(':').is_some_and(|(_, local)| local == name);
        self.attributes.keys().find(is_same).and_then(|key| self.get(key))
    }

    /// Its children of manifests with this name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.is_dash && child.name == name)
    }

    pub(super) fn first(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.is_dash && child.name == name)
    }
}

/// Reads a document whose root is MPD.
pub(super) fn parse(text: &str) -> Result<Element, String> {
    let mut xml = quick_xml::Reader::from_str(text.trim_start_matches('\u{feff}'));
    xml.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element> = Vec::new();
    let (mut root, mut count) = (None, 0);
    loop {
        let event = xml.read_event().map_err(|error| format!("byte {}: {error}", xml.error_position()))?;
        match event {
            Event::Start(start) => {
                count += 1;
                if open.len() >= MAX_NESTING || count > MAX_ELEMENTS || root.is_some() {
                    return Err(format!("byte {}: too many elements, or two roots", xml.buffer_position()));
                }
                let element = element(&start, &open)?;
                open.push(element);
            }
            Event::End(_) => {
                let Some(element) = open.pop() else { return Err("an end without a beginning".to_owned()) };
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => root = Some(element),
                }
            }
            Event::Text(text) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text.xml10_content());
                }
            }
            Event::CData(text) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text.xml10_content());
                }
            }
            Event::GeneralRef(name) => {
                let resolved = resolve(&name);
                match (open.last_mut(), resolved) {
                    (Some(element), Some(text)) => element.text.push_str(&text),
                    _ => return Err(format!("byte {}: an entity that is unknown", xml.buffer_position())),
                }
            }
            Event::DocType(_) => return Err("a document type, which manifests have none of".to_owned()),
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    let root = root.filter(|_| open.is_empty()).ok_or("the document ends within an element")?;
    match root.is_dash && root.name == "MPD" {
        true => Ok(root),
        false => Err(format!("the root is {}, not MPD of {DASH}", root.name)),
    }
}

fn resolve(name: &quick_xml::events::BytesRef<'_>) -> Option<String> {
    if let Ok(Some(letter)) = name.resolve_char_ref() {
        return Some(letter.to_string());
    }
    quick_xml::escape::resolve_xml_entity(name).map(str::to_owned)
}

fn element(start: &BytesStart<'_>, open: &[Element]) -> Result<Element, String> {
    let mut found = Element { name: start.local_name().as_ref().to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| format!("{}: {error}", found.name))?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| format!("{}: {error}", found.name))?.into_owned();
        let key = attribute.key.as_ref().to_owned();
        if key == "xmlns" {
            found.prefixes.insert(String::new(), value == DASH);
        } else if let Some(prefix) = key.strip_prefix("xmlns:") {
            found.prefixes.insert(prefix.to_owned(), value == DASH);
        } else {
            found.attributes.insert(key, value);
        }
        if found.attributes.len() > MAX_ATTRIBUTES {
            return Err(format!("{} has more than {MAX_ATTRIBUTES} attributes", found.name));
        }
    }
    let qualified = start.name();
    let prefix = qualified.as_ref().split_once(':').map_or("", |(prefix, _)| prefix);
    let declared =
        [&found].into_iter().chain(open.iter().rev()).find_map(|element| element.prefixes.get(prefix));
    found.is_dash = declared.copied().unwrap_or(false);
    Ok(found)
}
