//! The commands and characters of a caption service (CTA-708-E, sections 7 and 8; 47 CFR 79.102).

use crate::model::{Colour, Style};

/// What a service is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A character; none where it is one that is not shown.
    Write(Option<char>),
    Backspace,
    /// The window is emptied, and writing goes on at its first place.
    FormFeed,
    /// On to the next row.
    CarriageReturn,
    /// Back to the first column of the row, which is emptied.
    EmptyRow,
    /// What follows is for this window.
    Current(usize),
    /// For the windows with a bit set, the lowest for the first.
    Clear(u8),
    Display(u8),
    Hide(u8),
    Toggle(u8),
    Delete(u8),
    /// Nothing is done for that long, in milliseconds.
    Delay(u64),
    DelayCancel,
    Reset,
    PenAttributes {
        style: Style,
        silent: bool,
    },
    PenColour(Option<Colour>),
    PenLocation {
        row: usize,
        column: usize,
    },
    WindowAttributes {
        justify: Justify,
        wraps: bool,
    },
    Define(usize, Definition),
    /// What changes nothing that is kept.
    Nothing,
}

/// The edge that lines of a window share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Justify {
    #[default]
    Left,
    Right,
    Centre,
}

/// How a window is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) visible: bool,
    /// Whether the anchor is in percent, or in steps of the grid.
    pub(super) relative: bool,
    pub(super) anchor_vertical: u8,
    pub(super) anchor_horizontal: u8,
    /// Which point of the window stands at the anchor: row by row, from the upper left.
    pub(super) anchor_point: u8,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Numbers of predefined styles; 0 where none is named.
    pub(super) window_style: u8,
    pub(super) pen_style: u8,
}

const EXTENSION: u8 = 0x10;
/// Text with this tag is not for display.
const SILENT_TAG: u8 = 15;
/// What stands for characters that are not known.
const UNKNOWN: char = '_';

/// The first command of a service's bytes and how many it takes; `None` where more must come.
pub(super) fn first(bytes: &[u8]) -> Option<(Command, usize)> {
    let code = *bytes.first()?;
    let length = match (code, bytes.get(1)) {
        (EXTENSION, second) => extended_length(*second?, bytes.get(2))?,
        (0x11..=0x17, _) => 2,
        (0x18..=0x1f, _) => 3,
        (0x88..=0x8d, _) => 2,
        (0x90 | 0x92, _) => 3,
        (0x91, _) => 4,
        (0x97, _) => 5,
        (0x98..=0x9f, _) => 7,
        _ => 1,
    };
    let all = bytes.get(..length)?;
    Some((command(code, &all[1..]), length))
}

/// Bytes of a code behind the extension code; none of those that take more than two are in use.
fn extended_length(second: u8, third: Option<&u8>) -> Option<usize> {
    Some(match second {
        0x08..=0x0f => 3,
        0x10..=0x17 => 4,
        0x18..=0x1f => 5,
        0x80..=0x87 => 6,
        0x88..=0x8f => 7,
        // Of any length, which the next byte gives.
        0x90..=0x9f => 3 + usize::from(*third? & 0x1f),
        _ => 2,
    })
}

fn command(code: u8, parameters: &[u8]) -> Command {
    let window = usize::from(code & 7);
    match (code, parameters) {
        (0x08, _) => Command::Backspace,
        (0x0c, _) => Command::FormFeed,
        (0x0d, _) => Command::CarriageReturn,
        (0x0e, _) => Command::EmptyRow,
        (EXTENSION, [second @ (0x20..=0x7f | 0xa0..=0xff), ..]) => Command::Write(extended(*second)),
        (0x18, [high, low]) => {
            let c = char::from_u32(u16::from_be_bytes([*high, *low]).into());
            Command::Write(c.filter(|c| !c.is_control()))
        }
        (0x7f, _) => Command::Write(Some('♪')),
        (0x20..=0x7e | 0xa0..=0xff, _) => Command::Write(Some(char::from(code))),
        (0x80..=0x87, _) => Command::Current(window),
        (0x88, [windows]) => Command::Clear(*windows),
        (0x89, [windows]) => Command::Display(*windows),
        (0x8a, [windows]) => Command::Hide(*windows),
        (0x8b, [windows]) => Command::Toggle(*windows),
        (0x8c, [windows]) => Command::Delete(*windows),
        (0x8d, [tenths]) => Command::Delay(u64::from(*tenths) * 100),
        (0x8e, _) => Command::DelayCancel,
        (0x8f, _) => Command::Reset,
        (0x90, [tag, font]) => Command::PenAttributes {
            style: Style { italic: font & 0x80 != 0, underline: font & 0x40 != 0, ..Style::default() },
            silent: tag >> 4 == SILENT_TAG,
        },
        (0x91, [front, ..]) => {
            let channel = |shift: u8| (front >> shift & 3) * 85;
            Command::PenColour(Colour::from_rgb([channel(4), channel(2), channel(0)]))
        }
        (0x92, [row, column]) => {
            Command::PenLocation { row: usize::from(row & 0x0f), column: usize::from(column & 0x3f) }
        }
        (0x97, [_, _, way, _]) => {
            let justify = match way & 3 {
                1 => Justify::Right,
                2 => Justify::Centre,
                _ => Justify::Left,
            };
            Command::WindowAttributes { justify, wraps: way & 0x40 != 0 }
        }
        (0x98..=0x9f, parameters) => {
            definition(parameters).map_or(Command::Nothing, |definition| Command::Define(window, definition))
        }
        _ => Command::Nothing,
    }
}

fn definition(parameters: &[u8]) -> Option<Definition> {
    let [flags, vertical, horizontal, rows, columns, styles] = *parameters else { return None };
    Some(Definition {
        visible: flags & 0x20 != 0,
        relative: vertical & 0x80 != 0,
        anchor_vertical: vertical & 0x7f,
        anchor_horizontal: horizontal,
        anchor_point: rows >> 4,
        rows: usize::from(rows & 0x0f) + 1,
        columns: usize::from(columns & 0x3f) + 1,
        window_style: styles >> 3 & 7,
        pen_style: styles & 7,
    })
}

/// The characters behind the extension code: groups G2 and G3.
fn extended(code: u8) -> Option<char> {
    const PUNCTUATION: &str = "█‘’“”•";
    const FRACTIONS: &str = "⅛⅜⅝⅞│┐└─┘┌";
    let of = |set: &str, first: u8| set.chars().nth(usize::from(code - first));
    match code {
        // Spaces that show the picture.
        0x20 => Some(' '),
        0x21 => Some('\u{a0}'),
        0x25 => Some('…'),
        0x2a => Some('Š'),
        0x2c => Some('Œ'),
        0x30..=0x35 => of(PUNCTUATION, 0x30),
        0x39 => Some('™'),
        0x3a => Some('š'),
        0x3c => Some('œ'),
        0x3d => Some('℠'),
        0x3f => Some('Ÿ'),
        0x76..=0x7f => of(FRACTIONS, 0x76),
        // The mark of captions, a picture.
        0xa0 => None,
        _ => Some(UNKNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_as_long_as_their_group_says() {
        for (bytes, length) in [
            (&[0x0d][..], 1),
            (&[0x11, 0], 2),
            (&[0x18, 0x30, 0x42], 3),
            (&[0x1f, 0, 0], 3),
            (&[0x10, 0x25], 2),
            (&[0x10, 0x0f, 0], 3),
            (&[0x10, 0x17, 0, 0], 4),
            (&[0x10, 0x1f, 0, 0, 0], 5),
            (&[0x10, 0x87, 0, 0, 0, 0], 6),
            (&[0x10, 0x8f, 0, 0, 0, 0, 0], 7),
            (&[0x10, 0x90, 0x02, 0, 0], 5),
            (&[0x80], 1),
            (&[0x8d, 1], 2),
            (&[0x8f], 1),
            (&[0x90, 0, 0], 3),
            (&[0x91, 0, 0, 0], 4),
            (&[0x92, 0, 0], 3),
            (&[0x93], 1),
            (&[0x97, 0, 0, 0, 0], 5),
            (&[0x9f, 0, 0, 0, 0, 0, 0], 7),
        ] {
            assert_eq!(first(bytes).map(|(_, taken)| taken), Some(length), "{bytes:02x?}");
            assert_eq!(first(&bytes[..length - 1]), None, "{bytes:02x?}");
        }
    }

    #[test]
    fn characters_of_every_group_are_known() {
        let written = |bytes: &[u8]| match first(bytes) {
            Some((Command::Write(c), _)) => c,
            other => panic!("{other:?}"),
        };
        let text: String = [&[b'A'][..], &[0x7f], &[0xe9], &[0x18, 0xac, 0x00], &[0x10, 0x39], &[0x10, 0x7f]]
            .iter()
            .filter_map(|bytes| written(bytes))
            .collect();
        assert_eq!(text, "A♪é가™┌");
        assert_eq!((written(&[0x10, 0xa0]), written(&[0x10, 0xb3])), (None, Some('_')));
        // Half of a character that needs two.
        assert_eq!(written(&[0x18, 0xd8, 0x00]), None);
    }
}
