//! What happens, line by line: the events of the farm, and the log of a task.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Stylize};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

use super::{BAD, FAINT, GOOD, ODD, cut, draw_nothing};
use crate::format;
use crate::model::{EventLine, Model};

/// The events, the newest last.
pub(super) fn draw(frame: &mut Frame, area: Rect, model: &mut Model) {
    model.page = usize::from(area.height).max(1);
    let width = usize::from(area.width).saturating_sub(11);
    // The oldest are forgotten.
    let most = model.filtered_events().count().saturating_sub(model.page);
    model.events_scroll.back = model.events_scroll.back.min(most);
    let mut lines: Vec<Line> = model
        .filtered_events()
        .skip(model.events_scroll.back)
        .take(model.page)
        .map(|event| {
            let at = format!(" {} ", format::clock(event.at_ms)).fg(FAINT);
            Line::from(vec![at, cut(&event.text, width).fg(colour(event))])
        })
        .collect();
    if lines.is_empty() {
        let what = if model.events.is_empty() {
            "nothing has happened since you look"
        } else {
            "nothing passes the filter"
        };
        return draw_nothing(frame, area, what);
    }
    lines.reverse();
    frame.render_widget(Paragraph::new(lines), area);
}

fn colour(event: &EventLine) -> Color {
    let said = |word: &str| event.text.contains(word);
    match event.name {
        "part-committed" => GOOD,
        "job-changed" if said("state=failed") => BAD,
        "attempt-ended" if said("outcome=preempted") || said("outcome=revoked") => ODD,
        "attempt-ended" if !said("outcome=done") => BAD,
        "worker-gone" | "worker-held" | "worker-leaves" | "task-skipped" => ODD,
        _ => Color::Reset,
    }
}

/// The end of the log of a task, which goes on while it runs.
pub(super) fn draw_log(frame: &mut Frame, area: Rect, model: &mut Model) {
    let Some(log) = &mut model.log else { return };
    let Some(tail) = &log.tail else {
        let problem = log.problem.clone().unwrap_or_else(|| "asking its worker…".to_owned());
        return draw_nothing(frame, area, &problem);
    };
    let head = Rect { height: 1, ..area };
    let runs = if tail.running { "runs".fg(GOOD) } else { "has ended".fg(FAINT) };
    let of = format!(" attempt {} on {}, ", tail.attempt, tail.worker);
    let problem = log.problem.as_ref().map(|problem| format!("; {problem}").fg(BAD));
    frame.render_widget(Line::from_iter([of.into(), runs].into_iter().chain(problem)), head);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    model.page = usize::from(body.height).max(1);
    let lines: Vec<&str> = tail.text.lines().collect();
    if lines.is_empty() {
        return draw_nothing(frame, body, "it has logged nothing yet");
    }
    let end = lines.len().saturating_sub(log.scroll.back);
    let start = end.saturating_sub(model.page);
    let width = usize::from(body.width).saturating_sub(2);
    let line = |line: &&str| Line::from(format!(" {}", cut(&printable(line), width)));
    frame.render_widget(Paragraph::new(lines[start..end].iter().map(line).collect::<Vec<_>>()), body);
}

/// A line of a foreign program: what would steer the terminal is left out.
fn printable(line: &str) -> String {
    line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
