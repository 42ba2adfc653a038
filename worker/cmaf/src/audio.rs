//! Decoder configurations of sound, by the sample entry that they go into.

use crate::bits::Bits;
use crate::boxes::FourCc;
use crate::init::AudioInit;
use crate::writer::Writer;

/// The decoder configuration of an audio track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioConfig<'a> {
    /// AudioSpecificConfig (ISO/IEC 14496-3, section 1.6.2.1).
    Aac(&'a [u8]),
    /// AC3SpecificBox without its header (ETSI TS 102 366, annex F.4).
    Ac3(&'a [u8]),
    /// EC3SpecificBox without its header (ETSI TS 102 366, annex F.6).
    Eac3(&'a [u8]),
    /// OpusSpecificBox without its header (Encapsulation of Opus in ISO BMFF, section 4.3.2).
    Opus(&'a [u8]),
    /// The metadata blocks of FLACSpecificBox (Encapsulation of FLAC in ISO BMFF, section 3.3.2).
    Flac(&'a [u8]),
    /// The fields of PCMConfig: flags, of which the first bit says that the lowest byte comes first, and the bits of a sample
    /// (ISO/IEC 23003-5, section 5.1).
    Pcm(&'a [u8]),
}

impl AudioConfig<'_> {
    /// What RFC 6381 calls the codec; `None` where the configuration is malformed.
    pub fn codec_string(self) -> Option<String> {
        match self {
            AudioConfig::Aac(config) => aac_string(config),
            other => Some(other.entry().escape_ascii().to_string()),
        }
    }

    /// Type of the sample entry.
    fn entry(self) -> &'static FourCc {
        match self {
            AudioConfig::Aac(_) => b"mp4a",
            AudioConfig::Ac3(_) => b"ac-3",
            AudioConfig::Eac3(_) => b"ec-3",
            AudioConfig::Opus(_) => b"Opus",
            AudioConfig::Flac(_) => b"fLaC",
            AudioConfig::Pcm(_) => b"ipcm",
        }
    }

    /// Bits of a sample, which only what is lossless has of its own.
    fn sample_bits(self) -> u16 {
        // STREAMINFO behind its block header: sizes of blocks and frames, the rate and the channels (RFC 9639, section 8.2).
        let of_flac = |blocks| {
            let mut bits = Bits::new(blocks);
            bits.skip(32 + 16 + 16 + 24 + 24 + 20 + 3)?;
            bits.take(5)
        };
        match self {
            AudioConfig::Flac(blocks) => of_flac(blocks).map_or(16, |bits| bits as u16 + 1),
            // The one of PCMConfig counts, but FFmpeg before 6.1 knows this one alone.
            AudioConfig::Pcm([_, bits]) => (*bits).into(),
            _ => 16,
        }
    }

    /// How many samples of the track are decoded before the one that is to be heard: AAC wants one, Opus 80 ms in packets of
    /// 20 ms (Encapsulation of Opus in ISO BMFF, section 4.3.6.2). `None` where a single number does not say it.
    pub(crate) fn roll_distance(self) -> Option<i16> {
        match self {
            AudioConfig::Aac(_) => Some(-1),
            AudioConfig::Opus(_) => Some(-4),
            AudioConfig::Ac3(_) | AudioConfig::Eac3(_) | AudioConfig::Flac(_) | AudioConfig::Pcm(_) => None,
        }
    }
}

/// `mp4a.40.N` of an AudioSpecificConfig, where N is its audio object type (ISO/IEC 14496-3, section 1.6.2.1).
fn aac_string(config: &[u8]) -> Option<String> {
    let [first, second, ..] = config else { return None };
    let object_type = match first >> 3 {
        31 => 32 + ((first & 7) << 3 | second >> 5),
        small => small,
    };
    Some(format!("mp4a.40.{object_type}"))
}

/// The sample entry of a track.
pub(crate) fn audio_entry(w: &mut Writer, init: &AudioInit<'_>) {
    w.boxed(init.codec.entry(), |w| {
        w.zeros(6);
        w.u16(1);
        w.zeros(8);
        w.u16(init.channels);
        w.u16(init.codec.sample_bits());
        w.zeros(4);
        // 16.16; rates that do not fit are in the configuration alone.
        w.u32(u16::try_from(init.sample_rate).map_or(0, |rate| u32::from(rate) << 16));
        match init.codec {
            AudioConfig::Aac(config) => esds(w, init, config),
            AudioConfig::Ac3(config) => w.boxed(b"dac3", |w| w.bytes(config)),
            AudioConfig::Eac3(config) => w.boxed(b"dec3", |w| w.bytes(config)),
            AudioConfig::Opus(config) => w.boxed(b"dOps", |w| w.bytes(config)),
            AudioConfig::Flac(blocks) => w.full(b"dfLa", 0, 0, |w| w.bytes(blocks)),
            AudioConfig::Pcm(config) => {
                w.full(b"pcmC", 0, 0, |w| w.bytes(config));
                channel_layout(w, init.channels);
            }
        }
        if !matches!(init.codec, AudioConfig::Aac(_)) {
            w.boxed(b"btrt", |w| {
                w.u32(0);
                w.u32(init.bitrate.peak);
                w.u32(init.bitrate.average);
            });
        }
    });
}

/// Where the channels of PCM belong, one by one, in libav's order (`chnl`, ISO/IEC 14496-12, section 12.2.4): a position of
/// ISO/IEC 23091-3, table 7, each.
fn channel_layout(w: &mut Writer, channels: u16) {
    let positions: &[u8] = match channels {
        1 => &[2],
        2 => &[0, 1],
        6 => &[0, 1, 2, 3, 4, 5],
        8 => &[0, 1, 2, 3, 8, 9, 4, 5],
        _ => return,
    };
    w.full(b"chnl", 0, 0, |w| {
        // The stream is structured by channels, in no layout that has a number.
        w.u8(1);
        w.u8(0);
        w.bytes(positions);
    });
}

fn esds(w: &mut Writer, init: &AudioInit<'_>, config: &[u8]) {
    w.full(b"esds", 0, 0, |w| {
        w.descriptor(3, |w| {
            w.u16(0);
            w.u8(0);
            w.descriptor(4, |w| {
                // ISO/IEC 14496-3 audio, an audio stream with the reserved bit set.
                w.u8(0x40);
                w.u8(0x15);
                w.zeros(3);
                w.u32(init.bitrate.peak);
                w.u32(init.bitrate.average);
                w.descriptor(5, |w| w.bytes(config));
            });
            w.descriptor(6, |w| w.u8(2));
        });
    });
}

/// The AC3SpecificBox of a stream, without its header, out of the first of its frames (ETSI TS 102 366, sections 5.3 and
/// F.4); `None` for other bytes.
pub fn ac3_config(frame: &[u8]) -> Option<Vec<u8>> {
    let mut bits = Bits::new(frame);
    if bits.take(16)? != AC3_SYNC {
        return None;
    }
    bits.skip(16)?;
    let (rate, size) = (bits.take(2)?, bits.take(6)?);
    let (version, mode, channels) = (bits.take(5)?, bits.take(3)?, bits.take(3)?);
    // The levels of centre and surround, and Dolby Surround, each where there is something of the kind.
    let centre = channels & 1 == 1 && channels != 1;
    for present in [centre, channels & 4 != 0, channels == 2] {
        bits.skip(if present { 2 } else { 0 })?;
    }
    let low_frequency = bits.take(1)?;
    let fields =
        [(rate, 2), (version, 5), (mode, 3), (channels, 3), (low_frequency, 1), (size >> 1, 5), (0, 5)];
    Some(packed(&fields))
}

/// The EC3SpecificBox of a stream of one independent substream, without its header, out of the first of its frames (ETSI
/// TS 102 366, sections E.1.2 and F.6); `None` for other bytes.
pub fn eac3_config(frame: &[u8], sample_rate: u32) -> Option<Vec<u8>> {
    let mut bits = Bits::new(frame);
    if bits.take(16)? != AC3_SYNC {
        return None;
    }
    bits.skip(2 + 3)?;
    let bytes = (bits.take(11)? + 1) * 2;
    let (rate, blocks) = (bits.take(2)?, bits.take(2)?);
    let (channels, low_frequency, version) = (bits.take(3)?, bits.take(1)?, bits.take(5)?);
    // The rates below 32 kHz, and frames of fewer than six blocks, are not made here.
    let samples = (rate != 3 && blocks == 3).then_some(6 * 256)?;
    let kbps = (u64::from(bytes) * 8 * u64::from(sample_rate)).div_ceil(samples * 1000) as u32;
    let substream =
        [(rate, 2), (version, 5), (0, 1), (0, 1), (0, 3), (channels, 3), (low_frequency, 1), (0, 3)];
    Some(packed(&[&[(kbps, 13), (0, 3)], &substream[..], &[(0, 4), (0, 1)]].concat()))
}

/// Word that a frame of AC-3 and E-AC-3 begins with.
const AC3_SYNC: u32 = 0x0b77;

/// Fields, each with its number of bits, one behind the other; whole bytes together.
fn packed(fields: &[(u32, u32)]) -> Vec<u8> {
    let bits: u32 = fields.iter().map(|(_, bits)| bits).sum();
    let value = fields.iter().fold(0u64, |value, (field, bits)| value << bits | u64::from(*field));
    value.to_be_bytes()[8 - bits as usize / 8..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_strings_follow_the_configurations() {
        let aac = |config| AudioConfig::Aac(config).codec_string();
        assert_eq!(aac(&[0x11, 0x90]).as_deref(), Some("mp4a.40.2"));
        assert_eq!(aac(&[0xf9, 0x46, 0x40]).as_deref(), Some("mp4a.40.42"));
        assert_eq!(aac(&[]), None);
        let others = [
            AudioConfig::Ac3(&[]),
            AudioConfig::Eac3(&[]),
            AudioConfig::Opus(&[]),
            AudioConfig::Flac(&[]),
            AudioConfig::Pcm(&[]),
        ];
        let strings = others.map(|config| config.codec_string().unwrap());
        assert_eq!(strings, ["ac-3", "ec-3", "Opus", "fLaC", "ipcm"]);
    }

    #[test]
    fn what_is_no_frame_of_dolby_has_no_configuration() {
        assert_eq!(ac3_config(&[0x0b, 0x77, 0, 0, 0x14]), None);
        assert_eq!(ac3_config(&[0; 16]), None);
        assert_eq!(eac3_config(&[0; 16], 48_000), None);
        assert_eq!(eac3_config(&[], 48_000), None);
    }

    #[test]
    fn a_frame_tells_its_configuration() {
        // 48 kHz, 384 kbit/s, 5.1: frame size code 28, version 8, acmod 7 with its two mix levels, low frequencies.
        let frame = [0x0b, 0x77, 0, 0, 0x1c, 0x40, 0b1110_1011, 0];
        assert_eq!(ac3_config(&frame), Some(vec![0x10, 0x3d, 0xc0]));
        // 192 kbit/s at 48 kHz: frames of 768 bytes; stereo, version 16.
        let frame = [0x0b, 0x77, 0x01, 0x7f, 0b0011_0100, 0x80];
        assert_eq!(eac3_config(&frame, 48_000), Some(vec![0x06, 0x00, 0x20, 0x04, 0x00]));
    }
}
