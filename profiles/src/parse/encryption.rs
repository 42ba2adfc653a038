//! The `[encryption]` section of a profile.

use reel_common::secret_problem;

use super::images::milliseconds;
use super::words;
use crate::read::{At, ProfileError, Section};
use crate::types::{Encryption, EncryptionScheme, LicenceSystem, Package};

pub(super) const KEYS: &[&str] =
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
    if let Some(name) = keys.strip_prefix(Encryption::ENVIRONMENT)
        && !is_variable(name)
    {
        let reason = "`keys` names a variable of the environment that begins with REEL_KEYS, such as `env:REEL_KEYS_MOVIE`";
        return wrong("keys", reason);
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
    for (set, key) in [
        (package.mp4, "mp4"),
        (package.trick_play, "trick_play"),
        (package.audio_files, "audio_files"),
        (package.ts, "ts"),
    ] {
        if set {
            let reason = format!("the files of `{key}` would be clear: an encrypted title has none");
            return Err(section.error(section.position, reason));
        }
    }
    let told = [&found.key_uri, &found.fair_play].iter().any(|uri| uri.is_some());
    let licensed = found.systems.iter().any(|system| *system != LicenceSystem::Common);
    if package.hls && !told && !licensed {
        let reason = "HLS tells no player where the keys are: give `key_uri` or `fair_play`, or \"widevine\" or \"playready\" in `systems`";
        return Err(section.error(section.position, reason));
    }
    if found.fair_play.is_some() && scheme != EncryptionScheme::Cbcs {
        return wrong("fair_play", "FairPlay knows no scheme but `cbcs`");
    }
    Ok(Some(found))
}

/// Whether agents hand a variable down to who encrypts.
fn is_variable(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_';
    name.starts_with("REEL_KEYS") && name.chars().all(plain) && name != Encryption::TOKEN
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
