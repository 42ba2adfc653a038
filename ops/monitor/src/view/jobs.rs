//! The jobs, those that are not over first.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Row, Table};
use reel_proto::v1::{self, JobState};

use super::{BAD, BUSY, FAINT, GOOD, ODD, bar, draw_nothing, row_style};
use crate::format;
use crate::model::{JOB_ORDERS, Model, Rates, job_state};

/// Columns of a bar.
const BAR: usize = 10;
/// The columns but for the last, with their gaps.
const FIXED: u16 = 57;

/// The list, its heading in its first line.
pub(super) fn draw(frame: &mut Frame, area: Rect, model: &mut Model) {
    let Some(overview) = &model.overview else { return draw_nothing(frame, area, "asking the farm…") };
    let lines = usize::from(area.height.saturating_sub(1));
    model.page = lines.max(1);
    let width = usize::from(area.width.saturating_sub(FIXED));
    let shown = model.jobs.visible(lines);
    let rows: Vec<Row> = shown
        .map(|(at, chosen)| {
            row(&overview.jobs[at], &model.rates, overview.at_ms, width).style(row_style(chosen))
        })
        .collect();
    let order = JOB_ORDERS[model.jobs.sort % JOB_ORDERS.len()];
    let turned = if model.jobs.reverse { ", reversed" } else { "" };
    let last = format!("output, by {order}{turned}");
    let heading = Row::new(["    id", "state", "stage", "parts", "", "   fps", "left", "pri", &last]);
    let widths = [
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(BAR as u16),
        Constraint::Length(4),
        Constraint::Length(6),
        Constraint::Length(6),
        Constraint::Length(3),
        Constraint::Fill(1),
    ];
    let table = Table::new(rows, widths).header(heading.style(Style::new().fg(FAINT)));
    frame.render_widget(table, area);
}

fn row(job: &v1::JobRow, rates: &Rates, now_ms: u64, width: usize) -> Row<'static> {
    let over = job.ended_ms.is_some();
    let percent = match job.state() {
        JobState::Done => 100,
        _ => format::percent(job.frames_done, job.frames_total),
    };
    let stage = reel_common::Stage::try_from(job.stage()).map_or("", reel_common::Stage::name);
    let colour = state_colour(job.state());
    let running = job.running > 0;
    let left = match job.ended_ms {
        Some(ended) => format!("-{}", format::span(now_ms.saturating_sub(ended))),
        None => rates.left_ms(job).map_or(String::new(), format::span),
    };
    let fps = rates.fps_of(job.id).filter(|fps| running && *fps > 0.0).map_or(String::new(), format::rate);
    let trouble = if job.trouble.is_empty() { Span::raw("") } else { "! ".fg(BAD) };
    let output = format::tail(&job.output, width.saturating_sub(2).max(8));
    Row::new([
        Cell::from(format!("{:>6}", job.id)),
        Cell::from(job_state(job.state()).fg(colour)),
        Cell::from(if over { "" } else { stage }),
        Cell::from(bar(percent, 100, BAR).fg(colour).bg(Color::Black)),
        Cell::from(format!("{percent:>3}%")),
        Cell::from(format!("{fps:>6}")),
        Cell::from(left),
        Cell::from(if job.priority == 0 { String::new() } else { job.priority.to_string() }),
        Cell::from(Line::from(vec![trouble, Span::raw(output)])),
    ])
}

pub(super) fn state_colour(state: JobState) -> Color {
    match state {
        JobState::Running => BUSY,
        JobState::Done => GOOD,
        JobState::Failed => BAD,
        JobState::Paused | JobState::Canceled => ODD,
        JobState::Queued | JobState::Unspecified => FAINT,
    }
}
