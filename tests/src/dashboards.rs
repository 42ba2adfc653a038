//! The dashboards of Grafana that come with the project.

use serde_json::Value;

use crate::workspace;

/// Each dashboard, by its file.
pub fn all() -> Vec<(&'static str, Value)> {
    let read = |file: &'static str| {
        let text = std::fs::read_to_string(workspace().join("ops/dashboards").join(file)).expect(file);
        (file, serde_json::from_str(&text).expect(file))
    };
    ["farm.json", "schedulers.json"].map(read).to_vec()
}

/// What the panels of a dashboard ask: the title of each, and the query as Prometheus takes it.
pub fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap_or_default().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        // Grafana puts in four times what lies between two scrapes.
        let query =
            |target: &Value| target["expr"].as_str().map(|expr| expr.replace("$__rate_interval", "1m"));
        targets.iter().filter_map(query).map(|query| (title.clone(), query)).collect::<Vec<_>>()
    };
    panels.flat_map(of_panel).collect()
}
