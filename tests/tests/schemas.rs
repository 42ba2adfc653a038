//! What every command prints with --json is what its schema says, seen on a real farm, by another reader of JSON Schema.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use reel_tests::farm::Farm;
use reel_tests::reel::{Reel, until};
use reel_tests::{fixtures, profile, scratch, small_profile, target_dir, workspace};
use rustix::process::Signal;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);

/// What was printed, by the name of its schema.
#[derive(Default)]
struct Printed(BTreeMap<String, Vec<Value>>);

impl Printed {
    /// Runs a command to its end, whatever that is, and keeps what it prints.
    fn run(&mut self, name: &str, reel: Reel) -> Value {
        let ended = reel.arg("--json").run();
        self.keep(name, &ended.stdout);
        let last = ended.stdout.lines().last().unwrap_or_else(|| panic!("{name}: {}", ended.stderr));
        serde_json::from_str(last).unwrap()
    }

    fn keep(&mut self, name: &str, stdout: &str) {
        let values = stdout.lines().map(|line| serde_json::from_str(line).unwrap());
        self.0.entry(name.to_owned()).or_default().extend(values);
    }
}

/// What is wrong with values by their schemas, if anything.
fn judged(entries: &[(Value, Vec<Value>)]) -> Vec<Vec<Option<String>>> {
    let modules = target_dir().join("deploy-judges");
    assert!(modules.exists(), "{} is missing: run `make deploy-judges`", modules.display());
    let mut judge = Command::new("python3");
    judge.arg(workspace().join("tests/judges/schemas.py")).arg(modules);
    let mut judge = judge.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let asked: Vec<Value> =
        entries.iter().map(|(schema, values)| json!({ "schema": schema, "values": values })).collect();
    judge.stdin.take().unwrap().write_all(json!(asked).to_string().as_bytes()).unwrap();
    let ended = judge.wait_with_output().unwrap();
    assert!(ended.status.success(), "{asked:?}");
    serde_json::from_slice(&ended.stdout).unwrap()
}

/// The names of all schemas of output.
fn names(dir: &Path) -> Vec<String> {
    let listed = Reel::new(dir, ["schema"]).run().success().stdout;
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "job").map(str::to_owned).collect()
}

fn schema(dir: &Path, name: &str) -> Value {
    serde_json::from_str(&Reel::new(dir, ["schema", name]).run().success().stdout).unwrap()
}

/// A profile that says all that a profile can say.
fn rich(dir: &Path) -> PathBuf {
    let more = "[[audio]]\nname = \"a\"\ncodec = \"aac\"\nchannels = 2\nbitrate_kbps = 96\nloudness_lufs = -23.0\n\
        language = \"en\"\ndownmix = \"lt-rt\"\n[measure]\nvmaf = true\n[images]\nevery_s = 2.0\nheight = 90\n\
        columns = 3\nrows = 3\nposter = { at_s = 1.0, height = 90 }\n[picture]\nfields = \"weave\"\n[admission]\n\
        max_height = { limit = 100, action = \"flag\" }\nsilent_audio = \"warn\"\ndamage = { allow = 3 }\n[package]\nhls = true\ndash = true\n\
        preview = true\ndestinations = [\"apple-hls\"]\n[encryption]\nscheme = \"cbcs\"\n\
        keys = \"env:REEL_KEYS\"\nsystems = [\"widevine\"]\n";
    small_profile(dir, "rich", more)
}

/// What needs no farm.
fn alone(printed: &mut Printed, dir: &Path) {
    let reel = |line: &str| Reel::new(dir, line.split_whitespace());
    printed.run("profile-list", reel("profile list"));
    let rich = rich(dir);
    for shown in ["proxy".into(), "vod-multicodec".into(), profile("codecs"), profile("hdr"), rich.clone()] {
        printed.run("profile-show", reel("profile show").arg(shown));
    }
    printed.run("profile-check", reel("profile check").arg(&rich));
    let mezzanine = fixtures::prores_mov().path;
    for source in [mezzanine.clone(), fixtures::variable_rate_mkv().path, fixtures::hdr10_ts().path] {
        printed.run("probe", reel("probe").arg(source));
    }
    printed.run("plan", reel("plan --profile").arg(rich).arg(&mezzanine));
    printed.run("plan", reel("plan --profile vod-multicodec").arg(&mezzanine));
    let title = dir.join("title");
    // The second has nothing to do.
    for _ in 0..2 {
        printed.run("transcode", Reel::transcode(dir, &mezzanine, &title, &profile("quick")));
    }
    printed.run("verify", Reel::verify(dir, &title, &mezzanine));
    printed.run("check", reel("check --destination apple-hls --destination roku").arg(&title));
    printed.run("check", reel("check --rules --destination roku"));
    printed.run("doctor", reel("doctor --store").arg(dir).arg("--output").arg(dir.join("out")));
}

/// What is asked of a farm: jobs that wait, run, are done and have failed.
fn together(printed: &mut Printed, farm: &Farm) {
    let dir = farm.shared();
    let mezzanine = fixtures::prores_mov().path;
    fs::write(dir.join("en.srt"), "1\n00:00:00,000 --> 00:00:01,000\nHello\n").unwrap();
    let edit =
        format!("[sources]\na = {:?}\n[[event]]\nsource = \"a\"\nin = 0\nout = 48\n", mezzanine.display());
    fs::write(dir.join("edit.toml"), edit).unwrap();
    let submit = |name: &str, more: &str| {
        let reel = farm.reel("submit").arg(&mezzanine).arg(farm.output(name));
        reel.arg("--profile").arg(profile("quick")).args(more)
    };
    let waits = printed.run("submit", submit("waits", "--need site=berlin --label title=a --deadline 9d"));
    let waits = waits["job"].as_u64().unwrap();
    let broken = dir.join("broken.mov");
    fs::write(&broken, "no movie").unwrap();
    let fails = farm.reel("submit --wait --profile proxy").arg(&broken).arg(farm.output("fails"));
    assert_eq!(printed.run("submit", fails)["state"], "failed");
    let edited =
        format!("--edit {} --text en={}", dir.join("edit.toml").display(), dir.join("en.srt").display());
    let edited = printed.run("submit", submit("edited", &edited))["job"].as_u64().unwrap();
    let works = printed.run("submit", submit("works", "--chunk-parts 1"))["job"].as_u64().unwrap();
    let ask = |line: String| farm.reel(&line);
    until("a job that runs", PATIENCE, || {
        farm.job(works)["running"].as_array().is_some_and(|running| !running.is_empty())
    });
    printed.run("task-list", ask(format!("task list {works}")));
    printed.run("worker-list", ask("worker list".to_owned()));
    printed.run("job-list", ask("job list".to_owned()));
    for job in [edited, works] {
        assert_eq!(printed.run("job-wait", ask(format!("job wait {job}")))["state"], "done");
        printed.run("job-show", ask(format!("job show {job}")));
    }
    printed.run("job-list", ask("job list".to_owned()));
    printed.run("job-explain", ask(format!("job explain {waits}")));
    printed.run("job-report", ask(format!("job report {works}")));
    printed.run("task-list", ask(format!("task list {waits}")));
    for task in [format!("{works}/encode/0"), format!("{waits}/index/0"), "2/index/0".to_owned()] {
        printed.run("task-show", ask(format!("task show {task}")));
    }
    farm.reel("project set feature --weight 3 --guarantee 1 --burst 9").run().success();
    printed.run("project-list", ask("project list".to_owned()));
    farm.reel("worker cordon w1").run().success();
    printed.run("worker-show", ask("worker show w1".to_owned()));
    printed.run("cluster-status", ask("cluster status".to_owned()));
    printed.run("doctor", ask("doctor".to_owned()));
}

#[test]
fn whatever_a_command_prints_for_programs_is_as_its_schema_says() {
    let dir = scratch();
    let mut printed = Printed::default();
    alone(&mut printed, dir.path());
    let farm = Farm::builder().schedulers(2).start();
    let events = farm.reel("events --after 0 --json").start();
    together(&mut printed, &farm);
    let held = || events.stdout().contains("worker-held");
    until("the events", PATIENCE, held);
    events.send(Signal::INT);
    printed.keep("events", &events.wait().success().stdout);

    let names = names(dir.path());
    assert_eq!(
        printed.0.keys().cloned().collect::<Vec<_>>(),
        names,
        "each schema has a command that was run"
    );
    let entries: Vec<(Value, Vec<Value>)> =
        printed.0.into_iter().map(|(name, values)| (schema(dir.path(), &name), values)).collect();
    let complaints = names.iter().zip(judged(&entries)).flat_map(|(name, complaints)| {
        complaints.into_iter().flatten().map(move |complaint| format!("{name}: {complaint}"))
    });
    assert_eq!(complaints.collect::<Vec<_>>(), [""; 0]);
    // A member that no schema names would be found.
    let odd = |mut value: Value| {
        value["what_nobody_wrote_down"] = json!(1);
        value
    };
    let odd: Vec<(Value, Vec<Value>)> =
        entries.into_iter().map(|(schema, values)| (schema, values.into_iter().map(odd).collect())).collect();
    for (name, complaints) in names.iter().zip(judged(&odd)) {
        assert!(complaints.iter().all(Option::is_some), "{name} takes what it does not name");
    }
}

#[test]
fn the_sample_of_a_job_is_as_its_schema_says() {
    let dir = scratch();
    let sample = fs::read_to_string(workspace().join("ops/samples/job.toml")).unwrap();
    let script = "import json, sys, tomllib; print(json.dumps(tomllib.loads(sys.stdin.read()), default=str))";
    let mut read = Command::new("python3");
    let mut read = read.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    read.stdin.take().unwrap().write_all(sample.as_bytes()).unwrap();
    let sample: Value = serde_json::from_slice(&read.wait_with_output().unwrap().stdout).unwrap();
    let complaints = judged(&[(schema(dir.path(), "job"), vec![sample, json!({ "prioritty": 3 })])]);
    assert!(complaints[0][0].is_none() && complaints[0][1].is_some(), "{complaints:?}");
}
