//! Opus by the libopus that is built into the runner, without SIMD: its search on x86 takes approximate square roots, which
//! processors of different makers round differently, so that the distributions' builds give other bytes on each.

use std::ffi::{CStr, c_int};
use std::ptr::NonNull;

use opusic_sys as ffi;
use reel_profiles::AudioTrack;

use super::encoder::SoundEncoder;
use crate::MediaError;

/// Samples of a packet of 20 ms at 48 kHz.
const FRAME_SAMPLES: usize = 960;
/// Most bytes of a packet: eight streams, each of a frame of at most 1275 bytes and its header (RFC 6716, section 3.2.1).
const MAX_PACKET_BYTES: usize = 8 * 1280;
/// Vorbis channel order (RFC 7845, section 5.1.1.2) by libav's.
const ORDER_OF_6: [usize; 6] = [0, 2, 1, 4, 5, 3];
const ORDER_OF_8: [usize; 8] = [0, 2, 1, 6, 7, 4, 5, 3];

/// An open encoder.
pub(super) struct OpusEncoder {
    raw: NonNull<ffi::OpusMSEncoder>,
    channels: usize,
    /// Streams, and how many of them are stereo.
    streams: (c_int, c_int),
    /// The coded channel of each channel.
    mapping: Vec<u8>,
    lookahead: c_int,
}

// SAFETY: an encoder is used by one thread at a time through `&mut self`; libopus ties nothing to a thread.
unsafe impl Send for OpusEncoder {}

/// The version of libopus.
pub fn version() -> String {
    // SAFETY: gives a constant text that ends with a zero.
    unsafe { CStr::from_ptr(ffi::opus_get_version_string()) }.to_string_lossy().into_owned()
}

impl OpusEncoder {
    pub(super) fn open(track: &AudioTrack) -> Result<Self, MediaError> {
        let channels = track.channels as usize;
        let family = c_int::from(mapping_family(channels));
        let (mut streams, mut error) = ((0, 0), ffi::OPUS_OK);
        let mut mapping = vec![0u8; channels];
        // SAFETY: every pointer is to a place of the size that the function writes: `channels` bytes of mapping, one number
        // each for the others.
        let raw = unsafe {
            ffi::opus_multistream_surround_encoder_create(
                track.sample_rate as i32,
                channels as c_int,
                family,
                &mut streams.0,
                &mut streams.1,
                mapping.as_mut_ptr(),
                ffi::OPUS_APPLICATION_AUDIO,
                &mut error,
            )
        };
        let raw = NonNull::new(raw).ok_or_else(|| failed("opening the opus encoder", error))?;
        let mut encoder = OpusEncoder { raw, channels, streams, mapping, lookahead: 0 };
        let bitrate = track.bitrate_kbps.unwrap_or_default() as i32 * 1000;
        // SAFETY: the encoder is open; each request takes what is given, a number or a place for one.
        let results = unsafe {
            let raw = encoder.raw.as_ptr();
            [
                ffi::opus_multistream_encoder_ctl(raw, ffi::OPUS_SET_BITRATE_REQUEST, bitrate),
                // The rate is kept over a reservoir of a second or so, so that no segment is far above it.
                ffi::opus_multistream_encoder_ctl(raw, ffi::OPUS_SET_VBR_CONSTRAINT_REQUEST, 1 as c_int),
                ffi::opus_multistream_encoder_ctl(
                    raw,
                    ffi::OPUS_GET_LOOKAHEAD_REQUEST,
                    &mut encoder.lookahead as *mut c_int,
                ),
            ]
        };
        match results.into_iter().find(|result| *result != ffi::OPUS_OK) {
            None => Ok(encoder),
            Some(error) => Err(failed("setting up the opus encoder", error)),
        }
    }

    /// One sample of each channel after the other, in the order that Opus has for them.
    fn interleave(&self, rows: &[&[f32]]) -> Vec<f32> {
        let order: &[usize] = match self.channels {
            6 => &ORDER_OF_6,
            8 => &ORDER_OF_8,
            _ => &[0, 1],
        };
        let order = &order[..self.channels];
        (0..FRAME_SAMPLES).flat_map(|at| order.iter().map(move |channel| rows[*channel][at])).collect()
    }
}

/// Mono and stereo, or the surround layouts of Vorbis (RFC 7845, section 5.1.1).
fn mapping_family(channels: usize) -> u8 {
    (channels > 2).into()
}

fn failed(doing: &str, error: c_int) -> MediaError {
    // SAFETY: gives a constant text that ends with a zero, for every number.
    let reason = unsafe { CStr::from_ptr(ffi::opus_strerror(error)) };
    MediaError::failed(format!("{doing}: {}", reason.to_string_lossy()))
}

impl SoundEncoder for OpusEncoder {
    fn frame_samples(&self) -> usize {
        FRAME_SAMPLES
    }

    fn priming(&self) -> u64 {
        self.lookahead.max(0) as u64
    }

    fn may_end_short(&self) -> bool {
        false
    }

    fn encode(&mut self, rows: &[&[f32]]) -> Result<Vec<Vec<u8>>, MediaError> {
        let samples = self.interleave(rows);
        let mut packet = vec![0u8; MAX_PACKET_BYTES];
        // SAFETY: the encoder is open; there are FRAME_SAMPLES samples for each channel, and as many bytes as are told.
        let written = unsafe {
            ffi::opus_multistream_encode_float(
                self.raw.as_ptr(),
                samples.as_ptr(),
                FRAME_SAMPLES as c_int,
                packet.as_mut_ptr(),
                packet.len() as i32,
            )
        };
        match usize::try_from(written) {
            Ok(written) => {
                packet.truncate(written);
                Ok(vec![packet])
            }
            Err(_) => Err(failed("encoding the sound", written)),
        }
    }

    fn finish(&mut self) -> Result<Vec<Vec<u8>>, MediaError> {
        Ok(Vec::new())
    }

    fn config(&self, _first: &[u8]) -> Option<Vec<u8>> {
        let family = mapping_family(self.channels);
        let mut config = vec![0, self.channels as u8];
        config.extend((self.lookahead as u16).to_be_bytes());
        config.extend(48_000u32.to_be_bytes());
        // No gain.
        config.extend([0, 0, family]);
        if family != 0 {
            config.extend([self.streams.0 as u8, self.streams.1 as u8]);
            config.extend(&self.mapping);
        }
        Some(config)
    }
}

impl Drop for OpusEncoder {
    fn drop(&mut self) {
        // SAFETY: the encoder is open and not used afterwards.
        unsafe { ffi::opus_multistream_encoder_destroy(self.raw.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use reel_common::DigestWriter;
    use reel_profiles::{AudioCodec, Downmix};

    use super::*;

    fn surround() -> AudioTrack {
        AudioTrack {
            name: String::new(),
            codec: AudioCodec::Opus,
            channels: 6,
            bitrate_kbps: Some(256),
            sample_rate: 48_000,
            language: None,
            sources: Vec::new(),
            downmix: Downmix::LoRo,
            loudness: None,
        }
    }

    #[test]
    fn the_configuration_is_that_of_the_specification() {
        let encoder = OpusEncoder::open(&surround()).unwrap();
        // Four streams of which two are stereo, in the order of Vorbis (RFC 7845, section 5.1.1.2).
        let expected = [0, 6, 1, 56, 0, 0, 0xbb, 0x80, 0, 0, 1, 4, 2, 0, 4, 1, 2, 3, 5];
        assert_eq!(encoder.config(&[]).unwrap(), expected);
    }

    /// Held against a processor without anything beyond SSE3, which QEMU plays.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_bytes_are_those_of_every_processor() {
        let mut encoder = OpusEncoder::open(&surround()).unwrap();
        let mut state = 7u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 23) as f32 - 1.0) * 0.4
        };
        let mut digest = DigestWriter::default();
        for _ in 0..200 {
            let rows: Vec<Vec<f32>> = (0..6).map(|_| (0..FRAME_SAMPLES).map(|_| noise()).collect()).collect();
            let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            encoder.encode(&rows).unwrap().iter().for_each(|packet| digest.add(packet));
        }
        let expected = "ccf8e7a269e64bfc75f29623f78d66213eeb15cdd0a826b950ceb85161c3b397";
        assert_eq!(digest.finish().to_string(), expected);
    }
}
