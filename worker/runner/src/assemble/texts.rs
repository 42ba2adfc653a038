//! Subtitles and captions of the tree: segments as long as those of the pictures, and whole files.

use reel_cmaf::init::{Span, TextInit, text_init};
use reel_cmaf::segment::{Sample, media_segment};
use reel_common::{Failure, TextName};
use reel_package::hls::{TextGroup, media_playlist, webvtt_playlist};
use reel_package::{SegmentSize, Stream, TextFormat, layout};
use reel_profiles::Package;
use reel_text::{Document, imsc1, segments, webvtt};

use super::one_file;
use super::staging::Staging;

/// What the segments of all texts have in common. Their time zero is where pictures and sound are presented from: edit lists
/// take what those are late by.
pub(super) struct TextSegments {
    /// As long as those of the first rendition.
    stream: Stream,
    ends_ms: Vec<u64>,
    target_duration: u64,
    package: Package,
}

impl TextSegments {
    /// As many as `stream` has, which end at these times.
    pub(super) fn like(stream: &Stream, ends_ms: Vec<u64>, target_duration: u64, package: Package) -> Self {
        TextSegments { ends_ms, stream: Stream { head: None, ..stream.clone() }, target_duration, package }
    }

    /// Writes texts in a format.
    pub(super) fn write(
        &self,
        staging: &mut Staging,
        format: TextFormat,
        texts: &[(TextName, Document)],
    ) -> Result<TextGroup, Failure> {
        let mut group = TextGroup { format, texts: Vec::with_capacity(texts.len()) };
        for (name, document) in texts {
            let folder = layout::text_folder(format, &name.to_string());
            let mut stream = self.stream.clone();
            let playlist = match format {
                TextFormat::WebVtt => {
                    self.webvtt(staging, &folder, document, &mut stream.segments)?;
                    webvtt_playlist(&stream, self.target_duration)
                }
                TextFormat::Imsc1 => {
                    self.imsc1(staging, &folder, name, document, &mut stream)?;
                    media_playlist(&stream, self.target_duration, None)
                }
            };
            if self.package.hls {
                staging.write(&format!("{folder}/{}", layout::PLAYLIST), playlist.as_bytes())?;
            }
            group.texts.push((name.clone(), stream));
        }
        Ok(group)
    }

    fn webvtt(
        &self,
        staging: &mut Staging,
        folder: &str,
        document: &Document,
        written: &mut [SegmentSize],
    ) -> Result<(), Failure> {
        for ((number, segment), written) in (0..).zip(segments(document, &self.ends_ms)).zip(written) {
            let path = format!("{folder}/{}", layout::text_segment(number));
            let text = webvtt(&segment.cues, Some(0));
            staging.write(&path, text.as_bytes())?;
            written.bytes = text.len() as u64;
        }
        Ok(())
    }

    /// Documents count from the beginning of their track (ISO/IEC 14496-30, section 5.4).
    fn imsc1(
        &self,
        staging: &mut Staging,
        folder: &str,
        name: &TextName,
        document: &Document,
        stream: &mut Stream,
    ) -> Result<(), Failure> {
        let Stream { timescale, .. } = self.stream;
        let init = TextInit { timescale, language: &name.language };
        let span = Span { start: 0, duration: self.stream.duration() };
        let init = text_init(&init, span);
        let mut file = None;
        match self.package.byte_ranges {
            true => file = Some(one_file::open(staging, folder, &init, stream.segments.len())?),
            false => staging.write(&format!("{folder}/{}", layout::INIT), &init)?,
        }
        let (mut begins, sizes) = (0, stream.segments.iter_mut());
        for ((number, segment), written) in (0u32..).zip(segments(document, &self.ends_ms)).zip(sizes) {
            let text = imsc1(&segment.clipped(), &name.language);
            let duration = written.ticks as u32;
            let sample = Sample { data: text.as_bytes(), duration, composition_offset: 0, sync: true };
            let bytes = media_segment(number + 1, begins, &[sample]);
            match &mut file {
                Some(file) => staging.append(file, &bytes)?,
                None => staging.write(&format!("{folder}/{}", layout::segment(number.into())), &bytes)?,
            }
            written.bytes = bytes.len() as u64;
            begins += written.ticks;
        }
        match file {
            // Documents are small: reading them back is no progress to tell of.
            Some(file) => one_file::close(staging, file, &init, stream, 0, &|_| ()),
            None => Ok(()),
        }
    }
}
