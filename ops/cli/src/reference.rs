//! `ops/docs/reference/commands.md` is what the commands say of themselves. `REEL_BLESS=1` writes it anew.

use std::path::Path;

use clap::{Arg, Command};

use crate::page::{self, Notes};
use crate::{environment, schema};

const FILE: &str = "../docs/reference/commands.md";

/// The whole page.
fn text() -> String {
    let root = page::commands();
    let mut text = String::from("# The commands of reel\n\n");
    text.push_str("`reel COMMAND --help` and `reel man COMMAND` say the same in a terminal. ");
    text.push_str("What a command prints with `--json` has a JSON Schema: `reel schema` lists them.\n");
    let commands: Vec<&Command> = page::all(&root).into_iter().skip(1).collect();
    text.push('\n');
    for command in &commands {
        let name = page::full_name(command);
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("- [`{name}`](#{}): {}\n", name.replace(' ', "-"), inline(&about)));
    }
    text.push_str("- [Exit codes](#exit-codes), [environment](#environment)\n");
    commands.iter().for_each(|command| text.push_str(&section(command)));
    text.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    page::EXIT_CODES.iter().for_each(|(code, means)| text.push_str(&format!("| {code} | {means} |\n")));
    text.push_str("\n## Environment\n\n| variable | meaning |\n|---|---|\n");
    for (name, means) in environment::ALL {
        text.push_str(&format!("| `{name}` | {} |\n", cell(means)));
    }
    text
}

/// A command with all that can be typed of it.
fn section(command: &Command) -> String {
    let mut text = format!("\n## {}\n\n", page::full_name(command));
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string);
    text.push_str(&inline(about.unwrap_or_default().trim()));
    let usage = command.clone().render_usage().to_string();
    text.push_str(&format!(
        "\n\n```\n{}\n```\n",
        usage.trim_start_matches("Usage: ").replace("\n       ", "\n")
    ));
    let shown = |argument: &&Arg| !argument.is_hide_set() && argument.get_id() != "help";
    let rows: Vec<String> = command.get_arguments().filter(shown).map(line).collect();
    if !rows.is_empty() {
        text.push_str(&format!("\n| argument | meaning |\n|---|---|\n{}", rows.concat()));
    }
    let Notes { examples, paragraphs } = Notes::of(command);
    paragraphs.iter().for_each(|paragraph| text.push_str(&format!("\n{}\n", inline(paragraph))));
    if let Some(schema) = schema::of(command) {
        text.push_str(&format!("\nJSON Schema: `reel schema {schema}`\n"));
    }
    if !examples.is_empty() {
        text.push_str(&format!("\n```\n{}\n```\n", examples.join("\n")));
    }
    text
}

/// A row of the table of arguments.
fn line(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let values: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let optional = argument.get_num_args().is_some_and(|count| count.min_values() == 0);
    let value = match (argument.get_action().takes_values(), argument.is_positional(), optional) {
        (false, ..) => String::new(),
        (_, true, _) => values.join(" "),
        (_, _, true) => format!("[={}]", values.join(" ")),
        (_, _, false) => format!(" {}", values.join(" ")),
    };
    let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let long = argument.get_long().map(|long| format!("--{long}")).unwrap_or_default();
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string);
    let mut means = vec![help.unwrap_or_default().trim_end_matches('.').to_owned()];
    if argument.get_action().takes_values() {
        let defaults: Vec<_> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() {
            means.push(format!("default `{}`", defaults.join(" ")));
        }
        let possible = argument.get_possible_values();
        let words: Vec<String> = possible.iter().map(|value| format!("`{}`", value.get_name())).collect();
        if !words.is_empty() && !argument.is_hide_possible_values_set() {
            means.push(format!("one of {}", words.join(", ")));
        }
    }
    means.extend(argument.get_env().map(|name| format!("environment `{}`", name.to_string_lossy())));
    if argument.is_required_set() {
        means.push("required".to_owned());
    }
    format!("| `{short}{long}{value}` | {} |\n", cell(&means.join("; ")))
}

/// Text as Markdown shows it: what stands in < > is no mark-up.
fn inline(text: &str) -> String {
    text.replace('<', "\\<").replace('*', "\\*")
}

/// The same in a cell of a table.
fn cell(text: &str) -> String {
    inline(text).replace('|', "\\|").replace('\n', " ")
}

#[test]
fn the_reference_is_what_the_code_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os("REEL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text()).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text(), "{} is old: run this test with REEL_BLESS=1", path.display());
}
