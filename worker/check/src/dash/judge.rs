//! Manifests against the media that they name.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reel_common::Rational;

use super::manifest::{Manifest, Representation, Set};
use super::segments::described_end;
use crate::bmff::system_header;
use crate::codecs;
use crate::finding::Findings;
use crate::rate::{bits_a_second, suffices};
use crate::rule::{
    CENC_KEY_ID, CENC_PSSH, CENC_SIGNALLED, CMAF_SIDX, MPD_BANDWIDTH, MPD_BANDWIDTH_LOOSE, MPD_DURATION,
    MPD_LONGEST, MPD_TILES, MPD_TIMELINE, MPD_TIMES, MPD_TRICK_MODE, PICTURE_SIZE,
};
use crate::stream::{Kind, Title};
use crate::time::{add, apart, ms, shown, sub};

/// Judges all manifests of a title.
pub(crate) fn judge(title: &Title, findings: &mut Findings) {
    for manifest in &title.manifests {
        let mut judge = Judge { manifest, findings };
        judge.duration();
        for set in &manifest.sets {
            judge.trick_mode(set);
            for representation in &set.representations {
                judge.representation(set, representation);
            }
        }
    }
}

struct Judge<'a> {
    manifest: &'a Manifest,
    findings: &'a mut Findings,
}

impl Judge<'_> {
    fn wrong(&mut self, rule: &'static crate::Rule, found: impl std::fmt::Display) {
        self.findings.add(rule, &self.manifest.file, found);
    }

    fn duration(&mut self) {
        let manifest = self.manifest;
        if !manifest.is_static {
            return self.wrong(&MPD_DURATION, "type=dynamic");
        }
        let Some(told) = manifest.told.or(manifest.periods) else {
            return self
                .wrong(&MPD_DURATION, "neither mediaPresentationDuration nor durations of the Periods");
        };
        if let Some(periods) = manifest.periods.filter(|periods| apart(*periods, told) > ms(1)) {
            return self
                .wrong(&MPD_DURATION, format!("{}, and its Periods last {}", shown(told), shown(periods)));
        }
        if manifest.period_count != 1 {
            return;
        }
        let ends = |kind: Kind| {
            let streams = manifest
                .sets
                .iter()
                .filter(|set| set.trick_mode.is_none())
                .flat_map(|set| &set.representations);
            let streams = streams.map(|one| &one.stream).filter(move |stream| stream.kind() == kind);
            streams.filter_map(|stream| stream.presented_end()).max()
        };
        let (video, audio) = (ends(Kind::Video), ends(Kind::Audio));
        let Some(least) = video.or(audio) else { return };
        let most = audio.map_or(least, |audio| audio.max(least));
        if add(told, ms(1)) < least || sub(told, ms(1)) > most {
            self.wrong(&MPD_DURATION, format!("{}, and its media end at {}", shown(told), shown(least)));
        }
    }

    fn trick_mode(&mut self, set: &Set) {
        let Some(value) = &set.trick_mode else { return };
        let others = || {
            self.manifest.sets.iter().filter(|other| other.period == set.period && other.trick_mode.is_none())
        };
        let lost =
            value.split_whitespace().find(|id| !others().any(|other| other.id.as_deref() == Some(*id)));
        if lost.is_some() || value.trim().is_empty() {
            let found = format!("trick mode of \"{value}\"");
            return self.wrong(&MPD_TRICK_MODE, found);
        }
        let segments = set
            .representations
            .iter()
            .flat_map(|one| &one.stream.segments)
            .filter_map(|one| one.media.as_ref());
        if segments.into_iter().any(|media| media.sync_times.len() != media.samples) {
            self.wrong(&MPD_TRICK_MODE, format!("pictures for \"{value}\" that do not decode by themselves"));
        }
    }

    fn representation(&mut self, set: &Set, one: &Representation) {
        self.timeline(set, one);
        self.times(one);
        self.bandwidth(one);
        self.protection(one);
        let (id, file) = (&one.id, &self.manifest.file);
        codecs::judge(one.codecs.as_deref(), &[&one.stream], file, id, self.findings);
        let track = one.stream.track().filter(|track| track.kind == Kind::Video);
        let size = track.and_then(|track| track.entry()).map(|entry| entry.size);
        if let Some((told, size)) = one.size.zip(size).filter(|(told, size)| told != size) {
            self.wrong(
                &PICTURE_SIZE,
                format!("{}x{} for {id}, which has {}x{}", told.0, told.1, size.0, size.1),
            );
        }
        for value in &one.tiles {
            let tiles =
                value.split_once('x').map(|(columns, rows)| (columns.parse::<u32>(), rows.parse::<u32>()));
            if !matches!(tiles, Some((Ok(1..), Ok(1..)))) {
                self.wrong(&MPD_TILES, format!("\"{value}\" for {id}"));
            }
        }
    }

    /// The Period is covered, and no segment is longer than said.
    fn timeline(&mut self, set: &Set, one: &Representation) {
        let segments = &one.stream.segments;
        let frame = one.stream.longest_sample().max(self.frame());
        if let (Some(first), Some(seconds)) = (segments.first(), set.seconds) {
            let end = described_end(segments);
            if first.start > frame {
                self.wrong(&MPD_TIMELINE, format!("{} begins at {}", one.id, shown(first.start)));
            } else if add(end, frame) < seconds {
                self.wrong(&MPD_TIMELINE, format!("{} ends at {} of {}", one.id, shown(end), shown(seconds)));
            }
        }
        let longest = segments.iter().map(|segment| segment.duration).max();
        // A file by itself is no segment.
        let single = segments.len() == 1 && segments[0].init.is_none() && one.tiles.is_empty();
        if let Some((longest, told)) = longest.zip(self.manifest.longest).filter(|_| !single)
            && longest > add(told, ms(1))
        {
            self.wrong(&MPD_LONGEST, format!("{} in {}, told are {}", shown(longest), one.id, shown(told)));
        }
    }

    /// The longest frame of all pictures.
    fn frame(&self) -> Rational {
        let sets = self.manifest.sets.iter().filter(|set| set.trick_mode.is_none());
        let streams = sets.flat_map(|set| &set.representations).map(|one| &one.stream);
        streams
            .filter(|stream| stream.kind() == Kind::Video)
            .map(|stream| stream.longest_sample())
            .max()
            .unwrap_or(Rational::ZERO)
    }

    fn times(&mut self, one: &Representation) {
        let rule = if one.indexed { &CMAF_SIDX } else { &MPD_TIMES };
        for (number, segment) in one.stream.segments.iter().enumerate() {
            let Some((begins, ends)) = segment.presented() else { continue };
            // A picture for winding stands for all until the next.
            let is_single = segment.media.as_ref().is_some_and(|media| media.samples == 1);
            let frame = segment.longest_sample().filter(|_| !is_single).unwrap_or(ms(1)).max(ms(1));
            let told_end = add(segment.start, segment.duration);
            let off_end = apart(ends, told_end) > frame && !(is_single && told_end > ends);
            if apart(begins, segment.start) > frame || off_end {
                let found = format!(
                    "segment {} of {}: {} to {}, its media {} to {}",
                    number + 1,
                    one.id,
                    shown(segment.start),
                    shown(told_end),
                    shown(begins),
                    shown(ends)
                );
                let file = segment
                    .place
                    .as_ref()
                    .filter(|_| one.indexed)
                    .map_or(&self.manifest.file, |place| &place.file);
                return self.findings.add(rule, file, found);
            }
        }
    }

    fn bandwidth(&mut self, one: &Representation) {
        let Some(told) = one.bandwidth.filter(|_| one.stream.is_whole()) else { return };
        let sizes = one.stream.sizes();
        let buffer = self.manifest.buffer;
        if !suffices(&sizes, told.saturating_add(told / 1000 + 1), buffer, false) {
            return self.wrong(&MPD_BANDWIDTH, format!("{told} for {} does not suffice", one.id));
        }
        // What suffices to whoever needs each segment when it begins, and what the largest segment has.
        let peak = sizes.iter().map(|(seconds, bytes)| bits_a_second(*bytes, *seconds)).max().unwrap_or(0);
        let less = told.saturating_sub(told / 11 + 1000);
        if less > peak && suffices(&sizes, less, buffer, true) {
            self.wrong(&MPD_BANDWIDTH_LOOSE, format!("{told} for {}, where {less} suffices", one.id));
        }
    }

    fn protection(&mut self, one: &Representation) {
        for text in one.protections.iter().flat_map(|told| &told.boxes) {
            let bytes = STANDARD.decode(text).map_err(|_| "a pssh that is not Base64".to_owned());
            if let Err(reason) = bytes.and_then(|bytes| system_header(&bytes)) {
                self.wrong(&CENC_PSSH, format!("{}: {reason}", one.id));
            }
        }
        let Some(track) = one.stream.track() else { return };
        let mp4 = one.protections.iter().find(|told| told.scheme_id == "urn:mpeg:dash:mp4protection:2011");
        let Some(protection) = track.protection() else {
            if !one.protections.is_empty() {
                self.wrong(&CENC_SIGNALLED, format!("{} is told to be encrypted, and is clear", one.id));
            }
            return;
        };
        let Some(mp4) = mp4 else {
            return self
                .wrong(&CENC_SIGNALLED, format!("{} is encrypted, and no mp4protection tells it", one.id));
        };
        let scheme = String::from_utf8_lossy(&protection.scheme).into_owned();
        if mp4.value.as_deref() != Some(scheme.as_str()) {
            self.wrong(
                &CENC_KEY_ID,
                format!(
                    "{}: {} where the media have {scheme}",
                    one.id,
                    mp4.value.as_deref().unwrap_or("no scheme")
                ),
            );
        }
        let key_id = hex::encode(protection.key_id);
        let told = mp4.key_id.as_ref().map(|id| id.replace('-', "").to_ascii_lowercase());
        if told.as_deref() != Some(key_id.as_str()) {
            self.wrong(
                &CENC_KEY_ID,
                format!(
                    "{}: {} where the media have {key_id}",
                    one.id,
                    told.unwrap_or_else(|| "no id".to_owned())
                ),
            );
        }
    }
}
