//! What a playlist needs to know of a rendition or track: durations and sizes of its segments.

use reel_common::{Rational, Rounding, rescale};

/// One segment of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSize {
    /// Duration in ticks of the stream.
    pub ticks: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The segments of one rendition or track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Ticks a second, at least 1.
    pub timescale: u32,
    /// In order.
    pub segments: Vec<SegmentSize>,
    /// What precedes them in the one file that holds them all; `None` where each is a file.
    pub head: Option<FileHead>,
}

/// The beginning of a file that holds all segments of a stream, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHead {
    /// Bytes of the header.
    pub init_bytes: u64,
    /// Bytes of the index, which follows it.
    pub index_bytes: u64,
}

impl FileHead {
    /// Bytes of both.
    pub fn bytes(self) -> u64 {
        self.init_bytes + self.index_bytes
    }
}

impl Stream {
    /// Ticks of all segments together.
    pub fn duration(&self) -> u64 {
        self.segments.iter().map(|segment| segment.ticks).sum()
    }

    /// Its first segments.
    pub fn first(&self, segments: u64) -> Self {
        let segments = self.segments.iter().take(usize::try_from(segments).unwrap_or(usize::MAX));
        Stream { timescale: self.timescale, segments: segments.copied().collect(), head: None }
    }

    /// The same segments as large as they are at a rate in bits a second.
    pub fn at_rate(&self, bps: u64) -> Self {
        let size = |ticks: u64| u128::from(ticks) * u128::from(bps) / 8 / u128::from(self.timescale.max(1));
        let segments = self.segments.iter().map(|segment| SegmentSize {
            ticks: segment.ticks,
            bytes: u64::try_from(size(segment.ticks)).unwrap_or(u64::MAX),
        });
        Stream { timescale: self.timescale, segments: segments.collect(), head: None }
    }

    /// Bits a second over the whole stream, rounded up; 0 for a stream without duration.
    pub fn average_bps(&self) -> u64 {
        let bytes = self.segments.iter().map(|segment| segment.bytes).sum();
        self.rate(bytes, self.duration()).unwrap_or(0)
    }

    /// The peak bit rate in bits a second, rounded up (RFC 8216bis, section 4.4.6.2): the largest of any run of
    /// segments that lasts between half and one and a half target durations. A short last segment alone does not count.
    pub fn peak_bps(&self, target_duration: u64) -> u64 {
        let (shortest, longest) = (
            u128::from(target_duration) * u128::from(self.timescale),
            3 * u128::from(target_duration) * u128::from(self.timescale),
        );
        let mut peak = 0;
        for start in 0..self.segments.len() {
            let (mut ticks, mut bytes) = (0, 0);
            for segment in &self.segments[start..] {
                ticks += segment.ticks;
                bytes += segment.bytes;
                if u128::from(ticks) * 2 > longest {
                    break;
                }
                if u128::from(ticks) * 2 >= shortest {
                    peak = peak.max(self.rate(bytes, ticks).unwrap_or(0));
                }
            }
        }
        // A title shorter than half its target duration has no such run.
        peak.max(self.average_bps())
    }

    /// Where the segments lie in the file that begins with `head`, as HLS writes it: `length@offset`.
    pub(crate) fn byte_ranges(&self, head: FileHead) -> impl Iterator<Item = String> + '_ {
        self.segments.iter().scan(head.bytes(), |next, segment| {
            let offset = *next;
            *next += segment.bytes;
            Some(format!("{}@{offset}", segment.bytes))
        })
    }

    fn rate(&self, bytes: u64, ticks: u64) -> Option<u64> {
        let bits = u128::from(bytes) * 8 * u128::from(self.timescale);
        u64::try_from(bits.div_ceil(u128::from(ticks).max(1))).ok().filter(|_| ticks > 0)
    }

    /// The ends of the segments in millionths of a second, rounded to the nearest.
    pub(crate) fn ends_us(&self) -> impl Iterator<Item = i64> + '_ {
        let tick = Rational::new(1, self.timescale.into()).unwrap_or(Rational::whole(1));
        let microsecond = Rational::new(1, 1_000_000).unwrap_or(Rational::whole(1));
        self.segments.iter().scan(0u64, move |end, segment| {
            *end += segment.ticks;
            Some(rescale(i64::try_from(*end).unwrap_or(i64::MAX), tick, microsecond, Rounding::Nearest))
        })
    }

    /// Durations of the segments in millionths of a second. Each ends where the rounded timeline says, so that their
    /// sum never drifts from it.
    pub(crate) fn durations_us(&self) -> impl Iterator<Item = i64> + '_ {
        let mut before = 0;
        self.ends_us().map(move |end| end - std::mem::replace(&mut before, end))
    }
}

/// The target duration in seconds that all streams of a title share: the longest segment, rounded, and at least 1
/// (RFC 8216bis, section 4.4.3.1).
pub fn target_duration<'a>(streams: impl IntoIterator<Item = &'a Stream>) -> u64 {
    let longest = streams.into_iter().flat_map(Stream::durations_us).max().unwrap_or(0);
    ((longest as u64 + 500_000) / 1_000_000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(timescale: u32, segments: &[(u64, u64)]) -> Stream {
        let segments = segments.iter().map(|(ticks, bytes)| SegmentSize { ticks: *ticks, bytes: *bytes });
        Stream { timescale, segments: segments.collect(), head: None }
    }

    #[test]
    fn a_short_last_segment_is_no_peak_by_itself() {
        let even = stream(1000, &[(4000, 500_000), (4000, 500_000), (100, 100_000)]);
        // Four seconds and the tail: 600,000 bytes in 4.1 s.
        assert_eq!(even.peak_bps(4), (600_000 * 8 * 10u64).div_ceil(41));
        assert_eq!(even.average_bps(), (1_100_000 * 80u64).div_ceil(81));
    }

    #[test]
    fn a_title_shorter_than_half_a_target_duration_has_its_average_as_peak() {
        let short = stream(1000, &[(100, 1000)]);
        assert_eq!((short.peak_bps(1), short.average_bps()), (80_000, 80_000));
        assert_eq!((stream(1000, &[]).peak_bps(4), stream(1000, &[(0, 7)]).average_bps()), (0, 0));
    }

    #[test]
    fn the_target_duration_is_the_longest_segment_rounded() {
        let video = stream(24000, &[(96_096, 1), (96_096, 1)]);
        let audio = stream(48000, &[(192_512, 1), (191_488, 1)]);
        assert_eq!(target_duration([&video, &audio]), 4);
        assert_eq!(target_duration([&stream(10, &[(45, 1)])]), 5);
        assert_eq!(target_duration([&stream(10, &[(44, 1)])]), 4);
        assert_eq!(target_duration([&stream(10, &[(1, 1)])]), 1);
    }

    #[test]
    fn durations_never_drift() {
        // Frames of 1001/30000 s in segments of 119 frames: no segment is a whole number of microseconds.
        let long = stream(30_000, &vec![(119 * 1001, 1); 100_000]);
        let sum: i64 = long.durations_us().sum();
        assert_eq!(sum, (119 * 1001 * 100_000i64 * 1_000_000 + 15_000) / 30_000);
        assert!(long.durations_us().all(|duration| (3_970_633..=3_970_634).contains(&duration)));
    }
}
