//! A changed configuration replaces pods exactly where callfeed cannot follow it while it runs.

use callfeed::config::{Config, keys_that_need_a_restart};

use super::helm::{LEAST, Manifests, render};

fn config(manifests: &Manifests) -> Config {
    callfeed::config::parse(manifests.config(), &|name| Some(format!("the value of {name}"))).unwrap()
}

#[test]
fn pods_are_replaced_where_callfeed_needs_a_restart_and_nowhere_else() {
    let account = "{name: acme, service: comagic, credentials: {api_key: {env: ACME_KEY}}";
    let rows = [
        (format!("accounts: [{account}, filters: {{include: tagged}}}}]"), false),
        (format!("accounts: [{account}}}, {{name: more, service: uis, credentials: {{api_key: a}}}}]"), false),
        ("defaults: {poll: {page_size: 7}}".to_owned(), false),
        ("topics: {calls: other}".to_owned(), false),
        ("kafka: {group_id: other}".to_owned(), true),
        ("kafka: {properties: {security.protocol: ssl}}".to_owned(), true),
        ("kafka: {instance_id: {env: NODE_NAME}}".to_owned(), true),
        ("schema_registry: {auto_register: false}".to_owned(), true),
        ("admin: {token: {env: TOKEN}}".to_owned(), true),
        ("admin: {listen: '0.0.0.0:8080'}".to_owned(), true),
        ("metrics: {per_account: false}".to_owned(), true),
        ("limits: {memory: 32MiB}".to_owned(), true),
        ("http: {timeout: 5s}".to_owned(), true),
        ("log: {format: json}".to_owned(), true),
    ];
    let before = render(&[LEAST]);
    for (change, is_restart) in rows {
        let after = render(&[LEAST, &format!("config: {{{change}}}")]);
        assert_ne!(before.config(), after.config(), "{change}");
        assert_eq!(before.pod() != after.pod(), is_restart, "{change}");
        let keys = keys_that_need_a_restart(&config(&before), &config(&after));
        assert_eq!(!keys.is_empty(), is_restart, "{change}: {keys:?}");
    }
}

/// All keys at the top are in one of the two lists, so that a new one is thought of here.
#[test]
fn every_part_of_the_configuration_is_known_to_need_a_restart_or_not() {
    let schema = callfeed::config::schema::json_schema().to_value();
    let parts: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let followed = ["topics", "defaults", "accounts"];
    let restarted = ["kafka", "schema_registry", "admin", "metrics", "limits", "http", "log"];
    let known: Vec<&str> = followed.into_iter().chain(restarted).collect();
    assert!(parts.iter().all(|part| known.contains(&part.as_str())), "{parts:?}");
    assert_eq!(parts.len(), known.len());
}

#[test]
fn a_secret_that_is_made_from_values_replaces_pods_when_it_changes() {
    let of = |values: &str| render(&[LEAST, values]).pod().clone();
    let before = of("secrets: {values: {ACME_KEY: one}}");
    assert_eq!(before, of("secrets: {values: {ACME_KEY: one}}"));
    assert_ne!(before, of("secrets: {values: {ACME_KEY: two}}"));
}

#[test]
fn another_version_of_the_chart_alone_replaces_no_pod() {
    let manifests = render(&[LEAST]);
    let labels = manifests.pod()["metadata"]["labels"].as_object().unwrap();
    assert!(!labels.contains_key("helm.sh/chart") && !labels.contains_key("app.kubernetes.io/version"), "{labels:?}");
}

#[test]
fn the_configuration_is_mounted_as_a_folder_so_that_a_change_arrives() {
    let manifests = render(&[LEAST]);
    let mount = &manifests.container()["volumeMounts"][0];
    assert_eq!(mount["mountPath"], "/etc/callfeed");
    assert!(mount.get("subPath").is_none());
    assert_eq!(manifests.container()["args"], serde_json::json!(["run", "--config", "/etc/callfeed/callfeed.yaml"]));
}
