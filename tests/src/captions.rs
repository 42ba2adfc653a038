//! Captions in the pictures of clips: written as encoders of television write them, and read by ffmpeg.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::ffmpeg;

/// Triplets of each picture at 30000/1001 a second (CTA-708-E, table 3).
const TRIPLETS: usize = 20;

/// What the pictures of a clip say, at one pair a frame of each field.
#[derive(Default)]
pub struct Script {
    fields: [BTreeMap<u64, [u8; 2]>; 2],
    digital: BTreeMap<u64, Vec<[u8; 3]>>,
    packets: u8,
}

impl Script {
    /// Shows a line on channel 1 to 4 of line 21 from a frame on, which is sent before.
    pub fn show(&mut self, channel: u8, frame: u64, text: &str) {
        let (load, row, shown) = ([0x14, 0x20], [0x14, 0x70], [0x14, 0x2f]);
        let mut pairs = vec![load, load, row, row];
        pairs.extend(text.as_bytes().chunks(2).map(|pair| [pair[0], *pair.get(1).unwrap_or(&0)]));
        let first = frame - pairs.len() as u64;
        pairs.extend([shown, shown]);
        self.send(channel, first, &pairs);
    }

    /// Takes what channel 1 to 4 of line 21 shows away.
    pub fn erase(&mut self, channel: u8, frame: u64) {
        self.send(channel, frame, &[[0x14, 0x2c]; 2]);
    }

    fn send(&mut self, channel: u8, first: u64, pairs: &[[u8; 2]]) {
        let field = usize::from(channel > 2);
        for (frame, &[code, more]) in (first..).zip(pairs) {
            let control = (0x10..0x20).contains(&code);
            let second_channel = if control && channel.is_multiple_of(2) { 0x08 } else { 0 };
            // Commands have codes of their own in field 2.
            let second_field = u8::from(control && field == 1 && (0x20..0x30).contains(&more));
            let pair = [code | second_channel | second_field, more].map(odd);
            assert_eq!(self.fields[field].insert(frame, pair), None, "frame {frame} is taken");
        }
    }

    /// Sends bytes of a caption service with a frame, in one packet.
    pub fn serve(&mut self, service: u8, frame: u64, bytes: &[u8]) {
        let mut blocks = Vec::new();
        for block in bytes.chunks(31) {
            match service {
                0..7 => blocks.push(service << 5 | block.len() as u8),
                _ => blocks.extend([7 << 5 | block.len() as u8, service]),
            }
            blocks.extend(block);
        }
        // With the header, which is the first byte, an even number.
        blocks.resize(blocks.len() | 1, 0);
        let header = self.packets << 6 | (blocks.len() as u8).div_ceil(2);
        self.packets = (self.packets + 1) % 4;
        let all: Vec<u8> = std::iter::once(header).chain(blocks).collect();
        assert!(all.len() <= 2 * (TRIPLETS - 2), "a packet of {} bytes", all.len());
        let kinds = std::iter::once(0xff).chain(std::iter::repeat(0xfe));
        let triplets = kinds.zip(all.chunks(2)).map(|(kind, pair)| [kind, pair[0], pair[1]]).collect();
        assert_eq!(self.digital.insert(frame, triplets), None, "frame {frame} is taken");
    }

    /// All that comes with a frame.
    pub fn triplets(&self, frame: u64) -> Vec<[u8; 3]> {
        let pair = |field: usize| self.fields[field].get(&frame).copied().unwrap_or([0x80; 2]);
        let line_21 = [0, 1].map(|field| [0xfc | field as u8, pair(field)[0], pair(field)[1]]);
        let digital = self.digital.get(&frame).cloned().unwrap_or_default();
        let mut all = [line_21.to_vec(), digital].concat();
        all.resize(TRIPLETS, [0xfa, 0, 0]);
        all
    }

    /// The bytes of line 21 of a frame, of field 1 or 2 alone.
    pub fn of_field(&self, frame: u64, field: u8) -> Vec<[u8; 3]> {
        vec![self.triplets(frame)[usize::from(field - 1)]]
    }
}

/// With odd parity.
fn odd(byte: u8) -> u8 {
    byte | if byte.count_ones().is_multiple_of(2) { 0x80 } else { 0 }
}

/// What a byte stream (annex B) holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// H.264.
    Avc,
    /// HEVC.
    Hevc,
}

impl Syntax {
    fn is_slice(self, header: u8) -> bool {
        match self {
            Syntax::Avc => matches!(header & 0x1f, 1 | 5),
            Syntax::Hevc => header >> 1 < 32,
        }
    }

    /// The header of a unit with messages that stands before a picture.
    fn message_header(self) -> &'static [u8] {
        match self {
            Syntax::Avc => &[6],
            Syntax::Hevc => &[39 << 1, 1],
        }
    }
}

/// Adds captions to a byte stream whose pictures are one slice each and come in the order in which they are shown: a message
/// before each (ATSC A/72 part 1, section 6.4.2).
pub fn inject(stream: &[u8], syntax: Syntax, captions: impl Fn(u64) -> Vec<[u8; 3]>) -> Vec<u8> {
    let mut out = Vec::with_capacity(stream.len() * 2);
    let mut picture = 0;
    for (at, byte) in stream.iter().enumerate() {
        let begins = stream[at..].starts_with(&[0, 0, 1]);
        if begins && stream.get(at + 3).is_some_and(|header| syntax.is_slice(*header)) {
            // A start code of three bytes may stand behind another zero, which ends the message as well.
            out.extend(message(syntax, &captions(picture)));
            picture += 1;
        }
        out.push(*byte);
    }
    out
}

fn message(syntax: Syntax, triplets: &[[u8; 3]]) -> Vec<u8> {
    let mut payload = vec![0xb5, 0x00, 0x31];
    payload.extend(b"GA94\x03");
    payload.extend([0xc0 | triplets.len() as u8, 0xff]);
    payload.extend(triplets.concat());
    payload.push(0xff);
    let unit = [syntax.message_header(), &[4, payload.len() as u8], &payload, &[0x80]].concat();
    let mut coded = vec![0, 0, 1];
    let mut zeros = 0;
    for byte in unit {
        if zeros == 2 && byte <= 3 {
            coded.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        coded.push(byte);
    }
    coded
}

/// A stream of pictures that all stand for themselves, with captions; `rate` as ffmpeg writes it.
pub fn carrier(dir: &Path, syntax: Syntax, rate: &str, seconds: u32, script: &Script) -> PathBuf {
    let (coding, extension) = match syntax {
        Syntax::Avc => ("-c:v libx264 -preset ultrafast -g 1 -bf 0 -threads 1", "h264"),
        Syntax::Hevc => {
            ("-c:v libx265 -preset ultrafast -x265-params keyint=1:bframes=0:log-level=none", "hevc")
        }
    };
    let carrier = dir.join(format!("carrier.{extension}"));
    let pictures = format!("testsrc2=s=320x180:r={rate}:d={seconds}");
    let input = ["-f", "lavfi", "-i", &pictures];
    ffmpeg::run(input.into_iter().chain(coding.split(' ')).chain(["-y", path(&carrier)]));
    let stream = std::fs::read(&carrier).expect("ffmpeg has written it");
    let stream = inject(&stream, syntax, |frame| script.triplets(frame));
    std::fs::write(&carrier, stream).expect("a writable folder");
    carrier
}

/// The carrier encoded by ffmpeg, which keeps captions; `coding` are its options, separated by spaces.
pub fn clip(carrier: &Path, rate: &str, coding: &str, name: &str) -> PathBuf {
    let clip = carrier.with_file_name(name);
    let input = ["-r", rate, "-i", path(carrier)];
    ffmpeg::run(input.into_iter().chain(coding.split(' ')).chain([path(&clip)]));
    clip
}

/// The captions of a field, 1 or 2, that ffmpeg finds in the pictures of a clip.
pub fn read(clip: &Path, field: u8) -> Vec<Shown> {
    let movie = format!("movie={}[out0+subcc]", path(clip));
    let field = if field == 1 { "first" } else { "second" };
    let args = ["-data_field", field, "-f", "lavfi", "-i", &movie, "-map", "s", "-f", "srt", "-"];
    cues(&ffmpeg::run(args))
}

/// A cue: begin and end in milliseconds, and its lines without tags, with bars between them.
pub type Shown = (u64, u64, String);

/// The cues of SubRip as ffmpeg writes it.
pub fn cues(srt: &[u8]) -> Vec<Shown> {
    let text = std::str::from_utf8(srt).expect("SubRip is text");
    let time = |clock: &str| -> u64 {
        let digits: Vec<u64> =
            clock.trim().split([':', ',']).map(|part| part.parse().expect("a number")).collect();
        ((digits[0] * 60 + digits[1]) * 60 + digits[2]) * 1000 + digits[3]
    };
    let blocks = text.trim().split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    let cue = |block: &str| {
        let mut lines = block.lines().skip(1);
        let times = lines.next().and_then(|line| line.split_once(" --> "));
        let (begin, end) = times.unwrap_or_else(|| panic!("no times: {block}"));
        let mut shown = lines.collect::<Vec<_>>().join("|");
        while let (Some(open), Some(close)) = (shown.find(['<', '{']), shown.find(['>', '}'])) {
            shown.replace_range(open..=close, "");
        }
        (time(begin), time(end), shown)
    };
    blocks.map(cue).collect()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}
