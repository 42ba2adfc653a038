//! One job: its stages, its parts, and below them its tasks, its timeline, or why it waits.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use reel_common::{StageView, TaskState, TaskView};
use reel_proto::v1;

use super::jobs::state_colour;
use super::strip::Strip;
use super::{BAD, BUSY, FAINT, GOOD, ODD, draw_nothing, row_style, timeline, wrapped};
use crate::farm::JobDetail;
use crate::format;
use crate::model::{JobPane, Model, Tab};

/// Lines of the strip on a large screen; on a small one it has fewer.
const MOST_STRIP: u16 = 8;

pub(super) fn draw(frame: &mut Frame, area: Rect, model: &mut Model) {
    let strip_lines = (area.height / 6).clamp(1, MOST_STRIP);
    model.cells = u32::from(area.width.saturating_sub(2)) * u32::from(strip_lines);
    model.page = usize::from(area.height.saturating_sub(strip_lines + 6)).max(1);
    let left = model.job.as_ref().and_then(|pane| {
        let row = model.overview.as_ref()?.jobs.iter().find(|job| job.id == pane.job.0)?;
        Some((model.rates.fps_of(row.id), model.rates.left_ms(row)))
    });
    let now_ms = model.overview.as_ref().map_or(0, |seen| seen.at_ms);
    let Some(pane) = model.job.as_mut() else { return };
    let Some(detail) = pane.detail.as_deref() else {
        let problem = pane.problem.clone().unwrap_or_else(|| "asking the farm…".to_owned());
        return draw_nothing(frame, area, &problem);
    };
    let [head, strip, tabs, rest] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(strip_lines),
        Constraint::Length(2),
        Constraint::Fill(1),
    ])
    .areas(area);
    draw_head(frame, head, detail, left.unwrap_or_default(), now_ms);
    let inner = Rect { x: strip.x + 1, width: strip.width.saturating_sub(2), ..strip };
    match detail.strip.parts_total {
        0 => draw_nothing(frame, strip, "no parts yet: the plan comes after the index"),
        _ => frame.render_widget(Strip(&detail.strip), inner),
    }
    draw_tabs(frame, tabs, pane.tab, &detail.strip);
    match pane.tab {
        Tab::Tasks => draw_tasks(frame, rest, pane, now_ms),
        Tab::Timeline => timeline::draw(frame, rest, pane, now_ms),
        Tab::Why => draw_why(frame, rest, detail, &mut pane.scroll),
    }
}

fn draw_head(
    frame: &mut Frame,
    area: Rect,
    detail: &JobDetail,
    pace: (Option<f64>, Option<u64>),
    now_ms: u64,
) {
    let view = &detail.view;
    let state = v1::JobState::from(view.state);
    let took = view.ended_ms.unwrap_or(now_ms).saturating_sub(view.submitted_ms);
    let fps = pace.0.map_or(String::new(), |fps| format!(", {} fps", format::rate(fps)));
    let left = pace.1.map_or(String::new(), |left| format!(", {} left", format::span(left)));
    let cost = match view.cost_micros {
        0 => String::new(),
        micros => format!(", cost {}", format::money(micros)),
    };
    let first = vec![
        Span::raw(" "),
        view.state.name().bold().fg(state_colour(state)),
        format!(
            " {} {}{fps}{left}{cost}, project {}, priority {}",
            if view.ended_ms.is_some() { "after" } else { "for" },
            format::span(took),
            view.project,
            view.priority
        )
        .into(),
    ];
    let width = usize::from(area.width.saturating_sub(4));
    let half = (width / 2).max(8);
    let places = format!(" {} → {}", format::tail(&view.mezzanine, half), format::tail(&view.output, half));
    let stages: Vec<Span> = view.stages.iter().flat_map(stage).collect();
    let lines = vec![Line::from(first), Line::from(places.fg(FAINT)), Line::from(stages)];
    frame.render_widget(Paragraph::new(lines), area);
}

/// `encode 12/40`, in the colour of how far it is.
fn stage(stage: &StageView) -> [Span<'static>; 2] {
    let StageView { total, done, running, .. } = *stage;
    let colour = match (running, done) {
        (1.., _) => BUSY,
        (0, done) if done >= total => GOOD,
        _ => FAINT,
    };
    let count = if total > 1 { format!(" {done}/{total}") } else { String::new() };
    [Span::raw(" "), format!("{}{count}", stage.stage.name()).fg(colour)]
}

fn draw_tabs(frame: &mut Frame, area: Rect, tab: Tab, strip: &v1::PartStrip) {
    let sum = |of: &[u32]| of.iter().sum::<u32>();
    let (done, running, troubled) = (sum(&strip.done), sum(&strip.running), sum(&strip.troubled));
    let legend = Line::from(vec![
        format!(" {done} of {} parts ", strip.parts_total).into(),
        "█ done ".fg(GOOD),
        format!("▓ {running} in hand ").fg(BUSY),
        format!("▒ {troubled} failed ").fg(if troubled > 0 { BAD } else { FAINT }),
        "░ to come".fg(FAINT),
    ]);
    let mut spans = vec![Span::raw(" ")];
    for one in Tab::ALL {
        let text = format!(" {} ", one.name());
        spans.push(if one == tab { text.bold().underlined() } else { text.fg(FAINT) });
    }
    frame.render_widget(Paragraph::new(vec![legend, Line::from(spans)]), area);
}

fn draw_tasks(frame: &mut Frame, area: Rect, pane: &mut JobPane, now_ms: u64) {
    let Some(detail) = &pane.detail else { return };
    if detail.tasks.is_empty() {
        return draw_nothing(frame, area, "every task is done");
    }
    let lines = usize::from(area.height.saturating_sub(1));
    let shown: Vec<_> = pane.tasks.visible(lines).collect();
    let rows = shown.into_iter().map(|(at, chosen)| task(&detail.tasks[at], now_ms).style(row_style(chosen)));
    let widths = [
        Constraint::Length(18),
        Constraint::Length(11),
        Constraint::Length(5),
        Constraint::Length(18),
        Constraint::Length(14),
        Constraint::Fill(1),
    ];
    let heading =
        Row::new(["task", "state", "tries", "worker", "progress", ""]).style(Style::new().fg(FAINT));
    frame.render_widget(Table::new(rows, widths).header(heading), area);
}

fn task(task: &TaskView, now_ms: u64) -> Row<'static> {
    let colour = match task.state {
        TaskState::Running => BUSY,
        TaskState::Done => GOOD,
        TaskState::Failed => BAD,
        TaskState::BackingOff | TaskState::Skipped => ODD,
        TaskState::Waiting | TaskState::Blocked => FAINT,
    };
    let running = task.running.as_ref();
    let progress = running.map_or(String::new(), |running| {
        let percent = format::percent(running.frames_done, running.frames_total);
        format!("{percent:>3}% of {}", format::count(running.frames_total))
    });
    let wait = task.not_before_ms.map(|at| format!("again in {}; ", format::span(at.saturating_sub(now_ms))));
    let fault =
        task.faults.last().map(|(worker, message)| format!("{worker}: {}", message.replace('\n', " ")));
    let parts =
        task.parts.as_ref().map(|parts| format!("parts {}-{}", parts.start, parts.end.saturating_sub(1)));
    let said = wait.into_iter().chain(fault.or(parts)).collect::<String>();
    Row::new([
        Cell::from(format!(" {}", task.task)),
        Cell::from(task.state.name().fg(colour)),
        Cell::from(format!("{:>5}", task.attempts)),
        Cell::from(running.map_or(String::new(), |running| running.worker.clone())),
        Cell::from(progress),
        Cell::from(said),
    ])
}

fn draw_why(frame: &mut Frame, area: Rect, detail: &JobDetail, scroll: &mut usize) {
    let v1::Explanation { running, waiting, obstacles } = &detail.explanation;
    let mut said = vec![(Color::Reset, format!("{running} attempts run, {waiting} tasks wait"))];
    said.extend(obstacles.iter().map(|obstacle| {
        let stage = reel_common::Stage::try_from(obstacle.stage())
            .map_or(String::new(), |stage| format!("{}: ", stage.name()));
        (BUSY, format!("{stage}{}", obstacle.message))
    }));
    if let Some(reason) = &detail.view.reason {
        said.push((BAD, format!("it failed on {}: {}", reason.worker, reason.message)));
        said.extend(reason.evidence.lines().map(|line| (FAINT, line.to_owned())));
    }
    if let Some(trouble) = &detail.view.trouble {
        let on = format!(
            "{}, attempt {}, on {}: {}",
            trouble.task, trouble.attempt, trouble.worker, trouble.message
        );
        said.push((ODD, on));
    }
    said.extend(detail.view.warnings.iter().map(|warning| (BUSY, format!("warning: {warning}"))));
    let columns = usize::from(area.width.saturating_sub(2));
    let lines = said.iter().flat_map(|(colour, text)| {
        let wrapped = text.lines().flat_map(|line| wrapped(line, columns)).collect::<Vec<_>>();
        wrapped.into_iter().map(|line| Line::from(format!(" {line}").fg(*colour)))
    });
    let mut lines: Vec<Line> = lines.collect();
    *scroll = (*scroll).min(lines.len().saturating_sub(1));
    frame.render_widget(Paragraph::new(lines.split_off(*scroll)), area);
}
