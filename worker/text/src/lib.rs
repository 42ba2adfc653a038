//! Subtitles and captions: read, placed, cut into segments, written. Pure values: nothing is read or written here.
//!
//! Every reader gives one model, [`Document`], which holds what WebVTT and IMSC 1 Text can both say; what only one
//! of them can say (fonts, sizes, backgrounds, the names of voices, ruby, writing from top to bottom) is left out.

pub mod cea608;
pub mod cea708;
mod display;
mod document;
mod events;
mod format;
mod imsc1;
mod markup;
mod model;
mod pictures;
mod scc;
mod segment;
mod srt;
mod timecode;
mod ttml;
mod vtt;
mod webvtt;

pub use document::{
    Document, MAX_BYTES, MAX_CUE_CHARS, MAX_CUE_LINES, MAX_CUES, MAX_DOCUMENT_BYTES, TextError,
};
pub use events::{Event, from_events, from_pairs};
pub use format::{Format, read};
pub use imsc1::imsc1;
pub use model::{Align, Colour, Cue, Line, Place, Span, Style, Vertical};
pub use pictures::{Captioned, Sieve, channels, from_pictures};
pub use segment::{Run, Segment, clip, edited, segments};
pub use timecode::Clock;
pub use webvtt::{clock, webvtt};
