//! The thread of one rendition: scales and encodes what the director sends.
//!
//! An encoder with its lookahead is most of the memory of an attempt, so there is one at a time: what the next part needs
//! of the frames that the part in hand still looks at is kept as pictures of the rendition's size, which are half as large.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use ffmpeg_next as ff;
use reel_common::{PartIndex, PartSpec, Scan};

use super::judge::judged;
use super::part::PartEncoder;
use super::prover::Claim;
use super::{Outcome, RenditionSetup};
use crate::MediaError;
use crate::encoder::{Settings, Surroundings};
use crate::picture::Scaler;
use crate::recipe::Window;
use crate::timeline::Timeline;

/// A part that a lane is to encode.
pub(super) struct Assignment {
    pub(super) spec: PartSpec,
    pub(super) settings: Settings,
    /// The frames that are decoded for it.
    pub(super) window: Window,
    /// Where it is written.
    pub(super) path: PathBuf,
}

impl Assignment {
    /// Those of them that an encoder with such surroundings is given.
    pub(super) fn seen(&self, surroundings: Surroundings) -> Window {
        let Surroundings { preroll, tail } = surroundings;
        Window {
            start: self.window.start.max(self.spec.start().saturating_sub(preroll)),
            end: self.window.end.min(self.spec.end + tail),
        }
    }

    /// Those of them that are looked at: by the encoder, or by what measures VMAF.
    fn kept(&self, setup: &RenditionSetup) -> Window {
        let seen = self.seen(setup.surroundings);
        match setup.vmaf.map(|_| judged(&self.spec, self.window)) {
            Some(judged) => Window { start: seen.start.min(judged.start), end: seen.end.max(judged.end) },
            None => seen,
        }
    }
}

/// What a lane is told.
pub(super) enum Order {
    Begin(Box<Assignment>),
    Frame(u64, Arc<ff::frame::Video>),
    End(PartIndex),
    Abandon(PartIndex),
}

/// A part that waits for the encoder of the part before it, with the frames that came meanwhile.
struct Waiting {
    part: Box<Assignment>,
    frames: Vec<(u64, Arc<ff::frame::Video>)>,
    /// No more frames come.
    ended: bool,
}

/// The parts that a lane was told to begin and has not finished.
#[derive(Default)]
struct Parts<'a> {
    active: Option<PartEncoder<'a>>,
    waiting: VecDeque<Waiting>,
}

/// One rendition's thread.
pub(super) struct Lane<'a> {
    pub(super) number: usize,
    pub(super) rendition: &'a RenditionSetup,
    pub(super) timeline: &'a Timeline,
    pub(super) prover: mpsc::SyncSender<Claim>,
    pub(super) results: mpsc::Sender<Outcome>,
}

impl Lane<'_> {
    /// Runs, and tells of a failure or a panic, for which the director would wait in vain.
    pub(super) fn run_guarded(&self, inbox: &mpsc::Receiver<Order>) {
        let ran = catch_unwind(AssertUnwindSafe(|| self.run(inbox)));
        let ran = ran.unwrap_or_else(|_| {
            let name = &self.rendition.settings.rendition.rendition.name;
            Err(MediaError::failed(format!("the encoder of rendition {name} panicked")))
        });
        if let Err(error) = ran {
            // A director that has left has its own reason.
            self.results.send(Err(error)).unwrap_or(());
        }
    }

    fn run(&self, inbox: &mpsc::Receiver<Order>) -> Result<(), MediaError> {
        let size = &self.rendition.settings.rendition;
        let mut scaler = Scaler::for_encoder(
            size.width,
            size.height,
            self.rendition.turn,
            self.rendition.settings.pixel_format(),
        );
        if size.scan != Scan::Progressive {
            scaler = scaler.by_fields();
        }
        let mut parts = Parts::default();
        inbox.iter().try_for_each(|order| self.follow(order, &mut parts, &mut scaler))
    }

    fn follow<'p>(
        &'p self,
        order: Order,
        parts: &mut Parts<'p>,
        scaler: &mut Scaler,
    ) -> Result<(), MediaError> {
        match order {
            Order::Begin(part) => {
                parts.waiting.push_back(Waiting { part, frames: Vec::new(), ended: false });
            }
            Order::Frame(frame, picture) => {
                let scaled = scaler.scale(&picture)?.unwrap_or(picture);
                if let Some(active) = &mut parts.active {
                    self.push(active, frame, &scaled)?;
                }
                for waiting in parts
                    .waiting
                    .iter_mut()
                    .filter(|waiting| waiting.part.kept(self.rendition).contains(frame))
                {
                    waiting.frames.push((frame, Arc::clone(&scaled)));
                }
            }
            Order::End(index) => {
                if let Some(waiting) =
                    parts.waiting.iter_mut().find(|waiting| waiting.part.spec.index == index)
                {
                    waiting.ended = true;
                } else if let Some(active) = parts.active.as_mut().filter(|part| part.index() == index) {
                    active.drain()?;
                }
            }
            Order::Abandon(index) => {
                parts.waiting.retain(|waiting| waiting.part.spec.index != index);
                parts.active.take_if(|part| part.index() == index);
            }
        }
        self.go_on(parts)
    }

    /// Hands over the part in hand when it is complete, and begins those that waited for it.
    fn go_on<'p>(&'p self, parts: &mut Parts<'p>) -> Result<(), MediaError> {
        loop {
            if let Some(complete) = parts.active.take_if(|part| part.is_complete()) {
                self.hand_over(complete)?;
            }
            if parts.active.is_some() {
                return Ok(());
            }
            let Some(next) = parts.waiting.pop_front() else { return Ok(()) };
            let Waiting { part, frames, ended } = next;
            let mut part = PartEncoder::open(self.timeline, self.rendition, *part)?;
            for (frame, scaled) in frames {
                self.push(&mut part, frame, &scaled)?;
            }
            if ended {
                part.drain()?;
            }
            parts.active = Some(part);
        }
    }

    fn push(
        &self,
        part: &mut PartEncoder<'_>,
        frame: u64,
        scaled: &ff::frame::Video,
    ) -> Result<(), MediaError> {
        part.push(frame, scaled)?;
        self.claim_written(part);
        Ok(())
    }

    fn hand_over(&self, mut part: PartEncoder<'_>) -> Result<(), MediaError> {
        self.claim_written(&mut part);
        let index = part.index();
        let (record, path) = part.finish()?;
        self.claim(Claim::End { lane: self.number, part: index, record: Box::new(record), path });
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
