//! `reel task`: the tasks of jobs, one by one.

use std::num::NonZeroU32;
use std::time::Duration;

use reel_client::Client;
use reel_common::{JobId, Stage, TaskId, TaskState, TaskView};
use reel_proto::v1;
use serde_json::{Value, json};

use crate::args::{TaskArgs, TaskCommand};
use crate::commands::job;
use crate::exit::Stop;
use crate::output::{self, Column, print, print_on, row, seconds, table};
use crate::watch::{self, Shown};
use crate::{server, signals};

/// How often a log that is followed is asked for.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn run(args: TaskArgs) -> Result<(), Stop> {
    let runtime = signals::runtime()?;
    match args.command {
        TaskCommand::List { job, view, open, after, limit } => watch::show(&view, async |farm| {
            let tasks = farm.tasks(JobId(job), after, limit, open).await?;
            let json = json!({ "tasks": tasks.iter().map(as_json).collect::<Vec<_>>() });
            Ok(Shown { json, tables: as_table(&tasks) })
        }),
        TaskCommand::Show { task, view } => watch::show(&view, async |farm| {
            let (view, ended) = farm.task(task).await?;
            let mut json = as_json(&view);
            json["ended"] = ended.iter().map(attempt).collect();
            Ok(Shown { json, tables: alone(&view, &ended) })
        }),
        TaskCommand::Logs { task, server, attempt, follow } => {
            let attempt = attempt.map_or(0, NonZeroU32::get);
            let farm = server::client(&server)?;
            match follow {
                true => runtime.block_on(async {
                    tokio::select! {
                        followed = follow_log(&farm, task, attempt) => followed,
                        signal = signals::asked_to_end() => signal.map(|_| ()),
                    }
                }),
                false => print(&runtime.block_on(farm.tail(task, attempt))?.text),
            }
        }
        TaskCommand::Retry { task, server } => {
            runtime.block_on(server::client(&server)?.retry_task(task))?;
            print(&format!("task {task} is tried again\n"))
        }
        TaskCommand::Skip { task, server } => {
            runtime.block_on(server::client(&server)?.skip_task(task))?;
            print(&format!("task {task} is skipped: job {} goes on without it\n", task.job))
        }
    }
}

/// Prints what an attempt logs until it is over.
async fn follow_log(farm: &Client, task: TaskId, attempt: u32) -> Result<(), Stop> {
    let mut tail = farm.tail(task, attempt).await?;
    print_on(&tail.text)?;
    while tail.running {
        tokio::time::sleep(FOLLOW_EVERY).await;
        // From now on it is this attempt, also when another one has begun meanwhile.
        let newer = farm.tail(task, tail.attempt).await?;
        print_on(news(&tail.text, &newer.text))?;
        tail = newer;
    }
    Ok(())
}

/// What of a newer tail comes after an older one. The longest end of the older that the newer begins with is known: of a
/// log that grows, the beginning goes as the end comes.
fn news<'a>(older: &str, newer: &'a str) -> &'a str {
    let starts = older.char_indices().map(|(start, _)| start);
    let known = starts.map(|start| &older[start..]).find(|end| newer.starts_with(end));
    &newer[known.map_or(0, str::len)..]
}

fn as_table(tasks: &[TaskView]) -> String {
    if tasks.is_empty() {
        return "no such tasks; before the index is done a job has one, and --open and --after leave some out\n"
            .to_owned();
    }
    let columns = [
        Column::Words("task"),
        Column::Words("state"),
        Column::Numbers("parts"),
        Column::Numbers("attempts"),
        Column::Words("worker"),
        Column::Words("progress"),
    ];
    let cells = |view: &TaskView| {
        let running = view.running.as_ref();
        [
            view.task.to_string(),
            view.state.name().to_owned(),
            parts(view).unwrap_or_else(|| "-".to_owned()),
            view.attempts.to_string(),
            running.map_or("-", |running| running.worker.as_str()).to_owned(),
            running.map_or("-".to_owned(), job::progress),
        ]
    };
    output::list(columns, tasks.iter().map(cells))
}

/// The parts of an encode task, the last one included.
fn parts(view: &TaskView) -> Option<String> {
    let parts = view.parts.as_ref()?;
    Some(format!("{}-{}", parts.start, parts.end.saturating_sub(1)))
}

fn alone(view: &TaskView, ended: &[v1::AttemptRecord]) -> String {
    let mut rows = vec![
        row(["task", &view.task.to_string()]),
        row(["state", view.state.name()]),
        row(["attempts", &format!("{}, {} preempted", view.attempts, view.preemptions)]),
    ];
    rows.extend(parts(view).map(|parts| row(["parts", &parts])));
    if let Some(running) = &view.running {
        let done = job::progress(running);
        rows.push(row(["runs", &format!("attempt {} on {}: {done}", running.attempt, running.worker)]));
    }
    rows.extend(view.faults.iter().map(|(worker, fault)| row(["failure", &format!("on {worker}: {fault}")])));
    let mut text = table(&rows);
    if !ended.is_empty() {
        text.push('\n');
        text.push_str(&job::attempts_table(ended));
    }
    if view.state == TaskState::Failed {
        text.push_str(&format!("\ntry it again with `reel task retry {}`", view.task));
        if view.task.stage == Stage::Hook {
            text.push_str(&format!(", or go on without it with `reel task skip {}`", view.task));
        }
        text.push('\n');
    }
    text
}

fn as_json(view: &TaskView) -> Value {
    let faults = view.faults.iter().map(|(worker, message)| json!({ "worker": worker, "message": message }));
    json!({
        "task": view.task.to_string(),
        "state": view.state.name(),
        "parts": view.parts.as_ref().map(|parts| [parts.start, parts.end]),
        "attempts": view.attempts,
        "preemptions": view.preemptions,
        "faults": faults.collect::<Vec<_>>(),
        "not_before_ms": view.not_before_ms,
        "running": view.running.as_ref().map(job::running),
    })
}

/// An attempt that has ended, for programs.
pub(crate) fn attempt(ended: &v1::AttemptRecord) -> Value {
    json!({
        "task": job::task_name(ended),
        "attempt": ended.attempt,
        "worker": ended.worker,
        "started_ms": ended.started_ms,
        "ended_ms": ended.ended_ms,
        "outcome": ended.outcome,
        "message": ended.message,
        "pool": reel_common::Pool::from(ended.pool()).name(),
        "cost_micros": ended.cost_micros,
    })
}

/// How long an attempt took, for people.
pub(crate) fn took(ended: &v1::AttemptRecord) -> String {
    seconds(ended.ended_ms.saturating_sub(ended.started_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_that_is_followed_every_line_is_printed_once() {
        assert_eq!(news("", "a\nb\n"), "a\nb\n");
        assert_eq!(news("a\nb\n", "a\nb\nc\n"), "c\n");
        assert_eq!(news("a\nb\nc\n", "b\nc\nd\n"), "d\n", "the beginning is gone");
        assert_eq!(news("a\nb\n", "a\nb\n"), "");
        assert_eq!(news("ä\n", "ö\n"), "ö\n");
    }
}
