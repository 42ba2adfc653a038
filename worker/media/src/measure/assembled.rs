//! An assembled tree against what its parts and tracks were proved to be.

use std::collections::BTreeSet;
use std::path::Path;

use reel_cmaf::mov::TrackKind;
use reel_profiles::{DamageRule, Profile};
use reel_proto::v1;

use super::tree::{Carrier, CodedTrack, Stream};
use super::{expected_tree, iframes, one_file, ts, video};
use crate::MediaError;
use crate::edit::Places;
use crate::facts;
use crate::times::TitleTimes;

/// A tree that was assembled of proved parts and tracks.
pub struct MeasureJob<'a> {
    /// The mezzanine's index.
    pub index: &'a v1::Index,
    /// Tells what the tree must hold, and whether damage was allowed.
    pub profile: &'a Profile,
    /// The staging folder.
    pub tree: &'a Path,
    /// Of all parts, in order.
    pub parts: &'a [v1::PartRecord],
    /// Of all tracks, in the profile's order.
    pub audio: &'a [v1::AudioRecord],
}

/// Shows that a tree holds what its parts and tracks were proved to be: every sample of them, once, at its time, and
/// parts whose decodes of the mezzanine agree where they meet. The error names the first thing that does not hold.
/// `progress` is told frames found, in all files of all renditions.
pub fn measure(job: &MeasureJob<'_>, progress: &mut dyn FnMut(u64, u64)) -> Result<v1::Proof, MediaError> {
    let times = TitleTimes::new(job.index, &job.profile.picture)?;
    let places = Places::of(job.index)?;
    let ladder = facts::ladder(job.index, job.profile)?;
    let tree = expected_tree(job.tree, ladder, &facts::tracks(job.index, job.profile)?)?;
    let total = tree.video.iter().map(|stream| stream.carriers.len() as u64).sum::<u64>() * times.frames();
    let mut found = 0;
    let mut proof = v1::Proof::default();
    let mut mended = BTreeSet::new();
    for stream in &tree.video {
        let parts = Parts::of(job.parts, &stream.name)?;
        for carrier in &stream.carriers {
            parts.check(&CodedTrack::read(carrier, TrackKind::Video)?, &times, &places, &mut |frames| {
                found += frames;
                progress(found, total);
            })?;
        }
        if job.profile.package.trick_play {
            iframes::check(stream)?;
        }
        parts.check_borders(&times, &places, job.profile.admission.damage)?;
        if let DamageRule::Allow(most) = job.profile.admission.damage {
            parts.check_mended(most)?;
        }
        mended.extend(parts.mended());
        proof.renditions.push(parts.sum_up(stream, &times));
    }
    if job.profile.package.byte_ranges {
        tree.streams().try_for_each(|stream| one_file::check(job.tree, stream))?;
    }
    if job.profile.package.ts {
        ts::check(job.tree, &tree, job.profile)?;
    }
    for stream in &tree.audio {
        let record = job.audio.iter().find(|record| record.name == stream.name);
        let record = record.ok_or_else(|| unproved(&format!("audio track {}", stream.name)))?;
        stream.carriers.iter().try_for_each(|carrier| check_audio(carrier, record))?;
        proof.audio.push(v1::AudioProof {
            name: stream.name.clone(),
            samples: record.samples,
            sample_rate: record.sample_rate,
            offsets: record.offsets.clone(),
        });
    }
    proof.mended = mended.into_iter().collect();
    Ok(proof)
}

fn unproved(what: &str) -> MediaError {
    MediaError::failed(format!("{what} was never proved: remove it from the store and run again"))
}

/// One rendition of all parts, each with its proof.
struct Parts<'a> {
    rendition: &'a str,
    parts: Vec<(&'a v1::RenditionPart, &'a v1::PartProof)>,
}

impl<'a> Parts<'a> {
    fn of(records: &'a [v1::PartRecord], rendition: &'a str) -> Result<Self, MediaError> {
        let part = |record: &'a v1::PartRecord| {
            let part = record.renditions.iter().find(|part| part.rendition == rendition);
            part.and_then(|part| Some((part, part.proof.as_ref()?)))
                .ok_or_else(|| unproved(&format!("part {} of rendition {rendition}", record.part)))
        };
        Ok(Parts { rendition, parts: records.iter().map(part).collect::<Result<_, _>>()? })
    }

    /// Whether a track has the samples of the parts and nothing else, each at its time. `found` is told the frames of
    /// each part.
    fn check(
        &self,
        track: &CodedTrack,
        times: &TitleTimes,
        places: &Places,
        found: &mut dyn FnMut(u64),
    ) -> Result<(), MediaError> {
        let label = &track.label;
        video::check_times(track, times)?;
        let (mut rest, mut start) = (track.samples.as_slice(), 0);
        for (number, (part, proof)) in self.parts.iter().enumerate() {
            let differs =
                || MediaError::failed(format!("{label} does not hold part {number} as it was proved"));
            let frames = usize::try_from(part.frames).unwrap_or(usize::MAX);
            let (samples, after) = rest.split_at_checked(frames).ok_or_else(differs)?;
            let starts_clean = samples.first().is_some_and(|sample| sample.sync);
            let same_header = part.codec_config == track.config;
            let moved = places.moved(start);
            let moved = times.ticks(moved.unsigned_abs()) * moved.signum();
            let coded = track.coded_digest(samples, moved)?;
            if !starts_clean || !same_header || coded.0[..] != proof.coded_digest {
                return Err(differs());
            }
            (rest, start) = (after, start + part.frames);
            found(part.frames);
        }
        match rest {
            [] => Ok(()),
            _ => Err(MediaError::failed(format!("{label} holds more frames than its parts"))),
        }
    }

    /// Whether both parts at each border have decoded the same pictures of the mezzanine around it, but where an edit cuts. A part for which
    /// frames were lacking tells nothing of its borders.
    fn check_borders(
        &self,
        times: &TitleTimes,
        places: &Places,
        damage: DamageRule,
    ) -> Result<(), MediaError> {
        let mut end = 0;
        for (number, pair) in (1..).zip(self.parts.windows(2)) {
            end += pair[0].0.frames;
            if places.begins_at(end) {
                continue;
            }
            let (before, after) = (&pair[0].1.border_after, &pair[1].1.border_before);
            let told = !before.is_empty() && !after.is_empty();
            if !told && damage == DamageRule::Refuse {
                return Err(unproved(&format!(
                    "the beginning of part {number} of rendition {}",
                    self.rendition
                )));
            }
            if told && before != after {
                let (rendition, seconds) = (self.rendition, times.seconds(end));
                return Err(MediaError::invalid(format!(
                    "the mezzanine decodes differently around frame {end}, {seconds:.3} s, depending on where decoding \
                     begins (found in rendition {rendition}): it is damaged there, or one of its random access points is none; convert it to \
                     an intra-only codec and submit that"
                )));
            }
        }
        Ok(())
    }

    /// The frames that the mezzanine does not give.
    fn mended(&self) -> impl Iterator<Item = u64> {
        self.parts.iter().flat_map(|(_, proof)| proof.mended.iter().copied())
    }

    /// Whether no more frames are lacking than the profile allows in a title.
    fn check_mended(&self, most: u32) -> Result<(), MediaError> {
        let (lacking, first) = (self.mended().count(), self.mended().next().unwrap_or(0));
        match lacking <= most as usize {
            true => Ok(()),
            false => Err(MediaError::invalid(format!(
                "the mezzanine is damaged: {lacking} frames do not decode, the first is frame {first}, and the profile \
                 allows {most}; deliver it again, or allow more damage in the profile"
            ))),
        }
    }

    fn sum_up(&self, stream: &Stream, times: &TitleTimes) -> v1::RenditionProof {
        let proofs = || self.parts.iter().map(|(_, proof)| proof);
        v1::RenditionProof {
            worst_difference_ppm: proofs().map(|proof| proof.worst_difference_ppm).max().unwrap_or(0),
            ties: proofs().map(|proof| proof.ties).sum(),
            ..video::whole(&stream.name, times)
        }
    }
}

/// Whether a carrier has the samples of a track, without a gap, and presents them from the title's beginning to its end.
fn check_audio(carrier: &Carrier, record: &v1::AudioRecord) -> Result<(), MediaError> {
    let track = CodedTrack::read(carrier, TrackKind::Audio)?;
    let label = &track.label;
    let mut due = -i64::from(record.priming);
    for sample in &track.samples {
        if sample.pts != due {
            return Err(MediaError::failed(format!("{label} has a gap at sample {due}")));
        }
        due += i64::from(sample.duration);
    }
    let samples = record.samples;
    if track.timescale != record.sample_rate || u64::try_from(due).is_ok_and(|end| end < samples) {
        return Err(MediaError::failed(format!("{label} ends at sample {due} of {samples}")));
    }
    let differs = track.config != record.codec_config
        || track.coded_digest(&track.samples, 0)?.0[..] != record.coded_digest;
    match differs {
        true => Err(MediaError::failed(format!("{label} does not hold its track as it was proved"))),
        false => Ok(()),
    }
}
