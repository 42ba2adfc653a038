//! Coded sound, cut into CMAF segments that follow the video's.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use reel_cmaf::segment::{Sample, media_segment};
use reel_common::{Artifact, DigestWriter};
use reel_profiles::AudioTrack;
use reel_proto::v1;

use super::Sound;
use super::encoder::{self, SoundEncoder};
use crate::MediaError;
use crate::measure::CodedDigest;

/// A track that is being encoded.
pub(super) struct CodedSound {
    encoder: Box<dyn SoundEncoder>,
    file: BufWriter<File>,
    digest: DigestWriter,
    coded: CodedDigest,
    track: AudioTrack,
    /// Samples of the presentation.
    samples: u64,
    /// Decode time of the first frame, so that the presentation begins as late as that of the pictures.
    first: u64,
    /// Coded frames, priming included, at which each segment ends; ascending.
    segment_ends: Vec<u64>,
    /// Samples that wait for a whole frame, a row for each channel.
    waiting: Vec<Vec<f32>>,
    /// Those of the segment that is not yet full, each with its samples.
    packets: Vec<(Vec<u8>, u32)>,
    coded_frames: u64,
    coded_samples: u64,
    /// The decoder's configuration.
    config: Vec<u8>,
    segment_bytes: Vec<u64>,
    segment_samples: Vec<u64>,
    peak_bps: u64,
}

impl CodedSound {
    pub(super) fn create(
        path: &Path,
        track: &AudioTrack,
        samples: u64,
        delay: u64,
        segment_ends: &[u64],
        dialnorm: i32,
    ) -> Result<Self, MediaError> {
        let encoder = encoder::open(track, dialnorm)?;
        let (priming, frame) = (encoder.priming(), encoder.frame_samples() as u64);
        let total = (samples + priming).div_ceil(frame);
        // A segment ends with the first frame that reaches the end of the video's; the last takes the rest.
        let mut ends: Vec<u64> =
            segment_ends.iter().map(|end| (end + priming).div_ceil(frame).min(total)).collect();
        if let Some(last) = ends.last_mut() {
            *last = total;
        }
        ends.dedup();
        Ok(CodedSound {
            encoder,
            file: BufWriter::new(File::create(path)?),
            digest: DigestWriter::default(),
            coded: CodedDigest::default(),
            track: track.clone(),
            samples,
            first: delay.saturating_sub(priming),
            segment_ends: ends,
            waiting: vec![Vec::new(); track.channels as usize],
            packets: Vec::new(),
            coded_frames: 0,
            coded_samples: 0,
            config: Vec::new(),
            segment_bytes: Vec::new(),
            segment_samples: Vec::new(),
            peak_bps: 0,
        })
    }

    /// Adds samples that follow those before.
    pub(super) fn push(&mut self, sound: &Sound) -> Result<(), MediaError> {
        for (row, channel) in self.waiting.iter_mut().zip(&sound.channels) {
            row.extend_from_slice(channel);
        }
        let (mut from, frame) = (0, self.encoder.frame_samples());
        while self.waiting[0].len() - from >= frame {
            let rows: Vec<&[f32]> = self.waiting.iter().map(|row| &row[from..from + frame]).collect();
            for packet in self.encoder.encode(&rows)? {
                self.take(packet)?;
            }
            from += frame;
        }
        for row in &mut self.waiting {
            row.drain(..from);
        }
        Ok(())
    }

    fn take(&mut self, packet: Vec<u8>) -> Result<(), MediaError> {
        let end = self.segment_ends.get(self.segment_bytes.len()).copied();
        // The encoder may give a frame more than reaches the end; it holds nothing but padding.
        let Some(end) = end else { return Ok(()) };
        if self.coded_frames == 0 {
            let config = self.encoder.config(&packet);
            self.config =
                config.ok_or_else(|| MediaError::failed("the encoder's first frame has no header"))?;
        }
        let priming = self.encoder.priming();
        self.coded.add(self.coded_samples as i64 - priming as i64, &packet);
        let mut duration = self.encoder.frame_samples() as u64;
        if self.encoder.may_end_short() {
            duration = duration.min(self.samples + priming - self.coded_samples);
        }
        self.packets.push((packet, duration as u32));
        self.coded_samples += duration;
        self.coded_frames += 1;
        if self.coded_frames == end { self.end_segment() } else { Ok(()) }
    }

    fn end_segment(&mut self) -> Result<(), MediaError> {
        let packets = std::mem::take(&mut self.packets);
        let sample = |packet| {
            let (data, duration): &(Vec<u8>, u32) = packet;
            Sample { data, duration: *duration, composition_offset: 0, sync: true }
        };
        let samples: Vec<Sample<'_>> = packets.iter().map(sample).collect();
        let coded: u64 = packets.iter().map(|(_, duration)| u64::from(*duration)).sum();
        let first = self.first + self.coded_samples - coded;
        let segment = media_segment(self.segment_bytes.len() as u32 + 1, first, &samples);
        self.file.write_all(&segment)?;
        self.digest.add(&segment);
        let bits = segment.len() as u64 * 8;
        self.peak_bps = self.peak_bps.max(bits * u64::from(self.track.sample_rate) / coded);
        self.segment_bytes.push(segment.len() as u64);
        self.segment_samples.push(coded);
        Ok(())
    }

    /// Ends the track: its record, but for what the encoder does not know.
    pub(super) fn finish(mut self) -> Result<v1::AudioRecord, MediaError> {
        if !self.encoder.may_end_short() {
            let total = self.segment_ends.last().copied().unwrap_or(0) * self.encoder.frame_samples() as u64;
            let padding = total.saturating_sub(self.samples) as usize;
            self.push(&Sound::silence(self.samples, padding, self.waiting.len()))?;
        } else if !self.waiting[0].is_empty() {
            let rows: Vec<&[f32]> = self.waiting.iter().map(Vec::as_slice).collect();
            for packet in self.encoder.encode(&rows)? {
                self.take(packet)?;
            }
        }
        for packet in self.encoder.finish()? {
            self.take(packet)?;
        }
        if self.segment_bytes.len() != self.segment_ends.len() {
            return Err(MediaError::failed(format!(
                "the {} encoder gave only {} frames",
                self.track.codec, self.coded_frames
            )));
        }
        self.file.flush()?;
        let artifact =
            Artifact { sha256: self.digest.clone().finish(), size: self.segment_bytes.iter().sum() };
        Ok(v1::AudioRecord {
            artifact: Some(artifact.into()),
            sample_rate: self.track.sample_rate,
            channels: self.track.channels,
            samples: self.samples,
            priming: self.encoder.priming() as u32,
            codec_config: self.config,
            segment_bytes: self.segment_bytes,
            segment_samples: self.segment_samples,
            peak_segment_bps: self.peak_bps,
            coded_digest: self.coded.finish().0.to_vec(),
            ..Default::default()
        })
    }
}
