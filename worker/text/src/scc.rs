//! Scenarist closed captions: lines of a timecode and CEA-608 pairs, one a frame.

use reel_common::Rational;

use crate::cea608::{Cea608, Channel};
use crate::document::Collector;
use crate::timecode::{Clock, FRAMES_A_SECOND, Timecode, frame_ms};
use crate::{Document, TextError};

/// How a file begins; `V1.0` follows.
pub(crate) const HEADER: &str = "Scenarist_SCC";

/// Frames that a day of timecode has, roughly: dropped names shorten it by less than two minutes.
const DAY: i64 = 24 * 3600 * FRAMES_A_SECOND;

struct Pair {
    frame: i64,
    drop: bool,
    line: usize,
    bytes: [u8; 2],
}

/// Reads a file: its first channel, or the second where the first has nothing. Times are those of video at
/// 30000/1001 frames a second whose first frame has the timecode zero.
pub(crate) fn read(text: &str) -> Result<Document, TextError> {
    if !text.trim_start().starts_with(HEADER) {
        return Err(TextError::Header("SCC"));
    }
    let pairs = pairs(text)?;
    let first = cues(&pairs, Channel::Cc1)?;
    first.finish().or_else(|_| cues(&pairs, Channel::Cc2)?.finish())
}

fn cues(pairs: &[Pair], channel: Channel) -> Result<Collector, TextError> {
    let mut decoder = Cea608::new(channel);
    for pair in pairs {
        decoder.push(frame_ms(pair.frame), pair.bytes);
    }
    let drop = pairs.first().is_some_and(|pair| pair.drop);
    let mut found = Collector::default();
    let rate = Rational::new(30_000, 1001).unwrap_or(Rational::whole(FRAMES_A_SECOND));
    found.set_clock(Clock::Timecode { nominal: FRAMES_A_SECOND, rate, drop });
    let line = pairs.last().map_or(1, |pair| pair.line);
    decoder.finish().into_iter().try_for_each(|cue| found.add(cue, line))?;
    Ok(found)
}

/// A byte with the parity that line 21 has. Writers of files leave parity out or get it wrong; where nothing was
/// sent, a wrong bit says nothing about the others.
fn odd(byte: u8) -> u8 {
    let byte = byte & 0x7f;
    if byte.count_ones().is_multiple_of(2) { byte | 0x80 } else { byte }
}

fn pairs(text: &str) -> Result<Vec<Pair>, TextError> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut days = 0;
    let lines =
        text.lines().enumerate().skip_while(|(_, line)| !line.trim_start().starts_with(HEADER)).skip(1);
    for (at, line) in lines {
        let mut words = line.split_whitespace();
        let Some(timecode) = words.next() else {
            continue;
        };
        let (first, drop) = frame(timecode).ok_or_else(|| TextError::time(at + 1, timecode))?;
        // Timecodes go round at midnight.
        if pairs.last().is_some_and(|last| last.frame - (first + days) > DAY / 2) {
            days += DAY;
        }
        for (number, word) in words.enumerate() {
            let value = (word.len() == 4).then(|| u16::from_str_radix(word, 16).ok()).flatten();
            let bytes =
                value.filter(|_| !word.starts_with('+')).ok_or_else(|| TextError::pair(at + 1, word))?;
            pairs.push(Pair {
                frame: days + first + number as i64,
                drop,
                line: at + 1,
                bytes: bytes.to_be_bytes().map(odd),
            });
        }
    }
    Ok(pairs)
}

/// The frame of `hh:mm:ss:ff`, and whether names are dropped: a semicolon, comma or point before the frames says so.
fn frame(text: &str) -> Option<(i64, bool)> {
    let (clock, frames) = text.rsplit_once([':', ';', ',', '.'])?;
    let drop = text.as_bytes()[clock.len()] != b':';
    let mut parts = clock.split([':', ';']).chain([frames]).map(|part| {
        let two = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<i64>().ok().filter(|_| two)
    });
    let fields = [parts.next()??, parts.next()??, parts.next()??, parts.next()??];
    let fits = fields[1] < 60 && fields[2] < 60 && fields[3] < FRAMES_A_SECOND && parts.next().is_none();
    fits.then(|| (Timecode(fields).frame(FRAMES_A_SECOND, drop).max(0), drop))
}
