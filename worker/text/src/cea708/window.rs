//! A window of a caption service: its text, and the cues it shows.

use super::commands::{Definition, Justify};
use crate::display::{AREA_MARGIN_PERCENT, AREA_PERCENT, ROWS, UNEVEN_COLUMNS, vertical};
use crate::model::{Align, Cue, Line, Place, Style};

/// Columns of the part of the picture that captions stand in, where it has the shape 16:9.
const COLUMNS: usize = 42;
/// Steps of the grid that anchors are given in: to a row, and to a column.
const STEPS: usize = 5;
/// Most columns of a window, as its definition can say it; text goes no further.
const MAX_COLUMNS: usize = 64;

type Cell = Option<(char, Style)>;

/// A window. Text is written from left to right and scrolls upwards, whatever its style says.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) visible: bool,
    pub(super) pen: Style,
    /// Whether text that comes is not for display.
    pub(super) silent: bool,
    definition: Definition,
    justify: Justify,
    wraps: bool,
    row: usize,
    column: usize,
    rows: Vec<Vec<Cell>>,
}

impl Window {
    pub(super) fn new(definition: Definition) -> Window {
        let mut window = Window {
            visible: false,
            pen: Style::default(),
            silent: false,
            definition: Definition {
                window_style: definition.window_style.max(1),
                pen_style: definition.pen_style.max(1),
                ..definition
            },
            justify: Justify::default(),
            wraps: false,
            row: 0,
            column: 0,
            rows: Vec::new(),
        };
        window.define(window.definition.clone());
        window
    }

    /// Takes another definition. Text stays, as far as there are rows for it; so do styles where none is named.
    pub(super) fn define(&mut self, definition: Definition) {
        self.rows.resize(definition.rows, Vec::new());
        self.row = self.row.min(definition.rows - 1);
        self.visible = definition.visible;
        // The predefined styles (CTA-708-E, section 8.4.6).
        if definition.window_style > 0 {
            let centred = matches!(definition.window_style, 3 | 6);
            self.justify = if centred { Justify::Centre } else { Justify::Left };
            self.wraps = matches!(definition.window_style, 4..=6);
        }
        if definition.pen_style > 0 {
            (self.pen, self.silent) = (Style::default(), false);
        }
        self.definition = definition;
    }

    pub(super) fn arrange(&mut self, justify: Justify, wraps: bool) {
        (self.justify, self.wraps) = (justify, wraps);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.iter().all(Vec::is_empty)
    }

    /// Takes all text away; writing goes on where it was.
    pub(super) fn clear(&mut self) {
        self.rows.iter_mut().for_each(Vec::clear);
    }

    /// Goes to a place of the window.
    pub(super) fn go_to(&mut self, row: usize, column: usize) {
        (self.row, self.column) = (row.min(self.rows.len() - 1), column.min(MAX_COLUMNS - 1));
    }

    pub(super) fn empty_row(&mut self) {
        self.rows[self.row].clear();
        self.column = 0;
    }

    pub(super) fn backspace(&mut self) {
        self.column = self.column.saturating_sub(1);
        if let Some(cell) = self.rows[self.row].get_mut(self.column) {
            *cell = None;
        }
    }

    /// Whether going on to the next row moves those that there are.
    pub(super) fn scrolls(&self) -> bool {
        self.row + 1 >= self.rows.len()
    }

    /// Goes on to the next row.
    pub(super) fn carriage_return(&mut self) {
        if self.scrolls() {
            self.rows.rotate_left(1);
            self.empty_row();
        } else {
            self.row += 1;
            self.column = 0;
        }
    }

    /// Writes a character. Where the window wraps, the word that has no room goes to the next row; else text goes on beyond
    /// the window, rather than being lost.
    pub(super) fn write(&mut self, c: char) {
        if self.silent {
            return;
        }
        if self.wraps && self.column >= self.definition.columns {
            self.wrap();
        }
        let column = self.column.min(MAX_COLUMNS - 1);
        let row = &mut self.rows[self.row];
        if row.len() <= column {
            row.resize(column + 1, None);
        }
        row[column] = Some((c, self.pen));
        self.column = column + 1;
    }

    fn wrap(&mut self) {
        let row = &mut self.rows[self.row];
        let space = row.iter().rposition(|cell| cell.is_none_or(|(c, _)| c.is_whitespace()));
        let word = space.map_or(Vec::new(), |space| row.split_off(space + 1));
        self.carriage_return();
        self.column = word.len();
        self.rows[self.row] = word;
    }

    /// The cues of what it shows: rows that touch are one.
    pub(super) fn cues(&self, start_ms: u64, end_ms: u64) -> Vec<Cue> {
        let lines: Vec<Option<(usize, usize)>> = self.rows.iter().map(|row| extent(row)).collect();
        let mut cues = Vec::new();
        let mut row = 0;
        while row < lines.len() {
            let end = row + lines[row..].iter().take_while(|line| line.is_some()).count();
            if row < end {
                let text = self.rows[row..end].iter().map(|row| line(row)).collect();
                cues.push(Cue { start_ms, end_ms, lines: text, place: self.place(row, end) });
            }
            row = end + 1;
        }
        cues
    }

    /// Where its first row stands, in rows from above.
    pub(super) fn top(&self) -> usize {
        let Definition { relative, anchor_vertical, anchor_point, rows, .. } = self.definition;
        let anchor = match relative {
            true => usize::from(anchor_vertical) * ROWS / 100,
            false => usize::from(anchor_vertical).div_ceil(STEPS),
        };
        anchor.saturating_sub(before_anchor(rows, anchor_point / 3)).min(ROWS.saturating_sub(rows))
    }

    /// Where its first column stands, in columns from the left.
    fn left(&self) -> usize {
        let Definition { relative, anchor_horizontal, anchor_point, columns, .. } = self.definition;
        let anchor = match relative {
            true => usize::from(anchor_horizontal) * COLUMNS / 100,
            false => usize::from(anchor_horizontal) / STEPS,
        };
        anchor.saturating_sub(before_anchor(columns, anchor_point % 3)).min(COLUMNS.saturating_sub(columns))
    }

    fn place(&self, start: usize, end: usize) -> Place {
        let (top, left) = (self.top(), self.left());
        let vertical = vertical(top + start, top + end);
        let percent = |columns: usize| {
            Some((AREA_MARGIN_PERCENT + columns.min(COLUMNS) * AREA_PERCENT / COLUMNS) as u8)
        };
        let width = self.definition.columns;
        let (align, anchor_percent) = match self.justify {
            Justify::Centre if (2 * left + width).abs_diff(COLUMNS) <= UNEVEN_COLUMNS => {
                (Align::Centre, None)
            }
            Justify::Centre => (Align::Centre, percent(left + width / 2)),
            Justify::Right => (Align::Right, percent(left + width)),
            Justify::Left => {
                let extents: Vec<_> = self.rows[start..end].iter().filter_map(|row| extent(row)).collect();
                let margins =
                    |(first, end): &(usize, usize)| (left + first, COLUMNS.saturating_sub(left + end));
                let centred = extents.iter().map(margins).all(|(a, b)| a.abs_diff(b) <= UNEVEN_COLUMNS);
                let first = extents.iter().map(|(first, _)| left + first).min();
                match centred {
                    true => (Align::Centre, None),
                    false => (Align::Left, first.and_then(percent)),
                }
            }
        };
        Place { vertical, align, anchor_percent }.canonical()
    }
}

/// How much of a window lies before its anchor: 0 is its beginning, 1 its middle, and 2 its end.
fn before_anchor(size: usize, point: u8) -> usize {
    match point {
        0 => 0,
        1 => size / 2,
        _ => size,
    }
}

/// The columns of a row that hold text: the first, and the one after the last.
fn extent(row: &[Cell]) -> Option<(usize, usize)> {
    let shown = |cell: &Cell| cell.is_some_and(|(c, _)| !c.is_whitespace());
    Some((row.iter().position(shown)?, row.iter().rposition(shown)? + 1))
}

fn line(row: &[Cell]) -> Line {
    let (from, to) = extent(row).unwrap_or_default();
    let mut line = Line::default();
    for cell in &row[from..to] {
        let (c, style) = cell.unwrap_or((' ', Style::default()));
        line.push(c.encode_utf8(&mut [0; 4]), style);
    }
    line
}
