//! Who worked on a job when: a line for each worker, time from left to right.

use std::collections::BTreeMap;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Stylize};
use ratatui::text::Line;
use ratatui::widgets::Widget;

use super::{BAD, BUSY, FAINT, GOOD, ODD, cut, draw_nothing};
use crate::farm::JobDetail;
use crate::format;
use crate::model::JobPane;

/// Columns of a name.
const NAME: u16 = 16;

/// A stretch of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start_ms: u64,
    end_ms: u64,
    kind: Kind,
}

/// What became of it; what is worse is drawn over what is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Done,
    Running,
    Gone,
    Failed,
}

impl Kind {
    fn of(outcome: &str) -> Kind {
        match outcome {
            "done" => Kind::Done,
            "preempted" | "revoked" => Kind::Gone,
            _ => Kind::Failed,
        }
    }

    fn colour(self) -> Color {
        match self {
            Kind::Done => GOOD,
            Kind::Running => BUSY,
            Kind::Gone => ODD,
            Kind::Failed => BAD,
        }
    }
}

pub(super) fn draw(frame: &mut Frame, area: Rect, pane: &mut JobPane, now_ms: u64) {
    let Some(detail) = pane.detail.as_deref().filter(|detail| detail.history.is_some()) else {
        return draw_nothing(frame, area, "asking the farm…");
    };
    let workers = spans(detail, now_ms);
    // What was before the first attempt is a queue and no work.
    let first = workers.values().flatten().map(|span| span.start_ms).min();
    let start_ms = first.unwrap_or(detail.view.submitted_ms);
    // An attempt may have begun after the time that was told last.
    let end_ms = end(detail, now_ms).max(start_ms + 1);
    if workers.is_empty() || area.height < 2 {
        return draw_nothing(frame, area, "nobody has worked on it yet");
    }
    let lines = usize::from(area.height) - 1;
    pane.scroll = pane.scroll.min(workers.len().saturating_sub(lines));
    let shown = workers.iter().skip(pane.scroll).take(lines);
    for (line, (name, spans)) in shown.enumerate() {
        let row = Rect { y: area.y + line as u16, height: 1, ..area };
        frame.render_widget(Line::from(format!(" {}", cut(name, usize::from(NAME) - 2))), row);
        let track = Rect { x: row.x + NAME, width: row.width.saturating_sub(NAME + 1), ..row };
        frame.render_widget(Track { spans, start_ms, end_ms }, track);
    }
    let scale = Rect { y: area.y + lines.min(workers.len()) as u16, height: 1, ..area };
    let more = workers.len().saturating_sub(lines);
    let hidden = if more > 0 { format!(", {more} more workers: ↓") } else { String::new() };
    let text = format!(
        " {} to {} UTC, {}{hidden}  ",
        format::clock(start_ms),
        format::clock(end_ms),
        format::span(end_ms.saturating_sub(start_ms))
    );
    let legend = vec![
        text.fg(FAINT),
        "█ done ".fg(GOOD),
        "█ runs ".fg(BUSY),
        "█ preempted ".fg(ODD),
        "█ failed".fg(BAD),
    ];
    frame.render_widget(Line::from(legend), scale);
}

fn end(detail: &JobDetail, now_ms: u64) -> u64 {
    detail.view.ended_ms.unwrap_or(now_ms).max(detail.view.submitted_ms + 1)
}

/// What each worker did, by its name.
fn spans(detail: &JobDetail, now_ms: u64) -> BTreeMap<String, Vec<Span>> {
    let mut workers: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for attempt in detail.history.iter().flat_map(|history| &history.attempts) {
        let (start_ms, end_ms) = (attempt.started_ms, attempt.ended_ms);
        let span = Span { start_ms, end_ms, kind: Kind::of(&attempt.outcome) };
        workers.entry(attempt.worker.clone()).or_default().push(span);
    }
    for running in &detail.view.running {
        let (start_ms, end_ms) = (running.started_ms, now_ms.max(running.started_ms));
        let span = Span { start_ms, end_ms, kind: Kind::Running };
        workers.entry(running.worker.clone()).or_default().push(span);
    }
    workers
}

/// One line of work.
struct Track<'a> {
    spans: &'a [Span],
    start_ms: u64,
    end_ms: u64,
}

impl Widget for Track<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let length = self.end_ms.saturating_sub(self.start_ms).max(1);
        let place = |ms: u64| {
            let at = u64::from(area.width)
                * ms.clamp(self.start_ms, self.end_ms).saturating_sub(self.start_ms)
                / length;
            (at as u16).min(area.width.saturating_sub(1))
        };
        let mut columns: Vec<Option<Kind>> = vec![None; usize::from(area.width)];
        for span in self.spans {
            for column in place(span.start_ms)..=place(span.end_ms) {
                let column = &mut columns[usize::from(column)];
                *column = (*column).max(Some(span.kind));
            }
        }
        for (x, kind) in columns.iter().enumerate() {
            let (symbol, colour) = kind.map_or(('·', FAINT), |kind| ('█', kind.colour()));
            buffer[(area.x + x as u16, area.y)].set_char(symbol).set_fg(colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_drawn_where_it_was_and_failures_over_it() {
        let span = |start_ms, end_ms, kind| Span { start_ms, end_ms, kind };
        let spans = [span(0, 400, Kind::Done), span(300, 350, Kind::Failed), span(900, 1000, Kind::Running)];
        let area = Rect::new(0, 0, 10, 1);
        let mut buffer = Buffer::empty(area);
        Track { spans: &spans, start_ms: 0, end_ms: 1000 }.render(area, &mut buffer);
        let colours: Vec<_> = (0..10).map(|x| buffer[(x, 0)].fg).collect();
        let wanted = [GOOD, GOOD, GOOD, BAD, GOOD, FAINT, FAINT, FAINT, FAINT, BUSY];
        assert_eq!(colours, wanted);
    }
}
