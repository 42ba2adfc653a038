//! `reel events`: what happens in a farm, change by change.

use reel_client::events::{Fields, describe, line};
use reel_common::JobId;
use reel_proto::v1;
use serde_json::{Map, Value, json};

use crate::args::EventsArgs;
use crate::exit::Stop;
use crate::output::{print_on, time};
use crate::{server, signals};

pub(crate) fn run(args: EventsArgs) -> Result<(), Stop> {
    let farm = server::client(&args.server)?;
    let told = |changes: v1::Changes| {
        for event in changes.events.iter().filter_map(|event| event.event.as_ref()) {
            let (name, fields) = describe(event);
            match args.json {
                true => print_on(&format!("{}\n", as_json(&changes, name, fields)))?,
                false => {
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

fn as_json(changes: &v1::Changes, name: &str, fields: Fields) -> Value {
    let head = [("number", json!(changes.number)), ("at_ms", json!(changes.at_ms)), ("event", json!(name))];
    let all = head.into_iter().chain(fields).map(|(key, value)| (key.to_owned(), value));
    Value::Object(all.collect::<Map<_, _>>())
}
