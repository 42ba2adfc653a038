//! Files that hold all of a track: its segments, of which players ask for byte ranges, and the sound of a track by itself.
//!
//! Segments are copied, and encrypted, one by one, and what an index says of them is known behind the last: they are written behind
//! the room for header and index, whose length follows from where the track begins and how many segments it has.

use reel_cmaf::index::{self, Head, Reference};
use reel_cmaf::init::{self, Span, video_init};
use reel_cmaf::progressive::{self, SourceRun, TrackConfig, TrackInput};
use reel_common::{Failure, FailureClass};
use reel_media::audio_init;
use reel_package::{FileHead, Stream, layout};

use super::collect::{self, Collected, Stored};
use super::protect::ProtectedTrack;
use super::records::recipe_key;
use super::staging::{StagedFile, Staging};
use super::{Tree, bitrate, fault, single};

impl Tree<'_> {
    /// Begins the file of a rendition, where segments are not files.
    pub(super) fn begin_video_file(
        &self,
        number: usize,
        protected: Option<&ProtectedTrack<'_>>,
        samples: &mut Collected,
    ) -> Result<(), Failure> {
        if self.work.profile.package.byte_ranges {
            let first = Stored::of_part(self.records, 0, number)?;
            let start = collect::begins(self.work.store, &first).map_or(0, |(_, shown)| shown);
            let init = video_init(&self.video_init(number, samples)?, Span { start, duration: 0 });
            let parts = 0..self.records.parts.len();
            let segments = parts.map(|part| self.records.rendition(part, number).segment_bytes.len()).sum();
            let folder = layout::video_folder(&self.records.rendition(0, number).rendition);
            samples.file = Some(self.begin_file(&folder, init, protected, segments)?);
        }
        Ok(())
    }

    /// Begins the file of an audio track, likewise.
    pub(super) fn begin_audio_file(
        &self,
        number: usize,
        protected: Option<&ProtectedTrack<'_>>,
        samples: &mut Collected,
    ) -> Result<(), Failure> {
        if self.work.profile.package.byte_ranges {
            let record = &self.records.audio[number];
            let stored = Stored::of_audio(self.records, number)?;
            let begins = collect::begins(self.work.store, &stored).map_or(0, |(decoded, _)| decoded);
            let span = Span { start: begins + u64::from(record.priming), duration: 0 };
            let header = audio_init(self.audio_codec(number), record, bitrate(&samples.stream));
            let (folder, segments) = (layout::audio_folder(&record.name), record.segment_bytes.len());
            let init = init::audio_init(&header, span);
            samples.file = Some(self.begin_file(&folder, init, protected, segments)?);
        }
        Ok(())
    }

    fn begin_file(
        &self,
        folder: &str,
        clear: Vec<u8>,
        protected: Option<&ProtectedTrack<'_>>,
        segments: usize,
    ) -> Result<StagedFile, Failure> {
        let init = protected.map_or(Ok(clear.clone()), |track| track.init(&clear))?;
        open(&self.staging, folder, &init, segments)
    }

    /// The sound of a track as a file by itself, where the profile has them.
    pub(super) fn audio_file(&mut self, number: usize, samples: &Collected) -> Result<(), Failure> {
        if !self.work.profile.package.audio_files {
            return Ok(());
        }
        let record = &self.records.audio[number];
        let config = TrackConfig::Audio {
            init: audio_init(self.audio_codec(number), record, bitrate(&samples.stream)),
            priming: record.priming,
            presented: record.samples,
        };
        let runs = samples.runs.iter().map(|run| SourceRun { source: 0, ..*run });
        let track = TrackInput { config, samples: samples.specs.clone(), runs: runs.collect() };
        let name = layout::audio_file(&record.name);
        let plan = progressive::plan(&[track]).map_err(|error| fault(&format!("{name}: {error}")))?;
        let keys = [recipe_key(&record.recipe_key)?];
        single::write(&name, &plan, &keys, self.work.store, &mut self.staging, &self.advance)
    }
}

/// Opens the file of a track with room for the head of so many segments. `init` is as long as its header will be.
pub(super) fn open(
    staging: &Staging,
    folder: &str,
    init: &[u8],
    segments: usize,
) -> Result<StagedFile, Failure> {
    let path = format!("{folder}/{}", layout::MEDIA);
    let blank = vec![Reference { bytes: 0, ticks: 0 }; segments];
    let head = index::head(init, 1, &blank).map_err(|error| fault(&format!("{path}: {error}")))?;
    staging.open_behind(&path, head.bytes.len() as u64)
}

/// Writes the head of a file that holds these segments. Of the first, `unheard` ticks are not presented. `advance` is told bytes
/// that were read.
pub(super) fn close(
    staging: &mut Staging,
    file: StagedFile,
    init: &[u8],
    stream: &mut Stream,
    unheard: u64,
    advance: &dyn Fn(u64),
) -> Result<(), Failure> {
    let mut references: Vec<Reference> = stream
        .segments
        .iter()
        .map(|segment| Reference { bytes: segment.bytes, ticks: segment.ticks })
        .collect();
    if let Some(first) = references.first_mut() {
        first.ticks = first.ticks.saturating_sub(unheard);
    }
    let head = index::head(init, stream.timescale, &references)
        .map_err(|error| Failure::new(FailureClass::Invalid, &format!("{}: {error}", file.name()), ""))?;
    staging.close_with(file, &head.bytes, advance)?;
    stream.head = Some(file_head(&head));
    Ok(())
}

/// What playlists and manifest say of a head.
pub(super) fn file_head(head: &Head) -> FileHead {
    FileHead { init_bytes: head.init_bytes, index_bytes: head.bytes.len() as u64 - head.init_bytes }
}
