//! The pods of the chart at work: containers made of what the API server holds, against the real Kafka.

use serde_json::{Value, json};

use crate::cluster::{Namespace, PATIENCE, RELEASE};
use crate::delivery::feed::{Feed, account, api_key, history, standing_with};
use crate::pods::Pod;
use crate::support::{Container, block_on, containers_run_here, eventually, free_port};

/// The values for a feed: keys in Secrets that are there, as a variable and as a file.
fn values(feed: &Feed, port: u16) -> Value {
    let mut config = feed.config.clone();
    config["admin"] = json!({"listen": format!("0.0.0.0:{port}")});
    config["accounts"][0]["credentials"] = json!({"api_key": {"env": "ACME_KEY"}});
    config["accounts"][1]["credentials"] = json!({"api_key": {"file": "/run/secrets/callfeed/accounts/other"}});
    json!({
        "config": config,
        "secrets": {
            "env": {"ACME_KEY": {"secret": "accounts", "key": "acme"}},
            "files": {"accounts": {"secret": "accounts", "keys": ["other"]}},
        },
    })
}

/// The Secret with the keys of both accounts.
fn accounts() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "accounts"},
        "stringData": {"acme": api_key("acme"), "other": api_key("other")},
    })
}

/// What the port answers, if it does.
fn ask((path, port): (String, u16)) -> Option<(u16, String)> {
    block_on(async move {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("http://127.0.0.1:{port}{path}")).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    })
}

#[test]
fn calls_flow_a_changed_configuration_is_followed_and_sigterm_ends_it_in_time() {
    if !containers_run_here() {
        return;
    }
    let namespace = Namespace::new();
    namespace.create(&accounts());
    let feed = Feed::of(standing_with(vec![account("acme", history(40)), account("other", history(20))]));
    let all = values(&feed, free_port());
    let mut first = all.clone();
    first["config"]["accounts"].as_array_mut().unwrap().truncate(1);
    namespace.upgrade(&[&first]);

    let pod = Pod::new(&namespace, namespace.pods().remove(0));
    let peers = format!("{RELEASE}-headless.{}.svc", namespace.name);
    let mut container = Container::start(&pod.to_container(&[&peers]));
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        eventually(probe, PATIENCE, || ask(pod.probe(probe)).filter(|(status, _)| *status == 200));
    }
    feed.wait_for_rereading("acme");
    let n_first = feed.events().len();

    namespace.upgrade(&[&all]);
    assert_eq!(namespace.pod_ids(), [pod.id()]);
    pod.write_volumes();
    feed.wait_for_rereading_of(&["acme", "other"]);
    let (_, port) = pod.probe("readinessProbe");
    let (_, status) = ask(("/api/v1/accounts".to_owned(), port)).unwrap();

    container.terminate();
    container.wait_exit(pod.grace_period());

    assert_eq!(container.exit_code(), 0, "{}", container.stderr());
    assert_eq!(n_first, 40);
    assert_eq!(feed.assert_equals_truth(), 60);
    assert!(status.contains("\"acme\"") && status.contains("\"other\""), "{status}");
    assert!(container.stderr().contains("callfeed-0"), "the pod's name is not in the log: {}", container.stderr());
}

#[test]
fn the_pod_of_helm_test_finds_all_in_order() {
    if !containers_run_here() {
        return;
    }
    let namespace = Namespace::new();
    namespace.create(&accounts());
    let feed = Feed::of(standing_with(vec![account("acme", history(20)), account("other", history(5))]));
    namespace.upgrade(&[&values(&feed, free_port())]);
    // helm removes it when it has passed, which it does here without having run.
    let pod = Pod::new(&namespace, namespace.pod_of_helm_test());
    let peers = format!("{RELEASE}-headless.{}.svc", namespace.name);

    let mut container = Container::start(&pod.to_container(&[&peers]));
    container.wait_exit(PATIENCE);

    assert_eq!(container.exit_code(), 0, "{}{}", container.stdout(), container.stderr());
    assert!(
        container.stdout().contains("✓ acme rights") && !container.stdout().contains('✗'),
        "{}",
        container.stdout()
    );
}
