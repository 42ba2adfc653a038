//! The proof of a part while it is encoded: what was written is decoded again and held, frame by frame, against the
//! frames that the encoders were given. A part is handed over only when every frame of it has been found in its place.
//!
//! One thread proves all renditions of a chunk, a segment at a time, in the order in which they are written.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc;

use reel_cmaf::fragment::Fragments;
use reel_common::{PartIndex, PartSpec};
use reel_proto::v1;

use super::{Outcome, Proved, RenditionSetup};
use crate::MediaError;
use crate::measure::{Around, CodedDigest, Compared, Comparison, OutputDecoder, Thumbnail};
use crate::times::TitleTimes;

/// What the prover is told. Whoever sends a claim has seen to it that what it rests on was sent before.
pub(super) enum Claim {
    /// A rendition of a part is going to be encoded.
    Begin { lane: usize, spec: PartSpec },
    /// A frame of the mezzanine.
    Frame(u64, Box<Thumbnail>),
    /// A segment as it was written, the next of its part.
    Segment { lane: usize, part: PartIndex, bytes: Vec<u8> },
    /// All segments were written: the record, and the file.
    End { lane: usize, part: PartIndex, record: Box<v1::RenditionPart>, path: PathBuf },
    /// A part will not be finished here.
    Abandon(PartIndex),
}

/// One rendition of one part on its way.
struct Open<'a> {
    lane: usize,
    spec: PartSpec,
    decoder: OutputDecoder,
    comparison: Comparison<'a>,
    coded: CodedDigest,
}

/// The thread that proves.
pub(super) struct Prover<'a> {
    renditions: &'a [RenditionSetup],
    times: &'a TitleTimes,
    results: mpsc::Sender<Outcome>,
    /// Of the mezzanine's frames that open parts still need.
    thumbnails: BTreeMap<u64, Box<Thumbnail>>,
    open: Vec<Open<'a>>,
}

impl<'a> Prover<'a> {
    pub(super) fn new(
        renditions: &'a [RenditionSetup],
        times: &'a TitleTimes,
        results: mpsc::Sender<Outcome>,
    ) -> Self {
        Prover { renditions, times, results, thumbnails: BTreeMap::new(), open: Vec::new() }
    }

    /// Runs until nobody claims anything any more. The first thing that does not hold is its last result.
    pub(super) fn run_guarded(mut self, claims: &mpsc::Receiver<Claim>) {
        let results = self.results.clone();
        let ran = catch_unwind(AssertUnwindSafe(|| claims.iter().try_for_each(|claim| self.hear(claim))));
        let ran = ran.unwrap_or_else(|_| Err(MediaError::failed("the proof of a part panicked")));
        if let Err(error) = ran {
            // A director that has left has its own reason.
            results.send(Err(error)).unwrap_or(());
        }
    }

    fn hear(&mut self, claim: Claim) -> Result<(), MediaError> {
        match claim {
            Claim::Begin { lane, spec } => self.begin(lane, spec),
            Claim::Frame(frame, thumbnail) => {
                self.thumbnails.insert(frame, thumbnail);
                Ok(())
            }
            Claim::Segment { lane, part, bytes } => self.prove(lane, part, bytes),
            Claim::End { lane, part, record, path } => self.end(lane, part, *record, path),
            Claim::Abandon(part) => {
                self.open.retain(|open| open.spec.index != part);
                self.forget();
                Ok(())
            }
        }
    }

    fn begin(&mut self, lane: usize, spec: PartSpec) -> Result<(), MediaError> {
        let setup = &self.renditions[lane];
        let label = format!("part {} of rendition {}", spec.index, setup.settings.rendition.rendition.name);
        let codec = setup.settings.coding().codec();
        let decoder = OutputDecoder::open(&label, codec, &setup.headers.config)?;
        let comparison = Comparison::new(&label, self.times, spec.start());
        self.open.push(Open { lane, spec, decoder, comparison, coded: CodedDigest::default() });
        Ok(())
    }

    fn position(&self, lane: usize, part: PartIndex) -> Option<usize> {
        self.open.iter().position(|open| open.lane == lane && open.spec.index == part)
    }

    fn prove(&mut self, lane: usize, part: PartIndex, segment: Vec<u8>) -> Result<(), MediaError> {
        // A part that was abandoned meanwhile is nobody's business.
        let Some(at) = self.position(lane, part) else { return Ok(()) };
        let delay = self.times.composition_delay();
        let malformed = |error| MediaError::failed(format!("part {part} was written wrong: {error}"));
        for fragment in Fragments::of_ours(&segment) {
            for sample in fragment.map_err(|error| malformed(error.to_string()))?.samples {
                let start = sample.position as usize;
                let data = segment.get(start..start + sample.size as usize);
                let data = data.ok_or_else(|| malformed("a sample lies outside".to_owned()))?;
                self.open[at].coded.add(sample.pts - delay, data);
                self.open[at].decoder.send(data, sample.pts - delay, sample.dts)?;
                self.compare(at)?;
            }
        }
        self.forget();
        Ok(())
    }

    /// Compares the pictures that the decoder has ready.
    fn compare(&mut self, at: usize) -> Result<(), MediaError> {
        let Open { decoder, comparison, .. } = &mut self.open[at];
        while let Some((pts, output)) = decoder.receive()? {
            let frame = comparison.next();
            let thumbnail = |frame: u64| self.thumbnails.get(&frame).map(Box::as_ref);
            let before = frame.checked_sub(1).and_then(thumbnail);
            let around = Around { before, own: thumbnail(frame), after: thumbnail(frame + 1) };
            comparison.push(pts, &output, &around)?;
        }
        Ok(())
    }

    fn end(
        &mut self,
        lane: usize,
        part: PartIndex,
        record: v1::RenditionPart,
        path: PathBuf,
    ) -> Result<(), MediaError> {
        let Some(at) = self.position(lane, part) else { return Ok(()) };
        self.open[at].decoder.end()?;
        self.compare(at)?;
        let Open { comparison, coded, spec, .. } = self.open.remove(at);
        let Compared { worst_difference_ppm, ties } = comparison.finish(spec.end)?;
        self.forget();
        let coded_digest = coded.finish().0.to_vec();
        let proof = v1::PartProof { worst_difference_ppm, ties, coded_digest, ..Default::default() };
        let record = v1::RenditionPart { proof: Some(proof), ..record };
        self.results.send(Ok(Proved { lane, part, record, path })).unwrap_or(());
        Ok(())
    }

    /// Drops the thumbnails that no open part needs any more.
    fn forget(&mut self) {
        let needed = self.open.iter().map(|open| open.comparison.next().saturating_sub(1)).min();
        match needed {
            Some(first) => self.thumbnails = self.thumbnails.split_off(&first),
            None => self.thumbnails.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ff::format::Pixel;
    use ffmpeg_next as ff;
    use reel_common::Rational;
    use reel_profiles::{Coding, Preset, VideoCodec};

    use super::super::lane::Assignment;
    use super::super::part::PartEncoder;
    use super::*;
    use crate::encoder::Settings;
    use crate::encoder::tests::settings;
    use crate::measure::Reducer;
    use crate::recipe::Window;
    use crate::timeline::Timeline;
    use crate::timeline::{Packet, tests::timeline};

    const FRAMES: u64 = 24;

    /// A bright bar that moves by an area of a thumbnail from frame to frame.
    fn bar(frame: u64) -> ff::frame::Video {
        let mut picture = ff::frame::Video::new(Pixel::YUV420P, 320, 180);
        for plane in 0..3 {
            picture.data_mut(plane).fill(if plane == 0 { 40 } else { 128 });
        }
        let stride = picture.stride(0);
        for line in picture.data_mut(0).chunks_mut(stride) {
            line[frame as usize * 5..][..60].fill(200);
        }
        picture
    }

    /// A title of `FRAMES` at 24 a second.
    fn constant_timeline() -> Timeline {
        let frames: Vec<i64> = (0..FRAMES as i64).collect();
        let packet = |pts: &i64| Packet { position: *pts, size: 1, pts: *pts, dts: *pts };
        let packets: Vec<Packet> = frames.iter().map(packet).collect();
        timeline(&frames, &packets, &[0], Some(Rational::whole(24)))
    }

    fn setup(settings: Settings) -> RenditionSetup {
        let headers = settings.open().unwrap().headers().unwrap();
        let surroundings = settings.surroundings().unwrap();
        RenditionSetup { settings, headers, surroundings, turn: 0, given: None, vmaf: None }
    }

    /// A part that sees the whole title.
    fn open<'a>(
        timeline: &'a Timeline,
        setup: &RenditionSetup,
        spec: &PartSpec,
        folder: &Path,
    ) -> PartEncoder<'a> {
        let (window, path) = (Window { start: 0, end: FRAMES }, folder.join("part.m4s"));
        let part = Assignment { spec: spec.clone(), settings: setup.settings.clone(), window, path };
        PartEncoder::open(timeline, setup, part).unwrap()
    }

    /// Encodes a part of two segments while the prover is told that frame n looks as `shown(n)` does; `change` is what
    /// happens to its segments on the way.
    fn prove(
        codec: VideoCodec,
        shown: impl Fn(u64) -> u64,
        change: impl Fn(&mut Vec<Vec<u8>>),
    ) -> Result<(v1::RenditionPart, PathBuf), MediaError> {
        let folder = tempfile::tempdir().unwrap();
        let setup = setup(settings(codec));
        let timeline = constant_timeline();
        let spec =
            PartSpec { index: PartIndex(0), segment_starts: vec![0, 12], end: FRAMES, first_segment: 0 };
        let (claims, inbox) = mpsc::sync_channel(100);
        let claim = |claim| claims.send(claim).unwrap();
        let mut part = open(&timeline, &setup, &spec, folder.path());
        claim(Claim::Begin { lane: 0, spec });
        let mut reducer = Reducer::new(0);
        for frame in 0..FRAMES {
            let thumbnail = reducer.reduce(&bar(shown(frame))).unwrap().thumbnail;
            claim(Claim::Frame(frame, Box::new(thumbnail)));
            part.push(frame, &bar(frame)).unwrap();
        }
        part.drain().unwrap();
        let mut segments = part.written();
        change(&mut segments);
        for bytes in segments {
            claim(Claim::Segment { lane: 0, part: PartIndex(0), bytes });
        }
        let (record, path) = part.finish().unwrap();
        claim(Claim::End { lane: 0, part: PartIndex(0), record: Box::new(record), path });
        drop(claims);
        let (results, finished) = mpsc::channel();
        Prover::new(std::slice::from_ref(&setup), timeline.times(), results).run_guarded(&inbox);
        finished.recv().unwrap().map(|proved| (proved.record, proved.path))
    }

    #[test]
    fn a_part_is_not_handed_over_before_the_frame_after_it_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(VideoCodec::H264);
        let Coding::H264 { preset, .. } = &mut settings.rendition.rendition.coding else { panic!() };
        *preset = Preset::Ultrafast;
        let timeline = constant_timeline();
        let spec = PartSpec { index: PartIndex(0), segment_starts: vec![0, 6], end: 12, first_segment: 0 };
        let mut part = open(&timeline, &setup(settings), &spec, folder.path());
        (0..12).for_each(|frame| part.push(frame, &bar(frame)).unwrap());
        // Its encoder has given all of it.
        assert_eq!((part.is_complete(), part.written().len()), (false, 1));
        part.push(12, &bar(12)).unwrap();
        assert_eq!((part.is_complete(), part.written().len()), (true, 1));
    }

    fn refused(shown: impl Fn(u64) -> u64, change: impl Fn(&mut Vec<Vec<u8>>), reason: &str) {
        for codec in VideoCodec::ALL {
            let message = prove(*codec, &shown, &change).unwrap_err().message;
            assert!(message.contains(reason), "{codec}: {message}");
        }
    }

    #[test]
    fn a_part_whose_frames_are_in_their_places_is_handed_over_with_its_proof() {
        for codec in VideoCodec::ALL {
            let (record, _) = prove(*codec, |frame| frame, |_| ()).unwrap();
            let proof = record.proof.unwrap();
            assert_eq!((record.frames, proof.ties), (FRAMES, 0), "{codec}");
            assert!(proof.worst_difference_ppm < 20_000, "{codec}: {proof:?}");
            assert_eq!(proof.coded_digest.len(), 32);
        }
    }

    #[test]
    fn a_part_that_is_off_by_a_frame_is_refused() {
        refused(|frame| frame + 1, |_| (), "in the place of frame");
        // The last two frames have changed places.
        refused(|frame| if frame < 22 { frame } else { 45 - frame }, |_| (), "in the place of frame");
    }

    #[test]
    fn a_part_that_is_not_whole_is_refused() {
        refused(|frame| frame, |segments| drop(segments.pop()), "decodes to frame 12 and no further");
        refused(|frame| frame, |segments| segments.swap(0, 1), "is due");
        let damage = |segments: &mut Vec<Vec<u8>>| {
            let middle = segments[0].len() / 2;
            segments[0][middle..].fill(0xA5);
        };
        refused(|frame| frame, damage, "part 0 of rendition 540p does not decode");
    }
}
