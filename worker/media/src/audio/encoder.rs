//! Encoders of sound: planar floats in, coded frames of one length out.

use ff::format::sample::{Sample as Format, Type};
use ffmpeg_next as ff;
use reel_cmaf::audio::{ac3_config, eac3_config};
use reel_profiles::{AudioCodec, AudioTrack, Downmix};

use super::opus::OpusEncoder;
use super::pcm::{PcmEncoder, to_24_bits};
use crate::MediaError;

/// An encoder that takes one frame after the other.
pub(super) trait SoundEncoder {
    /// Samples of a frame.
    fn frame_samples(&self) -> usize;

    /// Samples that come out before the first that went in.
    fn priming(&self) -> u64;

    /// Whether the last frame may have fewer samples.
    fn may_end_short(&self) -> bool;

    /// Encodes a frame, a row for each channel in libav's order. Gives the packets that are ready.
    fn encode(&mut self, rows: &[&[f32]]) -> Result<Vec<Vec<u8>>, MediaError>;

    /// The packets that were held back.
    fn finish(&mut self) -> Result<Vec<Vec<u8>>, MediaError>;

    /// The decoder's configuration, as [`reel_cmaf::AudioConfig`] has it; `first` is the first packet.
    fn config(&self, first: &[u8]) -> Option<Vec<u8>>;
}

/// Opens the encoder of a track. `dialnorm` is how loud the sound is in LUFS, -31 to -1, for a codec that says so.
pub(super) fn open(track: &AudioTrack, dialnorm: i32) -> Result<Box<dyn SoundEncoder>, MediaError> {
    Ok(match track.codec {
        AudioCodec::Opus => Box::new(OpusEncoder::open(track)?),
        AudioCodec::Pcm => Box::new(PcmEncoder),
        _ => Box::new(LibavEncoder::open(track, dialnorm)?),
    })
}

/// Whether there is an encoder for a codec.
pub(super) fn is_there(codec: AudioCodec) -> bool {
    let own = matches!(codec, AudioCodec::Opus | AudioCodec::Pcm);
    own || ff::encoder::find_by_name(codec.name()).is_some()
}

/// An encoder of libavcodec.
struct LibavEncoder {
    encoder: ff::encoder::Audio,
    codec: AudioCodec,
    channels: u32,
    sample_rate: u32,
    /// Samples given to it.
    encoded: u64,
}

impl LibavEncoder {
    fn open(track: &AudioTrack, dialnorm: i32) -> Result<Self, MediaError> {
        let name = track.codec.name();
        let failed = |error| MediaError::library(&format!("opening the {name} encoder"), error);
        let codec = ff::encoder::find_by_name(name).ok_or_else(|| failed(ff::Error::EncoderNotFound))?;
        let mut context = ff::codec::Context::new_with_codec(codec);
        context.set_flags(ff::codec::Flags::GLOBAL_HEADER | ff::codec::Flags::BITEXACT);
        context.set_time_base(ff::Rational::new(1, track.sample_rate as i32));
        let mut encoder = context.encoder().audio().map_err(failed)?;
        encoder.set_rate(track.sample_rate as i32);
        encoder.set_format(format(track.codec));
        encoder.set_channel_layout(ff::ChannelLayout::default(track.channels as i32));
        if let Some(bitrate) = track.bitrate_kbps {
            encoder.set_bit_rate(bitrate as usize * 1000);
        }
        if track.codec == AudioCodec::Flac {
            // SAFETY: the encoder is not open yet; the field is only written.
            unsafe { (*encoder.as_mut_ptr()).bits_per_raw_sample = FLAC_BITS };
        }
        let encoder = encoder.open_as_with(codec, options(track, dialnorm)).map_err(failed)?;
        let AudioTrack { channels, sample_rate, codec, .. } = *track;
        Ok(LibavEncoder { encoder, codec, channels, sample_rate, encoded: 0 })
    }

    fn receive(&mut self) -> Result<Vec<Vec<u8>>, MediaError> {
        let mut packets = Vec::new();
        loop {
            let mut packet = ff::Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => packets.push(packet.data().unwrap_or_default().to_vec()),
                Err(ff::Error::Eof) => return Ok(packets),
                Err(ff::Error::Other { errno }) if errno == ff::ffi::EAGAIN => return Ok(packets),
                Err(error) => return Err(encoding(error)),
            }
        }
    }
}

/// Bits of a sample of FLAC: what a float holds exactly.
const FLAC_BITS: i32 = 24;

/// What the encoder takes.
fn format(codec: AudioCodec) -> Format {
    match codec {
        AudioCodec::Flac => Format::I32(Type::Packed),
        _ => Format::F32(Type::Planar),
    }
}

/// What a stream of Dolby says to its decoder: how loud it is, and that it mixes down as [`Downmix`] does.
fn options(track: &AudioTrack, dialnorm: i32) -> ff::Dictionary<'static> {
    let mut options = ff::Dictionary::new();
    if track.codec.says_loudness() {
        options.set("dialnorm", &dialnorm.to_string());
        if track.channels == 2 && track.downmix == Downmix::LtRt {
            options.set("dsur_mode", "on");
        }
    }
    if track.channels > 2 {
        let levels: &[&str] = match track.codec {
            AudioCodec::Ac3 => &["center_mixlev", "surround_mixlev"],
            AudioCodec::Eac3 => &["loro_cmixlev", "loro_surmixlev", "ltrt_cmixlev", "ltrt_surmixlev"],
            _ => &[],
        };
        levels.iter().for_each(|level| options.set(level, "0.707"));
    }
    options
}

fn encoding(error: ff::Error) -> MediaError {
    MediaError::library("encoding the sound", error)
}

impl SoundEncoder for LibavEncoder {
    fn frame_samples(&self) -> usize {
        self.encoder.frame_size() as usize
    }

    fn priming(&self) -> u64 {
        // SAFETY: the encoder is open; the field is only read.
        unsafe { (*self.encoder.as_ptr()).initial_padding }.max(0) as u64
    }

    fn may_end_short(&self) -> bool {
        self.codec == AudioCodec::Flac
    }

    fn encode(&mut self, rows: &[&[f32]]) -> Result<Vec<Vec<u8>>, MediaError> {
        let samples = rows.first().map_or(0, |row| row.len());
        let layout = ff::ChannelLayout::default(self.channels as i32);
        let mut frame = ff::frame::Audio::new(format(self.codec), samples, layout);
        frame.set_rate(self.sample_rate);
        frame.set_pts(Some(self.encoded as i64));
        self.encoded += samples as u64;
        if self.codec == AudioCodec::Flac {
            let interleaved =
                (0..samples).flat_map(|at| rows.iter().map(move |row| to_24_bits(row[at]) << 8));
            let bytes = frame.data_mut(0).chunks_exact_mut(4);
            bytes.zip(interleaved).for_each(|(bytes, sample)| bytes.copy_from_slice(&sample.to_ne_bytes()));
        } else {
            for (plane, row) in rows.iter().enumerate() {
                frame.plane_mut::<f32>(plane).copy_from_slice(row);
            }
        }
        self.encoder.send_frame(&frame).map_err(encoding)?;
        self.receive()
    }

    fn finish(&mut self) -> Result<Vec<Vec<u8>>, MediaError> {
        self.encoder.send_eof().map_err(encoding)?;
        self.receive()
    }

    fn config(&self, first: &[u8]) -> Option<Vec<u8>> {
        match self.codec {
            AudioCodec::Ac3 => ac3_config(first),
            AudioCodec::Eac3 => eac3_config(first, self.sample_rate),
            AudioCodec::Flac => {
                // STREAMINFO behind the header of the last metadata block (RFC 9639, section 8.1).
                let info = extradata(&self.encoder);
                let length = (info.len() as u32).to_be_bytes();
                Some([&[0x80], &length[1..], &info].concat())
            }
            AudioCodec::Aac | AudioCodec::Opus | AudioCodec::Pcm => Some(extradata(&self.encoder)),
        }
    }
}

/// What the encoder says to decoders.
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
