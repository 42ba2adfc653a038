//! `reel job report`: where the time of a job went, and how the quality of its title goes over time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use reel_client::Client;
use reel_common::{JobId, JobView, Pool, Price};
use reel_proto::v1;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::args::ReportForm;
use crate::commands::plot::{Plot, svg, terminal};
use crate::commands::{job, task, title};
use crate::environment;
use crate::exit::Stop;
use crate::output::{self, Column, bytes, print, print_json, row, seconds, table};

/// Attempts of one stage, or on one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    attempts: u32,
    done: u32,
    /// Milliseconds of all.
    time_ms: u64,
    /// Of these, milliseconds of attempts that ended without their result.
    unfinished_ms: u64,
    /// Of all, in millionths of the site's currency.
    cost_micros: u64,
}

impl Sum {
    fn add(&mut self, ended: &v1::AttemptRecord) {
        let time_ms = ended.ended_ms.saturating_sub(ended.started_ms);
        let done = ended.outcome == "done";
        self.attempts += 1;
        self.done += u32::from(done);
        self.time_ms += time_ms;
        self.unfinished_ms += if done { 0 } else { time_ms };
        self.cost_micros += ended.cost_micros;
    }

    fn as_json(&self, key: &str, name: &str) -> Value {
        let Sum { attempts, done, time_ms, unfinished_ms, cost_micros } = self;
        json!({
            key: name,
            "attempts": attempts,
            "done": done,
            "time_ms": time_ms,
            "unfinished_ms": unfinished_ms,
            "cost_micros": cost_micros,
        })
    }
}

/// Attempts summed up by what `name` makes of them.
fn sums(
    attempts: &[v1::AttemptRecord],
    name: impl Fn(&v1::AttemptRecord) -> String,
) -> BTreeMap<String, Sum> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    for ended in attempts {
        sums.entry(name(ended)).or_default().add(ended);
    }
    sums
}

/// A title by its report alone.
pub(super) fn of_title(path: &Path, form: &ReportForm) -> Result<(), Stop> {
    if form.json {
        let shown = path.display();
        return Err(Stop::usage(format!(
            "{shown} is no number of a job: --json goes with one; report.json is JSON"
        )));
    }
    let report = title::read(path)?;
    match form {
        ReportForm { svg: Some(file), .. } => write(file, &svg::draw(&Plot::of(&report))),
        ReportForm { html: Some(file), .. } => write(file, &page(None, Some(report))),
        _ => print(&terminal::draw(&Plot::of(&report), environment::is_utf8())),
    }
}

fn write(file: &Path, text: &str) -> Result<(), Stop> {
    let written = std::fs::write(file, text);
    written.map_err(|error| Stop::failed(format!("cannot write {}: {error}", file.display())))
}

/// The report as one file of HTML.
fn page(job: Option<(&JobView, &v1::JobHistory)>, report: Option<Value>) -> String {
    let made_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let view = job.map(|(view, _)| reel_web::json(&v1::Job::from(view.clone()), "Job"));
    let history = job.map(|(_, history)| reel_web::json(history, "JobHistory"));
    let data = json!({ "job": view, "history": history, "report": report, "made_ms": made_ms });
    reel_web::report(&data.to_string())
}

pub(super) fn run(runtime: &Runtime, farm: &Client, id: JobId, form: &ReportForm) -> Result<(), Stop> {
    let (view, history) =
        runtime.block_on(async { Ok::<_, Stop>((farm.job(id).await?, farm.history(id).await?)) })?;
    let report = title::of_job(&view.output, id.0, view.submitted_ms);
    if let Some(file) = &form.html {
        let report = report.or_else(|| title::of_remote_job(&view.output, id.0, view.submitted_ms));
        return write(file, &page(Some((&view, &history)), report));
    }
    let plot = report.map(|report| Plot::of(&report));
    if let Some(file) = &form.svg {
        let missing = || {
            let reason =
                format!("the title of job {id} is not there yet, or not where this host can read it");
            Stop::failed(format!("{reason}: give its report.json instead of the number"))
        };
        return write(file, &svg::draw(&plot.ok_or_else(missing)?));
    }
    let attempts = &history.attempts;
    let stage = |ended: &v1::AttemptRecord| {
        let name = job::task_name(ended);
        name.split('/').nth(1).unwrap_or_default().to_owned()
    };
    let pool = |ended: &v1::AttemptRecord| Pool::from(ended.pool()).name().to_owned();
    let workers = sums(attempts, |ended| ended.worker.clone());
    let (stages, pools) = (sums(attempts, stage), sums(attempts, pool));
    if form.json {
        return print_json(&json!({
            "job": id,
            "state": view.state.name(),
            "submitted_ms": view.submitted_ms,
            "ended_ms": view.ended_ms,
            "attempts_total": history.attempts_total,
            "parts_encoded_twice": history.parts_encoded_twice,
            "renditions_encoded": history.renditions_encoded,
            "renditions_reused": history.renditions_reused,
            "source_bytes_read": history.source_bytes_read,
            "cost_micros": history.cost_micros,
            "stages": stages.iter().map(|(name, sum)| sum.as_json("stage", name)).collect::<Vec<_>>(),
            "pools": pools.iter().map(|(name, sum)| sum.as_json("pool", name)).collect::<Vec<_>>(),
            "workers": workers.iter().map(|(name, sum)| sum.as_json("worker", name)).collect::<Vec<_>>(),
            "attempts": attempts.iter().map(task::attempt).collect::<Vec<_>>(),
        }));
    }
    let took =
        view.ended_ms.map_or("not over".to_owned(), |end| seconds(end.saturating_sub(view.submitted_ms)));
    let encoded =
        format!("{} encoded, {} found in the store", history.renditions_encoded, history.renditions_reused);
    let counted = format!(
        "{} begun, the newest {} of those that ended are counted here",
        history.attempts_total,
        attempts.len()
    );
    let head = [
        row(["job", &format!("{id}, {}", view.state.name())]),
        row(["took", &took]),
        row(["renditions", &encoded]),
        row(["source read", &bytes(history.source_bytes_read)]),
        row(["attempts", &counted]),
        row(["cost", &cost(history.cost_micros)]),
    ];
    let curves =
        plot.map_or(String::new(), |plot| format!("\n{}", terminal::draw(&plot, environment::is_utf8())));
    let tables = [("stage", stages), ("pool", pools), ("worker", workers)];
    let tables = tables.map(|(what, sums)| sums_table(what, &sums)).join("\n");
    print(&format!("{}\n{tables}{curves}", table(&head)))
}

fn sums_table(what: &'static str, sums: &BTreeMap<String, Sum>) -> String {
    let columns = [
        Column::Words(what),
        Column::Numbers("attempts"),
        Column::Numbers("done"),
        Column::Numbers("time"),
        Column::Numbers("without result"),
        Column::Numbers("cost"),
    ];
    let cells = |(name, sum): (&String, &Sum)| {
        let Sum { attempts, done, time_ms, unfinished_ms, cost_micros } = sum;
        let (time, unfinished) = (seconds(*time_ms), seconds(*unfinished_ms));
        [name.clone(), attempts.to_string(), done.to_string(), time, unfinished, cost(*cost_micros)]
    };
    output::list(columns, sums.iter().map(cells))
}

/// What something cost, for people.
fn cost(micros: u64) -> String {
    if micros == 0 { "-".to_owned() } else { Price { micros }.to_string() }
}
