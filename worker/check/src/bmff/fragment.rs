//! A media segment: its boxes, its fragments, and what is wrong with them.

use super::boxes::{Inner, TopBox, children, name, top_boxes};
use super::samples::{Run, track_id};
use super::{Track, nal};
use crate::Package;
use crate::finding::Findings;
use crate::package::Place;
use crate::rule::{CMAF_BASE, CMAF_BOXES, CMAF_DATA, CMAF_SYNC, CMAF_TFDT, CMAF_TRAF, TIMELINE};
use crate::stream::Kind;

mod encryption;

/// Largest `moof` that is read.
const MAX_MOOF_BYTES: u64 = 16 << 20;

/// What is known of a segment. Times are ticks of its track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fragments {
    /// Decode time of its first sample.
    pub(crate) start: i64,
    /// Where its last sample ends, in decode time.
    pub(crate) end: i64,
    /// The earliest time at which one of its samples is presented.
    pub(crate) earliest: i64,
    /// Where the last of what is presented ends.
    pub(crate) latest: i64,
    /// How many samples it has.
    pub(crate) samples: usize,
    /// Ticks of the longest of them.
    pub(crate) longest_sample: u32,
    /// Whether decoding can begin with its first sample.
    pub(crate) begins_in_sync: bool,
    /// When samples are presented at which decoding can begin; of pictures.
    pub(crate) sync_times: Vec<i64>,
    /// How many of its fragments are encrypted, and how many are clear.
    pub(crate) encrypted: usize,
    pub(crate) clear: usize,
}

/// Reads a segment of a track; `None` where there is nothing to say of it but what is found.
pub(crate) fn read(
    package: &Package<'_>,
    place: &Place,
    track: &Track,
    findings: &mut Findings,
) -> Option<Fragments> {
    let file = place.file.as_str();
    let boxes = match top_boxes(package, place) {
        Ok(boxes) => boxes,
        Err(reason) => {
            findings.add(&CMAF_BOXES, file, reason);
            return None;
        }
    };
    let mut reader = Reader { package, file, track, findings, found: None, began: false };
    order(&boxes, file, reader.findings);
    for (number, moof) in boxes.iter().enumerate().filter(|(_, inner)| inner.kind == *b"moof") {
        let mdat = boxes[number + 1..]
            .iter()
            .take_while(|inner| inner.kind != *b"moof")
            .find(|inner| inner.kind == *b"mdat");
        if let Some(mdat) = mdat
            && let Err(reason) = reader.fragment(moof, mdat)
        {
            reader.findings.add(&CMAF_BOXES, file, format!("the moof at byte {}: {reason}", moof.offset));
            return None;
        }
    }
    if reader.found.is_none() && boxes.iter().any(|inner| inner.kind == *b"mdat") {
        findings.add(&CMAF_BOXES, file, "no fragment of the track that its header names");
        return None;
    }
    reader.found
}

/// Reads a segment of an I-frame playlist. Its range may end behind its only picture, within an mdat that goes on.
pub(crate) fn read_iframe(
    package: &Package<'_>,
    place: &Place,
    track: &Track,
    findings: &mut Findings,
) -> Option<Fragments> {
    let file = place.file.as_str();
    if top_boxes(package, place).is_ok() {
        return read(package, place, track, findings);
    }
    let whole = Place { length: package.size(file)?.saturating_sub(place.offset), ..place.clone() };
    let first = || {
        let boxes = top_boxes(package, &whole)?;
        let moof = boxes.iter().find(|inner| inner.kind == *b"moof").ok_or("no moof")?;
        let bytes = package.bytes(file, moof.offset, moof.size, MAX_MOOF_BYTES)?;
        let boxes = children(&bytes[moof.header as usize..])?;
        let trafs = boxes.iter().filter(|inner| inner.kind == *b"traf").map(|inner| children(inner.body));
        let trafs: Vec<_> = trafs.collect::<Result<_, _>>()?;
        let traf =
            trafs.iter().find(|traf| track_id(traf) == Some(track.id)).ok_or("no traf of its track")?;
        let run = Run::read(traf, track, 0).ok_or("a box of traf that is cut off")?;
        let sample = *run.samples.first().ok_or("no sample")?;
        let offset = run.data.first().and_then(|(offset, _)| *offset).unwrap_or(0);
        let end = moof.offset.checked_add_signed(offset).and_then(|at| at.checked_add(sample.size.into()));
        match end {
            Some(end) if end <= place.end() => Ok(sample),
            _ => Err("a picture that lies behind its range".to_owned()),
        }
    };
    let sample = first().map_err(|reason: String| findings.add(&CMAF_BOXES, file, reason)).ok()?;
    Some(Fragments {
        start: sample.decode_time,
        end: sample.decode_time.saturating_add(sample.duration.into()),
        earliest: sample.time,
        latest: sample.time.saturating_add(sample.duration.into()),
        samples: 1,
        longest_sample: sample.duration,
        begins_in_sync: sample.is_sync,
        ..Fragments::default()
    })
}

/// What may stand in a segment, and each moof before its mdat (ISO/IEC 23000-19, section 7.3.3).
fn order(boxes: &[TopBox], file: &str, findings: &mut Findings) {
    let mut moof = false;
    for (number, inner) in boxes.iter().enumerate() {
        let fits = match &inner.kind {
            b"styp" => !moof,
            b"sidx" | b"prft" | b"emsg" | b"free" | b"skip" | b"uuid" => !moof,
            b"moof" => !std::mem::replace(&mut moof, true),
            b"mdat" => std::mem::replace(&mut moof, false),
            // A file of one segment may have its header; its index of fragments comes last.
            b"ftyp" | b"moov" => !moof,
            b"mfra" => number + 1 == boxes.len(),
            _ => false,
        };
        if !fits {
            findings.add(
                &CMAF_BOXES,
                file,
                format!("{} at byte {}, where it does not belong", name(inner.kind), inner.offset),
            );
            return;
        }
    }
    if moof || !boxes.iter().any(|inner| inner.kind == *b"moof") {
        findings.add(&CMAF_BOXES, file, "a segment without moof and mdat");
    }
}

struct Reader<'a> {
    package: &'a Package<'a>,
    file: &'a str,
    track: &'a Track,
    findings: &'a mut Findings,
    found: Option<Fragments>,
    began: bool,
}

impl Reader<'_> {
    fn fragment(&mut self, moof: &TopBox, mdat: &TopBox) -> Result<(), String> {
        let bytes = self.package.bytes(self.file, moof.offset, moof.size, MAX_MOOF_BYTES)?;
        let boxes = children(&bytes[moof.header as usize..])?;
        if !boxes.iter().any(|inner| inner.kind == *b"mfhd") {
            return Err("no mfhd".to_owned());
        }
        let mut trafs = Vec::new();
        for traf in boxes.iter().filter(|inner| inner.kind == *b"traf") {
            trafs.push((moof.header as usize + traf.at, children(traf.body)?));
        }
        if trafs.len() != 1 && self.track.is_cmaf {
            self.findings.add(
                &CMAF_TRAF,
                self.file,
                format!("{} trafs in the moof at byte {}", trafs.len(), moof.offset),
            );
        }
        let ours = trafs.iter().find(|(_, traf)| track_id(traf) == Some(self.track.id));
        let Some((_, traf)) = ours else { return Ok(()) };
        let before = self.found.as_ref().map_or(0, |found| found.end);
        let run = Run::read(traf, self.track, before)
            .ok_or("a box of traf that is cut off, or counts what it has not")?;
        self.structure(&run, moof);
        self.data(&run, moof, mdat, trafs.len() == 1);
        encryption::judge(self.track, &run, traf, &bytes, self.file, self.findings);
        self.times(&run, moof);
        self.pictures(&run, moof);
        Ok(())
    }

    fn structure(&mut self, run: &Run, moof: &TopBox) {
        let at = moof.offset;
        if run.truns != 1 && self.track.is_cmaf {
            self.findings.add(&CMAF_TRAF, self.file, format!("{} truns in the moof at byte {at}", run.truns));
        }
        if run.decode_time.is_none() {
            self.findings.add(&CMAF_TFDT, self.file, format!("none in the moof at byte {at}"));
        }
        if !run.based_on_moof && self.track.is_cmaf {
            self.findings.add(&CMAF_BASE, self.file, format!("the tfhd of the moof at byte {at}"));
        }
    }

    /// All samples lie in the mdat, one run behind the other; alone, they fill it.
    fn data(&mut self, run: &Run, moof: &TopBox, mdat: &TopBox, is_alone: bool) {
        if !run.based_on_moof && self.track.is_cmaf {
            return;
        }
        let begin = i128::from(mdat.offset + mdat.header) - i128::from(moof.offset);
        let end = i128::from(mdat.end()) - i128::from(moof.offset);
        let mut at = begin;
        for (offset, bytes) in &run.data {
            let from = offset.map_or(at, i128::from);
            let to = from + i128::from(*bytes);
            let follows = !is_alone || from == at;
            if from < begin || to > end || !follows {
                let found = format!(
                    "the samples of the moof at byte {} lie at {from} to {to}, its mdat at {begin} to {end}",
                    moof.offset
                );
                return self.findings.add(&CMAF_DATA, self.file, found);
            }
            at = to;
        }
        if is_alone && at != end {
            self.findings.add(
                &CMAF_DATA,
                self.file,
                format!("{} bytes of the mdat at byte {} are of no sample", end - at, mdat.offset),
            );
        }
    }

    fn times(&mut self, run: &Run, moof: &TopBox) {
        let (Some(first), Some(last)) = (run.samples.first(), run.samples.last()) else { return };
        let (start, end) = (first.decode_time, last.decode_time.saturating_add(last.duration.into()));
        let ends = run.samples.iter().map(|sample| sample.time.saturating_add(sample.duration.into()));
        let earliest = run.samples.iter().map(|sample| sample.time).min().unwrap_or(start);
        let latest = ends.max().unwrap_or(end);
        let new = Fragments {
            start,
            end: start,
            earliest,
            latest,
            begins_in_sync: first.is_sync,
            ..Fragments::default()
        };
        let found = self.found.get_or_insert(new);
        if found.samples > 0 && found.end != start {
            let said = format!(
                "the moof at byte {} begins at {start}, the one before ends at {}",
                moof.offset, found.end
            );
            self.findings.add(&TIMELINE, self.file, said);
        }
        found.end = end;
        found.earliest = found.earliest.min(earliest);
        found.latest = found.latest.max(latest);
        found.samples += run.samples.len();
        let longest = run.samples.iter().map(|sample| sample.duration).max().unwrap_or(0);
        found.longest_sample = found.longest_sample.max(longest);
        if self.track.kind == Kind::Video {
            found
                .sync_times
                .extend(run.samples.iter().filter(|sample| sample.is_sync).map(|sample| sample.time));
        }
        let entry = self.track.entries.get((run.entry as usize).saturating_sub(1));
        match entry.is_some_and(|entry| entry.protection.is_some()) {
            true => found.encrypted += 1,
            false => found.clear += 1,
        }
    }

    /// The first picture of a segment.
    fn pictures(&mut self, run: &Run, moof: &TopBox) {
        let Some(first) = run.samples.first().filter(|_| self.track.kind == Kind::Video) else { return };
        if std::mem::replace(&mut self.began, true) {
            return;
        }
        if !first.is_sync {
            self.findings.add(
                &CMAF_SYNC,
                self.file,
                format!("the first sample of the moof at byte {}", moof.offset),
            );
            return;
        }
        let entry = self.track.entries.get((run.entry as usize).saturating_sub(1));
        let offset = run
            .data
            .first()
            .and_then(|(offset, _)| offset.and_then(|offset| moof.offset.checked_add_signed(offset)));
        if let (Some(entry), Some(offset)) = (entry, offset) {
            let place = Place { file: self.file.to_owned(), offset, length: first.size.into() };
            nal::judge(self.package, &place, entry, self.findings);
        }
    }
}

/// The children of a box that may be absent.
fn find<'a>(traf: &'a [Inner<'a>], kind: &[u8; 4]) -> Option<&'a Inner<'a>> {
    traf.iter().find(|inner| inner.kind == *kind)
}
