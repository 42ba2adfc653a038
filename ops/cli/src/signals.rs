//! The tokio runtime of a command, and the signals that ask it to end.

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Stop;

/// The runtime on which scheduler, agents and runners live.
pub(crate) fn runtime() -> Result<Runtime, Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Stop::failed(format!("cannot start threads: {error}")))
}

/// Waits for SIGINT, SIGTERM or SIGHUP and gives its name.
pub(crate) async fn asked_to_end() -> Result<&'static str, Stop> {
    let listen =
        |kind| signal(kind).map_err(|error| Stop::failed(format!("cannot listen to signals: {error}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
        _ = hangup.recv() => "SIGHUP",
    })
}
