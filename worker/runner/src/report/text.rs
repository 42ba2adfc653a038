//! Subtitles and captions in the report.

use reel_common::{TextSource, redacted};
use reel_proto::v1;
use serde::Serialize;

/// Subtitles or captions of the title.
#[derive(Serialize)]
pub(super) struct Text {
    /// Language and role, as its folder has them.
    name: String,
    /// BCP 47 tag.
    language: String,
    role: &'static str,
    file: String,
    /// The time in the file at which the title begins.
    start_ms: u64,
    cues: u32,
    /// Cues of the file that cannot be shown.
    skipped: u32,
    /// Cues of the file that lie outside the title.
    outside: u32,
}

/// What is said of each.
pub(super) fn texts(texts: &[v1::Text]) -> Vec<Text> {
    let said = |text: &v1::Text| {
        let source = TextSource::from(text.source.clone().unwrap_or_default());
        Text {
            name: source.name.to_string(),
            role: source.name.role.name(),
            language: source.name.language,
            file: redacted(&source.location),
            start_ms: source.start_ms,
            cues: text.cues,
            skipped: text.skipped,
            outside: text.outside,
        }
    };
    texts.iter().map(said).collect()
}

/// Texts of which something was left out.
pub(super) fn warnings(list: &[v1::Text]) -> Vec<String> {
    let said = |Text { name, skipped, outside, .. }: Text| {
        let skipped = (skipped > 0).then(|| format!("{skipped} have no text or end before they begin"));
        let outside = (outside > 0).then(|| format!("{outside} lie outside the title"));
        let what: Vec<String> = skipped.into_iter().chain(outside).collect();
        (!what.is_empty()).then(|| format!("text {name}: of the cues of its file, {}", what.join(", ")))
    };
    texts(list).into_iter().filter_map(said).collect()
}
