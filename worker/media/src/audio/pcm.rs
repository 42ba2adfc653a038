//! Sound as it is: 24 bits of each sample, the lowest byte first, channel by channel (ISO/IEC 23003-5).

use super::encoder::SoundEncoder;
use crate::MediaError;

/// What makes frames of PCM.
pub(super) struct PcmEncoder;

/// As many as a frame of AAC has, so that segments end alike.
const FRAME_SAMPLES: usize = 1024;
/// The lowest byte first, and the bits of a sample.
const CONFIG: [u8; 2] = [1, 24];

/// A sample of 24 bits: what a float holds exactly.
pub(super) fn to_24_bits(sample: f32) -> i32 {
    // The largest float of 24 bits is one step below full scale.
    let scaled = (f64::from(sample) * f64::from(1 << 23)).round();
    scaled.clamp(-f64::from(1 << 23), f64::from((1 << 23) - 1)) as i32
}

impl SoundEncoder for PcmEncoder {
    fn frame_samples(&self) -> usize {
        FRAME_SAMPLES
    }

    fn priming(&self) -> u64 {
        0
    }

    fn may_end_short(&self) -> bool {
        true
    }

    fn encode(&mut self, rows: &[&[f32]]) -> Result<Vec<Vec<u8>>, MediaError> {
        let samples = rows.first().map_or(0, |row| row.len());
        let mut frame = Vec::with_capacity(samples * rows.len() * 3);
        for at in 0..samples {
            for row in rows {
                frame.extend_from_slice(&to_24_bits(row[at]).to_le_bytes()[..3]);
            }
        }
        Ok(vec![frame])
    }

    fn finish(&mut self) -> Result<Vec<Vec<u8>>, MediaError> {
        Ok(Vec::new())
    }

    fn config(&self, _: &[u8]) -> Option<Vec<u8>> {
        Some(CONFIG.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_24_bits_pass_through_floats() {
        for value in [0, 1, -1, 8_388_607, -8_388_608, 5_592_405, -2_796_203] {
            let sample = value as f32 / (1 << 23) as f32;
            assert_eq!(to_24_bits(sample), value, "{value}");
        }
        assert_eq!([to_24_bits(2.0), to_24_bits(-2.0)], [8_388_607, -8_388_608]);
    }

    #[test]
    fn channels_alternate_with_the_lowest_byte_first() {
        let step = |value: i32| value as f32 / (1 << 23) as f32;
        let rows = [[step(0x01_02_03), step(-1)], [step(-0x80_00_00), step(0x7f_00_01)]];
        let frames = PcmEncoder.encode(&[&rows[0], &rows[1]]).unwrap();
        assert_eq!(frames, [vec![3, 2, 1, 0, 0, 0x80, 0xff, 0xff, 0xff, 1, 0, 0x7f]]);
    }
}
