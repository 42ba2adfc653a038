//! Results on stdout, errors on stderr, and the shape of tables.

use std::io::{self, IsTerminal, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use indicatif::{ProgressBar, ProgressStyle};
use reel_common::LAST_TIME_MS;
use serde::Serialize;

use crate::environment;
use crate::exit::Stop;

/// Prints a result. A reader that has gone away, such as `head`, is no error.
pub(crate) fn print(text: &str) -> Result<(), Stop> {
    match write(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(cannot_write(&error)),
        _ => Ok(()),
    }
}

/// Prints a piece of what has no end of its own: it ends when its reader has gone away.
pub(crate) fn print_on(text: &str) -> Result<(), Stop> {
    match write(text) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Stop::unread()),
        Err(error) => Err(cannot_write(&error)),
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
}

fn cannot_write(error: &io::Error) -> Stop {
    Stop::failed(format!("cannot write to stdout: {error}"))
}

/// A bar on stderr that counts to `total` of these; hidden where nobody watches.
pub(crate) fn progress_bar(what: &str, of: &str, total: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = format!("{what:<9} [{{bar:32}}] {{pos}}/{{len}} {of}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style.progress_chars("=> "))
}

/// Prints one JSON object on one line.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Stop> {
    let line = serde_json::to_string(value).map_err(anyhow::Error::from)?;
    print(&format!("{line}\n"))
}

/// Whether stderr is a log of JSON lines, as programs read it.
static LOGS_JSON: AtomicBool = AtomicBool::new(false);

/// Makes lines of a log of remarks and errors from now on.
pub(crate) fn log_json() {
    LOGS_JSON.store(true, Ordering::Relaxed);
}

/// Prints a remark for people.
pub(crate) fn remark(text: &str) {
    if LOGS_JSON.load(Ordering::Relaxed) {
        tracing::info!("{text}");
        return;
    }
    // Nobody is left to be told when stderr cannot be written.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints what went wrong.
pub(crate) fn error(stop: &Stop) {
    if LOGS_JSON.load(Ordering::Relaxed) {
        tracing::error!(evidence = stop.evidence, "{}", stop.message);
        return;
    }
    let label = if environment::colour_on_stderr() { "\u{1b}[1;31merror:\u{1b}[0m" } else { "error:" };
    remark(&format!("{label} {}", stop.message));
    stop.evidence.lines().for_each(|line| remark(&format!("  {line}")));
}

/// A column of a list, by its head: words stand at its left, numbers at its right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    Words(&'static str),
    Numbers(&'static str),
}

/// A list with a head.
pub(crate) fn list<const N: usize>(
    columns: [Column; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let head = columns.map(|column| match column {
        Column::Words(name) | Column::Numbers(name) => name.to_owned(),
    });
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).map(Vec::from).collect();
    aligned(&rows, |column| matches!(columns.get(column), Some(Column::Numbers(_))))
}

/// Rows of words with aligned columns.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    aligned(rows, |_| false)
}

/// Rows with aligned columns, at the right where `right` says so; no line ends with spaces.
fn aligned(rows: &[Vec<String>], right: impl Fn(usize) -> bool) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells: Vec<String> = cells
            .map(|(column, (cell, width))| match right(column) {
                true => format!("{cell:>width$}"),
                false => format!("{cell:width$}"),
            })
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// One row of a table.
pub(crate) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// A span in milliseconds for people, in seconds.
pub(crate) fn seconds(milliseconds: u64) -> String {
    format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
}

/// A time in milliseconds since 1970 for people, in UTC.
pub(crate) fn time(milliseconds: u64) -> String {
    // What lies behind the year 9999 has no such form.
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds.min(LAST_TIME_MS)));
    humantime::format_rfc3339_seconds(time.unwrap_or(UNIX_EPOCH)).to_string()
}

/// Bytes for people, with binary units.
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

/// Seconds for people, as `h:mm:ss`.
pub(crate) fn clock(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_has_no_trailing_space() {
        let rows = [row(["name", "grösse", ""]), row(["1080p", "6", "x"])];
        assert_eq!(table(&rows), "name   grösse\n1080p  6       x\n");
    }

    #[test]
    fn numbers_stand_at_the_right() {
        let rows = [["1", "a"], ["12", "b"]].map(|cells| cells.map(str::to_owned));
        let listed = list([Column::Numbers("job"), Column::Words("state")], rows);
        assert_eq!(listed, "job  state\n  1  a\n 12  b\n");
    }

    #[test]
    fn quantities_are_readable() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(5 << 40)],
            ["0 B", "1023 B", "1.5 KiB", "5.0 TiB"]
        );
        assert_eq!([clock(0), clock(3599), clock(36_061)], ["0:00:00", "0:59:59", "10:01:01"]);
    }
}
