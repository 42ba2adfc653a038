//! A cue: when it is shown, its lines of styled text, and where they stand.

/// Text that is shown from one time to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// When it appears, in milliseconds since the beginning of the document.
    pub start_ms: u64,
    /// When it goes, in milliseconds since the beginning of the document; after `start_ms`.
    pub end_ms: u64,
    /// From top to bottom; none is blank.
    pub lines: Vec<Line>,
    /// Where the lines stand.
    pub place: Place,
}

/// One line of a cue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// In the order of reading; neighbours differ in style.
    pub spans: Vec<Span>,
}

/// Text of one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Without line breaks and control characters.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Slanted.
    pub italic: bool,
    /// Heavy.
    pub bold: bool,
    /// With a line below.
    pub underline: bool,
    /// Its colour; without one it is the player's, which is white.
    pub colour: Option<Colour>,
}

/// The colours of captions: corners of the RGB cube, which CEA-608 and teletext send and WebVTT has classes for
/// (WebVTT, section 5.1). Black is no colour here: it needs a light ground, which this model does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// `#ff0000`
    Red,
    /// `#00ff00`, the green of CEA-608.
    Lime,
    /// `#0000ff`
    Blue,
    /// `#ffff00`
    Yellow,
    /// `#ff00ff`
    Magenta,
    /// `#00ffff`
    Cyan,
}

impl Colour {
    /// Every colour.
    pub const ALL: [Colour; 6] =
        [Colour::Red, Colour::Lime, Colour::Blue, Colour::Yellow, Colour::Magenta, Colour::Cyan];

    /// Its name in CSS, WebVTT and TTML.
    pub const fn name(self) -> &'static str {
        match self {
            Colour::Red => "red",
            Colour::Lime => "lime",
            Colour::Blue => "blue",
            Colour::Yellow => "yellow",
            Colour::Magenta => "magenta",
            Colour::Cyan => "cyan",
        }
    }

    /// The colour of the same hue, roughly: each channel is on or off beside the strongest one. `None` for white,
    /// greys and what is all but black.
    pub(crate) fn from_rgb(rgb: [u8; 3]) -> Option<Colour> {
        let strongest = rgb.into_iter().max().filter(|strongest| *strongest >= 64)?;
        match rgb.map(|channel| u16::from(channel) * 2 >= u16::from(strongest)) {
            [true, false, false] => Some(Colour::Red),
            [false, true, false] => Some(Colour::Lime),
            [false, false, true] => Some(Colour::Blue),
            [true, true, false] => Some(Colour::Yellow),
            [true, false, true] => Some(Colour::Magenta),
            [false, true, true] => Some(Colour::Cyan),
            _ => None,
        }
    }

    /// A colour as TTML and HTML write it: a name, `#rrggbb`, `#rrggbbaa`, `rgb(r,g,b)` or `rgba(r,g,b,a)`
    /// (TTML2, section 10.3). What is none of these is the player's colour.
    pub(crate) fn parse(text: &str) -> Option<Colour> {
        let text = text.trim().to_ascii_lowercase();
        if let Some(digits) = text.strip_prefix('#') {
            let channel = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
            return Colour::from_rgb([channel(0)?, channel(2)?, channel(4)?]);
        }
        if let Some(list) = text.strip_prefix("rgba(").or_else(|| text.strip_prefix("rgb(")) {
            let mut channels =
                list.trim_end_matches(')').split(',').map(|part| part.trim().parse::<u8>().ok());
            return Colour::from_rgb([channels.next()??, channels.next()??, channels.next()??]);
        }
        match text.as_str() {
            "maroon" => Some(Colour::Red),
            "green" => Some(Colour::Lime),
            "navy" => Some(Colour::Blue),
            "olive" => Some(Colour::Yellow),
            "purple" | "fuchsia" => Some(Colour::Magenta),
            "teal" | "aqua" => Some(Colour::Cyan),
            name => Colour::ALL.into_iter().find(|colour| colour.name() == name),
        }
    }
}

/// Where the lines of a cue stand in the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Up and down.
    pub vertical: Vertical,
    /// The edge that the lines share.
    pub align: Align,
    /// Where that edge, or the middle of centred lines, stands: percent of the width from the left. `None` leaves it
    /// to the player: a tenth from the edge of the picture, or the middle.
    pub anchor_percent: Option<u8>,
}

/// Up and down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vertical {
    /// At the upper edge.
    Top,
    /// In the middle.
    Middle,
    /// At the lower edge, growing upwards.
    #[default]
    Bottom,
    /// The top of the first line, in percent of the height from above, growing downwards; at most 90.
    Percent(u8),
}

/// The edge that lines share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Align {
    /// Where reading begins.
    Start,
    /// None: lines are centred.
    #[default]
    Centre,
    /// Where reading ends.
    End,
    /// The left one.
    Left,
    /// The right one.
    Right,
}

/// The width of the margin that players keep free beside text, in percent, as IMSC regions are written here.
pub(crate) const MARGIN_PERCENT: u8 = 10;

impl Align {
    /// The align of that name in WebVTT and TTML.
    pub(crate) fn parse(name: &str) -> Option<Align> {
        match name {
            "start" => Some(Align::Start),
            // `middle` is what drafts of WebVTT called it; files still do.
            "center" | "middle" => Some(Align::Centre),
            "end" => Some(Align::End),
            "left" => Some(Align::Left),
            "right" => Some(Align::Right),
            _ => None,
        }
    }

    /// Its name in WebVTT and TTML.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Align::Start => "start",
            Align::Centre => "center",
            Align::End => "end",
            Align::Left => "left",
            Align::Right => "right",
        }
    }

    /// The anchor where none is given.
    pub(crate) const fn own_anchor_percent(self) -> u8 {
        match self {
            Align::Start | Align::Left => MARGIN_PERCENT,
            Align::Centre => 50,
            Align::End | Align::Right => 100 - MARGIN_PERCENT,
        }
    }
}

impl Place {
    /// The same place with an anchor that leaves room for text, and none where the player's own is meant.
    pub(crate) fn canonical(self) -> Place {
        let (near, far) = (MARGIN_PERCENT, 100 - MARGIN_PERCENT);
        let anchor = self.anchor_percent.map(|anchor| anchor.clamp(near, far));
        let own = self.align.own_anchor_percent();
        let vertical = match self.vertical {
            Vertical::Percent(percent) => Vertical::Percent(percent.min(far)),
            other => other,
        };
        Place { vertical, anchor_percent: anchor.filter(|anchor| *anchor != own), ..self }
    }
}

impl Cue {
    /// The cue as every format can hold it; `None` where it has no text or lasts no time.
    pub(crate) fn canonical(&self) -> Option<Cue> {
        let lines = self.lines.iter().map(Line::canonical).filter(|line| !line.spans.is_empty());
        let cue = Cue { lines: lines.collect(), place: self.place.canonical(), ..*self };
        (!cue.lines.is_empty() && cue.start_ms < cue.end_ms).then_some(cue)
    }

    /// Bytes of memory that its text takes.
    pub(crate) fn bytes(&self) -> usize {
        let spans = self.lines.iter().flat_map(|line| &line.spans);
        spans.map(|span| span.text.len() + size_of::<Span>()).sum()
    }

    /// The characters of all lines.
    pub(crate) fn chars(&self) -> usize {
        self.lines.iter().flat_map(|line| &line.spans).map(|span| span.text.chars().count()).sum()
    }
}

impl Line {
    /// Adds text, to the last span where the style is the same.
    pub(crate) fn push(&mut self, text: &str, style: Style) {
        match self.spans.last_mut() {
            _ if text.is_empty() => {}
            Some(last) if last.style == style => last.text.push_str(text),
            _ => self.spans.push(Span { text: text.to_owned(), style }),
        }
    }

    /// The line without characters that XML 1.0 (section 2.2) forbids or that break lines, and without white space
    /// around it.
    fn canonical(&self) -> Line {
        let allowed =
            |c: &char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}' | '\u{2028}' | '\u{2029}');
        let mut line = Line::default();
        for span in &self.spans {
            let text: String =
                span.text.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(allowed).collect();
            line.push(&text, span.style);
        }
        while let Some(first) = line.spans.first_mut() {
            first.text = first.text.trim_start().to_owned();
            if !first.text.is_empty() {
                break;
            }
            line.spans.remove(0);
        }
        while let Some(last) = line.spans.last_mut() {
            last.text.truncate(last.text.trim_end().len());
            if !last.text.is_empty() {
                break;
            }
            line.spans.pop();
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_the_nearest_hue_of_captions() {
        let check = |text, expect| assert_eq!(Colour::parse(text), expect, "{text}");
        check("#FFFF00", Some(Colour::Yellow));
        check("#00ff00ff", Some(Colour::Lime));
        check("#ffa500", Some(Colour::Yellow));
        check("#800000", Some(Colour::Red));
        check(" rgb(0, 255,255)", Some(Colour::Cyan));
        check("rgba(0,0,255,128)", Some(Colour::Blue));
        check("Fuchsia", Some(Colour::Magenta));
        for plain in [
            "white",
            "#fff",
            "#ffffff",
            "#101000",
            "#ADD8E6",
            "black",
            "#é0é0",
            "rgb(1,2)",
            "",
            "rgb(300,0,0)",
        ] {
            check(plain, None);
        }
    }

    #[test]
    fn anchors_keep_room_for_text_and_vanish_where_the_player_knows_them() {
        let check = |align, anchor, expect| {
            let place = Place { align, anchor_percent: Some(anchor), ..Place::default() };
            assert_eq!(place.canonical().anchor_percent, expect, "{align:?} {anchor}");
        };
        check(Align::Left, 0, None);
        check(Align::Left, 100, Some(90));
        check(Align::Centre, 50, None);
        check(Align::Centre, 3, Some(10));
        check(Align::End, 95, None);
        check(Align::Right, 40, Some(40));
    }
}
