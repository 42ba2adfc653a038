//! `reel completions`: what shells need to complete what is typed.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::exit::Stop;
use crate::output::print;

pub(crate) fn run(args: CompletionsArgs) -> Result<(), Stop> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "reel", &mut script);
    print(&String::from_utf8_lossy(&script))
}
