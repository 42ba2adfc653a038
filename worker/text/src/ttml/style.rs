//! The styling attributes of TTML that a cue can hold, their inheritance, and the place of a region.

use reel_common::Rational;

use super::Attributes;
use super::time::decimal;
use crate::model::{Align, Colour, Place, Style, Vertical};

/// Attributes as given; `None` where an element leaves them to those around it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    italic: Option<bool>,
    bold: Option<bool>,
    underline: Option<bool>,
    colour: Option<Option<Colour>>,
    align: Option<Align>,
    display: Option<Display>,
    /// From the left and from above, in percent of the root.
    origin: Option<[u8; 2]>,
    /// Width and height, in percent of the root.
    extent: Option<[u8; 2]>,
}

#[derive(Clone, Copy, Debug)]
enum Display {
    Before,
    Center,
    After,
}

/// What lengths of a document are measured by: pixels and cells of the root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pixels: Option<[Rational; 2]>,
    cells: [Rational; 2],
}

/// What a cue of two lines takes of the height, for a region that aligns to its middle or its end.
const CUE_PERCENT: u8 = 11;

impl Root {
    pub(super) fn new(root: &Attributes) -> Root {
        let pair = |text: &str, unit| {
            let mut terms = text.split_whitespace().map(|term| decimal(term.strip_suffix(unit)?));
            Some([terms.next()??, terms.next()??]).filter(|[x, y]| *x > Rational::ZERO && *y > Rational::ZERO)
        };
        Root {
            pixels: root.get("extent").and_then(|text| pair(text, "px")),
            cells: root
                .get("cellResolution")
                .and_then(|text| pair(text, ""))
                .unwrap_or([32, 15].map(Rational::whole)),
        }
    }

    /// Two lengths, in percent of the root; what lies outside is moved to its edge.
    fn percent(&self, text: &str) -> Option<[u8; 2]> {
        let mut terms = text.split_whitespace();
        let mut axis = |axis: usize| {
            let term = terms.next()?;
            let term = if term.starts_with('-') { "0%" } else { term };
            let digits = term.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
            let whole = match &term[digits.len()..] {
                "%" | "vw" | "vh" | "rw" | "rh" => Rational::whole(100),
                "px" => self.pixels?[axis],
                "c" => self.cells[axis],
                _ => return None,
            };
            let percent = decimal(digits)?.checked_mul(Rational::whole(100))?.checked_div(whole)?;
            Some(percent.round().clamp(0, 100) as u8)
        };
        Some([axis(0)?, axis(1)?])
    }
}

impl Look {
    pub(super) fn new(attributes: &Attributes, root: &Root) -> Look {
        let decoration = attributes.get("textDecoration").and_then(|text| {
            let words = || text.split_whitespace();
            let off = words().any(|word| word == "none" || word == "noUnderline");
            if words().any(|word| word == "underline") { Some(true) } else { off.then_some(false) }
        });
        let display = attributes.get("displayAlign").and_then(|text| match text {
            "before" => Some(Display::Before),
            "center" => Some(Display::Center),
            "after" => Some(Display::After),
            _ => None,
        });
        Look {
            italic: attributes.get("fontStyle").map(|text| matches!(text, "italic" | "oblique")),
            bold: attributes.get("fontWeight").map(|text| text == "bold"),
            underline: decoration,
            colour: attributes.get("color").map(Colour::parse),
            align: attributes.get("textAlign").and_then(Align::parse),
            display,
            origin: attributes.get("origin").and_then(|text| root.percent(text)),
            extent: attributes.get("extent").and_then(|text| root.percent(text)),
        }
    }

    /// This look where it says something, the other one where it does not.
    pub(super) fn over(self, other: Look) -> Look {
        Look {
            italic: self.italic.or(other.italic),
            bold: self.bold.or(other.bold),
            underline: self.underline.or(other.underline),
            colour: self.colour.or(other.colour),
            align: self.align.or(other.align),
            display: self.display.or(other.display),
            origin: self.origin.or(other.origin),
            extent: self.extent.or(other.extent),
        }
    }

    pub(super) fn style(self) -> Style {
        Style {
            italic: self.italic.unwrap_or_default(),
            bold: self.bold.unwrap_or_default(),
            underline: self.underline.unwrap_or_default(),
            colour: self.colour.flatten(),
        }
    }

    /// The place of text of this look in a region. Without a region it is where subtitles usually are: files that
    /// have none mean that, though TTML would put them at the top.
    pub(super) fn place(self, region: Option<Look>) -> Place {
        let Some(region) = region else {
            return Place { align: self.align.unwrap_or_default(), ..Place::default() };
        };
        let align = self.align.or(region.align).unwrap_or(Align::Start);
        let [left, top] = region.origin.unwrap_or_default();
        let [width, height] = region.extent.unwrap_or([100 - left, 100 - top]);
        let (right, bottom) = ((left + width).min(100), (top + height).min(100));
        let middle = (top + bottom) / 2;
        let vertical = match region.display.unwrap_or(Display::Before) {
            // A region that ends before the root does is one of two or three, at the top or at the bottom.
            Display::Before if top <= 10 && bottom <= 90 => Vertical::Top,
            Display::Before => Vertical::Percent(top),
            Display::Center if (40..=60).contains(&middle) => Vertical::Middle,
            Display::Center => Vertical::Percent(middle.saturating_sub(CUE_PERCENT / 2)),
            Display::After if bottom >= 80 => Vertical::Bottom,
            Display::After => Vertical::Percent(bottom.saturating_sub(CUE_PERCENT)),
        };
        let anchor = match align {
            Align::Start | Align::Left => left,
            Align::Centre => (left + right) / 2,
            Align::End | Align::Right => right,
        };
        let anchor_percent = region.origin.map(|_| anchor);
        Place { vertical, align, anchor_percent }
    }
}
