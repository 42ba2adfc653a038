//! The fleet: a heat map of all, and a list.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table, Widget};
use reel_proto::v1::{self, WorkerState};

use super::{BAD, BUSY, FAINT, GOOD, ODD, draw_nothing, row_style};
use crate::format;
use crate::model::{Model, WORKER_ORDERS, worker_state};

/// Lines of the heat map, at most.
const MOST_MAP: u16 = 8;

pub(super) fn draw(frame: &mut Frame, area: Rect, model: &mut Model) {
    let Some(overview) = &model.overview else { return draw_nothing(frame, area, "asking the farm…") };
    if overview.workers.is_empty() {
        return draw_nothing(frame, area, "the farm has no worker: start one with `reel worker start`");
    }
    let width = area.width.saturating_sub(2).max(1);
    let needed = overview.workers.len().div_ceil(usize::from(width)) as u16;
    let [map, legend, list] = Layout::vertical([
        Constraint::Length(needed.min(MOST_MAP).min(area.height / 3)),
        Constraint::Length(1),
        Constraint::Fill(1),
    ])
    .areas(area);
    let heat = HeatMap(&overview.workers);
    let inner = Rect { x: map.x + 1, width, ..map };
    draw_legend(frame, legend, heat.workers_a_cell(inner));
    frame.render_widget(heat, inner);
    let lines = usize::from(list.height.saturating_sub(1));
    model.page = lines.max(1);
    let shown = model.workers.visible(lines);
    let rows: Vec<Row> =
        shown.map(|(at, chosen)| row(&overview.workers[at]).style(row_style(chosen))).collect();
    let order = WORKER_ORDERS[model.workers.sort % WORKER_ORDERS.len()];
    let turned = if model.workers.reverse { ", reversed" } else { "" };
    let name = format!(" name, by {order}{turned}");
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(11),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(4),
        Constraint::Length(6),
        Constraint::Length(10),
        Constraint::Length(9),
    ];
    let heading =
        Row::new([name.as_str(), "state", "pool", "slots", "cpu", "memory", "scratch", "preempted"]);
    frame.render_widget(Table::new(rows, widths).header(heading.style(Style::new().fg(FAINT))), list);
}

fn draw_legend(frame: &mut Frame, area: Rect, workers: usize) {
    let of = if workers > 1 { format!("{workers} workers a cell ") } else { "a worker a cell ".to_owned() };
    let spans = vec![
        format!(" {of}").fg(FAINT),
        "░ idle ".fg(GOOD),
        "▓ at work ".fg(GOOD),
        "█ full ".fg(BUSY),
        "▒ held back ".fg(ODD),
        "▒ silent or quarantined".fg(BAD),
    ];
    frame.render_widget(Line::from(spans), area);
}

fn row(worker: &v1::WorkerRow) -> Row<'static> {
    let colour = match worker.state() {
        WorkerState::Ready => GOOD,
        WorkerState::Draining | WorkerState::Cordoned => ODD,
        WorkerState::Silent | WorkerState::Quarantined => BAD,
        WorkerState::Unspecified => FAINT,
    };
    let pool = if worker.pool() == v1::Pool::Spot { "spot" } else { "on-demand" };
    let load = worker.load.unwrap_or_default();
    let known = |text: String| if worker.load.is_some() { text } else { "-".to_owned() };
    Row::new([
        Cell::from(format!(" {}", worker.name)),
        Cell::from(worker_state(worker.state()).fg(colour)),
        Cell::from(pool),
        Cell::from(format!("{}/{}", worker.running, worker.slots)),
        Cell::from(known(format!("{:>3}%", load.cpu_percent))),
        Cell::from(known(format!("{:>3}%", format::percent(load.memory_used, load.memory_total)))),
        Cell::from(known(format::bytes(load.scratch_free))),
        Cell::from(format!("{:>9}", worker.preemptions)),
    ])
}

/// All workers, each or some of them a cell.
struct HeatMap<'a>(&'a [v1::WorkerRow]);

impl HeatMap<'_> {
    /// How many workers a cell stands for, so that all have room.
    fn workers_a_cell(&self, area: Rect) -> usize {
        self.0.len().div_ceil((usize::from(area.width) * usize::from(area.height)).max(1)).max(1)
    }
}

/// How a cell looks: whoever is worst off gives the colour.
fn heat(workers: &[v1::WorkerRow]) -> (char, Color) {
    let any = |state: WorkerState| workers.iter().any(|worker| worker.state() == state);
    let (slots, running) = workers.iter().fold((0, 0), |(slots, running), worker| {
        (slots + u64::from(worker.slots), running + u64::from(worker.running))
    });
    if any(WorkerState::Silent) || any(WorkerState::Quarantined) {
        ('▒', BAD)
    } else if any(WorkerState::Draining) || any(WorkerState::Cordoned) {
        ('▒', ODD)
    } else if running == 0 {
        ('░', GOOD)
    } else if running < slots {
        ('▓', GOOD)
    } else {
        ('█', BUSY)
    }
}

impl Widget for HeatMap<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let cell = self.workers_a_cell(area);
        let width = usize::from(area.width.max(1));
        for (at, workers) in self.0.chunks(cell).enumerate().take(width * usize::from(area.height)) {
            let (symbol, colour) = heat(workers);
            let place = (area.x + (at % width) as u16, area.y + (at / width) as u16);
            buffer[place].set_char(symbol).set_fg(colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(state: WorkerState, running: u32) -> v1::WorkerRow {
        v1::WorkerRow { state: state.into(), slots: 2, running, ..v1::WorkerRow::default() }
    }

    #[test]
    fn the_worst_of_a_cell_gives_its_colour() {
        let ready = |running| worker(WorkerState::Ready, running);
        assert_eq!(heat(&[ready(0)]), ('░', GOOD));
        assert_eq!(heat(&[ready(2), ready(1)]), ('▓', GOOD));
        assert_eq!(heat(&[ready(2), ready(2)]), ('█', BUSY));
        assert_eq!(heat(&[ready(2), worker(WorkerState::Cordoned, 0)]), ('▒', ODD));
        assert_eq!(heat(&[worker(WorkerState::Cordoned, 0), worker(WorkerState::Silent, 0)]), ('▒', BAD));
    }

    #[test]
    fn every_worker_has_a_cell_however_many_there_are() {
        let workers = vec![worker(WorkerState::Ready, 0); 10_000];
        let area = Rect::new(0, 0, 78, 8);
        let map = HeatMap(&workers);
        assert_eq!(map.workers_a_cell(area), 17);
        let mut buffer = Buffer::empty(area);
        map.render(area, &mut buffer);
        let drawn = buffer.content().iter().filter(|cell| cell.symbol() == "░").count();
        assert_eq!(drawn, 10_000_usize.div_ceil(17));
    }
}
