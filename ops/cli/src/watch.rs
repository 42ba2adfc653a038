//! What a farm knows, shown once, or again and again as it changes.

use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use reel_client::Client;
use rustix::termios::tcgetwinsize;
use serde_json::Value;

use crate::args::ViewChoice;
use crate::exit::{Exit, Stop};
use crate::output::{print, print_json, print_on, remark};
use crate::{server, signals};

/// Another screen without a cursor, and back; what stood on the terminal stays as it was.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// The upper left corner; the rest of the line; the rest of the screen.
const HOME: &str = "\u{1b}[H";
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_REST: &str = "\u{1b}[J";
/// Columns and lines where the terminal does not say.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// What is known, for programs and for people.
pub(crate) struct Shown {
    pub(crate) json: Value,
    pub(crate) tables: String,
}

/// Asks and shows, once or until Ctrl-C. Whoever watches is told when no scheduler answers, and goes on.
pub(crate) fn show(
    choice: &ViewChoice,
    ask: impl AsyncFn(&Client) -> Result<Shown, Stop>,
) -> Result<(), Stop> {
    let farm = server::client(&choice.server)?;
    let runtime = signals::runtime()?;
    let Some(seconds) = choice.watch else {
        let Shown { json, tables } = runtime.block_on(ask(&farm))?;
        return if choice.json { print_json(&json) } else { print(&tables) };
    };
    runtime.block_on(async {
        tokio::select! {
            watched = watch(&farm, ask, Form::of(choice.json), seconds) => watched,
            signal = signals::asked_to_end() => signal.map(|_| ()),
        }
    })
}

async fn watch(
    farm: &Client,
    ask: impl AsyncFn(&Client) -> Result<Shown, Stop>,
    form: Form,
    seconds: u64,
) -> Result<(), Stop> {
    let mut viewer = Viewer { seconds, last: ask(farm).await?, form };
    viewer.begin()?;
    loop {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        match ask(farm).await {
            Ok(shown) => viewer.next(shown)?,
            Err(stop) if stop.exit == Exit::Unreachable => viewer.lost(&stop)?,
            Err(stop) => return Err(stop),
        }
    }
}

/// In which form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In place, on a terminal.
    Screen,
    /// Tables one below the other.
    Pages,
    /// A line of JSON for each change.
    Lines,
}

impl Form {
    fn of(json: bool) -> Form {
        match (json, io::stdout().is_terminal()) {
            (true, _) => Form::Lines,
            (false, true) => Form::Screen,
            (false, false) => Form::Pages,
        }
    }
}

/// Shows what comes. A terminal is as it was when this is dropped, but for the last that was seen.
struct Viewer {
    form: Form,
    seconds: u64,
    last: Shown,
}

impl Viewer {
    fn begin(&self) -> Result<(), Stop> {
        match self.form {
            Form::Screen => {
                print_on(ENTER)?;
                self.draw("")
            }
            Form::Pages => print_on(&self.last.tables),
            Form::Lines => print_line(&self.last.json),
        }
    }

    fn next(&mut self, shown: Shown) -> Result<(), Stop> {
        let changed = self.last.json != shown.json;
        self.last = shown;
        match self.form {
            Form::Screen => self.draw(""),
            Form::Pages => print_on(&format!("\n{}", self.last.tables)),
            Form::Lines if changed => print_line(&self.last.json),
            Form::Lines => Ok(()),
        }
    }

    fn lost(&self, stop: &Stop) -> Result<(), Stop> {
        match self.form {
            Form::Screen => self.draw(&format!("  {}", stop.message)),
            Form::Pages | Form::Lines => {
                remark(&format!("{}; asking on", stop.message));
                Ok(())
            }
        }
    }

    /// Draws as much as the terminal has room for.
    fn draw(&self, trouble: &str) -> Result<(), Stop> {
        let size = tcgetwinsize(io::stdout()).ok().map(|size| (size.ws_col, size.ws_row));
        let (columns, lines) =
            size.filter(|(columns, lines)| *columns > 0 && *lines > 0).unwrap_or(USUAL_SIZE);
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        let head = format!("every {} s  {now}{trouble}", self.seconds);
        let all = [head.as_str(), ""].into_iter().chain(self.last.tables.lines());
        let cut =
            |line: &str| CLEAR_LINE.chars().chain(line.chars().take(columns.into())).collect::<String>();
        let drawn: Vec<String> = all.take(lines.into()).map(cut).collect();
        // At the end of a full screen nothing is left to clear.
        let rest = if drawn.len() < lines.into() { format!("\r\n{CLEAR_REST}") } else { String::new() };
        print_on(&format!("{HOME}{}{rest}", drawn.join("\r\n")))
    }
}

fn print_line(json: &Value) -> Result<(), Stop> {
    print_on(&format!("{json}\n"))
}

impl Drop for Viewer {
    fn drop(&mut self) {
        if self.form == Form::Screen {
            // Nobody is left to be told when the terminal is gone.
            let _ = print_on(&format!("{LEAVE}{}", self.last.tables));
        }
    }
}
