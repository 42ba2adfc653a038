//! `reel help`: help of a command, and the environment variables.

use clap::CommandFactory;

use crate::args::{Cli, HelpArgs};
use crate::environment;
use crate::exit::Stop;
use crate::output::{print, row, table};

pub(crate) fn run(args: HelpArgs) -> Result<(), Stop> {
    if args.topic == ["env"] {
        let rows: Vec<Vec<String>> = environment::ALL.iter().map(|(name, text)| row([name, text])).collect();
        return print(&table(&rows));
    }
    let mut command = Cli::command();
    command.build();
    let mut named = &mut command;
    for word in &args.topic {
        named = named
            .find_subcommand_mut(word)
            .ok_or_else(|| Stop::usage(format!("there is no command `{word}`: see `reel --help`")))?;
    }
    let text = named.render_long_help().to_string();
    print(&text)
}
