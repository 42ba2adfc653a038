//! Subtitles and captions that come with a mezzanine, read into its index.

pub(crate) mod proof;

use std::io::Read;
use std::path::Path;

use reel_common::{Failure, FailureClass, Rational, Rounding, TextName, TextSource, redacted, rescale};
use reel_media::{MediaError, Subtitles};
use reel_package::TextFormat;
use reel_profiles::Package;
use reel_proto::v1;
use reel_store::Source;
use reel_text::{Document, Event, Format, MAX_BYTES, TextError, clip, from_events, from_pairs};

use crate::attempt::{failed, media};

/// Most bytes of all texts of a title together, as WebVTT: the index carries them.
const MAX_TEXTS_BYTES: usize = 32 << 20;

/// Reads the texts of a title that lasts `duration` seconds, from files and from the mezzanine, which has been indexed.
///
/// # Errors
/// Invalid, with its place, for one that cannot be read, is not what was submitted, or has no cue in the title.
pub(crate) fn read(
    sources: &[v1::TextSource],
    mezzanine: &Source,
    index: &v1::Index,
    duration: Rational,
) -> Result<Vec<v1::Text>, Failure> {
    let length_ms = milliseconds(duration);
    let one = |wire: &v1::TextSource| {
        let source = TextSource::from(wire.clone());
        let wrong = |error: &dyn std::fmt::Display| {
            invalid(&format!("text `{}`, {}: {error}", source.name, redacted(&source.location)))
        };
        let document = match source.stream() {
            Some(stream) => {
                of_stream(mezzanine, index, stream).map_err(media)?.map_err(|error| wrong(&error))?
            }
            None => of_file(&source, &fetch(&source)?).map_err(|error| wrong(&error))?,
        };
        let text = placed(wire, &source, document, length_ms);
        text.map_err(|first_ms| {
            let (first, seconds) = (clock(first_ms), duration.to_f64());
            wrong(&format!(
                "no cue lies within the {seconds:.1} s of the title; its first is at {first}: say with `--text-start` at \
                 which of its times the title begins"
            ))
        })
    };
    let texts = sources.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let bytes: usize = texts.iter().map(|text| text.webvtt.len()).sum();
    if bytes > MAX_TEXTS_BYTES {
        let most = MAX_TEXTS_BYTES >> 20;
        return Err(invalid(&format!(
            "the texts of the title have {bytes} bytes together, more than {most} MiB"
        )));
    }
    Ok(texts)
}

/// What the index says of a text; where none of it lies in the title, the time of its first cue as the file shows it.
fn placed(
    wire: &v1::TextSource,
    source: &TextSource,
    document: Document,
    length_ms: u64,
) -> Result<v1::Text, u64> {
    let first_ms = document.cues.first().map_or(0, |cue| document.clock.shown_ms(cue.start_ms));
    let start_ms = document.clock.document_ms(source.start_ms) as i64;
    let document = clip(document, start_ms, length_ms);
    if document.cues.is_empty() {
        return Err(first_ms);
    }
    Ok(v1::Text {
        source: Some(wire.clone()),
        webvtt: reel_text::webvtt(&document.cues, None),
        cues: document.cues.len() as u32,
        skipped: document.skipped as u32,
    })
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

fn clock(ms: u64) -> String {
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

/// Of a time in seconds, to the nearest.
pub(crate) fn milliseconds(seconds: Rational) -> u64 {
    seconds.checked_mul(Rational::whole(1000)).map_or(0, |time| time.round().max(0) as u64)
}

/// Of a time in ticks of a second.
pub(crate) fn ticks_to_ms(ticks: u64, timescale: u32) -> u64 {
    let tick = Rational::new(1, timescale.max(1).into()).unwrap_or(Rational::whole(1));
    rescale(ticks as i64, tick, Rational::from_millis(1), Rounding::Nearest).max(0) as u64
}

/// A text of the index: what it is known by, and its cues.
pub(crate) fn stored(text: &v1::Text) -> Result<(TextName, Document), Failure> {
    let name = TextSource::from(text.source.clone().unwrap_or_default()).name;
    let document = reel_text::read(Format::WebVtt, text.webvtt.as_bytes());
    let document = document.map_err(|error| failed(&format!("text `{name}` of the index: {error}")))?;
    Ok((name, document))
}

/// The formats in which a title has its texts.
pub(crate) fn formats(package: Package) -> &'static [TextFormat] {
    match (package.hls, package.imsc1) {
        (false, _) => &[],
        (true, false) => &[TextFormat::WebVtt],
        (true, true) => &[TextFormat::WebVtt, TextFormat::Imsc1],
    }
}
