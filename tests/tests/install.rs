//! What is installed beside the programs: completions that a shell takes, manual pages that troff takes, `make install`.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use reel_tests::reel::Reel;
use reel_tests::{bin_dir, scratch, tree, workspace};

fn said(dir: &Path, line: &str) -> String {
    Reel::new(dir, line.split_whitespace()).run().success().stdout
}

/// What bash would offer for the last of these words.
fn completed(script: &Path, words: &[&str]) -> BTreeSet<String> {
    let typed = words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ");
    let last = words.len() - 1;
    let (now, before) = (words[last], words[last - 1]);
    let line = format!(
        "source {}; COMP_WORDS=({typed}); COMP_CWORD={last}; declared=$(complete -p reel); \
         function=${{declared#*-F }}; ${{function%% *}} reel '{now}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let ended = Command::new("bash").args(["--norc", "-c", &line]).output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let dir = scratch();
    let script = dir.path().join("reel.bash");
    fs::write(&script, said(dir.path(), "completions bash")).unwrap();
    assert!(Command::new("bash").arg("-n").arg(&script).status().unwrap().success());
    let offered = |words: &[&str]| completed(&script, words);
    assert_eq!(offered(&["reel", "wor"]), BTreeSet::from(["worker".to_owned()]));
    assert!(offered(&["reel", "job", ""]).is_superset(&["list", "show", "wait"].map(str::to_owned).into()));
    assert_eq!(offered(&["reel", "job", "list", "--wat"]), BTreeSet::from(["--watch".to_owned()]));
    assert_eq!(offered(&["reel", "worker", "start", "--pool", "s"]), BTreeSet::from(["spot".to_owned()]));
    assert_eq!(offered(&["reel", "schema", "job-sh"]), BTreeSet::from(["job-show".to_owned()]));
}

#[test]
fn every_shell_gets_a_script_that_names_every_command() {
    let dir = scratch();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = said(dir.path(), &format!("completions {shell}"));
        for word in ["transcode", "doctor", "transfer-leader", "watch", "idempotency-key"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

/// What troff complains of in a page.
fn complaints(page: &Path) -> String {
    let mut troff = Command::new("groff");
    troff.args(["-man", "-ww", "-rCHECKSTYLE=3", "-Tutf8"]).arg(page);
    let ended = troff.output().unwrap();
    assert!(!ended.stdout.is_empty(), "{page:?}");
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[test]
fn every_command_has_a_page_that_troff_takes_without_a_word() {
    let dir = scratch();
    let pages = dir.path().join("man1");
    Reel::new(dir.path(), ["man", "--out"]).arg(&pages).run().success();
    let names: BTreeSet<PathBuf> = tree::files(&pages).into_iter().collect();
    for name in ["reel.1", "reel-job.1", "reel-job-list.1", "reel-doctor.1", "reel-worker-start.1"] {
        assert!(names.contains(Path::new(name)), "{name} in {names:?}");
    }
    for name in &names {
        let found = complaints(&pages.join(name));
        assert!(found.is_empty(), "{name:?}: {found}");
    }
    let broken = pages.join("broken.1");
    fs::write(&broken, fs::read_to_string(pages.join("reel.1")).unwrap() + ".SHH NOTHING\n").unwrap();
    assert!(!complaints(&broken).is_empty(), "an unknown macro would be found");
    let shown =
        Command::new("man").env("MANWIDTH", "100").arg("-l").arg(pages.join("reel-job-list.1")).output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    for words in [
        "reel-job-list - Lists jobs, newest first",
        "--watch",
        "EXAMPLES",
        "reel job list --open",
        "reel schema job-list",
    ] {
        assert!(shown.contains(words), "{words} in {shown}");
    }
    assert_eq!(said(dir.path(), "man job list"), fs::read_to_string(pages.join("reel-job-list.1")).unwrap());
}

#[test]
fn make_install_puts_everything_where_it_is_looked_for() {
    let dir = scratch();
    let staged = dir.path().join("staged");
    let mut make = Command::new("make");
    make.current_dir(workspace()).args(["--silent", "install", "PREFIX=/usr"]);
    make.arg(format!("DESTDIR={}", staged.display())).arg(format!("BUILT={}", bin_dir().display()));
    let ended = make.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let there: BTreeSet<PathBuf> = tree::files(&staged).into_iter().collect();
    for name in [
        "usr/bin/reel",
        "usr/bin/reel-runner",
        "usr/share/man/man1/reel.1",
        "usr/share/man/man1/reel-job-list.1",
        "usr/share/bash-completion/completions/reel",
        "usr/share/zsh/site-functions/_reel",
        "usr/share/fish/vendor_completions.d/reel.fish",
    ] {
        assert!(there.contains(Path::new(name)), "{name} in {there:?}");
    }
    let mode = |name: &str| fs::metadata(staged.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("usr/bin/reel"), mode("usr/share/man/man1/reel.1")], [0o755, 0o644]);
    let installed = Command::new(staged.join("usr/bin/reel")).arg("doctor").output().unwrap();
    assert!(installed.status.success(), "the runner is found beside it: {installed:?}");
}
