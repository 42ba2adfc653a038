//! A plot in 80 columns of text.

use super::{Plot, Step, range};
use crate::output::clock;

/// Columns of a curve; names and ranges take the rest of 80.
const COLUMNS: usize = 52;

/// The characters that are drawn with.
struct Glyphs {
    /// From low to high.
    levels: [char; 8],
    line: char,
    join: char,
    mark: char,
}

const UNICODE: Glyphs =
    Glyphs {
        levels: ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'], line: '─', join: '┼', mark: '█'
    };
const ASCII: Glyphs =
    Glyphs { levels: ['_', '.', ',', '-', '=', '+', '*', '#'], line: '-', join: '|', mark: '#' };

/// The curves of all renditions: of each column the lowest quality and the highest rate.
pub(crate) fn draw(plot: &Plot, is_utf8: bool) -> String {
    let glyphs = if is_utf8 { UNICODE } else { ASCII };
    let mut text = String::new();
    for curves in &plot.renditions {
        text.push_str(&format!("{}\n", curves.name));
        for (name, unit, digits, pick, steps) in curves.all() {
            let (low, high) = range(steps);
            let chart = chart(plot.seconds, steps, pick, (low, high), &glyphs);
            let range = format!("{low:.digits$} to {high:.digits$} {unit}");
            text.push_str(&line(name, &chart, range.trim_end()));
        }
        let joins: Vec<usize> = curves.joins.iter().map(|join| column(plot.seconds, *join)).collect();
        let parts = (0..COLUMNS).map(|at| if joins.contains(&at) { glyphs.join } else { glyphs.line });
        let count = curves.joins.len() + 1;
        let parts: String = parts.collect();
        text.push_str(&line("parts", &parts, &format!("{count} part{}", if count == 1 { "" } else { "s" })));
    }
    for (name, stretches) in [("black", &plot.black), ("frozen", &plot.frozen)] {
        let touched = |at: usize| {
            let (from, until) = times(plot.seconds, at);
            stretches.iter().any(|(start, end)| *start < until && *end > from)
        };
        let marks: String = (0..COLUMNS).map(|at| if touched(at) { glyphs.mark } else { ' ' }).collect();
        let seconds: f64 = stretches.iter().map(|(start, end)| end - start).sum();
        if !stretches.is_empty() {
            text.push_str(&line(name, &marks, &format!("{seconds:.1} s in {}", stretches.len())));
        }
    }
    let end = clock(plot.seconds as u64);
    let width = COLUMNS.saturating_sub(4);
    text.push_str(&line("time", &format!("{}{end:>width$}", clock(0).get(3..).unwrap_or_default()), ""));
    text
}

fn line(name: &str, chart: &str, range: &str) -> String {
    format!("{}\n", format!("{name:<6} {chart:<COLUMNS$} {range}").trim_end())
}

/// From when to when a column goes.
fn times(seconds: f64, at: usize) -> (f64, f64) {
    let column = seconds / COLUMNS as f64;
    (column * at as f64, column * (at + 1) as f64)
}

/// The column of a time.
fn column(seconds: f64, time: f64) -> usize {
    ((time / seconds.max(f64::MIN_POSITIVE) * COLUMNS as f64) as usize).min(COLUMNS - 1)
}

fn chart(
    seconds: f64,
    steps: &[Step],
    pick: fn(f64, f64) -> f64,
    (low, high): (f64, f64),
    glyphs: &Glyphs,
) -> String {
    let mut shown = [None; COLUMNS];
    for step in steps {
        let (first, last) = (column(seconds, step.start), column(seconds, step.end));
        for (at, shown) in shown.iter_mut().enumerate().take(last + 1).skip(first) {
            let (from, until) = times(seconds, at);
            // A step that ends where a column begins is not seen in it.
            if step.start < until && step.end > from {
                *shown = Some(shown.map_or(step.value, |seen| pick(seen, step.value)));
            }
        }
    }
    let glyph = |value: Option<f64>| {
        let Some(value) = value else { return ' ' };
        let height = if high > low { (value - low) / (high - low) * 7.0 } else { 3.0 };
        glyphs.levels[(height.round() as usize).min(7)]
    };
    shown.into_iter().map(glyph).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::report;
    use super::*;

    #[test]
    fn a_title_is_drawn_in_80_columns() {
        let plot = Plot::of(&report());
        for is_utf8 in [true, false] {
            let text = draw(&plot, is_utf8);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(is_utf8 || text.is_ascii());
            insta::assert_snapshot!(text);
        }
    }
}
