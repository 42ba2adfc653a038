//! What is written down is true: files open with a sentence and stay short, documents name what exists.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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

#[test]
fn links_between_documents_lead_somewhere() {
    let documents =
        sources("md").into_iter().chain(["README.md", "ARCHITECTURE.md"].map(|name| workspace().join(name)));
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let path = document.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(path.exists(), "{}: {link} does not exist", document.display());
        }
    }
}

/// Lines of the README's shell examples that start with `program`, without their comments.
fn examples(program: &str) -> Vec<Vec<String>> {
    let text = root_file("README.md");
    let blocks = text.split("```").skip(1).step_by(2).filter(|block| block.starts_with("sh\n"));
    let blocks = blocks.flat_map(str::lines);
    let code = blocks.map(|line| line.split('#').next().unwrap_or_default().trim());
    let words = code.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    words.filter(|words| words.first().is_some_and(|first| first == program)).collect()
}

#[test]
fn commands_of_the_readme_are_known_with_their_options() {
    let dir = scratch();
    let examples = examples("reel");
    assert!(examples.len() > 5, "{examples:?}");
    for words in examples {
        let (commands, rest): (Vec<_>, Vec<_>) = match words[1].as_str() {
            "profile" | "job" | "task" | "worker" | "cluster" | "scheduler" | "project" => {
                (words[1..3].to_vec(), words[3..].to_vec())
            }
            _ => (words[1..2].to_vec(), words[2..].to_vec()),
        };
        let help = Reel::new(dir.path(), commands.iter().cloned().chain(["--help".to_owned()])).run();
        assert_eq!(help.code, Some(0), "{words:?}: {}", help.stderr);
        for option in rest.iter().filter(|word| word.starts_with("--")) {
            assert!(help.stdout.contains(option.as_str()), "{words:?}: no {option}");
        }
    }
}

#[test]
fn the_profile_of_the_readme_is_right() {
    let readme = root_file("README.md");
    let (_, profiles) = readme.split_once("## Profiles").unwrap();
    let profile = profiles.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let dir = scratch();
    let path = dir.path().join("readme.toml");
    fs::write(&path, profile).unwrap();
    Reel::new(dir.path(), ["profile".as_ref(), "check".as_ref(), path.as_os_str()]).run().success();
}

#[test]
fn make_targets_of_the_readme_exist() {
    let makefile = root_file("Makefile");
    for words in examples("make") {
        assert!(makefile.contains(&format!("\n{}:", words[1])), "{words:?}");
    }
    assert!(!examples("make").is_empty());
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
