//! A stream of H.264 field pictures (PAFF), which none of the distribution's encoders makes: every macroblock is sent as it
//! is (I_PCM), each field as a picture of its own. ISO/IEC 14496-10, 7.3.

/// Frames between two IDR pictures.
const GOP: usize = 12;
const MACROBLOCK: usize = 16;

/// Codes frames of 4:2:0 with 8 bits, whose sides are multiples of 16 and 32, the field of the upper lines first, as a byte
/// stream (annex B) at 25 frames per second.
pub fn encode(frames: &[u8], (width, height): (usize, usize)) -> Vec<u8> {
    assert!(width.is_multiple_of(MACROBLOCK) && height.is_multiple_of(2 * MACROBLOCK));
    let mut stream = unit(3, 7, sequence(width, height));
    stream.extend(unit(3, 8, picture_parameters()));
    for (number, frame) in frames.chunks_exact(width * height * 3 / 2).enumerate() {
        for bottom in [false, true] {
            let in_gop = number % GOP;
            let idr = in_gop == 0 && !bottom;
            let header = Header { idr, bottom, in_gop, idr_id: (number / GOP % 2) as u32 };
            let (reference, kind) = match (in_gop, idr) {
                (0, true) => (3, 5),
                (0, false) => (3, 1),
                _ => (0, 1),
            };
            stream.extend(unit(reference, kind, slice(frame, (width, height), &header)));
        }
    }
    stream
}

struct Header {
    idr: bool,
    bottom: bool,
    in_gop: usize,
    idr_id: u32,
}

/// Bits, the most significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, count: u32, value: u32) {
        for bit in (0..count).rev() {
            if self.used == 0 {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("there is one");
            *last |= ((value >> bit & 1) as u8) << (7 - self.used);
            self.used = (self.used + 1) % 8;
        }
    }

    /// An unsigned Exp-Golomb code.
    fn code(&mut self, value: u32) {
        let length = (value + 1).ilog2();
        self.put(length, 0);
        self.put(length + 1, value + 1);
    }

    fn codes(&mut self, values: &[u32]) {
        values.iter().for_each(|value| self.code(*value));
    }

    fn align(&mut self) {
        self.used = 0;
    }

    /// The end of a unit's payload.
    fn end(mut self) -> Vec<u8> {
        self.put(1, 1);
        self.bytes
    }
}

/// A unit behind its start code, its payload kept from looking like one.
fn unit(reference: u8, kind: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 1, reference << 5 | kind];
    let mut zeros = 0;
    for byte in payload {
        if zeros == 2 && byte <= 3 {
            bytes.push(3);
            zeros = 0;
        }
        bytes.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
    bytes
}

fn sequence(width: usize, height: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    let (main_profile, level_3) = (77, 30);
    bits.put(24, main_profile << 16 | level_3);
    // Ids; frame numbers of 4 and picture order counts of 8 bits; one reference frame.
    bits.codes(&[0, 0, 0, 4, 1]);
    bits.put(1, 0);
    bits.codes(&[(width / MACROBLOCK) as u32 - 1, (height / MACROBLOCK / 2) as u32 - 1]);
    let (frames_only, adaptive, direct_8x8, cropped, vui) = (0, 0, 1, 0, 1);
    bits.put(5, frames_only << 4 | adaptive << 3 | direct_8x8 << 2 | cropped << 1 | vui);
    // No aspect ratio, overscan, signal type or chroma location; timing: 50 fields per second.
    bits.put(4, 0);
    bits.put(1, 1);
    bits.put(32, 1);
    bits.put(32, 50);
    let (fixed, nal_hrd, vcl_hrd, picture_structure, restricted) = (1, 0, 0, 0, 1);
    bits.put(5, fixed << 4 | nal_hrd << 3 | vcl_hrd << 2 | picture_structure << 1 | restricted);
    bits.put(1, 1);
    // Nothing is reordered.
    bits.codes(&[0, 0, 10, 10, 0, 1]);
    bits.end()
}

fn picture_parameters() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.codes(&[0, 0]);
    let (cabac, order_in_frame) = (0, 0);
    bits.put(2, cabac << 1 | order_in_frame);
    bits.codes(&[0, 0, 0]);
    bits.put(3, 0);
    bits.codes(&[0, 0, 0]);
    let (deblocking_control, constrained_intra, redundant) = (1, 0, 0);
    bits.put(3, deblocking_control << 2 | constrained_intra << 1 | redundant);
    bits.end()
}

fn slice(frame: &[u8], (width, height): (usize, usize), header: &Header) -> Vec<u8> {
    let mut bits = Bits::default();
    let intra = 7;
    bits.codes(&[0, intra, 0]);
    bits.put(4, u32::from(header.in_gop > 0));
    let field = 1;
    bits.put(2, field << 1 | u32::from(header.bottom));
    if header.idr {
        bits.code(header.idr_id);
    }
    bits.put(8, 2 * header.in_gop as u32 + u32::from(header.bottom));
    match (header.in_gop, header.idr) {
        (0, true) => bits.put(2, 0),
        (0, false) => bits.put(1, 0),
        _ => {}
    }
    let no_deblocking = 1;
    bits.codes(&[0, no_deblocking]);
    let first_line = usize::from(header.bottom);
    for row in 0..height / 2 / MACROBLOCK {
        for column in 0..width / MACROBLOCK {
            let pcm = 25;
            bits.code(pcm);
            bits.align();
            let mut plane = (0, width, MACROBLOCK);
            for next in [width * height, width * height * 5 / 4, 0] {
                let (start, stride, side) = plane;
                for line in 0..side {
                    let line = 2 * (row * side + line) + first_line;
                    let from = start + line * stride + column * side;
                    bits.bytes.extend_from_slice(&frame[from..from + side]);
                }
                plane = (next, width / 2, MACROBLOCK / 2);
            }
        }
    }
    bits.end()
}
