//! Subtitles and captions that come with a mezzanine, read into its index.

pub(crate) mod pictures;
pub(crate) mod proof;

use std::io::Read;
use std::path::Path;

use reel_common::{Failure, FailureClass, TextName, TextSource, redacted};
use reel_media::{MediaError, Subtitles};
use reel_package::TextFormat;
use reel_profiles::{Package, Profile};
use reel_proto::v1;
use reel_store::Source;
use reel_text::{
    Cue, Document, Event, Format, MAX_BYTES, TextError, clip, clock, edited, from_events, from_pairs,
};

use crate::attempt::{failed, media};

/// Most cues in all segments of a title: several times what a day of speech in each of 32 languages needs, and few enough for
/// a disk.
const MAX_REPEATS: usize = 4_000_000;
/// Most bytes of all texts of a title together, as WebVTT: the index carries them.
const MAX_TEXTS_BYTES: usize = 32 << 20;

/// Makes a failure of what is wrong with a text.
type Wrong<'a> = &'a dyn Fn(&str) -> Failure;

/// Reads the texts of a title, from files and from the mezzanine, which has been indexed. Those that lie in its pictures are
/// only announced.
///
/// # Errors
/// Invalid, with its place, for one that cannot be read, is not what was submitted, or has no cue in the title.
pub(crate) fn read(
    sources: &[v1::TextSource],
    mezzanine: &Source,
    index: &v1::Index,
    profile: &Profile,
) -> Result<Vec<v1::Text>, Failure> {
    let ends_ms = reel_media::segment_ends_ms(index, profile).map_err(media)?;
    let runs = reel_media::runs_of_mezzanine(index, profile).map_err(media)?;
    let mut budget = Budget::new(&ends_ms);
    let mut one = |wire: &v1::TextSource| {
        let source = TextSource::from(wire.clone());
        let wrong: Wrong<'_> =
            &|what| invalid(&format!("text `{}`, {}: {what}", source.name, redacted(&source.location)));
        let document = match source.stream() {
            Some(stream) => {
                let document = of_stream(mezzanine, index, stream).map_err(media)?;
                let document = document.map_err(|error| wrong(&error.to_string()))?;
                // What lies in the mezzanine is edited with it; a file is of the title as it becomes.
                runs.as_ref().map_or_else(|| document.clone(), |runs| edited(&document, runs))
            }
            None if source.in_pictures().is_some() => return pictures::announced(wire, index, wrong),
            None => of_file(&source, &fetch(&source)?).map_err(|error| wrong(&error.to_string()))?,
        };
        let (text, document) = placed(wire, &source, document, budget.length_ms())
            .map_err(|first_ms| wrong(&outside(&source, first_ms, budget.length_ms())))?;
        budget.take(&text, &document).map_err(|what| wrong(&what))?;
        // What it is kept as is read again later, under the limits of files.
        stored(&text).map_err(|failure| wrong(&failure.message))?;
        Ok(text)
    };
    sources.iter().map(&mut one).collect()
}

/// What the texts of a title take together.
struct Budget<'a> {
    ends_ms: &'a [u64],
    repeats: usize,
    bytes: usize,
}

impl<'a> Budget<'a> {
    /// Of a title whose segments end at these times.
    fn new(ends_ms: &'a [u64]) -> Self {
        Budget { ends_ms, repeats: 0, bytes: 0 }
    }

    /// How long the title is.
    fn length_ms(&self) -> u64 {
        self.ends_ms.last().copied().unwrap_or(0)
    }

    /// Takes another text, or says what is too much.
    fn take(&mut self, text: &v1::Text, document: &Document) -> Result<(), String> {
        self.repeats += repeated(document, self.ends_ms);
        self.bytes += text.webvtt.len();
        if self.repeats > MAX_REPEATS {
            return Err(format!(
                "its cues are shown in too many segments, more than {MAX_REPEATS} together: are the times at which they end right?"
            ));
        }
        if self.bytes > MAX_TEXTS_BYTES {
            let most = MAX_TEXTS_BYTES >> 20;
            return Err(format!("with it the texts of the title have more than {most} MiB together"));
        }
        Ok(())
    }
}

/// What is wrong with a text whose first cue, as the file shows times, is not within a title of that length, nor any other.
fn outside(source: &TextSource, first_ms: u64, length_ms: u64) -> String {
    let (first, seconds) = (clock(first_ms), length_ms as f64 / 1e3);
    let (name, hour) = (&source.name.language, first_ms / 3_600_000);
    format!(
        "no cue lies within the {seconds:.1} s of the title; its first is at {first}: say at which of its times the \
         title begins, such as {name}@{hour:02}:00:00=FILE"
    )
}

/// What the index says of a text; where none of it lies in the title, the time of its first cue as the file shows it.
fn placed(
    wire: &v1::TextSource,
    source: &TextSource,
    document: Document,
    length_ms: u64,
) -> Result<(v1::Text, Document), u64> {
    let all = document.cues.len();
    let first_ms = document.cues.first().map_or(0, |cue| document.clock.shown_ms(cue.start_ms));
    let start_ms = document.clock.document_ms(source.start_ms) as i64;
    let document = clip(document, start_ms, length_ms);
    if document.cues.is_empty() {
        return Err(first_ms);
    }
    let text = v1::Text {
        source: Some(wire.clone()),
        webvtt: reel_text::webvtt(&document.cues, None),
        cues: document.cues.len() as u32,
        skipped: document.skipped as u32,
        outside: (all - document.cues.len()) as u32,
    };
    Ok((text, document))
}

/// How often the cues of a document stand in segments that end at these times.
fn repeated(document: &Document, ends_ms: &[u64]) -> usize {
    let segments = |cue: &Cue| {
        let first = ends_ms.partition_point(|end| *end <= cue.start_ms);
        ends_ms.partition_point(|end| *end < cue.end_ms) + 1 - first
    };
    document.cues.iter().map(segments).sum()
}

fn of_stream(
    mezzanine: &Source,
    index: &v1::Index,
    stream: u32,
) -> Result<Result<Document, TextError>, MediaError> {
    Ok(match reel_media::subtitles(mezzanine, index, stream)? {
        Subtitles::Events(events) => {
            let event = |(start_ms, end_ms, text)| Event { start_ms, end_ms, text };
            from_events(events.into_iter().map(event))
        }
        Subtitles::Captions(runs) => {
            from_pairs(runs.iter().map(|(time_ms, pairs)| (*time_ms, pairs.as_slice())))
        }
    })
}

fn of_file(source: &TextSource, bytes: &[u8]) -> Result<Document, FileError> {
    let extension = Path::new(&source.location).extension().and_then(|extension| extension.to_str());
    let format = Format::detect(bytes, extension).ok_or(FileError::Format)?;
    Ok(reel_text::read(format, bytes)?)
}

/// Why a file gives no document.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("it is none of SRT, WebVTT, TTML and SCC")]
    Format,
    #[error(transparent)]
    Text(#[from] TextError),
}

fn fetch(source: &TextSource) -> Result<Vec<u8>, Failure> {
    let broken = |error: reel_store::SourceError| media(error.into());
    let file = Source::open(&source.location).map_err(broken)?;
    source.identity.iter().try_for_each(|identity| file.expect(identity)).map_err(broken)?;
    let mut bytes = Vec::new();
    // One more than is read, so that the reader says what is too large.
    let read = file.reader().take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
    let cut = |error: std::io::Error| failed(&format!("{}: {error}", redacted(&source.location)));
    read.map(|_| bytes).map_err(cut)
}

fn invalid(message: &str) -> Failure {
    Failure::new(FailureClass::Invalid, message, "")
}

/// A text of the index: what it is known by, and its cues.
pub(crate) fn stored(text: &v1::Text) -> Result<(TextName, Document), Failure> {
    let name = TextSource::from(text.source.clone().unwrap_or_default()).name;
    let document = reel_text::read(Format::WebVtt, text.webvtt.as_bytes());
    let document = document.map_err(|error| failed(&format!("text `{name}` of the index: {error}")))?;
    Ok((name, document))
}

/// The formats in which a title has segments of its texts; those of WebVTT are for HLS alone.
pub(crate) fn formats(package: Package) -> &'static [TextFormat] {
    match (package.hls, package.imsc1) {
        (false, false) => &[],
        (false, true) => &[TextFormat::Imsc1],
        (true, false) => &[TextFormat::WebVtt],
        (true, true) => &[TextFormat::WebVtt, TextFormat::Imsc1],
    }
}

/// Whether what a text says is known before the pictures are decoded.
pub(crate) fn is_known(text: &v1::Text) -> bool {
    let source = TextSource::from(text.source.clone().unwrap_or_default());
    source.in_pictures().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_counted_as_segments_hold_them() {
        let cue = |start_ms, end_ms| reel_text::Event { start_ms, end_ms, text: "x".to_owned() };
        let ends_ms = [2_000, 4_000, 6_000];
        let count = |cues: Vec<Event>| repeated(&from_events(cues).unwrap(), &ends_ms);
        for (start, end, expected) in
            [(0, 2_000, 1), (0, 2_001, 2), (1_999, 6_000, 3), (2_000, 4_000, 1), (5_000, 5_001, 1)]
        {
            assert_eq!(count(vec![cue(start, end)]), expected, "{start} to {end}");
            let document = from_events([cue(start, end)]).unwrap();
            let held: usize =
                reel_text::segments(&document, &ends_ms).map(|segment| segment.cues.len()).sum();
            assert_eq!(held, expected);
        }
    }
}
