//! Reading TOML with the line of every value at hand, so that each mistake is shown at its place.

use reel_common::Rational;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What is wrong with a profile, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct ProfileError {
    /// The file as the caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub reason: String,
}

/// The text being read, which turns byte positions into lines.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str, file: &'a str) -> Self {
        Source { file, text }
    }

    /// The error for the value that begins at byte `position`.
    pub(crate) fn error(&self, position: usize, reason: impl Into<String>) -> ProfileError {
        let before = self.text.as_bytes().iter().take(position);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        ProfileError { file: self.file.to_owned(), line, reason: reason.into() }
    }
}

/// A value with its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) position: usize,
}

impl<T> At<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), position: self.position }
    }
}

/// A table of the profile whose keys have been checked against the ones it may have.
pub(crate) struct Section<'a> {
    pub(crate) source: Source<'a>,
    /// How messages call it, for example `[[video]]`.
    label: &'static str,
    pub(crate) position: usize,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    /// Takes a table that may have only the `known` keys.
    pub(crate) fn new(
        source: Source<'a>,
        label: &'static str,
        position: usize,
        table: &'a DeTable<'a>,
        known: &[&str],
    ) -> Result<Self, ProfileError> {
        let unknown = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        if let Some(key) = unknown.min_by_key(|key| key.span().start) {
            let reason =
                format!("unknown key `{}` in {label}{}", key.get_ref(), suggestion(key.get_ref(), known));
            return Err(source.error(key.span().start, reason));
        }
        Ok(Section { source, label, position, table })
    }

    pub(crate) fn error(&self, position: usize, reason: impl Into<String>) -> ProfileError {
        self.source.error(position, reason)
    }

    /// The value of `key`, where it is there.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// Where the value of `key` stands; the section's own place where it is absent.
    pub(crate) fn position_of(&self, key: &str) -> usize {
        self.get(key).map_or(self.position, |value| value.span().start)
    }

    /// Turns an absent value into an error that names the key and what it takes.
    pub(crate) fn need<T>(&self, key: &str, value: Option<T>, takes: &str) -> Result<T, ProfileError> {
        value.ok_or_else(|| self.error(self.position, format!("{} lacks `{key}`: {takes}", self.label)))
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<At<&'a str>>, ProfileError> {
        self.typed(key, "text in quotes", DeValue::as_str)
    }

    /// A list of texts that `read` takes, empty where it is absent.
    pub(crate) fn texts<T>(
        &self,
        key: &str,
        takes: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, ProfileError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let list = value.get_ref().as_array().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| self.wrong_type(key, value, takes))?;
        let item = |item: &Spanned<DeValue<'a>>| item.get_ref().as_str().and_then(&read);
        list.iter().map(|entry| item(entry).ok_or_else(|| self.wrong_type(key, entry, takes))).collect()
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<At<bool>>, ProfileError> {
        self.typed(key, "true or false", DeValue::as_bool)
    }

    /// A whole number within `range`.
    pub(crate) fn whole(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<At<u32>>, ProfileError> {
        let takes = format!("a whole number from {} to {}", range.start(), range.end());
        let read = |value: &'a DeValue<'a>| {
            let integer = value.as_integer()?;
            u32::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .filter(|number| range.contains(number))
        };
        self.typed(key, &takes, read)
    }

    /// A decimal number in thousandths, at most three digits after the point.
    pub(crate) fn thousandths(&self, key: &str) -> Result<Option<At<i64>>, ProfileError> {
        self.typed(key, "a number with at most 3 digits after the point", |value| match value {
            DeValue::Integer(integer) if integer.radix() == 10 => thousandths(integer.as_str()),
            DeValue::Float(float) => thousandths(float.as_str()),
            _ => None,
        })
    }

    pub(crate) fn seconds(&self, key: &str) -> Result<Option<At<Rational>>, ProfileError> {
        Ok(self.thousandths(key)?.map(|number| number.map(Rational::from_millis)))
    }

    /// One of `words`, each given with its value.
    pub(crate) fn word<T: Copy>(
        &self,
        key: &str,
        words: &[(&str, T)],
    ) -> Result<Option<At<T>>, ProfileError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text.value);
        let Some((_, value)) = found else {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let hint = suggestion(text.value, &names);
            let hint = if hint.is_empty() { format!("; it is one of {}", names.join(", ")) } else { hint };
            return Err(self.error(text.position, format!("`{key}` cannot be `{}`{hint}", text.value)));
        };
        Ok(Some(text.map(|_| *value)))
    }

    /// The table under `key`.
    pub(crate) fn table(
        &self,
        key: &str,
        label: &'static str,
        known: &[&str],
    ) -> Result<Option<Section<'a>>, ProfileError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Some(table) = value.get_ref().as_table() else {
            return Err(self.wrong_type(key, value, &format!("a table, written {label}")));
        };
        Section::new(self.source, label, value.span().start, table, known).map(Some)
    }

    /// The list of tables under `key`, empty where it is absent.
    pub(crate) fn tables(
        &self,
        key: &str,
        label: &'static str,
        known: &[&str],
    ) -> Result<Vec<Section<'a>>, ProfileError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let takes = format!("a list of tables, each written {label}");
        let Some(list) = value.get_ref().as_array() else {
            return Err(self.wrong_type(key, value, &takes));
        };
        let section = |item: &'a Spanned<DeValue<'a>>| match item.get_ref().as_table() {
            Some(table) => Section::new(self.source, label, item.span().start, table, known),
            None => Err(self.wrong_type(key, item, &takes)),
        };
        list.iter().map(section).collect()
    }

    fn typed<T>(
        &self,
        key: &str,
        takes: &str,
        read: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Result<Option<At<T>>, ProfileError> {
        let Some(spanned) = self.get(key) else { return Ok(None) };
        match read(spanned.get_ref()) {
            Some(value) => Ok(Some(At { value, position: spanned.span().start })),
            None => Err(self.wrong_type(key, spanned, takes)),
        }
    }

    fn wrong_type(&self, key: &str, found: &Spanned<DeValue<'_>>, takes: &str) -> ProfileError {
        let found_text = match found.get_ref() {
            DeValue::Integer(integer) => integer.to_string(),
            DeValue::Float(float) => float.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::String(text) => format!("\"{}\"", text.chars().take(40).collect::<String>()),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
            DeValue::Datetime(_) => "a date".to_owned(),
        };
        self.error(found.span().start, format!("`{key}` takes {takes}, not {found_text}"))
    }
}

/// Reads `[-]digits[.digits]` into thousandths, exactly; `None` for other notations and finer numbers.
fn thousandths(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix('-').unwrap_or_else(|| text.strip_prefix('+').unwrap_or(text));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 3 {
        return None;
    }
    let magnitude: i64 = format!("{whole}{fraction:0<3}").parse().ok()?;
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

/// `, did you mean ..?` where one of the known words is near, else the empty text.
fn suggestion(word: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|candidate| (distance(word, candidate), candidate)).min();
    match nearest {
        Some((edits, candidate)) if edits <= 1 + candidate.len() / 5 => {
            format!(", did you mean `{candidate}`?")
        }
        _ => String::new(),
    }
}

/// Levenshtein's edit distance over bytes; long words are cut, since they are near to none of ours.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let left = &left[..left.len().min(64)];
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        let cases = [("4", Some(4000)), ("4.0", Some(4000)), ("0.5", Some(500)), ("21.125", Some(21125))];
        for (text, expected) in cases {
            assert_eq!(thousandths(text), expected, "{text}");
        }
        assert_eq!(thousandths("-1.5"), Some(-1500));
        for text in ["", ".5", "1e3", "inf", "nan", "0.0001", "99999999999999999999", "1_000.0.0"] {
            assert_eq!(thousandths(text), None, "{text}");
        }
    }

    #[test]
    fn a_near_miss_is_suggested_and_a_wild_guess_is_not() {
        let known = ["height", "preset", "segment_seconds"];
        assert_eq!(suggestion("heigth", &known), ", did you mean `height`?");
        assert_eq!(suggestion("segment_second", &known), ", did you mean `segment_seconds`?");
        assert_eq!(suggestion("bitdepth", &known), "");
        assert_eq!(suggestion("", &[]), "");
    }
}
