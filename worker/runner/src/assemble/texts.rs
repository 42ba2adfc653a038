//! Subtitles and captions of the tree: segments as long as those of the pictures, and whole files.

use reel_cmaf::init::{Span, TextInit, text_init};
use reel_cmaf::segment::{Sample, media_segment};
use reel_common::{Failure, TextName};
use reel_package::hls::{media_playlist, webvtt_playlist};
use reel_package::{Stream, TextFormat, layout};
use reel_text::{Document, imsc1, segments, webvtt};

use super::staging::Staging;

/// What the segments of all texts have in common. Their time zero is where pictures and sound are presented from: edit lists
/// take what those are late by.
pub(super) struct TextSegments {
    /// As long as those of the first rendition.
    stream: Stream,
    ends_ms: Vec<u64>,
    target_duration: u64,
}

impl TextSegments {
    /// As many as `stream` has, which end at these times.
    pub(super) fn like(stream: &Stream, ends_ms: Vec<u64>, target_duration: u64) -> Self {
        TextSegments { ends_ms, stream: stream.clone(), target_duration }
    }

    /// Writes a text in a format.
    pub(super) fn write(
        &self,
        staging: &mut Staging,
        format: TextFormat,
        name: &TextName,
        document: &Document,
    ) -> Result<(), Failure> {
        let folder = layout::text_folder(format, &name.to_string());
        let playlist = match format {
            TextFormat::WebVtt => self.webvtt(staging, &folder, document)?,
            TextFormat::Imsc1 => self.imsc1(staging, &folder, name, document)?,
        };
        staging.write(&format!("{folder}/{}", layout::PLAYLIST), playlist.as_bytes())
    }

    fn webvtt(&self, staging: &mut Staging, folder: &str, document: &Document) -> Result<String, Failure> {
        for (number, segment) in (0..).zip(segments(document, &self.ends_ms)) {
            let path = format!("{folder}/{}", layout::text_segment(number));
            staging.write(&path, webvtt(&segment.cues, Some(0)).as_bytes())?;
        }
        Ok(webvtt_playlist(&self.stream, self.target_duration))
    }

    /// Documents count from the beginning of their track (ISO/IEC 14496-30, section 5.4).
    fn imsc1(
        &self,
        staging: &mut Staging,
        folder: &str,
        name: &TextName,
        document: &Document,
    ) -> Result<String, Failure> {
        let Stream { timescale, .. } = self.stream;
        let init = TextInit { timescale, language: &name.language };
        let span = Span { start: 0, duration: self.stream.duration() };
        staging.write(&format!("{folder}/{}", layout::INIT), &text_init(&init, span))?;
        let mut begins = 0;
        let lengths = self.stream.segments.iter().map(|segment| segment.ticks);
        for ((number, segment), ticks) in (0u32..).zip(segments(document, &self.ends_ms)).zip(lengths) {
            let text = imsc1(&segment.clipped(), &name.language);
            let sample =
                Sample { data: text.as_bytes(), duration: ticks as u32, composition_offset: 0, sync: true };
            let path = format!("{folder}/{}", layout::segment(number.into()));
            staging.write(&path, &media_segment(number + 1, begins, &[sample]))?;
            begins += ticks;
        }
        Ok(media_playlist(&self.stream, self.target_duration))
    }
}
