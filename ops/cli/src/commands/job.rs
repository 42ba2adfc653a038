//! `reel job`: the jobs of a farm, for people and programs.

use reel_client::Client;
use reel_common::{JobId, JobState, JobView, RunningView, StageView};
use reel_proto::v1::JobControl;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::args::{JobArgs, JobCommand, ServerChoice};
use crate::commands::transcode;
use crate::exit::Stop;
use crate::output::{print, print_json, row, table};
use crate::reporter::{Audience, Reporter};
use crate::{server, signals};

pub(crate) fn run(args: JobArgs) -> Result<(), Stop> {
    let runtime = signals::runtime()?;
    let control = |job: u64, server: &ServerChoice, control: JobControl, done: &str| {
        runtime.block_on(server::client(server)?.control(JobId(job), control))?;
        print(&format!("job {job} is {done}\n"))
    };
    match args.command {
        JobCommand::List { server, open, limit, json } => {
            let jobs = runtime.block_on(server::client(&server)?.jobs(limit, open))?;
            match json {
                true => print_json(&json!({ "jobs": jobs.iter().map(as_json).collect::<Vec<_>>() })),
                false => print(&list(&jobs)),
            }
        }
        JobCommand::Show { job, server, json } => {
            let view = runtime.block_on(server::client(&server)?.job(JobId(job)))?;
            if json { print_json(&as_json(&view)) } else { print(&as_table(&view)) }
        }
        JobCommand::Wait { job, server, json, quiet } => {
            wait(&runtime, &server::client(&server)?, JobId(job), Audience::of(json, quiet))
        }
        JobCommand::Cancel { job, server } => control(job, &server, JobControl::Cancel, "canceled"),
        JobCommand::Pause { job, server } => control(job, &server, JobControl::Pause, "paused"),
        JobCommand::Resume { job, server } => control(job, &server, JobControl::Resume, "resumed"),
    }
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
        _ => Err(transcode::failed(&view)),
    }
}

fn left(job: JobId, signal: &str) -> Stop {
    Stop::failed(format!("stopped by {signal}: job {job} goes on; see `reel job show {job}`"))
}

fn summary(view: &JobView) -> String {
    let JobView { id, output, frames, renditions_encoded, renditions_reused, .. } = view;
    format!(
        "job {id} is done: {output} is made and proved: {frames} frames; of the parts' renditions \
         {renditions_encoded} were encoded and {renditions_reused} found in the store\n"
    )
}

fn list(jobs: &[JobView]) -> String {
    let mut rows = vec![row(["job", "state", "parts", "project", "priority", "mezzanine", "output"])];
    rows.extend(jobs.iter().map(|job| {
        row([
            &job.id.to_string(),
            job.state.name(),
            &format!("{} of {}", job.parts_committed, job.parts_total),
            &job.project,
            &job.priority.to_string(),
            &job.mezzanine,
            &job.output,
        ])
    }));
    table(&rows)
}

fn as_table(view: &JobView) -> String {
    let mut rows = vec![
        row(["job", &view.id.to_string()]),
        row(["state", view.state.name()]),
        row(["mezzanine", &view.mezzanine]),
        row(["output", &view.output]),
        row(["parts", &format!("{} of {} committed", view.parts_committed, view.parts_total)]),
        row(["attempts", &view.attempts.to_string()]),
    ];
    for StageView { stage, done, total, running, .. } in &view.stages {
        rows.push(row([stage.name(), &format!("{done} of {total} done, {running} running")]));
    }
    for RunningView { task, worker, frames_done, frames_total, .. } in &view.running {
        rows.push(row([&task.to_string(), &format!("on {worker}: {frames_done} of {frames_total} frames")]));
    }
    if let Some(trouble) = &view.trouble {
        rows.push(row(["trouble", &format!("{} on {}: {}", trouble.task, trouble.worker, trouble.message)]));
    }
    if let Some(reason) = &view.reason {
        rows.push(row(["reason", &format!("{}: {}", reason.class, reason.message)]));
    }
    table(&rows)
}

fn as_json(view: &JobView) -> Value {
    json!({
        "id": view.id,
        "state": view.state.name(),
        "mezzanine": view.mezzanine,
        "output": view.output,
        "project": view.project,
        "priority": view.priority,
        "stages": view.stages.iter().map(stage).collect::<Vec<_>>(),
        "running": view.running.iter().map(running).collect::<Vec<_>>(),
        "frames": view.frames,
        "parts_total": view.parts_total,
        "parts_committed": view.parts_committed,
        "attempts": view.attempts,
        "parts_encoded_twice": view.parts_encoded_twice,
        "renditions_encoded": view.renditions_encoded,
        "renditions_reused": view.renditions_reused,
        "warnings": view.warnings,
        "reason": view.reason.as_ref().map(transcode::reason),
        "submitted_ms": view.submitted_ms,
        "ended_ms": view.ended_ms,
    })
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

fn running(running: &RunningView) -> Value {
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
