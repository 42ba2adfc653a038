//! The screen of captions over time: cues of what was shown until each change, and where rows of it stand.

use crate::model::{Cue, Vertical};
use crate::{MAX_CUES, MAX_DOCUMENT_BYTES};

/// Rows of the part of the picture that captions stand in.
pub(crate) const ROWS: usize = 15;
/// That part of the picture, and its margin, in percent (47 CFR 79.101 and 79.102).
pub(crate) const AREA_PERCENT: usize = 80;
pub(crate) const AREA_MARGIN_PERCENT: usize = 10;

/// Lines are taken as centred when their margins differ by no more columns: tab offsets place them to the column,
/// but lines of odd and even length cannot both be in the middle.
pub(crate) const UNEVEN_COLUMNS: usize = 2;

/// Captions that are never erased end this long after they appeared: long enough to be read.
const UNENDED_MS: u64 = 4000;
/// Text that is written as it is shown makes a new cue after a pause of this length. Pairs of a line come every frame; a
/// cue for each would flicker.
const PAUSE_MS: u64 = 500;
/// More cues than are shown at a time.
const LATEST: usize = 128;

/// What was shown so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    now_ms: u64,
    shown_since_ms: u64,
    written_ms: u64,
    cues: Vec<Cue>,
    /// Of their text.
    bytes: usize,
}

impl History {
    /// Goes on to a time; one before the last counts as the last.
    pub(crate) fn go_on(&mut self, time_ms: u64) {
        self.now_ms = self.now_ms.max(time_ms);
    }

    /// The time that it has come to.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Must be called before the screen changes: makes cues of what `shown` gives from one time to another. Beyond what a
    /// document may have, which refuses it, no more are kept.
    pub(crate) fn change(&mut self, shown: impl FnOnce(u64, u64) -> Vec<Cue>) {
        let since_ms = std::mem::replace(&mut self.shown_since_ms, self.now_ms);
        let full = self.cues.len() > MAX_CUES || self.bytes > MAX_DOCUMENT_BYTES;
        if self.now_ms <= since_ms || full {
            return;
        }
        for cue in shown(since_ms, self.now_ms) {
            // What an event has left as it was goes on.
            let same =
                |old: &&mut Cue| old.end_ms == since_ms && old.place == cue.place && old.lines == cue.lines;
            match self.cues.iter_mut().rev().take(LATEST).find(same) {
                Some(old) => old.end_ms = cue.end_ms,
                None => {
                    self.bytes += cue.bytes();
                    self.cues.push(cue);
                }
            }
        }
    }

    /// Takes note of text that is written where it is shown; `true` where it came after a pause.
    pub(crate) fn write(&mut self) -> bool {
        let before_ms = std::mem::replace(&mut self.written_ms, self.now_ms);
        self.now_ms.saturating_sub(before_ms) > PAUSE_MS
    }

    /// The cues, sorted by start, with those of what is still shown.
    pub(crate) fn finish(mut self, shown: impl FnOnce(u64, u64) -> Vec<Cue>) -> Vec<Cue> {
        self.go_on(self.shown_since_ms.saturating_add(UNENDED_MS));
        self.change(shown);
        self.cues
    }
}

/// Where rows `[start, end)` of [`ROWS`] stand.
pub(crate) fn vertical(start: usize, end: usize) -> Vertical {
    match start {
        // What touches the last rows grows upwards: the lines of a player may be taller than those of captions.
        _ if end + 1 >= ROWS => Vertical::Bottom,
        0 | 1 => Vertical::Top,
        _ => Vertical::Percent((AREA_MARGIN_PERCENT + start * AREA_PERCENT / ROWS) as u8),
    }
}
