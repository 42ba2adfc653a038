//! `reel job report`: where the time of a job went, and how the quality of its title goes over time.

use std::collections::BTreeMap;
use std::path::Path;

use reel_client::Client;
use reel_common::JobId;
use reel_proto::v1;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

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
}

impl Sum {
    fn add(&mut self, ended: &v1::AttemptRecord) {
        let time_ms = ended.ended_ms.saturating_sub(ended.started_ms);
        let done = ended.outcome == "done";
        self.attempts += 1;
        self.done += u32::from(done);
        self.time_ms += time_ms;
        self.unfinished_ms += if done { 0 } else { time_ms };
    }

    fn as_json(&self, key: &str, name: &str) -> Value {
        let Sum { attempts, done, time_ms, unfinished_ms } = self;
        json!({ key: name, "attempts": attempts, "done": done, "time_ms": time_ms, "unfinished_ms": unfinished_ms })
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

/// The curves of a title, by its report.
pub(super) fn of_title(path: &Path, as_json: bool, file: Option<&Path>) -> Result<(), Stop> {
    if as_json {
        let shown = path.display();
        return Err(Stop::usage(format!(
            "{shown} is no number of a job: --json goes with one; report.json is JSON"
        )));
    }
    let plot = Plot::of(&title::read(path)?);
    match file {
        Some(file) => draw(&plot, file),
        None => print(&terminal::draw(&plot, environment::is_utf8())),
    }
}

fn draw(plot: &Plot, file: &Path) -> Result<(), Stop> {
    let written = std::fs::write(file, svg::draw(plot));
    written.map_err(|error| Stop::failed(format!("cannot write {}: {error}", file.display())))
}

pub(super) fn run(
    runtime: &Runtime,
    farm: &Client,
    id: JobId,
    as_json: bool,
    file: Option<&Path>,
) -> Result<(), Stop> {
    let (view, history) =
        runtime.block_on(async { Ok::<_, Stop>((farm.job(id).await?, farm.history(id).await?)) })?;
    let plot = title::of_job(&view.output, id.0, view.submitted_ms).map(|report| Plot::of(&report));
    if let Some(file) = file {
        let missing = || {
            let reason =
                format!("the title of job {id} is not there yet, or not where this host can read it");
            Stop::failed(format!("{reason}: give its report.json instead of the number"))
        };
        return draw(&plot.ok_or_else(missing)?, file);
    }
    let attempts = &history.attempts;
    let stage = |ended: &v1::AttemptRecord| {
        let name = job::task_name(ended);
        name.split('/').nth(1).unwrap_or_default().to_owned()
    };
    let (stages, workers) = (sums(attempts, stage), sums(attempts, |ended| ended.worker.clone()));
    if as_json {
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
            "stages": stages.iter().map(|(name, sum)| sum.as_json("stage", name)).collect::<Vec<_>>(),
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
    ];
    let curves =
        plot.map_or(String::new(), |plot| format!("\n{}", terminal::draw(&plot, environment::is_utf8())));
    let (stages, workers) = (sums_table("stage", &stages), sums_table("worker", &workers));
    print(&format!("{}\n{stages}\n{workers}{curves}", table(&head)))
}

fn sums_table(what: &'static str, sums: &BTreeMap<String, Sum>) -> String {
    let columns = [
        Column::Words(what),
        Column::Numbers("attempts"),
        Column::Numbers("done"),
        Column::Numbers("time"),
        Column::Numbers("without result"),
    ];
    let cells = |(name, sum): (&String, &Sum)| {
        let Sum { attempts, done, time_ms, unfinished_ms } = sum;
        [name.clone(), attempts.to_string(), done.to_string(), seconds(*time_ms), seconds(*unfinished_ms)]
    };
    output::list(columns, sums.iter().map(cells))
}
