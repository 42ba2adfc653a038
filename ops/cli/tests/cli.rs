//! What the built command prints and how it ends, for everything that needs no media.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of its own for each test, and the command run in it.
struct Reel {
    folder: tempfile::TempDir,
}

impl Reel {
    fn new() -> Self {
        Reel { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs `reel` with the words of `line`; gives exit code, stdout and stderr as one text.
    fn run(&self, line: &str) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reel"));
        command.args(line.split_whitespace()).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().env("HOME", self.path("user")).env("REEL_RUNNER", self.path("no-runner"));
        let output = command.output().unwrap();
        let mut text = format!("$ reel {line}\n");
        text.push_str(&String::from_utf8(output.stdout).unwrap());
        let stderr = String::from_utf8(output.stderr).unwrap();
        text.push_str(&stderr.lines().map(|line| format!("! {line}\n")).collect::<String>());
        text.push_str(&format!("exit {}\n", output.status.code().unwrap()));
        let folder = self.folder.path().canonicalize().unwrap();
        text.replace(folder.to_str().unwrap(), "<folder>")
            .replace(self.folder.path().to_str().unwrap(), "<folder>")
    }

    fn run_all(&self, lines: &[&str]) -> String {
        lines.iter().map(|line| self.run(line)).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn the_catalog_is_listed_and_shown() {
    let reel = Reel::new();
    insta::assert_snapshot!(reel.run_all(&[
        "profile list",
        "profile list --json",
        "profile show proxy",
        "profile show proxy --json",
    ]));
}

#[test]
fn a_profile_that_is_shown_is_a_profile_that_checks() {
    let reel = Reel::new();
    let shown = reel.run("profile show vod-abr");
    let text = shown.lines().filter(|line| !line.starts_with("$ ") && !line.starts_with("exit "));
    reel.write("mine.toml", text.collect::<Vec<_>>().join("\n"));
    insta::assert_snapshot!(reel.run_all(&["profile check mine.toml", "profile check mine.toml --json"]));
}

#[test]
fn a_wrong_profile_is_told_with_file_and_line() {
    let reel = Reel::new();
    let good = reel.run("profile show proxy");
    let good: Vec<&str> =
        good.lines().filter(|line| !line.starts_with("$ ") && !line.starts_with("exit ")).collect();
    let good = good.join("\n");
    reel.write("typo.toml", good.replace("preset =", "pre-set ="));
    reel.write("odd.toml", good.replace("height = 540", "height = 541"));
    reel.write("cut.toml", &good[..good.len() / 2]);
    reel.write("binary.toml", [0xff, 0xfe, 0x00]);
    reel.write("empty.toml", "");
    reel.write("long.toml", format!("{good}\n#{}", "x".repeat(70_000)));
    fs::create_dir(reel.path("folder.toml")).unwrap();
    insta::assert_snapshot!(reel.run_all(&[
        "profile check typo.toml",
        "profile check odd.toml --json",
        "profile check cut.toml",
        "profile check binary.toml",
        "profile check empty.toml",
        "profile check long.toml",
        "profile check folder.toml",
        "profile check missing.toml",
        "profile show missing",
        "profile show typo.toml",
    ]));
}

#[test]
fn every_command_has_help_with_an_example() {
    let reel = Reel::new();
    insta::assert_snapshot!(reel.run_all(&["--help", "help env", "help transcode"]));
    for command in [
        "transcode",
        "probe",
        "plan",
        "verify",
        "profile",
        "profile list",
        "profile show",
        "profile check",
        "help",
    ] {
        let help = reel.run(&format!("{command} --help"));
        assert!(help.contains("Example:\n  reel ") && help.ends_with("exit 0\n"), "{help}");
    }
}

#[test]
fn wrong_usage_is_told_with_exit_code_2() {
    let reel = Reel::new();
    reel.write("movie.mov", "x");
    let lines = [
        "",
        "transcod a b",
        "transcode movie.mov",
        "transcode movie.mov out",
        "transcode movie.mov out --profile proxy --workers 0",
        "transcode movie.mov out --profile proxy --workers 65",
        "transcode movie.mov out --profile proxy --chunk-parts 0",
        "transcode movie.mov out --profile proxy --json --quiet",
        "verify out",
        "help nothing",
    ];
    for line in lines {
        let told = reel.run(line);
        assert!(told.ends_with("exit 2\n"), "{told}");
    }
    insta::assert_snapshot!(reel.run_all(&lines));
}

#[test]
fn a_name_that_was_mistyped_is_told_with_what_to_do() {
    let reel = Reel::new();
    reel.write("movie.mov", "x");
    fs::create_dir(reel.path("title")).unwrap();
    insta::assert_snapshot!(reel.run_all(&[
        "plan movie.mov --profile prxoy",
        "plan movie.mov --profile archive",
        "check title --destination apple-hsl",
        "help scheduler sart",
        "man job lst",
        "schema job-shw",
        "completions tcsh",
        "job list --watch 5",
        "job list --watch=0",
        "worker list --server host:7101",
        "doctor --server https://host:7101",
    ]));
}

#[test]
fn a_mezzanine_that_cannot_be_one_is_refused_by_every_command() {
    let reel = Reel::new();
    reel.write("empty.mov", "");
    fs::create_dir(reel.path("folder")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, reel.path("pipe"), rustix::fs::Mode::RWXU).unwrap();
    insta::assert_snapshot!(reel.run_all(&[
        "transcode missing.mov out --profile proxy",
        "transcode folder out --profile proxy",
        "transcode empty.mov out --profile proxy",
        "transcode pipe out --profile proxy",
        "transcode gopher://host/movie.mov out --profile proxy",
        "probe missing.mov",
        "probe folder --json",
        "plan empty.mov --profile proxy",
    ]));
    assert!(!reel.path("out").exists() && !reel.path("user").exists(), "nothing was made");
}

#[test]
fn an_output_that_cannot_be_one_is_refused_before_anything_is_made() {
    let reel = Reel::new();
    reel.write("movie.mov", "x");
    reel.write("file", "x");
    fs::create_dir_all(reel.path("full")).unwrap();
    reel.write("full/letter.txt", "x");
    insta::assert_snapshot!(reel.run_all(&[
        "transcode movie.mov full --profile proxy",
        "transcode movie.mov file --profile proxy",
        "transcode movie.mov file/out --profile proxy",
        "transcode movie.mov . --profile proxy",
        "transcode movie.mov movie.mov --profile proxy",
        "transcode movie.mov https://host/out --profile proxy",
        "transcode movie.mov home/out --profile proxy --home home",
        "transcode movie.mov out --profile prox",
    ]));
    assert!(!reel.path("user").exists(), "no home was made");
}

#[test]
fn a_missing_runner_is_told_with_its_place() {
    let reel = Reel::new();
    reel.write("movie.mov", "x");
    insta::assert_snapshot!(reel.run_all(&[
        "transcode movie.mov out --profile proxy",
        "probe movie.mov",
        "plan movie.mov --profile proxy",
    ]));
    assert!(!reel.path("out").exists());
}

#[test]
fn a_home_in_use_is_refused_with_the_process_that_uses_it() {
    let reel = Reel::new();
    reel.write("movie.mov", "x");
    reel.write("no-runner", "x");
    fs::create_dir(reel.path("home")).unwrap();
    let lock = fs::File::create(reel.path("home/lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    fs::write(reel.path("home/lock"), "4711\n").unwrap();
    let told = reel.run("transcode movie.mov out --profile proxy --home home");
    assert!(told.contains("process 4711") && told.ends_with("exit 5\n"), "{told}");
}

#[test]
fn a_title_without_its_report_is_not_found() {
    let reel = Reel::new();
    reel.write("movie.mov", "x");
    fs::create_dir(reel.path("title")).unwrap();
    insta::assert_snapshot!(reel.run_all(&[
        "verify missing --against movie.mov",
        "verify title --against movie.mov",
        "verify title --against missing.mov",
    ]));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let reel = Reel::new();
    let line = format!("{} profile show vod-abr | true; echo ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_reel"));
    let output = Command::new("bash").args(["-c", &line]).current_dir(&reel.folder).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "0");
    assert!(output.stderr.is_empty());
}

#[test]
fn the_sample_environment_is_complete() {
    // Every variable that the sources name is in the list that `reel help env` prints.
    let listed = Reel::new().run("help env");
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for word in text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')) {
            // That one is read by tests alone.
            if word.starts_with("REEL_") && word.len() > 5 && word != "REEL_BLESS" {
                assert!(listed.contains(word), "{word} in {}", path.display());
            }
        }
    }
}
