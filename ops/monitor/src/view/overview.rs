//! The first screen: is it busy, is it well, what does it do.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};
use reel_proto::v1;

use super::{BAD, BUSY, FAINT, GOOD, bar, cut, draw_nothing, jobs};
use crate::format;
use crate::model::{Alert, Level, Model};

/// Columns of a bar.
const BAR: usize = 20;
/// Lines of alerts, at most.
const ALERTS: usize = 6;

pub(super) fn draw(frame: &mut Frame, area: Rect, model: &mut Model) {
    let Some(overview) = &model.overview else { return draw_nothing(frame, area, "asking the farm…") };
    let alerts = model.alerts.len().clamp(1, ALERTS) as u16;
    let [figures, _, alarm, _, list] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Length(1),
        Constraint::Length(alerts),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    let [left, right] = Layout::horizontal([Constraint::Length(50), Constraint::Fill(1)]).areas(figures);
    frame.render_widget(Paragraph::new(figures_of(overview, model)), left);
    let readings: Vec<u64> = newest(model.rates.readings.iter().copied(), usize::from(right.width));
    frame.render_widget(Sparkline::default().data(readings).style(GOOD), right);
    frame.render_widget(Paragraph::new(alert_lines(&model.alerts, usize::from(area.width))), alarm);
    jobs::draw(frame, list, model);
}

/// The newest of what there is, oldest first.
fn newest(readings: impl ExactSizeIterator<Item = u64>, columns: usize) -> Vec<u64> {
    let before = readings.len().saturating_sub(columns);
    readings.skip(before).collect()
}

fn figures_of(overview: &v1::FarmOverview, model: &Model) -> Vec<Line<'static>> {
    let name = |text: &str| Span::from(format!(" {text:<7}")).fg(FAINT);
    let v1::FarmOverview { slots, slots_taken, tasks_waiting, .. } = *overview;
    let ready = overview.workers.iter().filter(|worker| worker.state() == v1::WorkerState::Ready).count();
    let workers = format!("{ready} of {} workers", overview.workers.len());
    let left = model.rates.all_left_ms(&overview.jobs).map_or("-".to_owned(), format::span);
    let colour = if slots_taken >= slots && tasks_waiting > 0 { BUSY } else { GOOD };
    vec![
        Line::from(vec![
            name("slots"),
            bar(slots_taken, slots, BAR).fg(colour).on_black(),
            format!(" {slots_taken}/{slots}").into(),
        ]),
        Line::from(vec![
            name("queue"),
            format!("{} tasks", format::count(tasks_waiting)).bold(),
            format!(" wait, {workers}").into(),
        ]),
        Line::from(vec![
            name("jobs"),
            format!("{} running", overview.jobs_running).bold(),
            others(overview).into(),
        ]),
        Line::from(vec![
            name("encode"),
            format!("{} fps", format::rate(model.rates.fps())).bold(),
            format!(", all in {left}").into(),
            cost(overview).into(),
        ]),
    ]
}

/// What the hosts cost, where somebody has said.
fn cost(overview: &v1::FarmOverview) -> String {
    let micros = overview.cost_micros;
    if micros > 0 { format!(", {} an hour", format::money(micros)) } else { String::new() }
}

/// Jobs that do not run, where there are any.
fn others(overview: &v1::FarmOverview) -> String {
    let counts = [
        (overview.jobs_queued, "queued"),
        (overview.jobs_paused, "paused"),
        (overview.jobs_failed, "failed"),
    ];
    let shown = counts.into_iter().filter(|(count, _)| *count > 0);
    shown.map(|(count, name)| format!(", {} {name}", format::count(count))).collect()
}

fn alert_lines(alerts: &[Alert], width: usize) -> Vec<Line<'static>> {
    if alerts.is_empty() {
        return vec![Line::from(" nothing to look at".fg(GOOD))];
    }
    let shown = if alerts.len() > ALERTS { ALERTS - 1 } else { alerts.len() };
    let line = |alert: &Alert| {
        let text = cut(&alert.text.replace('\n', " "), width.saturating_sub(4));
        match alert.level {
            Level::Critical => Line::from(vec![" ✖ ".fg(BAD).bold(), text.fg(BAD)]),
            Level::Warning => Line::from(vec![" ! ".fg(BUSY).bold(), text.fg(BUSY)]),
        }
    };
    let more = alerts.len() - shown;
    let rest = (more > 0).then(|| Line::from(format!("   and {more} more").fg(FAINT)));
    alerts[..shown].iter().map(line).chain(rest).collect()
}
