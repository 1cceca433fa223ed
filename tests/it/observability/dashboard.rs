//! The dashboard's structure: what Grafana needs to take it, and what people need to read it. Grafana itself is not asked.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::chart;

const DASHBOARD: &str = "dashboards/callfeed.json";

/// Those that every Grafana that is still looked after has built in.
const PANEL_TYPES: [&str; 6] = ["row", "stat", "timeseries", "table", "bargauge", "text"];

/// Panels that ask nothing.
const SILENT: [&str; 2] = ["row", "text"];

/// The width of the grid.
const COLUMNS: u64 = 24;

/// One query of a panel.
pub struct Target {
    pub panel: String,
    pub expression: String,
    pub is_instant: bool,
}

pub fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(chart(DASHBOARD)).unwrap()).unwrap()
}

pub fn targets() -> Vec<Target> {
    let dashboard = dashboard();
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| Target {
            panel: title.clone(),
            expression: target["expr"].as_str().unwrap().to_owned(),
            is_instant: target["instant"] == true,
        })
    };
    panels(&dashboard).iter().flat_map(of_panel).collect()
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

#[test]
fn the_dashboard_has_what_grafana_asks_for() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 36), "older ones are migrated");
    assert!(dashboard.get("id").is_none_or(Value::is_null), "an id belongs to one Grafana");
    assert_eq!((&dashboard["uid"], &dashboard["title"]), (&"callfeed".into(), &"callfeed".into()));
    assert!(panels(&dashboard).len() > 20);
}

#[test]
fn panels_have_an_id_a_title_and_a_known_type_each() {
    let dashboard = dashboard();
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        let kind = panel["type"].as_str().unwrap();
        assert!(PANEL_TYPES.contains(&kind), "{title}: {kind}");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is another panel's");
        assert!(!title.is_empty() && titles.insert(title), "{title}: the title is another panel's");
    }
}

#[test]
fn panels_stand_side_by_side_and_never_over_each_other() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for panel in panels(&dashboard) {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
        assert!(w > 0 && h > 0 && x + w <= COLUMNS, "{}", panel["title"]);
        for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
            assert!(taken.insert(cell), "{} lies over another panel", panel["title"]);
        }
    }
}

#[test]
fn every_query_goes_to_the_chosen_data_source_and_uses_known_variables() {
    let dashboard = dashboard();
    let variables: Vec<&str> =
        dashboard["templating"]["list"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "job", "account"]);
    for panel in panels(&dashboard) {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        assert_eq!(targets.is_empty(), SILENT.contains(&panel["type"].as_str().unwrap()), "{}", panel["title"]);
        let mut names = BTreeSet::new();
        for target in targets {
            for source in [&target["datasource"], &panel["datasource"]] {
                assert_eq!((&source["type"], &source["uid"]), (&"prometheus".into(), &"${datasource}".into()));
            }
            assert!(names.insert(target["refId"].to_string()), "{}: two queries of one name", panel["title"]);
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("job=~\"$job\""), "{expression}: another callfeed would be mixed in");
            for variable in expression.split('$').skip(1) {
                let name: String = variable.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(variables.contains(&name.as_str()) || name == "__rate_interval", "{expression}: ${name}");
            }
        }
    }
}
