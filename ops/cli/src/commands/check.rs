//! `reel check`: a package of HLS or DASH, whoever made it, held against the rules of its formats and destinations.

use std::io;

use reel_check::{Finding, Package, Rule, Severity, judge, rules};
use reel_profiles::{Destination, DestinationRule, destination};
use reel_store::Folder;
use serde_json::{Value, json};

use crate::args::CheckArgs;
use crate::exit::Stop;
use crate::near;
use crate::output::{print, print_json, progress_bar, row, table};

pub(crate) fn run(args: CheckArgs) -> Result<(), Stop> {
    let destinations: Vec<Destination> =
        args.destination.iter().map(|name| find(name)).collect::<Result<_, _>>()?;
    let Some(typed) = args.folder.filter(|_| !args.rules) else {
        return list(&destinations, args.json);
    };
    let shown = typed.display();
    let folder = Folder::open(&typed).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Stop::not_found(format!("{shown} does not exist")),
        _ => Stop::failed(format!("cannot read {shown}: {error}")),
    })?;
    let total = folder.files().len() as u64;
    let bar = progress_bar("check", "files", total);
    let read = |file: &str, offset: u64, buf: &mut [u8]| {
        bar.set_position(folder.files_read().min(total));
        folder.read_at(file, offset, buf)
    };
    let findings = judge(&Package { files: folder.files(), read: &read }, &destinations);
    bar.finish_and_clear();
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if args.json {
        print_json(&json!({
            "folder": shown.to_string(),
            "destinations": args.destination,
            "errors": errors,
            "warnings": warnings,
            "findings": findings.iter().map(as_json).collect::<Vec<_>>(),
        }))?;
    } else {
        print(&as_table(&findings))?;
    }
    match errors {
        0 if warnings == 0 && !args.json => print(&format!("{shown} breaks no rule\n")),
        0 => Ok(()),
        _ => Err(Stop::failed(format!("{shown} breaks rules: {errors} errors, {warnings} warnings"))),
    }
}

/// A destination of the catalog.
fn find(name: &str) -> Result<Destination, Stop> {
    let known = || destination::names().collect::<Vec<_>>().join(", ");
    let near = || near::hint(name, destination::names());
    let unknown =
        || Stop::not_found(format!("no destination is called {name}{}: there are {}", near(), known()));
    let found = destination::named(name).ok_or_else(unknown)?;
    found.map_err(Stop::from)
}

fn as_json(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule,
        "severity": finding.severity.name(),
        "file": finding.file,
        "found": finding.found,
        "wanted": finding.wanted,
        "source": finding.source,
    })
}

/// A line for what was found, and below it what is wanted and where that stands.
fn as_table(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let file = if finding.file.is_empty() { "the package" } else { &finding.file };
        text.push_str(&format!("{} {}: {}: {}\n", finding.severity, finding.rule, file, finding.found));
        text.push_str(&format!("  wanted: {}\n  source: {}\n", finding.wanted, finding.source));
    }
    text
}

/// The rules of every package, and those of the destinations.
fn list(destinations: &[Destination], json: bool) -> Result<(), Stop> {
    let own = |rule: &&Rule| {
        (rule.id.to_owned(), rule.severity.name(), rule.wants.to_owned(), rule.source.to_owned())
    };
    let theirs = |rule: &DestinationRule| {
        (rule.id.clone(), rule.severity.name(), rule.message.clone(), rule.source.clone())
    };
    let all: Vec<_> =
        rules().iter().map(own).chain(destinations.iter().flat_map(|one| &one.rules).map(theirs)).collect();
    if json {
        let rule = |(id, severity, wanted, source): &(String, &str, String, String)| json!({ "rule": id, "severity": severity, "wanted": wanted, "source": source });
        return print_json(&json!({ "rules": all.iter().map(rule).collect::<Vec<_>>() }));
    }
    let mut rows = vec![row(["rule", "severity", "wanted", "source"])];
    rows.extend(all.iter().map(|(id, severity, wanted, source)| row([id, severity, wanted, source])));
    print(&table(&rows))
}
