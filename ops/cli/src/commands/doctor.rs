//! `reel doctor`: what keeps this host or a farm from its work, and what to do about it.

mod codecs;
mod farm;
mod host;
mod page;
mod place;

use std::fmt::Display;
use std::time::Duration;

use reel_client::Servers;
use serde_json::{Value, json};

use crate::args::DoctorArgs;
use crate::exit::Stop;
use crate::output::{print, print_json, row, table};
use crate::signals;

/// Longest time of one check: a store that is away is asked for a while before it is given up.
const LIMIT: Duration = Duration::from_secs(60);

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ok,
    /// It works, but for something.
    Warn,
    Fail,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        }
    }
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    area: &'static str,
    name: String,
    state: State,
    found: String,
    /// What to do, unless all is well.
    advice: Option<String>,
}

impl Check {
    fn ok(area: &'static str, name: impl Display, found: impl Display) -> Check {
        Check { area, name: name.to_string(), state: State::Ok, found: found.to_string(), advice: None }
    }

    fn warn(area: &'static str, name: impl Display, found: impl Display, advice: impl Display) -> Check {
        let advice = Some(advice.to_string());
        Check { state: State::Warn, advice, ..Check::ok(area, name, found) }
    }

    fn fail(area: &'static str, name: impl Display, found: impl Display, advice: impl Display) -> Check {
        Check { state: State::Fail, ..Check::warn(area, name, found, advice) }
    }

    /// In words a line: the advice stands below what was found.
    fn rows(&self) -> Vec<Vec<String>> {
        let state = self.state.name().to_ascii_uppercase();
        let found = row([&state, self.area, &self.name, &self.found]);
        let advice = self.advice.iter().map(|advice| row(["", "", "", &format!("-> {advice}")]));
        std::iter::once(found).chain(advice).collect()
    }

    fn as_json(&self) -> Value {
        json!({
            "area": self.area,
            "check": self.name,
            "state": self.state.name(),
            "found": self.found,
            "advice": self.advice,
        })
    }
}

pub(crate) fn run(args: DoctorArgs) -> Result<(), Stop> {
    let servers = args.server.as_deref().map(Servers::parse).transpose();
    let servers = servers.map_err(|error| Stop::usage(error.to_string()))?;
    let folder = args.data.unwrap_or_else(std::env::temp_dir);
    let runtime = signals::runtime()?;
    let checks = runtime.block_on(async {
        let mut checks = in_thread("host", "folder", move || host::checks(&folder)).await;
        checks.push(host::clock().await);
        checks.extend(codecs::checks().await);
        if let Some(url) = args.store {
            checks.extend(in_time("store", "trial", place::store(url)).await);
        }
        if let Some(output) = args.output {
            checks.extend(in_thread("output", "trial", move || vec![place::output(&output)]).await);
        }
        if let Some(servers) = servers {
            checks.extend(in_time("farm", "schedulers", farm::checks(servers)).await);
        }
        checks
    });
    // A thread may still wait for a disk that is away.
    runtime.shutdown_background();
    show(&checks, args.json)
}

fn show(checks: &[Check], as_json: bool) -> Result<(), Stop> {
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    let (ok, warn, fail) = (count(State::Ok), count(State::Warn), count(State::Fail));
    if as_json {
        let checks: Vec<Value> = checks.iter().map(Check::as_json).collect();
        print_json(&json!({ "checks": checks, "ok": ok, "warn": warn, "fail": fail }))?;
    } else {
        let rows: Vec<Vec<String>> = checks.iter().flat_map(Check::rows).collect();
        print(&format!("{}\n{ok} ok, {warn} to look at, {fail} failed\n", table(&rows)))?;
    }
    match fail {
        0 => Ok(()),
        1 => Err(Stop::failed("1 check failed: do what stands behind its `->`")),
        _ => Err(Stop::failed(format!("{fail} checks failed: do what stands behind each `->`"))),
    }
}

/// Checks of which each question has its own limit, or the failure that they took too long.
async fn in_time(area: &'static str, name: &str, checks: impl Future<Output = Vec<Check>>) -> Vec<Check> {
    let late = |_| vec![too_late(area, name)];
    tokio::time::timeout(LIMIT, checks).await.unwrap_or_else(late)
}

/// The same for what waits for a disk.
async fn in_thread(
    area: &'static str,
    name: &str,
    checks: impl FnOnce() -> Vec<Check> + Send + 'static,
) -> Vec<Check> {
    let work = tokio::task::spawn_blocking(checks);
    match tokio::time::timeout(LIMIT, work).await {
        Ok(Ok(checks)) => checks,
        Ok(Err(error)) => vec![Check::fail(area, name, error, "this is a defect of reel")],
        Err(_) => vec![too_late(area, name)],
    }
}

fn too_late(area: &'static str, name: &str) -> Check {
    let found = format!("no answer within {} s", LIMIT.as_secs());
    Check::fail(area, name, found, "see whether its disk or server is there, and mounted or reachable")
}
