//! The alert rules are sound, each fires where its cause is, and each has its section in the runbook; dashboards ask for what there is.

#![allow(clippy::unwrap_used, reason = "a test fails where it is surprised")]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use reel_tests::{dashboards, scratch, target_dir, workspace};

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

#[test]
fn dashboards_ask_for_what_is_scraped_in_a_language_that_prometheus_knows() {
    let metrics = names("ops/docs/reference/metrics.md", "| `");
    let metrics: BTreeSet<&str> = metrics.iter().filter_map(|row| row.split('`').next()).collect();
    let mut rules = "groups:\n  - name: dashboards\n    rules:\n".to_owned();
    for (file, dashboard) in dashboards::all() {
        for (title, query) in dashboards::queries(&dashboard) {
            let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            let asked: Vec<&str> = words.filter(|word| word.starts_with("reel_")).collect();
            assert!(asked.iter().all(|metric| metrics.contains(metric)), "{file}, {title}: {query}");
            assert!(!asked.is_empty() || query.contains("up{"), "{file}, {title}: {query}");
            let query = serde_json::Value::from(query);
            rules += &format!("      - {{record: \"x:y\", labels: {{of: {:?}}}, expr: {query}}}\n", title);
        }
    }
    let dir = scratch();
    let path = dir.path().join("rules.yml");
    fs::write(&path, rules).unwrap();
    promtool(&["check", "rules", path.to_str().unwrap()]);
}

#[test]
fn panels_of_dashboards_lie_beside_each_other_and_any_prometheus_may_be_chosen() {
    for (file, dashboard) in dashboards::all() {
        assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource", "{file}");
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: {panel}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{file}: {panel}");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(x + w <= 24 && w * h > 0, "{file}: {panel}");
            let cells = (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y)));
            cells.for_each(|cell| assert!(taken.insert(cell), "{file}: {panel}"));
        }
    }
}
