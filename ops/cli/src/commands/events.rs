//! `reel events`: what happens in a farm, change by change.

use reel_common::{Epoch, JobId, TaskId};
use reel_proto::v1::{self, event::Event};
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
                false => print_on(&as_line(&changes, name, &fields))?,
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

type Fields = Vec<(&'static str, Value)>;

/// The name of an event, and what it says.
fn describe(event: &Event) -> (&'static str, Fields) {
    match event {
        Event::JobChanged(change) => {
            let state = change.state().as_str_name().trim_start_matches("JOB_STATE_").to_ascii_lowercase();
            let mut fields = vec![("job", json!(change.job)), ("state", json!(state))];
            if !change.reason.is_empty() {
                fields.push(("reason", json!(change.reason)));
            }
            ("job-changed", fields)
        }
        Event::JobPlanned(plan) => {
            ("job-planned", vec![("job", json!(plan.job)), ("parts", json!(plan.parts))])
        }
        Event::AttemptBegan(began) => {
            let mut fields = attempt(began.task, began.attempt, began.epoch, &began.worker);
            if began.end_part > began.first_part {
                fields.push(("parts", json!([began.first_part, began.end_part])));
            }
            ("attempt-began", fields)
        }
        Event::AttemptEnded(ended) => {
            let mut fields = attempt(ended.task, ended.attempt, ended.epoch, &ended.worker);
            fields.push(("outcome", json!(ended.outcome)));
            if !ended.message.is_empty() {
                fields.push(("message", json!(ended.message)));
            }
            ("attempt-ended", fields)
        }
        Event::PartCommitted(part) => {
            let fields = vec![
                ("task", json!(name(part.task))),
                ("part", json!(part.part)),
                ("epoch", json!(Epoch(part.epoch))),
            ];
            ("part-committed", fields)
        }
        Event::ChunkCut(cut) => {
            ("chunk-cut", vec![("task", json!(name(cut.task))), ("at_part", json!(cut.at_part))])
        }
        Event::TaskSkipped(skipped) => ("task-skipped", vec![("task", json!(name(skipped.task)))]),
        Event::WorkerChanged(change) => worker(change),
        Event::ProjectChanged(change) => ("project-set", vec![("project", json!(change.project))]),
    }
}

fn attempt(task: Option<v1::TaskId>, attempt: u32, epoch: u64, worker: &str) -> Fields {
    vec![
        ("task", json!(name(task))),
        ("attempt", json!(attempt)),
        ("epoch", json!(epoch)),
        ("worker", json!(worker)),
    ]
}

fn worker(change: &v1::WorkerChanged) -> (&'static str, Fields) {
    let mut fields = vec![("worker", json!(change.worker))];
    let name = match change.change() {
        v1::WorkerChange::Unspecified => "worker-changed",
        v1::WorkerChange::Came => "worker-came",
        v1::WorkerChange::Leaves => "worker-leaves",
        v1::WorkerChange::Gone => "worker-gone",
        v1::WorkerChange::Held => {
            let hold = change.hold().as_str_name().trim_start_matches("HOLD_").to_ascii_lowercase();
            fields.push(("hold", json!(hold)));
            "worker-held"
        }
    };
    (name, fields)
}

/// The name of a task; empty where it came without one.
fn name(task: Option<v1::TaskId>) -> String {
    task.and_then(|task| TaskId::try_from(task).ok()).map(|task| task.to_string()).unwrap_or_default()
}

fn as_json(changes: &v1::Changes, name: &str, fields: Fields) -> Value {
    let head = [("number", json!(changes.number)), ("at_ms", json!(changes.at_ms)), ("event", json!(name))];
    let all = head.into_iter().chain(fields).map(|(key, value)| (key.to_owned(), value));
    Value::Object(all.collect::<Map<_, _>>())
}

fn as_line(changes: &v1::Changes, name: &str, fields: &Fields) -> String {
    let said = fields.iter().map(|(key, value)| match value {
        // One change is one line, whatever a failure says.
        Value::String(text) if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            format!(" {key}={text:?}")
        }
        Value::String(text) => format!(" {key}={text}"),
        other => format!(" {key}={other}"),
    });
    format!("{} {} {name}{}\n", changes.number, time(changes.at_ms), said.collect::<String>())
}
