//! What `ops/deploy` gives is right: its commands are those of the program, its units and manifests are judged by others.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use reel_tests::command_lines::{GROUPS, filled, help, known, lines_among, lines_of_text};
use reel_tests::reel::{Reel, program};
use reel_tests::{scratch, target_dir, tree, workspace};
use serde_json::Value;

/// What a supervisor waits longer than `--notice`: the longest that handing back takes.
const HAND_BACK_S: u64 = 25;

fn folder() -> PathBuf {
    workspace().join("ops/deploy")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every file, and the page that tells of them, by name.
fn texts() -> BTreeMap<String, String> {
    let files = tree::files(&folder()).into_iter().map(|path| path.to_str().unwrap().to_owned());
    let files = files.chain(["../docs/deployment.md".to_owned()]);
    files.map(|name| (name.clone(), read(&name))).collect()
}

/// What a file in YAML or HCL holds, and what the schemas of Kubernetes have against it.
struct Judged {
    documents: Vec<Value>,
    complaints: Vec<String>,
}

/// The files in YAML and HCL, by name.
fn judged() -> BTreeMap<String, Judged> {
    let modules = target_dir().join("deploy-judges");
    assert!(modules.exists(), "{} is missing: run `make deploy-judges`", modules.display());
    let names: Vec<String> =
        texts().into_keys().filter(|name| name.ends_with(".yaml") || name.ends_with(".hcl")).collect();
    let mut judge = Command::new("python3");
    judge.arg(workspace().join("tests/judges/deploy.py")).arg(modules);
    let found = ended(judge.args(names.iter().map(|name| folder().join(name))));
    let found: Vec<Value> = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found.len(), names.len());
    let list = |value: &Value| value.as_array().unwrap().clone();
    let each = found.iter().map(|file| Judged {
        documents: list(&file["documents"]),
        complaints: list(&file["complaints"]).iter().map(|line| line.as_str().unwrap().to_owned()).collect(),
    });
    names.into_iter().zip(each).collect()
}

fn ended(command: &mut Command) -> Output {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [&ended.stdout, &ended.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(ended.status.success(), "{command:?}: {}\n{}", said[0], said[1]);
    ended
}

/// Those that a manifest has as lists.
fn lines_of_value(value: &Value, known: &BTreeSet<String>) -> Vec<Vec<String>> {
    let words_of = |value: &Value| -> Vec<String> {
        match value {
            Value::String(text) => text.split_whitespace().map(str::to_owned).collect(),
            Value::Array(list) => list.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        }
    };
    match value {
        Value::Object(fields) => {
            let words: Vec<String> =
                ["command", "args"].iter().filter_map(|name| fields.get(*name)).flat_map(words_of).collect();
            // A script is a text.
            let words: Vec<&str> =
                words.iter().map(String::as_str).filter(|word| !word.contains('\n')).collect();
            let inner = fields.values().flat_map(|value| lines_of_value(value, known));
            lines_among(&words, known).into_iter().chain(inner).collect()
        }
        Value::Array(list) => list.iter().flat_map(|value| lines_of_value(value, known)).collect(),
        _ => Vec::new(),
    }
}

/// Options that stand in variables of their own.
fn lines_of_variables(text: &str) -> Vec<Vec<String>> {
    let variables =
        [("WORKER_OPTIONS=", "worker"), ("SCHEDULER_BEGIN=", "scheduler"), ("begin=", "scheduler")];
    let line = |(name, command): (&str, &str), line: &str| {
        let value = line.split_once(name)?.1.trim_matches('"');
        value.starts_with("--").then(|| {
            let words = value.split_whitespace().map(str::to_owned);
            [command, "start"].map(str::to_owned).into_iter().chain(words).collect::<Vec<_>>()
        })
    };
    text.lines().flat_map(|text| variables.iter().filter_map(move |variable| line(*variable, text))).collect()
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    let dir = scratch();
    let known = known(dir.path());
    let (texts, judged) = (texts(), judged());
    let mut helps: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in &texts {
        let values = judged.get(name).into_iter().flat_map(|file| &file.documents);
        let mut lines: Vec<_> = values.flat_map(|value| lines_of_value(value, &known)).collect();
        lines.extend(lines_of_text(text, &known));
        lines.extend(lines_of_variables(text));
        for line in lines {
            let words = filled(&line);
            let length = if GROUPS.contains(&words[0].as_str()) { 2 } else { 1 };
            let command = words[..length.min(words.len())].to_vec();
            // All of it is parsed before its help is printed.
            help(dir.path(), &words);
            let help = helps.entry(command.clone()).or_insert_with(|| help(dir.path(), &command));
            for option in words.iter().filter(|word| word.starts_with("--") && *word != "--help") {
                assert!(help.contains(option.as_str()), "{name}: {line:?}: no {option}");
            }
            found.entry(name).or_default().insert(command.join(" "));
        }
    }
    let both = ["scheduler start", "worker start"];
    for (name, commands) in [
        ("systemd/reel-scheduler.service", &both[..1]),
        ("systemd/reel-worker.service", &both[1..]),
        ("systemd/scheduler.env", &both[..1]),
        ("systemd/worker.env", &both[1..]),
        ("container/compose.yaml", &both[..]),
        ("kubernetes/farm/scheduler.yaml", &both[..1]),
        ("kubernetes/farm/worker.yaml", &both[1..]),
        ("nomad/reel.nomad.hcl", &both[..]),
        ("spot/aws.yaml", &both[1..]),
        ("../docs/deployment.md", &["cluster backup", "cluster restore", "cluster transfer-leader"][..]),
    ] {
        let here = found.get(name).unwrap_or_else(|| panic!("{name} has no command"));
        assert!(commands.iter().all(|command| here.contains(*command)), "{name}: {here:?}");
    }
}

#[test]
fn options_that_the_program_does_not_have_would_be_found() {
    let known = BTreeSet::from(["worker".to_owned()]);
    let text = "ExecStart=/usr/bin/reel worker start --data /a \\\n  --fast $MORE && true --no\n\
        # `reel worker list --json`, it says";
    let lines = lines_of_text(text, &known);
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines, [words("worker start --data /a --fast $MORE"), words("worker list --json")]);
    assert_eq!(
        filled(&words("worker start --data=$X --slots $N --fast $MORE $MORE"))[3..].to_vec(),
        words("x --slots 1 --fast x")
    );
    let list =
        serde_json::json!({ "command": ["tini", "--"], "args": ["reel", "worker", "start", "--fast"] });
    assert_eq!(lines_of_value(&list, &known), [words("worker start --fast")]);
    assert_eq!(lines_of_variables("  WORKER_OPTIONS=\"--fast 1\""), [words("worker start --fast 1")]);
}

#[test]
fn every_variable_is_one_that_the_program_reads() {
    let dir = scratch();
    let listed = Reel::new(dir.path(), ["help", "env"]).run().success().stdout;
    let mut seen = 0;
    for (name, text) in texts() {
        let words = text.split(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_'));
        for word in words.filter(|word| word.starts_with("REEL_")) {
            assert!(listed.contains(word), "{name}: {word} is not read by reel");
            seen += 1;
        }
    }
    assert!(seen > 4, "{seen}");
}

#[test]
fn units_are_sound_and_exposed_to_little() {
    let dir = scratch();
    for name in ["reel-scheduler.service", "reel-worker.service"] {
        let unit = read(&format!("systemd/{name}"));
        assert!(unit.contains("/usr/bin/reel "), "{unit}");
        let unit = unit.replace("/usr/bin/reel ", &format!("{} ", program("reel").display()));
        let path = dir.path().join(name);
        fs::write(&path, unit).unwrap();
        let ended = ended(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path));
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(!said.contains(name), "{said}");
        // In tenths: it fails above that.
        let threshold = ["security", "--offline=yes", "--no-pager", "--threshold=15"];
        self::ended(Command::new("systemd-analyze").args(threshold).arg(&path));
    }
}

#[test]
fn manifests_obey_the_schemas_and_name_what_they_are() {
    let mut kinds = BTreeSet::new();
    for (name, file) in judged().into_iter().filter(|(name, _)| name.starts_with("kubernetes/")) {
        let foreign = ["unknown: Kustomization", "unknown: ScaledObject"];
        let complaints = file.complaints.iter().filter(|line| !foreign.contains(&line.as_str()));
        assert_eq!(complaints.collect::<Vec<_>>(), Vec::<&String>::new(), "{name}");
        for object in &file.documents {
            let kind = object["kind"].as_str().unwrap_or_else(|| panic!("{name}: {object}"));
            assert!(object["apiVersion"].is_string(), "{name}: {object}");
            assert!(kind == "Kustomization" || object["metadata"]["name"].is_string(), "{name}: {object}");
            kinds.insert(kind.to_owned());
        }
    }
    for kind in ["StatefulSet", "Deployment", "PodDisruptionBudget", "NetworkPolicy", "ScaledObject"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
    assert!(!kinds.contains("Secret"), "secrets are made apart from this");
}

#[test]
fn kustomizations_name_all_that_lies_beside_them() {
    let judged = judged();
    let kustomizations = judged.iter().filter(|(name, _)| name.ends_with("/kustomization.yaml"));
    let mut seen = 0;
    for (name, file) in kustomizations {
        let here = folder().join(name).parent().unwrap().to_owned();
        let resources = file.documents[0]["resources"].as_array().unwrap();
        let resources: BTreeSet<&str> = resources.iter().map(|resource| resource.as_str().unwrap()).collect();
        for resource in &resources {
            assert!(here.join(resource).exists(), "{name}: {resource}");
        }
        for file in tree::files(&here).iter().filter(|file| *file != Path::new("kustomization.yaml")) {
            assert!(resources.contains(file.to_str().unwrap()), "{name}: {} is left out", file.display());
        }
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[test]
fn the_names_in_the_template_of_the_spot_fleet_are_there() {
    let file = judged().remove("spot/aws.yaml").unwrap();
    let template = &file.documents[0];
    let names =
        |section: &str| template[section].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let known: BTreeSet<String> = names("Parameters").union(&names("Resources")).cloned().collect();
    let mut named = BTreeSet::new();
    let mut open = vec![template];
    while let Some(value) = open.pop() {
        let fields = value.as_object().into_iter().flatten();
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("Ref", Value::String(of)) => named.extend([of.clone()]),
                ("Fn::GetAtt", Value::Array(of)) => named.extend(of[0].as_str().map(str::to_owned)),
                ("Fn::Sub", Value::String(text)) => {
                    let each =
                        text.split("${").skip(1).map(|rest| rest.split('}').next().unwrap().to_owned());
                    named.extend(each);
                }
                _ => {}
            }
            open.push(value);
        }
        open.extend(value.as_array().into_iter().flatten());
    }
    let unknown: Vec<_> =
        named.iter().filter(|name| !known.contains(*name) && !name.starts_with("AWS::")).collect();
    assert!(unknown.is_empty() && named.contains("Fleet"), "{unknown:?} of {named:?}");
}

/// The numbers that stand behind a key in the lines of a file that are no comments.
fn numbers(text: &str, key: &str) -> Vec<u64> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let after = lines.flat_map(|line| line.split(key).skip(1));
    let digits = after.map(|rest| {
        let rest = rest.trim_start_matches(|sign: char| " =:\",".contains(sign));
        rest.chars().take_while(char::is_ascii_digit).collect::<String>()
    });
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

#[test]
fn supervisors_wait_until_workers_have_handed_back() {
    for (name, key) in [
        ("systemd/reel-worker.service", "TimeoutStopSec"),
        ("container/compose.yaml", "stop_grace_period"),
        ("kubernetes/farm/worker.yaml", "terminationGracePeriodSeconds"),
        ("nomad/reel.nomad.hcl", "kill_timeout"),
    ] {
        let text = read(name);
        let notice =
            numbers(&text, "--notice").into_iter().max().unwrap_or_else(|| panic!("{name}: no notice"));
        let wait = numbers(&text, key).into_iter().max().unwrap_or_else(|| panic!("{name}: no {key}"));
        assert!(wait >= notice + HAND_BACK_S, "{name}: {wait} s for {notice} s");
    }
}

#[test]
fn there_are_as_many_workers_as_slots_are_wanted() {
    let slots = numbers(&read("kubernetes/farm/worker.yaml"), "--slots");
    assert_eq!(slots, numbers(&read("kubernetes/autoscale/scaled-object.yaml"), "threshold"));
    assert_eq!(slots.len(), 1);
}

/// Libraries among the words of a text.
fn libraries(text: &str) -> BTreeSet<String> {
    let words = text.split_whitespace().filter(|word| word.starts_with("lib") && !word.contains('/'));
    words.map(str::to_owned).collect()
}

#[test]
fn the_image_is_built_by_the_toolchain_and_has_the_libraries_of_the_runner() {
    let root = |name: &str| fs::read_to_string(workspace().join(name)).unwrap();
    let image = read("container/Containerfile");
    let toolchain = root("rust-toolchain.toml");
    let channel =
        toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    for place in [format!("FROM rust:{channel}-"), format!("RUSTUP_TOOLCHAIN={channel}\n")] {
        assert!(image.contains(&place), "{place}");
    }
    let (_, last) = image.rsplit_once("\nFROM ").unwrap();
    let code =
        |text: &str| text.lines().filter(|line| !line.trim().starts_with('#')).collect::<Vec<_>>().join("\n");
    let here = libraries(&code(last));
    assert_eq!(here, libraries(&code(&read("spot/aws.yaml"))));
    // Each that is built against is there under its number: libx264-dev as libx264-164.
    let makefile = root("Makefile").replace("\\\n", " ");
    let built = makefile.lines().find_map(|line| line.strip_prefix("APT_PACKAGES :=")).unwrap();
    let linked = libraries(built).into_iter().filter(|name| name != "libc6-dev" && name != "libclang-dev");
    for name in linked {
        let stem = name.strip_suffix("-dev").unwrap();
        let numbered =
            |name: &str| name.strip_prefix(stem).is_some_and(|rest| !rest.contains(char::is_alphabetic));
        assert!(here.iter().any(|name| numbered(name)), "{name} has no library in {here:?}");
    }
}
