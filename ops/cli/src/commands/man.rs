//! `reel man`: manual pages, made of what the commands say of themselves.

use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::ManArgs;
use crate::exit::Stop;
use crate::output::print;
use crate::page::{self, Notes};
use crate::{environment, schema};

pub(crate) fn run(args: ManArgs) -> Result<(), Stop> {
    let commands = page::commands();
    match args.out {
        None => print(&text(page::find(&commands, &args.command)?)?),
        Some(folder) => write(&commands, &folder),
    }
}

fn write(commands: &Command, folder: &Path) -> Result<(), Stop> {
    let failed = |path: &Path, error: std::io::Error| {
        Stop::failed(format!("cannot write {}: {error}; choose another --out", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for command in page::all(commands) {
        let path = folder.join(file_name(command));
        std::fs::write(&path, text(command)?).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// The page of `reel job list` is `reel-job-list.1`.
fn file_name(command: &Command) -> String {
    format!("{}.1", page::full_name(command).replace(' ', "-"))
}

/// A page, as troff reads it.
fn text(command: &Command) -> Result<String, Stop> {
    let version = concat!("reel ", env!("CARGO_PKG_VERSION"));
    // A date that is empty would be left out, and what follows taken for it.
    let man = Man::new(command.clone()).date(" ").source(version).manual("Reelfarm");
    let mut page = Vec::new();
    let mut render = || {
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        if command.has_subcommands() {
            man.render_subcommands_section(&mut page)?;
        }
        more(command).to_writer(&mut page)
    };
    render().map_err(|error| Stop::failed(format!("cannot make the page: {error}")))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// What is said beyond the arguments.
fn more(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let Notes { examples, mut paragraphs } = Notes::of(command);
    if let Some(schema) = schema::of(command) {
        paragraphs.push(format!("The JSON Schema of the output with --json: reel schema {schema}"));
    }
    let is_root = command.get_name() == page::full_name(command);
    if !paragraphs.is_empty() && !is_root {
        // JSON and paths are long words: lines of them cannot be stretched to the margin.
        roff.control("SH", ["OUTPUT"]).control("ad", ["l"]);
    }
    for paragraph in paragraphs.iter().filter(|_| !is_root) {
        roff.control("PP", []).text([roman(paragraph)]);
    }
    if is_root {
        roff.control("SH", ["EXIT STATUS"]);
        tagged(&mut roff, &page::EXIT_CODES);
        roff.control("SH", ["ENVIRONMENT"]);
        tagged(&mut roff, environment::ALL);
    }
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        examples.iter().for_each(|line| {
            roff.text([roman(line)]);
        });
        roff.control("fi", []);
    }
    roff
}

fn tagged(roff: &mut Roff, list: &[(&str, &str)]) {
    for (name, meaning) in list {
        roff.control("TP", []).text([bold(*name)]).text([roman(*meaning)]);
    }
}
