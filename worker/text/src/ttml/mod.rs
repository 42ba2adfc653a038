//! TTML 1 and 2 and their text profiles: IMSC 1 Text, EBU-TT-D, DFXP, iTT.

mod paragraph;
mod style;
mod time;

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use reel_common::Rational;

use self::paragraph::{Interval, Paragraph};
use self::style::{Look, Root};
use self::time::Clock;
use crate::document::Collector;
use crate::{Document, TextError};

/// Elements within elements; documents of broadcasters nest ten.
const MAX_NESTING: usize = 64;
/// Attributes of an element, which are compared with one another; TTML2 defines fewer than this for any.
const MAX_ATTRIBUTES: usize = 64;

/// The attributes of an element by their local names: prefixes differ between files, meanings do not.
pub(crate) struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Seconds as milliseconds; rounded.
fn ms(seconds: Rational) -> u64 {
    let ms = seconds.checked_mul(Rational::whole(1000)).map_or(i64::MAX, Rational::round);
    u64::try_from(ms).unwrap_or_default()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `head`, `styling`, `layout`, `body`, `div`: what holds others.
    Holder,
    Style,
    Region,
    P,
    Span,
    Br,
    /// Metadata, animation and foreign elements: nothing in them is shown.
    Other,
}

/// An open element.
#[derive(Clone, Debug)]
struct Level {
    kind: Kind,
    id: Option<String>,
    look: Look,
    region: Option<Look>,
    interval: Interval,
    preserve: bool,
}

struct Reader<'a> {
    text: &'a str,
    found: Collector,
    clock: Clock,
    root: Root,
    styles: BTreeMap<String, Look>,
    regions: BTreeMap<String, Look>,
    levels: Vec<Level>,
    paragraph: Option<Paragraph>,
    /// How far lines were counted, and the line there.
    counted: usize,
    line: usize,
}

/// Reads a document. A style refers to styles before it.
pub(crate) fn read(text: &str) -> Result<Document, TextError> {
    let mut xml = quick_xml::Reader::from_str(text);
    xml.config_mut().expand_empty_elements = true;
    let empty = Attributes(Vec::new());
    let mut reader = Reader {
        text,
        found: Collector::default(),
        clock: Clock::new(&empty).map_err(|what| TextError::Unsupported { line: 1, what })?,
        root: Root::new(&empty),
        styles: BTreeMap::new(),
        regions: BTreeMap::new(),
        levels: Vec::new(),
        paragraph: None,
        counted: 0,
        line: 1,
    };
    loop {
        let event = xml.read_event();
        reader.count_lines(xml.buffer_position());
        match event.map_err(|e| reader.broken(&e))? {
            Event::Start(start) => reader.start(&start)?,
            Event::End(_) => reader.end()?,
            Event::Text(text) => reader.characters(&text.xml10_content())?,
            Event::CData(text) => reader.characters(&text.xml10_content())?,
            Event::GeneralRef(entity) => reader.entity(&entity)?,
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    if !reader.levels.is_empty() {
        return Err(reader.broken(&"the file ends within an element: it is cut off"));
    }
    reader.found.finish()
}

impl Reader<'_> {
    fn count_lines(&mut self, position: u64) {
        let position = usize::try_from(position).unwrap_or(usize::MAX).min(self.text.len());
        let passed = self.text.as_bytes().get(self.counted..position).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count();
        self.counted = self.counted.max(position);
    }

    fn broken(&self, problem: &dyn std::fmt::Display) -> TextError {
        TextError::Xml { line: self.line, problem: problem.to_string() }
    }

    fn unsupported(&self, what: &'static str) -> TextError {
        TextError::Unsupported { line: self.line, what }
    }

    fn attributes(&self, start: &BytesStart<'_>) -> Result<Attributes, TextError> {
        let mut list = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|e| self.broken(&e))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| self.broken(&e))?;
            // Declarations of namespaces are none of the element's.
            if attribute.key.as_ref().starts_with("xmlns") {
                continue;
            }
            if list.len() >= MAX_ATTRIBUTES {
                return Err(self.over(MAX_ATTRIBUTES, "attributes in an element"));
            }
            list.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
        }
        Ok(Attributes(list))
    }

    fn over(&self, limit: usize, what: &'static str) -> TextError {
        TextError::Limit { line: self.line, limit, what }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), TextError> {
        let attributes = self.attributes(start)?;
        if self.levels.len() >= MAX_NESTING {
            return Err(self.over(MAX_NESTING, "elements within one another"));
        }
        let local = start.local_name();
        if self.levels.is_empty() {
            return self.start_root(local.as_ref(), &attributes);
        }
        let kind = match local.as_ref() {
            "head" | "styling" | "layout" | "body" | "div" => Kind::Holder,
            "style" | "initial" => Kind::Style,
            "region" => Kind::Region,
            "p" => Kind::P,
            // Ruby beside the text has no place in the model.
            "span" if attributes.get("ruby").is_some_and(|ruby| ruby.contains("text")) => Kind::Other,
            "span" => Kind::Span,
            "br" => Kind::Br,
            "image" => return Err(self.unsupported("subtitles as images (an image profile)")),
            _ => Kind::Other,
        };
        if attributes.get("backgroundImage").is_some() {
            return Err(self.unsupported("subtitles as images (smpte:backgroundImage)"));
        }
        if attributes.get("timeContainer") == Some("seq") {
            return Err(self.unsupported("elements shown one after the other (timeContainer seq)"));
        }
        let level = self.level(kind, &attributes)?;
        if level.kind == Kind::P && self.paragraph.is_none() {
            self.paragraph = Some(Paragraph::new(level.look.place(level.region), self.line));
        }
        self.levels.push(level);
        Ok(())
    }

    fn start_root(&mut self, name: &str, attributes: &Attributes) -> Result<(), TextError> {
        if name != "tt" {
            return Err(TextError::Header("TTML"));
        }
        let profiles = ["profile", "contentProfiles"].into_iter().filter_map(|key| attributes.get(key));
        if profiles.into_iter().any(|profile| profile.contains("/image")) {
            return Err(self.unsupported("subtitles as images (an image profile)"));
        }
        self.clock = Clock::new(attributes).map_err(|what| self.unsupported(what))?;
        self.found.set_clock(self.clock.written());
        self.root = Root::new(attributes);
        self.found.set_language(attributes.get("lang").unwrap_or_default());
        let preserve = attributes.get("space") == Some("preserve");
        let (look, interval) = (Look::default(), Interval::default());
        self.levels.push(Level { kind: Kind::Holder, id: None, look, region: None, interval, preserve });
        Ok(())
    }

    /// An element with what it inherits.
    fn level(&self, kind: Kind, attributes: &Attributes) -> Result<Level, TextError> {
        let Some(parent) = self.levels.last() else {
            return Err(TextError::Header("TTML"));
        };
        let mut look = Look::new(attributes, &self.root);
        for id in attributes.get("style").unwrap_or_default().split_whitespace().rev() {
            look = look.over(self.styles.get(id).copied().unwrap_or_default());
        }
        let content = matches!(kind, Kind::Holder | Kind::P | Kind::Span | Kind::Br);
        let region = attributes.get("region").and_then(|id| self.regions.get(id)).copied();
        let unseen =
            attributes.get("display") == Some("none") || attributes.get("visibility") == Some("hidden");
        Ok(Level {
            kind: if parent.kind == Kind::Other || (content && unseen) { Kind::Other } else { kind },
            id: attributes.get("id").map(str::to_owned),
            look: if content { look.over(parent.look) } else { look },
            region: region.or(parent.region),
            interval: if content { self.interval(parent.interval, attributes)? } else { parent.interval },
            preserve: attributes.get("space").map_or(parent.preserve, |space| space == "preserve"),
        })
    }

    fn interval(&self, parent: Interval, attributes: &Attributes) -> Result<Interval, TextError> {
        let time = |name| match attributes.get(name) {
            None => Ok(None),
            Some(text) => self.clock.parse(text).map(Some).ok_or_else(|| TextError::time(self.line, text)),
        };
        let (begin, end, dur) = (time("begin")?, time("end")?, time("dur")?);
        parent.child(begin, end, dur).ok_or_else(|| TextError::time(self.line, "begin, end or dur"))
    }

    fn end(&mut self) -> Result<(), TextError> {
        let Some(level) = self.levels.pop() else {
            return Ok(());
        };
        match (level.kind, level.id) {
            (Kind::Region, Some(id)) => {
                self.regions.insert(id, level.look);
            }
            (Kind::Style, id) => match (self.levels.last_mut(), id) {
                (Some(region), _) if region.kind == Kind::Region => {
                    region.look = region.look.over(level.look)
                }
                (_, Some(id)) => {
                    self.styles.insert(id, level.look);
                }
                _ => {}
            },
            (Kind::Br, _) => self.run("\n", &Level { preserve: true, id: None, ..level })?,
            (Kind::P, _) => {
                // A paragraph within a paragraph belongs to the outer one.
                if !self.levels.iter().any(|level| level.kind == Kind::P)
                    && let Some(paragraph) = self.paragraph.take()
                {
                    paragraph.finish(&mut self.found)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn characters(&mut self, text: &str) -> Result<(), TextError> {
        match self.levels.last() {
            Some(level) if matches!(level.kind, Kind::P | Kind::Span) => {
                let level = level.clone();
                self.run(text, &level)
            }
            _ => Ok(()),
        }
    }

    fn run(&mut self, text: &str, level: &Level) -> Result<(), TextError> {
        let look = level.region.map_or(level.look, |region| level.look.over(region));
        match &mut self.paragraph {
            Some(paragraph) => paragraph.push(text, look.style(), level.interval, level.preserve),
            None => Ok(()),
        }
    }

    /// One of the five entities of XML 1.0 (section 4.6) or a number; others would have to be expanded.
    fn entity(&mut self, entity: &BytesRef<'_>) -> Result<(), TextError> {
        if let Some(c) = entity.resolve_char_ref().map_err(|e| self.broken(&e))? {
            return self.characters(c.encode_utf8(&mut [0; 4]));
        }
        let name = entity.xml10_content();
        match quick_xml::escape::resolve_xml_entity(&name) {
            Some(text) => self.characters(text),
            None => {
                Err(self
                    .broken(&format!("&{name}; is none of the five entities of XML: write the character")))
            }
        }
    }
}
