//! `reel schema`: the shape of what commands print with --json, and of the files that they read, in JSON Schema.

use clap::Command;
use serde_json::{Map, Value, json};

use crate::args::SchemaArgs;
use crate::exit::Stop;
use crate::output::{print, row, table};
use crate::page;

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Where a schema names what it shares with others.
const SHARED_AT: &str = "#/$defs/";
/// What several schemas share, by name.
const SHARED: &str = include_str!("../schemas/shared.json");

macro_rules! schemas {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../schemas/", $name, ".json")))),+]
    };
}

/// Names and texts.
const ALL: &[(&str, &str)] = schemas![
    "check",
    "cluster-status",
    "doctor",
    "events",
    "job",
    "job-explain",
    "job-list",
    "job-report",
    "job-show",
    "job-wait",
    "plan",
    "probe",
    "profile-check",
    "profile-list",
    "profile-show",
    "project-list",
    "submit",
    "task-list",
    "task-show",
    "transcode",
    "verify",
    "worker-list",
    "worker-show",
];

pub(crate) fn run(args: SchemaArgs) -> Result<(), Stop> {
    if let Some(name) = args.name {
        let text = serde_json::to_string_pretty(&document(&name)?).map_err(anyhow::Error::from)?;
        return print(&format!("{text}\n"));
    }
    let line = |name: &str| Ok::<_, Stop>(row([name, document(name)?["title"].as_str().unwrap_or_default()]));
    print(&table(&names().map(line).collect::<Result<Vec<_>, _>>()?))
}

/// What can be asked for.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

/// The schema of what a command prints with --json; `None` where it has no such option.
pub(crate) fn of(command: &Command) -> Option<String> {
    let has_json = command.get_arguments().any(|argument| argument.get_long() == Some("json"));
    let words = page::full_name(command).split(' ').skip(1);
    has_json.then(|| words.collect::<Vec<_>>().join("-"))
}

/// A schema with all that it names.
pub(crate) fn document(name: &str) -> Result<Value, Stop> {
    let unreadable = |error: serde_json::Error| Stop::failed(format!("the schema {name} is broken: {error}"));
    let (_, text) = ALL.iter().find(|(known, _)| *known == name).unwrap_or(&("", "null"));
    let mut schema: Value = serde_json::from_str(text).map_err(unreadable)?;
    let shared: Map<String, Value> = serde_json::from_str(SHARED).map_err(unreadable)?;
    let mut used = Map::new();
    take(&schema, &shared, &mut used);
    schema["$schema"] = json!(DRAFT);
    if !used.is_empty() {
        schema["$defs"] = Value::Object(used);
    }
    Ok(schema)
}

/// Takes from what is shared all that a schema names, and all that this names.
fn take(schema: &Value, shared: &Map<String, Value>, used: &mut Map<String, Value>) {
    match schema {
        Value::Object(members) => {
            let named = members.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix(SHARED_AT));
            if let Some((name, found)) = named.and_then(|name| shared.get_key_value(name))
                && used.insert(name.clone(), found.clone()).is_none()
            {
                take(found, shared, used);
            }
            members.values().for_each(|member| take(member, shared, used));
        }
        Value::Array(items) => items.iter().for_each(|item| take(item, shared, used)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_command_with_json_has_a_schema_and_every_schema_a_command() {
        let commands = page::commands();
        let wanted: BTreeSet<String> = page::all(&commands).into_iter().filter_map(of).collect();
        let there: BTreeSet<String> = names().filter(|name| *name != "job").map(str::to_owned).collect();
        assert_eq!(there, wanted);
        for name in &there {
            let title = document(name).unwrap()["title"].as_str().unwrap().to_owned();
            assert!(title.contains(&format!("`reel {} --json`", name.replace('-', " "))), "{title}");
        }
    }

    #[test]
    fn a_schema_is_whole_and_nothing_that_is_shared_is_idle() {
        let shared: Map<String, Value> = serde_json::from_str(SHARED).unwrap();
        let mut used = BTreeSet::new();
        for name in names() {
            let schema = document(name).unwrap();
            let defined = schema["$defs"].as_object().cloned().unwrap_or_default();
            for (at, _) in schema.to_string().match_indices(SHARED_AT) {
                let text = schema.to_string()[at + SHARED_AT.len()..].to_owned();
                let called = text.split('"').next().unwrap();
                assert!(defined.contains_key(called), "{name} names {called}");
            }
            used.extend(defined.keys().cloned());
        }
        assert_eq!(used, shared.keys().cloned().collect());
    }
}
