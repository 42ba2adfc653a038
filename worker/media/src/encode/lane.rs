//! The thread of one rendition: scales and encodes what the director sends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use ffmpeg_next as ff;
use reel_common::{PartIndex, PartSpec};

use super::part::PartEncoder;
use super::prover::Claim;
use super::{LaneResult, RenditionSetup};
use crate::MediaError;
use crate::picture::Scaler;
use crate::recipe::Window;
use crate::timeline::Timeline;

/// What a lane is told.
pub(super) enum Order {
    Begin { spec: PartSpec, window: Window, path: PathBuf },
    Frame(u64, Arc<ff::frame::Video>),
    End(PartIndex),
    Abandon(PartIndex),
}

/// One rendition's thread.
pub(super) struct Lane<'a> {
    pub(super) number: usize,
    pub(super) rendition: &'a RenditionSetup,
    pub(super) timeline: &'a Timeline,
    pub(super) prover: mpsc::SyncSender<Claim>,
    pub(super) results: mpsc::Sender<LaneResult>,
}

impl Lane<'_> {
    /// Runs, and tells of a panic, for which the director would wait in vain.
    pub(super) fn run_guarded(&self, inbox: &mpsc::Receiver<Order>) {
        if catch_unwind(AssertUnwindSafe(|| self.run(inbox))).is_err() {
            let name = &self.rendition.settings.rendition.rendition.name;
            self.fail(PartIndex(0), MediaError::failed(format!("the encoder of rendition {name} panicked")));
        }
    }

    fn fail(&self, part: PartIndex, error: MediaError) {
        // A director that has left has its own reason.
        self.results.send(LaneResult { lane: self.number, part, outcome: Err(error) }).unwrap_or(());
    }

    fn run(&self, inbox: &mpsc::Receiver<Order>) {
        let size = &self.rendition.settings.rendition;
        let mut scaler = Scaler::for_encoder(size.width, size.height, self.rendition.turn);
        let mut parts: Vec<PartEncoder<'_>> = Vec::new();
        for order in inbox {
            let part = match &order {
                Order::Begin { spec, .. } => spec.index,
                Order::End(part) | Order::Abandon(part) => *part,
                Order::Frame(..) => parts.first().map_or(PartIndex(0), PartEncoder::index),
            };
            if let Err(error) = self.follow(order, &mut parts, &mut scaler) {
                return self.fail(part, error);
            }
        }
    }

    fn follow<'p>(
        &'p self,
        order: Order,
        parts: &mut Vec<PartEncoder<'p>>,
        scaler: &mut Scaler,
    ) -> Result<(), MediaError> {
        match order {
            Order::Begin { spec, window, path } => {
                parts.push(PartEncoder::open(self.timeline, &self.rendition.settings, spec, window, path)?);
            }
            Order::Frame(frame, picture) => {
                let scaled = scaler.scale(&picture)?;
                for part in parts {
                    part.push(frame, scaled)?;
                    self.claim_written(part);
                }
            }
            Order::End(index) => {
                if let Some(at) = parts.iter().position(|part| part.index() == index) {
                    let mut part = parts.remove(at);
                    part.drain()?;
                    self.claim_written(&mut part);
                    let (record, path) = part.finish()?;
                    let record = Box::new(record);
                    self.claim(Claim::End { lane: self.number, part: index, record, path });
                }
            }
            Order::Abandon(index) => parts.retain(|part| part.index() != index),
        }
        Ok(())
    }

    fn claim_written(&self, part: &mut PartEncoder<'_>) {
        for bytes in part.written() {
            self.claim(Claim::Segment { lane: self.number, part: part.index(), bytes });
        }
    }

    fn claim(&self, claim: Claim) {
        // A prover that has left has said why.
        self.prover.send(claim).unwrap_or(());
    }
}
