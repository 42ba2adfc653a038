//! What is found, and how much of it is told.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::{Rule, Severity};

/// Most findings of one rule in one file: what breaks a rule in one segment breaks it in all.
const MOST_OF_ONE: usize = 5;
/// Most findings of a package.
const MOST: usize = 2000;
/// Longest text of a finding in characters; playlists may hold anything.
const MOST_CHARACTERS: usize = 400;

/// A place where a package breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's id.
    pub rule: String,
    /// Its severity.
    pub severity: Severity,
    /// The file, relative to the root of the package.
    pub file: String,
    /// What was found.
    pub found: String,
    /// What is wanted.
    pub wanted: String,
    /// Specification and section.
    pub source: String,
}

/// Findings on their way.
#[derive(Default)]
pub(crate) struct Findings {
    found: Vec<Finding>,
    of_one: BTreeMap<(String, String), usize>,
}

impl Findings {
    /// A rule is broken in a file.
    pub(crate) fn add(&mut self, rule: &'static Rule, file: &str, found: impl Display) {
        self.push(Finding {
            rule: rule.id.to_owned(),
            severity: rule.severity,
            file: file.to_owned(),
            found: short(found),
            wanted: rule.wants.to_owned(),
            source: rule.source.to_owned(),
        });
    }

    /// How many were found so far.
    pub(crate) fn count(&self) -> usize {
        self.of_one.values().sum()
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        let told = self.of_one.entry((finding.rule.clone(), finding.file.clone())).or_default();
        *told += 1;
        if *told <= MOST_OF_ONE && self.found.len() < MOST && !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }

    /// Errors first, then by file and rule.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        self.found.sort_by(|one, other| {
            let key = |finding: &Finding| (finding.severity, finding.file.clone(), finding.rule.clone());
            key(one).cmp(&key(other))
        });
        self.found
    }
}

/// Text without what would break a line, cut where it is long.
pub(crate) fn short(text: impl Display) -> String {
    let text = text.to_string();
    let mut plain: String =
        text.chars().take(MOST_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MOST_CHARACTERS).is_some() {
        plain.push_str("..");
    }
    plain
}
