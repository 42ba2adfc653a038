//! A whole document, the limits on it, and what is wrong with a file that gives none.

use crate::{Clock, Cue};

/// Most bytes of a file: subtitles of a day take two; an image profile or a wrong file takes more.
pub const MAX_BYTES: usize = 16 << 20;
/// Most cues of a document: one a second for more than a day.
pub const MAX_CUES: usize = 100_000;
/// Most lines of a cue: CEA-608 has 15 rows, and no picture has room for more than twice that.
pub const MAX_CUE_LINES: usize = 32;
/// Most characters of a cue: no picture has room for more, and no one reads them.
pub const MAX_CUE_CHARS: usize = 4096;
/// Most bytes that a cue takes in its file: tags, entities and indentation are several times the text.
pub(crate) const MAX_CUE_BYTES: usize = 8 * MAX_CUE_CHARS;
/// Most bytes of memory that the text of a document takes: a TTML paragraph of overlapping spans gives its text many
/// times, and a file must not grow without bound when it is read.
pub const MAX_DOCUMENT_BYTES: usize = 4 * MAX_BYTES;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Sorted by start, then end; those of the same times in the order of the file, and one where they also share
    /// their place.
    pub cues: Vec<Cue>,
    /// The language that the file names, as it writes it.
    pub language: Option<String>,
    /// Cues of the file that cannot be used: they end before they start, last no time, or have no text.
    pub skipped: usize,
    /// How the file writes its times.
    pub clock: Clock,
}

/// Why a file gives no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A file beyond [`MAX_BYTES`].
    #[error("the file has {0} bytes: at most 16 MiB are read; is it a file of subtitles?")]
    TooLarge(usize),
    /// The text is in another encoding.
    #[error("line {line} is not UTF-8: save the file as UTF-8, or as UTF-16 with a byte order mark")]
    Encoding {
        /// Where, from 1.
        line: usize,
    },
    /// The first line is not that of the format.
    #[error("this is not {0}: its first line is not the one that the format begins with")]
    Header(&'static str),
    /// A time that cannot be read.
    #[error("line {line}: `{text}` is no time that this format knows: correct it")]
    Time {
        /// Where, from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// XML that is not well-formed.
    #[error("line {line}: broken XML: {problem}")]
    Xml {
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A part of the format that is not read.
    #[error("line {line}: {what} cannot be used here: convert the file to text with plain times first")]
    Unsupported {
        /// Where, from 1.
        line: usize,
        /// What it is.
        what: &'static str,
    },
    /// Bytes of captions that are none.
    #[error("line {line}: `{text}` is no pair of bytes in four hexadecimal digits")]
    Pair {
        /// Where, from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// More than a limit allows.
    #[error("line {line}: more than {limit} {what}: split the file")]
    Limit {
        /// Where, from 1.
        line: usize,
        /// The limit.
        limit: usize,
        /// What it limits.
        what: &'static str,
    },
    /// No cue that can be used.
    #[error("it has no cue that can be used, and {skipped} that cannot")]
    Empty {
        /// Cues that have no text or end before they start.
        skipped: usize,
    },
}

/// At most this much of a broken file is repeated in an error.
const QUOTED_CHARS: usize = 40;

impl TextError {
    pub(crate) fn time(line: usize, text: &str) -> TextError {
        TextError::Time { line, text: text.chars().take(QUOTED_CHARS).collect() }
    }

    /// Whether a cue of the file is short enough to be looked at.
    pub(crate) fn check_cue_bytes(bytes: usize, line: usize) -> Result<(), TextError> {
        let over = TextError::Limit { line, limit: MAX_CUE_BYTES, what: "bytes in a cue" };
        if bytes > MAX_CUE_BYTES { Err(over) } else { Ok(()) }
    }

    pub(crate) fn pair(line: usize, text: &str) -> TextError {
        TextError::Pair { line, text: text.chars().take(QUOTED_CHARS).collect() }
    }
}

/// Collects what a reader finds, in any order, under the limits.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    cues: Vec<Cue>,
    language: Option<String>,
    skipped: usize,
    bytes: usize,
    clock: Clock,
}

impl Collector {
    /// Says how the file writes its times.
    pub(crate) fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Takes a cue that was found on that line of the file.
    pub(crate) fn add(&mut self, cue: Cue, line: usize) -> Result<(), TextError> {
        let over = |limit, what| Err(TextError::Limit { line, limit, what });
        let Some(cue) = cue.canonical() else {
            self.skip();
            return Ok(());
        };
        self.bytes += cue.bytes();
        if cue.lines.len() > MAX_CUE_LINES {
            return over(MAX_CUE_LINES, "lines in a cue");
        }
        if cue.chars() > MAX_CUE_CHARS {
            return over(MAX_CUE_CHARS, "characters in a cue");
        }
        if self.bytes > MAX_DOCUMENT_BYTES {
            return over(MAX_DOCUMENT_BYTES, "bytes of styled text in all cues");
        }
        if self.cues.len() >= MAX_CUES {
            return over(MAX_CUES, "cues");
        }
        self.cues.push(cue);
        Ok(())
    }

    /// Counts a cue that cannot be used.
    pub(crate) fn skip(&mut self) {
        self.skipped += 1;
    }

    pub(crate) fn set_language(&mut self, language: &str) {
        self.language = Some(language.trim().to_owned()).filter(|language| !language.is_empty());
    }

    /// The document; refused when it has no cue.
    pub(crate) fn finish(self) -> Result<Document, TextError> {
        let Collector { mut cues, language, skipped, clock, .. } = self;
        if cues.is_empty() {
            return Err(TextError::Empty { skipped });
        }
        cues.sort_by_key(|cue| (cue.start_ms, cue.end_ms));
        Ok(Document { cues: joined(cues), language, skipped, clock })
    }
}

/// Cues of the same times and place as one: players of WebVTT would stack them from below, in the wrong order.
pub(crate) fn joined(cues: Vec<Cue>) -> Vec<Cue> {
    let mut out: Vec<Cue> = Vec::with_capacity(cues.len());
    for cue in cues {
        let together = |last: &Cue| {
            (last.start_ms, last.end_ms, last.place) == (cue.start_ms, cue.end_ms, cue.place)
                && last.lines.len() + cue.lines.len() <= MAX_CUE_LINES
                && last.chars() + cue.chars() <= MAX_CUE_CHARS
        };
        match out.last_mut() {
            Some(last) if together(last) => last.lines.extend(cue.lines),
            _ => out.push(cue),
        }
    }
    out
}
