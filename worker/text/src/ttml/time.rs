//! Time expressions (TTML2, section 12.3.1) and the parameters that give them their meaning (section 7.2).

use reel_common::Rational;

use super::Attributes;
use crate::timecode::{self, Timecode};

/// How times of a document are counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Frames that a second of a timecode has.
    nominal: i64,
    /// Frames that a second of media has.
    frame_rate: Rational,
    tick_rate: i64,
    /// Whether clock times count frames, as timecodes do, rather than seconds of media.
    smpte: bool,
    drop: bool,
}

/// No timecode counts more frames a second, nor has more hours.
const MAX_RATE: i64 = 1000;
const MAX_HOURS: i64 = 10_000;

impl Clock {
    /// The clock of the root's attributes, or which of them cannot be used.
    pub(super) fn new(root: &Attributes) -> Result<Clock, &'static str> {
        let number = |text: &str| text.trim().parse::<i64>().ok().filter(|number| *number > 0);
        let given = root.get("frameRate");
        let nominal =
            given.map_or(Some(30), number).filter(|rate| *rate <= MAX_RATE).ok_or("this ttp:frameRate")?;
        let multiplier = root.get("frameRateMultiplier").unwrap_or("1 1");
        // Drafts of TTML wrote a colon.
        let terms: Option<Vec<i64>> = multiplier.split([' ', ':']).map(number).collect();
        let multiplier = match terms.as_deref() {
            Some([num, den]) => Rational::new(*num, *den),
            _ => None,
        };
        let frame_rate = multiplier.and_then(|ratio| ratio.checked_mul(Rational::whole(nominal)));
        let sub_frames = root.get("subFrameRate").map_or(Some(1), number);
        let usual = sub_frames.and_then(|sub| sub.checked_mul(if given.is_some() { nominal } else { 1 }));
        let smpte = match root.get("timeBase") {
            None | Some("media") => false,
            Some("smpte") => true,
            Some(_) => return Err("times of a wall clock (ttp:timeBase)"),
        };
        let drop = smpte && root.get("dropMode") == Some("dropNTSC");
        if smpte && root.get("dropMode") == Some("dropPAL") {
            return Err("ttp:dropMode dropPAL");
        }
        Ok(Clock {
            nominal,
            frame_rate: frame_rate.ok_or("this ttp:frameRateMultiplier")?,
            tick_rate: root.get("tickRate").map_or(usual, number).ok_or("this ttp:tickRate")?,
            smpte,
            drop,
        })
    }

    /// How the document writes its times.
    pub(super) fn written(&self) -> timecode::Clock {
        match self.smpte {
            true => {
                timecode::Clock::Timecode { nominal: self.nominal, rate: self.frame_rate, drop: self.drop }
            }
            false => timecode::Clock::Real,
        }
    }

    /// Seconds of media.
    pub(super) fn parse(&self, text: &str) -> Option<Rational> {
        let text = text.trim();
        if text.contains(':') { self.clock_time(text) } else { self.offset_time(text) }
    }

    fn clock_time(&self, text: &str) -> Option<Rational> {
        let mut parts = text.split(':');
        let (hours, minutes) = (whole(parts.next()?)?, whole(parts.next()?)?);
        let seconds = decimal(parts.next()?)?;
        let frames = parts.next().map_or(Some(0), whole)?;
        let whole_seconds = seconds.floor();
        let beyond = hours > MAX_HOURS || minutes > 59 || whole_seconds > 60 || frames >= self.nominal;
        if beyond || parts.next().is_some() {
            return None;
        }
        if !self.smpte {
            let seconds = seconds.checked_add(Rational::whole((hours * 60 + minutes) * 60))?;
            return seconds.checked_add(Rational::whole(frames).checked_div(self.frame_rate)?);
        }
        let timecode = Timecode([hours, minutes, whole_seconds, frames]);
        let frame = timecode.frame(self.nominal, self.drop);
        let fraction = seconds.checked_sub(Rational::whole(whole_seconds))?;
        Rational::whole(frame).checked_div(self.frame_rate)?.checked_add(fraction)
    }

    fn offset_time(&self, text: &str) -> Option<Rational> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let count = decimal(digits)?;
        match &text[digits.len()..] {
            "h" => count.checked_mul(Rational::whole(3600)),
            "m" => count.checked_mul(Rational::whole(60)),
            "s" => Some(count),
            "ms" => count.checked_div(Rational::whole(1000)),
            "f" => count.checked_div(self.frame_rate),
            "t" => count.checked_div(Rational::whole(self.tick_rate)),
            _ => None,
        }
    }
}

fn whole(text: &str) -> Option<i64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Digits, perhaps with a fraction; digits after the ninth of a fraction are looked over.
pub(super) fn decimal(text: &str) -> Option<Rational> {
    let (before, after) = text.split_once('.').unwrap_or((text, "0"));
    if after.is_empty() || !after.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let after = &after[..after.len().min(9)];
    let fraction = Rational::new(whole(after)?, 10i64.pow(after.len() as u32))?;
    fraction.checked_add(Rational::whole(whole(before)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ttml::ms;

    #[test]
    fn times_mean_what_the_parameters_of_the_document_say() {
        let check = |parameters: &[(&str, &str)], text: &str, expect: Option<u64>| {
            let list = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let clock = Clock::new(&Attributes(list.collect())).unwrap();
            assert_eq!(clock.parse(text).map(ms), expect, "{parameters:?} {text}");
        };
        let film = [("frameRate", "24"), ("frameRateMultiplier", "1000 1001")];
        check(&[], "00:00:01.5", Some(1500));
        check(&[], "100:00:00", Some(360_000_000));
        check(&[], "00:00:01.123456789123", Some(1123));
        check(&[], "00:00:01:15", Some(1500));
        check(&film, "00:00:01:12", Some(1501));
        check(&film, "24f", Some(1001));
        check(
            &[film[0], film[1], ("timeBase", "smpte"), ("dropMode", "nonDrop")],
            "01:00:00:00",
            Some(3_603_600),
        );
        let ntsc = [
            ("frameRate", "30"),
            ("frameRateMultiplier", "1000 1001"),
            ("timeBase", "smpte"),
            ("dropMode", "dropNTSC"),
        ];
        check(&ntsc, "01:00:00:00", Some(3_599_996));
        check(&ntsc, "00:01:00:02", Some(60_060));
        check(&[("tickRate", "10000000")], "15000000t", Some(1500));
        check(&[("frameRate", "25")], "50t", Some(2000));
        check(&[], "3t", Some(3000));
        for (text, expect) in
            [("1.5h", 5_400_000), ("2m", 120_000), ("12.345s", 12_345), ("7ms", 7), (" 1s ", 1000)]
        {
            check(&[], text, Some(expect));
        }
        for broken in [
            "",
            "5",
            "s",
            "1x",
            "-1s",
            "1.s",
            "00:00",
            "00:61:00",
            "00:00:00:30",
            "1:2:3:4:5",
            "+1:00:00",
            "99999999999999999999s",
            "9223372036854775807h",
            "00:00:٣",
        ] {
            check(&[], broken, None);
        }
    }

    #[test]
    fn parameters_that_cannot_be_used_are_named() {
        for (name, value) in [
            ("frameRate", "0"),
            ("frameRate", "9223372036854775807"),
            ("frameRateMultiplier", "1000"),
            ("frameRateMultiplier", "9223372036854775807 1"),
            ("tickRate", "-5"),
            ("timeBase", "clock"),
        ] {
            let attributes = Attributes(vec![(name.to_owned(), value.to_owned())]);
            let problem = Clock::new(&attributes).unwrap_err();
            assert!(problem.contains(&format!("ttp:{name}")), "{problem}");
        }
    }
}
