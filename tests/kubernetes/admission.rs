//! A namespace that enforces the restricted Pod Security Standard takes all that the chart makes.

use std::fs;
use std::process::Command;
use std::sync::Once;

use serde_json::{Value, json};

use crate::cluster::{CHART, Namespace, PATIENCE, RELEASE, tools};
use crate::support::eventually;

/// The kinds of the Prometheus operator, once.
fn define_kinds_of_the_operator() {
    static DEFINED: Once = Once::new();
    DEFINED.call_once(|| {
        let kubectl = || Command::new(tools().join("kubectl"));
        let crds = tools().join("crds");
        // What `kubectl apply` would note of such a large object is more than the API server takes.
        let status = kubectl().args(["apply", "--server-side", "--filename"]).arg(crds).status().unwrap();
        assert!(status.success());
        let wait = ["wait", "--for", "condition=Established", "crd", "--all", "--timeout", "60s"];
        assert!(kubectl().args(wait).status().unwrap().success());
    });
}

#[test]
fn every_pod_of_every_example_is_admitted() {
    define_kinds_of_the_operator();
    let mut n_examples = 0;
    for entry in fs::read_dir(format!("{CHART}/examples")).unwrap() {
        let path = entry.unwrap().path();
        let namespace = Namespace::new();
        let options = ["--wait", "--timeout", "3m", "--values", path.to_str().unwrap()];
        let output = namespace.try_helm("install", &[], &options);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {told}", path.display());
        assert!(!told.contains("violate"), "{told}");
        let n_replicas = namespace.get("statefulset", RELEASE)["spec"]["replicas"].as_u64().unwrap();
        assert_eq!(namespace.pods().len() as u64, n_replicas);
        namespace.helm("test", &[]);
        n_examples += 1;
    }
    assert!(n_examples >= 5);
}

#[test]
fn a_pod_with_more_rights_is_not_admitted() {
    let namespace = Namespace::new();
    let pod = |security: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "free"},
            "spec": {"containers": [{"name": "a", "image": "a", "securityContext": security}]},
        })
    };
    let told = namespace.refused(&pod(json!({})));
    assert!(told.contains("violates PodSecurity \"restricted"), "{told}");
}

#[test]
fn drains_take_one_pod_at_a_time() {
    let namespace = Namespace::new();
    namespace.upgrade(&[&crate::cluster::values(3, &["acme"])]);
    let allowed = || {
        let budget = namespace.get("poddisruptionbudget", RELEASE);
        (budget["status"]["currentHealthy"] == 3).then(|| budget["status"]["disruptionsAllowed"].clone())
    };
    assert_eq!(eventually("the budget", PATIENCE, allowed), 1);
}
