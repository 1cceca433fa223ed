//! The schemas of events and of the configuration, printed, checked and registered.

use serde_json::{Value, json};

use super::{Config, PATIENCE};
use crate::support::{Servers, Setup};

const ACCOUNT: &str = "name: acme, service: {url: \"http://127.0.0.1:1/v2.0\"}, credentials: {api_key: hunter2}";

#[test]
fn schemas_are_printed_without_a_configuration() {
    let mut process = Setup::new(&["schemas", "print"]).run(PATIENCE);
    assert_eq!(process.exit_code(), 0, "{}", process.stderr());
    assert_eq!(process.stdout(), include_str!("../../../schemas/call_event.avsc"));

    let mut process = Setup::new(&["config", "schema"]).run(PATIENCE);
    assert_eq!(process.exit_code(), 0, "{}", process.stderr());
    let schema: Value = serde_json::from_str(&process.stdout()).unwrap();
    assert!(schema["properties"]["accounts"].is_object(), "{schema}");
}

#[test]
fn what_is_registered_is_found_by_a_configuration_that_may_not_register() {
    let mut config = Config::new().account(ACCOUNT);
    config.schema_registry = ", auto_register: false".to_owned();
    let subject = format!("{}-value", config.calls_topic());

    let mut process = config.run(&["schemas", "check"]);
    assert_eq!(process.exit_code(), 0, "{}", process.stdout());
    assert!(process.stdout().starts_with(&format!("✓ schema {subject}: will be the first version")));

    let mut process = config.run(&["schemas", "register"]);
    assert_eq!(process.exit_code(), 0, "{}", process.stdout());
    let registered = Servers::shared().registry.get(&format!("/subjects/{subject}/versions/latest"));
    let line = format!("✓ schema {subject}: registered with id {}\n", registered["id"]);
    assert_eq!(process.stdout(), line);

    assert_eq!(config.run(&["schemas", "check"]).stdout(), line);
}

#[test]
fn an_unregistered_schema_and_an_incompatible_one_are_told_with_the_remedy() {
    let mut config = Config::new().account(ACCOUNT);
    let subject = format!("{}-value", config.calls_topic());
    config.schema_registry = ", auto_register: false".to_owned();
    let checked = config.run(&["check", "--account", "acme"]);
    let told = checked.stdout();
    assert!(told.contains(&format!("✗ schema {subject}: is not registered")), "{told}");
    assert!(told.contains("    run `callfeed schemas register`"), "{told}");

    let registry = &Servers::shared().registry;
    let other = json!({"type": "record", "name": "CallEvent", "namespace": "callfeed.v1",
                       "fields": [{"name": "event_id", "type": "long"}]});
    registry.register(&subject, &other.to_string());
    let level = json!({"compatibility": "FULL_TRANSITIVE"});
    registry.request(reqwest::Method::PUT, &format!("/config/{subject}"), Some(level));
    for command in ["check", "register"] {
        let mut process = config.run(&["schemas", command]);
        let told = process.stdout();
        assert!(told.starts_with(&format!("✗ schema {subject}: ")) && told.contains("incompatible"), "{told}");
        assert_eq!(told.lines().count(), 2, "{told}");
        assert_eq!(process.exit_code(), 1);
    }
}

#[test]
fn a_registry_that_is_away_is_named() {
    let mut process = Config::offline().account(ACCOUNT).run(&["schemas", "check"]);
    assert!(process.stdout().contains("✗ schema registry: "), "{}", process.stdout());
    assert_eq!(process.exit_code(), 1);
}
