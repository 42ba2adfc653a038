//! What happens in a farm, as programs and people are told.

use reel_common::{Epoch, TaskId};
use reel_proto::v1::{self, event::Event};
use serde_json::{Value, json};

/// What an event says, by name.
pub type Fields = Vec<(&'static str, Value)>;

/// An event as `--json` and the page have it: its number, its time and its name, and what it says.
pub fn json(changes: &v1::Changes, event: &Event) -> Value {
    let (name, fields) = describe(event);
    let head = [("number", json!(changes.number)), ("at_ms", json!(changes.at_ms)), ("event", json!(name))];
    head.into_iter().chain(fields).map(|(field, value)| (field.to_owned(), value)).collect()
}

/// The name of an event, and what it says.
pub fn describe(event: &Event) -> (&'static str, Fields) {
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

/// An event in one line, whatever a failure says: its name, and `key=value` for each that it says.
pub fn line(name: &str, fields: &Fields) -> String {
    let said = fields.iter().map(|(key, value)| match value {
        Value::String(text) if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            format!(" {key}={text:?}")
        }
        Value::String(text) => format!(" {key}={text}"),
        other => format!(" {key}={other}"),
    });
    format!("{name}{}", said.collect::<String>())
}
