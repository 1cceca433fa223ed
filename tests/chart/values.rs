//! Each of the chart's own values: what it stands for is not there by default, and is there when it is set.

use std::fs;

use serde_json::{Value, json};

use super::helm::{CHART, LEAST, Manifests, documents, render};

/// A value, and what is rendered then: the kind of the object, where in it, and what stands there.
struct Pair {
    values: &'static str,
    kind: &'static str,
    at: &'static str,
    then: Value,
}

fn pair(values: &'static str, kind: &'static str, at: &'static str, then: Value) -> Pair {
    Pair { values, kind, at, then }
}

const POD: &str = "/spec/template/spec";
const CALLFEED: &str = "/spec/template/spec/containers/0";

/// Where in a StatefulSet, for short: `pod:` is its pod, `callfeed:` is the container.
fn pointer(at: &str) -> String {
    at.replace("pod:", POD).replace("callfeed:", CALLFEED)
}

fn of_the_statefulset() -> Vec<Pair> {
    let set = |values, at, then| pair(values, "StatefulSet/callfeed", at, then);
    let secret_key = |name: &str, key: &str| json!({"secretKeyRef": {"name": name, "key": key}});
    let toleration = json!({"key": "a", "operator": "Exists"});
    vec![
        set("{replicas: 3}", "/spec/replicas", json!(3)),
        set("{annotations: {a: b}}", "/metadata/annotations/a", json!("b")),
        set("{labels: {team: calls}}", "/metadata/labels/team", json!("calls")),
        set("{labels: {team: calls}}", "/spec/template/metadata/labels/team", json!("calls")),
        set("{podLabels: {a: b}}", "/spec/template/metadata/labels/a", json!("b")),
        set("{podAnnotations: {a: b}}", "/spec/template/metadata/annotations/a", json!("b")),
        set(
            "{updateStrategy: {rollingUpdate: {partition: 1}}}",
            "/spec/updateStrategy/rollingUpdate/partition",
            json!(1),
        ),
        set("{image: {repository: example.com/feed}}", "callfeed:/image", json!("example.com/feed:0.1.0")),
        set("{image: {tag: x}}", "callfeed:/image", json!("callfeed:x")),
        set(DIGEST, "callfeed:/image", json!(format!("callfeed@sha256:{}", "0".repeat(64)))),
        set("{image: {pullPolicy: Always}}", "callfeed:/imagePullPolicy", json!("Always")),
        set("{imagePullSecrets: [{name: x}]}", "pod:/imagePullSecrets", json!([{"name": "x"}])),
        set("{secrets: {env: {KEY: {secret: x, key: k}}}}", "callfeed:/env/1/valueFrom", secret_key("x", "k")),
        set("{secrets: {env: {KEY: {secret: x, key: k}}}}", "callfeed:/env/1/name", json!("KEY")),
        set(
            "{secrets: {files: {x: {secret: s}}}}",
            "callfeed:/volumeMounts/1/mountPath",
            json!("/run/secrets/callfeed/x"),
        ),
        set("{secrets: {files: {x: {secret: s}}}}", "pod:/volumes/1/secret/secretName", json!("s")),
        set(KEYS, "pod:/volumes/1/secret/items", json!([{"key": "z", "path": "z"}])),
        set("{secrets: {values: {KEY: x}}}", "callfeed:/envFrom/0/secretRef/name", json!("callfeed")),
        set("{resources: {limits: {cpu: 2}}}", "callfeed:/resources/limits/cpu", json!(2)),
        set("{terminationGracePeriodSeconds: 90}", "pod:/terminationGracePeriodSeconds", json!(90)),
        set("{probes: {startup: {failureThreshold: 7}}}", "callfeed:/startupProbe/failureThreshold", json!(7)),
        set("{probes: {liveness: {periodSeconds: 7}}}", "callfeed:/livenessProbe/periodSeconds", json!(7)),
        set("{probes: {readiness: {periodSeconds: 7}}}", "callfeed:/readinessProbe/periodSeconds", json!(7)),
        set("{serviceAccount: {create: false}}", "pod:/serviceAccountName", json!("default")),
        set("{serviceAccount: {name: own}}", "pod:/serviceAccountName", json!("own")),
        set("{topologySpreadConstraints: [{maxSkew: 2}]}", "pod:/topologySpreadConstraints/0/maxSkew", json!(2)),
        set("{nodeSelector: {a: b}}", "pod:/nodeSelector/a", json!("b")),
        set("{affinity: {nodeAffinity: {a: b}}}", "pod:/affinity/nodeAffinity/a", json!("b")),
        set("{tolerations: [{key: a, operator: Exists}]}", "pod:/tolerations/0", toleration),
        set("{priorityClassName: high}", "pod:/priorityClassName", json!("high")),
        set("{extraEnv: [{name: A, value: b}]}", "callfeed:/env/1", json!({"name": "A", "value": "b"})),
        set("{extraEnvFrom: [{configMapRef: {name: a}}]}", "callfeed:/envFrom/0/configMapRef/name", json!("a")),
        set("{extraVolumes: [{name: a, emptyDir: {}}]}", "pod:/volumes/1", json!({"name": "a", "emptyDir": {}})),
        set("{extraVolumeMounts: [{name: a, mountPath: /a}]}", "callfeed:/volumeMounts/1/mountPath", json!("/a")),
        set("{extraContainers: [{name: a}]}", "pod:/containers/1/name", json!("a")),
        set("{initContainers: [{name: a}]}", "pod:/initContainers/0/name", json!("a")),
    ]
}

const DIGEST: &str = "{image: {digest: 'sha256:0000000000000000000000000000000000000000000000000000000000000000'}}";
const KEYS: &str = "{secrets: {files: {x: {secret: s, keys: [z]}}}}";

fn of_other_objects() -> Vec<Pair> {
    let account = "ServiceAccount/callfeed";
    let policy = |values, at, then| pair(values, "NetworkPolicy/callfeed", at, then);
    let monitor = |values, at, then| pair(values, "PodMonitor/callfeed", at, then);
    let peer = json!([{"podSelector": {}}]);
    vec![
        pair(
            "{nameOverride: other}",
            "StatefulSet/callfeed-other",
            "/spec/serviceName",
            json!("callfeed-other-headless"),
        ),
        pair("{fullnameOverride: feed}", "StatefulSet/feed", "/spec/serviceName", json!("feed-headless")),
        pair("{secrets: {values: {KEY: text}}}", "Secret/callfeed", "/data/KEY", json!("dGV4dA==")),
        pair("{serviceAccount: {annotations: {a: b}}}", account, "/metadata/annotations/a", json!("b")),
        pair("{service: {type: NodePort}}", "Service/callfeed", "/spec/type", json!("NodePort")),
        pair("{service: {port: 80}}", "Service/callfeed", "/spec/ports/0/port", json!(80)),
        pair("{service: {annotations: {a: b}}}", "Service/callfeed", "/metadata/annotations/a", json!("b")),
        pair(
            "{podDisruptionBudget: {maxUnavailable: 50%}}",
            "PodDisruptionBudget/callfeed",
            "/spec/maxUnavailable",
            json!("50%"),
        ),
        policy("{networkPolicy: {enabled: true}}", "/spec/policyTypes", json!(["Ingress", "Egress"])),
        policy("{networkPolicy: {enabled: true, dns: {to: [{podSelector: {}}]}}}", "/spec/egress/1/to", peer.clone()),
        policy("{networkPolicy: {enabled: true, dns: {ports: [5353]}}}", "/spec/egress/1/ports/1/port", json!(5353)),
        policy("{networkPolicy: {enabled: true, kafka: {to: [{podSelector: {}}]}}}", "/spec/egress/2/to", peer.clone()),
        policy("{networkPolicy: {enabled: true, kafka: {ports: [1, 2]}}}", "/spec/egress/2/ports/1/port", json!(2)),
        policy(
            "{networkPolicy: {enabled: true, schemaRegistry: {to: [{podSelector: {}}]}}}",
            "/spec/egress/3/to",
            peer.clone(),
        ),
        policy(
            "{networkPolicy: {enabled: true, schemaRegistry: {ports: [1]}}}",
            "/spec/egress/3/ports/0/port",
            json!(1),
        ),
        policy(
            "{networkPolicy: {enabled: true, dataApi: {to: [{podSelector: {}}]}}}",
            "/spec/egress/4/to",
            peer.clone(),
        ),
        policy("{networkPolicy: {enabled: true, dataApi: {ports: [1]}}}", "/spec/egress/4/ports/0/port", json!(1)),
        policy(
            "{networkPolicy: {enabled: true, prometheus: {from: [{a: b}]}}}",
            "/spec/ingress/0/from/1",
            json!({"a": "b"}),
        ),
        policy("{networkPolicy: {enabled: true, extraIngress: [{a: b}]}}", "/spec/ingress/1", json!({"a": "b"})),
        policy("{networkPolicy: {enabled: true, extraEgress: [{a: b}]}}", "/spec/egress/5", json!({"a": "b"})),
        monitor("{podMonitor: {enabled: true}}", "/spec/podMetricsEndpoints/0/port", json!("admin")),
        monitor("{podMonitor: {enabled: true, labels: {a: b}}}", "/metadata/labels/a", json!("b")),
        monitor("{podMonitor: {enabled: true, interval: 5s}}", "/spec/podMetricsEndpoints/0/interval", json!("5s")),
        monitor(
            "{podMonitor: {enabled: true, relabelings: [{a: b}]}}",
            "/spec/podMetricsEndpoints/0/relabelings/0/a",
            json!("b"),
        ),
        monitor(
            "{podMonitor: {enabled: true, metricRelabelings: [{a: b}]}}",
            "/spec/podMetricsEndpoints/0/metricRelabelings/0/a",
            json!("b"),
        ),
        pair("{prometheusRule: {enabled: true}}", "PrometheusRule/callfeed", "/kind", json!("PrometheusRule")),
        pair(
            "{prometheusRule: {enabled: true, labels: {a: b}}}",
            "PrometheusRule/callfeed",
            "/metadata/labels/a",
            json!("b"),
        ),
        pair(
            "{dashboard: {enabled: true}}",
            "ConfigMap/callfeed-dashboard",
            "/metadata/labels/grafana_dashboard",
            json!("1"),
        ),
        pair(
            "{dashboard: {enabled: true, labels: {a: b}}}",
            "ConfigMap/callfeed-dashboard",
            "/metadata/labels/a",
            json!("b"),
        ),
        pair(
            "{dashboard: {enabled: true, annotations: {a: b}}}",
            "ConfigMap/callfeed-dashboard",
            "/metadata/annotations/a",
            json!("b"),
        ),
    ]
}

fn pairs() -> Vec<Pair> {
    of_the_statefulset().into_iter().chain(of_other_objects()).collect()
}

fn look_up<'a>(manifests: &'a Manifests, pair: &Pair) -> Option<&'a Value> {
    let (kind, name) = pair.kind.split_once('/').unwrap();
    manifests.find(kind, name)?.pointer(&pointer(pair.at))
}

#[test]
fn each_value_is_absent_by_default_and_present_when_it_is_set() {
    let default = render(&[LEAST]);
    for pair in pairs() {
        assert_ne!(look_up(&default, &pair), Some(&pair.then), "{}", pair.values);
        assert_eq!(look_up(&render(&[LEAST, pair.values]), &pair), Some(&pair.then), "{}", pair.values);
    }
}

/// What can be switched off, beside what can be switched on.
#[test]
fn what_is_there_by_default_can_be_left_out() {
    let default = render(&[LEAST]);
    for (values, kind) in [
        ("{serviceAccount: {create: false}}", "ServiceAccount"),
        ("{podDisruptionBudget: {enabled: false}}", "PodDisruptionBudget"),
    ] {
        assert!(default.find(kind, "callfeed").is_some(), "{kind}");
        assert!(render(&[LEAST, values]).find(kind, "callfeed").is_none(), "{kind}");
    }
}

/// The ways to all values that hold nothing further, such as `/image/tag`.
fn leaves(value: &Value, way: &str, found: &mut Vec<String>) {
    match value.as_object().filter(|map| !map.is_empty()) {
        Some(map) => map.iter().for_each(|(key, below)| leaves(below, &format!("{way}/{key}"), found)),
        None => found.push(way.to_owned()),
    }
}

#[test]
fn no_value_is_without_such_a_test() {
    let values = documents(&fs::read_to_string(format!("{CHART}/values.yaml")).unwrap()).remove(0);
    let mut all = Vec::new();
    leaves(&values, "", &mut all);
    assert!(all.len() > 50, "{}", all.len());
    let mut tested =
        vec!["/config".to_owned(), "/podDisruptionBudget/enabled".to_owned(), "/updateStrategy/type".to_owned()];
    pairs().iter().for_each(|pair| leaves(&documents(pair.values)[0], "", &mut tested));
    // Whatever is below these arrives in one piece.
    let pieces = ["/resources", "/probes/startup", "/probes/liveness", "/probes/readiness", "/dashboard/labels"];
    let is_tested = |way: &&String| {
        let piece = pieces.into_iter().find(|piece| way.starts_with(piece)).unwrap_or(way);
        tested.iter().any(|other| other == piece || other.starts_with(&format!("{piece}/")))
    };
    let untested: Vec<&String> = all.iter().filter(|way| !is_tested(way)).collect();
    assert_eq!(untested, [""; 0]);
}

#[test]
fn the_network_policy_names_the_ports_of_the_configuration() {
    let config =
        "config: {kafka: {bootstrap_servers: 'a:9093,b:9094, c'}, schema_registry: {url: 'https://registry/x'},
        accounts: [{name: a, credentials: {api_key: k}, service: {url: 'http://10.0.0.1:8099/v2.0'}}],
        http: {proxy: 'http://proxy:3128'}, admin: {listen: '0.0.0.0:8080'}}";
    let manifests = render(&[LEAST, config, "networkPolicy: {enabled: true}"]);
    let policy = &manifests.get("NetworkPolicy", "callfeed")["spec"];
    let ports = |rule: &Value| -> Vec<i64> {
        rule["ports"].as_array().unwrap().iter().map(|port| port["port"].as_i64().unwrap()).collect()
    };
    let egress: Vec<Vec<i64>> = policy["egress"].as_array().unwrap().iter().map(ports).collect();
    assert_eq!(egress, [vec![8080], vec![53, 53], vec![9092, 9093, 9094], vec![443], vec![3128, 443, 8099]]);
    assert_eq!(policy["ingress"].as_array().unwrap().len(), 1);
    assert_eq!(policy["ingress"][0]["ports"], json!([{"protocol": "TCP", "port": "admin"}]));
    assert_eq!(manifests.container()["ports"], json!([{"name": "admin", "containerPort": 8080}]));
    assert!(manifests.config().contains("peers: callfeed-headless.default.svc:8080"));
}

#[test]
fn keys_that_a_cluster_needs_are_set_unless_the_configuration_has_its_own() {
    let manifests = render(&[LEAST]);
    let own = render(&[LEAST, "config: {kafka: {instance_id: x}, admin: {listen: '0.0.0.0:1', peers: 'a:1'}}"]);
    let read = |manifests: &Manifests| documents(manifests.config()).remove(0);
    assert_eq!(read(&manifests)["kafka"]["instance_id"], json!({"env": "POD_NAME"}));
    assert_eq!(
        read(&manifests)["admin"],
        json!({"listen": "0.0.0.0:9464", "peers": "callfeed-headless.default.svc:9464"})
    );
    assert_eq!(read(&own)["kafka"]["instance_id"], "x");
    assert_eq!(read(&own)["admin"], json!({"listen": "0.0.0.0:1", "peers": "a:1"}));
}
