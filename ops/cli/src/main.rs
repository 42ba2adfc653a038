//! The reel command.

mod args;
mod commands;
mod destination;
mod environment;
mod exit;
mod home;
mod input;
mod once;
mod output;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::commands::{help, plan, probe, profile, transcode, verify};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = environment::start_log().and_then(|()| match cli.command {
        Command::Transcode(args) => transcode::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Profile(args) => profile::run(args),
        Command::Help(args) => help::run(args),
    });
    exit::code_of(outcome)
}
