//! What the check of a title found, in the report: warnings, since no title with errors is delivered.

use reel_profiles::Profile;
use reel_proto::v1;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Checked<'a> {
    /// The destinations whose rules it meets.
    destinations: &'a [String],
    findings: Vec<Found<'a>>,
}

/// A rule that does not hold.
#[derive(Serialize)]
struct Found<'a> {
    rule: &'a str,
    severity: &'a str,
    /// Empty where it is of the whole title.
    file: &'a str,
    source: &'a str,
    what: &'a str,
}

impl<'a> Checked<'a> {
    pub(super) fn of(check: &'a v1::Check, profile: &'a Profile) -> Self {
        let found = |finding: &'a v1::Finding| {
            let v1::Finding { rule, severity, file, source, what } = finding;
            Found { rule, severity, file, source, what }
        };
        Checked { destinations: &profile.destinations, findings: check.findings.iter().map(found).collect() }
    }
}
