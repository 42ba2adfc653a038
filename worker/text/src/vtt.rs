//! WebVTT, read as its section 6 says, but strict where a time is broken.

use crate::document::Collector;
use crate::markup::{self, Dialect};
use crate::model::{Align, Place, Vertical};
use crate::srt::time_ms;
use crate::{Cue, Document, TextError};

const ARROW: &str = "-->";
/// Rows of the grid that a line number counts; WebVTT gives a row 5.33 % of the height.
const ROWS: i64 = 18;
/// What a cue of two lines takes of the height, for a place that is given by its middle or its end.
const CUE_PERCENT: u8 = 11;

/// Reads a file, or a segment of HLS with its `X-TIMESTAMP-MAP` looked over.
pub(crate) fn read(text: &str) -> Result<Document, TextError> {
    let mut found = Collector::default();
    let lines: Vec<&str> = text.split('\n').collect();
    let signed =
        lines[0].strip_prefix("WEBVTT").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
    if !signed {
        return Err(TextError::Header("WebVTT"));
    }
    let mut at = 1;
    while at < lines.len() {
        let len = lines[at..].iter().take_while(|line| !line.trim().is_empty()).count();
        cues(&lines[at..at + len], at + 1, &mut found)?;
        at += len.max(1);
    }
    found.finish()
}

/// Reads a block of lines without a blank one: cues, or what is no cue.
fn cues(block: &[&str], first_line: usize, found: &mut Collector) -> Result<(), TextError> {
    let first = block.first().copied().unwrap_or_default();
    if ["NOTE", "STYLE", "REGION"].iter().any(|word| first.split_whitespace().next() == Some(word))
        && !first.contains(ARROW)
    {
        return Ok(());
    }
    let timings: Vec<usize> = (0..block.len()).filter(|at| block[*at].contains(ARROW)).collect();
    for (number, &at) in timings.iter().enumerate() {
        let line = first_line + at;
        let Some((start_ms, end_ms, settings)) = times(block[at]) else {
            // Comments may not hold an arrow, but do; where it stands after a time it begins a cue.
            if first.starts_with("NOTE") {
                continue;
            }
            return Err(TextError::time(line, block[at]));
        };
        // An arrow ends the text even without a blank line (WebVTT, section 6.1).
        let end = timings.get(number + 1).copied().unwrap_or(block.len());
        let text = block[at + 1..end].join("\n");
        TextError::check_cue_bytes(text.len(), line)?;
        let (lines, _) = markup::parse(&text, Dialect::WebVtt);
        found.add(Cue { start_ms, end_ms, lines, place: place(settings) }, line)?;
    }
    Ok(())
}

fn times(line: &str) -> Option<(u64, u64, &str)> {
    let (start, rest) = line.split_once(ARROW)?;
    let rest = rest.trim();
    let (end, settings) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    Some((time_ms(start.trim())?, time_ms(end)?, settings))
}

/// The place that the settings of a cue give (WebVTT, section 4.4); those that are not understood give none.
fn place(settings: &str) -> Place {
    let mut place = Place::default();
    let mut position = None;
    for (name, value) in settings.split_whitespace().filter_map(|setting| setting.split_once(':')) {
        match name {
            "line" => place.vertical = vertical(value).unwrap_or_default(),
            "position" => position = Some(value),
            "align" => place.align = Align::parse(value).unwrap_or_default(),
            _ => {}
        }
    }
    if let Some(value) = position {
        let (percent, side) = value.split_once(',').unwrap_or((value, ""));
        let own = match place.align {
            Align::Start | Align::Left => "line-left",
            Align::Centre => "center",
            Align::End | Align::Right => "line-right",
        };
        // A box that hangs on another edge than its text is aligned to would need its width to be placed.
        place.anchor_percent = percent_of(percent).filter(|_| side.is_empty() || side == own);
    }
    place
}

fn vertical(value: &str) -> Option<Vertical> {
    let (at, side) = value.split_once(',').unwrap_or((value, "start"));
    if let Some(percent) = percent_of(at) {
        return Some(match side {
            "end" if percent >= 80 => Vertical::Bottom,
            "end" => Vertical::Percent(percent.saturating_sub(CUE_PERCENT)),
            "center" if (40..=60).contains(&percent) => Vertical::Middle,
            "center" => Vertical::Percent(percent.saturating_sub(CUE_PERCENT / 2)),
            _ if percent > 90 => Vertical::Bottom,
            _ => Vertical::Percent(percent),
        });
    }
    match at.parse::<i64>().ok()?.clamp(-ROWS, ROWS) {
        0 => Some(Vertical::Top),
        // Lines are moved up until they fit: the last rows are the lower edge.
        -3..=-1 => Some(Vertical::Bottom),
        row if row >= ROWS - 3 => Some(Vertical::Bottom),
        row => Some(Vertical::Percent((row.rem_euclid(ROWS) * 100 / ROWS) as u8)),
    }
}

/// A percentage, rounded to a whole one.
fn percent_of(text: &str) -> Option<u8> {
    let text = text.strip_suffix('%')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let whole: u8 = whole.parse().ok().filter(|whole| *whole <= 100)?;
    let up = fraction.bytes().next().is_some_and(|digit| (b'5'..=b'9').contains(&digit));
    fraction.bytes().all(|byte| byte.is_ascii_digit()).then_some((whole + u8::from(up)).min(100))
}
