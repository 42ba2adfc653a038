//! The grid of characters that captions are written into, and the cues it shows.

use crate::display::{AREA_MARGIN_PERCENT, AREA_PERCENT, ROWS, UNEVEN_COLUMNS, vertical};
use crate::model::{Align, Cue, Line, Place, Style};

pub(super) const COLUMNS: usize = 32;

type Row = [Option<(char, Style)>; COLUMNS];

/// Rows from the top; a cell without a character shows the picture.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    rows: [Row; ROWS],
}

impl Default for Screen {
    fn default() -> Screen {
        Screen { rows: [[None; COLUMNS]; ROWS] }
    }
}

impl Screen {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.iter().flatten().all(Option::is_none)
    }

    pub(super) fn write(&mut self, row: usize, column: usize, c: char, style: Style) {
        self.rows[row][column] = Some((c, style));
    }

    /// Erases a row from that column on.
    pub(super) fn erase(&mut self, row: usize, column: usize) {
        self.rows[row][column..].fill(None);
    }

    pub(super) fn erase_cell(&mut self, row: usize, column: usize) {
        self.rows[row][column] = None;
    }

    /// Moves the rows of a window of that many rows up by one; rows outside of it go.
    pub(super) fn roll(&mut self, base: usize, depth: usize) {
        self.keep(base, depth);
        let top = (base + 1).saturating_sub(depth);
        self.rows[top..=base].rotate_left(1);
        self.rows[base] = [None; COLUMNS];
    }

    /// Erases what is outside of a window of that many rows.
    pub(super) fn keep(&mut self, base: usize, depth: usize) {
        let top = (base + 1).saturating_sub(depth);
        self.rows[..top].fill([None; COLUMNS]);
        self.rows[base + 1..].fill([None; COLUMNS]);
    }

    /// Moves a window to another base row.
    pub(super) fn rebase(&mut self, from: usize, to: usize, depth: usize) {
        self.keep(from, depth);
        match to.checked_sub(from) {
            Some(down) => self.rows.rotate_right(down),
            None => self.rows.rotate_left(from - to),
        }
    }

    /// The cues of what is shown: rows that touch are one.
    pub(super) fn cues(&self, start_ms: u64, end_ms: u64) -> Vec<Cue> {
        let mut cues = Vec::new();
        let mut row = 0;
        while row < ROWS {
            let written = self.rows[row..].iter().take_while(|row| extent(row).is_some());
            let rows = row..row + written.count();
            if !rows.is_empty() {
                let lines = self.rows[rows.clone()].iter().map(line).collect();
                let place = self.place(rows.clone());
                cues.push(Cue { start_ms, end_ms, lines, place });
            }
            row = rows.end + 1;
        }
        cues
    }

    fn place(&self, rows: std::ops::Range<usize>) -> Place {
        let vertical = vertical(rows.start, rows.end);
        let extents: Vec<(usize, usize)> = self.rows[rows].iter().filter_map(extent).collect();
        if extents.iter().all(|(left, end)| left.abs_diff(COLUMNS - end) <= UNEVEN_COLUMNS) {
            return Place { vertical, ..Place::default() };
        }
        let left = extents.iter().map(|(left, _)| *left).min().unwrap_or_default();
        let anchor = AREA_MARGIN_PERCENT + left * AREA_PERCENT / COLUMNS;
        Place { vertical, align: Align::Left, anchor_percent: Some(anchor as u8) }.canonical()
    }
}

/// The columns of a row that hold text: the first, and the one after the last.
fn extent(row: &Row) -> Option<(usize, usize)> {
    let shown = |cell: &Option<(char, Style)>| cell.is_some_and(|(c, _)| !c.is_whitespace());
    Some((row.iter().position(shown)?, row.iter().rposition(shown)? + 1))
}

fn line(row: &Row) -> Line {
    let (from, to) = extent(row).unwrap_or_default();
    let mut line = Line::default();
    for cell in &row[from..to] {
        let (c, style) = cell.unwrap_or((' ', Style::default()));
        line.push(c.encode_utf8(&mut [0; 4]), style);
    }
    line
}
