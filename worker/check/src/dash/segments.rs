//! The segments of a Representation, in whichever way they are named (ISO/IEC 23009-1, section 5.3.9).

use reel_common::Rational;

use super::element::Element;
use super::manifest::{Reader, Representation};
use super::values;
use crate::bmff::read_index;
use crate::package::Place;
use crate::rule::{CMAF_SIDX, FILE_MISSING, MPD_ADDRESSING, MPD_TIMELINE};
use crate::stream::Segment;
use crate::time::{add, seconds};

/// Largest index that is read; an index counts 65,535 references of 12 bytes.
const MAX_INDEX_BYTES: u64 = 1 << 20;

/// How a Representation's segments are named.
pub(super) struct Addressing<'a, 'b> {
    pub(super) reader: &'a mut Reader<'b>,
    /// What references are relative to; a file of its own where it has one.
    pub(super) base: String,
    /// The Representation, its set and its Period: what one does not say, the next does.
    pub(super) levels: [&'a Element; 3],
    /// Seconds of the Period.
    pub(super) seconds: Option<Rational>,
}

/// A file and a range of it, where these are said.
type Url = (Option<String>, Option<(u64, u64)>);

/// A segment's number, time in ticks, and duration in ticks.
#[derive(Clone, Copy)]
struct Slot {
    number: u64,
    time: u64,
    ticks: u64,
}

impl Addressing<'_, '_> {
    pub(super) fn read(&mut self, found: &mut Representation) {
        let names = ["SegmentTemplate", "SegmentList", "SegmentBase"];
        let ways: Vec<_> = names
            .into_iter()
            .filter(|name| self.levels.iter().any(|level| level.first(name).is_some()))
            .collect();
        if ways.len() > 1 {
            let (file, said) = (self.reader.file, format!("{} has {}", found.id, ways.join(" and ")));
            self.reader.findings.add(&MPD_ADDRESSING, file, said);
        }
        match ways.first() {
            Some(&"SegmentTemplate") => self.template(found),
            Some(&"SegmentList") => self.list(found),
            Some(_) => self.index(found),
            None => self.whole(found),
        }
        self.reader.room.take(found.stream.segments.len(), self.reader.file, self.reader.findings);
    }

    /// An attribute of the way, on whichever level it stands.
    fn get(&self, way: &str, name: &str) -> Option<&str> {
        self.levels.iter().find_map(|level| level.first(way).and_then(|way| way.get(name)))
    }

    fn number(&self, way: &str, name: &str) -> Option<u64> {
        self.get(way, name).and_then(|value| value.parse().ok())
    }

    fn child(&self, way: &str, name: &str) -> Option<&Element> {
        self.levels.iter().find_map(|level| level.first(way).and_then(|way| way.first(name)))
    }

    fn timescale(&self, way: &str) -> u32 {
        self.number(way, "timescale")
            .and_then(|ticks| u32::try_from(ticks).ok())
            .filter(|ticks| *ticks > 0)
            .unwrap_or(1)
    }

    fn wrong(&mut self, rule: &'static crate::Rule, found: String) {
        self.reader.findings.add(rule, self.reader.file, found);
    }

    fn template(&mut self, found: &mut Representation) {
        const WAY: &str = "SegmentTemplate";
        let fill =
            |text: &str, slot: Option<Slot>| substitute(text, &found.id, found.bandwidth.unwrap_or(0), slot);
        let init = self.get(WAY, "initialization").map(|text| fill(text, None));
        let media = self.get(WAY, "media").map(str::to_owned);
        let slots = self.slots(WAY, &found.id);
        let Some(media) = media else {
            return self.wrong(&MPD_ADDRESSING, format!("{} has a SegmentTemplate without media", found.id));
        };
        let init = match init {
            Some(Some(init)) => self.init(&init, None),
            Some(None) => {
                return self
                    .wrong(&MPD_ADDRESSING, format!("{}: an initialization that cannot be read", found.id));
            }
            None => None,
        };
        let names: Option<Vec<String>> = slots.iter().map(|slot| fill(&media, Some(*slot))).collect();
        let Some(names) = names else {
            return self.wrong(
                &MPD_ADDRESSING,
                format!("{}: a media template that cannot be read: {media}", found.id),
            );
        };
        let places: Vec<_> = names.iter().map(|name| self.file(name)).collect();
        self.push(WAY, found, &slots, places, init.as_ref());
    }

    fn list(&mut self, found: &mut Representation) {
        const WAY: &str = "SegmentList";
        let urls: Vec<Url> = self
            .levels
            .iter()
            .find_map(|level| level.first(WAY))
            .into_iter()
            .flat_map(|list| list.all("SegmentURL"))
            .map(|url| (url.get("media").map(str::to_owned), url.get("mediaRange").and_then(values::range)))
            .collect();
        let child = self.child(WAY, "Initialization");
        let init = child.map(|init| {
            (init.get("sourceURL").map(str::to_owned), init.get("range").and_then(values::range))
        });
        let init = init.and_then(|(url, range)| self.init(&url.unwrap_or_default(), range));
        let mut slots = self.slots(WAY, &found.id);
        slots.truncate(urls.len());
        let places: Vec<_> = urls
            .iter()
            .map(|(media, range)| {
                let place = self.file(media.as_deref().unwrap_or_default())?;
                self.range(place, *range)
            })
            .collect();
        self.push(WAY, found, &slots, places, init.as_ref());
    }

    /// The file of a Representation, with an index in it.
    fn index(&mut self, found: &mut Representation) {
        const WAY: &str = "SegmentBase";
        let child =
            self.child(WAY, "Initialization").and_then(|init| init.get("range")).and_then(values::range);
        let range = self.get(WAY, "indexRange").and_then(values::range);
        let Some(file) = self.file("") else { return };
        let Some((from, to)) = range else {
            let whole = Slot { number: 1, time: 0, ticks: 0 };
            return self.push(WAY, found, &[whole], vec![Some(file)], None);
        };
        let init = child
            .or(Some((0, from.saturating_sub(1))))
            .and_then(|range| self.range(file.clone(), Some(range)));
        let bytes =
            self.reader.package.bytes(&file.file, from, (to - from).saturating_add(1), MAX_INDEX_BYTES);
        let index = match bytes.and_then(|bytes| read_index(&bytes)) {
            Ok(index) => index,
            Err(reason) => return self.reader.findings.add(&CMAF_SIDX, &file.file, reason),
        };
        if index.timescale != self.timescale(WAY) && self.get(WAY, "timescale").is_some() {
            self.wrong(&MPD_ADDRESSING, format!("{}: a timescale that is not the index's", found.id));
        }
        found.indexed = true;
        let (mut at, mut time) =
            (0, index.earliest.saturating_sub(self.number(WAY, "presentationTimeOffset").unwrap_or(0)));
        for ((offset, length), (_, ticks)) in index.places(to + 1).zip(&index.references) {
            at = offset.saturating_add(length);
            let whole = Place { offset: 0, length: file.length, ..file.clone() };
            let place = if at > file.length { None } else { Some(Place { offset, length, ..whole }) };
            let ticks_of = |ticks: u64| seconds(i64::try_from(ticks).unwrap_or(i64::MAX), index.timescale);
            found.stream.segments.push(Segment {
                place,
                start: ticks_of(time),
                duration: ticks_of(*ticks),
                init: init.clone(),
                media: None,
                track: None,
            });
            time = time.saturating_add(*ticks);
        }
        if at != file.length {
            self.reader.findings.add(
                &CMAF_SIDX,
                &file.file,
                format!("its references end at byte {at}, the file at {}", file.length),
            );
        }
    }

    /// A file by itself, such as one of WebVTT.
    fn whole(&mut self, found: &mut Representation) {
        let Some(place) = self.file("") else { return };
        let duration = self.seconds.unwrap_or(Rational::ZERO);
        let segment = Segment {
            place: Some(place),
            start: Rational::ZERO,
            duration,
            init: None,
            media: None,
            track: None,
        };
        found.stream.segments.push(segment);
    }

    fn file(&mut self, name: &str) -> Option<Place> {
        // A reference that is empty names the base itself.
        let found = match name {
            "" if self.reader.package.size(&self.base).is_some() && self.base != self.reader.file => {
                self.reader.named.insert(self.base.clone());
                Some(self.base.clone())
            }
            "" => {
                let base = self.base.clone();
                self.wrong(&FILE_MISSING, base);
                None
            }
            name => self.reader.find(&self.base, name),
        };
        found.map(|file| Place { length: self.reader.package.size(&file).unwrap_or(0), file, offset: 0 })
    }

    /// A range of a file; first and last byte.
    fn range(&mut self, place: Place, range: Option<(u64, u64)>) -> Option<Place> {
        match range {
            None => Some(place),
            Some((from, to)) if to < place.length => {
                Some(Place { offset: from, length: to - from + 1, ..place })
            }
            Some((from, to)) => {
                self.wrong(
                    &FILE_MISSING,
                    format!("bytes {from} to {to} of {}, which has {}", place.file, place.length),
                );
                None
            }
        }
    }

    fn init(&mut self, name: &str, range: Option<(u64, u64)>) -> Option<Place> {
        let place = self.file(name)?;
        self.range(place, range)
    }

    fn push(
        &mut self,
        way: &str,
        found: &mut Representation,
        slots: &[Slot],
        places: Vec<Option<Place>>,
        init: Option<&Place>,
    ) {
        let offset =
            i64::try_from(self.number(way, "presentationTimeOffset").unwrap_or(0)).unwrap_or(i64::MAX);
        let timescale = self.timescale(way);
        let ticks = |ticks: u64| i64::try_from(ticks).unwrap_or(i64::MAX);
        found.stream.segments = slots
            .iter()
            .zip(places)
            .map(|(slot, place)| Segment {
                place,
                start: seconds(ticks(slot.time).saturating_sub(offset), timescale),
                duration: seconds(ticks(slot.ticks), timescale),
                init: init.cloned(),
                media: None,
                track: None,
            })
            .collect();
    }

    /// Numbers and times of all segments.
    fn slots(&mut self, way: &str, id: &str) -> Vec<Slot> {
        let first = self.number(way, "startNumber").unwrap_or(1);
        let timescale = self.timescale(way);
        let timeline = self.child(way, "SegmentTimeline").cloned();
        let period = self.seconds.unwrap_or(Rational::ZERO);
        let period_ticks = period
            .checked_mul(Rational::whole(timescale.into()))
            .map_or(0, |ticks| ticks.ceil().max(0)) as u64;
        let offset = self.number(way, "presentationTimeOffset").unwrap_or(0);
        let end = offset.saturating_add(period_ticks);
        match (timeline, self.number(way, "duration")) {
            (Some(timeline), None) => self.timeline(&timeline, first, end, id),
            (None, Some(ticks @ 1..)) => {
                let count = period_ticks.div_ceil(ticks).min(self.reader.room.left() as u64);
                (0..count)
                    .map(|at| Slot {
                        number: first.saturating_add(at),
                        time: offset.saturating_add(at * ticks),
                        ticks,
                    })
                    .collect()
            }
            _ => {
                self.wrong(&MPD_ADDRESSING, format!("{id} has not one of SegmentTimeline and duration"));
                Vec::new()
            }
        }
    }

    /// The runs of a timeline; gaps and overlaps are found.
    fn timeline(&mut self, timeline: &Element, first: u64, end: u64, id: &str) -> Vec<Slot> {
        let mut slots: Vec<Slot> = Vec::new();
        let mut at = 0u64;
        let runs: Vec<&Element> = timeline.all("S").collect();
        for (number, run) in runs.iter().enumerate() {
            let get = |run: &Element, name: &str| run.get(name).and_then(|value| value.parse::<u64>().ok());
            let (time, Some(ticks)) = (get(run, "t"), get(run, "d")) else { continue };
            if let Some(time) = time.filter(|time| *time != at) {
                if !slots.is_empty() {
                    let what = if time > at { "gap" } else { "overlap" };
                    self.wrong(&MPD_TIMELINE, format!("{id}: a {what} at {at}, where S says t={time}"));
                }
                at = time;
            }
            let repeat = run.get("r").and_then(|value| value.parse::<i64>().ok()).unwrap_or(0);
            let until = runs.get(number + 1).and_then(|next| get(next, "t")).unwrap_or(end);
            let count = match u64::try_from(repeat) {
                Ok(repeat) => repeat.saturating_add(1),
                Err(_) => until.saturating_sub(at).div_ceil(ticks.max(1)),
            };
            for _ in 0..count {
                // A run may repeat as often as it likes.
                if slots.len() >= self.reader.room.left() {
                    return slots;
                }
                slots.push(Slot { number: first.saturating_add(slots.len() as u64), time: at, ticks });
                at = at.saturating_add(ticks);
            }
        }
        slots
    }
}

/// A template with its identifiers replaced (section 5.3.9.4.4); `None` where one is unknown.
fn substitute(template: &str, id: &str, bandwidth: u64, slot: Option<Slot>) -> Option<String> {
    let mut text = String::new();
    for (number, part) in template.split('$').enumerate() {
        if number % 2 == 0 {
            text.push_str(part);
            continue;
        }
        let (name, width) = match part.split_once("%0") {
            Some((name, width)) => {
                (name, width.strip_suffix('d')?.parse().ok().filter(|width| *width <= 32)?)
            }
            None => (part, 1),
        };
        match name {
            "" => text.push('$'),
            "RepresentationID" => text.push_str(id),
            "Bandwidth" => text.push_str(&format!("{bandwidth:0width$}")),
            "Number" => text.push_str(&format!("{:0width$}", slot?.number)),
            "Time" => text.push_str(&format!("{:0width$}", slot?.time)),
            _ => return None,
        }
    }
    (template.split('$').count() % 2 == 1).then_some(text)
}

/// The end of what is described, in seconds.
pub(super) fn described_end(segments: &[Segment]) -> Rational {
    segments.last().map_or(Rational::ZERO, |last| add(last.start, last.duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let slot = Some(Slot { number: 7, time: 42, ticks: 1 });
        let cases = [
            ("$RepresentationID$/seg_$Number%05d$.m4s", Some("v/1/seg_00007.m4s")),
            ("$Time$-$Bandwidth$.$$", Some("42-9.$")),
            ("$Other$", None),
            ("$Number", None),
            ("$Number%5d$", None),
            ("$Number%0999999d$", None),
        ];
        for (template, expected) in cases {
            assert_eq!(substitute(template, "v/1", 9, slot).as_deref(), expected, "{template}");
        }
    }
}
