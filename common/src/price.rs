//! What a host costs, in whatever currency the site counts.

use std::fmt;
use std::str::FromStr;

/// An amount for an hour, in millionths of the site's currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price {
    /// Millionths.
    pub micros: u64,
}

impl Price {
    /// The highest: a million an hour.
    pub const MAX: Price = Price { micros: 1_000_000 * Self::ONE };
    /// Millionths of one.
    const ONE: u64 = 1_000_000;
    /// Decimal places that are counted.
    const PLACES: usize = 6;
    const HOUR_MS: u128 = 3_600_000;

    /// The price of one of a host's slots: its share of what the host costs.
    pub fn of_slot(self, slots: u32) -> Price {
        let slots = u64::from(slots.max(1));
        Price { micros: (self.micros + slots / 2) / slots }
    }

    /// What so many milliseconds cost, in millionths.
    pub fn for_ms(self, ms: u64) -> u64 {
        let micros = (u128::from(self.micros) * u128::from(ms) + Self::HOUR_MS / 2) / Self::HOUR_MS;
        u64::try_from(micros).unwrap_or(u64::MAX)
    }
}

/// Why a text is no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a price is written like 0.34: at most a million, with at most six decimal places")]
pub struct PriceError;

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > Self::PLACES {
            return Err(PriceError);
        }
        let whole: u64 = whole.parse().map_err(|_| PriceError)?;
        let part: u64 = format!("{part:0<places$}", places = Self::PLACES).parse().map_err(|_| PriceError)?;
        let micros = whole.checked_mul(Self::ONE).and_then(|micros| micros.checked_add(part));
        micros.map(|micros| Price { micros }).filter(|price| *price <= Self::MAX).ok_or(PriceError)
    }
}

/// With two decimal places, or more where they are needed.
impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.micros / Self::ONE, self.micros % Self::ONE);
        let part = format!("{part:06}");
        let needed = part.trim_end_matches('0').len().max(2);
        write!(f, "{whole}.{}", &part[..needed])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_exactly_or_refused() {
        let micros = |text: &str| text.parse::<Price>().map(|price| price.micros);
        let right = [("0", 0), ("3", 3_000_000), ("0.34", 340_000), ("1.000001", 1_000_001)];
        for (text, value) in right.into_iter().chain([("1000000", Price::MAX.micros)]) {
            assert_eq!(micros(text), Ok(value), "{text}");
        }
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "0.1234567",
            "1000000.000001",
            "1,5",
            " 1",
            "99999999999999999999",
        ] {
            assert_eq!(micros(text), Err(PriceError), "{text}");
        }
    }

    #[test]
    fn prices_are_written_as_they_are_read() {
        for text in ["0.00", "0.34", "12.50", "1.000001"] {
            assert_eq!(text.parse::<Price>().map(|price| price.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_slot_has_its_share_of_its_host() {
        let host = Price { micros: 1_000_000 };
        assert_eq!(host.of_slot(4), Price { micros: 250_000 });
        assert_eq!(host.of_slot(0), host);
        assert_eq!(host.for_ms(1_800_000), 500_000);
        assert_eq!(Price { micros: 1 }.for_ms(1_800_000), 1, "halves are rounded up");
        assert_eq!(Price::MAX.for_ms(u64::MAX), u64::MAX);
    }
}
