//! `reel events`: what happens in a farm, change by change.

use reel_client::events::{describe, json, line};
use reel_common::JobId;
use reel_proto::v1;

use crate::args::EventsArgs;
use crate::exit::Stop;
use crate::output::{print_on, time};
use crate::{server, signals};

pub(crate) fn run(args: EventsArgs) -> Result<(), Stop> {
    let farm = server::client(&args.server)?;
    let told = |changes: v1::Changes| {
        for event in changes.events.iter().filter_map(|event| event.event.as_ref()) {
            match args.json {
                true => print_on(&format!("{}\n", json(&changes, event)))?,
                false => {
                    let (name, fields) = describe(event);
                    let said = line(name, &fields);
                    print_on(&format!("{} {} {said}\n", changes.number, time(changes.at_ms)))?;
                }
            }
        }
        Ok::<(), Stop>(())
    };
    signals::runtime()?.block_on(async {
        tokio::select! {
            followed = farm.follow(args.after, args.job.map(JobId), told) => followed,
            signal = signals::asked_to_end() => signal.map(|_| ()),
        }
    })
}
