//! The `[encryption]` section of a profile.

use reel_common::secret_problem;

use super::images::milliseconds;
use super::words;
use crate::read::{At, ProfileError, Section};
use crate::types::{Encryption, EncryptionScheme, LicenceSystem, Package};

const KEYS: &[&str] =
    &["scheme", "keys", "systems", "clear_lead_s", "key_uri", "clear_key_licence", "fair_play"];
/// What stands in `systems`.
const SYSTEMS: &str = "a list of licence systems, such as [\"widevine\", \"playready\"]";
/// Longest location or URI.
const MAX_URI_BYTES: usize = 2048;

pub(super) fn encryption(root: &Section<'_>, package: Package) -> Result<Option<Encryption>, ProfileError> {
    let Some(section) = root.table("encryption", "[encryption]", KEYS)? else { return Ok(None) };
    let wrong = |key: &str, reason: &str| Err(section.error(section.position_of(key), reason));
    let scheme = section.word("scheme", &words(EncryptionScheme::ALL, EncryptionScheme::name))?;
    let scheme = section.need("scheme", scheme, "such as `scheme = \"cbcs\"`")?.value;
    let keys = section.need("keys", uri(&section, "keys")?, "such as `keys = \"/srv/keys/{title}.keys\"`")?;
    if let Some(problem) = secret_problem(&keys) {
        return wrong("keys", &format!("`keys` {problem}"));
    }
    let known = |name: &str| LicenceSystem::ALL.iter().copied().find(|system| system.name() == name);
    let systems = section.texts("systems", SYSTEMS, known)?;
    if (1..systems.len()).any(|at| systems[..at].contains(&systems[at])) {
        return wrong("systems", "`systems` names one twice");
    }
    let found = Encryption {
        scheme,
        keys,
        systems,
        clear_lead_ms: milliseconds(&section, "clear_lead_s", 0..=Encryption::MAX_CLEAR_LEAD_MS)?
            .unwrap_or(0),
        key_uri: uri(&section, "key_uri")?,
        clear_key_licence: uri(&section, "clear_key_licence")?,
        fair_play: uri(&section, "fair_play")?,
    };
    if !package.segments() {
        let reason = "what is encrypted is segments: set `hls = true` or `dash = true` below `[package]`";
        return Err(section.error(section.position, reason));
    }
    for (set, key) in [(package.mp4, "mp4"), (package.trick_play, "trick_play")] {
        if set {
            let reason = format!("the files of `{key}` would be clear: an encrypted title has none");
            return Err(section.error(section.position, reason));
        }
    }
    if found.fair_play.is_some() && scheme != EncryptionScheme::Cbcs {
        return wrong("fair_play", "FairPlay knows no scheme but `cbcs`");
    }
    Ok(Some(found))
}

/// A location or a URI, which goes into a line of a playlist.
fn uri(section: &Section<'_>, key: &str) -> Result<Option<String>, ProfileError> {
    let Some(At { value, position }) = section.text(key)? else { return Ok(None) };
    let plain = !value.is_empty() && value.len() <= MAX_URI_BYTES;
    if !plain || value.chars().any(|letter| letter.is_control() || letter == '"') {
        let reason =
            format!("`{key}` is text of 1 to {MAX_URI_BYTES} bytes without quotation marks and line breaks");
        return Err(section.error(position, reason));
    }
    Ok(Some(value.to_owned()))
}
