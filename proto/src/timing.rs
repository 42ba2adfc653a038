//! Conversions of how frames lie in time.

use reel_common as common;

use crate::convert::{Malformed, required};
use crate::v1;

/// The lengths of all but the last of what begins at ascending numbers from 0.
pub fn lengths(starts: &[u64]) -> Vec<u64> {
    starts.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// What begins at 0 and behind each of these lengths.
///
/// # Errors
/// [`Malformed`] where they add up to more than can be counted.
pub fn starts(lengths: &[u64]) -> Result<Vec<u64>, Malformed> {
    let mut starts = vec![0_u64];
    for length in lengths {
        starts.push(starts[starts.len() - 1].checked_add(*length).ok_or(Malformed("segment length"))?);
    }
    Ok(starts)
}

impl From<common::Timing> for v1::index_summary::Timing {
    fn from(value: common::Timing) -> Self {
        match value {
            common::Timing::Constant { rate } => v1::index_summary::Timing::ConstantRate(rate.into()),
            common::Timing::Variable { average_rate, segment_starts } => {
                let segment_frames = lengths(&segment_starts);
                let average_rate = Some(average_rate.into());
                v1::index_summary::Timing::Variable(v1::VariableTiming { average_rate, segment_frames })
            }
            common::Timing::Scenes { rate, segment_starts } => {
                let segment_frames = lengths(&segment_starts);
                v1::index_summary::Timing::Scenes(v1::ScenesTiming {
                    rate: Some(rate.into()),
                    segment_frames,
                })
            }
            common::Timing::Edited { rate, spans, most_pixels, overlay_bytes } => {
                let spans = spans.into_iter().map(Into::into).collect();
                v1::index_summary::Timing::Edited(v1::EditedTiming {
                    rate: Some(rate.into()),
                    spans,
                    most_pixels,
                    overlay_bytes,
                })
            }
        }
    }
}

impl TryFrom<v1::index_summary::Timing> for common::Timing {
    type Error = Malformed;

    fn try_from(value: v1::index_summary::Timing) -> Result<Self, Malformed> {
        match value {
            v1::index_summary::Timing::ConstantRate(rate) => {
                Ok(common::Timing::Constant { rate: rate.try_into()? })
            }
            v1::index_summary::Timing::Variable(variable) => {
                let segment_starts = starts(&variable.segment_frames)?;
                let average_rate = required(variable.average_rate, "average rate")?;
                Ok(common::Timing::Variable { average_rate, segment_starts })
            }
            v1::index_summary::Timing::Scenes(scenes) => Ok(common::Timing::Scenes {
                rate: required(scenes.rate, "frame rate")?,
                segment_starts: starts(&scenes.segment_frames)?,
            }),
            v1::index_summary::Timing::Edited(edited) => Ok(common::Timing::Edited {
                rate: required(edited.rate, "frame rate")?,
                spans: edited.spans.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
                most_pixels: edited.most_pixels,
                overlay_bytes: edited.overlay_bytes,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_timing_survives_the_wire() {
        let average_rate = common::Rational::whole(24);
        let timing = common::Timing::Variable { average_rate, segment_starts: vec![0, 90, 200] };
        let there = v1::index_summary::Timing::from(timing.clone());
        assert_eq!(common::Timing::try_from(there), Ok(timing));
        let spans = vec![common::SourceSpan { source: 1, start: 7, end: 9 }];
        let timing =
            common::Timing::Edited { rate: average_rate, spans, most_pixels: 8_294_400, overlay_bytes: 9 };
        let there = v1::index_summary::Timing::from(timing.clone());
        assert_eq!(common::Timing::try_from(there), Ok(timing));
    }
}
