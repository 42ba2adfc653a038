//! What an index says of its streams, and what a profile makes of them.

use std::sync::Arc;

use reel_common::{AudioFacts, Rational, VideoFacts};
use reel_profiles::{AudioTrack, Profile, ResolvedRendition, TrackInput, TrackSource};
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
    /// The streams that it is made from; there is at least one.
    pub(crate) streams: Vec<AudioFacts>,
    /// For each of its channels the place of a stream in `streams` and the channel in that; empty where the one stream is
    /// mixed.
    pub(crate) picks: Vec<(usize, usize)>,
}

/// The audio tracks that a profile makes of a mezzanine, in its order.
pub(crate) fn tracks<'a>(index: &v1::Index, profile: &'a Profile) -> Result<Vec<MadeTrack<'a>>, MediaError> {
    let known = index.audio.iter().cloned().map(AudioFacts::try_from);
    let known: Vec<AudioFacts> = known.collect::<Result<_, _>>()?;
    let made = |source: TrackSource| {
        let number = source.track as usize;
        let channels = match source.input {
            TrackInput::Stream(stream) => vec![(stream, None)],
            TrackInput::Channels(channels) => {
                channels.into_iter().map(|(stream, channel)| (stream, Some(channel))).collect()
            }
        };
        let mut places: Vec<u32> = channels.iter().map(|(stream, _)| *stream).collect();
        places.sort_unstable();
        places.dedup();
        let place = |stream| places.iter().position(|place| *place == stream);
        let picks =
            channels.iter().filter_map(|(stream, channel)| Some((place(*stream)?, (*channel)? as usize)));
        let streams = places.iter().map(|place| known.get(*place as usize).cloned());
        let track = profile.audio.get(number)?;
        Some(MadeTrack {
            number,
            track,
            streams: streams.collect::<Option<_>>()?,
            picks: in_libav_order(picks.collect()),
        })
    };
    Ok(profile.tracks(&known).into_iter().filter_map(made).collect())
}

/// Profiles name the side channels of 7.1 before the rear ones, as SMPTE ST 2036-2 does; libav has them behind.
fn in_libav_order(mut picks: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    if let [_, _, _, _, sides @ ..] = picks.as_mut_slice()
        && sides.len() == 4
    {
        sides.rotate_left(2);
    }
    picks
}
