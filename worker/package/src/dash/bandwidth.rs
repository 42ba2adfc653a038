//! The bit rate of a Representation, as DASH means it.

use crate::Stream;

/// The least bit rate at which a client never waits that begins with any segment, and plays once it has received for
/// `buffer_ms` (ISO/IEC 23009-1, section 5.3.5.2, with segments that are there as a whole when they begin); bits a second, at least 1.
///
/// It is looked for by halving, each time with one pass over the segments.
pub(super) fn bandwidth(stream: &Stream, buffer_ms: u64) -> u64 {
    let bits: u64 = stream.segments.iter().map(|segment| segment.bytes * 8).sum();
    // All of it while the buffer fills will do.
    let (mut too_low, mut enough) = (0, (bits * 1000).div_ceil(buffer_ms.max(1)).max(1));
    while enough - too_low > 1 {
        let middle = too_low + (enough - too_low) / 2;
        match never_waits(stream, buffer_ms, middle) {
            true => enough = middle,
            false => too_low = middle,
        }
    }
    enough
}

/// Whether every segment is there when it begins, whichever the client began with.
fn never_waits(stream: &Stream, buffer_ms: u64, bps: u64) -> bool {
    let (timescale, bps) = (i128::from(stream.timescale), i128::from(bps));
    let buffered = bps * i128::from(buffer_ms) * timescale;
    // What the worst of the clients that began earlier is behind, in bits of a thousandth of a tick.
    let mut behind = 0;
    stream.segments.iter().all(|segment| {
        let received = behind + i128::from(segment.bytes) * 8 * 1000 * timescale;
        behind = (received - bps * 1000 * i128::from(segment.ticks)).max(0);
        received <= buffered
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SegmentSize;

    fn stream(segments: &[(u64, u64)]) -> Stream {
        let segments = segments.iter().map(|(ticks, bytes)| SegmentSize { ticks: *ticks, bytes: *bytes });
        Stream { timescale: 1000, segments: segments.collect(), head: None }
    }

    /// The definition as it stands: every run of segments from any beginning.
    fn plainly(stream: &Stream, buffer_ms: u64) -> u64 {
        let mut most = 1;
        for first in 0..stream.segments.len() {
            let (mut bits, mut ticks) = (0, 0);
            for segment in &stream.segments[first..] {
                bits += segment.bytes * 8;
                most = most.max((bits * 1000).div_ceil(buffer_ms + ticks));
                ticks += segment.ticks;
            }
        }
        most
    }

    #[test]
    fn a_buffer_of_a_segment_takes_the_rate_of_the_largest() {
        let even = stream(&[(4000, 500_000), (4000, 700_000), (4000, 300_000)]);
        assert_eq!(bandwidth(&even, 4000), 1_400_000);
        // A longer buffer evens it out.
        assert_eq!(bandwidth(&even, 8000), 1_200_000 * 8 / 12);
    }

    #[test]
    fn a_short_last_segment_is_no_peak() {
        assert_eq!(bandwidth(&stream(&[(4000, 500_000), (100, 50_000)]), 4000), 1_000_000);
    }

    #[test]
    fn it_is_the_least_that_the_definition_allows() {
        let mut state = 7u64;
        let mut dice = |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % end
        };
        for _ in 0..200 {
            let segments: Vec<_> = (0..dice(9)).map(|_| (dice(5000), dice(1_000_000))).collect();
            let (stream, buffer_ms) = (stream(&segments), 1 + dice(9000));
            assert_eq!(
                bandwidth(&stream, buffer_ms),
                plainly(&stream, buffer_ms),
                "{segments:?} {buffer_ms}"
            );
        }
    }
}
