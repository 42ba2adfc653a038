//! Bit rates, as HLS and DASH define them.

use reel_common::Rational;

use crate::time::{add, ms, times};

/// Most segments of a run that is looked at; runs of one and a half target durations have few.
const MAX_RUN: usize = 256;
/// What sums of lengths in seconds may be off.
const ROUNDING_S: f64 = 1e-9;

/// Bits a second of bytes in a time, rounded up.
pub(crate) fn bits_a_second(bytes: u64, seconds: Rational) -> u64 {
    if seconds <= Rational::ZERO {
        return 0;
    }
    let bits = u128::from(bytes) * 8 * u128::from(seconds.den().unsigned_abs());
    u64::try_from(bits.div_ceil(u128::from(seconds.num().unsigned_abs()))).unwrap_or(u64::MAX)
}

/// Bits a second of all.
pub(crate) fn average(sizes: &[(Rational, u64)]) -> u64 {
    let seconds = sizes.iter().fold(Rational::ZERO, |sum, (seconds, _)| add(sum, *seconds));
    bits_a_second(sizes.iter().map(|(_, bytes)| bytes).sum(), seconds)
}

/// The peak segment bit rate (RFC 8216bis, section 4.4.6.2) of runs that last from half to one and a half target durations, both
/// moved inwards by `slack_ms`: durations in playlists are rounded.
pub(crate) fn peak(sizes: &[(Rational, u64)], target: Rational, slack_ms: i64) -> u64 {
    let half = target.checked_div(Rational::whole(2)).unwrap_or(target);
    let shortest = add(half, ms(slack_ms)).to_f64() - ROUNDING_S;
    let longest = add(times(half, 3), ms(-slack_ms)).to_f64() + ROUNDING_S;
    let lengths: Vec<f64> = sizes.iter().map(|(seconds, _)| seconds.to_f64()).collect();
    let (mut fastest, mut most) = (0..0, 0.0f64);
    for first in 0..sizes.len() {
        let (mut seconds, mut bytes) = (0.0, 0.0);
        let end = sizes.len().min(first + MAX_RUN);
        for (last, (more, (_, size))) in (first..end).zip(lengths[first..].iter().zip(&sizes[first..])) {
            (seconds, bytes) = (seconds + more, bytes + *size as f64);
            if seconds > longest {
                break;
            }
            if seconds >= shortest && bytes > most * seconds {
                (fastest, most) = (first..last + 1, bytes / seconds);
            }
        }
    }
    // A title shorter than half its target duration has no such run.
    average(if fastest.is_empty() { sizes } else { &sizes[fastest] })
}

/// Whether nobody waits who begins with any segment, and plays once `buffer` seconds of data at this rate were received (ISO/IEC
/// 23009-1, section 5.3.5.2). A segment is needed in whole when it ends, or, for `at_begin`, when it begins.
pub(crate) fn suffices(sizes: &[(Rational, u64)], bps: u64, buffer: Rational, at_begin: bool) -> bool {
    let bps = bps as f64;
    let buffered = bps * buffer.to_f64() + 1.0;
    let mut behind = 0.0f64;
    sizes.iter().all(|(seconds, bytes)| {
        let received = behind + *bytes as f64 * 8.0;
        behind = (received - bps * seconds.to_f64()).max(0.0);
        (if at_begin { received } else { behind }) <= buffered
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(segments: &[(i64, u64)]) -> Vec<(Rational, u64)> {
        segments.iter().map(|(millis, bytes)| (ms(*millis), *bytes)).collect()
    }

    #[test]
    fn a_short_last_segment_is_no_peak_by_itself() {
        let even = sizes(&[(4000, 500_000), (4000, 500_000), (100, 100_000)]);
        assert_eq!(peak(&even, Rational::whole(4), 1), (600_000 * 80u64).div_ceil(41));
        assert_eq!(average(&even), (1_100_000 * 80u64).div_ceil(81));
        assert_eq!(peak(&sizes(&[(100, 1000)]), Rational::whole(1), 1), 80_000);
    }

    #[test]
    fn the_fastest_run_is_found_wherever_it_begins() {
        let mut title = sizes(&[(1000, 100); 50]);
        (title[20].1, title[21].1) = (900, 800);
        // Runs of two to five seconds: the fastest has both.
        assert_eq!(peak(&title, ms(3500), 1), 1700 * 8 / 2);
        assert_eq!(peak(&sizes(&[(0, 100); 1000]), Rational::whole(1), 1), 0);
    }

    #[test]
    fn a_rate_suffices_or_not() {
        let title = sizes(&[(2000, 250_000), (2000, 500_000)]);
        assert!(suffices(&title, 1_500_000, Rational::whole(2), false));
        // Four million bits in the last two seconds, two of them buffered.
        assert!(suffices(&title, 1_000_000, Rational::whole(2), false));
        assert!(!suffices(&title, 900_000, Rational::whole(2), false));
        assert!(!suffices(&title, 1_900_000, Rational::whole(2), true));
        assert!(suffices(&title, 2_000_000, Rational::whole(2), true));
    }
}
