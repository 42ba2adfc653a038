//! Packets of 188 bytes, the tables that name what is in them, and the headers of what they carry.

use crate::{TIMESTAMP_MASK, TsError};

/// Bytes of a packet (section 2.4.3.2).
pub(crate) const PACKET_BYTES: usize = 188;
/// Bytes of it behind the header.
const BODY_BYTES: usize = PACKET_BYTES - 4;
pub(crate) const SYNC_BYTE: u8 = 0x47;

/// Packet identifiers.
pub(crate) const PAT_PID: u16 = 0;
pub(crate) const PMT_PID: u16 = 0x1000;
pub(crate) const VIDEO_PID: u16 = 0x100;
pub(crate) const SOUND_PID: u16 = 0x101;
/// Stream identifiers (table 2-22).
pub(crate) const VIDEO_STREAM: u8 = 0xe0;
pub(crate) const SOUND_STREAM: u8 = 0xc0;
/// Types of streams (table 2-34): H.264, and AAC in ADTS frames.
const H264: u8 = 0x1b;
const ADTS: u8 = 0x0f;
/// ISO_639_language_descriptor (section 2.6.18).
const LANGUAGE: u8 = 0x0a;

/// The packets of one identifier.
#[derive(Clone, Debug)]
pub(crate) struct Packets {
    pid: u16,
    /// Continuity counter of the next packet with a payload.
    counter: u8,
}

/// What an adaptation field says (section 2.4.3.4).
#[derive(Clone, Copy, Default)]
pub(crate) struct Adaptation {
    /// A decoder can begin with the payload.
    pub(crate) random_access: bool,
    /// The program clock reference, in ticks of 90 kHz.
    pub(crate) pcr: Option<i64>,
}

impl Adaptation {
    /// Its bytes behind the length; none where nothing is said.
    fn bytes(self) -> Vec<u8> {
        let flags = u8::from(self.random_access) << 6 | u8::from(self.pcr.is_some()) << 4;
        let mut bytes = Vec::new();
        if flags != 0 {
            bytes.push(flags);
        }
        if let Some(pcr) = self.pcr {
            // 33 bits, 6 that are reserved, and 9 of an extension that is 0.
            let field = ((pcr & TIMESTAMP_MASK) as u64) << 15 | 0x3f << 9;
            bytes.extend(&field.to_be_bytes()[2..]);
        }
        bytes
    }
}

impl Packets {
    pub(crate) fn new(pid: u16) -> Self {
        Packets { pid, counter: 0 }
    }

    /// Writes a PES packet into as many packets as it takes, of which the first has the adaptation field.
    pub(crate) fn pes(&mut self, bytes: &[u8], adaptation: Adaptation, out: &mut Vec<u8>) {
        let mut field = adaptation.bytes();
        let (mut rest, mut start) = (bytes, true);
        while !rest.is_empty() {
            rest = self.packet(rest, start, &field, out);
            (start, field) = (false, Vec::new());
        }
    }

    /// Writes a packet that holds a program clock reference and nothing else.
    pub(crate) fn pcr(&mut self, pcr: i64, out: &mut Vec<u8>) {
        let field = Adaptation { random_access: false, pcr: Some(pcr) }.bytes();
        self.packet(&[], false, &field, out);
    }

    /// Writes a section into a packet.
    pub(crate) fn section(&mut self, mut section: Vec<u8>, out: &mut Vec<u8>) {
        section.extend(crc(&section).to_be_bytes());
        // The pointer to the beginning of the section, and stuffing behind it (section 2.4.4).
        let mut body = vec![0xff; BODY_BYTES];
        body[0] = 0;
        body[1..=section.len()].copy_from_slice(&section);
        self.packet(&body, true, &[], out);
    }

    /// Writes a packet with as much of `payload` as goes into it, stuffed where that is less than its room; gives the rest.
    fn packet<'a>(&mut self, payload: &'a [u8], start: bool, field: &[u8], out: &mut Vec<u8>) -> &'a [u8] {
        let length = if field.is_empty() { 0 } else { 1 + field.len() };
        let (payload, rest) = payload.split_at(payload.len().min(BODY_BYTES - length));
        let length = BODY_BYTES - payload.len();
        let [high, low] = self.pid.to_be_bytes();
        let control = u8::from(length > 0) << 5 | u8::from(!payload.is_empty()) << 4;
        // It counts payloads: a packet without one has the number of the last.
        let counter = self.counter.wrapping_sub(u8::from(payload.is_empty())) & 0xf;
        out.extend([SYNC_BYTE, u8::from(start) << 6 | high, low, control | counter]);
        if length > 0 {
            let end = out.len() + length;
            out.push((length - 1) as u8);
            match field {
                [] if length > 1 => out.push(0),
                field => out.extend(field),
            }
            out.resize(end, 0xff);
        }
        out.extend(payload);
        self.counter = (self.counter + u8::from(!payload.is_empty())) & 0xf;
        rest
    }
}

/// The program association section of one program (section 2.4.4.3), without its checksum.
pub(crate) fn pat() -> Vec<u8> {
    let [high, low] = PMT_PID.to_be_bytes();
    vec![0x00, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe0 | high, low]
}

/// The program map section (section 2.4.4.8), without its checksum. Sound has a language, which may be undetermined.
pub(crate) fn pmt(sound: Option<[u8; 3]>) -> Vec<u8> {
    let [high, low] = VIDEO_PID.to_be_bytes();
    let mut bytes = vec![0x02, 0xb0, 0, 0, 1, 0xc1, 0, 0, 0xe0 | high, low, 0xf0, 0];
    bytes.extend([H264, 0xe0 | high, low, 0xf0, 0]);
    if let Some([a, b, c]) = sound {
        let [high, low] = SOUND_PID.to_be_bytes();
        bytes.extend([ADTS, 0xe0 | high, low, 0xf0, 6, LANGUAGE, 4, a, b, c, 0]);
    }
    // Bytes behind the length, checksum included.
    bytes[2] = (bytes.len() - 3 + 4) as u8;
    bytes
}

/// CRC_32 (annex A).
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

/// Begins a PES packet (section 2.4.3.6). The length of pictures is left open, that of sound is filled in by [`end_pes`].
pub(crate) fn pes_header(stream: u8, pts: i64, dts: i64) -> Vec<u8> {
    let mut bytes = vec![0, 0, 1, stream, 0, 0, 0x84];
    match pts == dts {
        true => {
            bytes.extend([0x80, 5]);
            bytes.extend(time_field(2, pts));
        }
        false => {
            bytes.extend([0xc0, 10]);
            bytes.extend(time_field(3, pts));
            bytes.extend(time_field(1, dts));
        }
    }
    bytes
}

/// Fills in the length of a PES packet.
pub(crate) fn end_pes(bytes: &mut [u8]) -> Result<(), TsError> {
    let length = u16::try_from(bytes.len() - 6).map_err(|_| TsError::SoundFrame)?;
    bytes[4..6].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// A timestamp in three pieces with a bit that is set behind each.
fn time_field(kind: u8, time: i64) -> [u8; 5] {
    let time = time & TIMESTAMP_MASK;
    let middle = ((time >> 15 & 0x7fff) << 1 | 1) as u16;
    let low = ((time & 0x7fff) << 1 | 1) as u16;
    let [b1, b2] = middle.to_be_bytes();
    let [b3, b4] = low.to_be_bytes();
    [kind << 4 | (time >> 29) as u8 & 0xe | 1, b1, b2, b3, b4]
}
