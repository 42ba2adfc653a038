//! Exact seconds that never overflow: what leaves the range is cut off at its end, which no title reaches.

use reel_common::Rational;

/// The largest time that is counted.
const MOST: Rational = Rational::whole(i64::MAX);

/// The sum.
pub(crate) fn add(one: Rational, other: Rational) -> Rational {
    one.checked_add(other).unwrap_or(MOST)
}

/// The difference.
pub(crate) fn sub(one: Rational, other: Rational) -> Rational {
    one.checked_sub(other).unwrap_or(MOST)
}

/// How far two are apart.
pub(crate) fn apart(one: Rational, other: Rational) -> Rational {
    if one > other { sub(one, other) } else { sub(other, one) }
}

/// A product with a whole number.
pub(crate) fn times(time: Rational, factor: i64) -> Rational {
    time.checked_mul(Rational::whole(factor)).unwrap_or(MOST)
}

/// Ticks as seconds; nothing where a second has no ticks.
pub(crate) fn seconds(ticks: i64, timescale: u32) -> Rational {
    Rational::new(ticks, timescale.into()).unwrap_or(Rational::ZERO)
}

/// Thousandths of a second.
pub(crate) fn ms(milliseconds: i64) -> Rational {
    Rational::from_millis(milliseconds)
}

/// Seconds for people.
pub(crate) fn shown(time: Rational) -> String {
    let text = format!("{:.6}", time.to_f64());
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} s")
}

/// Reads `digits[.digits]`, and how many stand behind the point. More than nine of these are cut off.
pub(crate) fn decimal(text: &str) -> Option<(Rational, usize)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') || whole.len() > 9 {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(9)];
    let number: i64 = format!("{whole}{fraction}").parse().ok()?;
    Some((Rational::new(number, 10i64.pow(fraction.len() as u32))?, fraction.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(decimal("4.004000"), Some((Rational::new(1001, 250).unwrap(), 6)));
        assert_eq!(decimal("4"), Some((Rational::whole(4), 0)));
        for text in ["", ".5", "4.", "-1", "1e3", "+1", "1,5", "9999999999"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn what_leaves_the_range_is_cut_off() {
        assert_eq!(add(MOST, Rational::whole(1)), MOST);
        assert_eq!(shown(Rational::new(1, 3).unwrap()), "0.333333 s");
    }
}
