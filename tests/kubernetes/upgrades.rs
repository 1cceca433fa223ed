//! Which pods an upgrade replaces, how, and what happens when it fails.

use serde_json::json;

use crate::cluster::{Namespace, PATIENCE, RELEASE, values};
use crate::support::eventually;

fn configuration(namespace: &Namespace) -> String {
    namespace.get("configmap", RELEASE)["data"]["callfeed.yaml"].as_str().unwrap().to_owned()
}

#[test]
fn other_accounts_replace_no_pod() {
    let namespace = Namespace::new();
    namespace.upgrade(&[&values(3, &["acme"])]);
    let before = namespace.pod_ids();

    namespace.upgrade(&[&values(3, &["acme", "globex"])]);

    assert!(configuration(&namespace).contains("globex"));
    let revision = namespace.get("statefulset", RELEASE);
    assert_eq!(revision["status"]["currentRevision"], revision["status"]["updateRevision"]);
    assert_eq!(namespace.pod_ids(), before);
}

#[test]
fn a_key_that_needs_a_restart_replaces_all_pods() {
    let namespace = Namespace::new();
    namespace.upgrade(&[&values(3, &["acme"])]);
    let before = namespace.pod_ids();

    namespace.upgrade(&[&values(3, &["acme"]), &json!({"config": {"kafka": {"group_id": "other"}}})]);

    let after = namespace.pod_ids();
    assert!(after.len() == 3 && after.iter().all(|pod| !before.contains(pod)), "{before:?} {after:?}");
}

#[test]
fn another_image_and_the_way_back_replace_all_pods() {
    let namespace = Namespace::new();
    namespace.upgrade(&[&values(3, &["acme"])]);
    let (before, images) = (namespace.pod_ids(), namespace.images());

    let change = json!({"image": {"tag": "next"}, "config": {"log": {"level": "debug"}}});
    namespace.upgrade(&[&values(3, &["acme", "globex"]), &change]);
    assert_eq!(namespace.images(), ["callfeed:next"; 3]);
    let between = namespace.pod_ids();
    assert!(between.iter().all(|pod| !before.contains(pod)));

    namespace.helm("rollback", &["1", "--wait", "--timeout", "3m"]);
    assert_eq!(namespace.images(), images);
    assert!(namespace.pod_ids().iter().all(|pod| !between.contains(pod)));
    assert!(!configuration(&namespace).contains("globex"));
}

/// One pod at a time, so the others still work when the first new one does not. Without `podManagementPolicy: Parallel` the rollback
/// would wait for it for ever.
#[test]
fn an_upgrade_that_fails_goes_back_by_itself_and_has_replaced_one_pod() {
    let namespace = Namespace::new();
    namespace.upgrade(&[&values(3, &["acme"])]);
    let (before, images) = (namespace.pod_ids(), namespace.images());

    let broken = json!({"image": {"tag": "broken"}});
    let options = ["--wait", "--rollback-on-failure", "--timeout", "20s"];
    let output = namespace.try_helm("upgrade", &[&values(3, &["acme", "globex"]), &broken], &options);

    assert!(!output.status.success());
    let is_ready = || (namespace.get("statefulset", RELEASE)["status"]["readyReplicas"] == 3).then_some(());
    eventually("all pods to be ready again", PATIENCE, is_ready);
    assert_eq!(namespace.images(), images);
    let after = namespace.pod_ids();
    assert_eq!(after[..2], before[..2]);
    assert_ne!(after[2], before[2]);
    assert!(!configuration(&namespace).contains("globex"));
}

#[test]
fn a_fault_in_the_configuration_stops_an_upgrade_before_anything_changes() {
    let namespace = Namespace::new();
    namespace.upgrade(&[&values(1, &["acme"])]);
    let before = (namespace.pod_ids(), configuration(&namespace));

    let fault = json!({"config": {"accounts": [{"name": "acme", "service": "uis", "filters": {"include": "primry"}}]}});
    let output = namespace.try_helm("upgrade", &[&values(1, &["acme"]), &fault], &[]);

    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("at '/config/accounts/0/filters/include'"), "{told}");
    assert!(told.contains("at '/config/accounts/0': missing property 'credentials'"), "{told}");
    assert_eq!((namespace.pod_ids(), configuration(&namespace)), before);
}
