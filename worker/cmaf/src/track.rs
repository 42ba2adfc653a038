//! One track of a file's header (`trak`, ISO/IEC 14496-12, section 8.3 to 8.6).

use bytes::Bytes;

use crate::boxes::{FourCc, array_at, child, children, descend, full, u16_at, u32_at, u64_at};
use crate::mov::TrackError;
use crate::sample_entry;
use crate::sample_table::SampleTable;

/// What a track holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Time code, text, metadata, hints.
    Other,
}

/// One track.
#[derive(Clone, Debug)]
pub struct Track {
    /// Its number in the header, from 1.
    pub id: u32,
    /// What it holds.
    pub kind: TrackKind,
    /// Type of its first sample entry, for example `apch` or `avc1`.
    pub fourcc: FourCc,
    /// Ticks a second of its samples.
    pub timescale: u32,
    /// ISO 639-2 code or BCP 47 tag; empty where undetermined.
    pub language: String,
    /// The edit list, in order; empty when the whole track is presented from its time 0.
    pub edits: Vec<Edit>,
    /// Degrees by which the picture is turned clockwise for display: 0, 90, 180 or 270; `None` for a mirrored or
    /// skewed picture.
    pub matrix_rotation: Option<u16>,
    /// Whether its samples lie in another file.
    pub external: bool,
    /// How its samples are coded; more than one where the coding changes on the way.
    pub entries: Vec<SampleEntry>,
    /// Where its samples lie.
    pub samples: SampleTable,
}

/// One entry of an edit list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// How long it is presented, in ticks of the movie; 0 in a fragmented file: to the end.
    pub segment_duration: u64,
    /// Where it begins, in ticks of the track; `None` for an empty edit: nothing is presented.
    pub media_time: Option<i64>,
    /// Playing speed in 65,536ths: 65,536 is normal, 0 holds one sample.
    pub rate: i32,
}

impl Edit {
    /// Normal playing speed.
    pub const NORMAL_RATE: i32 = 1 << 16;
}

/// How samples are coded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleEntry {
    /// Its type.
    pub fourcc: FourCc,
    /// The box after its header.
    pub body: Bytes,
}

/// What the samples of a track's fragments are like unless a fragment says otherwise (`trex`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackDefaults {
    /// The track.
    pub track_id: u32,
    /// Ticks of the track.
    pub duration: u32,
    /// Bytes.
    pub size: u32,
    /// Sample flags (ISO/IEC 14496-12, section 8.8.3.1).
    pub flags: u32,
}

impl TrackDefaults {
    /// Reads the body of an `mvex` box.
    pub(crate) fn read_all(mvex: &Bytes) -> Vec<Self> {
        let boxes = children(mvex).filter(|(kind, _)| kind == b"trex");
        let word = |body: &Bytes, index: usize| u32_at(body, 4 * index);
        boxes
            .filter_map(|(_, body)| {
                Some(TrackDefaults {
                    track_id: word(&body, 1)?,
                    duration: word(&body, 3)?,
                    size: word(&body, 4)?,
                    flags: word(&body, 5)?,
                })
            })
            .collect()
    }
}

impl Track {
    /// Reads the body of a `trak` box: its number, and the track or what it was meant to be and what is wrong.
    pub(crate) fn read(trak: &Bytes, movie_matrix: &[u8]) -> (u32, Result<Self, (TrackKind, TrackError)>) {
        let tkhd = child(trak, b"tkhd");
        let head = tkhd.as_ref().and_then(full);
        let id =
            head.as_ref().and_then(|(version, _, body)| u32_at(body, if *version == 1 { 16 } else { 8 }));
        let kind = handler(trak);
        let result = match (id, head) {
            (Some(id), Some((version, _, body))) => {
                let matrix = body.slice((if version == 1 { 48 } else { 36 }).min(body.len())..);
                Self::read_media(trak, id, kind, rotation(&matrix, movie_matrix))
            }
            _ => Err(TrackError::Missing(*b"tkhd")),
        };
        (id.unwrap_or(0), result.map_err(|error| (kind, error)))
    }

    fn read_media(
        trak: &Bytes,
        id: u32,
        kind: TrackKind,
        matrix_rotation: Option<u16>,
    ) -> Result<Self, TrackError> {
        let mdia = child(trak, b"mdia").ok_or(TrackError::Missing(*b"mdia"))?;
        let mdhd = child(&mdia, b"mdhd");
        let (version, _, header) = mdhd.as_ref().and_then(full).ok_or(TrackError::Missing(*b"mdhd"))?;
        let (scale_at, language_at) = if version == 1 { (16, 28) } else { (8, 16) };
        let timescale = u32_at(&header, scale_at).ok_or(TrackError::Missing(*b"mdhd"))?;
        if timescale == 0 {
            return Err(TrackError::Timescale);
        }
        let minf = child(&mdia, b"minf").ok_or(TrackError::Missing(*b"minf"))?;
        let stbl = child(&minf, b"stbl").ok_or(TrackError::Missing(*b"stbl"))?;
        let entries = sample_entries(&stbl);
        let first = entries.first().ok_or(TrackError::Missing(*b"stsd"))?;
        Ok(Track {
            id,
            kind,
            fourcc: first.fourcc,
            timescale,
            language: language(&mdia, u16_at(&header, language_at).unwrap_or(0x7fff)),
            edits: edits(trak),
            matrix_rotation,
            external: external(&minf, first),
            samples: SampleTable::read(&stbl)?,
            entries,
        })
    }

    /// The decoder configuration of its first sample entry, as [`VideoConfig`](crate::VideoConfig) and
    /// [`AudioConfig`](crate::AudioConfig) have it; `None` where the coding has none that is known here.
    pub fn codec_config(&self) -> Option<Bytes> {
        sample_entry::codec_config(self.entries.first()?)
    }

    /// Coded width and height of a video track's first sample entry.
    pub fn coded_size(&self) -> Option<(u16, u16)> {
        let body = &self.entries.first().filter(|_| self.kind == TrackKind::Video)?.body;
        Some((u16_at(body, 24)?, u16_at(body, 26)?))
    }
}

fn handler(trak: &Bytes) -> TrackKind {
    let hdlr = descend(trak, &[b"mdia", b"hdlr"]);
    match hdlr.as_ref().and_then(|body| array_at(body, 8)).as_ref() {
        Some(b"vide") => TrackKind::Video,
        Some(b"soun") => TrackKind::Audio,
        _ => TrackKind::Other,
    }
}

fn sample_entries(stbl: &Bytes) -> Vec<SampleEntry> {
    let stsd = child(stbl, b"stsd");
    let Some((_, _, body)) = stsd.as_ref().and_then(full).filter(|(_, _, body)| body.len() >= 4) else {
        return Vec::new();
    };
    children(&body.slice(4..)).map(|(fourcc, body)| SampleEntry { fourcc, body }).collect()
}

fn edits(trak: &Bytes) -> Vec<Edit> {
    let elst = descend(trak, &[b"edts", b"elst"]);
    let Some((version, _, body)) = elst.as_ref().and_then(full).filter(|(_, _, body)| body.len() >= 4) else {
        return Vec::new();
    };
    let count = u32_at(&body, 0).unwrap_or(0) as usize;
    let entries = body.slice(4..);
    let narrow = |entry: &[u8]| {
        Some((u32_at(entry, 0)?.into(), i64::from(u32_at(entry, 4)? as i32), u32_at(entry, 8)? as i32))
    };
    let wide = |entry: &[u8]| Some((u64_at(entry, 0)?, u64_at(entry, 8)? as i64, u32_at(entry, 16)? as i32));
    let size = if version == 1 { 20 } else { 12 };
    let parsed = entries.chunks_exact(size).take(count);
    parsed
        .filter_map(|entry| if version == 1 { wide(entry) } else { narrow(entry) })
        .map(|(segment_duration, time, rate)| Edit {
            segment_duration,
            media_time: (time >= 0).then_some(time),
            rate,
        })
        .collect()
}

/// Whether the samples of an entry lie in another file: its data reference is not flagged as this file and names a
/// place. Some writers forget the flag but name nothing.
fn external(minf: &Bytes, entry: &SampleEntry) -> bool {
    let dref = descend(minf, &[b"dinf", b"dref"]);
    let Some((_, _, body)) = dref.as_ref().and_then(full).filter(|(_, _, body)| body.len() >= 4) else {
        return false;
    };
    let number = usize::from(u16_at(&entry.body, 6).unwrap_or(1)).saturating_sub(1);
    let reference = children(&body.slice(4..)).nth(number);
    reference
        .as_ref()
        .and_then(|(_, body)| full(body))
        .is_some_and(|(_, flags, rest)| flags & 1 == 0 && !rest.is_empty())
}

fn language(mdia: &Bytes, code: u16) -> String {
    let tag = child(mdia, b"elng");
    if let Some((_, _, text)) = tag.as_ref().and_then(full) {
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        return String::from_utf8_lossy(text).into_owned();
    }
    if code < 0x400 {
        return MACINTOSH_LANGUAGES.get(usize::from(code)).copied().unwrap_or_default().to_owned();
    }
    let letters = [code >> 10, code >> 5, code].map(|five| (five as u8 & 31) + 0x60);
    match &letters {
        b"und" => String::new(),
        _ if letters.iter().all(u8::is_ascii_lowercase) => letters.map(char::from).iter().collect(),
        _ => String::new(),
    }
}

/// QuickTime File Format, appendix "Language Code Values": the first of Macintosh's codes.
const MACINTOSH_LANGUAGES: [&str; 25] = [
    "eng", "fra", "deu", "ita", "nld", "swe", "spa", "dan", "por", "nor", "heb", "jpn", "ara", "fin", "ell",
    "isl", "mlt", "tur", "hrv", "zho", "urd", "hin", "tha", "kor", "lit",
];

/// How far two display matrices, applied one after the other, turn the picture clockwise.
fn rotation(track: &[u8], movie: &[u8]) -> Option<u16> {
    let [a, b, c, d] = turn(track);
    let [p, q, r, s] = turn(movie);
    let product = [a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s].map(i64::signum);
    match product {
        [1, 0, 0, 1] => Some(0),
        [0, 1, -1, 0] => Some(90),
        [-1, 0, 0, -1] => Some(180),
        [0, -1, 1, 0] => Some(270),
        _ => None,
    }
}

/// The part of a matrix that turns: the signs of a, b, c and d. A matrix that is absent or zero turns nothing.
fn turn(matrix: &[u8]) -> [i64; 4] {
    let cell = |index: usize| u32_at(matrix, 4 * index).map(|value| i64::from(value as i32).signum());
    match [cell(0), cell(1), cell(3), cell(4)] {
        [Some(0), Some(0), Some(0), Some(0)] => [1, 0, 0, 1],
        [Some(a), Some(b), Some(c), Some(d)] => [a, b, c, d],
        _ => [1, 0, 0, 1],
    }
}
