//! The header of a track: its boxes, what they say, and what is wrong with them.

use super::boxes::{Cursor, FourCc, Inner, children, first, full, name, u16_at, u32_at};
use super::codec::codec;
use super::protection::{self, Protection};
use crate::finding::Findings;
use crate::rule::{CENC_PSSH, CMAF_BOXES, CMAF_BRAND, CMAF_EDIT_LIST, CMAF_HEADER, CMAF_ONE_TRACK};
use crate::stream::Kind;

/// What a `moov` is read from.
pub(crate) struct Header<'a> {
    /// The file that is named in findings.
    pub(crate) file: &'a str,
    /// The body of `ftyp`.
    pub(crate) ftyp: &'a [u8],
    /// The body of `moov`.
    pub(crate) moov: &'a [u8],
}

/// A sample entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its format; the original one where it is encrypted.
    pub(crate) format: FourCc,
    /// As RFC 6381 calls it.
    pub(crate) codec: Option<String>,
    /// Width and height in samples, of pictures.
    pub(crate) size: (u32, u32),
    /// Channels, of sound.
    pub(crate) channels: u16,
    /// Bytes of the lengths of NAL units, where there are such.
    pub(crate) nal_length: Option<usize>,
    /// How it is encrypted.
    pub(crate) protection: Option<Protection>,
}

/// A track, as its header describes it.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) id: u32,
    pub(crate) kind: Kind,
    /// Ticks a second, at least 1.
    pub(crate) timescale: u32,
    /// Ticks of its timeline at which presentation begins.
    pub(crate) edit_start: i64,
    /// Width and height at which it is shown.
    pub(crate) shown: (u32, u32),
    /// Whether it claims to be CMAF.
    pub(crate) is_cmaf: bool,
    pub(crate) entries: Vec<Entry>,
    /// Default duration, size and flags of samples (`trex`), and the default sample entry, from 1.
    pub(crate) defaults: (u32, u32, u32),
    pub(crate) default_entry: u32,
}

impl Track {
    /// The entry that most fragments are of.
    pub(crate) fn entry(&self) -> Option<&Entry> {
        self.entries.get((self.default_entry as usize).saturating_sub(1)).or(self.entries.first())
    }

    /// How it is encrypted.
    pub(crate) fn protection(&self) -> Option<&Protection> {
        self.entries.iter().find_map(|entry| entry.protection.as_ref())
    }
}

/// Reads a header; `None` where it is of no use, which is found.
pub(crate) fn read(header: &Header<'_>, findings: &mut Findings) -> Option<Track> {
    let file = header.file;
    let brands: Vec<FourCc> = header
        .ftyp
        .as_chunks::<4>()
        .0
        .iter()
        .enumerate()
        // The second is the version of the first.
        .filter(|(at, _)| *at != 1)
        .map(|(_, brand)| *brand)
        .collect();
    let is_cmaf = brands.iter().any(|brand| [*b"cmfc", *b"cmf2"].contains(brand));
    if !is_cmaf {
        findings.add(
            &CMAF_BRAND,
            file,
            format!("brands {}", brands.iter().map(|b| name(*b)).collect::<Vec<_>>().join(", ")),
        );
    }
    let mut broken = |reason: String| findings.add(&CMAF_BOXES, file, format!("moov: {reason}"));
    let moov = children(header.moov).map_err(&mut broken).ok()?;
    let traks: Vec<&Inner<'_>> = moov.iter().filter(|inner| inner.kind == *b"trak").collect();
    if traks.len() != 1 && is_cmaf {
        findings.add(&CMAF_ONE_TRACK, file, format!("{} tracks", traks.len()));
    }
    for system in moov.iter().filter(|inner| inner.kind == *b"pssh") {
        if let Err(reason) = protection::system_header_body(system.body) {
            findings.add(&CENC_PSSH, file, reason);
        }
    }
    let parts = Parts::find(&moov, traks.first()?.body);
    let parts = match parts {
        Ok(parts) => parts,
        Err(reason) => {
            findings.add(&CMAF_HEADER, file, reason);
            return None;
        }
    };
    let before = findings.count();
    let track = parts.track(is_cmaf, file, findings);
    match &track {
        Some(_) if !is_cmaf => {}
        Some(_) => edits(&parts, brands.contains(b"cmf2"), file, findings),
        // What is wrong with encryption is told already.
        None if findings.count() > before => {}
        None => findings.add(&CMAF_HEADER, file, "a box of the track is cut off, or a number in it is 0"),
    }
    track
}

/// CMAF knows one edit that skips what is decoded first, and for its second brand none.
fn edits(parts: &Parts<'_>, is_second: bool, file: &str, findings: &mut Findings) {
    let Some(elst) = parts.elst else { return };
    let count = full(elst).and_then(|(_, _, rest)| u32_at(rest, 0)).unwrap_or(0);
    if is_second {
        findings.add(&CMAF_EDIT_LIST, file, "an edit list in a file of brand cmf2");
    } else if count > 1 {
        findings.add(&CMAF_EDIT_LIST, file, format!("{count} edits"));
    } else if edit_start(elst).is_none() {
        findings.add(&CMAF_EDIT_LIST, file, "an edit that is empty, or not at normal speed");
    }
}

/// Where the only edit begins; `None` where it is not at normal speed, or empty.
fn edit_start(elst: &[u8]) -> Option<i64> {
    let (version, _, rest) = full(elst)?;
    let mut cursor = Cursor::new(rest);
    cursor.u32()?;
    cursor.word(version == 1)?;
    let start = match version {
        1 => cursor.u64()? as i64,
        _ => i64::from(cursor.u32()? as i32),
    };
    (start >= 0 && cursor.u32()? == 0x0001_0000).then_some(start)
}

/// The boxes of a header that are read.
struct Parts<'a> {
    tkhd: &'a [u8],
    mdhd: &'a [u8],
    hdlr: &'a [u8],
    stsd: &'a [u8],
    elst: Option<&'a [u8]>,
    trexes: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// Looks for all boxes of ISO/IEC 23000-19, table 3, that are mandatory.
    fn find(moov: &[Inner<'a>], trak: &'a [u8]) -> Result<Self, String> {
        let within = |boxes: &[Inner<'a>], kind: &FourCc, holder: &str| {
            first(boxes, kind).ok_or_else(|| format!("no {} in {holder}", name(*kind)))
        };
        within(moov, b"mvhd", "moov")?;
        let trak = children(trak)?;
        let mdia = children(within(&trak, b"mdia", "trak")?)?;
        let minf = children(within(&mdia, b"minf", "mdia")?)?;
        let stbl = children(within(&minf, b"stbl", "minf")?)?;
        let dinf = children(within(&minf, b"dinf", "minf")?)?;
        within(&dinf, b"dref", "dinf")?;
        for kind in [b"stts", b"stsc", b"stco"] {
            within(&stbl, kind, "stbl")?;
        }
        let hdlr = within(&mdia, b"hdlr", "mdia")?;
        let media: &[FourCc] = match hdlr.get(8..12) {
            Some(b"vide") => &[*b"vmhd"],
            Some(b"soun") => &[*b"smhd"],
            Some(b"subt") => &[*b"sthd", *b"nmhd"],
            _ => &[*b"nmhd", *b"sthd"],
        };
        if !media.iter().any(|kind| first(&minf, kind).is_some()) {
            return Err(format!("no {} in minf", name(media[0])));
        }
        let mvex = children(within(moov, b"mvex", "moov")?)?;
        within(&mvex, b"trex", "mvex")?;
        let edts = first(&trak, b"edts").map(children).transpose()?;
        Ok(Parts {
            tkhd: within(&trak, b"tkhd", "trak")?,
            mdhd: within(&mdia, b"mdhd", "mdia")?,
            hdlr,
            stsd: within(&stbl, b"stsd", "stbl")?,
            elst: edts.and_then(|edts| first(&edts, b"elst")),
            trexes: mvex.iter().filter(|inner| inner.kind == *b"trex").map(|inner| inner.body).collect(),
        })
    }

    fn track(&self, is_cmaf: bool, file: &str, findings: &mut Findings) -> Option<Track> {
        let (version, _, tkhd) = full(self.tkhd)?;
        let id = u32_at(tkhd, if version == 1 { 16 } else { 8 })?;
        let shown = tkhd.len().checked_sub(8)?;
        let shown = (u32_at(tkhd, shown)? >> 16, u32_at(tkhd, shown + 4)? >> 16);
        let (version, _, mdhd) = full(self.mdhd)?;
        let timescale = u32_at(mdhd, if version == 1 { 16 } else { 8 }).filter(|ticks| *ticks > 0)?;
        let kind = match self.hdlr.get(8..12)? {
            b"vide" => Kind::Video,
            b"soun" => Kind::Audio,
            b"subt" | b"text" => Kind::Text,
            _ => Kind::Unknown,
        };
        let trex = self
            .trexes
            .iter()
            .find_map(|trex| full(trex).filter(|(_, _, rest)| u32_at(rest, 0) == Some(id)))?
            .2;
        let (_, _, stsd) = full(self.stsd)?;
        let count = u32_at(stsd, 0)?;
        let boxes = children(&stsd[4..]).ok().filter(|boxes| boxes.len() == count as usize && count > 0)?;
        let entries: Option<Vec<Entry>> =
            boxes.iter().map(|inner| entry(kind, inner, file, findings)).collect();
        Some(Track {
            id,
            kind,
            timescale,
            edit_start: self.elst.and_then(edit_start).unwrap_or(0),
            shown,
            is_cmaf,
            entries: entries?,
            default_entry: u32_at(trex, 4)?,
            defaults: (u32_at(trex, 8)?, u32_at(trex, 12)?, u32_at(trex, 16)?),
        })
    }
}

/// A sample entry (ISO/IEC 14496-12, section 8.5.2).
fn entry(kind: Kind, inner: &Inner<'_>, file: &str, findings: &mut Findings) -> Option<Entry> {
    let body = inner.body;
    // QuickTime's longer forms of sound have no place in fragmented files.
    let fixed = match kind {
        Kind::Video => 78,
        Kind::Audio => 28,
        _ => 8,
    };
    let mut found = Entry { format: inner.kind, ..Entry::default() };
    match kind {
        Kind::Video => found.size = (u16_at(body, 24)?.into(), u16_at(body, 26)?.into()),
        Kind::Audio => found.channels = u16_at(body, 16)?,
        _ => {
            found.codec = match &inner.kind {
                // The profile stands in the documents.
                b"stpp" => Some("stpp.ttml".to_owned()),
                b"wvtt" => Some("wvtt".to_owned()),
                _ => None,
            };
            return Some(found);
        }
    }
    let boxes = children(body.get(fixed..)?).ok()?;
    if [*b"encv", *b"enca"].contains(&inner.kind) {
        let (format, protection) = protection::of_entry(&boxes, kind, file, findings)?;
        found.format = format;
        found.protection = Some(protection);
    }
    found.codec = codec(found.format, &boxes);
    found.nal_length = match &found.format {
        b"avc1" | b"avc3" => {
            first(&boxes, b"avcC").and_then(|record| record.get(4)).map(|byte| usize::from(byte & 3) + 1)
        }
        b"hvc1" | b"hev1" => {
            first(&boxes, b"hvcC").and_then(|record| record.get(21)).map(|byte| usize::from(byte & 3) + 1)
        }
        _ => None,
    };
    Some(found)
}
