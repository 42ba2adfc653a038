//! Command lines of `reel` in texts, and what the program says of them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::reel::Reel;

/// Commands that have commands of their own.
pub const GROUPS: [&str; 7] = ["profile", "job", "task", "worker", "cluster", "scheduler", "project"];

/// The help of a command.
pub fn help(work: &Path, words: &[String]) -> String {
    let help = Reel::new(work, words.iter().cloned().chain(["--help".to_owned()])).run();
    assert_eq!(help.code, Some(0), "reel {}: {}", words.join(" "), help.stderr);
    help.stdout
}

/// The commands that the help of `reel`, or of one of its groups, lists.
pub fn listed(work: &Path, group: &[String]) -> BTreeSet<String> {
    let help = help(work, group);
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let listed = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    listed.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// The commands that `reel --help` lists.
pub fn known(work: &Path) -> BTreeSet<String> {
    let known = listed(work, &[]);
    assert!(GROUPS.iter().all(|group| known.contains(*group)), "{known:?}");
    known
}

/// A word without the quotes and brackets of shells, lists and prose.
fn bare(word: &str) -> &str {
    let word = word.strip_prefix("ExecStart=").unwrap_or(word);
    word.trim_matches(|sign: char| "`\"',;[](){}.:".contains(sign))
}

/// The command lines of `reel` among words, each without its program.
pub fn lines_among(words: &[&str], known: &BTreeSet<String>) -> Vec<Vec<String>> {
    let begins = |at: &usize| {
        let next = words.get(at + 1).is_some_and(|next| known.contains(bare(next)));
        ["reel", "/usr/bin/reel"].contains(&bare(words[*at])) && next
    };
    let line = |at: usize| {
        let mut line = Vec::new();
        for word in &words[at + 1..] {
            if ["|", "||", "&", "&&", ";", ">", "2>", "2>>"].contains(word) || word.starts_with('#') {
                break;
            }
            // What a variable holds is not known; its name may end in a bracket.
            line.push(if word.contains('$') { (*word).to_owned() } else { bare(word).to_owned() });
            if word.contains('`') {
                break;
            }
        }
        line
    };
    (0..words.len()).filter(begins).map(line).collect()
}

/// Those of a text, also of its comments: each stands in a line, which `\` makes longer.
pub fn lines_of_text(text: &str, known: &BTreeSet<String>) -> Vec<Vec<String>> {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().map(|line| line.trim_start_matches(['#', ' ']));
    lines.flat_map(|line| lines_among(&line.split_whitespace().collect::<Vec<_>>(), known)).collect()
}

/// The words with something likely in the place of each variable, and of each word in capitals, as prose has them; a variable that
/// stands for several words is left out.
pub fn filled(line: &[String]) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let split = line.iter().flat_map(|word| match word.split_once('=') {
        Some((option, value)) if option.starts_with("--") => vec![option, value],
        _ => vec![word.as_str()],
    });
    for word in split {
        let option = words.last().filter(|word| word.starts_with("--")).map_or("", String::as_str);
        let capitals = word.bytes().all(|byte| byte.is_ascii_uppercase());
        let likely = match (word.contains('$'), option) {
            (false, "") if capitals => Some("1"),
            (false, _) => Some(word),
            (true, "") => None,
            (true, "--id" | "--slots") => Some("1"),
            (true, "--listen") => Some("127.0.0.1:7101"),
            (true, "--advertise" | "--join" | "--server") => Some("http://127.0.0.1:7101"),
            (true, "--store") => Some("file:///srv/reel"),
            (true, _) => Some("x"),
        };
        words.extend(likely.map(str::to_owned));
    }
    words
}
