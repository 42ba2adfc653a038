//! AAC-LC by libav, cut into CMAF segments that follow the video's.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use ff::format::sample::{Sample as Format, Type};
use ffmpeg_next as ff;
use reel_cmaf::segment::{Sample, media_segment};
use reel_common::{Artifact, DigestWriter};
use reel_profiles::AudioTrack;
use reel_proto::v1;

use super::Sound;
use crate::MediaError;
use crate::measure::CodedDigest;

/// Samples of an AAC frame (ISO/IEC 14496-3, 4.5.2.1.1).
const FRAME_SAMPLES: usize = 1024;
/// Silence is pushed in blocks of this many samples, so that a long gap takes no memory.
const SILENCE_BLOCK: u64 = 1 << 16;

/// A track that is being encoded.
pub(super) struct AacTrack {
    encoder: ff::encoder::Audio,
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
    /// Samples given to the encoder.
    encoded: u64,
    packets: Vec<Vec<u8>>,
    coded_frames: u64,
    segment_bytes: Vec<u64>,
    segment_samples: Vec<u64>,
    peak_bps: u64,
}

impl AacTrack {
    pub(super) fn create(
        path: &Path,
        track: &AudioTrack,
        samples: u64,
        delay: u64,
        segment_ends: &[u64],
    ) -> Result<Self, MediaError> {
        let encoder = open_encoder(track)?;
        let priming = priming(&encoder);
        let total = (samples + priming).div_ceil(FRAME_SAMPLES as u64);
        // A segment ends with the first frame that reaches the end of the video's; the last takes the rest.
        let mut ends: Vec<u64> = segment_ends
            .iter()
            .map(|end| (end + priming).div_ceil(FRAME_SAMPLES as u64).min(total))
            .collect();
        if let Some(last) = ends.last_mut() {
            *last = total;
        }
        ends.dedup();
        Ok(AacTrack {
            encoder,
            file: BufWriter::new(File::create(path)?),
            digest: DigestWriter::default(),
            coded: CodedDigest::default(),
            track: track.clone(),
            samples,
            first: delay.saturating_sub(priming),
            segment_ends: ends,
            waiting: vec![Vec::new(); track.channels as usize],
            encoded: 0,
            packets: Vec::new(),
            coded_frames: 0,
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
        let mut from = 0;
        while self.waiting[0].len() - from >= FRAME_SAMPLES {
            self.encode(from)?;
            from += FRAME_SAMPLES;
        }
        for row in &mut self.waiting {
            row.drain(..from);
        }
        Ok(())
    }

    /// Adds silence.
    pub(super) fn silence(&mut self, mut samples: u64) -> Result<(), MediaError> {
        while samples > 0 {
            let block = samples.min(SILENCE_BLOCK);
            let channels = vec![vec![0.0; block as usize]; self.waiting.len()];
            self.push(&Sound { start: 0, channels })?;
            samples -= block;
        }
        Ok(())
    }

    fn encode(&mut self, from: usize) -> Result<(), MediaError> {
        let layout = ff::ChannelLayout::default(self.track.channels as i32);
        let mut frame = ff::frame::Audio::new(Format::F32(Type::Planar), FRAME_SAMPLES, layout);
        frame.set_rate(self.track.sample_rate);
        frame.set_pts(Some(self.encoded as i64));
        self.encoded += FRAME_SAMPLES as u64;
        for (plane, row) in self.waiting.iter().enumerate() {
            frame.plane_mut::<f32>(plane).copy_from_slice(&row[from..from + FRAME_SAMPLES]);
        }
        self.encoder.send_frame(&frame).map_err(|error| MediaError::library("encoding the sound", error))?;
        self.receive()
    }

    fn receive(&mut self) -> Result<(), MediaError> {
        loop {
            let mut packet = ff::Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => self.take(packet.data().unwrap_or_default())?,
                Err(ff::Error::Eof) => return Ok(()),
                Err(ff::Error::Other { errno }) if errno == ff::ffi::EAGAIN => return Ok(()),
                Err(error) => return Err(MediaError::library("encoding the sound", error)),
            }
        }
    }

    fn take(&mut self, packet: &[u8]) -> Result<(), MediaError> {
        let end = self.segment_ends.get(self.segment_bytes.len()).copied();
        // The encoder may give a frame more than reaches the end; it holds nothing but padding.
        let Some(end) = end else { return Ok(()) };
        let pts = (self.coded_frames * FRAME_SAMPLES as u64) as i64 - priming(&self.encoder) as i64;
        self.coded.add(pts, packet);
        self.packets.push(packet.to_vec());
        self.coded_frames += 1;
        if self.coded_frames == end { self.end_segment() } else { Ok(()) }
    }

    fn end_segment(&mut self) -> Result<(), MediaError> {
        let packets = std::mem::take(&mut self.packets);
        let duration = FRAME_SAMPLES as u32;
        let samples: Vec<Sample<'_>> =
            packets.iter().map(|data| Sample { data, duration, composition_offset: 0, sync: true }).collect();
        let first = self.first + (self.coded_frames - packets.len() as u64) * FRAME_SAMPLES as u64;
        let segment = media_segment(self.segment_bytes.len() as u32 + 1, first, &samples);
        self.file.write_all(&segment)?;
        self.digest.add(&segment);
        let coded = packets.len() as u64 * FRAME_SAMPLES as u64;
        let bits = segment.len() as u64 * 8;
        self.peak_bps = self.peak_bps.max(bits * u64::from(self.track.sample_rate) / coded);
        self.segment_bytes.push(segment.len() as u64);
        self.segment_samples.push(coded);
        Ok(())
    }

    /// Ends the track: its record, but for what the encoder does not know.
    pub(super) fn finish(mut self) -> Result<v1::AudioRecord, MediaError> {
        let padding = (FRAME_SAMPLES - self.waiting[0].len()) % FRAME_SAMPLES;
        self.silence(padding as u64)?;
        self.encoder.send_eof().map_err(|error| MediaError::library("encoding the sound", error))?;
        self.receive()?;
        if self.segment_bytes.len() != self.segment_ends.len() {
            return Err(MediaError::failed(format!(
                "the AAC encoder gave only {} frames",
                self.coded_frames
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
            priming: priming(&self.encoder) as u32,
            codec_config: extradata(&self.encoder),
            segment_bytes: self.segment_bytes,
            segment_samples: self.segment_samples,
            peak_segment_bps: self.peak_bps,
            coded_digest: self.coded.finish().0.to_vec(),
            ..Default::default()
        })
    }
}

fn open_encoder(track: &AudioTrack) -> Result<ff::encoder::Audio, MediaError> {
    let failed = |error| MediaError::library("opening the AAC encoder", error);
    let codec = ff::encoder::find_by_name("aac").ok_or_else(|| failed(ff::Error::EncoderNotFound))?;
    let mut context = ff::codec::Context::new_with_codec(codec);
    context.set_flags(ff::codec::Flags::GLOBAL_HEADER | ff::codec::Flags::BITEXACT);
    context.set_time_base(ff::Rational::new(1, track.sample_rate as i32));
    let mut encoder = context.encoder().audio().map_err(failed)?;
    encoder.set_rate(track.sample_rate as i32);
    encoder.set_format(Format::F32(Type::Planar));
    encoder.set_channel_layout(ff::ChannelLayout::default(track.channels as i32));
    encoder.set_bit_rate(track.bitrate_kbps as usize * 1000);
    encoder.open_as(codec).map_err(failed)
}

/// The encoder's delay in samples.
fn priming(encoder: &ff::encoder::Audio) -> u64 {
    // SAFETY: the encoder is open; the field is only read.
    unsafe { (*encoder.as_ptr()).initial_padding }.max(0) as u64
}

/// AudioSpecificConfig.
fn extradata(encoder: &ff::encoder::Audio) -> Vec<u8> {
    // SAFETY: the encoder is open; its extradata is null or points to extradata_size bytes that it owns.
    unsafe {
        let raw = &*encoder.as_ptr();
        match raw.extradata.is_null() {
            true => Vec::new(),
            false => std::slice::from_raw_parts(raw.extradata, raw.extradata_size.max(0) as usize).to_vec(),
        }
    }
}
