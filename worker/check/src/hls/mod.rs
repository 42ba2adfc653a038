//! HLS playlists: read strictly, and judged with what they name.

mod judge;
mod lines;
mod master;
mod media;

pub(crate) use judge::{find, judge};
pub(crate) use lines::{Attributes, resolution};
pub(crate) use master::{Master, Variant};
pub(crate) use media::MediaPlaylist;

use crate::Package;
use crate::finding::Findings;
use crate::rule::{HLS_SYNTAX, PACKAGE_EMPTY};
use crate::stream::Title;

/// Reads all playlists of a package.
pub(crate) fn read(package: &Package<'_>, title: &mut Title, findings: &mut Findings) {
    for file in package.ending(".m3u8") {
        let text = match package.text(file) {
            Ok(text) => text,
            Err(reason) => {
                findings.add(&HLS_SYNTAX, file, reason);
                continue;
            }
        };
        let lines = lines::lines(file, &text, findings);
        let is_master = |line: &lines::Line<'_>| {
            matches!(line, lines::Line::Tag("-X-STREAM-INF" | "-X-MEDIA" | "-X-I-FRAME-STREAM-INF", _))
        };
        if lines.iter().any(is_master) {
            title.masters.push(master::read(package, file, &lines, &mut title.named, findings));
        } else {
            let found = media::read(package, file, &lines, title.room.left(), &mut title.named, findings);
            title.room.take(found.stream.segments.len(), file, findings);
            title.playlists.push(found);
        }
    }
    let empty = title.playlists.iter().find(|playlist| playlist.stream.segments.is_empty());
    if let Some(playlist) = empty {
        findings.add(&PACKAGE_EMPTY, &playlist.file, "a playlist without segments");
    }
}
