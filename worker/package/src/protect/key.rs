//! Content keys, and the lists that say which tracks they are for.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroize;

/// Most keys of a title: more than one for each of its tracks.
pub(super) const MAX_KEYS: usize = 64;

/// A key of AES-128 and its id. Its bytes are nowhere printed, and overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct ContentKey {
    id: [u8; 16],
    key: [u8; 16],
}

impl ContentKey {
    /// A key and its id.
    pub fn new(id: [u8; 16], key: [u8; 16]) -> Self {
        ContentKey { id, key }
    }

    /// Its id, which is no secret.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The key itself, for ciphers alone.
    pub(super) fn secret(&self) -> &[u8; 16] {
        &self.key
    }
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentKey({})", hex::encode(self.id))
    }
}

impl Drop for ContentKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// A class of resolutions that may have a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// Less than 720 rows.
    Sd,
    /// 720 to 1080 rows, as far as 1920 columns.
    Hd,
    /// More than those.
    Uhd,
}

impl Resolution {
    /// The class of pictures of a width and a height in samples.
    pub fn of(width: u32, height: u32) -> Self {
        match (width.max(height), width.min(height)) {
            (1921.., _) | (_, 1081..) => Resolution::Uhd,
            (1280.., _) | (_, 720..) => Resolution::Hd,
            _ => Resolution::Sd,
        }
    }
}

/// The tracks that a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyScope {
    /// Every track without a key of its own.
    All,
    /// Sound.
    Audio,
    /// Pictures whose class has no key of its own.
    Video,
    /// Pictures of one class.
    VideoOf(Resolution),
}

impl FromStr for KeyScope {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Ok(match name {
            "all" => KeyScope::All,
            "audio" => KeyScope::Audio,
            "video" => KeyScope::Video,
            "sd" => KeyScope::VideoOf(Resolution::Sd),
            "hd" => KeyScope::VideoOf(Resolution::Hd),
            "uhd" => KeyScope::VideoOf(Resolution::Uhd),
            _ => return Err(()),
        })
    }
}

/// The keys of a title. At most one for each [`KeyScope`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyList(Vec<(KeyScope, ContentKey)>);

/// Why a list of keys cannot be used. Never says what a line holds, since that may be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyListError {
    /// A line that is no `kid:key`.
    #[error("line {0} of the keys is no `[tracks=]kid:key` with 32 hexadecimal digits each")]
    Line(usize),
    /// A line for tracks that are not known.
    #[error("line {0} of the keys names tracks other than all, audio, video, sd, hd and uhd")]
    Scope(usize),
    /// Two keys for the same tracks.
    #[error("line {0} of the keys is for the same tracks as an earlier one")]
    Twice(usize),
    /// One id for two keys.
    #[error("line {0} of the keys gives an id that an earlier key has")]
    SameId(usize),
    /// Too many.
    #[error("there are more than {MAX_KEYS} keys")]
    Many,
    /// None.
    #[error("there is no key")]
    Empty,
}

impl KeyList {
    /// Reads lines of `kid:key`, or `audio=kid:key` where it is not for all tracks. Empty lines and those that begin with `#`
    /// say nothing.
    pub fn parse(text: &str) -> Result<Self, KeyListError> {
        let mut list = KeyList::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (scope, pair) = line.split_once('=').unwrap_or(("all", line));
            let scope = scope.trim().parse().map_err(|()| KeyListError::Scope(number))?;
            let key = content_key(pair).ok_or(KeyListError::Line(number))?;
            list.add(scope, key, number)?;
        }
        if list.0.is_empty() { Err(KeyListError::Empty) } else { Ok(list) }
    }

    /// Adds a key, which stands at a place of its source.
    pub(super) fn add(&mut self, scope: KeyScope, key: ContentKey, place: usize) -> Result<(), KeyListError> {
        if self.0.len() == MAX_KEYS {
            return Err(KeyListError::Many);
        }
        if self.0.iter().any(|(known, _)| *known == scope) {
            return Err(KeyListError::Twice(place));
        }
        if self.0.iter().any(|(_, known)| known.id == key.id && known.key != key.key) {
            return Err(KeyListError::SameId(place));
        }
        self.0.push((scope, key));
        Ok(())
    }

    /// The key of tracks with sound.
    pub fn audio(&self) -> Option<&ContentKey> {
        self.first([KeyScope::Audio, KeyScope::All])
    }

    /// The key of pictures of a width and a height in samples.
    pub fn video(&self, width: u32, height: u32) -> Option<&ContentKey> {
        let class = KeyScope::VideoOf(Resolution::of(width, height));
        self.first([class, KeyScope::Video, KeyScope::All])
    }

    /// The key with an id.
    pub fn of_id(&self, id: [u8; 16]) -> Option<&ContentKey> {
        self.0.iter().map(|(_, key)| key).find(|key| key.id == id)
    }

    fn first<const N: usize>(&self, scopes: [KeyScope; N]) -> Option<&ContentKey> {
        scopes.iter().find_map(|scope| self.0.iter().find(|(known, _)| known == scope)).map(|(_, key)| key)
    }
}

fn content_key(pair: &str) -> Option<ContentKey> {
    let (id, key) = pair.split_once(':')?;
    let mut read = [[0; 16]; 2];
    hex::decode_to_slice(id.trim().replace('-', ""), &mut read[0]).ok()?;
    hex::decode_to_slice(key.trim(), &mut read[1]).ok()?;
    let found = ContentKey::new(read[0], read[1]);
    read.zeroize();
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000-0000-0000-0000-000000000001";
    const KEY: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn the_narrowest_key_is_taken() {
        let lines = [
            format!("{ID}:{KEY}"),
            format!("\n# sound\naudio={}:{}", ID.replace('1', "2"), KEY.replace('0', "1")),
            format!("uhd={}:{}", ID.replace('1', "3"), KEY.replace('0', "2")),
        ];
        let list = KeyList::parse(&lines.join("\n")).unwrap();
        let last = |key: Option<&ContentKey>| key.unwrap().id()[15];
        assert_eq!((last(list.audio()), last(list.video(1920, 1080))), (2, 1));
        assert_eq!((last(list.video(3840, 2160)), last(list.video(2160, 3840))), (3, 3));
        assert_eq!(list.audio().unwrap().secret()[0], 0x11);
    }

    #[test]
    fn what_is_wrong_is_told_without_the_key() {
        let line = format!("{ID}:{KEY}");
        let other = format!("audio={ID}:{}", KEY.replace('0', "1"));
        for (text, error) in [
            (line.replace(':', ";"), KeyListError::Line(1)),
            (line[..60].to_owned(), KeyListError::Line(1)),
            (format!("both={line}"), KeyListError::Scope(1)),
            (format!("{line}\n{line}"), KeyListError::Twice(2)),
            (format!("{line}\n{other}"), KeyListError::SameId(2)),
            (String::new(), KeyListError::Empty),
        ] {
            assert_eq!(KeyList::parse(&text), Err(error));
            assert!(!error.to_string().contains(&KEY[..8]));
        }
    }

    #[test]
    fn a_key_is_printed_as_its_id() {
        let list = KeyList::parse(&format!("video={ID}:{KEY}")).unwrap();
        let printed = format!("{list:?}");
        assert!(printed.contains(&ID.replace('-', "")) && !printed.contains(&KEY[..8]), "{printed}");
        assert_eq!(list.audio(), None);
    }
}
