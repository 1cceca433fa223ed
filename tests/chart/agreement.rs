//! The chart says the same as callfeed, and its generated parts are current.

use std::fs;
use std::process::Command;

use callfeed::config::schema::json_schema;
use serde_json::{Value, json};

use super::helm::{CHART, LEAST, ROOT, documents, helm, render, said};

fn values_schema() -> Value {
    serde_json::from_str(&fs::read_to_string(format!("{CHART}/values.schema.json")).unwrap()).unwrap()
}

#[test]
fn the_values_hold_the_schema_that_callfeed_prints() {
    let mut expected = json_schema().to_value();
    expected["$id"] = json!("config.schema.json");
    assert_eq!(values_schema()["properties"]["config"], expected, "run `make chart`");
}

/// Every mapping of the chart's own values refuses what it does not know, but those whose keys a user chooses.
#[test]
fn the_values_are_strict() {
    fn look(schema: &Value, way: &str, found: &mut Vec<String>) {
        for (key, below) in schema.as_object().into_iter().flatten() {
            let way = format!("{way}/{key}");
            if below.get("properties").is_some_and(Value::is_object) && below["additionalProperties"] != json!(false) {
                found.push(way.clone());
            }
            if key != "config" {
                look(below, &way, found);
            }
        }
    }
    let schema = values_schema();
    let mut open = Vec::new();
    look(&json!({ "values": schema }), "", &mut open);
    assert_eq!(open, [""; 0]);
}

#[test]
fn every_value_has_a_key_in_the_schema_and_the_other_way_round() {
    let values = documents(&fs::read_to_string(format!("{CHART}/values.yaml")).unwrap()).remove(0);
    let schema = values_schema();
    let mut known: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    known.retain(|key| *key != "global");
    known.sort();
    let mut given: Vec<&String> = values.as_object().unwrap().keys().collect();
    given.sort();
    assert_eq!(known, given);
}

#[test]
fn the_readme_of_the_chart_is_made_from_its_values() {
    let made = said(&Command::new(format!("{ROOT}/scripts/chart")).arg("readme").output().unwrap());
    let kept = fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    assert_eq!(kept.trim_end(), made.trim_end(), "run `make chart`");
    assert!(kept.contains("| replicas | int | `1` |"), "{kept}");
}

#[test]
fn the_chart_installs_this_version() {
    let chart = documents(&fs::read_to_string(format!("{CHART}/Chart.yaml")).unwrap()).remove(0);
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!(render(&[LEAST]).container()["image"], format!("callfeed:{}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn rules_and_dashboard_arrive_as_they_are() {
    let manifests = render(&[LEAST, "{prometheusRule: {enabled: true}, dashboard: {enabled: true}}"]);
    let rules = fs::read_to_string(format!("{CHART}/rules/callfeed.yaml")).unwrap();
    assert_eq!(manifests.get("PrometheusRule", "callfeed")["spec"], documents(&rules)[0]);
    let dashboard = fs::read_to_string(format!("{CHART}/dashboards/callfeed.json")).unwrap();
    let arrived = &manifests.get("ConfigMap", "callfeed-dashboard")["data"]["callfeed.json"];
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(parse(arrived.as_str().unwrap()), parse(&dashboard));
}

/// The words after an installation name objects that are there.
#[test]
fn the_notes_tell_three_steps_with_names_that_exist() {
    let notes = said(&helm(&["install", "calls", "--dry-run=client", "--namespace", "feeds"], &[LEAST]));
    let notes = notes.split_once("NOTES:").expect("notes").1;
    for step in ["\n1. ", "\n2. ", "\n3. "] {
        assert!(notes.contains(step), "{notes}");
    }
    for words in [
        "kubectl -n feeds rollout status statefulset/calls-callfeed",
        "helm -n feeds test calls",
        "kubectl -n feeds logs calls-callfeed-check",
        "kubectl -n feeds port-forward service/calls-callfeed 9464:9464",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    let text = said(&helm(&["template", "calls"], &[LEAST]));
    let names: Vec<Value> = documents(&text).iter().map(|object| object["metadata"]["name"].clone()).collect();
    for name in ["calls-callfeed", "calls-callfeed-check"] {
        assert!(names.contains(&json!(name)), "{names:?}");
    }
}

#[test]
fn rules_know_a_release_by_the_name_that_it_has() {
    let manifests = render(&[LEAST, "{fullnameOverride: telephony, prometheusRule: {enabled: true}}"]);
    let rules = manifests.get("PrometheusRule", "telephony")["spec"].to_string();
    assert!(rules.contains(r#"up{job=~\".*(callfeed|telephony).*\"}"#), "{rules}");
    assert!(!rules.contains(r#"\".*callfeed.*\""#), "{rules}");
}
