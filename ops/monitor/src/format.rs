//! Numbers and times as people read them, in few columns.

/// A span in milliseconds, in at most six columns: `42s`, `5m07s`, `3h12m`, `2d05h`.
pub(crate) fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// The time of the day in UTC, as `hh:mm:ss`, of milliseconds since 1970.
pub(crate) fn clock(ms: u64) -> String {
    let seconds = ms / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A count in at most five columns: `999`, `12.3k`, `1.20M`.
pub(crate) fn count(count: u64) -> String {
    let value = count as f64;
    match count {
        0..10_000 => count.to_string(),
        10_000..100_000 => format!("{:.1}k", value / 1e3),
        100_000..1_000_000 => format!("{:.0}k", value / 1e3),
        _ => format!("{:.2}M", value / 1e6),
    }
}

/// Frames a second: with a decimal while that says something.
pub(crate) fn rate(value: f64) -> String {
    if value < 99.95 { format!("{value:.1}") } else { count(value.round() as u64) }
}

/// Bytes with binary units.
pub(crate) fn bytes(count: u64) -> String {
    let (mut value, mut unit) = (count as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// Money with two decimal places, of millionths.
pub(crate) fn money(micros: u64) -> String {
    let cents = (micros + 5_000) / 10_000;
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// A share in whole percent: 100 only when nothing is left.
pub(crate) fn percent(done: u64, total: u64) -> u64 {
    (done.min(total) * 100).checked_div(total).unwrap_or(0)
}

/// The last `columns` characters, which tell places apart.
pub(crate) fn tail(text: &str, columns: usize) -> String {
    let length = text.chars().count();
    match length > columns {
        true => std::iter::once('…').chain(text.chars().skip(length + 1 - columns.max(1))).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_take_six_columns_at_most() {
        let spans = [0, 59_999, 60_000, 3_599_000, 11_520_000, 190_800_000];
        assert_eq!(spans.map(span), ["0s", "59s", "1m00s", "59m59s", "3h12m", "2d05h"]);
    }

    #[test]
    fn counts_are_short() {
        let counts = [0, 9_999, 12_345, 999_999, 1_200_000];
        assert_eq!(counts.map(count), ["0", "9999", "12.3k", "1000k", "1.20M"]);
        assert_eq!([rate(0.0), rate(59.94), rate(1234.5)], ["0.0", "59.9", "1235"]);
        assert_eq!((percent(999, 1000), percent(5, 0), percent(7, 7)), (99, 0, 100));
    }

    #[test]
    fn the_end_of_a_path_is_kept() {
        assert_eq!((tail("/srv/out/film", 6), tail("film", 6)), ("…/film".to_owned(), "film".to_owned()));
    }

    #[test]
    fn times_and_bytes_are_readable() {
        assert_eq!((clock(3_723_000), bytes(1536)), ("01:02:03".to_owned(), "1.5 KiB".to_owned()));
    }
}
