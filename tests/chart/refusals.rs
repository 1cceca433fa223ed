//! What helm refuses before anything runs, and where it says the fault is.

use super::helm::{LEAST, refusal};

const ACCOUNT: &str = "name: acme, service: comagic";

/// The least, with one account's keys.
fn account(keys: &str) -> String {
    format!("config: {{accounts: [{{{keys}}}]}}")
}

#[test]
fn a_fault_in_the_configuration_is_refused_with_its_place() {
    let key = "credentials: {api_key: {env: KEY}}";
    let rows = [
        (
            format!("{ACCOUNT}, {key}, filters: {{chanels: {{dynamic: true}}}}"),
            "/config/accounts/0/filters",
            "'chanels'",
        ),
        (format!("{ACCOUNT}, {key}, filters: {{include: primry}}"), "/config/accounts/0/filters/include", "'primary'"),
        (format!("{ACCOUNT}, {key}, filtres: {{}}"), "/config/accounts/0", "'filtres'"),
        (ACCOUNT.to_owned(), "/config/accounts/0", "'credentials'"),
        (format!("{ACCOUNT}, credentials: {{}}"), "/config/accounts/0/credentials", "'api_key'"),
        (format!("{ACCOUNT}, credentials: {{login: me}}"), "/config/accounts/0/credentials", "'password'"),
        (format!("{ACCOUNT}, credentials: {{api_key: }}"), "/config/accounts/0/credentials", "oneOf"),
        (format!("{ACCOUNT}, credentials: {{login: , password: }}"), "/config/accounts/0/credentials", "oneOf"),
        (format!("{key}, service: uis"), "/config/accounts/0", "'name'"),
        (format!("{key}, name: Acme"), "/config/accounts/0/name", "pattern"),
        (format!("{ACCOUNT}, {key}, poll: {{page_size: 20000}}"), "/config/accounts/0/poll/page_size", "10,000"),
    ];
    for (keys, place, words) in rows {
        let told = refusal(&[LEAST, &account(&keys)]);
        assert!(told.contains(&format!("at '{place}'")), "{keys}: {told}");
        assert!(told.contains(words), "{keys}: {told}");
    }
}

#[test]
fn without_a_configuration_its_required_keys_are_named() {
    let told = refusal(&[]);
    for words in ["at '/config'", "'kafka'", "'schema_registry'", "'accounts'"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn a_fault_in_the_values_is_refused_with_its_place() {
    let rows = [
        ("{replica: 3}", "", "'replica'"),
        ("{replicas: x}", "/replicas", "integer"),
        ("{image: {tags: x}}", "/image", "'tags'"),
        ("{image: {digest: 'sha256:12'}}", "/image/digest", "pattern"),
        ("{secrets: {env: {KEY: {name: x, key: k}}}}", "/secrets/env/KEY", "'secret'"),
        ("{secrets: {env: {A-B: {secret: x, key: k}}}}", "/secrets/env", "A-B"),
        ("{secrets: {files: {a/b: {secret: x}}}}", "/secrets/files", "a/b"),
        ("{secrets: {values: {KEY: 1}}}", "/secrets/values/KEY", "string"),
        ("{terminationGracePeriodSeconds: 5}", "/terminationGracePeriodSeconds", "15"),
        ("{networkPolicy: {kafka: {port: 1}}}", "/networkPolicy/kafka", "'port'"),
        ("{service: {type: ExternalName}}", "/service/type", "'ClusterIP'"),
        ("{podMonitor: {interval: '30'}}", "/podMonitor/interval", "pattern"),
        ("{probes: {startup: {httpGet: {}}}}", "/probes/startup", "'httpGet'"),
        ("{probes: {liveness: null}}", "/probes", "'liveness'"),
        ("{podDisruptionBudget: {maxUnavailable: null}}", "/podDisruptionBudget", "'maxUnavailable'"),
        ("{image: null}", "", "'image'"),
        ("{networkPolicy: {dns: {ports: []}}}", "/networkPolicy/dns/ports", "minItems"),
        ("{fullnameOverride: Upper_Case}", "/fullnameOverride", "pattern"),
        ("{config: {kafka: {bootstrap_servers: null}}}", "/config/kafka/bootstrap_servers", "want string"),
        ("{config: {schema_registry: {url: ''}}}", "/config/schema_registry/url", "minLength"),
    ];
    for (values, place, words) in rows {
        let told = refusal(&[LEAST, values]);
        assert!(told.contains(&format!("at '{place}'")), "{values}: {told}");
        assert!(told.contains(words), "{values}: {told}");
    }
}

/// What callfeed itself would take elsewhere.
#[test]
fn what_cannot_work_in_a_cluster_is_refused() {
    let rows = [
        ("{config: {admin: {listen: '127.0.0.1:9464'}}}", "config.admin.listen: neither probes nor Prometheus reach"),
        ("{config: {admin: {listen: 0.0.0.0}}}", "config.admin.listen: expected an address with a port"),
        (
            "{replicas: 3, config: {kafka: {instance_id: one}}}",
            "config.kafka.instance_id: all 3 replicas would be `one`",
        ),
        ("{nameOverride: x, fullnameOverride: '1st'}", "/fullnameOverride"),
    ];
    for (values, words) in rows {
        let told = refusal(&[LEAST, values]);
        assert!(told.contains(words), "{values}: {told}");
    }
}
