//! The `[images]` section of a profile.

use super::refuse_if;
use crate::images::{Images, Poster};
use crate::read::{At, ProfileError, Section};

pub(super) const KEYS: &[&str] = &["every_s", "height", "columns", "rows", "poster"];
const POSTER_KEYS: &[&str] = &["at_s", "height"];
/// The latest time of a poster: a day.
const MAX_AT_MS: i64 = 86_400_000;

pub(super) fn images(root: &Section<'_>) -> Result<Option<Images>, ProfileError> {
    let Some(section) = root.table("images", "[images]", KEYS)? else { return Ok(None) };
    let defaults = Images::default();
    let count = |key, default| -> Result<u32, ProfileError> {
        Ok(section.whole(key, 1..=20)?.map_or(default, |at| at.value))
    };
    let images = Images {
        every_ms: milliseconds(&section, "every_s", 100..=600_000)?.unwrap_or(defaults.every_ms),
        height: height(&section, 32..=1080)?.unwrap_or(defaults.height),
        columns: count("columns", defaults.columns)?,
        rows: count("rows", defaults.rows)?,
        poster: poster(&section)?,
    };
    let tall = images.height * images.rows;
    if tall > Images::MAX_SHEET_SIDE {
        let most = Images::MAX_SHEET_SIDE;
        let reason = format!(
            "`rows` of `height` make a sheet of {tall} lines, more than the {most} that players take: use fewer"
        );
        return Err(section.error(section.position_of("rows"), reason));
    }
    Ok(Some(images))
}

/// `true`, `false`, or a table.
fn poster(section: &Section<'_>) -> Result<Option<Poster>, ProfileError> {
    if section.get("poster").is_none_or(|value| value.get_ref().as_table().is_none()) {
        let wanted = section.flag("poster")?.is_none_or(|at| at.value);
        return Ok(wanted.then(Poster::default));
    }
    let Some(table) = section.table("poster", "poster = { .. }", POSTER_KEYS)? else { return Ok(None) };
    Ok(Some(Poster {
        at_ms: milliseconds(&table, "at_s", 0..=MAX_AT_MS)?,
        height: height(&table, 32..=4320)?,
    }))
}

/// A time in thousandths of a second.
pub(super) fn milliseconds(
    section: &Section<'_>,
    key: &str,
    range: std::ops::RangeInclusive<i64>,
) -> Result<Option<u32>, ProfileError> {
    let Some(At { value, position }) = section.thousandths(key)? else { return Ok(None) };
    let seconds = |ms: &i64| *ms as f64 / 1e3;
    let outside = || format!("`{key}` goes from {} to {}", seconds(range.start()), seconds(range.end()));
    let within = Some(value).filter(|value| range.contains(value)).map(|value| value as u32);
    within.map(Some).ok_or_else(|| section.error(position, outside()))
}

fn height(section: &Section<'_>, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, ProfileError> {
    let height = section.whole("height", range)?;
    refuse_if(section, &height, |height| !height.is_multiple_of(2), "height", "an even number")?;
    Ok(height.map(|at| at.value))
}
