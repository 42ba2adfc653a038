//! Reading back: segments are taken apart, and every rule that they are written by is checked.

use crate::packet::{
    PACKET_BYTES, PAT_PID, PMT_PID, SOUND_PID, SOUND_STREAM, SYNC_BYTE, VIDEO_PID, VIDEO_STREAM, crc, pat,
};
use crate::{Adts, PCR_PERIOD, TIMESTAMP_MASK};

/// A stream that is not one of ours, with the first thing that is wrong and the number of the packet in its segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packet {packet} {what}")]
pub struct ReadError {
    packet: usize,
    what: &'static str,
}

/// A picture or frame of sound with its timestamps, of 33 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// When it is shown or sounds.
    pub pts: i64,
    /// When it is decoded.
    pub dts: i64,
    /// An access unit with start codes, or a frame without its header.
    pub data: Vec<u8>,
}

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Pictures in decode order.
    pub pictures: Vec<Unit>,
    /// PES packets of sound: when the first frame sounds, and the frames.
    pub sound: Vec<(i64, Vec<Vec<u8>>)>,
    /// What the headers of sound say, where there is some.
    pub adts: Option<Adts>,
}

/// Reads the segments of a title one after the other.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// The counter of the next packet of each identifier; the first of a title is 0.
    counters: [u8; 4],
    pcr: Option<i64>,
}

/// A packet that was taken apart.
struct Packet<'a> {
    stream: usize,
    start: bool,
    random_access: bool,
    pcr: Option<i64>,
    payload: &'a [u8],
}

/// A PES packet on its way.
#[derive(Default)]
struct Pes {
    bytes: Vec<u8>,
    /// The last program clock reference before its end.
    pcr: i64,
}

const STREAMS: [u16; 4] = [PAT_PID, PMT_PID, VIDEO_PID, SOUND_PID];
const VIDEO: usize = 2;

impl Reader {
    /// Takes the next segment apart.
    ///
    /// # Errors
    /// The first packet that is malformed or out of order: a counter that does not go on, a segment that does not begin with PAT, PMT
    /// and a picture to begin with, program clock references that go back or are further apart than 100 ms, and what is to be decoded
    /// before it is there.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Segment, ReadError> {
        let mut segment = Segment::default();
        let mut open: [Option<Pes>; 4] = Default::default();
        let packets = bytes.len().div_ceil(PACKET_BYTES);
        for (number, bytes) in bytes.chunks(PACKET_BYTES).enumerate() {
            let wrong = |what| ReadError { packet: number, what };
            let packet = Packet::parse(bytes).ok_or_else(|| wrong("is malformed"))?;
            self.count(&packet, bytes[3] & 0xf).map_err(wrong)?;
            self.time(&packet).map_err(wrong)?;
            match (number, packet.stream) {
                (0, 0) | (1, 1) => table(packet.payload, number).ok_or_else(|| wrong("is not its table"))?,
                (2, VIDEO) if !(packet.start && packet.random_access && packet.pcr.is_some()) => {
                    return Err(wrong("does not begin a picture to begin with"));
                }
                (0 | 1, _) | (_, 0 | 1) => return Err(wrong("stands where others belong")),
                (2, stream) if stream != VIDEO => return Err(wrong("is before the first picture")),
                (_, stream) => {
                    let slot = &mut open[stream];
                    if packet.start
                        && let Some(pes) = slot.replace(Pes::default())
                    {
                        segment.add(stream, &pes).map_err(wrong)?;
                    }
                    match slot {
                        Some(pes) => {
                            pes.bytes.extend(packet.payload);
                            pes.pcr = self.pcr.unwrap_or(0);
                        }
                        None if packet.payload.is_empty() => {}
                        None => return Err(wrong("goes on with what was not begun")),
                    }
                }
            }
        }
        for (stream, pes) in open.into_iter().enumerate() {
            if let Some(pes) = pes {
                segment.add(stream, &pes).map_err(|what| ReadError { packet: packets, what })?;
            }
        }
        match segment.pictures.is_empty() {
            true => Err(ReadError { packet: packets, what: "ends a segment without pictures" }),
            false => Ok(segment),
        }
    }

    fn count(&mut self, packet: &Packet<'_>, counter: u8) -> Result<(), &'static str> {
        let next = &mut self.counters[packet.stream];
        // A packet without a payload has the number of the last.
        let payload = u8::from(!packet.payload.is_empty());
        let due = next.wrapping_sub(1 - payload) & 0xf;
        *next = (*next + payload) & 0xf;
        if counter == due { Ok(()) } else { Err("does not go on counting") }
    }

    fn time(&mut self, packet: &Packet<'_>) -> Result<(), &'static str> {
        let Some(pcr) = packet.pcr else { return Ok(()) };
        let last = self.pcr.replace(pcr);
        match last {
            _ if packet.stream != VIDEO => Err("has a clock reference where there is none"),
            Some(last) if since(last, pcr) > PCR_PERIOD => Err("has a clock reference that is late"),
            _ => Ok(()),
        }
    }
}

/// Ticks from one timestamp to a later one.
fn since(earlier: i64, later: i64) -> i64 {
    later.wrapping_sub(earlier) & TIMESTAMP_MASK
}

impl<'a> Packet<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let [sync, high, low, control, body @ ..] = bytes else { return None };
        // No error, no priority, nothing scrambled.
        if bytes.len() != PACKET_BYTES || *sync != SYNC_BYTE || high & 0xa0 != 0 || control & 0xc0 != 0 {
            return None;
        }
        let pid = u16::from_be_bytes([high & 0x1f, *low]);
        let stream = STREAMS.iter().position(|known| *known == pid)?;
        let (mut random_access, mut pcr, mut payload) = (false, None, body);
        if control & 0x20 != 0 {
            let (length, rest) = body.split_first()?;
            let (field, after) = rest.split_at_checked((*length).into())?;
            payload = after;
            if let Some((flags, rest)) = field.split_first() {
                random_access = flags & 0x40 != 0;
                let mut stuffing = rest;
                if flags & 0x10 != 0 {
                    let (field, after) = rest.split_first_chunk::<6>()?;
                    pcr = Some(read_pcr(*field)?);
                    stuffing = after;
                }
                if flags & !0x50 != 0 || stuffing.iter().any(|byte| *byte != 0xff) {
                    return None;
                }
            }
        }
        let start = high & 0x40 != 0;
        let has_payload = control & 0x10 != 0;
        (has_payload != payload.is_empty() && (has_payload || !start)).then_some(Packet {
            stream,
            start,
            random_access,
            pcr,
            payload,
        })
    }
}

fn read_pcr(field: [u8; 6]) -> Option<i64> {
    let value = field.iter().fold(0i64, |value, byte| value << 8 | i64::from(*byte));
    (value & 0x7fff == 0x3f << 9).then_some(value >> 15)
}

/// Whether a packet holds the table that belongs there.
fn table(payload: &[u8], number: usize) -> Option<()> {
    let (pointer, rest) = payload.split_first()?;
    let length = 3 + usize::from(*rest.get(2)?);
    let (section, stuffing) = rest.split_at_checked(length)?;
    let ours = match number {
        0 => section.starts_with(&pat()),
        _ => section[0] == 2 && section[1] == 0xb0,
    };
    (*pointer == 0 && ours && crc(section) == 0 && stuffing.iter().all(|byte| *byte == 0xff)).then_some(())
}

impl Segment {
    fn add(&mut self, stream: usize, pes: &Pes) -> Result<(), &'static str> {
        let malformed = "ends a malformed PES packet";
        let (pts, dts, data) = pes.parse(stream).ok_or(malformed)?;
        if since(pes.pcr, dts) > TIMESTAMP_MASK / 2 {
            return Err("ends what has to be decoded before it is there");
        }
        if stream == VIDEO {
            self.pictures.push(Unit { pts, dts, data: data.to_vec() });
            return Ok(());
        }
        let (mut rest, mut frames) = (data, Vec::new());
        while !rest.is_empty() {
            let (adts, frame) = Adts::read(&mut rest).ok_or(malformed)?;
            if *self.adts.get_or_insert(adts) != adts {
                return Err("ends sound of two kinds");
            }
            frames.push(frame.to_vec());
        }
        self.sound.push((pts, frames));
        Ok(())
    }
}

impl Pes {
    /// Its timestamps and what it carries.
    fn parse(&self, stream: usize) -> Option<(i64, i64, &[u8])> {
        let (head, rest) = self.bytes.split_at_checked(9)?;
        let is_video = stream == VIDEO;
        let id = if is_video { VIDEO_STREAM } else { SOUND_STREAM };
        let length = if is_video { 0 } else { self.bytes.len() - 6 };
        let said = usize::from(u16::from_be_bytes([head[4], head[5]]));
        if head[..4] != [0, 0, 1, id] || head[6] != 0x84 || said != length {
            return None;
        }
        let (fields, data) = rest.split_at_checked(head[8].into())?;
        let (pts, dts) = match (head[7], fields.len()) {
            (0x80, 5) => (read_time(2, fields)?, read_time(2, fields)?),
            (0xc0, 10) => (read_time(3, &fields[..5])?, read_time(1, &fields[5..])?),
            _ => return None,
        };
        Some((pts, dts, data))
    }
}

fn read_time(kind: u8, field: &[u8]) -> Option<i64> {
    let [a, b, c, d, e] = *field else { return None };
    let marked = a >> 4 == kind && a & c & e & 1 == 1;
    let bits = |high: u8, low: u8| i64::from(u16::from_be_bytes([high, low]) >> 1);
    marked.then(|| i64::from(a >> 1 & 7) << 30 | bits(b, c) << 15 | bits(d, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessUnit, Muxer, ORIGIN, ParameterSets, Picture, SoundFrame, timestamp, wrapped};

    const AVCC: [u8; 16] = [1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 3, 0x67, 0x42, 1, 1, 0, 2, 0x68, 0xce];
    const AAC_48K_STEREO: [u8; 2] = [0x11, 0x90];

    /// A sample of one unit of so many bytes.
    fn sample(sync: bool, bytes: usize) -> Vec<u8> {
        let unit = [vec![if sync { 0x65 } else { 0x41 }], vec![7; bytes - 1]].concat();
        [&(bytes as u32).to_be_bytes()[..], &unit].concat()
    }

    /// Two segments of pictures at so many ticks of 90 kHz, of all sizes around that of a packet, and their sound.
    fn stream(step: i64, origin: i64) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let mut muxer = Muxer::new(&AVCC, Some((&AAC_48K_STEREO, *b"eng"))).unwrap();
        let (mut samples, mut segments) = (Vec::new(), Vec::new());
        for segment in 0..2 {
            let own: Vec<_> = (0..200).map(|at| sample(at == 0, 1 + at + segment)).collect();
            let time = |at: usize| origin + (segment * 200 + at) as i64 * step;
            let pictures = own.iter().enumerate().map(|(at, sample)| Picture {
                sample,
                dts: time(at),
                pts: time(at) + step * (at % 3) as i64,
                sync: at == 0,
            });
            let frames: Vec<_> = (0..50).map(|at| (time(0) + at * 1920, vec![at as u8; 300])).collect();
            let frames: Vec<_> = frames.iter().map(|(pts, data)| SoundFrame { data, pts: *pts }).collect();
            let bytes = muxer.segment(&pictures.collect::<Vec<_>>(), &frames, time(200)).unwrap();
            segments.push(bytes);
            samples.extend(own);
        }
        (segments, samples)
    }

    #[test]
    fn what_is_written_is_read() {
        // 60 and 5 frames a second; and past the end of the 33 bits.
        for (step, origin) in [(1500, ORIGIN), (18_000, ORIGIN), (3003, TIMESTAMP_MASK - 500_000)] {
            let (segments, samples) = stream(step, origin);
            let (mut reader, mut at, mut frames) = (Reader::default(), 0, 0);
            for (number, bytes) in segments.iter().enumerate() {
                let segment = reader.read(bytes).unwrap();
                for (picture, unit) in segment.pictures.iter().enumerate() {
                    let read = AccessUnit::read(&unit.data).unwrap();
                    assert_eq!(unit.dts, wrapped(origin + at as i64 * step));
                    assert_eq!(since(unit.dts, unit.pts), (picture % 3) as i64 * step);
                    let sets = (picture == 0).then(|| ParameterSets::new(&AVCC).unwrap());
                    assert_eq!((&read.sample, read.sets), (&samples[at], sets), "{at}");
                    at += 1;
                }
                for (pts, run) in &segment.sound {
                    assert_eq!(*pts, wrapped(origin + number as i64 * 200 * step + frames % 50 * 1920));
                    assert!(run.iter().all(|frame| frame.len() == 300));
                    frames += run.len() as i64;
                }
            }
            assert_eq!((at, frames), (400, 100));
        }
    }

    #[test]
    fn no_byte_of_a_header_changes_unseen() {
        let (segments, _) = stream(3600, ORIGIN);
        let whole = Reader::default().read(&segments[0]).unwrap();
        for at in (0..segments[0].len()).filter(|at| at % PACKET_BYTES < 5) {
            let mut bytes = segments[0].clone();
            bytes[at] ^= 1;
            assert!(Reader::default().read(&bytes) != Ok(whole.clone()), "byte {at}");
        }
    }

    #[test]
    fn segments_out_of_order_do_not_go_on_counting() {
        let (segments, _) = stream(3600, ORIGIN);
        for order in [&[1][..], &[0, 0]] {
            let mut reader = Reader::default();
            let read = order.iter().fold(None, |_, segment| Some(reader.read(&segments[*segment])));
            let skipped = ReadError { packet: 0, what: "does not go on counting" };
            assert!(read == Some(Err(skipped)), "{order:?}");
        }
        for packets in [1, 2, 3] {
            let cut = &segments[0][..packets * PACKET_BYTES];
            assert_eq!(Reader::default().read(cut).is_ok(), packets == 3, "{packets}");
            assert!(Reader::default().read(&segments[0][packets * PACKET_BYTES..]).is_err(), "{packets}");
        }
    }

    #[test]
    fn times_are_rounded_to_the_nearest() {
        // 1001/30000 s is 3003 ticks; 1/48000 s is 1.875.
        assert_eq!(timestamp(1001, 30_000), ORIGIN + 3003);
        assert_eq!([-1, 0, 1, 2].map(|at| timestamp(at, 48_000) - ORIGIN), [-2, 0, 2, 4]);
        assert_eq!(wrapped(-1), TIMESTAMP_MASK);
    }
}
