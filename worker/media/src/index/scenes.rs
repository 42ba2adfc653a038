//! Where scenes begin: found by decoding all pictures once, where a profile wants segments to begin there.

use reel_profiles::{DamageRule, Profile};
use reel_proto::v1;
use reel_store::Source;

use crate::MediaError;
use crate::decode::Speed;
use crate::facts;
use crate::frames::{Decoded, FrameReader, Reading};
use crate::measure::{Reducer, difference};
use crate::timeline::Timeline;

/// Least mean difference of the first frame of a scene to the one before it, in levels of 256.
const CUT_LEVELS: f64 = 10.0;
/// How much larger it is than the differences beside it: whatever moves, or flashes, changes the next frame as well.
const CUT_OVER_MOTION: f64 = 3.0;
/// Titles have a cut every few seconds; more than this many are no film, and only the first are used.
const MAX_SCENES: usize = 100_000;

/// The first frames of scenes, ascending, without the title's own first.
pub(super) fn find(source: &Source, index: &v1::Index, profile: &Profile) -> Result<Vec<u64>, MediaError> {
    let rules = &profile.picture;
    let timeline = &Timeline::new(index, rules)?;
    let facts = facts::video(index)?;
    let damage = match profile.admission.damage {
        DamageRule::Refuse => DamageRule::Refuse,
        _ => DamageRule::Repeat,
    };
    let (tones, overlays) = (facts::tones(&facts, profile)?, Vec::new());
    let reading = Reading { source, index, timeline, rules, tones, overlays, damage, speed: Speed::Rough };
    let mut reader = FrameReader::new(reading, (0, timeline.frames()))?;
    let mut reducer = Reducer::new(facts.rotation);
    let mut last = None;
    // By how much each frame differs from the one before it.
    let mut changes = Vec::new();
    while let Some(Decoded { picture, .. }) = reader.next()? {
        let thumbnail = reducer.reduce(&picture)?.thumbnail;
        changes.push(last.as_ref().map_or(0.0, |last| difference(last, &thumbnail) as f32));
        last = Some(thumbnail);
    }
    Ok(cuts(&changes))
}

fn cuts(changes: &[f32]) -> Vec<u64> {
    let change = |frame: usize| changes.get(frame).map_or(0.0, |change| f64::from(*change));
    let is_cut = |frame: &usize| {
        let beside = change(frame - 1).max(change(frame + 1));
        change(*frame) >= CUT_LEVELS && change(*frame) >= CUT_OVER_MOTION * beside
    };
    (1..changes.len()).filter(is_cut).take(MAX_SCENES).map(|frame| frame as u64).collect()
}

/// Moves the beginnings of segments to that of a scene, where one lies within a quarter of the shorter of the two
/// segments that meet there: the nearest, and of two the earlier. The first stays.
pub(super) fn move_to_scenes(starts: &[u64], frames: u64, scenes: &[u64]) -> Vec<u64> {
    let end = |number: usize| starts.get(number).copied().unwrap_or(frames);
    let moved = |(number, start): (usize, &u64)| {
        let Some(before) = number.checked_sub(1) else { return *start };
        let reach = (start - starts[before]).min(end(number + 1) - start) / 4;
        let near = &scenes[scenes.partition_point(|scene| *scene < start - reach)..];
        let near = near.iter().take_while(|scene| **scene <= start + reach);
        near.copied().min_by_key(|scene| scene.abs_diff(*start)).unwrap_or(*start)
    };
    starts.iter().enumerate().map(moved).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cut_stands_out_and_neither_motion_nor_a_flash_does() {
        let mut changes = vec![1.0; 40];
        changes[10] = 30.0;
        changes[20..24].fill(30.0);
        // There and back.
        changes[30..32].fill(60.0);
        changes[35] = 9.0;
        assert_eq!(cuts(&changes), [10]);
        assert_eq!(cuts(&[]), Vec::<u64>::new());
        assert_eq!(cuts(&[0.0, 20.0]), [1]);
    }

    #[test]
    fn segments_begin_with_the_nearest_scene() {
        let starts = [0, 100, 200, 300];
        assert_eq!(move_to_scenes(&starts, 400, &[]), starts);
        assert_eq!(move_to_scenes(&starts, 400, &[3, 90, 112, 174, 225, 326]), [0, 90, 225, 300]);
        assert_eq!(move_to_scenes(&starts, 400, &[95, 105]), [0, 95, 200, 300]);
        assert_eq!(move_to_scenes(&starts, 340, &[312]), [0, 100, 200, 300]);
    }

    proptest! {
        #[test]
        fn moved_segments_stay_in_order(
            lengths in proptest::collection::vec(1u64..300, 1..30), scenes in proptest::collection::btree_set(0u64..9_000, 0..60)
        ) {
            let ends: Vec<u64> = lengths.iter().scan(0, |end, length| { *end += length; Some(*end) }).collect();
            let starts: Vec<u64> = std::iter::once(0).chain(ends[..ends.len() - 1].iter().copied()).collect();
            let scenes: Vec<u64> = scenes.into_iter().collect();
            let frames = ends[ends.len() - 1];
            let moved = move_to_scenes(&starts, frames, &scenes);
            prop_assert!(moved[0] == 0 && moved.is_sorted_by(|a, b| a < b) && moved[moved.len() - 1] < frames);
        }
    }
}
