//! When the frames of a title are shown.

use reel_common::Rational;
use reel_profiles::Picture;
use reel_proto::v1;

use crate::encoder::REORDER_FRAMES;
use crate::timeline::Timeline;
use crate::{MediaError, edit};

/// Titles with a constant rate below this have a timescale of a thousand times the rate.
const MIN_TIMESCALE: i64 = 1000;

/// When each frame of a title is shown, whatever it is made of.
#[derive(Clone, Debug)]
pub struct TitleTimes {
    shape: Shape,
    timescale: u32,
    composition_delay: i64,
}

#[derive(Clone, Debug)]
enum Shape {
    /// Frame n is shown at n / rate.
    Constant { rate: Rational, frames: u64 },
    /// In ticks, with the end of the last frame.
    Listed { ticks: Vec<i64>, average: Rational },
}

impl TitleTimes {
    /// The times of the title that an index is of, whose pictures follow `rules`.
    pub fn new(index: &v1::Index, rules: &Picture) -> Result<Self, MediaError> {
        match edit::of(index)? {
            Some(edit) => Self::constant(edit.rate, edit.frames()),
            None => Ok(Timeline::new(index, rules)?.into_times()),
        }
    }

    /// A constant rate n/d: a frame lasts a whole number of ticks, since the timescale is n, times 1000 where n is
    /// below 1000.
    pub(crate) fn constant(rate: Rational, frames: u64) -> Result<Self, MediaError> {
        let refused = || MediaError::invalid(format!("{rate} frames a second cannot be counted"));
        let timescale = u32::try_from(rate.num() * rate_factor(rate)).map_err(|_| refused())?;
        let times = TitleTimes { shape: Shape::Constant { rate, frames }, timescale, composition_delay: 0 };
        Ok(TitleTimes { composition_delay: times.ticks(REORDER_FRAMES), ..times })
    }

    /// A variable rate: `ticks` are the times of the frames and the end of the last.
    pub(crate) fn listed(ticks: Vec<i64>, timescale: u32, average: Rational) -> Self {
        let reorder = ticks.windows(REORDER_FRAMES as usize + 1);
        let composition_delay = reorder
            .take(ticks.len().saturating_sub(1 + REORDER_FRAMES as usize))
            .map(|run| run[run.len() - 1] - run[0]);
        let composition_delay = composition_delay.max().unwrap_or(0);
        TitleTimes { shape: Shape::Listed { ticks, average }, timescale, composition_delay }
    }

    /// How many frames the title has.
    pub fn frames(&self) -> u64 {
        match &self.shape {
            Shape::Constant { frames, .. } => *frames,
            Shape::Listed { ticks, .. } => ticks.len() as u64 - 1,
        }
    }

    /// Frames per second, where it is constant.
    pub fn constant_rate(&self) -> Option<Rational> {
        match self.shape {
            Shape::Constant { rate, .. } => Some(rate),
            Shape::Listed { .. } => None,
        }
    }

    /// Frames per second over the whole title; where it varies, in thousandths.
    pub fn average_rate(&self) -> Rational {
        match self.shape {
            Shape::Constant { rate, .. } => rate,
            Shape::Listed { average, .. } => average,
        }
    }

    /// From the first frame to the end of the last, in seconds.
    pub fn duration(&self) -> Rational {
        let timescale = Rational::whole(self.timescale.into());
        Rational::whole(self.ticks(self.frames())).checked_div(timescale).unwrap_or(Rational::ZERO)
    }

    /// Ticks per second of the title's own timeline.
    pub fn timescale(&self) -> u32 {
        self.timescale
    }

    /// When frame `frame` is shown, in ticks of [`TitleTimes::timescale`]; the end of the title for the number after the
    /// last.
    pub fn ticks(&self, frame: u64) -> i64 {
        match &self.shape {
            Shape::Constant { rate, .. } => frame as i64 * rate.den() * rate_factor(*rate),
            Shape::Listed { ticks, .. } => ticks[(frame as usize).min(ticks.len() - 1)],
        }
    }

    /// When frame `frame` is shown, in samples of sound at `rate` a second.
    pub(crate) fn sample_at(&self, frame: u64, rate: u32) -> u64 {
        self.samples(self.ticks(frame), rate)
    }

    /// So many ticks in samples of sound at `rate` a second.
    pub(crate) fn samples(&self, ticks: i64, rate: u32) -> u64 {
        let seconds = Rational::whole(ticks).checked_div(Rational::whole(self.timescale.into()));
        let samples = seconds.and_then(|seconds| seconds.checked_mul(Rational::whole(rate.into())));
        samples.map_or(0, Rational::round).max(0) as u64
    }

    /// By how much composition times of all renditions are later than their place on the title's timeline, in
    /// ticks: the longest time that the reordering of frames takes anywhere, so that no frame is shown before it is
    /// decoded. It is the same for the whole ladder, and sound follows it: who ignores edit lists still hears and
    /// sees in step, and sees no jump when the rendition changes.
    pub(crate) fn composition_delay(&self) -> i64 {
        self.composition_delay
    }

    /// Seconds from the start of the title at which frame `frame` is shown, for messages.
    pub(crate) fn seconds(&self, frame: u64) -> f64 {
        self.ticks(frame) as f64 / f64::from(self.timescale)
    }
}

fn rate_factor(rate: Rational) -> i64 {
    if rate.num() < MIN_TIMESCALE { 1000 } else { 1 }
}
