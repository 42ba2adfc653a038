//! The rules of destinations, held against what was measured.

use reel_common::Rational;
use reel_profiles::{Demand, Destination, DestinationRule, Strictness};

use crate::Severity;
use crate::facts::Facts;
use crate::finding::{Finding, Findings, short};

/// Judges a package by the rules of one destination.
pub(crate) fn judge(destination: &Destination, facts: &Facts, findings: &mut Findings) {
    for rule in &destination.rules {
        if rule.longer_than.is_some_and(|seconds| facts.seconds <= seconds) {
            continue;
        }
        match &rule.demand {
            Demand::Within { measure, least, most } => {
                for (file, value) in facts.numbers.get(measure).into_iter().flatten() {
                    let outside =
                        least.is_some_and(|least| *value < least) || most.is_some_and(|most| *value > most);
                    if outside {
                        findings.push(finding(rule, file, format!("{} {}", measure.name(), decimal(*value))));
                    }
                }
            }
            Demand::OneOf { trait_of, words } => {
                for (file, word) in facts.words.get(trait_of).into_iter().flatten() {
                    if !words.contains(word) {
                        findings.push(finding(rule, file, format!("{} {word}", trait_of.name())));
                    }
                }
            }
            Demand::Has { feature, present } => {
                if facts.features.contains(feature) != *present {
                    let found =
                        if *present { format!("no {}", feature.name()) } else { feature.name().to_owned() };
                    findings.push(finding(rule, "", found));
                }
            }
        }
    }
}

fn finding(rule: &DestinationRule, file: &str, found: String) -> Finding {
    Finding {
        rule: rule.id.clone(),
        severity: match rule.severity {
            Strictness::Error => Severity::Error,
            Strictness::Warning => Severity::Warning,
        },
        file: file.to_owned(),
        found: short(found),
        wanted: rule.message.clone(),
        source: rule.source.clone(),
    }
}

fn decimal(value: Rational) -> String {
    let text = format!("{:.3}", value.to_f64());
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
