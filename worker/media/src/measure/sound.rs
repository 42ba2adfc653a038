//! The sound of the output against that of the mezzanine: complete, and nowhere later or earlier.

use reel_cmaf::mov::TrackKind;
use reel_profiles::AudioTrack;
use reel_proto::v1;

use super::tree::{CodedTrack, Joined, Stream};
use crate::MediaError;
use crate::audio::{Sound, SoundReader};

/// Samples of a passage that is looked for.
const PASSAGE: usize = 16_384;
/// How far it is looked for on either side, in samples: twice what is allowed.
const REACH: usize = 2048;
/// Largest delay: one AAC frame.
const MAX_OFFSET: i32 = 1024;
/// Passages of less energy (mean square of samples from -1 to 1) are silence.
const MIN_ENERGY: f64 = 1e-6;
/// Correlation below which two passages are not the same sound.
const MIN_CORRELATION: f64 = 0.5;
/// A passage that is this much like itself elsewhere has no place of its own.
const AMBIGUOUS: f64 = 0.98;

/// The loudest passage of each third of the title, mixed to one channel.
pub(crate) struct Passages {
    /// Samples of the title.
    title: u64,
    thirds: [Option<Passage>; 3],
    waiting: Vec<f32>,
    /// Where `waiting` begins.
    start: u64,
}

#[derive(Clone)]
struct Passage {
    start: u64,
    samples: Vec<f32>,
    energy: f64,
}

fn mix(sound: &Sound) -> Vec<f32> {
    let count = sound.channels.len().max(1) as f32;
    (0..sound.frames()).map(|at| sound.channels.iter().map(|row| row[at]).sum::<f32>() / count).collect()
}

impl Passages {
    /// Of a title of `samples`, nothing is known yet.
    pub(crate) fn new(samples: u64) -> Self {
        Passages { title: samples, thirds: [const { None }; 3], waiting: Vec::new(), start: 0 }
    }

    /// Takes the next sound of the title before it was encoded.
    pub(crate) fn add(&mut self, block: &Sound) {
        if self.start + self.waiting.len() as u64 != block.start {
            self.waiting.clear();
            self.start = block.start;
        }
        self.waiting.extend(mix(block));
        while self.waiting.len() >= PASSAGE {
            let rest = self.waiting.split_off(PASSAGE);
            let taken = std::mem::replace(&mut self.waiting, rest);
            self.offer(taken);
            self.start += PASSAGE as u64;
        }
    }

    /// Says that no more sound comes.
    pub(crate) fn end(&mut self) {
        let last = std::mem::take(&mut self.waiting);
        if !last.is_empty() {
            self.offer(last);
        }
    }

    fn offer(&mut self, samples: Vec<f32>) {
        let energy = samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum::<f64>() / PASSAGE as f64;
        let third = (self.start * 3 / self.title.max(1)).min(2) as usize;
        let louder = self.thirds[third].as_ref().is_none_or(|passage| passage.energy < energy);
        let inside = self.start + samples.len() as u64 <= self.title;
        if louder && energy > MIN_ENERGY && inside {
            self.thirds[third] = Some(Passage { start: self.start, samples, energy });
        }
    }
}

/// Checks one track of the output against the passages of its source.
pub(super) fn prove(
    stream: &Stream,
    passages: &Passages,
    track: &AudioTrack,
) -> Result<v1::AudioProof, MediaError> {
    CodedTrack::of_stream(stream, TrackKind::Audio)?;
    let carrier = &stream.carriers[0];
    let label = &carrier.label;
    let bytes = Joined::new(carrier.paths.clone())
        .map_err(|error| MediaError::failed(format!("{label} of the output cannot be read: {error}")))?;
    let sound = SoundReader::of_track(bytes, label, track.sample_rate, track.channels)?;
    let offsets = check_offsets(sound, label, passages)?;
    let (name, samples, sample_rate) = (stream.name.clone(), passages.title, track.sample_rate);
    Ok(v1::AudioProof { name, samples, sample_rate, offsets })
}

/// Decodes a track of ours, mixed as the passages are. It must be as long as the title and have each passage in its
/// place; gives by how many samples each is late. `label` is for messages.
pub(crate) fn check_offsets(
    mut sound: SoundReader,
    label: &str,
    passages: &Passages,
) -> Result<Vec<i32>, MediaError> {
    let mut around: Vec<(i64, Vec<f32>)> = passages
        .thirds
        .iter()
        .flatten()
        .map(|p| (p.start as i64 - REACH as i64, vec![0.0; p.samples.len() + 2 * REACH]))
        .collect();
    let mut due = 0;
    while let Some(block) = sound.next()? {
        if block.start != due {
            return Err(MediaError::failed(format!("{label} has a gap at sample {due}")));
        }
        due += block.frames() as u64;
        let mixed = mix(&block);
        for (start, samples) in &mut around {
            copy_overlap(*start, samples, block.start as i64, &mixed);
        }
    }
    if due < passages.title {
        let samples = passages.title;
        return Err(MediaError::failed(format!("{label} ends at sample {due} of {samples}")));
    }
    let found = passages.thirds.iter().flatten().zip(&around);
    let found = found.filter_map(|(passage, (_, around))| offset(&passage.samples, around));
    found
        .map(|found| match found {
            Ok(offset) if offset.abs() <= MAX_OFFSET => Ok(offset),
            Ok(offset) => Err(MediaError::failed(format!("{label} is late by {offset} samples"))),
            Err(likeness) => Err(MediaError::failed(format!(
                "{label} is not the sound of the mezzanine: they correlate by {likeness:.2}, as noise does at too low a bit rate"
            ))),
        })
        .collect()
}

/// Copies what `block`, which begins at `at`, has of `samples`, which begin at `start`.
fn copy_overlap(start: i64, samples: &mut [f32], at: i64, block: &[f32]) {
    let from = start.max(at);
    let to = (start + samples.len() as i64).min(at + block.len() as i64);
    if from < to {
        let source = &block[(from - at) as usize..(to - at) as usize];
        samples[(from - start) as usize..(to - start) as usize].copy_from_slice(source);
    }
}

/// By how many samples `passage` is late within `around`, which reaches beyond it on both sides; `None` where the
/// sound has no shape to tell by, an error with the correlation where it is not there.
fn offset(passage: &[f32], around: &[f32]) -> Option<Result<i32, f64>> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let own = dot(passage, passage);
    let likeness = |lag: usize| {
        let there = &around[lag..lag + passage.len()];
        dot(passage, there) / (own * dot(there, there)).sqrt().max(f64::MIN_POSITIVE)
    };
    let here = likeness(REACH);
    let best = (0..=2 * REACH).map(|lag| (lag, likeness(lag))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    if best.1 < MIN_CORRELATION {
        return Some(Err(best.1));
    }
    // A steady tone is like itself at every period: then the place where it should be is as good as the best.
    if here >= AMBIGUOUS * best.1 {
        return Some(Ok(0));
    }
    Some(Ok(best.0 as i32 - REACH as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<f32> {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..length).map(|_| next()).collect()
    }

    fn around(passage: &[f32], late: i64) -> Vec<f32> {
        let mut around = vec![0.0; passage.len() + 2 * REACH];
        copy_overlap(0, &mut around, REACH as i64 + late, passage);
        around
    }

    #[test]
    fn a_delay_is_found_to_the_sample() {
        let passage = noise(4000);
        for late in [0, 1, -1, 700, -2000] {
            assert_eq!(offset(&passage, &around(&passage, late)), Some(Ok(late as i32)));
        }
    }

    #[test]
    fn a_steady_tone_is_not_called_late_and_other_sound_not_the_same() {
        let tone: Vec<f32> = (0..4000 + 2 * REACH).map(|at| (at as f32 * 0.1).sin()).collect();
        assert_eq!(offset(&tone[REACH..REACH + 4000], &tone), Some(Ok(0)));
        assert!(matches!(offset(&noise(4000), &around(&tone[..4000], 0)), Some(Err(_))));
    }
}
