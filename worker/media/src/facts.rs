//! What an index says of its streams, and what a profile makes of them.

use std::sync::Arc;

use reel_common::{AudioFacts, Rational, VideoFacts};
use reel_profiles::{AudioTrack, Profile, ResolvedRendition, TrackSource};
use reel_proto::v1;

use crate::MediaError;
use crate::tone::ToneTable;

/// The video stream.
pub(crate) fn video(index: &v1::Index) -> Result<VideoFacts, MediaError> {
    let facts = index.video.as_ref().and_then(|video| video.facts.clone());
    Ok(facts.unwrap_or_default().try_into()?)
}

/// Title time 0 on the container's timeline, in seconds.
pub(crate) fn origin(index: &v1::Index) -> Result<Rational, MediaError> {
    let origin = index.video.as_ref().and_then(|video| video.origin);
    Ok(origin.unwrap_or_default().try_into()?)
}

/// The table by which a profile makes pictures SDR, if it does.
pub(crate) fn tones(facts: &VideoFacts, profile: &Profile) -> Result<Option<Arc<ToneTable>>, MediaError> {
    let maps = profile.picture.maps_tones(facts.colour);
    maps.then(|| ToneTable::new(facts).map(Arc::new)).transpose()
}

/// The renditions that a profile makes of a mezzanine.
pub(crate) fn ladder(index: &v1::Index, profile: &Profile) -> Result<Vec<ResolvedRendition>, MediaError> {
    profile.ladder(&video(index)?).map_err(|error| MediaError::invalid(error.to_string()))
}

/// An audio track of a profile that the mezzanine has sound for.
pub(crate) struct MadeTrack<'a> {
    /// Number of the `[[audio]]` entry of the profile, from 0.
    pub(crate) number: usize,
    /// The entry.
    pub(crate) track: &'a AudioTrack,
    /// The stream that it is made from.
    pub(crate) facts: AudioFacts,
}

/// The audio tracks that a profile makes of a mezzanine, in its order.
pub(crate) fn tracks<'a>(index: &v1::Index, profile: &'a Profile) -> Result<Vec<MadeTrack<'a>>, MediaError> {
    let streams = index.audio.iter().cloned().map(AudioFacts::try_from);
    let streams: Vec<AudioFacts> = streams.collect::<Result<_, _>>()?;
    let made = |source: TrackSource| {
        let number = source.track as usize;
        let facts = streams.get(source.source as usize)?.clone();
        Some(MadeTrack { number, track: profile.audio.get(number)?, facts })
    };
    Ok(profile.tracks(&streams).into_iter().filter_map(made).collect())
}
