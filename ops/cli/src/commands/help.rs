//! `reel help`: help of a command, and the environment variables.

use crate::args::HelpArgs;
use crate::environment;
use crate::exit::Stop;
use crate::output::{print, row, table};
use crate::page;

pub(crate) fn run(args: HelpArgs) -> Result<(), Stop> {
    if args.topic == ["env"] {
        let rows: Vec<Vec<String>> = environment::ALL.iter().map(|(name, text)| row([name, text])).collect();
        return print(&table(&rows));
    }
    let commands = page::commands();
    let text = page::find(&commands, &args.topic)?.clone().render_long_help().to_string();
    print(&text)
}
