//! How loud a track is, where it is clipped, and by how much it is made louder or softer: EBU R 128, with the measures of
//! ITU-R BS.1770.

use ebur128::{EbuR128, Mode};
use reel_profiles::Loudness;
use reel_proto::v1;

use super::Sound;
use crate::MediaError;

/// Measures sound as it comes.
pub(super) struct Meter {
    meter: EbuR128,
    /// For each channel the samples at full scale that it ended with.
    at_full_scale: Vec<u64>,
    clipped: u64,
    /// Samples until there is enough to measure.
    lacking: usize,
}

/// The largest sample of 16 bits: what is cut off stands there, whatever it came through since.
const FULL_SCALE: f32 = 1.0 - 1.0 / 32_768.0;
/// Samples at full scale in a row that are cut off; fewer may be the crest of a wave.
const CUT_OFF: u64 = 3;

impl Meter {
    /// A meter for so many channels in libav's usual order, at this rate.
    pub(super) fn new(channels: u32, rate: u32) -> Result<Self, MediaError> {
        let meter = EbuR128::new(channels, rate, Mode::I | Mode::TRUE_PEAK).map_err(no_meter)?;
        // A gating block of 400 ms (ITU-R BS.1770-5, annex 1).
        let lacking = rate as usize * 2 / 5;
        Ok(Meter { meter, at_full_scale: vec![0; channels as usize], clipped: 0, lacking })
    }

    /// Measures sound that follows what was measured before.
    pub(super) fn add(&mut self, sound: &Sound) -> Result<(), MediaError> {
        self.lacking = self.lacking.saturating_sub(sound.frames());
        for (channel, run) in sound.channels.iter().zip(&mut self.at_full_scale) {
            for sample in channel {
                *run = if sample.abs() >= FULL_SCALE { *run + 1 } else { 0 };
                // The third brings those before it along.
                self.clipped += match *run {
                    CUT_OFF => CUT_OFF,
                    run => u64::from(run > CUT_OFF),
                };
            }
        }
        let rows: Vec<&[f32]> = sound.channels.iter().map(Vec::as_slice).collect();
        self.meter.add_frames_planar_f32(&rows).map_err(no_meter)
    }

    /// What was found of all that was added; less than a gating block is measured with silence behind it.
    pub(super) fn measured(mut self) -> Result<Measured, MediaError> {
        let channels = self.at_full_scale.len();
        self.add(&Sound::silence(0, self.lacking, channels))?;
        let integrated = self.meter.loudness_global().map_err(no_meter)?;
        let peaks = (0..channels as u32).map(|channel| self.meter.true_peak(channel).map_err(no_meter));
        let peak = peaks.collect::<Result<Vec<f64>, _>>()?.into_iter().fold(0.0, f64::max);
        let true_peak = hundredths(20.0 * peak.log10());
        Ok(Measured { integrated: hundredths(integrated), true_peak, clipped: self.clipped })
    }
}

fn no_meter(error: ebur128::Error) -> MediaError {
    MediaError::failed(format!("the loudness cannot be measured: {error}"))
}

/// Hundredths, as far as there are any: silence has no level.
fn hundredths(level: f64) -> Option<i32> {
    level.is_finite().then(|| (level * 100.0).round() as i32)
}

/// How loud a track is; each `None` where it is silent, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Measured {
    /// Integrated loudness in LUFS.
    integrated: Option<i32>,
    /// True peak in dBTP.
    true_peak: Option<i32>,
    /// Samples that are cut off at full scale.
    clipped: u64,
}

impl Measured {
    /// The gain in hundredths of a decibel that brings a track to its loudness, as far as its peaks leave room.
    pub(super) fn gain_to(self, wanted: Loudness) -> i32 {
        let (Some(integrated), Some(peak)) = (self.integrated, self.true_peak) else { return 0 };
        (wanted.lufs_milli / 10 - integrated).min(wanted.true_peak_milli / 10 - peak)
    }

    /// What a stream of Dolby says of a track that neither is loud nor was measured: it is played as it is.
    pub(super) const SOFTEST: i32 = -31;

    /// What a stream of Dolby says of the track once it has its gain, in whole LUFS (ETSI TS 102 366, section 5.4.2.8).
    pub(super) fn dialnorm(self, gain: i32) -> i32 {
        let integrated =
            self.integrated.map(|integrated| (f64::from(integrated + gain) / 100.0).round() as i32);
        integrated.map_or(Self::SOFTEST, |level| level.clamp(Self::SOFTEST, -1))
    }

    /// What is recorded of a track that was given a gain.
    pub(super) fn with_gain(self, gain: i32) -> v1::AudioLoudness {
        let Measured { integrated, true_peak, clipped } = self;
        v1::AudioLoudness { integrated, true_peak, gain, clipped_samples: Some(clipped) }
    }
}

/// Makes sound louder by hundredths of a decibel.
pub(super) fn amplify(sound: &mut Sound, gain: i32) {
    if gain != 0 {
        let factor = 10f64.powf(f64::from(gain) / 2000.0) as f32;
        sound.channels.iter_mut().flatten().for_each(|sample| *sample *= factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(amplitude: f32, channels: usize) -> Sound {
        let row: Vec<f32> = (0..48_000 * 4)
            .map(|at| amplitude * (at as f32 * std::f32::consts::TAU * 997.0 / 48_000.0).sin())
            .collect();
        Sound { start: 0, channels: vec![row; channels] }
    }

    fn measure(sound: &Sound, silence: usize) -> Measured {
        let mut meter = Meter::new(sound.channels.len() as u32, 48_000).unwrap();
        meter.add(sound).unwrap();
        meter.add(&Sound::silence(0, silence, sound.channels.len())).unwrap();
        meter.measured().unwrap()
    }

    #[test]
    fn tones_have_the_loudness_of_the_standard() {
        // ITU-R BS.1770-5: a full-scale sine of 997 Hz in one front channel is -3.01 LUFS; EBU Tech 3341: at -23 dBFS in
        // both it is -23 LUFS.
        assert_eq!(measure(&tone(1.0, 1), 0).integrated, Some(-301));
        let both = tone(10f32.powf(-23.0 / 20.0), 2);
        let measured = measure(&both, 0);
        assert_eq!(measured.integrated, Some(-2300));
        assert!((-2301..=-2298).contains(&measured.true_peak.unwrap()), "{measured:?}");
        // Gated: what is silent does not make it softer, but for the blocks on its edge.
        assert!((-2320..=-2300).contains(&measure(&both, 48_000 * 60).integrated.unwrap()));
        // The low-frequency channel does not count, those behind count by 1.5 dB more.
        let mut surround = tone(0.0, 6);
        surround.channels[3].clone_from(&both.channels[0]);
        assert_eq!(measure(&surround, 0).integrated, None);
        surround.channels[4].clone_from(&tone(1.0, 1).channels[0]);
        assert!((-153..=-149).contains(&measure(&surround, 0).integrated.unwrap()));
    }

    #[test]
    fn what_stands_at_full_scale_three_times_in_a_row_is_clipped() {
        let mut meter = Meter::new(2, 48_000).unwrap();
        let crests = [0.5, 1.0, 0.5, 1.0, -1.0, 0.5, 1.0];
        let cut = [0.0, 0.0, 0.0, 0.0, 0.0, -1.0, -0.99997];
        meter.add(&Sound { start: 0, channels: vec![crests.to_vec(), cut.to_vec()] }).unwrap();
        assert_eq!(meter.clipped, 0);
        // A run goes on over blocks.
        let more = vec![vec![1.1, 0.999_969_5, 1.0, 0.0], vec![-1.0, 0.5, -1.0, -1.0]];
        meter.add(&Sound { start: 7, channels: more }).unwrap();
        assert_eq!(meter.measured().unwrap().clipped, 4 + 3);
    }

    #[test]
    fn what_is_shorter_than_a_gating_block_has_a_level() {
        let mut short = tone(1.0, 1);
        short.channels[0].truncate(9_600);
        let level = measure(&short, 0).integrated.unwrap();
        assert!((-700..=-500).contains(&level), "half of it is silence: {level}");
    }

    #[test]
    fn the_gain_ends_where_peaks_would_be_too_high() {
        let wanted = Loudness { lufs_milli: -23_000, true_peak_milli: -1_000 };
        let gain = |integrated, true_peak| Measured { integrated, true_peak, clipped: 0 }.gain_to(wanted);
        assert_eq!(gain(Some(-3000), Some(-2000)), 700);
        assert_eq!(gain(Some(-1500), Some(-10)), -800);
        assert_eq!(gain(Some(-3000), Some(-450)), 350);
        assert_eq!(gain(None, None), 0);
        let mut sound = tone(0.5, 1);
        amplify(&mut sound, 602);
        let peak = sound.channels[0].iter().fold(0.0_f32, |peak, sample| peak.max(*sample));
        assert!((peak - 1.0).abs() < 0.001, "{peak}");
    }
}
