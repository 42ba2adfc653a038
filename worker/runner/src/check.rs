//! Stage check: the proved tree is held against the rules of its formats and of the destinations that its profile names.

use std::cell::RefCell;
use std::io;
use std::path::Path;

use prost::Message;
use reel_check::{Finding, Package, Severity, judge};
use reel_common::{Failure, FailureClass};
use reel_profiles::{Destination, Profile, destination};
use reel_proto::v1;
use reel_store::Folder;

use crate::attempt::{Attempt, failed, finished_with};
use crate::tree;

/// Leaves what was found; an error fails the job, so that nothing is delivered.
pub(crate) fn run(attempt: &Attempt, task: &v1::CheckTask) -> Result<v1::TaskFinished, Failure> {
    let assembly: v1::Assembly = attempt.object(task.assembly.as_ref(), "assembly")?;
    let folder = tree::of_assembly(attempt, &assembly)?;
    let progress = |done, total| attempt.voice.progress(done, total, None);
    let findings = findings(&folder, &attempt.profile, &progress)?;
    if let Some(failure) = failure(&findings) {
        return Err(failure);
    }
    let check = v1::Check { findings: findings.into_iter().map(record).collect() };
    Ok(finished_with(attempt.leave("check.pb", &check.encode_to_vec())?))
}

/// All that is wrong with a tree. `progress` is told files that were looked at, and of how many.
fn findings(folder: &Path, profile: &Profile, progress: &dyn Fn(u64, u64)) -> Result<Vec<Finding>, Failure> {
    let folder = Folder::open(folder)
        .map_err(|error| failed(&format!("cannot list {}: {error}", folder.display())))?;
    let named = |name: &String| {
        let found = destination::named(name).and_then(Result::ok);
        found.ok_or_else(|| failed(&format!("this version knows no destination that is called {name}")))
    };
    let destinations: Vec<Destination> = profile.destinations.iter().map(named).collect::<Result<_, _>>()?;
    let unreadable = RefCell::new(None);
    let total = folder.files().len() as u64;
    let read = |file: &str, offset: u64, buf: &mut [u8]| {
        progress(folder.files_read().min(total), total);
        folder.read_at(file, offset, buf).inspect_err(|error| {
            // A file that is too short is one that breaks a rule; others are no fault of the title.
            if error.kind() != io::ErrorKind::UnexpectedEof {
                unreadable
                    .borrow_mut()
                    .get_or_insert_with(|| failed(&format!("{file} cannot be read: {error}")));
            }
        })
    };
    let found = judge(&Package { files: folder.files(), read: &read }, &destinations);
    unreadable.into_inner().map_or(Ok(found), Err)
}

/// Why a title cannot be delivered: the first of its errors, and how many more there are.
fn failure(findings: &[Finding]) -> Option<Failure> {
    let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    let first = errors.first()?;
    let more = match errors.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    let file = if first.file.is_empty() { "the title" } else { &first.file };
    let Finding { rule, found, wanted, source, .. } = first;
    let message = format!("{file} breaks the rule {rule} ({source}): {found}; wanted: {wanted}{more}");
    let evidence: Vec<String> =
        errors.iter().map(|one| format!("{} {}: {}", one.rule, one.file, one.found)).collect();
    Some(Failure::new(FailureClass::Invalid, &message, &evidence.join("\n")))
}

fn record(finding: Finding) -> v1::Finding {
    let Finding { rule, severity, file, found, wanted, source } = finding;
    v1::Finding {
        rule,
        file,
        severity: severity.name().to_owned(),
        source,
        what: format!("{found}; wanted: {wanted}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(rule: &str, severity: Severity) -> Finding {
        Finding {
            rule: rule.to_owned(),
            severity,
            file: "a.m3u8".to_owned(),
            found: "5 s".to_owned(),
            wanted: "4 s".to_owned(),
            source: "RFC 8216bis, 1".to_owned(),
        }
    }

    #[test]
    fn errors_fail_the_job_with_the_first_and_their_count() {
        assert!(failure(&[finding("a", Severity::Warning)]).is_none());
        let found =
            [finding("a", Severity::Error), finding("b", Severity::Error), finding("c", Severity::Warning)];
        let failure = failure(&found).unwrap();
        assert_eq!(failure.class, FailureClass::Invalid);
        let expected = "a.m3u8 breaks the rule a (RFC 8216bis, 1): 5 s; wanted: 4 s, and 1 more";
        assert_eq!(failure.message, expected);
    }
}
