//! Cues as one line of text each, for tables of what is expected.

use reel_text::{Cue, Document, Format, Place, Style, Vertical, read};

/// `start-end place: line / line`, with spans as `{bold italic}text{}`; the usual place is left out.
pub(crate) fn cue(cue: &Cue) -> String {
    let lines = cue.lines.iter().map(|line| line.spans.iter().map(|s| span(&s.text, s.style)).collect());
    let lines: Vec<String> = lines.collect();
    format!("{}-{}{}: {}", cue.start_ms, cue.end_ms, place(cue.place), lines.join(" / "))
}

fn span(text: &str, style: Style) -> String {
    let words = [
        style.bold.then_some("b"),
        style.italic.then_some("i"),
        style.underline.then_some("u"),
        style.colour.map(|colour| colour.name()),
    ];
    match words.into_iter().flatten().collect::<Vec<_>>().join(" ") {
        plain if plain.is_empty() => text.to_owned(),
        styled => format!("{{{styled}}}{text}{{}}"),
    }
}

fn place(place: Place) -> String {
    let vertical = match place.vertical {
        Vertical::Top => " top".to_owned(),
        Vertical::Middle => " middle".to_owned(),
        Vertical::Bottom => String::new(),
        Vertical::Percent(percent) => format!(" {percent}%"),
    };
    let align = if place.align == Default::default() { String::new() } else { format!(" {:?}", place.align) };
    let anchor = place.anchor_percent.map(|anchor| format!(" at {anchor}%")).unwrap_or_default();
    format!("{vertical}{align}{anchor}").to_lowercase()
}

pub(crate) fn cues(cues: &[Cue]) -> Vec<String> {
    cues.iter().map(cue).collect()
}

/// What a file gives: its cues, how many were skipped, or the error.
pub(crate) fn file(format: Format, bytes: &[u8]) -> Vec<String> {
    match read(format, bytes) {
        Ok(Document { cues, skipped: 0, .. }) => self::cues(&cues),
        Ok(Document { cues, skipped, .. }) => {
            let mut out = self::cues(&cues);
            out.push(format!("skipped {skipped}"));
            out
        }
        Err(error) => vec![error.to_string()],
    }
}
