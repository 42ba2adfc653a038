//! `reel worker`: one agent on this host, and the fleet.

use std::time::Duration;

use reel_common::{Hook, Price, WorkerFacts, WorkerView};
use reel_proto::v1::Hold;
use reel_store::Store;
use reel_worker::preemption::{Cloud, Sources, Watch};
use reel_worker::{Agent, AgentConfig, HostFacts, Programs, RunnerProgram};
use serde_json::{Value, json};

use crate::args::{CloudChoice, HookProgram, ServerChoice, WorkerArgs, WorkerCommand, WorkerStartArgs};
use crate::commands::job::{labels_json, progress};
use crate::environment;
use crate::exit::Stop;
use crate::input::labels;
use crate::once;
use crate::output::{self, Column, bytes, print, remark, row, table, time};
use crate::watch::{self, Shown};
use crate::{near, server, signals};

pub(crate) fn run(args: WorkerArgs) -> Result<(), Stop> {
    let runtime = signals::runtime()?;
    let hold = |name: &str, server: &ServerChoice, hold: Hold, done: &str| {
        let farm = server::client(server)?;
        runtime.block_on(farm.hold_worker(name, hold))?;
        if !runtime.block_on(farm.workers())?.iter().any(|worker| worker.name == name) {
            remark(&format!("no worker {name} is registered now: what is said of it holds when one comes"));
        }
        print(&format!("worker {name} {done}\n"))
    };
    match args.command {
        WorkerCommand::Drain { name, server } => hold(&name, &server, Hold::Drain, "is drained"),
        WorkerCommand::Cordon { name, server } => hold(&name, &server, Hold::Cordon, "is cordoned"),
        WorkerCommand::Quarantine { name, server } => {
            hold(&name, &server, Hold::Quarantine, "is quarantined")
        }
        WorkerCommand::Undrain { name, server } => hold(&name, &server, Hold::None, "takes work"),
        WorkerCommand::Start(args) => runtime.block_on(start(args)),
        WorkerCommand::Show { name, view } => watch::show(&view, async |farm| {
            let workers = farm.workers().await?;
            let worker = workers.iter().find(|worker| worker.name == name);
            let worker = worker.ok_or_else(|| unknown(&name, &workers))?;
            Ok(Shown { json: as_json(worker), tables: alone(worker) })
        }),
        WorkerCommand::List { view } => watch::show(&view, async |farm| {
            let workers = farm.workers().await?;
            let json = json!({ "workers": workers.iter().map(as_json).collect::<Vec<_>>() });
            Ok(Shown { json, tables: as_table(&workers) })
        }),
    }
}

fn unknown(name: &str, workers: &[WorkerView]) -> Stop {
    let near = near::hint(name, workers.iter().map(|worker| worker.name.as_str()));
    Stop::not_found(format!("there is no worker {name}{near}: `reel worker list` lists them"))
}

async fn start(args: WorkerStartArgs) -> Result<(), Stop> {
    let farm = server::client(&args.server)?;
    let sources = sources(&args)?;
    let failed = |error: &dyn std::fmt::Display| Stop::failed(format!("the worker does not start: {error}"));
    let scratch = args.data.join("scratch");
    std::fs::create_dir_all(&scratch)
        .map_err(|error| Stop::failed(format!("cannot use --data {}: {error}", args.data.display())))?;
    let scratch = scratch.canonicalize().map_err(|error| failed(&error))?;
    let host = HostFacts::measure(&scratch).map_err(|error| failed(&error))?;
    let name = args.name.unwrap_or_else(host_name);
    if let Some(problem) = WorkerFacts::name_problem(&name) {
        return Err(Stop::usage(format!("--name {name:?}: the worker's name {problem}")));
    }
    let config = AgentConfig {
        slots: args.slots.unwrap_or(host.cores),
        memory_bytes: host.runner_memory(),
        scratch,
        runner: RunnerProgram::ask(once::runner()?).await.map_err(|error| failed(&error))?,
        store_url: args.store,
        pool: args.pool.into(),
        price: args.price.unwrap_or_default(),
        labels: labels(args.labels)?,
        hooks: programs(args.hooks)?,
        name: name.clone(),
    };
    // A store that cannot be used is told now and not by the first task.
    Store::open(&config.store_url)?.check().await?;
    let (link, remote) = reel_worker::connect(farm);
    let mut agent = Agent::start(config, link).map_err(|error| failed(&error))?;
    remark(&format!("worker {name} looks for work"));
    let mut host = Watch::start(sources);
    // Asked twice means now. A signal that follows a notice of the host does not: hosts that go send one.
    let mut patience = Duration::from_secs(args.notice);
    loop {
        let (reason, grace) = tokio::select! {
            _ = agent.join() => break,
            signal = signals::asked_to_end() => {
                (signal?.to_owned(), std::mem::replace(&mut patience, Duration::ZERO))
            }
            notice = host.next() => {
                let grace = notice.grace(Duration::from_secs(args.notice));
                (notice.reason, grace)
            }
        };
        let seconds = grace.as_secs();
        remark(&format!("{reason}: the worker goes when the parts in hand are done, within {seconds} s"));
        agent.drain(grace);
    }
    drop(host);
    if remote.await.is_err() {
        tracing::error!("the link of the worker panicked");
    }
    remark(&format!("worker {name} is gone"));
    Ok(())
}

/// Who is asked whether this host will be taken away.
fn sources(args: &WorkerStartArgs) -> Result<Sources, Stop> {
    let cloud = match args.cloud {
        CloudChoice::Auto => Cloud::of_this_host(),
        CloudChoice::Aws => Some(Cloud::Aws),
        CloudChoice::Gcp => Some(Cloud::Gcp),
        CloudChoice::Azure => Some(Cloud::Azure),
        CloudChoice::None => None,
    };
    let endpoint = |cloud: Cloud| {
        let variable = match cloud {
            Cloud::Aws => environment::AWS_METADATA,
            Cloud::Gcp => environment::GCE_METADATA,
            Cloud::Azure => environment::AZURE_METADATA,
        };
        let given = environment::value(variable).map(|value| value.to_string_lossy().into_owned());
        let endpoint = cloud.endpoint(given.as_deref());
        endpoint.map_err(|error| Stop::usage(format!("{variable}: {error}")))
    };
    let cloud = cloud.map(|cloud| Ok::<_, Stop>((cloud, endpoint(cloud)?))).transpose()?;
    Ok(Sources { file: args.notice_file.clone(), cloud, grace: Duration::from_secs(args.notice) })
}

/// The programs of hooks; a name stands for one.
fn programs(typed: Vec<HookProgram>) -> Result<Programs, Stop> {
    let mut programs = Programs::new();
    for HookProgram { name, program } in typed {
        if programs.insert(name.clone(), program).is_some() {
            return Err(Stop::usage(format!("--hook {name} stands there twice: a name is one program")));
        }
    }
    Hook::check_offered(programs.keys()).map_err(|error| Stop::usage(error.to_string()))?;
    Ok(programs)
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn as_json(worker: &WorkerView) -> Value {
    json!({
        "id": worker.id,
        "name": worker.name,
        "state": worker.state.name(),
        "slots": worker.slots,
        "memory_bytes": worker.memory_bytes,
        "scratch_bytes": worker.scratch_bytes,
        "pool": worker.pool.name(),
        "labels": labels_json(&worker.labels),
        "codecs": worker.codecs,
        "hooks": worker.hooks,
        "running": worker.running.iter().map(|running| running.task.to_string()).collect::<Vec<_>>(),
        "preemptions": worker.preemptions,
        "price_micros": worker.price.micros,
        "registered_ms": worker.registered_ms,
    })
}

/// One worker for people.
fn alone(worker: &WorkerView) -> String {
    let codecs: Vec<_> = worker.codecs.iter().map(String::as_str).collect();
    let hooks: Vec<_> = worker.hooks.iter().map(String::as_str).collect();
    let mut rows = vec![
        row(["worker", &worker.name]),
        row(["state", worker.state.name()]),
        row(["slots", &format!("{} of {} taken", worker.running.len(), worker.slots)]),
        row(["memory", &bytes(worker.memory_bytes)]),
        row(["scratch", &bytes(worker.scratch_bytes)]),
        row(["pool", &format!("{}, {} attempts preempted", worker.pool.name(), worker.preemptions)]),
        row(["labels", &worker.labels.to_string()]),
        row(["codecs", &codecs.join(" ")]),
        row(["hooks", &hooks.join(" ")]),
        row(["since", &time(worker.registered_ms)]),
    ];
    if worker.price > Price::default() {
        rows.push(row(["price", &format!("{} an hour", worker.price)]));
    }
    rows.extend(worker.running.iter().map(|running| {
        let done = progress(running);
        row(["runs", &format!("{}, attempt {}: {done}", running.task, running.attempt)])
    }));
    table(&rows)
}

fn as_table(workers: &[WorkerView]) -> String {
    if workers.is_empty() {
        return "no workers; start one with `reel worker start`\n".to_owned();
    }
    let columns = [
        Column::Words("worker"),
        Column::Words("state"),
        Column::Words("pool"),
        Column::Numbers("slots"),
        Column::Numbers("memory"),
        Column::Numbers("preempted"),
        Column::Words("running"),
    ];
    let cells = |worker: &WorkerView| {
        let running: Vec<_> = worker.running.iter().map(|running| running.task.to_string()).collect();
        [
            worker.name.clone(),
            worker.state.name().to_owned(),
            worker.pool.name().to_owned(),
            format!("{} of {}", worker.running.len(), worker.slots),
            bytes(worker.memory_bytes),
            worker.preemptions.to_string(),
            running.join(" "),
        ]
    };
    output::list(columns, workers.iter().map(cells))
}
