//! A file of single pictures for players that wind: a header, an index, and a fragment for each picture.
//!
//! Byte ranges into the fragments of a rendition would do for a player that decodes what it is given, but not for one that
//! hands whole fragments to its decoder: their `moof` promises samples that are not there. Hence fragments of their own.

use crate::index::{Head, IndexError, Reference, index};
use crate::init::{Span, VideoInit, video_init};
use crate::segment::{Sample, fragment};

/// A picture that depends on no other, on the timeline of its file, which begins at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IFrame {
    /// When it is presented, in ticks.
    pub start: u64,
    /// Ticks to the next, or to the end of the title.
    pub duration: u32,
    /// Bytes of the coded picture; the format takes less than 2 GiB.
    pub size: u32,
}

impl IFrame {
    /// Its fragment: `moof` and `mdat`, without `styp`. `sequence` counts from 1; `data` are its coded bytes.
    pub fn fragment(&self, sequence: u32, data: &[u8]) -> Vec<u8> {
        let sample = Sample { data, duration: self.duration, composition_offset: 0, sync: true };
        fragment(sequence, self.start, &[sample])
    }

    /// Bytes of its fragment.
    pub fn fragment_bytes(&self) -> u64 {
        // All numbers in the head of a fragment of one sample have a fixed width.
        self.fragment(1, &[]).len() as u64 + u64::from(self.size)
    }
}

/// The head of the file that holds these pictures in order. Composition and decode times are the same, so that there is no
/// edit list.
pub fn head(init: &VideoInit<'_>, frames: &[IFrame]) -> Result<Head, IndexError> {
    let duration = frames.iter().map(|frame| u64::from(frame.duration)).sum();
    let mut bytes = video_init(init, Span { start: 0, duration });
    let init_bytes = bytes.len() as u64;
    let start = frames.first().map_or(0, |frame| frame.start);
    let reference =
        |frame: &IFrame| Reference { bytes: frame.fragment_bytes(), ticks: frame.duration.into() };
    bytes.extend(index(init.timescale, start, &frames.iter().map(reference).collect::<Vec<_>>())?);
    Ok(Head { bytes, init_bytes })
}

#[cfg(test)]
mod tests {
    use reel_common::{Hdr10, Rational};

    use super::*;
    use crate::VideoConfig;
    use crate::boxes::{children, u16_at, u32_at};
    use crate::fragment::Fragments;
    use crate::init::Bitrate;
    use crate::mov::Movie;

    fn init() -> VideoInit<'static> {
        VideoInit {
            timescale: 25,
            width: 320,
            height: 180,
            sample_aspect: Rational::whole(1),
            codec: VideoConfig::Avc(&[1, 66, 0, 30]),
            colour: None,
            hdr10: Hdr10::default(),
            bitrate: Bitrate { peak: 1, average: 1 },
        }
    }

    fn frames(count: u64) -> Vec<IFrame> {
        (0..count)
            .map(|number| IFrame { start: number * 100, duration: 100, size: 7 + number as u32 % 5 })
            .collect()
    }

    #[test]
    fn the_index_points_at_every_picture() {
        let frames = frames(3);
        let head = head(&init(), &frames).unwrap();
        let mut file = head.bytes.clone();
        for (number, frame) in (1u8..).zip(&frames) {
            let fragment = frame.fragment(number.into(), &vec![number; frame.size as usize]);
            assert_eq!(fragment.len() as u64, frame.fragment_bytes());
            file.extend(fragment);
        }
        let movie = Movie::read(&file).unwrap();
        assert!(movie.fragmented && movie.tracks[0].edits.is_empty());
        let mut at = head.bytes.len() as u64;
        let read: Vec<_> = Fragments::of_ours(&file).map(Result::unwrap).collect();
        let index = children(&file[head.init_bytes as usize..].to_vec().into()).next().unwrap();
        assert_eq!((&index.0, u16_at(&index.1, 30)), (b"sidx", Some(3)));
        for (number, (fragment, frame)) in read.iter().zip(&frames).enumerate() {
            let [sample] = fragment.samples.as_slice() else { panic!("one sample") };
            assert_eq!(
                (sample.pts as u64, sample.duration, sample.sync),
                (frame.start, frame.duration, true)
            );
            assert_eq!(file[sample.position as usize], number as u8 + 1);
            let reference = u32_at(&index.1, 32 + 12 * number);
            assert_eq!(reference, Some((fragment.end - at) as u32));
            at = fragment.end;
        }
        assert_eq!(read.len(), 3);
        assert_eq!(at, file.len() as u64);
    }
}
