//! Black and frozen stretches of a title: what was found frame by frame while its parts were encoded, joined.

use reel_common::Rational;
use reel_profiles::{Profile, Stretch};
use reel_proto::v1;

use crate::MediaError;
use crate::times::TitleTimes;

/// The stretches of a title, each list in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretches {
    /// Black frames.
    pub black: Vec<Stretch>,
    /// Frames that are like the one before, behind the one that they are like.
    pub frozen: Vec<Stretch>,
}

impl Stretches {
    /// Joins what the parts of a title say; `None` where one of them says nothing of it.
    pub fn of(
        parts: &[v1::PartRecord],
        index: &v1::Index,
        profile: &Profile,
    ) -> Result<Option<Self>, MediaError> {
        if parts.is_empty() {
            return Ok(None);
        }
        let mut joined = v1::PictureRuns::default();
        for part in parts {
            // All renditions are made of the same frames.
            let Some(runs) = part.renditions.first().and_then(|rendition| rendition.pictures.as_ref()) else {
                return Ok(None);
            };
            runs.black.iter().for_each(|run| join(&mut joined.black, *run));
            runs.frozen.iter().for_each(|run| join(&mut joined.frozen, *run));
        }
        let times = TitleTimes::new(index, &profile.picture)?;
        let stretches = |runs: Vec<v1::FrameRun>, before| {
            let stretch = |run: v1::FrameRun| stretch(&times, run.start.saturating_sub(before), run.end);
            runs.into_iter().filter_map(stretch).collect()
        };
        Ok(Some(Stretches { black: stretches(joined.black, 0), frozen: stretches(joined.frozen, 1) }))
    }
}

fn stretch(times: &TitleTimes, start: u64, end: u64) -> Option<Stretch> {
    let (from, to) = (times.ticks(start), times.ticks(end));
    let seconds = |ticks| Rational::new(ticks, times.timescale().into());
    Some(Stretch {
        frames: start..end,
        start: seconds(from)?,
        end: seconds(to)?,
        seconds: seconds(to - from)?,
    })
}

/// Adds the next run, which may go on with the last.
pub(crate) fn join(runs: &mut Vec<v1::FrameRun>, next: v1::FrameRun) {
    match runs.last_mut().filter(|last| last.end == next.start) {
        Some(last) => last.end = next.end,
        None => runs.push(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of a part in which these frames are black and frozen.
    fn part(black: &[(u64, u64)], frozen: &[(u64, u64)]) -> v1::PartRecord {
        let runs =
            |runs: &[(u64, u64)]| runs.iter().map(|&(start, end)| v1::FrameRun { start, end }).collect();
        let pictures = Some(v1::PictureRuns { black: runs(black), frozen: runs(frozen) });
        let renditions = vec![v1::RenditionPart { pictures, ..Default::default() }];
        v1::PartRecord { part: 0, renditions }
    }

    fn stretches(parts: &[v1::PartRecord]) -> Option<Stretches> {
        let packets = v1::Packets {
            position_deltas: vec![10; 100],
            sizes: vec![10; 100],
            pts_deltas: [vec![0], vec![1001; 99]].concat(),
            dts_deltas: [vec![0], vec![1001; 99]].concat(),
            random_access_deltas: vec![0],
        };
        let video = v1::VideoStream {
            time_base: Some(v1::Rational { num: 1, den: 24_000 }),
            pts: vec![v1::Run { delta: 1001, count: 99 }],
            last_duration: 1001,
            packets: Some(packets),
            constant_rate: Some(v1::Rational { num: 24_000, den: 1001 }),
            ..Default::default()
        };
        let index = v1::Index { video: Some(video), ..Default::default() };
        let profile = Profile::parse(reel_profiles::catalog::text("proxy").unwrap(), "proxy").unwrap();
        Stretches::of(parts, &index, &profile).unwrap()
    }

    #[test]
    fn runs_that_meet_at_a_border_are_one_stretch() {
        let parts =
            [part(&[(2, 4), (40, 48)], &[(1, 2)]), part(&[(48, 72)], &[]), part(&[(72, 100)], &[(72, 73)])];
        let found = stretches(&parts).unwrap();
        let frames = |stretches: &[Stretch]| -> Vec<_> {
            stretches.iter().map(|stretch| stretch.frames.clone()).collect()
        };
        assert_eq!(frames(&found.black), [2..4, 40..100]);
        // With the frames that they are like.
        assert_eq!(frames(&found.frozen), [0..2, 71..73]);
        let seconds = |frames: i64| Rational::new(frames * 1001, 24_000).unwrap();
        let last = &found.black[1];
        assert_eq!((last.start, last.end, last.seconds), (seconds(40), seconds(100), seconds(60)));
    }

    #[test]
    fn nothing_is_said_where_a_part_says_nothing() {
        let mut silent = part(&[], &[]);
        assert_eq!(stretches(&[part(&[], &[]), silent.clone()]), Some(Stretches::default()));
        silent.renditions[0].pictures = None;
        assert_eq!(stretches(&[part(&[(0, 9)], &[]), silent]), None);
    }
}
