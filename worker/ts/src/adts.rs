//! Frames of AAC with headers (ISO/IEC 14496-3, section 1.A.3).

use crate::TsError;

/// Bytes of a header without a checksum.
const HEADER_BYTES: usize = 7;

/// What the headers of a track say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adts {
    object_type: u8,
    frequency: u8,
    channels: u8,
}

impl Adts {
    /// Of an AudioSpecificConfig (section 1.6.2.1).
    pub fn new(config: &[u8]) -> Result<Self, TsError> {
        let [first, second, ..] = *config else { return Err(TsError::SoundConfig) };
        let (object_type, frequency, channels) =
            (first >> 3, (first & 7) << 1 | second >> 7, second >> 3 & 0xf);
        if !(1..=4).contains(&object_type) || frequency > 12 || !(1..=7).contains(&channels) {
            return Err(TsError::SoundConfig);
        }
        Ok(Adts { object_type, frequency, channels })
    }

    /// Writes a frame behind its header.
    pub(crate) fn write(self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), TsError> {
        let length = u16::try_from(frame.len() + HEADER_BYTES).ok().filter(|length| *length < 1 << 13);
        let length = length.ok_or(TsError::SoundFrame)?;
        // MPEG-4, no checksum; the fullness of the buffer is that of a variable rate.
        out.extend([
            0xff,
            0xf1,
            (self.object_type - 1) << 6 | self.frequency << 2 | self.channels >> 2,
            self.channels << 6 | (length >> 11) as u8,
            (length >> 3) as u8,
            (length << 5) as u8 | 0x1f,
            0xfc,
        ]);
        out.extend(frame);
        Ok(())
    }

    /// Takes the first frame off: what its header says, and its bytes. `None` for what is no frame without a checksum.
    pub(crate) fn read<'a>(bytes: &mut &'a [u8]) -> Option<(Self, &'a [u8])> {
        let head = bytes.first_chunk::<HEADER_BYTES>()?;
        let length = usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
        if (head[0], head[1]) != (0xff, 0xf1) || head[6] & 3 != 0 {
            return None;
        }
        let adts = Adts {
            object_type: (head[2] >> 6) + 1,
            frequency: head[2] >> 2 & 0xf,
            channels: (head[2] & 1) << 2 | head[3] >> 6,
        };
        let (frame, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some((adts, frame.get(HEADER_BYTES..)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        // AAC-LC, 48 kHz, stereo.
        let adts = Adts::new(&[0x11, 0x90]).unwrap();
        let mut out = Vec::new();
        adts.write(&[7; 8184], &mut out).unwrap();
        adts.write(b"more", &mut out).unwrap();
        assert_eq!(out[..4], [0xff, 0xf1, 0x4c, 0x83]);
        let mut rest = out.as_slice();
        assert_eq!(Adts::read(&mut rest), Some((adts, &[7; 8184][..])));
        assert_eq!(Adts::read(&mut rest), Some((adts, &b"more"[..])));
        assert_eq!(Adts::read(&mut rest), None);
        assert_eq!(adts.write(&[0; 8185], &mut out), Err(TsError::SoundFrame));
    }

    #[test]
    fn what_a_header_cannot_say_is_refused() {
        for wrong in [&[][..], &[0x11], &[0x2b, 0x90], &[0x17, 0x90], &[0x11, 0x80]] {
            assert_eq!(Adts::new(wrong), Err(TsError::SoundConfig), "{wrong:?}");
        }
    }
}
