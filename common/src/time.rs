//! Exact rational time. Media time never passes through a float.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The end of the year 9999, the last that RFC 3339 can write, in milliseconds since 1970.
pub const LAST_TIME_MS: u64 = 253_402_300_799_999;

/// An exact fraction in lowest terms with a positive denominator: a time in seconds, a frame rate in frames per
/// second, or the length of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rational {
    num: i64,
    den: i64,
}

impl Rational {
    /// Zero.
    pub const ZERO: Rational = Rational { num: 0, den: 1 };

    /// `num / den` in lowest terms; `None` when `den` is zero or the reduced terms leave `i64`.
    pub fn new(num: i64, den: i64) -> Option<Self> {
        Self::from_wide(i128::from(num), i128::from(den))
    }

    /// A whole number.
    pub const fn whole(num: i64) -> Self {
        Rational { num, den: 1 }
    }

    /// Seconds given in thousandths, as profiles give them.
    pub fn from_millis(millis: i64) -> Self {
        let divisor = gcd(i128::from(millis), 1000) as i64;
        Rational { num: millis / divisor, den: 1000 / divisor }
    }

    fn from_wide(num: i128, den: i128) -> Option<Self> {
        if den == 0 {
            return None;
        }
        let divisor = gcd(num, den) * if den < 0 { -1 } else { 1 };
        Some(Rational { num: i64::try_from(num / divisor).ok()?, den: i64::try_from(den / divisor).ok()? })
    }

    /// Numerator; carries the sign.
    pub const fn num(self) -> i64 {
        self.num
    }

    /// Denominator; positive.
    pub const fn den(self) -> i64 {
        self.den
    }

    /// The sum, or `None` when it leaves the range.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let left = i128::from(self.num) * i128::from(other.den);
        let right = i128::from(other.num) * i128::from(self.den);
        Self::from_wide(left + right, i128::from(self.den) * i128::from(other.den))
    }

    /// The difference, or `None` when it leaves the range.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(Rational { num: other.num.checked_neg()?, den: other.den })
    }

    /// The product, or `None` when it leaves the range.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        Self::from_wide(
            i128::from(self.num) * i128::from(other.num),
            i128::from(self.den) * i128::from(other.den),
        )
    }

    /// The quotient, or `None` when `other` is zero or the result leaves the range.
    pub fn checked_div(self, other: Self) -> Option<Self> {
        self.checked_mul(other.recip()?)
    }

    /// `1 / self`, or `None` for zero.
    pub fn recip(self) -> Option<Self> {
        Self::from_wide(i128::from(self.den), i128::from(self.num))
    }

    /// The nearest integer; halves go away from zero.
    pub fn round(self) -> i64 {
        rescale(self.num, Rational::whole(1), Rational::whole(self.den), Rounding::Nearest)
    }

    /// The largest integer not above.
    pub fn floor(self) -> i64 {
        self.num.div_euclid(self.den)
    }

    /// The smallest integer not below.
    pub fn ceil(self) -> i64 {
        -(-self.num).div_euclid(self.den)
    }

    /// For people and for reports only.
    pub fn to_f64(self) -> f64 {
        self.num as f64 / self.den as f64
    }
}

impl PartialOrd for Rational {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rational {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = i128::from(self.num) * i128::from(other.den);
        left.cmp(&(i128::from(other.num) * i128::from(self.den)))
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.den {
            1 => write!(f, "{}", self.num),
            _ => write!(f, "{}/{}", self.num, self.den),
        }
    }
}

/// How [`rescale`] treats a result between two integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards negative infinity.
    Floor,
    /// Towards positive infinity.
    Ceil,
    /// To the nearest; halves away from zero.
    Nearest,
}

/// Converts `ticks` of length `from` seconds to ticks of length `to` seconds.
///
/// Saturates at the ends of `i64`, which no real timeline reaches. `from` and `to` are positive.
pub fn rescale(ticks: i64, from: Rational, to: Rational, rounding: Rounding) -> i64 {
    // from and to are at most 2^63 each, so the factors are reduced before they meet the ticks.
    let mut num = i128::from(from.num) * i128::from(to.den);
    let mut den = i128::from(from.den) * i128::from(to.num);
    let divisor = gcd(num, den);
    num /= divisor;
    den /= divisor;
    let product = i128::from(ticks).saturating_mul(num);
    let result = match rounding {
        Rounding::Floor => product.div_euclid(den),
        Rounding::Ceil => -(-product).div_euclid(den),
        Rounding::Nearest => {
            let magnitude = (product.abs() * 2 + den) / (den * 2);
            if product < 0 { -magnitude } else { magnitude }
        }
    };
    i64::try_from(result).unwrap_or(if result < 0 { i64::MIN } else { i64::MAX })
}

fn gcd(a: i128, b: i128) -> i128 {
    let (mut a, mut b) = (a.abs(), b.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ratio(num: i64, den: i64) -> Rational {
        Rational::new(num, den).unwrap()
    }

    #[test]
    fn ntsc_frames_land_on_exact_ticks() {
        let frame = ratio(1001, 24000);
        let tick = ratio(1, 24000);
        assert_eq!(rescale(1_000_000, frame, tick, Rounding::Nearest), 1_001_000_000);
    }

    #[test]
    fn rounding_goes_where_it_says() {
        let cases = [(7, 2, 3, 4, 4), (-7, 2, -4, -3, -4), (6, 2, 3, 3, 3), (-5, 4, -2, -1, -1)];
        for (num, den, floor, ceil, nearest) in cases {
            let value = ratio(num, den);
            assert_eq!((value.floor(), value.ceil(), value.round()), (floor, ceil, nearest), "{num}/{den}");
        }
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        assert_eq!(Rational::new(1, 0), None);
        assert_eq!(Rational::ZERO.recip(), None);
        assert_eq!(Rational::whole(1).checked_div(Rational::ZERO), None);
    }

    proptest! {
        #[test]
        fn addition_undoes_subtraction(a in -10_000i64..10_000, b in 1i64..2000, c in -10_000i64..10_000, d in 1i64..2000) {
            let (x, y) = (ratio(a, b), ratio(c, d));
            prop_assert_eq!(x.checked_sub(y).and_then(|z| z.checked_add(y)), Some(x));
        }

        #[test]
        fn a_finer_base_loses_nothing(ticks in -1i64 << 40..1i64 << 40, den in 1i64..100_000, factor in 1i64..1000) {
            let (coarse, fine) = (ratio(1, den), ratio(1, den * factor));
            let there = rescale(ticks, coarse, fine, Rounding::Floor);
            prop_assert_eq!(rescale(there, fine, coarse, Rounding::Nearest), ticks);
        }
    }
}
