//! Values of attributes: their types, and durations as they are written.

use reel_common::Rational;

use crate::time::{add, decimal};

/// Whether a value is of the type of its attribute, where that is known here.
pub(super) fn fits(element: &str, key: &str, value: &str) -> bool {
    let number = |bits: u32| value.parse::<u64>().is_ok_and(|number| bits == 64 || number >> bits == 0);
    match (element, key) {
        ("MPD", "type") => ["static", "dynamic"].contains(&value),
        (
            _,
            "mediaPresentationDuration" | "minBufferTime" | "maxSegmentDuration" | "maxSubsegmentDuration",
        )
        | ("Period", "start" | "duration") => seconds(value).is_some(),
        ("S", "r") => value.parse::<i64>().is_ok(),
        ("S", _) => number(64),
        (
            "SegmentTemplate" | "SegmentBase" | "SegmentList",
            "timescale" | "duration" | "startNumber" | "endNumber",
        ) => number(32),
        ("SegmentTemplate" | "SegmentBase" | "SegmentList", "presentationTimeOffset") => number(64),
        (_, "bandwidth" | "width" | "height" | "startWithSAP" | "subsegmentStartsWithSAP") => number(32),
        ("AdaptationSet", "id") => number(32),
        ("Representation", "id") => !value.is_empty() && !value.contains(char::is_whitespace),
        (_, "frameRate") => ratio(value, '/'),
        (_, "sar" | "par") => ratio(value, ':') && value.contains(':'),
        (_, "indexRange" | "range" | "mediaRange") => range(value).is_some(),
        (_, "indexRangeExact" | "bitstreamSwitching" | "codingDependency") => {
            ["true", "false", "0", "1"].contains(&value)
        }
        _ => true,
    }
}

fn ratio(value: &str, mark: char) -> bool {
    let (num, den) = value.split_once(mark).unwrap_or((value, "1"));
    num.parse::<u32>().is_ok() && den.parse::<u32>().is_ok_and(|den| den > 0)
}

/// First and last byte of a range.
pub(super) fn range(value: &str) -> Option<(u64, u64)> {
    let (from, to) = value.split_once('-')?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then_some((from, to))
}

/// An xs:duration in seconds, where it has no years and months, which have no length.
pub(super) fn seconds(text: &str) -> Option<Rational> {
    let (days, time) = text.strip_prefix('P')?.split_once('T').unwrap_or((text.strip_prefix('P')?, ""));
    if days.is_empty() && time.is_empty() || text.ends_with('T') {
        return None;
    }
    let (mut sum, mut units) =
        (Rational::ZERO, [('D', 86_400), ('H', 3600), ('M', 60), ('S', 1)].into_iter());
    for (part, last) in [(days, 'D'), (time, 'S')] {
        let mut rest = part;
        while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic()) {
            let unit = char::from(rest.as_bytes()[at]);
            let (_, length) = units.find(|(name, _)| *name == unit)?;
            let (number, digits) = decimal(&rest[..at])?;
            if (digits > 0 && unit != 'S') || (last == 'D') != (unit == 'D') {
                return None;
            }
            sum = add(sum, number.checked_mul(Rational::whole(length))?);
            rest = &rest[at + 1..];
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        let cases = [
            ("PT0S", Some((0, 1))),
            ("PT1H2M3.5S", Some((7447, 2))),
            ("P1DT1S", Some((86_401, 1))),
            ("PT2M", Some((120, 1))),
            ("P1M", None),
            ("PT", None),
            ("P", None),
            ("PT1", None),
            ("PT1S2S", None),
            ("PT1S1M", None),
            ("PT1.5M", None),
            ("-PT1S", None),
            ("P1S", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(num, den)| Rational::new(num, den).unwrap());
            assert_eq!(seconds(text), expected, "{text}");
        }
        assert_eq!(range("0-9"), Some((0, 9)));
        assert_eq!(range("9-0"), None);
    }
}
