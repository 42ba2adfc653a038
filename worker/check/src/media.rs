//! The media that playlists and manifest name, each read once, however many name it.

use std::collections::BTreeMap;
use std::rc::Rc;

use reel_common::Rational;

use crate::Package;
use crate::bmff::{Fragments, Header, Track, read_iframe, read_segment, read_track, top_boxes};
use crate::finding::Findings;
use crate::package::Place;
use crate::rule::{CMAF_BOXES, TEXT_SEGMENT};
use crate::stream::{Segment, Title};
use crate::ts;

/// Largest header that is read.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// What was read.
pub(crate) struct Media<'a> {
    package: &'a Package<'a>,
    tracks: BTreeMap<Place, Option<Rc<Track>>>,
    segments: BTreeMap<(Option<Place>, Place, bool), Option<Rc<Fragments>>>,
}

impl<'a> Media<'a> {
    pub(crate) fn new(package: &'a Package<'a>) -> Self {
        Media { package, tracks: BTreeMap::new(), segments: BTreeMap::new() }
    }

    /// Reads all media of a title.
    pub(crate) fn open(&mut self, title: &mut Title, findings: &mut Findings) {
        for playlist in &mut title.playlists {
            let iframes = playlist.iframes_only;
            for (segment, method) in playlist.stream.segments.iter_mut().zip(&playlist.methods) {
                // What is encrypted as a whole cannot be looked into.
                if method.as_deref() != Some("AES-128") {
                    self.segment(segment, iframes, findings);
                }
            }
        }
        for set in title.manifests.iter_mut().flat_map(|manifest| &mut manifest.sets) {
            let opens = |mime: &str| mime.ends_with("/mp4") || mime.is_empty();
            for representation in set.representations.iter_mut().filter(|one| opens(&one.mime)) {
                for segment in &mut representation.stream.segments {
                    self.segment(segment, false, findings);
                }
            }
        }
    }

    fn segment(&mut self, segment: &mut Segment, iframes: bool, findings: &mut Findings) {
        let Some(place) = segment.place.clone() else { return };
        if segment.init.is_none() {
            let key = (None, place.clone(), iframes);
            if self.segments.insert(key, None).is_none() {
                self.other(&place, segment.duration, findings);
            }
            return;
        }
        segment.track = segment.init.as_ref().and_then(|init| self.track(init, findings));
        let Some(track) = segment.track.clone() else { return };
        let key = (segment.init.clone(), place.clone(), iframes);
        let package = self.package;
        let mut read = || match iframes {
            true => read_iframe(package, &place, &track, findings),
            false => read_segment(package, &place, &track, findings),
        };
        segment.media = self.segments.entry(key).or_insert_with(|| read().map(Rc::new)).clone();
    }

    /// The track of a header.
    pub(crate) fn track(&mut self, init: &Place, findings: &mut Findings) -> Option<Rc<Track>> {
        let package = self.package;
        let read = || match header(package, init) {
            Ok((ftyp, moov)) => {
                let header = Header { file: &init.file, ftyp: &ftyp, moov: &moov };
                read_track(&header, findings).map(Rc::new)
            }
            Err(reason) => {
                findings.add(&CMAF_BOXES, &init.file, reason);
                None
            }
        };
        self.tracks.entry(init.clone()).or_insert_with(read).clone()
    }

    /// A segment that has no header: WebVTT, or a transport stream.
    fn other(&self, place: &Place, lasts: Rational, findings: &mut Findings) {
        let name = place.file.to_ascii_lowercase();
        if name.ends_with(".vtt") || name.ends_with(".webvtt") {
            let head =
                self.package.bytes(&place.file, place.offset, place.length.min(9), 9).unwrap_or_default();
            let head = head.strip_prefix(b"\xef\xbb\xbf".as_slice()).unwrap_or(&head);
            if !head.starts_with(b"WEBVTT") {
                findings.add(&TEXT_SEGMENT, &place.file, "it does not begin with WEBVTT");
            }
        } else if name.ends_with(".ts") {
            ts::judge(self.package, place, lasts, findings);
        }
    }
}

/// The bodies of `ftyp` and `moov` at a place.
fn header(package: &Package<'_>, place: &Place) -> Result<(Vec<u8>, Vec<u8>), String> {
    let boxes = top_boxes(package, place)?;
    let body = |kind: &[u8; 4]| {
        let mut found = boxes.iter().filter(|inner| inner.kind == *kind);
        match (found.next(), found.next()) {
            (Some(one), None) => {
                package.bytes(&place.file, one.offset + one.header, one.size - one.header, MAX_HEADER_BYTES)
            }
            _ => Err(format!("not one {} in the header", String::from_utf8_lossy(kind))),
        }
    };
    let (ftyp, moov) = (body(b"ftyp")?, body(b"moov")?);
    match boxes.first() {
        Some(first) if first.kind == *b"ftyp" => Ok((ftyp, moov)),
        _ => Err("a header that does not begin with ftyp".to_owned()),
    }
}
