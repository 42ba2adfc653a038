//! SHA-256 digests and the recipe key, the name under which a finished part is stored.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(#[serde(with = "hex::serde")] pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| DigestError)?;
        Ok(Digest(bytes))
    }
}

impl TryFrom<&[u8]> for Digest {
    type Error = DigestError;

    fn try_from(bytes: &[u8]) -> Result<Self, DigestError> {
        bytes.try_into().map(Digest).map_err(|_| DigestError)
    }
}

/// Text or bytes that are not a SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 32 bytes, written as 64 hexadecimal digits")]
pub struct DigestError;

/// Digests bytes that come piece by piece.
#[derive(Clone, Default)]
pub struct DigestWriter(Sha256);

impl DigestWriter {
    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all that was added.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

/// The digest over everything that can change the bytes of a part or a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecipeKey(pub Digest);

impl fmt::Display for RecipeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Builds a recipe key from named fields; every name and value is length-prefixed, so that no two different
/// lists of fields hash alike.
#[derive(Clone)]
pub struct RecipeHasher(Sha256);

impl RecipeHasher {
    /// Starts a key of the given kind, for example `"video part 1"`. The kind carries the format version.
    pub fn new(kind: &str) -> Self {
        let mut hasher = RecipeHasher(Sha256::new());
        hasher.bytes("kind", kind.as_bytes());
        hasher
    }

    /// Adds a field of bytes.
    pub fn bytes(&mut self, name: &str, value: &[u8]) -> &mut Self {
        for field in [name.as_bytes(), value] {
            self.0.update((field.len() as u64).to_le_bytes());
            self.0.update(field);
        }
        self
    }

    /// Adds a field of text.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.bytes(name, value.as_bytes())
    }

    /// Adds a field holding one integer.
    pub fn number(&mut self, name: &str, value: i64) -> &mut Self {
        self.bytes(name, &value.to_le_bytes())
    }

    /// The key.
    pub fn finish(self) -> RecipeKey {
        RecipeKey(Digest(self.0.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_its_text_form() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("ba78".parse::<Digest>().is_err());
    }

    #[test]
    fn fields_never_run_into_each_other() {
        let key = |fields: &[(&str, &str)]| {
            let mut hasher = RecipeHasher::new("test");
            for (name, value) in fields {
                hasher.text(name, value);
            }
            hasher.finish()
        };
        assert_ne!(key(&[("a", "bc")]), key(&[("ab", "c")]));
        assert_ne!(key(&[("a", "")]), key(&[("", "a")]));
        assert_eq!(key(&[("a", "b")]), key(&[("a", "b")]));
    }
}
