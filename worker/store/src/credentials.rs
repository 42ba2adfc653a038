//! What the environment says of credentials and endpoints of object stores.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Variables with these beginnings are read; they are named as the tools of each provider name them.
const PREFIXES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];
/// Words in the names of variables whose values are secrets.
const SECRET: [&str; 4] = ["KEY", "TOKEN", "SECRET", "PASSWORD"];
/// A secret of fewer bytes is not looked for in messages: it would be found in plain words.
const LEAST_SECRET_BYTES: usize = 8;

/// The variables of an environment that say how object stores are reached.
#[derive(Clone, Default)]
pub struct Credentials {
    variables: BTreeMap<String, String>,
    /// What http and https servers are shown.
    bearer: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.variables.keys()).finish()
    }
}

impl Credentials {
    /// Those of this process.
    pub fn from_env() -> Self {
        let texts = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::new(texts)
    }

    /// Those among the given variables.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let variables = variables.into_iter().filter(|(name, value)| ours(name) && !value.is_empty());
        Credentials { variables: variables.collect(), bearer: None }
    }

    /// The same with a bearer token (RFC 6750) for what is read by http and https.
    pub fn with_bearer(self, token: String) -> Self {
        Credentials { bearer: Some(token), ..self }
    }

    /// The token.
    pub(crate) fn bearer(&self) -> Option<&str> {
        self.bearer.as_deref()
    }

    /// Names in lower case, and values, of the variables that begin with `prefix`.
    pub(crate) fn of<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (String, &'a str)> + 'a {
        let named = self.variables.iter().filter(move |(name, _)| name.starts_with(prefix));
        named.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
    }

    /// The key of the profile `AWS_PROFILE`, or else `default`, in the file that `AWS_SHARED_CREDENTIALS_FILE` names;
    /// nothing where no file is named or the environment holds a key itself. What the provider's tools call it, and
    /// its value.
    pub(crate) fn aws_file(&self) -> Result<Vec<(String, String)>, String> {
        let Some(file) = self.variables.get("AWS_SHARED_CREDENTIALS_FILE") else { return Ok(Vec::new()) };
        if self.variables.contains_key("AWS_ACCESS_KEY_ID") {
            return Ok(Vec::new());
        }
        let text = std::fs::read_to_string(Path::new(file))
            .map_err(|error| format!("AWS_SHARED_CREDENTIALS_FILE {file} cannot be read: {error}"))?;
        let profile = self.variables.get("AWS_PROFILE").map_or("default", String::as_str);
        let keys = keys_of(&text, profile);
        match keys.is_empty() {
            true => Err(format!("AWS_SHARED_CREDENTIALS_FILE {file} has no key for the profile {profile}")),
            false => Ok(keys),
        }
    }

    /// A message without the secrets that the environment holds.
    pub(crate) fn scrub(&self, message: String) -> String {
        let secret = |name: &str| SECRET.iter().any(|word| name.contains(word));
        let secrets = self.variables.iter().filter(|(name, _)| secret(name)).map(|(_, value)| value);
        let secrets = secrets.chain(&self.bearer).filter(|value| value.len() >= LEAST_SECRET_BYTES);
        secrets.fold(message, |message, value| message.replace(value.as_str(), "***"))
    }
}

/// The keys in one section of an ini file.
fn keys_of(text: &str, profile: &str) -> Vec<(String, String)> {
    let wanted = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
    let (mut inside, mut keys) = (false, Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = section.trim() == profile;
        } else if let Some((name, value)) = line.split_once('=')
            && inside
            && wanted.contains(&name.trim())
        {
            keys.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(variables: &[(&str, &str)]) -> Credentials {
        Credentials::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn a_profile_of_the_shared_file_gives_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("credentials");
        let text = "# keys\n[default]\naws_access_key_id = one\naws_secret_access_key=two\n\n[farm]\n\
                    aws_access_key_id=three\naws_secret_access_key = fo=ur\nregion = nowhere\n";
        std::fs::write(&file, text).unwrap();
        let named = ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
        let keys = |variables: &[(&str, &str)]| {
            let keys = credentials(variables).aws_file()?;
            Ok::<_, String>(keys.into_iter().map(|(_, value)| value).collect::<Vec<_>>())
        };
        assert_eq!(keys(&[named]).unwrap(), ["one", "two"]);
        assert_eq!(keys(&[named, ("AWS_PROFILE", "farm")]).unwrap(), ["three", "fo=ur"]);
        assert!(keys(&[named, ("AWS_ACCESS_KEY_ID", "x")]).unwrap().is_empty());
        let missing = keys(&[named, ("AWS_PROFILE", "nobody")]).unwrap_err();
        assert!(missing.contains("no key for the profile nobody"), "{missing}");
    }

    #[test]
    fn no_secret_is_printed() {
        let hush = credentials(&[("AWS_SECRET_ACCESS_KEY", "hush-hush-hush"), ("PATH", "/bin")]);
        assert_eq!(format!("{hush:?}"), r#"["AWS_SECRET_ACCESS_KEY"]"#);
        assert_eq!(hush.scrub("key hush-hush-hush is bad".to_owned()), "key *** is bad");
    }
}
