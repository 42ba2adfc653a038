//! VMAF of a part while it is encoded: what its encoder gives is decoded, and scored against what it was given.
//!
//! How much moves counts in a score, between a frame and those beside it. So the frame before the part and the one after
//! are looked at as well, and a part scores as it does in the whole title, whoever encodes its neighbours.

use std::collections::VecDeque;

use ffmpeg_next as ff;
use reel_common::PartSpec;
use reel_proto::v1;

use super::RenditionSetup;
use crate::MediaError;
use crate::measure::OutputDecoder;
use crate::recipe::Window;
use crate::vmaf::{Luma, Meter, Model};

/// Frames at either end of a part of which the scores are kept one by one.
const FRAMES_AT_JOIN: usize = 8;

/// The frames that are looked at for a part, of those decoded: its own, and one on either side.
pub(super) fn judged(part: &PartSpec, decoded: Window) -> Window {
    Window {
        start: decoded.start.max(part.start().saturating_sub(1)),
        end: decoded.end.min(part.end.saturating_add(1)),
    }
}

/// Scores the frames of one rendition of one part.
pub(super) struct Judge {
    label: String,
    bits: u32,
    start: u64,
    end: u64,
    window: Window,
    decoder: OutputDecoder,
    meter: Meter,
    /// What the encoder was given, from frame `next` on.
    given: VecDeque<Luma>,
    /// The frame that is due from the decoder.
    next: u64,
}

impl Judge {
    /// Of a part, of which so much is decoded.
    pub(super) fn open(
        setup: &RenditionSetup,
        model: Model,
        part: &PartSpec,
        decoded: Window,
    ) -> Result<Self, MediaError> {
        let label = format!("part {} of rendition {}", part.index, setup.settings.rendition.rendition.name);
        let coding = setup.settings.coding();
        Ok(Judge {
            decoder: OutputDecoder::open(&label, coding.codec(), &setup.headers.config)?,
            label,
            bits: coding.bit_depth().bits(),
            start: part.start(),
            end: part.end,
            window: judged(part, decoded),
            meter: Meter::open(model)?,
            given: VecDeque::new(),
            next: part.start(),
        })
    }

    /// Takes a frame as the encoder is given it; others than those of the part and beside it are passed over.
    pub(super) fn take_given(&mut self, frame: u64, picture: &ff::frame::Video) -> Result<(), MediaError> {
        if !self.window.contains(frame) {
            return Ok(());
        }
        let luma = Luma::of(picture, self.bits)?;
        if frame < self.start {
            return self.meter.lend(luma);
        }
        self.given.push_back(luma);
        Ok(())
    }

    /// Takes a frame as it was coded, the next of its part in the order of decoding.
    pub(super) fn take_coded(&mut self, data: &[u8], frame: u64, nth: u64) -> Result<(), MediaError> {
        self.decoder.send(data, frame as i64, self.start as i64 + nth as i64)?;
        self.compare()
    }

    /// Scores the pictures that the decoder has ready.
    fn compare(&mut self) -> Result<(), MediaError> {
        while let Some((frame, picture)) = self.decoder.receive_picture()? {
            let wrong = || MediaError::failed(format!("{} decodes to other frames than its own", self.label));
            let given = self.given.pop_front().filter(|_| frame == self.next as i64).ok_or_else(wrong)?;
            self.meter.push(given, Luma::of(&picture, self.bits)?)?;
            self.next += 1;
        }
        Ok(())
    }

    /// Adds the scores to the record of a part whose frames are all there.
    pub(super) fn judge(mut self, record: v1::RenditionPart) -> Result<v1::RenditionPart, MediaError> {
        self.decoder.end()?;
        self.compare()?;
        if self.next != self.end {
            return Err(MediaError::failed(format!("{} decodes to frame {} alone", self.label, self.next)));
        }
        if let Some(after) = self.given.pop_front() {
            self.meter.lend(after)?;
        }
        let scores = self.meter.finish()?;
        let sum: u64 = scores.iter().map(|score| u64::from(*score)).sum();
        let ends = FRAMES_AT_JOIN.min(scores.len());
        Ok(v1::RenditionPart {
            vmaf_milli: Some((sum / scores.len().max(1) as u64) as u32),
            worst_frame_vmaf_milli: scores.iter().min().copied(),
            first_frames_vmaf_milli: scores[..ends].to_vec(),
            last_frames_vmaf_milli: scores[scores.len() - ends..].to_vec(),
            ..record
        })
    }
}
