//! The proof of thumbnails and poster: the files of a tree show what their times ask for, and the cues name them.

use std::path::Path;

use reel_common::Failure;
use reel_media::{ImageFile, MediaError, ReadImage, TitleTimes};
use reel_package::layout;
use reel_profiles::Profile;
use reel_proto::v1;
use reel_store::Source;
use reel_text::Format;

use super::cues;
use crate::attempt::{failed, media};

/// Holds the stills of an assembled tree against their record.
///
/// # Errors
/// Failed, with the file, where one is not what was proved, or shows another frame, or the cues do not cover the title.
pub(crate) fn measure(
    tree: &Path,
    index: &v1::Index,
    profile: &Profile,
    record: &v1::ImageRecord,
) -> Result<v1::ImageProof, Failure> {
    let proof = reel_media::measure_images(index, profile, record, &reader(tree)).map_err(media)?;
    names(tree, index, profile, record)?;
    Ok(proof)
}

/// Holds those of a delivered tree against the mezzanine; nothing where the profile has none.
pub(crate) fn verify(
    tree: &Path,
    sources: &[Source],
    index: &v1::Index,
    profile: &Profile,
) -> Result<Option<v1::ImageProof>, Failure> {
    if profile.images.is_none() {
        return Ok(None);
    }
    let shown = reel_media::verify_images(sources, index, profile, &reader(tree));
    let (record, proof) = shown.map_err(media)?;
    names(tree, index, profile, &record)?;
    Ok(Some(proof))
}

fn reader(tree: &Path) -> Box<ReadImage<'_>> {
    Box::new(move |file| {
        let name = match file {
            ImageFile::Sheet(number) => layout::sprite(number),
            ImageFile::Poster => layout::POSTER.to_owned(),
        };
        let path = format!("{}/{name}", layout::IMAGES);
        let bytes = std::fs::read(tree.join(&path));
        let bytes = bytes.map_err(|error| MediaError::failed(format!("{path} of the output: {error}")))?;
        Ok((format!("{path} of the output"), bytes))
    })
}

/// Whether the cues name each thumbnail at its time, and nothing else.
fn names(tree: &Path, index: &v1::Index, profile: &Profile, record: &v1::ImageRecord) -> Result<(), Failure> {
    let path = format!("{}/{}", layout::IMAGES, layout::THUMBNAILS);
    let wrong = |what: &dyn std::fmt::Display| failed(&format!("{path} of the output {what}"));
    let bytes =
        std::fs::read(tree.join(&path)).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    let read = reel_text::read(Format::WebVtt, &bytes);
    let read = read.map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    let times = TitleTimes::new(index, &profile.picture).map_err(media)?;
    let wanted = cues(record, &times);
    if let Some(cue) = wanted.iter().zip(&read.cues).find(|(wanted, read)| wanted != read) {
        return Err(wrong(&format!("does not name the thumbnail of {} ms", cue.0.start_ms)));
    }
    if wanted.len() != read.cues.len() {
        return Err(wrong(&format!("names {} thumbnails, not {}", read.cues.len(), wanted.len())));
    }
    let more = format!("{}/{}", layout::IMAGES, layout::sprite(record.sheets.len()));
    match tree.join(&more).exists() {
        true => Err(failed(&format!("{more} of the output is after the title's end"))),
        false => Ok(()),
    }
}
