//! The operator's terminal monitor: what the farm does, why something waits, and what can be done about it.
//!
//! [`model`] knows what was heard and what is shown, and changes by events alone; [`view`] draws it; [`feed`] asks the farm.
//! None of the first two waits for anything, so that the screen answers whatever the farm does.

mod act;
mod demo;
mod farm;
mod feed;
mod format;
mod keys;
mod model;
mod view;

use std::io;
use std::time::Duration;

use crossterm::event::{Event as Input, EventStream, KeyEventKind};
use futures::StreamExt;
use ratatui::DefaultTerminal;
use reel_client::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

pub use demo::DemoSize;

use crate::demo::Demo;
use crate::farm::{Farm, Live};
use crate::feed::feed;
use crate::model::{Event, Model, Wish};

/// Events that wait for the screen; who reports one waits while it is full.
const MAX_EVENTS: usize = 64;
/// Actions that wait for the farm; more are refused at once.
const MAX_ACTS: usize = 16;
/// The screen is drawn at most this often, so that a fast farm does not fill a slow line.
const FRAME: Duration = Duration::from_millis(100);

/// Why the monitor ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// It needs one.
    #[error(
        "the monitor needs a terminal: for programs there are `reel job list --json` and `reel events --json`"
    )]
    NoTerminal,
    /// It cannot be written or read.
    #[error("cannot use the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// Shows a farm until the operator has seen enough.
///
/// # Errors
/// There is no terminal, or it cannot be used.
pub async fn run(farm: Client) -> Result<(), MonitorError> {
    let name = farm.servers();
    show(name, Live::new(farm)).await
}

/// Shows a farm that is made up: it takes every key, and nothing happens to a real one.
///
/// # Errors
/// As [`run`].
pub async fn demo(size: DemoSize) -> Result<(), MonitorError> {
    show("a farm that is made up".to_owned(), Demo::new(size)).await
}

async fn show(name: String, farm: impl Farm) -> Result<(), MonitorError> {
    if !io::IsTerminal::is_terminal(&io::stdout()) || !io::IsTerminal::is_terminal(&io::stdin()) {
        return Err(MonitorError::NoTerminal);
    }
    let mut terminal = ratatui::try_init()?;
    let ended = attend(&mut terminal, Model::new(name), farm).await;
    ratatui::try_restore()?;
    Ok(ended?)
}

/// Draws, and takes in keys and news, until the operator leaves.
async fn attend(terminal: &mut DefaultTerminal, mut model: Model, farm: impl Farm) -> io::Result<()> {
    let (to_screen, mut news) = mpsc::channel(MAX_EVENTS);
    let (acts, to_do) = mpsc::channel(MAX_ACTS);
    let (look, looked_at) = watch::channel(model.focus());
    let asking = tokio::spawn(feed(farm, looked_at, to_do, to_screen));
    let mut inputs = EventStream::new();
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    // Ctrl-C is a key here; this is a signal from elsewhere.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stale = true;
    loop {
        let event = tokio::select! {
            _ = frames.tick(), if stale => {
                terminal.draw(|frame| view::draw(frame, &mut model))?;
                stale = false;
                continue;
            }
            input = inputs.next() => match input {
                Some(Ok(Input::Key(key))) if key.kind != KeyEventKind::Release => Event::Key(key),
                Some(Ok(_)) => Event::Resized,
                Some(Err(error)) => return Err(error),
                None => break,
            },
            Some(event) = news.recv() => event,
            // The terminal is put in order whoever ends it.
            _ = terminate.recv() => break,
            _ = hangup.recv() => break,
            _ = interrupt.recv() => break,
        };
        stale = true;
        match model.update(event) {
            Some(Wish::Quit) => break,
            Some(Wish::Do(act)) => {
                if let Err(full) = acts.try_send(act) {
                    model.update(Event::Answer(
                        full.into_inner(),
                        Err("the farm has not answered yet".to_owned()),
                    ));
                }
            }
            None => {}
        }
        let focus = model.focus();
        look.send_if_modified(|before| {
            let changed = *before != focus;
            *before = focus.clone();
            changed
        });
    }
    asking.abort();
    Ok(())
}
