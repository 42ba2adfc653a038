//! What can be typed about the command itself: help, manual pages, completions, schemas.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

use crate::schema;

/// Prints the JSON Schema of what a command prints with --json, or of a file that it reads; without NAME lists them.
///
/// The schemas are of draft 2020-12. An object has no member that its schema does not name.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  reel schema\n  reel schema job-show\n  reel schema job")]
pub(crate) struct SchemaArgs {
    /// The words of the command joined by hyphens, such as job-show; or `job`, the file of `reel submit -f`.
    #[arg(value_name = "NAME", hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(schema::names()))]
    pub(crate) name: Option<String>,
}

/// Prints the completions of a shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  reel completions bash > ~/.local/share/bash-completion/completions/reel\n  \
    reel completions zsh > ~/.zfunc/_reel\n  reel completions fish > ~/.config/fish/completions/reel.fish"
)]
pub(crate) struct CompletionsArgs {
    /// Whose.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Prints the manual page of a command, or writes those of all commands.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  reel man job list | man -l -\n  reel man --out /usr/local/share/man/man1"
)]
pub(crate) struct ManArgs {
    /// A command such as `job list`; by default reel itself.
    #[arg(value_name = "COMMAND", conflicts_with = "out")]
    pub(crate) command: Vec<String>,
    /// Writes a page for each command into this folder, which is made where it is missing.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
}

/// Shows the help of a command, or the environment variables.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reel help transcode\n  reel help env")]
pub(crate) struct HelpArgs {
    /// A command such as `transcode`, or `env`.
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: Vec<String>,
}
