//! Line 21 captions: byte pairs of ANSI/CTA-608-E (and 47 CFR 79.101) into cues.

mod codes;
mod screen;

use self::screen::{COLUMNS, Screen};
use crate::display::{History, ROWS};
use crate::model::{Cue, Style};

/// A caption channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The first of field 1, where the captions of most programmes are.
    Cc1,
    /// The second of field 1.
    Cc2,
    /// The first of field 2.
    Cc3,
    /// The second of field 2.
    Cc4,
}

impl Channel {
    /// The field whose bytes carry it: 1 or 2.
    pub const fn field(self) -> u8 {
        match self {
            Channel::Cc1 | Channel::Cc2 => 1,
            Channel::Cc3 | Channel::Cc4 => 2,
        }
    }

    const fn is_second(self) -> bool {
        matches!(self, Channel::Cc2 | Channel::Cc4)
    }
}

/// How characters get on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Text service, or no mode yet: nothing is shown.
    Text,
    /// Written out of sight, then shown at once.
    PopOn,
    /// Written in the last row of a window of that many, which rolls.
    RollUp(usize),
    /// Written where it is shown.
    PaintOn,
}

/// A decoder of one channel. Give it the pairs of the field of the channel ([`Channel::field`]), in order of
/// presentation, those without captions included or not.
#[derive(Clone, Debug)]
pub struct Cea608 {
    second: bool,
    mode: Mode,
    /// Whether characters are this channel's: the last control code was, and no XDS packet has begun.
    listening: bool,
    /// A control code that is ignored when it comes again at once.
    last_control: Option<[u8; 2]>,
    shown: Screen,
    hidden: Screen,
    row: usize,
    /// Up to [`COLUMNS`]: after the last column, which is then written again and again.
    column: usize,
    pen: Style,
    history: History,
}

impl Cea608 {
    /// A decoder at the beginning of a programme.
    pub fn new(channel: Channel) -> Cea608 {
        Cea608 {
            second: channel.is_second(),
            mode: Mode::Text,
            listening: false,
            last_control: None,
            shown: Screen::default(),
            hidden: Screen::default(),
            row: ROWS - 1,
            column: 0,
            pen: Style::default(),
            history: History::default(),
        }
    }

    /// Takes the pair of a frame, with parity bits. A time before the last one counts as the last one.
    pub fn push(&mut self, time_ms: u64, pair: [u8; 2]) {
        let [first, second] = pair.map(|byte| byte & 0x7f);
        if (first, second) != (0, 0) {
            self.history.go_on(time_ms);
        }
        let [first_ok, second_ok] = pair.map(|byte| byte.count_ones() % 2 == 1);
        let pair_ok = first_ok && second_ok;
        let last = self.last_control.take();
        match (first, second) {
            (0, 0) => {}
            (0x10..=0x1f, 0x20..) if pair_ok && last == Some([first, second]) => {}
            (0x10..=0x1f, 0x20..) if pair_ok => {
                self.last_control = Some([first, second]);
                self.control(first, second);
            }
            (0x10..=0x1f, _) if first_ok => {}
            // A damaged repetition of a control code (47 CFR 79.101).
            _ if !first_ok && second_ok && last.is_some_and(|last| last[1] == second) => {}
            (0x01..=0x0f, _) if first_ok => self.listening = false,
            _ if self.listening => {
                for (code, ok) in [(first, first_ok), (second, second_ok)] {
                    if code >= 0x20 {
                        self.write(if ok { codes::basic(code) } else { codes::BLOCK });
                    }
                }
            }
            _ => {}
        }
    }

    /// The cues, sorted by start. Beyond what a document may have, no more are kept.
    pub fn finish(self) -> Vec<Cue> {
        self.history.finish(|since_ms, now_ms| self.shown.cues(since_ms, now_ms))
    }

    fn control(&mut self, first: u8, second: u8) {
        self.listening = (first & 0x08 != 0) == self.second;
        let first = first & 0x17;
        if !self.listening {
            return;
        }
        // Field 2 says 0x15 where field 1 says 0x14; encoders mix them up.
        if matches!((first, second), (0x14 | 0x15, 0x20..=0x2f)) {
            return self.command(second);
        }
        if self.mode == Mode::Text {
            return;
        }
        match (first, second) {
            (_, 0x40..) => self.preamble(first, second),
            (0x11, 0x20..=0x2f) => {
                self.pen = codes::mid_row(second, self.pen);
                self.write_in(' ', Style::default());
            }
            (0x11, 0x30..) => codes::special(second).into_iter().for_each(|c| self.write(c)),
            (0x12 | 0x13, _) => {
                // It replaces the character that decoders without it show instead.
                self.backspace();
                codes::extended(first, second).into_iter().for_each(|c| self.write(c));
            }
            (0x17, 0x21..=0x23) => self.column = (self.column + usize::from(second & 3)).min(COLUMNS - 1),
            // Grounds take the place of a space that was sent before them.
            _ => {}
        }
    }

    /// Takes a miscellaneous control code.
    fn command(&mut self, code: u8) {
        match code {
            0x20 => self.mode = Mode::PopOn,
            0x21 if self.mode != Mode::Text => self.backspace(),
            0x24 if self.mode != Mode::Text => {
                let (row, column) = (self.row, self.column.min(COLUMNS - 1));
                self.edited().erase(row, column);
            }
            0x25..=0x27 => self.roll_up(usize::from(code - 0x23)),
            // Flash on takes a column, as mid-row codes do.
            0x28 if self.mode != Mode::Text => self.write_in(' ', Style::default()),
            0x29 => self.mode = Mode::PaintOn,
            0x2a | 0x2b => self.mode = Mode::Text,
            0x2c => {
                self.show();
                self.shown = Screen::default();
            }
            0x2d => self.carriage_return(),
            0x2e => self.hidden = Screen::default(),
            0x2f => {
                self.show();
                std::mem::swap(&mut self.shown, &mut self.hidden);
                self.mode = Mode::PopOn;
            }
            _ => {}
        }
    }

    fn roll_up(&mut self, depth: usize) {
        self.show();
        if let Mode::RollUp(_) = self.mode {
            self.row = self.row.max(depth - 1);
            self.shown.keep(self.row, depth);
        } else {
            // Roll-up begins with both memories erased (47 CFR 79.101).
            (self.shown, self.hidden) = Default::default();
            (self.row, self.column, self.pen) = (ROWS - 1, 0, Style::default());
        }
        self.mode = Mode::RollUp(depth);
    }

    fn carriage_return(&mut self) {
        let Mode::RollUp(depth) = self.mode else {
            return;
        };
        self.show();
        self.history.write();
        self.shown.roll(self.row, depth);
        (self.column, self.pen) = (0, Style::default());
    }

    fn preamble(&mut self, first: u8, second: u8) {
        let (row, column, pen) = codes::preamble(first, second);
        (self.column, self.pen) = (column, pen);
        let Mode::RollUp(depth) = self.mode else {
            self.row = row;
            return;
        };
        let row = row.max(depth - 1);
        if row != self.row {
            self.show();
            self.shown.rebase(self.row, row, depth);
            self.row = row;
        }
    }

    /// The screen that characters go to.
    fn edited(&mut self) -> &mut Screen {
        match self.mode {
            Mode::PopOn | Mode::Text => &mut self.hidden,
            Mode::RollUp(_) | Mode::PaintOn => &mut self.shown,
        }
    }

    fn backspace(&mut self) {
        self.column = self.column.saturating_sub(1);
        let (row, column) = (self.row, self.column);
        self.edited().erase_cell(row, column);
    }

    fn write(&mut self, c: char) {
        self.write_in(c, self.pen);
    }

    fn write_in(&mut self, c: char, style: Style) {
        if self.mode == Mode::Text {
            return;
        }
        if self.mode != Mode::PopOn {
            let paused = self.history.write();
            if paused || self.shown.is_empty() {
                self.show();
            }
        }
        let (row, column) = (self.row, self.column.min(COLUMNS - 1));
        self.edited().write(row, column, c, style);
        self.column = column + 1;
    }

    /// Makes cues of what was shown until now.
    fn show(&mut self) {
        self.history.change(|since_ms, now_ms| self.shown.cues(since_ms, now_ms));
    }
}
