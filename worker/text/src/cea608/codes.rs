//! The characters, rows and colours of ANSI/CTA-608-E and 47 CFR 79.101.

use crate::model::{Colour, Style};

/// A character that failed its parity, or code 0x7f.
pub(super) const BLOCK: char = '\u{2588}';

/// Special characters, 0x30 to 0x3f after 0x11; the tenth is a space that shows the picture.
const SPECIAL: &str = "®°½¿™¢£♪à\u{a0}èâêîôû";
/// Extended characters, 0x20 to 0x3f after 0x12: Spanish, miscellaneous, French.
const WEST: &str = "ÁÉÓÚÜü‘¡*'—©℠•“”ÀÂÇÈÊËëÎÏïÔÙùÛ«»";
/// Extended characters, 0x20 to 0x3f after 0x13: Portuguese, German, Danish.
const NORTH: &str = "ÃãÍÌìÒòÕõ{}\\^_|~ÄäÖöß¥¤¦ÅåØø┌┐└┘";

/// A byte of text, 0x20 to 0x7f.
pub(super) fn basic(code: u8) -> char {
    match code {
        0x27 => '’',
        0x2a => 'á',
        0x5c => 'é',
        0x5e => 'í',
        0x5f => 'ó',
        0x60 => 'ú',
        0x7b => 'ç',
        0x7c => '÷',
        0x7d => 'Ñ',
        0x7e => 'ñ',
        0x7f => BLOCK,
        _ => char::from(code),
    }
}

pub(super) fn special(code: u8) -> Option<char> {
    SPECIAL.chars().nth(usize::from(code.checked_sub(0x30)?))
}

pub(super) fn extended(set: u8, code: u8) -> Option<char> {
    let set = if set == 0x12 { WEST } else { NORTH };
    set.chars().nth(usize::from(code.checked_sub(0x20)?))
}

/// What a preamble address code sets: the row from 0, the column, and the style of what follows.
pub(super) fn preamble(first: u8, second: u8) -> (usize, usize, Style) {
    const ROWS: [[usize; 2]; 8] = [[10, 10], [0, 1], [2, 3], [11, 12], [13, 14], [4, 5], [6, 7], [8, 9]];
    let row = ROWS[usize::from(first & 7)][usize::from(second >> 5 & 1)];
    let underline = second & 1 == 1;
    match second >> 1 & 0x0f {
        colour @ 0..=6 => (row, 0, Style { underline, colour: self::colour(colour), ..Style::default() }),
        7 => (row, 0, Style { underline, italic: true, ..Style::default() }),
        indent => (row, usize::from(indent - 8) * 4, Style { underline, ..Style::default() }),
    }
}

/// The style after a mid-row code: a colour ends italics, and italics keep the colour.
pub(super) fn mid_row(code: u8, before: Style) -> Style {
    let underline = code & 1 == 1;
    match code >> 1 & 7 {
        7 => Style { underline, italic: true, ..before },
        colour => Style { underline, colour: self::colour(colour), ..Style::default() },
    }
}

fn colour(code: u8) -> Option<Colour> {
    let coloured = [Colour::Lime, Colour::Blue, Colour::Cyan, Colour::Red, Colour::Yellow, Colour::Magenta];
    coloured.get(usize::from(code.checked_sub(1)?)).copied()
}
