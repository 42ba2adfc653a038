//! What the manual pages and the reference say of a command beyond its arguments.

use clap::{Command, CommandFactory};

use crate::args::Cli;
use crate::exit::Stop;

/// Exit codes and what they mean.
pub(crate) const EXIT_CODES: [(&str, &str); 7] = [
    ("0", "done"),
    ("1", "failed on this machine, or a check did not hold"),
    ("2", "wrong usage, or a wrong profile"),
    ("3", "the job failed, or the mezzanine cannot be made into a title"),
    ("4", "what was named is not there"),
    ("5", "refused: the state or the credentials forbid it"),
    ("6", "no scheduler of the farm answers"),
];

/// Every command with its full name, such as `reel job list`: the first is `reel`.
pub(crate) fn commands() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// The command that these words name.
pub(crate) fn find<'a>(root: &'a Command, words: &[String]) -> Result<&'a Command, Stop> {
    words.iter().try_fold(root, |command, word| {
        let known = || command.get_subcommands().map(Command::get_name);
        command.find_subcommand(word).ok_or_else(|| {
            let near = crate::near::hint(word, known());
            Stop::usage(format!("there is no command `{word}`{near}: see `{} --help`", full_name(command)))
        })
    })
}

/// As it is typed.
pub(crate) fn full_name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or(command.get_name())
}

/// The command and all below it.
pub(crate) fn all(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().flat_map(all);
    std::iter::once(command).chain(below).collect()
}

/// What stands below the arguments of a command's help.
pub(crate) struct Notes {
    /// Lines that can be typed.
    pub(crate) examples: Vec<String>,
    /// The rest, by paragraph.
    pub(crate) paragraphs: Vec<String>,
}

impl Notes {
    /// Of a command: its examples are the lines under the word.
    pub(crate) fn of(command: &Command) -> Notes {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (examples, rest): (Vec<&str>, Vec<&str>) =
            text.split("\n\n").partition(|paragraph| paragraph.starts_with("Example"));
        let lines = examples.iter().flat_map(|paragraph| paragraph.lines().skip(1));
        let joined = |paragraph: &&str| {
            paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
        };
        Notes {
            examples: lines.map(|line| line.trim().to_owned()).collect(),
            paragraphs: rest.iter().map(joined).filter(|paragraph| !paragraph.is_empty()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn every_command_has_an_example_that_can_be_typed() {
        let root = commands();
        for command in all(&root).into_iter().skip(1) {
            let Notes { examples, .. } = Notes::of(command);
            assert!(!examples.is_empty(), "{} has no example", full_name(command));
            for example in examples {
                let typed = example.split(['>', '|']).next().unwrap();
                let parsed = Cli::try_parse_from(typed.split_whitespace());
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn the_usual_help_tells_of_all_exit_codes() {
        let help = commands().render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for (code, _) in EXIT_CODES {
            assert!(help.contains(&format!(" {code} ")), "{code} in {help}");
        }
    }
}
