//! `reel job`: the jobs of a farm, for people and programs.

use std::path::Path;

use reel_client::Client;
use reel_common::{
    Edit, EditEvent, EditOverlay, EditSource, EditTime, Flag, Hook, JobId, JobState, JobView, Labels,
    RunningView, Stage, StageView, TaskId, TextName, TextSource,
};
use reel_proto::v1::{self, JobControl};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::args::{JobArgs, JobCommand, ServerChoice};
use crate::commands::{rates, report, task, title, transcode};
use crate::exit::Stop;
use crate::output::{self, Column, print, print_json, row, table, time};
use crate::reporter::{Audience, Reporter};
use crate::watch::{self, Shown};
use crate::{input, server, signals};

pub(crate) fn run(args: JobArgs) -> Result<(), Stop> {
    let runtime = signals::runtime()?;
    let control = |job: u64, server: &ServerChoice, control: JobControl, done: &str| {
        runtime.block_on(server::client(server)?.control(JobId(job), control))?;
        print(&format!("job {job} is {done}\n"))
    };
    match args.command {
        JobCommand::List { view, open, labels, limit } => {
            let labels = input::labels(labels)?;
            watch::show(&view, async |farm| {
                let jobs = farm.jobs(limit, open, &labels).await?;
                let json = json!({ "jobs": jobs.iter().map(as_json).collect::<Vec<_>>() });
                Ok(Shown { json, tables: list(&jobs) })
            })
        }
        JobCommand::Show { job, view } => watch::show(&view, async |farm| {
            let view = with_reported_flags(farm.job(JobId(job)).await?).await;
            Ok(Shown { json: as_json(&view), tables: as_table(&view) })
        }),
        JobCommand::Wait { job, server, json, quiet } => {
            wait(&runtime, &server::client(&server)?, JobId(job), Audience::of(json, quiet))
        }
        JobCommand::Cancel { job, server } => control(job, &server, JobControl::Cancel, "canceled"),
        JobCommand::Pause { job, server } => control(job, &server, JobControl::Pause, "paused"),
        JobCommand::Resume { job, server } => control(job, &server, JobControl::Resume, "resumed"),
        JobCommand::Priority { job, priority, server } => {
            runtime.block_on(server::client(&server)?.set_priority(JobId(job), priority))?;
            print(&format!("job {job} has priority {priority}\n"))
        }
        JobCommand::Retry { job, server } => control(job, &server, JobControl::Retry, "tried again"),
        JobCommand::Explain { job, server, json } => {
            let explained = runtime.block_on(server::client(&server)?.explain(JobId(job)))?;
            match json {
                true => print_json(&explanation(job, &explained)),
                false => print(&explain(&explained)),
            }
        }
        JobCommand::Logs { job, server } => {
            print(&runtime.block_on(logs(&server::client(&server)?, JobId(job)))?)
        }
        JobCommand::Report { of, server, form } => match of.parse() {
            Ok(job) => report::run(&runtime, &server::client(&server)?, JobId(job), &form),
            Err(_) => report::of_title(Path::new(&of), &form),
        },
    }
}

/// With all flags of a title that is delivered: its report has those that were found while it was made too.
async fn with_reported_flags(mut view: JobView) -> JobView {
    let (output, job, submitted_ms) = (view.output.clone(), view.id.0, view.submitted_ms);
    let report = tokio::task::spawn_blocking(move || title::of_job(&output, job, submitted_ms)).await;
    if let Some(flags) = report.ok().flatten().and_then(|report| reported_flags(&report)) {
        view.flags = flags;
    }
    view
}

/// The end of the log of each attempt that runs, or what the job failed by.
async fn logs(farm: &Client, id: JobId) -> Result<String, Stop> {
    let view = farm.job(id).await?;
    let mut text = String::new();
    for RunningView { task, attempt, worker, .. } in &view.running {
        text.push_str(&format!("== {task}, attempt {attempt} on {worker}\n"));
        match farm.tail(*task, attempt.0).await {
            Ok(tail) => text.push_str(&tail.text),
            // It may have ended meanwhile.
            Err(error) => text.push_str(&format!("{error}\n")),
        }
    }
    if let Some(reason) = &view.reason {
        let task = reason.task.map(|task| format!("{task} on {}", reason.worker)).unwrap_or_default();
        text.push_str(&format!("== {task} failed: {}\n{}\n", reason.message, reason.evidence));
    }
    if text.is_empty() {
        text = format!("nothing of job {id} runs: it is {}\n", view.state.name());
    }
    Ok(text)
}

/// Why nothing runs, for people.
fn explain(explained: &v1::Explanation) -> String {
    let v1::Explanation { running, waiting, obstacles } = explained;
    let mut text = format!("{running} attempts run, {waiting} tasks wait\n");
    if obstacles.is_empty() && *waiting > 0 {
        text.push_str("nothing is in their way: they start at once\n");
    }
    for obstacle in obstacles {
        let stage = stage_name(obstacle).map(|stage| format!("{stage}: ")).unwrap_or_default();
        text.push_str(&format!("{stage}{}\n", obstacle.message));
    }
    text
}

fn explanation(job: u64, explained: &v1::Explanation) -> Value {
    let obstacles = explained.obstacles.iter().map(|obstacle| {
        json!({ "stage": stage_name(obstacle), "name": obstacle.name, "message": obstacle.message })
    });
    json!({
        "job": job,
        "running": explained.running,
        "waiting": explained.waiting,
        "obstacles": obstacles.collect::<Vec<_>>(),
    })
}

/// The stage that an obstacle is about; `None` where it is about the whole job.
fn stage_name(obstacle: &v1::Obstacle) -> Option<&'static str> {
    Stage::try_from(obstacle.stage()).ok().map(Stage::name)
}

/// The name of the task of an attempt; empty where it came without one.
pub(crate) fn task_name(ended: &v1::AttemptRecord) -> String {
    ended.task.and_then(|task| TaskId::try_from(task).ok()).map(|task| task.to_string()).unwrap_or_default()
}

/// Attempts that have ended, for people.
pub(crate) fn attempts_table(ended: &[v1::AttemptRecord]) -> String {
    let columns = [
        Column::Numbers("attempt"),
        Column::Words("worker"),
        Column::Numbers("took"),
        Column::Words("outcome"),
        Column::Words("message"),
    ];
    let cells = |attempt: &v1::AttemptRecord| {
        let v1::AttemptRecord { attempt: number, worker, outcome, message, .. } = attempt;
        [number.to_string(), worker.clone(), task::took(attempt), outcome.clone(), message.clone()]
    };
    output::list(columns, ended.iter().map(cells))
}

/// Follows a job until it is over. Whoever is interrupted leaves it running.
pub(crate) fn wait(runtime: &Runtime, client: &Client, job: JobId, audience: Audience) -> Result<(), Stop> {
    let mut reporter = Reporter::new(audience);
    let view = runtime.block_on(async {
        tokio::select! {
            watched = client.watch(job, |view| reporter.follow(view)) => watched,
            signal = signals::asked_to_end() => Err(signal.map_or_else(|stop| stop, |signal| left(job, signal))),
        }
    });
    reporter.end();
    let view = view?;
    if audience == Audience::Programs {
        let Value::Object(mut last) = as_json(&view) else { return Ok(()) };
        last.insert("job".to_owned(), json!(view.id));
        print_json(&last)?;
    }
    match view.state {
        JobState::Done if audience == Audience::People => print(&summary(&view)),
        JobState::Done => Ok(()),
        _ => Err(failed(&view)),
    }
}

/// How a job of a farm ended without its output, and what can be done about it there.
fn failed(view: &JobView) -> Stop {
    let mut stop = transcode::failed(view);
    if view.state == JobState::Failed {
        let id = view.id;
        stop.message +=
            &format!("; `reel job logs {id}` says more, `reel job retry {id}` goes on once it is mended");
    }
    stop
}

fn left(job: JobId, signal: &str) -> Stop {
    Stop::failed(format!("stopped by {signal}: job {job} goes on; see `reel job show {job}`"))
}

fn summary(view: &JobView) -> String {
    let JobView { id, output, frames, renditions_encoded, renditions_reused, .. } = view;
    if output.is_empty() {
        return format!("job {id} is done: {} ran\n", hooks(view).join(", "));
    }
    format!(
        "job {id} is done: {output} is made and proved: {frames} frames; of the parts' renditions \
         {renditions_encoded} were encoded and {renditions_reused} found in the store\n"
    )
}

fn list(jobs: &[JobView]) -> String {
    if jobs.is_empty() {
        return "no jobs; submit one with `reel submit`\n".to_owned();
    }
    let columns = [
        Column::Numbers("job"),
        Column::Words("state"),
        Column::Numbers("parts"),
        Column::Words("project"),
        Column::Numbers("priority"),
        Column::Words("submitted"),
        Column::Words("mezzanine"),
        Column::Words("output"),
    ];
    let cells = |job: &JobView| {
        [
            job.id.to_string(),
            job.state.name().to_owned(),
            format!("{} of {}", job.parts_committed, job.parts_total),
            job.project.clone(),
            job.priority.to_string(),
            time(job.submitted_ms),
            job.mezzanine.clone(),
            job.output.clone(),
        ]
    };
    output::list(columns, jobs.iter().map(cells))
}

fn as_table(view: &JobView) -> String {
    let mut rows = vec![
        row(["job", &view.id.to_string()]),
        row(["state", view.state.name()]),
        row(["project", &format!("{}, priority {}", view.project, view.priority)]),
        row(["submitted", &time(view.submitted_ms)]),
    ];
    rows.extend(view.ended_ms.map(|ended_ms| row(["ended", &time(ended_ms)])));
    rows.push(row(["attempts", &view.attempts.to_string()]));
    if !view.mezzanine.is_empty() {
        rows.push(row(["mezzanine", &view.mezzanine]));
        rows.push(row(["output", &view.output]));
        rows.push(row(["parts", &format!("{} of {} committed", view.parts_committed, view.parts_total)]));
    }
    for text in &view.texts {
        rows.push(row(["text", &format!("{}: {}", text.name, text.location)]));
    }
    if let Some(edit) = &view.edit {
        let named = |source: &EditSource| format!(", {}: {}", source.name, source.location);
        let sources: String = edit.sources.iter().map(named).collect();
        let logo = |overlay: &EditOverlay| format!(", logo {}", overlay.location);
        let logos: String = edit.overlays.iter().map(logo).collect();
        rows.push(row(["edit", &format!("{} events{sources}{logos}", edit.events.len())]));
    }
    if let Some(deadline_ms) = view.deadline_ms {
        rows.push(row(["wanted by", &time(deadline_ms)]));
    }
    for (name, labels) in [("labels", &view.labels), ("needs", &view.needs)] {
        if !labels.is_empty() {
            rows.push(row([name, &labels.to_string()]));
        }
    }
    for StageView { stage, done, total, running, .. } in &view.stages {
        rows.push(row([stage.name(), &format!("{done} of {total} done, {running} running")]));
    }
    for running in &view.running {
        rows.push(row([&running.task.to_string(), &format!("on {}: {}", running.worker, progress(running))]));
    }
    rows.extend(
        view.rates.iter().map(|rate| row([&format!("rendition {}", rate.rendition + 1), &rates::line(rate)])),
    );
    rows.extend(view.flags.iter().map(|flag| row(["flag", &format!("{}: {}", flag.rule, flag.what)])));
    if let Some(trouble) = &view.trouble {
        rows.push(row(["trouble", &format!("{} on {}: {}", trouble.task, trouble.worker, trouble.message)]));
    }
    if let Some(reason) = &view.reason {
        rows.push(row(["reason", &format!("{}: {}", reason.class, reason.message)]));
    }
    table(&rows)
}

fn edit_json(edit: &Edit) -> Value {
    let source = |source: &EditSource| json!({ "name": source.name, "location": source.location });
    let typed = |time: Option<EditTime>| time.map(|time| time.to_string());
    let event = |event: &EditEvent| json!({ "source": edit.source_name(event.source), "in": typed(event.start), "out": typed(event.end) });
    let share = |ppm: u32| f64::from(ppm) / 1e6;
    let overlay = |overlay: &EditOverlay| {
        json!({
            "image": overlay.location, "in": typed(overlay.start), "out": typed(overlay.end),
            "x": share(overlay.x_ppm), "y": share(overlay.y_ppm), "width": share(overlay.width_ppm),
            "opacity": share(overlay.opacity_ppm),
        })
    };
    json!({
        "overlays": edit.overlays.iter().map(overlay).collect::<Vec<_>>(),
        "sources": edit.sources.iter().map(source).collect::<Vec<_>>(),
        "events": edit.events.iter().map(event).collect::<Vec<_>>(),
    })
}

fn as_json(view: &JobView) -> Value {
    json!({
        "id": view.id,
        "state": view.state.name(),
        "mezzanine": view.mezzanine,
        "output": view.output,
        "project": view.project,
        "priority": view.priority,
        "deadline_ms": view.deadline_ms,
        "labels": labels_json(&view.labels),
        "needs": labels_json(&view.needs),
        "hooks": hooks(view),
        "texts": view.texts.iter().map(text_json).collect::<Vec<_>>(),
        "edit": view.edit.as_ref().map(edit_json),
        "stages": view.stages.iter().map(stage).collect::<Vec<_>>(),
        "running": view.running.iter().map(running).collect::<Vec<_>>(),
        "frames": view.frames,
        "parts_total": view.parts_total,
        "parts_committed": view.parts_committed,
        "attempts": view.attempts,
        "parts_encoded_twice": view.parts_encoded_twice,
        "cost_micros": view.cost_micros,
        "renditions_encoded": view.renditions_encoded,
        "renditions_reused": view.renditions_reused,
        "warnings": view.warnings,
        "flags": view.flags.iter().map(flag).collect::<Vec<_>>(),
        "rates": view.rates.iter().map(rates::as_json).collect::<Vec<_>>(),
        "reason": view.reason.as_ref().map(transcode::reason),
        "submitted_ms": view.submitted_ms,
        "ended_ms": view.ended_ms,
    })
}

/// How far an attempt is. A hook does not say how much it has to do.
pub(crate) fn progress(running: &RunningView) -> String {
    match running.task.stage {
        Stage::Hook => "runs".to_owned(),
        _ => format!("{} of {} frames", running.frames_done, running.frames_total),
    }
}

fn text_json(text: &TextSource) -> Value {
    let TextName { language, role } = &text.name;
    json!({ "language": language, "role": role.name(), "file": text.location, "start_ms": text.start_ms })
}

/// A finding of an admission rule.
pub(crate) fn flag(flag: &Flag) -> Value {
    json!({ "rule": flag.rule, "found": flag.found, "limit": flag.limit, "what": flag.what })
}

/// All flags of a delivered title: those of its index, and behind them what was seen while it was made.
fn reported_flags(report: &Value) -> Option<Vec<Flag>> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        number => number.to_string(),
    };
    let flag = |flag: &Value| Flag {
        rule: text(&flag["rule"]),
        found: text(&flag["found"]),
        limit: Some(&flag["limit"]).filter(|limit| !limit.is_null()).map(text),
        what: text(&flag["what"]),
    };
    Some(report["job"]["flags"].as_array()?.iter().map(flag).collect())
}

/// Its hooks, as they are typed.
fn hooks(view: &JobView) -> Vec<String> {
    view.hooks.iter().map(Hook::to_string).collect()
}

/// Labels as an object.
pub(crate) fn labels_json(labels: &Labels) -> Value {
    labels.iter().map(|(key, value)| (key.to_owned(), json!(value))).collect()
}

fn stage(stage: &StageView) -> Value {
    json!({
        "stage": stage.stage.name(),
        "total": stage.total,
        "done": stage.done,
        "running": stage.running,
        "frames_done": stage.frames_done,
        "frames_total": stage.frames_total,
    })
}

pub(crate) fn running(running: &RunningView) -> Value {
    json!({
        "task": running.task.to_string(),
        "attempt": running.attempt.0,
        "epoch": running.epoch.0,
        "worker": running.worker,
        "frames_done": running.frames_done,
        "frames_total": running.frames_total,
        "part": running.part,
    })
}
