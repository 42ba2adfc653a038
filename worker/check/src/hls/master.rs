//! Multivariant playlists (RFC 8216bis, section 4.4.6).

use std::collections::{BTreeMap, BTreeSet};

use super::lines::{Attributes, Line};
use crate::Package;
use crate::finding::Findings;
use crate::package::resolve;
use crate::rule::{
    FILE_MISSING, HLS_GROUPS, HLS_IFRAME_STREAM, HLS_MEDIA, HLS_SESSION_KEY, HLS_STREAM, HLS_STREAM_LACKS,
    HLS_SYNTAX,
};

/// An entry, and the playlist that it names.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    pub(crate) attributes: Attributes,
    /// The playlist's file, where it is there.
    pub(crate) playlist: Option<String>,
}

/// A multivariant playlist.
#[derive(Clone, Debug, Default)]
pub(crate) struct Master {
    pub(crate) file: String,
    pub(crate) independent: bool,
    pub(crate) variants: Vec<Variant>,
    /// EXT-X-MEDIA.
    pub(crate) renditions: Vec<Variant>,
    pub(crate) iframes: Vec<Variant>,
    pub(crate) session_keys: Vec<Attributes>,
}

impl Master {
    /// The renditions of a variant's group of a type.
    pub(crate) fn group<'a>(
        &'a self,
        kind: &'a str,
        variant: &'a Variant,
    ) -> impl Iterator<Item = &'a Variant> {
        let id = variant.attributes.quoted(kind);
        self.renditions.iter().filter(move |rendition| {
            id.is_some()
                && rendition.attributes.word("TYPE") == Some(kind)
                && rendition.attributes.quoted("GROUP-ID") == id
        })
    }
}

/// Reads a multivariant playlist; the playlists that it names are added to `named`.
pub(super) fn read(
    package: &Package<'_>,
    file: &str,
    lines: &[Line<'_>],
    named: &mut BTreeSet<String>,
    findings: &mut Findings,
) -> Master {
    let mut master = Master { file: file.to_owned(), ..Master::default() };
    let mut open: Option<Attributes> = None;
    let mut find = |uri: &str, findings: &mut Findings| {
        let found = resolve(file, uri).filter(|path| package.size(path).is_some());
        if found.is_none() {
            findings.add(&FILE_MISSING, file, uri);
        }
        named.extend(found.clone());
        found
    };
    for line in lines {
        match line {
            Line::Tag("-X-STREAM-INF", value) => {
                if open.is_some() {
                    findings.add(&HLS_STREAM, file, "an EXT-X-STREAM-INF without a URI");
                }
                open = Some(Attributes::read(file, "-X-STREAM-INF", *value, findings));
            }
            Line::Tag("-X-MEDIA", value) => {
                let attributes = Attributes::read(file, "-X-MEDIA", *value, findings);
                let playlist = attributes.quoted("URI").and_then(|uri| find(uri, findings));
                master.renditions.push(Variant { attributes, playlist });
            }
            Line::Tag("-X-I-FRAME-STREAM-INF", value) => {
                let attributes = Attributes::read(file, "-X-I-FRAME-STREAM-INF", *value, findings);
                let playlist = attributes.quoted("URI").and_then(|uri| find(uri, findings));
                master.iframes.push(Variant { attributes, playlist });
            }
            // Still pictures for winding, as Roku and Shaka Player know them: of no specification, but named they are.
            Line::Tag("-X-IMAGE-STREAM-INF", value) => {
                let attributes = Attributes::read(file, "-X-IMAGE-STREAM-INF", *value, findings);
                attributes.quoted("URI").and_then(|uri| find(uri, findings));
            }
            Line::Tag("-X-SESSION-KEY", value) => {
                master.session_keys.push(Attributes::read(file, "-X-SESSION-KEY", *value, findings));
            }
            Line::Tag("-X-INDEPENDENT-SEGMENTS", _) => master.independent = true,
            Line::Tag("INF" | "-X-TARGETDURATION" | "-X-MAP" | "-X-ENDLIST", _) => {
                findings.add(&HLS_SYNTAX, file, "tags of a media playlist in a multivariant playlist");
            }
            Line::Tag(..) => {}
            Line::Uri(uri) => match open.take() {
                Some(attributes) => {
                    let playlist = find(uri, findings);
                    master.variants.push(Variant { attributes, playlist });
                }
                None => findings.add(&HLS_STREAM, file, format!("no EXT-X-STREAM-INF before {uri}")),
            },
        }
    }
    if open.is_some() {
        findings.add(&HLS_STREAM, file, "an EXT-X-STREAM-INF without a URI");
    }
    master.attributes(findings);
    master
}

impl Master {
    fn attributes(&self, findings: &mut Findings) {
        self.variants.iter().for_each(|variant| self.variant(variant, findings));
        self.iframes.iter().for_each(|variant| self.iframe(variant, findings));
        self.renditions.iter().for_each(|rendition| self.rendition(rendition, findings));
        self.groups(findings);
        for key in &self.session_keys {
            let method = key.word("METHOD");
            if key.malformed().next().is_some()
                || method.is_none_or(|method| method == "NONE")
                || !key.has("URI")
            {
                findings.add(&HLS_SESSION_KEY, &self.file, "METHOD or URI missing or malformed");
            }
        }
    }

    fn variant(&self, variant: &Variant, findings: &mut Findings) {
        let (file, attributes) = (&self.file, &variant.attributes);
        for name in attributes.malformed() {
            findings.add(&HLS_STREAM, file, format!("{name} is malformed"));
        }
        if !attributes.has("BANDWIDTH") {
            findings.add(&HLS_STREAM, file, "no BANDWIDTH");
        }
        for kind in ["AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"] {
            if let Some(id) = attributes.quoted(kind)
                && self.group(kind, variant).next().is_none()
            {
                findings.add(&HLS_STREAM, file, format!("no EXT-X-MEDIA of the {kind} group {id}"));
            }
        }
        let of_video =
            |name: &&str| !["RESOLUTION", "FRAME-RATE"].contains(name) || shows_pictures(attributes);
        let lacks = ["CODECS", "AVERAGE-BANDWIDTH", "RESOLUTION", "FRAME-RATE"].into_iter().filter(of_video);
        let lacks: Vec<_> = lacks.filter(|name| !attributes.has(name)).collect();
        if !lacks.is_empty() {
            findings.add(&HLS_STREAM_LACKS, file, format!("no {}", lacks.join(", ")));
        }
    }

    fn iframe(&self, variant: &Variant, findings: &mut Findings) {
        let attributes = &variant.attributes;
        let illegal = ["FRAME-RATE", "AUDIO", "SUBTITLES", "CLOSED-CAPTIONS"];
        let wrong: Vec<String> = attributes
            .malformed()
            .map(|name| format!("{name} malformed"))
            .chain(illegal.iter().filter(|name| attributes.has(name)).map(|name| format!("{name} given")))
            .chain(
                ["BANDWIDTH", "URI"]
                    .iter()
                    .filter(|name| !attributes.has(name))
                    .map(|name| format!("no {name}")),
            )
            .collect();
        if !wrong.is_empty() {
            findings.add(&HLS_IFRAME_STREAM, &self.file, wrong.join(", "));
        }
    }

    fn rendition(&self, rendition: &Variant, findings: &mut Findings) {
        let attributes = &rendition.attributes;
        let mut wrong: Vec<String> = attributes.malformed().map(|name| format!("{name} malformed")).collect();
        let lacks = ["TYPE", "GROUP-ID", "NAME"].into_iter().filter(|name| !attributes.has(name));
        wrong.extend(lacks.map(|name| format!("no {name}")));
        let has_uri = attributes.has("URI");
        match attributes.word("TYPE") {
            Some("SUBTITLES") if !has_uri => wrong.push("no URI".to_owned()),
            Some("CLOSED-CAPTIONS") if has_uri => wrong.push("a URI".to_owned()),
            Some("CLOSED-CAPTIONS") if !attributes.has("INSTREAM-ID") => {
                wrong.push("no INSTREAM-ID".to_owned())
            }
            _ => {}
        }
        if attributes.word("DEFAULT") == Some("YES") && attributes.word("AUTOSELECT") == Some("NO") {
            wrong.push("DEFAULT=YES with AUTOSELECT=NO".to_owned());
        }
        if attributes.has("FORCED") && attributes.word("TYPE") != Some("SUBTITLES") {
            wrong.push("FORCED".to_owned());
        }
        if !wrong.is_empty() {
            let name = attributes.get("NAME").unwrap_or("without a name");
            findings.add(&HLS_MEDIA, &self.file, format!("{name}: {}", wrong.join(", ")));
        }
    }

    /// Members of a group have names of their own, and all groups of a type the same.
    fn groups(&self, findings: &mut Findings) {
        let mut groups: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
        let mut defaults: BTreeSet<(&str, &str)> = BTreeSet::new();
        for Variant { attributes, .. } in &self.renditions {
            let id = (attributes.word("TYPE"), attributes.quoted("GROUP-ID"), attributes.quoted("NAME"));
            let (Some(kind), Some(group), Some(name)) = id else { continue };
            if !groups.entry(kind).or_default().entry(group).or_default().insert(name) {
                findings.add(&HLS_MEDIA, &self.file, format!("{name} twice in the group {group}"));
            }
            let is_default = attributes.word("DEFAULT") == Some("YES");
            if is_default && !defaults.insert((kind, group)) {
                findings.add(&HLS_MEDIA, &self.file, format!("two DEFAULT in the group {group}"));
            }
        }
        for (kind, groups) in groups {
            let mut names = groups.iter();
            let Some((first, members)) = names.next() else { continue };
            if let Some((other, _)) = names.find(|(_, other)| *other != members) {
                findings.add(&HLS_GROUPS, &self.file, format!("{kind}: {first} and {other} differ in names"));
            }
        }
    }
}

/// Whether a variant says that it has pictures, or does not say what it has.
fn shows_pictures(attributes: &Attributes) -> bool {
    let video = ["avc", "hvc", "hev", "av01", "dvh", "vp0", "mp4v", "vvc"];
    attributes.quoted("CODECS").is_none_or(|codecs| {
        codecs.split(',').any(|codec| video.iter().any(|head| codec.trim().starts_with(head)))
    })
}
