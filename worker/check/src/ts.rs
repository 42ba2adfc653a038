//! Segments of transport streams (ISO/IEC 13818-1), and what HLS asks of them (RFC 8216bis, section 3.1.1).

use std::collections::BTreeMap;

use reel_common::Rational;

use crate::finding::Findings;
use crate::package::Place;
use crate::rule::{TS_CLOCK, TS_CONTINUITY, TS_DURATION, TS_PACKETS, TS_START, TS_TABLES};
use crate::time::{seconds, shown, sub};
use crate::{Package, Rule};

/// Bytes of a packet (section 2.4.3.2), and what it begins with.
const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// Bytes that are read at once.
const BATCH: u64 = 4096 * PACKET as u64;
/// Identifiers of the program association table, and of packets that hold nothing.
const PAT_PID: u16 = 0;
const NULL_PID: u16 = 0x1fff;
/// Most bytes of a section of a table (section 2.4.4).
const MAX_SECTION: usize = 1024;
/// Bytes of the first picture that are looked at for its kind.
const MAX_START: usize = 64 << 10;
/// Ticks a second of timestamps, and the bits that they have.
const CLOCK: u32 = 90_000;
const TIME_BITS: u32 = 33;
/// The longest time between clock references in ticks (section 2.7.2).
const MAX_CLOCK_STEP: i64 = CLOCK as i64 / 10;
/// What a playlist may say otherwise than the segment.
const SLACK_MS: i64 = 500;
/// Types of streams with pictures (table 2-34).
const H264: u8 = 0x1b;
const HEVC: u8 = 0x24;

/// Reads a segment that is said to last so long.
pub(crate) fn judge(package: &Package<'_>, place: &Place, lasts: Rational, findings: &mut Findings) {
    let mut reader = Reader::default();
    let mut at = place.offset;
    while at < place.end() {
        let length = (place.end() - at).min(BATCH);
        let bytes = match package.bytes(&place.file, at, length, length) {
            Ok(bytes) => bytes,
            Err(reason) => return findings.add(&TS_PACKETS, &place.file, reason),
        };
        for (number, packet) in bytes.chunks(PACKET).enumerate() {
            let position = at + (number * PACKET) as u64;
            match reader.packet(packet) {
                Err(None) => {
                    let found = format!("no whole packet at byte {position}");
                    return findings.add(&TS_PACKETS, &place.file, found);
                }
                Err(Some((rule, what))) => {
                    findings.add(rule, &place.file, format!("{what} at byte {position}"));
                }
                Ok(()) => {}
            }
        }
        at += length;
    }
    reader.finish(&place.file, lasts, findings);
}

/// What is wrong with a packet, by which rule; or `None` where it is none.
type Wrong = Option<(&'static Rule, String)>;

/// A segment on its way.
#[derive(Default)]
struct Reader {
    /// The last counter of each identifier.
    counters: BTreeMap<u16, u8>,
    /// Sections of tables that are not whole yet.
    sections: BTreeMap<u16, Vec<u8>>,
    /// The identifier of the program map.
    map: Option<u16>,
    /// The types of the program's streams.
    streams: Option<BTreeMap<u16, u8>>,
    clock: Option<i64>,
    /// The first packet of pictures: its identifier, whether more of it comes, and its bytes.
    start: Option<(u16, bool, Vec<u8>)>,
    /// Of the pictures, or of the first stream where there are none.
    times: Times,
}

/// Presentation times of a stream, as ticks from the first.
#[derive(Default)]
struct Times {
    pid: Option<u16>,
    first: i64,
    earliest: i64,
    latest: i64,
    count: i64,
}

impl Reader {
    fn packet(&mut self, packet: &[u8]) -> Result<(), Wrong> {
        let [SYNC, high, low, control, body @ ..] = packet else { return Err(None) };
        if packet.len() != PACKET {
            return Err(None);
        }
        let (start, pid) = (high & 0x40 != 0, u16::from_be_bytes([high & 0x1f, *low]));
        if pid == NULL_PID {
            return Ok(());
        }
        let (mut field, mut payload) = (&body[..0], body);
        if control & 0x20 != 0 {
            let (length, rest) = body.split_first().ok_or(None)?;
            (field, payload) = rest.split_at_checked((*length).into()).ok_or(None)?;
        }
        if control & 0x10 == 0 {
            payload = &[];
        } else {
            let jumps = field.first().is_some_and(|flags| flags & 0x80 != 0);
            self.count(pid, control & 0xf, jumps)?;
        }
        self.time(field)?;
        if control & 0xc0 != 0 {
            // What is scrambled cannot be looked into.
            return Ok(());
        }
        if pid == PAT_PID || Some(pid) == self.map {
            return self.section(pid, start, payload);
        }
        self.media(pid, start, payload)
    }

    /// Counters go on by one; a packet may come twice (section 2.4.3.3).
    fn count(&mut self, pid: u16, counter: u8, jumps: bool) -> Result<(), Wrong> {
        match self.counters.insert(pid, counter) {
            Some(last) if !jumps && counter != last && counter != (last + 1) & 0xf => {
                Err(Some((&TS_CONTINUITY, format!("{counter} after {last} of identifier {pid:#x}"))))
            }
            _ => Ok(()),
        }
    }

    /// Takes the clock reference of an adaptation field.
    fn time(&mut self, field: &[u8]) -> Result<(), Wrong> {
        let [flags, a, b, c, d, e, ..] = field else { return Ok(()) };
        if flags & 0x10 == 0 {
            return Ok(());
        }
        let base = i64::from(u32::from_be_bytes([*a, *b, *c, *d])) << 1 | i64::from(e >> 7);
        match self.clock.replace(base) {
            Some(last) if flags & 0x80 == 0 && after(last, base) > MAX_CLOCK_STEP => {
                let step = after(last, base) * 1000 / i64::from(CLOCK);
                Err(Some((&TS_CLOCK, format!("{step} ms without one"))))
            }
            _ => Ok(()),
        }
    }

    fn section(&mut self, pid: u16, start: bool, payload: &[u8]) -> Result<(), Wrong> {
        let wrong = |what: &str| Err(Some((&TS_TABLES, what.to_owned())));
        let section = self.sections.entry(pid).or_default();
        if start {
            let pointer = payload.first().map_or(0, |pointer| usize::from(*pointer));
            section.clear();
            section.extend(payload.get(1 + pointer..).unwrap_or_default());
        } else if !section.is_empty() {
            section.extend(payload);
        }
        let Some([_, high, low]) = section.first_chunk::<3>() else { return Ok(()) };
        let length = 3 + usize::from(u16::from_be_bytes([high & 0xf, *low]));
        if length > MAX_SECTION {
            section.clear();
            return wrong("a section that is too long");
        }
        if section.len() < length {
            return Ok(());
        }
        let section = self.sections.remove(&pid).unwrap_or_default();
        if crc(&section[..length]) != 0 {
            return wrong("a table whose checksum is wrong");
        }
        let body = section.get(8..length - 4).unwrap_or_default();
        match (pid, section[0]) {
            (PAT_PID, 0) => {
                let entry = |entry: &[u8]| {
                    let program = u16::from_be_bytes([entry[0], entry[1]]);
                    (program != 0).then(|| u16::from_be_bytes([entry[2] & 0x1f, entry[3]]))
                };
                let programs: Vec<u16> = body.chunks_exact(4).filter_map(entry).collect();
                self.map = programs.first().copied();
                match programs.len() {
                    1 => Ok(()),
                    count => wrong(&format!("{count} programs")),
                }
            }
            (_, 2) => {
                self.streams = Some(streams(body));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn media(&mut self, pid: u16, start: bool, payload: &[u8]) -> Result<(), Wrong> {
        let Some(streams) = &self.streams else {
            return match payload {
                [0, 0, 1, ..] if start => Err(Some((&TS_TABLES, "media before PAT and PMT".to_owned()))),
                _ => Ok(()),
            };
        };
        let Some(kind) = streams.get(&pid) else { return Ok(()) };
        let has_pictures = streams.values().any(|kind| is_picture(*kind));
        if is_picture(*kind) {
            match &mut self.start {
                None if start => self.start = Some((pid, true, payload.to_vec())),
                Some((own, goes_on, bytes)) if *own == pid && *goes_on => {
                    *goes_on = !start && bytes.len() < MAX_START;
                    bytes.extend(payload.iter().filter(|_| *goes_on));
                }
                _ => {}
            }
        }
        if start
            && (is_picture(*kind) || !has_pictures)
            && let Some(pts) = presented(payload)
        {
            self.times.add(pid, pts);
        }
        Ok(())
    }

    fn finish(self, file: &str, lasts: Rational, findings: &mut Findings) {
        let Some(streams) = &self.streams else {
            return findings.add(&TS_TABLES, file, "none");
        };
        if let Some((pid, _, bytes)) = &self.start
            && streams.get(pid).is_some_and(|kind| !begins(*kind, bytes))
        {
            findings.add(&TS_START, file, "another picture");
        }
        let Some(found) = self.times.lasts() else { return };
        if sub(found, lasts).max(sub(lasts, found)) > Rational::from_millis(SLACK_MS) {
            findings.add(
                &TS_DURATION,
                file,
                format!("{}, and its playlist says {}", shown(found), shown(lasts)),
            );
        }
    }
}

impl Times {
    fn add(&mut self, pid: u16, pts: i64) {
        if self.count == 0 {
            (self.pid, self.first) = (Some(pid), pts);
        }
        if self.pid == Some(pid) {
            let time = after(self.first, pts);
            (self.earliest, self.latest) = (self.earliest.min(time), self.latest.max(time));
            self.count += 1;
        }
    }

    /// From the first to the end of the last, which lasts as long as others do on average; `None` of less than two.
    fn lasts(&self) -> Option<Rational> {
        let span = self.latest - self.earliest;
        let step = span.checked_div(self.count - 1).filter(|_| self.count > 1)?;
        Some(seconds(span + step, CLOCK))
    }
}

fn is_picture(kind: u8) -> bool {
    [H264, HEVC].contains(&kind)
}

/// The types of streams in the body of a program map (section 2.4.4.9).
fn streams(body: &[u8]) -> BTreeMap<u16, u8> {
    let length = |high: u8, low: u8| usize::from(u16::from_be_bytes([high & 0xf, low]));
    let mut streams = BTreeMap::new();
    let Some([_, _, high, low]) = body.first_chunk::<4>() else { return streams };
    let mut rest = body.get(4 + length(*high, *low)..).unwrap_or_default();
    while let Some([kind, pid_high, pid_low, high, low]) = rest.first_chunk::<5>() {
        streams.insert(u16::from_be_bytes([pid_high & 0x1f, *pid_low]), *kind);
        rest = rest.get(5 + length(*high, *low)..).unwrap_or_default();
    }
    streams
}

/// When what a PES packet begins with is presented (section 2.4.3.7).
fn presented(payload: &[u8]) -> Option<i64> {
    let [0, 0, 1, _, _, _, _, flags, _, a, b, c, d, e, ..] = payload else { return None };
    let bits = |high: &u8, low: &u8| i64::from(u16::from_be_bytes([*high, *low]) >> 1);
    (flags & 0x80 != 0).then(|| i64::from(a >> 1 & 7) << 30 | bits(b, c) << 15 | bits(d, e))
}

/// Whether decoding can begin with a picture: its first coded unit says so. What is not seen is not held against it.
fn begins(kind: u8, bytes: &[u8]) -> bool {
    let heads = bytes.windows(4).filter(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 0x80 == 0);
    let mut coded = heads.map(|bytes| bytes[3]).filter_map(|head| match kind {
        H264 => Some(head & 0x1f).filter(|kind| (1..=5).contains(kind)).map(|kind| kind == 5),
        _ => Some(head >> 1 & 0x3f).filter(|kind| *kind < 32).map(|kind| (16..=21).contains(&kind)),
    });
    coded.next().unwrap_or(true)
}

/// Ticks from one timestamp to another, which may lie before it.
fn after(one: i64, other: i64) -> i64 {
    (other - one) << (64 - TIME_BITS) >> (64 - TIME_BITS)
}

/// The checksum of a section, which is 0 with its own (annex A).
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}
