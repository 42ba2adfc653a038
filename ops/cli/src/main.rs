//! The reel command.

mod args;
mod commands;
mod destination;
mod edit_file;
mod environment;
mod exit;
mod home;
mod input;
mod job_file;
mod near;
mod once;
mod output;
mod page;
mod progress;
#[cfg(test)]
mod reference;
mod reporter;
mod schema;
mod server;
mod signals;
mod watch;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command, SchedulerArgs, SchedulerCommand, WorkerArgs, WorkerCommand};
use crate::commands::{
    check, cluster, completions, doctor, events, help, job, man, monitor, plan, probe, profile, project,
    scheduler, submit, task, transcode, verify, worker,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let service = match &cli.command {
        Command::Scheduler(SchedulerArgs { command: SchedulerCommand::Start(args) }) => Some(args.log.format),
        Command::Worker(WorkerArgs { command: WorkerCommand::Start(args) }) => Some(args.log.format),
        _ => None,
    };
    // A line of the log would stand on the monitor's screen.
    let drawn_over = matches!(&cli.command, Command::Monitor(_)) && std::io::stderr().is_terminal();
    let log = if drawn_over { Ok(()) } else { environment::start_log(service) };
    let outcome = log.and_then(|()| match cli.command {
        Command::Transcode(args) => transcode::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Check(args) => check::run(args),
        Command::Profile(args) => profile::run(args),
        Command::Submit(args) => submit::run(args),
        Command::Job(args) => job::run(args),
        Command::Task(args) => task::run(args),
        Command::Events(args) => events::run(args),
        Command::Monitor(args) => monitor::run(args),
        Command::Project(args) => project::run(args),
        Command::Worker(args) => worker::run(args),
        Command::Scheduler(args) => scheduler::run(args),
        Command::Cluster(args) => cluster::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Help(args) => help::run(args),
    });
    exit::code_of(outcome)
}
