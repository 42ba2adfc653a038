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

use super::{LaneResult, RenditionSetup};
use crate::MediaError;
use crate::measure::{Around, CodedDigest, Compared, Comparison, OutputDecoder, Thumbnail};
use crate::timeline::Timeline;

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
    timeline: &'a Timeline,
    results: mpsc::Sender<LaneResult>,
    /// Of the mezzanine's frames that open parts still need.
    thumbnails: BTreeMap<u64, Box<Thumbnail>>,
    open: Vec<Open<'a>>,
}

impl<'a> Prover<'a> {
    pub(super) fn new(
        renditions: &'a [RenditionSetup],
        timeline: &'a Timeline,
        results: mpsc::Sender<LaneResult>,
    ) -> Self {
        Prover { renditions, timeline, results, thumbnails: BTreeMap::new(), open: Vec::new() }
    }

    /// Runs until nobody claims anything any more. The first thing that does not hold is its last result.
    pub(super) fn run_guarded(mut self, claims: &mpsc::Receiver<Claim>) {
        for claim in claims {
            let (lane, part) = match &claim {
                Claim::Segment { lane, part, .. } | Claim::End { lane, part, .. } => (*lane, *part),
                Claim::Begin { lane, spec } => (*lane, spec.index),
                Claim::Frame(..) | Claim::Abandon(_) => (0, PartIndex(0)),
            };
            let heard = catch_unwind(AssertUnwindSafe(|| self.hear(claim)));
            let heard = heard.unwrap_or_else(|_| Err(MediaError::failed("the proof of a part panicked")));
            if let Err(error) = heard {
                // A director that has left has its own reason.
                return self.results.send(LaneResult { lane, part, outcome: Err(error) }).unwrap_or(());
            }
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
        let label = format!("{} of rendition {}", spec.index, setup.settings.rendition.rendition.name);
        let decoder = OutputDecoder::open(&label, &setup.headers.avcc)?;
        let comparison = Comparison::new(&label, self.timeline, spec.start());
        self.open.push(Open { lane, spec, decoder, comparison, coded: CodedDigest::default() });
        Ok(())
    }

    fn position(&self, lane: usize, part: PartIndex) -> Option<usize> {
        self.open.iter().position(|open| open.lane == lane && open.spec.index == part)
    }

    fn prove(&mut self, lane: usize, part: PartIndex, segment: Vec<u8>) -> Result<(), MediaError> {
        // A part that was abandoned meanwhile is nobody's business.
        let Some(at) = self.position(lane, part) else { return Ok(()) };
        let delay = self.timeline.composition_delay();
        let malformed = |error| MediaError::failed(format!("{part} was written wrong: {error}"));
        for fragment in Fragments::of_ours(&segment) {
            for sample in fragment.map_err(|error| malformed(error.to_string()))?.samples {
                let start = sample.position as usize;
                let data = segment.get(start..start + sample.size as usize);
                let data = data.ok_or_else(|| malformed("a sample lies outside".to_owned()))?;
                self.open[at].coded.add(data);
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
        self.results.send(LaneResult { lane, part, outcome: Ok((record, path)) }).unwrap_or(());
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
