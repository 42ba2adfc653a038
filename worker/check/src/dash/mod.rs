//! DASH manifests: read strictly, and judged with what they name.

mod element;
mod judge;
mod manifest;
mod schema;
mod segments;
mod values;

pub(crate) use judge::judge;
pub(crate) use manifest::Manifest;

use crate::Package;
use crate::finding::Findings;
use crate::rule::MPD_XML;
use crate::stream::Title;

/// Reads all manifests of a package.
pub(crate) fn read(package: &Package<'_>, title: &mut Title, findings: &mut Findings) {
    for file in package.ending(".mpd") {
        let root = package.text(file).and_then(|text| element::parse(&text));
        let root = match root {
            Ok(root) => root,
            Err(reason) => {
                findings.add(&MPD_XML, file, reason);
                continue;
            }
        };
        schema::judge(&root, file, findings);
        let mut reader =
            manifest::Reader { package, file, findings, named: &mut title.named, room: &mut title.room };
        let manifest = reader.read(&root);
        title.manifests.push(manifest);
    }
}
