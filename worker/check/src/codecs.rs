//! What playlists and manifest say of codecs, against the sample entries of the media.

use crate::bmff::is_same;
use crate::finding::Findings;
use crate::rule::CODECS;
use crate::stream::Stream;

/// Judges the codecs that `file` tells for `name`: those of all streams, and no others. Where a stream cannot be looked into, what is
/// told too much is not known.
pub(crate) fn judge(
    told: Option<&str>,
    streams: &[&Stream],
    file: &str,
    name: &str,
    findings: &mut Findings,
) {
    let Some(told) = told else { return };
    let told: Vec<&str> = told.split(',').map(str::trim).collect();
    let mut entries = Vec::new();
    for track in streams.iter().filter_map(|stream| stream.track()) {
        entries.extend(track.entries.iter().filter_map(|entry| entry.codec.as_deref()));
    }
    if let Some(entry) = entries.iter().find(|entry| !told.iter().any(|told| is_same(told, entry))) {
        return findings.add(&CODECS, file, format!("{} for {name}, which has {entry}", told.join(",")));
    }
    let all_known = streams.iter().all(|stream| {
        stream.track().is_some_and(|track| track.entries.iter().all(|entry| entry.codec.is_some()))
    });
    let extra = told.iter().find(|told| !entries.iter().any(|entry| is_same(told, entry)));
    if let Some(extra) = extra.filter(|_| all_known) {
        findings.add(&CODECS, file, format!("{extra} for {name}, which has {}", entries.join(",")));
    }
}
