//! The proof of texts: each segment of a tree, read again, shows what the index says for its time, and nothing else.

use std::path::Path;

use reel_cmaf::fragment::Fragments;
use reel_common::{Failure, TextName};
use reel_package::{TextFormat, layout};
use reel_profiles::{Package, Profile};
use reel_proto::v1;
use reel_text::{Cue, Document, Format, TextError, segments};

use super::{formats, pictures, stored};
use crate::attempt::{failed, media};

/// Holds the texts of a tree against those of its index, and those in pictures against what is read from its parts again.
///
/// # Errors
/// Failed, with the file, where a cue lacks, is too much, or is shown at another time.
pub(crate) fn prove(
    tree: &Path,
    index: &v1::Index,
    profile: &Profile,
    parts: &[v1::PartRecord],
) -> Result<(), Failure> {
    if index.texts.is_empty() {
        return Ok(());
    }
    let ends_ms = reel_media::segment_ends_ms(index, profile).map_err(media)?;
    for text in pictures::of_title(index, profile, parts)? {
        let (name, document) = stored(&text)?;
        prove_one(tree, &name, &document, &ends_ms, profile.package).map_err(|wrong| failed(&wrong))?;
    }
    Ok(())
}

fn prove_one(
    tree: &Path,
    name: &TextName,
    document: &Document,
    ends_ms: &[u64],
    package: Package,
) -> Result<(), String> {
    let read =
        |path: &str| std::fs::read(tree.join(path)).map_err(|error| format!("{path} of the output: {error}"));
    if package.text_files() {
        let path = layout::text_file(&name.to_string());
        compare(&path, &document.cues, &cues(Format::WebVtt, &read(&path)?, &path)?)?;
    }
    for format in formats(package) {
        let folder = layout::text_folder(*format, &name.to_string());
        if *format == TextFormat::Imsc1 && package.byte_ranges {
            prove_file(tree, &folder, document, ends_ms)?;
            continue;
        }
        for (number, segment) in (0..).zip(segments(document, ends_ms)) {
            let (path, wanted) = match format {
                TextFormat::WebVtt => (layout::text_segment(number), segment.cues),
                TextFormat::Imsc1 => (layout::segment(number), segment.clipped()),
            };
            let path = format!("{folder}/{path}");
            let bytes = read(&path)?;
            let shown = match format {
                TextFormat::WebVtt => cues(Format::WebVtt, &bytes, &path)?,
                TextFormat::Imsc1 => cues(Format::Ttml, &only_sample(bytes, &path)?, &path)?,
            };
            compare(&path, &wanted, &shown)?;
        }
        let more = format!("{folder}/{}", layout::text_segment(ends_ms.len() as u64));
        if tree.join(&more).exists() {
            return Err(format!("{more} of the output is after the title's end"));
        }
    }
    Ok(())
}

/// Holds the one file of a text in IMSC 1 against it.
fn prove_file(tree: &Path, folder: &str, document: &Document, ends_ms: &[u64]) -> Result<(), String> {
    let file = reel_media::media_file(tree, folder).map_err(|error| error.to_string())?;
    let path = format!("{folder}/{}", layout::MEDIA);
    let bytes = std::fs::read(tree.join(&path)).map_err(|error| format!("{path} of the output: {error}"))?;
    let wanted: Vec<_> = segments(document, ends_ms).collect();
    if wanted.len() != file.segments.len() {
        return Err(format!(
            "{path} of the output has {} segments for {}",
            file.segments.len(),
            wanted.len()
        ));
    }
    for (range, segment) in file.segments.iter().zip(wanted) {
        let segment_bytes = bytes[range.start as usize..range.end as usize].to_vec();
        let shown = cues(Format::Ttml, &only_sample(segment_bytes, &path)?, &path)?;
        compare(&path, &segment.clipped(), &shown)?;
    }
    Ok(())
}

fn compare(path: &str, wanted: &[Cue], shown: &[Cue]) -> Result<(), String> {
    let differs = (0..wanted.len().max(shown.len())).find(|at| wanted.get(*at) != shown.get(*at));
    match differs.and_then(|at| wanted.get(at).or(shown.get(at))) {
        Some(cue) => Err(format!("{path} of the output does not show what it should at {} ms", cue.start_ms)),
        None => Ok(()),
    }
}

/// The document of a segment of IMSC 1.
fn only_sample(bytes: Vec<u8>, path: &str) -> Result<Vec<u8>, String> {
    let fragment = Fragments::of_ours(&bytes).next().and_then(Result::ok);
    let sample = fragment.and_then(|fragment| match fragment.samples.as_slice() {
        [only] => bytes.get(only.position as usize..only.position as usize + only.size as usize),
        _ => None,
    });
    sample.map(<[u8]>::to_vec).ok_or_else(|| format!("{path} of the output is not one document"))
}

/// The cues of a segment, which may have none.
fn cues(format: Format, bytes: &[u8], path: &str) -> Result<Vec<Cue>, String> {
    match reel_text::read(format, bytes) {
        Ok(document) => Ok(document.cues),
        Err(TextError::Empty { .. }) => Ok(Vec::new()),
        Err(error) => Err(format!("{path} of the output: {error}")),
    }
}
