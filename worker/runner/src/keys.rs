//! The content keys of a title, which only the processes that encrypt and decrypt it ever hold.

use reel_common::{Failure, FailureClass, redacted};
use reel_package::protect::KeyList;
use reel_profiles::Encryption;
use reel_store::{Credentials, Source};
use zeroize::Zeroizing;

use crate::attempt::{Attempt, media};

/// The most bytes of a list of keys or a CPIX document.
const MAX_BYTES: u64 = 1 << 20;

/// What a title is encrypted with.
pub(crate) struct Protection {
    pub(crate) keys: KeyList,
    /// With the title's name in place.
    pub(crate) rules: Encryption,
}

/// Reads the keys of a title, where its profile has it encrypted.
///
/// # Errors
/// Keys that are not there, or are none: the place is named, what was read never is.
pub(crate) fn of_title(attempt: &Attempt) -> Result<Option<Protection>, Failure> {
    let Some(rules) = &attempt.profile.encryption else { return Ok(None) };
    let output = attempt.spec.output.trim_end_matches('/');
    let rules = named(rules, output.rsplit_once('/').map_or(output, |(_, title)| title));
    let invalid = |what: &str| {
        let message = format!("the keys in {}: {what}", redacted(&rules.keys));
        Failure::new(FailureClass::Invalid, &message, "")
    };
    let bytes = match rules.keys.strip_prefix(Encryption::ENVIRONMENT) {
        Some(name) => of_environment(name).ok_or_else(|| invalid("this worker has no such variable"))?,
        None => at(&rules.keys, &invalid)?,
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid("they are no text"))?;
    let keys = match text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with('<') {
        true => KeyList::parse_cpix(text).map_err(|error| invalid(&error.to_string()))?,
        false => KeyList::parse(text).map_err(|error| invalid(&error.to_string()))?,
    };
    Ok(Some(Protection { keys, rules }))
}

fn of_environment(name: &str) -> Option<Zeroizing<Vec<u8>>> {
    std::env::var(name).ok().map(|keys| Zeroizing::new(keys.into_bytes()))
}

/// What lies at a path or URL, whose server is shown the token that the environment holds.
fn at(location: &str, invalid: &dyn Fn(&str) -> Failure) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let credentials = match std::env::var(Encryption::TOKEN) {
        Ok(token) if !token.is_empty() => Credentials::from_env().with_bearer(token),
        _ => Credentials::from_env(),
    };
    let source = Source::open_with(location, &credentials).map_err(|error| media(error.into()))?;
    if source.size() > MAX_BYTES {
        return Err(invalid(&format!("they have {} bytes, and at most {MAX_BYTES} are read", source.size())));
    }
    let mut bytes = Zeroizing::new(vec![0; source.size() as usize]);
    source.read_at(0, &mut bytes).map_err(|error| media(error.into()))?;
    Ok(bytes)
}

/// The rules with a title's name where it belongs.
fn named(rules: &Encryption, title: &str) -> Encryption {
    let name = |text: &String| text.replace(Encryption::TITLE, title);
    Encryption {
        keys: name(&rules.keys),
        key_uri: rules.key_uri.as_ref().map(name),
        clear_key_licence: rules.clear_key_licence.as_ref().map(name),
        fair_play: rules.fair_play.as_ref().map(name),
        ..rules.clone()
    }
}
