//! Writes IMSC 1.1 Text, within what IMSC 1.0.1 Text allows as well, so that players of either show it.

use crate::model::{Align, Cue, MARGIN_PERCENT, Place, Span, Vertical};
use crate::webvtt::{clock, put};

/// The root: 32 x 15 cells, whose height is that of a line of text (TTML2, section 7.2.1).
const HEAD: &str = r#"<tt xmlns="http://www.w3.org/ns/ttml" xmlns:ttp="http://www.w3.org/ns/ttml#parameter" xmlns:tts="http://www.w3.org/ns/ttml#styling" ttp:profile="http://www.w3.org/ns/ttml/profile/imsc1/text" ttp:contentProfiles="http://www.w3.org/ns/ttml/profile/imsc1.1/text" ttp:timeBase="media" ttp:cellResolution="32 15" xml:space="preserve""#;
/// Text as players show WebVTT by default: white on a ground that lets a fifth of the picture through.
const STYLES: &str = r##"  <styling>
   <style xml:id="p" tts:fontFamily="proportionalSansSerif" tts:fontSize="80%" tts:lineHeight="125%"/>
   <style xml:id="s" tts:color="#ffffff" tts:backgroundColor="#000000cc"/>
  </styling>
"##;

/// Cues as a document of its own, in that language (BCP 47); those without text are left out. Times count from the same zero as those of the cues.
pub fn imsc1(cues: &[Cue], language: &str) -> String {
    let cues: Vec<Cue> = cues.iter().filter_map(Cue::canonical).collect();
    let mut places: Vec<Place> = Vec::new();
    for place in cues.iter().map(|cue| cue.place) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    put(&mut out, format_args!("{HEAD} xml:lang=\"{}\">\n <head>\n{STYLES}  <layout>\n", escaped(language)));
    for (number, place) in places.iter().enumerate() {
        region(&mut out, number, *place);
    }
    out.push_str("  </layout>\n </head>\n <body>\n  <div>\n");
    for cue in &cues {
        let number = places.iter().position(|other| *other == cue.place).unwrap_or_default();
        let (begin, end) = (clock(cue.start_ms), clock(cue.end_ms));
        put(
            &mut out,
            format_args!("   <p region=\"r{number}\" style=\"p\" begin=\"{begin}\" end=\"{end}\">"),
        );
        for (at, line) in cue.lines.iter().enumerate() {
            if at > 0 {
                out.push_str("<br/>");
            }
            line.spans.iter().for_each(|text| span(&mut out, text));
        }
        out.push_str("</p>\n");
    }
    out.push_str("  </div>\n </body>\n</tt>\n");
    out
}

/// A region whose edges are where the place says (TTML2, section 11.1.2).
fn region(out: &mut String, number: usize, place: Place) {
    let (near, far) = (MARGIN_PERCENT, 100 - MARGIN_PERCENT);
    let (left, right) = match (place.align, place.anchor_percent) {
        (_, None) => (near, far),
        (Align::Start | Align::Left, Some(anchor)) => (anchor, 100),
        (Align::End | Align::Right, Some(anchor)) => (0, anchor),
        (Align::Centre, Some(anchor)) => {
            let half = anchor.min(100 - anchor);
            (anchor - half, anchor + half)
        }
    };
    let (top, bottom, align) = match place.vertical {
        Vertical::Top => (near, far, "before"),
        Vertical::Middle => (near, far, "center"),
        Vertical::Bottom => (near, far, "after"),
        Vertical::Percent(percent) => (percent, 100, "before"),
    };
    put(
        out,
        format_args!(
            "   <region xml:id=\"r{number}\" tts:origin=\"{left}% {top}%\" tts:extent=\"{}% {}%\" \
             tts:displayAlign=\"{align}\" tts:textAlign=\"{}\" tts:overflow=\"visible\"/>\n",
            right - left,
            bottom - top,
            place.align.name(),
        ),
    );
}

fn span(out: &mut String, span: &Span) {
    out.push_str("<span style=\"s\"");
    let style = span.style;
    if let Some(colour) = style.colour {
        put(out, format_args!(" tts:color=\"{}\"", colour.name()));
    }
    for (on, attribute) in [
        (style.bold, " tts:fontWeight=\"bold\""),
        (style.italic, " tts:fontStyle=\"italic\""),
        (style.underline, " tts:textDecoration=\"underline\""),
    ] {
        if on {
            out.push_str(attribute);
        }
    }
    put(out, format_args!(">{}</span>", escaped(&span.text)));
}

/// Text that may stand in an element or an attribute in double quotes (XML 1.0, section 2.4).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => {}
            _ => out.push(c),
        }
    }
    out
}
