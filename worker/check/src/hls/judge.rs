//! Playlists against the media that they name, and against each other.

use reel_common::Rational;

use super::{Master, MediaPlaylist, Variant, resolution};
use crate::codecs;
use crate::finding::Findings;
use crate::rate::{average, peak};
use crate::rule::{
    HLS_AVERAGE_BANDWIDTH, HLS_BANDWIDTH, HLS_BANDWIDTH_LOOSE, HLS_EXTINF, HLS_IFRAMES, HLS_KEY_MATCH,
    HLS_SESSION_KEY, HLS_TARGET_DURATIONS, PICTURE_SIZE,
};
use crate::stream::{Kind, Segment, Stream, Title};
use crate::time::{add, apart, ms, shown, sub, times};

/// How far the times of pictures for winding may be off, whose own durations are long.
const WINDING_SLACK_MS: i64 = 50;

/// Judges all playlists of a title.
pub(crate) fn judge(title: &Title, findings: &mut Findings) {
    for playlist in &title.playlists {
        durations(playlist, findings);
        keys(playlist, findings);
        if playlist.iframes_only {
            iframes(playlist, findings);
        }
    }
    for master in &title.masters {
        let master = Judge { master, title };
        master.targets(findings);
        master.session_keys(findings);
        master.master.variants.iter().for_each(|variant| master.variant(variant, findings));
        master.master.iframes.iter().for_each(|variant| master.iframe(variant, findings));
    }
}

/// The playlist of this name.
pub(crate) fn find<'a>(title: &'a Title, file: Option<&String>) -> Option<&'a MediaPlaylist> {
    title.playlists.iter().find(|playlist| Some(&playlist.file) == file)
}

/// EXTINF of each segment, and their sums, against the media. What is decoded first and not presented may be counted or not.
fn durations(playlist: &MediaPlaylist, findings: &mut Findings) {
    if playlist.discontinuities {
        return;
    }
    let stream = &playlist.stream;
    let frame = stream.longest_sample().max(ms(1));
    let slack = if playlist.iframes_only { frame.min(ms(WINDING_SLACK_MS)) } else { frame };
    let (mut decoded, mut presented) = (Rational::ZERO, Rational::ZERO);
    for (number, segment) in stream.segments.iter().enumerate() {
        let (Some(by_decoding), Some((begin, end))) = (segment.decoded(), segment.presented()) else {
            return;
        };
        let lasts = [by_decoding, sub(end, begin)];
        // A picture for winding stands for all until the next.
        if !playlist.iframes_only && lasts.iter().all(|lasts| apart(*lasts, segment.duration) > slack) {
            let found = format!(
                "segment {} lasts {}, EXTINF says {}",
                number + 1,
                shown(lasts[0]),
                shown(segment.duration)
            );
            return findings.add(&HLS_EXTINF, &playlist.file, found);
        }
        if playlist.iframes_only {
            let first = stream.segments[0].presented().map_or(Rational::ZERO, |(begin, _)| begin);
            (decoded, presented) = (sub(begin, first), sub(begin, first));
        }
        if [decoded, presented].iter().all(|begins| apart(*begins, segment.start) > slack) {
            let found = format!(
                "segment {} begins at {}, the sum before it is {}",
                number + 1,
                shown(decoded),
                shown(segment.start)
            );
            return findings.add(&HLS_EXTINF, &playlist.file, found);
        }
        (decoded, presented) = (add(decoded, lasts[0]), add(presented, lasts[1]));
    }
}

/// What is encrypted has a key of the right method, and what is clear has none.
fn keys(playlist: &MediaPlaylist, findings: &mut Findings) {
    for (number, (segment, method)) in playlist.stream.segments.iter().zip(&playlist.methods).enumerate() {
        let Some((media, track)) = segment.media.as_ref().zip(segment.track.as_ref()) else { continue };
        let scheme = track.protection().map(|protection| protection.scheme);
        let wanted = match scheme {
            Some(scheme) if media.encrypted > 0 => {
                Some(if &scheme == b"cenc" { "SAMPLE-AES-CTR" } else { "SAMPLE-AES" })
            }
            _ => None,
        };
        // The first picture of an I-frame playlist whose ranges end early is not told apart.
        let unknown = media.encrypted + media.clear == 0;
        if !unknown && method.as_deref() != wanted {
            let name = |method: Option<&str>| method.unwrap_or("none").to_owned();
            let found = format!(
                "segment {}: {}, and its media want {}",
                number + 1,
                name(method.as_deref()),
                name(wanted)
            );
            return findings.add(&HLS_KEY_MATCH, &playlist.file, found);
        }
    }
}

fn iframes(playlist: &MediaPlaylist, findings: &mut Findings) {
    for (number, segment) in playlist.stream.segments.iter().enumerate() {
        let Some(media) = &segment.media else { continue };
        if media.samples != 1 || !media.begins_in_sync {
            let found = format!("segment {} has {} samples", number + 1, media.samples);
            return findings.add(&HLS_IFRAMES, &playlist.file, found);
        }
    }
}

struct Judge<'a> {
    master: &'a Master,
    title: &'a Title,
}

impl<'a> Judge<'a> {
    fn playlist(&self, variant: &Variant) -> Option<&'a MediaPlaylist> {
        find(self.title, variant.playlist.as_ref())
    }

    fn targets(&self, findings: &mut Findings) {
        let sound = self
            .master
            .renditions
            .iter()
            .filter(|rendition| rendition.attributes.word("TYPE") != Some("SUBTITLES"));
        let all: Vec<_> =
            self.master.variants.iter().chain(sound).filter_map(|variant| self.playlist(variant)).collect();
        let Some(first) = all.first() else { return };
        if let Some(other) = all.iter().find(|playlist| playlist.target != first.target) {
            let found = format!("{} s, and {} s in {}", other.target, first.target, first.file);
            findings.add(&HLS_TARGET_DURATIONS, &other.file, found);
        }
    }

    fn session_keys(&self, findings: &mut Findings) {
        for key in &self.master.session_keys {
            let is_same = |other: &super::Attributes| {
                ["METHOD", "URI", "KEYFORMAT", "KEYFORMATVERSIONS"]
                    .iter()
                    .all(|name| key.get(name) == other.get(name))
            };
            if !self.title.playlists.iter().flat_map(|playlist| &playlist.keys).any(is_same) {
                let uri = key.quoted("URI").unwrap_or_default();
                findings.add(&HLS_SESSION_KEY, &self.master.file, format!("no playlist has the key {uri}"));
            }
        }
    }

    fn variant(&self, variant: &Variant, findings: &mut Findings) {
        let Some(playlist) = self.playlist(variant) else { return };
        let groups = ["AUDIO", "VIDEO", "SUBTITLES"].map(|kind| {
            self.master
                .group(kind, variant)
                .filter_map(|one| self.playlist(one))
                .map(|one| (&one.stream, one.target))
                .collect::<Vec<_>>()
        });
        let name = playlist.file.as_str();
        self.rates(variant, (&playlist.stream, playlist.target), &groups, name, findings);
        let streams: Vec<&Stream> = [&playlist.stream]
            .into_iter()
            .chain(groups.iter().flatten().map(|(stream, _)| *stream))
            .collect();
        codecs::judge(variant.attributes.quoted("CODECS"), &streams, &self.master.file, name, findings);
        self.size(variant, playlist, findings);
    }

    fn iframe(&self, variant: &Variant, findings: &mut Findings) {
        let Some(playlist) = self.playlist(variant) else { return };
        let name = playlist.file.as_str();
        if !playlist.iframes_only {
            findings.add(&HLS_IFRAMES, name, "no EXT-X-I-FRAMES-ONLY");
        }
        self.rates(variant, (&playlist.stream, playlist.target), &[], name, findings);
        codecs::judge(
            variant.attributes.quoted("CODECS"),
            &[&playlist.stream],
            &self.master.file,
            name,
            findings,
        );
        self.size(variant, playlist, findings);
    }

    fn size(&self, variant: &Variant, playlist: &MediaPlaylist, findings: &mut Findings) {
        let Some(told) = variant.attributes.word("RESOLUTION").and_then(resolution) else { return };
        let track = playlist.stream.track().filter(|track| track.kind == Kind::Video);
        let Some((track, entry)) = track.and_then(|track| Some((track, track.entry()?))) else { return };
        if ![entry.size, track.shown].contains(&told) {
            let (width, height) = entry.size;
            let found = format!("{}x{} of {}, which has {width}x{height}", told.0, told.1, playlist.file);
            findings.add(&PICTURE_SIZE, &self.master.file, found);
        }
    }

    /// BANDWIDTH and AVERAGE-BANDWIDTH against the largest sums of any playable combination.
    fn rates(
        &self,
        variant: &Variant,
        own: (&Stream, u64),
        groups: &[Vec<(&Stream, u64)>],
        name: &str,
        findings: &mut Findings,
    ) {
        let whole = |(stream, _): &(&Stream, u64)| stream.is_whole();
        if !whole(&own) || !groups.iter().flatten().all(whole) {
            return;
        }
        let sum = |rate: &dyn Fn(&Stream, u64) -> u64| {
            let most = |group: &Vec<(&Stream, u64)>| {
                group.iter().map(|(stream, target)| rate(stream, *target)).max().unwrap_or(0)
            };
            groups.iter().map(most).fold(rate(own.0, own.1), u64::saturating_add)
        };
        let target = |seconds: u64| Rational::whole(i64::try_from(seconds).unwrap_or(i64::MAX).min(1 << 31));
        let file = &self.master.file;
        if let Some(told) = variant.attributes.number("BANDWIDTH") {
            let least = sum(&|stream, seconds| peak(&stream.sizes(), target(seconds), slack_ms(stream)));
            let most = sum(&|stream, seconds| peak(&stream.sizes(), target(seconds), -slack_ms(stream)));
            if below(told, least) {
                findings.add(&HLS_BANDWIDTH, file, format!("{told} for {name}, measured {least}"));
            } else if above(told, most) {
                findings.add(&HLS_BANDWIDTH_LOOSE, file, format!("{told} for {name}, measured {most}"));
            }
        }
        if let Some(told) = variant.attributes.number("AVERAGE-BANDWIDTH") {
            let measured = sum(&|stream, _| average(&stream.sizes()));
            if below(told, measured) || above(told, measured) {
                findings.add(&HLS_AVERAGE_BANDWIDTH, file, format!("{told} for {name}, measured {measured}"));
            }
        }
    }
}

/// Thousandths of a target duration's bounds within which a run may or may not count: none where durations are exact to a millionth,
/// as the media say.
fn slack_ms(stream: &Stream) -> i64 {
    let exact = |segment: &Segment| {
        segment
            .decoded()
            .is_some_and(|lasts| times(apart(lasts, segment.duration), 1_000_000) <= Rational::whole(1))
    };
    i64::from(!stream.segments.iter().all(exact))
}

/// Below what was measured by more than what rounding does.
fn below(told: u64, measured: u64) -> bool {
    u128::from(told) * 1000 < u128::from(measured) * 999
}

/// Above what was measured by more than a tenth.
fn above(told: u64, measured: u64) -> bool {
    u128::from(told) * 1000 > u128::from(measured) * 1101 + 1000
}
