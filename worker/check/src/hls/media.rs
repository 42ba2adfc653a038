//! Media playlists (RFC 8216bis, sections 4.4.2 to 4.4.4).

use reel_common::Rational;

use super::lines::{Attributes, Line, byte_range};
use crate::Package;
use crate::finding::Findings;
use crate::package::{Place, resolve};
use crate::rule::{
    FILE_MISSING, HLS_BYTE_RANGE, HLS_ENDLIST, HLS_KEY, HLS_MAP, HLS_PLAYLIST_TYPE, HLS_REQUIRED_TAG,
    HLS_SYNTAX, HLS_TARGET_DURATION, HLS_VERSION,
};
use crate::stream::{Segment, Stream};
use crate::time::{add, decimal, shown};

/// A media playlist.
#[derive(Clone, Debug, Default)]
pub(crate) struct MediaPlaylist {
    pub(crate) file: String,
    /// Seconds.
    pub(crate) target: u64,
    pub(crate) iframes_only: bool,
    pub(crate) independent: bool,
    /// Every key of it but those of METHOD NONE.
    pub(crate) keys: Vec<Attributes>,
    /// The METHOD that each segment is encrypted with.
    pub(crate) methods: Vec<Option<String>>,
    /// Whether segments are decoded anew behind a change of format or time.
    pub(crate) discontinuities: bool,
    pub(crate) stream: Stream,
}

/// A playlist on its way.
struct Reader<'a> {
    package: &'a Package<'a>,
    findings: &'a mut Findings,
    found: MediaPlaylist,
    version: u64,
    needs: (u64, &'static str),
    target: Option<u64>,
    ended: bool,
    vod: bool,
    /// Of the next segment.
    duration: Option<Rational>,
    range: Option<(u64, Option<u64>)>,
    /// File and end of the range before.
    last: Option<(String, u64)>,
    map: Option<Place>,
    method: Option<String>,
    start: Rational,
}

/// Reads a media playlist up to its `most`th segment; the files that it names are added to `named`.
pub(super) fn read(
    package: &Package<'_>,
    file: &str,
    lines: &[Line<'_>],
    most: usize,
    named: &mut std::collections::BTreeSet<String>,
    findings: &mut Findings,
) -> MediaPlaylist {
    let mut reader = Reader {
        package,
        findings,
        found: MediaPlaylist { file: file.to_owned(), ..MediaPlaylist::default() },
        version: 1,
        needs: (1, ""),
        target: None,
        ended: false,
        vod: false,
        duration: None,
        range: None,
        last: None,
        map: None,
        method: None,
        start: Rational::ZERO,
    };
    // What a whole playlist is holds for all of its lines.
    reader.found.iframes_only = lines.iter().any(|line| matches!(line, Line::Tag("-X-I-FRAMES-ONLY", _)));
    for line in lines {
        match line {
            Line::Tag(name, value) => reader.tag(name, *value),
            Line::Uri(_) if reader.found.stream.segments.len() >= most => break,
            Line::Uri(uri) => reader.segment(uri),
        }
    }
    reader.finish(named)
}

impl Reader<'_> {
    fn file(&self) -> String {
        self.found.file.clone()
    }

    fn wrong(&mut self, rule: &'static crate::Rule, found: impl std::fmt::Display) {
        self.findings.add(rule, &self.found.file, found);
    }

    fn need(&mut self, version: u64, what: &'static str) {
        if version > self.needs.0 {
            self.needs = (version, what);
        }
    }

    fn number(&mut self, name: &str, value: Option<&str>) -> Option<u64> {
        let number = value.and_then(|value| value.parse().ok());
        if number.is_none() {
            self.wrong(&HLS_SYNTAX, format!("#EXT{name} takes a whole number"));
        }
        number
    }

    fn tag(&mut self, name: &str, value: Option<&str>) {
        match name {
            "-X-VERSION" => self.version = self.number(name, value).unwrap_or(1),
            "-X-TARGETDURATION" => {
                let target = self.number(name, value);
                if self.target.is_some() {
                    self.wrong(&HLS_REQUIRED_TAG, "EXT-X-TARGETDURATION twice");
                }
                self.target = self.target.or(target);
            }
            "-X-MEDIA-SEQUENCE" | "-X-DISCONTINUITY-SEQUENCE" => drop(self.number(name, value)),
            "-X-ENDLIST" => self.ended = true,
            "-X-PLAYLIST-TYPE" => self.vod = value == Some("VOD"),
            "-X-I-FRAMES-ONLY" => self.need(4, "EXT-X-I-FRAMES-ONLY"),
            "-X-INDEPENDENT-SEGMENTS" => self.found.independent = true,
            "-X-DISCONTINUITY" => self.found.discontinuities = true,
            "INF" => self.extinf(value),
            "-X-BYTERANGE" => {
                self.need(4, "EXT-X-BYTERANGE");
                self.range = value.and_then(byte_range);
                if self.range.is_none() {
                    self.wrong(&HLS_SYNTAX, "EXT-X-BYTERANGE takes n[@o]");
                }
            }
            "-X-KEY" => self.key(value),
            "-X-MAP" => self.map(value),
            _ => {}
        }
    }

    fn extinf(&mut self, value: Option<&str>) {
        let duration = value.and_then(|value| value.split_once(','));
        self.duration = duration.and_then(|(duration, _)| decimal(duration)).map(|(duration, digits)| {
            if digits > 0 {
                self.need(3, "EXTINF with a fraction");
            }
            duration
        });
        if self.duration.is_none() {
            self.wrong(
                &HLS_SYNTAX,
                format!("EXTINF takes a duration and a comma, not `{}`", value.unwrap_or_default()),
            );
            self.duration = Some(Rational::ZERO);
        }
    }

    fn key(&mut self, value: Option<&str>) {
        let file = self.file();
        let key = Attributes::read(&file, "-X-KEY", value, self.findings);
        let malformed: Vec<String> = key.malformed().map(str::to_owned).collect();
        let method = key.word("METHOD").map(str::to_owned);
        let is_none = method.as_deref() == Some("NONE");
        if !malformed.is_empty() || method.is_none() {
            self.wrong(&HLS_KEY, format!("METHOD or {} malformed", malformed.join(", ")));
        } else if is_none == key.has("URI") {
            self.wrong(&HLS_KEY, if is_none { "METHOD=NONE with a URI" } else { "no URI" });
        }
        if key.has("IV") {
            self.need(2, "IV");
        }
        if key.has("KEYFORMAT") || key.has("KEYFORMATVERSIONS") {
            self.need(5, "KEYFORMAT");
        }
        self.method = method.filter(|_| !is_none);
        if !is_none {
            self.found.keys.push(key);
        }
    }

    fn map(&mut self, value: Option<&str>) {
        self.need(if self.found.iframes_only { 5 } else { 6 }, "EXT-X-MAP");
        let file = self.file();
        let map = Attributes::read(&file, "-X-MAP", value, self.findings);
        let Some(uri) = map.quoted("URI").map(str::to_owned) else {
            return self.wrong(&HLS_MAP, "no URI");
        };
        let range = match map.quoted("BYTERANGE").map(byte_range) {
            Some(None) => return self.wrong(&HLS_MAP, "a malformed BYTERANGE"),
            range => range.flatten(),
        };
        self.last = None;
        self.map = self.place(&uri, range);
    }

    /// Where a reference with a byte range lies; what is wrong with it is found.
    fn place(&mut self, uri: &str, range: Option<(u64, Option<u64>)>) -> Option<Place> {
        let named = resolve(&self.found.file, uri).and_then(|file| Some((self.package.size(&file)?, file)));
        let Some((size, file)) = named else {
            self.wrong(&FILE_MISSING, uri);
            return None;
        };
        let (offset, length) = match range {
            None => (0, size),
            Some((length, Some(offset))) => (offset, length),
            Some((length, None)) => match &self.last {
                Some((last, end)) if *last == file => (*end, length),
                _ => {
                    self.wrong(&HLS_BYTE_RANGE, format!("{uri} has no range before it to go on from"));
                    return None;
                }
            },
        };
        if offset.checked_add(length).is_none_or(|end| end > size) {
            self.wrong(
                &HLS_BYTE_RANGE,
                format!("bytes {offset} to {} of {uri}, which has {size}", offset.saturating_add(length)),
            );
            return None;
        }
        self.last = Some((file.clone(), offset + length));
        Some(Place { file, offset, length })
    }

    fn segment(&mut self, uri: &str) {
        let Some(duration) = self.duration.take() else {
            self.range = None;
            return self.wrong(&HLS_REQUIRED_TAG, format!("no EXTINF before {uri}"));
        };
        let range = self.range.take();
        let place = self.place(uri, range);
        let is_mp4 = [".m4s", ".mp4", ".cmfv", ".cmfa", ".cmft", ".m4v", ".m4a"];
        let name = uri.split('?').next().unwrap_or_default().to_ascii_lowercase();
        if self.map.is_none() && place.is_some() && is_mp4.iter().any(|end| name.ends_with(end)) {
            self.wrong(&HLS_MAP, format!("none before {uri}"));
        }
        let segment =
            Segment { place, start: self.start, duration, init: self.map.clone(), media: None, track: None };
        self.start = add(self.start, duration);
        self.found.stream.segments.push(segment);
        self.found.methods.push(self.method.clone());
    }

    fn finish(mut self, named: &mut std::collections::BTreeSet<String>) -> MediaPlaylist {
        if self.needs.0 > self.version {
            let (needed, what) = self.needs;
            self.wrong(&HLS_VERSION, format!("version {}, and {what} takes {needed}", self.version));
        }
        match self.target {
            None => self.wrong(&HLS_REQUIRED_TAG, "no EXT-X-TARGETDURATION"),
            Some(target) => self.longest(target),
        }
        if !self.ended {
            self.wrong(&HLS_ENDLIST, "none");
        } else if !self.vod {
            self.wrong(&HLS_PLAYLIST_TYPE, "none, or another");
        }
        self.found.target = self.target.unwrap_or(0);
        let places = self.found.stream.segments.iter().flat_map(|segment| [&segment.place, &segment.init]);
        named.extend(places.flatten().map(|place| place.file.clone()));
        self.found
    }

    fn longest(&mut self, target: u64) {
        let too_long = |segment: &&Segment| segment.duration.round().unsigned_abs() > target;
        let found = self.found.stream.segments.iter().enumerate().find(|(_, segment)| too_long(segment));
        if let Some((number, segment)) = found {
            let found =
                format!("segment {} lasts {}, the target is {target} s", number + 1, shown(segment.duration));
            self.wrong(&HLS_TARGET_DURATION, found);
        }
    }
}
