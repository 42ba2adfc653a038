//! The proof of texts: what the segments of a tree show, put together again, is what the index says.

use std::path::Path;

use reel_cmaf::fragment::Fragments;
use reel_common::Failure;
use reel_package::{TextFormat, layout};
use reel_proto::v1;
use reel_text::{Cue, Format, TextError};

use super::stored;
use crate::attempt::failed;

/// Holds the texts of a tree against those of the index.
///
/// # Errors
/// Failed, with the folder, where a cue lacks, is too much, or is shown at another time.
pub(crate) fn prove(tree: &Path, texts: &[v1::Text], formats: &[TextFormat]) -> Result<(), Failure> {
    for text in texts {
        let (name, document) = stored(text)?;
        let wanted = merged(document.cues);
        for format in formats {
            let folder = layout::text_folder(*format, &name.to_string());
            let differs = |what: String| failed(&format!("{folder} of the output {what}"));
            let shown = merged(shown(&tree.join(&folder), *format).map_err(differs)?);
            let other = (0..wanted.len().max(shown.len())).find(|at| wanted.get(*at) != shown.get(*at));
            if let Some(cue) = other.and_then(|at| wanted.get(at).or(shown.get(at))) {
                return Err(differs(format!("does not show what it should at {} ms", cue.start_ms)));
            }
        }
    }
    Ok(())
}

/// The cues of all segments, with the title's times.
fn shown(folder: &Path, format: TextFormat) -> Result<Vec<Cue>, String> {
    let read =
        |name: &str| std::fs::read(folder.join(name)).map_err(|error| format!("lacks {name}: {error}"));
    let mut cues = Vec::new();
    let playlist = String::from_utf8_lossy(&read(layout::PLAYLIST)?).into_owned();
    for name in playlist.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let bytes = read(name)?;
        match format {
            TextFormat::WebVtt => cues.extend(document(Format::WebVtt, &bytes)?),
            TextFormat::Imsc1 => {
                let fragment = Fragments::of_ours(&bytes).next().and_then(Result::ok);
                let fragment = fragment.ok_or_else(|| format!("has no fragment in {name}"))?;
                for sample in &fragment.samples {
                    let at = sample.position as usize;
                    let sample = bytes.get(at..at + sample.size as usize).unwrap_or_default();
                    cues.extend(document(Format::Ttml, sample)?);
                }
            }
        }
    }
    Ok(cues)
}

/// The cues of a segment, which may have none.
fn document(format: Format, bytes: &[u8]) -> Result<Vec<Cue>, String> {
    match reel_text::read(format, bytes) {
        Ok(document) => Ok(document.cues),
        Err(TextError::Empty { .. }) => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

/// Cues that say the same in the same place without a break are one; then in the order of times and texts.
fn merged(mut cues: Vec<Cue>) -> Vec<Cue> {
    let what = |cue: &Cue| format!("{:?} {:?}", cue.place, cue.lines);
    cues.sort_by_cached_key(|cue| (what(cue), cue.start_ms));
    let mut one: Vec<Cue> = Vec::with_capacity(cues.len());
    for cue in cues {
        match one.last_mut() {
            Some(last)
                if last.end_ms >= cue.start_ms && (last.place, &last.lines) == (cue.place, &cue.lines) =>
            {
                last.end_ms = last.end_ms.max(cue.end_ms);
            }
            _ => one.push(cue),
        }
    }
    one.sort_by_cached_key(|cue| (cue.start_ms, cue.end_ms, what(cue)));
    one
}
