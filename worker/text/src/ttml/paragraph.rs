//! A paragraph of TTML: runs of text with times and styles of their own, cut into cues.

use reel_common::Rational;

use super::ms;
use crate::TextError;
use crate::document::Collector;
use crate::model::{Cue, Line, Place, Style};

/// Runs of a paragraph. Each may begin a cue that repeats all the others, so this also bounds how a file grows.
const MAX_RUNS: usize = 256;

/// When an element is shown, in seconds of the document; without an end, as long as the media lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    begin: Rational,
    end: Option<Rational>,
}

impl Default for Interval {
    fn default() -> Interval {
        Interval { begin: Rational::ZERO, end: None }
    }
}

impl Interval {
    /// The interval of an element within this one (TTML2, section 12.4): its times count from the beginning here,
    /// and it is over when this one is. `None` when a time leaves the range of numbers.
    pub(super) fn child(
        self,
        begin: Option<Rational>,
        end: Option<Rational>,
        dur: Option<Rational>,
    ) -> Option<Interval> {
        let after = |from: Rational, by: Option<Rational>| match by {
            Some(by) => from.checked_add(by).map(Some),
            None => Some(None),
        };
        let begin = after(self.begin, begin)?.unwrap_or(self.begin);
        let ends = [self.end, after(self.begin, end)?, after(begin, dur)?];
        Some(Interval { begin, end: ends.into_iter().flatten().min() })
    }
}

#[derive(Debug)]
struct Run {
    text: String,
    style: Style,
    interval: Interval,
    preserve: bool,
}

/// An open paragraph.
#[derive(Debug)]
pub(super) struct Paragraph {
    place: Place,
    line: usize,
    runs: Vec<Run>,
}

impl Paragraph {
    pub(super) fn new(place: Place, line: usize) -> Paragraph {
        Paragraph { place, line, runs: Vec::new() }
    }

    pub(super) fn push(
        &mut self,
        text: &str,
        style: Style,
        interval: Interval,
        preserve: bool,
    ) -> Result<(), TextError> {
        let full = self.runs.len() >= MAX_RUNS;
        match self.runs.last_mut() {
            Some(run) if (run.style, run.interval, run.preserve) == (style, interval, preserve) => {
                run.text.push_str(text);
            }
            _ if full => {
                let what = "changes of style or time in a paragraph";
                return Err(TextError::Limit { line: self.line, limit: MAX_RUNS, what });
            }
            _ => self.runs.push(Run { text: text.to_owned(), style, interval, preserve }),
        }
        Ok(())
    }

    /// Gives a cue for each time in which the same runs are shown.
    pub(super) fn finish(self, found: &mut Collector) -> Result<(), TextError> {
        let shown = |run: &Run| run.text.contains(|c: char| !c.is_whitespace());
        let usable = |run: &&Run| run.interval.end.is_none_or(|end| end > run.interval.begin);
        let runs: Vec<&Run> = self.runs.iter().filter(usable).collect();
        TextError::check_cue_bytes(runs.iter().map(|run| run.text.len()).sum(), self.line)?;
        let spoken = runs.iter().filter(|run| shown(run));
        let mut edges: Vec<Rational> =
            spoken.flat_map(|run| [Some(run.interval.begin), run.interval.end]).flatten().collect();
        edges.sort_unstable();
        edges.dedup();
        // Text without an end is shown as long as there is other text, and is no cue by itself.
        let mut unusable = true;
        for pair in edges.windows(2) {
            let (begin, end) = (pair[0], pair[1]);
            let lasts = |run: &Run| run.interval.end.is_none_or(|own_end| own_end >= end);
            let active: Vec<&Run> =
                runs.iter().filter(|run| run.interval.begin <= begin && lasts(run)).copied().collect();
            if active.iter().any(|run| shown(run)) {
                let cue =
                    Cue { start_ms: ms(begin), end_ms: ms(end), lines: lines(&active), place: self.place };
                found.add(cue, self.line)?;
                unusable = false;
            }
        }
        if unusable {
            found.skip();
        }
        Ok(())
    }
}

/// Lines of runs. White space is one space and none at the ends of lines, unless preserved.
fn lines(runs: &[&Run]) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    let mut after_space = true;
    for run in runs {
        let mut text = String::new();
        let flush = |text: &mut String, lines: &mut Vec<Line>| {
            if let Some(line) = lines.last_mut() {
                line.push(text, run.style);
            }
            text.clear();
        };
        for c in run.text.chars() {
            match c {
                '\n' if run.preserve => {
                    flush(&mut text, &mut lines);
                    lines.push(Line::default());
                    after_space = true;
                }
                ' ' | '\t' | '\r' | '\n' if !run.preserve => {
                    if !after_space {
                        text.push(' ');
                    }
                    after_space = true;
                }
                _ => {
                    text.push(c);
                    after_space = false;
                }
            }
        }
        flush(&mut text, &mut lines);
    }
    lines
}
