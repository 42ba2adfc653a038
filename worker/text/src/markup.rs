//! The text of a cue in SubRip and WebVTT: tags, entities and positions between braces.

use std::borrow::Cow;

use crate::model::{Align, Colour, Line, Place, Style, Vertical};

/// Whose tags they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Tags that players of SubRip know; everything else between angle brackets is text.
    SubRip,
    /// WebVTT, section 6.4: everything between angle brackets is a tag.
    WebVtt,
}

/// Tags within tags; writers nest three, and what is deeper keeps the style around it.
const MAX_NESTING: usize = 32;
/// The longest text between angle brackets that is searched for a SubRip tag, and the longest entity: without a
/// bound a file of opening brackets would be read once for each.
const MAX_TAG_BYTES: usize = 128;
const MAX_ENTITY_BYTES: usize = 10;

/// Lines of styled text, and the place that SubRip's `{\an8}` asks for.
pub(crate) fn parse(text: &str, dialect: Dialect) -> (Vec<Line>, Option<Place>) {
    let (lines, style) = (vec![Line::default()], Style::default());
    let mut parser = Parser { dialect, lines, style, open: Vec::new(), place: None, drawing: false };
    // SubStation Alpha's line break, hard space and braces, which SubRip files borrow as well.
    let text: Cow<'_, str> = match dialect {
        Dialect::SubRip if text.contains('\\') => text
            .replace("\\N", "\n")
            .replace("\\h", "\u{a0}")
            .replace("\\{", "&#123;")
            .replace("\\}", "&#125;")
            .into(),
        _ => text.into(),
    };
    let mut rest: &str = &text;
    while let Some(at) = rest.find(['<', '&', '{', '\n']) {
        parser.text(&rest[..at]);
        rest = &rest[at..];
        let taken = match rest.as_bytes()[0] {
            b'<' => parser.tag(rest),
            b'&' => parser.entity(rest),
            b'{' => parser.braces(rest),
            _ => {
                parser.lines.push(Line::default());
                Some(1)
            }
        };
        // What is none of these stands for itself.
        if taken.is_none() {
            parser.text(&rest[..1]);
        }
        rest = &rest[taken.unwrap_or(1)..];
    }
    parser.text(rest);
    (parser.lines, parser.place)
}

struct Parser {
    dialect: Dialect,
    lines: Vec<Line>,
    style: Style,
    /// Open tags, each with the style outside.
    open: Vec<(String, Style)>,
    place: Option<Place>,
    /// Whether numbers that follow are a drawing.
    drawing: bool,
}

impl Parser {
    fn text(&mut self, text: &str) {
        // The model has no place beside the text that ruby explains.
        if self.drawing || self.open.iter().any(|(name, _)| name == "rt") {
            return;
        }
        if let Some(line) = self.lines.last_mut() {
            line.push(text, self.style);
        }
    }

    /// Takes a tag at the beginning of `rest`; gives its length.
    fn tag(&mut self, rest: &str) -> Option<usize> {
        let bound = match self.dialect {
            Dialect::SubRip => MAX_TAG_BYTES,
            Dialect::WebVtt => rest.len(),
        };
        let (inner, len) = match (self.dialect, rest.bytes().take(bound).position(|byte| byte == b'>')) {
            (_, Some(end)) => (&rest[1..end], end + 1),
            // An open tag at the end of a cue is a tag (WebVTT, section 6.4).
            (Dialect::WebVtt, None) => (&rest[1..], rest.len()),
            (Dialect::SubRip, None) => return None,
        };
        let closing = inner.starts_with('/');
        let body = inner.trim_start_matches('/');
        let name_end = body.find(['.', ' ', '\t', '\n', '/', '=']).unwrap_or(body.len());
        let name = body[..name_end].to_ascii_lowercase();
        let known = matches!(name.as_str(), "i" | "b" | "u" | "font" | "em" | "strong" | "br");
        if self.dialect == Dialect::SubRip && !known {
            return None;
        }
        if name == "br" {
            self.lines.push(Line::default());
        } else if closing {
            self.close(&name);
        } else {
            self.open(name, &body[name_end..]);
        }
        Some(len)
    }

    fn open(&mut self, name: String, rest: &str) {
        if self.open.len() >= MAX_NESTING {
            return;
        }
        let outside = self.style;
        match name.as_str() {
            "i" | "em" => self.style.italic = true,
            "b" | "strong" => self.style.bold = true,
            "u" => self.style.underline = true,
            "font" => self.style.colour = attribute(rest, "color").and_then(Colour::parse),
            // Classes of WebVTT stand after dots, before the name of a voice.
            _ => {}
        }
        if self.dialect == Dialect::WebVtt {
            let classes = rest.split([' ', '\t', '\n']).next().unwrap_or_default();
            for class in classes.split('.').filter(|class| !class.is_empty()) {
                let colour = Colour::ALL.into_iter().find(|colour| colour.name() == class);
                if colour.is_some() || class == "white" {
                    self.style.colour = colour;
                }
            }
        }
        self.open.push((name, outside));
    }

    fn close(&mut self, name: &str) {
        if let Some(at) = self.open.iter().rposition(|(open, _)| open == name) {
            self.style = self.open[at].1;
            self.open.truncate(at);
        }
    }

    /// Takes an entity of HTML that subtitles use, or a number.
    fn entity(&mut self, rest: &str) -> Option<usize> {
        let len = rest.bytes().take(MAX_ENTITY_BYTES).position(|byte| byte == b';')?;
        let name = &rest[1..len];
        let c = match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "nbsp" => '\u{a0}',
            "lrm" => '\u{200e}',
            "rlm" => '\u{200f}',
            _ => {
                let number = name.strip_prefix('#')?;
                let hex = number.strip_prefix(['x', 'X']);
                let number = hex.map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16)).ok()?;
                char::from_u32(number)?
            }
        };
        self.text(c.encode_utf8(&mut [0; 4]));
        Some(len + 1)
    }

    /// Takes overrides of SubStation Alpha, which SubRip files borrow: `{\an8}`, `{\i1}`.
    fn braces(&mut self, rest: &str) -> Option<usize> {
        if self.dialect != Dialect::SubRip || !rest.starts_with("{\\") {
            return None;
        }
        let end = rest.bytes().take(MAX_TAG_BYTES).position(|byte| byte == b'}')?;
        rest[2..end].split('\\').for_each(|code| self.override_code(code.trim()));
        Some(end + 1)
    }
}

impl Parser {
    /// One override: a letter with a number, or an alignment.
    fn override_code(&mut self, code: &str) {
        let number = |name: &str| code.strip_prefix(name)?.parse::<u32>().ok();
        if let Some(key) = number("an") {
            self.place = u8::try_from(key).ok().and_then(keypad).or(self.place);
        } else if let Some(on) = number("i") {
            self.style.italic = on != 0;
        } else if let Some(weight) = number("b") {
            // A flag, or a weight of fonts.
            self.style.bold = weight == 1 || weight >= 600;
        } else if let Some(on) = number("u") {
            self.style.underline = on != 0;
        } else if let Some(scale) = number("p") {
            self.drawing = scale != 0;
        } else if code.starts_with('r') {
            self.style = Style::default();
        }
    }
}

/// The value of an attribute of an HTML tag, with or without quotes.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let at = attributes.to_ascii_lowercase().find(name)?;
    let value = attributes[at + name.len()..].trim_start().strip_prefix('=')?;
    value.trim_start().trim_start_matches(['"', '\'']).split(['"', '\'', ' ']).next()
}

/// The place of a key on the keypad of a computer, as SubStation Alpha numbers them.
fn keypad(key: u8) -> Option<Place> {
    let vertical = match key {
        1..=3 => Vertical::Bottom,
        4..=6 => Vertical::Middle,
        7..=9 => Vertical::Top,
        _ => return None,
    };
    let align = [Align::Left, Align::Centre, Align::Right][usize::from((key - 1) % 3)];
    Some(Place { vertical, align, anchor_percent: None })
}
