//! `reel worker`: one agent on this host, and the fleet.

use std::time::Duration;

use reel_common::WorkerView;
use reel_proto::v1::Hold;
use reel_store::Store;
use reel_worker::{Agent, AgentConfig, HostFacts};
use serde_json::{Value, json};

use crate::args::{ServerChoice, WorkerArgs, WorkerCommand, WorkerStartArgs};
use crate::exit::Stop;
use crate::once;
use crate::output::{bytes, print, print_json, remark, row, table};
use crate::{server, signals};

pub(crate) fn run(args: WorkerArgs) -> Result<(), Stop> {
    let runtime = signals::runtime()?;
    let hold = |name: &str, server: &ServerChoice, hold: Hold, done: &str| {
        runtime.block_on(server::client(server)?.hold_worker(name, hold))?;
        print(&format!("worker {name} {done}\n"))
    };
    match args.command {
        WorkerCommand::Drain { name, server } => hold(&name, &server, Hold::Drain, "is drained"),
        WorkerCommand::Cordon { name, server } => hold(&name, &server, Hold::Cordon, "is cordoned"),
        WorkerCommand::Undrain { name, server } => hold(&name, &server, Hold::None, "takes work"),
        WorkerCommand::Start(args) => runtime.block_on(start(args)),
        WorkerCommand::List { server, json } => {
            let workers = runtime.block_on(server::client(&server)?.workers())?;
            match json {
                true => print_json(&json!({ "workers": workers.iter().map(as_json).collect::<Vec<_>>() })),
                false => print(&as_table(&workers)),
            }
        }
    }
}

async fn start(args: WorkerStartArgs) -> Result<(), Stop> {
    let farm = server::client(&args.server)?;
    let failed = |error: &dyn std::fmt::Display| Stop::failed(format!("the worker does not start: {error}"));
    let scratch = args.data.join("scratch");
    std::fs::create_dir_all(&scratch)
        .map_err(|error| Stop::failed(format!("cannot use --data {}: {error}", args.data.display())))?;
    let scratch = scratch.canonicalize().map_err(|error| failed(&error))?;
    let host = HostFacts::measure(&scratch).map_err(|error| failed(&error))?;
    let name = args.name.unwrap_or_else(host_name);
    let config = AgentConfig {
        slots: args.slots.unwrap_or(host.cores),
        memory_bytes: host.runner_memory(),
        scratch,
        runner: once::runner()?,
        store_url: args.store,
        name: name.clone(),
    };
    // A store that cannot be used is told now and not by the first task.
    Store::open(&config.store_url)?.check().await?;
    let (link, remote) = reel_worker::connect(farm);
    let mut agent = Agent::start(config, link).map_err(|error| failed(&error))?;
    remark(&format!("worker {name} looks for work"));
    let mut notice = Duration::from_secs(args.notice);
    loop {
        let signal = tokio::select! {
            _ = agent.join() => break,
            signal = signals::asked_to_end() => signal?,
        };
        let seconds = notice.as_secs();
        remark(&format!("{signal}: the worker goes when the parts in hand are done, within {seconds} s"));
        // Asked twice means now.
        agent.drain(std::mem::replace(&mut notice, Duration::ZERO));
    }
    if remote.await.is_err() {
        tracing::error!("the link of the worker panicked");
    }
    remark(&format!("worker {name} is gone"));
    Ok(())
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
        "running": worker.running.iter().map(|running| running.task.to_string()).collect::<Vec<_>>(),
        "preemptions": worker.preemptions,
        "registered_ms": worker.registered_ms,
    })
}

fn as_table(workers: &[WorkerView]) -> String {
    let mut rows = vec![row(["name", "state", "slots", "memory", "preempted", "running"])];
    rows.extend(workers.iter().map(|worker| {
        let running: Vec<_> = worker.running.iter().map(|running| running.task.to_string()).collect();
        row([
            &worker.name,
            worker.state.name(),
            &format!("{} of {}", worker.running.len(), worker.slots),
            &bytes(worker.memory_bytes),
            &worker.preemptions.to_string(),
            &running.join(" "),
        ])
    }));
    table(&rows)
}
