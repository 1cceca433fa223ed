//! The alerts: each says what to do, and is tested to fire and not to fire.

use std::collections::BTreeSet;
use std::fs;

use saphyr::{LoadableYamlNode, YamlOwned};

use super::chart;
use crate::support::promtool;

pub const RULES: &str = "rules/callfeed.yaml";

const TESTS: [&str; 2] = ["tests/data/rules/callfeed_test.yaml", "tests/data/rules/callfeed_weeks_test.yaml"];

/// One rule of the file.
pub struct Rule {
    pub name: String,
    pub is_alert: bool,
    pub expression: String,
    node: YamlOwned,
}

/// All rules, in their order.
pub fn all() -> Vec<Rule> {
    let text = fs::read_to_string(chart(RULES)).unwrap();
    let documents = YamlOwned::load_from_str(&text).unwrap();
    let groups = documents[0].as_mapping_get("groups").unwrap().as_sequence().unwrap();
    groups.iter().flat_map(|group| group.as_mapping_get("rules").unwrap().as_sequence().unwrap()).map(rule).collect()
}

fn rule(node: &YamlOwned) -> Rule {
    let text = |key: &str| node.as_mapping_get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let (alert, record) = (text("alert"), text("record"));
    let is_alert = alert.is_some();
    let name = alert.or(record).expect("a rule has a name");
    Rule { name, is_alert, expression: text("expr").unwrap(), node: node.clone() }
}

#[test]
fn prometheus_takes_the_rules() {
    let output = promtool(&["check", "rules", chart(RULES).to_str().unwrap()], "");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn alerts_fire_when_they_should_and_not_before() {
    let output = promtool(&[&["test", "rules"], &TESTS[..]].concat(), "");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.matches("SUCCESS").count(), TESTS.len(), "{said}");
}

#[test]
fn each_alert_is_tested_to_fire_and_not_to_fire() {
    let tests =
        TESTS.map(|path| fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()).concat();
    for alert in all().iter().filter(|rule| rule.is_alert) {
        let named = format!("alertname=\"{}\"", alert.name);
        let expected: BTreeSet<bool> = tests
            .split("- eval_time:")
            .filter(|check| check.contains(&named))
            .map(|check| check.contains("exp_samples: []"))
            .collect();
        assert_eq!(expected, BTreeSet::from([false, true]), "{}", alert.name);
    }
}

#[test]
fn each_alert_says_how_grave_it_is_and_what_to_do() {
    let alerts: Vec<Rule> = all().into_iter().filter(|rule| rule.is_alert).collect();
    assert!(alerts.len() > 10, "{}", alerts.len());
    for alert in &alerts {
        let (name, node) = (&alert.name, &alert.node);
        let below = |key: &str, inner: &str| {
            node.as_mapping_get(key).and_then(|map| map.as_mapping_get(inner)?.as_str().map(str::to_owned))
        };
        let severity = below("labels", "severity").unwrap_or_default();
        assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{name}: {severity}");
        for (key, least) in [("summary", 20), ("description", 60), ("action", 60)] {
            let text = below("annotations", key).unwrap_or_default();
            assert!(text.len() >= least, "{name}: {key} says too little: {text}");
        }
    }
}

/// The sections of the README that alerts send people to.
#[test]
fn each_alert_names_a_section_that_there_is() {
    let readme = include_str!("../../../README.md");
    let sections: Vec<&str> = readme.lines().filter(|line| line.starts_with("##")).collect();
    for alert in all().iter().filter(|rule| rule.is_alert) {
        let action = alert.node.as_mapping_get("annotations").unwrap().as_mapping_get("action").unwrap();
        let (_, section) = action.as_str().unwrap().rsplit_once("README, ").expect("an action names a section");
        let title = section.trim_end_matches('.');
        assert!(sections.iter().any(|line| line.trim_start_matches(['#', ' ']) == title), "{}: {title}", alert.name);
    }
}
