//! Captions that lie in the pictures of a title, read from the records of its parts.

use reel_common::{CaptionChannel, Failure, TextSource};
use reel_media::{TitleCaptions, can_carry_captions};
use reel_profiles::Profile;
use reel_proto::v1;
use reel_text::{Document, TextError, channels, clip, from_pictures};

use super::{Budget, Wrong, invalid, outside, placed, stored};
use crate::attempt::{failed, media};

/// What the index says of captions that the mezzanine's pictures may carry; what they say is known when the pictures were
/// decoded.
///
/// # Errors
/// Invalid for pictures that cannot carry any.
pub(super) fn announced(
    wire: &v1::TextSource,
    index: &v1::Index,
    wrong: Wrong<'_>,
) -> Result<v1::Text, Failure> {
    let facts = index.video.as_ref().and_then(|video| video.facts.as_ref());
    let codec = facts.map_or("", |facts| facts.codec.as_str());
    match can_carry_captions(codec) {
        true => Ok(v1::Text { source: Some(wire.clone()), ..v1::Text::default() }),
        false => {
            Err(wrong(&format!("pictures of {codec} carry no captions: give them in a file of their own")))
        }
    }
}

/// The texts of a title in the job's order, those that lie in its pictures read from its parts.
///
/// # Errors
/// Invalid, with the channels that there are, where one that is wanted shows nothing.
pub(crate) fn of_title(
    index: &v1::Index,
    profile: &Profile,
    parts: &[v1::PartRecord],
) -> Result<Vec<v1::Text>, Failure> {
    let sources: Vec<TextSource> =
        index.texts.iter().map(|text| text.source.clone().unwrap_or_default().into()).collect();
    if sources.iter().all(|source| source.in_pictures().is_none()) {
        return Ok(index.texts.clone());
    }
    let captions = TitleCaptions::of(parts, index, profile).map_err(media)?;
    let captions = captions.ok_or_else(|| {
        failed("a part was encoded by a version that does not look for captions: submit the job again")
    })?;
    let ends_ms = reel_media::segment_ends_ms(index, profile).map_err(media)?;
    let mut budget = Budget::new(&ends_ms);
    let one = |(text, source): (&v1::Text, &TextSource)| {
        let wrong: Wrong<'_> =
            &|what| invalid(&format!("text `{}`, {}: {what}", source.name, source.location));
        let Some(channel) = source.in_pictures() else {
            budget.take(text, &stored(text)?.1).map_err(|what| wrong(&what))?;
            return Ok(text.clone());
        };
        let document = shown(&captions, channel);
        let document = document.map_err(|error| match channels(captions.pictures()).as_slice() {
            found if found.contains(&channel) => wrong(&error.to_string()),
            [] => wrong("the pictures carry no captions: leave it out, or give them in a file of their own"),
            found => wrong(&format!("the pictures carry no such captions, but {}", list(found))),
        })?;
        let wire = text.source.clone().unwrap_or_default();
        let (text, document) = placed(&wire, source, document, budget.length_ms())
            .map_err(|first_ms| wrong(&outside(source, first_ms, budget.length_ms())))?;
        budget.take(&text, &document).map_err(|what| wrong(&what))?;
        Ok(text)
    };
    index.texts.iter().zip(&sources).map(one).collect()
}

/// What a channel shows.
fn shown(captions: &TitleCaptions, channel: CaptionChannel) -> Result<Document, TextError> {
    let mut whole: Option<Document> = None;
    for (end_ms, pictures) in captions.runs() {
        let own = match from_pictures(pictures, channel) {
            Ok(own) => clip(own, 0, end_ms),
            Err(TextError::Empty { .. }) => continue,
            Err(error) => return Err(error),
        };
        match &mut whole {
            Some(whole) => whole.cues.extend(own.cues),
            None => whole = Some(own),
        }
    }
    whole.ok_or(TextError::Empty { skipped: 0 })
}

/// Captions of the pictures that the title lacks, and what its parts had no room for.
pub(crate) fn warnings(
    index: &v1::Index,
    profile: &Profile,
    parts: &[v1::PartRecord],
) -> Result<Vec<String>, Failure> {
    let Some(captions) = TitleCaptions::of(parts, index, profile).map_err(media)? else {
        return Ok(Vec::new());
    };
    let source = |text: &v1::Text| TextSource::from(text.source.clone().unwrap_or_default());
    let taken: Vec<CaptionChannel> =
        index.texts.iter().filter_map(|text| source(text).in_pictures()).collect();
    let mut untaken = channels(captions.pictures());
    untaken.retain(|channel| !taken.iter().any(|taken| taken.repeats(*channel)));
    let untaken = untaken.first().map(|first| {
        let found = list(&untaken);
        format!("the pictures carry captions that the title lacks, {found}: take them with --text LANGUAGE:captions=video:{first}")
    });
    let left_out = (captions.left_out > 0).then(|| {
        format!(
            "{} triplets of captions were left out: the pictures carry more than there is room for",
            captions.left_out
        )
    });
    Ok(untaken.into_iter().chain(left_out).collect())
}

fn list(channels: &[CaptionChannel]) -> String {
    channels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
