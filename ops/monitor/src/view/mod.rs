//! Draws what the model knows. It looks at nothing else, not even at a clock.

mod cluster;
mod events;
mod job;
mod jobs;
mod overview;
mod strip;
mod timeline;
mod workers;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Flex, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use crate::act::Act;
use crate::format;
use crate::keys::{self, KEYS, Place};
use crate::model::{Dialog, Model, Screen};

/// The smallest screen that everything fits on.
const SMALLEST: (u16, u16) = (40, 12);

/// Good, work in hand, to be looked at, lost, and what only explains.
const GOOD: Color = Color::Green;
const BUSY: Color = Color::Yellow;
const ODD: Color = Color::Magenta;
const BAD: Color = Color::Red;
const FAINT: Color = Color::DarkGray;

/// Draws the whole screen.
pub(crate) fn draw(frame: &mut Frame, model: &mut Model) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text =
            format!("the screen has {}x{}: make it {}x{}", area.width, area.height, SMALLEST.0, SMALLEST.1);
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let [head, body, said, hints] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_head(frame, head, model);
    match model.place() {
        Place::Log => events::draw_log(frame, body, model),
        Place::Job => job::draw(frame, body, model),
        Place::Overview => overview::draw(frame, body, model),
        Place::Jobs => jobs::draw(frame, body, model),
        Place::Workers => workers::draw(frame, body, model),
        Place::Cluster => cluster::draw(frame, body, model),
        Place::Events => events::draw(frame, body, model),
    }
    draw_said(frame, said, model);
    draw_hints(frame, hints, model);
    match &model.dialog {
        Some(Dialog::Help) => draw_help(frame, area, model.place()),
        Some(Dialog::Confirm { act, about }) => draw_question(frame, area, act, about),
        None => {}
    }
}

fn draw_head(frame: &mut Frame, area: Rect, model: &Model) {
    let [title, tabs] = Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    let leader = match &model.cluster {
        Some(status) => match status.leader {
            Some(leader) => format!("leader {leader}, term {}", status.term),
            None => "no leader".to_owned(),
        },
        None => String::new(),
    };
    let clock =
        model.overview.as_ref().map_or(String::new(), |seen| format!("  {} UTC", format::clock(seen.at_ms)));
    let right = format!("{leader}{clock} ");
    let width = usize::from(title.width).saturating_sub(right.chars().count() + 7);
    let left = Line::from(vec![" reel ".bold().reversed(), " ".into(), Span::raw(cut(&model.farm, width))]);
    frame.render_widget(left, title);
    frame.render_widget(Line::from(right).alignment(Alignment::Right), title);
    let mut spans = vec![Span::raw(" ")];
    for (number, screen) in Screen::ALL.into_iter().enumerate() {
        let text = format!(" {} {} ", number + 1, screen.name());
        let here = screen == model.screen;
        spans.push(if here { text.bold().reversed() } else { Span::styled(text, Style::new().fg(FAINT)) });
    }
    if let Some(pane) = &model.job {
        spans.push(format!(" › job {} ", pane.job).bold());
    }
    if let Some(log) = &model.log {
        spans.push(format!(" › log of {} ", log.task).bold());
    }
    frame.render_widget(Line::from(spans), tabs);
}

/// The line above the keys: the filter that is typed, what came of an act, or that nobody answers.
fn draw_said(frame: &mut Frame, area: Rect, model: &Model) {
    let filter = model.filter().filter(|filter| model.typing || !filter.is_empty());
    let line = match (&model.unreachable, filter, &model.notice) {
        (_, Some(filter), _) if model.typing => Line::from(vec![
            " filter: ".bold(),
            filter.to_owned().into(),
            "█".slow_blink(),
            "  Enter keeps it, Esc ends it".fg(FAINT),
        ]),
        (Some(reason), ..) => Line::from(vec![" not up to date: ".bold().fg(BAD), reason.clone().fg(BAD)]),
        (None, _, Some((true, text))) => Line::from(format!(" {text}").fg(GOOD)),
        (None, _, Some((false, text))) => Line::from(format!(" {text}").fg(BAD)),
        (None, Some(filter), None) => {
            let found = model.found().map_or(String::new(), |(found, all)| format!("  ({found} of {all})"));
            Line::from(vec![" filter: ".fg(FAINT), filter.to_owned().into(), found.fg(FAINT)])
        }
        (None, None, None) => Line::default(),
    };
    frame.render_widget(line, area);
}

fn draw_hints(frame: &mut Frame, area: Rect, model: &Model) {
    let mut spans = vec![Span::raw(" ")];
    let mut room = usize::from(area.width).saturating_sub(1);
    for key in keys::hints(model.place()) {
        let width = key.shown.chars().count() + key.word.chars().count() + 3;
        if width > room {
            break;
        }
        room -= width;
        spans.extend([key.shown.bold(), format!(" {}  ", key.word).fg(FAINT)]);
    }
    frame.render_widget(Line::from(spans), area);
}

/// An area in the middle.
fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let [area] = Layout::vertical([Constraint::Max(height)]).flex(Flex::Center).areas(area);
    let [area] = Layout::horizontal([Constraint::Max(width)]).flex(Flex::Center).areas(area);
    area
}

fn draw_help(frame: &mut Frame, area: Rect, place: Place) {
    let keys = KEYS.iter().filter(|key| key.works_at(place));
    let lines: Vec<Line> =
        keys.map(|key| Line::from(vec![format!(" {:>7}  ", key.shown).bold(), key.help.into()])).collect();
    let area = middle(area, 64, lines.len() as u16 + 2);
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(" Keys here ").title_bottom(" any key goes back ");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_question(frame: &mut Frame, area: Rect, act: &Act, about: &str) {
    let width = 72.min(area.width.saturating_sub(2));
    let question = format!("{}?", first_upper(&act.name()));
    let inside = usize::from(width.saturating_sub(4));
    let mut lines: Vec<Line> =
        wrapped(&question, inside).into_iter().map(|line| Line::from(line.bold())).collect();
    lines.extend(wrapped(about, inside).into_iter().map(Line::from));
    lines.extend(wrapped(act.consequence(), inside).into_iter().map(Line::from));
    lines.extend([Line::default(), Line::from(vec!["y".bold(), " yes   ".into(), "n".bold(), " no".into()])]);
    let area = middle(area, width, lines.len() as u16 + 2);
    frame.render_widget(Clear, area);
    let block = Block::bordered().border_style(Style::new().fg(BUSY));
    frame.render_widget(Paragraph::new(lines).alignment(Alignment::Center).block(block), area);
}

fn first_upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// A text in lines of at most so many columns, broken between words where there are any; none for nothing.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(columns) {
            let room = lines.last().map_or(0, |line| columns.saturating_sub(line.chars().count() + 1));
            match lines.last_mut().filter(|_| piece.len() <= room) {
                Some(line) => {
                    line.push(' ');
                    line.extend(piece);
                }
                None => lines.push(piece.iter().collect()),
            }
        }
    }
    lines
}

/// The first columns of a text.
fn cut(text: &str, columns: usize) -> String {
    match text.chars().count() > columns {
        true => text.chars().take(columns.saturating_sub(1)).chain(std::iter::once('…')).collect(),
        false => text.to_owned(),
    }
}

/// What stands where nothing is known yet, or there is nothing.
fn draw_nothing(frame: &mut Frame, area: Rect, text: &str) {
    frame.render_widget(Line::from(format!(" {text}").fg(FAINT)), area);
}

/// A bar of eighths of columns.
fn bar(done: u64, total: u64, columns: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (done.min(total) * columns as u64 * 8).checked_div(total).unwrap_or(0) as usize;
    let full = std::iter::repeat_n('█', eighths / 8);
    let part = std::iter::once(EIGHTHS[eighths % 8]).filter(|_| eighths / 8 < columns);
    let bar: String = full.chain(part).collect();
    format!("{bar:columns$}")
}

/// The style of a row: the chosen one stands out.
fn row_style(chosen: bool) -> Style {
    if chosen { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() }
}

#[cfg(test)]
mod tests;
