//! From packets to presented frames: which are shown, when, and whether at a constant rate.

use reel_common::{Rational, Rounding, rescale};
use reel_proto::v1;
use reel_store::Source;

use super::gather::Gathered;
use super::sweep::MAX_FAULTS;
use crate::MediaError;

/// The presented frames of a mezzanine.
pub(super) struct Frames {
    /// PTS in ticks, ascending.
    pub(super) pts: Vec<i64>,
    /// How long the last is shown, in ticks.
    pub(super) last_duration: i64,
    /// Frames per second, where every frame lies within a tick of the regular grid.
    pub(super) rate: Option<Rational>,
}

/// Picks the presented frames. `rates` are the container's claims, the best first.
pub(super) fn present(
    source: &Source,
    gathered: &Gathered,
    rates: &[Rational],
) -> Result<Frames, MediaError> {
    let place = source.location();
    let Some(first_access) = gathered.random_access.first().copied() else {
        return Err(MediaError::invalid(format!("{place} has no picture at which decoding can begin")));
    };
    // Pictures that come before the first random access point, or lead it, cannot be decoded by anybody.
    let access_pts = gathered.packets[first_access].pts;
    let shown = gathered.presented.clone().unwrap_or(i64::MIN..i64::MAX);
    let is_first = |number: &usize| gathered.fields.seconds.binary_search(number).is_err();
    let mut pts: Vec<i64> = (first_access..gathered.packets.len())
        .filter(is_first)
        .map(|number| gathered.packets[number].pts)
        .filter(|pts| *pts >= access_pts && shown.contains(pts))
        .collect();
    pts.sort_unstable();
    if let Some(pair) = pts.windows(2).find(|pair| pair[0] == pair[1]) {
        let seconds = (pair[0] - pts[0]) as f64 * gathered.time_base.to_f64();
        return Err(MediaError::invalid(format!(
            "{place} has two pictures for the same time, {seconds:.3} s: rewrap it with proper times"
        )));
    }
    let Some(last) = pts.last().copied() else {
        return Err(MediaError::invalid(format!("{place} presents no frames: its duration is zero")));
    };
    let rate = constant_rate(&pts, gathered.time_base, rates);
    let frame_ticks = rate.map(|rate| ticks_of(rate, gathered.time_base, 1));
    let said = Some(gathered.last_duration).filter(|ticks| *ticks > 0);
    let before = pts.windows(2).last().map(|pair| pair[1] - pair[0]);
    let duration = frame_ticks.or(said).or(before).unwrap_or(1).max(1);
    let left = shown.end.saturating_sub(last);
    Ok(Frames { pts, last_duration: duration.min(left).max(1), rate })
}

/// Where a variable rate is a claimed one with a few pictures left out: what a damaged container has lost, as faults.
pub(super) fn gaps(frames: &Frames, gathered: &Gathered, rates: &[Rational]) -> Vec<v1::Fault> {
    let Some(rate) = rates.first().copied().filter(|_| frames.rate.is_none()) else { return Vec::new() };
    let frame = ticks_of(rate, gathered.time_base, 1).max(1);
    let regular = frames.pts.windows(2).filter(|pair| (pair[1] - pair[0] - frame).abs() <= 1).count();
    if regular * 10 < frames.pts.len() * 9 {
        return Vec::new();
    }
    let fault = |pair: &[i64]| {
        let missing = (pair[1] - pair[0] + frame / 2) / frame - 1;
        let seconds = pair[0] as f64 * gathered.time_base.to_f64() + gathered.shift.to_f64();
        let what = format!("{missing} frames of {rate} a second are not there");
        (missing > 0).then_some(v1::Fault { at_ms: (seconds * 1000.0) as i64, what })
    };
    frames.pts.windows(2).filter_map(fault).take(MAX_FAULTS).collect()
}

fn ticks_of(rate: Rational, time_base: Rational, frames: i64) -> i64 {
    rate.recip().map_or(0, |frame| rescale(frames, frame, time_base, Rounding::Nearest))
}

/// The rate at which every frame is shown, if there is one.
///
/// Containers round times to their ticks (Matroska to milliseconds), so a claimed rate holds when every frame lies
/// within one tick of its place, and a tick is much shorter than a frame. Without a claim, equal distances speak for
/// themselves.
fn constant_rate(pts: &[i64], time_base: Rational, claims: &[Rational]) -> Option<Rational> {
    let plausible = |rate: &Rational| *rate > Rational::ZERO && *rate <= Rational::whole(1000);
    if pts.len() < 2 {
        return claims.iter().copied().find(plausible);
    }
    let delta = pts[1] - pts[0];
    let regular = pts.windows(2).all(|pair| pair[1] - pair[0] == delta);
    // Equal distances of few ticks may be rounding; a claim is then the better witness.
    if regular && delta >= MIN_TICKS_PER_FRAME {
        let measured = Rational::whole(delta).checked_mul(time_base)?.recip()?;
        let near = claims
            .iter()
            .copied()
            .find(|rate| *rate != measured && plausible(rate) && lies_on(pts, time_base, *rate));
        let exact = claims.contains(&measured);
        return Some(if exact { measured } else { near.unwrap_or(measured) });
    }
    let claimed = claims.iter().copied().find(|rate| plausible(rate) && lies_on(pts, time_base, *rate));
    let measured = || Rational::whole(delta).checked_mul(time_base)?.recip().filter(plausible);
    claimed.or_else(|| if regular { measured() } else { None })
}

/// A frame must last at least this many ticks for its distance alone to tell the rate.
const MIN_TICKS_PER_FRAME: i64 = 8;

fn lies_on(pts: &[i64], time_base: Rational, rate: Rational) -> bool {
    if ticks_of(rate, time_base, 1) < MIN_TICKS_PER_FRAME {
        return false;
    }
    let first = pts[0];
    pts.iter()
        .enumerate()
        .all(|(frame, pts)| (pts - first - ticks_of(rate, time_base, frame as i64)).abs() <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(num: i64, den: i64) -> Rational {
        Rational::new(num, den).unwrap()
    }

    fn milliseconds(rate: Rational, frames: i64) -> Vec<i64> {
        (0..frames)
            .map(|frame| rescale(frame, rate.recip().unwrap(), ratio(1, 1000), Rounding::Nearest))
            .collect()
    }

    #[test]
    fn millisecond_times_of_a_film_rate_are_recognised() {
        let ntsc = ratio(24_000, 1001);
        let pts = milliseconds(ntsc, 3000);
        assert_eq!(constant_rate(&pts, ratio(1, 1000), &[ratio(24, 1), ntsc]), Some(ntsc));
        assert_eq!(constant_rate(&pts, ratio(1, 1000), &[ratio(25, 1)]), None);
    }

    #[test]
    fn equal_distances_tell_the_rate_without_a_claim() {
        let pts: Vec<i64> = (0..100).map(|frame| 7000 + frame * 1001).collect();
        assert_eq!(constant_rate(&pts, ratio(1, 24_000), &[]), Some(ratio(24_000, 1001)));
        let coarse: Vec<i64> = (0..100).collect();
        assert_eq!(constant_rate(&coarse, ratio(1, 25), &[]), Some(ratio(25, 1)));
    }

    #[test]
    fn a_variable_rate_stays_variable() {
        let mut pts = milliseconds(ratio(25, 1), 500);
        pts[300] += 13;
        assert_eq!(constant_rate(&pts, ratio(1, 1000), &[ratio(25, 1)]), None);
        pts.remove(200);
        assert_eq!(constant_rate(&pts, ratio(1, 1000), &[ratio(25, 1)]), None);
    }
}
