//! Which elements stand in which, in what order, and which attributes they need (ISO/IEC 23009-1, annex B).

use super::element::Element;
use super::values;
use crate::finding::Findings;
use crate::rule::{MPD_ATTRIBUTES, MPD_ELEMENTS};

/// How often an element may occur.
const ONE: bool = true;
const ANY: bool = false;

/// What all of AdaptationSet and Representation begin with.
const BASE: [(&str, bool); 14] = [
    ("FramePacking", ANY),
    ("AudioChannelConfiguration", ANY),
    ("ContentProtection", ANY),
    ("OutputProtection", ONE),
    ("EssentialProperty", ANY),
    ("SupplementalProperty", ANY),
    ("InbandEventStream", ANY),
    ("Switching", ANY),
    ("RandomAccess", ANY),
    ("GroupLabel", ANY),
    ("Label", ANY),
    ("ProducerReferenceTime", ANY),
    ("ContentPopularityRate", ANY),
    ("Resync", ANY),
];
const MPD: [(&str, bool); 15] = [
    ("ProgramInformation", ANY),
    ("BaseURL", ANY),
    ("Location", ANY),
    ("PatchLocation", ANY),
    ("ServiceDescription", ANY),
    ("InitializationSet", ANY),
    ("InitializationGroup", ANY),
    ("InitializationPresentation", ANY),
    ("ContentProtection", ANY),
    ("Period", ANY),
    ("Metrics", ANY),
    ("EssentialProperty", ANY),
    ("SupplementalProperty", ANY),
    ("UTCTiming", ANY),
    ("LeapSecondInformation", ONE),
];
const PERIOD: [(&str, bool); 14] = [
    ("BaseURL", ANY),
    ("SegmentBase", ONE),
    ("SegmentList", ONE),
    ("SegmentTemplate", ONE),
    ("AssetIdentifier", ONE),
    ("EventStream", ANY),
    ("ServiceDescription", ANY),
    ("ContentProtection", ANY),
    ("AdaptationSet", ANY),
    ("Subset", ANY),
    ("SupplementalProperty", ANY),
    ("EmptyAdaptationSet", ANY),
    ("GroupLabel", ANY),
    ("Preselection", ANY),
];
const SET: [(&str, bool); 10] = [
    ("Accessibility", ANY),
    ("Role", ANY),
    ("Rating", ANY),
    ("Viewpoint", ANY),
    ("ContentComponent", ANY),
    ("BaseURL", ANY),
    ("SegmentBase", ONE),
    ("SegmentList", ONE),
    ("SegmentTemplate", ONE),
    ("Representation", ANY),
];
const REPRESENTATION: [(&str, bool); 6] = [
    ("BaseURL", ANY),
    ("ExtendedBandwidth", ANY),
    ("SubRepresentation", ANY),
    ("SegmentBase", ONE),
    ("SegmentList", ONE),
    ("SegmentTemplate", ONE),
];
const SEGMENT_BASE: [(&str, bool); 3] =
    [("Initialization", ONE), ("RepresentationIndex", ONE), ("FailoverContent", ONE)];
const MULTIPLE: [(&str, bool); 2] = [("SegmentTimeline", ONE), ("BitstreamSwitching", ONE)];

/// The elements that may stand in one, in order; `None` where the schema does not say here.
fn order(name: &str) -> Option<Vec<(&'static str, bool)>> {
    let of = |lists: &[&[(&'static str, bool)]]| Some(lists.concat());
    match name {
        "MPD" => of(&[&MPD]),
        "Period" => of(&[&PERIOD]),
        "AdaptationSet" => of(&[&BASE, &SET]),
        "Representation" => of(&[&BASE, &REPRESENTATION]),
        "SegmentBase" => of(&[&SEGMENT_BASE]),
        "SegmentTemplate" => of(&[&SEGMENT_BASE, &MULTIPLE]),
        "SegmentList" => of(&[&SEGMENT_BASE, &MULTIPLE, &[("SegmentURL", ANY)]]),
        "SegmentTimeline" => of(&[&[("S", ANY)]]),
        "Role"
        | "Accessibility"
        | "EssentialProperty"
        | "SupplementalProperty"
        | "ContentProtection"
        | "AudioChannelConfiguration"
        | "BaseURL"
        | "Initialization"
        | "S" => Some(Vec::new()),
        _ => None,
    }
}

/// The attributes that an element needs.
fn required(name: &str) -> &'static [&'static str] {
    match name {
        "MPD" => &["profiles", "minBufferTime"],
        "Representation" => &["id", "bandwidth"],
        "S" => &["d"],
        "Role"
        | "Accessibility"
        | "EssentialProperty"
        | "SupplementalProperty"
        | "ContentProtection"
        | "AudioChannelConfiguration" => &["schemeIdUri"],
        _ => &[],
    }
}

/// Judges a manifest element by element.
pub(super) fn judge(element: &Element, file: &str, findings: &mut Findings) {
    if !element.is_dash {
        return;
    }
    children(element, file, findings);
    attributes(element, file, findings);
    element.children.iter().for_each(|child| judge(child, file, findings));
}

fn children(element: &Element, file: &str, findings: &mut Findings) {
    let Some(order) = order(&element.name) else { return };
    let (mut at, mut repeated, mut foreign) = (0, false, false);
    for child in &element.children {
        // What is of other namespaces comes last.
        if !child.is_dash {
            foreign = true;
            continue;
        }
        let known = order.iter().position(|(name, _)| *name == child.name);
        let found = match known {
            None => format!("{} in {}, where it is unknown", child.name, element.name),
            Some(_) if foreign => format!("{} in {} behind foreign elements", child.name, element.name),
            Some(place) if place < at => {
                format!("{} in {} behind {}, which it comes before", child.name, element.name, order[at].0)
            }
            Some(place) if place == at && repeated && order[place].1 == ONE => {
                format!("{} in {} twice", child.name, element.name)
            }
            Some(place) => {
                (at, repeated) = (place, true);
                continue;
            }
        };
        return findings.add(&MPD_ELEMENTS, file, found);
    }
    let lacks = match element.name.as_str() {
        "MPD" => element.first("Period").is_none().then_some("Period"),
        _ => None,
    };
    if let Some(lacks) = lacks {
        findings.add(&MPD_ELEMENTS, file, format!("no {lacks} in {}", element.name));
    }
}

fn attributes(element: &Element, file: &str, findings: &mut Findings) {
    let name = &element.name;
    for key in required(name).iter().filter(|key| element.get(key).is_none()) {
        findings.add(&MPD_ATTRIBUTES, file, format!("{name} without {key}"));
    }
    for (key, value) in &element.attributes {
        if !values::fits(name, key, value) {
            findings.add(&MPD_ATTRIBUTES, file, format!("{name} with {key}=\"{value}\""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::element::parse;
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let text = format!(
            "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"x\" minBufferTime=\"PT2S\">{text}</MPD>"
        );
        let mut findings = Findings::default();
        judge(&parse(&text).unwrap(), "m.mpd", &mut findings);
        findings.finish().into_iter().map(|finding| format!("{}: {}", finding.rule, finding.found)).collect()
    }

    #[test]
    fn elements_stand_in_their_order() {
        let set = "<AdaptationSet><ContentProtection schemeIdUri=\"a\"/><SupplementalProperty schemeIdUri=\"b\"/></AdaptationSet>";
        assert_eq!(found(&format!("<Period>{set}</Period>")), [""; 0]);
        let swapped = "<AdaptationSet><SupplementalProperty schemeIdUri=\"b\"/><ContentProtection schemeIdUri=\"a\"/></AdaptationSet>";
        assert_eq!(
            found(&format!("<Period>{swapped}</Period>")),
            [
                "mpd-elements: ContentProtection in AdaptationSet behind SupplementalProperty, which it comes before"
            ]
        );
        assert_eq!(found(""), ["mpd-elements: no Period in MPD"]);
        assert_eq!(
            found("<Period><SegmentTemplate/><SegmentTemplate/></Period>"),
            ["mpd-elements: SegmentTemplate in Period twice"]
        );
        assert_eq!(
            found("<Period><Wrong/></Period>"),
            ["mpd-elements: Wrong in Period, where it is unknown"]
        );
        assert_eq!(
            found(
                "<Period><AdaptationSet><Representation id=\"1\" bandwidth=\"-1\"/></AdaptationSet></Period>"
            ),
            ["mpd-attributes: Representation with bandwidth=\"-1\""]
        );
        assert_eq!(
            found("<Period><AdaptationSet><Representation bandwidth=\"1\"/></AdaptationSet></Period>"),
            ["mpd-attributes: Representation without id"]
        );
    }
}
