//! The alert rules are sound, each fires where its cause is, and each has its section in the runbook.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use reel_tests::{target_dir, workspace};

fn promtool(words: &[&str]) {
    let program = target_dir().join("prometheus/usr/bin/promtool");
    assert!(program.exists(), "{} is missing: run `make prometheus`", program.display());
    let ended =
        Command::new(program).args(words).current_dir(workspace().join("ops/dashboards")).output().unwrap();
    let said = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(ended.status.success(), "{}{}", said[0], said[1]);
}

/// What stands behind `mark` in the lines of a file.
fn names(file: &str, mark: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace().join(file)).unwrap();
    text.lines().filter_map(|line| line.trim().strip_prefix(mark)).map(str::to_owned).collect()
}

#[test]
fn every_alert_fires_where_its_cause_is() {
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts_test.yml"]);
    let alerts: BTreeSet<String> = names("ops/dashboards/alerts.yml", "- alert: ").into_iter().collect();
    let fired = fs::read_to_string(workspace().join("ops/dashboards/alerts_test.yml")).unwrap();
    for alert in &alerts {
        let expected = format!("alertname: {alert}\n        exp_alerts:");
        assert!(fired.contains(&expected), "{alert} fires in no test");
    }
}

#[test]
fn every_alert_has_its_section_in_the_runbook() {
    let alerts = names("ops/dashboards/alerts.yml", "- alert: ");
    assert!(alerts.len() > 8, "{alerts:?}");
    let sections = names("ops/docs/runbook.md", "## ");
    assert_eq!(alerts.iter().collect::<BTreeSet<_>>(), sections.iter().collect::<BTreeSet<_>>());
}
