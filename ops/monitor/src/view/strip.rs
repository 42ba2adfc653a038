//! The parts of a title as a strip that fills: each cell some consecutive parts.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::widgets::Widget;
use reel_proto::v1;

use super::{BAD, BUSY, FAINT, GOOD};

/// A strip over all lines of its area, from the first on.
pub(super) struct Strip<'a>(pub(super) &'a v1::PartStrip);

impl Widget for Strip<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let (cells, width) = (self.0.done.len(), usize::from(area.width.max(1)));
        // It was asked for another size: several of its cells are one here.
        let places = cells.min(width * usize::from(area.height));
        for at in 0..places {
            let (symbol, colour) = self.cell(at * cells / places, (at + 1) * cells / places);
            let place = (area.x + (at % width) as u16, area.y + (at / width) as u16);
            buffer[place].set_char(symbol).set_fg(colour);
        }
    }
}

impl Strip<'_> {
    /// How some cells look: what is wrong with some of their parts is shown before what is well with others.
    fn cell(&self, start: usize, end: usize) -> (char, Color) {
        let v1::PartStrip { parts_total, done, running, troubled } = self.0;
        let count = |of: &[u32]| of.get(start..end).unwrap_or_default().iter().sum::<u32>();
        let begins = |at: usize| at as u64 * u64::from(*parts_total) / done.len().max(1) as u64;
        let parts = (begins(end) - begins(start)) as u32;
        match (count(done), count(running), count(troubled)) {
            (_, _, 1..) => ('▒', BAD),
            (all, _, _) if all >= parts => ('█', GOOD),
            (_, 1.., _) => ('▓', BUSY),
            (1.., ..) => ('▄', GOOD),
            _ => ('░', FAINT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_shows_what_is_to_be_looked_at_first() {
        let strip = v1::PartStrip {
            parts_total: 12,
            done: vec![2, 1, 1, 0, 0, 1],
            running: vec![0, 0, 1, 2, 0, 0],
            troubled: vec![0, 0, 0, 0, 0, 1],
        };
        let area = Rect::new(0, 0, 4, 2);
        let mut buffer = Buffer::empty(area);
        Strip(&strip).render(area, &mut buffer);
        let line = |y: u16| (0..4).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
        assert_eq!((line(0), line(1)), ("█▄▓▓".to_owned(), "░▒  ".to_owned()));
        let small = Rect::new(0, 0, 2, 1);
        let mut buffer = Buffer::empty(small);
        Strip(&strip).render(small, &mut buffer);
        assert_eq!((buffer[(0, 0)].symbol(), buffer[(1, 0)].symbol()), ("▓", "▒"));
    }
}
