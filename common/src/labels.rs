//! Labels: what operators say of workers, and submitters of jobs, as keys with values.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Labels in the order of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

/// Why a text is no label, or labels are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// There is no `=`.
    #[error("a label is written key=value")]
    NoValue,
    /// The key or the value is too long, empty or has other characters.
    #[error("keys and values of labels have 1 to {} letters, digits or ._-/", Labels::MAX_BYTES)]
    Characters,
    /// More than a worker or job may have.
    #[error("there are more than {} labels", Labels::MAX)]
    TooMany,
}

impl Labels {
    /// Most labels of one worker or job.
    pub const MAX: usize = 32;
    /// Longest key and longest value, in bytes.
    pub const MAX_BYTES: usize = 63;

    /// The labels of key and value pairs; of equal keys the last counts.
    ///
    /// # Errors
    /// [`LabelError`] where a key or value is wrong, or there are too many.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, LabelError> {
        let labels: BTreeMap<_, _> = pairs.into_iter().collect();
        if labels.len() > Self::MAX {
            return Err(LabelError::TooMany);
        }
        match labels.iter().all(|(key, value)| is_word(key) && is_word(value)) {
            true => Ok(Labels(labels)),
            false => Err(LabelError::Characters),
        }
    }

    /// Keys with their values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of `needs` are among these, with the same values.
    pub fn include(&self, needs: &Labels) -> bool {
        needs.0.iter().all(|(key, value)| self.0.get(key) == Some(value))
    }
}

fn is_word(text: &str) -> bool {
    is_plain(text, Labels::MAX_BYTES)
}

/// Whether a text has 1 to `most` letters, digits or `._-/`.
pub(crate) fn is_plain(text: &str, most: usize) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    !text.is_empty() && text.len() <= most && text.bytes().all(fits)
}

/// One label, as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What comes before the first `=`.
    pub key: String,
    /// What comes after it.
    pub value: String,
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let (key, value) = text.split_once('=').ok_or(LabelError::NoValue)?;
        match is_word(key) && is_word(value) {
            true => Ok(Label { key: key.to_owned(), value: value.to_owned() }),
            false => Err(LabelError::Characters),
        }
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (key, value)) in self.0.iter().enumerate() {
            let space = if number > 0 { " " } else { "" };
            write!(out, "{space}{key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        let pairs = text.split(' ').map(|label| label.parse::<Label>().unwrap());
        Labels::new(pairs.map(|label| (label.key, label.value))).unwrap()
    }

    #[test]
    fn a_worker_with_all_that_is_needed_may_have_more() {
        let worker = labels("site=berlin gpu=none rack=r7");
        assert!(worker.include(&labels("rack=r7 site=berlin")));
        assert!(worker.include(&Labels::default()));
        assert!(!worker.include(&labels("site=paris")));
        assert!(!worker.include(&labels("tier=1")));
        assert_eq!(worker.to_string(), "gpu=none rack=r7 site=berlin");
    }

    #[test]
    fn what_is_no_label_is_refused() {
        let long = format!("k={}", "v".repeat(64));
        for (text, error) in [
            ("site", LabelError::NoValue),
            ("=berlin", LabelError::Characters),
            ("site=", LabelError::Characters),
            ("site=b erlin", LabelError::Characters),
            ("site=bär", LabelError::Characters),
            (long.as_str(), LabelError::Characters),
        ] {
            assert_eq!(text.parse::<Label>(), Err(error), "{text}");
        }
        let many = (0..=Labels::MAX).map(|number| (format!("k{number}"), "v".to_owned()));
        assert_eq!(Labels::new(many), Err(LabelError::TooMany));
    }
}
