//! What a manifest says: its sets, their Representations, and the segments of each.

use std::collections::BTreeSet;

use reel_common::Rational;

use super::element::Element;
use super::segments::Addressing;
use super::values;
use crate::Package;
use crate::finding::Findings;
use crate::package::resolve;
use crate::rule::{FILE_MISSING, MPD_IDS};
use crate::stream::{Room, Stream};
use crate::time::{add, sub};

/// A manifest.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) file: String,
    pub(crate) is_static: bool,
    /// `mediaPresentationDuration`.
    pub(crate) told: Option<Rational>,
    /// Seconds of all Periods, where each says.
    pub(crate) periods: Option<Rational>,
    /// How many there are.
    pub(crate) period_count: usize,
    pub(crate) buffer: Rational,
    /// `maxSegmentDuration`.
    pub(crate) longest: Option<Rational>,
    pub(crate) sets: Vec<Set>,
}

/// An AdaptationSet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    /// Its Period, counted from 0, and how long that lasts.
    pub(crate) period: usize,
    pub(crate) seconds: Option<Rational>,
    pub(crate) id: Option<String>,
    /// `segmentAlignment` or `subsegmentAlignment`.
    pub(crate) aligned: bool,
    /// The value of a trick mode descriptor.
    pub(crate) trick_mode: Option<String>,
    pub(crate) representations: Vec<Representation>,
}

/// A Representation, with what it takes over from its set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Representation {
    pub(crate) id: String,
    pub(crate) bandwidth: Option<u64>,
    pub(crate) codecs: Option<String>,
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) mime: String,
    pub(crate) protections: Vec<ContentProtection>,
    /// Values of descriptors of tiles.
    pub(crate) tiles: Vec<String>,
    /// Whether its segments stand in an index of its own file.
    pub(crate) indexed: bool,
    pub(crate) stream: Stream,
}

/// A ContentProtection descriptor.
#[derive(Clone, Debug, Default)]
pub(crate) struct ContentProtection {
    pub(crate) scheme_id: String,
    pub(crate) value: Option<String>,
    pub(crate) key_id: Option<String>,
    /// Boxes for licence systems, in Base64.
    pub(crate) boxes: Vec<String>,
}

/// A manifest on its way.
pub(super) struct Reader<'a> {
    pub(super) package: &'a Package<'a>,
    pub(super) file: &'a str,
    pub(super) findings: &'a mut Findings,
    pub(super) named: &'a mut BTreeSet<String>,
    pub(super) room: &'a mut Room,
}

/// A Period as it is read.
struct Period<'a> {
    number: usize,
    seconds: Option<Rational>,
    element: &'a Element,
    base: String,
}

impl Reader<'_> {
    pub(super) fn read(&mut self, root: &Element) -> Manifest {
        let duration = |element: &Element, name: &str| element.get(name).and_then(values::seconds);
        let periods: Vec<&Element> = root.all("Period").collect();
        let mut manifest = Manifest {
            file: self.file.to_owned(),
            is_static: root.get("type").is_none_or(|kind| kind == "static"),
            told: duration(root, "mediaPresentationDuration"),
            periods: Some(Rational::ZERO),
            period_count: periods.len(),
            buffer: duration(root, "minBufferTime").unwrap_or(Rational::ZERO),
            longest: duration(root, "maxSegmentDuration"),
            sets: Vec::new(),
        };
        let mut start = Rational::ZERO;
        let base = self.base(root, self.file.to_owned());
        for (number, element) in periods.iter().enumerate() {
            start = duration(element, "start").unwrap_or(start);
            let next = periods.get(number + 1).and_then(|next| duration(next, "start"));
            let end = next.or(manifest.told.filter(|_| number + 1 == periods.len()));
            let seconds = duration(element, "duration").or(end.map(|end| sub(end, start)));
            manifest.periods = manifest.periods.zip(seconds).map(|(sum, seconds)| add(sum, seconds));
            start = add(start, seconds.unwrap_or(Rational::ZERO));
            let period = Period { number, seconds, element, base: self.base(element, base.clone()) };
            self.period(&period, &mut manifest);
        }
        manifest
    }

    /// What references below an element are relative to: the first of its BaseURL.
    fn base(&self, element: &Element, outer: String) -> String {
        match element.first("BaseURL") {
            Some(base) => resolve(&outer, base.text.trim()).unwrap_or(outer),
            None => outer,
        }
    }

    fn period(&mut self, period: &Period<'_>, manifest: &mut Manifest) {
        let (mut ids, mut sets) = (BTreeSet::new(), BTreeSet::new());
        for element in period.element.all("AdaptationSet") {
            if let Some(id) = element.get("id")
                && !sets.insert(id)
            {
                self.findings.add(&MPD_IDS, self.file, format!("two AdaptationSets {id}"));
            }
            for id in element.all("Representation").filter_map(|one| one.get("id")) {
                if !ids.insert(id) {
                    self.findings.add(&MPD_IDS, self.file, format!("two Representations {id}"));
                }
            }
            let set = self.set(element, period);
            manifest.sets.push(set);
        }
    }

    fn set(&mut self, element: &Element, period: &Period<'_>) -> Set {
        let is_true = |name: &str| element.get(name).is_some_and(|value| ["true", "1"].contains(&value));
        let trick = element.all("EssentialProperty").chain(element.all("SupplementalProperty"));
        let trick = trick
            .filter(|property| property.get("schemeIdUri") == Some("http://dashif.org/guidelines/trickmode"));
        let base = self.base(element, period.base.clone());
        let representations =
            element.all("Representation").map(|one| self.representation(one, element, period, &base));
        Set {
            representations: representations.collect(),
            period: period.number,
            seconds: period.seconds,
            id: element.get("id").map(str::to_owned),
            aligned: is_true("segmentAlignment") || is_true("subsegmentAlignment"),
            trick_mode: trick.filter_map(|property| property.get("value")).next().map(str::to_owned),
        }
    }

    fn representation(
        &mut self,
        element: &Element,
        set: &Element,
        period: &Period<'_>,
        base: &str,
    ) -> Representation {
        let get = |name: &str| element.get(name).or(set.get(name));
        let both = |name: &'static str| set.all(name).chain(element.all(name));
        let number = |name: &str| get(name).and_then(|value| value.parse().ok());
        let tiles = ["http://dashif.org/guidelines/thumbnail_tile", "http://dashif.org/thumbnail_tile"];
        let mut found = Representation {
            id: element.get("id").unwrap_or_default().to_owned(),
            bandwidth: element.get("bandwidth").and_then(|value| value.parse().ok()),
            codecs: get("codecs").map(str::to_owned),
            size: number("width").zip(number("height")),
            mime: get("mimeType").unwrap_or_default().to_owned(),
            protections: both("ContentProtection").map(protection).collect(),
            tiles: both("EssentialProperty")
                .filter(|property| property.get("schemeIdUri").is_some_and(|scheme| tiles.contains(&scheme)))
                .map(|property| property.get("value").unwrap_or_default().to_owned())
                .collect(),
            ..Representation::default()
        };
        let base = self.base(element, base.to_owned());
        let levels = [element, set, period.element];
        let mut addressing = Addressing { reader: self, base, levels, seconds: period.seconds };
        addressing.read(&mut found);
        found
    }

    /// A reference that has to lead to a file of the package.
    pub(super) fn find(&mut self, base: &str, reference: &str) -> Option<String> {
        let found = resolve(base, reference).filter(|path| self.package.size(path).is_some());
        match &found {
            Some(path) => drop(self.named.insert(path.clone())),
            None => self.findings.add(&FILE_MISSING, self.file, reference),
        }
        found
    }
}

fn protection(element: &Element) -> ContentProtection {
    let boxes = element.children.iter().filter(|child| child.name == "pssh" && !child.is_dash);
    ContentProtection {
        scheme_id: element.get("schemeIdUri").unwrap_or_default().to_ascii_lowercase(),
        value: element.get("value").map(str::to_owned),
        key_id: element.foreign("default_KID").map(str::to_owned),
        boxes: boxes.map(|child| child.text.split_whitespace().collect()).collect(),
    }
}
