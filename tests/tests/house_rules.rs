//! What is written down is true: files open with a sentence and stay short, documents name what exists.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use reel_tests::command_lines::{filled, known, lines_of_text};
use reel_tests::pages::Page;
use reel_tests::reel::Reel;
use reel_tests::{scratch, tree, workspace};

const ROOMS: [&str; 8] = ["common", "proto", "profiles", "scheduler", "worker", "ops", "tests", "bench"];
/// About 500 lines, said so that it can be checked.
const MOST_LINES: usize = 600;

fn sources(extension: &str) -> Vec<PathBuf> {
    let below = |room: &str| {
        let root = workspace().join(room);
        tree::files(&root).into_iter().map(move |file| root.join(file)).collect::<Vec<_>>()
    };
    let files = ROOMS.iter().flat_map(|room| below(room));
    files.filter(|file| file.extension().is_some_and(|e| e == extension)).collect()
}

fn root_file(name: &str) -> String {
    fs::read_to_string(workspace().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_source_file_opens_with_a_sentence_and_stays_short() {
    let mut wrong = Vec::new();
    for file in sources("rs") {
        let text = fs::read_to_string(&file).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let paragraph = text.lines().take_while(|line| line.starts_with("//! ")).last().unwrap_or_default();
        if !first.starts_with("//! ") || !paragraph.ends_with(['.', ':']) {
            wrong.push(format!("{}: begins with `{first}`, not with a //! sentence", file.display()));
        }
        if text.lines().count() > MOST_LINES {
            wrong.push(format!("{}: {} lines, more than {MOST_LINES}", file.display(), text.lines().count()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a link to a heading calls it: small letters, digits and hyphens.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign));
    kept.collect::<String>().trim().replace(' ', "-").to_lowercase()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents =
        sources("md").into_iter().chain(["README.md", "ARCHITECTURE.md"].map(|name| workspace().join(name)));
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let path = match file {
                "" => document.clone(),
                _ => document.parent().unwrap().join(file),
            };
            assert!(path.exists(), "{}: {link} does not exist", document.display());
            if !heading.is_empty() {
                let text = fs::read_to_string(&path).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                let found = headings.any(|line| anchor(line.trim_start_matches('#').trim()) == heading);
                assert!(found, "{}: {link} has no such heading", document.display());
            }
        }
    }
}

#[test]
fn commands_of_the_documents_are_known_with_their_options() {
    let dir = scratch();
    let known = known(dir.path());
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    // One page is what the program says of itself, which its own test holds.
    for page in Page::all().into_iter().filter(|page| page.name != "ops/docs/reference/commands.md") {
        for line in lines_of_text(&page.text, &known) {
            let words = filled(&line);
            if seen.insert(words.clone()) {
                let said = Reel::new(dir.path(), words.into_iter().chain(["--help".to_owned()])).run();
                if said.code != Some(0) {
                    wrong.push(format!("{}: reel {}: {}", page.name, line.join(" "), said.stderr));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.len() > 50, "{seen:?}");
}

#[test]
fn make_targets_of_the_documents_exist() {
    let makefile = root_file("Makefile");
    let mut seen = 0;
    for page in Page::all() {
        let spoken = ["`make ", "$ make "].into_iter().flat_map(|before| page.text.split(before).skip(1));
        let scripts = page.blocks("sh").concat();
        let typed = scripts.lines().filter_map(|line| line.strip_prefix("make "));
        for target in spoken.chain(typed).filter_map(|rest| rest.split([' ', '`', '\n']).next()) {
            assert!(makefile.contains(&format!("\n{target}:")), "{}: make {target}", page.name);
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn the_readme_lists_the_packages_that_make_installs() {
    let makefile = root_file("Makefile").replace("\\\n", " ");
    let list = makefile.lines().find_map(|line| line.strip_prefix("APT_PACKAGES :=")).unwrap();
    let installed: BTreeSet<&str> = list.split_whitespace().collect();
    let readme = root_file("README.md");
    let start = readme.find("<!-- packages -->").expect("the README marks its list of packages");
    let listed = &readme[start..readme[start..].find("\n\n").map_or(readme.len(), |end| start + end)];
    let listed: BTreeSet<&str> = listed.split('`').skip(1).step_by(2).collect();
    assert_eq!(listed, installed);
}

#[test]
fn decisions_have_pages() {
    let pages = ["artifact-layout", "raft-log-schema", "openraft-version", "gpl-linkage-of-the-runner"];
    for page in pages {
        let path = format!("ops/docs/decisions/{page}.md");
        assert!(Path::new(&workspace().join(&path)).exists(), "{path} is missing");
    }
}
