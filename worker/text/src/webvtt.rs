//! Writes WebVTT: a whole file, or a segment of HLS.

use std::fmt::Write;

use crate::model::{Align, Colour, Cue, Line, Place, Style, Vertical};

/// Program timestamps have 33 bits (ISO/IEC 13818-1, section 2.4.3.7) and begin again.
const TIMESTAMP_MASK: u64 = (1 << 33) - 1;

/// Cues as WebVTT; those without text are left out. With `mpegts_90khz` a segment of HLS, whose time zero is that timestamp of the stream in units of
/// 1/90000 s (RFC 8216, section 3.5); without, a file.
pub fn webvtt(cues: &[Cue], mpegts_90khz: Option<u64>) -> String {
    let mut out = String::from("WEBVTT\n");
    if let Some(timestamp) = mpegts_90khz {
        put(
            &mut out,
            format_args!("X-TIMESTAMP-MAP=MPEGTS:{},LOCAL:00:00:00.000\n", timestamp & TIMESTAMP_MASK),
        );
    }
    for cue in cues.iter().filter_map(Cue::canonical) {
        put(&mut out, format_args!("\n{} --> {}", clock(cue.start_ms), clock(cue.end_ms)));
        settings(&mut out, cue.place);
        out.push('\n');
        for line in &cue.lines {
            text(&mut out, line);
            out.push('\n');
        }
    }
    out
}

/// Adds to a string, which cannot fail.
pub(crate) fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(what);
}

/// `hh:mm:ss.ttt`, as WebVTT (section 4.1) and TTML (TTML2, section 12.3.1) write times.
pub fn clock(ms: u64) -> String {
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

fn settings(out: &mut String, place: Place) {
    match place.vertical {
        Vertical::Top => out.push_str(" line:0"),
        Vertical::Middle => out.push_str(" line:50%,center"),
        Vertical::Bottom => {}
        Vertical::Percent(percent) => put(out, format_args!(" line:{percent}%")),
    }
    // Players put lines that are not centred at the very edge of the picture unless they are told where.
    let anchor = place.anchor_percent.unwrap_or(place.align.own_anchor_percent());
    if place.align != Align::Centre {
        put(out, format_args!(" position:{anchor}% align:{}", place.align.name()));
    } else if place.anchor_percent.is_some() {
        put(out, format_args!(" position:{anchor}%"));
    }
}

fn text(out: &mut String, line: &Line) {
    for span in &line.spans {
        let tags = tags(span.style);
        tags.iter().for_each(|(tag, class)| put(out, format_args!("<{tag}{class}>")));
        for c in span.text.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                _ => out.push(c),
            }
        }
        tags.iter().rev().for_each(|(tag, _)| put(out, format_args!("</{tag}>")));
    }
}

fn tags(style: Style) -> Vec<(char, String)> {
    let colour = style.colour.map(|colour: Colour| ('c', format!(".{}", colour.name())));
    let plain = |on: bool, tag| on.then(|| (tag, String::new()));
    [colour, plain(style.bold, 'b'), plain(style.italic, 'i'), plain(style.underline, 'u')]
        .into_iter()
        .flatten()
        .collect()
}
