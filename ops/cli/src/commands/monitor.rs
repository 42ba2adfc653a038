//! `reel monitor`: the farm in the terminal.

use reel_monitor::{DemoSize, MonitorError};

use crate::args::MonitorArgs;
use crate::exit::Stop;
use crate::{server, signals};

pub(crate) fn run(args: MonitorArgs) -> Result<(), Stop> {
    let MonitorArgs { server, demo, demo_workers, demo_chunks } = args;
    let farm = server::client(&server)?;
    let shown = signals::runtime()?.block_on(async {
        match demo {
            true => reel_monitor::demo(DemoSize { workers: demo_workers, chunks: demo_chunks }).await,
            false => reel_monitor::run(farm).await,
        }
    });
    shown.map_err(|error| match error {
        MonitorError::NoTerminal => Stop::usage(error.to_string()),
        MonitorError::Terminal(_) => Stop::failed(error.to_string()),
    })
}
