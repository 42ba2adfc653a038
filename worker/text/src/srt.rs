//! SubRip, which has no specification: what real files hold.

use crate::document::Collector;
use crate::markup::{self, Dialect};
use crate::{Cue, Document, TextError};

const ARROW: &str = "-->";

/// Whether a line gives the times of a cue: an arrow after a digit. Arrows also stand in text.
pub(crate) fn is_timing(line: &str) -> bool {
    line.contains(ARROW) && line.trim_start().starts_with(|c: char| c.is_ascii_digit())
}

/// Reads a file. Counters are looked over, blank lines do not end a cue, and the next times do.
pub(crate) fn read(text: &str) -> Result<Document, TextError> {
    let mut found = Collector::default();
    let lines: Vec<&str> = text.split('\n').collect();
    let timings: Vec<usize> = (0..lines.len()).filter(|at| is_timing(lines[*at])).collect();
    for (number, &at) in timings.iter().enumerate() {
        let (start_ms, end_ms) = times(lines[at]).ok_or_else(|| TextError::time(at + 1, lines[at]))?;
        let mut end = timings.get(number + 1).copied().unwrap_or(lines.len());
        if end < lines.len() && end > at + 1 && is_counter(lines[end - 1]) {
            end -= 1;
        }
        let text = lines[at + 1..end].join("\n");
        TextError::check_cue_bytes(text.trim().len(), at + 1)?;
        let (lines, place) = markup::parse(text.trim(), Dialect::SubRip);
        found.add(Cue { start_ms, end_ms, lines, place: place.unwrap_or_default() }, at + 1)?;
    }
    found.finish()
}

fn is_counter(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit())
}

/// Both times of a line; coordinates after them are looked over.
fn times(line: &str) -> Option<(u64, u64)> {
    let (start, rest) = line.split_once(ARROW)?;
    Some((time_ms(start.trim())?, time_ms(rest.split_whitespace().next()?)?))
}

/// A time as SubRip and WebVTT write it: hours may lack, and a comma or a point stands before the fraction.
pub(crate) fn time_ms(text: &str) -> Option<u64> {
    let (clock, fraction) = text.split_once([',', '.']).unwrap_or((text, "0"));
    let mut parts = clock.rsplit(':').map(|part| digits(part, 6));
    let (seconds, minutes) = (parts.next()??, parts.next()??);
    let hours = parts.next().unwrap_or(Some(0))?;
    if seconds > 59 || minutes > 59 || parts.next().is_some() {
        return None;
    }
    // Digits after the third are below a millisecond.
    let millis = digits(fraction, 9)? * 1000 / 10u64.pow(fraction.len() as u32);
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
}

/// A number of at most that many digits.
fn digits(text: &str, most: usize) -> Option<u64> {
    let plain = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}
